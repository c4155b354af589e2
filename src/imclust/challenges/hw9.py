"""`hw9`: NTU ML2020 homework 9, scenery or not, from Google Drive."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from imclust.challenges import CHALLENGES
from imclust.challenges._base import Challenge, Home
from imclust.challenges.arrays import from_folder
from imclust.checks import Refusal, refusal
from imclust.log import say

DRIVE = {
    "trainX.npy": ("1BZb2AqOHHaad7Mo82St1qTBaXo_xtcUc", (8500, 32, 32, 3)),
    "valX.npy": ("152NKCpj8S_zuIx3bQy0NN5oqpvBjdPIq", (500, 32, 32, 3)),
    "valY.npy": ("1_hRGsFtm5KEazUg2ZvPZcuNScGF-ANh4", (500,)),
}


@dataclass(frozen=True)
class HW9Config:
    """Scenery (plants count) or not: 8500 + 500 images of 32x32. Its rules forbid outside data."""

    home: ClassVar[Home] = Home(track="scratch")


@CHALLENGES.register("hw9", HW9Config, paper="NTU Machine Learning 2020 spring, homework 9")
def hw9(cfg: HW9Config, files: Path) -> Challenge:
    """The three files of the homework, fetched once and checked by shape, type and content."""
    files.mkdir(parents=True, exist_ok=True)
    for name, (drive_id, shape) in DRIVE.items():
        if not (files / name).exists():
            fetch(drive_id, files / name, shape)
    challenge = from_folder(files)
    if set(challenge.labels.values()) != {"0", "1"}:
        raise refusal("valY.npy", "labels 0 and 1", set(challenge.labels.values()), "fetch again")
    return challenge


def fetch(drive_id: str, path: Path, shape: tuple[int, ...]) -> None:
    """Download one public Drive file beside `path`, check it, then rename it into place.

    Raises:
        Refusal: Drive cannot be reached or refuses, or sends something else.
    """
    import gdown
    import requests

    from imclust.npy import open_npy

    part = path.with_name(f".{path.name}.download")
    by_hand = (
        f"open https://drive.google.com/file/d/{drive_id}/view in a browser and save it as {path}"
    )
    say(f"fetching {path.name} from Google Drive")
    try:
        # Not resumed onto a finished file: gdown would take any file of that name unchecked.
        part.unlink(missing_ok=True)
        gdown.download(
            id=drive_id, output=str(part), retries=3, timeout=(10, 60), use_cookies=False
        )
    except (gdown.exceptions.DownloadError, requests.RequestException, ValueError) as e:
        quota = "Too many users" in str(e)
        why = "its daily download quota is used up" if quota else "it cannot be reached or refuses"
        raise Refusal(
            f"{path.name} must come from Google Drive, but {why}; try again later, or {by_hand}."
        ) from e
    try:
        got = open_npy(part)
        if got.shape != shape:
            raise refusal(path.name, f"of shape {list(shape)}", list(got.shape), by_hand)
    except Refusal:
        part.unlink(missing_ok=True)
        raise
    part.chmod(0o644)
    os.replace(part, path)
