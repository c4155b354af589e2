"""What a report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sources:
    """The artefacts of a run, and what is set beside them.

    Parameters
    ----------
    assignment : Path
        The assignment.
    index : Path
        Of its images.
    weights : Path | None
        The encoder that the assignment rests on, the last one trained; None where there is none.
    trained : tuple[Path, ...]
        All encoders on the way to it that were trained in steps, in their order.
    submission, scores, embedding : Path | None
        Of the assignment, where there are such.
    val_embedding : Path | None
        Embedding of validation images reduced on their own.
    labels : dict[str, str] | None
        Id -> class, empty where there are none.
    compare_with : tuple[Path, ...]
        Answers of other runs.
    refreshed_by : str
        The command that makes the page anew, where that is not its stages' own.
    look : Path | None
        What is to be looked at of the images.
    names : Path | None
        What the clusters may be called.
    words : Path | None
        What is seen in every image.
    pairs : Path | None
        The scores of pairs that the assignment is of, where it is of such.
    """

    assignment: Path
    index: Path
    weights: Path | None = None
    trained: tuple[Path, ...] = ()
    submission: Path | None = None
    scores: Path | None = None
    embedding: Path | None = None
    val_embedding: Path | None = None
    labels: dict[str, str] | None = None
    compare_with: tuple[Path, ...] = ()
    refreshed_by: str = ""
    look: Path | None = None
    names: Path | None = None
    words: Path | None = None
    pairs: Path | None = None

    @property
    def checkpoints(self) -> Path | None:
        """The table of measured checkpoints, where there is one."""
        path = self.scores / "checkpoints.csv" if self.scores else None
        return path if path and path.is_file() else None


def run_name(folder: Path) -> str:
    """What a run is called: the folder around its `clusters`, or its own name.

    Examples
    --------
    >>> run_name(Path("data/runs/photos/timm-auto-k2-seed0/clusters"))
    'timm-auto-k2-seed0'
    """
    here = folder.resolve()
    return here.parent.name if here.name in {"clusters", "assignment"} else here.name
