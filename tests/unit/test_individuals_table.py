"""Tables of individuals: how they are read, and what is refused in one sentence."""

import csv

import pytest

from imclust.competitions.challenges.individuals import IndividualsConfig, individuals
from imclust.core.errors import InputError
from imclust.core.records import PairHints
from textures import make_individuals, write


@pytest.fixture
def who(tmp_path):
    return make_individuals(tmp_path / "who", known=2, asked=2, images=2, groups=("a b", "c"))


def opened(data, **settings):
    return individuals(IndividualsConfig(data, **settings), data.parent / "files")


def edit(data, change):
    """Rewrite the table; `change` gets the rows and may return others."""
    with (data / "metadata.csv").open(newline="") as f:
        header, *rows = list(csv.reader(f))
    write(data / "metadata.csv", header, change(rows) or rows)


def test_images_to_cluster_come_first_in_the_sample_s_order_then_the_known(who):
    challenge = opened(who)
    asked = [r.id for r in challenge.rows if r.split == "train"]
    known = [r.id for r in challenge.rows if r.split == "known"]
    with (who / "sample_submission.csv").open() as f:
        assert asked == [row[0] for row in csv.reader(f)][1:]
    assert [r.id for r in challenge.rows] == asked + known
    assert set(challenge.published) == set(known)
    assert challenge.labels == {}
    assert set(challenge.hints.groups.values()) == {"a b", "c"}


def test_a_zip_is_read_as_the_folder_is(tmp_path):
    settings = {"known": 2, "asked": 2, "images": 2}
    folder = opened(make_individuals(tmp_path / "f", **settings))
    packed = opened(make_individuals(tmp_path / "z", zipped=True, **settings))
    assert [(r.id, r.split) for r in packed.rows] == [(r.id, r.split) for r in folder.rows]
    assert packed.published == folder.published
    assert packed.sample.read_bytes() == folder.sample.read_bytes()


def test_without_a_sample_the_split_tells_and_without_a_split_the_empty_identities(who):
    (who / "sample_submission.csv").unlink()
    by_split = opened(who)
    without = opened(who, split_column="")
    ids = {r.id for r in by_split.rows if r.split == "train"}
    assert ids == {r.id for r in without.rows if r.split == "train"}
    assert by_split.columns == ("image_id", "cluster")


def test_identities_of_images_to_cluster_score_and_are_never_published(who, tmp_path):
    def tell(rows):
        for row in rows:
            row[1] = row[1] or "told"

    edit(who, tell)
    challenge = opened(who)
    assert set(challenge.labels.values()) == {"told"}
    assert "told" not in challenge.published.values()
    truth = opened(who, truth=tmp_path / "who-truth.csv").labels
    assert set(truth) == set(challenge.labels)
    assert "told" not in truth.values()


def test_other_columns_by_option(who):
    text = (who / "metadata.csv").read_text()
    header, _, rest = text.partition("\n")
    (who / "table.csv").write_text("nr,animal,file,part,species\n" + rest)
    found = opened(
        who, metadata="table.csv", id_column="nr", identity_column="animal", path_column="file",
        split_column="part", group_by="species", burst_by="animal",
    )  # fmt: skip
    assert found.published == opened(who).published
    assert set(found.hints.bursts.values()) == set(found.published.values())
    assert header.startswith("image_id")


def test_hints_survive_the_disk(who, tmp_path):
    found = opened(who, photo_by="split")
    (tmp_path / "none").mkdir()
    assert PairHints.load(tmp_path / "none").groups == {}
    assert set(found.hints.photos.values()) == {"train", "test"}


def test_none_known_and_a_group_of_one_are_said(who, capsys):
    def change(rows):
        rows = [[*row[:1], "", *row[2:]] for row in rows]
        rows[0][4] = "alone"
        return rows

    edit(who, change)
    (who / "sample_submission.csv").unlink()
    opened(who, split_column="")
    said = capsys.readouterr().out
    assert "no identities are known" in said
    assert "1 group has a single image" in said


def lose_image(rows):
    rows[0][2] = "images/gone.png"


def other_case(rows):
    known = [row for row in rows if row[1]]
    known[0][1] = known[1][1].upper().replace("-", " -")


def other_spaces(rows):
    known = [row for row in rows if row[1]]
    known[0][1] = known[1][1].replace("-", " - ") + " "
    known[1][1] = known[1][1].replace("-", "  - ")


def twice(rows):
    rows[1][0] = rows[0][0]


def nameless(rows):
    rows[0][0] = ""


def all_known(rows):
    for row in rows:
        row[1], row[3] = row[1] or "x", "train"


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        (lose_image, {}, "1 of 20 that are not, first 'images/gone.png'"),
        (other_case, {}, "differ only in case or spaces"),
        (twice, {}, "'0' twice"),
        (nameless, {}, "an empty one"),
        (all_known, {}, "all are known"),
        (lambda rows: None, {"group_by": "species"}, "--group-by must be one of"),
        (lambda rows: None, {"identity_column": "name"}, "--identity-column must be one of"),
        (lambda rows: None, {"path_column": "file"}, "--path-column must be one of"),
        (lambda rows: None, {"split_column": "part"}, "--split-column must be one of"),
        (lambda rows: None, {"photo_by": "photo"}, "--photo-by must be one of"),
        (other_spaces, {}, "differ only in case or spaces"),
        (lambda rows: None, {"id_column": ""}, "--id-column must be one of"),
        (lambda rows: None, {"metadata": "table.csv"}, "with a table table.csv"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(who, change, settings, words):
    edit(who, change)
    (who / "sample_submission.csv").unlink()
    with pytest.raises(InputError, match=r"must be") as e:
        opened(who, **settings)
    assert words in str(e.value)
    assert "\n" not in str(e.value)


def test_a_sample_of_other_ids_is_refused(who):
    write(who / "sample_submission.csv", ["image_id", "cluster"], [["zebra", "x"]])
    with pytest.raises(InputError, match="zebra"):
        opened(who)
