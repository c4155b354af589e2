"""AIcrowd, over the wire that its own clients speak.

`GET api_user`, `GET challenges/<slug>/eligibility`, `GET submissions` (a presigned form), `POST` of
that form to the storage, `POST submissions`, then `GET submissions/<id>` until it is graded. The
files of a challenge are listed by a second host. AICROWD_API_ENDPOINT, RAILS_HOST and
DATASETS_HOST name other hosts, as for aicrowd-cli.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cached_property
from html import unescape
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

from imclust.competitions.clients import _aicrowd_key
from imclust.competitions.clients._base import (
    Allowance,
    ChallengeClient,
    RemoteFile,
    State,
    SubmissionStatus,
)
from imclust.competitions.clients._wire import Wire, json_of, words
from imclust.competitions.downloads import Expected
from imclust.competitions.http import fetch
from imclust.core.errors import Kind, ServiceError

if TYPE_CHECKING:
    from requests import Response

STATES: dict[str, State] = {"graded": "scored", "failed": "failed"}
PROBLEM = re.compile(r"/challenges/([^/]+)/problems/([^/]+)")
LIMIT = re.compile(r"limit|quota|allowance|too many|maximum|remaining", re.IGNORECASE)


class AIcrowd(ChallengeClient):
    """One challenge of AIcrowd. The key goes to AIcrowd's own hosts and to no other."""

    service: ClassVar[str] = "aicrowd"
    title: ClassVar[str] = "AIcrowd"

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        rails = os.environ.get("RAILS_HOST", "www.aicrowd.com")
        self._web = rails if "://" in rails else f"https://{rails}"
        self._api = os.environ.get("AICROWD_API_ENDPOINT", "https://api.aicrowd.com").rstrip("/")
        self._files = os.environ.get("DATASETS_HOST", "datasets.aicrowd.com")
        self._meta = ""

    @property
    def page(self) -> str:
        """Address of the challenge."""
        return f"https://www.aicrowd.com/challenges/{self.slug}"

    @classmethod
    def credentials(cls) -> str:
        """AICROWD_API_KEY, or the settings file of aicrowd-cli."""
        return _aicrowd_key.key()[1]

    @classmethod
    def wants(cls) -> str:
        """What to set."""
        return _aicrowd_key.WANTS

    @cached_property
    def _key(self) -> str:
        key, _ = _aicrowd_key.key()
        if not key:
            raise ServiceError(
                "no-credentials", f"AIcrowd must be given a key; got none; {self.wants()}."
            )
        return key

    @cached_property
    def _wire(self) -> Wire:
        return Wire({"Authorization": f"Token {self._key}"})

    @cached_property
    def _user(self) -> dict[str, Any]:
        """The account, asked for once. A 401 here is the key; a later one is not."""
        response = self._wire.ask("GET", f"{self._web}/api/v1/api_user")
        if response.status_code in {401, 403}:
            raise ServiceError(
                "bad-credentials",
                f"the key in {self.credentials()} must be one that AIcrowd knows; got status "
                f"{response.status_code}; copy it again from your profile "
                "(https://www.aicrowd.com/participants/me).",
            )
        self._refuse(response, "the account")
        doc: dict[str, Any] = json_of(response, "the account")
        return doc

    def account(self) -> str:
        """The participant's name."""
        return str(self._user.get("username") or self._user.get("name") or self._user.get("id"))

    def list_files(self) -> list[RemoteFile]:
        """The files of the challenge's resources page; two of one basename are told apart."""
        _ = self._user  # so that a bad key is called one
        found = self._wire.ask("GET", f"{self._api}/challenges/", params={"slug": self.slug})
        self._refuse(found, "the challenge")
        listed = json_of(found, "the challenge")
        if not listed:
            raise self._not_found()
        response = self._wire.ask("GET", f"{self._api}/challenges/{listed[0]['id']}/dataset")
        self._refuse(response, "the list of files")
        files: list[RemoteFile] = []
        for entry in json_of(response, "the list of files"):
            url = str(entry["external_url"])
            size = str(entry.get("external_file_size") or "")
            name = PurePosixPath(unquote(urlsplit(url).path)).name or str(entry["title"])
            taken = {f.name for f in files}
            name = name if name not in taken else f"{entry['id']}-{name}"
            files.append(RemoteFile(name, int(size) if size.isdigit() else None, url))
        return files

    def download(self, file: RemoteFile, to: Path, expected: Expected) -> None:
        """The key is sent to the host of data sets alone, and not where that one redirects."""
        mine = urlsplit(file.url).netloc == self._files
        headers = {"Authorization": f"Token {self._key}"} if mine else {}
        fetch(file.url, to, expected, headers=headers)

    def allowance(self) -> Allowance:
        """Whether a submission would be taken, in AIcrowd's words; it gives no number.

        Raises
        ------
        ServiceError
            Not-allowed or limit, where it would not be.
        """
        _ = self._user
        response = self._wire.ask("GET", f"{self._web}/api/v1/challenges/{self.slug}/eligibility")
        if response.status_code == 404 or response.is_redirect:  # older challenges and problems
            return Allowance(words="AIcrowd does not say for this challenge")
        self._refuse(response, "the eligibility")
        doc = json_of(response, "the eligibility")
        why = doc.get("denied_reason") or doc.get("message") or ""
        if not doc.get("submissions_allowed", True):
            kind: Kind = "limit" if LIMIT.search(why) else "not-allowed"
            raise ServiceError(
                kind,
                f"submissions to {self.slug} must be open to {self.account()}; got: "
                f"{_text(why) or 'not allowed'}; see {self.page}.",
            )
        left = doc.get("submissions_remaining")
        return Allowance(left if isinstance(left, int) else None, _text(why))

    def submit(self, path: Path, description: str, creating: Callable[[], None]) -> str:
        """Presign, store, then create: the last of them once."""
        _ = self._user
        form = self._presigned()
        stored = self._store(form, path)
        body: dict[str, Any] = {
            "challenge_id": self.slug,
            "submission": {"description": description},
            "submission_files": [{"submission_file_s3_key": stored}],
        }
        if self._meta:
            body = {"meta_challenge_id": self._meta, **body}
        creating()
        try:
            response = self._wire.ask(
                "POST", f"{self._web}/api/v1/submissions", again=False, json=body
            )
        except ServiceError as e:
            if e.kind == "limit":
                raise
            raise ServiceError(
                "unknown-state",
                f"AIcrowd must confirm the submission; got none ({e}); it may count: look at "
                f"{self.page}/submissions before you send it again with --force.",
            ) from e
        self._refuse(response, "the submission")
        doc = json_of(response, "the submission")
        ref = (doc.get("data") or {}).get("submission_id")
        if not doc.get("success", True) or ref is None:
            raise self._refusal(words(response) or "no number of the submission", 200)
        return str(ref)

    def _presigned(self) -> dict[str, Any]:
        """The form that the storage takes; a redirect names the challenge that this is part of."""
        url = f"{self._web}/api/v1/submissions"
        response = self._wire.ask("GET", url, params={"challenge_id": self.slug})
        if response.is_redirect:
            problem = PROBLEM.search(urlsplit(response.headers["Location"]).path)
            if problem is None:
                raise self._not_found()
            self._meta, self.slug = problem.groups()
            response = self._wire.ask("GET", url, params={"challenge_id": self._meta})
        self._refuse(response, "the place to store the file")
        doc = json_of(response, "the place to store the file")
        if not doc.get("success", True) or "data" not in doc:
            raise self._refusal(words(response), 200)
        form: dict[str, Any] = doc["data"]
        return form

    def _store(self, form: dict[str, Any], path: Path) -> str:
        """Put the file into the storage, which is given no key; returns its name there."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", path.name)  # it becomes part of the key
        fields = {k: v.replace("${filename}", name) for k, v in form["fields"].items()}
        content = path.read_bytes()
        response = Wire().ask("POST", form["url"], data=fields, files={"file": (name, content)})
        if response.status_code >= 300:
            code = re.search(r"<Code>([^<]+)</Code>", response.text)
            raise ServiceError(
                "rejected-file",
                f"{path.name} must be a file that AIcrowd's storage takes; got status "
                f"{response.status_code} {code[1] if code else ''} for {len(content)} bytes; check "
                "its size against the challenge's limit.",
            )
        return fields["key"]

    def status(self, ref: str) -> SubmissionStatus:
        """Score and state of a submission. AIcrowd's rank is on its page only."""
        _ = self._user
        response = self._wire.ask("GET", f"{self._web}/api/v1/submissions/{ref}")
        self._refuse(response, f"submission {ref}")
        doc = json_of(response, f"submission {ref}")
        state = STATES.get(
            str(doc.get("grading_status_cd") or doc.get("grading_status")), "pending"
        )
        return SubmissionStatus(
            ref,
            state,
            _number(doc.get("score")),
            _number(doc.get("score_secondary")),
            message=_text(str(doc.get("grading_message") or "")),
            description=str(doc.get("description") or ""),
        )

    def recent(self) -> list[SubmissionStatus] | None:
        """None: AIcrowd lists submissions on its pages only."""
        return None

    def _refuse(self, response: Response, what: str) -> None:
        """Raise what an answer below 500 means that is not good."""
        code = response.status_code
        if code < 300:
            return
        if code == 404:
            raise self._not_found()
        raise self._refusal(words(response) or f"{what}: status {code}", code)

    def _refusal(self, why: str, code: int) -> ServiceError:
        """A refusal after the key was accepted: terms, registration, a limit, or the file."""
        why = _text(why).rstrip(".")
        if code == 429 or LIMIT.search(why):
            do = "wait until tomorrow, or see the challenge's page for its limit"
            return ServiceError(
                "limit", f"{self.slug} must take another submission; got: {why}; {do}."
            )
        do = f"register and accept the rules at {self.page}"
        kind: Kind = "rejected-file" if code in {400, 409, 413, 422} else "not-allowed"
        if kind == "rejected-file":
            do = "check the file with `submit --check`, and the challenge's page"
        return ServiceError(kind, f"{self.slug} must accept what was asked; got: {why}; {do}.")

    def _not_found(self) -> ServiceError:
        return ServiceError(
            "not-found",
            f"the challenge {self.slug!r} must be known to AIcrowd; got no such one; give the last "
            "part of its address (https://www.aicrowd.com/challenges/<this>).",
        )


def _text(html: str) -> str:
    """A grader's message without its markup."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())[:500]


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
