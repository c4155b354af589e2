import json
import multiprocessing
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from imclust.core import artifacts
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import DamagedArtifactError, InputError
from imclust.core.manifest import artifact_file, lineage, read_manifest
from imclust.core.records import Assignment, Features, read_csv
from imclust.report.page.provenance import steps

CODE = ("imclust.core.checks",)


def write_text(text):
    def write(folder):
        (folder / "a.txt").write_text(text)
        return {"rows": 1}

    return write


def order(size=1, **inputs):
    return ArtifactSpec("thing", {"size": size}, inputs, CODE)


def fail(folder):
    (folder / "half.txt").write_text("half")
    raise RuntimeError("broken")


def test_made_once_and_again_only_when_something_changed(tmp_path):
    out = tmp_path / "a"
    assert make_artifact(out, order(), write_text("x"))
    assert not make_artifact(out, order(), write_text("x"))
    assert make_artifact(out, order(size=2), write_text("x"))
    assert make_artifact(out, order(size=2), write_text("x"), force=True)
    doc = read_manifest(out, "thing")
    assert doc["config"] == {"size": 2}
    assert doc["track"] == "scratch"
    assert {"versions", "git", "argv", "seconds", "peak_mib", "device", "written"} <= set(doc)


def test_what_depends_on_a_changed_input_is_stale_and_equal_bytes_are_no_change(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    make_artifact(a, order(), write_text("x"))
    assert make_artifact(b, order(before=a), write_text("y"))
    make_artifact(a, order(size=2), write_text("x"))  # another setting, the same bytes
    assert not make_artifact(b, order(before=a), write_text("y"))
    make_artifact(a, order(size=3), write_text("z"))
    assert make_artifact(b, order(before=a), write_text("y"))


def test_a_deleted_or_cut_file_is_made_again(tmp_path):
    out = tmp_path / "a"
    make_artifact(out, order(), write_text("x"))
    (out / "a.txt").unlink()
    assert make_artifact(out, order(), write_text("x"))
    (out / "a.txt").write_text("")
    assert make_artifact(out, order(), write_text("x"))


def test_other_bytes_of_the_same_size_are_named_never_read_and_made_again(tmp_path, capsys):
    out = tmp_path / "a"
    make_artifact(out, order(), write_text("x"))
    (out / "a.txt").write_text("y")
    with pytest.raises(DamagedArtifactError, match=r"a\.txt holds other bytes than were written"):
        artifact_file(out, "a.txt")
    with pytest.raises(DamagedArtifactError, match="got damage"):
        make_artifact(tmp_path / "b", order(before=out), write_text("z"))
    assert make_artifact(out, order(), write_text("x"))
    assert f"{out} must be as it was written; got damage" in capsys.readouterr().out
    assert artifact_file(out, "a.txt").read_text() == "x"


def changed_manifest(text):
    doc = json.loads(text)
    doc["config"]["size"] = 7
    return json.dumps(doc)


@pytest.mark.parametrize(
    "damage",
    [changed_manifest, lambda t: "", lambda t: "{}", lambda t: "null", lambda t: "[" * 9999,
     lambda t: t[:100]],
)  # fmt: skip
def test_a_manifest_that_was_changed_is_not_believed(tmp_path, damage):
    out = tmp_path / "a"
    make_artifact(out, order(), write_text("x"))
    path = out / "manifest.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(DamagedArtifactError, match=r"manifest\.json is not as it was written"):
        read_manifest(out)


@pytest.fixture
def strangers(tmp_path):
    """What a user may point --out at by mistake: name -> (path, what is said of it)."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"me")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    make_artifact(tmp_path / "with notes", order(), write_text("x"))
    (tmp_path / "with notes" / "notes.md").write_text("mine")
    make_artifact(tmp_path / "other", ArtifactSpec("other", {}, {}, CODE), write_text("x"))
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "manifest.json").write_text('{"name": "a web app", "files": {}}')
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("photos", r"holds me\.jpg and no manifest"),
        ("file", "got a file"),
        ("link", "got a link"),
        ("with notes", r"holds notes\.md too"),
        ("other", "another kind"),
        ("web", "no manifest of imclust's"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_imclust_did_not_make_is_never_replaced(strangers, name, found, force):
    def contents():
        return {p: p.read_bytes() for p in strangers.rglob("*") if p.is_file()}

    before = contents()
    with pytest.raises(InputError, match=found):
        make_artifact(strangers / name, order(), fail, force=force)
    assert contents() == before


def test_somebodys_folder_under_the_name_of_work_in_progress_stays(tmp_path):
    (tmp_path / ".a.partial").mkdir()
    (tmp_path / ".a.partial" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="somebody's files"):
        make_artifact(tmp_path / "a", order(), write_text("x"))
    assert (tmp_path / ".a.partial" / "mine.txt").read_text() == "mine"


def test_changed_code_of_the_method_is_a_change(tmp_path, monkeypatch):
    make_artifact(tmp_path / "a", order(), write_text("x"))
    monkeypatch.setattr(artifacts, "code_digest", lambda *m: "edited")
    assert make_artifact(tmp_path / "a", order(), write_text("x"))


def test_failure_leaves_the_old_artefact_and_no_half_one(tmp_path):
    out = tmp_path / "a"
    make_artifact(out, order(), write_text("x"))
    with pytest.raises(RuntimeError, match="broken"):
        make_artifact(out, order(size=2), fail)
    assert (out / "a.txt").read_text() == "x"
    assert not list(tmp_path.rglob("half.txt"))


def test_work_that_was_killed_before_its_note_was_there_is_begun_anew(tmp_path):
    partial = tmp_path / ".a.partial"
    partial.mkdir()
    (partial / f".{artifacts.KEY}.new").write_text('{"half')
    make_artifact(tmp_path / "a", order(), write_text("x"))
    assert not partial.exists()


def test_kept_partial_work_is_found_by_the_same_order_only(tmp_path):
    out = tmp_path / "a"
    with pytest.raises(RuntimeError, match="broken"):
        make_artifact(out, order(), fail, keep_partial=True)

    def look(folder):
        return {"found": (folder / "half.txt").exists()}

    partial = tmp_path / ".a.partial"
    saved = tmp_path / "saved"
    shutil.copytree(partial, saved)
    make_artifact(out, order(size=2), look, keep_partial=True)
    assert read_manifest(out)["found"] is False
    shutil.copytree(saved, partial)
    make_artifact(out, order(), look, keep_partial=True)
    assert read_manifest(out)["found"] is True


@pytest.mark.parametrize("old_there", [True, False])
def test_a_kill_between_the_renames_is_mended(tmp_path, old_there):
    out = tmp_path / "a"
    make_artifact(out, order(), write_text("new"))
    out.rename(tmp_path / ".a.partial")
    if old_there:
        make_artifact(tmp_path / "b", order(size=2), write_text("old"))
        (tmp_path / "b").rename(tmp_path / ".a.old")
    assert not make_artifact(out, order(), fail)
    assert (out / "a.txt").read_text() == "new"
    assert not (tmp_path / ".a.old").exists()


def hold(out, ready):
    def write(folder):
        ready.set()
        time.sleep(60)
        return {}

    make_artifact(out, order(), write)


def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    first = context.Process(target=hold, args=(tmp_path / "a", ready))
    first.start()
    assert ready.wait(60)
    with pytest.raises(InputError, match="while another process is at work"):
        make_artifact(tmp_path / "a", order(), write_text("x"))
    first.kill()
    first.join()
    assert make_artifact(tmp_path / "a", order(), write_text("x"))


def test_missing_or_wrong_input_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="a finished artefact; got no manifest"):
        make_artifact(tmp_path / "b", order(before=tmp_path / "a"), write_text("y"))
    make_artifact(tmp_path / "a", order(), write_text("x"))
    with pytest.raises(InputError, match="of kind 'features'; got 'thing'"):
        Features.load(tmp_path / "a")


def test_one_open_input_makes_everything_after_it_open(tmp_path):
    make_artifact(tmp_path / "a", order(), lambda f: {"track": "open"})
    make_artifact(tmp_path / "b", order(before=tmp_path / "a"), write_text("y"))
    assert read_manifest(tmp_path / "b")["track"] == "open"


def test_an_artefact_given_by_two_paths_is_one(tmp_path, monkeypatch):
    make_artifact(tmp_path / "a", order(), write_text("x"))
    make_artifact(tmp_path / "b", order(before=tmp_path / "a"), write_text("y"))
    monkeypatch.chdir(tmp_path)
    made = lineage(Path("b"), tmp_path / "a", tmp_path / "b")
    assert [str(path) for path in made] == ["a", "b"]
    assert [step["place"] for step in steps(lineage(Path("a"), tmp_path / "b"))] == ["a", "b"]


def test_lineage_survives_a_move_of_the_whole_folder(tmp_path):
    top = tmp_path / "top"
    make_artifact(top / "a", order(), write_text("x"))
    make_artifact(top / "b", order(before=top / "a"), write_text("y"))
    moved = top.rename(tmp_path / "moved")
    assert [p.name for p in lineage(moved / "b")] == ["a", "b"]


def features(tmp_path, ids=("a", "b", "c")):
    f = Features(np.array(ids), np.array(["train", "train", "val"]), np.eye(3, dtype=np.float32))
    make_artifact(tmp_path / "f", ArtifactSpec("features", {}, {}, CODE), f.save)
    return Features.load(tmp_path / "f")


def test_features_are_joined_by_id(tmp_path):
    f = features(tmp_path)
    np.testing.assert_array_equal(f.at(np.array(["c", "a"])), np.eye(3)[[2, 0]])
    assert f.part("val").ids.tolist() == ["c"]
    assert f.part("none").x.shape == (0, 3)
    assert isinstance(f.part("train").x, np.memmap)
    with pytest.raises(InputError, match="1 of 2 unknown, the first 'z'"):
        f.at(np.array(["a", "z"]))


def test_features_with_nan_are_not_written(tmp_path):
    x = np.array([[np.nan]], np.float32)
    with pytest.raises(InputError, match="finite"):
        Features(np.array(["a"]), np.array(["train"]), x).save(tmp_path)


def test_assignment_round_trip(tmp_path):
    p = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    a = Assignment(np.array(["x", 'quote " and, comma']), np.array(["train"] * 2), p)
    make_artifact(tmp_path / "a", ArtifactSpec("assignment", {}, {}, CODE), a.save)
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
