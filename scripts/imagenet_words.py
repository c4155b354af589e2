"""Make src/imclust/encoders/imagenet_words.csv from WordNet 3.0 and timm's list of the classes.

    python scripts/imagenet_words.py <folder with data.noun> <timm/data/_info/imagenet_synsets.txt>

A row a class of ImageNet-1k, in the order of every network's outputs: its first word in WordNet,
and the first words of its hypernyms from the nearest on, without those that say nothing to anybody.
"""

import csv
import sys
from pathlib import Path

TO = Path(__file__).parents[1] / "src" / "imclust" / "encoders" / "imagenet_words.csv"
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
}


def nouns(folder: Path) -> dict[str, tuple[str, str | None]]:
    """Offset -> (first word, first hypernym)."""
    found = {}
    for line in (folder / "data.noun").read_text().splitlines():
        if line.startswith(" "):
            continue
        words = line.split()
        count = int(words[3], 16)
        at = 5 + 2 * count
        pointers = [words[at + 4 * i : at + 4 * i + 4] for i in range(int(words[at - 1]))]
        up = next((offset for kind, offset, *_ in pointers if kind in {"@", "@i"}), None)
        found[words[0]] = (words[4].replace("_", " "), up)
    return found


def main(folder: str, synsets: str) -> None:
    """Write the table."""
    of = nouns(Path(folder))
    with TO.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("synset", "name", "hypernyms"))
        for synset in Path(synsets).read_text().split():
            name, up = of[synset[1:]]
            chain = list[str]()
            while up is not None:
                word, up = of[up]
                if word not in PASSED_OVER and word not in {name, *chain}:
                    chain.append(word)
            out.writerow((synset, name, "|".join(chain)))


if __name__ == "__main__":
    main(*sys.argv[1:])
