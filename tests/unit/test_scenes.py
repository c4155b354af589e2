"""The weather in pictures of landscapes, and names by it."""

import colorsys
import re

import numpy as np
import pytest
from PIL import Image

from imclust.__main__ import main
from imclust.clustering.cluster_names import HELD, SHOWN, NamedCluster, seen_scenes
from imclust.clustering.scene_names import PHRASES, SCENES, SeenWord, add_scenes, split_scene
from imclust.core.manifest import read_manifest
from imclust.core.name_records import found_names, name_shares
from imclust.core.records import Assignment
from imclust.encoders.class_head import imagenet_words
from imclust.encoders.scenes import LANDSCAPES, SIDE, SKY, TOP, outdoors, sky_scenes

SUNSET, SUNSHINE, CLOUDS = range(3)
BEACH = NamedCluster("seashore", (("seashore", 0.5, 0.1, 0.9),))
ALL_SHORE = SeenWord(np.ones(1, bool), landscape=True)
PLAIN = NamedCluster("", (("vehicle", 0.1, 0.05, 0.2),))


def naive_shares(rgb):
    """Shares of a sky that have the colour of each scene, pixel by pixel."""
    counts = np.zeros(3)
    for r, g, b in rgb[:TOP].reshape(-1, 3).tolist():
        h, s, v = colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)
        counts += [
            (h * 360 <= 60 or h * 360 >= 330) and s >= 0.35 and v >= 0.3,
            180 <= h * 360 <= 255 and s >= 0.25 and v >= 0.4,
            s < 0.25 and 0.25 <= v <= 0.95,
        ]
    return counts / (TOP * SIDE)


@pytest.mark.parametrize(
    ("colour", "scene"),
    [
        ((240, 120, 40), SUNSET),
        ((150, 30, 40), SUNSET),
        ((60, 130, 230), SUNSHINE),
        ((150, 160, 170), CLOUDS),
        ((250, 250, 250), None),  # blown out
        ((20, 20, 30), None),  # at night
        ((60, 140, 50), None),  # leaves
    ],
)
def test_the_colour_of_the_sky_tells_the_weather(colour, scene):
    picture = np.full((90, 120, 3), (30, 90, 40), np.uint8)
    picture[:45] = colour
    assert np.flatnonzero(sky_scenes(picture)).tolist() == ([] if scene is None else [scene])
    assert not sky_scenes(picture[::-1]).any()  # it is below, so it is no sky


def test_black_and_white_pictures_have_no_weather(rng):
    grey = rng.integers(100, 200, (90, 120, 1)).astype(np.uint8).repeat(3, 2)
    assert not sky_scenes(grey).any()
    grey[60:] = (30, 90, 40)  # a meadow has colour
    assert sky_scenes(grey).tolist() == [False, False, True]


def test_skies_are_those_of_the_naive_count(rng):
    seen = set()
    for hue in range(0, 256, 8):
        base = np.array(colorsys.hsv_to_rgb(hue / 255, rng.random(), rng.uniform(0.2, 1))) * 255
        noise = rng.normal(0, rng.uniform(0, 60), (SIDE, SIDE, 3))
        rgb = np.clip(base + noise, 0, 255).astype(np.uint8)
        shares = naive_shares(rgb)
        if (np.abs(shares - SKY) > 0.1).all():  # Pillow rounds hue and saturation to 256 steps
            assert sky_scenes(rgb).tolist() == (shares >= SKY).tolist()
            seen.add(tuple(shares >= SKY))
    assert len(seen) >= 3


def test_two_likely_landscapes_make_one():
    words = imagenet_words()
    assert set(LANDSCAPES) <= set(words.words)
    logits = np.zeros((4, 1000))
    seashore, alp, dog = (np.flatnonzero(words.members[:, words.words.index(w)])[0]
                          for w in ("seashore", "alp", "dog"))  # fmt: skip
    logits[0, [seashore, alp]] = 1
    logits[1, [seashore, dog]] = 1
    logits[2, dog] = 1
    logits[3] = -np.arange(1000)  # fish and birds
    assert outdoors(logits).tolist() == [True, False, False, False]


def scenes_named(clusters, shown, found, outdoor=None, kept=None, weights=None, seen=None):
    outdoor = np.ones(len(clusters), bool) if outdoor is None else outdoor
    seen = dict.fromkeys(range(len(found)), ALL_SHORE) if seen is None else seen
    seen = {
        c: word._replace(images=np.resize(word.images, len(clusters))) for c, word in seen.items()
    }
    k = len(found)
    weights = np.full(k, 0.5) if weights is None else weights
    return add_scenes(found, shown, outdoor, clusters, weights, kept or {}, seen)


