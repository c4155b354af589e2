"""Where the AIcrowd key is looked for."""

import pytest

from imclust.competitions.clients._aicrowd_key import config, key


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("AICROWD_API_KEY", raising=False)


def written(text):
    config().parent.mkdir(parents=True)
    config().write_text(text)


def test_none():
    assert key() == ("", "")


@pytest.mark.parametrize("text", ["not toml at all", "other = 1", "aicrowd_api_key = ''"])
def test_a_file_without_a_key(text):
    written(text)
    assert key() == ("", "")


def test_the_variable_comes_before_the_file(monkeypatch):
    written('aicrowd_api_key = "from-file"')
    assert key() == ("from-file", str(config()))
    monkeypatch.setenv("AICROWD_API_KEY", "from-variable")
    assert key() == ("from-variable", "AICROWD_API_KEY")


def test_the_file_is_where_aicrowd_cli_writes_it():
    import click

    assert str(config().parent) == click.get_app_dir("aicrowd-cli")
