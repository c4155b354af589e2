"""Images inside of tars and Parquet tables, and lists of paths and addresses."""

import gzip
import io
import shutil
import tarfile
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from helpers import make_list, make_parquet, make_shards, png, two_kinds
from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.fetch_images import fetch_images, image_path
from imclust.core.errors import InputError
from imclust.data.containers import member_bytes, member_size, tar_members
from imclust.data.images import decode, read_bytes, stored_bytes
from imclust.data.inspection import inspect
from imclust.data.loader import Preprocessing, all_pixels


def opened(name, data, tmp_path, **settings):
    entry = CHALLENGES[name]
    return entry.method(entry.config(data_dir=data, **settings), tmp_path / "files")


@pytest.mark.parametrize(
    ("name", "make", "settings"),
    [
        ("webdataset", lambda p: make_shards(p / "shards"), {}),
        ("parquet", lambda p: make_parquet(p / "a.parquet"), {"label_column": "label"}),
        (
            "parquet",
            lambda p: make_parquet(p / "a.parquet", struct=False),
            {"label_column": "label", "image_column": "image"},
        ),
        ("listed", lambda p: make_list(p / "list"), {"label_column": "kind"}),
    ],
)
def test_every_image_and_its_class_come_out_as_they_went_in(name, make, settings, tmp_path):
    challenge = opened(name, make(tmp_path), tmp_path, **settings)
    images, y = two_kinds(8)
    rows = inspect(challenge.rows, 8)
    assert [r.problem for r in rows] == [""] * 8
    np.testing.assert_array_equal(all_pixels(rows, Preprocessing(32), "test"), images)
    assert [challenge.labels[r.id][-1] for r in rows] == [str(c) for c in y]
    assert [stored_bytes(r) for r in rows] == [len(read_bytes(r)) for r in rows]


def test_the_parts_of_a_tar_are_what_tarfile_reads(tmp_path):
    shard = make_shards(tmp_path / "shards") / "000001.tar"
    with tarfile.open(shard) as tar:
        twin = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    assert {n: member_bytes(str(shard), n) for n in tar_members(str(shard))} == twin
    assert {n: member_size(str(shard), n) for n in twin} == {n: len(b) for n, b in twin.items()}


def test_samples_of_one_name_in_two_tars_keep_apart(tmp_path):
    folder = make_shards(tmp_path / "shards")
    (folder / "000000.tar").rename(folder / "a.tar")
    (folder / "b.tar").write_bytes((folder / "a.tar").read_bytes())
    (folder / "000001.tar").unlink()
    ids = [r.id for r in opened("webdataset", folder, tmp_path).rows]
    assert ids == [f"{t}/{i:03}" for t in "ab" for i in range(4)]


def test_a_sample_submission_names_and_orders_them(tmp_path):
    data = make_list(tmp_path / "list")
    order = [3, 1, 2, 0, 7, 6, 5, 4]
    sample = "id,cluster\n" + "".join(f"image-{i},0\n" for i in order)
    (data.parent / "sample_submission.csv").write_text(sample)
    challenge = opened("listed", data, tmp_path)
    assert [r.id for r in challenge.rows] == [f"image-{i}" for i in order]
    assert challenge.columns == ("id", "cluster")
    assert [r.source[-5] for r in challenge.rows] == [str(i) for i in order]


def packed(tmp_path):
    shard = make_shards(tmp_path / "shards") / "000000.tar"
    shard.with_suffix(".tar.gz").write_bytes(gzip.compress(shard.read_bytes()))
    return shard.parent


def cut(tmp_path):
    shard = make_shards(tmp_path / "shards") / "000000.tar"
    shard.write_bytes(b"<!DOCTYPE html><html>" * 100)
    return shard.parent


