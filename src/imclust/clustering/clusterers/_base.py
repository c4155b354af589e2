"""What every clusterer returns, and what centre-based ones share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np

from imclust.clustering.blocks import LARGE
from imclust.clustering.preprocessing import JoinedRows, Preparation, Prepared, prepare
from imclust.core.checks import distinct_rows, enough_distinct_rows
from imclust.core.log import progress
from imclust.core.shards import in_parallel, over_shards

if TYPE_CHECKING:
    from imclust.clustering.selection import Candidate


M = TypeVar("M", bound=Callable[..., Any])
Rows: TypeAlias = "np.ndarray | list[np.ndarray]"
"""Rows (n, d) of one space, or of several spaces (n, d1), (n, d2), ..., side by side."""


def several_spaces(method: M) -> M:
    """Decorator of a clusterer that takes a list of spaces as they are; it must take one array too.

    All others are given one array, see `clusterer_input`.
    """
    method.several_spaces = True  # type: ignore[attr-defined]
    return method


def reads_blocks(method: M) -> M:
    """Decorator of a clusterer that goes through more than LARGE rows in blocks: of several spaces
    it is given `JoinedRows`, which compute them."""
    method.reads_blocks = True  # type: ignore[attr-defined]
    return method


def takes_nuisances(method: M) -> M:
    """Decorator of a clusterer with a keyword `nuisances`: name -> (n,) values of each row that
    no good assignment follows, such as its brightness."""
    method.takes_nuisances = True  # type: ignore[attr-defined]
    return method


def takes_sizes(method: M) -> M:
    """Decorator of a clusterer with a keyword `even`: whether clusters are known to be of one
    size."""
    method.takes_sizes = True  # type: ignore[attr-defined]
    return method


def clusterer_input(method: Callable[..., Any], spaces: list[np.ndarray]) -> Rows:
    """What a clusterer is given of `spaces`, each (n, d_v), row i of the same image in each.

    A single space goes through unchanged. Several go as they are to methods that take several;
    for others they stand side by side, (n, d_1 + d_2 + ...), rows brought to length
    1 / sqrt(number of spaces) in each, so that every space counts the same and rows are of length
    one in all.
    """

    if len(spaces) == 1:
        return spaces[0]
    if getattr(method, "several_spaces", False):
        return spaces
    joined = JoinedRows(spaces, len(spaces) ** -0.5)
    if getattr(method, "reads_blocks", False) and len(joined) > LARGE:
        return cast("np.ndarray", joined)
    return np.asarray(joined)


@dataclass(frozen=True)
class Clustering:
    """A fitted clusterer: `clusterer(z, n_clusters, config, seed) -> Clustering`.

    z is an array (n, d) float32; methods marked `@several_spaces` may be given a list of them.

    Parameters
    ----------
    probabilities : np.ndarray
        (n, k) float of the fitted rows, rows sum to one; float64 where float32 would make certain
        ones equal, since priors move the least certain rows first.
    predict : Callable
        Gives further rows (m, d), or lists of them as z was one, probabilities (m, k). It can be
        pickled (a partial of a function, no closure), so that a fitted model can.
    facts : dict[str, Any]
        What was found on the way, for the manifest.
    candidates : list[Candidate]
        Clusterings that were compared, for methods that choose among some.
    compared_rows : np.ndarray | None
        (m,) int64, the fitted rows that the candidates' labels are of.
    """

    probabilities: np.ndarray
    predict: Callable[[Any], np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list, repr=False)
    compared_rows: np.ndarray | None = field(default=None, repr=False)

    @property
    def labels(self) -> np.ndarray:
        """(n,) int64 in [0, k)."""
        return self.probabilities.argmax(1)


def centre_probabilities(distances: np.ndarray, dims: int, variance: float) -> np.ndarray:
    """Posterior (n, k) float64 of equal spherical Gaussians at the centres; argmax = the nearest.

    Differences of more than 600 in the logarithm count by their own logarithm beyond it: in
    thousands of dims all others would be exactly 0, and which row is the less certain be lost.

    Parameters
    ----------
    distances : np.ndarray
        (n, k) Euclidean distance to each centre.
    dims : int
        Of the space.
    variance : float
        Mean squared distance of a row to its own centre.
    """

    scores = -0.5 * dims * distances.astype(np.float64) ** 2 / max(variance, 1e-12)
    scores -= scores.max(1, keepdims=True)
    p = np.exp(np.maximum(scores, -600) - 10 * np.log1p(np.maximum(-600 - scores, 0) / 10))
    return np.asarray(p / p.sum(1, keepdims=True))


def centre_clustering(solver: Any, z: np.ndarray) -> Clustering:
    """Fit one of scikit-learn's k-means family to z (n, d) and wrap what it found."""

    distances = solver.fit(np.asarray(z)).transform(z)
    variance = float((distances.min(1) ** 2).mean())

    p = centre_probabilities(distances, z.shape[1], variance)
    facts = {"inertia": round(float(solver.inertia_), 4)}
    return Clustering(p, partial(_predict_at_centres, solver, variance), facts)


def _predict_at_centres(solver: Any, variance: float, rows: np.ndarray) -> np.ndarray:
    """Probabilities (m, k) of rows (m, d) at the centres of a fitted solver."""
    return centre_probabilities(solver.transform(rows), rows.shape[1], variance)


