"""Google Drive's client against the stand-in, through the real gdown."""

import numpy as np
import pytest

from helpers import failed, npy
from imclust.competitions.clients.drive import Drive
from imclust.competitions.downloads import Expected
from imclust.core.errors import InputError
from standin import Cut, Html, IgnoreRange, NoAnswer, Stall, Status
from standin_services import QUOTA_PAGE, SIGNIN_PAGE

pytest.importorskip("gdown")
ID = "1BZb2AqOHHaad7Mo82St1qTBaXo_xtcUc"
BODY = ("GET", "/download")


@pytest.fixture
def drive(standin, tmp_path, monkeypatch):
    standin.use(monkeypatch, tmp_path)
    standin.drive[ID] = npy(np.arange(1_500_000).astype(np.uint8))  # gdown writes in 512 KiB
    standin.drive_asks = True
    monkeypatch.setattr(Drive, "timeout", (2, 0.5))
    monkeypatch.setattr(Drive, "retries", 0)
    return Drive(ID)


@pytest.fixture
def get(drive, tmp_path):
    def call(**expected):
        [file] = drive.list_files()
        drive.download(file, tmp_path / "raw" / "images.npy", Expected(**expected))
        return (tmp_path / "raw" / "images.npy").read_bytes()

    return call


def test_a_large_file_comes_by_its_form_once(get, standin, tmp_path):
    assert get() == standin.drive[ID]
    asked = len(standin.journal)
    assert get() == standin.drive[ID]
    assert len(standin.journal) == asked == 2
    assert (tmp_path / "raw/images.npy").stat().st_mode & 0o777 == 0o644
    assert sorted(p.name for p in (tmp_path / "raw").iterdir()) in (
        ["files.json", "images.npy"], [".images.npy.lock", "files.json", "images.npy"],
    )  # fmt: skip


def test_what_was_cut_is_gone_on_with(get, standin, tmp_path):
    standin.faults[BODY] = [Cut(800_000)]
    with failed("network", 7, "Google Drive"):
        get()
    assert not (tmp_path / "raw/images.npy").exists()
    assert get() == standin.drive[ID]
    assert standin.asked(*BODY)[-1].headers.get("Range") == "bytes=524288-"


def test_trouble_amid_a_resumed_file(get, standin):
    standin.faults[BODY] = [Cut(800_000), None, Status(503)]
    with failed("network", 7):
        get()
    with failed("corrupt", 8, "again"):  # gdown takes it for a server that ignores ranges
        get()
    assert get() == standin.drive[ID]


def test_a_server_that_ignores_ranges_is_asked_from_the_start(get, standin):
    standin.faults[BODY] = [Cut(800_000), None, IgnoreRange()]  # it first asks for the whole
    with failed("network", 7):
        get()
    with failed("corrupt", 8):
        get()
    assert get() == standin.drive[ID]


@pytest.mark.parametrize(
    ("page", "kind", "status", "words"),
    [
        (QUOTA_PAGE, "limit", 5, "24 hours"),
        (SIGNIN_PAGE, "not-allowed", 4, "shared with everybody"),
        (b"", "not-allowed", 4, "no public link"),
    ],
)
def test_pages_in_place_of_the_file(get, standin, page, kind, status, words):
    standin.drive[ID] = page
    with failed(kind, status, words):
        get()


@pytest.mark.parametrize(
    ("fault", "kind", "status", "words"),
    [
        (Status(403), "not-allowed", 4, "shared with everybody"),
        (Status(429), "not-allowed", 4, "asked too often"),
        (Status(500), "not-allowed", 4, "in trouble"),  # gdown says no more
        (Status(503), "not-allowed", 4, "in trouble"),
        (Html(), "not-allowed", 4, "no public link"),
        (NoAnswer(), "network", 7, "check the network"),
        (Stall(9), "timeout", 7, "no answer in time"),
    ],
)
def test_what_the_first_page_may_answer(get, standin, fault, kind, status, words):
    standin.faults["GET", "/[uo]*"] = fault  # after a 500 it tries another address
    with failed(kind, status, words):
        get()


def test_a_stall_amid_the_body(get, standin):
    standin.faults[BODY] = Stall(9, after=9000)
    with failed("timeout", 7):
        get()


def test_another_file_is_kept_aside_and_a_good_one_stays(get, standin, tmp_path):
    good = get()
    standin.drive[ID] = b"GIF89a something else entirely"
    with failed("wrong-content", 8, "images.npy"):
        get(sha256="0" * 64)
    assert (tmp_path / "raw/images.npy").read_bytes() == good
    assert (tmp_path / "raw/.images.npy.rejected").read_bytes() == standin.drive[ID]


def test_the_size_of_a_listing_counts(get):
    with failed("corrupt", 8, "of 5 bytes"):
        get(size=5)


def test_it_takes_no_submissions(drive, tmp_path):
    assert drive.credentials() == "none needed"
    with pytest.raises(InputError, match="takes submissions"):
        drive.submit(tmp_path / "a.csv", "", lambda: None)
