"""What the stages say, for somebody who has a folder of pictures and no challenge."""

from __future__ import annotations

import re

# (what a stage says, what is shown instead); "" for what helps nobody to see how it goes.
WORDS = (
    (r"challenge \S+: .*", ""),
    (r"1 image to cluster, 0 for validation", "1 picture to cluster"),
    (r"(\d+) images to cluster, 0 for validation", r"\1 pictures to cluster"),
    (r"(\d+) image(s?) found, (.*)", r"\1 picture\2 found, \3"),
    (r"1 image is an exact copy of others .*", "1 picture is an exact copy of another"),
    (r"(\d+) images are exact copies of others .*", r"\1 pictures are exact copies of others"),
    (r"(\d+) of \d+ images? (?:is|are) set aside", r"\1 set aside"),
    (r"\S+: [\d,]+ parameters", ""),
    (r"weights of \S+ are in .*", ""),
    (r"\d+ latents? of \d+ numbers (?:is|are) in .*", ""),
    (r"\S+: \d+ rows of \d+ numbers are in .*", ""),
    (r"\S+: clusters of \[.*\] images are in .*", ""),
    (r"1 of \d+ images? is encoded already", "1 picture is known from the last visit"),
    (r"(\d+ of \d+) images are encoded already", r"\1 pictures are known from the last visit"),
    (r"row order carries signal.*", ""),
)


def plain_words(line: str) -> str:
    """A line of a stage in plain words; "" where it is better left out.

    Examples
    --------
    >>> plain_words("480 images found, 3 files left out: 2 HEIC, 1 text")
    '480 pictures found, 3 files left out: 2 HEIC, 1 text'
    >>> plain_words("pca: 480 rows of 64 numbers are in data/pca")
    ''
    """
    for said, shown in WORDS:
        if found := re.fullmatch(said, line):
            return found.expand(shown)
    return line
