import io
import os
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from helpers import environment
from imclust.competitions.challenges._base import array_rows
from imclust.core.errors import InputError
from imclust.data.images import ImageRow, decode
from imclust.data.inspection import inspect
from imclust.data.loader import Preprocessing, all_pixels, pixels, square, to_input


def encoded(image, kind="PNG", **settings):
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


def grey_ramp():
    return np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)


MODES = {
    "L": Image.fromarray(grey_ramp()),
    "LA": Image.fromarray(grey_ramp()).convert("LA"),
    "RGBA": Image.fromarray(grey_ramp()).convert("RGBA"),
    "P": Image.fromarray(grey_ramp()).convert("P"),
    "1": Image.fromarray(grey_ramp()).convert("1"),
    "I;16": Image.fromarray(grey_ramp().astype(np.uint16) * 257),
    "RGB": Image.fromarray(grey_ramp()).convert("RGB"),
}


@pytest.mark.parametrize("image", MODES.values(), ids=MODES)
def test_every_mode_becomes_eight_bit_rgb_with_its_values(image):
    got = decode(encoded(image))
    assert got.shape == (8, 8, 3)
    assert got.dtype == np.uint8
    want = grey_ramp() if image.mode != "1" else np.asarray(image.convert("L"))
    for channel in range(3):
        np.testing.assert_allclose(got[..., channel].astype(int), want, atol=1)


def test_cmyk_and_float_are_readable():
    assert decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 0, 0)), "JPEG")).shape == (8, 8, 3)
    deep = decode(
        encoded(Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)), "TIFF")
    )
    assert deep.max() == 255


def test_transparency_is_laid_over_white():
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert decode(encoded(clear)).min() == 255


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = Image.new("RGB", (4, 8))
    assert decode(encoded(tall, "JPEG", exif=exif)).shape == (4, 8, 3)


def noisy_jpeg():
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise), "JPEG")


BROKEN = {
    "html": (b"<html>not logged in</html>", "a web page"),
    "empty": (b"", "empty file"),
    "text": (b"hello", "not an image"),
    "truncated": (noisy_jpeg()[:800], "truncated"),
}


@pytest.mark.parametrize(("data", "why"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_decoded_says_why(data, why):
    with pytest.raises(ValueError, match=why):
        decode(data)


def test_large_jpegs_are_decoded_small_and_look_the_same():
    ramp = np.add.outer(np.arange(512), np.arange(512)) / 4
    photo = Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).convert("RGB")
    data = encoded(photo, "JPEG", quality=95)
    whole, half = decode(data), decode(data, lambda w, h: 2)
    assert whole.shape, half.shape == ((512, 512, 3), (256, 256, 3))
    want = whole.reshape(256, 2, 256, 2, 3).mean((1, 3))
    assert np.abs(half - want).mean() < 2


@pytest.mark.parametrize(("side", "by"), [(32, 1), (63, 1), (64, 2), (127, 2), (300, 8), (999, 8)])
def test_a_jpeg_is_never_made_smaller_than_the_input(side, by):
    assert Preprocessing(32).reduction(side, 2 * side) == by
    assert Preprocessing(32, window=40).reduction(side, 2 * side) == 1


def test_opencv_and_pillow_agree_on_a_jpeg(monkeypatch):
    data = noisy_jpeg()
    fast = decode(data).astype(int)
    monkeypatch.setattr("imclust.data.images._decode_jpeg", lambda data, by: None)
    assert np.abs(decode(data) - fast).mean() < 2


def test_the_square_keeps_the_middle_and_its_share():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert square(wide, Preprocessing(10), 10).min() == 200
    rings = np.zeros((8, 8, 3), np.uint8)
    rings[2:6, 2:6] = 100
    half = Preprocessing(4, crop=0.5)
    assert square(rings, half, half.kept(8, 8)).tolist() == np.full((4, 4, 3), 100).tolist()
    window = Preprocessing(4, window=4)
    assert square(rings, window, window.kept(8, 8)).min() == 100
    assert window.kept(3, 9) == 3


def test_files_zips_and_arrays_give_the_same_pixels(tmp_path, rng):
    x = rng.integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        for i, image in enumerate(x):
            z.writestr(f"deep/{i}.png", encoded(Image.fromarray(image)))
            Image.fromarray(image).save(tmp_path / f"{i}.png")
    for source, member in (("x.npy", "{}"), ("x.zip", "deep/{}.png"), ("{}.png", "")):
        rows = [
            ImageRow(str(i), "train", str(tmp_path / source.format(i)), member.format(i))
            for i in range(3)
        ]
        np.testing.assert_array_equal(all_pixels(rows, Preprocessing(16), "test"), x)


def test_inspection_tells_readable_from_damaged(tmp_path):
    (tmp_path / "good.jpg").write_bytes(noisy_jpeg())
    (tmp_path / "bad.jpg").write_bytes(noisy_jpeg()[:800])
    rows = [ImageRow(n, "train", str(tmp_path / n), "") for n in ("good.jpg", "bad.jpg")]
    good, bad = inspect(rows, 2)
    assert (good.width, good.height, good.problem) == (64, 64, "")
    assert len(good.digest) == 16
    assert "truncated" in bad.problem


def test_input_is_the_homework_formula(rng):
    block = rng.integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    got = to_input(block, Preprocessing(4), "cpu").numpy()
    want = block.astype(np.float64).transpose(0, 3, 1, 2) / 255 * 2 - 1
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_one_grey_array_row_is_three_equal_channels(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(128, dtype=np.uint8).reshape(2, 8, 8))
    got = pixels(ImageRow("0", "train", str(tmp_path / "x.npy"), "1"), Preprocessing(8))
    assert (got[..., 0] == got[..., 2]).all()
    assert got[0, 0, 0] == 64


def one_row(path):
    return ImageRow("0", "train", str(path), "")


SIZES = [(1, 1), (1, 500), (20_000, 30)]
CASES = [(k, s) for k in ("JPEG", "PNG") for s in SIZES] + [("JPEG", (20_000, 20_000))]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "size"), CASES, ids=str)
def test_images_from_one_to_twenty_thousand_pixels_a_side(tmp_path, kind, size):
    path = tmp_path / f"a.{kind.lower()}"
    Image.new("L", size, 77).save(path, kind)
    [row] = inspect([one_row(path)], 1)
    assert (row.width, row.height, row.problem) == (*size, "")
    got = pixels(row, Preprocessing(64))
    assert got.shape == (64, 64, 3)
    assert np.abs(got.astype(int) - 77).max() <= 2


