"""Sorting for real: complete, taken back byte for byte, safe at every moment."""

import json
import os
import resource
import shutil
import signal
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from imclust.__main__ import main
from imclust.cli.sort import Sort, run
from imclust.core.errors import InputError
from imclust.core.file_moves import bring_file, copy_file
from imclust.data.images import ImageRow, bytes_digest
from imclust.report.results import AssignedImage, FolderAssignment
from imclust.report.sorting import RECORD, Sorting, carry_out, planned_sorting, refuse_unsafe
from imclust.report.unsorting import planned_undoing, undo

FILES = {
    "a.jpg": 0,
    "sub/a.jpg": 0,
    "sub/A.JPG": 0,
    "sub/caf\u00e9.png": 1,
    "other/cafe\u0301.png": 1,
    'it\'s "q" 🌧\n.jpg': 1,
    "x" * 251 + ".jpg": 0,
    "imclust-sorted.json.jpg": 1,
}
NAMES = ("school bus", "")
SHM = Path("/dev/shm")


def answer(top, files=None):
    rows, images = [], []
    for file, cluster in (FILES if files is None else files).items():
        path = top / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        data = f"bytes of {file}".encode()
        path.write_bytes(data)
        os.utime(path, ns=(10**18, 10**18))
        rows.append(AssignedImage(file, cluster, 0.9, 1 - cluster, 0.1, NAMES[cluster]))
        images.append(ImageRow(file, "train", str(path), "", 1, 1, bytes_digest(data)))
    return FolderAssignment(rows, images, [], list(NAMES))


def tree(folder):
    """Every file below a folder: bytes and time of change, or where a link leads."""
    return {
        p.relative_to(folder).as_posix(): os.readlink(p) if p.is_symlink() else
        (p.read_bytes(), p.stat().st_mtime_ns)
        for p in folder.rglob("*") if p.is_symlink() or p.is_file()
    }  # fmt: skip


def sort(clustering, top, how, into=None, xmp=False):
    sorting = planned_sorting(clustering, into or top / "sorted", how, xmp=xmp)
    refuse_unsafe(sorting, clustering.images, top / "images")
    carry_out(sorting)


def take_back(folder):
    sorting = Sorting.load(folder)
    steps = planned_undoing(sorting)
    undo(sorting, steps)
    return {each.file.to: each.why for each in steps if each.why}


def sorted_bytes(folder):
    return {
        c.name: sorted(p.read_bytes() for p in c.iterdir()) for c in folder.iterdir() if c.is_dir()
    }


def wanted(clustering):
    return {
        title: sorted(f"bytes of {r.file}".encode() for r in clustering.rows if r.cluster == c)
        for c, title in enumerate(("0 school bus", "1"))
    }


@pytest.fixture
def other_disk():
    folder = SHM / f"imclust-test-{os.getpid()}"
    if not SHM.is_dir() or SHM.stat().st_dev == Path.cwd().stat().st_dev:
        pytest.skip("no second file system")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("how", ["copy", "move", "link"])
def test_all_images_are_there_once_and_back_byte_for_byte(tmp_path, how):
    clustering = answer(tmp_path)
    before = tree(tmp_path)
    sort(clustering, tmp_path, how, xmp=True)
    folders = sorted_bytes(tmp_path / "sorted")
    for title, files in wanted(clustering).items():
        found = [data for data in folders[title] if data.startswith(b"bytes")]
        assert found == files
        assert len(folders[title]) == 2 * len(files)
    assert bool(tree(tmp_path / "images")) is (how != "move")
    kept = tree(tmp_path)
    sort(clustering, tmp_path, how, xmp=True)  # again: nothing is left to do
    assert tree(tmp_path).keys() == kept.keys()
    assert take_back(tmp_path / "sorted") == {}
    assert tree(tmp_path) == before
    assert not (tmp_path / "sorted").exists()


@pytest.mark.parametrize("how", ["copy", "move"])
def test_across_file_systems(tmp_path, other_disk, how):
    clustering = answer(tmp_path)
    before = tree(tmp_path)
    sort(clustering, tmp_path, how, other_disk / "sorted")
    assert sorted_bytes(other_disk / "sorted") == wanted(clustering)
    assert {p.stat().st_mtime_ns for p in other_disk.rglob("*.jpg")} == {10**18}
    assert take_back(other_disk / "sorted") == {}
    assert tree(tmp_path) == before
    assert list(other_disk.iterdir()) == []


def killed_at(number, do):
    """Run `do` in a process that is killed before its file operation of that number; whether it
    came so far."""
    child = os.fork()
    if not child:
        left = number

        def hook(event, arguments):
            nonlocal left
            writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
            if writes or event in {
                *("os.link", "os.symlink", "os.rename", "os.remove", "os.mkdir", "os.rmdir"),
                *("os.utime", "os.chmod"),
            }:
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

        sys.addaudithook(hook)
        status = 1
        try:
            do()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}
    return status == signal.SIGKILL


