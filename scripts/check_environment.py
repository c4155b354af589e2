"""Say in one sentence which required packages an environment lacks: check_environment.py FILE..."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def missing(files: list[str]) -> list[str]:
    """Names from requirement files that are not installed."""
    lacking = []
    for file in files:
        for line in Path(file).read_text().splitlines():
            name = line.split("#")[0].split("=")[0].split(">")[0].split("<")[0].strip()
            if not name or name.startswith("-"):
                continue
            try:
                version(name)
            except PackageNotFoundError:
                lacking.append(name)
    return lacking


if __name__ == "__main__":
    lacking = missing(sys.argv[1:])
    if lacking:
        sys.exit(
            f"The active environment must have all of {' and '.join(sys.argv[1:])}; it lacks "
            f"{', '.join(lacking)}; run `pip install -r {' -r '.join(sys.argv[1:])}` in it, or "
            "deactivate it so that a .venv is made."
        )
