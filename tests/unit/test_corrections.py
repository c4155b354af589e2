"""A user's corrections of an assignment: the file, and what it makes of the assignment."""

import json
from pathlib import Path

import numpy as np
import pytest

from imclust.clustering.apply_corrections import (
    REACH,
    Corrected,
    followed,
    merged_numbers,
    nearer_to_moved,
)
from imclust.clustering.corrections import FORMAT, Corrections, read_corrections
from imclust.clustering.neighbor_graph import joint_graph
from imclust.clustering.preprocessing import prepare
from imclust.clustering.size_constraints import softmax
from imclust.core.errors import InputError

DIGEST = "0123456789abcdef" * 4
N, K = 60, 4


def said(tmp_path, **parts):
    """A file of corrections, read."""
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"format": FORMAT, "assignment": DIGEST, **parts}))
    return read_corrections(path)


@pytest.fixture
def answer(rng):
    """Sixty images, a, b, ... by number, in four groups of fifteen, and rows that show them."""
    y = np.repeat(np.arange(K), N // K)
    z = 4 * np.eye(8)[y] + rng.standard_normal((N, 8))
    p = softmax(3 * np.eye(K)[y] + rng.standard_normal((N, K)))
    ids = np.array([f"i{r}" for r in range(N)])
    return Corrected.first(ids, p.astype(np.float32), (), ()), z


# --- what it makes of the assignment --------------------------------------------------------------


def test_nothing_said_changes_no_bit(answer, tmp_path):
    before, _ = answer
    p, facts = before.after(said(tmp_path)).assignment()
    assert p.tobytes() == before.probabilities.tobytes()
    assert "names" not in facts
    assert facts["corrections"] == {
        "merged": [], "moved": 0, "pinned": 0, "new": 0, "must_link": 0, "cannot_link": 0,
        "names": {}, "was": [0, 1, 2, 3],
    }  # fmt: skip


def test_moved_images_are_certain_and_others_keep_every_bit(answer, tmp_path):
    before, _ = answer
    after = before.after(said(tmp_path, move={"i0": 2, "i20": 1}))
    p, facts = after.assignment()
    assert p[[0, 20]].tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]
    assert p.dtype == np.float32
    changed = set(np.flatnonzero((p != before.probabilities).any(1)))
    assert changed <= {0, 20}
    stays = before.probabilities[20].argmax() == 1
    assert (facts["corrections"]["moved"], facts["corrections"]["pinned"]) == (2 - stays, stays)


def test_images_among_moved_ones_are_suggested_and_one_alone_suggests_nobody(rng, tmp_path):
    """Two tight groups that the head gave one number: most of one are moved; nothing follows."""
    z = np.repeat(np.eye(6)[:2], 40, 0) + 0.05 * rng.standard_normal((80, 6))
    p = np.tile([0.8, 0.2], (80, 1))
    ids = np.array([f"i{r}" for r in range(80)])
    before = Corrected.first(ids, p.astype(np.float32), (), ())
    after = before.after(said(tmp_path, move={f"i{r}": 1 for r in range(24)}))
    many, _ = after.assignment()
    assert many.argmax(1).tolist() == [1] * 24 + [0] * 56
    close = after.suggestions(z)
    assert sorted(s.row for s in close) == list(range(24, 40))
    for s in close:
        assert s.to == 1
        assert s.because < 24
        units = z / np.linalg.norm(z, axis=1, keepdims=True)
        assert s.because == max(range(24), key=lambda r, s=s: units[r] @ units[s.row])
    assert [s.sure for s in close] == sorted((s.sure for s in close), reverse=True)
    assert before.after(said(tmp_path, move={"i0": 1})).suggestions(z) == []
    pinned = {"i30": 0, "i31": 0}
    rest = after.after(said(tmp_path, move=pinned)).suggestions(z)
    assert not {30, 31} & {s.row for s in rest}
    assert before.after(said(tmp_path, move=pinned)).suggestions(z) == []


def test_pinned_images_stay_whatever_pairs_say_of_others(answer, tmp_path):
    before, _ = answer
    own = int(before.probabilities[5].argmax())
    file = said(tmp_path, move={"i5": own, "i0": (own + 1) % K}, must_link=[["i5", "i50"]])
    p, facts = before.after(file).assignment()
    assert p[5, own] == p[50, own] == 1
    assert facts["corrections"]["pinned"] >= 1


def test_images_are_moved_to_new_clusters(answer, tmp_path):
    before, _ = answer
    file = said(tmp_path, move={"i0": K, "i1": K, "i2": K + 1}, names={str(K): "owls"})
    one = before.after(file)
    p, facts = one.assignment()
    assert p.shape == (N, K + 2)
    assert p.argmax(1)[:3].tolist() == [K, K, K + 1]
    assert p[3:, :K].tobytes() == before.probabilities[3:].tobytes()
    assert facts["names"] == ["", "", "", "", "owls", ""]
    assert facts["corrections"]["new"] == 2
    two = one.after(said(tmp_path, merge=[[1, K + 1]], move={"i3": K}))
    p, facts = two.assignment()
    assert p.argmax(1)[:4].tolist() == [K, K, 1, K]
    assert facts["names"] == ["", "", "", "", "owls"]


