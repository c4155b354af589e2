"""A table that somebody edited is never replaced or taken away."""

import pytest

from imclust.core import tables
from imclust.core.errors import InputError
from imclust.core.tables import refuse_edited_tables, replace_tables


def test_what_was_written_is_replaced_and_taken_away(tmp_path):
    replace_tables(tmp_path, {"a.csv": "1\n", "b.csv": "2\n"})
    refuse_edited_tables(tmp_path, ["a.csv", "b.csv", "c.csv"])
    replace_tables(tmp_path, {"a.csv": "3\n", "b.csv": None})
    assert (tmp_path / "a.csv").read_text() == "3\n"
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize("text", ["4\n", None])
def test_what_was_edited_stays_and_nothing_else_is_written(tmp_path, text):
    replace_tables(tmp_path, {"a.csv": "1\n", "b.csv": "2\n"})
    (tmp_path / "b.csv").write_text("mine\n")
    with pytest.raises(InputError, match=r"b\.csv must be as imclust wrote it.*move or rename it"):
        replace_tables(tmp_path, {"a.csv": "3\n", "b.csv": text})
    assert (tmp_path / "a.csv").read_text() == "1\n"
    assert (tmp_path / "b.csv").read_text() == "mine\n"


def test_a_table_of_somebody_elses_and_a_link_stay(tmp_path):
    (tmp_path / "a.csv").write_text("mine\n")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(InputError, match="edited since"):
            replace_tables(tmp_path, {name: "1\n"})
    assert (tmp_path / "a.csv").read_text() == "mine\n"


@pytest.mark.parametrize("write", [1, 2, 3, 4])
def test_a_kill_at_any_write_leaves_tables_that_may_be_replaced(tmp_path, monkeypatch, write):
    class Killed(BaseException):
        pass

    replace_tables(tmp_path, {"a.csv": "1\n", "b.csv": "2\n"})
    real, left = tables.replace_text, [write]

    def replace_text(path, text):
        left[0] -= 1
        if left[0] < 1:
            raise Killed
        real(path, text)

    monkeypatch.setattr(tables, "replace_text", replace_text)
    with pytest.raises(Killed):
        replace_tables(tmp_path, {"a.csv": "3\n", "b.csv": "4\n"})
    monkeypatch.setattr(tables, "replace_text", real)
    replace_tables(tmp_path, {"a.csv": "5\n", "b.csv": "6\n"})
    assert (tmp_path / "a.csv").read_text() == "5\n"
    assert (tmp_path / "b.csv").read_text() == "6\n"
