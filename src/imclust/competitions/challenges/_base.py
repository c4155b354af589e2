"""What a challenge is made of, and the checks that several challenges share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from imclust.competitions.clients import board_of
from imclust.competitions.submission import SAMPLE, read_sample
from imclust.core.errors import input_error
from imclust.data.images import SUFFIXES, ImageRow

Track = Literal["open", "scratch"]


@dataclass(frozen=True)
class Home:
    """Where a challenge lives and what its rules are: the class variable `home` of its config.

    Args:
        board: where submissions go, SERVICE:CHALLENGE; "" for nowhere.
        files: file name -> where it lies: `drive:<id>`, or "" for the board itself.
        track: `scratch` where the rules forbid pretrained weights and outside data, else `open`.
        mib: room on the disk that its files take, packed and unpacked.
    """

    board: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    track: Track = "open"
    mib: int = 0


@dataclass(frozen=True)
class Challenge:
    """A challenge whose files are in place.

    Args:
        rows: its images, `train` in the order of the submission; not inspected yet.
        labels: id -> class, empty where nobody knows; for scoring only.
        n_clusters: what the task says, None when the user must say.
        columns: of the submission, id and label.
        sample: the file whose bytes a submission must have but for its labels, if there is one;
            its ids are those of `train`, or of the pairs.
        pairs: (id, id of one image, id of the other) where the answer is whether the two are of
            the same kind; empty where every image is asked for.
        content: `texts` when a row is a sentence in a table instead of an image.
        least: so many images must be there, and be readable; fewer are refused.
        published: id -> class of the labels that the task gives away for learning, if any; none
            of them is in `labels`, so that what is scored was never learned from.
    """

    rows: list[ImageRow]
    labels: dict[str, str] = field(default_factory=dict)
    n_clusters: int | None = None
    columns: tuple[str, str] = ("id", "label")
    sample: Path | None = None
    pairs: list[tuple[str, str, str]] = field(default_factory=list)
    content: Literal["images", "texts"] = "images"
    published: dict[str, str] = field(default_factory=dict)
    least: int = 2


@dataclass(frozen=True)
class LocalData:
    """Base of the configs of challenges that the user brings along."""

    home: ClassVar[Home] = Home()
    beside: ClassVar[tuple[str, ...]] = (SAMPLE,)
    """Files that count too, next to `data_dir` where that is a file."""

    data_dir: Path
    """The data: a folder, or an archive, as the challenge says."""
    track: Track = "open"
    """What the rules allow: `scratch` forbids pretrained weights."""

    def sources(self) -> list[Path]:
        """The user's files; when one changes, everything made from it is out of date."""
        if not self.data_dir.exists():
            raise input_error(
                "the data (DATA_DIR, --data-dir)",
                "an existing folder or archive",
                f"{self.data_dir}, which does not exist",
                "check the path",
            )
        if self.data_dir.is_file():
            near = (self.data_dir.parent / name for name in self.beside)
            return [self.data_dir, *(p for p in near if p.is_file())]
        return sorted(p for p in self.data_dir.rglob("*") if p.is_file())


def home_of(cfg: Any) -> Home:
    """The home of the challenge of this config, with what its user says of board and rules."""
    said = {f.name: getattr(cfg, f.name) for f in fields(cfg) if f.name in {"board", "track"}}
    home = replace(cfg.home, **said)
    return replace(home, board=":".join(board_of(home.board))) if home.board else home


def has_validation(cfg: Any) -> bool | None:
    """Whether a challenge has images to validate with; None where only its download can tell.

    Parameters
    ----------
    cfg : frozen dataclass
        Config of a challenge; one that says nothing has none.
    """
    return getattr(cfg, "has_validation", False)


def sample_beside(folder: Path, ids: Iterable[str], what: str) -> Path | None:
    """The sample submission in a folder, if there is one.

    Args:
        ids: those it must have, in any order. what: they are, for the sentence.

    Raises:
        Refusal: it is no table, or of other ids.
    """
    path = folder / SAMPLE
    if not path.is_file():
        return None
    mine, theirs = set(ids), set(read_sample(path).ids)
    if mine != theirs:
        missing, odd = mine - theirs, theirs - mine
        got = f"{len(missing)} missing and {len(odd)} others, first {min(missing | odd)!r}"
        raise input_error(f"ids of {path}", what, got, "check that both belong together")
    return path


