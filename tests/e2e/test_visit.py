"""A stranger's mixed folder, visit by visit: what is in it, corrections, new pictures, undo."""

import csv
import io
import json
import sys
from contextlib import redirect_stdout

import cv2
import numpy as np
import pytest
from PIL import Image

from imclust.__main__ import main
from imclust.competitions.handover.run import described
from imclust.competitions.replay_plan import plan_of
from imclust.core.manifest import file_digest
from imclust.data import find_images

SIZES = {"moss": 67, "bark": 33, "sand": 12, "frost": 5}
STYLES = {  # ground, ink, shape
    "moss": ((40, 90, 45), (110, 170, 70), "disc"),
    "bark": ((150, 110, 80), (90, 60, 45), "bar"),
    "sand": ((215, 190, 130), (170, 130, 70), "box"),
    "frost": ((190, 210, 235), (250, 250, 255), "line"),
    "coral": ((230, 110, 100), (120, 20, 60), "ring"),
}
COPIES, RESAVED = 10, 5  # of the first kind, in its number
RUN = "data/runs/folder-mixed/timm-auto-k4-seed0"
COMMAND = ("cluster-folder", "mixed", "--n-clusters", "4", "--effort", "quick")


def pictures(kind, n):
    """Pictures of one kind, each drawn anew: shapes and colours are the kind's."""
    rng = np.random.default_rng(list(kind.encode()))
    ground, ink, shape = STYLES[kind]
    return [Image.fromarray(drawing(rng, ground, ink, shape)) for _ in range(n)]


