#!/usr/bin/env bash
# The environment, then every check: lint, types, tests. Arguments go to pytest. Tests run side by
# side, one process a core (WORKERS), each on one thread: most of their time is Python starting.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh
prepare_environment requirements.txt requirements-dev.txt

ruff check .
ruff format --check --quiet .
mypy
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
python -m pytest --numprocesses "${WORKERS:-auto}" --maxprocesses 4 --dist worksteal "$@"
