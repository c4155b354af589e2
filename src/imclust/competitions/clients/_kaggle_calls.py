"""What calls to Kaggle's package have in common: timeouts, repetition, and what went wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
Call = Callable[[Any, dict[str, Any]], Any]  # of the package and a request, to what JSON can hold
LIMIT = re.compile(r"limit|allowance|quota|too many", re.IGNORECASE)


class Failed(Exception):
    """A kind of failure, the words of whoever failed, and seconds until it may be asked again."""

    def __init__(self, kind: str, words: str, retry_after: float | None = None) -> None:
        super().__init__(words)
        self.response = {"kind": kind, "words": words, "retry_after": retry_after}


def bounded(timeout: tuple[float, float]) -> None:
    """Give every request from now on a timeout: the package sets none, and takes none."""
    from requests.adapters import HTTPAdapter

    send = getattr(HTTPAdapter.send, "unbounded", HTTPAdapter.send)

    def send_in_time(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = timeout
        return send(self, request, *args, **kwargs)

    send_in_time.unbounded = send  # type: ignore[attr-defined]
    HTTPAdapter.send = send_in_time  # type: ignore[method-assign]


def repeated(ask: Callable[[], T], waits: list[float]) -> T:
    """Ask again after each wait while the service or the way to it fails."""
    for wait in [*waits, None]:
        try:
            return classified(ask)
        except Failed as e:
            if wait is None or e.response["kind"] not in {"server", "network"}:
                raise
        time.sleep(wait)
    raise AssertionError("unreachable")


def classified(ask: Callable[[], T]) -> T:
    """What `ask` returns, its errors as `Failed`."""
    import requests

    try:
        return ask()
    except requests.HTTPError as e:
        raise _status(e.response, str(e)) from e
    except requests.exceptions.JSONDecodeError as e:
        raise Failed("wrong-content", "a web page or text in place of an answer") from e
    except requests.Timeout as e:
        raise Failed("timeout", "no answer in time") from e
    except requests.ConnectionError as e:
        late = "timed out" in str(e).lower()
        raise Failed("timeout" if late else "network", f"{type(e).__name__}") from e
    except requests.RequestException as e:
        raise Failed("network", type(e).__name__) from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Failed("wrong-content", f"an answer that its package cannot read ({e})") from e


def _status(response: Any, words: str) -> Failed:
    """The failure that a status means. `answer`: a `Response`, false in itself when it is bad."""
    code = 0 if response is None else response.status_code
    kinds = {401: "bad-credentials", 403: "not-allowed", 404: "not-found", 429: "limit"}
    kind = kinds.get(code, "server" if code >= 500 or not code else "rejected-file")
    if kind in {"not-allowed", "rejected-file"} and LIMIT.search(words):
        kind = "limit"
    wait = "" if response is None else response.headers.get("Retry-After", "")
    words = re.sub(r" for url: .*", "", words)
    return Failed(kind, f"{words} (status {code})", float(wait) if wait.isdigit() else None)


def stored(path: str, place: Any) -> str:
    """Put a file where Kaggle wants it; returns what Kaggle calls it until it is used.

    The package's own upload tells neither status nor cause, and leaves out what it did not bring.
    """
    import requests

    with open(path, "rb") as f, requests.Session() as session:
        session.auth = lambda r: r  # the address is the key: nothing from .netrc
        response = session.put(place.create_url, data=f)
    if not response.ok:
        code = re.search(r"<Code>([^<]+)</Code>", response.text)
        kind = "server" if response.status_code >= 500 else "rejected-file"
        why = f" {code[1]}" if code else ""
        raise Failed(kind, f"its storage answered status {response.status_code}{why}")
    return str(place.token)


def once(send: Callable[[], T]) -> T:
    """What a request that counts is answered; only a clear no means that it does not count."""
    try:
        return classified(send)
    except Failed as e:
        if e.response["kind"] in {"server", "network", "timeout", "wrong-content"}:
            raise Failed("unknown-state", str(e)) from e
        raise


def accepted(response: Any) -> str:
    """The number of a submission that was answered."""
    if not response.ref:
        words = response.message or "no number of the submission"
        raise Failed("limit" if LIMIT.search(words) else "rejected-file", words)
    return str(response.ref)
