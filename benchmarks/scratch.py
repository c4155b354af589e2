"""What the images alone hold: accuracy against CPU seconds of every space, encoder and combination.

    python benchmarks/scratch.py --data PATH [PATH ...] [--rows 2000] [--seeds 0 1 2 3 4]
        [--steps 300 1000] [--encoders simclr vicreg ...] [--width 16] [--batch 128] [--together]
        [--effort quick] [--literal]

- Every space that costs next to nothing, under k-means on its 64 widest directions; both of the
  first seed, which changes next to nothing.
- `free`: `auto` upon all of these, judged as spaces of unequal kind.
- For each number of --steps, every one of the --encoders trained so long (and with --literal the
  homework's own by its two recipes), under the homework's predictor (KernelPCA, t-SNE,
  MiniBatchKMeans) and under `auto`; and `auto` upon `free` and all of them, as
  RECIPE=scratch-best does it. --together leaves the former out. Without --steps nothing is trained.

Labels (valY where there are validation images, placed through the clustering of trainX; `own` is
valX clustered by itself) only score. CPU seconds are those of all its stages, in
this process, whose threads OMP_NUM_THREADS bounds.

PATH is what `CHALLENGE=arrays` takes, or `digits` or `photos`; an `.npz` has as many clusters as
its `y` has classes. Of more than --rows images to cluster so many are drawn (seed 0), all of a
set's validation images are kept. Prints a table a set, writes JSON and a picture of all; artefacts
lie in --work, and what was finished there is not done again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from imclust.cli.parser import run_stage
from imclust.cli.scratch_steps import FREE, WAYS

ENCODERS = ("simclr", "pseudo-labels", "vicreg", "scan-net")
EMBEDDED = ("digits", "photos")
SPENT = "cpu_seconds.json"  # in --work: of every artefact, when it was made


class Bench:
    """One set of images: stages that fill `work`, and rows of the table."""

    def __init__(self, cfg: argparse.Namespace, data: str) -> None:
        few = f"-{cfg.rows}" if cfg.rows else ""
        self.cfg, self.data, self.work = cfg, data, cfg.work / f"{Path(data).stem}{few}"
        self.rows: list[dict[str, Any]] = []
        self.work.mkdir(parents=True, exist_ok=True)
        known = self.work / SPENT
        self.spent: dict[str, float] = json.loads(known.read_text()) if known.is_file() else {}

    def stage(self, out: Path, *words: Any) -> float:
        """Make an artefact at `out` unless it is there; CPU seconds that it took when made."""
        there, began = (out / "manifest.json").is_file(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            run_stage((str(words[0]), "--out", str(out), *map(str, words[1:])))
        name = str(out.relative_to(self.work))
        if not there or name not in self.spent:
            self.spent[name] = round(time.process_time() - began, 2)
            (self.work / SPENT).write_text(json.dumps(self.spent, indent=1))
        return self.spent[name]

    def run(self) -> None:
        """Everything."""
        source, k = [self.data], []
        if self.data not in EMBEDDED:
            source = ["arrays", "--data-dir", str(drawn(Path(self.data), self.cfg.rows, self.work))]
            if Path(self.data).suffix == ".npz":
                with np.load(self.data) as z:
                    k = ["--n-clusters", len(np.unique(z["y"]))]
        self.stage(self.work, "download", *k, *source)
        self.index = self.work / "index"
        doc = json.loads((self.index / "manifest.json").read_text())
        self.k = ["--n-clusters", doc["n_clusters"]]
        self.validated = "val" in doc["rows"]
        for seed in self.cfg.seeds:
            first = self.cfg.seeds[0]
            free = [self.space(name, first, 0, [name]) for name in FREE]
            for name, (folder, spent) in zip(FREE, free, strict=True):
                if seed == first:
                    self.judge(name, seed, 0, spent, [folder], "kmeans", ["--prepare", "pca"])
            self.unequal("free", seed, 0, free)
            recipes = ["fast", "literal"] if self.cfg.literal else []
            for recipe in recipes:
                name = f"conv-ae {recipe}"
                made = self.space(name, seed, 0, ["conv-ae", "--recipe", recipe])
                self.alone(name, seed, 0, *made)
            for steps in self.cfg.steps:
                made = []
                for name in self.cfg.encoders:
                    method, more = [name, *self.flags(name)], ["--steps", steps]
                    if name == "scan-net":
                        more += ["--init-weights", self.folder("simclr", seed, steps) / "w"]
                        method += self.k
                    if name == "pseudo-labels":
                        more += ["--features", *(folder / "z" for folder, _ in free)]
                    made.append(self.space(name, seed, steps, method, more))
                    if not self.cfg.together:
                        self.alone(name, seed, steps, *made[-1])
                self.unequal(f"free + {' + '.join(self.cfg.encoders)}", seed, steps, [*free, *made])

    def flags(self, name: str) -> list[Any]:
        """Size of the network, where the encoder has one of its own."""
        return [] if name == "scan-net" else ["--width", self.cfg.width, "--batch", self.cfg.batch]

    def folder(self, name: str, seed: int, steps: int) -> Path:
        """Where one encoder and what follows it lie."""
        return self.work / f"{name.replace(' ', '-')}-{steps}-seed{seed}"

    def space(
        self, name: str, seed: int, steps: int, method: list[Any], more: list[Any] | None = None
    ) -> tuple[Path, float]:
        """Train and encode; the folder and CPU seconds."""
        there = self.folder(name, seed, steps)
        index = ("--index", self.index)
        spent = self.stage(there / "w", "train", *index, "--seed", seed, *(more or []), *method)
        return there, spent + self.stage(there / "z", "encode", *index, "--weights", there / "w")

    def alone(self, name: str, seed: int, steps: int, folder: Path, spent: float) -> None:
        """One space under the homework's predictor and under `auto`."""
        self.judge(name, seed, steps, spent, [folder], "homework", [])
        self.judge(name, seed, steps, spent, [folder], "auto", ["--effort", self.cfg.effort])

    def unequal(self, name: str, seed: int, steps: int, spaces: list[tuple[Path, float]]) -> None:
        """`auto` upon many spaces."""
        flags = ["--effort", self.cfg.effort, "--kinds", "unequal", "--no-retrain"]
        spent = sum(s for _, s in spaces)
        self.judge(name, seed, steps, spent, [f for f, _ in spaces], "auto", flags)

    def judge(
        self, name: str, seed: int, steps: int, spent: float, spaces: list[Path],
        head: str, flags: list[str],
    ) -> None:  # fmt: skip
        """A row of the table."""
        there = self.folder(name, seed, steps)
        answer, took = self.answer(there / head, seed, spaces, head, flags, "train")
        more: list[Any] = []
        if self.validated:
            more = ["--val-assignment", self.answer(there / f"{head}-own", seed, spaces, head,
                                                    flags, "val")[0]]  # fmt: skip
        self.stage(there / f"{head}-scores", "score", "--assignment", answer, "--index", self.index,
                   "--labels", self.work / "labels", *more)  # fmt: skip
        scores = json.loads((there / f"{head}-scores" / "scores.json").read_text())
        row = {"space": name, "head": head, "seed": seed, "training": steps,
               "CPU seconds": round(spent + took, 1), **accuracies(scores)}  # fmt: skip
        self.rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)

    def answer(
        self, out: Path, seed: int, spaces: list[Path], head: str, flags: list[str], split: str
    ) -> tuple[Path, float]:
        """The clusters of a split, and CPU seconds."""
        fit = ("--seed", seed, "--split", split)
        features, spent = [s / "z" for s in spaces], 0.0
        if head == "homework":
            small, flat = out.with_name(f"{out.name}-k"), out.with_name(f"{out.name}-t")
            spent += self.stage(small, "reduce", *fit, "--features", *features, "kernel-pca")
            spent += self.stage(flat, "reduce", *fit, "--features", small, "tsne")
            head, features = "minibatch-kmeans", [flat]
        words = ("--features", *features, "--index", self.index, *fit, *self.k, head, *flags)
        return out, spent + self.stage(out, "cluster", *words)


