"""Archives that strangers made: unpacked whole, or refused whole."""

import stat
import zipfile

import numpy as np
import pytest

from imclust.competitions import archives
from imclust.competitions.archives import remove_unpacked, unzip
from imclust.core.errors import InputError, ServiceError


def packed(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as z:
        for name, data in members:
            z.writestr(name, data)
    return path


def test_a_sound_archive_is_unpacked_once(tmp_path):
    noise = np.random.default_rng(0).bytes(3_000_000)
    path = packed(tmp_path / "a.zip", [("x/a.npy", noise), ("b.csv", b"id\n"), ("empty/", b"")])
    assert unzip(path, tmp_path / "out")
    assert (tmp_path / "out/x/a.npy").read_bytes() == noise
    assert (tmp_path / "out/b.csv").read_bytes() == b"id\n"
    assert not unzip(path, tmp_path / "out")
    packed(path, [("c.csv", b"new")])
    assert unzip(path, tmp_path / "out")
    assert not (tmp_path / "out/b.csv").exists()


def link():
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


EVIL = {
    "climbs out": [("ok.txt", b"1"), ("../evil.txt", b"x")],
    "climbs out inside": [("a/../../evil.txt", b"x")],
    "absolute": [("/evil.txt", b"x")],
    "a drive": [("C:evil.txt", b"x")],
    "backslashes": [("..\\evil.txt", b"x")],
    "a link": [(link(), b"/etc/passwd")],
    "the same name but for case": [("a.txt", b"1"), ("A.txt", b"2")],
    "a file that is a folder too": [("a", b"1"), ("a/b", b"2")],
}


@pytest.mark.parametrize("name", EVIL)
def test_what_leads_astray_is_refused_whole(tmp_path, name):
    path = packed(tmp_path / "a.zip", EVIL[name])
    with pytest.raises(ServiceError, match=r"a\.zip must be a sound zip") as caught:
        unzip(path, tmp_path / "in/out")
    assert caught.value.kind == "corrupt"
    left = {p.name for p in tmp_path.rglob("*")}
    assert left == {"a.zip", "in", ".out.lock"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names_are_refused(tmp_path):
    path = packed(tmp_path / "a.zip", [("a.txt", b"1"), ("a.txt", b"2")])
    with pytest.raises(ServiceError, match="two of the same name"):
        unzip(path, tmp_path / "out")


def test_a_bomb_is_refused_by_its_table(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 1 << 20)
    path = packed(tmp_path / "a.zip", [(f"{i}", bytes(5_000_000)) for i in range(3)])
    with pytest.raises(ServiceError, match="3 files, 0 GiB from 0"):
        unzip(path, tmp_path / "out")


def test_a_wrong_checksum_is_refused(tmp_path):
    path = packed(tmp_path / "a.zip", [("a.txt", b"aaaaaaaa")], zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"aaaaaaaa", b"aaaabaaa"))
    with pytest.raises(ServiceError, match="damaged"):
        unzip(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("cut", [10, 100, -5])
def test_a_cut_archive_is_refused(tmp_path, cut):
    path = packed(tmp_path / "a.zip", [("a.txt", np.random.default_rng(0).bytes(1000))])
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ServiceError, match="damaged"):
        unzip(path, tmp_path / "out")


def test_an_encrypted_member_is_refused(tmp_path):
    path = packed(tmp_path / "a.zip", [("a.txt", b"1")])
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ServiceError, match="encrypted"):
        unzip(path, tmp_path / "out")


def test_an_unpacked_file_that_was_edited_is_never_replaced_or_removed(tmp_path):
    archive = tmp_path / "a.zip"
    packed(archive, [("x/1.csv", b"id,label\n"), ("x/2.csv", b"2")])
    to = tmp_path / "to"
    assert unzip(archive, to)
    (to / "x/1.csv").write_text("id,notes\n")
    packed(archive, [("x/1.csv", b"other"), ("x/2.csv", b"2")])
    with pytest.raises(InputError, match=r"x/1\.csv; move it away"):
        unzip(archive, to)
    remove_unpacked(to)
    assert (to / "x/1.csv").read_text() == "id,notes\n"
    (to / "x/1.csv").unlink()  # what is missing is nobody's loss
    assert unzip(archive, to)
    assert (to / "x/1.csv").read_bytes() == b"other"
    remove_unpacked(to)
    assert not to.exists()
