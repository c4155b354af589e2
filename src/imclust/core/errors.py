"""What goes wrong between here and a service, by kind: one sentence and one exit status each."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal[
    "no-credentials",
    "bad-credentials",
    "not-allowed",
    "not-found",
    "limit",
    "rejected-file",
    "server",
    "network",
    "timeout",
    "wrong-content",
    "corrupt",
    "unknown-state",
]
STATUS: dict[Kind, int] = {
    "not-found": 2,
    "no-credentials": 4,
    "bad-credentials": 4,
    "not-allowed": 4,
    "limit": 5,
    "rejected-file": 6,
    "server": 7,
    "network": 7,
    "timeout": 7,
    "wrong-content": 8,
    "corrupt": 8,
    "unknown-state": 9,
}
_SECRET = re.compile(
    r"(?i)((?:authorization|proxy-authorization|cookie)\W{1,4}(?:token|bearer|basic)?\s*)[^\s'\",}]+"
    r"|((?:api[_-]?key|access_token|token|signature|x-amz-[a-z-]+|x-goog-[a-z-]+)=)[^&\s'\"]+"
)


class InputError(ValueError):
    """Bad input or a bad setting, in one sentence: what, what is allowed, what came, what to do.

    The command line prints the sentence and exits with `status`.

    Examples
    --------
    >>> from imclust import cluster_latents
    >>> try:
    ...     cluster_latents([[0.0], [1.0]], 3)
    ... except InputError as error:
    ...     sentence = str(error)
    >>> sentence
    'the number of clusters K must be from 2 to the number of rows (2); got 3; choose another K.'
    """

    status = 2


def input_error(what: str, allowed: str, got: object, do: str) -> InputError:
    """The one shape of every refusal, ready to raise.

    Parameters
    ----------
    what : str
        What was refused.
    allowed : str
        What it must be.
    got : object
        What it is.
    do : str
        What to do.

    Examples
    --------
    >>> str(input_error("K", "at least 2", 1, "choose another"))
    'K must be at least 2; got 1; choose another.'
    """
    return InputError(f"{what} must be {allowed}; got {got}; {do}.")


class DamagedArtifactError(InputError):
    """An artefact on disk is not as it was written; the stage that made it makes it again."""


class ServiceError(InputError):
    """A service, or the way to it, did not do what was asked.

    Parameters
    ----------
    kind : Kind
        What went wrong; decides the exit status.
    sentence : str
        One sentence for the user, secrets in it are masked.
    retry_after : float | None
        Seconds after which the service says it may be asked again.
    """

    def __init__(self, kind: Kind, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(masked(sentence))
        self.kind = kind
        self.status = STATUS[kind]
        self.retry_after = retry_after


def masked(text: str, *secrets: str) -> str:
    """`text` without credentials: the given ones, and whatever looks like one.

    Examples
    --------
    >>> "secret" in masked("key secret", "secret")
    False
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _SECRET.sub(lambda m: (m[1] or m[2] or "") + "***", text)
