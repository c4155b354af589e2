"""What RECIPE=scratch-best came to, seed by seed: its spaces, its codes and its answers.

    python benchmarks/scratch_runs.py WORKSPACE [WORKSPACE ...]
        [--work data/benchmarks/scratch_runs]

Reads the runs of `RECIPE=scratch-best` that lie in workspaces, of any sets, seeds and budgets.
Told of each set: accuracy of k-means on the 64 widest directions of every space and of both codes,
and of the answer, against the CPU seconds that all stages took which it needs, as their manifests
have them. Labels (valY where there are validation images, placed through the clustering of trainX;
`own` is valX clustered by itself) only score.
Prints a table a set, writes JSON and a picture; what was finished in --work is not done again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from imclust.cli.parser import run_stage
from imclust.cli.scratch_steps import DRAWN, FREE, WAYS
from scratch import accuracies, picture, show, summary

ANSWER = "all, and both codes"
Row = dict[str, Any]


def manifest(folder: Path) -> dict[str, Any]:
    """What an artefact says of itself."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def seconds(*folders: Path) -> float:
    """CPU seconds that artefacts took."""
    return sum(float(manifest(folder)["cpu_seconds"]) for folder in folders)


def accuracy_of(folder: Path) -> dict[str, float]:
    """Of a `scores` artefact."""
    return accuracies(json.loads((folder / "scores.json").read_text()))


def judged(latents: Path, raw: Path, k: int, seed: int, work: Path) -> dict[str, float]:
    """Accuracy of k-means on a space."""
    index, out = ("--index", str(raw / "index")), work / "kmeans"
    fit = ("--seed", str(seed), "--split", "train", "--n-clusters", str(k))
    with contextlib.redirect_stdout(io.StringIO()):
        run_stage(("cluster", "--out", str(out), "--features", str(latents), *index, *fit, "kmeans",
                   "--prepare", "pca"))  # fmt: skip
        run_stage(("score", "--out", str(work / "scores"), "--assignment", str(out), *index,
                   "--labels", str(raw / "labels")))  # fmt: skip
    return accuracy_of(work / "scores")


def rows_of(workspace: Path, name: str, work: Path, known: set[tuple[Any, ...]]) -> list[Row]:
    """A row of the table for every space, code and answer of a set in a workspace, but of those
    that are known."""
    runs, raw = workspace / "data/runs" / name, workspace / "data/raw" / name
    rows: list[Row] = []

    def add(space: str, budget: str, spent: float, found: Callable[[], dict[str, float]]) -> None:
        key = name, space, seed, budget
        if key not in known:
            known.add(key)
            head = "auto" if space == ANSWER else "kmeans"
            rows.append({"space": space, "head": head, "seed": seed, "training": budget,
                         "CPU seconds": round(spent, 1), **found()})  # fmt: skip

    for scores in sorted(runs.glob("scratch-best-auto*-seed*/scores")):
        made = manifest(scores.parent / "clusters")
        config, codes = made["config"], Path(made["inputs_at"]["features"])
        seed, k = config["seed"], config["n_clusters"]
        learned = runs / codes.parent.name
        budget = learned.name.removeprefix("scratch-best-").removesuffix(f"-seed{seed}")
        judge = partial(judged, raw=raw, k=k, seed=seed)
        free = 0.0
        for space in FREE:
            at = runs / "spaces" / (f"{space}-seed{seed}" if space in DRAWN else space)
            spent, there = seconds(at / "weights", at / "latents"), work / f"{space}-seed{seed}"
            add(space, "", spent, partial(judge, at / "latents", work=there))
            free += spent
        whole = free + seconds(scores.parent / "clusters")
        for way in WAYS:
            latents, there = learned / f"{way}-latents", work / f"{way}-{budget}-seed{seed}"
            alone = seconds(learned / way, latents)
            learns_from = free if way == "pseudo-labels" else 0
            add(way, budget, alone + learns_from, partial(judge, latents, work=there))
            whole += alone
        add(ANSWER, budget, whole, partial(accuracy_of, scores))
    return rows


def main() -> None:
    """Read, judge, print, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspaces", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, default=Path("data/benchmarks/scratch_runs"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    cfg = parser.parse_args()
    rows: dict[str, list[Row]] = {}
    known: set[tuple[Any, ...]] = set()
    for workspace in cfg.workspaces:
        for runs in sorted((workspace / "data/runs").iterdir()):
            title = runs.name.removeprefix("arrays-")
            found = rows_of(workspace, runs.name, cfg.work / title, known)
            rows.setdefault(title, []).extend(found)
    tables = {title: summary(rows[title]) for title in sorted(rows)}
    for title, table in tables.items():
        show(title, table)
    cfg.out.mkdir(parents=True, exist_ok=True)
    doc = {title: {"table": tables[title], "rows": rows[title]} for title in tables}
    (cfg.out / "scratch_runs.json").write_text(json.dumps(doc, indent=2) + "\n")
    picture(tables, cfg.out / "scratch_runs.png")


if __name__ == "__main__":
    main()