FEW = {"a.jpg": 0, "sub/a.jpg": 1}


@pytest.mark.parametrize(
    ("how", "across"),
    [("copy", False), ("move", False), ("link", False), ("move", True)],
)
def test_a_kill_at_any_file_operation_loses_nothing(tmp_path, how, across, request):
    """It can be taken back from there, and it can go on from there."""
    disk = request.getfixturevalue("other_disk") if across else tmp_path / "b"
    disk.mkdir(exist_ok=True)
    into = disk / "sorted"
    xmp = how == "link"
    for then in ("back", "on"):
        number = 0
        while True:
            shutil.rmtree(tmp_path / "images", ignore_errors=True)
            clustering = answer(tmp_path, FEW)
            before = tree(tmp_path / "images")
            dead = killed_at(number, lambda c=clustering: sort(c, tmp_path, how, into, xmp))
            everywhere = [*tree(tmp_path).values(), *tree(disk).values()]
            assert set(before.values()) <= {  # with its time, but for a copy that is half made
                e for e in everywhere if not isinstance(e, str)
            }
            if then == "on":
                sort(clustering, tmp_path, how, into, xmp)
                assert len(tree(into)) == (1 + xmp) * len(FEW) + 1
                assert Sorting.load(into).finished
                assert bool(tree(tmp_path / "images")) is (how != "move")
            if (into / RECORD).exists():
                assert take_back(into) == {}
            assert tree(tmp_path / "images") == before
            left = set(tree(disk))
            assert left <= {"sorted/.imclust-sorted.json.new"}  # killed before anything was sorted
            shutil.rmtree(into, ignore_errors=True)
            if not dead:
                break
            number += 1
        assert number > 8


@pytest.mark.parametrize("how", ["copy", "move", "link"])
def test_a_kill_while_it_is_taken_back(tmp_path, how):
    number = 0
    while True:
        shutil.rmtree(tmp_path / "images", ignore_errors=True)
        clustering = answer(tmp_path, FEW)
        before = tree(tmp_path)
        sort(clustering, tmp_path, how)
        dead = killed_at(number, lambda: take_back(tmp_path / "sorted"))
        if (tmp_path / "sorted" / RECORD).exists():
            assert take_back(tmp_path / "sorted") == {}
        assert tree(tmp_path) == before
        shutil.rmtree(tmp_path / "sorted", ignore_errors=True)
        if not dead:
            break
        number += 1
    assert number > 4


def test_a_full_disk_loses_nothing_and_the_rest_follows(tmp_path, other_disk):
    """A limit on the size of files refuses to write as a full disk does."""
    clustering = answer(tmp_path)
    big = tmp_path / "images" / "sub" / "A.JPG"
    big.write_bytes(bytes(200_000))
    images = [
        ImageRow(i.id, "train", i.source, "", 1, 1, bytes_digest(Path(i.source).read_bytes()))
        for i in clustering.images
    ]
    clustering = FolderAssignment(clustering.rows, images, [], list(NAMES))
    before = tree(tmp_path)
    into = other_disk / "sorted"
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            sort(clustering, tmp_path, "move", into)
        except OSError as e:
            os._exit(40 if "too large" in str(e) else 41)
        os._exit(42)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 40
    assert big.is_file()
    assert not Sorting.load(into).finished
    assert not (into / ".imclust-sorted.partial").exists()
    sort(clustering, tmp_path, "move", into)
    assert not big.exists()
    assert take_back(into) == {}
    assert tree(tmp_path) == before


def test_what_changed_since_is_left_and_said(tmp_path):
    clustering = answer(tmp_path)
    sort(clustering, tmp_path, "move")
    folder = tmp_path / "sorted"
    record = json.loads((folder / RECORD).read_text())
    at = {f["source"]: f["to"] for f in record["files"]}
    images = tmp_path / "images"
    edited = folder / at[str(images / "a.jpg")]
    edited.write_bytes(b"better")
    (images / "sub" / "a.jpg").write_bytes(b"another one")
    (folder / at[str(images / "sub" / "A.JPG")]).unlink()
    (folder / "1" / "mine.txt").write_text("notes")
    why = take_back(folder)
    assert why == {
        at[str(images / "a.jpg")]: "changed since",
        at[str(images / "sub" / "a.jpg")]: f"another file lies at {images / 'sub' / 'a.jpg'}",
        at[str(images / "sub" / "A.JPG")]: f"missing here and at {images / 'sub' / 'A.JPG'}",
    }
    assert edited.read_bytes() == b"better"
    assert (images / "sub" / "a.jpg").read_bytes() == b"another one"
    assert (folder / at[str(images / "sub" / "a.jpg")]).read_bytes() == b"bytes of sub/a.jpg"
    assert (folder / "1" / "mine.txt").is_file()
    assert len(Sorting.load(folder).files) == 3  # what was left or is missing is still on record
    assert (images / "sub/caf\u00e9.png").read_bytes() == "bytes of sub/caf\u00e9.png".encode()


