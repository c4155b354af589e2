"""Assignments and submissions as Parquet in shards, beside the CSV."""

import importlib.util

import numpy as np
import pytest

from helpers import two_kinds
from imclust.__main__ import main, parse
from imclust.core.errors import InputError
from imclust.core.parquet import write_shards
from imclust.core.records import Assignment, read_csv

pq = pytest.importorskip("pyarrow.parquet")


def test_shards_are_one_table(tmp_path):
    columns = {"id": [f"{i}.png" for i in range(7)], "cluster": np.arange(7, dtype=np.int32)}
    assert write_shards(tmp_path / "t.parquet", columns, rows=3) == 3
    assert [len(pq.read_table(p)) for p in sorted((tmp_path / "t.parquet").iterdir())] == [3, 3, 1]
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == {
        "id": columns["id"], "cluster": list(range(7))
    }  # fmt: skip


def test_the_stages_write_what_their_csv_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("trainX.npy", two_kinds(30)[0])
    for line in (
        "download --out raw arrays --data-dir .",
        "train --index raw/index --out w pixels",
        "encode --index raw/index --weights w --out z",
        "cluster --features z --index raw/index --out a --parquet --n-clusters 2 kmeans",
        "submit --assignment a --index raw/index --out s --parquet --log log.csv",
    ):
        assert main(line.split()) == 0
    table = pq.read_table(tmp_path / "a/assignment.parquet").to_pylist()
    rows = read_csv(tmp_path / "a/assignment.csv")
    assert [r["id"] for r in table] == [r["id"] for r in rows]
    assert [str(r["cluster"]) for r in table] == [r["cluster"] for r in rows]
    found = Assignment.load(tmp_path / "a").probabilities.max(1)
    np.testing.assert_array_equal([r["confidence"] for r in table], found)
    assert [str(r["runner_up"]) for r in table] == [r["runner_up"] for r in rows]
    handed = pq.read_table(tmp_path / "s/submission.parquet").to_pylist()
    lines = (tmp_path / "s/submission.csv").read_text().splitlines()[1:]
    assert [f"{r['id']},{r['label']}" for r in handed] == lines


def test_no_pyarrow_is_one_sentence_before_any_work(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = "cluster --features z --index i --out a --parquet kmeans"
    with pytest.raises(InputError, match="--parquet must be used where pyarrow is installed"):
        parse(words.split())
