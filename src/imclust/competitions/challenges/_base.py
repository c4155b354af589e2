"""What a challenge is made of, and the checks that several challenges share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from imclust.competitions.challenges._samples import FoundSample, find_sample, sample_candidates
from imclust.competitions.clients import board_of
from imclust.competitions.sample_submission import Form, SampleFormat
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.records import PairHints
from imclust.data.find_images import find_images
from imclust.data.images import ImageRow

Track = Literal["open", "scratch"]


@dataclass(frozen=True)
class Home:
    """Where a challenge lives and what its rules are: the class variable `home` of its config.

    Parameters
    ----------
    board : str
        Where submissions go, SERVICE:CHALLENGE; "" for nowhere.
    files : Mapping[str, str]
        File name -> where it lies: `drive:<id>`, or "" for the board itself.
    track : Track
        `scratch` where the rules forbid pretrained weights and outside data, else `open`.
    mib : int
        Room on the disk that its files take, packed and unpacked.
    """

    board: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    track: Track = "open"
    mib: int = 0


@dataclass(frozen=True)
class Challenge:
    """A challenge whose files are in place.

    Parameters
    ----------
    rows : list[ImageRow]
        Its images, `train` in the order of the submission; not inspected yet.
    labels : dict[str, str]
        Id -> class, empty where nobody knows; for scoring only.
    n_clusters : int | None
        What the task says, None when the user must say.
    columns : tuple[str, str]
        Of the submission, id and label.
    sample : Path | None
        The file whose bytes a submission must have but for its labels, if there is one; its ids are
        those of `train`, or of the pairs.
    sample_format : SampleFormat
        How that file is read.
    pairs : list[tuple[str, str, str]]
        (id, id of one image, id of the other) of which is asked whether the two are of the same
        kind; empty where every image is asked for.
    content : Literal['images', 'texts']
        `texts` when a row is a sentence in a table instead of an image.
    least : int
        So many images must be there, and be readable; fewer are refused.
    published : dict[str, str]
        Id -> class of the labels that the task gives away for learning, if any; none of them is in
        `labels`, so that what is scored was never learned from.
    hints : PairHints | None
        Of a task of individuals, whose clusters are found from pairs, any number of them, and
        called as one likes; None for every other task. Images of known identity are rows of split
        `known` then.
    """

    rows: list[ImageRow]
    labels: dict[str, str] = field(default_factory=dict)
    n_clusters: int | None = None
    columns: tuple[str, str] = ("id", "label")
    sample: Path | None = None
    sample_format: SampleFormat = field(default_factory=SampleFormat)
    pairs: list[tuple[str, str, str]] = field(default_factory=list)
    content: Literal["images", "texts"] = "images"
    published: dict[str, str] = field(default_factory=dict)
    least: int = 2
    hints: PairHints | None = None


@dataclass(frozen=True)
class LocalData:
    """Base of the configs of challenges that the user brings along."""

    home: ClassVar[Home] = Home()
    beside: ClassVar[tuple[str, ...]] = ()
    """Files that count too, next to `data_dir` where that is a file."""

    data_dir: Path
    """The data: a folder, or an archive, as the challenge says."""
    sample: Path | None = None
    """The sample submission, where its name does not tell or several files may be it."""
    submission_column: str | None = None
    """The sample's column that takes the label, where no name tells."""
    submission_form: Form | None = None
    """The sample's form, where its text does not tell: `labels`, `matches` (the ids of its cluster
    for every id), `lines` (one label a line), `members` (a column of ids a cluster), `indicators`
    (a column of 0 and 1 a cluster)."""
    outliers: str | None = None
    """What the submission calls images that are alone in their cluster, where the sample does not
    say "outliers" itself."""
    ids_in_row_order: bool = False
    """Take the sample's ids for the images in their order, row by row, whatever they say."""
    track: Track = "open"
    """What the rules allow: `scratch` forbids pretrained weights."""

    def sources(self) -> list[Path]:
        """The user's files; when one changes, everything made from it is out of date."""
        given = [] if self.sample is None else [self.sample]
        for path in given:
            if not path.is_file():
                raise input_error("--sample", "a file", f"{path}, which is none", "check the path")
        if not self.data_dir.exists():
            raise input_error(
                "the data (DATA_DIR, --data-dir)",
                "an existing folder or archive",
                f"{self.data_dir}, which does not exist",
                "check the path",
            )
        if self.data_dir.is_file():
            there = self.data_dir.parent
            near = [there / name for name in self.beside] + sample_candidates(there, deep=False)
            found = {self.data_dir, *given, *(p for p in near if p.is_file())}
            return sorted(found)
        return sorted({*given, *(p for p in self.data_dir.rglob("*") if p.is_file())})

    def find_sample(
        self, files: Path, known: Iterable[str], count: int | None = None
    ) -> FoundSample | None:
        """The sample submission, if there is one; `known`: what its ids may be; `count`: of what
        it asks about, for one label a line."""
        data = self.data_dir.resolve()
        return find_sample(
            data if data.is_dir() else data.parent, files, set(known), deep=data.is_dir(),
            given=self.sample, form=self.said_of_sample(), count=count,
        )  # fmt: skip

    def said_of_sample(self) -> SampleFormat:
        """What the user says of the sample."""
        return SampleFormat(
            label_column=self.submission_column, form=self.submission_form, outliers=self.outliers
        )


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


