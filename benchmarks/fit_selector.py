"""Fits `selector.json` on pools of candidates, and says how it does on sources left out.

    python benchmarks/task_pools.py SETS POOLS [--tasks 96 --seeds 5]
    python benchmarks/fit_selector.py POOLS ... [--write]

The choice is a weighted sum of the label-free numbers of `imclust.clustering.selector`. Of a grid
of weights those are averaged whose chosen candidates have the highest ARI or nearly so, on average
over regimes: what tells the best from the good is not what tells the good from the bad, which a
regression on all candidates learns. The estimates are ridge regressions; the vote on K has no
weights and is only scored. Every number printed is of tasks whose source
took no part in the fit, the mean over tasks and seeds, and behind it the spread of the seeds over
the tasks that have all; what is written is fitted on all.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering import selector
from imclust.clustering.evidence import NAMES as EVIDENCE
from imclust.clustering.n_clusters import COUNTED, SAMPLE, voted
from tasks import RATIOS

OUT = Path(selector.__file__).with_name("selector.json")
NAMES = ("learned", "purity adjusted", "agreement free")
WEIGHTS = ((0.5, 1.0, 2.0), (1.0,), (0.25, 0.5, 1.0, 2.0))  # that are tried, of each
NEARLY = 0.01  # ARI below that of the best weights that counts as equal
ESTIMATE_ALPHA = 0.3
ALIKE = 0.02  # spread of ARI below which candidates are alike
SEEN = (1, 10, 20, 50)  # rows of the smallest class


@dataclass
class Case:
    """One task: its pool and what the labels say of each candidate."""

    name: str
    source: str
    ratio: int
    seed: int
    pool: selector.Pool
    ari: np.ndarray
    accuracy: np.ndarray
    ks: np.ndarray
    curves: np.ndarray
    k_ari: np.ndarray
    smallest: float

    @property
    def task(self) -> str:
        """Its name without the seed."""
        return self.name.rsplit("-", 1)[0]


def read(folders: list[Path]) -> list[Case]:
    """All pools of some folders; of two of the same task, that of the first."""
    paths = {p.name: p for pools in reversed(folders) for p in pools.glob("*.npz")}
    cases = []
    for _, path in sorted(paths.items()):
        if not path.stat().st_size:
            continue
        with np.load(path, allow_pickle=False) as z:
            pool = selector.Pool(
                z["E"], z["A"], z["names"].tolist(), z["views"].tolist(), int(z["k"]), len(z["Y"])
            )
            parts = path.stem.split("-")
            ratio, seed = int(parts[3][1:]), int(parts[-1].removeprefix("seed"))
            source = parts[0].rstrip("0123456789_")
            cases.append(
                Case(
                    path.stem,
                    source,
                    ratio,
                    seed,
                    pool,
                    z["ari"],
                    z["acc"],
                    *_over_k(z),
                    _smallest(z["Y"]),
                )
            )
    return cases


def _over_k(z: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The K of a pool, the criteria (ks, c) and the ARI (ks,), means over the clusterings at K."""
    ks = np.unique(z["sks"])
    at = [EVIDENCE.index(name) for name in COUNTED.values()]
    curves = np.array([z["sE"][z["sks"] == k][:, at].mean(0) for k in ks])
    return ks, curves, np.array([z["sari"][z["sks"] == k].mean() for k in ks])


def _smallest(y: np.ndarray) -> float:
    """Rows of the smallest class among those that K is told from, on average."""
    return float(np.bincount(y[y >= 0]).min() * min(1, SAMPLE / len(y)))


def fit_choice(cases: list[Case]) -> np.ndarray:
    """Weights (p,) of the grid."""
    tasks = sorted({(case.task, case.ratio) for case in cases})
    numbers = [selector.design(case.pool, NAMES) for case in cases]

    def gained(weights: np.ndarray) -> float:
        of_task = defaultdict(list)
        for case, x in zip(cases, numbers, strict=True):
            at = selector.best_of(case.pool, selector.ranked(x @ weights, case.pool))
            of_task[case.task].append(case.ari[at])
        means = {r: [np.mean(of_task[t]) for t, ratio in tasks if ratio == r] for r in RATIOS}
        return float(np.mean([np.mean(each) for each in means.values() if each]))

    tried = np.array(list(itertools.product(*WEIGHTS)))
    gains = np.array([gained(weights) for weights in tried])
    return tried[gains >= gains.max() - NEARLY].mean(0)


