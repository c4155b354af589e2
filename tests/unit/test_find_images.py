"""Images are found by what they are; what is left out is counted and said."""

import os
import subprocess
import sys
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from helpers import environment
from imclust.core.errors import InputError
from imclust.core.records import read_csv, write_csv
from imclust.data.find_images import find_images
from imclust.data.images import decode

FORMATS = {  # suffix -> Pillow's name of the format
    ".avif": "AVIF", ".jp2": "JPEG2000", ".jfif": "JPEG", ".jpe": "JPEG", ".tga": "TGA",
    ".ico": "ICO", ".pbm": "PPM", ".dib": "DIB", ".apng": "PNG", ".png": "PNG", ".JPG": "JPEG",
    ".webp": "WEBP", ".gif": "GIF", ".tif": "TIFF", ".bmp": "BMP", ".pcx": "PCX", "": "PNG",
    ".dat": "JPEG",
}  # fmt: skip


def save(path, kind="PNG", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, kind)
    return path


def names(found, data):
    return [m or p.relative_to(data).as_posix() for p, m in found.images]


@pytest.mark.parametrize(("suffix", "kind"), FORMATS.items(), ids=lambda x: x or "none")
def test_every_format_that_can_be_read_is_found_in_folders_and_zips(tmp_path, suffix, kind):
    path = save(tmp_path / "in" / f"a{suffix}", kind)
    assert names(find_images(tmp_path / "in"), tmp_path / "in") == [path.name]
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(path, f"deep/{path.name}")
    found = find_images(tmp_path / "in.zip")
    assert names(found, tmp_path) == [f"deep/{path.name}"]
    assert found.sentence() == "1 image found"


WITHOUT_HEIF = """
import sys
from pathlib import Path
sys.modules["pillow_heif"] = None  # as where the extra is not installed
from imclust.data.find_images import find_images
found = find_images(Path(sys.argv[1]))
print([path.name for path, _ in found.images], found.sentence())
"""


def test_what_is_no_image_is_counted_by_kind(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "more.txt").write_text("hello")
    (tmp_path / "README").write_text("hello")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    printed = subprocess.check_output(
        [sys.executable, "-c", WITHOUT_HEIF, tmp_path], env=environment(), text=True
    )
    assert printed == (
        "['a.png'] 1 image found, 6 files left out: 1 .pdf, 2 .txt, 1 HEIC (pip install "
        "'imclust[heic]' reads it), 1 broken link, 1 without a suffix\n"
    )


def test_heic_is_read_where_its_package_is_installed(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    halves = np.zeros((64, 48, 3), np.uint8)
    halves[:32] = 200, 30, 30
    pillow_heif.from_pillow(Image.fromarray(halves)).save(tmp_path / "a.heic", quality=95)
    assert find_images(tmp_path).sentence() == "1 image found"
    read = decode((tmp_path / "a.heic").read_bytes()).astype(int)
    assert read.shape == (64, 48, 3)
    assert np.abs(read - halves).mean() < 3


def test_linked_folders_are_followed_and_loops_are_not(tmp_path):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "elsewhere" / "b.png", seed=1)
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in")
    found = find_images(tmp_path / "in")
    assert names(found, tmp_path / "in") == ["a.png", "more/b.png"]
    assert "2 linked folder that was searched already" in found.sentence()


@pytest.mark.parametrize("zipped", [False, True])
def test_hidden_folders_and_those_of_file_servers_are_not_looked_at(tmp_path, zipped):
    data = tmp_path / "in"
    for name in (".thumbs/a.png", "@eaDir/b.jpg/SYNO.png", "__MACOSX/c.png", ".d.png", "ok/e.png"):
        save(data / name)
    if zipped:
        with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
            for path in sorted(data.rglob("*.png")):
                archive.write(path, path.relative_to(data))
        data = tmp_path / "in.zip"
    assert names(find_images(data), data) == ["ok/e.png"]


def test_archives_that_cannot_be_read_are_one_sentence(tmp_path):
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=r"cut\.zip must be a folder or a zip archive"):
        find_images(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr("?", b"nameless")
        archive.write(save(tmp_path / "a.png"), "a.png")
    data = (tmp_path / "odd.zip").read_bytes()
    for mark, at in ((b"PK\x03\x04", 26), (b"PK\x01\x02", 28)):  # the name becomes a stray byte
        start = data.index(mark) + at
        data = data[:start] + b"\0\0\1\0" + data[start + 4 :]
    (tmp_path / "odd.zip").write_bytes(data)
    assert names(find_images(tmp_path / "odd.zip"), tmp_path) == ["a.png"]


@pytest.mark.parametrize("name", ["0\rx.png", "a\nb.png", 'q"uote.png', "comma,.png", "é.png"])
def test_any_name_survives_the_index(tmp_path, name):
    """As it is spelt: composed and decomposed letters are different files."""
    spellings = {name, unicodedata.normalize("NFD", name)}
    write_csv(tmp_path / "t.csv", ("id", "n"), [(spelling, 1) for spelling in sorted(spellings)])
    assert {row["id"] for row in read_csv(tmp_path / "t.csv")} == spellings
    for spelling in spellings:
        save(tmp_path / "in" / spelling)
    assert len(find_images(tmp_path / "in").images) == len(os.listdir(tmp_path / "in"))


def test_a_name_that_is_not_in_utf8_is_left_out_and_counted(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    os.rename(tmp_path / "b.png", os.fsencode(tmp_path) + b"/gr\xfcn.png")
    found = find_images(tmp_path)
    assert [path.name for path, _ in found.images] == ["a.png"]
    assert found.sentence() == (
        "1 image found, 1 file left out: 1 with a name that is not in UTF-8 (rename it)"
    )