def drawing(rng, ground, ink, shape):
    picture = np.full((96, 96, 3), np.array(ground) + rng.integers(-15, 16, 3), np.uint8)
    for _ in range(int(rng.integers(12, 20))):
        x, y = rng.integers(4, 92, 2).tolist()
        colour = (np.array(ink) + rng.integers(-25, 26, 3)).clip(0, 255).tolist()
        size = int(rng.integers(5, 11))
        if shape == "disc":
            cv2.circle(picture, (x, y), size, colour, -1)
        elif shape == "ring":
            cv2.circle(picture, (x, y), size + 3, colour, 2)
        elif shape == "bar":
            cv2.rectangle(picture, (x, 0), (x + size // 2, 96), colour, -1)
        elif shape == "line":
            cv2.line(picture, (x, y), (96 - y, x), colour, 2)
        else:
            cv2.rectangle(picture, (x, y), (x + size, y + size), colour, -1)
    return (picture + rng.normal(0, 5, picture.shape)).clip(0, 255).astype(np.uint8)


def make_folder(at):
    """118 pictures of four kinds and one odd one, three spoilt, a text, a HEIC; kind of each."""
    at.mkdir()
    kinds = {}
    for kind, n in SIZES.items():
        own = n - (COPIES + RESAVED if kind == "moss" else 0)
        for i, image in enumerate(pictures(kind, own)):
            kinds[f"{kind}{i:02}.png"] = kind
            image.save(at / f"{kind}{i:02}.png")
    for i in range(COPIES):
        kinds[f"copy{i}.png"] = "moss"
        (at / f"copy{i}.png").write_bytes((at / f"moss{i:02}.png").read_bytes())
    for i in range(COPIES, COPIES + RESAVED):
        kinds[f"saved{i}.jpg"] = "moss"
        Image.open(at / f"moss{i:02}.png").save(at / f"saved{i}.jpg", quality=80)
    Image.fromarray(np.full((96, 96, 3), 4, np.uint8)).save(at / "night.png")
    whole = (at / "moss00.png").read_bytes()
    (at / "half.png").write_bytes(whole[: len(whole) // 2])
    (at / "empty.jpg").write_bytes(b"")
    (at / "page.jpg").write_text("<!DOCTYPE html><html>404</html>")
    (at / "notes.txt").write_text("holiday")
    (at / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    return kinds


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace with the folder; HEIC cannot be read there, whatever is installed."""
    at = tmp_path_factory.mktemp("visit")
    Image.init()  # what it registers later would go when the patch is taken back
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(at)
        patch.setitem(sys.modules, "pillow_heif", None)
        patch.delitem(Image.OPEN, "HEIF", raising=False)
        patch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "HEIF"])
        for cached in (find_images._register_heif, find_images.image_suffixes):
            cached.cache_clear()
        yield at, make_folder(at / "mixed")
    for cached in (find_images._register_heif, find_images.image_suffixes):
        cached.cache_clear()


def visit(*more, command=COMMAND):
    """The command, in this process; what it said."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert main([*command, *map(str, more)]) == 0
    return out.getvalue()


def rows(at, name="assignments.csv"):
    with (at / RUN / name).open(newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def clusters(at):
    return {row["file"]: int(row["cluster"]) for row in rows(at)}


def test_the_visits(place, one_thread):
    at, kinds = place
    # First: what is there, and where it goes.
    out = visit()
    assert "121 pictures found, 2 files left out: 1 .txt, 1 HEIC" in out
    assert "3 files that cannot be read: empty.jpg, half.png, page.jpg" in out
    assert "118 pictures to cluster" in out
    assert "afresh" not in out
    first = clusters(at)
    assert len(first) == 118
    look = [row["what"] for row in rows(at, "look_at.csv")]
    assert look.count("exact copy") == COPIES
    assert look.count("near copy") == RESAVED
    assert sum(what.startswith("cannot be read") for what in look) == 3
    assert {row["file"] for row in rows(at, "look_at.csv") if row["what"] == "dark"} == {
        "night.png"
    }
    assert len(rows(at, "set_aside.csv")) == 3
    home = {kind: majority([first[f] for f in kinds if kinds[f] == kind]) for kind in SIZES}
    assert {first[f] for f in kinds if kinds[f] == "bark"} == {home["bark"]}
    assert sum(c == home["bark"] for c in first.values()) == SIZES["bark"]
    again = visit()
    assert "everything was up to date" in again

    # Corrections stay: two moved into a new cluster, one pinned, two clusters named.
    said = {
        "format": "imclust-corrections-1",
        "names": {"4": "favourites", str(home["moss"]): "moss"},
    }
    said["assignment"] = file_digest(at / RUN / "clusters" / "assignment.csv")
    said["move"] = {"bark00.png": 4, "bark01.png": 4, "sand00.png": first["sand00.png"]}
    (at / "said.json").write_text(json.dumps(said))
    out = visit("--corrections", "said.json", "--symlinks")
    assert "2 moved; 1 pinned; new clusters: 1; named: 2" in out
    corrected = clusters(at)
    assert {f for f in first if corrected[f] != first[f]} == {"bark00.png", "bark01.png"}

    still_open = file_digest(at / RUN / "clusters" / "assignment.csv")

    # New pictures: four of a kind that is there, nine of one that is not, and one has gone.
    for i, image in enumerate(pictures("moss", 71)[67:]):
        image.save(at / "mixed" / f"later{i}.png")
    for i, image in enumerate(pictures("coral", 9)):
        image.save(at / "mixed" / f"coral{i}.png")
    (at / "mixed" / "night.png").unlink()
    out = visit()
    grown = clusters(at)
    assert "the clusters are those of the last visit: 13 new pictures, 1 gone" in out
    assert f"placed among them: 4 in cluster {home['moss']} (moss)" in out
    assert "new cluster 5: 9 pictures, too unlike all that was there" in out
    assert "add --fresh" in out
    assert "corrected by hand before that: 2 moved" in out
    # What clusters grew from cannot be taken back alone, which is said.
    assert main([*COMMAND, "--without-corrections"]) == 2
    assert len(grown) == 130
    assert {f: c for f, c in grown.items() if f in corrected} == {
        f: c for f, c in corrected.items() if f != "night.png"
    }
    assert {row["name"] for row in rows(at) if row["cluster"] == "4"} == {"favourites"}
    page = (at / RUN / "report" / "report.html").read_text(encoding="utf-8")
    assert "favourites" in page
    links = at / RUN / "by-cluster"
    assert len([p for p in links.rglob("*") if p.is_symlink()]) == 130
    out = visit()
    assert "no new pictures, 130 where they were" in out
    assert "everything was up to date" in out

    # What was damaged since is named, and grows again to the same.
    table = at / RUN / "clusters" / "assignment.csv"
    whole = table.read_bytes()
    table.write_bytes(whole.replace(b",train,4", b",train,3"))
    assert "got damage: assignment.csv" in visit()
    assert table.read_bytes() == whole

    # Saved from a page that was opened before all that: its new cluster is the next one now.
    said = {"format": "imclust-corrections-1", "assignment": still_open, "names": {"5": "knots"}}
    said["move"] = {"bark02.png": 4, "bark03.png": 5, "night.png": 0}
    (at / "late.json").write_text(json.dumps(said))
    out = visit("--corrections", "late.json")
    assert "speaks of 1 image now gone: moves wait until they come back" in out
    assert "changed place" not in out
    assert "too unlike" not in out
    late = clusters(at)
    assert {f: c for f, c in late.items() if grown[f] != c} == {"bark02.png": 4, "bark03.png": 6}
    assert {row["name"] for row in rows(at) if row["cluster"] == "6"} == {"knots"}
    assert "everything was up to date" in visit()

    # What they grew from is taken as it is where the run is made again elsewhere.
    index = at / "data/raw/folder-mixed/index"
    words = ("--assignment", at / RUN / "clusters", "--index", index, "--out", at / "answer")
    visit(*words, command=("submit",))
    plan = plan_of(at / "answer")
    assert [(plan.base / name).resolve() for name in plan.given] == [(at / RUN / "base").resolve()]
    assert described(plan)["data"] == ["001.json", "mixed"]
    # A page older than corrections that are kept speaks of numbers that are no more.
    said["move"] = {"bark04.png": 4}
    (at / "older.json").write_text(json.dumps(said))
    assert main([*COMMAND, "--corrections", "older.json"]) == 2
    assert clusters(at) == late

    # Corrected once more, upon what grew: nothing of before is lost.
    said = {
        "format": "imclust-corrections-1",
        "names": {"5": "coral"},
        "merge": [[4, home["bark"]]],
    }
    said["assignment"] = file_digest(at / RUN / "clusters" / "assignment.csv")
    (at / "more.json").write_text(json.dumps(said))
    visit("--corrections", "more.json")
    merged = clusters(at)
    assert max(merged.values()) == 5
    assert main([*COMMAND, "--corrections", "older.json"]) == 2
    assert clusters(at) == merged
    names = {row["file"]: row["name"] for row in rows(at)}
    assert (names["coral0.png"], names["moss00.png"]) == ("coral", "moss")
    assert merged["bark00.png"] == merged["bark05.png"]

    # Undo: of these; of sorting; and of everything, which is said before any work.
    visit("--without-corrections")
    assert clusters(at) == grown
    sort = ("sort", RUN, "--into", "sorted", "--how", "move")
    visit("--yes", command=sort)
    assert not (at / "mixed" / "moss00.png").exists()
    visit("--undo", "--yes", command=("sort", "--into", "sorted"))
    assert (at / "mixed" / "moss00.png").is_file()
    assert main([*COMMAND, "--fresh"]) == 2
    assert clusters(at) == grown
    out = visit("--fresh", "--without-corrections")
    assert "all pictures were clustered afresh" in out
    assert len(list((at / RUN / "corrections-left-out").iterdir())) == 3
    assert max(clusters(at).values()) == 3
    assert "everything was up to date" in visit()


def test_a_picture_that_comes_back_goes_where_it_was_moved_while_it_was_gone(
    tmp_path, monkeypatch, one_thread
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mixed").mkdir()
    for kind in ("moss", "sand"):
        for i, image in enumerate(pictures(kind, 8)):
            image.save(tmp_path / "mixed" / f"{kind}{i}.png")
    command = tuple("2" if word == "4" else word for word in COMMAND)
    run = tmp_path / "data/runs/folder-mixed/timm-auto-k2-seed0"

    def clusters():
        with (run / "assignments.csv").open(newline="") as f:
            return {row["file"]: int(row["cluster"]) for row in csv.DictReader(f)}

    visit(command=command)
    first = clusters()
    page = file_digest(run / "clusters" / "assignment.csv")
    kept = {name: (tmp_path / "mixed" / name).read_bytes() for name in ("moss0.png", "moss1.png")}
    for name in kept:
        (tmp_path / "mixed" / name).unlink()
    visit(command=command)
    other = 1 - first["moss0.png"]
    said = {"format": "imclust-corrections-1", "assignment": page}
    said |= {"move": {"moss0.png": other, "moss2.png": other}}
    (tmp_path / "said.json").write_text(json.dumps(said))
    out = visit("--corrections", "said.json", command=command)
    assert "speaks of 1 image now gone: moves wait until they come back" in out
    for name, data in kept.items():
        (tmp_path / "mixed" / name).write_bytes(data)
    visit(command=command)
    moved = {"moss0.png": other, "moss2.png": other}
    assert clusters() == first | moved  # and the one of which nothing was said is where it was


def majority(found):
    return int(np.bincount(found).argmax())
