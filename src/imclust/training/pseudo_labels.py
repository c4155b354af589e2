"""Learning what k-means found in other spaces of the same images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclust.clustering.preprocessing import prepare
from imclust.training.plan import Objective


def joint_rows(spaces: list[np.ndarray]) -> np.ndarray:
    """Spaces (n, d_v) of the same images side by side, each of the same weight: (n, d) float32.

    Examples
    --------
    >>> joint_rows([np.eye(5), np.arange(5.0)[:, None]]).shape
    (5, 5)
    """
    return np.hstack([prepare(s, "power").rows for s in spaces])


def joint_clusters(rows: np.ndarray, counts: tuple[int, ...], seed: int) -> np.ndarray:
    """k-means clusters of rows, several numbers of them.

    Parameters
    ----------
    rows : ndarray of shape (n, d), float32
        Of `joint_rows`.
    counts : tuple of int
        Numbers of clusters; at most a tenth of the images are made, and at least two.
    seed : int
        Of the starts.

    Returns
    -------
    ndarray of shape (counts, n), int64
        A line for each number.

    Examples
    --------
    >>> x = np.repeat([[0.0, 9.0], [9.0, 0.0]], 20, axis=0)
    >>> np.bincount(joint_clusters(joint_rows([x]), (2,), seed=0)[0]).tolist()
    [20, 20]
    """
    from sklearn.cluster import KMeans

    most = max(2, len(rows) // 10)
    runs = [KMeans(min(k, most), n_init=2, random_state=seed).fit_predict(rows) for k in counts]
    return np.stack(runs).astype(np.int64)


class PseudoLabelLoss(Objective):
    """Both views are to name the cluster of their image; the mean of a cross entropy a task.

    DeepCluster's classification (Caron et al. 2018, eq. 1) with labels that do not change.

    Parameters
    ----------
    labels : ndarray of shape (tasks, n), int
        Of every image.
    counts : tuple of int
        Answers of each task, more than any of its labels.

    Notes
    -----
    Buffer: labels (tasks, n) int64.
    """

    labels: Tensor

    def __init__(self, labels: np.ndarray, counts: tuple[int, ...]) -> None:
        super().__init__()
        self._counts = list(counts)
        self.register_buffer("labels", torch.from_numpy(labels.astype(np.int64)))

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (2b, 3, s, s), two views of `rows`; the network gives (2b, sum of counts) -> scalar."""
        scores = network(x).float().split(self._counts, 1)
        answers = self.labels[:, rows.repeat(2)]
        losses = [functional.cross_entropy(s, y) for s, y in zip(scores, answers, strict=True)]
        return torch.stack(losses).mean()
