"""Settings that could not mean what they say are refused, by every command in the same words."""

import subprocess
import sys

import numpy as np
import pytest

from helpers import environment, imclust_in, make_arrays, two_kinds
from imclust import __main__ as door
from imclust import cluster_folder, cluster_latents
from imclust.__main__ import main
from imclust.cli.parser import parse, parse_stage
from imclust.clustering.reducers import REDUCERS
from imclust.core.checks import seconds
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest
from imclust.core.reproducibility import pick_device
from imclust.estimators import LatentClusterer

NEEDED = {
    "train": ["--index", "i", "--out", "o", "pixels"],
    "encode": ["--index", "i", "--weights", "w", "--out", "o"],
    "reduce": ["--features", "f", "--out", "o", "pca"],
    "cluster": ["--features", "f", "--index", "i", "--out", "o", "kmeans"],
    "finetune": ["--index", "i", "--weights", "w", "--out", "o", "--published", "p"],
    "plan": ["--index", "i", "--out", "o"],
    "download": ["--out", "o", "photos"],
    "run": ["photos"],
    "cluster-folder": ["x"],
    "baseline": [],
}


def refusal(stage, *flags):
    *first, last = NEEDED[stage] or [""]
    words = [*first, *flags, last] if stage in {"train", "reduce", "cluster", "run"} else [
        *NEEDED[stage][:0], *flags, *NEEDED[stage]
    ]  # fmt: skip
    with pytest.raises(InputError) as caught:
        parse([stage, *words])
    return str(caught.value)


@pytest.mark.parametrize("stage", sorted(NEEDED.keys() - {"encode", "plan", "download"}))
@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_a_seed_that_not_every_generator_takes(stage, seed):
    assert "from 0 to 4294967295" in refusal(stage, "--seed", seed)


def test_python_refuses_the_same_seeds(tmp_path):
    x = np.zeros((4, 2), np.float32)
    for seed in (-1, 2**32, 0.5, True):
        with pytest.raises(InputError, match="from 0 to 4294967295"):
            cluster_latents(x, 2, "kmeans", seed)
    with pytest.raises(InputError, match="from 0 to 4294967295"):
        cluster_folder(tmp_path, 2, seed=-1)
    with pytest.raises(ValueError, match="from 0 to 4294967295"):
        LatentClusterer(2, random_state=-1).fit(x + np.arange(4)[:, None])
    with pytest.raises(InputError, match="from 0 to 4294967295"):
        parse(["download", "--out", "o", "photos", "--seed", "-1"])


@pytest.mark.parametrize("stage", ["train", "encode", "finetune", "plan"])
@pytest.mark.parametrize("device", ["meta", "cpu:7", "gpu", "cuda:x", "mps:3", ""])
def test_a_device_of_no_such_name(stage, device):
    assert "one of auto, cpu, cuda" in refusal(stage, f"--device={device}")


def test_a_device_that_is_not_there():
    import torch

    there = torch.cuda.device_count()
    with pytest.raises(InputError, match="one that this machine has"):
        pick_device(f"cuda:{there}")
    assert pick_device("cpu") == "cpu"


@pytest.mark.parametrize("stage", ["cluster", "run", "cluster-folder", "download"])
@pytest.mark.parametrize("k", ["0", "1", "-3"])
def test_fewer_than_two_clusters(stage, k):
    assert "at least 2" in refusal(stage, "--n-clusters", k)


@pytest.mark.parametrize("flags", [["--epochs", "0"], ["--batch", "0"], ["--epochs", "-1"]])
def test_a_training_of_nothing(flags):
    with pytest.raises(InputError, match="at least 1"):
        parse(["train", "--index", "i", "--out", "o", "conv-ae", *flags])
    assert "at least 1" in refusal("finetune", *flags)
    assert "at least 1" in refusal("train", "--steps", "0")


@pytest.mark.parametrize("method", ["pca", "kernel-pca"])
def test_more_components_than_there_can_be(method):
    x = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)
    entry = REDUCERS[method]
    possible = 5 if method == "pca" else 12
    with pytest.raises(InputError, match=f"at most {possible}"):
        entry.method(x, entry.config(components=99_999), 0)
    assert entry.method(x, entry.config(components=possible), 0).embedding.shape == (12, possible)
    assert entry.method(x, entry.config(), 0).embedding.shape == (12, possible)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5 s", 5), ("90s", 90), ("1.5m", 90), (" 1h ", 3600), ("7", 7), (".5", 0.5)],
)
def test_times(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "5 x", "-1s", "0", "1e3", "nan", "inf", "5ss", "1_0s"])
def test_no_times(text):
    with pytest.raises(InputError, match="a time such as"):
        seconds(text)


def test_links_into_an_archive_are_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.zip").write_bytes(b"")
    assert main(["cluster-folder", "x.zip", "--n-clusters", "2", "--symlinks"]) == 2
    assert "take --copy" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["x.zip"]


