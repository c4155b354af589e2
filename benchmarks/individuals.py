"""Who is who: clusters from pairs against what the field does, and what each step adds.

    python benchmarks/individuals.py --data individuals.zip --truth individuals_truth.csv

`--data` as CHALLENGE=individuals takes it; `--truth`: a table image_id,identity of the images to
cluster. It scores; "oracle" rows alone choose by it, and say so. Encodes and matches once, in
`--work` (kept, so that a second run starts there); then every row of the table, five seeds where
one matters (folds of identities, models, Leiden). Prints a table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from imclust.__main__ import main as imclust
from imclust.clustering.fused_pairs import NAMES, group_pairs
from imclust.clustering.individual_metrics import individual_scores
from imclust.clustering.linked_groups import link_group
from imclust.clustering.pair_clustering import alone, average_tree, cut
from imclust.clustering.pair_scores import mean_likeness
from imclust.clustering.pair_thresholds import METHODS
from imclust.core.manifest import read_manifest
from imclust.core.pair_records import PairScores
from imclust.core.records import (
    Features,
    PairHints,
    parts_of,
    read_csv,
    read_pairs,
    read_published,
)

LAYERS = "--pool mean_std --layers 4"
FOLDS = 3  # of the known identities, one tuned encoder each
FUNDAMENTAL = ("fundamental", "--geometry fundamental")
ALIKED = ("aliked", "--local-features aliked --neighbours 5 --keypoints 128 --side 224")
FEW = ("few", "--neighbours 5")


class Task:
    """Features, matches, identities and truth of every group."""

    def __init__(self, data: Path, truth: Path, work: Path, local_weights: Path | None) -> None:
        self.work, self.local_weights = work, local_weights
        raw, z = work / "raw", work / "z"
        began = time.monotonic()
        run(f"download --out {raw} individuals --data-dir {data}")
        run(f"train --index {raw}/index --out {work}/w timm {LAYERS}")
        run(f"encode --index {raw}/index --weights {work}/w --out {z} --flip")
        features = Features.load(z)
        known = read_published(raw / "published")
        true = dict(read_pairs(truth, "image_id", "identity"))
        self.ids, x = features.ids, np.asarray(features.x)
        self.parts = parts_of(z, x)
        self.groups = PairHints.load(raw / "index").group_of(self.ids)
        self.known = np.array([known.get(i, "") for i in self.ids.tolist()])
        self.asked = np.array([i in true for i in self.ids.tolist()])
        self.true = np.array([true.get(i, "") for i in self.ids.tolist()])
        self.seconds = {
            "encode": read_manifest(z)["seconds"],
            "pairs": read_manifest(self.pairs("pairs"))["seconds"],
            "this run": round(time.monotonic() - began, 1),
        }

    def pairs(self, name: str, flags: str = "") -> Path:
        """Pairs of all images by some flags, made once."""
        out = self.work / name
        index = f"--index {self.work}/raw/index"
        run(f"pairs --features {self.work}/z {index} --out {out} {flags}")
        return out

    @cache  # noqa: B019  (one task a process)
    def matches(self, name: str, flags: str = "") -> dict[tuple[int, int], np.ndarray]:
        """Rows of a pair -> its matches and inliers."""
        found = PairScores.load(self.pairs(name, flags))
        of = [NAMES.index("matches"), NAMES.index("inliers")]
        counts = np.expm1(found.scores[:, of])
        return {(int(a), int(b)): row for (a, b), row in zip(found.pairs, counts, strict=True)}

    @cache  # noqa: B019
    def tuned(self, seed: int) -> list[tuple[list[np.ndarray], np.ndarray]]:
        """Spaces of encoders tuned on the known identities, and the rows that each learned from."""
        spaces = []
        for fold in range(FOLDS):
            w, z = (self.work / f"tuned-{seed}-{fold}-{part}" for part in "wz")
            index = f"--index {self.work}/raw/index"
            folds = f"--folds {FOLDS} --fold {fold} --seed {seed}"
            run(f"metric {index} --weights {self.work}/w --out {w} {folds}")
            run(f"encode {index} --weights {w} --out {z} --flip")
            learned = [r["id"] for r in read_csv(w / "learned.csv")]
            x = np.asarray(Features.load(z).at(self.ids))
            spaces.append((parts_of(z, x), np.isin(self.ids, learned)))
        return spaces

    def rows(self, group: str) -> np.ndarray:
        """Rows of a group."""
        return np.flatnonzero(self.groups == group)

    def ours(self, group: str, seed: int, methods: Any = METHODS, **without: Any) -> np.ndarray:
        """Clusters of a group. `without`: local, rerank, metric, calibrate = False; with others:
        flags of `pairs` that decide the matches, and `tune`."""
        rows = self.rows(group)
        name, flags = without.pop("matched", ("pairs", ""))
        if name == "aliked":
            flags += f" --local-weights {self.local_weights}"

        def match(pairs: np.ndarray) -> np.ndarray:
            found = self.matches(name, flags)
            return np.array([found[int(rows[a]), int(rows[b])] for a, b in pairs])

        known = self.known[rows]
        local = without.pop("local", True)
        learn = without.pop("calibrate", True)
        tuned = self.tuned(seed) if without.pop("tune", False) else []
        found = group_pairs(
            [p[rows] for p in self.parts], known if learn else np.full_like(known, ""),
            match if local else None, without.pop("neighbours", 20), seed=seed,
            tuned=[([x[rows] for x in own], seen[rows]) for own, seen in tuned], **without,
        )  # fmt: skip
        linked = link_group(
            len(rows), found.pairs, found.model.probability, known, methods, seed=seed
        )
        return linked.labels


def run(line: str) -> None:
    """A command of imclust in this process."""
    if imclust(line.split()):
        raise SystemExit(f"failed: {line}")


def cosine(task: Task, rows: np.ndarray) -> np.ndarray:
    """Cosine of the encoder's layers, centred in each group: what everybody starts from."""
    return mean_likeness([p[rows] for p in task.parts], "pca")