def two_images(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as tar:
        for name in ("a.png", "a.jpg"):
            data = png(two_kinds(1)[0][0])
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return folder


def no_parquet(tmp_path):
    (tmp_path / "a.parquet").write_text("<html>")
    return tmp_path / "a.parquet"


def listed(tmp_path, old="", new=""):
    data = make_list(tmp_path / "list")
    data.write_text(data.read_text().replace(old, new))
    return data


@pytest.mark.parametrize(
    ("name", "make", "settings", "words"),
    [
        ("webdataset", packed, {}, ("tars must be not packed", "000000.tar.gz")),
        ("webdataset", cut, {}, ("must be a tar that is not packed, whole",)),
        ("webdataset", two_images, {}, ("sample a must be of one image", "a.png and a.jpg")),
        ("webdataset", lambda p: p, {}, ("two at least; got 0",)),
        ("parquet", no_parquet, {}, ("must be a Parquet table",)),
        (
            "parquet",
            lambda p: make_parquet(p / "a.parquet"),
            {"label_column": "kind"},
            ("--label-column", "image, label", "got kind"),
        ),
        (
            "parquet",
            lambda p: make_parquet(p / "a.parquet"),
            {"id_column": "label"},
            ("unique", "'kind 0' more than once"),
        ),
        ("listed", lambda p: listed(p).parent, {}, ("must be a csv file",)),
        ("listed", partial(listed, old="/3.png", new="/33.png"), {}, ("1 without one", "33.png")),
        (
            "listed",
            partial(listed, old="image-3", new="image-2"),
            {},
            ("'image-2' more than once",),
        ),
        ("listed", partial(listed, old="pictures/3.png", new=""), {}, ("line 5 without one",)),
        ("listed", partial(listed, old="id,path", new="id,place"), {}, ("id, place, kind",)),
    ],
)
def test_what_cannot_be_is_one_sentence(name, make, settings, words, tmp_path):
    with pytest.raises(InputError) as caught:
        opened(name, make(tmp_path), tmp_path, **settings)
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def web():
    """A server of images: /n.png; what else it does stands in the path."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            name = self.path.strip("/")
            busy = name == "busy.png" and asked.count(self.path) < 3
            status = 503 if busy or name == "down.png" else 404 if name == "gone.png" else 200
            body = b"<html>" if name == "page.png" else png(two_kinds(20)[0][len(name)])
            self.send_response(status)
            if name == "closed.png":
                self.send_header("X-Robots-Tag", "googlebot: noindex, NoAI")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_addresses_are_fetched_once_and_failures_say_why(web, tmp_path):
    home, asked = web
    names = ["a.png", "busy.png", "down.png", "gone.png", "page.png", "closed.png"]
    urls = [f"{home}/{n}" for n in names] + ["ftp://example.org/a.png"]
    first = fetch_images(urls, tmp_path / "f", pause=0)
    assert first == [
        "",
        "",
        "status 503",
        "status 404",
        "a web page",
        "the site asks not to collect it (noai)",
        "no http or https address",
    ]
    assert asked.count("/busy.png") == asked.count("/down.png") == 3
    assert asked.count("/gone.png") == 1
    np.testing.assert_array_equal(
        decode(image_path(tmp_path / "f", urls[0]).read_bytes()), two_kinds(20)[0][5]
    )
    assert fetch_images(urls, tmp_path / "f", pause=0) == first
    assert asked.count("/a.png") == 1
    assert not list((tmp_path / "f").rglob("*.partial"))


def test_a_list_of_addresses_is_refused_or_goes_on_without_those_that_failed(web, tmp_path):
    home, _ = web
    data = tmp_path / "list.csv"
    data.write_text("url,kind\n" + "".join(f"{home}/{n}.png,{n}\n" for n in ("a", "gone", "abc")))
    with pytest.raises(InputError, match=r"1 of 3 addresses .* \(1 status 404\), the first .*gone"):
        opened("listed", data, tmp_path)
    challenge = opened("listed", data, tmp_path, leave_out_failed=True, label_column="kind")
    assert [r.id for r in challenge.rows] == [f"{home}/{n}.png" for n in ("a", "abc")]
    assert list(challenge.labels.values()) == ["a", "abc"]
    assert "gone.png,status 404" in (tmp_path / "files" / "failed.csv").read_text()


def test_what_takes_the_place_of_an_open_archive_is_opened_anew(tmp_path, monkeypatch):
    """Also under the same relative path in another working folder, as in a notebook."""
    for name, content in (("a", b"first"), ("b", b"second")):
        (tmp_path / name).mkdir()
        with zipfile.ZipFile(tmp_path / name / "x.zip", "w") as archive:
            archive.writestr("one.png", content)
    monkeypatch.chdir(tmp_path / "a")
    assert member_bytes("x.zip", "one.png") == b"first"
    monkeypatch.chdir(tmp_path / "b")
    assert member_bytes("x.zip", "one.png") == b"second"
    shutil.copyfile(tmp_path / "a" / "x.zip", tmp_path / "b" / "new.zip")
    (tmp_path / "b" / "new.zip").rename(tmp_path / "b" / "x.zip")
    assert member_bytes("x.zip", "one.png") == b"first"