def test_handing_on_is_the_solution_of_the_linear_system(rng):
    z = rng.standard_normal((40, 6))
    q = softmax(rng.standard_normal((40, 3)))
    rows, to = np.arange(12), rng.integers(0, 3, 12)
    change = np.zeros((40, 3))
    change[rows] = np.eye(3)[to] - q[rows]
    graph = joint_graph([prepare(z, "pca").rows]).toarray()
    wanted = np.maximum(q + np.linalg.solve(np.eye(40) - REACH * graph, change), 0)
    wanted /= wanted.sum(1, keepdims=True)
    moved, others = followed(q, rows, to, z)
    assert set(others) == set(np.flatnonzero(wanted.argmax(1) != q.argmax(1))) - set(rows)
    np.testing.assert_allclose(moved[others], wanted[others], atol=1e-3)
    stay = np.setdiff1d(np.arange(40), others)
    assert moved[stay].tobytes() == q[stay].tobytes()


def test_merged_clusters_share_their_mass_and_numbers_become_dense(answer, tmp_path):
    before, _ = answer
    p, facts = before.after(said(tmp_path, merge=[[3, 1]], names={"3": "x", "2": "y"})).assignment()
    old = before.probabilities
    np.testing.assert_allclose(p, np.stack([old[:, 0], old[:, 1] + old[:, 3], old[:, 2]], 1))
    assert facts["names"] == ["", "x", "y"]
    assert facts["corrections"]["merged"] == [[1, 3]]
    assert facts["corrections"]["was"] == [0, 1, 2, 1]
    assert facts["corrections"]["names"] == {"1": "x", "2": "y"}


def test_numbers_after_merging():
    assert merged_numbers(((1, 4), (0, 5, 2)), 6) == (0, 1, 0, 2, 1, 0)
    assert merged_numbers((), 3) == (0, 1, 2)


def test_pairs_hold_together_with_those_given_beforehand_and_with_moves(answer, tmp_path):
    before, _ = answer
    given = Corrected.first(before.ids, before.probabilities, ((0, 15),), ((0, 30),))
    file = said(
        tmp_path,
        move={"i15": 2, "i31": 3},
        must_link=[["i0", "i45"]],
        cannot_link=[["i45", "i46"], ["i31", "i32"]],
    )
    p, facts = given.after(file).assignment()
    c = p.argmax(1)
    assert c[0] == c[15] == c[45] == 2
    assert p[45, 2] == 1
    assert c[30] != 2
    assert c[46] != 2
    assert c[31] == 3
    assert c[32] != 3
    assert (facts["corrections"]["must_link"], facts["corrections"]["cannot_link"]) == (1, 2)


def test_a_later_file_speaks_of_the_answer_after_the_earlier_one(answer, tmp_path):
    before, _ = answer
    one = before.after(said(tmp_path, merge=[[0, 1]], move={"i0": 3, "i1": 2}, names={"3": "z"}))
    two = one.after(said(tmp_path, merge=[[1, 2]], move={"i1": 0}, names={"2": "", "0": "a"}))
    p, facts = two.assignment()
    assert p.shape[1] == 2
    assert p[0].tolist() == [0, 1]  # moved to 3, which is 2 after the first file, 1 after the next
    assert p[1].tolist() == [1, 0]  # the last word on it
    assert facts["corrections"]["was"] == [0, 0, 1, 1]
    assert facts["corrections"]["merged"] == [[0, 1], [2, 3]]
    assert facts["corrections"]["moved"] == 2
    assert facts["names"] == ["a", ""]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"move": {"nobody": 1}}, r"the first 'nobody'"),
        ({"must_link": [["i0", "i99"]]}, r"of the 60 images of the assignment; got 1.*'i99'"),
        ({"move": {"i0": 5}}, "new ones from 4 on without a gap; got 5"),
        ({"move": {"i0": -1}}, "numbers from 0 to 3; got -1"),
        ({"move": {"i0": 4}, "names": {"5": "x"}}, "numbers from 0 to 4; got 5"),
        ({"names": {"17": "x"}}, "numbers from 0 to 3; got 17"),
        ({"merge": [[0, 4]]}, "numbers from 0 to 3; got 4"),
        ({"merge": [[0, 1, 2, 3]]}, "two clusters are left"),
    ],
)
def test_what_does_not_fit_the_answer(answer, tmp_path, parts, words):
    with pytest.raises(InputError, match=words):
        answer[0].after(said(tmp_path, **parts))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"must_link": [["i0", "i1"]], "cannot_link": [["i1", "i0"]]}, "'i1' and 'i0', which must"),
        ({"move": {"i0": 1, "i9": 2}, "must_link": [["i0", "i5"], ["i5", "i9"]]}, "'i0' and 'i9'"),
        ({"move": {"i0": 1, "i9": 1}, "cannot_link": [["i0", "i9"]]}, "'i0' and 'i9', which are"),
        (
            {"move": {"i0": 1, "i9": 2}, "merge": [[1, 2]], "cannot_link": [["i0", "i9"]]},
            "'i0' and 'i9'",
        ),
        (
            {
                "merge": [[0, 1], [2, 3]],
                "cannot_link": [["i0", "i1"], ["i1", "i2"], ["i2", "i0"]],
            },
            "with 2 clusters",
        ),
    ],
)
def test_contradictions_name_the_images(answer, tmp_path, parts, words):
    with pytest.raises(InputError, match=words):
        answer[0].after(said(tmp_path, **parts)).assignment()


