#!/usr/bin/env bash
# The environment, then every check: lint, types, tests. Arguments go to pytest.
#   bash run_tests.sh           # everything
#   bash run_tests.sh --fast    # a minute: no network, no browser, no whole runs
# Tests run side by side in WORKERS processes, each on one thread: as many as there are cores, and of
# everything one more, as some wait for a browser or a service.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh
prepare_environment requirements.txt requirements-dev.txt

cores=$(python -c 'import os; print(min(3, len(os.sched_getaffinity(0))))')
workers=$((cores + 1))
chosen=(--durations=10)
if [ "${1:-}" = --fast ]; then
    workers=$cores
    chosen=(-m "not slow")
    shift
fi
ruff check .
ruff format --check --quiet .
mypy
unset PYTHONDONTWRITEBYTECODE  # or each of some hundred processes compiles the package anew
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
python -m pytest --numprocesses "${WORKERS:-$workers}" --dist worksteal "${chosen[@]}" "$@"
