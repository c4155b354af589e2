# Sourced by the run_*.sh scripts: one Python environment for all of them.

# prepare_environment FILE...: put a `python` on PATH that has what the requirement files name.
# An active virtual or conda environment is used as it is; otherwise .venv is made or reused, and
# installed into only when the requirement files changed.
prepare_environment() {
    export PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH}
    if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
        echo "environment: ${VIRTUAL_ENV:-$CONDA_PREFIX} (active, used as it is)"
        python scripts/check_environment.py "$@"
        return
    fi
    local base=${PYTHON:-python3} stamp mark=.venv/.stamp-${*//\//-}
    mark=${mark// /+}
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "Python must be 3.11 or newer; got $("$base" --version 2>&1); set PYTHON to one." >&2
        return 2
    }
    stamp=$(cat "$@" pyproject.toml scripts/environment.sh | sha256sum | cut -d' ' -f1)
    exec 9>.environment.lock
    if command -v flock >/dev/null; then flock 9; fi # two first runs at once take turns
    if [ "$(cat "$mark" 2>/dev/null)" != "$stamp" ]; then
        echo "environment: installing ${*} into .venv (once; a few minutes)"
        "$base" -m venv .venv
        local files=()
        for file in "$@"; do files+=(-r "$file"); done
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "${files[@]}"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
        echo "$stamp" >"$mark"
    else
        echo "environment: .venv is up to date"
    fi
    exec 9>&-
    export VIRTUAL_ENV=$PWD/.venv PATH=$PWD/.venv/bin:$PATH
}
