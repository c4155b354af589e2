"""Memory and time of `cluster-folder` against the number of images.

    python benchmarks/many_images.py --data FOLDER [--images 5000 20000] [--k 20]

The images are views of those in the zip archives of FOLDER: a random crop, half of them mirrored,
saved as JPEG at a random quality. Each number of images is a run of its own, in a process of its
own, with K given. Prints one table, writes JSON: seconds and CPU seconds of the whole run, MiB that
the process holds itself at most, and those of each artefact's stage as its manifest says them
(these count mapped pages, too, and never fall within one process). Linux only.
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
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".png")
EACH = 1000  # images a folder


def make_views(data: Path, to: Path, count: int, seed: int = 0) -> None:
    """`count` JPEGs below `to`, views of the images of all archives in `data`."""
    from PIL import Image

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
        folder = to / f"{i // EACH:04}"
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{i:07}.jpg", quality=int(rng.integers(60, 96)))


def held(pid: int) -> float:
    """MiB that a process holds itself just now."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((line for line in text.splitlines() if line.startswith("RssAnon")), "RssAnon 0")
    return int(line.split()[1]) / 1024


def one_run(images: Path, workspace: Path, k: int) -> dict[str, Any]:
    """`cluster-folder` on a folder; its numbers."""
    words = [sys.executable, "-m", "imclust", "cluster-folder", str(images)]
    words += ["--n-clusters", str(k), "--workspace", str(workspace)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, peak = time.perf_counter(), 0.0
    done = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while done.poll() is None:
        peak = max(peak, held(done.pid))
        time.sleep(0.1)
    if done.returncode:
        raise SystemExit(f"cluster-folder ended with status {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {"seconds": time.perf_counter() - began, "cpu": cpu, "mib": peak}
    stages = {}
    for path in sorted(workspace.rglob("manifest.json")):
        doc = json.loads(path.read_text())
        name = str(path.parent.relative_to(workspace / "data"))
        stages[name] = {n: doc[n] for n in ("seconds", "cpu_seconds", "peak_mib")}
    return {**found, "stages": stages}


def main() -> None:
    """Run, print, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of zips of images")
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 20_000])
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--scratch", type=Path, default=None, help="where images are written")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/many_images.json"))
    cfg = parser.parse_args()
    doc: dict[str, Any] = {"cpus": os.cpu_count(), "argv": sys.argv[1:], "table": []}
    print(f"{'images':>10}{'s':>9}{'CPU s':>9}{'MiB':>8}{'load':>6}")
    for count in cfg.images:
        with TemporaryDirectory(dir=cfg.scratch) as scratch:
            images, workspace = Path(scratch, "images"), Path(scratch, "work")
            make_views(cfg.data, images, count)
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
