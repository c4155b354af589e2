"""Make src/imclust/encoders/nouns.txt from WordNet 3.0: what may be seen in pictures.

    python scripts/noun_list.py <folder with data.noun, index.noun and cntlist.rev>

The names of ImageNet's classes and the words above them, from imagenet_words.csv; and of WordNet
the nouns of what can be seen (its files of animals, artifacts, bodies, food, natural
objects, persons, weather and plants) that its tagged texts use often enough, mostly in this sense.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

from imagenet_words import senses_of

HERE = Path(__file__).parents[1] / "src" / "imclust" / "encoders"
# Lexicographer's file -> how often its sense must occur in the tagged texts.
OFTEN = {"05": 1, "06": 2, "08": 2, "13": 1, "17": 1, "18": 5, "19": 2, "20": 1}
# Scenes that WordNet files under times, groups and acts.
SCENES = (
    *("sunset", "sunrise", "night", "winter", "autumn", "city", "town", "village", "forest"),
    *("crowd", "wedding", "party", "concert", "dance", "swimming", "skiing", "skating", "surfing"),
    *("garden", "market", "traffic", "fleet", "herd", "flock", "parade", "graffiti", "meadow"),
)
# Of the top of WordNet, and what is no thing to be seen.
PASSED_OVER = {
    *("artifact", "object", "structure", "instrumentality", "thing", "part", "way", "device"),
    *("unit", "covering", "whole", "content", "line", "system", "place", "base", "facility"),
    *("force", "energy", "power", "pressure", "heat", "resistance", "process", "chance", "act"),
    *("member", "person", "organism", "living thing", "creation", "product", "article", "work"),
    *("component", "end", "form", "model", "copy", "side", "front", "back", "top", "means"),
}


def of_wordnet(folder: Path) -> set[str]:
    """Its nouns that pass."""
    senses, count = senses_of(folder), defaultdict[tuple[str, int], int](int)
    for line in (folder / "cntlist.rev").read_text().splitlines():
        key, sense, times = line.split()
        lemma, _, rest = key.partition("%")
        if rest.startswith("1:"):
            count[lemma, int(sense)] = int(times)
    found = set()
    for line in (folder / "data.noun").read_text().splitlines():
        if line.startswith(" "):
            continue
        offset, file, _, number, *rest = line.split()
        for word in rest[: 2 * int(number, 16) : 2]:
            if word != word.lower() or not word.replace("_", "").replace("-", "").isalpha():
                continue
            mine = count[word, senses[word].index(offset) + 1]
            every = sum(count[word, at + 1] for at in range(len(senses[word])))
            if mine >= OFTEN.get(file, 1 << 30) and 2 * mine >= every and len(word) > 2:
                found.add(word.replace("_", " "))
    return found


def main(folder: str) -> None:
    """Write the list, a word a line, in alphabetical order."""
    with (HERE / "imagenet_words.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    words = {word for row in rows for word in (row["name"], *row["hypernyms"].split("|")) if word}
    words |= of_wordnet(Path(folder)) | set(SCENES)
    kept = sorted(words - PASSED_OVER)
    (HERE / "nouns.txt").write_text("\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
