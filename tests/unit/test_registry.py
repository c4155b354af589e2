from dataclasses import dataclass

import pytest

from imclust.clustering.clusterers import CLUSTERERS
from imclust.core.errors import InputError
from imclust.core.registry import Registry


@dataclass(frozen=True)
class Config:
    size: int = 3


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(
        InputError, match=r"clusterer 'kmeen' is unknown; known: .*Did you mean 'kmeans'"
    ):
        CLUSTERERS["kmeen"]


def test_a_name_is_given_once():
    registry = Registry("thing", "imclust.clustering.clusterers")
    registry.register("a", Config, paper="")(len)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("a", Config, paper="")(max)


def test_configs_must_be_frozen():
    @dataclass
    class Loose:
        size: int = 3

    with pytest.raises(TypeError, match="frozen"):
        Registry("thing", "imclust.clustering.clusterers").register("b", Loose, paper="")(len)


def test_a_method_is_configured_by_the_names_of_its_fields():
    entry, config = CLUSTERERS.configured("kmeans", {"restarts": 7})
    assert (entry.name, config) == ("kmeans", entry.config(restarts=7))
    with pytest.raises(
        InputError, match=r"options of kmeans must be of restarts, prepare, levels; got a, b"
    ):
        CLUSTERERS.configured("kmeans", {"b": 1, "a": 2})


def test_a_manifest_brings_its_config_back():
    entry, config = CLUSTERERS.revive({"method": "kmeans", "restarts": 7, "seed": 1})
    assert entry.name == "kmeans"
    assert config == entry.config(restarts=7)


def test_a_field_that_must_be_given_leaves_the_others_their_defaults(tmp_path):
    from imclust.__main__ import parse

    argv = ["download", "--out", "raw", "imagefolder", "--data-dir", str(tmp_path)]
    _, cfg = parse(argv)
    assert cfg.challenge.published == 0
    assert cfg.challenge.data_dir == tmp_path
    _, cfg = parse([*argv, "--published", "0.5"])
    assert cfg.challenge.published == 0.5
    with pytest.raises(InputError, match="--data-dir of download must be given"):
        parse(argv[:-2])


def test_paths_come_back_from_a_manifest_as_paths(tmp_path):
    import json
    from pathlib import Path

    from imclust.core.artifacts import plain
    from imclust.encoders import ENCODERS

    entry = ENCODERS["vgg16"]
    for config in (entry.config(weights=Path("a/b.pth")), entry.config()):
        doc = json.loads(json.dumps({"method": "vgg16", **plain(config)}))
        assert ENCODERS.revive(doc)[1] == config