def test_more_pixels_than_are_decoded_are_a_problem_that_names_the_flag(tmp_path):
    for kind in ("png", "jpeg"):
        Image.new("RGB", (40, 30)).save(tmp_path / f"a.{kind}")
    rows = [ImageRow(kind, "train", str(tmp_path / f"a.{kind}"), "") for kind in ("png", "jpeg")]
    large, small = inspect(rows, 2, max_pixels=1000)
    assert large.problem == "40 x 30 pixels, more than --max-pixels 1000"
    assert not small.problem  # a JPEG is decoded smaller than it is
    assert not [row.problem for row in inspect(rows, 2, max_pixels=1200) if row.problem]


def test_a_png_of_400_million_pixels_is_refused_within_the_memory_of_its_file(tmp_path):
    """5 MiB that would become 1.6 GiB."""
    code = (
        "import resource, sys\n"
        "from imclust.data.images import ImageRow\n"
        "from imclust.data.inspection import inspect\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "row, = inspect([ImageRow('a', 'train', sys.argv[1], '')], 1)\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(row.problem, grown // 1024)"
    )
    header = b"IHDR" + (20_000).to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    empty = zlib.compress(bytes(60_001 * 16))
    chunks = [header, b"IDAT" + empty, b"IEND"]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        (len(c) - 4).to_bytes(4, "big") + c + zlib.crc32(c).to_bytes(4, "big") for c in chunks
    )
    (tmp_path / "a.png").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.png"],
        env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    problem, grown = done.stdout.strip().rsplit(" ", 1)
    assert "20000 x 20000 pixels" in problem, done.stderr
    assert int(grown) < 300


def test_an_image_that_changed_since_it_was_indexed_is_not_read(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), "red").save(path)
    (row,) = inspect([ImageRow("a", "train", str(path), "")], 1)
    assert pixels(row, Preprocessing(8)).shape == (8, 8, 3)
    Image.new("RGB", (8, 8), "blue").save(path)
    with pytest.raises(ValueError, match="other bytes than were indexed"):
        pixels(row, Preprocessing(8))
    with pytest.raises(InputError, match=r"a\.png must be the image that was indexed; .* download"):
        all_pixels([row], Preprocessing(8), "read")


def test_a_row_of_an_array_that_changed_is_not_read(tmp_path):
    x = np.zeros((2, 8, 8, 3), np.uint8)
    x[:, 0] = 9
    np.save(tmp_path / "x.npy", x)
    first, second = array_rows(tmp_path / "x.npy", "train")
    x[1] += 1
    np.save(tmp_path / "x.npy", x)
    os.utime(tmp_path / "x.npy", (1, 1))  # whose clock may not have ticked
    assert pixels(first, Preprocessing(8)).shape == (8, 8, 3)
    with pytest.raises(ValueError, match="other bytes"):
        pixels(second, Preprocessing(8))


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[0, 0].tolist() == [255, 0, 0]


def test_rotated_jpegs_are_upright_at_every_reduction():
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    halves = np.zeros((64, 128, 3), np.uint8)
    halves[:, :64] = 250
    data = encoded(Image.fromarray(halves), "JPEG", exif=exif, quality=95)
    for by in (1, 2, 4, 8):
        got = decode(data, lambda w, h, by=by: by)
        assert got.shape == (128 // by, 64 // by, 3)
        assert got[: 60 // by].mean() > 200 > 50 > got[-(60 // by) :].mean()
