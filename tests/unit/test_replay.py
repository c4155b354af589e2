import importlib
import typing
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from imclust.__main__ import STAGES
from imclust.competitions.replay import changed_environment, copy_fetched, differing_files
from imclust.competitions.replay_plan import (
    DROPPED,
    MANY,
    PATHS,
    REPLAYED,
    SHARES,
    Origin,
    _as_long,
    plan_of,
)
from imclust.core.artifacts import ArtifactSpec, make_artifact, recorded_command
from imclust.core.errors import InputError
from imclust.core.registry import Registry

CODE = ("checks",)


def path_fields(config):
    """Flags of a config, and of those in it, that hold paths: name -> whether several."""
    found = {}
    for name, hint in typing.get_type_hints(config, include_extras=True).items():
        kinds = {hint, *typing.get_args(hint)}
        if Path in kinds:
            found["--" + name.replace("_", "-")] = typing.get_origin(hint) is tuple
        for kind in kinds:
            configs = [e.config for e in kind] if isinstance(kind, Registry) else [kind]
            for each in filter(is_dataclass, configs):
                found |= path_fields(each)
    return found


@pytest.mark.parametrize(
    ("doc", "length"),
    [
        ({"steps": 9, "planned": 9, "cuts": []}, ["--steps", "9"]),
        (
            {"steps": 5, "planned": 9, "cuts": [[3, 7], [5, 5]]},
            ["--cuts", "3:7", "5:5", "--steps", "9"],
        ),
        ({"steps": 5, "planned": 9}, ["--steps", "5"]),  # of a program that did not say where
    ],
)
def test_a_training_under_a_budget_is_one_of_its_steps(doc, length):
    words = ["train", "--out", "w", "--budget", "4s", "simclr", "--width", "8"]
    assert _as_long(words, doc) == ["train", "--out", "w", *length, "simclr", "--width", "8"]


def test_every_flag_of_a_path_is_known():
    """A new path in a stage or a method must be told to replay."""
    found = {}
    for stage in REPLAYED:
        module = importlib.import_module(f"imclust.stages.{stage}")
        found |= path_fields(getattr(module, STAGES[stage][0]))
    assert {"--data-dir", "--anchors", "--features"} <= set(found)  # it looks into methods
    assert set(found) - {"--out", "--check", *DROPPED} == PATHS
    assert {name for name, several in found.items() if several} == MANY


def other_fields(config):
    """Flags of a config, and of those in it, that hold something else than paths."""
    found = set()
    for name, hint in typing.get_type_hints(config, include_extras=True).items():
        kinds = {hint, *typing.get_args(hint)}
        configs = [e.config for kind in kinds if isinstance(kind, Registry) for e in kind] + list(
            filter(is_dataclass, kinds)
        )
        if configs:
            found |= set().union(*map(other_fields, configs))
        elif Path not in kinds:
            found.add("--" + name.replace("_", "-"))
    return found


def test_a_number_is_not_taken_for_the_path_that_has_its_name_elsewhere():
    """`download imagefolder --published 0.25` is a share; of `finetune` it is an artefact."""
    same = {
        (stage, flag)
        for stage in REPLAYED
        for flag in other_fields(
            getattr(importlib.import_module(f"imclust.stages.{stage}"), STAGES[stage][0])
        )
        & PATHS
    }
    assert same == SHARES


@pytest.mark.parametrize(
    ("declared", "real", "text", "found"),
    [
        ("data/x", "/ws/data/x", "my/y", "/ws/my/y"),
        ("./data/x/", "/ws/data/x", "/else/y", "/else/y"),
        ("../x", "/ws/x", "../y", "/ws/y"),
        ("/ws/data/x", "/ws/data/x", "/ws/data/y", "/ws/data/y"),
        ("/old/ws/data/x", "/new/ws/data/x", "/old/ws/data/y", "/new/ws/data/y"),
    ],
)
def test_where_a_command_was_run_is_told_from_its_result(declared, real, text, found):
    origin = Origin.of(declared, Path(real))
    moved = origin.now / "y"  # nothing lies there, so what is named is taken
    assert not moved.exists()
    assert origin.resolve(text) == Path(found)


def test_a_renamed_folder_is_refused():
    for declared in ("data/x", "/ws/data/x"):
        with pytest.raises(InputError, match="another name"):
            Origin.of(declared, Path("/ws/data/z"))


def artefact(folder, kind, argv, inputs=None):
    """An artefact as if a command had made it."""
    write = lambda f: (f / "a.csv").write_text("1\n") and {}  # noqa: E731
    with recorded_command(list(map(str, argv))):
        make_artifact(folder, ArtifactSpec(kind, {"method": "m"}, inputs or {}, CODE), write)
    return folder


