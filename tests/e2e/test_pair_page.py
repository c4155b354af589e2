"""The page of clusters of pairs: doubts, drawn pairs, answers, and the clusters after them."""

import json

import numpy as np
import pytest

from helpers import refused
from imclust.__main__ import main
from imclust.core.manifest import file_digest, read_manifest
from imclust.core.records import Assignment, read_csv
from pages import opened
from textures import make_individuals

LINK = "link --pairs p --features z --index raw/index --out a --threshold 0.9"
REPORT = "report --assignment a --embedding flat --out page"


def ran(*lines):
    for line in lines:
        assert main(line.split()) == 0, line


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    """Clusters cut too finely, so that there is something to say, and their page."""
    folder = tmp_path_factory.mktemp("run")
    make_individuals(folder / "who", 4, 4, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ran(
            "download --out raw individuals --data-dir who --truth who-truth.csv",
            "train --index raw/index --out w pixels --size 16",
            "encode --index raw/index --weights w --out z --flip",
            "reduce --features z --out flat pca --components 2",
            "pairs --features z --index raw/index --out p --side 128 --keypoints 200",
            LINK,
            REPORT,
        )
        yield folder


def where(folder="a"):
    """Id -> name of its cluster."""
    from pathlib import Path

    answer, names = Assignment.load(Path(folder)), read_manifest(Path(folder))["names"]
    return {i: names[c] for i, c in zip(answer.ids.tolist(), answer.clusters, strict=True)}


def say_of(path, top, **said):
    digest = file_digest(top / "a" / "assignment.csv")
    doc = {"format": "imclust-corrections-1", "assignment": digest, **said}
    path.write_text(json.dumps(doc))
    return path


def test_tables_tell_what_is_doubtful_and_what_to_ask(top):
    k = read_manifest(top / "a")["n_clusters"]
    doubts = read_csv(top / "a" / "doubts.csv")
    assert len(doubts) == k
    values = [float(r["doubt"]) for r in doubts]
    assert values == sorted(values, reverse=True)
    asked = read_csv(top / "a" / "questions.csv")
    assert 1 <= len(asked) <= 20
    called = where(top / "a")
    for r in asked:
        assert [called[r["first"]], called[r["second"]]] == [
            r["first_cluster"],
            r["second_cluster"],
        ]
        assert (r["now"] == "same") == (r["first_cluster"] == r["second_cluster"])


def test_answers_by_buttons_become_a_file_that_link_obeys(top, browser, tmp_path):
    before = where(top / "a")
    with opened(browser, top / "page" / "report.html") as (page, seen):
        order = page.locator("article.cluster").evaluate_all("(a) => a.map((x) => x.dataset.doubt)")
        assert [float(v) for v in order] == sorted(map(float, order), reverse=True)
        cards = page.locator(".asked .pair")
        assert cards.count() == len(read_csv(top / "a" / "questions.csv"))
        drawn = cards.first.locator("img.drawn")
        drawn.scroll_into_view_if_needed()
        page.locator(".asked img.drawn[src]").first.wait_for()
        drawn.evaluate("(image) => image.decode()")
        assert drawn.evaluate("(image) => image.naturalWidth") > 50
        assert "agree" in page.locator(".deciding .said", has_text="keypoints").first.text_content()
        same = cards.first.get_by_role("button", name="Same", exact=False).first
        apart = cards.first.locator("[data-answer=cannot_link]")
        apart.click()
        same.click()  # turns the answer
        assert same.get_attribute("aria-pressed") == "true"
        assert apart.get_attribute("aria-pressed") == "false"
        cards.nth(1).locator("[data-answer=cannot_link]").click()
        cards.nth(2).locator("[data-answer=must_link]").click()
        cards.nth(2).locator("[data-answer=must_link]").click()  # takes it back
        assert page.locator("#badge").inner_text() == "2"
        page.locator("#toggle").click()
        with page.expect_download() as caught:
            page.get_by_role("button", name="Save corrections").click()
        caught.value.save_as(tmp_path / "c.json")
        command = page.locator("#pending code").inner_text()
        assert command.startswith("python -m imclust link --corrections corrections.json --pairs p")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert seen.errors == []
        assert seen.outside == []
    made = json.loads((tmp_path / "c.json").read_text())
    asked = read_csv(top / "a" / "questions.csv")
    pair = [{r["first"], r["second"]} for r in asked]
    assert [set(p) for p in made["must_link"]] == [pair[0]]
    assert [set(p) for p in made["cannot_link"]] == [pair[1]]
    line = command.partition(" && ")[0].removeprefix("python -m imclust ").replace("\\", "")
    ran(line.replace("corrections.json", str(tmp_path / "c.json")), REPORT)
    after = where(top / "a")
    assert len({after[i] for i in made["must_link"][0]}) == 1
    assert len({after[i] for i in made["cannot_link"][0]}) == 2
    assert np.mean([before[i] == after[i] for i in before]) > 0.7  # names stay
    assert read_manifest(top / "a")["corrections"]["must_link"] == 1
    assert "must-link pairs: 1" in (top / "page" / "report.html").read_text()
    ran(f"{LINK} --without-corrections")


def test_corrections_live_with_the_run_until_they_are_left_out(top, tmp_path, capsys):
    table = (top / "a" / "assignment.csv").read_bytes()
    clusters = Assignment.load(top / "a").clusters
    ids = Assignment.load(top / "a").ids.tolist()
    sizes = np.bincount(clusters)
    known = {r["image_id"] for r in read_csv(top / "who" / "metadata.csv") if r["identity"]}
    of = {c: {ids[r] for r in np.flatnonzero(clusters == c)} for c in range(len(sizes))}
    free = sorted((c for c in of if not of[c] & known), key=lambda c: -len(of[c]))
    one, other = free[:2]
    first = say_of(tmp_path / "1.json", top, merge=[[one, other]], names={str(one): "Ada"})
    ran(f"{LINK} --corrections {first}")
    whole = of[one] | of[other]
    assert {i for i, name in where().items() if name == "Ada"} >= whole
    capsys.readouterr()
    ran(LINK)
    assert "up to date" in capsys.readouterr().out
    image = sorted(whole)[0]
    second = say_of(tmp_path / "2.json", top, move={image: read_manifest(top / "a")["n_clusters"]})
    ran(f"{LINK} --corrections {second}")
    assert sum(name == where()[image] for name in where().values()) == 1
    assert len(list((top / "a" / "corrections").iterdir())) == 2
    ran("submit --assignment a --index raw/index --out s --log log.csv")
    ran(f"{LINK} --without-corrections")
    assert (top / "a" / "assignment.csv").read_bytes() == table
    kept = [p.read_text() for p in (top / "corrections-left-out").iterdir()]
    assert {first.read_text(), second.read_text()} <= set(kept)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"must_link": [["0", "nobody"]]}, ("ids of the corrections", "'nobody'")),
        ({"move": {"0": 999}}, ("clusters of the corrections",)),
        ({"must_link": [["0", "1"]], "cannot_link": [["0", "1"]]}, ("say both",)),
    ],
)
def test_corrections_that_cannot_be_kept_are_one_sentence(top, tmp_path, said, words, capsys):
    table = (top / "a" / "assignment.csv").read_bytes()
    path = say_of(tmp_path / "c.json", top, **said)
    capsys.readouterr()
    status = main(f"{LINK} --corrections {path}".split())
    refused((status, *capsys.readouterr()), *words)
    path.write_text(path.read_text().replace(file_digest(top / "a" / "assignment.csv"), "0" * 64))
    refused(
        (main(f"{LINK} --corrections {path}".split()), *capsys.readouterr()),
        "made for this assignment",
    )
    assert (top / "a" / "assignment.csv").read_bytes() == table


LOOKS = {
    "light": {"color_scheme": "light"},
    "phone": {"color_scheme": "dark", "width": 390, "height": 844, "has_touch": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_accessible_and_no_wider_than_the_window(top, browser, look):
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, top / "page" / "report.html", **LOOKS[look]) as (page, seen):
        for name in ("#questions", "#clusters"):
            page.locator(name).scroll_into_view_if_needed()
            page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = Axe().run(page, context="#questions, #clusters")
        assert found.violations_count == 0, found.generate_report()
        assert seen.errors == []


def test_the_page_is_html_without_a_parse_error(top):
    import html5lib

    text = (top / "page" / "report.html").read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(text)
