"""The downloader against every way in which a server lets one down."""

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from helpers import environment, npy
from imclust.competitions.downloads import Expected, record, remove_fetched
from imclust.competitions.http import Limits, fetch
from imclust.core.errors import InputError, ServiceError
from standin import (
    EXPIRED,
    ChangedEtag,
    Cut,
    Html,
    IgnoreRange,
    NoAnswer,
    NoLength,
    Stall,
    Status,
    WrongLength,
)

DATA = npy(np.random.default_rng(0).integers(0, 256, (400, 1000), dtype=np.uint8))
QUICK = Limits(connect=2, read=0.4, deadline=10, tries=3, wait=0.01, longest=0.5)
PATH = "/gcs/images.npy"


@pytest.fixture
def served(standin):
    standin.files["images.npy"] = DATA
    return standin


def get(standin, to, expected=None, limits=QUICK, url=None, **more):
    return fetch(url or standin.url + PATH, to, expected or Expected(), limits=limits, **more)


def ranges(standin):
    return [r.headers.get("Range") for r in standin.asked("GET", PATH)]


def test_a_file_comes_once_and_is_recorded(served, tmp_path):
    to = tmp_path / "files/images.npy"
    assert get(served, to, Expected(size=len(DATA)))
    assert to.read_bytes() == DATA
    assert to.stat().st_mode & 0o777 == 0o644
    known = record(to.parent)["images.npy"]
    assert known["size"] == len(DATA)
    assert known["source"].endswith(PATH)
    assert not get(served, to)
    assert len(served.asked("GET", PATH)) == 1
    assert {p.name for p in to.parent.iterdir()} == {"images.npy", "files.json", ".images.npy.lock"}


def test_a_file_put_there_by_hand_is_checked_and_kept(served, tmp_path):
    to = tmp_path / "images.npy"
    to.write_bytes(DATA)
    assert not get(served, to, Expected(size=len(DATA)))
    assert record(tmp_path)["images.npy"]["source"] == "by hand"
    assert served.asked("GET", PATH) == []


def test_a_file_that_was_changed_since_is_fetched_again(served, tmp_path):
    to = tmp_path / "images.npy"
    get(served, to)
    to.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    assert get(served, to)
    assert to.read_bytes() == DATA


@pytest.mark.parametrize(
    "faults",
    [
        [Cut(100_000)],
        [Cut(50_000), Cut(100_000), Cut(200_000)],
        [Stall(5)],
        [Stall(5, after=100_000)],
        [Status(503)],
        [Status(500), Status(502)],
        [Status(429, headers={"Retry-After": "0"})],
        [NoAnswer()],
        [Cut(100_000), IgnoreRange()],
        [Cut(100_000), ChangedEtag()],
        [Cut(100_000), ChangedEtag(careless=True)],
        [Cut(100_000), Status(416)],
        [NoLength()],
    ],
    ids=repr,
)
def test_what_passes_is_waited_for_and_the_bytes_are_right(served, tmp_path, faults):
    served.faults["GET", PATH] = list(faults)
    to = tmp_path / "images.npy"
    assert get(served, to)
    assert to.read_bytes() == served.files["images.npy"]
    assert not list(tmp_path.glob(".*partial"))


def test_what_came_is_not_asked_for_again(served, tmp_path):
    served.faults["GET", PATH] = [Cut(100_000)]
    get(served, tmp_path / "images.npy")
    assert ranges(served) == [None, "bytes=100000-"]


def test_a_server_that_ignores_ranges_starts_over(served, tmp_path):
    served.faults["GET", PATH] = [Cut(100_000), IgnoreRange()]
    get(served, tmp_path / "images.npy")
    assert (tmp_path / "images.npy").read_bytes() == DATA