def test_a_scene_names_what_no_word_does_and_tells_landscapes_apart():
    clusters = np.repeat([0, 1, 2], 10)
    shown = np.zeros((30, 3), bool)
    shown[:6, SUNSET] = shown[10:19, SUNSHINE] = True
    found = scenes_named(clusters, shown, [BEACH, PLAIN, PLAIN])
    assert [each.name for each in found] == ["seashore at sunrise or sunset", "sunshine", ""]
    both = ("seashore at sunrise or sunset", 0.6, 0.0, 0.6)
    assert found[0].evidence == (both, BEACH.evidence[0], ("sunrise or sunset", 0.6, 0.0, 0.6))
    assert found[1].evidence[0] == ("sunshine", 0.9, 0.0, 0.9)
    assert found[2] == PLAIN
    assert all(len(each.evidence) <= SHOWN for each in found)
    # The only landscapes of a folder are called what they are.
    alone = np.arange(30) < 10
    only = scenes_named(clusters, shown & alone[:, None], [BEACH, PLAIN, PLAIN], alone)
    assert [each.name for each in only] == ["seashore", "", ""]


def test_a_word_and_a_scene_are_one_name_where_many_images_show_both():
    clusters = np.repeat([0, 1], 10)
    shown = np.zeros((20, 3), bool)
    shown[:6, SUNSET] = True
    found = [BEACH, PLAIN]
    apart = SeenWord(np.arange(20) >= 4, landscape=True)  # two of ten show both
    assert scenes_named(clusters, shown, found, seen={0: apart})[0].name == "seashore"
    rare = SeenWord(np.arange(20) == 9, landscape=True)
    assert scenes_named(clusters, shown, found, seen={0: rare})[0].name == "sunrise or sunset"
    # Behind a word that is no landscape there is no weather; what more images show is the name.
    van = NamedCluster("van", (("van", 0.5, 0.1, 0.9),))
    for n, name in ((9, "van"), (5, "sunrise or sunset")):
        seen = SeenWord(np.arange(20) < n, landscape=False)
        assert scenes_named(clusters, shown, [van, PLAIN], seen={0: seen})[0].name == name


def test_the_scene_that_most_images_show_is_the_only_one_and_a_tie_is_none():
    clusters = np.repeat([0, 1], 20)
    for cloudy, name in ((6, "sunshine"), (8, ""), (10, "cloudy sky")):
        shown = np.zeros((40, 3), bool)
        shown[:8, SUNSHINE] = shown[8 : 8 + cloudy, CLOUDS] = True
        assert scenes_named(clusters, shown, [PLAIN, PLAIN])[0].name == name


def test_what_all_clusters_show_or_few_images_do_names_none(rng):
    clusters = np.repeat([0, 1, 2], 40)
    for share, names in ((0.9, 0), (0.2, 0)):
        shown = rng.random((120, 3)) < share
        assert [each.name for each in scenes_named(clusters, shown, [PLAIN] * 3)] == [""] * 3, names
    # An empty cluster has no weather.
    assert not scenes_named(
        clusters, shown, [PLAIN] * 4, weights=np.array([0.5, 0.5, 0.5, 0])
    )[3].name  # fmt: skip


def test_kept_names_keep_their_scene_and_no_other_cluster_has_it():
    clusters = np.repeat([0, 1], 10)
    shown = np.zeros((20, 3), bool)
    shown[10:, SUNSHINE] = True
    kept = {0: "seashore in sunshine"}
    found = scenes_named(clusters, shown, [BEACH, PLAIN], kept=kept)
    assert [each.name for each in found] == ["seashore in sunshine", ""]
    free = scenes_named(clusters, shown, [BEACH, PLAIN], kept={0: "seashore"})
    assert [each.name for each in free] == ["seashore", "sunshine"]


def test_names_come_apart_into_word_and_scene():
    for scene, phrase in zip(SCENES, PHRASES, strict=True):
        assert split_scene(scene) == ("", scene)
        assert split_scene("sea" + phrase) == ("sea", scene)
        assert scene in phrase
    assert split_scene("") == ("", "")
    assert split_scene("sunshine state") == ("sunshine state", "")


