"""Benchmarks are run by hand; what a change of the library breaks in them shows here."""

import subprocess
import sys

import pytest

from helpers import ROOT, environment

ENTRY = 'if __name__ == "__main__"'
SCRIPTS = sorted(p for p in (ROOT / "benchmarks").glob("*.py") if ENTRY in p.read_text())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_it_says_how_it_is_used(path, tmp_path):
    words = [sys.executable, str(path), "--help"]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
