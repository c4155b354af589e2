"""Many images from their addresses, as img2dataset fetches them: side by side, failures counted.

Other than there, a file is named by its address instead of its row, so that a list that changed
never finds another image under its number; and images are kept as they come, not scaled.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from imclust._version import __version__
from imclust.core.errors import input_error
from imclust.core.log import progress
from imclust.core.shards import is_elsewhere, over_items
from imclust.data.images import MOST_BYTES, open_image

FETCHED = "fetched"  # the folder of a challenge's files that images from their addresses lie in
EACH = 1024  # addresses of a shard, where a Ray cluster fetches
THREADS = 16
TRIES = 3
CONNECT, READ = 10, 30  # seconds to wait for a connection, and for the next bytes
PIECE = 1 << 16
AGAIN = {408, 429, 500, 502, 503, 504}
# What a page says of images that are not to be collected for learning; img2dataset heeds it too.
NO_COLLECTING = {"noai", "noimageai", "noindex", "noimageindex"}


def image_path(folder: Path, url: str) -> Path:
    """Where the image of an address is kept.

    Examples
    --------
    >>> image_path(Path("f"), "https://example.org/a.jpg").as_posix()
    'f/70/700caca5ae8f856f.jpg'
    """
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    suffix = Path(urlsplit(url).path).suffix.lower()
    return folder / name[:2] / (name + (suffix if suffix[1:].isalnum() else ""))


def fetch_images(urls: Sequence[str], folder: Path, *, pause: float = 1.0) -> list[str]:
    """Fetch what is not there yet; returns why each could not be, empty where it is there.

    Parameters
    ----------
    urls : sequence of str
        Addresses.
    folder : Path
        Where the images are kept, see `image_path`; what a stopped run has brought stays.
    pause : float, optional
        Seconds before an address is asked again, doubled each time.

    Examples
    --------
    >>> url = "https://example.org/a.png"
    >>> image_path(Path("f"), url).parent.mkdir(parents=True)
    >>> _ = image_path(Path("f"), url).write_bytes(Path("photos/dune/00.png").read_bytes())
    >>> fetch_images([url], Path("f"))  # it is there already
    ['']
    """
    if not is_elsewhere():
        return _fetched_part(urls, folder, pause)
    parts = [urls[a : a + EACH] for a in range(0, len(urls), EACH)]
    found = over_items(parts, _fetched_part, folder.absolute(), pause)
    found = progress(found, "fetch", total=len(parts), unit="shard")
    problems = [problem for part in found for problem in part]
    unseen = [u for u, p in zip(urls, problems, strict=True) if not p and not _is_there(folder, u)]
    if unseen:
        got, do = f"{len(unseen)} fetched ones missing here", "put it on storage that all share"
        raise input_error(f"the folder {folder}", "seen by all nodes", got, do)
    return problems


def _fetched_part(urls: Sequence[str], folder: Path, pause: float) -> list[str]:
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda url: _fetched(url, image_path(folder, url), pause), urls)
        return list(progress(found, "fetch", total=len(urls), unit="img"))


def _is_there(folder: Path, url: str) -> bool:
    return image_path(folder, url).is_file()


def _fetched(url: str, to: Path, pause: float) -> str:
    if to.is_file():
        return ""
    if urlsplit(url).scheme not in {"http", "https"}:
        return "no http or https address"
    problem = ""
    for number in range(TRIES):
        again, problem = _tried(url, to)
        if not again:
            return problem
        if number + 1 < TRIES:
            time.sleep(pause * 2**number)
    return problem


def _tried(url: str, to: Path) -> tuple[bool, str]:
    """Whether another try may do, and what went wrong."""
    import requests

    headers = {"User-Agent": f"imclust/{__version__}"}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(CONNECT, READ)) as response:
            if response.status_code != 200:
                return response.status_code in AGAIN, f"status {response.status_code}"
            said = response.headers.get("X-Robots-Tag", "").lower().replace(":", ",").split(",")
            if refused := NO_COLLECTING & {word.strip() for word in said}:
                return False, f"the site asks not to collect it ({min(refused)})"
            data = bytearray()
            for piece in response.iter_content(PIECE):
                data += piece
                if len(data) > MOST_BYTES:
                    return False, f"more than {MOST_BYTES >> 20} MiB"
    except requests.RequestException as e:
        return True, f"no answer ({type(e).__name__})"
    try:
        open_image(bytes(data))
    except ValueError as e:
        return False, str(e)
    _keep(bytes(data), to)
    return False, ""


def _keep(data: bytes, to: Path) -> None:
    """Write an image in one step; the name stands for the address, so nothing else is there."""
    to.parent.mkdir(parents=True, exist_ok=True)
    fresh = to.with_name(f".{to.name}.{os.getpid()}.partial")
    fresh.write_bytes(data)
    os.replace(fresh, to)
