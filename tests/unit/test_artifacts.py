import json
import multiprocessing
import shutil
import time

import numpy as np
import pytest

from imclust import artifacts
from imclust.artifacts import Order, lineage, produce, read_manifest
from imclust.checks import Refusal
from imclust.records import Assignment, Features, read_csv

CODE = ("checks",)


def write_text(text):
    def write(folder):
        (folder / "a.txt").write_text(text)
        return {"rows": 1}

    return write


def order(size=1, **inputs):
    return Order("thing", {"size": size}, inputs, CODE)


def fail(folder):
    (folder / "half.txt").write_text("half")
    raise RuntimeError("broken")


def test_made_once_and_again_only_when_something_changed(tmp_path):
    out = tmp_path / "a"
    assert produce(out, order(), write_text("x"))
    assert not produce(out, order(), write_text("x"))
    assert produce(out, order(size=2), write_text("x"))
    assert produce(out, order(size=2), write_text("x"), force=True)
    doc = read_manifest(out, "thing")
    assert doc["config"] == {"size": 2}
    assert doc["track"] == "scratch"
    assert {"versions", "git", "argv", "seconds", "peak_mib", "device", "written"} <= set(doc)


def test_what_depends_on_a_changed_input_is_stale_and_equal_bytes_are_no_change(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    produce(a, order(), write_text("x"))
    assert produce(b, order(before=a), write_text("y"))
    produce(a, order(size=2), write_text("x"))  # another setting, the same bytes
    assert not produce(b, order(before=a), write_text("y"))
    produce(a, order(size=3), write_text("z"))
    assert produce(b, order(before=a), write_text("y"))


def test_a_deleted_or_cut_file_is_made_again(tmp_path):
    out = tmp_path / "a"
    produce(out, order(), write_text("x"))
    (out / "a.txt").unlink()
    assert produce(out, order(), write_text("x"))
    (out / "a.txt").write_text("")
    assert produce(out, order(), write_text("x"))


def test_changed_source_of_the_method_is_a_change(tmp_path, monkeypatch):
    produce(tmp_path / "a", order(), write_text("x"))
    monkeypatch.setattr(artifacts, "source_digest", lambda *m: "edited")
    assert produce(tmp_path / "a", order(), write_text("x"))


def test_failure_leaves_the_old_artefact_and_no_half_one(tmp_path):
    out = tmp_path / "a"
    produce(out, order(), write_text("x"))
    with pytest.raises(RuntimeError, match="broken"):
        produce(out, order(size=2), fail)
    assert (out / "a.txt").read_text() == "x"
    assert not list(tmp_path.rglob("half.txt"))


def test_kept_partial_work_is_found_by_the_same_order_only(tmp_path):
    out = tmp_path / "a"
    with pytest.raises(RuntimeError, match="broken"):
        produce(out, order(), fail, keep_partial=True)

    def look(folder):
        return {"found": (folder / "half.txt").exists()}

    partial = tmp_path / ".a.partial"
    saved = tmp_path / "saved"
    shutil.copytree(partial, saved)
    produce(out, order(size=2), look, keep_partial=True)
    assert read_manifest(out)["found"] is False
    shutil.copytree(saved, partial)
    produce(out, order(), look, keep_partial=True)
    assert read_manifest(out)["found"] is True


@pytest.mark.parametrize("old_there", [True, False])
def test_a_kill_between_the_renames_is_mended(tmp_path, old_there):
    out = tmp_path / "a"
    produce(out, order(), write_text("new"))
    out.rename(tmp_path / ".a.partial")
    if old_there:
        produce(tmp_path / "b", order(size=2), write_text("old"))
        (tmp_path / "b").rename(tmp_path / ".a.old")
    assert not produce(out, order(), fail)
    assert (out / "a.txt").read_text() == "new"
    assert not (tmp_path / ".a.old").exists()


def hold(out, ready):
    def write(folder):
        ready.set()
        time.sleep(60)
        return {}

    produce(out, order(), write)


def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    first = context.Process(target=hold, args=(tmp_path / "a", ready))
    first.start()
    assert ready.wait(60)
    with pytest.raises(Refusal, match=f"process {first.pid} is at work"):
        produce(tmp_path / "a", order(), write_text("x"))
    first.kill()
    first.join()
    assert produce(tmp_path / "a", order(), write_text("x"))


def test_missing_or_wrong_input_is_one_sentence(tmp_path):
    with pytest.raises(Refusal, match="a finished artefact; got no manifest"):
        produce(tmp_path / "b", order(before=tmp_path / "a"), write_text("y"))
    produce(tmp_path / "a", order(), write_text("x"))
    with pytest.raises(Refusal, match="of kind 'features'; got 'thing'"):
        Features.load(tmp_path / "a")


def test_one_open_input_makes_everything_after_it_open(tmp_path):
    produce(tmp_path / "a", order(), lambda f: {"track": "open"})
    produce(tmp_path / "b", order(before=tmp_path / "a"), write_text("y"))
    assert read_manifest(tmp_path / "b")["track"] == "open"


def test_lineage_survives_a_move_of_the_whole_folder(tmp_path):
    top = tmp_path / "top"
    produce(top / "a", order(), write_text("x"))
    produce(top / "b", order(before=top / "a"), write_text("y"))
    moved = top.rename(tmp_path / "moved")
    assert [p.name for p in lineage(moved / "b")] == ["a", "b"]


def features(tmp_path, ids=("a", "b", "c")):
    f = Features(np.array(ids), np.array(["train", "train", "val"]), np.eye(3, dtype=np.float32))
    produce(tmp_path / "f", Order("features", {}, {}, CODE), f.save)
    return Features.load(tmp_path / "f")


def test_features_are_joined_by_id(tmp_path):
    f = features(tmp_path)
    np.testing.assert_array_equal(f.at(np.array(["c", "a"])), np.eye(3)[[2, 0]])
    assert f.part("val").ids.tolist() == ["c"]
    assert f.part("none").x.shape == (0, 3)
    assert isinstance(f.part("train").x, np.memmap)
    with pytest.raises(Refusal, match="1 of 2 unknown, the first 'z'"):
        f.at(np.array(["a", "z"]))


def test_features_with_nan_are_not_written(tmp_path):
    x = np.array([[np.nan]], np.float32)
    with pytest.raises(Refusal, match="finite"):
        Features(np.array(["a"]), np.array(["train"]), x).save(tmp_path)


def test_assignment_round_trip(tmp_path):
    p = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    a = Assignment(np.array(["x", 'quote " and, comma']), np.array(["train"] * 2), p)
    produce(tmp_path / "a", Order("assignment", {}, {}, CODE), a.save)
    b = Assignment.load(tmp_path / "a")
    assert b.clusters.tolist() == [0, 1]
    rows = read_csv(tmp_path / "a" / "assignment.csv")
    assert rows[1] == {
        "id": 'quote " and, comma',
        "split": "train",
        "cluster": "1",
        "confidence": "0.8000",
    }
    assert json.loads((tmp_path / "a" / "manifest.json").read_text())["sizes"] == [1, 1]
