"""Requests to a service: timeouts, repetition where it is harmless, one sentence."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from imclust.competitions.http import AGAIN, Limits, as_given, retry_after
from imclust.core.errors import ServiceError

if TYPE_CHECKING:
    from requests import Response


@dataclass(frozen=True)
class Wire:
    """How a client asks.

    Parameters
    ----------
    headers : dict[str, str]
        Sent with every request; never to another host that one redirects to.
    limits : Limits
        Timeouts in seconds, tries and pauses.
    most : int | None
        Bytes of an answer; a longer one, or one that drips in beyond the limits' deadline, is
        refused. None for as it comes.
    """

    headers: dict[str, str] = field(default_factory=dict, repr=False)
    limits: Limits = field(default_factory=lambda: Limits(tries=3))
    most: int | None = None

    def ask(self, method: str, url: str, *, again: bool = True, **content: Any) -> Response:
        """One answer of any status below 500 but 429, repeating what the service may yet do.

        Parameters
        ----------
        again : bool, optional
            Whether the same request may be sent twice. Redirects are not followed.
        content : Any
            Handed on to `requests`: params, json, data, files.

        Raises
        ------
        ServiceError
            Kinds timeout, network, server and limit.
        """
        failed = 0
        while True:
            try:
                response = self._once(method, url, content)
            except ServiceError as e:
                failed += 1
                wait = max(e.retry_after or 0, self.limits.wait * 2 ** (failed - 1))
                lost = e.kind == "wrong-content"
                if lost or not again or failed >= self.limits.tries or wait > self.limits.longest:
                    raise
                time.sleep(wait)
            else:
                return response

    def _once(self, method: str, url: str, content: dict[str, Any]) -> Response:
        import requests
        import urllib3

        host = urlsplit(url).hostname
        try:
            with requests.Session() as session:
                session.auth = as_given
                response = session.request(
                    method,
                    url,
                    headers=self.headers,
                    timeout=(self.limits.connect, self.limits.read),
                    allow_redirects=False,
                    stream=self.most is not None,
                    **content,
                )
                if self.most is not None:
                    _read(response, self.most, self.limits.deadline)
        except (requests.Timeout, urllib3.exceptions.ReadTimeoutError) as e:
            raise _unreachable("timeout", host, f"no answer within {self.limits.read:.0f} s") from e
        except (requests.RequestException, urllib3.exceptions.HTTPError) as e:
            raise _unreachable("network", host, f"no connection ({type(e).__name__})") from e
        if response.status_code in AGAIN:
            limit = response.status_code == 429
            wait = retry_after(response)
            when = "later" if wait is None else f"in {wait:.0f} s"
            got = f"status {response.status_code}" + (f" ({w})" if (w := words(response)) else "")
            raise ServiceError(
                "limit" if limit else "server",
                f"{host} must answer; got {got}; "
                f"{'it asks for fewer requests' if limit else 'the fault is theirs'}: "
                f"try again {when}.",
                wait,
            )
        return response


def _read(response: Response, most: int, deadline: float) -> None:
    """Take in the body of a streamed answer, so much of it in so many seconds at the most."""
    host, end, body = urlsplit(response.url).hostname, time.monotonic() + deadline, bytearray()
    with response:
        while piece := response.raw.read1(1 << 16, decode_content=True):
            body += piece
            if len(body) > most:
                do = "see that this is the right address"
                got = f"more than {most >> 10} KiB"
                raise ServiceError("wrong-content", f"{host} must answer briefly; got {got}; {do}.")
            if time.monotonic() > end:
                got = f"no whole answer within {deadline:.0f} s"
                raise _unreachable("timeout", host, got)
    response._content = bytes(body)  # what it would hold if it had not been streamed


def json_of(response: Response, what: str) -> Any:
    """The JSON body of a good answer.

    Raises
    ------
    ServiceError
        Of kind wrong-content, where it is a web page or something else.
    """
    try:
        return response.json()
    except ValueError:
        kind = response.headers.get("Content-Type", "something else")
        host = urlsplit(response.url).hostname
        raise ServiceError(
            "wrong-content",
            f"{what} must come from {host} as JSON; got {kind}; the service may have changed or "
            "be down: look at it in a browser.",
        ) from None


def words(response: Response) -> str:
    """The service's own sentence in an answer, cut to 300 characters; "" where there is none."""
    try:
        doc = response.json()
    except ValueError:
        return ""
    text = next((doc[k] for k in ("message", "error", "errors") if doc.get(k)), "") \
        if isinstance(doc, dict) else ""  # fmt: skip
    if isinstance(text, dict):
        text = text.get("message") or text
    return " ".join(str(text).split())[:300].rstrip(".")


def _unreachable(kind: Any, host: str | None, got: str) -> ServiceError:
    do = "check the network, or their status page, and try again"
    return ServiceError(kind, f"{host} must be reachable; got {got}; {do}.")
