"""The sample as a template, byte for byte, and what a check finds wrong with any file."""

import csv
import io
import itertools
import time

import numpy as np
import pytest

from imclust.competitions.challenges._samples import find_sample
from imclust.competitions.submission import (
    check,
    check_submission,
    natural,
    plain_sample,
    read_sample,
    render,
    vocabulary,
    with_header,
    write,
)
from imclust.core.errors import InputError


def read(tmp_path, data):
    path = tmp_path / "sample_submission.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_sample(path)


def dialect(bom, end, delimiter, quotes, spaced, final, columns, floats):
    """A sample of five rows, written one way of many."""
    header = ["id", "label", "Usage"][:columns]
    rows = [[f"{i}.png", f"{i % 2}.0" if floats else str(i % 2), "x"][:columns] for i in range(5)]
    if quotes == "minimal":
        rows[2][0] = f'a "b"{delimiter} c.png'
    out = io.StringIO()
    style = {
        "all": csv.QUOTE_ALL,
        "minimal": csv.QUOTE_MINIMAL,
        "none": csv.QUOTE_NONE,
    }[quotes]
    space = " " if spaced else ""
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=style)
    writer.writerow([header[0], *(space + h for h in header[1:])])
    writer.writerows([r[0], *(space + c for c in r[1:])] for r in rows)
    text = out.getvalue() if final else out.getvalue().removesuffix(end)
    return (b"\xef\xbb\xbf" if bom else b"") + text.encode()


DIALECTS = list(
    itertools.product(
        (False, True), ("\n", "\r\n"), (",", ";", "\t"), ("none", "minimal", "all"),
        (False, True), (True, False), (2, 3), (False, True),
    )
)  # fmt: skip


def test_its_own_labels_give_its_own_bytes_in_every_dialect(tmp_path):
    for style in DIALECTS:
        _, end, delimiter, quotes, spaced, _, columns, floats = style
        if spaced and quotes == "all":
            continue  # the space would stand within the quotes
        data = dialect(*style)
        sample = read(tmp_path, data)
        assert render(sample, sample.labels) == data, style
        assert sample.columns == ("id", "label", "Usage")[:columns]
        assert (sample.id_column, sample.label_column) == (0, 1)
        assert sample.values == (("0.0", "1.0") if floats else ("0", "1"))
        assert sample.ids[0] == "0.png"
        assert sample.ids[2] == (f'a "b"{delimiter} c.png' if quotes == "minimal" else "2.png")
        assert (sample.delimiter, sample.line_end) == (delimiter, end.encode())
        assert check(tmp_path / "sample_submission.csv", sample, sample.values) == [], style


def test_other_labels_change_nothing_else(tmp_path):
    for style in DIALECTS[::7]:
        if style[4]:
            continue  # quotes after a space are no quotes
        sample = read(tmp_path, dialect(*style))
        labels = ["7", "x,y", "8", 'say "9"', "7"]
        write(tmp_path / "out.csv", sample, labels)
        again = read_sample(tmp_path / "out.csv")
        assert again.labels == tuple(labels)
        assert (again.ids, again.columns, again.header) == (
            sample.ids, sample.columns, sample.header,
        )  # fmt: skip


ODD = {
    "blank lines": b"id,label\n\n1,0\n\n2,0\n\n\n",
    "old line ends": b"id,label\r1,0\r2,0\r",
    "mixed line ends": b"id,label\n1,0\r\n2,0\n",
    "quoted line break": b'id,label\n"a\nb",0\n2,0\n',
    "label first": b"label,id\n0,1\n0,2\n",
    "no column of that name": b"ImageID,Stage\n1,0\n2,0\n",
    "label in the middle": b"ImageID,Label,w\n1,0,a\n2,0,b",
    "empty labels": b"id,label\n1,\n2,\n",
    "latin-1": "id,label\nä,0\nö,0\n".encode("latin-1"),
    "a stray quote": b'id,label\n5"x,0\n"6,0\n',
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_odd_samples_keep_their_bytes(tmp_path, data):
    sample = read(tmp_path, data)
    assert len(sample.ids) == 2
    assert render(sample, sample.labels) == data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "an empty file"),
        (b" \n ", "an empty file"),
        (b"<!doctype html><html>", "a web page"),
        (b"PK\x03\x04zip", "a zip archive"),
        (b"id,label\n\0,1\n", "a binary file"),
        ("id,label\n1,0\n".encode("utf-16"), "UTF-16"),
        (b"id\n1\n2\n", "at least two columns"),
        (b"id,label\n", "a header alone"),
        ("id\ufeff00.png,\n01.png,0\n".encode(), "without control characters and marks"),
        (b"id,label\n1,0,5\n", "of 2 cells a row; got 3 in row 1"),
        (b"id,label\n1,0\n1,1\n", "unique; got '1' more than once"),
    ],
)
def test_what_is_no_sample_is_refused(tmp_path, data, why):
    with pytest.raises(InputError, match=why):
        read(tmp_path, data)
    with pytest.raises(InputError, match="nothing there"):
        read_sample(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("labels", "k", "want"),
    [
        ("0,0,0", 2, "0,1"),
        ("0,1,0", 3, "0,1,2"),
        ("3,1,2", 3, "1,2,3"),
        ("5,9,10", 3, "5,9,10"),
        ("1,3,3", 3, "1,2,3"),  # 3 is one of them, so they do not count from 0
        ("1,1,1", 3, "0,1,2"),
        ("0.0,0.0,0.0", 2, "0.0,1.0"),
        ("cat,dog,cat", 2, "cat,dog"),
        ("cat,cat,cat", 2, "0,1"),
        (",,", 2, "0,1"),
        ("nan,inf,0", 2, "0,1"),
        ("pile_1,pile_2,pile_1", 4, "pile_1,pile_2,pile_3,pile_4"),
        ("c0,c0,c0", 3, "c0,c1,c2"),
        ("1.0,2.0,2.0", 3, "0.0,1.0,2.0"),
    ],
)
def test_labels_of_the_clusters(tmp_path, labels, k, want):
    rows = "".join(f"{i},{v}\n" for i, v in enumerate(labels.split(",")))
    assert vocabulary(read(tmp_path, "id,label\n" + rows), k) == tuple(want.split(","))


