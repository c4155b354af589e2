#!/usr/bin/env bash
# Unlabelled images in, submission out. Settings come from the environment, or as flags:
#   CHALLENGE=arrays DATA_DIR=my/arrays K=2 bash run_baseline.sh
#   bash run_baseline.sh --challenge folder --data-dir my/images --k 4 --dry-run
# `python -m imclust baseline --help` says what each is for.
set -euo pipefail
here=$PWD root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
. scripts/environment.sh
prepare_environment requirements.txt
cd "$here"
[ "$here" = "$root" ] || export WORKSPACE=${WORKSPACE:-$root} # data/ and submissions/ stay here
exec python -m imclust baseline "$@"
