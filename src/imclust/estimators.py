"""The clusterers as scikit-learn estimators, for pipelines, grid searches and notebooks.

The one module that imports scikit-learn at its top, because its class inherits from it; nothing
on the way to the command line's help imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from imclust.api import Result, cluster_latents
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.selection import label_free_score
from imclust.core.errors import InputError, input_error


class LatentClusterer(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Cluster vectors by any of the registered methods.

    Parameters
    ----------
    n_clusters : int or "auto"
        K, from 1 to the number of rows; with 1 nothing is computed. `auto` finds it.
    method : str
        A clusterer: auto (tries many and chooses without labels), kmeans, spectral, ...;
        `python -m imclust cluster --help` lists them.
    method_options : Mapping[str, Any] | None
        Fields of the method's config, {"restarts": 5}; defaults for the others.
    random_state : Any
        The seed; the same number gives what the command line gives for it.
    verbose : bool
        Show progress bars and what is found on the way.

    Attributes
    ----------
    labels_
        (n,) int64 in [0, K), clusters of the fitted rows.
    probabilities_
        (n, K) float32 of the fitted rows.
    facts_
        What the method found on the way, such as its objective.
    n_features_in_
        Width of the fitted rows.

    Examples
    --------
    >>> rows = [[0.0, 0.1], [0.1, 0.0], [5.0, 5.1], [5.1, 5.0]]
    >>> model = LatentClusterer(2, method="kmeans").fit(rows)
    >>> bool(model.labels_[0] == model.labels_[1] != model.labels_[2])
    True
    """

    def __init__(
        self,
        n_clusters: int | Literal["auto"] = 8,
        *,
        method: str = "auto",
        method_options: Mapping[str, Any] | None = None,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.method = method
        self.method_options = method_options
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster the rows of X (n, d); y is there for scikit-learn's sake and not read.

        Raises
        ------
        ValueError
            X, K or a setting is refused, in one sentence.
        """
        z = validate_data(self, X, dtype=np.float32, order="C", ensure_min_samples=2)
        try:
            options = dict(self.method_options or {})
            found = _cluster(
                z, self.n_clusters, self.method, options, self._seed(), verbose=self.verbose
            )
        except InputError as e:
            raise ValueError(str(e)) from e
        self.probabilities_ = found.probabilities
        self.labels_ = found.labels
        self.facts_ = found.facts
        self._n_features_out = found.probabilities.shape[1]
        self._predict = found.predict
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (m, K) float32 of rows X (m, d), fitted ones or new."""
        check_is_fitted(self)
        z = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        return self._predict(z)

    def predict(self, X: Any) -> np.ndarray:
        """Clusters (m,) int64 of rows X (m, d), fitted ones or new."""
        return self.predict_proba(X).argmax(1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def transform(self, X: Any) -> np.ndarray:
        """Probabilities (m, K) float32 of rows X (m, d), as features for what comes next."""
        return self.predict_proba(X)

    def score(self, X: Any, y: Any = None) -> float:
        """How well linear classifiers learn the clusters of X (m, d), in [0, 1]; reads no label."""
        z = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        k = self.probabilities_.shape[1]
        return label_free_score(self.predict(X), [z], k, self._seed()) if k > 1 else 0.0

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))


def _cluster(
    z: np.ndarray, n_clusters: Any, method: str, options: dict[str, Any], seed: int, *,
    verbose: bool,
) -> Result:  # fmt: skip
    """One space z (n, d) float32 through `cluster_latents`, which has no use for K = 1.

    Raises
    ------
    InputError
        A setting, or K.
    """
    if n_clusters != "auto" and not isinstance(n_clusters, Integral):
        do = "give one of these"
        raise input_error("n_clusters", "a whole number or auto", repr(n_clusters), do)
    if n_clusters == 1:  # what a loop over K asks for and no method is needed for
        CLUSTERERS.configured(method, options)
        everything = _all_in_one(z)
        return Result(everything.argmax(1), everything, 0.0, method, [], {}, None, _all_in_one)
    return cluster_latents(z, n_clusters, method, seed, verbose=verbose, **options)


def _all_in_one(rows: np.ndarray) -> np.ndarray:
    return np.ones((len(rows), 1), np.float32)
