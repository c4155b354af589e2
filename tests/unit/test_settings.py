"""The baseline's settings: one declaration for flags and environment, refused by name."""

import pytest

from helpers import make_arrays
from imclust.__main__ import main
from imclust.cli.baseline import BaselineRun
from imclust.cli.parser import parse
from imclust.cli.run_paths import check_writable, data_set_name, folder_name, run_name
from imclust.cli.settings import Baseline
from imclust.core.errors import InputError


@pytest.mark.parametrize("text", ["1", "true", "Yes", "on"])
def test_truth_values_may_be_spelled(text):
    assert Baseline.from_environment({"SET_ASIDE_CORRUPT": text}).set_aside_corrupt is True


@pytest.mark.parametrize("text", ["0", "false", "NO", "off", ""])
def test_what_says_no_is_off(text):
    assert Baseline.from_environment({"SET_ASIDE_CORRUPT": text}).set_aside_corrupt is False


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SET_ASIDE_CORRUPT", "maybe", ("SET_ASIDE_CORRUPT", "true", "'maybe'")),
        ("RECIPE", "litteral", ("RECIPE", "fast, literal, scratch-best", "'litteral'")),
        ("FINETUNE", "yes", ("FINETUNE", "self, published")),
        ("PREDICTOR", "nope", ("PREDICTOR", "homework, auto", "kmeans")),
        ("PREDICTOR", "Auto", ("PREDICTOR", "take auto")),
        ("ENCODER", "tim", ("ENCODER", "take timm")),
        ("CHALLENGE", "photo", ("CHALLENGE", "take photos")),
        ("K", "two", ("K", "a whole number or auto")),
        ("K", "1", ("K", "at least 2")),
        ("K", "0", ("K", "at least 2")),
        ("SEED", "-1", ("SEED", "from 0 to 4294967295")),
        ("SEED", "4294967296", ("SEED", "from 0 to 4294967295")),
        ("SEED", "1.5", ("SEED", "a whole number")),
        ("RUN", "a/b", ("RUN", "leave out slashes")),
        ("NAME", "..", ("NAME", "the name of a folder")),
        ("CLUSTER_FLAGS", "'open", ("CLUSTER_FLAGS", "close the quotation")),
        ("BUDGET", "5m", ("BUDGET", "RECIPE=scratch-best")),
        ("INIT_ENCODER", "vgg-ae", ("INIT_ENCODER", "local-aggregation")),
        ("CHALLENGE", "online", ("BOARD", "kaggle:<name>")),
        # Variables that are none of ours, but nearly.
        ("N_CLUSTERS", "3", ("N_CLUSTERS", "write K")),
        ("CHALENGE", "hw9", ("CHALENGE", "write CHALLENGE")),
        ("RECPIE", "scratch-best", ("RECPIE", "write RECIPE")),
        ("BUGDET", "60s", ("BUGDET", "write BUDGET")),
        ("DATADIR", "x", ("DATADIR", "write DATA_DIR")),
        ("ENCODERS", "x", ("ENCODERS", "write ENCODER")),
        ("challenge", "hw9", ("challenge", "write CHALLENGE")),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(name, value, words):
    with pytest.raises(InputError) as caught:
        Baseline.from_environment({name: value})
    for word in words:
        assert word in str(caught.value)


def test_variables_of_other_programs_are_left_alone():
    others = ("HOSTNAME", "LOGNAME", "USERNAME", "RUNNER", "KEY", "SHELL", "DATA", "PYTHONHASHSEED")
    assert Baseline.from_environment(dict.fromkeys(others, "x")) == Baseline()


def test_a_budget_is_checked_where_it_counts():
    env = {"RECIPE": "scratch-best", "BUDGET": "5 s"}
    assert Baseline.from_environment(env).budget == "5 s"
    with pytest.raises(InputError, match=r"BUDGET .* such as 90s"):
        Baseline.from_environment(env | {"BUDGET": "5x"})


