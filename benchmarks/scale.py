"""Time and memory of clustering against the number of rows, beside faiss and scikit-learn.

    python benchmarks/scale.py [--rows 1000 10000 100000 1000000] [--dims 256] [--k 20]
        [--steps kmeans auto place faiss] [--seeds 5] [--half] [--scratch FOLDER]

Rows of made groups are written to a folder, float32 or with --half float16. Each step is a process
of its own: `kmeans` and `auto` are the stage `cluster` as a user runs it, artefact, tables and
stability included; `kmeans alone` the centres of the same twenty starts and nothing else; `place`
is the stage `predict` on as many rows again, `reduce` that of the 64 widest directions, float16.
`faiss` is the best of five runs of its k-means (25
passes) over all rows, its time that of one run; `faiss sample` the best of twenty on its default
sample; `minibatch` scikit-learn's with twenty starts. The inertia of each is taken over all rows,
in float64. `faiss until` is faiss on all rows, run after run until one is within a thousandth of
the inertia of `kmeans alone`: its time is that of them all, at most twelve. `neighbours` are the 15
nearest of every row, and their recall against exact ones of 1000 rows. Needs `pip install
faiss-cpu` for the steps called so.

`kmeans local:2` is `kmeans` by two workers of Ray (`pip install 'imclust[ray]'`), also `auto` and
`place`; `encode` is the
bundled network on as many made pictures of 64 px; the table says whether their bytes are those of
the step without workers, which must stand before it. CPU seconds and MiB are those of the driver;
`all` are MiB of it and of all processes that it started.

    python benchmarks/scale.py --rows 100000 --half --steps ray

is `encode`, of at most 5000 pictures, `reduce`, `kmeans` and `place`: in one process, by one worker
and by two, and beside them faiss and MiniBatchKMeans; a last table puts these side by side.

With --seeds every step is done from so many seeds, each with rows of its own, every second time in
the other order; then medians are told, and the inertia of each step over that of `kmeans alone` on
the same rows.

Prints one table, writes JSON. MiB are those that the process holds itself; pages of mapped files,
which the system takes back when it wants to, are not among them. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

STEPS = (
    "kmeans", "kmeans alone", "auto", "place", "reduce", "faiss", "faiss sample", "minibatch",
    "neighbours", "faiss until", "kmeans local:1", "kmeans local:2", "auto local:1", "auto local:2",
    "place local:1", "place local:2", "reduce local:1", "reduce local:2", "many", "many local:2",
    "encode", "encode local:1", "encode local:2",
)  # fmt: skip
BY = "", " local:1", " local:2"
RAY = (*(f"{step}{by}" for step in ("encode", "reduce", "kmeans", "place") for by in BY), "faiss",
       "minibatch")  # fmt: skip
MOST_PICTURES = 5000  # of `--steps ray`
RUNS, STARTS = 5, 20
MOST_RUNS = 12  # of faiss, until one reaches our inertia
REACHED = 1.001  # times that, which counts as reached
NEAR = 15
FEW = 2000  # clusters; of more, faiss and MiniBatchKMeans start once
CHUNK, LOOKED_AT = 8192, 5000  # rows


def make_rows(
    folder: Path, rows: int, dims: int, groups: int, *, half: bool, seed: int = 0
) -> None:
    """`features` of made groups in 32 directions with noise in all, and an `index` to go by."""
    from imclust.core.artifacts import ArtifactSpec, make_artifact
    from imclust.core.npy import NpyRows
    from imclust.core.records import save_rows

    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((groups, 32)).astype(np.float32)
    lift = rng.standard_normal((32, dims)).astype(np.float32) / 6

    def write(folder: Path) -> dict[str, Any]:
        with NpyRows(folder / "x.npy", (rows, dims), half=half) as file:
            for a in range(0, rows, 65_536):
                n = min(65_536, rows - a)
                inner = centres[rng.integers(0, groups, n)]
                inner += 0.7 * rng.standard_normal((n, 32), np.float32)
                x = inner @ lift + 0.1 * rng.standard_normal((n, dims), np.float32)
                file.write(a, x.astype(np.float16 if half else np.float32))
        save_rows(folder, np.arange(rows).astype(str), np.full(rows, "train"))
        return {"rows": rows, "dims": dims}

    make_artifact(folder / "z", ArtifactSpec("features", {"rows": rows}, {}, ()), write)
    about = {"content": "texts", "n_clusters": groups}
    make_artifact(folder / "index", ArtifactSpec("index", {}, {}, ()), lambda _: about)


def make_pictures(folder: Path, rows: int) -> None:
    """Pictures of noise of several grains, their index, and the bundled network."""
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    coarse = rng.integers(0, 256, (rows, 8, 8, 3), np.uint8)
    np.save(folder / "pictures/trainX.npy", coarse.repeat(8, 1).repeat(8, 2))
    source = ("arrays", "--data-dir", str(folder / "pictures"))
    index = ("--index", str(folder / "raw/index"))
    for words in (
        ("download", "--out", str(folder / "raw"), *source),
        ("train", *index, "--out", str(folder / "w"), "timm"),
    ):
        subprocess.run([sys.executable, "-m", "imclust", *words], check=True, stdout=sys.stderr)


class Memory:
    """The most that this process held itself, in MiB, looked at twenty times a second."""

    def __init__(self) -> None:
        self.peak, self._done = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(0.05):
            text = Path("/proc/self/status").read_text()
            line = next(line for line in text.splitlines() if line.startswith("RssAnon"))
            self.peak = max(self.peak, int(line.split()[1]) / 1024)

    def close(self) -> float:
        """Stop looking; the peak."""
        self._done.set()
        self._thread.join()
        return self.peak


def held_below(pid: int) -> float:
    """MiB that a process and all that it started hold themselves."""
    found: dict[int, tuple[int, float]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            text = (folder / "status").read_text()
        except OSError:  # it has ended meanwhile
            continue
        line = next((line for line in text.splitlines() if line.startswith("RssAnon")), "x 0")
        found[int(folder.name)] = parent, int(line.split()[1]) / 1024
    mine, grown = {pid}, True
    while grown:
        more = {child for child, (parent, _) in found.items() if parent in mine} - mine
        grown, mine = bool(more), mine | more
    return sum(found[each][1] for each in mine if each in found)


def stage(*words: str) -> dict[str, Any]:
    """Run a stage in this process; what its manifest says."""
    from imclust.__main__ import main
    from imclust.core.manifest import read_manifest

    assert main(list(words)) == 0
    return read_manifest(Path(words[words.index("--out") + 1]))


def inertia_of(x: np.ndarray, points: np.ndarray) -> float:
    """Of all rows at given centres."""
    from imclust.clustering.block_kmeans import Centres, one_pass, sum_of_squares

    centres = Centres(points.astype(np.float64), points.mean(0, dtype=np.float64))
    return sum_of_squares(x, centres) + one_pass(x, centres).score


def faiss_runs(x: np.ndarray, k: int, seed: int, *, sample: bool) -> tuple[Callable[[], Any], int]:
    """What to time, and by how many its time is divided."""
    import faiss

    x = np.asarray(x, np.float32)
    faiss.omp_set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))

    runs = RUNS if k <= FEW else 1

    def all_rows() -> np.ndarray:
        found = []
        for run in range(RUNS * seed + 1, RUNS * seed + 1 + runs):
            solver = faiss.Kmeans(x.shape[1], k, niter=25, seed=run, max_points_per_centroid=2**30)
            solver.train(x)
            found.append((inertia_of(x, solver.centroids), run, solver.centroids))
        return min(found)[2]

    def few_rows() -> np.ndarray:
        solver = faiss.Kmeans(x.shape[1], k, niter=25, nredo=STARTS, seed=seed + 1)
        solver.train(x)
        solver.index.search(x, 1)
        return solver.centroids

    return (few_rows, 1) if sample else (all_rows, runs)


def faiss_until(x: np.ndarray, k: int, seed: int, memory: Memory) -> dict[str, Any]:
    """Runs of faiss on all rows until one reaches the inertia of ours."""
    import faiss

    from imclust.clustering.block_kmeans import kmeans_in_blocks

    goal = REACHED * kmeans_in_blocks(x, k, STARTS, seed).inertia
    faiss.omp_set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    cpu = seconds = 0.0
    best, runs = np.inf, 0
    while best > goal and runs < MOST_RUNS:
        began, used = time.perf_counter(), time.process_time()
        number = MOST_RUNS * seed + runs + 1
        solver = faiss.Kmeans(x.shape[1], k, niter=25, seed=number, max_points_per_centroid=2**30)
        solver.train(x)
        seconds, cpu = seconds + time.perf_counter() - began, cpu + time.process_time() - used
        best, runs = min(best, inertia_of(x, solver.centroids)), runs + 1
    return {"seconds": seconds, "cpu": cpu, "mib": memory.close(), "inertia": best, "runs": runs,
            "reached": bool(best <= goal)}  # fmt: skip


def one_step(step: str, folder: Path, k: int, seed: int) -> dict[str, Any]:
    """Run one step in this process; its numbers."""
    x = np.load(folder / "z/x.npy", mmap_mode="r", allow_pickle=False)
    at = ["--index", str(folder / "index"), "--features", str(folder / "z")]
    more: dict[str, Any] = {}
    divide = 1
    memory = Memory()
    began, cpu = time.perf_counter(), time.process_time()
    name, _, workers = step.partition(" local:")
    out, ray = folder / step.replace(":", ""), ["--ray", f"local:{workers}"] if workers else []
    if name == "encode":
        doc = stage("encode", "--index", str(folder / "raw/index"), "--weights",
                    str(folder / "w"), "--out", str(out), *ray, "--ray-rows", "128")  # fmt: skip
        more = {"images_per_second": doc["images_per_second"]}
    elif name == "many":
        stage("cluster", *at, "--n-clusters", str(k), "--seed", str(seed), *ray,
              "--out", str(out), "kmeans", "--levels", "2")  # fmt: skip
    elif name in ("kmeans", "auto"):
        doc = stage("cluster", *at, "--n-clusters", str(k), "--seed", str(seed), *ray,
                    "--out", str(out), name)  # fmt: skip
        more = {name: doc[name] for name in ("inertia", "passes", "head", "view") if name in doc}
    elif name == "place":
        stage("predict", "--assignment", str(folder / "kmeans"), *at, *ray,
              "--out", str(out))  # fmt: skip
    elif name == "reduce":
        stage("reduce", *at[2:], "--half", "--out", str(out), *ray, "pca")
    elif step == "kmeans alone":
        from imclust.clustering.block_kmeans import kmeans_in_blocks

        found = kmeans_in_blocks(x, k, STARTS, seed)
        more = {"inertia": found.inertia, "passes": found.passes}
    elif step == "faiss until":
        return faiss_until(np.asarray(x, np.float32), k, seed, memory)
    elif step.startswith("faiss"):
        run, divide = faiss_runs(x, k, seed, sample=step != "faiss")
        points = run()
    elif step == "minibatch":
        from sklearn.cluster import MiniBatchKMeans

        starts = STARTS if k <= FEW else 1
        solver = MiniBatchKMeans(k, n_init=starts, batch_size=max(2048, k), random_state=seed)
        solver.fit(x)
        solver.predict(x)
        points = solver.cluster_centers_
    else:
        from imclust.clustering.neighbors import nearest_neighbors

        found = nearest_neighbors(x, np.asarray(x, np.float32), NEAR, same=True)[0]
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    if workers:
        files = {"encode": "x.npy", "reduce": "x.npy", "many": "nearest.npy"}
        file = files.get(name, "probabilities.npy")
        more["equal"] = (out / file).read_bytes() == (folder / name / file).read_bytes()
    more |= {"seconds": seconds / divide, "cpu": used / divide, "mib": memory.close()}
    if step.startswith("faiss") or step == "minibatch":
        more["inertia"] = inertia_of(x, points)
    if step == "many":
        more |= of_many(x, out, k)
    if step == "neighbours":
        more["recall"] = recall_of(x, found)
    return more


def of_many(x: np.ndarray, out: Path, k: int) -> dict[str, float]:
    """Inertia of all rows at the means of their clusters; of some rows, how much smaller it would
    be at the nearest of all means, and the share of those that are in the cluster of this."""
    labels = np.load(out / "nearest.npy", allow_pickle=False)[:, 0]
    x = np.asarray(x, np.float32)
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=k)
    used = np.flatnonzero(counts)
    starts = np.concatenate([[0], np.cumsum(counts[used])[:-1]])
    means = np.zeros((k, x.shape[1]), np.float32)
    means[used] = np.add.reduceat(x[order], starts, axis=0) / counts[used, None]
    parts = [np.square(x[a : a + CHUNK] - means[labels[a : a + CHUNK]]).sum(1)
             for a in range(0, len(x), CHUNK)]  # fmt: skip
    apart = np.concatenate(parts)
    few = np.random.default_rng(1).permutation(len(x))[:LOOKED_AT]
    half = np.square(means).sum(1) / 2
    best = np.concatenate([(half - x[few[a : a + 500]] @ means.T).argmin(1)
                           for a in range(0, len(few), 500)])  # fmt: skip
    least = np.square(x[few] - means[best]).sum(1)
    return {"inertia": float(apart.sum(dtype=np.float64)), "empty": float((counts == 0).sum()),
            "nearest": float((best == labels[few]).mean()),
            "least": float(least.sum() / apart[few].sum())}  # fmt: skip


def recall_of(x: np.ndarray, found: np.ndarray) -> float:
    """Share of the NEAR true neighbours of 1000 rows among those found."""
    from imclust.clustering.neighbors import nearest_neighbors

    rows = np.random.default_rng(1).permutation(len(x))[:1000]
    true = nearest_neighbors(x[rows], x, NEAR + 1)[0]
    share = [len(set(t) - {i} & set(f)) / NEAR for i, t, f in zip(rows, true, found[rows],
                                                                   strict=True)]  # fmt: skip
    return float(np.mean(share))


def slopes(rows: list[dict[str, Any]]) -> dict[str, float]:
    """d log time / d log N of each step from 100 000 rows on, by least squares of CPU seconds."""
    found = {}
    for step in STEPS:
        of = [(r["rows"], r["cpu"]) for r in rows if r["step"] == step and r["rows"] >= 100_000]
        if len({n for n, _ in of}) > 1:
            n, s = np.log10(np.array(of)).T
            found[step] = round(float(np.polyfit(n, s, 1)[0]), 2)
    return found


def medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each step from several seeds: median seconds, and of inertias over those of the centres of
    the same seed the median, the least and the most."""
    found = []
    mine = {(r["rows"], r["seed"]): r["inertia"] for r in rows if r["step"] == "kmeans alone"}
    for n, step in sorted({(r["rows"], r["step"]) for r in rows}):
        of = [r for r in rows if (r["rows"], r["step"]) == (n, step)]
        row: dict[str, Any] = {"rows": n, "step": step, "seeds": len(of)}
        row |= {name: float(np.median([r[name] for r in of])) for name in ("seconds", "cpu", "mib")}
        ratios = [r["inertia"] / mine[n, r["seed"]] for r in of
                  if "inertia" in r and (n, r["seed"]) in mine]  # fmt: skip
        if ratios:
            row["ratio"] = [float(f(ratios)) for f in (np.median, np.min, np.max)]
        found.append(row)
    return found


