r"""Make imagenet_words.csv and imagenet_synonyms.csv of src/imclust/encoders from WordNet 3.0 and
timm's list of the classes.

    python scripts/imagenet_words.py <folder with index.noun, data.noun, .verb, .adj and .adv> \
        <timm/data/_info/imagenet_synsets.txt>

A row a class of ImageNet-1k, in the order of every network's outputs: its first word in WordNet,
the first words of its hypernyms from the nearest on, without those that say nothing to anybody, and
of hypernyms beside that line those which are above several classes, such as fruit of orange.
Of each of these words, a row with the others that WordNet has for it, but for proper names, and how
many of WordNet's definitions use it: how common a word it is; empty where another sense is its
first, since definitions mean that one, such as the bar by rail, not the bird.
"""

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1] / "src" / "imclust" / "encoders"
# The top of WordNet and its scaffolding.
PASSED_OVER = {
    *("entity", "physical entity", "object", "whole", "abstraction", "matter", "living thing"),
    *("causal agent", "instrumentality", "artifact", "organism", "attribute", "measure", "group"),
    *("substance", "relation", "chordate", "vertebrate", "placental", "conveyance", "unit"),
    *("geological formation", "natural object", "thing", "part", "eutherian", "diapsid"),
    *("covering", "protective covering", "nutriment", "solid", "produce", "device", "structure"),
    *("craft", "heavier-than-air craft", "self-propelled vehicle", "wheeled vehicle", "container"),
    *("natural elevation", "natural depression", "participant", "associate", "consumer goods"),
    *("implement", "commodity", "equipment", "obstruction", "way", "fabric", "matter"),
    *("location", "area", "surface", "piece", "piece of cloth", "article", "material", "apparatus"),
    *("reproductive structure", "plant organ", "plant part", "foodstuff", "starches"),
    *("connection", "decoration", "transducer", "feed", "lever", "peer", "attire", "case"),
    "ridge",  # of coral reefs and sandbars
}


SEVERAL = 5  # classes below a hypernym that does not lie in the first line


def nouns(folder: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Offset -> (its words, hypernyms)."""
    found = {}
    for line in (folder / "data.noun").read_text().splitlines():
        if line.startswith(" "):
            continue
        words = line.split()
        count = int(words[3], 16)
        at = 5 + 2 * count
        pointers = [words[at + 4 * i : at + 4 * i + 4] for i in range(int(words[at - 1]))]
        up = [offset for kind, offset, *_ in pointers if kind in {"@", "@i"}]
        mine = [word.replace("_", " ") for word in words[4 : 4 + 2 * count : 2]]
        found[words[0]] = (mine, up)
    return found


def senses_of(folder: Path) -> dict[str, list[str]]:
    """Noun -> offsets of its senses, the commonest first."""
    lines = (folder / "index.noun").read_text().splitlines()
    words = (line.split() for line in lines if not line.startswith(" "))
    return {fields[0]: fields[6 + int(fields[3]) :] for fields in words}


def used(folder: Path) -> Counter[str]:
    """Word, or two of them -> in how many definitions it stands."""
    found = Counter[str]()
    for kind in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{kind}").read_text().splitlines():
            if not line.startswith(" "):
                words = re.findall("[a-z]+", line.partition("|")[2].lower())
                found.update({*words, *(f"{a} {b}" for a, b in pairwise(words))})
    return found


def line_of(offset: str, of: dict[str, tuple[list[str], list[str]]]) -> list[str]:
    """Offsets of a class's first hypernym, of that one's first, and so on."""
    up, line = of[offset][1], list[str]()
    while up:
        line.append(up[0])
        up = of[up[0]][1]
    return line


def beside(offset: str, of: dict[str, tuple[list[str], list[str]]]) -> list[str]:
    """Offsets of its hypernyms that do not lie in that line, the nearest first."""
    to_do, found = [offset], list[str]()
    while to_do:
        new = [up for up in of[to_do.pop(0)][1] if up not in found]
        found += new
        to_do += new
    line = line_of(offset, of)
    return [up for up in found if up not in line]


def main(folder: str, synsets: str) -> None:
    """Write the tables."""
    of, uses = nouns(Path(folder)), used(Path(folder))
    senses, first = senses_of(Path(folder)), set[str]()
    rows, synonyms = [], dict[str, list[str]]()
    asked = Path(synsets).read_text().split()
    above = Counter(up for synset in asked for up in beside(synset[1:], of))
    for synset in asked:
        chain, also = list[str](), list[str]()
        for at in (synset[1:], *line_of(synset[1:], of)):
            word, *more = of[at][0]
            if not chain or (word not in PASSED_OVER and word not in chain):
                chain.append(word)
                synonyms.setdefault(word, []).extend(more)
                first |= {word} if senses[word.lower().replace(" ", "_")][0] == at else set()
        for at in beside(synset[1:], of):
            word, *more = of[at][0]
            if above[at] >= SEVERAL and word not in {*PASSED_OVER, *chain, *also}:
                also.append(word)
                synonyms.setdefault(word, []).extend(more)
                first |= {word} if senses[word.lower().replace(" ", "_")][0] == at else set()
        rows.append((synset, chain[0], "|".join(chain[1:]), "|".join(also)))
    others = {w: [o for o in dict.fromkeys(mine) if o == o.lower()] for w, mine in synonyms.items()}
    often = {w: uses[w.lower()] + uses[f"{w.lower()}s"] if w in first else "" for w in others}
    told = [(w, "|".join(more), often[w]) for w, more in sorted(others.items())]
    write("imagenet_words.csv", ("synset", "name", "hypernyms", "also"), rows)
    write("imagenet_synonyms.csv", ("word", "synonyms", "uses"), told)


def write(name: str, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """A table."""
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