def test_a_flag_beats_the_environment(monkeypatch):
    monkeypatch.setenv("CHALLENGE", "digits")
    monkeypatch.setenv("K", "auto")
    _, cfg = parse(["baseline", "--k", "3", "--cluster-flags", "--proportions uniform"])
    assert (cfg.challenge, cfg.k) == ("digits", 3)
    assert cfg.words("cluster_flags") == ["--proportions", "uniform"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--encoder", "pixels", "--weights", "x"], ("WEIGHTS", "ENCODER=pixels")),
        (
            ["--challenge", "digits", "--encoder", "vgg16", "--weights", "/no/file"],
            ("WEIGHTS", "does not exist"),
        ),
        (["--challenge", "arrays"], ("DATA_DIR (--data-dir)", "given for this challenge")),
        (["--challenge", "arrays", "--data-dir", "/no/folder"], ("DATA_DIR", "does not exist")),
        (["--challenge", "folder", "--data-dir", "."], ("K (--k)", "K=auto")),
        (["--encoder", "timm"], ("an encoder that photos allows", "--allow-rule-violation")),
        (["--cluster-flags", "--proporions uniform"], ("cluster", "take --proportions")),
        (
            ["--cluster-flags", "--searches 0", "--recipe", "scratch-best"],
            ("searches must be", "got 0"),
        ),
        (["--encoder-flags", "--epochs 0"], ("--epochs", "at least 1")),
        (["--recipe", "scratch-best", "--encoder", "pixels"], ("without ENCODER",)),
        (["--recipe", "litteral"], ("litteral", "scratch-best")),
        (["--predictr", "auto"], ("--predictr", "take --predictor")),
    ],
)
def test_what_can_be_told_beforehand_is_refused_before_any_work(
    flags, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["baseline", *flags]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in words:
        assert word in said
    assert list(tmp_path.iterdir()) == []


def test_runs_are_named_after_what_decides_them(tmp_path):
    def name(**settings):
        return BaselineRun(Baseline(workspace=tmp_path, **settings)).at.run

    assert run_name("timm", "auto", 2, 0) == "timm-auto-k2-seed0"
    assert name() == "conv-ae-homework-seed0"
    assert name(challenge="blitz7", data_dir=tmp_path, k=2, encoder="timm") == (
        "timm-auto-k2-seed42"
    )
    assert name(recipe="literal", encoder="pixels") == "pixels-homework-literal-seed0"
    several = [
        name(),
        name(k=3),
        name(k="auto"),
        name(seed=1),
        name(predictor="kmeans"),
        name(encoder="pixels"),
        name(finetune="self"),
        name(recipe="literal"),
        name(recipe="scratch-best"),
        name(recipe="scratch-best", budget="2m"),
        name(cluster_flags="--proportions uniform"),
        name(cluster_flags="--row-order smooth"),
        name(encoder_flags="--proportions uniform"),
        name(submit_flags="--known 0,1"),
    ]
    assert len(set(several)) == len(several)
    assert name(run="mine", k=3) == "mine"


def test_data_sets_of_one_name_do_not_share_a_folder(tmp_path, capsys):
    for name in ("photos.v1", "photos.v2"):
        make_arrays(tmp_path / name)
    names = [data_set_name("arrays", tmp_path, tmp_path / f"photos.v{i}") for i in (1, 2)]
    assert names == ["arrays-photos.v1", "arrays-photos.v2"]
    (tmp_path / "a.v1.zip").write_bytes(b"")
    assert data_set_name("folder", tmp_path, tmp_path / "a.v1.zip") == "folder-a.v1"
    first, other = tmp_path / "photos.v1", make_arrays(tmp_path / "else" / "photos.v1")
    out = tmp_path / "data" / "raw" / "arrays-photos.v1"
    assert main(["download", "--out", str(out), "arrays", "--data-dir", str(first)]) == 0
    assert data_set_name("arrays", tmp_path, first) == "arrays-photos.v1"
    assert data_set_name("arrays", tmp_path, other).startswith("arrays-photos.v1-")
    flagged = data_set_name("photos", tmp_path, flags=["--seed", "1"])
    assert flagged != data_set_name("photos", tmp_path)
    address = "https://www.kaggle.com/c/some-task"
    assert data_set_name("online", tmp_path, board=address) == "www.kaggle.com-c-some-task"
    assert len(folder_name("x" * 500)) <= 80


def test_a_workspace_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(InputError, match=r"WORKSPACE.* a file"):
        check_writable(tmp_path)
    check_writable(tmp_path / "not" / "yet" / "there")