def test_what_changes_between_the_preview_and_the_undoing_is_left(tmp_path):
    sort(answer(tmp_path, FEW), tmp_path, "copy")
    folder = tmp_path / "sorted"
    sorting = Sorting.load(folder)
    steps = planned_undoing(sorting)
    edited = folder / steps[0].file.to
    edited.write_bytes(b"better")
    done = undo(sorting, steps)
    assert [each.why for each in done if each.why] == ["changed since"]
    assert edited.read_bytes() == b"better"
    assert [f.to for f in Sorting.load(folder).files] == [steps[0].file.to]


def test_what_was_renamed_in_between_comes_back_when_it_has_its_name_again(tmp_path):
    clustering = answer(tmp_path, FEW)
    before = tree(tmp_path)
    sort(clustering, tmp_path, "move")
    folder = tmp_path / "sorted"
    (cluster,) = {Path(f.to).parent for f in Sorting.load(folder).files if f.to.startswith("0")}
    (folder / cluster).rename(tmp_path / "elsewhere")
    assert all(why.startswith("missing here") for why in take_back(folder).values())
    (tmp_path / "elsewhere").rename(folder / cluster)
    assert take_back(folder) == {}
    assert tree(tmp_path) == before


def test_an_undo_that_does_not_bring_all_back_fails_and_counts_sidecars_apart(tmp_path, capsys):
    sort(answer(tmp_path), tmp_path, "move", xmp=True)
    folder = tmp_path / "sorted"
    pictures = [folder / f.to for f in Sorting.load(folder).files if f.source]
    undo_it = ["sort", "--into", str(folder), "--undo", "--yes"]
    pictures[0].rename(tmp_path / "elsewhere")
    assert main(undo_it) == 2
    said = capsys.readouterr()
    n = len(pictures)
    assert f"     0  taken away, and {n} sidecars\n" in said.out
    assert f"\n{n - 1:>6}  moved back\n     1  missing" in said.out
    assert "every picture must be back where it was; got 1 not, the first" in said.err
    pictures[0].parent.mkdir()
    (tmp_path / "elsewhere").rename(pictures[0])
    assert main(undo_it) == 0
    assert "as it was before the sorting" in capsys.readouterr().out


@pytest.mark.parametrize("inside", [False, True])
def test_an_original_behind_a_link_lets_its_copy_be_taken_away(tmp_path, inside):
    clustering = answer(tmp_path, FEW)
    sort(clustering, tmp_path, "copy")
    folder = tmp_path / "sorted"
    file = Sorting.load(folder).files[0]
    source, copy = Path(file.source), folder / file.to
    real = copy if inside else tmp_path / "real"
    if not inside:
        source.rename(real)
    else:
        source.unlink()  # the copy is all there is
    source.symlink_to(real)
    left = take_back(folder)
    assert (file.to in left) == inside
    assert source.read_bytes()


def test_a_copy_whose_original_has_gone_goes_back_to_its_place(tmp_path):
    clustering = answer(tmp_path, FEW)
    before = tree(tmp_path)
    sort(clustering, tmp_path, "copy")
    shutil.rmtree(tmp_path / "images")
    assert take_back(tmp_path / "sorted") == {}
    assert tree(tmp_path) == before


def test_nothing_is_replaced_and_it_is_said_before_any_work(tmp_path):
    clustering = answer(tmp_path, FEW)
    before = tree(tmp_path / "images")
    mine = tmp_path / "sorted" / "0 school bus"
    mine.mkdir(parents=True)
    for name in os.listdir(tmp_path / "images"):
        (mine / name).mkdir() if name == "sub" else (mine / name).write_text("mine")
    [plain] = [f for f in planned_sorting(clustering, tmp_path / "sorted", "move").files
               if f.to.startswith("0")]  # fmt: skip
    (tmp_path / "sorted" / plain.to).write_text("mine")
    with pytest.raises(InputError, match=r"1 file that would be replaced: 0 school bus/a"):
        sort(clustering, tmp_path, "move")
    (tmp_path / "sorted" / plain.to).unlink()
    (tmp_path / "sorted" / f"{plain.to}.xmp").write_text("my keywords")
    with pytest.raises(InputError, match=r"would be replaced: 0 school bus/a\S+\.xmp"):
        sort(clustering, tmp_path, "move", xmp=True)
    assert tree(tmp_path / "images") == before
    assert (tmp_path / "sorted" / f"{plain.to}.xmp").read_text() == "my keywords"
    assert not (tmp_path / "sorted" / RECORD).exists()


