"""What the stand-in answers for AIcrowd, Kaggle and Google Drive."""

import base64
import hashlib
import io
import json
import re
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np

WEB, API, DATASETS = "www.aicrowd.com", "api.aicrowd.com", "datasets.aicrowd.com"
GITLAB, BUCKET = "gitlab.aicrowd.com", "stand-in-bucket.s3.amazonaws.com"
KAGGLE, GCS = "api.kaggle.com", "storage.googleapis.com"
DRIVE, DRIVE_FILES = "drive.google.com", "drive.usercontent.google.com"
STORAGE = (BUCKET, GCS)
HOSTS = (WEB, API, DATASETS, GITLAB, BUCKET, KAGGLE, GCS, DRIVE, DRIVE_FILES)
BY_PATH = {  # of requests to the loopback itself
    "/api/v1/api_user": WEB, "/api/v1/submissions": WEB, "/api/v1/challenges": WEB,
    "/api/v1/": KAGGLE, "/v1/": KAGGLE, "/challenges": API, "/data/": DATASETS, "/oauth": GITLAB,
    "/s3": BUCKET, "/gcs/": GCS, "/uc": DRIVE, "/download": DRIVE_FILES,
}  # fmt: skip

QUOTA_PAGE = (
    b"<html><head><title>Google Drive - Quota exceeded</title></head><body>"
    b'<p class="uc-error-caption">Sorry, you can\'t view or download this file at this time.</p>'
    b'<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. '
    b"Please try accessing the file again later.</p></body></html>"
)
SIGNIN_PAGE = b"<html><title>Google Drive: Sign-in</title><body>Sign in to continue</body></html>"
ELSEWHERE = {  # Kaggle's calls that name no competition
    "GetDataset", "GetDatasetStatus", "StartBlobUpload", "CreateDataset", "CreateDatasetVersion",
    "GetKernel", "SaveKernel", "GetKernelSessionStatus", "ListKernelSessionOutput",
}  # fmt: skip
RULES = "You must accept this competition's rules before you'll be able to download files."
LIMIT = "Your team has used its daily submission allowance (5 of 5)."


@dataclass
class Answer:
    code: int
    body: bytes
    headers: dict


def answer_of(code, body=b"", **headers):
    """An answer whose type follows its body: bytes, text (a page), or what becomes JSON."""
    kind = "application/json"
    if isinstance(body, bytes | str):
        body = body if isinstance(body, bytes) else body.encode()
        page = body.lstrip()[:1] == b"<"
        kind = "text/html; charset=utf-8" if page else "application/octet-stream"
    else:
        body = json.dumps(body).encode()
    return Answer(code, body, {"Content-Type": kind} | headers)


def host_by_path(path):
    return next((host for start, host in BY_PATH.items() if path.startswith(start)), "")


def kaggle_says(code, message):
    return answer_of(code, {"code": code, "message": message})


