"""What is looked at of the images before any work."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from imclust.core.checks import cluster_count, enough_distinct_rows
from imclust.core.errors import input_error
from imclust.core.manifest import MANIFEST, read_manifest
from imclust.data.find_images import find_images, image_suffixes

ZIPPED = 1000  # images that are expected of an archive that does not tell its files at once


def check_images(data: Path, workspace: Path, *, links: bool = False) -> None:
    """Refuse what is no folder of images, links into an archive, and a workspace whose pictures
    would be among the images.

    Parameters
    ----------
    data : Path
        The folder or archive.
    workspace : Path
        Where data/ goes.
    links : bool
        Whether links to the images are wanted.

    Raises
    ------
    InputError
        One of these.

    Examples
    --------
    >>> check_images(Path("photos"), Path())
    """
    if not data.exists():
        raise input_error(
            "the images", "a folder or zip", f"{data}, which does not exist", "check it"
        )
    if data.is_file() and links:
        do = "take --copy, or unpack the archive first"
        raise input_error("--symlinks", "used with images in a folder", f"the file {data}", do)
    if data.is_dir() and workspace.expanduser().resolve().is_relative_to(data):
        got = f"{workspace.resolve()}, inside of {data}"
        do = "run it from another folder, or name one with --workspace"
        raise input_error("the folder that data/ goes to", "outside of the images", got, do)


def images_about(data: Path) -> int:
    """How many images there seem to be, by their names.

    Examples
    --------
    >>> images_about(Path("photos"))
    24
    """
    if data.is_dir():
        names = [p.name for p in data.rglob("*")]
    else:
        try:
            with ZipFile(data) as archive:
                names = archive.namelist()
        except (BadZipFile, OSError):  # another archive, or what `index` refuses in its own words
            return ZIPPED
    return sum(PurePosixPath(name).suffix.lower() in image_suffixes() for name in names)


def check_enough(data: Path, n_clusters: int | str, instead: str = "") -> None:
    """Refuse a K that the images are too few for, before any of them is opened as a picture.

    Parameters
    ----------
    data : Path
        The folder or archive.
    n_clusters : int or 'auto'
        K as it was given.
    instead : str
        What to do rather than to add images.

    Raises
    ------
    InputError
        There are fewer.

    Examples
    --------
    >>> check_enough(Path("photos"), 2)  # 24 images are enough
    """
    from imclust.clustering.n_clusters import LEAST

    if images_about(data) >= (LEAST if isinstance(n_clusters, str) else n_clusters) > 1:
        return
    n = len(find_images(data).images)  # by content, which names may not tell
    if n > 1 or (n and instead):  # of none, or a single one, the index says more
        _enough(n, n_clusters, instead)


def check_count(index: Path, n_clusters: object, instead: str = "") -> None:
    """Refuse a K that the images of an index are too few for, before anything is learned.

    Parameters
    ----------
    index : Path
        The `index` artefact.
    n_clusters : int or 'auto' or None
        K as it was given; None is the challenge's own.
    instead : str
        What to do rather than to add images.

    Raises
    ------
    InputError
        There are too few images, or too few that differ, for it; or too few for a vote on it.

    Examples
    --------
    >>> check_count(Path("raw/index"), 2)  # 24 images are enough
    """
    doc = read_manifest(index, "index")
    digests = _digests(index, "train")
    k = n_clusters or doc["n_clusters"]
    _enough(len(digests), k, instead)
    if isinstance(k, int) and all(digests):
        enough_distinct_rows(k, len({*digests}), of=doc["content"])


def too_few(index: Path, assignment: Path) -> str:
    """Why the validation images of an index cannot be as many clusters as the others are, if they
    cannot; "" where that is not known yet.

    Parameters
    ----------
    index : Path
        The `index` artefact.
    assignment : Path
        The `assignment` artefact of the images to cluster.

    Examples
    --------
    >>> too_few(Path("raw/index"), Path("run/clusters"))  # there is no validation image
    '2 clusters need as many different validation images, and there are 0'
    """
    if not all((path / MANIFEST).is_file() for path in (index, assignment)):
        return ""
    k = read_manifest(assignment, "assignment")["n_clusters"]
    digests = _digests(index, "val")
    n = len({*digests}) if all(digests) else len(digests)
    if n >= k:
        return ""
    there = "there is 1" if n == 1 else f"there are {n}"
    return f"{k} clusters need as many different validation images, and {there}"


def _digests(index: Path, split: str) -> list[str]:
    """Of every readable image of a split, of its bytes; "" where they are not known."""
    from imclust.data.images import load_index

    return [row.digest for row in load_index(index) if row.split == split and not row.problem]


def _enough(n: int, k: object, instead: str) -> None:
    from imclust.clustering.n_clusters import LEAST

    if isinstance(k, int):
        cluster_count(k, n, **({"do": instead} if instead else {}))
    if k == "auto" and n < LEAST:
        do = instead or "say how many clusters there are: K=<n> (--n-clusters)"
        raise input_error("the number of images to tell K from", f"at least {LEAST}", n, do)