def by_pairs(cfg: Any, n_clusters: object) -> bool:
    """Whether clusters are found from pairs of images, as many as there are.

    Parameters
    ----------
    cfg : frozen dataclass
        Config of a challenge.
    n_clusters : int or 'auto' or None
        As the user gave it.

    Raises
    ------
    InputError
        A number was given, which nothing would look at.
    """
    if not getattr(cfg, "by_pairs", False):
        return False
    if isinstance(n_clusters, int):
        what, do = "the number of clusters K (--n-clusters)", "leave it out"
        raise input_error(what, "left to the pairs where individuals are told", n_clusters, do)
    return True


def ids_of_sample(
    found: FoundSample, ids: Sequence[str], what: str, *, in_row_order: bool
) -> list[str]:
    """What the submission calls every image or pair: (n,), in the order of `ids`.

    Parameters
    ----------
    found : FoundSample
        The sample.
    ids : sequence of str
        (n,) as they are called here, unique.
    what : str
        They are, for the sentence.
    in_row_order : bool
        Row i of the sample speaks of `ids[i]`, whatever it is called there.

    Raises
    ------
    InputError
        The sample has other ids, or another number of them.
    """
    theirs = found.sample.ids
    if found.form.form == "lines" and len(theirs) == len(ids):
        return list(ids)
    if in_row_order and len(theirs) == len(ids):
        return list(theirs)
    if set(ids) != set(theirs):
        missing, odd = set(ids) - set(theirs), set(theirs) - set(ids)
        got = f"{len(missing)} missing and {len(odd)} others, first {min(missing | odd)!r}"
        do = "check that both belong together"
        if len(theirs) == len(ids):
            do += ", or add --ids-in-row-order (CHALLENGE_FLAGS) if row i speaks of image i"
        raise input_error(f"ids of {found.path}", what, got, do)
    return list(ids)


def in_sample_order(cfg: LocalData, files: Path, challenge: Challenge) -> Challenge:
    """A challenge whose rows have ids of their own, in the order of the sample if there is one.

    Parameters
    ----------
    cfg : LocalData
        What the user said of the sample.
    files : Path
        Where files of the challenge lie.
    challenge : Challenge
        Without a sample.

    Raises
    ------
    InputError
        The sample has other ids.
    """
    found = cfg.find_sample(files, (row.id for row in challenge.rows))
    if found is None:
        return challenge
    ids = [row.id for row in challenge.rows]
    theirs = ids_of_sample(found, ids, "those of the images", in_row_order=cfg.ids_in_row_order)
    renamed = dict(zip(ids, theirs, strict=True))
    rows = [replace(row, id=renamed[row.id]) for row in challenge.rows]
    by_id = {row.id: row for row in rows}
    return replace(
        challenge,
        rows=[by_id[i] for i in found.sample.ids],
        labels={renamed[i]: label for i, label in challenge.labels.items()},
        columns=found.sample.names,
        sample=found.path,
        sample_format=found.form,
    )


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
    if all((part == a.flat[0]).all() for part in a):  # one by one: the array may be of any size
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


LISTED = 20  # files that a sentence names


def image_files(data: Path, least: int = 2) -> list[tuple[Path, str]]:
    """Every image below a folder or in a zip, as (file, member), by path; says what was left out.

    Parameters
    ----------
    data : Path
        A folder, searched as `find_images` does, or a zip.
    least : int
        So many images must be there.

    Raises
    ------
    InputError
        Fewer are.
    """
    found = find_images(data)
    if found.left_out:
        say(found.sentence())
    if found.misnamed:
        more = f" and {len(found.misnamed) - LISTED} more" if len(found.misnamed) > LISTED else ""
        say(f"to be renamed, not in UTF-8: {', '.join(found.misnamed[:LISTED])}{more}")
    if len(found.images) < least:
        allowed = f"a folder or zip with at least {_images(least)}"
        raise input_error(str(data), allowed, found.sentence(), "check the path")
    return found.images


def _images(n: int) -> str:
    return {1: "one image", 2: "two images"}.get(n, f"{n} images")
