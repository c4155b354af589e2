"""A cluster that corrections have emptied counts among none, on the page and in the terminal."""

import json
import re

import numpy as np
import pytest

from imclust.cli.result import FolderResult
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.data.images import ImageRow
from imclust.report.page.relations import tree, without_empty
from imclust.report.results import AssignedImage, FolderAssignment
from pages import made_up

MERGES = [[0, 2, 0.1, 2], [1, 3, 0.2, 2], [4, 5, 0.9, 4]]
SAID = {"moved": 2, "pinned": 0, "new": 0, "must_link": 0, "cannot_link": 0, "merged": []}


def page_of(top, n):
    """A page of clusters 0, 1 and 3 of four, corrected before it grew."""

    def also(folder):
        apart = np.full((4, 4), 0.9, np.float32)
        apart[[0, 2], [2, 0]], apart[[1, 3], [3, 1]] = 0.1, 0.2
        np.save(folder / "apart.npy", apart)
        grown = {"kept": n - 1, "came": 1, "k": 4, "opened": [], "corrected": SAID | {"names": {}}}
        return {"merge_order": MERGES, "estimated_accuracy": 0.9, "grown": grown}

    return made_up(top, np.array([0, 1, 3])[np.arange(n) % 3], also=also).read_text()


def test_the_page_says_so_and_leaves_it_out_of_relations(tmp_path):
    text = page_of(tmp_path, 12)
    summary = re.sub(r"<[^>]*>|\s+", " ", text.partition('id="summary"')[2][:3000])
    assert "12 images in 3 clusters (and 1 without images)" in summary
    table = text.partition('id="distances"')[2].partition("</table>")[0]
    assert table.count('scope="col"') == table.count('scope="row"') == 3
    assert "first cluster 1 and cluster 3</strong> (0.20 apart)" in text
    facts = json.loads(text.partition('id="facts">')[2].partition("</script>")[0])
    assert sorted(facts["tree"]["order"]) == [0, 1, 3]


def test_a_page_that_grew_from_corrections_says_so_and_what_took_how_long(tmp_path):
    text = page_of(tmp_path, 12)
    assert '<a href="#corrected">corrected by hand</a>' in text
    assert "this answer was corrected: 2 moved. That stays." in text
    assert "every stage, when it last had something to do" in text


def test_an_accuracy_is_estimated_of_ten_images_on(tmp_path):
    assert "estimated accuracy" in page_of(tmp_path / "ten", 10)
    assert "estimated accuracy" not in page_of(tmp_path / "nine", 9)


@pytest.mark.parametrize("sizes", [[1, 0, 1, 1], [0, 0, 3, 1], [1, 1, 1, 0], [2, 2, 2, 2]])
def test_a_tree_without_empty_clusters_is_that_of_the_others(sizes):
    merges, there = without_empty(MERGES, sizes)
    assert there == [c for c, size in enumerate(sizes) if size]
    assert len(merges) == len(there) - 1
    assert [m[3] for m in merges][-1:] == [len(there)]
    assert sorted(tree(MERGES, sizes)["order"]) == there
    # Clusters meet at the height at which they met before.
    joined = dict(enumerate({c} for c in range(4)))
    for n, (a, b, *_) in enumerate(MERGES):
        joined[4 + n] = joined[a] | joined[b]
    now = dict(enumerate({c} for c in there))
    for n, (a, b, height, leaves) in enumerate(merges):
        now[len(there) + n] = now[a] | now[b]
        assert len(now[len(there) + n]) == leaves
        before = [m[2] for i, m in enumerate(MERGES) if now[len(there) + n] <= joined[4 + i]]
        assert height == before[0]


def test_the_summary_says_so(tmp_path):
    rows = [AssignedImage(f"{c}.jpg", c, 0.9, 0, 0.1, "") for c in (0, 1)]
    images = [ImageRow(f"{c}", "train", f"{c}.jpg", "", 1, 1, "") for c in (0, 1)]
    clustering = FolderAssignment(rows, images, [], ["", "", "umbrella"], [None, None, None])

    def write(folder):
        (folder / "assignment.csv").write_text("")
        return {"n_clusters": 3}

    made = ArtifactSpec("assignment", {"method": "none"}, {}, ())
    make_artifact(tmp_path / "clusters", made, write)
    result = FolderResult(clustering, tmp_path, tmp_path / "clusters", None, None, {}, 0.0)
    assert result.evidence() == "K = 3, as given; cluster 2 without any picture by now"
    [line] = [line for line in result.summary() if "umbrella" in line]
    assert line.split() == ["2", "0", "0.00", "(empty)", "[umbrella]"]
