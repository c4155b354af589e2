"""How many clusters? A vote of criteria that need no labels, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from imclust.clustering.metrics import ari, contingency, cosine_silhouette
from imclust.clustering.neighbor_graph import joint_graph, spectral_labels, top_eigenvectors
from imclust.clustering.preprocessing import principal as directions
from imclust.clustering.preprocessing import unit_rows
from imclust.core.checks import finite, shaped
from imclust.core.errors import input_error
from imclust.core.log import progress

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SAMPLE = 5000  # rows looked at: more of them change the answer little
LEAST = 100  # rows: fewer leave too few for each cluster of a part of them
DIMS = 64  # principal directions of a space
CODED = 16  # principal directions whose coding length is taken
NEIGHBOURS = 15  # in the graph
PARTS, PART, SHARE = 6, 2500, 0.7  # random parts that are clustered: at most so many rows, share
EPSILON = 0.1  # distortion of the coding length, CPP's
FLOOR = 1e-3  # eigenvalues below this count as zero: what exactly they are is rounding
CLEAR = 0.5  # agreement of parts below which no K is well supported
COUNTED = ("silhouette", "coding length", "stability", "modularity")
# The eigengap is shown and not counted: on labelled sets it drew the vote to the coarsest groups.
CRITERIA = ("silhouette", "coding length", "eigengap", "stability", "modularity")


@dataclass(frozen=True)
class KVote:
    """What `estimate_k` found.

    Args:
        k: the K with the highest vote.
        table: a row for every K that was tried: `k`; the criteria as measured, `silhouette` in
            [-1, 1], `coding length` in nats an image (low is good), `eigengap` the log ratio of
            eigenvalues, `stability` in nats, `modularity` in [-0.5, 1]; `agreement`, the adjusted
            Rand index of parts of the images clustered on their own; and the `vote`.
        favourites: of each criterion alone, by name.
        clear: whether parts of the images agree on the clusters at K; where they do not, as on
            noise, no K is well supported and `k` is only the least bad.
    """

    k: int
    table: list[dict[str, float]] = field(repr=False)
    favourites: dict[str, int]
    clear: bool


def estimate_k(spaces: list[np.ndarray], seed: int, low: int = 2, high: int = 30) -> KVote:
    """The number of clusters, by a vote over low ... high.

    At most `SAMPLE` random rows are taken. Each space goes to its principal directions, halfway
    whitened (`principal`). Spectral clustering of the joint neighbour graph (`spectral`) of
    random parts of the rows gives one clustering a K; five criteria judge these, and each gives
    every K a `detrended_zscore`. The K of the highest mean over those that count (`COUNTED`) is
    taken.

    Args:
        spaces: (n, d_v) float each, row i of the same image in all.
        seed: which rows are taken, and which of these make up each part.
        low, high: the K to try; high is lowered to n / 10 where images are few.

    Raises:
        Refusal: too few images, nothing to choose from, spaces of other sizes, values not finite.
    """

    high = _limits(spaces, low, high)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(spaces[0]))[:SAMPLE])
    taken = [principal(np.asarray(z[rows]), DIMS, 0.5) for z in spaces]
    ks = np.arange(low, high + 1)
    curves = _curves(taken, ks, rng)
    # Coding lengths are better when low.
    better = {name: -curves[name] if name == "coding length" else curves[name] for name in CRITERIA}
    standings = {name: detrended_zscore(v, ks) for name, v in better.items()}
    vote = np.mean([standings[name] for name in COUNTED], axis=0)
    best = int(vote.argmax())
    table = [
        {"k": int(k), **{name: float(v[i]) for name, v in curves.items()}, "vote": float(vote[i])}
        for i, k in enumerate(ks)
    ]
    favourites = {name: int(ks[s.argmax()]) for name, s in standings.items()}
    return KVote(int(ks[best]), table, favourites, bool(curves["agreement"][best] >= CLEAR))


def _limits(spaces: list[np.ndarray], low: int, high: int) -> int:
    """The largest K that so many images allow; refuses what no K can be told from."""
    if not spaces:
        raise input_error("the spaces to tell K from", "at least one", "none", "name one")
    n = len(spaces[0])
    for z in spaces:
        shaped("every space to tell K from", z, "n d", n=n)
        finite("the spaces to tell K from", z)
    if n < LEAST:
        raise input_error(
            "the number of images to tell K from", f"at least {LEAST}", n, "set K, or add images"
        )
    top = min(high, n // 10)
    if not 2 <= low <= top - 2:
        raise input_error(
            "the range of K to choose from",
            f"at least three numbers from 2 to a tenth of the images ({n // 10})",
            f"{low} to {high}",
            "widen it, or set K",
        )
    return top


def principal(x: np.ndarray, dims: int, whitening: float) -> np.ndarray:
    """Unit rows (n, <= dims) float32 of x (n, d) along its principal directions.

    Directions are divided by their spread to the power `whitening`, in [0, 1]. Without it the
    first few decide, and the silhouette prefers the two or three coarsest groups; whitened
    altogether, noise counts as much as they do.

    Raises:
        Refusal: all rows are alike.
    """

    x = np.asarray(x, np.float32)
    mean, axes, spread = directions(x, dims)
    kept = spread > 1e-5 * max(float(spread[0]), 1e-30)
    if not kept.any():
        raise input_error(
            "images to tell K from", "different", "rows all alike", "check the encoder"
        )
    return unit_rows((x - mean) @ (axes[:, kept] / spread[kept] ** np.float32(whitening)))


def _curves(
    spaces: list[np.ndarray], ks: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Each criterion as a curve (len(ks),) over K, in the order of the table.

    Every random part of the rows gets a graph and clusters of its own. Criteria are means over
    parts, without which their peaks come and go with the sample; two parts are compared on the
    rows they share.
    """

    n = len(spaces[0])
    coded = principal(np.hstack(spaces), CODED, 0.0)
    parts, judged = [], []
    for _ in progress(range(PARTS), "vote on K", unit="part", leave=False):
        rows = np.sort(rng.permutation(n)[: min(PART, int(SHARE * n))])
        cuts, curves = _part([z[rows] for z in spaces], coded[rows], ks)
        clusters = np.full((len(ks), n), -1)
        clusters[:, rows] = cuts
        parts.append(clusters)
        judged.append(curves)
    agreement, information = _stability(parts)
    silhouette, length, gap, inside = np.mean(judged, axis=0)
    return {
        "silhouette": silhouette,
        "coding length": length,
        "eigengap": gap,
        "stability": information,
        "modularity": inside,
        "agreement": agreement,
    }


