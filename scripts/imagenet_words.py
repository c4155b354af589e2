r"""Make imagenet_words.csv and imagenet_synonyms.csv of src/imclust/encoders from WordNet 3.0 and
timm's list of the classes.

    python scripts/imagenet_words.py <folder with data.noun, index.noun and cntlist.rev> \
        <timm/data/_info/imagenet_synsets.txt>

A row a class of ImageNet-1k, in the order of every network's outputs: its first word in WordNet,
and the first words of its hypernyms from the nearest on, without those that say nothing to anybody.
Of each of these words, a row with the others that WordNet has for it, but for proper names, and how
often its tagged texts use it in this sense.
"""

import csv
import sys
from collections import Counter
from collections.abc import Iterable
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
    *("connection", "decoration", "transducer", "feed", "lever", "peer", "attire", "case"),
}


def nouns(folder: Path) -> dict[str, tuple[list[str], str | None]]:
    """Offset -> (its words, first hypernym)."""
    found = {}
    for line in (folder / "data.noun").read_text().splitlines():
        if line.startswith(" "):
            continue
        words = line.split()
        count = int(words[3], 16)
        at = 5 + 2 * count
        pointers = [words[at + 4 * i : at + 4 * i + 4] for i in range(int(words[at - 1]))]
        up = next((offset for kind, offset, *_ in pointers if kind in {"@", "@i"}), None)
        mine = [word.replace("_", " ") for word in words[4 : 4 + 2 * count : 2]]
        found[words[0]] = (mine, up)
    return found


def senses_of(folder: Path) -> dict[str, list[str]]:
    """Noun -> offsets of its senses, the commonest first."""
    lines = (folder / "index.noun").read_text().splitlines()
    words = (line.split() for line in lines if not line.startswith(" "))
    return {fields[0]: fields[6 + int(fields[3]) :] for fields in words}


def used(folder: Path) -> dict[tuple[str, str], int]:
    """(Word, offset) -> how often the tagged texts use it in that sense."""
    senses, found = senses_of(folder), Counter[tuple[str, str]]()
    for line in (folder / "cntlist.rev").read_text().splitlines():
        key, sense, times = line.split()
        word, _, rest = key.partition("%")
        if rest.startswith("1:") and int(sense) <= len(senses.get(word, ())):
            found[word, senses[word][int(sense) - 1]] = int(times)
    return found


def main(folder: str, synsets: str) -> None:
    """Write the tables."""
    of, uses = nouns(Path(folder)), used(Path(folder))
    rows, synonyms, often = [], dict[str, list[str]](), Counter[str]()
    for synset in Path(synsets).read_text().split():
        up, chain = synset[1:], list[str]()
        while up is not None:
            at, ((word, *more), up) = up, of[up]
            if not chain or (word not in PASSED_OVER and word not in chain):
                chain.append(word)
                synonyms.setdefault(word, []).extend(more)
                often[word] = uses[word.replace(" ", "_"), at]
        rows.append((synset, chain[0], "|".join(chain[1:])))
    others = {w: [o for o in dict.fromkeys(mine) if o == o.lower()] for w, mine in synonyms.items()}
    told = [(w, "|".join(mine), often[w]) for w, mine in sorted(others.items()) if mine or often[w]]
    write("imagenet_words.csv", ("synset", "name", "hypernyms"), rows)
    write("imagenet_synonyms.csv", ("word", "synonyms", "uses"), told)


def write(name: str, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """A table."""
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
