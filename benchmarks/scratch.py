"""Encoders that learn from the images alone: accuracy against the seconds of their training.

    python benchmarks/scratch.py --data PATH [--n-clusters 10] [--seconds 60 240] [--seeds 0 1 2]
        [--encoders simclr vicreg ...] [--literal]

Every encoder is trained for each number of seconds (the homework's own autoencoder under its fast
recipe, and with --literal under its literal one, for as long as these take), and each space of
latents is clustered by the homework's predictor (KernelPCA, t-SNE, MiniBatchKMeans) and by `auto`.
`scratch-best` is `auto` upon simclr and vicreg together, of the same seed and seconds each. Labels
(valY where there are validation images, placed through the clustering of trainX) only score.

PATH is what `CHALLENGE=arrays` takes, or `digits` or `photos`. Prints one table, writes JSON and a
picture; artefacts lie in --work, and what was finished there is not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

VIEWS = ("simclr", "vicreg", "byol", "deepcluster-v2")
ALL = (*VIEWS, "masked-ae", "scan-net")
BEST = ("simclr", "vicreg")
EMBEDDED = ("digits", "photos")


class Bench:
    """One set of images: commands that fill `work`, and rows of the table."""

    def __init__(self, cfg: argparse.Namespace) -> None:
        self.cfg, self.work = cfg, cfg.work / Path(cfg.data).stem
        self.rows: list[dict[str, Any]] = []

    def stage(self, *words: Any) -> None:
        """`python -m imclust <words>`, quietly; stops at the first that fails."""
        argv = [sys.executable, "-m", "imclust", *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(argv[2:])}\n{done.stderr}")

    def run(self) -> None:
        """Everything."""
        source = [self.cfg.data] if self.cfg.data in EMBEDDED else [
            "arrays", "--data-dir", self.cfg.data
        ]  # fmt: skip
        k = ["--n-clusters", self.cfg.n_clusters] if self.cfg.n_clusters else []
        self.stage("download", "--out", self.work, *k, *source)
        self.index = self.work / "index"
        known = json.loads((self.index / "manifest.json").read_text())["n_clusters"]
        self.k = k or ["--n-clusters", known]
        for seed in self.cfg.seeds:
            recipes = ["fast", "literal"] if self.cfg.literal else ["fast"]
            for recipe in recipes:
                self.space(f"conv-ae {recipe}", seed, 0, ["conv-ae", "--recipe", recipe])
            for seconds in self.cfg.seconds:
                for name in self.cfg.encoders:
                    if name == "scan-net":
                        self.refined(seed, seconds)
                    else:
                        self.space(name, seed, seconds, [name])
                if set(BEST) <= set(self.cfg.encoders):
                    folders = [self.folder(name, seed, seconds) for name in BEST]
                    spent = sum(trained(f / "w") for f in folders)
                    both = self.folder("scratch-best", seed, seconds)
                    self.judge("scratch-best", seed, seconds, spent, both, folders, heads=("auto",))

    def folder(self, name: str, seed: int, seconds: float) -> Path:
        """Where one training and what follows it lie."""
        return self.work / f"{name.replace(' ', '-')}-{seconds:g}s-seed{seed}"

    def space(self, name: str, seed: int, seconds: float, method: list[str], *more: Any) -> None:
        """Train, encode, judge."""
        there = self.folder(name, seed, seconds)
        time = ["--budget", f"{seconds:g}s"] if seconds else []
        self.stage("train", "--index", self.index, "--out", there / "w", "--seed", seed, *time,
                   *more, *method)  # fmt: skip
        self.stage("encode", "--index", self.index, "--weights", there / "w", "--out", there / "z")
        spent = trained(there / "w")
        if more:
            spent += trained(Path(more[1]))
        self.judge(name, seed, seconds, spent, there, [there])

    def refined(self, seed: int, seconds: float) -> None:
        """scan-net for half as long again upon simclr."""
        start = self.folder("simclr", seed, seconds) / "w"
        self.space(
            "scan-net", seed, seconds / 2, ["scan-net", *map(str, self.k)], "--init-weights", start
        )

    def judge(
        self, name: str, seed: int, seconds: float, spent: float, there: Path,
        spaces: list[Path], heads: tuple[str, ...] = ("homework", "auto"),
    ) -> None:  # fmt: skip
        """A row of the table for every head."""
        features = [s / "z" for s in spaces]
        for head in heads:
            seeded = ("--seed", seed)
            if head == "homework":
                step = ("reduce", *seeded, "--features")
                self.stage(*step, features[0], "--out", there / "k", "kernel-pca")
                self.stage(*step, there / "k", "--out", there / "t", "tsne")
                method, input_ = ["minibatch-kmeans"], [there / "t"]
            else:
                method, input_ = ["auto"], features
            out = there / head
            self.stage("cluster", "--features", *input_, "--index", self.index, "--out", out,
                       *seeded, *self.k, *method)  # fmt: skip
            self.stage("score", "--assignment", out, "--index", self.index, "--labels",
                       self.work / "labels", "--weights", spaces[0] / "w", "--out",
                       there / f"{head}-scores")  # fmt: skip
            scores = json.loads((there / f"{head}-scores" / "scores.json").read_text())
            row = {"encoder": name, "head": head, "seed": seed, "budget": seconds,
                   "training seconds": round(spent, 1), "accuracy": accuracy(scores)}  # fmt: skip
            self.rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)


def trained(weights: Path) -> float:
    """Seconds of a training."""
    return float(json.loads((weights / "manifest.json").read_text())["seconds"])


def accuracy(scores: dict[str, Any]) -> float:
    """Hungarian accuracy: of validation images placed through the clustering, or of all."""
    part = scores["val_through"] or scores["train"]
    return float(part["hungarian"])


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each encoder, head and budget: mean and spread over seeds."""
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["encoder"], row["head"], row["budget"]), []).append(row)
    table = []
    for (encoder, head, _), mine in groups.items():
        got = [r["accuracy"] for r in mine]
        table.append({
            "encoder": encoder, "head": head,
            "seconds": statistics.median(r["training seconds"] for r in mine),
            "accuracy": statistics.mean(got),
            "spread": statistics.stdev(got) if len(got) > 1 else float("nan"), "seeds": len(got),
        })  # fmt: skip
    return table


