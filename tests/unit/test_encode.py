"""The encode stage on small sets: streamed, resumed, sharded, deduplicated."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import two_kinds
from imclust.__main__ import parse
from imclust.core.errors import InputError
from imclust.core.records import Features
from imclust.encoders import _latents as stage


def call(*words):
    run, cfg = parse([str(w) for w in words])
    run(cfg)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An encoder that has seen a few images."""
    at = tmp_path_factory.mktemp("encoder")
    np.save(at / "trainX.npy", two_kinds(16)[0])
    call("download", "--out", at / "raw", "arrays", "--data-dir", at)
    call("train", "--index", at / "raw/index", "--out", at / "w", "conv-ae", "--epochs", 1)
    return at / "w"


@pytest.fixture
def place(tmp_path, weights):
    """40 images, of which the last 10 are copies of the first, and an encoder."""
    (tmp_path / "w").symlink_to(weights)
    images = two_kinds(30)[0]
    (tmp_path / "images").mkdir()
    for i, x in enumerate([*images, *images[:10]]):
        Image.fromarray(x).save(tmp_path / "images" / f"{i:02}.png")
    call("download", "--out", tmp_path / "raw", "folder", "--data-dir", tmp_path / "images")
    return tmp_path


def encoded(place, name, *flags):
    call("encode", "--index", place / "raw/index", "--weights", place / "w",
         "--out", place / name, *flags)  # fmt: skip
    return Features.load(place / name)


def test_batch_and_workers_change_nothing_and_rows_are_the_index(place):
    whole = encoded(place, "a")
    assert whole.ids.tolist() == [f"{i:02}.png" for i in range(40)]
    assert whole.x.dtype == np.float32
    for flags in (["--batch", 7], ["--batch", 1], ["--workers", 1], ["--workers", 7]):
        other = encoded(place, "b" + "".join(map(str, flags)), *flags)
        np.testing.assert_allclose(other.x, whole.x, rtol=1e-4, atol=1e-5)
    again = encoded(place, "c")
    assert (place / "a/x.npy").read_bytes() == (place / "c/x.npy").read_bytes()
    assert len(again.ids) == 40


@pytest.mark.parametrize("flags", [[], ["--dedupe"]])
def test_a_kill_anywhere_resumes_to_the_same_bytes(place, monkeypatch, flags):
    encoded(place, "whole", "--batch", 4, *flags)
    monkeypatch.setattr(stage, "KEEP_EVERY", 0.0)
    original = stage.pixel_batches
    asked = []

    def dying(rows, *args):
        asked.append(len(rows))
        for i, block in enumerate(original(rows, *args)):
            if len(rows) > 16 and i == 3:  # the probe is left alone
                raise KeyboardInterrupt
            yield block

    monkeypatch.setattr(stage, "pixel_batches", dying)
    for _ in range(20):
        try:
            encoded(place, "broken", "--batch", 4, *flags)
            break
        except KeyboardInterrupt:
            continue
    assert (place / "broken/x.npy").read_bytes() == (place / "whole/x.npy").read_bytes()
    assert asked[-1] < 20  # it did not start over
    assert not (place / "broken" / stage.DONE).exists()


def test_copies_are_encoded_once(place):
    whole, once = encoded(place, "a"), encoded(place, "b", "--dedupe")
    np.testing.assert_allclose(once.x, whole.x, rtol=1e-4, atol=1e-5)
    assert json.loads((place / "b/manifest.json").read_text())["encoded"] == 30


def test_shards_are_gathered_in_the_order_of_the_index(place):
    whole = encoded(place, "a")
    for i in range(3):
        encoded(place, f"s{i}", "--shard", f"{i}/3")
    shards = [place / f"s{i}" for i in (2, 0, 1)]
    gather = ["gather", "--index", place / "raw/index", "--out"]
    call(*gather, place / "g", "--features", *shards)
    got = Features.load(place / "g")
    assert got.ids.tolist() == whole.ids.tolist()
    np.testing.assert_allclose(got.x, whole.x, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="once each; got 27 rows of 40"):
        call(*gather, place / "h", "--features", *shards[:2])
    encoded(place, "flipped", "--shard", "1/3", "--flip")
    with pytest.raises(InputError, match="of one encoding"):
        call(*gather, place / "h", "--features", *shards[:2], place / "flipped")


def test_no_room_is_refused_before_the_work(place, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr("shutil.disk_usage", lambda p: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match="free space for"):
        encoded(place, "a")
    assert not (place / "a").exists()


WRONG = {
    "shard": (["--shard", "4/4"], "I/N with 0 <= I < N; got 4/4"),
    "words": (["--shard", "one"], "I/N"),
    "empty": (["--shard", "60/61"], None),
    "batch": (["--batch", "0"], "at least 1; got 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_flags_are_refused(place, case):
    flags, why = WRONG[case]
    if why is None:
        assert len(encoded(place, "a", *flags).ids) == 1
        why, flags = "at least one image; got none", ["--shard", "0/61"]
    with pytest.raises(InputError, match=why):
        encoded(place, "b", *flags)


def test_an_image_that_went_bad_since_is_one_sentence(place):
    broken = Path(place / "images/05.png")
    broken.write_bytes(broken.read_bytes()[:50])
    with pytest.raises(InputError, match=r"05\.png .*run download again"):
        encoded(place, "a")