def checked_images(name: str, a: np.ndarray) -> np.ndarray:
    """Refuse an array that is not (n, h, w), (n, h, w, 1) or (n, h, w, 3) uint8 with content."""
    shaped = a.ndim in (3, 4) and (a.ndim == 3 or a.shape[3] in (1, 3)) and min(a.shape) > 0
    if a.dtype != "uint8" or not shaped:
        raise input_error(
            name,
            "uint8 images of shape (n, height, width), (n, height, width, 1) or (..., 3)",
            f"{a.dtype} {list(a.shape)}",
            "convert it, for example (255 * x).round().astype('uint8') for floats in 0..1",
        )
    if (a == a.flat[0]).all():
        raise input_error(
            name, "images with content", f"every pixel {a.flat[0]}", "download it again"
        )
    return a


def checked_labels(name: str, y: np.ndarray, n: int) -> np.ndarray:
    """Refuse labels that are not one whole number an image."""
    if y.shape != (n,):
        raise input_error(name, f"one label an image, shape [{n}]", list(y.shape), "check the pair")
    if y.dtype.kind not in "iub":
        raise input_error(name, "whole numbers", y.dtype, "save it again as integers")
    return y


def array_rows(path: Path, split: str) -> list[ImageRow]:
    """One row an image of a `.npy` array. `train` ids are 0, 1, ...; others carry their split."""
    import hashlib

    from imclust.core.npy import open_npy

    a = checked_images(path.name, open_npy(path))
    height, width = a.shape[1:3]
    prefix = "" if split == "train" else f"{split}-"
    return [
        ImageRow(
            f"{prefix}{i}",
            split,
            str(path),
            str(i),
            width,
            height,
            hashlib.sha256(image.tobytes()).hexdigest()[:16],
        )
        for i, image in enumerate(a)
    ]


def image_files(data: Path, least: int = 2) -> list[tuple[Path, str]]:
    """Every image below a folder or in a zip, as (file, member), by path; hidden ones are not.

    A folder without images of its own is searched for zip archives.

    Raises:
        Refusal: fewer than `least`, or a name that is no text.
    """
    import zipfile

    if data.is_file():
        found = [(data, m) for m in _members(data)]
    else:
        files = sorted(p for p in data.rglob("*") if p.is_file() and not _hidden(p, data))
        found = [(p, "") for p in files if p.suffix.lower() in SUFFIXES]
        if not found:
            found = [(p, m) for p in files if zipfile.is_zipfile(p) for m in _members(p)]
    if len(found) < least:
        raise input_error(
            str(data),
            f"a folder or zip with at least {_images(least)} ({', '.join(SUFFIXES)})",
            f"{len(found)} images",
            "check the path",
        )
    odd = [p for p, _ in found if not _is_text(str(p))]
    if odd:
        got = f"{len(odd)} in another encoding, the first {odd[0].name!a}"
        raise input_error("names of images", "in UTF-8", got, "rename them")
    return found


def _images(n: int) -> str:
    return {1: "one image", 2: "two images"}.get(n, f"{n} images")


def _hidden(path: Path, data: Path) -> bool:
    """Whether a name on the way from the data to the file begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(data).parts)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _members(path: Path) -> list[str]:
    import zipfile

    try:
        with zipfile.ZipFile(path) as z:
            names = [i.filename for i in z.infolist() if not i.is_dir()]
    except zipfile.BadZipFile:
        raise input_error(
            str(path), "a zip archive or a folder", "another kind of file", "download it again"
        ) from None
    if len(set(names)) != len(names):
        raise input_error(
            str(path), "an archive of distinct names", "duplicate names", "pack it again"
        )
    wanted = [n for n in names if Path(n).suffix.lower() in SUFFIXES]
    return sorted(n for n in wanted if not n.startswith("__MACOSX") and Path(n).name[0] != ".")