class Services:
    """State of the services, set by tests.

    Attributes:
        files: name -> bytes, of the one challenge `slug` on AIcrowd and on Kaggle.
        sizes: name -> what listings say, where not its length; None: nothing.
        drive: file id -> bytes; bodies that begin with `<` are pages, empty ones are not found.
        drive_asks: Drive shows its form for large files first.
        eligible: True, a reason why not, or None where AIcrowd has no such address (404).
        rules_accepted: of the competition or challenge.
        meta: an AIcrowd problem -> the challenge that it is part of.
        redirects: AIcrowd's files lie in a bucket behind a signed link.
        link_uses: how often a signed link works; None: always.
        allowed: submissions still taken; None: any number.
        polls: how often a submission is pending. score, score_error: what then comes; a list of
            scores goes to successive submissions.
        board: rows of Kaggle's leaderboard, (team, score), best first; the account's is `team`.
        submissions: what was recorded: service, ref, description, file, polls.
        remote_datasets: owner/slug -> description, version, files (name -> bytes), polls.
        notebooks: owner/slug -> the texts of its versions, the sources of the newest, polls.
        run_states: of a notebook's run, at successive looks; run_message: why it failed.
    """

    aicrowd_key = "planted-aicrowd-key-7f3a"
    kaggle_auth = ("alice", "planted-kaggle-key-91c2")
    kaggle_token = "KGAT_planted-token-55d0"

    def __init__(self):
        self.slug = "demo-challenge"
        images = io.BytesIO()
        np.save(images, np.arange(25600).astype(np.uint8).reshape(100, 16, 16))
        self.files = {"images.npy": images.getvalue(), "sample_submission.csv": b"id,label\n0,0\n"}
        self.sizes = {}
        self.drive = {}
        self.drive_asks = False
        self.eligible = True
        self.rules_accepted = True
        self.meta = {}
        self.redirects = False
        self.link_uses = None
        self.allowed = None
        self.polls = 1
        self.score = "0.91"
        self.score_error = ""
        self.team = "Team Alice"
        self.board = [("Others", "0.95"), ("Team Alice", "0.91")]
        self.submissions = []
        self.uploads = {}
        self.remote_datasets = {}
        self.notebooks = {}
        self.run_states = ["QUEUED", "RUNNING", "COMPLETE"]
        self.run_message = ""
        self.links = {}
        self.current = None

    def route(self, host, request, headers, raw, fault):
        """The answer of `host`; `headers` have lower-case names."""
        handler = {
            WEB: self.web, API: self.api, DATASETS: self.datasets, GITLAB: self.gitlab,
            KAGGLE: self.kaggle, DRIVE: self.drive_page, DRIVE_FILES: self.drive_page,
        }.get(host, self.storage)  # fmt: skip
        self.current = fault
        return handler(request, headers, raw)

    def served(self, data, headers, **more):
        """A file with ETag and ranges, or the part of it that is asked for."""
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        changed = type(self.current).__name__ == "ChangedEtag"
        if changed:
            etag = '"another-version"'
        more = {"Accept-Ranges": "bytes", "ETag": etag} | more
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        same = headers.get("if-range", etag) == etag or (changed and self.current.careless)
        if not found or not same:
            return answer_of(200, data, **more)
        start, end = int(found[1]), int(found[2] or len(data) - 1)
        if start >= len(data):
            return answer_of(416, b"", **more, **{"Content-Range": f"bytes */{len(data)}"})
        part = data[start : end + 1]
        span = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
        return answer_of(206, part, **more, **{"Content-Range": span})

    def signed(self, request, host, path):
        """A link that works `link_uses` times."""
        name = f"X-{'Goog' if host == GCS else 'Amz'}-Signature"
        number = f"signed{len(self.links) + 1}"
        self.links[number] = 0
        return self.link(request, host, f"{path}?{name}={number}")

    def storage(self, request, headers, raw):
        if request.method == "POST":
            fields = request.body if isinstance(request.body, dict) else {}
            start = raw.index(b"\r\n\r\n", raw.index(b'name="file"')) + 4
            self.uploads[fields.get("key")] = raw[start : raw.rindex(b"\r\n--", start)]
            return answer_of(201, "<PostResponse/>")
        if request.method == "PUT":
            self.uploads[request.path.rsplit("/", 1)[1]] = raw
            return answer_of(200, {})
        number = next(iter(request.query.values()), "")
        self.links[number] = self.links.get(number, 0) + 1
        if self.link_uses is not None and self.links[number] > self.link_uses:
            body = "<?xml version='1.0'?><Error><Code>ExpiredToken</Code></Error>"
            return answer_of(403, body, **{"Content-Type": "application/xml"})
        data = self.files.get(unquote(request.path.split("/", 2)[2].removeprefix("data/")))
        if data is None:
            return answer_of(404, "<Error><Code>NoSuchKey</Code></Error>")
        more = {}
        if request.path.startswith("/gcs"):
            more["x-goog-hash"] = "md5=" + base64.b64encode(hashlib.md5(data).digest()).decode()
        return self.served(data, headers, **more)

    # AIcrowd

    def listed(self, name):
        return self.sizes.get(name, len(self.files[name]))

    def web(self, request, headers, raw):
        path, method = request.path.removeprefix("/api/v1"), request.method
        if headers.get("authorization") != f"Token {self.aicrowd_key}":
            return answer_of(401, {"message": "Unauthorized"})
        if path == "/api_user":
            return answer_of(200, {"id": 4242, "username": "alice", "email": "alice@example.org"})
        if path.endswith("/eligibility"):
            return self.eligibility(path.split("/")[2])
        if path == "/submissions" and method == "GET":
            return self.presigned(request)
        if path == "/submissions":
            return self.created(request)
        for entry in self.submissions:
            if path == f"/submissions/{entry['ref']}":
                return answer_of(200, self.graded(entry))
        return answer_of(404, {"message": "No submission could be found for this id"})

    def eligibility(self, slug):
        if self.eligible is None or slug not in (self.slug, *self.meta, *self.meta.values()):
            return answer_of(404, {"message": "Not Found"})
        reason = None if self.eligible is True else self.eligible
        return answer_of(
            200,
            {"submissions_allowed": reason is None, "denied_reason": reason, "message": reason,
             "rules_accepted": self.rules_accepted},
        )  # fmt: skip

    def presigned(self, request):
        slug = request.query.get("challenge_id", "")
        if not self.rules_accepted:
            why = "Please accept challenge terms before making submission here"
            return answer_of(401, {"success": False, "message": why})
        if slug in self.meta:
            where = f"/challenges/{self.meta[slug]}/problems/{slug}/submissions"
            return answer_of(302, "", Location=self.link(request, WEB, where))
        if slug not in (self.slug, *self.meta.values()):
            return answer_of(404, {"success": False, "message": "Challenge not found"})
        number = len(self.links) + 1
        self.links[f"post{number}"] = 0
        fields = {
            "key": f"submission_files/challenge_77/{number}_${{filename}}",
            "success_action_status": "201", "acl": "private", "policy": "cG9saWN5",
            "x-amz-signature": "signed",
        }  # fmt: skip
        data = {"url": self.link(request, BUCKET, "/s3"), "fields": fields}
        return answer_of(200, {"success": True, "message": "Presigned key.", "data": data})

    def created(self, request):
        if self.allowed == 0:
            why = "You have reached your submission limit for today"
            return answer_of(422, {"success": False, "message": why})
        doc = request.body
        key = doc["submission_files"][0]["submission_file_s3_key"]
        if key not in self.uploads:
            return answer_of(422, {"success": False, "message": "No such file"})
        ref = self.record("aicrowd", 9000, doc["submission"]["description"], self.uploads[key])
        data = {"submission_id": ref, "created_at": "2026-11-20T00:00:00Z"}
        return answer_of(200, {"success": True, "message": "Accepted.", "data": data})

    def record(self, service, first, description, data):
        if self.allowed is not None:
            self.allowed -= 1
        entry = {"service": service, "ref": first + len(self.submissions), "polls": 0}
        score = self.score.pop(0) if isinstance(self.score, list) else None
        self.submissions.append({**entry, "description": description, "file": data, "score": score})
        return entry["ref"]

    def graded(self, entry):
        entry["polls"] += 1
        status, score, words = "graded", float(entry["score"] or self.score), "Graded successfully"
        if entry["polls"] <= self.polls:
            status, score, words = "submitted", None, ""
        elif self.score_error:
            status, score, words = "failed", None, f"<p>{self.score_error}</p>"
        return {
            "id": entry["ref"], "grading_status_cd": status, "score": score,
            "score_secondary": None, "grading_message": words,
        }  # fmt: skip

    def api(self, request, headers, raw):
        if headers.get("authorization") != f"Token {self.aicrowd_key}":
            return answer_of(401, {"message": "Unauthorized"})
        if request.path == "/challenges/":
            slug = request.query.get("slug", self.slug)
            known = slug in (self.slug, *self.meta, *self.meta.values())
            return answer_of(200, [{"id": 77, "slug": slug}] if known else [])
        if request.path == "/challenges/77/participant":
            return answer_of(200, {"registered": self.rules_accepted})
        if request.path == "/challenges/77/dataset":
            files = [
                {"id": i, "title": name, "description": "", "external_file_size": str(
                    self.listed(name) or ""), "external_url": self.link(
                    request, DATASETS, f"/data/{name}")}
                for i, name in enumerate(self.files)
            ]  # fmt: skip
            return answer_of(200, files)
        return answer_of(404, {"message": "unknown"})

    def gitlab(self, request, headers, raw):
        return answer_of(401, {"error": "invalid_token"})

    def datasets(self, request, headers, raw):
        name = unquote(request.path.removeprefix("/data/"))
        known = headers.get("authorization") == f"Token {self.aicrowd_key}"
        if not known or not self.rules_accepted:
            page = f"<a href=https://www.aicrowd.com/challenges/{self.slug}>register</a>"
            return answer_of(401, page)
        if name not in self.files:
            return answer_of(404, "<html>Not found</html>")
        if self.redirects:
            return answer_of(302, "", Location=self.signed(request, BUCKET, f"/s3/data/{name}"))
        return self.served(self.files[name], headers)

    # Kaggle

    def kaggle(self, request, headers, raw):
        doc = json.loads(raw or b"{}")
        what = request.path.rsplit("/", 1)[1]
        if what == "IntrospectToken":
            good = doc.get("token") == self.kaggle_token
            return answer_of(200, {"active": good, "username": "alice" if good else ""})
        basic = "Basic " + base64.b64encode(":".join(self.kaggle_auth).encode()).decode()
        if headers.get("authorization") not in (basic, f"Bearer {self.kaggle_token}"):
            return kaggle_says(401, "Unauthenticated")
        if what == "GetSubmission":
            found = [e for e in self.submissions if e["ref"] == doc["ref"]]
            if not found:
                return kaggle_says(404, "Not found")
            return answer_of(200, self.submission(found[0]))
        answer = getattr(self, "kaggle_" + what, None)
        if answer is None or (what not in ELSEWHERE and doc.get("competitionName") != self.slug):
            return kaggle_says(404, "Not found")
        return answer(request, doc)

    def paged(self, items, doc, name):
        start, size = int(doc.get("pageToken") or 0), int(doc.get("pageSize") or 20)
        after = start + size
        token = str(after) if after < len(items) else ""
        return answer_of(200, {name: items[start:after], "nextPageToken": token})

    def kaggle_ListDataFiles(self, request, doc):
        made = {"ref": "", "creationDate": "2026-10-05T10:00:00.123Z"}
        files = [made | {"name": n, "totalBytes": self.listed(n) or 0} for n in self.files]
        return self.paged(files, doc, "files")

    def kaggle_DownloadDataFile(self, request, doc):
        if not self.rules_accepted:
            return kaggle_says(403, RULES)
        name = doc.get("fileName") or f"{doc['competitionName']}.zip"
        if name not in self.files:
            return kaggle_says(404, "Not found")
        return answer_of(302, "", Location=self.signed(request, GCS, f"/gcs/{name}"))

    kaggle_DownloadDataFiles = kaggle_DownloadDataFile

    def kaggle_StartSubmissionUpload(self, request, doc):
        if not self.rules_accepted:
            return kaggle_says(403, "Permission 'competitions.participate' was denied")
        token = f"blob-token-{len(self.links) + 1}"
        self.links[token] = 0
        url = self.link(request, GCS, f"/gcs/upload/{token}?upload_id=u1")
        return answer_of(200, {"token": token, "createUrl": url})

    def kaggle_CreateSubmission(self, request, doc):
        if self.allowed == 0:
            return kaggle_says(400, LIMIT)
        data = self.uploads.get(doc["blobFileTokens"])
        if data is None:
            return kaggle_says(400, "Bad Request")
        ref = self.record("kaggle", 555000, doc.get("submissionDescription", ""), data)
        return answer_of(200, {"message": f"Successfully submitted to {self.slug}", "ref": ref})

    def submission(self, entry):
        entry["polls"] += 1
        status = "ERROR" if self.score_error else "COMPLETE"
        if entry["polls"] <= self.polls:
            status = "PENDING"
        doc = {
            "ref": entry["ref"], "totalBytes": len(entry["file"]), "status": status,
            "date": "2026-11-20T12:00:00.000Z", "description": entry["description"],
            "fileName": "submission.csv", "privateScore": "", "teamName": self.team,
            "publicScore": (entry["score"] or self.score) if status == "COMPLETE" else "",
            "submittedBy": "alice",
        }  # fmt: skip
        return doc | ({"errorDescription": self.score_error} if status == "ERROR" else {})

    def kaggle_ListSubmissions(self, request, doc):
        made = [self.submission(e) for e in self.submissions if e["service"] == "kaggle"]
        return self.paged(made[::-1], doc, "submissions")

    def kaggle_GetSubmissionLimits(self, request, doc):
        left = 5 if self.allowed is None else self.allowed
        done = max(len(self.submissions), 5 - left)
        return answer_of(
            200,
            {"numToday": done, "numTotal": done, "numAllowedNow": left, "limitedByTotal": False},
        )

    def kaggle_GetLeaderboard(self, request, doc):
        date = "2026-11-20T12:00:00.000Z"
        rows = [
            {"teamId": i, "teamName": team, "submissionDate": date, "score": score}
            for i, (team, score) in enumerate(self.board)
        ]
        return self.paged(rows, doc, "submissions")

    # Kaggle: code competitions

    def kaggle_StartBlobUpload(self, request, doc):
        token = f"blob-token-{len(self.links) + 1}"
        self.links[token] = doc["name"]
        url = self.link(request, GCS, f"/gcs/upload/{token}?upload_id=u1")
        return answer_of(200, {"token": token, "createUrl": url})

    def kaggle_CreateDataset(self, request, doc):
        ref = f"{doc['ownerSlug']}/{doc['slug']}"
        if ref in self.remote_datasets:
            return answer_of(200, {"status": "error", "error": "The title is already in use"})
        return self.made_dataset(ref, doc, 1)

    def kaggle_CreateDatasetVersion(self, request, doc):
        ref = f"{doc['ownerSlug']}/{doc['datasetSlug']}"
        if ref not in self.remote_datasets:
            return kaggle_says(404, "Not found")
        return self.made_dataset(ref, doc["body"], self.remote_datasets[ref]["version"] + 1)

    def made_dataset(self, ref, doc, version):
        tokens = [file["token"] for file in doc["files"]]
        if not set(tokens) <= set(self.uploads):
            return answer_of(200, {"status": "error", "error": "a file was not uploaded"})
        files = {self.links[t]: self.uploads[t] for t in tokens}
        self.remote_datasets[ref] = {
            "description": doc["description"], "version": version, "files": files, "polls": 0,
        }  # fmt: skip
        return answer_of(200, {"ref": ref, "status": "ok"})

    def kaggle_GetDataset(self, request, doc):
        ref = f"{doc['ownerSlug']}/{doc['datasetSlug']}"
        found = self.remote_datasets.get(ref)
        if found is None:  # Kaggle does not tell what is not there from what is not yours
            return kaggle_says(403, "Permission 'datasets.get' was denied")
        about = {"description": found["description"], "currentVersionNumber": found["version"]}
        return answer_of(200, {"ref": ref} | about)

    def kaggle_GetDatasetStatus(self, request, doc):
        found = self.remote_datasets[f"{doc['ownerSlug']}/{doc['datasetSlug']}"]
        found["polls"] += 1
        ready = found["polls"] > self.polls
        return answer_of(200, {"status": "READY" if ready else "BLOBS_RECEIVED"})

    def kaggle_SaveKernel(self, request, doc):
        missing = [r for r in doc["datasetDataSources"] if r not in self.remote_datasets]
        if missing:
            return answer_of(200, {"invalidDatasetSources": missing})
        kernel = self.notebooks.setdefault(doc["slug"], {"texts": []})
        kernel["texts"].append(doc["text"])
        kernel |= {"polls": 0, "sources": doc["datasetDataSources"],
                   "internet": doc.get("enableInternet", False)}  # fmt: skip
        version = len(kernel["texts"])
        return answer_of(200, {"ref": f"/code/{doc['slug']}", "versionNumber": version})

    def kaggle_GetKernel(self, request, doc):
        found = self.notebooks.get(f"{doc['userName']}/{doc['kernelSlug']}")
        if found is None:
            return kaggle_says(403, "Permission 'kernels.get' was denied")
        about = {"currentVersionNumber": len(found["texts"])}
        return answer_of(200, {"metadata": about, "blob": {"source": found["texts"][-1]}})

    def kaggle_GetKernelSessionStatus(self, request, doc):
        found = self.notebooks[f"{doc['userName']}/{doc['kernelSlug']}"]
        state = self.run_states[min(found["polls"], len(self.run_states) - 1)]
        found["polls"] += 1
        return answer_of(200, {"status": state, "failureMessage": self.run_message})

    def kaggle_ListKernelSessionOutput(self, request, doc):
        lines = [f"line {i}\n" for i in range(40)] + ["FileNotFoundError: model\n"]
        log = [{"stream_name": "stderr", "time": i, "data": s} for i, s in enumerate(lines)]
        return answer_of(200, {"files": [], "log": json.dumps(log)})

    def kaggle_CreateCodeSubmission(self, request, doc):
        if self.allowed == 0:
            return kaggle_says(400, LIMIT)
        found = self.notebooks.get(f"{doc['kernelOwner']}/{doc['kernelSlug']}")
        if found is None or not 0 < doc.get("kernelVersion", 0) <= len(found["texts"]):
            return kaggle_says(404, "Not found")
        text = found["texts"][doc["kernelVersion"] - 1].encode()
        ref = self.record("kaggle", 555000, doc.get("submissionDescription", ""), text)
        return answer_of(200, {"message": f"Successfully submitted to {self.slug}", "ref": ref})

    # Google Drive

    def drive_page(self, request, headers, raw):
        number = request.query.get("id", "")
        data = self.drive.get(number, b"")
        if not data:
            return answer_of(404, "<html>Not found</html>")
        if data.lstrip().startswith(b"<"):
            return answer_of(200, data)
        if self.drive_asks and request.host == DRIVE:
            fields = {"id": number, "export": "download", "confirm": "t", "uuid": "u-1"}
            inputs = "".join(
                f'<input type="hidden" name="{k}" value="{v}">' for k, v in fields.items()
            )
            where = self.link(request, DRIVE_FILES, "/download")
            form = f'<form id="download-form" action="{where}" method="get">{inputs}</form>'
            cookie = "NID=abc; Domain=.google.com; Path=/"
            return answer_of(200, f"<html><body>{form}</body></html>", **{"Set-Cookie": cookie})
        more = {"Content-Disposition": 'attachment; filename="a.npy"'}
        return self.served(data, headers, **more)
