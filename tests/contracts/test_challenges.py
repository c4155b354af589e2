"""What every registered challenge promises, and what each does with its own kind of data."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from helpers import make_arrays, make_list, make_pairs, make_parquet, make_shards, two_kinds
from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Home, home_of
from imclust.competitions.submission import read_sample
from imclust.core.errors import InputError
from imclust.data.inspection import inspect
from imclust.data.loader import Preprocessing, all_pixels
from imclust.data.texts import read_texts
from textures import make_individuals
from topics import make_table

NETWORK = {"hw9", "online", "animalclef2026"}  # tested against a stand-in server in tests/e2e


def tree(folder, zipped=False):
    """Two class folders of images; returns the tree or a zip of it."""
    images, y = two_kinds(8)
    for i, (x, g) in enumerate(zip(images, y, strict=True)):
        at = folder / "tree" / ("warm", "cold")[g]
        at.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(at / f"{i}.png")
    if not zipped:
        return folder / "tree"
    with zipfile.ZipFile(folder / "tree.zip", "w") as z:
        for p in sorted((folder / "tree").rglob("*.png")):
            z.write(p, p.relative_to(folder / "tree"))
    return folder / "tree.zip"


def stage_frames(folder):
    """The challenge's format: test.zip beside a sample whose order is not the archive's."""
    data = folder / "frames"
    data.mkdir()
    images, _ = two_kinds(8)
    with zipfile.ZipFile(data / "test.zip", "w") as z:
        for i, x in enumerate(images):
            out = io.BytesIO()
            Image.fromarray(x).save(out, "JPEG")
            z.writestr(f"test/{i}.jpg", out.getvalue())
    ids = [3, 1, 2, 0, 7, 6, 5, 4]
    (data / "sample_submission.csv").write_text(
        "ImageID,label\n" + "".join(f"{i},0\n" for i in ids)
    )
    return data


def config(entry, tmp_path):
    data = {
        "arrays": lambda: make_arrays(tmp_path / "arrays"),
        "blitz7": lambda: stage_frames(tmp_path),
        "folder": lambda: tree(tmp_path),
        "imagefolder": lambda: tree(tmp_path),
        "individuals": lambda: make_individuals(tmp_path / "who", 2, 2, 2),
        "listed": lambda: make_list(tmp_path / "listed"),
        "parquet": lambda: make_parquet(tmp_path / "images.parquet"),
        "webdataset": lambda: make_shards(tmp_path / "shards"),
        "pairs": lambda: make_pairs(tmp_path / "pairs", 8)[0],
        "texts": lambda: make_table(tmp_path / "texts.csv"),
    }.get(entry.name)
    return entry.config(data_dir=data()) if data else entry.config()


OFFLINE = [e for e in CHALLENGES if e.name not in NETWORK]


@pytest.mark.parametrize("entry", OFFLINE, ids=lambda e: e.name)
def test_rows_are_unique_readable_and_labels_belong_to_them(entry, tmp_path):
    challenge = entry.method(config(entry, tmp_path), tmp_path / "files")
    ids = [r.id for r in challenge.rows]
    assert len(set(ids)) == len(ids) >= 2
    assert {r.split for r in challenge.rows} <= {"train", "val", "known"}
    assert set(challenge.labels) <= set(ids)
    assert len(challenge.columns) == 2
    asked = [p[0] for p in challenge.pairs] or [r.id for r in challenge.rows if r.split == "train"]
    assert challenge.sample is None or list(read_sample(challenge.sample).ids) == asked
    assert {i for p in challenge.pairs for i in p[1:]} <= set(ids)
    assert not [r.problem for r in inspect(challenge.rows[:3], 3) if not r.digest]
    if challenge.content == "images":
        assert all_pixels(challenge.rows[:3], Preprocessing(32), "test").shape == (3, 32, 32, 3)
    else:
        assert all(read_texts(challenge.rows))
    assert entry.paper


@pytest.mark.parametrize("entry", OFFLINE, ids=lambda e: e.name)
def test_opening_twice_gives_the_same_rows(entry, tmp_path):
    cfg = config(entry, tmp_path)
    a, b = (entry.method(cfg, tmp_path / "files") for _ in range(2))
    assert a == b


def opened(name, data, tmp_path):
    entry = CHALLENGES[name]
    return entry.method(entry.config(data_dir=data), tmp_path / "files")


def test_photos_are_of_the_promised_shape_and_balanced(tmp_path):
    entry = CHALLENGES["photos"]
    challenge = entry.method(entry.config(), tmp_path)
    x, v = (np.load(tmp_path / f"{s}X.npy") for s in ("train", "val"))
    assert x.shape == (2000, 32, 32, 3)
    assert v.shape == (500, 32, 32, 3)
    assert x.dtype == v.dtype == np.uint8
    assert sorted(challenge.labels.values()) == ["0"] * 250 + ["1"] * 250
    assert challenge.n_clusters == 2


def test_photos_are_as_many_as_asked_for(tmp_path):
    entry = CHALLENGES["photos"]
    challenge = entry.method(entry.config(n_images=40), tmp_path)
    assert (len(challenge.rows), len(challenge.labels)) == (50, 10)
    with pytest.raises(InputError, match="n_images must be in"):
        entry.config(n_images=4)


def test_photos_take_both_sets_from_different_columns(tmp_path, monkeypatch):
    """Photographs that are dark left of column 480 and bright right of it: no crop has both."""
    from types import SimpleNamespace

    picture = np.full((427, 640, 3), 40, np.uint8)
    picture[:, 480:] = 200
    picture[::2] += 5  # not constant
    fake = SimpleNamespace(images=[picture, picture])
    monkeypatch.setattr("sklearn.datasets.load_sample_images", lambda: fake)
    entry = CHALLENGES["photos"]
    entry.method(entry.config(), tmp_path)
    assert np.load(tmp_path / "trainX.npy").max() <= 45
    assert np.load(tmp_path / "valX.npy").min() >= 200


@pytest.mark.parametrize("zipped", [False, True])
def test_imagefolder_names_are_labels_and_k_their_number(tmp_path, zipped):
    challenge = opened("imagefolder", tree(tmp_path, zipped), tmp_path)
    assert set(challenge.labels.values()) == {"warm", "cold"}
    assert challenge.n_clusters == 2
    assert challenge.rows[0].id == "cold/1.png"


def published(data, share, tmp_path):
    entry = CHALLENGES["imagefolder"]
    return entry.method(entry.config(data_dir=data, published=share), tmp_path)


@pytest.mark.parametrize(("share", "each"), [(0.01, 1), (0.25, 1), (0.5, 2), (0.99, 3)])
def test_published_labels_are_a_share_of_each_class_and_never_scored(tmp_path, share, each):
    data = tree(tmp_path)
    challenge = published(data, share, tmp_path)
    given = list(challenge.published.values())
    assert given.count("warm") == given.count("cold") == each
    assert not challenge.published.keys() & challenge.labels.keys()
    assert len(challenge.published | challenge.labels) == len(challenge.rows) == 8
    assert all(c == i.split("/")[0] for i, c in challenge.published.items())
    assert challenge.n_clusters == 2
    assert challenge == published(data, share, tmp_path)
    assert published(data, 0.0, tmp_path).published == {}


def test_copies_of_an_image_to_learn_from_are_not_scored(tmp_path):
    data = tree(tmp_path)
    for at in ("warm", "cold"):
        for p in sorted((data / at).glob("*.png")):
            p.with_name(f"copy-of-{p.name}").write_bytes(p.read_bytes())
    challenge = published(data, 0.25, tmp_path)
    stem = {i: i.replace("copy-of-", "") for i in (*challenge.published, *challenge.labels)}
    assert len(challenge.published) == 4
    learned = {stem[i] for i in challenge.published}
    assert not learned & {stem[i] for i in challenge.labels}
    assert len(challenge.labels) == 16 - 2 * len(learned)


def test_an_unreadable_image_is_never_published(tmp_path):
    data = tree(tmp_path)
    for p in sorted((data / "warm").glob("*.png"))[:3]:
        p.write_bytes(b"no image")
    challenge = published(data, 0.9, tmp_path)
    broken = {r.id for r in challenge.rows if r.problem}
    assert len(broken) == 3
    assert not broken & challenge.published.keys()


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_an_impossible_share_of_labels_is_refused(tmp_path, share):
    with pytest.raises(InputError, match=r"share in \[0, 1\)"):
        published(tree(tmp_path), share, tmp_path)


@pytest.mark.parametrize("zipped", [False, True])
def test_folder_without_a_sample_is_in_order_of_paths(tmp_path, zipped):
    challenge = opened("folder", tree(tmp_path, zipped), tmp_path)
    ids = [r.id for r in challenge.rows]
    assert ids == sorted(ids)
    assert ids[0] == "cold/1.png"
    assert challenge.n_clusters is None
    assert challenge.labels == {}


def test_a_sample_fixes_order_ids_and_header(tmp_path):
    data = tree(tmp_path)
    (data / "sample_submission.csv").write_text("ImageID,label\n3,0\n0,0\n2,0\n")
    challenge = opened("folder", data, tmp_path)
    assert [r.id for r in challenge.rows] == ["3", "0", "2"]
    assert challenge.rows[1].source.endswith("0.png")
    assert challenge.columns == ("ImageID", "label")


def test_a_sample_of_three_columns_names_the_label_column(tmp_path):
    data = tree(tmp_path)
    sample = data / "sample_submission.csv"
    sample.write_text("Usage,label,id\nPublic,0,3\nPrivate,0,1\n")
    challenge = opened("folder", data, tmp_path)
    assert [r.id for r in challenge.rows] == ["3", "1"]
    assert challenge.columns == ("id", "label")
    assert challenge.sample == sample


def test_the_rules_are_the_challenges_or_the_users(tmp_path):
    tracks = {e.name: e.config.home.track for e in CHALLENGES}
    assert {n for n, t in tracks.items() if t == "scratch"} == {"digits", "hw9", "photos"}
    assert all(isinstance(e.config.home, Home) for e in CHALLENGES)
    own = CHALLENGES["arrays"].config
    assert home_of(own(tmp_path)).track == "open"
    assert home_of(own(tmp_path, track="scratch")).track == "scratch"
    assert home_of(CHALLENGES["hw9"].config()).track == "scratch"
    online = CHALLENGES["online"].config("kaggle:titanic")
    assert home_of(online) == Home("kaggle:titanic")


def test_a_sample_beside_arrays_has_their_row_numbers(arrays_dir, tmp_path):
    sample = arrays_dir / "sample_submission.csv"
    sample.write_text("ID,cluster\n" + "".join(f"{i},0\n" for i in range(60)))
    challenge = opened("arrays", arrays_dir, tmp_path)
    assert (challenge.sample, challenge.columns) == (sample, ("ID", "cluster"))
    sample.write_text("ID,cluster\n1,0\n60,0\n")
    with pytest.raises(InputError, match=r"got 59 missing and 1 others, first '0'"):
        opened("arrays", arrays_dir, tmp_path)


@pytest.mark.parametrize("suffix", ["", ".png"])
def test_pairs_of_files_by_name_with_or_without_suffix(tmp_path, suffix):
    data = make_pairs(tmp_path / "data", 8)[0]
    (data / "test_case.csv").write_text(
        f"ID,a,b\nx,000003{suffix},000001{suffix}\ny,000001,000001\n"
    )
    challenge = opened("pairs", data, tmp_path)
    assert len(challenge.rows) == 8
    three, one = "images/000003.png", "images/000001.png"
    assert challenge.pairs == [("x", three, one), ("y", one, one)]
    assert challenge.n_clusters == 2


@pytest.mark.parametrize("name", ["image", "images", "trainX"])
@pytest.mark.parametrize("flat", [False, True])
def test_pairs_of_an_array_by_row_even_when_it_is_flat(tmp_path, name, flat):
    grey = two_kinds(6, size=28)[0][..., 0]
    np.save(tmp_path / f"{name}.npy", grey.reshape(6, -1) if flat else grey)
    (tmp_path / "test_case.csv").write_text("ID,image1_index,image2_index\n0,5,2\n1,0,0\n")
    challenge = opened("pairs", tmp_path, tmp_path)
    assert challenge.pairs == [("0", "5", "2"), ("1", "0", "0")]
    shown = all_pixels(challenge.rows, Preprocessing(28), "t")
    assert np.array_equal(np.array(shown)[..., 0], grey)


def test_the_sample_of_pairs_must_have_their_ids(tmp_path):
    data = make_pairs(tmp_path / "data", 8, 5)[0]
    sample = data / "sample_submission.csv"
    sample.write_text("id,same\n" + "".join(f"{i},0\n" for i in (4, 3, 2, 1, 0)))
    challenge = opened("pairs", data, tmp_path)
    assert (challenge.sample, challenge.columns) == (sample, ("id", "same"))
    sample.write_text("id,same\n0,0\n")
    with pytest.raises(InputError, match=r"the ids of test_case\.csv; got 4 missing"):
        opened("pairs", data, tmp_path)


def test_what_lies_beside_a_zip_of_pairs_is_watched(tmp_path):
    data = make_pairs(tmp_path / "data", 6)[0]
    with zipfile.ZipFile(data / "images.zip", "w") as z:
        for p in sorted((data / "images").iterdir()):
            z.write(p, p.name)
    entry = CHALLENGES["pairs"]
    cfg = entry.config(data_dir=data / "images.zip")
    assert cfg.sources() == [data / "images.zip", data / "test_case.csv"]
    challenge = entry.method(cfg, tmp_path / "files")
    assert challenge.rows[0].id == "000000.png"
    assert len(challenge.pairs) == 60


CASES = {
    "no table": (None, r"a folder with test_case\.csv; got none"),
    "two columns": ("a,b\n1,2\n", "three columns"),
    "no pair": ("id,a,b\n", "at least one pair"),
    "unknown image": ("id,a,b\n1,000001,000099\n", "1 without one, first '000099'"),
    "the same id twice": ("id,a,b\n1,000001,000001\n1,000001,000001\n", "unique; got '1'"),
    "web page": ("<html>", "a web page"),
}


@pytest.mark.parametrize(("text", "why"), CASES.values(), ids=CASES)
def test_wrong_pairs_are_refused(tmp_path, text, why):
    data = make_pairs(tmp_path / "data", 4)[0]
    (data / "test_case.csv").unlink()
    if text is not None:
        (data / "test_case.csv").write_text(text)
    with pytest.raises(InputError, match=why):
        opened("pairs", data, tmp_path)


def test_wrong_arrays_of_pairs_are_refused(tmp_path):
    (tmp_path / "test_case.csv").write_text("id,a,b\n0,1,2\n1,6,x\n")
    np.save(tmp_path / "image.npy", np.arange(6 * 784, dtype=np.int64).reshape(6, 784) % 7)
    with pytest.raises(InputError, match="uint8 images"):
        opened("pairs", tmp_path, tmp_path)
    np.save(tmp_path / "image.npy", np.arange(6 * 783).reshape(6, 783).astype(np.uint8))
    with pytest.raises(InputError, match=r"a square has, such as 784; got \[6, 783\]"):
        opened("pairs", tmp_path, tmp_path)
    np.save(tmp_path / "image.npy", np.arange(6 * 784).reshape(6, 784).astype(np.uint8))
    with pytest.raises(InputError, match="from 0 to 5; got 2 others, first '6'"):
        opened("pairs", tmp_path, tmp_path)


def test_blitz7_is_the_samples_order_five_stages_and_its_header(tmp_path):
    challenge = opened("blitz7", stage_frames(tmp_path), tmp_path)
    assert [r.id for r in challenge.rows] == list("31207654")
    assert challenge.rows[0].member == "test/3.jpg"
    assert (challenge.n_clusters, challenge.columns) == (5, ("ImageID", "label"))
    assert challenge.labels == {}


def test_blitz7_without_its_sample_is_refused(tmp_path):
    (stage_frames(tmp_path) / "sample_submission.csv").unlink()
    with pytest.raises(InputError, match=r"no sample_submission\.csv in it; download both"):
        opened("blitz7", tmp_path / "frames", tmp_path)


def test_a_sample_beside_a_zip_of_images(tmp_path):
    archive = tree(tmp_path, zipped=True)
    (tmp_path / "both").mkdir()
    archive.rename(tmp_path / "both" / "test.zip")
    (tmp_path / "both" / "sample_submission.csv").write_text("id,label\n5,0\n4,0\n")
    challenge = opened("folder", tmp_path / "both", tmp_path)
    assert [r.member for r in challenge.rows] == ["cold/5.png", "warm/4.png"]


SAMPLES = {
    "duplicate ids": ("id,label\n1,0\n1,0\n", "unique; got '1' more than once"),
    "unknown id": ("id,label\n1,0\n77,0\n", "1 without one, first '77'"),
    "one column": ("id\n1\n", "two columns"),
    "empty": ("", "an empty file"),
    "web page": ("<html>", "a web page"),
}


@pytest.mark.parametrize(("text", "why"), SAMPLES.values(), ids=SAMPLES)
def test_a_wrong_sample_is_refused(tmp_path, text, why):
    data = tree(tmp_path)
    (data / "sample_submission.csv").write_text(text)
    with pytest.raises(InputError, match=why):
        opened("folder", data, tmp_path)


def test_one_id_for_two_images_is_refused(tmp_path):
    data = tree(tmp_path)
    (data / "warm" / "1.png").write_bytes((data / "cold" / "1.png").read_bytes())
    (data / "sample_submission.csv").write_text("id,label\n1,0\n")
    with pytest.raises(InputError, match=r"which fits cold/1\.png and warm/1\.png"):
        opened("folder", data, tmp_path)


def test_empty_folder_web_page_and_flat_tree_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="got 0 images"):
        opened("folder", tmp_path / "empty", tmp_path)
    (tmp_path / "page.zip").write_text("<html>")
    with pytest.raises(InputError, match="a zip archive that can be read; got a damaged one"):
        opened("folder", tmp_path / "page.zip", tmp_path)
    flat = tree(tmp_path) / "warm"
    with pytest.raises(InputError, match="use CHALLENGE=folder"):
        opened("imagefolder", flat, tmp_path)


def test_an_npz_of_x_and_y(tmp_path):
    x, y = two_kinds(10)
    np.savez(tmp_path / "a.npz", x=x, y=y, classes=np.array(["warm", "cold"]))
    challenge = opened("arrays", tmp_path / "a.npz", tmp_path)
    assert len(challenge.rows) == len(challenge.labels) == 10
    np.savez(tmp_path / "b.npz", images=x)
    with pytest.raises(InputError, match="an array x"):
        opened("arrays", tmp_path / "b.npz", tmp_path)


ARRAYS = {
    "float": ("trainX", lambda x: x / 255, "uint8 images"),
    "nan": ("trainX", lambda x: np.full(x.shape, np.nan), "uint8 images"),
    "16 bit": ("trainX", lambda x: x.astype(np.uint16), "uint8 images"),
    "rgba": ("trainX", lambda x: np.concatenate([x, x[..., :1]], -1), "uint8 images"),
    "channels first": ("trainX", lambda x: x.transpose(0, 3, 1, 2), "uint8 images"),
    "flat": ("trainX", lambda x: x.reshape(len(x), -1), "uint8 images"),
    "none": ("trainX", lambda x: x[:0], "uint8 images"),
    "constant": ("trainX", lambda x: 0 * x, "images with content"),
    "short labels": ("valY", lambda y: y[:-1], r"shape \[20\]; got \[19\]"),
    "float labels": ("valY", lambda y: y / 1.0, "whole numbers"),
}


@pytest.mark.parametrize(("name", "spoil", "why"), ARRAYS.values(), ids=ARRAYS)
def test_wrong_arrays_are_refused(arrays_dir, tmp_path, name, spoil, why):
    path = arrays_dir / f"{name}.npy"
    np.save(path, spoil(np.load(path)))
    with pytest.raises(InputError, match=why):
        opened("arrays", arrays_dir, tmp_path)


def test_grey_arrays_are_taken(arrays_dir, tmp_path):
    x = np.load(arrays_dir / "trainX.npy")
    for grey in (x[..., 0], x[..., :1]):
        np.save(arrays_dir / "trainX.npy", grey)
        rows = opened("arrays", arrays_dir, tmp_path).rows
        assert all_pixels(rows[:2], Preprocessing(32), "t").shape == (2, 32, 32, 3)


def test_labels_without_images_are_refused(arrays_dir, tmp_path):
    (arrays_dir / "valX.npy").unlink()
    with pytest.raises(InputError, match=r"valX\.npy must be there"):
        opened("arrays", arrays_dir, tmp_path)
