"""`hw9` through the real gdown, against a stand-in for Google Drive on this machine."""

import io
import json
import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import trustme

from helpers import ROOT, refused
from imclust.challenges.hw9 import DRIVE


def npy(a):
    out = io.BytesIO()
    np.save(out, a)
    return out.getvalue()


class Drive:
    """An HTTPS proxy that answers for Drive alone; `bodies` maps file ids to what it serves."""

    def __init__(self, folder):
        rng = np.random.default_rng(0)
        images = {n: rng.integers(0, 256, s, dtype=np.uint8) for n, (_, s) in DRIVE.items()}
        images["valY.npy"] = images["valY.npy"].astype(np.int64) % 2
        self.bodies = {DRIVE[n][0]: npy(a) for n, a in images.items()}
        self.asked = []
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        hosts = ("drive.google.com", "drive.usercontent.google.com")
        authority.issue_cert(*hosts).configure_cert(context)
        self.authority = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.authority)
        drive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_CONNECT(self):
                if self.path.split(":")[0] not in hosts:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.end_headers()
                self.connection = context.wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", 0)
                self.close_connection = False
                while not self.close_connection:
                    self.handle_one_request()
                self.close_connection = True

            def do_GET(self):
                drive.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        """Serve a file by its id, as Drive does for files it has scanned."""
        file_id = parse_qs(urlsplit(request.path).query).get("id", [""])[0]
        self.asked.append(file_id)
        body = self.bodies.get(file_id, b"")
        page = body.lstrip().startswith(b"<")
        request.send_response(200 if body else 404)
        request.send_header("Content-Type", "text/html" if page else "application/octet-stream")
        if not page:
            request.send_header("Content-Disposition", 'attachment; filename="a.npy"')
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def environment(self):
        """What makes an unmodified client come here."""
        proxy = f"http://127.0.0.1:{self.server.server_port}"
        clear = {"NO_PROXY": "", "no_proxy": ""}
        return clear | {"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(self.authority)}


@pytest.fixture
def drive(tmp_path):
    stand_in = Drive(tmp_path)
    yield stand_in
    stand_in.server.shutdown()


def download(imclust, drive):
    return imclust("download", "--out", "raw", "hw9", **drive.environment())


def test_three_files_are_fetched_checked_and_indexed_once(imclust, drive, tmp_path):
    code, out, err = download(imclust, drive)
    assert code == 0, err
    assert "8500 images to cluster, 500 for validation" in out
    doc = json.loads((tmp_path / "raw/index/manifest.json").read_text())
    assert doc["n_clusters"] == 2
    assert doc["allows_pretrained"] is False
    asked = len(drive.asked)
    assert download(imclust, drive)[0] == 0
    assert len(drive.asked) == asked


def test_a_page_instead_of_a_file(imclust, drive, tmp_path):
    drive.bodies[DRIVE["valX.npy"][0]] = (
        b'<html><body><p class="uc-error-subcaption">Too many users have viewed or downloaded '
        b"this file recently.</p></body></html>"
    )
    result = download(imclust, drive)
    refused(result, "valX.npy must come from Google Drive", "quota", "in a browser")
    assert (tmp_path / "raw/files/trainX.npy").exists()
    assert not (tmp_path / "raw/files/valX.npy").exists()
    assert not (tmp_path / "raw/index").exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (npy(np.zeros((8, 8), np.uint8)), "of shape [8500, 32, 32, 3]; got [8, 8]"),
        (b"GIF89a something else entirely", "must be a .npy array"),
        (b"", "cannot be reached or refuses"),
    ],
)
def test_another_file_is_refused_and_not_kept(imclust, drive, tmp_path, body, words):
    drive.bodies[DRIVE["trainX.npy"][0]] = body
    refused(download(imclust, drive), "trainX.npy", words)
    assert list((tmp_path / "raw/files").iterdir()) == []


def test_no_network_is_one_sentence(imclust, tmp_path):
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    done = subprocess.run(
        [sys.executable, "-m", "imclust", "download", "--out", "raw", "hw9"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **nowhere},
        capture_output=True,
        text=True,
        timeout=120,
    )
    result = (done.returncode, done.stdout, done.stderr)
    refused(result, "cannot be reached", "save it as raw/files/trainX.npy")
