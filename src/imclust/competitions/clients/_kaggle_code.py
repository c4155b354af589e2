"""Calls to Kaggle's package about notebooks, their data sets, and what they submit.

As in `_kaggle_child`, in whose process they run: each takes the package and a request.
"""

from __future__ import annotations

import os
from typing import Any

from imclust.competitions.clients._kaggle_calls import (
    Call,
    Failed,
    accepted,
    classified,
    once,
    stored,
)

ABSENT = ("not-found", "not-allowed")  # how Kaggle speaks of what is not there, or is not yours


def dataset(api: Any, request: dict[str, Any]) -> dict[str, Any] | None:
    """Description, version and state of a data set; None where there is none."""
    from kagglesdk.datasets.types.dataset_api_service import (
        ApiGetDatasetRequest,
        ApiGetDatasetStatusRequest,
    )

    wanted, state = ApiGetDatasetRequest(), ApiGetDatasetStatusRequest()
    for each in (wanted, state):
        each.owner_slug, each.dataset_slug = request["ref"].split("/")
    with api.build_kaggle_client() as kaggle:
        client = kaggle.datasets.dataset_api_client
        try:
            found = classified(lambda: client.get_dataset(wanted))
        except Failed as e:
            if e.response["kind"] in ABSENT:
                return None
            raise
        status = client.get_dataset_status(state).status.name
    return {
        "description": found.description or "",
        "version": found.current_version_number or 1,
        "state": status.lower(),
    }


def store(api: Any, request: dict[str, Any]) -> list[str]:
    """Store files of a data set; returns what Kaggle calls each until it is in one."""
    from kagglesdk.blobs.types.blob_api_service import ApiBlobType, ApiStartBlobUploadRequest

    tokens = []
    for path in request["paths"]:
        start = ApiStartBlobUploadRequest()
        start.type, start.name = ApiBlobType.DATASET, os.path.basename(path)
        start.content_length = os.path.getsize(path)
        start.last_modified_epoch_seconds = int(os.path.getmtime(path))
        with api.build_kaggle_client() as kaggle:
            place = kaggle.blobs.blob_api_client.start_blob_upload(start)
        tokens.append(stored(path, place))
    return tokens


def make_dataset(api: Any, request: dict[str, Any]) -> str:
    """A new data set, or a new version of one, of files that were stored."""
    from kagglesdk.datasets.types import dataset_api_service as types

    wanted: Any = types.ApiCreateDatasetRequest()
    body = wanted
    if request["version"]:
        wanted, body = (
            types.ApiCreateDatasetVersionRequest(),
            types.ApiCreateDatasetVersionRequestBody(),
        )
        body.version_notes, wanted.body = request["notes"], body
        wanted.owner_slug, wanted.dataset_slug = request["ref"].split("/")
    else:
        wanted.owner_slug, wanted.slug = request["ref"].split("/")
        wanted.title, wanted.license_name = request["title"], request["licence"]
        wanted.is_private = True
    body.description = request["description"]
    body.files = []
    for token in request["tokens"]:
        file = types.ApiDatasetNewFile()
        file.token = token
        body.files.append(file)

    def send() -> Any:
        with api.build_kaggle_client() as kaggle:
            client = kaggle.datasets.dataset_api_client
            make = client.create_dataset_version if request["version"] else client.create_dataset
            return make(wanted)

    response = once(send)
    if response.error:
        raise Failed("rejected-file", response.error)
    return str(response.status)


def notebook(api: Any, request: dict[str, Any]) -> dict[str, Any] | None:
    """Text and version of a notebook; None where there is none."""
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelRequest

    wanted = ApiGetKernelRequest()
    wanted.user_name, wanted.kernel_slug = request["ref"].split("/")
    with api.build_kaggle_client() as kaggle:
        try:
            found = classified(lambda: kaggle.kernels.kernels_api_client.get_kernel(wanted))
        except Failed as e:
            if e.response["kind"] in ABSENT:
                return None
            raise
    return {"text": found.blob.source, "version": found.metadata.current_version_number}


def push_notebook(api: Any, request: dict[str, Any]) -> int:
    """Save a folder's notebook as a new version, which Kaggle then runs; returns its number."""
    response = once(lambda: api.kernels_push(request["folder"]))
    odd = [
        *response.invalid_dataset_sources,
        *response.invalid_competition_sources,
        *response.invalid_tags,
    ]
    if response.error or odd:
        raise Failed("rejected-file", response.error or f"unknown sources {', '.join(odd)}")
    return int(response.version_number)


def notebook_run(api: Any, request: dict[str, Any]) -> dict[str, str]:
    """How the newest version's run stands, and why it failed."""
    found = api.kernels_status(request["ref"])
    return {"state": found.status.name.lower(), "message": found.failure_message or ""}


def notebook_log(api: Any, request: dict[str, Any]) -> str:
    """What the newest run printed."""
    return str(api.kernels_logs(request["ref"]))


def submit_version(api: Any, request: dict[str, Any]) -> str:
    """Submit a version of a notebook."""
    return accepted(
        once(
            lambda: api.competition_submit_code(
                request["file"],
                request["description"],
                request["slug"],
                request["ref"],
                request["version"],
                quiet=True,
            )
        )
    )


ONCE: set[Call] = {make_dataset, push_notebook, submit_version}
CALLS: dict[str, Call] = {
    "dataset": dataset,
    "store": store,
    "make-dataset": make_dataset,
    "notebook": notebook,
    "push-notebook": push_notebook,
    "notebook-run": notebook_run,
    "notebook-log": notebook_log,
    "submit-version": submit_version,
}
