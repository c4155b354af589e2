"""`kernel-pca`: principal components in the feature space of an RBF kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from imclust.clustering.reducers import REDUCERS
from imclust.clustering.reducers._base import Reduction, component_count, fix_signs
from imclust.core.checks import in_range
from imclust.core.errors import InputError
from imclust.core.log import progress, say

CHUNK = 1024
COMPONENTS = 200


@dataclass(frozen=True)
class KernelPCAConfig:
    """KernelPCA with the kernel exp(-gamma |a - b|^2)."""

    recipe: Literal["fast", "literal"] = "fast"
    """`literal`: scikit-learn's dense solver. `fast`: the leading components alone, by block
    Krylov iteration in float32; the same numbers to three digits or more."""
    components: int | None = None
    """How many; 200 unless given, or as many as there are rows."""
    gamma: float | None = None
    """Width of the kernel; 1 / D unless given, as in scikit-learn."""
    max_gib: float = 4.0
    """Memory the N x N kernel may take (N = 30 000 at 4 GiB). Beyond it, Nystroem."""
    landmarks: int = 4096
    """Rows that stand for all others beyond `max_gib`."""

    def __post_init__(self) -> None:
        if self.components is not None:
            in_range("kernel-pca", "components", self.components, 1, 100_000)
        in_range("kernel-pca", "landmarks", self.landmarks, 2, 100_000)
        if self.gamma is not None:
            in_range("kernel-pca", "gamma", self.gamma, 1e-12, 1e12)


@REDUCERS.register(
    "kernel-pca",
    KernelPCAConfig,
    paper="Schölkopf et al. 1998; Musco and Musco 2015, arXiv:1504.05477; Williams and Seeger 2001",
)
def kernel_pca(x: np.ndarray, cfg: KernelPCAConfig, seed: int) -> Reduction:
    """(n, d) float32, memory-mapped or not -> (n, k) float32.

    Memory: `literal` about 5 n^2 * 8 bytes; `fast` one kernel of n^2 * 4 bytes plus
    20 n k * 4 bytes; Nystroem about n * landmarks * 4 / 16 bytes plus three landmark kernels.

    Raises
    ------
    InputError
        The literal recipe does not fit into `max_gib`.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    >>> kernel_pca(x, KernelPCAConfig(), seed=0).embedding.shape
    (60, 60)
    """
    n, d = x.shape
    k = component_count(cfg.components, COMPONENTS, n)
    gamma = cfg.gamma or 1 / d
    kernel_gib = n * n * 4 / 2**30
    if cfg.recipe == "literal":
        if 2 * kernel_gib > cfg.max_gib:
            raise InputError(
                f"The literal KernelPCA must fit its kernel into {cfg.max_gib} GiB (--max-gib); "
                f"got {2 * kernel_gib:.1f} GiB for {n} images; take the fast recipe."
            )
        return _literal(x, k, gamma)
    if kernel_gib > cfg.max_gib:
        say(f"kernel of {n} images takes {kernel_gib:.0f} GiB: Nystroem, {cfg.landmarks} landmarks")
        return _nystroem(x, k, gamma, min(cfg.landmarks, n), seed)
    return _exact(x, k, gamma, seed)


def _literal(x: np.ndarray, k: int, gamma: float) -> Reduction:
    from sklearn.decomposition import KernelPCA

    solver = KernelPCA(k, kernel="rbf", gamma=gamma)
    embedding = solver.fit_transform(np.asarray(x)).astype(np.float32)
    return Reduction(embedding, lambda new: solver.transform(new).astype(np.float32), {})


def _exact(x: np.ndarray, k: int, gamma: float, seed: int) -> Reduction:
    """All rows' kernel, its leading eigenvectors only."""

    kernel = _Kernel(x, gamma)
    full = kernel.full(x)
    means = full.mean(1, dtype=np.float64).astype(np.float32)
    total = float(means.mean(dtype=np.float64))
    full -= means
    full -= means[:, None]
    full += total
    values, vectors = leading_eigenpairs(full, k, seed)
    del full
    root = np.sqrt(np.maximum(values, 0))
    scale = np.divide(1, root, out=np.zeros_like(root), where=root > 1e-6 * root[0])
    project = vectors * scale

    def predict(new: np.ndarray) -> np.ndarray:
        out = np.empty((len(new), k), np.float32)
        for rows, block in kernel.blocks(new):
            # Centre with the means of the fitted rows, as eq. 20 of Schölkopf et al. does.
            out[rows] = (block - block.mean(1, keepdims=True) - means + total) @ project
        return out

    return Reduction(vectors * root, predict, {"solver": "block-krylov", "gamma": gamma})


