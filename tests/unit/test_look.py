"""What is to be looked at: copies, spoilt pictures, neighbours, the line of all images."""

import io
from collections import Counter
from itertools import combinations, permutations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from sklearn.datasets import load_sample_images

from imclust.__main__ import main
from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.similarity_line import similarity_line
from imclust.core.look_records import Look
from imclust.core.records import Assignment
from imclust.data import copies
from imclust.data.copies import (
    BANDS,
    CLOSE,
    LIKE,
    is_copy,
    likeness,
    perceptual_codes,
    similar_codes,
    thumbnail,
    turned,
)
from imclust.data.quality import faults, quality_of
from imclust.report.page.gallery import galleries
from imclust.report.page.hints import hints_of
from imclust.report.page.rows import gather_rows


def scene(seed, size=(240, 180)):
    """A picture of blobs and edges that no other seed has."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(rng.integers(60, 200, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        w, h = rng.integers(10, 70, 2)
        colour = tuple(rng.integers(0, 256, 3).tolist())
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape([x, y, x + w, y + h], fill=colour)
    grain = rng.normal(0, 5, (size[1], size[0], 3))
    x = np.asarray(image.filter(ImageFilter.GaussianBlur(1))) + grain
    return Image.fromarray(x.clip(0, 255).astype(np.uint8))


def saved(image, quality=40):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


COPIES = {
    "re-saved": saved,
    "resized": lambda x: x.resize((110, 83)),
    "cropped": lambda x: x.crop((20, 5, 225, 160)),
    "turned a little": lambda x: x.rotate(7),
}
TURNS = {
    "by 90": Image.Transpose.ROTATE_90,
    "by 180": Image.Transpose.ROTATE_180,
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
}


def thumb(image):
    return thumbnail(np.asarray(image))


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_like_their_picture(kind):
    like = [likeness(thumb(scene(s)), thumb(COPIES[kind](scene(s)))) for s in range(8)]
    assert min(sorted(like)[1:]) > LIKE  # one of eight may be missed
    others = [likeness(thumb(scene(s)), thumb(COPIES[kind](scene(s + 50)))) for s in range(8)]
    assert max(others) < LIKE - 0.1


def test_codes_find_turned_and_mirrored_pictures():
    pictures = [scene(s) for s in range(12)]
    pictures += [pictures[n].transpose(turn) for n, turn in enumerate(TURNS.values())]
    thumbs = np.stack([thumb(p) for p in pictures])
    pairs = {(a, b): way for a, b, way in similar_codes(thumbs).tolist()}
    for copy, of in ((12, 0), (13, 1), (14, 2)):
        a, b = (of, copy) if (of, copy) in pairs else (copy, of)
        turned_b = list(turned(thumbs[b]))[pairs[a, b]]
        assert likeness(thumbs[a], turned_b) > 0.9


def naive_code(grey):
    """The same 64 bits by OpenCV's cosine transform of one picture."""
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float64))[:8, :8].ravel()
    return int.from_bytes(np.packbits(low > np.median(low[1:])).tobytes(), "big")


def naive_pairs(codes, most):
    """(a, b) -> least bits in which the code of a and one of b's differ, of those that share a band
    which `most` entries share at most, or else two such bands."""

    def bands(code):
        return [(i, code >> 16 * i & 0xFFFF) for i in range(BANDS)]

    def keys(code):
        return bands(code) + list(combinations(bands(code), 2))

    count = Counter(key for ways in codes for code in ways for key in keys(code))
    found = {}
    for a, b in permutations(range(len(codes)), 2):
        for way, code in enumerate(codes[b]):
            if way == 0 and a > b:
                continue
            shared = set(keys(codes[a][0])) & set(keys(code))
            differ = (codes[a][0] ^ code).bit_count()
            if differ <= CLOSE and any(count[key] <= most for key in shared):
                found[a, b] = min(differ, found.get((a, b), 64))
    return found


def test_codes_of_turned_pictures_are_those_of_the_turned_pixels(rng):
    thumbs = rng.integers(0, 256, (20, 64, 64), np.uint8)
    naive = [[naive_code(t) for t in turned(each)] for each in thumbs]
    assert perceptual_codes(thumbs).tolist() == naive


@pytest.mark.parametrize("most", [1000, 12, 4])
def test_pairs_of_codes_are_those_of_every_code_with_every_other(rng, monkeypatch, most):
    """Few codes, some bits of which are others in each picture: bands that many share."""
    monkeypatch.setattr(copies, "MOST_ALIKE", most)
    monkeypatch.setattr(copies, "PORTION", 7)
    kinds = rng.integers(0, 2**63, (4, 8), dtype=np.uint64)[rng.integers(0, 4, 40)]
    noise = np.uint64(1) << rng.integers(0, 64, (2, 40, 8), dtype=np.uint64)
    codes = kinds ^ noise[0] ^ noise[1]
    monkeypatch.setattr(copies, "perceptual_codes", lambda thumbs: codes)
    pairs = similar_codes(np.empty((40, 1, 1), np.uint8))
    want = naive_pairs(codes.tolist(), most)
    assert set(map(tuple, pairs[:, :2].tolist())) == set(want)
    assert [int(codes[a, 0] ^ codes[b, way]).bit_count() for a, b, way in pairs.tolist()] == [
        want[a, b] for a, b in map(tuple, pairs[:, :2].tolist())
    ]
    assert len(want) > 20


def test_small_pictures_must_agree_more():
    assert is_copy(0.8, 200)
    assert not is_copy(0.8, 30)
    assert is_copy(0.95, 30)


def test_plain_pictures_are_copies_of_nothing():
    plain = np.full((64, 64), 90, np.uint8)
    assert likeness(plain, plain) == -1
    assert likeness(plain, thumb(scene(0))) == -1


