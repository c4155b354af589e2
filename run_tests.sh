#!/usr/bin/env bash
# The environment, then every check: lint, types, tests. Arguments go to pytest.
#   bash run_tests.sh           # everything
#   bash run_tests.sh --fast    # a minute: no network, no browser, no whole runs
# Tests run side by side in WORKERS processes, each on one thread: one more than there are cores, as
# some wait for a browser or a service.
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
cores=$(python -c 'import os; print(len(os.sched_getaffinity(0)))')
python -m pytest --numprocesses "${WORKERS:-$((cores < 4 ? cores + 1 : 4))}" --dist worksteal "${chosen[@]}" "$@"