def dbscan(task: Task, seed: int) -> dict[str, np.ndarray]:
    """One eps for all groups, the best of the range .05 to .8 by true labels; noise stays alone."""
    from sklearn.cluster import DBSCAN

    best: tuple[float, dict[str, np.ndarray]] = (-1.0, {})
    for eps in np.arange(0.05, 0.81, 0.05):
        found = {}
        for g in np.unique(task.groups).tolist():
            far = np.clip(1 - cosine(task, task.rows(g)), 0, None)
            found[g] = alone(DBSCAN(eps=eps, min_samples=2, metric="precomputed").fit_predict(far))
        value = scored(task, found)["pooled"]["ari"]
        best = max(best, (value, found), key=lambda pair: pair[0])
    return best[1]


def oracle(task: Task, seed: int) -> dict[str, np.ndarray]:
    """Average linkage, each group's threshold the best by true labels."""
    found = {}
    for g in np.unique(task.groups).tolist():
        rows = task.rows(g)
        tree = average_tree(cosine(task, rows))
        cuts = [cut(tree, 1 - h) for h in np.quantile(tree[:, 2], np.linspace(0.2, 1, 120))]
        asked = task.asked[rows]
        found[g] = max(cuts, key=lambda c: individual_scores(task.true[rows][asked],
                                                             c[asked])["ari"])  # fmt: skip
    return found


def hdbscan(task: Task, seed: int) -> dict[str, np.ndarray]:
    """HDBSCAN with clusters of two at least; outliers stay alone."""
    from sklearn.cluster import HDBSCAN

    found = {}
    for g in np.unique(task.groups).tolist():
        far = np.clip(1 - cosine(task, task.rows(g)), 0, None).astype(np.float64)
        how = HDBSCAN(min_cluster_size=2, metric="precomputed", copy=True)
        found[g] = alone(how.fit_predict(far))
    return found


