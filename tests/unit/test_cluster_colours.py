"""Colours of clusters: near hues within a branch of the tree, and the same at every visit."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv, to_hex, to_rgb
from PIL import Image

from imclust.__main__ import main
from imclust.core.manifest import read_manifest
from imclust.report.cluster_colours import BY_HUE, GREY, dealt_colours, kept_colours
from imclust.report.page.sources import Sources
from imclust.report.palette import ON_DARK, ON_LIGHT
from imclust.report.pictures import draw
from pages import made_up
from sample_run import make_sample_run

TWO = [[0, 2, 0.2, 2], [1, 3, 0.3, 2], [4, 5, 0.9, 4]]  # 0 and 2 are alike, and 1 and 3


@pytest.mark.parametrize("colours", [ON_LIGHT, ON_DARK], ids=["light", "dark"])
def test_the_order_goes_once_around_the_hues(colours):
    assert sorted(BY_HUE) == list(range(24)) == [*range(len(colours))]
    hsv = np.array([rgb_to_hsv(to_rgb(colours[n])) for n in BY_HUE])
    assert hsv[-1, 1] == 0  # grey
    hue = hsv[hsv[:, 1] > 0.4, 0]  # of the others hardly a hue is seen
    steps = np.mod(np.diff(hue) + 0.5, 1) - 0.5
    assert 0.6 < steps.sum() < 1.05
    assert steps.min() > -0.11


def test_branches_have_near_hues_of_the_easiest_colours():
    found = dealt_colours(TWO, 4)
    assert sorted(found) == [0, 1, 2, 3]
    place = [BY_HUE.index(n) for n in found]
    assert max(place[0], place[2]) < min(place[1], place[3])
    many = dealt_colours([], 60)  # a file without a tree
    assert sorted(many) == sorted([*range(24), *range(24), *range(12)])
    assert dealt_colours([], 1) == [0]


def test_what_is_known_keeps_its_colour_and_what_is_new_takes_one_beside_its_relative():
    found = dealt_colours(TWO, 4, kept=[4, 0, None, None])
    assert found == [4, 0, 1, 5]
    assert dealt_colours([], 3, kept=[4, 0]) == [4, 0, 1]
    full = dealt_colours([[0, 8, 0.1, 2]], 9, kept=list(range(8)))
    assert full[:8] == list(range(8))
    assert full[8] in {19, 15, 5}
    none_free = dealt_colours([[3, 24, 0.1, 2]], 25, kept=list(range(24)))
    assert none_free[24] == 3
    assert dealt_colours([[0, 1, 0.1, 2]], 2, kept=[GREY]) == [GREY, 0]


def test_an_assignment_of_an_earlier_version_keeps_what_its_page_showed():
    assert kept_colours({"n_clusters": 3}, {"n_clusters": 4}) == [0, 1, 2, None]
    now = {"n_clusters": 3, "corrections": {"was": [1, 0, 1]}}
    assert kept_colours({"n_clusters": 3, "colours": [4, 1, 0]}, now) == [1, 4, None]


def test_a_run_keeps_its_colours_through_corrections(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_sample_run(Path())
    before = read_manifest(Path("run/clusters"))
    assert sorted(before["colours"]) == [0, 1]
    first, second = (r.split(",")[0] for r in
                     Path("run/clusters/assignment.csv").read_text().splitlines()[1:3])  # fmt: skip
    digest = before["files"]["assignment.csv"][1]
    said = {"format": "imclust-corrections-1", "assignment": digest}
    Path("c.json").write_text(json.dumps(said | {"move": {first: 2, second: 2}}))
    again = [str(word) for word in before["argv"]]
    assert main([again[0], "--corrections", "c.json", *again[1:]]) == 0
    now = read_manifest(Path("run/clusters"))
    assert now["n_clusters"] == 3
    assert now["colours"][:2] == before["colours"]
    assert len(set(now["colours"])) == 3


def test_pictures_have_the_colours_of_the_page(tmp_path):
    dealt = [4, 20, 0]
    made_up(tmp_path, np.arange(30) % 3, also=lambda folder: {"colours": dealt})
    page = (tmp_path / "report.html").read_text()
    style = page[page.index("<style>") : page.index("</style>")]
    at = Sources(tmp_path / "clusters", tmp_path / "index", embedding=tmp_path / "flat")
    draw(at, tmp_path)
    line = f"plot --assignment {at.assignment} --embedding {at.embedding} --out {tmp_path}/p"
    assert main([*line.split(), "--format", "png"]) == 0
    for picture in ("embedding.png", "p/clusters.png"):
        with Image.open(tmp_path / picture) as image:
            seen = {to_hex(np.divide(c, 255)) for _, c in image.convert("RGB").getcolors(1 << 20)}
        # The legend's marks are not mixed with what lies beneath; the edges of letters are grey.
        assert [n for n in range(24) if ON_LIGHT[n] in seen and n != GREY] == sorted(dealt)
    assert all(f"--c{n}: {ON_LIGHT[n]};" in style for n in dealt)
    assert f"--c4: {ON_DARK[4]};" in style
