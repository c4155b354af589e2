"""K of small folders: how often it is right, and whether what is said of it can be trusted.

    python benchmarks/small_folders.py ../shared/data/weather_photos.zip --seeds 0 1 2 3 4

Of 700 images drawn from an archive, every seed draws folders of 10 to 80 images of 2, 3 and 4
classes, as even as they go, and of one large and some small classes. Labels score; nothing else
reads them. Prints a table and writes JSON.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from imclust.clustering.k_words import k_words
from imclust.clustering.n_clusters import estimate_k
from imclust.core.records import Features, parts_of
from names import encoded

SIZES = (10, 12, 20, 40, 80)
CLASSES = (2, 3, 4)
UNEVEN = ((120, 18, 6), (90, 30, 10), (60, 20, 8), (80, 10), (100, 40, 15, 6), (60, 30, 15, 8))
IMAGES = 700


def folders(labels, seed):
    """(rows (n,), number of classes, `even` or `uneven`) of every small folder."""
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    for sizes in UNEVEN:
        large = int(counts.argmax())
        others = [c for c in rng.permutation(len(classes)).tolist() if c != large]
        picked = [large, *others][: len(sizes)]
        each = [
            rng.permutation(np.flatnonzero(labels == classes[c]))[:n]
            for c, n in zip(picked, sizes, strict=False)
        ]
        if len(picked) == len(sizes):
            yield np.sort(rng.permutation(np.concatenate(each))), len(sizes), "uneven"
    for n in SIZES:
        for k in CLASSES:
            picked = rng.choice(sorted(set(labels.tolist())), k, replace=False)
            each = [rng.permutation(np.flatnonzero(labels == c))[: -(-n // k)] for c in picked]
            rows = np.concatenate(each)
            if len(rows) >= 0.9 * n:
                yield np.sort(rng.permutation(rows)[:n]), k, "even"


def measured(archive, seeds):
    """(images, classes, K, even or uneven, how sure) of every folder."""
    with tempfile.TemporaryDirectory() as top:
        label = encoded(archive, 0, top, IMAGES)
        features = Features.load(Path(top) / "z")
        spaces = [np.array(part) for part in parts_of(Path(top) / "z", np.asarray(features.x))]
        labels = np.array([label[i] for i in features.ids.tolist()])
    found = []
    for seed in seeds:
        for rows, k, shape in folders(labels, seed):
            words = k_words(estimate_k([space[rows] for space in spaces], seed))
            found.append((len(rows), k, words["k"], shape, words["sure"].partition(":")[0]))
    return found


def show(name, cells):
    """One line of the table."""
    off = np.array([abs(k - found) for _, k, found, *_ in cells])
    print(f"{name:28} {len(cells):5} {np.mean(off == 0):6.2f} {np.mean(off <= 1):11.2f}")


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--json", type=Path, default=Path("small_folders.json"))
    args = parser.parse_args()
    table = [(a.stem, *row) for a in args.archives for row in measured(a, args.seeds)]
    args.json.write_text(json.dumps(table, indent=1))
    parts = defaultdict(list)
    for archive, *cell in table:
        for name in ("all", cell[3], f"{archive}, {cell[3]}", f"{cell[3]}: {cell[-1]}"):
            parts[name].append(cell)
    print(f"{'':28} {'n':>5} {'right':>6} {'within one':>11}")
    for name, cells in parts.items():
        show(name, cells)


if __name__ == "__main__":
    main()