def test_what_is_no_safe_sorting_is_refused(tmp_path):
    clustering = answer(tmp_path, FEW)
    with pytest.raises(InputError, match="outside of the images"):
        sort(clustering, tmp_path, "copy", tmp_path / "images" / "sorted")
    with pytest.raises(InputError, match="does not exist; make it first"):
        sort(clustering, tmp_path, "copy", tmp_path / "no" / "sorted")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder; got a file"):
        sort(clustering, tmp_path, "copy", tmp_path / "file")
    image = Path(clustering.images[0].source)
    image.write_bytes(b"edited")
    with pytest.raises(InputError, match=r"1 that are not, the first .* has changed"):
        sort(clustering, tmp_path, "move")
    image.rename(tmp_path / "elsewhere.jpg")
    with pytest.raises(InputError, match="has gone"):
        sort(clustering, tmp_path, "link")
    image.symlink_to(tmp_path / "elsewhere.jpg")
    with pytest.raises(InputError, match="behind a link"):
        sort(clustering, tmp_path, "move")
    assert not (tmp_path / "sorted").exists()


def test_a_record_that_was_edited_decides_nothing(tmp_path):
    clustering = answer(tmp_path, FEW)
    sort(clustering, tmp_path, "move")
    record = tmp_path / "sorted" / RECORD
    was = record.read_text()
    record.write_text(was.replace("images/a.jpg", "images/b.jpg"))
    with pytest.raises(InputError, match="as imclust wrote it"):
        Sorting.load(tmp_path / "sorted")
    record.write_text(was)
    with pytest.raises(InputError, match="free for a sorting; got another sorting, finished"):
        sort(clustering, tmp_path, "copy")


def test_images_of_an_archive_are_copied_and_not_moved(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        z.writestr("a/b.jpg", b"one")
    image = ImageRow("b", "train", str(tmp_path / "x.zip"), "a/b.jpg", 1, 1, bytes_digest(b"one"))
    row = AssignedImage("a/b.jpg", 0, 0.9, 1, 0.1, "")
    clustering = FolderAssignment([row], [image], [], ["", ""])
    for how in ("move", "link"):
        with pytest.raises(InputError, match="take --how copy"):
            sort(clustering, tmp_path, how)
    before = tree(tmp_path)
    sort(clustering, tmp_path, "copy")
    assert (tmp_path / "sorted" / "0" / "b.jpg").read_bytes() == b"one"
    assert take_back(tmp_path / "sorted") == {}
    assert tree(tmp_path) == before


def test_sidecars_hold_the_name_as_a_keyword(tmp_path):
    clustering = answer(tmp_path)
    named = FolderAssignment(
        [r._replace(name="cats & <dogs>\x07" if r.cluster == 0 else "") for r in clustering.rows],
        clustering.images, [], ["cats & <dogs>\x07", ""],
    )  # fmt: skip
    sort(named, tmp_path, "link", xmp=True)
    words = set()
    for path in (tmp_path / "sorted").rglob("*.xmp"):
        assert path.with_suffix("").is_symlink()
        subject = ET.parse(path).getroot().find(".//{http://purl.org/dc/elements/1.1/}subject")
        [word] = [e.text for e in subject.iter() if e.tag.endswith("}li")]
        words.add((path.parent.name, word))
    assert words == {("0 cats & _dogs__", "cats & <dogs>"), ("1", "cluster 1")}


def test_a_file_that_came_in_between_is_not_replaced(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    digest = bytes_digest(b"a")
    for bring in (bring_file, copy_file):
        with pytest.raises(InputError, match="must be free"):
            bring(tmp_path / "a", tmp_path / "b", tmp_path / "partial", digest)
    with pytest.raises(InputError, match="other bytes"):
        copy_file(tmp_path / "b", tmp_path / "c", tmp_path / "partial", digest)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "a", "b": "b"}


def test_the_command_wants_to_know_where_and_of_which_run(tmp_path):
    with pytest.raises(InputError, match="--into must be given"):
        run(Sort(tmp_path))
    with pytest.raises(InputError, match="the run to sort must be given"):
        run(Sort(into=tmp_path / "x"))
    with pytest.raises(InputError, match="the folder of a finished one"):
        run(Sort(tmp_path, tmp_path / "x"))
    with pytest.raises(InputError, match="a folder that imclust sorted into; got no record"):
        run(Sort(into=tmp_path, undo=True))