@pytest.fixture
def chain(tmp_path):
    """index and features of it, an assignment of two spaces, a submission; user's files beside."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "anchors.csv").write_text("id,label\n")
    ws = tmp_path / "ws"
    index = artefact(
        ws / "raw" / "index", "index",
        ["download", "--out=raw", "arrays", "--data_dir", tmp_path / "mine"],
    )  # fmt: skip
    spaces = [
        artefact(
            ws / name, "features",
            ["encode", "--index", "raw/index", "--out", name, "--force"],
            {"index": index},
        )
        for name in ("a", "kmeans")
    ]  # fmt: skip
    argv = ["cluster", "--features", "a", "kmeans", "--index", "raw/index", "--anchors"]
    argv += ["../mine/anchors.csv", "--out", "out", "kmeans", "--restarts", "3"]
    roles = {"features": spaces[0], "features 2": spaces[1]}
    clusters = artefact(ws / "out", "assignment", argv, roles)
    argv = ["submit", "--assignment", "out", "--index", "raw/index", "--log", "my/log.csv"]
    argv += ["--scores=s", "--out", "sub"]
    roles = {"assignment": clusters, "index": index}
    return artefact(ws / "sub", "submission", argv, roles)


def test_a_plan_names_artefacts_and_data_and_leaves_words_alone(chain, tmp_path):
    plan = plan_of(chain)
    assert plan.base == tmp_path / "ws"
    assert [step.outputs for step in plan.steps] == [
        ("raw/index",), ("a",), ("kmeans",), ("out",), ("sub",)
    ]  # fmt: skip
    words = {step.outputs[0]: " ".join(step.words("W", "U:")) for step in plan.steps}
    assert words["raw/index"] == f"download --out W/raw arrays --data_dir U:{tmp_path}/mine"
    assert words["a"] == "encode --index W/raw/index --out W/a"
    assert words["out"] == (
        f"cluster --features W/a W/kmeans --index W/raw/index --anchors "
        f"U:{tmp_path}/mine/anchors.csv --out W/out kmeans --restarts 3"
    )
    assert words["sub"] == "submit --assignment W/out --index W/raw/index --out W/sub"
    assert plan.user == (f"{tmp_path}/mine", f"{tmp_path}/mine/anchors.csv")


def test_a_method_ends_a_flag_of_several_values(tmp_path):
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_text("{}")
    argv = ["cluster", "--out", "c", "--corrections", "one.json", "two.json", "m", "--restarts", 3]
    clusters = artefact(tmp_path / "c", "assignment", argv)
    argv = ["submit", "--assignment", "c", "--out", "s"]
    plan = plan_of(artefact(tmp_path / "s", "submission", argv, {"a": clusters}))
    assert plan.steps[0].argv[-3:] == ("m", "--restarts", "3")
    assert [Path(path).name for path in plan.user] == ["one.json", "two.json"]


def test_a_plan_survives_a_move_of_all(chain, tmp_path):
    before = plan_of(chain)
    (tmp_path / "ws").rename(tmp_path / "moved")
    after = plan_of(tmp_path / "moved" / "sub")
    assert after.steps == before.steps
    assert after.base == tmp_path / "moved"


def test_what_has_gone_is_said_before_anything_runs(chain, tmp_path):
    (tmp_path / "mine" / "anchors.csv").unlink()
    with pytest.raises(InputError, match=r"anchors.csv must be there"):
        plan_of(chain)


def test_what_python_made_is_refused(tmp_path):
    made = artefact(tmp_path / "s", "submission", ["-q", "tests"])
    with pytest.raises(InputError, match="made through"):
        plan_of(made)
    made = artefact(tmp_path / "t", "submission", [])
    with pytest.raises(InputError, match="made through"):
        plan_of(made)


def test_rows_that_differ_are_counted_also_of_a_missing_file(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()
    for folder, text in ((a, "id,label\n0,1\n1,1\n"), (b, "id,label\n0,1\n1,0\n")):
        (folder / "submission.csv").write_text(text)
    (a / "submission_inverted.csv").write_text("x\n")
    found = {d.file: (d.rows, d.of) for d in differing_files(a, b)}
    assert found == {"submission.csv": (1, 3), "submission_inverted.csv": (1, 1)}


def test_another_machine_is_told_by_name():
    old = {"git": "a", "cpus": 2, "versions": {"numpy": "1"}, "device": "cpu"}
    new = {"git": "b", "cpus": 2, "versions": {"numpy": "2"}, "device": "cpu"}
    new["variables"] = {"OMP_NUM_THREADS": "4"}
    assert changed_environment(old, new) == [
        "commit: a then, b now",
        "numpy: 1 then, 2 now",
        "OMP_NUM_THREADS: not known or not set then, 4 now",
    ]


@pytest.mark.parametrize("mark", ["files.json", "fetched/ab/1.png"])
def test_what_was_fetched_is_copied_once_and_what_was_made_here_is_not(tmp_path, mark):
    files, to = tmp_path / "files", tmp_path / "new" / "files"
    files.mkdir()
    to.parent.mkdir()
    (files / "x.npy").write_text("x")
    copy_fetched(files, to)
    assert not to.exists()
    (files / mark).parent.mkdir(parents=True, exist_ok=True)
    (files / mark).write_text("{}")
    copy_fetched(files, to)
    (files / "x.npy").write_text("y")
    copy_fetched(files, to)
    assert (to / "x.npy").read_text() == "x"
