"""`blitz7`: AIcrowd Blitz 7, Stage Prediction: frames of one video, five stages, no labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, Home, LocalData
from imclust.competitions.challenges._fetching import gathered
from imclust.competitions.challenges.folder import folder
from imclust.competitions.sample_submission import SAMPLE
from imclust.core.errors import input_error

STAGES = 5


@dataclass(frozen=True)
class Blitz7Config:
    """test.zip beside its sample_submission.csv, from AIcrowd or from you. K is 5."""

    home: ClassVar[Home] = Home(
        board="aicrowd:stage-prediction", files={"test.zip": "", SAMPLE: ""}, mib=200
    )

    data_dir: Path | None = None
    """The folder (or archive) that you have already; fetched from AIcrowd without it."""

    def sources(self) -> list[Path]:
        """Your files; none while they are AIcrowd's."""
        return LocalData(self.data_dir).sources() if self.data_dir else []


@CHALLENGES.register("blitz7", Blitz7Config, paper="AIcrowd Blitz 7, Stage Prediction")
def blitz7(cfg: Blitz7Config, files: Path) -> Challenge:
    """Rows in the order of the sample's ImageID; the submission fills its label column.

    Examples
    --------
    >>> from zipfile import ZipFile
    >>> with ZipFile("test.zip", "w") as z:
    ...     for name in ("00", "01"):
    ...         z.write(f"photos/dune/{name}.png", f"{name}.png")
    >>> _ = Path("sample_submission.csv").write_text("ImageID,label\\n01,0\\n00,0\\n")
    >>> challenge = blitz7(Blitz7Config(Path("test.zip")), Path("files"))
    >>> [row.id for row in challenge.rows], challenge.n_clusters
    (['01', '00'], 5)
    """
    data = cfg.data_dir or gathered(cfg.home, files)
    there = data if data.is_dir() else data.parent
    if not (there / SAMPLE).is_file():
        raise input_error(
            f"DATA_DIR of blitz7 ({there})",
            f"the folder with test.zip and {SAMPLE}",
            f"no {SAMPLE} in it",
            "download both from the challenge's resources, or leave DATA_DIR out",
        )
    return replace(folder(LocalData(data), files), n_clusters=STAGES)
