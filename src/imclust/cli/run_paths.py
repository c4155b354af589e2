"""Where a run's artefacts lie, and what its folders are called: after what decides them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imclust.core.errors import input_error
from imclust.core.manifest import MANIFEST, parse_json

LONGEST = 80  # characters of a folder's name
FIXED = ("timm", "vgg16", "text", "pixels")  # encoders that learn nothing from the images


@dataclass(frozen=True)
class RunPaths:
    """The folders of a run.

    Latents, and reductions of them, lie beside the runs that share them; what is a run's own lies
    in a folder of its name.

    Parameters
    ----------
    top : Path
        The folder of data/ and submissions/.
    name : str
        Of the data set.
    run : str
        Of the run.
    encoder : str
        Which one makes the latents.
    seed : int
        Of every random choice.
    encoder_words : sequence of str
        Flags of the encoder, and what else decides its weights.
    """

    top: Path
    name: str
    run: str
    encoder: str
    seed: int
    encoder_words: tuple[str, ...] = ()

    @property
    def raw(self) -> Path:
        """Index and labels."""
        return self.top / "data" / "raw" / self.name

    @property
    def index(self) -> Path:
        """Which images there are."""
        return self.raw / "index"

    @property
    def runs(self) -> Path:
        """All runs on these images."""
        return self.top / "data" / "runs" / self.name

    @property
    def folder(self) -> Path:
        """This run."""
        return self.runs / self.run

    @property
    def clusters(self) -> Path:
        """The `assignment`."""
        return self.folder / "clusters"

    @property
    def names(self) -> Path:
        """What its clusters may be called."""
        return self.folder / "names"

    @property
    def submission(self) -> Path:
        """What goes to a leaderboard."""
        return self.top / "submissions" / self.name / self.run

    @property
    def ledger(self) -> Path:
        """All submissions that were written."""
        return self.top / "submissions" / "log.csv"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report" / "report.html"

    @property
    def encoded(self) -> Path:
        """Weights and latents; one seed's own where the encoder learns from these images."""
        words = [self.encoder, *self.encoder_words]
        words += [] if self.encoder in FIXED else [f"seed{self.seed}"]
        return self.runs / folder_name("-".join(words))

    @property
    def look(self) -> Path:
        """Things to look at."""
        return self.encoded / "look"

    @property
    def words(self) -> Path:
        """What is seen in every image."""
        return self.encoded / "words"

    @property
    def reduced(self) -> Path:
        """Smaller spaces made from the latents."""
        return self.encoded / f"seed{self.seed}" if self.encoder in FIXED else self.encoded


def folder_name(text: str) -> str:
    """A text as the name of a folder: other characters than letters, digits and ._- replaced.

    Parameters
    ----------
    text : str
        Such as flags or the address of a challenge; what is long ends in a digest of the whole.

    Examples
    --------
    >>> folder_name("timm---pool mean_std")
    'timm-pool-mean_std'
    """
    plain = re.sub(r"-{2,}", "-", re.sub(r"[^\w.-]", "-", text)).strip("-") or "root"
    if len(plain.encode()) <= LONGEST:
        return plain
    return f"{plain.encode()[: LONGEST - 9].decode(errors='ignore')}-{short_digest(text)}"


def checked_name(text: str) -> str:
    """A name that the user chose for a folder of runs, if it stays where runs are.

    Raises
    ------
    InputError
        It leads elsewhere.

    Examples
    --------
    >>> checked_name("summer 2026")
    'summer 2026'
    """
    if not is_folder_name(text):
        raise input_error("--name", "the name of a folder", repr(text), "leave out slashes")
    return text


def is_folder_name(text: str) -> bool:
    """Whether a text names a folder where it stands, and leads nowhere else.

    Examples
    --------
    >>> is_folder_name("summer 2026"), is_folder_name(".."), is_folder_name("a/b")
    (True, False, False)
    """
    return text not in {"", ".", ".."} and not set(text) & set("/\\\0\n")


def short_digest(*words: str) -> str:
    """Eight hexadecimal digits that tell word lists apart.

    Examples
    --------
    >>> len(short_digest("--epochs", "3"))
    8
    """
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:8]


def run_name(
    encoder: str, predictor: str, n_clusters: object, seed: int, *others: str,
    flags: Sequence[str] = (),
) -> str:  # fmt: skip
    """The name of a run, after what decides it.

    Parameters
    ----------
    encoder, predictor : str
        Methods.
    n_clusters : int or 'auto' or None
        K as it was given; None for the challenge's own.
    seed : int
        Of every random choice.
    *others : str
        What else decides it, such as a recipe other than the usual one.
    flags : sequence of str
        Further flags; runs with others get another digest.

    Examples
    --------
    >>> run_name("timm", "auto", 2, 0)
    'timm-auto-k2-seed0'
    """
    parts = [encoder, predictor, *others]
    parts += [] if n_clusters is None else [f"k{n_clusters}"]
    parts += [f"seed{seed}", *([short_digest(*flags)] if flags else [])]
    return folder_name("-".join(parts))


def data_set_name(
    challenge: str, top: Path, data: Path | None = None, board: str | None = None,
    flags: Sequence[str] = (),
) -> str:  # fmt: skip
    """The name of a data set, after the challenge and its data.

    Parameters
    ----------
    challenge : str
        Its name.
    top : Path
        The folder of data/: a name that other data have there already gets a digest of the path.
    data : Path, optional
        Folder or archive of the user's; `photos.v1` and `photos.v2` are two.
    board : str, optional
        Where it is fetched from.
    flags : sequence of str
        Further flags of the challenge; other flags, another name.

    Examples
    --------
    >>> data_set_name("folder", Path("/nowhere"), Path("/my/photos.v1"))
    'folder-photos.v1'
    """
    parts = [challenge]
    if board is not None:
        parts = [board.removeprefix("https://")]
    elif data is not None:
        archive = data.is_file() and data.suffix in {".zip", ".npz", ".csv", ".tar", ".gz", ".npy"}
        parts.append((data.stem if archive else data.name) or "root")
    parts += [short_digest(*flags)] if flags else []
    name = "-".join(parts)
    if data is not None:
        there = top / "data" / "raw" / name / "index" / MANIFEST
        doc = (parse_json(there) if there.is_file() else None) or {}
        if len(name.encode()) > LONGEST or doc.get("config", {}).get("data_dir", str(data)) != str(
            data
        ):
            short = name.encode()[: LONGEST - 9].decode(errors="ignore")
            name = f"{short}-{short_digest(str(data))}"
        return name
    return folder_name(name)


def check_writable(top: Path) -> None:
    """Refuse a workspace that nothing can be written to, before any work.

    Parameters
    ----------
    top : Path
        The folder of data/ and submissions/; it need not exist yet.

    Raises
    ------
    InputError
        It is a file, or the right to write there is missing.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     check_writable(Path(place))
    """
    for place in (top / "data", top / "submissions"):
        there = next(p for p in (place, *place.absolute().parents) if p.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            got = f"{there}, which is {'read-only' if there.is_dir() else 'a file'}"
            do = "choose another folder"
            raise input_error("the workspace (WORKSPACE, --workspace)", "writable", got, do)
