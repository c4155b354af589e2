"""Exports, each opened by the program's own reader where that can be installed beside the tests."""

import json
import shutil
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from helpers import two_kinds
from imclust.__main__ import main
from imclust.core.errors import InputError
from imclust.report.exports import EXPORTS, label_names
from imclust.report.finished_run import FinishedRun
from imclust.report.results import FolderAssignment, read_csv
from imclust.training.pretrained import vision

N = 20
ODD = ("sub/a.png", "sub2/a.png", 'it\'s "q" <&> 🌧.png', "-1.png", "new\nline.png")
MADE = {
    "imagefolder": "", "coco": ".json", "label-studio": "", "fiftyone": "", "parquet": ".parquet"
}  # fmt: skip


ImageFolder = vision("torchvision").datasets.ImageFolder


def stage(line):
    assert main(line.split()) == 0, line


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace with a small run and all of its exports."""
    top = tmp_path_factory.mktemp("exports")
    for i, x in enumerate(two_kinds(N)[0]):
        path = top / "x" / (ODD[i] if i < len(ODD) else f"{i}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).resize((20, 30)).save(path)
    (top / "x" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    run = f"{top}/run"
    stage(f"download --out {top}/raw --set-aside-corrupt folder --data-dir {top}/x")
    stage(f"train --index {top}/raw/index --out {top}/w pixels")
    stage(f"encode --index {top}/raw/index --weights {top}/w --out {top}/z")
    stage(f"reduce --features {top}/z --out {top}/map pca --components 2")
    stage(f"cluster --features {top}/z --index {top}/raw/index --out {run}/clusters "
          "--n-clusters 2 kmeans")  # fmt: skip
    stage(f"report --assignment {run}/clusters --embedding {top}/map --out {run}/report")
    for name, suffix in MADE.items():
        stage(f"export {run} --out {top}/{name}{suffix} {name}")
    return top


@pytest.fixture(scope="module")
def rows(place):
    """file -> row of the assignment, and the run."""
    found = FinishedRun.load(place / "run")
    assert len(found.clustering.rows) == N
    return {row.file: row for row in found.clustering.rows}


def test_every_format_is_tested_here():
    assert {entry.name for entry in EXPORTS} == set(MADE)


def test_torchvision_reads_the_image_folder(place, rows):
    data = ImageFolder(str(place / "imagefolder"))
    assert data.classes == ["0", "1"]
    clusters = [row.cluster for row in rows.values()]
    assert sorted(data.targets) == sorted(clusters)
    assert data[0][0].size == (20, 30)
    want = sorted((r.cluster, (place / "x" / f).read_bytes()) for f, r in rows.items())
    assert sorted((c, Path(path).read_bytes()) for path, c in data.samples) == want


def test_links_are_read_as_well(place, rows):
    stage(f"export {place}/run --out {place}/links imagefolder --symlinks")
    data = ImageFolder(str(place / "links"))
    found = {str(Path(path).resolve().relative_to(place / "x")): c for path, c in data.samples}
    assert found == {file: row.cluster for file, row in rows.items()}
    assert all(Path(path).is_symlink() for path, _ in data.samples)


def test_pycocotools_reads_the_json(place, rows, capsys):
    from pycocotools.coco import COCO

    data = COCO(str(place / "coco.json"))
    assert [c["name"] for c in data.loadCats(data.getCatIds())] == ["cluster 0", "cluster 1"]
    for cluster in (0, 1):
        images = data.loadImgs(data.getImgIds(catIds=[cluster + 1]))
        assert {i["file_name"] for i in images} == {
            f for f, row in rows.items() if row.cluster == cluster
        }
        assert {(i["width"], i["height"]) for i in images} == {(20, 30)}
    notes = data.loadAnns(data.getAnnIds())
    assert len(notes) == N
    assert {tuple(a["bbox"]) for a in notes} == {(0, 0, 20, 30)}
    capsys.readouterr()


def test_label_studio_takes_the_tasks(place):
    """Where its kit is installed, which brings half a GiB."""
    kit = pytest.importorskip("label_studio_sdk.label_interface")
    interface = kit.LabelInterface((place / "label-studio" / "config.xml").read_text())
    interface.validate()
    tasks = json.loads((place / "label-studio" / "tasks.json").read_text())
    for task in tasks:
        assert interface.validate_prediction(task["predictions"][0])
        task["predictions"][0]["result"][0]["value"] = {"choices": ["no such cluster"]}
        assert not interface.validate_prediction(task["predictions"][0])


def test_label_studio_has_tasks_of_its_documented_form(place, rows):
    config = ET.parse(place / "label-studio" / "config.xml").getroot()
    image, choices = config.find("Image"), config.find("Choices")
    allowed = [choice.get("value") for choice in choices.iter("Choice")]
    assert allowed == ["cluster 0", "cluster 1"]
    assert choices.get("toName") == image.get("name")
    tasks = json.loads((place / "label-studio" / "tasks.json").read_text())
    assert len(tasks) == N
    for task in tasks:
        url = task["data"][image.get("value").removeprefix("$")]
        at = place / unquote(url.removeprefix("/data/local-files/?d="))
        row = rows[at.relative_to(place / "x").as_posix()]
        [guess] = task["predictions"]
        assert 0 <= guess["score"] <= 1
        [result] = guess["result"]
        assert (result["type"], result["from_name"], result["to_name"]) == (
            "choices", choices.get("name"), image.get("name")
        )  # fmt: skip
        assert result["value"] == {"choices": [allowed[row.cluster]]}


def test_fiftyone_has_its_two_files(place, rows):
    """Read by the importers of fiftyone 1.22.1 too, by hand: it brings a database."""
    labels = json.loads((place / "fiftyone" / "labels.json").read_text())
    where = json.loads((place / "fiftyone" / "data.json").read_text())
    assert labels["classes"] == ["cluster 0", "cluster 1"]
    assert labels["labels"].keys() == where.keys()
    for key, path in where.items():
        row = rows[Path(path).relative_to(place / "x").as_posix()]
        found = labels["labels"][key]
        assert found == {"label": f"cluster {row.cluster}", "confidence": row.confidence}


def test_pyarrow_reads_the_table(place, rows):
    from pyarrow.parquet import read_table

    table = read_table(place / "parquet.parquet").to_pylist()
    assert {r["file"] for r in table} == set(rows)
    x = np.load(place / "map" / "x.npy", allow_pickle=False)
    at = {i: n for n, i in enumerate(np.load(place / "map" / "ids.npy", allow_pickle=False))}
    for r in table:
        row = rows[r["file"]]
        assert (r["cluster"], r["label"]) == (row.cluster, f"cluster {row.cluster}")
        assert (r["x"], r["y"]) == tuple(x[at[r["id"]]])
        assert Path(r["path"]) == place / "x" / r["file"]


def test_the_table_of_the_run_is_what_was_exported(place):
    table = read_csv(place / "run" / "clusters" / "assignment.csv")
    assert len(table) == N


def test_nothing_is_replaced_and_what_is_wrong_is_said(place, capsys):
    def said(line):
        assert main(line.split()) == 2
        return capsys.readouterr().err

    before = (place / "coco.json").read_bytes()
    assert "must be free" in said(f"export {place}/run --out {place}/coco.json coco")
    assert (place / "coco.json").read_bytes() == before
    assert "outside of the images" in said(f"export {place}/run --out {place}/x/c.json coco")
    assert "make it first" in said(f"export {place}/run --out {place}/no/c.json coco")
    assert "finished one" in said(f"export {place}/nothing --out {place}/c.json coco")


def test_an_answer_that_rests_on_something_older_is_refused(place, tmp_path, capsys):
    for name in ("raw", "w", "z", "run", "x"):
        shutil.copytree(place / name, tmp_path / name)
    stage(f"train --index {tmp_path}/raw/index --out {tmp_path}/w pixels --size 8")
    stage(f"encode --index {tmp_path}/raw/index --weights {tmp_path}/w --out {tmp_path}/z")
    assert main(f"export {tmp_path}/run --out {tmp_path}/c.json coco".split()) == 2
    assert "rests on an earlier" in capsys.readouterr().err


def test_no_two_clusters_are_called_alike():
    def names(*given):
        return label_names(FolderAssignment([], [], [], list(given)))

    assert names("cat", "", "dog") == ["cat", "cluster 1", "dog"]
    assert names("cat", "cat", "") == ["cat (cluster 0)", "cat (cluster 1)", "cluster 2"]
    assert len(set(names("cluster 1", "", "cluster 1"))) == 3


def test_images_in_an_archive_go_where_no_files_are_needed(tmp_path, place, capsys):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        for file in sorted((place / "x").glob("*.png"))[:12]:
            if file.name != "broken.png":
                z.write(file, file.name)
    stage(f"download --out {tmp_path}/raw folder --data-dir {tmp_path}/x.zip")
    stage(f"train --index {tmp_path}/raw/index --out {tmp_path}/w pixels")
    stage(f"encode --index {tmp_path}/raw/index --weights {tmp_path}/w --out {tmp_path}/z")
    stage(f"cluster --features {tmp_path}/z --index {tmp_path}/raw/index "
          f"--out {tmp_path}/run/clusters --n-clusters 2 kmeans")  # fmt: skip
    for name in ("imagefolder", "coco", "parquet"):
        stage(f"export {tmp_path}/run --out {tmp_path}/{name} {name}")
    for name in ("label-studio", "fiftyone"):
        assert main(f"export {tmp_path}/run --out {tmp_path}/{name} {name}".split()) == 2
    assert "files of their own" in capsys.readouterr().err
    with pytest.raises(InputError):
        FinishedRun.load(tmp_path)
