"""A small run with names that are hard on a page, its report, and a browser to look at it with."""

import io
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from helpers import two_kinds
from imclust.__main__ import main
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.records import Assignment, Features, write_csv
from imclust.data.images import ImageRow, save_index
from imclust.report.page.build import write_page
from imclust.report.page.sources import Sources

# Names that must be shown as text and do nothing.
CLASSES = ("<script>alert(1)", "\"quoted' & 🐱")
LONG = "l" * 300


ODD = (
    *("<img src=x onerror=alert(2)>.png", 'it\'s "so".png', "🦊🦉.png"),
    *(f"{LONG}.png", "$$x^2$$.png"),
)


def hard_names(n):
    """Members of a zip archive: two folders, names with markup, quotes, emoji and length."""
    names = [*ODD, *(f"{i:03}.png" for i in range(len(ODD), n))]
    return [f"{CLASSES[i % 2]}/{names[i // 2]}" for i in range(n)]


def stage(*words):
    """One stage, in this process; anything but success is an error."""
    status = main([str(w) for w in words])
    assert status == 0, words


def make_run(top, n=120):
    """A run of images in a zip archive, another one to compare with, and the report; the folder."""
    top.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(top / "images.zip", "w") as z:
        for name, x in zip(hard_names(n), two_kinds(n, size=40)[0], strict=True):
            out = io.BytesIO()
            Image.fromarray(x).save(out, "PNG")
            z.writestr(name, out.getvalue())
    raw = top / "raw"
    stage("download", "--out", raw, "imagefolder", "--data-dir", top / "images.zip")
    stage("train", "--index", raw / "index", "--out", top / "weights", "pixels")
    stage(
        "encode", "--index", raw / "index", "--weights", top / "weights", "--out", top / "latents"
    )
    stage("reduce", "--features", top / "latents", "--out", top / "flat", "pca", "--components", 2)
    for name, k in (("clusters", 4), ("other", 3)):
        stage(
            *("cluster", "--features", top / "latents", "--index", raw / "index"),
            *("--out", top / name, "--n-clusters", k, "minibatch-kmeans"),
        )
    stage(
        *("score", "--assignment", top / "clusters", "--index", raw / "index"),
        *("--labels", raw / "labels", "--out", top / "scores"),
    )
    stage(
        *("submit", "--assignment", top / "clusters", "--index", raw / "index"),
        *("--out", top / "submission", "--log", top / "log.csv", "--scores", top / "scores"),
    )
    report(top, "report", "--compare-with", top / "other")
    return top


def report(top, name, *more):
    stage(
        *("report", "--out", top / name, "--submission", top / "submission"),
        *("--scores", top / "scores", "--labels", top / "raw" / "labels"),
        *("--embedding", top / "flat", *more),
    )


def made_up(top, clusters, texts=(), flat=True, side=24, also=lambda folder: {}):
    """A report of artefacts that no stage made: of images of random colours, or of texts.

    Args:
        clusters: (n,) int. texts: one an image, if it shall be texts. flat: with an embedding.
        also: writes further files of the assignment and returns further facts about it.
    """
    top.mkdir(parents=True, exist_ok=True)
    n, k, rng = len(clusters), max(clusters) + 1, np.random.default_rng(0)
    ids, splits = np.array([f"i{i:05}" for i in range(n)]), np.full(n, "train")
    source = top / ("t.csv" if texts else "x.npy")
    if texts:
        write_csv(source, ("text",), ((t,) for t in texts))
    else:
        x = rng.integers(0, 256, (n, 1, 1, 3)) + rng.integers(-9, 9, (n, side, side, 3))
        np.save(source, x.clip(0, 255).astype(np.uint8))

    def index(folder):
        size = () if texts else (side, side)
        save_index(
            folder,
            [ImageRow(i, "train", str(source), str(r), *size) for r, i in enumerate(ids.tolist())],
        )
        return {"challenge": "made up", "content": "texts" if texts else "images"}

    def embedding(folder):
        xy = rng.standard_normal((n, 2)).astype(np.float32)
        return {**Features(ids, splits, xy).save(folder), "space": "made up"}

    p = rng.random((n, k)).astype(np.float32) / k
    p[np.arange(n), clusters] += 1
    answer = Assignment(ids, splits, p / p.sum(1, keepdims=True))
    make_artifact(top / "index", ArtifactSpec("index", {}, {}, ()), index)
    make_artifact(top / "flat", ArtifactSpec("features", {}, {}, ()), embedding)
    made = ArtifactSpec("assignment", {"method": "none"}, {"index": top / "index"}, ())
    make_artifact(top / "clusters", made, lambda folder: answer.save(folder) | also(folder))
    at = Sources(top / "clusters", top / "index", embedding=top / "flat" if flat else None)
    write_page(at, top, top / "report.html")
    return top / "report.html"


class Seen:
    """What a page said and asked for."""

    def __init__(self, page):
        self.console, self.requests = [], []
        page.on("console", lambda m: self.console.append((m.type, m.text)))
        page.on("pageerror", lambda e: self.console.append(("error", str(e))))
        page.on("request", lambda r: self.requests.append(r.url))

    @property
    def errors(self):
        return [text for kind, text in self.console if kind in {"error", "warning"}]

    @property
    def outside(self):
        return [url for url in self.requests if not url.startswith(("file://", "blob:", "data:"))]


@contextmanager
def opened(browser, path: Path, width=1280, height=900, **settings):
    """(page, Seen) of a file in a window of its own, once it is ready."""
    context = browser.new_context(viewport={"width": width, "height": height}, **settings)
    try:
        page = context.new_page()
        seen = Seen(page)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        yield page, seen
    finally:
        context.close()
