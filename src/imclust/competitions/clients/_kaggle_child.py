"""Kaggle's own package, kept in a process of its own: it prints, signs in at import, may exit.

A request is a line of JSON on standard input, its answer a line of JSON on standard output: `{"ok":
...}`, or `{"kind": ..., "words": ..., "retry_after": ...}` for a `Failure` of that kind.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache, partial
from typing import Any

from imclust.competitions.clients import _kaggle_code
from imclust.competitions.clients._kaggle_calls import (
    Call,
    Failed,
    accepted,
    bounded,
    classified,
    once,
    repeated,
    stored,
)

PAGES = 5  # of the leaderboard that are searched for the account's team
PAGE = 200


def main() -> None:
    """Answer one request after another, until there are no more."""
    out, sys.stdout = sys.stdout, sys.stderr  # what the package prints is not an answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            response = {"ok": _answered(request)}
        except Failed as e:
            response = e.response
        except ImportError as e:
            response = {"kind": "not-installed", "words": str(e)}
        out.write(json.dumps(response) + "\n")
        out.flush()


def _answered(request: dict[str, Any]) -> Any:
    bounded(tuple(request["timeout"]))
    waits = request["waits"]
    api = repeated(_signed_in, waits)
    do = CALLS[request["do"]]
    if do in ONCE:
        return do(api, request)  # whatever comes
    return repeated(lambda: do(api, request), waits)


@cache  # of the first that succeeds
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
    follow = requests.Session.get_redirect_target
    # The package would go on to the storage, whose links may work once.
    requests.Session.get_redirect_target = lambda self, resp: None  # type: ignore
    try:
        with api.build_kaggle_client() as kaggle:
            client = kaggle.competitions.competition_api_client
            ask = client.download_data_file if request["file"] else client.download_data_files
            response = ask(wanted)
            response.close()
    finally:
        requests.Session.get_redirect_target = follow  # type: ignore[method-assign]
    if "Location" not in response.headers:
        raise Failed("wrong-content", f"no link (status {response.status_code})")
    return str(response.headers["Location"])


def _upload(api: Any, request: dict[str, Any]) -> str:
    """Store a file; returns what Kaggle calls it until it is submitted."""
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
    return stored(path, place)


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

    return accepted(once(send))


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
            page = classified(partial(_board, api, wanted))
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


CALLS: dict[str, Call] = {
    "account": _account,
    "files": _files,
    "link": _link,
    "upload": _upload,
    "create": _create,
    "submissions": _submissions,
    "limits": _limits,
} | _kaggle_code.CALLS
ONCE = {_create, *_kaggle_code.ONCE}

if __name__ == "__main__":
    main()
