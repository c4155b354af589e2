"""`find`: the images of a finished run that show what a word says, the best first."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, lineage, read_manifest
from imclust.core.records import rows_of_ids, write_csv
from imclust.core.word_records import LEAST, SeenClasses, words_like
from imclust.core.wording import counted
from imclust.report.finished_run import FinishedRun
from imclust.report.results import printable

UNLIKELY = 0.01  # share of the nouns of which a text tower's word must be in an image, to be in it
SAME = 1e-4  # cosine up to which two words fit alike
TOLD = 8  # words that a sentence names


@dataclass(frozen=True)
class Find:
    """Find images by words: of what the bundled network knows, or, where the run has a text tower,
    any words."""

    run: tyro.conf.Positional[Path]
    """The folder of a finished run; `cluster-folder` says it at its end."""
    words: Annotated[tuple[str, ...], tyro.conf.Positional]
    """What to look for: sea, school bus, ..."""
    most: int = 20
    """So many images are listed."""
    out: Path | None = None
    """Also a table of all that were found, a new .csv file."""


def run(cfg: Find) -> None:
    """Find images of a run by words.

    Raises
    ------
    InputError
        The run was not made with words, or knows none like these.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("find run sea".split())  # refused: these are pixels, which have no words
    2
    """
    query = " ".join(cfg.words).strip()
    if not query:
        raise input_error("the words to find", "given", "none", "type some, such as: school bus")
    if cfg.most < 1:
        raise input_error("--most", "at least 1", cfg.most, "leave it out")
    if cfg.out is not None and os.path.lexists(cfg.out):
        raise input_error(f"--out {cfg.out}", "free", "something there", "choose another name")
    found = FinishedRun.load(cfg.run)
    at = words_of_run(found.folder)
    seen = SeenClasses.load(at)
    names = {image.id: row.name for image, row in
             zip(found.clustering.images, found.clustering.rows, strict=True)}  # fmt: skip
    called = by_name([names.get(i, "") for i in seen.ids.tolist()], query)
    if seen.tower:
        fits, told = by_tower(seen, at, query)
    elif called.any() and not words_like(query, seen.words):
        fits, told = called, "in clusters that are called so"
    else:
        fits, told = by_class(seen, query)
    rows = [number for number in np.argsort(-fits, kind="stable").tolist() if fits[number] > 0]
    place = {image.id: row for image, row in
             zip(found.clustering.images, found.clustering.rows, strict=True)}  # fmt: skip
    hits = [(seen.ids[r], fits[r]) for r in rows if seen.ids[r] in place]
    say(f"{len(hits)} of {counted(len(place), 'image')} for {query!r}, {told}")
    if hits:
        say(f"{'share':>6}  cluster  file")
    for image, share in hits[: cfg.most]:
        row = place[image]
        title = f"{row.cluster} {row.name}".strip()
        say(f"{share:>6.2f}  {printable(title)}  {printable(row.file)}")
    if len(hits) > cfg.most:
        say(f"and {len(hits) - cfg.most} more: --most or --out has them")
    if cfg.out is not None:
        table = ((place[i].file, place[i].cluster, place[i].name, f"{s:.4f}") for i, s in hits)
        write_csv(cfg.out, ("file", "cluster", "name", "share"), table)
        say(f"table: {cfg.out}")


def words_of_run(folder: Path) -> Path:
    """The `words` artefact that the page of a run was made with.

    Raises
    ------
    InputError
        There is none, or none that knows a word.

    Examples
    --------
    >>> words_of_run(Path("run"))  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    imclust.core.errors.InputError: the words of run must be ...
    """
    report = folder / "report"
    made = lineage(report) if (report / MANIFEST).is_file() else {}
    at = next((p for p, doc in made.items() if doc["kind"] == SeenClasses.kind), None)
    if at is None or not SeenClasses.load(at).classes:
        got = "a run that was made without" if at is None else "a network that knows none"
        do = "make it again with the command cluster-folder, or give it a --text-tower"
        raise input_error(f"the words of {folder}", "there", got, do)
    return at


def by_name(names: Sequence[str], query: str) -> np.ndarray:
    """1 for images of clusters whose name has all words of a query, 0 for others: (n,) float32.

    Examples
    --------
    >>> by_name(["sunrise or sunset", "dog", ""], "Sunset").tolist()
    [1.0, 0.0, 0.0]
    """
    wanted = {*re.findall(r"\w+", query.casefold())}
    return np.array(
        [bool(wanted) and wanted <= {*re.findall(r"\w+", name.casefold())} for name in names],
        np.float32,
    )


def by_class(seen: SeenClasses, query: str) -> tuple[np.ndarray, str]:
    """Share (n,) float32 of what is seen in every image that a word says, 0 below LEAST; and by
    which words.

    Raises
    ------
    InputError
        The network knows no such word; the nearest are named.

    Examples
    --------
    >>> likeliest, shares = np.array([[0]]), np.array([[0.5]])
    >>> seen = SeenClasses(np.array(["a"]), (("seashore", "shore"),), likeliest, shares)
    >>> by_class(seen, "sea")
    (array([0.5], dtype=float32), 'seen as seashore')
    """
    known = seen.words
    if not (words := words_like(query, known)):
        gapless = {re.sub(r"[\s-]", "", word.lower()): word for word in reversed(known)}
        alike = difflib.get_close_matches(re.sub(r"[\s-]", "", query.lower()), gapless, 3)
        near = [gapless[word] for word in alike]
        do = f"did you mean {' or '.join(near)}?" if near else "try a more common one"
        single = [word for word in re.findall(r"\w+", query) if words_like(word, known)]
        do = f"look for one at a time: {', '.join(single)}" if len(single) > 1 else do
        allowed = f"one of the {len(known)} words that the network knows"
        raise InputError(f"what to find must be {allowed}; got {query!r}; {do}")
    share = seen.share_of(words)
    share[share < LEAST] = 0
    there = [(float(seen.share_of([word]).sum()), word) for word in words]
    names = seen.once([word for amount, word in sorted(there, key=lambda t: -t[0]) if amount > 0])
    more = f" and {counted(len(names) - TOLD, 'more word')}" if len(names) > TOLD else ""
    return share, f"seen as {', '.join(names[:TOLD])}{more}" if share.any() else "nothing matches"


def by_tower(seen: SeenClasses, at: Path, query: str) -> tuple[np.ndarray, str]:
    """How well any words fit every image, by the text tower that the run's words come from.

    An image is found where fewer than UNLIKELY of the nouns fit it better than the words do.

    Parameters
    ----------
    seen : SeenClasses
        With a tower.
    at : Path
        Its artefact, which leads to the latents.
    query : str
        The words.

    Returns
    -------
    fits : np.ndarray
        (n,) float32, cosine in (0, 1] where they fit, else 0.
    told : str
        By what.

    Examples
    --------
    >>> fits, told = by_tower(seen, Path("run/words"), "two dogs")  # doctest: +SKIP
    """
    from imclust.core.records import Features, parts_of
    from imclust.encoders.text_tower import TextTower

    assert seen.vectors is not None
    folder = Path(os.path.normpath(at / read_manifest(at)["inputs_at"]["features"]))
    features = Features.load(folder)
    space = parts_of(folder, features.x)[0]
    rows = seen.unit(space[rows_of_ids(features.ids, seen.ids)])
    mine = rows @ TextTower(seen.tower).vectors([query])[0]
    better = np.zeros(len(rows))
    for a in range(0, len(rows), 1024):
        block = slice(a, a + 1024)
        better[block] = (rows[block] @ seen.vectors.T > mine[block, None] + SAME).mean(1)
    fits = np.where(better < UNLIKELY, np.maximum(mine, 1e-6), 0).astype(np.float32)
    of = f"{len(seen.vectors)} nouns"
    if not fits.any():
        return fits, f"nothing matches: in no image is it among the likeliest hundredth of {of}"
    return fits, f"among the likeliest hundredth of {of} there, by {seen.tower}"
