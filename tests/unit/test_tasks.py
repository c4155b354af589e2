"""The benchmark of tasks: what is drawn, what is measured, and that it goes on where it stopped."""

import json

import numpy as np
import pytest

import arena_tasks
import fit_selector
import task_pools
from imclust.clustering import selector
from task_metrics import against_labels, bcubed_f, pair_f1
from tasks import RATIOS, Task, draw, sizes, slice_of

SETS = {"a": 10, "b1": 30, "b2": 4}
SPACES = dict.fromkeys(SETS, ("timm", "pixels"))


@pytest.mark.parametrize("ratio", RATIOS)
def test_sizes_fall_geometrically(ratio):
    found = sizes(5, ratio, 2000)
    assert found[0] / found[-1] == pytest.approx(ratio, rel=0.1)
    assert found.sum() == pytest.approx(2000, abs=3)
    assert (np.diff(found) <= 0).all()


def test_a_task_has_its_classes_sizes_and_strangers():
    y = np.repeat(np.arange(6), 100)
    task = Task("s", "timm", 4, 5, 200, 0.05, 3)
    rows, labels, others = draw(task, y, 50)
    assert len(np.unique(rows)) == len(rows)
    assert len(np.unique(y[rows])) == 4
    for c in range(4):
        assert len(np.unique(y[rows[labels == c]])) == 1
    assert np.bincount(labels).tolist() == sizes(4, 5, 200).tolist()
    assert len(others) == 10
    assert (draw(task, y, 50)[0] == rows).all()


def test_a_slice_is_balanced_in_any_first_part():
    tasks = slice_of(SETS, SPACES, 48, 2000, 0)
    assert len({t.name for t in tasks}) == 48
    for part in (tasks[:24], tasks):
        ratios = [sum(t.ratio == r for t in part) for r in RATIOS]
        assert max(ratios) - min(ratios) <= 3
    assert {t.source for t in tasks} == {"a", "b"}
    assert all(t.k <= SETS[t.data] for t in tasks)
    assert max(t.k for t in tasks) == 20


def test_pair_and_bcubed_numbers_equal_literal_loops(rng):
    y, c = rng.integers(0, 3, 30), rng.integers(0, 4, 30)
    pairs = [(i, j) for i in range(30) for j in range(i)]
    both = sum(y[i] == y[j] and c[i] == c[j] for i, j in pairs)
    precision = both / sum(c[i] == c[j] for i, j in pairs)
    recall = both / sum(y[i] == y[j] for i, j in pairs)
    assert pair_f1(y, c) == pytest.approx(2 * precision * recall / (precision + recall))
    p = np.mean([(y[c == c[i]] == y[i]).mean() for i in range(30)])
    r = np.mean([(c[y == y[i]] == c[i]).mean() for i in range(30)])
    assert bcubed_f(y, c) == pytest.approx(2 * p * r / (p + r))
    np.testing.assert_allclose(list(against_labels(y, y).values()), 1)


def test_coverage_is_accuracy_of_the_sure_and_strangers_are_wrong():
    y = np.array([0, 0, 1, 1, 0, 0, 1, 1, -1, -1])
    found = arena_tasks.coverage(y, np.maximum(y, 0), np.linspace(1, 0, 10))
    np.testing.assert_allclose(found, [1, 1, 1, 1, 8 / 9, 0.8])


@pytest.fixture
def sets(tmp_path):
    folder = tmp_path / "sets"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, k in (("a", 3), ("b", 4)):
        y = np.arange(240) % k
        x = 5 * rng.standard_normal((k, 6))[y] + rng.standard_normal((240, 6))
        np.savez(folder / f"{name}.npz", timm=x.astype(np.float32), y=y)
    return folder


def test_cells_are_kept_and_not_computed_again(sets, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out/tasks.json"
    words = [str(sets), "--tasks", "2", "--heads", "kmeans", "--out", str(out)]
    assert arena_tasks.main(words) == 0
    doc = json.loads(out.read_text())
    assert doc["tasks"] == len(doc["cells"]) == 2
    assert "kmeans" in capsys.readouterr().out
    monkeypatch.setattr(arena_tasks, "run_cell", lambda *_: pytest.fail("computed again"))
    assert arena_tasks.main(words) == 0
    assert json.loads(out.read_text())["table"] == doc["table"]


def test_a_pool_is_fitted_and_written(sets, tmp_path, capsys, monkeypatch):
    assert task_pools.main([str(sets), str(tmp_path / "pools"), "--tasks", "4"]) == 0
    monkeypatch.setattr(fit_selector, "OUT", tmp_path / "selector.json")
    assert fit_selector.main([str(tmp_path / "pools"), "--write"]) == 0
    made, shipped = json.loads((tmp_path / "selector.json").read_text()), selector.model()
    assert made["choice"]["names"] == shipped["choice"]["names"]
    assert {k: len(v) for k, v in made.items()} == {k: len(v) for k, v in shipped.items()}
    assert "bias" in capsys.readouterr().out
