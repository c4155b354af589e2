"""A vision-language model behind an endpoint that speaks OpenAI's chat completions.

Such endpoints are Ollama's, LM Studio's, llama.cpp's, vLLM's on this machine, and services. What is
sent is what the caller gives: a question and pictures, as data URLs in the message.
"""

from __future__ import annotations

import base64
import difflib
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, urlsplit

from imclust.competitions.clients._wire import Wire, json_of, words
from imclust.competitions.http import Limits
from imclust.core.errors import Kind, ServiceError, input_error, masked
from imclust.core.log import say

if TYPE_CHECKING:
    from requests import Response

KEY = "IMCLUST_NAME_KEY"  # the only place that a key is taken from
PATIENCE = Limits(read=300, deadline=600, tries=3)  # a model on a CPU takes minutes
LONGEST = 1 << 20  # bytes of an answer
OPTIONS = {"max_tokens": 1000, "temperature": 0}  # room to think aloud; the same again if it can
NO_LIST = {404, 405, 501}  # of an endpoint that does not list its models
REFUSED: dict[int, Kind] = {
    400: "rejected-file",
    401: "bad-credentials",
    403: "not-allowed",
    404: "not-found",
    413: "rejected-file",
    422: "rejected-file",
}
Place = Literal["this machine", "your own network", "the internet"]


@dataclass(frozen=True)
class VisionModel:
    """One model at one endpoint.

    Parameters
    ----------
    base : str
        The address that `/chat/completions` follows upon, without a slash at its end.
    model : str
        Its name there.
    place : {"this machine", "your own network", "the internet"}
        Where that is.
    key : str
        Sent as a bearer token; "" for none.

    Examples
    --------
    >>> vision_model("http://localhost:1234/v1/", "llava").host
    'localhost:1234'
    """

    base: str
    model: str
    place: Place
    key: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Host and port, as the user wrote them."""
        return urlsplit(self.base).netloc

    def check(self) -> None:
        """Refuse what does not answer, a key that it does not take, a model that it has not.

        Nothing but a question for the list of models is sent; an endpoint may have none.

        Raises
        ------
        ServiceError
            It does not answer as such an endpoint does.
        InputError
            The model is not among those that it lists.
        """
        response = self._send("GET", "models")
        if response.status_code in NO_LIST:
            return
        self._refuse(response)
        doc = json_of(response, f"the models of {self.host}")
        listed = doc.get("data") if isinstance(doc, dict) else None
        known = [
            str(m["id"]) for m in (listed if isinstance(listed, list) else ())
            if isinstance(m, dict) and "id" in m
        ]  # fmt: skip
        if not known:
            say(
                f"{self.host} lists no model in the usual form: whether it has {self.model} shows "
                "when it is asked"
            )
        if not known or any(name in {self.model, f"{self.model}:latest"} for name in known):
            return
        near = difflib.get_close_matches(self.model, known, 3) or known[:8]
        allowed = f"a model that {self.host} has"
        do = f"take one that it lists: {_plain(', '.join(near))}"
        raise input_error("--name-model", allowed, repr(self.model), do)

    def ask(self, question: str, jpegs: Sequence[bytes]) -> str:
        """What the model says to a question about pictures; "" where it says nothing.

        Parameters
        ----------
        question : str
            Text of the message.
        jpegs : sequence of bytes
            The pictures, JPEG files.

        Raises
        ------
        ServiceError
            It did not answer, or not as such an endpoint does.
        """
        parts: list[dict[str, Any]] = [{"type": "text", "text": question}]
        for data in jpegs:
            url = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        body = {"model": self.model, "messages": [{"role": "user", "content": parts}]}
        response = self._send("POST", "chat/completions", json=body | OPTIONS)
        if response.status_code == 400:  # some models take neither of the options
            response = self._send("POST", "chat/completions", json=body)
        self._refuse(response)
        doc = json_of(response, f"the answer of {self.model}")
        try:
            content = doc["choices"][0]["message"].get("content")
        except (LookupError, TypeError, AttributeError):
            got = "JSON without choices[0].message"
            do = (
                "see that the address is that of chat completions, such as http://localhost:1234/v1"
            )
            raise ServiceError(
                "wrong-content",
                f"the answer of {self.host} must be a chat completion; got {got}; {do}.",
            ) from None
        if isinstance(content, list):  # in parts, as questions are
            content = "".join(p.get("text", "") for p in content if isinstance(p, dict))
        return content if isinstance(content, str) else ""

    def _send(self, method: str, path: str, **content: Any) -> Response:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if self.place != "the internet":  # no proxy stands between, whatever the environment says
            content["proxies"] = {"http": None, "https": None, "all": None}
        # A list of models is there at once, whatever an answer takes.
        limits = replace(PATIENCE, read=10, deadline=20) if method == "GET" else PATIENCE
        wire = Wire(headers, limits, LONGEST)
        try:
            return wire.ask(method, f"{self.base}/{path}", **content)
        except ServiceError as e:
            said = masked(_plain(str(e)), self.key)
            if e.kind == "network" and self.place != "the internet":
                said = f"{self.host} must answer; got no connection; start the server there."
            raise ServiceError(e.kind, said, e.retry_after) from None

    def _refuse(self, response: Response) -> None:
        """Every answer but a good one, in one sentence with the service's own words."""
        status = response.status_code
        if status == 200:
            return
        said = masked(_plain(words(response)), self.key)
        got = f"status {status}" + (f" ({said})" if said else "")
        do = "look at what the server says of it"
        if status in {401, 403}:
            do = f"put a key that it takes into the environment variable {KEY}"
        elif status == 404:
            do = "see that the model is there, and that the address ends as in http://localhost:1234/v1"
        elif 300 <= status < 400:
            do = "give the address that it leads to: pictures are not sent on by themselves"
        kind = REFUSED.get(status, "wrong-content")
        what = f"{self.host} must answer for {self.model}"
        raise ServiceError(kind, f"{what}; got {got}; {do}.")


