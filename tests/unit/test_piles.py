"""Folders of links by cluster: complete, distinct, and nobody else's files lost."""

import csv
import os
import shutil
import zipfile

import pytest

from imclust.core.errors import InputError
from imclust.data.images import ImageRow
from imclust.report.cluster_folders import write_cluster_folders
from imclust.report.results import AssignedImage, FolderAssignment

FILES = {
    "a.jpg": 0,
    "sub/a.jpg": 0,
    "sub/A.JPG": 0,
    "sub/b.jpg": 1,
    'it\'s "q" 🌧\n.jpg': 1,
    "x" * 240 + ".jpg": 0,
    "y/" + "x" * 240 + ".jpg": 0,
    ".imclust.json.jpg": 1,
}


def made(folder, files=None, names=("", "")):
    rows, images = [], []
    for file, cluster in (FILES if files is None else files).items():
        path = folder / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
        rows.append(AssignedImage(file, cluster, 0.9, 1 - cluster, 0.1))
        images.append(ImageRow(file, "train", str(path), "", 1, 1, file))
    return FolderAssignment(rows, images, [], list(names))


def contents(folder):
    """What each link or copy holds, by cluster."""
    return {
        c.name: sorted(p.read_text() for p in c.iterdir()) for c in folder.iterdir() if c.is_dir()
    }


def wanted(answer):
    return {answer.title(c): sorted(r.file for r in answer.rows if r.cluster == c) for c in (0, 1)}


@pytest.mark.parametrize("copy", [False, True])
def test_every_image_is_there_once_under_its_cluster(tmp_path, copy):
    answer = made(tmp_path)
    assert write_cluster_folders(tmp_path / "piles", answer, copy=copy)
    assert contents(tmp_path / "piles") == wanted(answer)
    assert (tmp_path / "piles" / "1" / "b.jpg").is_symlink() is not copy
    assert {len(p.name.encode()) <= 255 for p in tmp_path.rglob("*")} == {True}
    assert not write_cluster_folders(tmp_path / "piles", answer, copy=copy)  # it is there already


def test_names_of_clusters_become_names_of_folders(tmp_path):
    answer = made(tmp_path, names=("cats/dogs:", ""))
    write_cluster_folders(tmp_path / "piles", answer, copy=False)
    assert sorted(p.name for p in (tmp_path / "piles").iterdir() if p.is_dir()) == [
        "0 cats_dogs_",
        "1",
    ]


def test_no_cell_of_a_table_is_a_formula(tmp_path):
    files = {"=1+1.jpg": 0, "-a.jpg": 0, "@b.jpg": 1, "+c/d.jpg": 1, "e=f.jpg": 1}
    answer = made(tmp_path, files, names=("=HYPERLINK(1)", "sea"))
    answer = FolderAssignment(
        [r._replace(name=answer.names[r.cluster]) for r in answer.rows],
        answer.images, [("=x.jpg", "broken")], answer.names,
    )  # fmt: skip
    answer.write(tmp_path)
    with (tmp_path / "assignments.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert not [v for row in rows for v in row.values() if v.startswith(("=", "+", "-", "@"))]
    there = [(tmp_path / "images" / row["file"]).read_text() for row in rows]
    assert there == list(files)  # the paths are those of the very same files
    assert [row["name"] for row in rows] == ["'=HYPERLINK(1)"] * 2 + ["sea"] * 3
    assert "./=x.jpg,broken" in (tmp_path / "set_aside.csv").read_text()


def test_another_answer_takes_the_place_of_an_older_one(tmp_path):
    write_cluster_folders(tmp_path / "piles", made(tmp_path), copy=False)
    other = made(tmp_path, {file: 1 - c for file, c in FILES.items()})
    assert write_cluster_folders(tmp_path / "piles", other, copy=True)
    assert contents(tmp_path / "piles") == wanted(other)
    assert [p.name for p in tmp_path.iterdir() if "piles" in p.name] == ["piles"]


@pytest.mark.parametrize("change", ["add", "folder", "edit", "replace", "remove", "foreign"])
def test_what_somebody_put_there_is_kept(tmp_path, change, capsys):
    piles = tmp_path / "piles"
    write_cluster_folders(piles, made(tmp_path), copy=True)
    if change == "add":
        (piles / "0" / "mine.txt").write_text("mine")
    elif change == "folder":
        (piles / "mine").mkdir()
    elif change == "edit":
        (piles / "1" / "b.jpg").write_text("mine")
    elif change == "replace":
        (piles / "1" / "b.jpg").unlink()
        (piles / "1" / "b.jpg").symlink_to("/mine")
    elif change == "remove":
        (piles / "1" / "b.jpg").unlink()
    else:
        shutil.rmtree(piles)
        piles.mkdir()
        (piles / "mine.txt").write_text("mine")
    before = sorted((p.name, os.path.lexists(p)) for p in piles.rglob("*"))
    answer = made(tmp_path, {file: 1 - c for file, c in FILES.items()})
    assert write_cluster_folders(piles, answer, copy=False)
    kept = tmp_path / "piles (1)"
    assert sorted((p.name, os.path.lexists(p)) for p in kept.rglob("*")) == before
    assert contents(piles) == wanted(answer)
    assert "kept as" in capsys.readouterr().out
    (piles / "again").mkdir()
    write_cluster_folders(piles, made(tmp_path), copy=False)
    assert (tmp_path / "piles (2)" / "again").is_dir()


def test_images_in_an_archive_are_copied_and_never_linked(tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as z:
        z.writestr("s/a.jpg", "first")
        z.writestr("t/a.jpg", "second")
    rows = [AssignedImage(f"{s}/a.jpg", 0, 1.0, 1, 0.0) for s in "st"]
    images = [ImageRow(r.file, "train", str(tmp_path / "images.zip"), r.file) for r in rows]
    answer = FolderAssignment(rows, images, [], ["", ""])
    with pytest.raises(InputError, match=r"files of their own; got images in .*; add --copy"):
        write_cluster_folders(tmp_path / "piles", answer, copy=False)
    assert [p.name for p in tmp_path.iterdir()] == ["images.zip"]  # nothing half-written
    write_cluster_folders(tmp_path / "piles", answer, copy=True)
    assert contents(tmp_path / "piles") == {"0": ["first", "second"]}
