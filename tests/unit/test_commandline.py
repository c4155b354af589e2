"""Words to work and back."""

from dataclasses import replace
from pathlib import Path

import pytest

from imclust.cli.parser import COMMANDS, RUN_COMMANDS, STAGES, config_flags, parse
from imclust.clustering.clusterers import CLUSTERERS
from imclust.competitions.challenges import CHALLENGES
from imclust.core.artifacts import ArtifactSpec, make_artifact, recorded_command
from imclust.core.manifest import read_manifest
from imclust.encoders import ENCODERS


def parsed(stage, name, flags):
    ways = {
        "download": ["--out", "o"],
        "cluster": ["--features", "f", "--index", "i", "--out", "o"],
        "train": ["--index", "i", "--out", "o"],
    }
    field = {"download": "challenge", "cluster": "clusterer", "train": "encoder"}[stage]
    return getattr(parse([stage, *ways[stage], name, *flags])[1], field)


def changed(config):
    """The config with every truth value turned round."""
    turned = {k: not v for k, v in vars(config).items() if isinstance(v, bool)}
    return replace(config, **turned)


REQUIRED = {"data_dir": Path("some where/it's"), "board": "kaggle:x"}


@pytest.mark.parametrize(
    ("stage", "registry"),
    [("download", CHALLENGES), ("cluster", CLUSTERERS), ("train", ENCODERS)],
    ids=["download", "cluster", "train"],
)
def test_the_words_of_a_config_make_that_config(stage, registry):
    for entry in registry:
        needs = {k: v for k, v in REQUIRED.items() if k in entry.config.__dataclass_fields__}
        config = entry.config(**needs)
        assert parsed(stage, entry.name, config_flags(config)) == config
        assert parsed(stage, entry.name, config_flags(changed(config))) == changed(config)


def test_commands_and_stages_have_names_of_their_own():
    tables = (COMMANDS, RUN_COMMANDS, STAGES)
    assert len(set().union(*tables)) == sum(map(len, tables))


def test_a_manifest_names_the_command_that_is_said_to_make_it(tmp_path):
    order = ArtifactSpec("features", {}, {}, ("checks",))
    with recorded_command(["reduce", "--out", "a"]):
        make_artifact(tmp_path / "a", order, lambda folder: {})
    make_artifact(tmp_path / "b", order, lambda folder: {})
    assert read_manifest(tmp_path / "a")["argv"] == ["reduce", "--out", "a"]
    assert read_manifest(tmp_path / "b")["argv"] == []
