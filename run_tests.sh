#!/usr/bin/env bash
# The environment, then every check: lint, types, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh
prepare_environment requirements.txt requirements-dev.txt

ruff check .
ruff format --check --quiet .
mypy
python -m pytest "$@"