def test_gradients_alone_make_no_copy(rng):
    one, other = np.mgrid[:64, :64]
    noise = rng.integers(0, 12, (2, 64, 64))
    a, b = (2 * one + noise[0]).astype(np.uint8), (2 * one + other // 4 + noise[1]).astype(np.uint8)
    assert likeness(a, b) < LIKE


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda s: scene(s), []),
        (lambda s: scene(s).point(lambda v: v // 6), ["dark"]),
        (lambda s: scene(s).point(lambda v: 206 + v // 6), ["bright"]),
        (lambda s: scene(s, (640, 150)), ["odd shape"]),
        (lambda s: scene(s).point(lambda v: 120 + v // 32), ["low contrast"]),
    ],
)
def test_spoilt_pictures_are_told(make, what):
    found = [[w for w, _ in faults(quality_of(np.asarray(make(s))))] for s in range(5)]
    assert sum(each == what for each in found) >= 4, found


def test_blurred_photographs_are_told_from_sharp_ones():
    for x in load_sample_images().images:
        blurred = Image.fromarray(x).filter(ImageFilter.GaussianBlur(13))
        assert faults(quality_of(x)) == []
        assert [w for w, _ in faults(quality_of(np.asarray(blurred)))] == ["blurred"]


def test_texts_and_drawings_are_told():
    page = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(page)
    for line in range(20):
        draw.text(
            (12, 14 * line), "The quick brown fox jumps over the lazy dog. " * 2, fill="black"
        )
    assert [w for w, _ in faults(quality_of(np.asarray(page)))] == ["screenshot, drawing or text"]


def ranks_along(z, rng):
    """How far the line keeps the order of rows (n, d): rank correlation."""
    order = rng.permutation(len(z))
    near, _ = nearest_neighbors(z[order], z[order], 8, same=True)
    places = order[similarity_line(z[order], near)]
    assert sorted(places) == list(range(len(z)))
    return np.abs(np.corrcoef(places, np.arange(len(z)))[0, 1])


@pytest.mark.parametrize("n", [150, 4000])
def test_the_line_goes_along_a_curve(rng, n):
    at = (np.arange(n) + rng.random(n)) / n * 5
    assert ranks_along(np.stack([np.cos(at), np.sin(at), at], 1).astype(np.float32), rng) > 0.98


@pytest.mark.parametrize("groups", [12, 700])
def test_groups_that_nothing_connects_lie_in_order_too(rng, groups):
    at = np.repeat(np.linspace(0, 1, groups), 12)
    z = np.stack([at, 1 - at], 1) + 1e-5 * rng.standard_normal((len(at), 2))
    z = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
    assert ranks_along(z, rng) > 0.98


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """A folder of twelve pictures and copies of them, as artefacts; the folder."""
    top = tmp_path_factory.mktemp("looked")
    (top / "x").mkdir()
    for s in range(12):
        scene(s).save(top / "x" / f"{s:02}.png")
    scene(0).save(top / "x" / "zero-again.png")
    saved(scene(0)).save(top / "x" / "a-zero-saved.png")
    saved(scene(1)).resize((300, 225)).save(top / "x" / "one-larger.png")
    scene(2).transpose(Image.Transpose.ROTATE_90).save(top / "x" / "two-turned.png")
    scene(11).point(lambda v: v // 6).save(top / "x" / "dark.png")
    for line in (
        f"download --out {top}/raw folder --data-dir {top}/x",
        f"train --index {top}/raw/index --out {top}/w pixels",
        f"encode --index {top}/raw/index --weights {top}/w --out {top}/z",
        f"look --features {top}/z --index {top}/raw/index --out {top}/look",
    ):
        assert main(line.split()) == 0
    return top


def test_copies_lead_to_the_best_of_their_group(looked):
    look = Look.load(looked / "look")
    assert look.copy_of["01.png"] == "one-larger.png"  # most pixels
    assert "00.png" not in look.copy_of
    assert look.copy_of["zero-again.png"] == "00.png"
    assert look.copy_of["a-zero-saved.png"] == "00.png"  # made from these two equal ones
    assert "02.png" in look.copy_of or "two-turned.png" in look.copy_of
    what = {(f.id, f.what) for f in look.findings}
    assert {("dark.png", "dark"), ("a-zero-saved.png", "near copy")} <= what
    assert sum(w == "exact copy" for _, w in what) == 1
    assert sorted(look.line.tolist()) == list(range(len(look.ids)))
    assert not (look.neighbours == np.arange(len(look.ids))[:, None]).any()


def test_one_of_each_group_is_clustered_and_takes_the_others_along(looked):
    line = (
        f"cluster --features {looked}/z --index {looked}/raw/index --out {looked}/c "
        f"--n-clusters 3 --copies {looked}/look kmeans"
    )
    assert main(line.split()) == 0
    found = Assignment.load(looked / "c")
    p = dict(zip(found.ids.tolist(), found.probabilities, strict=True))
    assert len(p) == 17
    copies = Look.load(looked / "look").copy_of
    assert len(copies) >= 3
    for copy, of in copies.items():
        assert p[copy].tobytes() == p[of].tobytes()
    rows = gather_rows(looked / "c", looked / "raw" / "index", None, {})
    hints = hints_of(looked / "look", rows)
    shown = [i for c in galleries(rows, ["a", "b", "c"], hints.copied) for i in c["centres"]]
    assert not set(rows.ids[shown]) & set(copies)
    assert len(shown) == 17 - len(copies)
    assert {
        rows.ids[row] for group in hints.copies for row, what, _ in group if what != "best"
    } == (set(copies))