def vision_model(
    address: str, model: str, key: str = "", *, unencrypted: bool = False
) -> VisionModel:
    """The model at an address, if pictures may be sent there. Nothing is sent yet.

    Parameters
    ----------
    address : str
        Such as http://localhost:1234/v1.
    model : str
        Its name there.
    key : str
        What the endpoint asks for, if anything.
    unencrypted : bool
        Whether pictures may go through the internet without encryption.

    Raises
    ------
    InputError
        It is no such address, holds a password, or would send pictures openly.
    ServiceError
        There is no such host.

    Examples
    --------
    >>> vision_model("http://127.0.0.1:8080/v1", "llava").place
    'this machine'
    >>> vision_model("http://8.8.8.8/v1", "llava")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    imclust.core.errors.InputError: --name-by must be https, ...
    """
    at = _split(address)
    if not model.strip():
        do = "add --name-model and the model's name there"
        raise input_error("--name-by", "given with a model", "no --name-model", do)
    if not all(c.isprintable() for c in model):
        raise input_error("--name-model", "a name in one line", repr(model), "write it so")
    if not key.isascii() or not key.isprintable():
        do = "set it to the key alone"
        raise input_error(KEY, "a key of plain characters", "others in it", do)
    place = _place(at)
    if at.scheme == "http" and place == "the internet" and not unencrypted:
        allowed = "https, or http to this machine or to your own network"
        do = "write https, or add --name-unencrypted to send pictures readable by all on the way"
        raise input_error("--name-by", allowed, f"http://{at.netloc}, on the internet", do)
    base = f"{at.scheme}://{at.netloc}{at.path.rstrip('/')}"
    return VisionModel(base.removesuffix("/chat/completions"), model, place, key)


def _split(address: str) -> SplitResult:
    allowed = "an address such as http://localhost:1234/v1"
    try:
        at = urlsplit(address)
        whole = at.scheme in {"http", "https"} and bool(at.hostname) and (at.port or 1) > 0
    except ValueError:
        whole = False
    if not whole or not address.isascii() or any(c.isspace() for c in address):
        do = "write it whole"
        raise input_error("--name-by", allowed, repr(address.partition("@")[2] or address), do)
    if "@" in at.netloc or at.query or at.fragment:
        got = "one with a name or password, or with more behind its path"
        raise input_error("--name-by", allowed, got, f"put a key into the variable {KEY}")
    return at


def _place(at: SplitResult) -> Place:
    """Where the host of an address is, by all addresses that it has.

    Raises
    ------
    ServiceError
        It has none.
    """
    try:
        found = socket.getaddrinfo(at.hostname, at.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        got, do = "no host of that name", "check how it is written, and the network"
        raise ServiceError("network", f"{at.netloc} must be reachable; got {got}; {do}.") from None
    every = [_address(str(info[4][0])) for info in found]
    if all(a.is_loopback for a in every):
        return "this machine"
    return "the internet" if any(a.is_global for a in every) else "your own network"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _plain(text: str) -> str:
    """Somebody else's words for a terminal, in one line."""
    return "".join(c if c.isprintable() else " " for c in text)