def print_side_by_side(rows: list[dict[str, Any]]) -> None:
    """Of each step: one process, one worker and two; seconds (CPU s), a second, GiB of all
    processes, and whether the bytes are equal."""
    by = {(r["rows"], *r["step"].partition(" ")[::2]): r for r in rows}
    print(f"{'rows':>10} {'step':10}" + "".join(f"{n:>40}" for n in ("one", "local:1", "local:2")))
    for n, step in dict.fromkeys((n, step) for n, step, _ in by):
        cells = []
        for how in ("", "local:1", "local:2"):
            if (row := by.get((n, step, how))) is None:
                cells.append("")
                continue
            rate = row.get("images_per_second") or n / row["seconds"]
            cell = f"{row['seconds']:.1f} s ({row['cpu']:.1f}), {rate:.0f}/s, "
            cell += f"{row['all'] / 1024:.2f} GiB"
            cells.append(cell + (f", {'equal' if row['equal'] else 'OTHER'}" if how else ""))
        many = min(n, MOST_PICTURES) if step == "encode" else n
        print(f"{many:>10} {step:10}" + "".join(f"{cell:>40}" for cell in cells))


def machine() -> str:
    """The processor and how many there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{os.cpu_count()} x {name or platform.processor()}"


def main() -> None:
    """Run, print, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--steps", nargs="+", default=list(STEPS[:9]), choices=(*STEPS, "ray"))
    parser.add_argument("--half", action="store_true", help="float16 on the disk")
    parser.add_argument("--scratch", type=Path, default=None, help="where rows are written")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/scale.json"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    cfg = parser.parse_args()
    if cfg.one:
        print(json.dumps(one_step(cfg.one, cfg.scratch, cfg.k, cfg.seed)))
        return
    steps = RAY if cfg.steps == ["ray"] else tuple(cfg.steps)
    doc: dict[str, Any] = {"machine": machine(), "argv": sys.argv[1:], "table": []}
    print(f"{'rows':>10} {'step':15}{'s':>8}{'CPU s':>8}{'MiB':>8}{'load':>6}  inertia, recall")
    for rows, seed in product(cfg.rows, range(cfg.seeds)):
        with TemporaryDirectory(dir=cfg.scratch) as scratch:
            make_rows(Path(scratch), rows, cfg.dims, cfg.k, half=cfg.half, seed=seed)
            if any(step.startswith("encode") for step in steps):
                few = min(rows, MOST_PICTURES) if cfg.steps == ["ray"] else rows
                make_pictures(Path(scratch), few)
            for step in steps[:: -1 if seed % 2 else 1]:
                words = [sys.executable, __file__, "--one", step, "--scratch", scratch]
                words += ["--k", str(cfg.k), "--seed", str(seed)]
                doing = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
                most = 0.0
                while doing.poll() is None:
                    most = max(most, held_below(doing.pid))
                    time.sleep(0.5)
                said = doing.communicate()[0]
                if doing.returncode:
                    print(f"{rows:>10} {step:15} failed")
                    continue
                row = {"rows": rows, "step": step, **json.loads(said.splitlines()[-1])}
                row |= {"load": os.getloadavg()[0], "seed": seed, "all": most}
                doc["table"].append(row)
                said = row.get("inertia", row.get("recall", ""))
                said = f"{said:.6g}" if said else ""
                said += f"  {row['runs']} runs" if "runs" in row else ""
                said += f"  nearest {row['nearest']:.3f}" if "nearest" in row else ""
                said += f"  bytes equal: {row['equal']}" if "equal" in row else ""
                said += f"  {row['images_per_second']}/s" if "images_per_second" in row else ""
                print(f"{rows:>10} {step:15}{row['seconds']:>8.1f}{row['cpu']:>8.1f}"
                      f"{row['mib']:>8.0f}{row['load']:>6.1f}  {said}", flush=True)  # fmt: skip
    if cfg.seeds > 1:
        doc["medians"] = medians(doc["table"])
        for row in doc["medians"]:
            ratio = "".join(f"{v:>9.5f}" for v in row.get("ratio", ()))
            print(f"{row['rows']:>10} {row['step']:15}{row['seconds']:>8.1f}{row['cpu']:>8.1f}"
                  f"{row['mib']:>8.0f}{ratio}  median of {row['seeds']}")  # fmt: skip
    if cfg.steps == ["ray"]:
        print_side_by_side(doc["table"])
    doc["slopes"] = slopes(doc["table"])
    print("slope of CPU seconds from 100 000 rows on:", doc["slopes"])
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    cfg.out.write_text(json.dumps(doc, indent=1) + "\n")
    print(f"written to {cfg.out}")


if __name__ == "__main__":
    main()
