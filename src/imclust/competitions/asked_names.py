"""Names of clusters that a vision-language model gives: what it is asked, and what counts.

Answers are kept by what was sent, so that nothing is sent twice: neither at the next visit nor
after a kill. An answer counts if it is a name: one to five words in one line and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imclust.competitions.clients.vision_model import VisionModel
from imclust.core.errors import ServiceError, input_error
from imclust.core.files import replace_text
from imclust.core.log import progress, say
from imclust.core.manifest import parse_json
from imclust.core.wording import counted
from imclust.data.images import ImageRow
from imclust.data.small_jpeg import small_jpeg

PICTURES = 5  # of a cluster
SIDE = 512  # pixels, of the longer side
QUALITY = 85  # of their JPEG
QUESTION = (
    "These pictures were grouped together because they look alike. Name what they have in common, "
    "as specifically as holds for all of them, in one to four English words. Answer with the name "
    "alone: no sentence, no explanation."
)
MOST_WORDS = 5
LONGEST = 40  # characters of a name
AROUND = " \t\"'`*_.\u201c\u201d\u2018\u2019\u00ab\u00bb"  # quotation marks, emphasis, full stop
FORMAT = "imclust-answer-1"
ANSWERS = "answers"  # folder of them, beside the names


@dataclass(frozen=True)
class AskedNames:
    """What a model called clusters.

    Parameters
    ----------
    names : Mapping[int, str]
        Cluster -> its name, of those that got one.
    failure : ServiceError | None
        Why others have none.
    """

    names: Mapping[int, str]
    failure: ServiceError | None = None


def central_pictures(
    rows: Sequence[int], distance: np.ndarray, digests: Sequence[str]
) -> list[int]:
    """The PICTURES rows of a cluster nearest to its centre, equal ones counted once.

    Parameters
    ----------
    rows : sequence of int
        Of the cluster, without copies that are known.
    distance : np.ndarray
        (n,) float of all rows to their centres.
    digests : sequence of str
        n of them, of the bytes; "" where that is not known.

    Examples
    --------
    >>> central_pictures([0, 1, 2], np.array([0.3, 0.1, 0.2]), ["a", "b", "b"])
    [1, 0]
    """
    found: list[int] = []
    seen = set[str]()
    for row in sorted(rows, key=lambda r: (distance[r], r)):
        if digests[row] and digests[row] in seen:
            continue
        seen.add(digests[row])
        found.append(row)
    return found[:PICTURES]


def ask_names(
    model: VisionModel, pictures: Mapping[int, Sequence[ImageRow]], answers: Path
) -> AskedNames:
    """Have a model name clusters by pictures of each.

    Pictures are sent SIDE pixels large at the most, as new JPEG files without what the stored ones
    say beside their pixels (place, date, camera), and without their file names. The first failure
    ends the asking; answers until then are kept.

    Parameters
    ----------
    model : VisionModel
        That is asked.
    pictures : mapping of int to sequence of ImageRow
        Cluster -> those that stand for it.
    answers : Path
        Folder of the answers that are kept.

    Examples
    --------
    >>> from imclust.competitions.clients.vision_model import vision_model
    >>> ask_names(vision_model("http://localhost:9/v1", "llava"), {}, Path("answers")).names
    {}
    """
    keys = {c: _key(model, rows) for c, rows in pictures.items()}
    known = {c: _kept(answers / f"{key}.json") for c, key in keys.items()}
    open_ones = [c for c, answer in known.items() if answer is None]
    if open_ones:
        n = sum(len(pictures[c]) for c in open_ones)
        say(
            f"sending {counted(n, 'picture')} of {counted(len(open_ones), 'cluster')} to "
            f"{model.host} ({model.place}) for {model.model} to name: at most {SIDE} pixels large, "
            "without file names, place, date or camera"
        )
    odd, failure = [], None
    try:
        for c in progress(open_ones, "names", total=len(open_ones), unit="cluster"):
            said = model.ask(QUESTION, [_small_jpeg(row) for row in pictures[c]])
            known[c] = clean_name(said)
            if known[c]:
                _keep(answers / f"{keys[c]}.json", model, said)
            else:
                odd.append(said)
    except ServiceError as e:
        failure = e
    if odd and failure is None:
        failure = ServiceError(
            "wrong-content",
            f"{model.model} must answer with one to {MOST_WORDS} words; got {_shown(odd[0])} for "
            f"{counted(len(odd), 'cluster')}; take another model, or name them on the page.",
        )
    return AskedNames({c: name for c, name in known.items() if name}, failure)


def clean_name(answer: str) -> str:
    """A model's answer as a name: one to five words in one line, or "" where it is none.

    Thoughts in front, quotation marks, a full stop and emphasis around it are left out. Anything
    else, such as a sentence, HTML, an address or several lines, is no name.

    Examples
    --------
    >>> clean_name('<think>Hm, sand.</think> **"Beach at sunset."**')
    'Beach at sunset'
    >>> clean_name("<b>Beach</b>"), clean_name("I cannot tell what these pictures have in common")
    ('', '')
    """
    text = _bare(answer)
    return "" if name_fault(answer) else " ".join(text.split())


def name_fault(answer: str) -> str:
    """Why a model's answer is no name; "" where it is one.

    Examples
    --------
    >>> name_fault("<b>Beach</b>"), name_fault("I cannot tell what these are"), name_fault("Beach")
    ("'<' in it", '6 words', '')
    """
    text = _bare(answer)
    if not text:
        return "no word"
    if "\n" in text:
        return "several lines"
    if (words := len(text.split())) > MOST_WORDS:
        return counted(words, "word")
    if len(text) > LONGEST:
        return f"{len(text)} characters, of {LONGEST} at most"
    if odd := next((c for c in text if not _plain(c)), ""):
        return f"{odd!r} in it"
    return "" if any(c.isalpha() for c in text) else "no letter"


def _bare(answer: str) -> str:
    """An answer without thoughts in front, and what stands around it."""
    text = re.sub(r"(?s)^.*</think(?:ing)?>", "", unicodedata.normalize("NFC", answer)).strip()
    text = re.sub(r"^(?:name|answer)\s*:\s*", "", text, flags=re.IGNORECASE)
    return text.strip(AROUND).replace("\u2019", "'")


def _plain(c: str) -> bool:
    """Whether a character may stand in a name."""
    return unicodedata.category(c)[0] in "LM" or c in "0123456789 -'&+,"


def _key(model: VisionModel, rows: Sequence[ImageRow]) -> str:
    """What is sent and where, as a digest: pictures by that of their stored bytes."""
    which = [row.digest or f"{row.source}:{row.member}" for row in rows]
    sent = [FORMAT, model.base, model.model, QUESTION, SIDE, QUALITY, which]
    return hashlib.sha256(json.dumps(sent).encode()).hexdigest()[:32]


def _kept(path: Path) -> str | None:
    doc = parse_json(path) if path.is_file() else None
    said = doc.get("answer") if doc and doc.get("format") == FORMAT else None
    return clean_name(said) or None if isinstance(said, str) else None


def _keep(path: Path, model: VisionModel, said: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    doc = {"format": FORMAT, "model": model.model, "host": model.host, "answer": said}
    replace_text(path, json.dumps(doc, indent=1) + "\n")


def _small_jpeg(row: ImageRow) -> bytes:
    try:
        return small_jpeg(row, SIDE, QUALITY)
    except ValueError as e:
        do = "give the same command again"
        raise input_error(f"the picture {row.id}", "as it was indexed", str(e), do) from None


def _shown(answer: str) -> str:
    """The beginning of an answer as it came, what is not seen in it as marks, and its fault."""
    begins = repr(answer[:60] + "..." * (len(answer) > 60))
    return f"{begins} ({name_fault(answer)})" if answer.strip() else "nothing"
