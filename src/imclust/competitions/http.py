"""One way in over HTTP: every file resumable, bounded in time, and placed by `staging`.

What breaks off is asked for again from where it was (Range and If-Range), also by a later run.
"""

from __future__ import annotations

import email.utils
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from imclust.competitions.downloads import Expected, corrupt, is_right, settle, stage, wrong_content
from imclust.core.checks import disk_space
from imclust.core.errors import Kind, ServiceError
from imclust.core.file_signatures import describe_content, magic_of
from imclust.core.files import replace_text
from imclust.core.log import progress, say

if TYPE_CHECKING:
    from requests import Response

PIECE = 1 << 18  # bytes read at once, at the most
AGAIN = {408, 429, 500, 502, 503, 504}  # answers after which the same request may succeed
EXPIRED = {400, 401, 403, 404, 410}  # of a signed link: it ran out, a fresh one may do
REJECTED = 1 << 20  # bytes of an unwanted answer that are kept to look at


@dataclass(frozen=True)
class Limits:
    """Seconds to wait for a connection, for the next bytes, for the whole file; tries in a row
    that bring nothing; seconds before the first repetition, doubled each time up to `longest`.
    """

    connect: float = 10
    read: float = 60
    deadline: float = 6 * 3600
    tries: int = 5
    wait: float = 1
    longest: float = 60


@dataclass(frozen=True)
class _Part:
    """What is known of a partial body, so that the rest may be asked for."""

    etag: str = ""
    modified: str = ""
    size: int | None = None

    @property
    def validator(self) -> str:
        """What If-Range compares; a weak tag does not vouch for bytes."""
        return "" if self.etag.startswith("W/") else self.etag or self.modified


class _Again(Exception):
    """This try brought no whole file; another may. Holds the failure to report at last."""

    def __init__(self, failure: ServiceError, *, fresh: bool = False) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.fresh = fresh  # the partial body is of no use


def fetch(
    url: str | Callable[[], str],
    to: Path,
    expected: Expected,
    *,
    headers: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> bool:
    """Fetch a file to `to` unless it is there and right.

    Parameters
    ----------
    url : str | Callable[[], str]
        Its address, or what gives a fresh one: signed links run out.
    headers : Mapping[str, str] | None, optional
        For that address alone; an Authorization does not follow to another host.

    Returns
    -------
    bool
        Whether it was fetched now.

    Raises
    ------
    ServiceError
        Kinds limit, not-allowed, not-found, server, network, timeout, wrong-content and corrupt;
        what had come stays for the next run, an older file stays as it is.
    InputError
        No room on the disk, or another process is at it.

    Examples
    --------
    >>> _ = Path("raw/a.txt").write_text("four")
    >>> fetch("https://example.org/a.txt", Path("raw/a.txt"), Expected(size=4))
    a.txt is there already
    False
    """
    limits = limits or Limits()
    link = url if callable(url) else lambda: url
    with stage(to) as staging:
        if is_right(to, expected):
            say(f"{to.name} is there already")
            return False
        end, failed = time.monotonic() + limits.deadline, 0
        pull = _Pull(to.name, staging, expected, dict(headers or {}), limits, end)
        address = link()
        while True:
            before = pull.have()
            try:
                pull.once(address, signed=callable(url))
                break
            except _Again as e:
                failed = 0 if pull.have() > before else failed + 1
                if e.fresh:
                    pull.drop()
                pause = _pause(e.failure, failed, limits)
                if failed >= limits.tries or time.monotonic() + pause > end:
                    raise e.failure from None
                time.sleep(pause)
                address = link()
        settle(pull.body, to, expected, _plain(address))
    return True


class _Pull:
    """One file on its way into a staging folder."""

    def __init__(
        self,
        name: str,
        staging: Path,
        expected: Expected,
        headers: dict[str, str],
        limits: Limits,
        end: float,
    ) -> None:
        self.name, self.staging, self.expected = name, staging, expected
        self.headers, self.limits, self.end = headers, limits, end
        self.body, self._about = staging / name, staging / ".about.json"

    def have(self) -> int:
        """Bytes of the body that are there."""
        return self.body.stat().st_size if self.body.is_file() else 0

    def drop(self) -> None:
        """Begin again."""
        self.body.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)

    def once(self, address: str, *, signed: bool) -> None:
        """One request: the whole body, or the rest of it.

        Raises
        ------
        _Again
            It failed in a way that is worth another try.
        ServiceError
            It failed for good.
        """
        import requests
        import urllib3

        part = self._part()
        if self.have() and not part.validator:
            self.drop()
        have = self.have()
        if have and have == part.size:
            return
        wanted = {**self.headers, "Accept-Encoding": "identity"}
        if have:
            wanted |= {"Range": f"bytes={have}-", "If-Range": part.validator}
        try:
            with requests.Session() as session:
                session.auth = as_given
                timeout = (self.limits.connect, self.limits.read)
                with session.get(address, headers=wanted, stream=True, timeout=timeout) as response:
                    self._take(response, have, part, signed)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as e:
            raise _Again(_unreachable(self.name, address, e)) from e

    def _part(self) -> _Part:
        if not (self._about.is_file() and self.body.is_file()):
            self.drop()
            return _Part()
        return _Part(**json.loads(self._about.read_text()))

    def _take(self, response: Response, have: int, part: _Part, signed: bool) -> None:
        if response.status_code == 416:  # the file is not as long as what is here
            raise _Again(corrupt(self.name, "as long as its first half said", "less"), fresh=True)
        if response.status_code not in {200, 206}:
            failure = _service_error(self.name, response)
            if response.status_code in AGAIN or (
                signed and have and response.status_code in EXPIRED
            ):
                raise _Again(failure)
            raise failure
        if response.status_code == 206:
            begin, total = _range(response)
            if begin != have or (part.size is not None and total not in {None, part.size}):
                raise _Again(corrupt(self.name, f"from byte {have} on", f"{begin}"), fresh=True)
        else:
            have, total = 0, _length(response)
            self._refuse_page(response)
            if None not in {total, self.expected.size} and total != self.expected.size:
                raise corrupt(self.name, f"of {self.expected.size} bytes", f"{total} bytes")
            headers = response.headers
            about = _Part(headers.get("ETag", ""), headers.get("Last-Modified", ""), total)
            self.body.unlink(missing_ok=True)
            replace_text(self._about, json.dumps(asdict(about)))
        size = total if total is not None else self.expected.size
        if size is not None:
            disk_space(self.staging, size - have)
        self._write(response, have, size)
        if total is not None and self.have() < total:
            raise _Again(
                corrupt(self.name, f"of {total} bytes", f"{self.have()} before it broke off")
            )

    def _refuse_page(self, response: Response) -> None:
        """A page instead of data is refused before what is here already makes room for it."""
        if "text/html" in response.headers.get("Content-Type", "") and magic_of(self.name):
            page = response.raw.read(REJECTED, decode_content=True)
            (self.staging.parent / f".{self.name}.rejected").write_bytes(page)
            raise wrong_content(self.name, describe_content(page))

    def _write(self, response: Response, have: int, size: int | None) -> None:
        settings = {"total": size, "initial": have, "unit": "B", "unit_scale": True}
        with self.body.open("ab") as f, progress(None, self.name, **settings) as bar:
            while piece := response.raw.read1(PIECE, decode_content=True):
                f.write(piece)
                bar.update(len(piece))
                if size is not None and f.tell() > size:
                    f.truncate(0)
                    raise corrupt(self.name, f"of {size} bytes", "more")
                if time.monotonic() > self.end:
                    raise ServiceError(
                        "timeout",
                        f"{self.name} must come within {self.limits.deadline:.0f} s; got "
                        f"{f.tell()} bytes by then; run the same command again, it goes on there.",
                    )
            f.flush()
            os.fsync(f.fileno())


