"""Forms of submissions: told from the sample, read, written byte for byte, checked, refused."""

import csv
import itertools

import numpy as np
import pytest
from PIL import Image

from helpers import refused
from imclust.__main__ import main
from imclust.competitions.sample_submission import SampleFormat, render
from imclust.competitions.submission import check
from imclust.competitions.submission_cells import cells_of, write
from imclust.competitions.submission_forms import (
    clusters_in,
    named_labels,
    read_assignment,
    read_form,
)
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest
from imclust.core.records import Assignment

IDS = ("b.png", "a.png", "d.png", "c.png", "e.png", "f.png")
GROUPS = ("x", "y", "x", "z", "y", "x")  # the cluster of each
ALONE = ("x", "y", "x", "alone", "y", "x")


def text_of(form, ids=IDS, groups=GROUPS, end="\n", delimiter=",", quoted=False, final=True):
    """A submission in a form, by the naive way of writing it."""
    q = '"' if quoted else ""
    put = lambda cells: delimiter.join(f"{q}{c}{q}" for c in cells)  # noqa: E731
    names = list(dict.fromkeys(groups))
    pairs = list(zip(ids, groups, strict=True))
    if form == "labels":
        lines = [put(("image", "scene")), *map(put, pairs)]
    elif form == "matches":
        of = {g: " ".join(i for i, other in pairs if other == g) for g in names}
        lines = [put(("posting_id", "matches")), *(put((i, of[g])) for i, g in pairs)]
    elif form == "lines":
        lines = [f"{q}{g}{q}" for g in groups]
    elif form == "members":
        columns = [[i for i, g in pairs if g == name] for name in names]
        lines = [put(names), *map(put, itertools.zip_longest(*columns, fillvalue=""))]
    else:
        lines = [put(("id", *names)), *(put((i, *(int(g == n) for n in names))) for i, g in pairs)]
    return end.join(lines) + (end if final else "")


FORMS = ("labels", "matches", "lines", "members", "indicators")


