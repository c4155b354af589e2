#!/usr/bin/env bash
# The environment, then every check: lint, types, tests. Arguments go to pytest.
#   bash run_tests.sh           # everything
#   bash run_tests.sh --fast    # a minute: no network, no browser, no whole runs
# Tests run side by side, one process a core (WORKERS), each on one thread.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh
prepare_environment requirements.txt requirements-dev.txt

chosen=(--durations=10)
if [ "${1:-}" = --fast ]; then
    chosen=(-m "not slow" --ignore=tests/e2e)
    shift
fi
ruff check .
ruff format --check --quiet .
mypy
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
python -m pytest --numprocesses "${WORKERS:-auto}" --maxprocesses 4 --dist worksteal "${chosen[@]}" "$@"