def test_ids_with_spaces_of_their_own_are_kept(tmp_path):
    sample = plain_sample([" a", "b, c", "d "], ("id", "label"))
    write(tmp_path / "s.csv", sample, ["0", "1", "0"])
    assert check(tmp_path / "s.csv", sample, ("0", "1")) == []


def test_letters_that_the_encoding_has_not_are_refused(tmp_path):
    sample = read(tmp_path, "id,label\nä,0\n".encode("latin-1"))
    for wrong in (lambda: with_header(sample, "編號,label"), lambda: render(sample, ["編"])):
        with pytest.raises(InputError, match="of letters that latin-1 has"):
            wrong()


def test_natural_order():
    assert natural(["10", "9", "1e0"]) == ("1e0", "9", "10")
    assert natural(["b", "10", "9"]) == ("10", "9", "b")


def test_another_header_changes_the_header_alone(tmp_path):
    sample = read(tmp_path, b"\xef\xbb\xbfid,label\r\n1,0\r\n2,0\r\n")
    other = with_header(sample, "id, label")
    assert render(other, ["1", "0"]) == b"\xef\xbb\xbfid, label\r\n1,1\r\n2,0\r\n"
    for wrong in ("id", "id,label,x", "", "id,\nlabel"):
        with pytest.raises(InputError, match="one line of 2 names with commas"):
            with_header(sample, wrong)


def test_without_a_sample_it_is_what_a_csv_writer_writes():
    ids = ["0", "a,b", 'c"d', "e f", "line\nbreak"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("ImageID", "my,label"))
    writer.writerows(zip(ids, "01234", strict=True))
    sample = plain_sample(ids, ("ImageID", "my,label"))
    assert render(sample, list("01234")) == out.getvalue().encode()
    with pytest.raises(ValueError, match="4 labels for 5 ids"):
        render(sample, list("0123"))


