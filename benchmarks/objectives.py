"""Which way of training earns its seconds? Codes of short trainings, k-means, classes.

    python benchmarks/objectives.py FOLDER [--waves 1000:0 1000:1 4000:0:simclr,vicreg ...]
        [--device cpu] [--jobs 1] [--minutes 60] [--out benchmarks/results/objectives]
    python benchmarks/objectives.py FOLDER --time-steps

FOLDER is what `objectives_sets.py` wrote. Every training is the project's own, with a schedule as
long as it is: width 16, batch 128, float32. Told of each: accuracy of k-means on 64 directions of
the codes, mean of three starts, by classes; and without classes, the silhouette of the codes and
how often neighbours of the spaces that cost nothing share a cluster. A wave is so many steps of
one seed, of all names or of some, on every set; waves are done in their order, --jobs trainings at
a time, until they are done or --minutes have gone; what stands in --out is not done again. Lines go
to results.jsonl as they come, 64 directions of the codes to codes-N.zip. `--time-steps` measures
the CPU seconds of a step instead, over an epoch with all that it begins with, in one thread.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import statistics
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

NAMES = (
    *("pseudo-labels", "simclr", "vicreg", "pseudo-labels K"),
    *("simclr none", "simclr strong", "pseudo-labels none", "pseudo-labels strong"),
)
LONG = "simclr,pseudo-labels"
WAVES = ("1000:0", "1000:1", f"4000:0:{LONG}", "1000:2", "250:0", f"4000:1:{LONG}", "250:1")
COLOURED = ("hw9_proxy", "cifar10_10k", "natural_images30")  # where `none` and `strong` are tried
WIDTH, BATCH = 16, 128
STARTS = 3
MOST_BYTES = 14 << 20  # of an archive of codes
ARCHIVES = 4
KEPT = ("pseudo-labels", "simclr", "vicreg", "pseudo-labels K")  # whose codes are


def train(
    name: str, facts: dict[str, np.ndarray], steps: int, seed: int, device: str
) -> np.ndarray:
    """Codes (n, d) of a training so long; `steps` of 0 are an epoch."""
    import torch

    from imclust.core.reproducibility import isolated_seed
    from imclust.data.loader import as_rgb, square
    from imclust.training.fit import encode_all, fit
    from objectives_methods import encoder_of

    torch.set_num_threads(1)
    encoder = encoder_of(name, facts, WIDTH, BATCH)
    pre = encoder.preprocessing
    images = np.stack([square(as_rgb(x), pre, min(x.shape[:2])) for x in facts["x"]])
    plan = replace(encoder.suited(encoder.plan(len(images)), images), precision="float32")
    plan = replace(plan, steps=steps)
    with isolated_seed(seed):
        network = encoder.network()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            network, encoder.objective(len(images), seed), images, pre, plan, seed=seed,
            device=device, folder=Path(folder), encode=encoder.encode,
        )  # fmt: skip
    return encode_all(network, encoder.encode, images, pre, device).cpu().numpy()


def told_of(codes: np.ndarray, facts: dict[str, np.ndarray]) -> tuple[dict[str, float], np.ndarray]:
    """Numbers of the codes (n, d), and 64 directions of them (n, 64) float16."""
    from sklearn.cluster import KMeans

    from imclust.clustering.metrics import cosine_silhouette, hungarian_accuracy
    from imclust.clustering.preprocessing import prepare

    y, near = facts["y"].astype(int), facts["near"].astype(int)
    rows, known = prepare(codes, "white").rows, y >= 0
    runs = [
        KMeans(int(y.max()) + 1, n_init=3, random_state=s).fit_predict(rows) for s in range(STARTS)
    ]
    found = {
        "accuracy": statistics.mean(hungarian_accuracy(y[known], c[known]) for c in runs),
        "silhouette": statistics.mean(cosine_silhouette(rows, c) for c in runs),
        "neighbours agree": statistics.mean(float((c[near] == c[:, None]).mean()) for c in runs),
    }
    return found, prepare(codes, "pca").rows.astype(np.float16)


def one(task: tuple[Path, str, int, int, str]) -> tuple[dict[str, Any], np.ndarray | None]:
    """A line of the results, and what is kept of the codes."""
    path, name, steps, seed, device = task
    line = {"set": path.stem, "name": name, "steps": steps, "seed": seed, "device": device}
    began, cpu = time.monotonic(), time.process_time()
    with np.load(path, allow_pickle=False) as z:
        facts = dict(z)
    try:
        codes = train(name, facts, steps, seed, device)
        trained = {"seconds": round(time.monotonic() - began, 2),
                   "CPU seconds": round(time.process_time() - cpu, 2)}  # fmt: skip
        found, kept = told_of(codes, facts)
    except Exception as e:  # one training that fails must not take the others with it
        return line | {"failed": f"{type(e).__name__}: {e}"}, None
    return line | trained | {n: round(v, 4) for n, v in found.items()}, kept


class Store:
    """Results on disk, as they come."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "results.jsonl"
        text = path.read_text() if path.is_file() else ""
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]

    def has(self, task: tuple[Path, str, int, int, str]) -> bool:
        """Whether it was done before."""
        path, name, steps, seed, _ = task
        key = path.stem, name, steps, seed
        return any((r["set"], r["name"], r["steps"], r["seed"]) == key for r in self.lines)

    def add(self, line: dict[str, Any], codes: np.ndarray | None) -> None:
        """Write both."""
        self.lines.append(line)
        with (self._folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if codes is None or line["name"] not in KEPT:
            return
        archive = self._folder / f"codes-{self._number}.zip"
        while archive.is_file() and archive.stat().st_size + codes.nbytes > MOST_BYTES:
            self._number += 1
            archive = self._folder / f"codes-{self._number}.zip"
        if self._number >= ARCHIVES:
            return
        content = io.BytesIO()
        np.save(content, codes)
        name = "{set}/{name}/{steps}/{seed}.npy".format(**line)
        with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as z:
            z.writestr(name, content.getvalue())


def tasks_of(cfg: argparse.Namespace) -> list[tuple[Path, str, int, int, str]]:
    """All of them, in order."""
    paths = [p for p in sorted(cfg.folder.glob("*.npz")) if not cfg.sets or p.stem in cfg.sets]
    found = []
    for wave in cfg.waves:
        steps, seed, names = (*wave.split(":"), "")[:3]
        for name in names.split(",") if names else NAMES:
            coloured = name.partition(" ")[2] in {"none", "strong"}
            found += [
                (path, name, int(steps), int(seed), cfg.device)
                for path in paths
                if path.stem in COLOURED or not coloured
            ]
    return found


def run(cfg: argparse.Namespace) -> list[dict[str, Any]]:
    """Do the tasks that are not done, until the time has gone."""
    until = time.monotonic() + 60 * cfg.minutes
    store = Store(cfg.out)
    todo = [t for t in tasks_of(cfg) if not store.has(t)]
    # Processes of their own: a GPU's context does not survive a fork.
    with multiprocessing.get_context("spawn").Pool(cfg.jobs) as pool:
        results = pool.imap_unordered(one, todo)
        for done in range(1, len(todo) + 1):
            try:
                line, codes = results.next(timeout=max(0.0, until - time.monotonic()))
            except multiprocessing.TimeoutError:
                print(f"time has gone: {done - 1} of {len(todo)} done", flush=True)
                pool.terminate()
                break
            store.add(line, codes)
            left = max(0.0, until - time.monotonic())
            print(f"{done}/{len(todo)} ({left:.0f} s left) {json.dumps(line)}", flush=True)
        else:
            pool.close()
            pool.join()
    return store.lines


def time_steps(cfg: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of a step of every name, on the first set."""
    path = tasks_of(cfg)[0][0]
    with np.load(path, allow_pickle=False) as z:
        facts = dict(z)
    steps, took = -(-len(facts["x"]) // BATCH), {}
    for name in NAMES:
        if name.partition(" ")[2]:
            continue
        train(name, facts, 2, 0, "cpu")  # what is loaded once
        began = time.process_time()
        train(name, facts, 2, 0, "cpu")
        short = time.process_time() - began
        began = time.process_time()
        train(name, facts, 2 + steps, 0, "cpu")
        took[name] = round((time.process_time() - began - short) / steps, 4)
        print(f"{name:16} {took[name]:.4f} CPU s a step ({path.stem})", flush=True)
    return took


def table(lines: list[dict[str, Any]]) -> None:
    """Print mean and spread of the accuracy, a line for each name and number of steps."""
    sets = sorted({r["set"] for r in lines})
    print(" " * 24 + " ".join(f"{s[:15]:>15}" for s in sets))
    for name, steps in dict.fromkeys((r["name"], r["steps"]) for r in lines):
        told = []
        for s in sets:
            got = [r["accuracy"] for r in lines if (r["set"], r["name"], r["steps"]) ==
                   (s, name, steps) and "accuracy" in r]  # fmt: skip
            spread = f" ± {statistics.stdev(got):.3f}" if len(got) > 1 else ""
            told.append(f"{statistics.mean(got):.3f}{spread}" if got else "")
        print(f"{name:16} {steps:6}  " + " ".join(f"{t:>15}" for t in told))


def main() -> None:
    """Train, or time."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--waves", nargs="+", default=list(WAVES))
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--time-steps", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/objectives"))
    cfg = parser.parse_args()
    if cfg.time_steps:
        took = time_steps(cfg)
        cfg.out.mkdir(parents=True, exist_ok=True)
        (cfg.out / "steps.json").write_text(json.dumps(took, indent=2) + "\n")
        return
    lines = run(cfg)
    table(lines)


if __name__ == "__main__":
    main()