def fit_estimate(cases: list[Case], what: str) -> np.ndarray:
    """Weights of a ridge regression of accuracy or ARI; candidates that stand high count more."""
    rows, targets = [], []
    for case in cases:
        weight = np.exp(1.5 * _choice(case, fit_estimate.weights))  # type: ignore[attr-defined]
        weight = np.sqrt(weight / weight.sum())
        rows.append(selector.told(case.pool) * weight[:, None])
        targets.append(getattr(case, what) * weight)
    x, y = np.vstack(rows), np.concatenate(targets)
    return np.linalg.solve(x.T @ x + ESTIMATE_ALPHA * np.eye(x.shape[1]), x.T @ y)


def _choice(case: Case, weights: np.ndarray) -> np.ndarray:
    return selector.ranked(selector.design(case.pool, NAMES) @ weights, case.pool)


def left_out(cases: list[Case]) -> list[dict[str, Any]]:
    """What each task gets when its source takes no part in the fit."""
    from scipy.stats import spearmanr

    rows = []
    for source in sorted({c.source for c in cases}):
        others = [c for c in cases if c.source != source]
        fit_estimate.weights = weights = fit_choice(others)  # type: ignore[attr-defined]
        estimate = {what: fit_estimate(others, what) for what in ("accuracy", "ari")}
        for case in (c for c in cases if c.source == source):
            stand = _choice(case, weights)
            at = selector.best_of(case.pool, stand)
            rho = spearmanr(stand, case.ari).statistic if np.ptp(case.ari) > 0 else 0.0
            row = {
                "ratio": case.ratio,
                "seed": case.seed,
                "task": case.task,
                "ari": case.ari[at],
                "accuracy": case.accuracy[at],
                "rho": rho,
            }
            row |= {"median": float(np.median(case.ari)), "oracle": case.ari.max()}
            best = int(voted(case.curves).argmax())
            true = int(np.abs(np.log(case.ks / case.pool.k)).argmin())
            row |= {
                "k ari": case.k_ari[best],
                "true k ari": case.k_ari[true],
                "any k ari": case.k_ari.max(),
            }
            row["k ok"] = float(_near(case.ks[best], case.pool.k))
            row["best k ok"] = float(_near(case.ks[case.k_ari.argmax()], case.pool.k))
            for what, w in estimate.items():
                row[f"said {what}"] = float(np.clip(selector.told(case.pool)[at] @ w, 0, 1))
            rows.append(row | {"source": source})
    return rows


def limits(cases: list[Case]) -> list[str]:
    """What no choice by these numbers can exceed, as lines.

    The rank correlation is of weights of all numbers that saw the labels of every task of the
    regime; K is counted where the rows looked at hold enough of every class to be found.
    """
    from scipy.stats import spearmanr

    lines = []
    for ratio in RATIOS:
        of_ratio = [c for c in cases if c.ratio == ratio and np.ptp(c.ari) > 0]
        if not of_ratio:
            continue
        numbers = [selector.design(c.pool, selector.COLUMNS) for c in of_ratio]
        goals = [(c.ari - c.ari.mean()) / (c.ari.std() + 0.03) for c in of_ratio]
        shares = [np.full(len(g), len(g) ** -0.5) for g in goals]
        x = np.vstack([n * s[:, None] for n, s in zip(numbers, shares, strict=True)])
        y = np.concatenate([g * s for g, s in zip(goals, shares, strict=True)])
        weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y)
        ranks = [
            spearmanr(n @ weights, c.ari).statistic for n, c in zip(numbers, of_ratio, strict=True)
        ]
        alike = np.mean([c.ari.std() < ALIKE for c in cases if c.ratio == ratio])
        lines.append(
            f"  {ratio}:1 rank correlation of weights fitted to these very labels "
            f"{np.mean(ranks):.2f}; pools whose candidates are alike (spread < {ALIKE}) {alike:.2f}"
        )
    for least in SEEN:
        few = [c for c in cases if c.smallest >= least]
        right = np.mean([_near(c.ks[voted(c.curves).argmax()], c.pool.k) for c in few])
        best = np.mean([_near(c.ks[c.k_ari.argmax()], c.pool.k) for c in few])
        lines.append(
            f"  {least} rows looked at of every class ({len(few)} pools): K within 20 % "
            f"{right:.2f}; that of the best ARI {best:.2f}"
        )
    return lines


def _near(k: int, true: int) -> bool:
    return abs(k - true) <= 0.2 * true


