"""What the stages say, for somebody who has a folder of pictures and no challenge."""

from __future__ import annotations

import re

# (what a stage says, what is shown instead); "" for what helps nobody to see how it goes.
WORDS = (
    (r"challenge \S+: .*", ""),
    (r"(\d+) images? to cluster, 0 for validation", r"\1 pictures to cluster"),
    (r"(\d+) images? found, (.*)", r"\1 pictures found, \2"),
    (r"(\d+) images are exact copies of others .*", r"\1 pictures are exact copies of others"),
    (r"(\d+) of \d+ images are set aside", r"\1 set aside"),
    (r"\S+: [\d,]+ parameters", ""),
    (r"weights of \S+ are in .*", ""),
    (r"\d+ latents of \d+ numbers are in .*", ""),
    (r"\S+: \d+ rows of \d+ numbers are in .*", ""),
    (r"\S+: clusters of \[.*\] images are in .*", ""),
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