def leading_eigenpairs(
    a: np.ndarray, k: int, seed: int, *, blocks: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """The k largest eigenvalues (k,) and fixed-sign eigenvectors (n, k) of a symmetric a (n, n).

    Randomised block Krylov iteration (Musco and Musco 2015, algorithm 2) followed by
    Rayleigh-Ritz, restarted once from its own answer. Every block is orthogonalised against all
    before it, which the paper leaves to one QR at the end: float32 needs it at each step.

    Examples
    --------
    >>> values, vectors = leading_eigenpairs(np.diag([3.0, 1.0, 2.0]), 2, seed=0)
    >>> values.round(4)
    array([3., 2.])
    """

    n = len(a)
    width = min(n, k + max(16, k // 4))
    if width * blocks >= n:
        values, vectors = np.linalg.eigh(a)
        return values[::-1][:k], fix_signs(vectors[:, ::-1][:, :k])
    q = np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)
    for _ in range(2):
        basis = np.empty((n, 0), np.float32)
        image = np.empty((n, 0), np.float32)
        for _ in range(blocks):
            for _ in range(2):
                q -= basis @ (basis.T @ q)
            q = np.linalg.qr(q)[0]
            basis = np.hstack([basis, q])
            q = a @ q
            image = np.hstack([image, q])
        small = (basis.T @ image).astype(np.float64)
        values, mix = np.linalg.eigh((small + small.T) / 2)
        lead = mix[:, ::-1][:, :width].astype(np.float32)
        q = basis @ lead
    vectors = np.linalg.qr(q)[0] if k == width else q
    return values[::-1][:k].astype(np.float32), fix_signs(vectors[:, :k])


def _nystroem(x: np.ndarray, k: int, gamma: float, m: int, seed: int) -> Reduction:
    """KernelPCA of the kernel that m random rows explain (Williams and Seeger 2001, eq. 8).

    With C = K(rows, landmarks) and W = K(landmarks, landmarks), the kernel is approximated by
    F F^T with F = C W^(-1/2); its components are those of F, found from F's m x m covariance in
    two passes over the rows, so nothing of size n x m is ever held.
    """

    rows = np.sort(np.random.default_rng(seed).choice(len(x), m, replace=False))
    landmarks = np.asarray(x[rows], np.float32)
    kernel = _Kernel(landmarks, gamma)
    values, vectors = np.linalg.eigh(kernel.full(landmarks))
    keep = values > 1e-6 * values[-1]
    half = vectors[:, keep] / np.sqrt(values[keep])
    del vectors

    total, gram = np.zeros(half.shape[1]), np.zeros((half.shape[1],) * 2, np.float32)
    for _, block in progress(kernel.blocks(x), "nystroem", total=_count(x)):
        f = block @ half
        total += f.sum(0, dtype=np.float64)
        gram += f.T @ f
    mean = (total / len(x)).astype(np.float32)
    gram -= len(x) * np.outer(mean, mean)
    lead_values, lead = leading_eigenpairs(gram, min(k, len(gram)), seed)
    del gram
    project = half @ lead
    shift = mean @ lead

    def predict(new: np.ndarray) -> np.ndarray:
        out = np.empty((len(new), lead.shape[1]), np.float32)
        blocks = progress(kernel.blocks(new), "project", total=_count(new))
        for at, block in blocks:
            out[at] = block @ project - shift
        return out

    facts = {"solver": "nystroem", "landmarks": m, "rank": len(half.T), "gamma": gamma}
    facts["leading"] = float(lead_values[0])
    return Reduction(predict(x), predict, facts)


def _count(x: np.ndarray) -> int:
    return -(-len(x) // CHUNK)


class _Kernel:
    """exp(-gamma |a_i - b_j|^2) of any a against fixed rows b (m, d).

    The exponent 2 gamma a.b - gamma |a|^2 - gamma |b|^2 comes out of one matrix product, whose
    factors carry the squares in two more columns; what remains is to clip and exponentiate.
    """

    def __init__(self, b: np.ndarray, gamma: float) -> None:

        b = np.asarray(b, np.float32)
        self.gamma = gamma
        self.right = np.hstack([b, np.ones((len(b), 1), np.float32), -gamma * _squares(b)])

    def __call__(self, a: np.ndarray) -> np.ndarray:
        """a (c, d) -> (c, m) float32."""

        a = np.asarray(a, np.float32)
        ones = np.ones((len(a), 1), np.float32)
        k = np.hstack([2 * self.gamma * a, -self.gamma * _squares(a), ones]) @ self.right.T
        np.minimum(k, 0, out=k)
        return np.exp(k, out=k)

    def full(self, a: np.ndarray) -> np.ndarray:
        """a (n, d) -> (n, m), filled block by block."""

        k = np.empty((len(a), len(self.right)), np.float32)
        for rows, block in self.blocks(a):
            k[rows] = block
        return k

    def blocks(self, a: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """CHUNK rows of a (n, d) at a time: (slice, (c, m))."""
        for start in range(0, len(a), CHUNK):
            rows = slice(start, min(start + CHUNK, len(a)))
            yield rows, self(a[rows])


def _squares(x: np.ndarray) -> np.ndarray:
    """Squared length of every row, (n, 1) float32."""

    return np.einsum("ij,ij->i", x, x)[:, None]
