"""Kaggle's own package, kept in a process of its own: it prints, signs in at import, may exit.

One request as JSON on standard input, one answer as JSON on standard output's last line: `{"ok":
...}`, or `{"kind": ..., "words": ..., "retry_after": ...}` for a `Failure` of that kind.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT = re.compile(r"limit|allowance|quota|too many", re.IGNORECASE)
PAGES = 5  # of the leaderboard that are searched for the account's team
PAGE = 200


class Failed(Exception):
    """A kind of failure, the words of whoever failed, and seconds until it may be asked again."""

    def __init__(self, kind: str, words: str, retry_after: float | None = None) -> None:
        super().__init__(words)
        self.response = {"kind": kind, "words": words, "retry_after": retry_after}


def main() -> None:
    """Answer the one request."""
    out, sys.stdout = sys.stdout, sys.stderr  # what the package prints is not an answer
    request = json.load(sys.stdin)
    try:
        response = {"ok": _answered(request)}
    except Failed as e:
        response = e.response
    except ImportError as e:
        response = {"kind": "not-installed", "words": str(e)}
    out.write("\n" + json.dumps(response) + "\n")
    out.flush()


def _answered(request: dict[str, Any]) -> Any:
    _bounded(tuple(request["timeout"]))
    waits = request["waits"]
    api = _repeated(_signed_in, waits)
    do = DO[request["do"]]
    if do is _create:
        return _create(api, request)  # once, whatever comes
    return _repeated(lambda: do(api, request), waits)


def _bounded(timeout: tuple[float, float]) -> None:
    """Give every request a timeout: the package sets none, and takes none."""
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def bounded(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = timeout
        return send(self, request, *args, **kwargs)

    HTTPAdapter.send = bounded  # type: ignore[method-assign]


def _repeated(ask: Callable[[], T], waits: list[float]) -> T:
    """Ask again after each wait while the service or the way to it fails."""
    for wait in [*waits, None]:
        try:
            return _classified(ask)
        except Failed as e:
            if wait is None or e.response["kind"] not in {"server", "network"}:
                raise
        time.sleep(wait)
    raise AssertionError("unreachable")


def _classified(ask: Callable[[], T]) -> T:
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


def _signed_in() -> Any:
    from kaggle.api.kaggle_api_extended import KaggleApi

    api = KaggleApi()
    if api.CONFIG_NAME_AUTH_METHOD in api.config_values:  # done by the import
        return api
    try:
        api.authenticate()
    except SystemExit as e:
        raise Failed("no-credentials", "none that Kaggle takes") from e
    return api


def _account(api: Any, request: dict[str, Any]) -> str:
    return str(api.config_values.get("username") or "")


def _files(api: Any, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Every page of the listing."""
    files, token = [], ""
    while True:
        page = api.competition_list_files(request["slug"], page_token=token, page_size=PAGE)
        files += [{"name": f.name, "size": f.total_bytes or None} for f in page.files or []]
        if not page.next_page_token or page.next_page_token == token:
            return files
        token = page.next_page_token


def _link(api: Any, request: dict[str, Any]) -> str:
    """The signed address of a file, or of all in one archive, which nobody has asked for yet."""
    import requests
    from kagglesdk.competitions.types import competition_api_service as types

    wanted: Any = types.ApiDownloadDataFilesRequest()
    if request["file"]:
        wanted = types.ApiDownloadDataFileRequest()
        wanted.file_name = request["file"]
    wanted.competition_name = request["slug"]
    # The package would go on to the storage, whose links may work once.
    requests.Session.get_redirect_target = lambda self, resp: None  # type: ignore
    with api.build_kaggle_client() as kaggle:
        client = kaggle.competitions.competition_api_client
        response = (client.download_data_file if request["file"] else client.download_data_files)(
            wanted
        )
        response.close()
    if "Location" not in response.headers:
        raise Failed("wrong-content", f"no link (status {response.status_code})")
    return str(response.headers["Location"])


