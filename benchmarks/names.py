"""Are the names of clusters right? Share of clusters whose name holds a word of the true class,
and share that has a name at all.

    python benchmarks/names.py ../shared/data/natural_images30.zip --seeds 0 1 2 3 4

Clusters are those of `auto`, quick, at the true K, of at most 300 images, drawn by the seed. The
true class of a cluster is that of most of its images. A name is right when it and the folder's
name, or a word above that in WordNet as far as the bundled table knows it, share a word of three
letters or more, singular or plural, also as the end of a longer one: `sunshine` for the folder
`shine`. Labels score; nothing else reads them. Prints a table and writes JSON.
"""

import argparse
import json
import re
import tempfile
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from imclust.__main__ import main as imclust
from imclust.core.name_records import found_names
from imclust.core.records import Assignment, read_csv
from imclust.encoders.class_head import SYNONYMS, WORDS

MOST = 300
LONG = 5  # letters of a word that may end another


def words_of(text):
    """Its words, lower case, without a plural's s."""
    found = re.findall(r"[a-z]{3,}", text.lower())
    return {word.removesuffix("s") for word in found}


def right(name, label):
    """Whether a name holds a word of a class."""
    named, own = words_of(name), words_of(label.replace("_", " "))
    ends = any(word.endswith(end) for word in named for end in own if len(end) >= LONG)
    return ends or bool(named & wanted(label))


def wanted(label):
    """Words of a class and of its nearest parent in the bundled table, where it has the class, also
    by another of its names in WordNet, such as motorbike for minibike."""
    words = words_of(label.replace("_", " "))
    same = {row["word"]: row["synonyms"].split("|") for row in read_csv(SYNONYMS)}
    for row in read_csv(WORDS):
        chain = [row["name"], *row["hypernyms"].split("|")]
        for at, name in enumerate(chain[:-1]):
            if any(words_of(each) == words for each in [name, *same.get(name, [])]):
                return words | words_of(name) | words_of(chain[at + 1])
    return words


def encoded(archive, seed, top, most=MOST):
    """Encode images drawn from an archive into folders of `top`; returns file -> class."""
    folder = Path(top) / "x"
    folder.mkdir()
    label = {}
    with zipfile.ZipFile(archive) as z:
        names = sorted(n for n in z.namelist() if n.lower().endswith((".jpg", ".jpeg", ".png")))
        chosen = np.random.default_rng(seed).permutation(len(names))[:most]
        for number, at in enumerate(sorted(chosen.tolist())):
            file = f"{number:05}{PurePosixPath(names[at]).suffix}"
            (folder / file).write_bytes(z.read(names[at]))
            label[file] = PurePosixPath(names[at]).parent.name
    run(f"download --out {top}/raw folder --data-dir {folder}")
    run(f"train --index {top}/raw/index --out {top}/w timm --pool mean_std --layers 4")
    run(f"encode --index {top}/raw/index --weights {top}/w --out {top}/z")
    return label


def run(line):
    """One stage."""
    if imclust(line.split()):
        raise SystemExit(f"{line} failed")


def one(archive, seed):
    """(name, true class, right, evidence) of every cluster."""
    with tempfile.TemporaryDirectory() as top:
        label = encoded(archive, seed, top)
        k = len(set(label.values()))
        run(
            f"cluster --features {top}/z --index {top}/raw/index --out {top}/c --n-clusters {k} "
            f"--seed {seed} auto --effort quick"
        )
        at = f"--assignment {top}/c --features {top}/z --index {top}/raw/index"
        run(f"name {at} --out {top}/n")
        found = Assignment.load(Path(top) / "c")
        rows = []
        for c, (name, why) in enumerate(found_names(Path(top) / "n")):
            mine = [label[i] for i in found.ids[found.clusters == c].tolist()]
            true = Counter(mine).most_common(1)[0][0]
            rows.append((name, true, right(name, true), why))
    return rows


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--json", type=Path, default=Path("names.json"))
    args = parser.parse_args()
    table = {}
    for archive in args.archives:
        runs = table[archive.stem] = [one(archive, seed) for seed in args.seeds]
        for name, true, fits, why in runs[0]:
            print(f"  {'+' if fits else '-'} {true}: {name} | {why}")
        shares = [float(np.mean([fits for _, _, fits, _ in rows])) for rows in runs]
        named = [float(np.mean([bool(name) for name, *_ in rows])) for rows in runs]
        print(
            f"{archive.stem}: right {np.mean(shares):.3f} ± {np.std(shares):.3f}, "
            f"named {np.mean(named):.3f} ± {np.std(named):.3f}",
            flush=True,
        )
    args.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
