"""Google Drive: public files by their id, through gdown, which knows its pages."""

from __future__ import annotations

from glob import escape
from pathlib import Path
from typing import ClassVar

from imclust.competitions.clients._base import ChallengeClient, RemoteFile
from imclust.competitions.downloads import Expected, is_right, settle, stage
from imclust.core.errors import Kind, ServiceError
from imclust.core.log import say


class Drive(ChallengeClient):
    """One public file; the "challenge" is its id, and so is a `RemoteFile.url`."""

    service: ClassVar[str] = "drive"
    title: ClassVar[str] = "Google Drive"
    timeout: ClassVar[tuple[float, float]] = (10, 60)
    """Seconds to wait for a connection, for the next bytes."""
    retries: ClassVar[int] = 3

    @property
    def page(self) -> str:
        """Address of the file."""
        return f"https://drive.google.com/file/d/{self.slug}/view"

    def address(self, file: RemoteFile) -> str:
        """Address of that file."""
        return f"https://drive.google.com/file/d/{file.url or self.slug}/view"

    @classmethod
    def credentials(cls) -> str:
        """Public files are everybody's."""
        return "none needed"

    @classmethod
    def wants(cls) -> str:
        """Nothing."""
        return "no key is needed"

    def list_files(self) -> list[RemoteFile]:
        """The one file, whose name Drive tells only with its content."""
        return [RemoteFile(self.slug, url=self.slug)]

    def download(self, file: RemoteFile, to: Path, expected: Expected) -> None:
        """Into the staging folder, where gdown resumes its own parts, then checked and placed."""
        import gdown
        import requests

        source = self.address(file)
        with stage(to) as staging:
            if is_right(to, expected):
                say(f"{to.name} is there already")
                return
            body = staging / to.name
            parts = f"{escape(to.name)}*.part"
            body.unlink(missing_ok=True)  # gdown takes a finished file of that name unchecked
            for part in sorted(staging.glob(parts))[1:]:
                part.unlink()  # it refuses to choose
            try:
                gdown.download(
                    id=file.url or self.slug,
                    output=str(body),
                    quiet=True,
                    resume=True,
                    retries=self.retries,
                    timeout=self.timeout,
                    use_cookies=False,
                )
            except (gdown.exceptions.DownloadError, requests.RequestException, ValueError) as e:
                failure = self._failure(to.name, e)
                if failure.kind == "corrupt":  # with these parts it would fail for ever
                    for part in staging.glob(parts):
                        part.unlink()
                raise failure from e
            settle(body, to, expected, source)

    def _failure(self, name: str, e: Exception) -> ServiceError:
        """gdown has few texts: that of the quota's page, and one for all else that has no link."""
        import requests

        text, cause = str(e), e.__cause__ or e
        response = cause.response if isinstance(cause, requests.HTTPError) else None
        kind: Kind
        if "Too many users" in text:
            kind, got = "limit", "its page that says the daily quota of downloads is used up"
            do = "wait 24 hours or use another source"
        elif isinstance(cause, requests.Timeout) or "timed out" in text:
            kind, got, do = "timeout", "no answer in time", "run the same command again"
        elif response is not None and response.status_code >= 500:
            kind, got = "server", f"status {response.status_code}"
            do = "the fault is theirs: run the same command again later"
        elif response is not None or "public link" in text:
            kind, got = (
                "not-allowed",
                "no public link (private, gone, asked too often, or Drive is in trouble)",
            )
            do = "check that it is shared with everybody, or try again later"
        elif isinstance(cause, requests.RequestException | OSError):
            kind, got = "network", f"no connection or a broken one ({type(cause).__name__})"
            do = "check the network and run the same command again"
        else:
            kind, got = "corrupt", f"a transfer that does not fit together ({type(e).__name__})"
            do = "run the same command again"
        return ServiceError(kind, f"{name} must come from Google Drive; got {got}; {do}.")
