"""A small run with names that are hard on a page, its report, and a browser to look at it with."""

import io
import shutil
import zipfile
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from helpers import two_kinds
from imclust.__main__ import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
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
    report(top, "report", "--against", top / "other")
    return top


def report(top, name, *more):
    stage(
        *("report", "--out", top / name, "--submission", top / "submission"),
        *("--scores", top / "scores", "--labels", top / "raw" / "labels"),
        *("--embedding", top / "flat", *more),
    )


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
