"""What a notebook, container or batch job that runs elsewhere is for."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imclust.competitions.handover.hidden import Mode
from imclust.core.checks import in_range
from imclust.core.errors import input_error

Target = Literal["kaggle", "docker", "slurm"]


@dataclass(frozen=True)
class NotebookSettings:
    """A run that clusters hidden images elsewhere, without a network."""

    kernel: bool = False
    """Instead: the run for hidden images, a notebook with its two datasets, weights and wheels."""
    target: Target = "kaggle"
    """With --kernel: a code competition's notebook, a container, or batch jobs of a cluster."""
    to: str = ""
    """With --kernel: the competition, such as kaggle:some-slug."""
    owner: str = ""
    """With --kernel: the account that it will belong to; KAGGLE_USERNAME unless given."""
    mode: Mode = "fit"
    """With --kernel: `fit` clusters the hidden images anew, `predict` gives them this run's
    clusters."""
    file: str = "submission.csv"
    """With --kernel: the submission's name, as the competition wants it."""
    gpu: bool = False
    """With --kernel: ask for a GPU."""
    wheels: bool = True
    """With --kernel: the packages travel, too; without, the target must have them."""
    without: tuple[str, ...] = ()
    """With --kernel: packages that the target has, such as torch; they stay here."""
    python: str = "3.11"
    """With --kernel: the target's Python."""
    platform: str = "manylinux_2_28_x86_64"
    """With --kernel: the target's platform, as wheels name it."""
    allow_licence: bool = False
    """With --kernel: hand on pretrained weights although their licence is not known to allow it."""
    attempt: bool = False
    """With --kernel: run it here, without a network, in both layouts of the input folder, and
    compare the bytes."""

    hours: float = 9
    """With --attempt: what the competition gives a notebook."""

    @property
    def competition(self) -> str:
        """Kaggle's slug of it."""
        return self.to.partition(":")[2]

    @property
    def account(self) -> str:
        """Whose the notebook will be."""
        return self.owner or os.environ.get("KAGGLE_USERNAME", "")

    def check(self, *, zipped: bool) -> None:
        """Refuse what cannot be, before any work.

        Parameters
        ----------
        zipped : bool
            Whether --zip was given, too.

        Raises
        ------
        InputError
            A setting is missing, odd, or beside one that it does not go with.
        """
        if not self.kernel:
            if self.to or self.attempt or self.target != "kaggle":
                do = "add --kernel"
                raise input_error(
                    "--to, --target and --attempt", "beside --kernel", "them alone", do
                )
            return
        if self.target == "kaggle":
            self._check_kaggle()
        elif self.to or self.attempt:
            do = "leave them out, or take --target kaggle"
            raise input_error("--to and --attempt", "of a Kaggle notebook", self.target, do)
        in_range("the notebook", "hours", self.hours, 0.01, 1000)
        if zipped:
            raise input_error("--zip", "left out with --kernel", "both", "leave one out")
        if Path(self.file).name != self.file or not self.file.endswith(".csv"):
            allowed, do = "the name of a .csv file", "give the name alone"
            raise input_error("--file", allowed, self.file, do)

    def _check_kaggle(self) -> None:
        if not re.fullmatch(r"kaggle:[a-z0-9][a-z0-9-]*", self.to):
            allowed = "kaggle:<competition>, in small letters"
            raise input_error("--to", allowed, self.to or "nothing", "set it")
        if not re.fullmatch(r"[a-z0-9-]+", self.account):
            do = "set --owner or KAGGLE_USERNAME"
            raise input_error(
                "the owner of the notebook", "a Kaggle account", self.account or "none", do
            )
