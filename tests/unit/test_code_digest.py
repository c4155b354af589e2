"""Up to date means up to date: any code that an artefact's making reaches counts, words do not."""

import ast
import shutil

import pytest

from helpers import ROOT
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.reducers import REDUCERS
from imclust.core import code_digest as digests
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.code_digest import code_digest, import_closure
from imclust.encoders import ENCODERS

STAGES = {"cluster": CLUSTERERS, "reduce": REDUCERS, "train": ENCODERS, "encode": ENCODERS}
MAKERS = sorted(
    {(f"imclust.stages.{s}", e.method.__module__) for s, methods in STAGES.items() for e in methods}
)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The package in a folder of its own, which digests are of."""
    shutil.copytree(ROOT / "src" / "imclust", tmp_path / "imclust")
    monkeypatch.setattr(digests, "SOURCE", tmp_path / "imclust")
    digests._facts.cache_clear()
    yield tmp_path / "imclust"
    digests._facts.cache_clear()


def test_the_closure_is_what_python_imports():
    closure = import_closure("imclust.stages.cluster", "imclust.clustering.clusterers.auto")
    for name in ("auto_search", "metrics", "neighbors", "neighbor_graph", "mlp_ensemble"):
        assert f"imclust.clustering.{name}" in closure
    assert "imclust.clustering.torch_kmeans" in import_closure("imclust.encoders.local_aggregation")
    assert not [name for name in closure if name.startswith(("imclust.cli", "imclust.api"))]


@pytest.mark.parametrize("modules", MAKERS, ids=lambda m: ":".join(n.split(".")[-1] for n in m))
def test_a_change_in_any_module_of_the_closure_changes_the_digest(modules, monkeypatch):
    before, facts = code_digest(*modules), digests._facts
    for module in import_closure(*modules):
        other = {module: ("edited", facts(module)[1])}
        monkeypatch.setattr(digests, "_facts", lambda name, o=other: o.get(name) or facts(name))
        assert code_digest(*modules) != before, module
    monkeypatch.setattr(digests, "_facts", facts)
    assert code_digest(*modules) == before


def numbers(path):
    """A file with its first number raised by one; None where it has none."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
            node.value += 1
            return ast.unparse(tree)
    return None


def test_a_number_remakes_an_artefact_and_a_comment_does_not(copy, tmp_path):
    spec = ArtifactSpec("thing", {}, {}, ("imclust.clustering.clusterers.hdbscan",))

    def make():
        digests._facts.cache_clear()
        return make_artifact(tmp_path / "a", spec, lambda folder: {})

    assert make()
    changed = 0
    for module in sorted(import_closure(*spec.modules)):
        path = digests._path(module)
        was = path.read_text()
        path.write_text("# a comment\n" + was + "\n\n# another\n")
        assert not make(), module
        path.write_text(was.replace('"""', '"""Other words. ', 1))
        assert not make(), module
        if edited := numbers(path):
            path.write_text(edited)
            assert make(), module
            changed += 1
        path.write_text(was)
        make()
    assert changed >= 8


def test_the_numbers_of_a_fitted_model_count_as_code(copy):
    names = ("imclust.clustering.clusterers.auto", "imclust.clustering.clusterers.kmeans")
    before = [code_digest(name) for name in names]
    path = copy / "clustering" / "selector.json"
    path.write_text(path.read_text().replace("0.1", "0.2", 1) + "\n")
    digests._facts.cache_clear()
    after = [code_digest(name) for name in names]
    assert after[0] != before[0]
    assert after[1] == before[1]
