"""Tables of texts: what is read, and what is refused in one sentence."""

import csv

import pytest

from imclust.competitions.challenges import CHALLENGES
from imclust.core.errors import InputError
from imclust.data.texts import read_table, read_texts
from topics import ITEMS, make_table


def opened(path, tmp_path, **flags):
    entry = CHALLENGES["texts"]
    return entry.method(entry.config(data_dir=path, **flags), tmp_path / "files")


def test_texts_ids_labels_and_digests(tmp_path):
    challenge = opened(make_table(tmp_path / "t.csv"), tmp_path, label_column="topic")
    assert challenge.content == "texts"
    assert challenge.n_clusters is None
    assert challenge.columns == ("id", "label")
    assert [r.id for r in challenge.rows] == [f"s{i}" for i in range(40)]
    assert read_texts(challenge.rows[5:7]) == [ITEMS[5][0], ITEMS[6][0]]
    assert challenge.labels == {f"s{i}": topic for i, (_, topic) in enumerate(ITEMS)}
    assert all(len(r.digest) == 16 for r in challenge.rows)
    assert len({r.digest for r in challenge.rows}) == 40


def test_without_ids_rows_are_counted_and_without_labels_none_are_scored(tmp_path):
    path = make_table(tmp_path / "t.csv", [("a", "x"), ("b", "")], ("text", "kind"))
    challenge = opened(path, tmp_path)
    assert [r.id for r in challenge.rows] == ["0", "1"]
    assert challenge.labels == {}
    assert opened(path, tmp_path, label_column="kind").labels == {"0": "x"}


def test_other_columns_may_be_named_and_name_the_submission(tmp_path):
    path = make_table(tmp_path / "t.csv", [("k1", "a"), ("k2", "b")], ("key", " review"))
    challenge = opened(path, tmp_path, text_column="review", id_column="key")
    assert [r.id for r in challenge.rows] == ["k1", "k2"]
    assert challenge.columns == ("key", "label")


def test_byte_order_mark_quotes_line_breaks_and_blank_lines(tmp_path):
    path = tmp_path / "t.csv"
    text = '\ufeffid,text\r\n1,"say ""hi"", now"\r\n\r\n2,"two\nlines, é 漢"\r\n'
    path.write_bytes(text.encode())
    rows = opened(path, tmp_path).rows
    assert read_texts(rows) == ['say "hi", now', "two\nlines, é 漢"]


def test_a_document_longer_than_the_limit_of_csv(tmp_path):
    limit = csv.field_size_limit()
    long = "word " * 40_000 + "end"
    rows = opened(
        make_table(tmp_path / "t.csv", [("a", long), ("b", "x")], ("id", "text")), tmp_path
    )
    assert read_texts(rows.rows)[0] == long
    assert csv.field_size_limit() == limit


REFUSED = {
    "no such column": ("id,body\n1,a\n2,b\n", r"one of its columns \(id, body\); got text"),
    "empty texts": ("id,text\n1,a\n2, \n", "1 empty, first that of id '2'"),
    "duplicate ids": ("id,text\n1,a\n1,b\n", "unique; got '1' more than once"),
    "one row": ("id,text\n1,a\n", "at least two texts; got 1"),
    "no row": ("id,text\n", "at least two texts; got 0"),
    "nothing": ("", "an empty file"),
    "web page": ("\n<!DOCTYPE html><p>a,b</p>", "got a web page"),
    "unquoted comma": ("id,text\n1,a, b\n2,c\n", "3 fields at line 2 under 2 columns"),
    "open quote": ('id,text\n1,"a\n2,b\n', "quotes around texts"),
    "latin 1": ("id,text\n1,caf\xe9\n2,b\n".encode("latin-1"), "csv in UTF-8"),
    "zip": (b"PK\x03\x04\xff\xfe\x00", "csv in UTF-8"),
}


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_of_texts_is_refused(tmp_path, content, why):
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=why) as caught:
        opened(path, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_and_unknown_id_or_label_columns_are_refused(tmp_path):
    with pytest.raises(InputError, match="a csv file; got a folder"):
        opened(tmp_path, tmp_path)
    path = make_table(tmp_path / "t.csv")
    for flag in ("id_column", "label_column"):
        with pytest.raises(InputError, match=f"--{flag.replace('_', '-')} of .* got nope"):
            opened(path, tmp_path, **{flag: "nope"})


def test_a_refused_table_leaves_the_limit_of_csv_alone(tmp_path):
    limit = csv.field_size_limit()
    (tmp_path / "t.csv").write_text('a,"b')
    with pytest.raises(InputError):
        read_table(tmp_path / "t.csv")
    assert csv.field_size_limit() == limit
