"""Several spaces clustered together: joined by id, each counting the same."""

import json
from contextlib import ExitStack

import numpy as np
import pytest

from imclust.__main__ import main
from imclust.clustering.clusterers import CLUSTERERS, _base, kmeans
from imclust.clustering.clusterers._base import clusterer_input
from imclust.clustering.metrics import hungarian_accuracy
from imclust.clustering.preprocessing import JoinedRows, unit_rows
from imclust.core import npy
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest
from imclust.core.records import Assignment, Features
from imclust.core.shards import MappedRows

JOINT = ("kmeans", "co-kmeans")


def two_views(n=240, seed=0, dims=(8, 40), scale=(1.0, 50.0)):
    """Four groups; view 1 cannot tell 0 from 1 and view 2 cannot tell 2 from 3."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    views = []
    for merged, d, s in zip(((0, 1), (2, 3)), dims, scale, strict=True):
        centres = np.linalg.qr(rng.standard_normal((d, 4)))[0].T * 4 * s
        centres[merged[1]] = centres[merged[0]]
        views.append((centres[y] + s * rng.standard_normal((n, d)) * 0.6).astype(np.float32))
    return views, y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", JOINT)
def test_what_each_view_confuses_both_together_tell_apart(name, seed):
    views, y = two_views(seed=seed)
    entry = CLUSTERERS[name]

    def accuracy(spaces):
        z = clusterer_input(entry.method, spaces)
        return hungarian_accuracy(y, entry.method(z, 4, entry.config(), seed).labels)

    assert max(accuracy([v]) for v in views) < 0.85
    assert accuracy(views) > 0.95
    assert accuracy(views[::-1]) > 0.95


def test_spaces_count_the_same_whatever_their_scale_and_width():
    views, _ = two_views()
    z = clusterer_input(CLUSTERERS["kmeans"].method, views)
    assert z.dtype == np.float32
    for block in (z[:, :8], z[:, 8:]):
        np.testing.assert_allclose((block**2).sum(1), 0.5, atol=1e-5)
    assert clusterer_input(CLUSTERERS["kmeans"].method, views[:1]) is views[0]
    assert clusterer_input(CLUSTERERS["co-kmeans"].method, views) is views
    np.testing.assert_array_equal(unit_rows(np.zeros((2, 3))), np.zeros((2, 3), np.float32))


def test_co_kmeans_repeats_places_new_rows_and_takes_three_views():
    views, y = two_views()
    views.append(two_views(seed=7, dims=(5, 5))[0][0])
    entry = CLUSTERERS["co-kmeans"]
    a, b = (entry.method([v[:200] for v in views], 4, entry.config(), 0) for _ in range(2))
    np.testing.assert_array_equal(a.probabilities, b.probabilities)
    np.testing.assert_allclose(a.predict([v[:200] for v in views]), a.probabilities, atol=1e-5)
    placed = a.predict([v[200:] for v in views])
    np.testing.assert_allclose(placed.sum(1), 1, atol=1e-5)
    assert hungarian_accuracy(y[200:], placed.argmax(1)) > 0.85
    assert -1 <= a.facts["objective"] <= 1


def test_co_kmeans_of_one_view_is_spherical(rng):
    y = np.arange(90) % 3
    directions = np.linalg.qr(rng.standard_normal((6, 3)))[0].T
    lengths = 10 ** rng.uniform(-2, 2, (90, 1))
    z = (directions[y] + 0.05 * rng.standard_normal((90, 6))) * lengths
    found = {
        name: hungarian_accuracy(
            y, CLUSTERERS[name].method(z, 3, CLUSTERERS[name].config(), 0).labels
        )
        for name in JOINT
    }
    assert found["co-kmeans"] == 1
    assert found["kmeans"] < 0.9


def test_co_kmeans_of_views_that_confuse_other_groups():
    """One view cannot tell groups 0 and 1 apart, the other holds groups 2 and 3 as copies."""
    y, each = np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4)
    entry, found = CLUSTERERS["co-kmeans"], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shared, own = rng.normal(size=(3, 30)), rng.normal(size=(3, 1, 30))
        own = own + 0.5 * rng.normal(size=(3, 10, 30))
        views = [shared[[0, 0, 1, 2]][y] + rng.normal(0, 0.3, (40, 30)), own[[0, 1, 2, 2]][y, each]]
        views = [v + 1e-6 * rng.normal(size=v.shape) for v in views]
        found.append(hungarian_accuracy(y, entry.method(views, 4, entry.config(50), seed).labels))
    assert min(found) == 1


def test_co_kmeans_with_copies_and_rows_of_zeros():
    z = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    z[-1] = 0
    entry = CLUSTERERS["co-kmeans"]
    for k in (2, 3, 5):
        p = entry.method([z, z], k, entry.config(), 0).probabilities
        assert np.isfinite(p).all()
        assert p.shape == (12, k)


def made(out, kind, write):
    make_artifact(out, ArtifactSpec(kind, {"out": out.name}, {}, ()), write)
    return out


@pytest.fixture
def spaces(tmp_path):
    """Two features artefacts with their rows in different orders, an index, and the truth."""
    views, y = two_views()
    ids = np.array([f"i{n}" for n in range(240)])
    splits = np.where(np.arange(240) < 200, "train", "val")
    order = np.random.default_rng(5).permutation(240)
    first = Features(ids, splits, views[0])
    second = Features(ids[order], np.full(240, "train"), views[1][order])
    index = made(tmp_path / "index", "index", lambda _: {"n_clusters": 4})
    a = made(tmp_path / "a", "features", first.save)
    b = made(tmp_path / "b", "features", second.save)
    return a, b, index, dict(zip(ids.tolist(), y.tolist(), strict=True))


def clustered(out, index, features, method):
    flags = ["--index", index, "--out", out, "--features", *features]
    return main(["cluster", *map(str, flags), method])


@pytest.mark.parametrize("name", JOINT)
def test_the_stage_joins_spaces_by_id(spaces, tmp_path, name):
    a, b, index, truth = spaces
    out = tmp_path / "c"
    assert clustered(out, index, (a, b), name) == 0
    found = Assignment.load(out)
    y = np.array([truth[i] for i in found.ids.tolist()])
    assert hungarian_accuracy(y, found.clusters) > 0.95
    assert hungarian_accuracy(y[200:], found.part("val").clusters) > 0.95
    assert found.splits.tolist() == ["train"] * 200 + ["val"] * 40
    doc = read_manifest(out)
    assert set(doc["inputs"]) == {"features", "features 2"}
    assert doc["inputs_at"]["features 2"] == "../b"
    assert doc["stability"] > 0.9


def test_a_change_of_the_second_space_is_noticed(spaces, tmp_path, capsys):
    a, b, index, _ = spaces
    assert clustered(tmp_path / "c", index, (a, b), "kmeans") == 0
    assert clustered(tmp_path / "c", index, (a, b), "kmeans") == 0
    assert "is up to date" in capsys.readouterr().out
    old = Features.load(b)
    space = Features(old.ids, old.splits, np.array(old.x[:, ::-1]))
    make_artifact(b, ArtifactSpec("features", {"other": 1}, {}, ()), space.save)
    assert clustered(tmp_path / "c", index, (a, b), "kmeans") == 0
    assert "is up to date" not in capsys.readouterr().out


def test_spaces_of_other_ids_and_no_space_are_refused(spaces, tmp_path, capsys):
    a, b, index, _ = spaces
    old = Features.load(b)
    fewer = Features(old.ids[1:], old.splits[1:], np.array(old.x[1:]))
    make_artifact(b, ArtifactSpec("features", {"fewer": 1}, {}, ()), fewer.save)
    for features in ((a, b), (b, a)):
        assert clustered(tmp_path / "c", index, features, "kmeans") == 2
        err = capsys.readouterr().err
        assert "of the same ids; got 1 that only one of two has" in err
        assert old.ids[0] in err
    assert clustered(tmp_path / "c", index, (), "kmeans") == 2
    assert "--features must be at least one artefact" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_rows_keep_their_place_when_orders_agree(tmp_path):
    ids = np.array(["a", "b"])
    splits = np.array(["train", "train"])
    one = Features(ids, splits, np.eye(2, dtype=np.float32))
    two = Features(ids, splits, 2 * np.eye(2, dtype=np.float32))
    assert one.alongside(two) is two.x
    with pytest.raises(InputError):
        one.alongside(Features(np.array(["a", "c"]), splits, two.x))


def test_one_space_is_clustered_as_it_is(spaces, tmp_path):
    a, _, index, _ = spaces
    assert clustered(tmp_path / "c", index, (a,), "kmeans") == 0
    doc = json.loads((tmp_path / "c" / "manifest.json").read_text())
    assert set(doc["inputs"]) == {"features"}
    entry = CLUSTERERS["kmeans"]
    x = np.array(Features.load(a).part("train").x)
    np.testing.assert_array_equal(
        Assignment.load(tmp_path / "c").part("train").probabilities,
        entry.method(x, 4, entry.config(), 0).probabilities.astype(np.float32),
    )


def test_joined_rows_are_the_spaces_side_by_side(rng):
    spaces = [rng.normal(size=(50, d)).astype(np.float32) for d in (3, 8)]
    want = np.hstack([x / np.linalg.norm(x, axis=1, keepdims=True) for x in spaces]) * 0.5
    rows = JoinedRows(spaces, 0.5)
    chosen = rng.permutation(50)[:7]
    np.testing.assert_allclose(np.asarray(rows), want, rtol=1e-6)
    np.testing.assert_array_equal(rows[chosen], np.asarray(rows)[chosen])
    np.testing.assert_array_equal(np.asarray(rows[9:30]), np.asarray(rows)[9:30])
    assert np.asarray(rows, np.float64).dtype == np.float64
    assert len(rows) == 50


def test_rows_that_do_not_lie_side_by_side_are_copied_to_the_disk(rng, monkeypatch, tmp_path):
    monkeypatch.setattr(npy, "HELD", 100)
    monkeypatch.setattr(npy, "BLOCK", 5)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    apart, beside = rng.random(40) < 0.5, np.arange(40) > 20
    with ExitStack() as kept:
        copy = npy.kept_rows(x, apart, tmp_path, kept)
        assert isinstance(copy, np.memmap)
        assert MappedRows.of(copy) is None  # nobody else can open it
        np.testing.assert_array_equal(copy, x[apart])
        assert np.shares_memory(npy.kept_rows(x, beside, tmp_path, kept), x)
    assert not list(tmp_path.iterdir())


def test_kmeans_of_several_spaces_in_blocks_is_that_of_them_joined(monkeypatch):
    views, y = two_views(n=600)
    monkeypatch.setattr(_base, "LARGE", 100)
    monkeypatch.setattr(kmeans, "LARGE", 100)
    entry = CLUSTERERS["kmeans"]
    z = clusterer_input(entry.method, views)
    assert isinstance(z, JoinedRows)
    found = entry.method(z, 4, entry.config(), 0)
    assert hungarian_accuracy(y, found.labels) > 0.95
    again = entry.method(np.asarray(z), 4, entry.config(), 0)
    np.testing.assert_array_equal(found.probabilities, again.probabilities)
