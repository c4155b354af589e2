"""`blitz7`: AIcrowd Blitz 7, Stage Prediction: frames of one video, five stages, no labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from imclust.challenges import CHALLENGES
from imclust.challenges._base import Challenge, LocalData
from imclust.challenges.folder import folder
from imclust.checks import refusal
from imclust.submission import SAMPLE

STAGES = 5


@dataclass(frozen=True)
class Blitz7Config(LocalData):
    """The challenge's test.zip (or its images) beside its sample_submission.csv. K is 5."""


@CHALLENGES.register("blitz7", Blitz7Config, paper="AIcrowd Blitz 7, Stage Prediction")
def blitz7(cfg: Blitz7Config, files: Path) -> Challenge:
    """Rows in the order of the sample's ImageID; the submission fills its label column."""
    there = cfg.data_dir if cfg.data_dir.is_dir() else cfg.data_dir.parent
    if not (there / SAMPLE).is_file():
        raise refusal(
            f"DATA_DIR of blitz7 ({there})",
            f"the folder with test.zip and {SAMPLE}",
            f"no {SAMPLE} in it",
            "download both from the challenge's resources",
        )
    return replace(folder(cfg, files), n_clusters=STAGES)
