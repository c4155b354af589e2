"""The corrections files that `cluster` is given, and the answer that they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imclust.artifacts import file_digest
from imclust.checks import refusal
from imclust.correcting import Corrected
from imclust.corrections import Corrections, read_corrections
from imclust.log import say

if TYPE_CHECKING:
    import numpy as np

TABLE = "assignment.csv"


def read_all(paths: tuple[Path, ...]) -> tuple[list[Corrections], list[str]]:
    """The files in order, and their digests for the manifest.

    Raises:
        Refusal: one cannot be read.
    """
    return [read_corrections(path) for path in paths], [file_digest(path) for path in paths]


def corrected(
    files: list[Corrections],
    answer: Corrected,
    z: np.ndarray,
    folder: Path,
    save: Callable[[np.ndarray], dict[str, Any]],
) -> tuple[np.ndarray, dict[str, Any]]:
    """The answer after all files, saved: its probabilities (n, k) float32 and facts.

    Args:
        files: in order, one at least; each is for the answer after those before it.
        answer: before the first, which lies in `folder`.
        z: (n, d) float, in which images are close or not.
        save: puts an answer of other probabilities into `folder`; returns facts of it.

    Raises:
        Refusal: a file was made for another answer, or does not fit.
    """
    p, facts = answer.probabilities, {}
    shown: list[str] = []
    for file in files:
        shown.append(file_digest(folder / TABLE))
        _refuse_another(file, shown)
        answer = answer.after(file)
        p, said = answer.answer(z)
        facts = save(p) | said
    _tell(facts["corrections"], p.shape[1])
    return p, facts


def classes_of(names: dict[str, Any], was: list[int]) -> dict[str, Any]:
    """The names that labels gave the clusters, of merged ones that of the lowest number."""
    if "classes" not in names:
        return {}
    first = {new: names["classes"][old] for old, new in reversed(list(enumerate(was)))}
    return {"classes": [first[new] for new in sorted(first)]}


def _refuse_another(file: Corrections, shown: list[str]) -> None:
    if file.assignment == shown[-1]:
        return
    before = file.assignment in shown
    do = "name the files in the order in which they were made"
    if before:
        do = "save what both say in one file, from the report of that answer"
    elif len(shown) == 1:
        do = (
            "give cluster the settings, seed and inputs of the answer that the report showed, or "
            "save the corrections again from the report of this one"
        )
    got = f"{file.assignment[:12]}..." + ", which an earlier file has changed" * before
    allowed = f"made for this answer (sha256 of {TABLE} {shown[-1][:12]}...)"
    raise refusal(f"the corrections {file.path}", allowed, f"those of {got}", do)


def _tell(said: dict[str, Any], k: int) -> None:
    """What became of them, for the user."""
    parts = [f"{said['moved']} images moved"] * bool(said["moved"])
    parts += [f"{said['followed']} close to them followed"] * bool(said["followed"])
    parts += [
        f"{said[name]} {name.replace('_', '-')} pairs"
        for name in ("must_link", "cannot_link")
        if said[name]
    ]
    parts += ["clusters " + ", ".join(map(str, g)) + " merged" for g in said["merged"]]
    parts += [f"{len(said['names'])} names"] * bool(said["names"])
    say(f"corrections: {'; '.join(parts) or 'nothing to do'}; K = {k}")