def _upload(api: Any, request: dict[str, Any]) -> str:
    """Store a file; returns what Kaggle calls it until it is submitted."""
    import requests
    from kagglesdk.competitions.types.competition_api_service import (
        ApiStartSubmissionUploadRequest,
    )

    path = request["path"]
    start = ApiStartSubmissionUploadRequest()
    start.competition_name, start.file_name = request["slug"], os.path.basename(path)
    start.content_length = os.path.getsize(path)
    start.last_modified_epoch_seconds = int(os.path.getmtime(path))
    with api.build_kaggle_client() as kaggle:
        place = kaggle.competitions.competition_api_client.start_submission_upload(start)
    # The package's own upload tells neither status nor cause.
    with open(path, "rb") as f, requests.Session() as session:
        session.auth = lambda r: r  # the address is the key: nothing from .netrc
        stored = session.put(place.create_url, data=f)
    if not stored.ok:
        code = re.search(r"<Code>([^<]+)</Code>", stored.text)
        kind = "server" if stored.status_code >= 500 else "rejected-file"
        why = f" {code[1]}" if code else ""
        raise Failed(kind, f"its storage answered status {stored.status_code}{why}")
    return str(place.token)


def _create(api: Any, request: dict[str, Any]) -> str:
    """Submit what was stored. Once it is sent, only a clear no means that it does not count."""
    from kagglesdk.competitions.types.competition_api_service import ApiCreateSubmissionRequest

    wanted = ApiCreateSubmissionRequest()
    wanted.competition_name, wanted.blob_file_tokens = request["slug"], request["token"]
    if request["description"]:
        wanted.submission_description = request["description"]

    def send() -> Any:
        with api.build_kaggle_client() as kaggle:
            return kaggle.competitions.competition_api_client.create_submission(wanted)

    try:
        response = _classified(send)
    except Failed as e:
        if e.response["kind"] in {"server", "network", "timeout", "wrong-content"}:
            raise Failed("unknown-state", str(e)) from e
        raise
    if not response.ref:
        words = response.message or "no number of the submission"
        raise Failed("limit" if LIMIT.search(words) else "rejected-file", words)
    return str(response.ref)


def _submissions(api: Any, request: dict[str, Any]) -> list[dict[str, Any]]:
    """The account's newest submissions; of the one asked for the rank, where it can be found."""
    made = [s for s in api.competition_submissions(request["slug"], page_size=100) or [] if s]
    listed = []
    for s in made:
        entry = {
            "ref": str(s.ref),
            "state": s.status.name,
            "public": s.public_score,
            "private": s.private_score,
            "message": s.error_description,
            "description": s.description,
            "rank": None,
        }
        if entry["ref"] == request["ref"] and s.status.name == "COMPLETE" and s.team_name:
            entry["rank"] = _rank(api, request["slug"], s.team_name)
        listed.append(entry)
    return listed


def _rank(api: Any, slug: str, team: str) -> int | None:
    """A team's place among the first rows of the public leaderboard; None where it is not seen."""
    from kagglesdk.competitions.types.competition_api_service import ApiGetLeaderboardRequest

    above, wanted = 0, ApiGetLeaderboardRequest()
    wanted.competition_name, wanted.page_size = slug, PAGE
    for _ in range(PAGES):
        try:
            page = _classified(partial(_board, api, wanted))
        except Failed:  # a rank is nice to know, and no more
            return None
        names = [row.team_name for row in page.submissions or []]
        if team in names:
            return above + names.index(team) + 1
        if not page.next_page_token:
            break
        above, wanted.page_token = above + len(names), page.next_page_token
    return None


def _board(api: Any, wanted: Any) -> Any:
    with api.build_kaggle_client() as kaggle:
        return kaggle.competitions.competition_api_client.get_leaderboard(wanted)


def _limits(api: Any, request: dict[str, Any]) -> dict[str, Any]:
    limits = api.competition_get_submission_limits(request["slug"])
    return {"left": limits.num_allowed_now, "today": limits.num_today, "all": limits.num_total}


DO: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "account": _account,
    "files": _files,
    "link": _link,
    "upload": _upload,
    "create": _create,
    "submissions": _submissions,
    "limits": _limits,
}

if __name__ == "__main__":
    main()