def _by_task(
    rows: list[dict[str, Any]], get: Callable[[int], float], ratios: tuple[int, ...]
) -> list[dict[int, float]]:
    """Of every task of some regimes: seed -> number."""
    of_task: dict[str, dict[int, float]] = defaultdict(dict)
    for i, row in enumerate(rows):
        if row["ratio"] in ratios:
            of_task[row["task"]][row["seed"]] = get(i)
    return list(of_task.values())


def _mean(tasks: list[dict[int, float]]) -> float:
    return float(np.mean([np.mean(list(of_seed.values())) for of_seed in tasks]))


def _means(rows: list[dict[str, Any]], get: Callable[[int], float]) -> str:
    """By regime and in all: the mean over tasks of the means over their seeds; ± the spread of the
    seeds over the tasks that have every one of them."""
    seeds = sorted({row["seed"] for row in rows})

    def mean(ratios: tuple[int, ...]) -> str:
        tasks = _by_task(rows, get, ratios)
        whole = [[of_seed[s] for s in seeds] for of_seed in tasks if len(of_seed) == len(seeds)]
        spread = f" ± {np.mean(whole, axis=0).std():.3f}" if whole and len(seeds) > 1 else ""
        return f"{_mean(tasks):.3f}{spread}"

    return "  ".join(mean((r,)) for r in RATIOS) + "  all " + mean(RATIOS)


def show(rows: list[dict[str, Any]], cases: list[Case]) -> None:
    """Regimes, fixed heads, estimates."""

    means = partial(_means, rows)
    print(
        "tasks", len(rows), [sum(r["ratio"] == q for r in rows) for q in RATIOS], "regimes", RATIOS
    )
    for name in (
        "ari",
        "accuracy",
        "median",
        "oracle",
        "rho",
        "k ari",
        "true k ari",
        "any k ari",
        "k ok",
        "best k ok",
    ):
        print(f"{name:22s}", means(lambda i, n=name: rows[i][n]))
    by_name = {c.name: c for c in cases}
    order = [c for s in sorted({c.source for c in cases}) for c in cases if c.source == s]
    fixed = {}
    for head, view in sorted(
        {(h, v) for c in cases for h, v in zip(c.pool.heads, c.pool.views, strict=True)}
    ):
        if "retrained" in head:
            continue
        values = []
        for c in order:
            hit = [
                i
                for i, (h, v) in enumerate(zip(c.pool.heads, c.pool.views, strict=True))
                if (h, v) == (head, view)
            ]
            values.append(c.ari[hit[0]] if hit else float(np.median(c.ari)))
        fixed[f"{head} / {view}"] = values
    assert len(by_name) == len(order)
    for name, values in sorted(fixed.items(), key=lambda f: -np.mean(f[1]))[:6]:
        print(f"  fixed {name:34s}", means(lambda i, v=values: v[i]))
    for r in sorted({row["ratio"] for row in rows}):
        of_head = {
            name: _mean(_by_task(rows, lambda i, v=values: v[i], (r,)))
            for name, values in fixed.items()
        }
        best = max(of_head, key=of_head.__getitem__)
        print(f"  best fixed at {r}:1 is {best}: {of_head[best]:.3f}")
    for what in ("accuracy", "ari"):
        error = np.array([r[f"said {what}"] - r[what] for r in rows])
        ratios = np.array([row["ratio"] for row in rows])
        biases = [error[ratios == q].mean() for q in RATIOS]
        print(
            f"estimate of {what}: bias {error.mean():+.3f}, mean error {np.abs(error).mean():.3f}"
        )
        print("  bias by regime", " ".join(f"{b:+.3f}" for b in biases))
    print("limits", *limits(cases), sep="\n")


def main(argv: list[str] | None = None) -> int:
    """Fit, show, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pools", type=Path, nargs="+", help="folders that task_pools.py wrote")
    parser.add_argument("--write", action="store_true", help=f"into {OUT.name}")
    cfg = parser.parse_args(argv)
    cases = read(cfg.pools)
    show(left_out(cases), cases)
    if cfg.write:
        weights = fit_choice(cases)
        fit_estimate.weights = weights  # type: ignore[attr-defined]
        fitted_on = {"tasks": len(cases), "sources": sorted({c.source for c in cases})}
        doc = {
            "fitted on": fitted_on,
            "choice": {"names": list(NAMES), "weights": _rounded(weights)},
            **{what: _rounded(fit_estimate(cases, what)) for what in ("accuracy", "ari")},
        }
        OUT.write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")
        print(f"written to {OUT}: {doc['choice']}")
    return 0


def _rounded(weights: np.ndarray) -> list[float]:
    return [round(float(w), 5) for w in weights]


if __name__ == "__main__":
    raise SystemExit(main())
