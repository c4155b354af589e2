"""Many clusters down to K: the two that are closest, again and again."""

from __future__ import annotations

import numpy as np


def merge_to_k(labels: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Merge clusters until k are left, each time the two whose union widens least (Ward 1963).

    Parameters
    ----------
    labels : np.ndarray
        (n,) int of at least k clusters.
    rows : np.ndarray
        (n, d) float that distances are taken in.

    Returns
    -------
    np.ndarray
        (n,) int64 in [0, k).

    Examples
    --------
    >>> merge_to_k(np.array([0, 1, 2]), np.array([[0.0], [0.1], [9.0]]), 2).tolist()
    [1, 1, 0]
    """

    names, at = np.unique(labels, return_inverse=True)
    if len(names) <= k:
        return at.astype(np.int64)
    tree = ward_tree(*means_and_sizes(at, rows, len(names)))
    group = np.arange(len(names))
    # Not SciPy's fcluster: where steps cost the same it undoes none of them or all.
    for step, pair in enumerate(tree[: len(names) - k, :2]):
        group[np.isin(group, pair)] = len(names) + step
    return (np.unique(group, return_inverse=True)[1])[at].astype(np.int64)


def means_and_sizes(labels: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Means (k, d) and sizes (k,) of k clusters without an empty one.

    Examples
    --------
    >>> means_and_sizes(np.array([0, 0, 1]), np.array([[0.0], [2.0], [5.0]]), 2)[0].tolist()
    [[1.0], [5.0]]
    """
    from scipy.sparse import csr_matrix

    n = len(labels)
    hot = csr_matrix((np.ones(n, np.float32), (labels, np.arange(n))), (k, n))
    sizes = np.bincount(labels, minlength=k)
    return (hot @ rows) / sizes[:, None], sizes


def ward_tree(means: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Ward's tree over groups of given means (k, d) and sizes (k,): SciPy's linkage (k - 1, 4).

    SciPy's own takes single points only. A pair costs sqrt(2 a b / (a + b)) times the distance
    of its means, which for points of size one is their distance. O(k^3), k groups.

    Examples
    --------
    >>> ward_tree(np.array([[0.0], [1.0], [9.0]]), np.ones(3)).shape
    (2, 4)
    """

    k = len(sizes)
    means = np.vstack([means, np.zeros((k - 1, means.shape[1]))]).astype(np.float64)
    size = np.concatenate([sizes, np.zeros(k - 1)]).astype(np.float64)
    leaves = np.ones(2 * k - 1)
    alive = list(range(k))
    out = np.zeros((k - 1, 4))
    highest = 0.0
    for step in range(k - 1):
        m, s = means[alive], size[alive]
        square = np.maximum((m * m).sum(1)[:, None] + (m * m).sum(1)[None] - 2 * (m @ m.T), 0)
        cost = np.sqrt(2 * s[:, None] * s[None] / (s[:, None] + s[None]) * square)
        np.fill_diagonal(cost, np.inf)
        i, j = sorted(divmod(int(cost.argmin()), len(alive)))
        a, b, new = alive[i], alive[j], k + step
        size[new] = size[a] + size[b]
        leaves[new] = leaves[a] + leaves[b]
        means[new] = (size[a] * means[a] + size[b] * means[b]) / size[new]
        highest = max(highest, float(cost[i, j]))  # rounding must not turn the tree upside down
        out[step] = a, b, highest, leaves[new]
        alive = [x for x in alive if x not in (a, b)] + [new]
    return out