def pairwise(**settings: Any) -> Callable[[Task, int], dict[str, np.ndarray]]:
    """Ours, with some steps left out."""
    return lambda task, seed: {
        g: task.ours(g, seed, **settings) for g in np.unique(task.groups).tolist()
    }


AVERAGE = ("average",)
WAYS: dict[str, tuple[Callable[[Task, int], dict[str, np.ndarray]], bool]] = {
    "cosine, DBSCAN, one eps (oracle)": (dbscan, False),
    "cosine, HDBSCAN": (hdbscan, False),
    "cosine, average linkage (oracle)": (oracle, False),
    "ours": (pairwise(), True),
    "ours, average linkage only": (pairwise(methods=AVERAGE), True),
    "  without local features": (pairwise(methods=AVERAGE, local=False), True),
    "  without re-ranking": (pairwise(methods=AVERAGE, rerank=False), True),
    "  without learned metric": (pairwise(methods=AVERAGE, metric=False), True),
    "  without calibration": (pairwise(methods=AVERAGE, calibrate=False), True),
    "ours, components": (pairwise(methods=("components",)), True),
    "ours, correlation": (pairwise(methods=("correlation",)), True),
    "ours, Leiden": (pairwise(methods=("leiden",)), True),
    "ours, HDBSCAN": (pairwise(methods=("hdbscan",)), True),
    "ours, fundamental matrix": (pairwise(matched=FUNDAMENTAL), True),
    "ours, tuned encoder": (pairwise(tune=True), True),
    "ours, 5 neighbours": (pairwise(matched=FEW, neighbours=5), True),
    "ours, 5 neighbours, ALIKED": (pairwise(matched=ALIKED, neighbours=5), True),
}
USUAL = [name for name in WAYS if "tuned" not in name and "neighbours" not in name]


def scored(task: Task, found: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Numbers of each group and pooled, of the images to cluster."""
    out, whole, start = {}, np.full(len(task.ids), -1), 0
    for g, labels in found.items():
        rows = task.rows(g)
        asked = task.asked[rows]
        out[g] = individual_scores(task.true[rows][asked], labels[asked])
        whole[rows] = labels + start
        start += int(labels.max()) + 1
    y = np.char.add(task.groups, task.true)[task.asked]
    return out | {"pooled": individual_scores(y, whole[task.asked])}


def main() -> None:
    """Measure every row of the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("data/runs/bench-individuals"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ways", nargs="*", default=USUAL, help="rows of the table")
    parser.add_argument("--local-weights", type=Path, help="folder of ALIKED's and LightGlue's")
    parser.add_argument("--json", type=Path, default=Path("individuals.json"))
    args = parser.parse_args()
    task = Task(args.data.resolve(), args.truth, args.work, args.local_weights)
    groups = [*np.unique(task.groups).tolist(), "pooled"]
    print(f"ARI, mean ± standard deviation; seconds {task.seconds}")
    print(" | ".join(["", "way".ljust(34), *(g.rjust(13) for g in groups), "seconds", ""]))
    results: dict[str, Any] = {"seconds": task.seconds, "ways": {}}
    for name in args.ways:
        way, varies = WAYS[name]
        began = time.monotonic()
        runs = [scored(task, way(task, seed)) for seed in range(args.seeds if varies else 1)]
        seconds = (time.monotonic() - began) / len(runs)
        results["ways"][name] = {"runs": runs, "seconds": seconds}
        cells = []
        for g in groups:
            values = [run[g]["ari"] for run in runs]
            cells.append(f"{np.mean(values):.4f} ±{np.std(values):.4f}".rjust(13))
        print(" | ".join(["", name.ljust(34), *cells, f"{seconds:.1f}", ""]), flush=True)
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