def _part(
    spaces: list[np.ndarray], coded: np.ndarray, ks: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Clusters (n,) for every K, and silhouette, coding length, eigengap, modularity over K."""

    graph = joint_graph(spaces, NEIGHBOURS)
    values, vectors = top_eigenvectors(graph, int(ks[-1]) + 1)
    cuts = [spectral_labels(vectors, int(k)) for k in ks]
    return cuts, [
        np.array([pooled_silhouette(spaces, c) for c in cuts]),
        np.array([coding_length(coded, c) for c in cuts]),
        eigengaps(values, ks),
        np.array([modularity(graph, c) for c in cuts]),
    ]


def pooled_silhouette(spaces: list[np.ndarray], c: np.ndarray) -> float:
    """Mean over spaces of the cosine silhouette of clusters c (n,) int."""
    return sum(cosine_silhouette(z, c) for z in spaces) / len(spaces)


def coding_length(z: np.ndarray, c: np.ndarray, epsilon: float = EPSILON) -> float:
    """Nats an image that code the rows of z (n, d) cluster by cluster, up to a distortion.

    (1 / n) sum_k (n_k + d) / 2 log det(I + d / (epsilon n_k) Z_k^T Z_k) - n_k log(n_k / n), of
    Ma et al. 2007 (eq. 18) as CPP (Chu et al. 2024) takes it to find K: more clusters are shorter
    each and cost more names.
    """

    n, d = z.shape
    total = 0.0
    for k in np.unique(c):
        rows = z[c == k].astype(np.float64)
        size = len(rows)
        volume = np.linalg.slogdet(np.eye(d) + d / (epsilon * size) * rows.T @ rows)[1]
        total += (size + d) / 2 * volume - size * np.log(size / n)
    return float(total / n)


def eigengaps(values: np.ndarray, ks: np.ndarray) -> np.ndarray:
    """(len(ks),) log(l_(K+1) / l_K), l_i the i-th smallest eigenvalue of the normalised Laplacian.

    A ratio, as the first eigenvalues of a graph of images are all small (von Luxburg 2007, section
    8.3 for the gap); smoothed by 1/4, 1/2, 1/4 over K, as single gaps of a sample are erratic.

    Args:
        values: (> max(ks),) the largest eigenvalues of the normalised affinity, falling.
    """

    smallest = np.maximum(1 - values, FLOOR)
    gaps = np.log(smallest[ks] / smallest[ks - 1])
    padded = np.pad(gaps, 1, mode="edge")
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def modularity(graph: csr_array, c: np.ndarray) -> float:
    """Weight inside clusters beyond chance, in [-0.5, 1] (Newman 2006, eq. 1).

    It rises with K only while new borders run where the graph is thin.

    Args:
        graph: (n, n) symmetric, sparse. c: (n,) int in [0, k).
    """

    k = int(c.max()) + 1
    degree = graph.sum(1)
    i, j = graph.nonzero()
    inside = graph.data[c[i] == c[j]].sum()
    share = np.bincount(c, degree, k) / degree.sum()
    return float(inside / degree.sum() - (share**2).sum())


def _stability(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Curves over K: adjusted Rand index and reproduced information, mean over pairs of parts.

    Args:
        parts: each (len(ks), n) int, clusters of the rows in the part and -1 elsewhere.
    """
    from itertools import combinations

    pairs = []
    for a, b in combinations(parts, 2):
        both = (a[0] >= 0) & (b[0] >= 0)
        pairs.append(
            [
                (ari(u, v), prediction_strength(u, v))
                for u, v in zip(a[:, both], b[:, both], strict=True)
            ]
        )
    agreement, information = np.mean(pairs, axis=0).T
    return agreement, information


def prediction_strength(a: np.ndarray, b: np.ndarray) -> float:
    """Nats that two clusterings (n,) int share, less those they do not: 2 I(a; b) - mean entropy.

    Mere agreement favours two or three clusters, which are easily found again; this one asks of
    every further split to be reproduced more than not. I is less its expectation at chance,
    (k_a - 1)(k_b - 1) / 2n (Miller 1955).
    """

    joint = contingency(a, b) / len(a)
    rows, columns = joint.sum(1), joint.sum(0)
    chance = (len(rows) - 1) * (len(columns) - 1) / (2 * len(a))
    single = _entropy(rows) + _entropy(columns)
    return 2 * (single - _entropy(joint[joint > 0]) - chance) - single / 2


def _entropy(p: np.ndarray) -> float:

    return float(-(p * np.log(p)).sum())


def detrended_zscore(curve: np.ndarray, ks: np.ndarray) -> np.ndarray:
    """How far each K stands out by one criterion (high is good): (len(ks),), mean 0, spread 1.

    The curve's own straight trend in log K is taken out first. Left in, the coarsest split would
    win, which is often the clearest though not the one that is meant. The price is a lean to the
    middle of the range where a curve has no peak at all, as a bent slope then stands out there.
    """

    trend = np.polynomial.Polynomial.fit(np.log(ks), curve, 1)
    rest = curve - trend(np.log(ks))
    spread = rest.std()
    return rest / (spread if spread > 1e-12 else 1)