def test_the_k_of_download_is_kept_for_cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from PIL import Image

    (tmp_path / "x").mkdir()
    for i, image in enumerate(two_kinds(6)[0]):
        Image.fromarray(image).save(tmp_path / "x" / f"{i}.png")
    source = ["folder", "--data-dir", "x"]
    assert main(["download", "--out", "raw", "--n-clusters", "3", *source]) == 0
    assert read_manifest(tmp_path / "raw/index")["n_clusters"] == 3
    assert main(["train", "--index", "raw/index", "--out", "w", "pixels"]) == 0
    assert main(["encode", "--index", "raw/index", "--weights", "w", "--out", "z"]) == 0
    words = ["cluster", "--features", "z", "--index", "raw/index", "--out"]
    assert main([*words, "c", "kmeans"]) == 0
    assert read_manifest(tmp_path / "c")["n_clusters"] == 3
    assert main([*words, "d", "--n-clusters-from", "c", "kmeans"]) == 0
    assert read_manifest(tmp_path / "d")["config"]["n_clusters"] == 3
    with pytest.raises(InputError, match="one of them"):
        parse([*words, "d", "--n-clusters-from", "c", "--n-clusters", "2", "kmeans"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run --challenge", ("a word of its own, as in python -m imclust run hw9",)),
        ("run --challenge hw9", ("a word of its own, as in python -m imclust run hw9",)),
        ("cluster --featurse x auto", ("got --featurse", "take --features")),
        ("cluster --features a --index b --out c autoo", ("got autoo", "take auto")),
        ("cluster --features a --index b --out c auto --efort quick", ("take --effort",)),
        ("cluster --features a --index b --out c", ("one of auto, co-kmeans",)),
        (
            "cluster --features a --index b --out c --n-clusters x auto",
            ("a whole number or auto", "'x'"),
        ),
        ("cluster --features a auto", ("--index and --out of cluster must be given",)),
        ("download --out c arrays", ("--data-dir of download must be given",)),
        ("encode --index a --weights b --out c --zzz 3", ("got --zzz", "encode --help")),
        ("encode --index", ("--index must be followed by a value",)),
        ("train --index a --out b conv-ae --recipe litteral", ("got 'litteral'", "take literal")),
        ("clutser", ("stage must be one of", "take cluster")),
    ],
)
def test_what_the_parser_cannot_read_is_one_short_sentence(line, words):
    with pytest.raises(InputError) as caught:
        parse(line.split())
    said = str(caught.value)
    for word in words:
        assert word in said
    assert "helptext" not in said
    assert "(required)" not in said
    assert said.count("; ") <= 2
    assert "\n" not in said


def test_a_command_is_parsed_once():
    assert parse_stage(("leaderboard",)) is parse_stage(("leaderboard",))


def test_an_unexpected_error_is_a_sentence_and_a_log_without_keys(tmp_path, monkeypatch, capsys):
    def fail(argv):
        raise RuntimeError("at https://x?api_key=abc123 with my-planted-key")

    monkeypatch.setattr(door, "parse", fail)
    monkeypatch.setattr(door.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("KAGGLE_KEY", "my-planted-key")
    monkeypatch.delenv("IMCLUST_DEBUG", raising=False)
    assert main(["train", "--index", "i"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "unexpected RuntimeError" in said
    [log] = tmp_path.iterdir()
    assert str(log) in said
    text = log.read_text()
    assert "Traceback" in text
    assert "['train', '--index', 'i']" in text
    for secret in ("my-planted-key", "abc123"):
        assert secret not in text + said
    monkeypatch.setenv("IMCLUST_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main(["train"])


def test_the_device_is_known_once_torch_is(tmp_path):
    """The first artefact of a process may be recorded before torch is loaded."""
    code = (
        "from imclust.core.reproducibility import environment\n"
        "import sys\n"
        "before = environment()\n"
        "assert 'torch' not in sys.modules\n"
        "import torch\n"
        "torch.cuda.is_available = lambda: True\n"
        "torch.cuda.get_device_name = lambda: 'A GPU'\n"
        "after = environment()\n"
        "print(before['device'], after['device'], before['git'] == after['git'])"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "cpu A GPU True", done.stderr


def test_nothing_heavy_is_loaded_when_nothing_is_to_be_done(tmp_path):
    make_arrays(tmp_path / "tiny")
    flags = f"--challenge arrays --data-dir tiny --encoder pixels --workspace {tmp_path}".split()
    heavy = "{'torch', 'sklearn', 'numba', 'matplotlib', 'scipy', 'openTSNE'}"
    code = (
        "import sys\nfrom imclust.__main__ import main\n"
        f"assert main(['baseline', *{flags!r}]) == 0\n"
        f"print('loaded:', sorted({heavy} & set(sys.modules)))"
    )
    assert imclust_in(tmp_path, "baseline", *flags)[0] == 0
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded: []\n")