def through(
    new: Any, apply: Callable[[Any], Any], predict: Callable[[Any], np.ndarray]
) -> np.ndarray:
    """`place` of rows that `apply` made ready."""
    return predict(apply(new))


def as_views(z: Rows) -> list[np.ndarray]:
    """One space or several as a list."""
    return z if isinstance(z, list) else [z]


def prepared_views(z: Rows, how: Preparation) -> tuple[list[np.ndarray], Callable[[Any], Any]]:
    """Every space prepared by itself, and the function that prepares further rows likewise."""
    made: list[Prepared] = [prepare(view, how) for view in as_views(z)]
    return [m.rows for m in made], partial(_apply_each, made=[m.apply for m in made])


def _apply_each(new: Rows, made: list[Callable[[Any], Any]]) -> list[np.ndarray]:
    return [apply(view) for apply, view in zip(made, as_views(new), strict=True)]


def concatenate_views(views: list[np.ndarray]) -> np.ndarray:
    """Views side by side, (n, d_1 + d_2 + ...) float32; each weighs the same."""

    return np.hstack(views) / np.float32(len(views) ** 0.5)


def on_sample(bound: int) -> Callable[[M], M]:
    """Decorator of a clusterer whose cost grows faster than n: above `bound` rows it is fitted to
    a random sample of so many, and the others are placed."""

    def wrap(method: Any) -> Any:
        @wraps(method)
        def bounded(z: Rows, n_clusters: int, cfg: Any, seed: int, **more: Any) -> Clustering:

            n = len(as_views(z)[0])
            if n <= bound:
                return method(z, n_clusters, cfg, seed, **more)
            chosen = np.sort(np.random.default_rng(seed).choice(n, bound, replace=False))
            picked = [np.asarray(view[chosen]) for view in as_views(z)]
            if more.get("nuisances"):
                more["nuisances"] = {name: v[chosen] for name, v in more["nuisances"].items()}
            rows = picked if isinstance(z, list) else picked[0]
            found = method(rows, n_clusters, cfg, seed, **more)
            compared = found.compared_rows
            placed = predict_in_blocks(found, z)
            if n > LARGE:  # those that were fitted need no guess
                placed[chosen] = found.probabilities
            return replace(
                found,
                probabilities=placed,
                facts={**found.facts, "fitted_rows": bound},
                compared_rows=None if compared is None else chosen[compared],
            )

        return bounded

    return wrap


def predict_in_blocks(found: Clustering, z: Rows, block: int = 4096) -> np.ndarray:
    """`found.predict` of many rows (n, d), so many at a time: (n, k) float32; above LARGE rows
    shard by shard, see `over_shards`."""
    n = len(as_views(z)[0])
    if n <= LARGE:
        return _predicted(z, found.predict, block)
    out = np.empty((0, 0), np.float32)
    with progress(None, "placing rows", total=n, unit="row", leave=False) as bar:
        for place, p in over_shards(z, _predicted, found.predict, block):
            if not place.start:
                out = np.empty((n, p.shape[1]), p.dtype)
            out[place] = p
            bar.update(place.stop - place.start)
    return out


def _predicted(z: Rows, predict: Callable[[Any], np.ndarray], block: int) -> np.ndarray:
    """Of one shard."""

    def of(a: int) -> np.ndarray:
        rows = [np.asarray(view[a : a + block]) for view in as_views(z)]
        return predict(rows if isinstance(z, list) else rows[0])

    return np.concatenate(list(in_parallel(range(0, len(as_views(z)[0]), block), of)))


def predict_rows(
    method: Any, found: Clustering, spaces: list[np.ndarray], rows: np.ndarray, block: int = 4096
) -> np.ndarray:
    """`found.predict` of rows (m,) int of spaces (n, d_v), so many at a time: (m, k)."""
    parts = []
    for a in range(0, len(rows), block):
        some = [np.asarray(x[rows[a : a + block]]) for x in spaces]
        parts.append(found.predict(clusterer_input(method, some)))
    return np.concatenate(parts)


def run_head(
    method: Any,
    views: list[np.ndarray],
    k: int,
    config: Any,
    seed: int,
    nuisances: Mapping[str, np.ndarray] | None = None,
    *,
    even: bool = False,
) -> Clustering:
    """A clusterer on one space or several, whether or not it takes several.

    It is told of nuisances, and that sizes are even, where it wants to know. Rows that are equal
    in every space get equal probabilities.

    Raises
    ------
    InputError
        More clusters are asked for than there are different rows.
    """
    first = distinct_rows(views)
    enough_distinct_rows(k, len(np.unique(first)))
    more: dict[str, Any] = {}
    if nuisances and looks_at_nuisances(method):
        more["nuisances"] = dict(nuisances)
    if even and getattr(method, "takes_sizes", False):
        more["even"] = True
    found: Clustering = method(clusterer_input(method, views), k, config, seed, **more)
    if (first == np.arange(len(first))).all():
        return found
    return replace(found, probabilities=found.probabilities[first])


def looks_at_nuisances(method: Any) -> bool:
    """Whether a clusterer is marked `@takes_nuisances`."""
    return getattr(method, "takes_nuisances", False)
