"""Memory and time of `cluster-folder` against the number of images.

    python benchmarks/many_images.py --data FOLDER [--images 5000 20000] [--k 20] [--sides 64 160]

The images are views of those in the zip archives of FOLDER: a random crop, half of them mirrored,
with --sides resized to a random longer side and in other colours, saved as JPEG at a random
quality. Each number of images is a run of its own, in processes of its own, with K given. Prints
one table, writes JSON: seconds and CPU seconds of the whole run, MiB that its processes hold
themselves at most, once a second what they held then, and the numbers of each artefact's stage as
its manifest says them (these count mapped pages, too, and never fall within one process). With
--scratch images and results stay there, and the same command goes on with what there is. Linux
only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import zipfile
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".png")
EACH = 1000  # images a folder


def make_views(
    data: Path, to: Path, count: int, sides: tuple[int, int] | None = None, seed: int = 0
) -> None:
    """`count` JPEGs below `to`, views of the images of all archives in `data`."""
    from PIL import Image, ImageEnhance

    archives = [zipfile.ZipFile(p) for p in sorted(data.glob("*.zip"))]
    names = [(a, n) for a in archives for n in a.namelist() if n.lower().endswith(SUFFIXES)]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(names))
    for i in range(count):
        archive, name = names[order[i % len(order)]]
        image = Image.open(BytesIO(archive.read(name))).convert("RGB")
        w, h = image.size
        keep = rng.uniform(0.7, 1.0)
        left, top = rng.uniform(0, 1 - keep, 2) * (w, h)
        image = image.crop((int(left), int(top), int(left + keep * w), int(top + keep * h)))
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if sides is not None:
            scale = rng.integers(sides[0], sides[1] + 1) / max(image.size)
            w, h = (max(1, round(side * scale)) for side in image.size)
            image = ImageEnhance.Color(image.resize((w, h))).enhance(rng.uniform(0.6, 1.4))
            image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.8, 1.2))
        folder = to / f"{i // EACH:04}"
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{i:07}.jpg", quality=int(rng.integers(60, 96)))


def held(group: int) -> float:
    """MiB that the processes of a group hold themselves just now."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[2]) != group:
                continue
            text = (stat.parent / "status").read_text()
        except OSError:  # it has ended meanwhile
            continue
        line = next((line for line in text.splitlines() if line.startswith("RssAnon")), "RssAnon 0")
        total += int(line.split()[1])
    return total / 1024


def one_run(images: Path, workspace: Path, k: int) -> dict[str, Any]:
    """`cluster-folder` on a folder; its numbers."""
    words = [sys.executable, "-m", "imclust", "cluster-folder", str(images)]
    words += ["--n-clusters", str(k), "--workspace", str(workspace)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, each_second = time.perf_counter(), list[int]()
    with Path(workspace.parent, "said.txt").open("ab") as said:
        done = subprocess.Popen(words, stdout=said, stderr=said, start_new_session=True)
        while done.poll() is None:
            each_second.append(round(held(done.pid)))
            time.sleep(1)
    if done.returncode:
        raise SystemExit(f"cluster-folder ended with status {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {"seconds": time.perf_counter() - began, "cpu": cpu, "mib": max(each_second)}
    stages = {}
    for path in sorted(workspace.rglob("manifest.json")):
        doc = json.loads(path.read_text())
        name = str(path.parent.relative_to(workspace / "data"))
        wanted = "written", "seconds", "cpu_seconds", "peak_mib"
        stages[name] = {n: doc[n] for n in wanted if n in doc}
    return {**found, "stages": stages, "mib_each_second": each_second}


def main() -> None:
    """Run, print, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of zips of images")
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 20_000])
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--sides", type=int, nargs=2, help="least and most of the longer side")
    parser.add_argument("--scratch", type=Path, default=None, help="where images are written")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/many_images.json"))
    cfg = parser.parse_args()
    doc: dict[str, Any] = {"cpus": os.cpu_count(), "argv": sys.argv[1:], "table": []}
    print(f"{'images':>10}{'s':>9}{'CPU s':>9}{'MiB':>8}{'load':>6}")
    for count in cfg.images:
        with ExitStack() as stack:
            place = cfg.scratch and cfg.scratch / str(count)
            scratch = place or stack.enter_context(TemporaryDirectory())
            images, workspace = Path(scratch, "images"), Path(scratch, "work")
            if not (images / f"{(count - 1) // EACH:04}" / f"{count - 1:07}.jpg").exists():
                make_views(cfg.data, images, count, cfg.sides)
            row = {"images": count, **one_run(images, workspace, cfg.k)}
        row["load"] = os.getloadavg()[0]
        doc["table"].append(row)
        print(f"{count:>10}{row['seconds']:>9.0f}{row['cpu']:>9.0f}{row['mib']:>8.0f}"
              f"{row['load']:>6.1f}", flush=True)  # fmt: skip
        cfg.out.parent.mkdir(parents=True, exist_ok=True)
        cfg.out.write_text(json.dumps(doc, indent=1) + "\n")
    print(f"written to {cfg.out}")


if __name__ == "__main__":
    main()
