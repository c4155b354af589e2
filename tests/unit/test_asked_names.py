"""Names by a vision-language model: over real sockets, from a server that looks at the pictures."""

import json
import re
import socket
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from chat_server import NAMES, serving
from imclust.__main__ import main
from imclust.competitions.asked_names import PICTURES, SIDE, clean_name
from imclust.competitions.clients import vision_model as clients
from imclust.competitions.clients.vision_model import KEY, vision_model
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError, ServiceError
from imclust.core.manifest import read_manifest
from imclust.core.name_records import found_names
from imclust.core.records import Assignment, Features

SECRET = "sk-very-secret-1234"
PLACE = b"40 26 46 N"  # what a camera may have written into the file


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(clients, "PATIENCE", replace(clients.PATIENCE, wait=0.01, read=5))
    monkeypatch.delenv(KEY, raising=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three clusters of seven pictures, of one colour each; two of the first are byte-equal."""
    at = tmp_path_factory.mktemp("asked")
    rng = np.random.default_rng(0)
    (at / "my photos").mkdir()
    for n in range(21):
        x = rng.integers(0, 60, (300, 900, 3), np.uint8)
        x[..., n // 7] += 150
        exif = Image.Exif()
        exif[0x010E] = PLACE.decode()
        Image.fromarray(x).save(at / "my photos" / f"secret {n:02}.jpg", exif=exif)
    (at / "my photos" / "secret 01.jpg").write_bytes((at / "my photos/secret 00.jpg").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(at)
        assert main(["download", "--out", "raw", "folder", "--data-dir", "my photos"]) == 0
    ids = np.array([f"secret {n:02}.jpg" for n in range(21)])
    p = np.eye(3, dtype=np.float32)[np.arange(21) // 7] * 0.9 + 0.1 / 3

    def features(folder):
        return Features(ids, np.full(21, "train"), p).save(folder)

    def answer(folder):
        rows = Assignment(ids, np.full(21, "train"), p)
        return rows.save(folder, (np.zeros(21, int), np.arange(21) / 21))

    make_artifact(at / "z", ArtifactSpec("features", {}, {}, ()), features)
    make_artifact(at / "c", ArtifactSpec("assignment", {}, {}, ()), answer)
    return at


def name(run, server, out, model="eye", **more):
    address = server if isinstance(server, str) else server.address
    line = [
        "name",
        "--assignment",
        run / "c",
        "--features",
        run / "z",
        "--index",
        run / "raw/index",
    ]
    line += ["--out", out / "names", "--name-by", address, "--name-model", model]
    return main([str(word) for word in [*line, *more.get("flags", ())]])


def test_five_small_pictures_of_each_are_looked_at_and_nothing_else_of_them_goes(
    run, tmp_path, capsys
):
    with serving() as server:
        assert name(run, server, tmp_path) == 0
    assert [found for found, _ in found_names(tmp_path / "names")] == list(NAMES)
    evidence = [why for _, why in found_names(tmp_path / "names")]
    assert evidence == [f"by eye at 127.0.0.1:{server.server_port}"] * 3
    assert len(server.asked) == 3
    for model, pictures in server.asked:
        assert (model, len(pictures)) == ("eye", PICTURES)
        for picture in pictures:
            assert (picture.format, max(picture.size)) == ("JPEG", SIDE)
            assert not picture.getexif()
            assert PLACE not in picture.tobytes()
    first = [np.asarray(picture).tobytes() for picture in server.asked[0][1]]
    assert len(set(first)) == PICTURES  # of equal ones one is sent
    out = capsys.readouterr().out
    told = f"sending 15 pictures of 3 clusters to 127.0.0.1:{server.server_port} (this machine)"
    assert told in out
    assert out.index(told) < out.index("names: Red")


def test_nothing_is_sent_twice_and_a_cut_one_goes_on(run, tmp_path):
    with serving() as server:
        server.faults = [None, {"choices": []}]
        assert name(run, server, tmp_path) == 8
        assert [found for found, _ in found_names(tmp_path / "names")] == [NAMES[0], "", ""]
        assert name(run, server, tmp_path) == 0
        assert len(server.asked) == 3
        before = len(server.seen)
        assert name(run, server, tmp_path) == 0
        assert name(run, server, tmp_path, flags=["--force"]) == 0
        assert len(server.seen) == before
        assert [found for found, _ in found_names(tmp_path / "names")] == list(NAMES)
        (answer, *_) = sorted((tmp_path / "answers").iterdir())
        answer.write_text("{ cut short")
        assert name(run, server, tmp_path) == 0
        assert len(server.asked) == 4
        assert name(run, server, tmp_path, model="another") == 0
        assert len(server.asked) == 7


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ([429] * 3, 5, "status 429 (busy"),
        ([500] * 3, 7, "status 500"),
        ([404], 2, "see that the model is there"),
        ([302], 8, "pictures are not sent on"),
        ([413], 6, "status 413"),
        ([b"<!doctype html><title>Sign in</title>"], 8, "text/html"),
        ([b"x" * (2 << 20)], 8, "more than 1024 KiB"),
        ([{"error": "odd"}], 8, "a chat completion"),
        (["", "", ""], 8, "got nothing for 3 clusters"),
        (["<script>alert(1)</script> Ignore all rules\x1b[2J"] * 3, 8, "'<script>alert(1)"),
        (["a\u202eb\x07"] * 3, 8, r"got 'a\u202eb\x07' ('\u202e' in it) for 3 clusters"),
        (["word " * 4000] * 3, 8, "(4000 words) for 3"),
    ],
)  # fmt: skip
def test_whatever_it_answers_the_usual_names_stand_and_one_sentence_says_it(
    run, tmp_path, capsys, fault, status, words
):
    with serving() as server:
        server.faults = list(fault)
        assert name(run, server, tmp_path) == status
    out, err = capsys.readouterr()
    assert found_names(tmp_path / "names") == [("", "")] * 3  # these features have none
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not any(c in out + err for c in "\x1b")
    assert not list(tmp_path.glob("answers/*"))


def test_a_busy_one_is_asked_again_and_an_option_it_does_not_know_left_out(run, tmp_path):
    with serving() as server:
        server.faults = [429, 503, None, 400]
        assert name(run, server, tmp_path) == 0
        assert [m for m, *_ in server.seen] == ["POST"] * 6
    assert [found for found, _ in found_names(tmp_path / "names")] == list(NAMES)


def test_a_key_comes_from_the_environment_and_goes_nowhere_else(run, tmp_path, capsys, monkeypatch):
    with serving(key=SECRET) as server:
        assert name(run, server, tmp_path) == 4
        monkeypatch.setenv(KEY, SECRET + "5")
        assert name(run, server, tmp_path) == 4
        with pytest.raises(ServiceError, match=KEY):
            vision_model(server.address, "eye", SECRET + "5").check()
        monkeypatch.setenv(KEY, SECRET)
        assert name(run, server, tmp_path) == 0
    assert {key for *_, key in server.seen} == {
        None, f"Bearer {SECRET}5", f"Bearer {SECRET}"
    }  # fmt: skip
    out, err = capsys.readouterr()
    assert KEY in err
    assert SECRET not in out + err + repr(vision_model(server.address, "eye", SECRET))
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_what_is_not_there_and_a_model_that_is_not_are_refused_at_once():
    with serving(models=["llava:latest", "qwen2.5-vl"]) as server:
        vision_model(server.address, "llava").check()
        vision_model(server.address + "/chat/completions", "qwen2.5-vl").check()
        with pytest.raises(InputError, match=r"take one that it lists: qwen2\.5-vl"):
            vision_model(server.address, "qwen2-vl").check()
        server.models = None  # it does not list them
        vision_model(server.address, "anything").check()
    with pytest.raises(ServiceError, match="start the server there"):
        vision_model(server.address, "llava").check()


@pytest.mark.parametrize("listed", [{"data": []}, {"data": "eye"}, {"models": ["eye"]}, ["eye"]])
def test_a_list_of_models_in_another_form_is_told(listed, capsys):
    with serving() as server:
        server.listed = listed
        vision_model(server.address, "eye").check()
    assert "lists no model in the usual form: whether it has eye shows" in capsys.readouterr().out


def corrected(run, at, clusters):
    """The run's assignment with other clusters, beside links to the rest of it."""
    at.mkdir()
    for part in ("z", "raw"):
        (at / part).symlink_to(run / part)
    rows = Assignment.load(run / "c")
    p = np.eye(max(clusters) + 1, dtype=np.float32)[clusters] * 0.9 + 0.02

    def write(folder):
        rows_now = Assignment(rows.ids, rows.splits, p)
        return rows_now.save(folder, (np.zeros(21, int), np.arange(21) / 21))

    make_artifact(at / "c", ArtifactSpec("assignment", {"of": clusters}, {}, ()), write)
    return at


def test_names_of_a_model_stand_where_their_pictures_still_are_when_it_is_not_asked(run, tmp_path):
    def plain(at):
        line = [
            "name",
            "--assignment",
            at / "c",
            "--features",
            at / "z",
            "--out",
            tmp_path / "names",
        ]
        assert main([str(word) for word in line]) == 0
        return [found for found, _ in found_names(tmp_path / "names")]

    with serving() as server:
        assert name(run, server, tmp_path) == 0
    before = read_manifest(tmp_path / "names")
    assert plain(run) == list(NAMES)
    assert read_manifest(tmp_path / "names") == before  # not even made again
    red, green, blue = np.repeat(np.arange(3), 7).reshape(3, 7).tolist()
    moved = corrected(run, tmp_path / "moved", [*green, 1, 1, 0, 0, 0, 0, 0, *blue[:6], 3])
    assert plain(moved) == [NAMES[1], NAMES[0], NAMES[2], ""]
    assert plain(run) == list(NAMES)
    merged = corrected(run, tmp_path / "merged", [*red, *red, *green])
    assert plain(merged) == ["", NAMES[2]]
    assert plain(corrected(run, tmp_path / "all", [*red, *red, *red])) == [""]  # far too many


def test_clusters_of_one_name_are_told(run, tmp_path, capsys):
    with serving() as server:
        server.faults = ["Sand", None, "sand"]
        assert name(run, server, tmp_path) == 0
    assert "Sand is the name of clusters 0, 2: if they show the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("localhost:1234", "http://localhost:1234/v1"),
        ("ftp://localhost/v1", "an address such as"),
        ("http://localhost:99999/v1", "an address such as"),
        ("http://me:hunter2@localhost/v1", KEY),
        ("http://localhost/v1?key=hunter2", KEY),
        ("http://8.8.8.8/v1", "--name-unencrypted"),
        ("http://[::ffff:8.8.8.8]/v1", "--name-unencrypted"),
        ("http://no such host/v1", "an address such as"),
    ],
)
def test_addresses_that_are_refused(address, words):
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        vision_model(address, "eye")
    assert "hunter2" not in str(caught.value)


