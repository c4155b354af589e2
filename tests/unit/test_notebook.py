"""What a notebook shows: complete, small, and nothing that a file's name could do to it."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from imclust import cluster_latents
from imclust.data.images import ImageRow
from imclust.report.notebook import A_CLUSTER, CLUSTERS, PICTURES, gallery, spread
from imclust.report.results import AssignedImage, FolderAssignment, printable

EVIL = "<script>alert('x')</script>\"><b>.png"


class Page(HTMLParser):
    """Tags in order, and whether they close as they opened."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def answer(folder, clusters, k, names=None, size=(640, 480)):
    rng = np.random.default_rng(0)
    rows, images = [], []
    folder.mkdir(exist_ok=True)
    for i, c in enumerate(clusters):
        file = EVIL.replace("/", "") if i == 0 else f"{i}.png"
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(path)
        rows.append(AssignedImage(file, c, 0.9, 0, i / 100))
        images.append(ImageRow(file, "train", str(path), ""))
    return FolderAssignment(rows, images, [], names or [""] * k)


@pytest.mark.slow
def test_pictures_of_every_cluster_inside_and_names_escaped(tmp_path):
    found = answer(tmp_path, [i % 3 for i in range(30)], 3, ["", "<i>cats", ""])
    text = gallery(found, "K = 3 & more")
    page = Page(text)
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == 30
    assert all(p["src"].startswith("data:image/jpeg;base64,") for p in pictures)
    assert EVIL.replace("/", "") in {p["title"] for p in pictures}
    assert {tag for tag, _ in page.tags} <= {"div", "p", "b", "br", "img"}
    assert "1 <i>cats" in page.text
    assert "K = 3 & more" in page.text
    assert "http" not in text


def test_it_stays_small_whatever_the_number_of_images_and_clusters(tmp_path):
    found = answer(tmp_path, [i % 60 for i in range(300)], 60, size=(96, 96))
    text = gallery(found, "")
    assert len(re.findall("<img", text)) <= PICTURES
    assert len(text) < 500_000  # of noise, which no JPEG makes small
    assert f"and {60 - CLUSTERS} smaller clusters" in text
    most = gallery(answer(tmp_path, [0] * 40, 2, size=(40, 40)), "")
    assert len(re.findall("<img", most)) == A_CLUSTER


def test_images_that_have_gone_leave_their_names(tmp_path):
    found = answer(tmp_path, [0, 1, 1], 2)
    (tmp_path / "1.png").unlink()
    page = Page(gallery(found, ""))
    assert [attrs["title"] for tag, attrs in page.tags if tag == "code"] == ["1.png"]


@pytest.mark.parametrize("n", [0, 1, 2, 5, 100])
@pytest.mark.parametrize("most", [1, 2, 10])
def test_a_ranking_is_shown_from_its_first_to_its_last(n, most):
    chosen = spread(list(range(n)), most)
    assert len(chosen) == len(set(chosen)) == min(n, most)
    assert chosen == sorted(chosen)
    if min(n, most) > 1:
        assert (chosen[0], chosen[-1]) == (0, n - 1)


def test_an_answer_about_vectors_shows_its_sizes(blobs):
    z, _ = blobs
    page = Page(cluster_latents(z, 3, "kmeans")._repr_html_())
    assert "90 rows, K = 3, kmeans" in page.text
    assert page.text.count("30") >= 3


def test_names_for_a_terminal_have_no_control_characters():
    assert printable("a\nb\x1b[31m🌧é.jpg") == "a\\nb\\x1b[31m🌧é.jpg"