LASTING = {
    "cut at the same place": (Cut(0), "network", 7),
    "stall before the headers": (Stall(5), "timeout", 7),
    "stall in the body": (Stall(5, after=0), "timeout", 7),
    "unauthorized": (Status(401), "not-allowed", 4),
    "forbidden": (Status(403, "<a>register</a>"), "not-allowed", 4),
    "not found": (Status(404), "not-found", 2),
    "gone": (Status(410), "not-found", 2),
    "conflict": (Status(409), "server", 7),
    "too many": (Status(429, headers={"Retry-After": "120"}), "limit", 5),
    "too many until a date": (
        Status(429, headers={"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}),
        "limit",
        5,
    ),
    "server error": (Status(500), "server", 7),
    "unavailable": (Status(503), "server", 7),
    "a page": (Html(), "wrong-content", 8),
    "no answer": (NoAnswer(), "network", 7),
    "shorter than announced": (WrongLength(-1), "corrupt", 8),
    "no length and cut": (NoLength(cut=1000), "corrupt", 8),
}


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_is_one_sentence_in_time_and_costs_nothing(served, tmp_path, name):
    fault, kind, status = LASTING[name]
    to = tmp_path / "images.npy"
    old = npy(np.zeros(3))
    to.write_bytes(old)
    served.faults["GET", PATH] = fault
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        get(served, to, Expected(size=len(DATA)))
    assert time.monotonic() - began < 30  # its limits would allow a stalled service minutes
    assert getattr(caught.value, "kind", None) == kind
    assert caught.value.status == status
    text = str(caught.value)
    assert text.startswith("images.npy")
    assert text.count("; ") >= 2
    assert to.read_bytes() == old


def test_a_retry_after_that_is_long_is_told_not_slept(served, tmp_path):
    served.faults["GET", PATH] = Status(429, headers={"Retry-After": "120"})
    with pytest.raises(ServiceError, match="try again in 120 s") as caught:
        get(served, tmp_path / "images.npy")
    assert caught.value.retry_after == 120
    assert len(served.asked("GET", PATH)) == 1


def test_a_page_does_not_cost_what_had_come(served, tmp_path):
    served.faults["GET", PATH] = [Cut(100_000), Html()]
    with pytest.raises(ServiceError, match="a web page"):
        get(served, tmp_path / "images.npy")
    assert b"Sign in" in (tmp_path / ".images.npy.rejected").read_bytes()
    get(served, tmp_path / "images.npy")
    assert ranges(served)[-1] == "bytes=100000-"
    assert (tmp_path / "images.npy").read_bytes() == DATA


def test_a_signed_link_that_ran_out_is_asked_for_again(served, tmp_path):
    served.faults["GET", PATH] = [Cut(100_000), EXPIRED]
    links = iter(served.url + PATH + f"?Signature=secret{i}" for i in range(9))
    get(served, tmp_path / "images.npy", url=lambda: next(links))
    assert (tmp_path / "images.npy").read_bytes() == DATA
    signatures = [r.query["Signature"] for r in served.asked("GET", PATH)]
    assert signatures == ["secret0", "secret1", "secret2"]
    assert "secret" not in (tmp_path / "files.json").read_text()


def test_other_bytes_than_listed_are_refused_before_they_are_fetched(served, tmp_path):
    with pytest.raises(ServiceError, match=f"of 5 bytes; got {len(DATA)} bytes") as caught:
        get(served, tmp_path / "images.npy", Expected(size=5))
    assert caught.value.kind == "corrupt"
    assert not (tmp_path / "images.npy").exists()


def test_another_hash_is_refused_and_kept_aside(served, tmp_path):
    with pytest.raises(ServiceError, match="of sha256 0000"):
        get(served, tmp_path / "images.npy", Expected(sha256="0" * 64))
    assert (tmp_path / ".images.npy.rejected").read_bytes() == DATA


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("images.npy", b"<html>quota</html>", "a web page"),
        ("images.npy", b"GIF89a", "other content, starting with b'GIF89a'"),
        ("images.npy", DATA[:5000], "download it again"),
        ("train.zip", DATA, "a .npy array"),
        ("train.zip", b"<?xml version='1.0'?><Error/>", "a web page"),
        ("sample_submission.csv", b"<!DOCTYPE html>", "a web page"),
        ("sample_submission.csv", b"id,label\n0,\x00\n", "other content"),
        ("sample_submission.csv", b"", "an empty file"),
        ("a.jpg", b"PK\x03\x04", "a zip archive"),
    ],
)
def test_first_bytes_tell_what_a_file_is(standin, tmp_path, name, body, words):
    standin.files[name] = body
    with pytest.raises(InputError, match="must be") as caught:
        get(standin, tmp_path / name, url=f"{standin.url}/gcs/{name}")
    assert words in str(caught.value)
    assert not (tmp_path / name).exists()


