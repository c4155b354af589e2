import numpy as np
import pytest

from imclust.core.errors import InputError
from imclust.core.npy import NpyRows, open_npy


def test_streamed_blocks_equal_one_save(tmp_path, rng):
    x = rng.standard_normal((50, 6)).astype(np.float32)
    with NpyRows(tmp_path / "x.npy", x.shape) as w:
        for a in reversed(range(0, 50, 7)):
            w.write(a, x[a : a + 7])
    got = open_npy(tmp_path / "x.npy")
    np.testing.assert_array_equal(got, x)
    assert isinstance(got, np.memmap)


def test_writer_refuses_too_few_rows(tmp_path):
    with (
        pytest.raises(InputError, match="2 of 3 rows"),
        NpyRows(tmp_path / "x.npy", (3, 4)) as w,
    ):
        w.write(0, np.zeros((2, 4), np.float32))


def save_object(path):
    np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)


BAD = {
    "missing": (lambda p: None, "nothing there"),
    "html": (lambda p: p.write_bytes(b"\n <!DOCTYPE html><html>"), "a web page"),
    "zip": (lambda p: p.write_bytes(b"PK\x03\x04...."), "a zip archive"),
    "empty": (lambda p: p.write_bytes(b""), "an empty file"),
    "other": (lambda p: p.write_bytes(b"hello"), "other content"),
    "pickled": (save_object, "pickled Python objects"),
    "broken header": (
        lambda p: p.write_bytes(b"\x93NUMPY\x01\x00\x10\x00garbage"),
        "broken header",
    ),
}


@pytest.mark.parametrize(("make", "text"), BAD.values(), ids=BAD)
def test_whatever_is_no_array_is_refused(tmp_path, make, text):
    make(tmp_path / "x.npy")
    with pytest.raises(InputError, match=text):
        open_npy(tmp_path / "x.npy")


def test_truncated_array_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((10, 10)))
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-8])
    with pytest.raises(InputError, match="928 bytes as its header says; got 920 bytes"):
        open_npy(tmp_path / "x.npy")
