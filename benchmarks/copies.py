"""Are copies found? Pictures re-saved, resized, cropped, turned and mirrored, among others.

    python benchmarks/copies.py ../shared/data/weather_photos.zip --seeds 0 1 2 3 4

Of each archive 200 pictures are taken, and six copies made of 20 of them. Recall: the share of the
copies that are put into a group with the picture they were made of. Precision: the share of what
was put into the groups of these pictures that was made of them. Copies that the archive has itself
are counted apart: nobody knows how many there are. Prints a table and writes JSON.

`--by cleanvision imagededup` measures these libraries on the same pictures, where they are
installed: CleanVision's exact and near duplicates, imagededup's perceptual hash; both as they come.
"""

import argparse
import io
import json
import tempfile
import time
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from imclust.__main__ import main as imclust
from imclust.core.look_records import Look
from imclust.training.pretrained import vision

ORIGINALS, COPIED = 200, 20
KINDS = ("re-saved", "resized", "cropped", "turned a little", "turned by 90, 180, 270", "mirrored")


def copies(image, rng):
    """(kind, picture, quality) of six copies."""
    width, height = image.size
    yield KINDS[0], image, int(rng.integers(35, 75))
    by = rng.uniform(0.4, 0.75)
    size = max(16, int(width * by)), max(16, int(height * by))
    yield KINDS[1], image.resize(size, Image.Resampling.BICUBIC), 85
    by = rng.uniform(0.8, 0.92)
    w, h = int(width * by), int(height * by)
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    yield KINDS[2], image.crop((x, y, x + w, y + h)), 85
    angle = float(rng.uniform(3, 10) * rng.choice([-1, 1]))
    yield KINDS[3], image.rotate(angle, Image.Resampling.BICUBIC), 85
    turn = [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]
    yield KINDS[4], image.transpose(turn[int(rng.integers(3))]), 85
    yield KINDS[5], image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 85


def make(archive, folder, seed):
    """The pictures of one seed in a folder; id -> (number of the original, kind)."""
    rng = np.random.default_rng(seed)
    made = {}
    with zipfile.ZipFile(archive) as z:
        names = sorted(n for n in z.namelist() if n.lower().endswith((".jpg", ".jpeg", ".png")))
        for number, at in enumerate(rng.permutation(len(names))[:ORIGINALS].tolist()):
            data = z.read(names[at])
            name = f"{number:04}{Path(names[at]).suffix}"
            (folder / name).write_bytes(data)
            made[name] = number, ""
            if number >= COPIED:
                continue
            image = Image.open(io.BytesIO(data)).convert("RGB")
            for kind, picture, quality in copies(image, rng):
                name = f"{number:04}-{KINDS.index(kind)}.jpg"
                picture.save(folder / name, quality=quality)
                made[name] = number, kind
    return made


def found_by_imclust(folder, work):
    """Groups of names."""
    for line in (
        f"download --out {work}/raw folder --data-dir {folder}",
        f"train --index {work}/raw/index --out {work}/w timm --pool mean_std --layers 4",
        f"encode --index {work}/raw/index --weights {work}/w --out {work}/z",
        f"look --features {work}/z --index {work}/raw/index --out {work}/look",
    ):
        if imclust(line.split()):
            raise SystemExit(f"{line} failed")
    groups = defaultdict(set)
    for copy, of in Look.load(work / "look").copy_of.items():
        groups[of] |= {of, copy}
    return list(groups.values())


def found_by_cleanvision(folder, _):
    """Groups of names, by its exact and near duplicates."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1, verbose=False)
    sets = [s for kind in ("exact_duplicates", "near_duplicates") for s in lab.info[kind]["sets"]]
    return joined([{Path(name).name for name in each} for each in sets])


def found_by_imagededup(folder, _):
    """Groups of names, by its perceptual hash; its network's weights would have to be fetched."""
    vision("torchvision")  # which it imports; some builds want help
    from imagededup.methods import PHash

    found = PHash(verbose=False).find_duplicates(
        image_dir=str(folder), num_enc_workers=0, num_dist_workers=0
    )
    return joined([{name, *others} for name, others in found.items() if others])


def joined(sets):
    """Sets that share a member as one."""
    groups = []
    for each in sets:
        touching = [group for group in groups if group & each]
        groups = [group for group in groups if not group & each]
        groups.append(each.union(*touching))
    return groups


FINDERS = {
    "imclust": found_by_imclust,
    "cleanvision": found_by_cleanvision,
    "imagededup": found_by_imagededup,
}


def measured(made, groups):
    """Recall by kind, precision, and originals that lie with others."""
    group_of = {name: i for i, group in enumerate(groups) for name in group}
    original = {number: name for name, (number, kind) in made.items() if not kind}
    hit = defaultdict(list)
    for name, (number, kind) in made.items():
        if kind:
            at = group_of.get(name, -1)
            hit[kind].append(at >= 0 and at == group_of.get(original[number]))
    right = wrong = own = 0
    for group in groups:
        numbers = {made[name][0] for name in group if made[name][1]}
        for name in group:
            number, kind = made[name]
            if kind or number in numbers:
                right += len(numbers) == 1
                wrong += len(numbers) > 1
            elif numbers:
                own += 1
    row = {kind: float(np.mean(hit[kind])) for kind in KINDS}
    row["recall"] = float(np.mean([x for each in hit.values() for x in each]))
    row["precision"] = right / max(1, right + wrong)
    row["others in their groups"] = own
    return row


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--by", nargs="+", choices=FINDERS, default=["imclust"])
    parser.add_argument("--json", type=Path, default=Path("copies.json"))
    args = parser.parse_args()
    table = {}
    for archive in args.archives:
        rows = defaultdict(list)
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as top:
                folder, work = Path(top) / "pictures", Path(top) / "work"
                folder.mkdir()
                made = make(archive, folder, seed)
                for name in args.by:
                    began = time.process_time()
                    row = measured(made, FINDERS[name](folder, work))
                    rows[name].append(row | {"CPU seconds": time.process_time() - began})
        table[archive.stem] = rows
        for by, found in rows.items():
            print(f"\n{archive.stem} by {by}, {len(args.seeds)} seeds, mean ± standard deviation")
            for name in found[0]:
                values = [row[name] for row in found]
                print(f"  {name:24} {np.mean(values):.3f} ± {np.std(values):.3f}", flush=True)
    args.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
