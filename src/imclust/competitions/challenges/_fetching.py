"""Challenges whose files lie on a service: fetching them before they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from imclust.competitions.archives import unzip
from imclust.competitions.challenges._base import Home
from imclust.competitions.clients import connect
from imclust.competitions.clients._base import ChallengeClient, RemoteFile
from imclust.competitions.downloads import Expected, is_right
from imclust.core.errors import InputError, ServiceError, input_error
from imclust.core.log import say
from imclust.data.find_images import image_suffixes

Check = Callable[[Path], None]


def gathered(home: Home, files: Path, checks: Mapping[str, Check] | None = None) -> Path:
    """Have every file of a challenge in `files`, fetched where it is not there and right.

    Parameters
    ----------
    home : Home
        Names the files; where it names none, all that its board lists are taken.
    checks : Mapping[str, Check] | None, optional
        File name -> further check of its content.

    Raises
    ------
    ServiceError
        A service did not hand one out; those that came stay.
    """
    files.mkdir(parents=True, exist_ok=True)
    wanted = {n: Expected(check=(checks or {}).get(n)) for n in home.files}
    lacking = [n for n, expected in wanted.items() if not is_right(files / n, expected)]
    if wanted and not lacking:
        return files
    listed: dict[str, RemoteFile] = {}
    board = connect(home.board) if not wanted or any(not home.files[n] for n in lacking) else None
    if board is not None:
        listed = {f.name: f for f in (board.list_files() if wanted else board.everything())}
        if not listed:
            raise input_error(
                board.page, "a challenge with files", "none", "look at it in a browser"
            )
    for name in lacking or listed:
        expected = wanted.get(name, Expected())
        client, file = _source(home, name, board, listed)
        say(f"fetching {name} from {client.title}")
        if file.size is not None:
            expected = Expected(file.size, check=expected.check)
        try:
            client.download(file, files / name, expected)
        except ServiceError as e:
            raise _with_way_out(e, client, file, files / name) from e
    return files


def _source(
    home: Home, name: str, board: ChallengeClient | None, listed: Mapping[str, RemoteFile]
) -> tuple[ChallengeClient, RemoteFile]:
    """The client that has a file, and what it calls it."""
    if place := home.files.get(name, ""):
        service, _, number = place.partition(":")
        return connect(f"{service}:{number}"), RemoteFile(name, url=number)
    assert board is not None
    if name not in listed:
        known = ", ".join(listed)
        raise input_error(
            f"{name} of {board.page}", f"among its files ({known})", "not there", "look"
        )
    return board, listed[name]


def _with_way_out(
    e: ServiceError, client: ChallengeClient, file: RemoteFile, to: Path
) -> ServiceError:
    """The same failure, and how the file may come by hand."""
    if e.kind in {"no-credentials", "bad-credentials"}:
        return e
    way = f"or open {client.address(file)} in a browser and save {file.name} as {to}"
    return ServiceError(e.kind, f"{str(e).rstrip('.')}, {way}.", e.retry_after)


def unpacked(files: Path) -> None:
    """Unpack the zips that hold more than images (those are read as they are) beside themselves.

    Raises
    ------
    ServiceError
        An archive is damaged or leads out of its folder.
    """
    import zipfile

    for archive in sorted(files.glob("*.zip")):
        try:
            with zipfile.ZipFile(archive) as z:
                names = [m.filename for m in z.infolist() if not m.is_dir()]
        except zipfile.BadZipFile:
            raise InputError(
                f"{archive} must be a zip; got a damaged one; delete it and run this again."
            ) from None
        if not all(Path(n).suffix.lower() in image_suffixes() for n in names):
            unzip(archive, files / archive.stem)
