"""Docstrings in NumPy style, a parameter a line, that speak of parameters which exist."""

import ast
import doctest
import importlib
import re
import shutil
from functools import cache

import pytest

import imclust
from helpers import ROOT
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.reducers import REDUCERS
from sample_run import make_sample_run

SRC = ROOT / "src" / "imclust"
MODULES = sorted(SRC.rglob("*.py"))
SAMPLE = re.compile(r"\b(photos|raw|known|run|submissions)\b")  # its folders
GOOGLE = re.compile(r"^\s*(Args|Arguments|Returns|Raises|Yields|Attributes):\s*$", re.M)


def name(path):
    return path.relative_to(SRC).as_posix()


@cache
def tree(path):
    return ast.parse(path.read_text())


def documented():
    """(where, node, docstring) of everything that has one."""
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{name(path)}:{node.name}", node, text


def test_none_is_in_another_style():
    assert [where for where, _, text in documented() if GOOGLE.search(text)] == []


def parameters(text):
    """Names in the section of parameters."""
    found = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}\n|\Z)", text, re.M | re.S)
    lines = [line for line in (found[1] if found else "").splitlines() if line[:1].strip()]
    names = (part.strip().lstrip("*") for line in lines for part in line.split(" : ")[0].split(","))
    return {part for part in names if part}


def known(node):
    """Parameters of a function, fields and parameters of a class."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.arguments):
            every = [*each.posonlyargs, *each.args, *each.kwonlyargs, each.vararg, each.kwarg]
            found |= {a.arg for a in every if a is not None}
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            found.add(each.target.id)
    return found


def test_every_parameter_that_is_described_exists():
    odd = {where: parameters(text) - known(node) for where, node, text in documented()}
    assert {where: names for where, names in odd.items() if names} == {}


@pytest.mark.parametrize("public", sorted(imclust.__all__))
def test_what_people_import_has_an_example_that_runs(public):
    thing = getattr(imclust, public)
    module = importlib.import_module(thing.__module__)
    finder = doctest.DocTestFinder(recurse=False)
    tests = [t for t in finder.find(thing, public, module=module) if t.examples]
    assert tests, f"{public} has no example"
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("registry", [CLUSTERERS, REDUCERS], ids=lambda r: r.kind)
def test_every_registered_method_has_an_example(registry):
    lacking = [entry.name for entry in registry if ">>>" not in (entry.method.__doc__ or "")]
    assert lacking == []


def test_every_public_function_has_an_example():
    lacking = [
        f"{name(path)}:{node.name}"
        for path in MODULES
        if not path.name.startswith("_") or path.name == "__init__.py"
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if not node.name.startswith("_") and ">>>" not in (ast.get_docstring(node) or "")
    ]
    assert lacking == []


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return make_sample_run(tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("path", [p for p in MODULES if ">>>" in p.read_text()], ids=name)
def test_examples_in_modules_run(path, request, tmp_path, monkeypatch):
    """All examples of a module in one folder, a copy of the sample run if one of them is about it:
    what they write there has its own names."""
    module = ".".join(["imclust", *path.relative_to(SRC).with_suffix("").parts])
    module = importlib.import_module(module.removesuffix(".__init__"))
    tests = doctest.DocTestFinder().find(module)
    if any(SAMPLE.search(example.source) for test in tests for example in test.examples):
        shutil.copytree(request.getfixturevalue("sample"), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner()
    assert [test.name for test in tests if runner.run(test).failed] == []