def saved(tmp_path, text, name="sample.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def read(path, form=None, **settings):
    return read_form(path, SampleFormat(form=form, **settings), set(IDS), len(IDS))


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_told_read_and_written_byte_for_byte_in_every_dialect(tmp_path, form):
    for end, delimiter, quoted, final, bom in itertools.product(
        ("\n", "\r\n"), (",", ";", "\t"), (False, True), (True, False), (False, True)
    ):
        text = ("\ufeff" if bom else "") + text_of(form, IDS, GROUPS, end, delimiter, quoted, final)
        path = saved(tmp_path, text)
        sample = read(path)
        assert sample.form == form, text
        if form == "lines":
            assert sample.labels == GROUPS
        else:
            by_id = dict(zip(sample.ids, clusters_in(sample), strict=True))
            where = [by_id[i] for i in IDS]
            assert [where.index(w) for w in where] == [GROUPS.index(g) for g in GROUPS], text
        assert render(sample, sample.labels) == text.encode(), text
        write(tmp_path / "again.csv", sample, named_labels(sample))
        assert (tmp_path / "again.csv").read_bytes() == text.encode(), text
        assert check(path, sample, ()) == [], text


@pytest.mark.parametrize("form", FORMS)
def test_other_clusters_are_written_as_one_would_by_hand(tmp_path, form):
    sample = read(saved(tmp_path, text_of(form)))
    other = dict(zip(IDS, ("y", "y", "z", "z", "x", "x"), strict=True))
    ids = IDS if form == "lines" else sample.ids
    write(tmp_path / "out.csv", sample, [other[i] for i in ids])
    back = read(tmp_path / "out.csv", form)
    found = dict(zip(ids if form == "lines" else back.ids, clusters_in(back), strict=True))
    assert all((found[a] == found[b]) == (other[a] == other[b]) for a in IDS for b in IDS)
    assert check(tmp_path / "out.csv", sample, ()) == []


DAMAGED = {
    "matches": {
        "an id that does not match itself": (
            "a.png,a.png e.png",
            "a.png,e.png",
            "not match itself",
        ),
        "an unknown id": ("a.png,a.png e.png", "a.png,a.png q.png", "'q.png'"),
        "an id twice in a list": ("a.png,a.png e.png", "a.png,a.png a.png", "twice"),
        "two spaces": ("a.png,a.png e.png", "a.png,a.png  e.png", "spaces|''"),
        "a row twice": ("c.png,c.png", "a.png,a.png e.png", "more than once"),
        "a label among lists": ("a.png,a.png e.png", "a.png,7", "'7'"),
        "a row cut short": ("c.png,c.png", "c.png", "2 cells a row"),
    },
    "members": {
        "an id twice": ("d.png,e.png", "b.png,e.png", "more than once"),
        "an empty cell above others": ("b.png,a.png,c.png", ",a.png,c.png", "above others"),
        "a row cut short": ("d.png,e.png,", "d.png,e.png", "2 cells in row 2"),
        "two columns of one name": ("x,y,z", "x,y,x", "columns x, y, x"),
    },
    "indicators": {
        "two clusters": ("a.png,0,1,0", "a.png,0,1,1", "'0,1,1' of 'a.png'"),
        "no cluster": ("a.png,0,1,0", "a.png,0,0,0", "'0,0,0' of 'a.png'"),
        "a row cut short": ("a.png,0,1,0", "a.png,0,1", "4 cells a row"),
        "a row twice": ("c.png,", "a.png,", "more than once"),
    },
    "lines": {
        "a line too few": ("z\n", "", "5 lines for 6 images"),
        "an empty line": ("z\n", "\n", "line 4 without a label"),
        "two lines too many": ("z\n", "z\nz\nz\n", "8 lines for 6 images"),
    },
}
CASES = [(f, why, *how) for f, cases in DAMAGED.items() for why, how in cases.items()]


@pytest.mark.parametrize(("form", "why", "was", "now", "said"), CASES)
def test_a_damaged_sample_is_one_sentence(tmp_path, form, why, was, now, said):
    text = text_of(form)
    assert was in text, text
    path = saved(tmp_path, text.replace(was, now, 1))
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", DAMAGED)
def test_a_damaged_sample_is_refused_before_any_work(data, form, capsys):
    was, now, said = next(iter(DAMAGED[form].values()))
    saved(data / "images", text_of(form).replace(was, now, 1), "sample_submission.csv")
    status = main(
        ["download", "--out", "raw", "--n-clusters", "3", "folder", "--data-dir", "images"]
    )
    refused((status, *capsys.readouterr()), said)
    assert not (data / "raw" / "index").exists()


@pytest.mark.parametrize(("form", "why", "was", "now"), [case[:4] for case in CASES])
def test_a_damaged_submission_is_told_by_the_check(tmp_path, form, why, was, now):
    sample = read(saved(tmp_path, text_of(form)))
    path = saved(tmp_path, text_of(form).replace(was, now, 1), "mine.csv")
    assert check(path, sample, ()) != [], why


def test_more_that_a_check_finds(tmp_path):
    sample = read(saved(tmp_path, text_of("members")))
    other = text_of("members").replace("c.png", "q.png")
    found = "; ".join(check(saved(tmp_path, other, "m.csv"), sample, ()))
    assert "missing ids: 1, first 'c.png'" in found
    assert "'q.png'" in found
    assert "separated by semicolons" in "; ".join(
        check(saved(tmp_path, text_of("members", delimiter=";"), "m.csv"), sample, ())
    )
    assert "none of x, y" in "; ".join(check(tmp_path / "sample.csv", sample, ("x", "y")))
    lines = read(saved(tmp_path, text_of("lines")))
    assert "none of x, y" in "; ".join(check(tmp_path / "sample.csv", lines, ("x", "y")))
    assert "every row has the label 'x'" in check(saved(tmp_path, "x\n" * 6, "m.csv"), lines, ())
    assert check(saved(tmp_path, "", "m.csv"), lines, ()) == ["it is an empty file"]


def test_one_label_a_line_has_a_header_where_there_is_a_line_more(tmp_path):
    text = "cluster\n" + text_of("lines")
    sample = read(saved(tmp_path, text))
    assert (sample.has_header, sample.labels) == (True, GROUPS)
    write(tmp_path / "out.csv", sample, ["1"] * 5 + ["2"])
    assert (tmp_path / "out.csv").read_text() == "cluster\n1\n1\n1\n1\n1\n2\n"
    assert check(tmp_path / "out.csv", sample, ("1", "2")) == []
    found = check(saved(tmp_path, text.replace("cluster", "1"), "m.csv"), sample, ())
    assert "its first line is not 'cluster', the sample's" in found


def test_images_alone_in_their_cluster_are_outliers_where_the_sample_says_so(tmp_path):
    text = text_of("labels", groups=("x", "y", "x", "outliers", "y", "outliers"))
    sample = read(saved(tmp_path, text))
    assert sample.outliers == "outliers"
    found = clusters_in(sample)
    assert len(set(found)) == 4
    assert sample.values == ("x", "y")
    write(tmp_path / "out.csv", sample, ["m", "n", "m", "alone", "n", "also alone"])
    rows = list(csv.reader((tmp_path / "out.csv").open()))[1:]
    assert [r[1] for r in rows] == ["m", "n", "m", "outliers", "n", "outliers"]
    assert check(tmp_path / "out.csv", sample, ("m", "n")) == []
    plain = read(saved(tmp_path, text_of("labels", groups=ALONE)), outliers="rest")
    assert cells_of(plain, list(ALONE))[3] == "rest"
    with pytest.raises(InputError, match="used where clusters have names"):
        read(saved(tmp_path, text_of("matches")), outliers="rest")


def test_lists_that_are_no_clusters_are_no_answer_but_may_be_a_sample(tmp_path):
    rows = ["id,matches", "b.png,b.png a.png", *(f"{i},{i}" for i in IDS[1:])]
    path = saved(tmp_path, "\n".join(rows) + "\n")
    assert read(path).form == "matches"
    with pytest.raises(
        InputError, match=r"the same for all that match; got other lists of 'b\.png'"
    ):
        read_assignment(path, IDS)


def test_lists_of_matches_have_bounds(tmp_path, monkeypatch):
    sample = read(saved(tmp_path, text_of("matches")))
    monkeypatch.setattr("imclust.competitions.submission_cells.MOST_MATCHES", 30)
    with pytest.raises(InputError, match="ids in all lists of matches must be at most 30; got 36"):
        cells_of(sample, ["x"] * 6)
    spaced = read_form(saved(tmp_path, "id,matches\na,a\nb,b\n"))
    with pytest.raises(InputError, match="without spaces"):
        cells_of(spaced.__class__(**{**vars(spaced), "ids": ("a b", "c")}), ["x", "x"])


def test_where_the_text_does_not_tell_an_option_does(tmp_path):
    path = saved(tmp_path, "id,cluster\n" + "".join(f"{i},{i}\n" for i in IDS))
    assert read(path).form == "labels"
    assert read(path, "matches").form == "matches"
    with pytest.raises(InputError, match="4 columns that may be it"):
        read(saved(tmp_path, "id,x,y,z\n" + "".join(f"{i},.2,.3,.5\n" for i in IDS)))
    with pytest.raises(InputError, match=r"got '\.2,\.3,\.5' of 'b\.png'"):
        read(tmp_path / "sample.csv", "indicators")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Six pictures, two each of three colours; GROUPS says which is which."""
    for i, g in zip(IDS, GROUPS, strict=True):
        colour = {"x": (250, 20, 20), "y": (20, 250, 20), "z": (20, 20, 250)}[g]
        rng = np.random.default_rng(IDS.index(i))
        noise = rng.integers(-15, 15, (16, 16, 3))
        (tmp_path / "images").mkdir(exist_ok=True)
        picture = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / i)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(text, status=0):
    assert main(text.split()) == status, text


@pytest.mark.parametrize("form", FORMS)
def test_from_images_to_a_checked_submission_and_back(data, form, capsys):
    ids = sorted(IDS) if form == "lines" else IDS
    groups = [dict(zip(IDS, GROUPS, strict=True))[i] for i in ids]
    saved(data / "images", text_of(form, ids, groups), "sample_submission.csv")
    ran("download --out raw --n-clusters 3 folder --data-dir images")
    assert read_manifest(data / "raw/index")["sample"]["form"] == form
    ran("train --index raw/index --out w pixels")
    ran("encode --index raw/index --weights w --out z")
    ran("cluster --features z --index raw/index --out a kmeans --restarts 3")
    ran("submit --assignment a --index raw/index --out s --log log.csv")
    capsys.readouterr()
    ran("submit --check s/submission.csv --index raw/index")
    assert "fits folder" in capsys.readouterr().out
    ran("read --file s/submission.csv --index raw/index --out back")
    one, other = Assignment.load(data / "a"), Assignment.load(data / "back")
    assert one.ids.tolist() == other.ids.tolist()
    same = one.clusters[:, None] == one.clusters[None]
    assert (same == (other.clusters[:, None] == other.clusters[None])).all()
    ran("score --assignment back --index raw/index --truth images/sample_submission.csv --out sc")
    assert "ARI 1.0000" in capsys.readouterr().out
    text = (data / "s/submission.csv").read_text()
    saved(data, text.replace("c.png" if form != "lines" else "\n", "q.png", 1), "mine.csv")
    ran("submit --check mine.csv --index raw/index", 6)


def test_rows_of_other_columns_keep_them_where_scenes_and_outliers_are_told(tmp_path):
    """As the Image Matching Challenge 2025 has it, but for the poses."""
    rows = [("d", g, i, "1;0;0") for i, g in zip(IDS, ("x", "x", "y", "y", "outliers", "x"),
                                                 strict=True)]  # fmt: skip
    text = "".join(",".join(r) + "\n" for r in [("dataset", "scene", "image", "rotation"), *rows])
    sample = read(saved(tmp_path, text))
    assert (sample.form, sample.names, sample.outliers) == (
        "labels",
        ("image", "scene"),
        "outliers",
    )
    write(tmp_path / "out.csv", sample, ["p", "q", "q", "q", "q", "q"])
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "d,outliers,b.png,1;0;0"


def test_an_array_is_answered_a_label_a_line_too(tmp_path):
    from helpers import make_arrays
    from imclust.competitions.challenges import CHALLENGES

    data = make_arrays(tmp_path / "data", n=6)
    saved(data, "y\n" + "0\n" * 6, "sample_submission.csv")
    entry = CHALLENGES["arrays"]
    made = entry.method(entry.config(data_dir=data), tmp_path / "files")
    assert (made.sample_format.form, made.sample_format.header) == ("lines", True)
    assert [r.id for r in made.rows[:6]] == [str(i) for i in range(6)]
    saved(data, "0\n" * 9, "sample_submission.csv")
    with pytest.raises(InputError, match="9 lines for 6 images"):
        entry.method(entry.config(data_dir=data), tmp_path / "files")


def test_lines_are_of_images_in_an_order_that_nobody_can_mistake(data):
    for n, i in enumerate(IDS):
        (data / "images" / i).rename(data / "images" / f"{n + 5}.png")
    saved(data / "images", "0\n" * 6, "sample_submission.csv")
    ran("download --out raw --n-clusters 3 folder --data-dir images", 2)
    ran("download --out raw --n-clusters 3 folder --data-dir images --ids-in-row-order")


def test_images_put_aside_are_outliers_too(data):
    groups = ("x", "x", "y", "y", "outliers", "x")
    saved(data / "images", text_of("labels", groups=groups), "sample_submission.csv")
    ran("download --out raw --n-clusters 3 folder --data-dir images")
    ran("train --index raw/index --out w pixels")
    ran("encode --index raw/index --weights w --out z")
    line = "cluster --features z --index raw/index --out a --n-clusters 2 --unclustered 0.4 kmeans"
    ran(line)
    ran("submit --assignment a --index raw/index --out s --log log.csv")
    rows = dict(list(csv.reader((data / "s/submission.csv").open()))[1:])
    out = {r[0] for r in csv.reader((data / "a/unclustered.csv").open()) if r[1] == "-1"}
    assert len(out) == 2
    assert {i for i, label in rows.items() if label == "outliers"} >= out


def test_plain_labels_are_taken_for_nothing_else(tmp_path):
    """Whatever the labels are, and where numbers are ids too."""
    rng = np.random.default_rng(0)
    headers = ("id,label", "ImageId,ClusterId", "filename,category", "image_id,cluster", "")
    for case in range(120):
        n, k = int(rng.integers(2, 30)), int(rng.integers(1, 6))
        ids = rng.permutation(60)[:n].tolist()
        labels = rng.integers(0, k, n) + int(rng.integers(0, 2))
        header = headers[case % len(headers)]
        rows = [f"{i},{c}" for i, c in zip(ids, labels, strict=True)]
        path = saved(tmp_path, "\n".join([header] * bool(header) + rows) + "\n")
        known = {str(i) for i in range(60)}
        assert read_form(path, SampleFormat(header=bool(header)), known, 60).form == "labels"


def test_a_column_of_ids_alone_is_no_answer(tmp_path):
    for text in ("id\na.png\n", "\n".join(IDS), "image\n1\n2\n"):
        with pytest.raises(InputError, match="at least two columns"):
            read(saved(tmp_path, text))


def test_columns_of_ids_without_names_are_called_by_their_number(tmp_path):
    text = text_of("members").partition("\n")[2]
    found = read_assignment(saved(tmp_path, text), IDS)
    assert [found[i] for i in IDS] == [{"x": "0", "y": "1", "z": "2"}[g] for g in GROUPS]
    sample = read(tmp_path / "sample.csv", header=False)
    write(tmp_path / "out.csv", sample, named_labels(sample))
    assert (tmp_path / "out.csv").read_text() == text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", ("--labels and --truth must be one of them", "got neither")),
        ("--truth none.csv", ("--truth must be a table", "none.csv")),
        ("--truth other.csv", ("ids of other.csv must be some of the 6 images",)),
        ("--truth strange.csv", ("ids of strange.csv must be those of the index", "'q'")),
    ],
)
def test_a_truth_that_is_none_is_one_sentence(data, more, words, capsys):
    saved(data, "id,label\n1,0\n2,0\n", "other.csv")
    saved(data, "id,label\na.png,0\nq,0\n", "strange.csv")
    saved(data, text_of("labels"), "mine.csv")
    ran("download --out raw --n-clusters 3 folder --data-dir images")
    ran("read --file mine.csv --index raw/index --out a")
    capsys.readouterr()
    status = main(f"score --assignment a --index raw/index --out s {more}".split())
    refused((status, *capsys.readouterr()), *words)


def test_an_answer_of_other_images_is_not_read(data, capsys):
    saved(data, text_of("labels").replace("c.png", "q.png"), "mine.csv")
    ran("download --out raw --n-clusters 3 folder --data-dir images")
    for file, words in (
        ("mine.csv", ("ids of mine.csv", "1 missing and 1 others, first 'c.png'")),
        ("none.csv", ("no such file: none.csv",)),
    ):
        capsys.readouterr()
        status = main(f"read --file {file} --index raw/index --out a".split())
        refused((status, *capsys.readouterr()), *words)
