"""New kinds among images that came later: are they seen, and is anything opened for old kinds?

    python benchmarks/growth.py ../shared/data/weather_photos.zip --seeds 0 1 2 3 4

Up to 80 images of each class are drawn and encoded once. Then a part of them is clustered, here
by their classes, and later come 60 further images of these classes and `--new` of each class that
was held out. Labels score; the rule reads none. Prints a table and writes JSON.
"""

import argparse
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from imclust.__main__ import main as imclust
from imclust.cli.pipeline import LAYERED
from imclust.clustering.growth import grow
from imclust.core.log import silent
from imclust.core.records import Features, parts_of

PER_CLASS = 80
SAME = 60  # later images of classes that are there
DRAWS = 4  # of held-out classes a seed


def encoded(archive, top):
    """Spaces (n, d_v) of images drawn from a zip of a folder a class, and their classes."""
    with zipfile.ZipFile(archive) as z:
        names = [n for n in sorted(z.namelist()) if not n.endswith("/")]
        of = {name: name.split("/")[-2] for name in names}
        for c in sorted(set(of.values())):
            mine = [n for n in names if of[n] == c]
            for n in np.random.default_rng(0).permutation(len(mine))[:PER_CLASS]:
                at = Path(top) / "images" / c / Path(mine[n]).name
                at.parent.mkdir(parents=True, exist_ok=True)
                at.write_bytes(z.read(mine[n]))
    raw, w, z_at = (str(Path(top) / name) for name in ("raw", "w", "z"))
    commands = (
        ["download", "--out", raw, "folder", "--data-dir", str(Path(top) / "images")],
        ["train", "--index", f"{raw}/index", "--out", w, "timm", *LAYERED],
        ["encode", "--index", f"{raw}/index", "--weights", w, "--out", z_at],
    )
    with silent():
        for words in commands:
            if imclust(words) != 0:
                raise SystemExit(f"{words[0]} of {archive} failed")
    features = Features.load(Path(z_at))
    spaces = [np.array(part) for part in parts_of(Path(z_at), np.asarray(features.x))]
    return spaces, np.array([i.split("/")[0] for i in features.ids.tolist()])


def one(spaces, labels, held, new, seed):
    """Clusters opened; their purity; share of the held-out images in them, and of the others."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    known = order[~np.isin(labels[order], held)]
    old, same = known[: int(0.7 * len(known))], known[int(0.7 * len(known)) :][:SAME]
    came = [order[labels[order] == c][:new] for c in held]
    later = np.concatenate([same, *came])
    classes, y = np.unique(labels[old], return_inverse=True)
    p = np.eye(len(classes), dtype=np.float32)[y]
    grown = grow([x[old] for x in spaces], p, [x[later] for x in spaces])
    where = grown.probabilities.argmax(1) - len(classes)
    opened, truth = where >= 0, labels[later]
    odd = np.isin(truth, held)
    most = sum(np.unique(truth[where == c], return_counts=True)[1].max(initial=0)
               for c in range(len(grown.founders)))  # fmt: skip
    right = [classes[c] for c in grown.probabilities[:, : len(classes)].argmax(1)]
    kept = (np.array(right) == truth) & ~opened
    return {
        "opened": len(grown.founders),
        "purity": most / opened.sum() if opened.any() else None,
        "found": float((opened & odd).sum() / odd.sum()) if odd.any() else None,
        "wrongly": float((opened & ~odd).sum() / (~odd).sum()),
        "right": float(kept[~odd].mean()),
    }


def told(rows, name):
    """Mean and spread over seeds of a number; a dash where there is none."""
    by_seed = {}
    for row in rows:
        if row[name] is not None:
            by_seed.setdefault(row["seed"], []).append(row[name])
    means = [np.mean(v) for v in by_seed.values()]
    return f"{np.mean(means):.2f} ± {np.std(means):.2f}" if means else "-"


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--new", nargs="+", type=int, default=[12, 20, 40])
    parser.add_argument("--out", type=Path, default=Path("growth.json"))
    args = parser.parse_args()
    columns = ("opened", "found", "purity", "wrongly", "right")
    lines = []
    print(f"{'images':20} held-out  new  " + "  ".join(f"{c:12}" for c in columns))
    for archive in args.archives:
        with tempfile.TemporaryDirectory() as top:
            spaces, labels = encoded(archive, top)
        for count in (0, 1, 2):
            for new in args.new if count else [0]:
                rows = []
                for seed in args.seeds:
                    rng = np.random.default_rng(seed)
                    for draw in range(DRAWS if count else 1):
                        held = rng.choice(sorted(set(labels.tolist())), count, replace=False)
                        found = one(spaces, labels, held, new, seed * 100 + draw)
                        rows.append({"seed": seed, **found})
                cells = "  ".join(f"{told(rows, c):12}" for c in columns)
                print(f"{archive.stem:20} {count:8} {new:4}  {cells}", flush=True)
                lines.append({"images": archive.name, "held": count, "new": new, "rows": rows})
    args.out.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
