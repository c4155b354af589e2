"""A run for hidden images on a machine of one's own: a container, or batch jobs of a cluster."""

from __future__ import annotations

from pathlib import Path
from string import Template

from imclust.competitions.handover.kernel import build_model
from imclust.competitions.handover.settings import NotebookSettings
from imclust.competitions.handover.wheels import fetch_wheels, packages_of
from imclust.competitions.ledger import Row
from imclust.competitions.replay_plan import ReplayPlan

DOCKERFILE = Template("""\
FROM python:$python-slim
$install
COPY model /model
# Nothing is written into the model; what is compiled at run time is kept in /tmp.
ENV PYTHONPATH=/model/src PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/tmp HOME=/tmp
ENTRYPOINT ["python", "-m", "imclust.competitions.handover.hidden", "/model", "/data", "/out"]
""")
SHIPPED_WHEELS = """\
COPY wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels {packages}"""
FETCHED_WHEELS = "RUN pip install --no-cache-dir {packages}"
COMPOSE = Template("""\
# DATA=/the/images OUT=/the/results docker compose run --rm imclust
services:
  imclust:
    build: .
    network_mode: none
    volumes:
      - $${DATA:?the folder of the images}:/data:ro
      - $${OUT:?the folder for the results}:/out
$gpu""")
GPU = """\
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: 1
              capabilities: [gpu]
"""
COMMON = Template("""\
#!/bin/bash
#SBATCH --job-name=imclust-$part
#SBATCH --output=imclust-$part-%j.log
$more
# $text
set -eu
HERE=$$1 DATA=$$2 OUT=$$3 SHARDS=$$4
$python
export PYTHONPATH="$$HERE/model/src" PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR="$$OUT"
"$$PYTHON" -m imclust.competitions.handover.hidden "$$HERE/model" "$$DATA" "$$OUT" $words
""")
INSTALL = Template("""\
PYTHON=$$OUT/environment/bin/python
if [ ! -e "$$OUT/environment/complete" ]; then
    python3 -m venv "$$OUT/environment"
    "$$PYTHON" -m pip install --quiet --no-index --find-links "$$HERE/wheels" $packages
    touch "$$OUT/environment/complete"
fi""")
SUBMIT = """\
#!/bin/bash
# bash submit.sh DATA OUT [SHARDS]: find the images, encode them in SHARDS jobs (4), cluster.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
DATA=$(cd "$1" && pwd)
mkdir -p "$2"
OUT=$(cd "$2" && pwd)
SHARDS=${3:-4}
given=("$HERE" "$DATA" "$OUT" "$SHARDS")
cd "$OUT"
prepare=$(sbatch --parsable "$HERE/prepare.sh" "${given[@]}")
encode=$(sbatch --parsable --dependency=afterok:"$prepare" --array=0-$((SHARDS - 1)) \\
    "$HERE/encode.sh" "${given[@]}")
sbatch --parsable --dependency=afterok:"$encode" "$HERE/finish.sh" "${given[@]}"
"""
JOBS = {  # file -> what it does, the part's words
    "prepare": ("Finds and indexes the images.", "prepare"),
    "encode": ("Encodes one share of the images.", 'encode "$SLURM_ARRAY_TASK_ID/$SHARDS"'),
    "finish": ("Puts the shares together, clusters, writes the submission.", 'finish "$SHARDS"'),
}


def build_docker(folder: Path, plan: ReplayPlan, rows: list[Row], cfg: NotebookSettings) -> None:
    """Fill an empty folder with `Dockerfile`, `compose.yaml`, `model` and `wheels`.

    Parameters
    ----------
    folder : Path
        Where.
    plan : ReplayPlan
        How the submission was made.
    rows : list of Row
        Its rows in the ledger.
    cfg : NotebookSettings
        What for.

    Raises
    ------
    InputError
        The hidden images cannot be treated so, or a package has no wheel for the target.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> settings = NotebookSettings(kernel=True, target="docker", wheels=False)
    >>> Path("lab").mkdir()
    >>> build_docker(Path("lab"), plan_of(Path("submissions/first")), [], settings)
    >>> sorted(path.name for path in Path("lab").iterdir())
    ['Dockerfile', 'compose.yaml', 'model']
    """
    packages = _contents(folder, plan, rows, cfg)
    install = (SHIPPED_WHEELS if cfg.wheels else FETCHED_WHEELS).format(packages=packages)
    dockerfile = DOCKERFILE.substitute(python=cfg.python, install=install)
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    compose = COMPOSE.substitute(gpu=GPU if cfg.gpu else "")
    (folder / "compose.yaml").write_text(compose, encoding="utf-8")


def build_slurm(folder: Path, plan: ReplayPlan, rows: list[Row], cfg: NotebookSettings) -> None:
    """Fill an empty folder with `submit.sh`, its three jobs, `model` and `wheels`.

    Parameters
    ----------
    folder : Path
        Where.
    plan : ReplayPlan
        How the submission was made.
    rows : list of Row
        Its rows in the ledger.
    cfg : NotebookSettings
        What for. Without wheels the cluster's own `python3` must have the packages.

    Raises
    ------
    InputError
        The hidden images cannot be treated so, or a package has no wheel for the target.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> settings = NotebookSettings(kernel=True, target="slurm", wheels=False)
    >>> Path("jobs").mkdir()
    >>> build_slurm(Path("jobs"), plan_of(Path("submissions/first")), [], settings)
    >>> sorted(path.name for path in Path("jobs").glob("*.sh"))
    ['encode.sh', 'finish.sh', 'prepare.sh', 'submit.sh']
    """
    packages = _contents(folder, plan, rows, cfg)
    for part, (text, words) in JOBS.items():
        install = INSTALL.substitute(packages=packages)
        python = "PYTHON=$OUT/environment/bin/python" if part != "prepare" else install
        job = COMMON.substitute(
            part=part, text=text, words=words,
            python=python if cfg.wheels else "PYTHON=python3",
            more="#SBATCH --gres=gpu:1" if cfg.gpu and part == "encode" else "#SBATCH --ntasks=1",
        )  # fmt: skip
        (folder / f"{part}.sh").write_text(job, encoding="utf-8")
    (folder / "submit.sh").write_text(SUBMIT, encoding="utf-8")


def _contents(folder: Path, plan: ReplayPlan, rows: list[Row], cfg: NotebookSettings) -> str:
    """The folders `model` and `wheels`; the packages as words for pip."""
    build_model(folder / "model", plan, rows, cfg)
    packages = packages_of(plan, cfg.without)
    if cfg.wheels:
        fetch_wheels(folder / "wheels", packages, cfg)
    return " ".join(packages)
