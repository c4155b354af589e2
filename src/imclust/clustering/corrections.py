"""The corrections file: what a user says of an assignment. Written by the report."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from imclust.core.errors import InputError, input_error

FORMAT = "imclust-corrections-1"
MOST_CLUSTERS = 1_000_000_000  # no number of a cluster is larger
KEYS = ("format", "assignment", "names", "merge", "move", "must_link", "cannot_link")
LONGEST_NAME = 300  # characters
IdPairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Corrections:
    """One file. Clusters are called by their numbers in the assignment that it was made for.

    Parameters
    ----------
    path : Path
        The file, for refusals.
    assignment : str
        Sha256 of that assignment's assignment.csv, in lower-case hexadecimal.
    names : dict[int, str]
        Cluster -> what to call it, "" for nothing any more.
    merge : tuple[tuple[int, ...], ...]
        Disjoint groups of two clusters or more that become one each.
    move : dict[str, int]
        Image -> its cluster, before merging: its own to pin it there, or one of the numbers from k
        on, which become new clusters.
    must_link, cannot_link : IdPairs
        Pairs of images that share a cluster, or do not, after merging.
    awaited : Mapping[str, int]
        Moves of images that are not there, as `move`: they hold when these come back.
    """

    path: Path
    assignment: str
    names: dict[int, str]
    merge: tuple[tuple[int, ...], ...]
    move: dict[str, int]
    must_link: IdPairs
    cannot_link: IdPairs
    awaited: Mapping[str, int] = field(default_factory=dict)

    def check(self, ids: Iterable[str], k: int) -> None:
        """Refuse what does not fit an assignment of images `ids` with k clusters."""
        new = sorted({c for c in self.move.values() if c >= k})
        if new != list(range(k, k + len(new))):
            allowed = f"numbers from 0 to {k - 1}, new ones from {k} on without a gap"
            raise self.refused("clusters", allowed, str(new[-1]))
        named = [(c, k + len(new)) for c in (*self.names, *self.move.values())]
        named += [(c, k) for group in self.merge for c in group]
        odd = next(((c, top) for c, top in named if not 0 <= c < top), None)
        if odd is not None:
            raise self.refused("clusters", f"numbers from 0 to {odd[1] - 1}", str(odd[0]))
        known = set(ids)
        links = [i for pair in self.must_link + self.cannot_link for i in pair]
        strange = [i for i in dict.fromkeys([*self.move, *links]) if i not in known]
        if strange:
            got = f"{len(strange)} that are not, the first {strange[0]!r}"
            raise self.refused("ids", f"of the {len(known)} images of the assignment", got)
        if k + len(new) - sum(len(group) - 1 for group in self.merge) < 2:
            raise self.refused("merge", "such that two clusters are left", "one in the end")

    def says_all_of(self, other: Corrections) -> bool:
        """Whether this file, of the same assignment, speaks of all that another one speaks of."""
        merged = [set(group) for group in self.merge]
        return (
            other.names.keys() <= self.names.keys()
            and other.move.keys() <= self.move.keys()
            and set(other.must_link) <= set(self.must_link)
            and set(other.cannot_link) <= set(self.cannot_link)
            and all(any(set(group) <= mine for mine in merged) for group in other.merge)
        )

    def grown(
        self, ids: Iterable[str], k: int, now: int, assignment: str
    ) -> tuple[Corrections, int]:
        """The same of an assignment that kept these clusters and has more images.

        Parameters
        ----------
        ids : iterable of str
            Its images.
        k, now : int
            Clusters then and now: numbers from `k` on, which are new ones, follow upon those.
        assignment : str
            Digest of its table.

        Returns
        -------
        corrections : Corrections
        gone : int
            Images that it speaks of and that are not there: pairs with them are left out, moves to
            clusters that there are wait for them.

        Examples
        --------
        >>> old = Corrections(Path("c.json"), "0" * 64, {2: "new"}, (), {"a": 2, "b": 0}, (), ())
        >>> new, gone = old.grown(["a", "c"], 2, 3, "1" * 64)
        >>> new.names, new.move, dict(new.awaited), gone
        ({3: 'new'}, {'a': 3}, {'b': 0}, 1)
        """
        there = set(ids)
        pairs = (self.must_link, self.cannot_link)
        named = {*self.move, *(i for links in pairs for pair in links for i in pair)}
        must, cannot = (tuple(p for p in links if there >= set(p)) for links in pairs)
        moved = {i: c + (now - k) * (c >= k) for i, c in self.move.items() if i in there}
        # Without its images a new cluster is none, and those after it close up.
        new = sorted({c for c in moved.values() if c >= now})
        to = {c: now + place for place, c in enumerate(new)}
        names = {c + (now - k) * (c >= k): name for c, name in self.names.items()}
        names = {to.get(c, c): name for c, name in names.items() if c < now or c in to}
        move = {i: to.get(c, c) for i, c in moved.items()}
        absent = {i: c + (now - k) * (c >= k) for i, c in self.move.items() if i not in there}
        awaited = {i: to.get(c, c) for i, c in absent.items() if c < now or c in to}
        of = replace(self, assignment=assignment, names=names, move=move, awaited=awaited)
        return replace(of, must_link=must, cannot_link=cannot), len(named - there)

    def refused(self, what: str, allowed: str, got: str) -> InputError:
        """The refusal of something in this file."""
        return _refused(self.path, what, allowed, got)


def read_corrections(path: Path) -> Corrections:
    """Read one file.

    Raises
    ------
    InputError
        It is not there, is no JSON of this format, or contradicts itself.

    Examples
    --------
    >>> doc = {"format": FORMAT, "assignment": 64 * "0", "merge": [[0, 3]], "names": {"0": "sea"}}
    >>> _ = Path("corrections.json").write_text(json.dumps(doc))
    >>> said = read_corrections(Path("corrections.json"))
    >>> said.merge, said.names
    (((0, 3),), {0: 'sea'})
    """
    if not path.is_file():
        raise input_error("--corrections", "a JSON file", f"no such file: {path}", "check the path")
    doc = _parsed(path)
    if not isinstance(doc, dict) or doc.get("format") != FORMAT:
        got = repr(doc.get("format"))[:60] if isinstance(doc, dict) else "other JSON"
        raise _refused(path, "format", repr(FORMAT), got)
    if odd := sorted(set(doc) - set(KEYS)):
        raise _refused(path, "keys", f"some of {', '.join(KEYS)}", repr(odd[0]))
    digest = doc.get("assignment")
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise _refused(path, "assignment", "a sha256 of 64 hexadecimal digits", repr(digest)[:80])
    return Corrections(
        path,
        digest,
        _names(path, doc.get("names", {})),
        _groups(path, doc.get("merge", [])),
        _moves(path, doc.get("move", {})),
        _pairs(path, "must_link", doc.get("must_link", [])),
        _pairs(path, "cannot_link", doc.get("cannot_link", [])),
    )


def _refused(path: Path, what: str, allowed: str, got: str) -> InputError:
    do = "save the corrections again from the report"
    return input_error(f"{what} of the corrections {path}", allowed, got, do)


def _parsed(path: Path) -> Any:
    """The JSON in a file; an object that names something twice is refused, not shortened."""
    data = path.read_bytes()
    got = "nothing" if not data.strip() else "a web page" if data.lstrip()[:1] == b"<" else ""

    def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
        name, times = Counter(key for key, _ in items).most_common(1)[0] if items else ("", 1)
        if times > 1:
            raise _refused(path, "names and ids", "there once each", f"{name!r} {times} times")
        return dict(items)

    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=unique)
    except InputError:
        raise
    except (ValueError, RecursionError) as e:
        what = got or f"something else ({str(e).splitlines()[0][:80]})"
        raise _refused(path, "the content", "JSON in UTF-8", what) from None


def _names(path: Path, given: Any) -> dict[int, str]:
    allowed = f'like {{"0": "cats"}}, names of at most {LONGEST_NAME} characters in one line'
    if not isinstance(given, dict):
        raise _refused(path, "names", allowed, _short(given))
    found = {}
    for number, name in given.items():
        digits = number.isascii() and number.isdecimal() and len(number) <= len(str(MOST_CLUSTERS))
        if not digits or not _is_name(name):
            raise _refused(path, "names", allowed, _short({number: name}))
        found[int(number)] = name.strip()
    if len(found) < len(given):
        raise _refused(path, "names", "one a cluster", _short(given))
    return found


def _is_name(name: Any) -> bool:
    """Text that can be shown: no control characters, no halves of characters."""
    return (
        isinstance(name, str)
        and len(name) <= LONGEST_NAME
        and not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in name)
    )


def _groups(path: Path, given: Any) -> tuple[tuple[int, ...], ...]:
    allowed = "groups of two numbers or more, such as [[1, 4], [2, 7, 8]]"
    if not isinstance(given, list):
        raise _refused(path, "merge", allowed, _short(given))
    for group in given:
        if not isinstance(group, list) or len(group) < 2 or not all(map(_is_number, group)):
            raise _refused(path, "merge", allowed, _short(group))
    times = Counter(c for group in given for c in group)
    if twice := [c for c, n in times.items() if n > 1]:
        raise _refused(path, "merge", "of groups without a common cluster", f"{twice[0]} twice")
    return tuple(tuple(sorted(group)) for group in given)


def _moves(path: Path, given: Any) -> dict[str, int]:
    allowed = "ids with the number of one cluster each"
    if not isinstance(given, dict):
        raise _refused(path, "move", allowed, _short(given))
    for image, cluster in given.items():
        if not _is_number(cluster):
            raise _refused(path, "move", allowed, _short({image: cluster}))
    return given


def _pairs(path: Path, what: str, given: Any) -> IdPairs:
    allowed = "pairs of two different ids"
    if not isinstance(given, list):
        raise _refused(path, what, allowed, _short(given))
    for pair in given:
        texts = isinstance(pair, list) and all(isinstance(i, str) for i in pair)
        if not texts or len(pair) != 2 or pair[0] == pair[1]:
            raise _refused(path, what, allowed, _short(pair))
    return tuple((a, b) for a, b in given)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST_CLUSTERS


def _short(value: Any) -> str:
    """Any JSON value as one short line of plain characters."""
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
