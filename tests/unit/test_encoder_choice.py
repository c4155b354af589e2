"""`--encoder strong`: two networks of the hub, here small ones of random weights in its cache."""

import csv
import http.server
import io
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save, save_file

from helpers import two_kinds
from imclust.__main__ import main
from imclust.cli import encoder_choice
from imclust.cli.encoder_choice import STRONG, HubNetwork
from imclust.core.log import shown_by
from imclust.core.manifest import read_manifest
from imclust.core.records import feature_folders
from imclust.training import pretrained
from imclust.training.pretrained import vision

SMALL = (
    HubNetwork("test_vit.r160_in1k", 2, "Apache-2.0", ("--size", "96")),
    HubNetwork("test_efficientnet.r160_in1k", 2, "Apache-2.0"),
)
RUN = Path("data/runs/folder-pictures/strong-auto-k2-seed0")
COMMAND = ("cluster-folder", "pictures", "--n-clusters", "2", "--effort", "quick")


def weights_of(name):
    """A network's state at random, with its classifier, as its publisher has it."""
    return vision("timm").create_model(name, num_classes=1000).state_dict()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache with the two networks in it, and no way to the hub."""
    hub = tmp_path / "hub"
    for network in SMALL:
        home = hub / f"models--timm--{network.model}"
        snapshot = home / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text("0" * 40)
        save_file(weights_of(network.model), snapshot / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(encoder_choice, "STRONG", SMALL)
    monkeypatch.chdir(tmp_path)
    return hub


@pytest.fixture
def nowhere(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("unreachable")

    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr("urllib.request.getproxies", dict)


def test_two_spaces_jointly_and_the_bundled_network_for_names(cache, tmp_path, nowhere):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "later").mkdir()
    for i, x in enumerate(two_kinds(20)[0]):
        Image.fromarray(x).save(tmp_path / ("pictures" if i < 16 else "later") / f"{i}.png")
    assert main([*COMMAND, "--encoder", "strong"]) == 0
    spaces = feature_folders(RUN / "clusters")
    assert len(spaces) == 2
    docs = [read_manifest(f / read_manifest(f)["inputs_at"]["weights"]) for f in spaces]
    assert [d["config"]["model"] for d in docs] == [n.model for n in SMALL]
    assert docs[0]["config"]["size"] == 96
    assert [d["weights_from"] for d in docs] == [f"timm/{n.model}" for n in SMALL]
    assert all(d["track"] == "open" for d in docs)
    named = read_manifest(RUN / "names")["inputs_at"]["features"]
    assert "mean_std" in named  # the bundled network's layers
    with (RUN / "assignments.csv").open(newline="") as f:
        assert len(list(csv.DictReader(f))) == 16
    # Further pictures go through the same two networks, and light remains a run of its own.
    assert main([*COMMAND, "--encoder", "strong", "--new", "later"]) == 0
    with (RUN / "new-later" / "assignments.csv").open(newline="") as f:
        assert len(list(csv.DictReader(f))) == 4
    assert not RUN.with_name("timm-auto-k2-seed0").exists()


def test_offline_it_is_one_sentence_before_any_work(tmp_path, monkeypatch, nowhere, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for i, x in enumerate(two_kinds(16)[0]):
        Image.fromarray(x).save(tmp_path / "pictures" / f"{i}.png")
    for command in (COMMAND, ("run", "folder", "--data-dir", "pictures")):
        flags = ["--encoder", "strong"]
        where = 1 if command[0] == "run" else len(command)
        assert main([*command[:where], *flags, *command[where:]]) == 2
        said = capsys.readouterr().err
        assert len(said.strip().splitlines()) == 1
        for network in STRONG:
            told = f"timm/{network.model} ({network.mebibytes} MiB, {network.licence})"
            assert told in said
        assert "hf download" in said
        assert "--encoder light" in said
    assert not (tmp_path / "data").exists()


def test_where_nothing_pretrained_may_look_it_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--encoder", "strong", "hw9"]) == 2
    assert "--encoder must be light here" in capsys.readouterr().err


def test_sizes_and_licences_that_are_told_are_timms():
    import torch

    timm = vision("timm")
    for network in STRONG:
        about = timm.get_pretrained_cfg(network.model)
        assert about.hf_hub_id == f"timm/{network.model}"
        assert about.license.lower() == network.licence.lower()
        with torch.device("meta"):
            made = timm.create_model(network.model, num_classes=about.num_classes)
        size = sum(p.numel() for p in made.parameters()) * 4 / 2**20
        assert abs(size - network.mebibytes) < 1


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as a file needs."""

    content = b""

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("X-Repo-Commit", "1" * 40)
        self.send_header("ETag", '"abc"')
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *args):
        pass


@contextmanager
def served(content):
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), type("One", (Hub,), {"content": content})
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_it_is_fetched_with_a_bar_and_lies_in_the_cache_then(tmp_path, monkeypatch):
    name = SMALL[0].model
    content = save(weights_of(name))
    bars = []

    def bar(items, what, **settings):
        from tqdm import tqdm

        bars.append(tqdm(items, disable=False, file=io.StringIO(), **settings))
        return bars[-1]

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with served(content) as endpoint, shown_by(bar, lambda text: None):
        there = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", there)
        got = pretrained.fetch_from_hub(f"timm/{name}")
    assert got.read_bytes() == content
    assert (bars[0].total, bars[0].n) == (len(content), len(content))
    assert pretrained.in_hub_cache(f"timm/{name}")
    assert replace(SMALL[0]).words() == ("--model", name, "--size", "96")