def drawn(data: Path, rows: int | None, work: Path) -> Path:
    """The set with at most `rows` images to cluster; itself where it has no more."""
    if data.is_file():
        with np.load(data) as z:
            every = dict(z)
    else:
        every = {path.stem: np.load(path) for path in data.glob("*.npy")}
    chosen = ("x", "y") if data.is_file() else ("trainX",)
    n = len(every[chosen[0]])
    if rows is None or n <= rows:
        return data
    kept = np.sort(np.random.default_rng(0).permutation(n)[:rows])
    fewer = {name: x[kept] if name in chosen else x for name, x in every.items()}
    to = work / "drawn"
    to.mkdir(exist_ok=True)
    if data.is_file():
        np.savez(to / data.name, **fewer)
        return to / data.name
    for name, x in fewer.items():
        np.save(to / name, x)
    return to


def accuracies(scores: dict[str, Any]) -> dict[str, float]:
    """Hungarian accuracy: of validation images placed through the clustering, or of all; and of
    validation images clustered by themselves."""
    part = scores["val_through"] or scores["train"]
    found = {"accuracy": float(part["hungarian"])}
    own = scores.get("val_own")
    return found | ({"own": float(own["hungarian"])} if own else {})


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each space, head and length of training: mean and spread over seeds."""
    groups: dict[tuple[str, str, int | str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["space"], row["head"], row["training"]), []).append(row)
    table = []
    for (space, head, training), mine in groups.items():
        told: dict[str, Any] = {"space": space, "head": head, "training": training}
        told["seeds"] = len(mine)
        told["CPU seconds"] = statistics.median(r["CPU seconds"] for r in mine)
        for what in ("accuracy", "own"):
            got = [r[what] for r in mine if what in r]
            if got:
                told[what] = statistics.mean(got)
                told[f"{what} spread"] = statistics.stdev(got) if len(got) > 1 else None
        table.append(told)
    return table


def show(title: str, table: list[dict[str, Any]]) -> None:
    """Print it."""
    heading = f"{title:26} {'head':9} {'training':>8} {'CPU (s)':>8}"
    print(f"{heading} {'accuracy':>15} {'own':>15} {'seeds':>5}")
    for r in table:
        told = []
        for n in ("accuracy", "own"):
            spread = f" ± {r[f'{n} spread']:.3f}" if r.get(f"{n} spread") is not None else ""
            told.append(f"{r[n]:.3f}{spread}" if n in r else "")
        heading = f"{r['space']:26} {r['head']:9} {r['training']:>8} {r['CPU seconds']:8.0f}"
        print(f"{heading} {told[0]:>15} {told[1]:>15} {r['seeds']:5}")


def picture(tables: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Accuracy against CPU seconds, a panel a set: a point a space, a line where it was trained for
    several times."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    rows = -(-len(tables) // 2)
    figure = Figure(figsize=(5 * min(2, len(tables)) + 2.5, 3.6 * rows), layout="constrained")
    panels = figure.subplots(rows, min(2, len(tables)), squeeze=False).ravel()
    names = list(dict.fromkeys((r["space"], r["head"]) for t in tables.values() for r in t))
    for axes, (title, table) in zip(panels, tables.items(), strict=False):
        for number, name in enumerate(names):
            mine = [r for r in table if (r["space"], r["head"]) == name]
            line = sorted(
                (r["CPU seconds"], r["accuracy"], r["accuracy spread"] or 0) for r in mine
            )
            look = {"color": f"C{number % 10}", "marker": "os^vD"[number // 10 % 5]}
            if line:
                x, y, spread = zip(*line, strict=True)
                axes.errorbar(x, y, spread, capsize=2, label=", ".join(name), **look)
        axes.set(title=title, xlabel="CPU seconds", ylabel="accuracy", xscale="log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    for axes in panels[len(tables) :]:
        axes.set_axis_off()
    shown: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    figure.legend(shown.values(), shown, fontsize=8, loc="outside right center")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run, print, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--steps", type=int, nargs="*", default=[])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--encoders", nargs="+", default=list(WAYS), choices=ENCODERS)
    parser.add_argument("--effort", default="quick")
    parser.add_argument("--literal", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("data/benchmarks/scratch"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    cfg = parser.parse_args()
    benches, tables = {}, {}
    for data in cfg.data:
        title = Path(data).stem
        bench = benches[title] = Bench(cfg, data)
        bench.run()
        tables[title] = summary(bench.rows)
        show(title, tables[title])
        doc = {t: {"table": tables[t], "rows": b.rows} for t, b in benches.items()}
        cfg.out.mkdir(parents=True, exist_ok=True)
        (cfg.out / "scratch.json").write_text(json.dumps(doc, indent=2) + "\n")
        picture(tables, cfg.out / "scratch.png")


if __name__ == "__main__":
    main()