def test_a_key_goes_to_its_host_and_not_where_that_redirects(standin, tmp_path):
    standin.files["images.npy"] = DATA
    away = standin.url.replace("127.0.0.1", "localhost") + PATH
    standin.faults["GET", "/data/first.npy"] = Status(302, headers={"Location": away})
    headers = {"Authorization": "Token planted"}
    get(standin, tmp_path / "images.npy", url=standin.url + "/data/first.npy", headers=headers)
    first, second = standin.asked("GET", "*.npy")
    assert "Authorization" in first.headers
    assert "Authorization" not in second.headers


def test_a_netrc_does_not_replace_the_key(standin, tmp_path, monkeypatch):
    standin.files["images.npy"] = DATA
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(standin, tmp_path / "images.npy", headers={"Authorization": "Token planted"})
    assert standin.asked("GET", PATH)[0].headers["Authorization"].startswith("Token ")


def test_two_at_once_are_refused(served, tmp_path):
    served.faults["GET", PATH] = [Stall(1)]
    patient = Limits(connect=2, read=5, deadline=10, tries=1)
    first = threading.Thread(target=get, args=(served, tmp_path / "images.npy", None, patient))
    first.start()
    while not served.asked("GET", PATH):
        time.sleep(0.01)
    with pytest.raises(InputError, match="one run at a time"):
        get(served, tmp_path / "images.npy")
    first.join()
    assert (tmp_path / "images.npy").read_bytes() == DATA


def test_a_slow_drip_ends_at_the_deadline_and_is_gone_on_with(served, tmp_path):
    served.faults["GET", PATH] = [Stall(0.3, after=100_000)]
    with pytest.raises(ServiceError, match=r"within 0 s; got [1-9]") as caught:
        get(served, tmp_path / "images.npy", limits=Limits(connect=2, read=1, deadline=0.2))
    assert caught.value.kind == "timeout"
    get(served, tmp_path / "images.npy")
    assert ranges(served)[-1].startswith("bytes=")
    assert (tmp_path / "images.npy").read_bytes() == DATA


def test_a_full_disk_is_told_before_a_byte_is_taken(served, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("imclust.core.checks.shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="free space for"):
        get(served, tmp_path / "images.npy")


KILLED = """
import sys
from pathlib import Path
from imclust.competitions.downloads import Expected
from imclust.competitions.http import Limits, fetch
fetch(sys.argv[1], Path(sys.argv[2]), Expected(), limits=Limits(read=30))
"""


def test_a_killed_download_goes_on_where_it_was(served, tmp_path):
    served.faults["GET", PATH] = [Stall(30, after=200_000)]
    to = tmp_path / "images.npy"
    body = tmp_path / ".images.npy.partial/images.npy"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, served.url + PATH, to], env=environment()
    )
    while not (body.exists() and body.stat().st_size):
        assert child.poll() is None
        time.sleep(0.02)
    child.kill()
    child.wait()
    had = body.stat().st_size
    assert get(served, to)
    assert to.read_bytes() == DATA
    assert ranges(served)[-1] == f"bytes={had}-"


def test_the_record_is_whole_json(served, tmp_path):
    get(served, tmp_path / "images.npy")
    assert json.loads((tmp_path / "files.json").read_text())
    assert os.path.getsize(tmp_path / "images.npy") == len(DATA)


def test_a_fetched_file_that_was_changed_since_is_kept_under_another_name(served, tmp_path):
    to = tmp_path / "files/images.npy"
    get(served, to)
    mine = npy(np.ones((3, 3), np.uint8))
    to.write_bytes(mine)
    assert get(served, to, Expected(size=len(DATA)))
    assert to.read_bytes() == DATA
    assert to.with_name("images (1).npy").read_bytes() == mine


def test_what_was_changed_since_is_not_removed_with_what_was_fetched(served, tmp_path):
    to = tmp_path / "files/images.npy"
    get(served, to)
    to.write_bytes(b"mine")
    remove_fetched(to.parent)
    assert to.read_bytes() == b"mine"
    assert not (to.parent / "files.json").exists()
