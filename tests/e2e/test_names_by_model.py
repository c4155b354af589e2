"""`cluster-folder --name-by`: a stranger's folder, named by a model that looks at its pictures."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from chat_server import NAMES, serving
from imclust import cluster_folder
from imclust.__main__ import main
from imclust.competitions.clients import vision_model as clients

RUN = "data/runs/folder-pictures/timm-auto-k3-seed0"


def pictures(folder, numbers):
    rng = np.random.default_rng(min(numbers))
    folder.mkdir(exist_ok=True)
    for n in numbers:
        x = rng.integers(0, 60, (96, 128, 3), np.uint8)
        x[..., n % 3] += 150
        Image.fromarray(x).save(folder / f"{n:02}.jpg")


def names_of(at):
    with (at / RUN / "assignments.csv").open() as f:
        return {row["file"]: row["name"] for row in csv.DictReader(f)}


def test_a_folder_is_named_grows_and_keeps_its_names_when_the_model_fails(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clients, "PATIENCE", replace(clients.PATIENCE, wait=0.01))
    pictures(tmp_path / "pictures", range(12))

    def visit(*more):
        line = "cluster-folder pictures --n-clusters 3 --effort quick --name-model eye"
        status = main([*line.split(), "--name-by", server.address, *more])
        return status, *capsys.readouterr()

    with serving() as server:
        server.faults = [500] * 3
        status, out, err = visit()
        assert status == 7
        assert "status 500" in err
        assert "look at it: " in out  # all but the names is made
        assert set(names_of(tmp_path).values()) != set(NAMES)
        page = tmp_path / RUN / "report" / "report.html"
        assert "--name-by" in page.read_text()  # in the command that refreshes it

        status, out, err = visit()
        assert (status, err) == (0, "")
        assert {f: NAMES.index(name) for f, name in names_of(tmp_path).items()} == {
            f"{n:02}.jpg": n % 3 for n in range(12)
        }
        assert f"by eye at 127.0.0.1:{server.server_port}" in page.read_text()
        assert [len(seen) for _, seen in server.asked] == [4, 4, 4]
        requests = len(server.seen)

        # A visit that does not speak of the model keeps what it said.
        assert main(["cluster-folder", "pictures", "--n-clusters", "3", "--effort", "quick"]) == 0
        assert set(names_of(tmp_path).values()) == set(NAMES)
        assert f"by eye at 127.0.0.1:{server.server_port}" in page.read_text()
        capsys.readouterr()

        pictures(tmp_path / "pictures", range(12, 15))
        status, out, err = visit()
        assert status == 0
        assert "3 new pictures" in out
        assert len(set(names_of(tmp_path).values())) == 3
        assert names_of(tmp_path)["12.jpg"] == NAMES[0]
        assert len(server.seen) == requests  # names that are there are kept: nothing is sent

    status, out, err = visit()  # nobody is there, and nobody is needed
    assert status == 0
    result = cluster_folder(
        "pictures", 3, effort="quick", name_by=server.address, name_model="another"
    )
    assert result.n_clusters == 3
    assert set(result.clustering.names) == set(NAMES)  # those that are there stand
    assert "start the server there" in str(result.unmet[0])
    assert "start the server there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (["--name-by", "http://127.0.0.1:9/v1", "--name-model", "eye"], 7, "start the server"),
        (["--name-by", "http://127.0.0.1:9/v1"], 2, "no --name-model"),
        (["--name-model", "eye"], 2, "used with --name-by"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_work(
    tmp_path, monkeypatch, capsys, flags, status, words
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clients, "PATIENCE", replace(clients.PATIENCE, wait=0.01))
    pictures(tmp_path / "pictures", range(12))
    assert main(["cluster-folder", "pictures", *flags]) == status
    assert words in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
