"""The house rules that a reader relies on."""

import ast
import re

import pytest

from helpers import ROOT

SRC = ROOT / "src" / "imclust"
MODULES = sorted(SRC.rglob("*.py"))
LAYER = {
    "__main__": 12,
    "commands": 11,
    "pipeline": 10,
    "commandline": 9,
    "stages": 8,
    "estimators": 8,
    "api": 7,
    "page": 7,
    "encoders": 6,
    "reducers": 6,
    "clusterers": 6,
    "challenges": 6,
    "piles": 4,
    "notebook": 4,
    "answers": 3,
    "display": 1,
    "clients": 5,
    "handover": 5,
    "replay": 4,
    "submission": 4,
    "template": 3,
    "ledger": 4,
    "transfer": 3,
    "staging": 2,
    "archives": 2,
    "failures": 1,
    "contents": 1,
    "locks": 0,
    "losses": 5,
    "scan_training": 5,
    "memory": 5.5,
    "classifier": 5,
    "fit": 4,
    "plans": 3,
    "backends": 4,
    "loader": 3,
    "priors": 4,
    "lloyd": 2,
    "contiguity": 2,
    "corrections": 3,
    "correcting": 4,
    "links": 2,
    "sizes": 3,
    "texts": 3,
    "augment": 2,
    "images": 2,
    "networks": 2,
    "foreign": 2,
    "hierarchy": 2,
    "cluster_count": 4,
    "selection": 4,
    "agreeing": 3,
    "portfolio": 5,
    "neighbors": 2,
    "spaces": 2,
    "graph": 3,
    "merging": 2,
    "embedding": 2,
    "batched": 2,
    "bilevel": 3,
    "scanning": 3,
    "learnability": 3,
    "plots": 2,
    "figures": 3,
    "selflabels": 2,
    "metrics": 1,
    "registry": 1,
    "artifacts": 1,
    "records": 1,
    "npy": 1,
    "repro": 1,
    "log": 0,
    "checks": 0,
    "__init__": 0,
}
# Base modules that may use each other.
WITHIN_BASE = {
    "locks": {"checks"},
    "npy": {"contents"},
    "artifacts": {"npy", "repro"},
    "records": {"artifacts", "npy"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("imclust"):
            yield node.module.split(".")[1:] or ["__init__"]


def name(path):
    return path.relative_to(SRC).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_point_down(path):
    me = path.relative_to(SRC).parts[0].removesuffix(".py")
    if me == "__init__":
        return  # the front door names what lies behind it, for type checkers only
    for other, *rest in imports(path):
        if other == me or other in WITHIN_BASE.get(me, ()):
            continue
        assert LAYER[other] < LAYER[me], f"{me} imports {'.'.join([other, *rest])}"


@pytest.mark.parametrize("path", sorted((SRC / "stages").glob("[!_]*.py")), ids=name)
def test_stages_do_not_call_each_other(path):
    for other, *rest in imports(path):
        assert other != "stages" or rest[0].startswith("_")


def test_one_command_does_not_call_another():
    for path in sorted((SRC / "commands").glob("[!_]*.py")):
        for other, *rest in imports(path):
            assert other != "commands" or rest[0].startswith("_")


def test_only_scoring_and_reporting_read_labels():
    users = {name(p) for p in MODULES if "read_labels" in p.read_text()}
    assert users == {"records.py", "stages/score.py", "stages/report.py", "stages/plot.py"}


def test_labels_that_are_given_away_are_learned_from_or_name_clusters_and_nothing_else():
    users = {name(p) for p in MODULES if "read_published" in p.read_text()}
    assert users == {"records.py", "stages/finetune.py", "stages/_fitting.py"}


def test_global_seeds_are_nobodys():
    banned = re.compile(r"np\.random\.seed|\brandom\.seed\(|(?<!isolated_)torch\.manual_seed")
    users = {name(p) for p in MODULES if banned.search(p.read_text())}
    assert users <= {"repro.py"}  # inside a fork of the generators


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
    assert users == {"__main__.py", "log.py"}
