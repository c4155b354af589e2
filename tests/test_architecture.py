"""The house rules that a reader relies on."""

import ast
import re

import pytest

from helpers import ROOT

SRC = ROOT / "src" / "imclust"
MODULES = sorted(SRC.rglob("*.py"))
# The rooms, from the roof to the ground: code may import from rooms further down only. Rooms on one
# line are neighbours and do not import each other.
ROOMS = (
    ("__main__",),
    ("cli",),
    ("stages",),
    ("estimators",),
    ("api",),
    ("competitions", "report"),
    ("encoders",),
    ("training",),
    ("clustering", "data"),
    ("core",),
    ("_version",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def imports(path):
    """Names of the modules of imclust that a file imports, without the package's own name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "imclust":
            yield node.module.split(".")[1:] or [alias.name for alias in node.names]


def name(path):
    return path.relative_to(SRC).as_posix()


def room(path):
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def test_there_are_nine_rooms_and_five_modules_at_the_door():
    at_the_door = {p.name for p in SRC.glob("*.py")}
    assert at_the_door == {"__init__.py", "__main__.py", "_version.py", "api.py", "estimators.py"}
    folders = {p.name for p in SRC.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert len(folders) == 9
    assert folders | {n.removesuffix(".py") for n in at_the_door} == {*FLOOR, "__init__"}


def test_imports_point_down():
    up = [
        f"{name(path)} imports {'.'.join(other)}"
        for path in MODULES
        for other in imports(path)
        # The front door names what lies behind it, for type checkers only.
        if room(path) not in {"__init__", other[0]} and FLOOR[other[0]] <= FLOOR[room(path)]
    ]
    assert up == []


@pytest.mark.parametrize("path", sorted((SRC / "stages").glob("*.py")), ids=name)
def test_stages_meet_only_on_disk(path):
    for other, *_ in imports(path):
        assert other != "stages"


def test_only_scoring_and_reporting_read_labels():
    users = {name(p) for p in MODULES if "read_labels" in p.read_text()}
    assert users == {
        "core/records.py", "stages/score.py", "stages/report.py", "stages/plot.py"
    }  # fmt: skip


def test_labels_that_are_given_away_are_learned_from_or_name_clusters_and_nothing_else():
    users = {name(p) for p in MODULES if "read_published" in p.read_text()}
    assert users == {
        "core/records.py", "stages/finetune.py", "competitions/submission_check.py"
    }  # fmt: skip


def test_global_seeds_are_nobodys():
    banned = re.compile(r"np\.random\.seed|\brandom\.seed\(|(?<!isolated_)torch\.manual_seed")
    users = {name(p) for p in MODULES if banned.search(p.read_text())}
    assert users <= {"core/reproducibility.py"}  # inside a fork of the generators


def test_arrays_and_weights_are_loaded_without_running_code():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                whole = ast.unparse(node)
                if ast.unparse(node.func) == "np.load":
                    assert "allow_pickle=False" in whole, whole
                if ast.unparse(node.func) == "torch.load":
                    assert "weights_only=True" in whole, whole


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_are_rooms_not_halls(path):
    assert len(path.read_text().splitlines()) <= 450


def test_no_module_prints_but_through_log():
    users = {name(p) for p in MODULES if re.search(r"\bprint\(", p.read_text())}
    assert users == {"__main__.py", "core/log.py"}
