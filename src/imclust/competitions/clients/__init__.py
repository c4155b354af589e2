"""Clients: services that hand out data and take submissions. One file each, imported when used."""

import importlib
from urllib.parse import urlsplit

from imclust.competitions.clients._base import ChallengeClient, slug_of
from imclust.core.errors import input_error

SERVICES = {  # service -> its own client, then the others that --via names
    "aicrowd": {"": "aicrowd:AIcrowd", "cli": "aicrowd_cli:AIcrowdCli"},
    "kaggle": {"": "kaggle:Kaggle"},
    "drive": {"": "drive:Drive"},
}


def client_class(service: str, via: str = "") -> type[ChallengeClient]:
    """The client of a service by name; `via` names another than our own.

    Raises
    ------
    InputError
        There is none of that name.

    Examples
    --------
    >>> client_class("kaggle").title
    'Kaggle'
    """
    if service not in SERVICES:
        raise input_error("a service", f"one of {', '.join(SERVICES)}", repr(service), "choose one")
    if via not in SERVICES[service]:
        known = ", ".join(v for v in SERVICES[service] if v) or "left out"
        raise input_error(f"--via of {service}", known, repr(via), "leave it out for the default")
    module, name = SERVICES[service][via].split(":")
    cls: type[ChallengeClient] = getattr(
        importlib.import_module(f"imclust.competitions.clients.{module}"), name
    )
    return cls


def board_of(text: str) -> tuple[str, str]:
    """`kaggle:titanic`, or the address of a challenge -> its service and its name there.

    Raises
    ------
    InputError
        neither.

    Examples
    --------
    >>> board_of("https://www.kaggle.com/competitions/titanic/data")
    ('kaggle', 'titanic')
    """
    host = urlsplit(text).hostname or ""
    service, _, rest = text.partition(":")
    if host:
        service, rest = next((s for s in SERVICES if s in host), host), text
    slug = slug_of(rest)
    if not slug:
        raise input_error(
            "a board", "SERVICE:CHALLENGE, such as kaggle:titanic", repr(text), "add both parts"
        )
    return service, slug


def connect(board: str, via: str = "") -> ChallengeClient:
    """A client of a challenge. Nothing is sent yet.

    Parameters
    ----------
    board : str
        `kaggle:titanic`, or the challenge's address.
    via : str
        Another client than our own, as for `client_class`.

    Raises
    ------
    InputError
        There is no such service or client.

    Examples
    --------
    >>> connect("kaggle:titanic").page
    'https://www.kaggle.com/competitions/titanic'
    """
    service, slug = board_of(board)
    return client_class(service, via)(slug)
