"""How large and how slow report.html becomes: random crops of photographs, clusters at random.

python benchmarks/report_size.py --images 1000 10000 100000

Frames a second while the map is dragged are counted in Chromium, where that is installed.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.records import Assignment, Features
from imclust.data.images import ImageRow, save_index
from imclust.report.page.build import write_page
from imclust.report.page.sources import Sources

SIDE = 64  # of a stored image


def crops(n: int, rng: np.random.Generator) -> np.ndarray:
    """Crops (n, SIDE, SIDE, 3) uint8 of the photographs that scikit-learn ships."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    out = np.empty((n, SIDE, SIDE, 3), np.uint8)
    for i in range(n):
        photo = photos[i % 2]
        top, left = (rng.integers(0, size - SIDE) for size in photo.shape[:2])
        out[i] = photo[top : top + SIDE, left : left + SIDE]
    return out


def artefacts(top: Path, n: int, k: int) -> Sources:
    """A run of n images with names of 60 characters, labels and an embedding."""
    rng = np.random.default_rng(0)
    np.save(top / "x.npy", crops(n, rng))
    ids = np.array(
        [f"photographs/of the year {rng.integers(1e12):012}/{i:024}.jpg" for i in range(n)]
    )
    splits = np.full(n, "train")
    clusters = rng.integers(0, k, n)
    p = rng.random((n, k)).astype(np.float32)
    p[np.arange(n), clusters] += 1
    p /= p.sum(1, keepdims=True)
    xy = rng.standard_normal((n, 2)) + 6 * rng.standard_normal((k, 2))[clusters]

    def index(folder: Path) -> dict[str, object]:
        source = str(top / "x.npy")
        rows = [
            ImageRow(i, "train", source, str(r), SIDE, SIDE) for r, i in enumerate(ids.tolist())
        ]
        save_index(folder, rows)
        return {"challenge": "crops", "content": "images"}

    def embedding(folder: Path) -> dict[str, object]:
        return {**Features(ids, splits, xy.astype(np.float32)).save(folder), "space": "made up"}

    make_artifact(top / "index", ArtifactSpec("index", {}, {}, ()), index)
    make_artifact(top / "xy", ArtifactSpec("features", {}, {}, ()), embedding)
    made = ArtifactSpec("assignment", {"method": "none", "seed": 0}, {"features": top / "xy"}, ())
    answer = Assignment(ids, splits, p)
    make_artifact(top / "clusters", made, lambda f: {**answer.save(f), "merge_order": []})
    named = dict(zip(ids.tolist(), map(str, clusters), strict=True))
    return Sources(top / "clusters", top / "index", embedding=top / "xy", labels=named)


DRAG = """async ([x, y]) => {
  let target = document.elementFromPoint(x, y);
  while (target.shadowRoot) {
    const inner = target.shadowRoot.elementFromPoint(x, y);
    if (!inner || inner === target) break;
    target = inner;
  }
  const began = performance.now();
  for (let i = 1; i <= 60; i++) {
    const at = { clientX: x + 3 * i, clientY: y + 2 * i, pointerId: 1, buttons: 1 };
    const how = { bubbles: true, composed: true, isPrimary: true, pointerType: "mouse" };
    target.dispatchEvent(new PointerEvent("pointermove", { ...at, ...how }));
    await new Promise(requestAnimationFrame);
  }
  return 60000 / (performance.now() - began);
}"""


def frames(page: Path) -> float | None:
    """Frames a second of 60 movements, each drawn before the next; None without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return None
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:  # of requirements-dev.txt
        return None
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1280, "height": 900})
        shown.goto(page.resolve().as_uri())
        shown.wait_for_selector("html[data-ready]", timeout=600_000)
        plot = shown.locator("#map-plot")
        plot.scroll_into_view_if_needed()
        plot.locator("canvas").first.wait_for(timeout=600_000)
        shown.wait_for_timeout(2000)
        box = plot.bounding_box()
        assert box is not None
        at = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        shown.mouse.move(*at)
        shown.mouse.down()
        found = shown.evaluate(DRAG, at)
        browser.close()
    return float(found)


def main() -> None:
    """A line a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--clusters", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="folder in which the pages stay")
    args = parser.parse_args()
    print("images  seconds  MB  peak MiB  frames a second")
    for n in args.images:
        with tempfile.TemporaryDirectory() as folder:
            at = artefacts(Path(folder), n, args.clusters)
            page = (args.keep or Path(folder)) / f"report-{n}.html"
            began = time.perf_counter()
            write_page(at, Path(folder), page)
            took = time.perf_counter() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            seen = frames(page)
            pace = "-" if seen is None else f"{seen:.0f}"
            size = page.stat().st_size / 1e6
            print(f"{n:>6}  {took:7.1f}  {size:.1f}  {peak}  {pace}", flush=True)


if __name__ == "__main__":
    main()
