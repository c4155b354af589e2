import numpy as np
import pytest
from sklearn import decomposition

from imclust.clustering.neighbors import trustworthiness
from imclust.clustering.reducers import kernel_pca as module
from imclust.clustering.reducers._base import fix_signs
from imclust.clustering.reducers.kernel_pca import KernelPCAConfig, kernel_pca, leading_eigenpairs
from imclust.clustering.reducers.tsne import TSNEConfig, tsne
from imclust.core.errors import InputError


@pytest.fixture
def rows(rng):
    """700 rows on a curved sheet in 30 dimensions, float32."""
    sheet = rng.uniform(-2, 2, (700, 3))
    lift = rng.standard_normal((3, 30))
    return (np.sin(sheet @ lift) + 0.05 * rng.standard_normal((700, 30))).astype(np.float32)


def test_the_fast_kernel_pca_is_scikit_learns(rows):
    fast = kernel_pca(rows[:600], KernelPCAConfig(components=20), 0)
    solver = decomposition.KernelPCA(20, kernel="rbf").fit(rows[:600].astype(np.float64))
    want = fix_signs(solver.transform(rows[:600].astype(np.float64)))
    np.testing.assert_allclose(fast.embedding, want, atol=5e-3 * np.abs(want).max())
    turn = np.sign((fast.embedding * solver.transform(rows[:600])).sum(0))
    placed = solver.transform(rows[600:]) * turn
    np.testing.assert_allclose(fast.predict(rows[600:]), placed, atol=5e-3 * np.abs(want).max())


@pytest.mark.parametrize("chunk", [7, 100, 5000])
def test_kernel_blocks_equal_the_formula(rows, chunk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    a, b = rows[:50].astype(float), rows[50:90].astype(float)
    want = np.exp(-0.1 * ((a[:, None] - b[None]) ** 2).sum(2))
    got = module._Kernel(rows[50:90], 0.1).full(rows[:50])
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_eigenpairs_equal_the_dense_ones(rng):
    q = np.linalg.qr(rng.standard_normal((900, 900)))[0]
    values = 100 * 0.97 ** np.arange(900)
    a = ((q * values) @ q.T).astype(np.float32)
    got, vectors = leading_eigenpairs(a, 20, seed=0)
    np.testing.assert_allclose(got, values[:20], rtol=1e-3)
    aligned = np.abs((vectors * q[:, :20]).sum(0))
    assert aligned.min() > 0.999
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(20), atol=1e-4)


def test_nystroem_with_every_row_a_landmark_is_exact(rows):
    x = rows[:400]
    exact = module._exact(x, 10, 1 / 30, 0)
    nystroem = module._nystroem(x, 10, 1 / 30, 400, 0)
    turn = np.sign((exact.embedding * nystroem.embedding).sum(0))
    np.testing.assert_allclose(nystroem.embedding * turn, exact.embedding, atol=2e-2)
    np.testing.assert_allclose(
        nystroem.predict(rows[400:]) * turn, exact.predict(rows[400:]), atol=2e-2
    )


def test_past_the_bound_nystroem_takes_over_and_literal_is_refused(rows):
    fast = kernel_pca(rows, KernelPCAConfig(components=5, max_gib=1e-3, landmarks=200), 0)
    assert fast.facts["solver"] == "nystroem"
    exact = kernel_pca(rows, KernelPCAConfig(components=5), 0)
    assert exact.facts["solver"] == "block-krylov"
    same = [abs(np.corrcoef(fast.embedding[:, c], exact.embedding[:, c])[0, 1]) for c in range(3)]
    assert min(same) > 0.98
    with pytest.raises(InputError, match="take the fast recipe"):
        kernel_pca(rows, KernelPCAConfig(recipe="literal", max_gib=1e-3), 0)


def test_constant_rows_do_not_break_it():
    x = np.ones((30, 8), np.float32)
    got = kernel_pca(x, KernelPCAConfig(components=5), 0)
    assert np.isfinite(got.embedding).all()
    assert np.isfinite(got.predict(x)).all()


@pytest.mark.parametrize("recipe", ["fast", "literal"])
def test_tsne_keeps_neighbours(rows, recipe):
    got = tsne(rows[:300], TSNEConfig(recipe=recipe), 0)
    random = np.random.default_rng(0).standard_normal((300, 2)).astype(np.float32)
    assert trustworthiness(rows[:300], random) < 0.6
    assert trustworthiness(rows[:300], got.embedding) > 0.93


def test_tsne_places_new_rows_beside_their_neighbours(blobs):
    x, y = blobs
    got = tsne(x, TSNEConfig(), 0)
    centres = np.stack([got.embedding[y == g].mean(0) for g in range(3)])
    placed = got.predict(x + 0.01)
    nearest = np.linalg.norm(placed[:, None] - centres[None], axis=2).argmin(1)
    assert (nearest == y).mean() > 0.95


@pytest.mark.parametrize("rng", [0], indirect=True)  # takes seconds
def test_fft_and_tree_agree(rows, monkeypatch):
    from imclust.clustering.reducers import tsne as tsne_module

    few = TSNEConfig(iterations=100)
    tree = tsne(rows, few, 0)
    monkeypatch.setattr(tsne_module, "FFT_FROM", 0)
    fft = tsne(rows, few, 0)
    scores = [trustworthiness(rows, r.embedding) for r in (tree, fft)]
    assert abs(scores[0] - scores[1]) < 0.02


def test_fix_signs_ignores_the_solvers_choice(rng):
    v = rng.standard_normal((20, 4))
    np.testing.assert_array_equal(fix_signs(v), fix_signs(v * [1, -1, -1, 1]))
