"""K of small folders: how often it is right, and whether what is said of it can be trusted.

    python benchmarks/small_folders.py ../shared/data/weather_photos.zip --seeds 0 1 2 3 4

Of 300 images that a seed draws from an archive, folders of 10 to 80 images of 2, 3 and 4 classes,
as even as they go. Labels score; nothing else reads them. Prints a table and writes JSON.
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


def folders(labels, seed):
    """Rows (n,) of every small folder, with its number of classes."""
    rng = np.random.default_rng(seed)
    for n in SIZES:
        for k in CLASSES:
            picked = rng.choice(sorted(set(labels.tolist())), k, replace=False)
            each = [rng.permutation(np.flatnonzero(labels == c))[: -(-n // k)] for c in picked]
            rows = np.concatenate(each)
            if len(rows) >= 0.9 * n:
                yield np.sort(rng.permutation(rows)[:n]), k


def one(archive, seed):
    """(images, classes, K, how sure) of every folder."""
    with tempfile.TemporaryDirectory() as top:
        label = encoded(archive, seed, top)
        features = Features.load(Path(top) / "z")
        spaces = [np.array(part) for part in parts_of(Path(top) / "z", np.asarray(features.x))]
        labels = np.array([label[i] for i in features.ids.tolist()])
    found = []
    for rows, k in folders(labels, seed):
        words = k_words(estimate_k([space[rows] for space in spaces], seed))
        found.append((len(rows), k, words["k"], words["sure"].partition(":")[0]))
    return found


def show(name, cells):
    """One line of the table."""
    off = np.array([abs(k - found) for _, k, found, _ in cells])
    print(f"{name:20} {len(cells):5} {np.mean(off == 0):6.2f} {np.mean(off <= 1):11.2f}")


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--json", type=Path, default=Path("small_folders.json"))
    args = parser.parse_args()
    table = [(a.stem, *row) for a in args.archives for s in args.seeds for row in one(a, s)]
    args.json.write_text(json.dumps(table, indent=1))
    parts = defaultdict(list)
    for archive, *cell in table:
        for name in ("all", archive, f"{cell[0]} images", cell[-1]):
            parts[name].append(cell)
    print(f"{'':20} {'n':>5} {'right':>6} {'within one':>11}")
    for name, cells in parts.items():
        show(name, cells)


if __name__ == "__main__":
    main()