def picture(table: list[dict[str, Any]], title: str, path: Path) -> None:
    """Accuracy against training seconds, a line an encoder, a panel a head."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, head in zip(panels, ("homework", "auto"), strict=True):
        mine = [r for r in table if r["head"] == head]
        for name in dict.fromkeys(r["encoder"] for r in mine):
            line = sorted((r["seconds"], r["accuracy"]) for r in mine if r["encoder"] == name)
            axes.plot(*zip(*line, strict=True), marker="o", label=name)
        axes.set(title=f"{title}: {head}", xlabel="training (s)", ylabel="accuracy")
        axes.legend(fontsize=7)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--n-clusters", type=int)
    parser.add_argument("--seconds", type=float, nargs="+", default=[60, 240])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--encoders", nargs="+", default=list(ALL), choices=ALL)
    parser.add_argument("--literal", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("data/benchmarks/scratch"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    cfg = parser.parse_args()
    bench = Bench(cfg)
    bench.run()
    table = summary(bench.rows)
    print(f"{'encoder':18} {'head':10} {'training (s)':>12} {'accuracy':>18} {'seeds':>6}")
    for r in table:
        told = f"{r['accuracy']:.3f} ± {r['spread']:.3f}"
        print(f"{r['encoder']:18} {r['head']:10} {r['seconds']:12.0f} {told:>18} {r['seeds']:6}")
    cfg.out.mkdir(parents=True, exist_ok=True)
    stem = f"scratch_{Path(cfg.data).stem}"
    doc = {"table": table, "rows": bench.rows}
    (cfg.out / f"{stem}.json").write_text(json.dumps(doc, indent=2) + "\n")
    picture(table, Path(cfg.data).stem, cfg.out / f"{stem}.png")


if __name__ == "__main__":
    main()
