"""Benchmarks are run by hand; what a change of the library breaks in them shows here."""

import runpy
import sys

import pytest

from helpers import ROOT

ENTRY = 'if __name__ == "__main__"'
SCRIPTS = sorted(p for p in (ROOT / "benchmarks").glob("*.py") if ENTRY in p.read_text())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_it_says_how_it_is_used(path, monkeypatch, tmp_path, capsys):
    """In this process: what they import takes longer than all they do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(path), run_name="__main__")
    assert not end.value.code
    assert "usage:" in capsys.readouterr().out
