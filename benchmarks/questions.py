"""Twenty questions about clusters of pairs, answered by the truth, against random questions.

    python benchmarks/questions.py --data individuals.zip --truth individuals_truth.csv

Data, truth and `--work` as for `benchmarks/individuals.py`, whose features and matches it takes
where they are there. For each seed (folds of identities, models): the clusters, twenty questions,
their answers by the truth, the clusters again; the same with twenty random pairs of those that were
looked at (five draws), and with the twenty whose P(same) is nearest to one half. Prints a table,
writes JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.fused_pairs import group_pairs
from imclust.clustering.linked_groups import known_pairs, link_group
from imclust.clustering.metrics import ari
from imclust.clustering.pair_answers import relinked
from imclust.clustering.pair_doubts import questions
from imclust.clustering.pair_thresholds import METHODS
from individuals import Task

ASKED, DRAWS = 20, 5


class Clusters:
    """Clusters of all groups of a task, for one seed."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed
        self.linked: dict[str, Any] = {}
        looked_at, probability = [], []
        matches = task.matches("pairs")
        for group in np.unique(task.groups).tolist():
            rows = task.rows(group)

            def match(pairs: np.ndarray, rows: np.ndarray = rows) -> np.ndarray:
                return np.array([matches[int(rows[a]), int(rows[b])] for a, b in pairs])

            known = task.known[rows]
            found = group_pairs([p[rows] for p in task.parts], known, match, 20, seed=seed)
            self.linked[group] = link_group(
                len(rows), found.pairs, found.model.probability, known, METHODS, seed=seed
            )
            looked_at.append(rows[found.pairs])
            probability.append(found.model.probability)
        pairs, p = np.concatenate(looked_at), np.concatenate(probability)
        both = task.asked[pairs].all(1)
        self.pairs, self.probability = pairs[both], p[both]
        self.y = np.where(task.asked, task.true, task.known)

    def questions(self) -> list[tuple[int, int, bool]]:
        """(row, row, whether they share a cluster) of the questions most worth asking."""
        found = []
        for group, part in self.linked.items():
            rows = self.task.rows(group)
            found += [
                (q.worth, int(rows[q.first]), int(rows[q.second]), q.together)
                for q in questions(part.labels, part.matrix, self.task.asked[rows], ASKED)
            ]
        found.sort(key=lambda q: -q[0])
        return [q[1:] for q in found[:ASKED]]

    def score(self, pairs: Any = ()) -> float:
        """Pooled ARI of the images to cluster, after true answers to these pairs."""
        task, whole, first = self.task, np.zeros(len(self.y), np.int64), 0
        for group, part in self.linked.items():
            rows = task.rows(group)
            place = {int(r): n for n, r in enumerate(rows)}
            said: tuple[list[Any], list[Any]] = ([], [])
            for a, b in pairs:
                if a in place and b in place:
                    said[int(self.y[a] != self.y[b])].append((place[a], place[b]))
            if said[0] or said[1]:
                held, names = known_pairs(task.known[rows])[0], task.ids[rows].tolist()
                part = relinked(part, held, tuple(said[0]), tuple(said[1]), names, self.seed)
            whole[rows] = first + part.labels
            first += int(part.labels.max()) + 1
        asked = task.asked
        return ari(np.char.add(task.groups, self.y)[asked], whole[asked])


def measured(task: Task, seed: int) -> dict[str, float]:
    """ARI before, and after each way of asking; how many of our questions changed something."""
    at, rng = Clusters(task, seed), np.random.default_rng(seed)
    asked = at.questions()
    draws = [at.pairs[rng.permutation(len(at.pairs))[:ASKED]].tolist() for _ in range(DRAWS)]
    unsure = at.pairs[np.argsort(np.abs(at.probability - 0.5), kind="stable")[:ASKED]].tolist()
    return {
        "before": at.score(),
        "questions": at.score([(a, b) for a, b, _ in asked]),
        "random": float(np.mean([at.score(pairs) for pairs in draws])),
        "nearest to one half": at.score(unsure),
        "changed": sum((at.y[a] == at.y[b]) != together for a, b, together in asked),
    }


def main() -> None:
    """Measure every seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("data/runs/bench-individuals"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("questions.json"))
    args = parser.parse_args()
    task = Task(args.data.resolve(), args.truth, args.work, None)
    runs = []
    for seed in range(args.seeds):
        runs.append(measured(task, seed))
        print(f"seed {seed}: " + ", ".join(f"{k} {v:.4f}" for k, v in runs[-1].items()), flush=True)
        args.json.write_text(json.dumps(runs, indent=1) + "\n")
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"{name:20} {np.mean(values):.4f} ± {np.std(values):.4f}")


if __name__ == "__main__":
    main()