def test_shares_are_counted_like_one_by_one(rng):
    there, labels = rng.random((50, 3)) < 0.4, rng.integers(0, 3, 50)
    seen = seen_scenes(there, labels, 4)
    for c in range(3):
        assert seen.here[c] == pytest.approx(there[labels == c].mean(0))
        assert seen.elsewhere[c] == pytest.approx(there[labels != c].mean(0))
    assert not seen.here[3].any()


def rough(rng, shape, power):
    """Noise whose larger waves are higher, in [0, 1]."""
    f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) * n for n in shape), indexing="ij"))
    wave = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) / np.maximum(f, 1) ** power).real
    return (wave - wave.min()) / np.ptp(wave)


def beach(path, sky, sea, seed):
    """A drawn bay: a sky that glows above the horizon, hills, rough water, sand."""
    rng = np.random.default_rng(seed)
    h, w = 240, 320
    y, x = np.mgrid[:h, :w]
    horizon = int(rng.integers(110, 130))
    glow = np.exp(-(((x - rng.integers(80, 240)) / 90) ** 2 + ((y - horizon) / 60) ** 2))
    picture = np.array(sky) * (1 - 0.4 * y / horizon)[..., None] ** -0.3 + 110 * glow[..., None]
    picture += 40 * (rough(rng, (h, w), 1.6) - 0.5)[..., None]
    hills = horizon - 45 * rough(rng, (1, w), 1.5)[0] ** 2
    picture[(y >= hills) & (y < horizon)] = np.array(sea) * 0.6
    water = 0.6 + 0.8 * rough(rng, (h, w // 8), 0.7).repeat(8, 1)[..., None]
    picture = np.where(
        (y >= horizon)[..., None], np.array(sea) * water + 60 * glow[..., None], picture
    )
    shore = 190 + 12 * rough(rng, (1, w), 1.5)[0]
    sand = np.array((205, 180, 140)) * (0.8 + 0.3 * rough(rng, (h, w), 0.5))[..., None]
    picture = np.where((y >= shore)[..., None], sand, picture)
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path, quality=92)


def test_drawn_bays_are_named_by_their_weather(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    for n in range(16):
        beach(tmp_path / f"x/a{n:02}.jpg", (235, 120, 50), (150, 90, 60), n)
        beach(tmp_path / f"x/b{n:02}.jpg", (60, 130, 225), (40, 110, 160), n)
    name = "name --assignment c --features z --index raw/index --out n"
    for line in (
        "download --out raw folder --data-dir x",
        "train --index raw/index --out w timm",
        "encode --index raw/index --weights w --out z",
        "cluster --features z --index raw/index --out c --n-clusters 2 kmeans",
        name,
    ):
        assert main(line.split()) == 0
    found = Assignment.load(tmp_path / "c")
    warm = int(found.clusters[found.ids.tolist().index("a00.jpg")])
    told = found_names(tmp_path / "n")
    assert split_scene(told[warm][0])[1] == "sunrise or sunset"
    assert split_scene(told[1 - warm][0])[1] == "sunshine"
    assert "sunrise or sunset" in told[warm][1]
    shares = name_shares(read_manifest(tmp_path / "c"), tmp_path / "n")
    assert all(share is not None and share >= HELD for share in shares)
    # Where pictures have gone the others tell, and it is done again when they may be back.
    picture = (tmp_path / "x/a03.jpg").read_bytes()
    (tmp_path / "x/a03.jpg").unlink()
    capsys.readouterr()
    assert main([*name.split(), "--force"]) == 0
    said = capsys.readouterr()[0]
    assert re.search(r"the other \d+ landscapes, for a03.jpg is no longer what was indexed", said)
    assert [each for each, _ in found_names(tmp_path / "n")] == [each for each, _ in told]
    assert main(name.split()) == 0
    assert "no longer what was indexed" in capsys.readouterr()[0]
    (tmp_path / "x/a03.jpg").write_bytes(picture)
    assert main(name.split()) == 0
    assert "up to date" not in capsys.readouterr()[0]
    assert found_names(tmp_path / "n") == told
    assert main(name.split()) == 0
    assert "up to date" in capsys.readouterr()[0]
    # Without any of them words alone name, and that is a stage that goes through.
    (tmp_path / "x").rename(tmp_path / "y")
    assert main([*name.split(), "--force"]) == 0
    assert "the other 0 landscapes" in capsys.readouterr()[0]
    assert not any(split_scene(each)[1] for each, _ in found_names(tmp_path / "n"))