def as_given(request: Any) -> Any:
    """Authentication of `requests` that leaves the headers alone: a netrc must not replace them.

    Examples
    --------
    >>> from requests import Request
    >>> request = Request("GET", "https://example.org", auth=as_given).prepare()
    >>> "Authorization" in request.headers
    False
    """
    return request


def _range(response: Response) -> tuple[int, int | None]:
    """`bytes 100-199/200` -> (100, 200); an answer that does not say begins nowhere (-1)."""
    text = response.headers.get("Content-Range", "")
    try:
        span, _, total = text.removeprefix("bytes ").partition("/")
        return int(span.partition("-")[0]), None if total in {"", "*"} else int(total)
    except ValueError:
        return -1, None


def _length(response: Response) -> int | None:
    """Bytes of the body as announced; None where they are not, or not of these bytes."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _pause(failure: ServiceError, failed: int, limits: Limits) -> float:
    """Seconds until the next try: what the service says, else twice as long each time."""
    if failure.retry_after is not None and failure.retry_after > limits.longest:
        return float("inf")  # no use in waiting here: the user is told
    return max(failure.retry_after or 0, min(limits.wait * 2 ** max(failed - 1, 0), limits.longest))


def retry_after(response: Response) -> float | None:
    """Seconds of a Retry-After header, given as a number or as a date.

    Examples
    --------
    >>> from requests import Response
    >>> response = Response()
    >>> response.headers["Retry-After"] = "30"
    >>> retry_after(response)
    30.0
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _service_error(name: str, response: Response) -> ServiceError:
    """The failure that an answer of another status than 200 and 206 means."""
    code, host = response.status_code, urlsplit(response.url).hostname
    kind: Kind
    if code in {401, 403}:
        kind, do = "not-allowed", "register for the challenge and accept its rules in a browser"
    elif code in {404, 410}:
        kind, do = "not-found", "check the challenge's name and its list of files"
    elif code == 429:
        wait = retry_after(response)
        do = "try again later" if wait is None else f"try again in {wait:.0f} s"
        return ServiceError("limit", _sentence(name, host, code, do), wait)
    else:
        kind, do = "server", "the fault is theirs: run the same command again later"
    return ServiceError(kind, _sentence(name, host, code, do), retry_after(response))


def _sentence(name: str, host: str | None, code: int, do: str) -> str:
    return f"{name} must be handed out by {host}; got status {code}; {do}."


def _unreachable(name: str, address: str, e: Exception) -> ServiceError:
    """The failure that a broken or missing connection means."""
    host = urlsplit(address).hostname
    late = "timed out" in str(e).lower()
    got = "no answer in time" if late else f"no connection or a broken one ({type(e).__name__})"
    do = "check the network and run the same command again; it goes on where it stopped"
    sentence = f"{name} must come from {host}; got {got}; {do}."
    return ServiceError("timeout" if late else "network", sentence)


def _plain(address: str) -> str:
    """An address without its query: that of a signed link is a key."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
