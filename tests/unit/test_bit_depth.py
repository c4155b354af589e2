"""More than eight bits a channel: no levels are lost, and what was done is said."""

import io

import numpy as np
import pytest
from PIL import Image

from imclust.data.bit_depth import depth_sentence
from imclust.data.images import ImageRow, decode, open_image
from imclust.data.inspection import inspect


def stored(values, kind="TIFF"):
    out = io.BytesIO()
    Image.fromarray(values).save(out, kind)
    return out.getvalue()


def uint32_tiff(values):
    """Pillow writes no unsigned 32 bit: the tag that says so is set behind its back."""
    data = bytearray(stored(values.astype(np.int32)))
    at = data.find((339).to_bytes(2, "little") + (3).to_bytes(2, "little"))
    data[at + 8 : at + 10] = (1).to_bytes(2, "little")
    return bytes(data)


@pytest.fixture
def grey(rng):
    return rng.random((64, 64))


def correlation(data, values):
    return np.corrcoef(decode(data)[..., 0].ravel(), values.ravel())[0, 1]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_a_camera_of_any_depth_keeps_its_levels(grey, bits, kind):
    values = (grey * (2**bits - 1)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    data = stored(values, kind)
    assert len(np.unique(decode(data))) > 200
    assert correlation(data, values) > 0.999
    top = 2**bits - 1
    assert depth_sentence(open_image(data)) == f"of more than 8 bits: 0 to {top:g} becomes 0 to 255"


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_one_odd_number_does_not_make_an_image_black(grey, odd):
    values = grey.astype(np.float32)
    values[3, 3] = odd
    rest = np.ones_like(values, bool)
    rest[3, 3] = False
    got = decode(stored(values))[..., 0]
    assert np.corrcoef(got[rest], values[rest])[0, 1] > 0.999
    assert np.ptp(got[rest]) > 200


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [(-1, 1, np.float32), (-30_000, 20_000, np.int32), (0, 255, np.float32), (-5, 70, np.float32)],
)
def test_negative_numbers_and_other_ranges_are_not_clipped(grey, low, high, kind):
    values = (low + grey * (high - low)).astype(kind)
    assert correlation(stored(values), values) > 0.999
    assert np.ptp(decode(stored(values))) > 200


def test_unsigned_32_bit_has_more_than_two_levels(grey):
    values = (grey * 2**32 - 1).clip(0).astype(np.uint32)
    data = uint32_tiff(values)
    assert open_image(data).mode == "I"
    assert correlation(data, values) > 0.999


def test_nothing_but_nan_is_an_image_all_the_same():
    assert decode(stored(np.full((8, 8), np.nan, np.float32))).shape == (8, 8, 3)


def test_the_range_is_said_once_for_all_images(tmp_path, grey, capsys):
    for i in range(3):
        path = tmp_path / f"{i}.png"
        path.write_bytes(stored((grey * 4095).astype(np.uint16), "PNG"))
    rows = [ImageRow(f"{i}", "train", str(tmp_path / f"{i}.png"), "") for i in range(3)]
    assert not [row.problem for row in inspect(rows, 3) if row.problem]
    assert "3 images are of more than 8 bits: 0 to 4095 becomes 0 to 255" in capsys.readouterr().out