GOOD = "id,label\n" + "".join(f"{i},{i % 2}\n" for i in range(10))
BAD = {
    "web page": ("<html>no</html>", "it is a web page"),
    "empty": ("", "it is an empty file"),
    "semicolons": (GOOD.replace(",", ";"), "separated by semicolons, the sample's by commas"),
    "space in header": (GOOD.replace("id,label", "id, label"), "only by spaces"),
    "case of header": (GOOD.replace("id,label", "ID,Label"), "'ID,Label', the sample's 'id,label' "
                       "(they differ only in upper and lower case)"),
    "byte-order mark": ("\ufeff" + GOOD, "only by a byte-order mark"),
    "quoted header": (GOOD.replace("id,label", '"id","label"'), "only by quotes"),
    "other header": (GOOD.replace("id,", "ImageID,"), "its header is 'ImageID,label'"),
    "no header": (GOOD.removeprefix("id,label\n"), "its header is '0,0'"),
    "index column": (",id,label\n0,0,1\n", "a column of row numbers stands first"),
    "named index": ("Unnamed: 0,id,label\n0,0,1\n", "a column of row numbers stands first"),
    "index for ids": (GOOD.replace("id,label", ",label"), "a column of row numbers"),
    "missing": (GOOD.replace("3,1\n", "").replace("7,1\n", ""), "missing ids: 2, first '3'"),
    "fewer rows": (GOOD.replace("3,1\n", ""), "it has 9 rows, the sample 10"),
    "cut": (GOOD[:-8], "missing ids: 2, first '8'"),
    "extra": (GOOD + "77,1\n78,1\n", "that the sample has not: 2, first '77'"),
    "duplicate": (GOOD + "4,0\n", "ids more than once: 1, first '4'"),
    "order": (GOOD.replace("3,1\n4,0\n", "4,0\n3,1\n"), "order than the sample's (1, first '3' "
              "in row 5), which matters"),
    "labels": (GOOD.replace("3,1", "3,2").replace("5,1", "5,x"), "none of 0, 1: 2, first '2'"),
    "float labels": (GOOD.replace("3,1", "3,1.0"), "none of 0, 1: 1, first '1.0'"),
    "empty cells": (GOOD.replace("3,1", "3,"), "empty cells: 1, first in row 4"),
    "cells": (GOOD.replace("3,1", "3,1,1"), "another number of cells than 2: 1, first row 4 has 3"),
    "one label": (GOOD.replace(",1\n", ",0\n"), "every row has the label '0'"),
    "old line ends": (GOOD.replace("\n", "\r"), r"end in \r alone"),
    "open quote": (GOOD.replace("3,1", '3,"1') + "x" * 200_000, "cannot be read as CSV"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "why"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said(tmp_path, text, why):
    sample = read(tmp_path, GOOD)
    path = tmp_path / "mine.csv"
    path.write_bytes(text.encode())
    problems = check(path, sample, ("0", "1"))
    assert [p for p in problems if why in p], problems
    assert all("\n" not in p and len(p) < 400 for p in problems)


def test_what_does_not_matter_is_left_alone(tmp_path):
    sample = read(tmp_path, GOOD)
    path = tmp_path / "mine.csv"
    quoted = GOOD.replace("3,1\n", '"3","1"\n')
    for text in (GOOD, GOOD.replace("\n", "\r\n"), GOOD.rstrip(), GOOD + "\n\n", quoted):
        path.write_bytes(text.encode())
        found = check_submission(path, sample, ("0", "1"))
        assert found.problems == []
        assert (found.rows, found.counts) == (10, {"0": 5, "1": 5})


@pytest.mark.parametrize("seed", range(60))
def test_any_bytes_are_looked_at_without_a_traceback(tmp_path, seed):
    rng = np.random.default_rng(seed)
    alphabet = list(b'id,label\r\n;"\0 0123\xff\xc3\t') if seed % 2 else list(range(256))
    data = bytes(rng.choice(alphabet, 400).astype(np.uint8))
    path = tmp_path / "any.csv"
    for head in (b"", b"id,label\n", GOOD.encode()):
        path.write_bytes(head + data)
        assert check(path, read(tmp_path, GOOD), ("0", "1"))
        try:
            sample = read_sample(path)
        except InputError:
            continue
        if not any('"' in label for label in sample.labels):  # half a quote is mended
            assert render(sample, sample.labels) == head + data


def test_ids_are_compared_like_the_naive_way(tmp_path):
    rng = np.random.default_rng(0)
    sample = plain_sample([str(i) for i in range(30)], ("id", "label"))
    for _ in range(200):
        ids = list(sample.ids)
        for _ in range(rng.integers(0, 4)):
            at = int(rng.integers(len(ids)))
            kind = rng.integers(4)
            if kind == 0:
                del ids[at]
            elif kind == 1:
                ids.insert(at, "odd")
            elif kind == 2:
                ids.insert(at, ids[int(rng.integers(len(ids)))])
            else:
                ids[at], ids[0] = ids[0], ids[at]
        path = tmp_path / "a.csv"
        path.write_text("id,label\n" + "".join(f"{i},{n % 2}\n" for n, i in enumerate(ids)))
        said = " ".join(check(path, sample, ("0", "1")))
        known = [i for i in ids if i != "odd"]
        once = list(dict.fromkeys(known))
        assert ("missing ids" in said) == (set(sample.ids) > set(known))
        assert ("has not" in said) == ("odd" in ids)
        assert ("more than once" in said) == (len(once) < len(known))
        assert ("another order" in said) == (once != sorted(once, key=int))
        assert (f"it has {len(ids)} rows" in said) == (len(ids) != 30)


@pytest.mark.slow
def test_a_huge_line_and_many_rows_take_little_time_and_room(tmp_path):
    path = tmp_path / "long.csv"
    sample = read(tmp_path, GOOD)
    for data in ("id,label\n" + "9" * 5_000_000, "id,label\n" + "1," * 2_000_000):
        path.write_text(data)
        assert check(path, sample, ("0", "1"))
    n = 300_000
    path.write_text("id,label\n" + "".join(f"{i},1\n" for i in range(n, 0, -1)))
    other = plain_sample([str(i) for i in range(n)], ("id", "label"))
    began = time.process_time()
    assert len(check(path, other, ("0", "1"))) == 4
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("first", "nearly"),
    [
        ("02.pn,a", "02.png"),
        ("2.png,", "02.png"),
        ('id;label"02.png,a', "02.png"),
        ("id02.png,", "02.png"),
        ("id,label", ""),
        ("v1.0,label", ""),
    ],
)
def test_a_first_line_that_is_a_damaged_row_is_no_header(tmp_path, first, nearly):
    known = {name for i in range(4) for name in (f"{i:02}", f"{i:02}.png")}
    path = tmp_path / "sample_submission.csv"
    path.write_text(f"{first}\n00.png,\n03.png,a\n01.png,\n")
    if nearly:
        with pytest.raises(InputError, match=f"nearly '{nearly}', which has no row"):
            find_sample(tmp_path, tmp_path, known)
    else:
        assert find_sample(tmp_path, tmp_path, known).sample.ids == ("00.png", "03.png", "01.png")
