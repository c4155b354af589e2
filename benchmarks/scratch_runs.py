"""What RECIPE=scratch-best came to, seed by seed: its spaces, its codes and its answer.

    python benchmarks/scratch_runs.py WORKSPACE [--work data/benchmarks/scratch_runs]

Reads the runs of `RECIPE=scratch-best` that lie in a workspace, of any sets, seeds and budgets.
Told of each set: accuracy of k-means on the 64 widest directions of every space and of both codes,
and of the answer, against the CPU seconds that all stages took which it needs, as their manifests
have them. Free spaces are those of the first seed, codes and answer of all. Labels (valY where
there are validation images, placed through the clustering of trainX; `own` is valX clustered by
itself) only score.
Prints a table a set, writes JSON and a picture; what was finished in --work is not done again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from pathlib import Path
from typing import Any

from imclust.cli.baseline import DRAWN, FREE, WAYS
from imclust.cli.parser import run_stage
from scratch import accuracies, picture, show, summary

ANSWER = "all, and both codes"


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


def rows_of(runs: Path, raw: Path, work: Path) -> list[dict[str, Any]]:
    """A row of the table for every space, code and answer of a set."""
    rows: list[dict[str, Any]] = []
    done = [p.parent for p in sorted(runs.glob("scratch-best-auto*-seed*/scores/scores.json"))]
    for number, scores in enumerate(done):
        config = manifest(scores.parent / "clusters")["config"]
        seed, k = config["seed"], config["n_clusters"]
        [learned] = [p for p in runs.glob(f"scratch-best-*-seed{seed}") if (p / "plan").is_dir()]
        took, free = {}, 0.0
        for name in FREE:
            at = runs / "spaces" / (f"{name}-seed{seed}" if name in DRAWN else name)
            took[name] = at / "latents", seconds(at / "weights", at / "latents")
            free += took[name][1]
        spent = free
        for way in WAYS:
            codes = learned / f"{way}-latents"
            alone = seconds(learned / way, codes)
            took[way] = codes, alone + (free if way == "pseudo-labels" else 0)
            spent += alone
        for name, (latents, each) in took.items():
            if number and name in FREE:
                continue
            found = judged(latents, raw, k, seed, work / f"{name}-seed{seed}")
            rows.append({"space": name, "head": "kmeans", "seed": seed, "steps": 0,
                         "CPU seconds": round(each, 1), **found})  # fmt: skip
        spent += seconds(scores.parent / "clusters")
        rows.append({"space": ANSWER, "head": "auto", "seed": seed, "steps": 0,
                     "CPU seconds": round(spent, 1), **accuracy_of(scores)})  # fmt: skip
    return rows


def main() -> None:
    """Read, judge, print, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--work", type=Path, default=Path("data/benchmarks/scratch_runs"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    cfg = parser.parse_args()
    tables, rows = {}, {}
    for runs in sorted((cfg.workspace / "data/runs").iterdir()):
        title = runs.name.removeprefix("arrays-")
        rows[title] = rows_of(runs, cfg.workspace / "data/raw" / runs.name, cfg.work / title)
        tables[title] = summary(rows[title])
        show(title, tables[title])
    cfg.out.mkdir(parents=True, exist_ok=True)
    doc = {title: {"table": tables[title], "rows": rows[title]} for title in tables}
    (cfg.out / "scratch_runs.json").write_text(json.dumps(doc, indent=2) + "\n")
    picture(tables, cfg.out / "scratch_runs.png")


if __name__ == "__main__":
    main()