# --- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "JSON in UTF-8; got nothing"),
        (b" \n", "JSON in UTF-8; got nothing"),
        (b"<!DOCTYPE html><html>", "got a web page"),
        (b"a,b\n1,2\n", "got something else"),
        (b"\xff\xfe{", "got something else"),
        (b"{", "got something else"),
        (b"[" * 100_000, "got something else"),
        (b"[1]", "got other JSON"),
        (b"{}", "'imclust-corrections-1'; got None"),
        (b'{"format": "imclust-corrections-9"}', "got 'imclust-corrections-9'"),
        (b'{"format": "imclust-corrections-1"}', "64 hexadecimal digits; got None"),
        (b'{"format": "imclust-corrections-1", "assignment": "12"}', "64 hexadecimal digits"),
    ],
)
def test_what_is_no_such_file(tmp_path, text, words):
    path = tmp_path / "c.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=words) as caught:
        read_corrections(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ('"moves": {}', "got 'moves'"),
        ('"move": {"a": 1, "a": 2}', "once each; got 'a' 2 times"),
        ('"move": {"a": [1, 2]}', "one cluster each"),
        ('"move": {"a": "1"}', "one cluster each"),
        ('"move": {"a": true}', "one cluster each"),
        ('"move": [["a", 1]]', "one cluster each"),
        ('"merge": [[1, 2], [2, 3]]', "without a common cluster; got 2 twice"),
        ('"merge": [[1, 1]]', "without a common cluster; got 1 twice"),
        ('"merge": [[1]]', "groups of two"),
        ('"merge": [1, 2]', "groups of two"),
        ('"merge": {"1": 2}', "groups of two"),
        ('"names": {"x": "y"}', "names"),
        ('"names": {"1": 5}', "names"),
        ('"names": {"-1": "y"}', "names"),
        ('"names": ["y"]', "names"),
        ('"names": {"1": "a\\nb"}', "in one line"),
        ('"names": {"1": "\\ud800"}', "in one line"),
        ('"names": {"1": "%s"}' % ("x" * 301), "at most 300"),
        ('"names": {"1": "x", "01": "y"}', "one a cluster"),
        ('"must_link": [["a", "a"]]', "two different ids"),
        ('"must_link": [["a", "b", "c"]]', "two different ids"),
        ('"must_link": {"a": "b"}', "two different ids"),
        ('"cannot_link": [["a", 1]]', "two different ids"),
        ('"cannot_link": [[["a"], ["b"]]]', "two different ids"),
    ],
)
def test_what_is_wrong_in_it(tmp_path, parts, words):
    path = tmp_path / "c.json"
    path.write_text(f'{{"format": "{FORMAT}", "assignment": "{DIGEST}", {parts}}}')
    with pytest.raises(InputError, match=words) as caught:
        read_corrections(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_names_of_any_script_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "c.json"
    name = '</script> "q" 👩\u200d🚀 $x^2$ é'
    doc = {"format": FORMAT, "assignment": DIGEST, "names": {"1": f" {name} "}}
    path.write_text(json.dumps(doc, ensure_ascii=False), encoding="utf-8-sig")
    assert read_corrections(path).names == {1: name}


def test_what_is_left_when_all_of_a_kind_was_moved_is_not_told_to_follow(rng):
    """Two kinds lay in one cluster; images of one were moved to a new one, all or some."""
    centres = 6 * rng.standard_normal((3, 8))
    kind = np.repeat([0, 1, 2], 12)
    z = (centres[kind] + rng.standard_normal((36, 8))).astype(np.float32)
    own, to = np.where(kind == 2, 1, 0), np.full(36, 2)
    one = np.flatnonzero(kind == 1)
    for rows in (one, one[:8]):
        others = np.setdiff1d(np.arange(24), rows)
        may = nearer_to_moved(others, own, to, (rows, np.full(len(rows), 2)), z)
        assert others[may].tolist() == np.setdiff1d(one, rows).tolist()


def test_said_before_images_came_and_went_new_clusters_follow_without_a_gap():
    said = Corrections(
        *(Path("c"), "0" * 64, {0: "sea", 3: "gone", 4: "kept"}, ((0, 1),)),
        *({"a": 3, "b": 4, "c": 1}, (("a", "b"), ("b", "c")), ()),
    )
    grown, gone = said.grown(["b", "c", "d"], 3, 5, "1" * 64)
    assert (grown.move, grown.names, gone) == ({"b": 5, "c": 1}, {0: "sea", 5: "kept"}, 1)
    assert (grown.must_link, grown.merge) == ((("b", "c"),), ((0, 1),))
    grown.check(["b", "c", "d"], 5)