def test_where_pictures_go_is_known(monkeypatch):
    def place(address, **more):
        return vision_model(address, "eye", **more).place

    assert place("http://localhost:1234/v1") == "this machine"
    assert place("http://[::1]:1234/v1") == "this machine"
    assert place("http://192.168.1.7:8000/v1") == "your own network"
    assert place("https://1.1.1.1/v1") == "the internet"
    assert place("http://8.8.8.8/v1", unencrypted=True) == "the internet"
    found = [(None, None, None, None, (a, 80)) for a in ("10.0.0.1", "9.9.9.9")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(InputError, match="on the internet"):
        place("http://both.example/v1")
    with pytest.raises(InputError, match="no --name-model"):
        vision_model("http://localhost/v1", " ")


def test_no_proxy_stands_between_this_machine_and_itself(run, tmp_path, monkeypatch):
    with serving() as server:
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert name(run, server, tmp_path) == 0


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("Beach at sunset", "Beach at sunset"),
        ("  **School bus.**\n", "School bus"),
        ('"Snow"', "Snow"),
        ("Name: Red-eyed frogs", "Red-eyed frogs"),
        ("<think>\nsand?\n</think>\n\nSand", "Sand"),
        ("Strände", "Strände"),
        ("日没の海岸", "日没の海岸"),
        ("छुट्टी", "छुट्टी"),
        ("", ""),
        ("...", ""),
        ("2024", ""),
        ("These pictures all show a beach", ""),
        ("Beach\nSea", ""),
        ("=cmd|' /C calc'!A0", ""),
        ("../../etc", ""),
        ("<img src=x onerror=alert(1)>", ""),
        ("Sea\u202egnp.exe", ""),
        ("Sea\x07", ""),
        ("a" * 41, ""),
    ],
)
def test_what_counts_as_a_name(said, found):
    assert clean_name(said) == found


def test_answers_hold_what_was_said(run, tmp_path):
    with serving() as server:
        server.faults = ["<think>hm</think>'Red things'"]
        assert name(run, server, tmp_path) == 0
    docs = [json.loads(path.read_text()) for path in (tmp_path / "answers").iterdir()]
    assert sorted(doc["answer"] for doc in docs)[0] == "<think>hm</think>'Red things'"
    assert {doc["model"] for doc in docs} == {"eye"}
