"""The stand-in itself: its three ways in, its faults, and that nothing leaves."""

import pytest
import requests

from standin import (
    AICROWD_KEY,
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
    mark,
)  # fmt: skip

HEAD = {"Authorization": f"Token {AICROWD_KEY}"}
FILE = "/data/images.npy"


@pytest.fixture
def get(standin):
    return lambda path=FILE, **more: requests.get(
        standin.url + path, headers=HEAD | more, timeout=2
    )


def test_three_ways_in(standin, tmp_path, monkeypatch):
    path = "/api/v1/api_user"
    assert requests.get(standin.url + path, headers=HEAD, timeout=5).json()["id"] == 4242
    standin.use(monkeypatch, tmp_path)
    for scheme in ("http", "https"):
        assert requests.get(f"{scheme}://www.aicrowd.com{path}", headers=HEAD, timeout=5).ok
    assert [r.via for r in standin.journal] == ["plain", "proxy", "connect"]
    assert {r.headers["Authorization"] for r in standin.journal} == {f"Token {mark(AICROWD_KEY)}"}
    assert requests.get("http://example.org/", timeout=5).status_code == 404
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("https://example.org/", timeout=5)
    assert standin.unknown == ["example.org", "example.org"]


def test_ranges(standin, get):
    whole = get()
    assert whole.content == standin.files["images.npy"]
    part = get(Range="bytes=100-", **{"If-Range": whole.headers["ETag"]})
    assert part.status_code == 206
    assert part.content == whole.content[100:]
    assert get(Range="bytes=100-", **{"If-Range": '"old"'}).status_code == 200
    assert get(Range="bytes=999999-").status_code == 416


def test_faults_one_after_the_other(standin, get):
    standin.faults["GET", FILE] = [Status(503, {"why": 1}, {"Retry-After": "3"}), EXPIRED, Html()]
    first = get()
    assert (first.status_code, first.headers["Retry-After"], first.json()) == (503, "3", {"why": 1})
    assert get().status_code == 403
    assert "text/html" in get().headers["Content-Type"]
    assert get().content == standin.files["images.npy"]
    assert [r.status for r in standin.journal] == [503, 403, 200, 200]


@pytest.mark.parametrize(
    "fault",
    [Cut(100), WrongLength(5), NoAnswer(), NoAnswer(recorded=False), Stall(9), Stall(9, 50)],
)
def test_what_breaks_the_connection(standin, fault):
    standin.faults["GET", "/data/*"] = fault
    with pytest.raises((requests.ConnectionError, requests.Timeout, requests.exceptions.
                        ChunkedEncodingError)):  # fmt: skip
        requests.get(standin.url + FILE, headers=HEAD, timeout=0.3)


def test_what_looks_whole(standin, get):
    data = standin.files["images.npy"]
    standin.faults["GET", FILE] = [NoLength(50), WrongLength(-5), IgnoreRange(), ChangedEtag(),
                                   ChangedEtag(careless=True)]  # fmt: skip
    assert get().content == data[:50]
    assert get().content == data[:-5]
    etag = get(Range="bytes=5-").headers["ETag"]
    assert get(Range="bytes=5-", **{"If-Range": etag}).status_code == 200
    careless = get(Range="bytes=5-", **{"If-Range": etag})
    assert careless.status_code == 206
    assert careless.headers["ETag"] != etag


def test_signed_links_expire(standin):
    standin.redirects, standin.link_uses = True, 1
    first = requests.get(standin.url + FILE, headers=HEAD, timeout=5)
    assert first.content == standin.files["images.npy"]
    assert requests.get(first.url, timeout=5).status_code == 403
    assert requests.get(standin.url + FILE, headers=HEAD, timeout=5).ok
    assert "Authorization" not in standin.asked(path="/s3/*")[0].headers
