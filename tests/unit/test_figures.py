"""Pictures for papers: what stands in them, how wide they are, the same bytes every time."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from imclust.report.curves import training
from imclust.report.figures import (
    PRINT_DOTS,
    ROWS,
    Panel,
    Sheet,
    examples,
    look_of,
    scatter,
    shown,
    sizes_of,
)

FORMATS = ("png", "svg", "pdf")
ODD = ["cats & $x_1$ dogs", "_hidden", "</text><script>", "👩\u200d🚀", "n" * 300]


def draw(folder, width=6.5, k=5, formats=FORMATS, dots=PRINT_DOTS):
    rng = np.random.default_rng(0)
    folder.mkdir()
    sheet = Sheet(folder, width, formats, dots)
    groups = np.arange(40) % k
    names = (ODD + [f"cluster {c}" for c in range(5, k)])[:k]
    scatter(sheet, "scatter", [Panel(rng.standard_normal((40, 2)), groups, names)], "t-SNE")
    images = [rng.integers(0, 255, (c % 6, 16, 16, 3), np.uint8) for c in range(k)]
    examples(sheet, images, names, [len(i) for i in images])
    sizes_of(sheet, names, np.bincount(groups, minlength=k).tolist())
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("width", [3.25, 6.5])
def test_the_same_bytes_every_time_and_as_wide_as_asked(tmp_path, width):
    first = draw(tmp_path / "a", width)
    assert first == draw(tmp_path / "b", width)
    names = {f"{n}.{f}" for n in ("scatter", "examples", "sizes") for f in FORMATS}
    assert set(first) == names
    for path in (tmp_path / "a").glob("*.png"):
        assert Image.open(path).width == round(width * PRINT_DOTS)
    for path in (tmp_path / "a").glob("*.svg"):
        assert float(ET.parse(path).getroot().get("width").removesuffix("pt")) == width * 72
    assert not re.search(rb"CreationDate|dc:date>20", b"".join(first.values()))


def test_more_clusters_than_a_sheet_has_rows_and_none_looks_like_another(tmp_path):
    files = draw(tmp_path / "a", k=2 * ROWS + 1, formats=("png",), dots=50)
    assert {"examples-1.png", "examples-2.png", "examples-3.png"} <= set(files)
    assert len({look_of(c) for c in range(48)}) == 48


def test_a_cluster_without_images_has_an_empty_row(tmp_path):
    white = np.full((3, 16, 16, 3), 255, np.uint8)
    for name, few in (("none", [white, np.array([])]), ("white", [white, white])):
        (tmp_path / name).mkdir()
        examples(Sheet(tmp_path / name, 6.5), few, ["a", "b"], [3, 0])
    none, one = ((tmp_path / name / "examples.png").read_bytes() for name in ("none", "white"))
    assert none == one


def test_many_points_do_not_make_a_large_file(tmp_path, rng):
    sheet = Sheet(tmp_path, 6.5, ("svg",))
    points, groups = rng.standard_normal((60_000, 2)), np.arange(60_000) % 30
    panel = Panel(points, groups, [f"cluster {c}" for c in range(30)])
    scatter(sheet, "many", [panel], "t-SNE")
    assert (tmp_path / "many.svg").stat().st_size < 2e6


def test_names_are_shortened_and_dollars_are_no_formulas():
    assert shown("a" * 22) == "a" * 22
    assert shown("a" * 23) == "a" * 21 + "…"
    assert shown("$x$") == r"\$x\$"


def test_of_more_than_two_columns_the_first_are_drawn(tmp_path, rng):
    points, groups = rng.standard_normal((40, 5)), np.arange(40) % 3
    for name, x in (("flat", points[:, :2]), ("deep", points)):
        scatter(Sheet(tmp_path, 5), name, [Panel(x, groups, ["a", "b", "c"], behind=x)], "PCA")
    assert (tmp_path / "flat.png").read_bytes() == (tmp_path / "deep.png").read_bytes()


def test_every_training_has_a_panel_and_a_single_record_a_mark(tmp_path):
    one = {"name": "simclr", "of": "loss", "epoch": [1.0], "loss": [2.0]}
    many = one | {"name": "pseudo-labels", "epoch": [1.0, 2.0, 3.0], "loss": [3.0, 2.0, 1.0]}
    heights = []
    for trainings in ([many], [one, many]):
        training(Sheet(tmp_path, 6), trainings, [])
        heights.append(Image.open(tmp_path / "training.png").size[1])
    assert heights[1] > 1.5 * heights[0]
    training(Sheet(tmp_path, 6), [one], [])
    picture = np.asarray(Image.open(tmp_path / "training.png").convert("RGB"), int)
    assert (np.ptp(picture, axis=2) > 60).sum() > 20  # more than the line of the legend has colour
