"""Whether a submission fits its challenge: every problem of a file as one sentence.

The template that it is compared with, `imclust.template`, is at hand here too.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from imclust.competitions.sample_submission import (
    SAMPLE,
    Sample,
    SampleFormat,
    natural,
    plain_sample,
    read_sample,
    render,
    with_header,
)
from imclust.competitions.submission_cells import cells_of, write
from imclust.competitions.submission_forms import match_problem, read_form
from imclust.competitions.table_cells import (
    BOM,
    DELIMITERS,
    PIECE,
    delimiter_of,
    no_table,
    split,
)
from imclust.competitions.vocabulary import vocabulary
from imclust.core.errors import InputError, input_error
from imclust.core.wording import counted

__all__ = [
    "SAMPLE", "Sample", "SubmissionCheck", "check", "check_submission", "natural",
    "plain_sample", "read_sample", "render", "vocabulary", "with_header", "write",
]  # fmt: skip
UNNAMED = {"", "Unnamed: 0"}  # what pandas calls an index that was written along


@dataclass
class SubmissionCheck:
    """What a look at a file found: problems, one sentence each; rows, and how often each label."""

    problems: list[str] = field(default_factory=list)
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)


def check(path: Path, sample: Sample, vocabulary: Sequence[str]) -> list[str]:
    """Every problem of a submission, one sentence each; none when it fits.

    Parameters
    ----------
    path : Path
        Any file at all.
    sample : Sample
        What it must look like.
    vocabulary : Sequence[str]
        Labels that are allowed; empty for any.

    Examples
    --------
    >>> from imclust.competitions.submission_check import sample_of
    >>> check(Path("submissions/first/submission.csv"), sample_of(Path("raw/index")), ["0", "1"])
    []
    """
    return check_submission(path, sample, vocabulary).problems


def check_submission(path: Path, sample: Sample, vocabulary: Sequence[str]) -> SubmissionCheck:
    """`check`, with what it counted on the way. The file is streamed once.

    Parameters
    ----------
    path, sample, vocabulary
        As for `check`.

    Raises
    ------
    InputError
        There is no such file.

    Examples
    --------
    >>> sample = plain_sample(["a", "b"], ("id", "label"))
    >>> _ = Path("mine.csv").write_text("id,label\\na,0\\nb,2\\n")
    >>> found = check_submission(Path("mine.csv"), sample, ["0", "1"])
    >>> found.rows, len(found.problems)
    (2, 1)
    """
    found = SubmissionCheck()
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing there"
        raise input_error(str(path), "a file to submit", got, "check the path")
    with path.open("rb") as f:
        head = f.read(PIECE)
    if problem := no_table(head):
        found.problems.append(f"it is {problem}")
        return found
    if b"\r" in head and b"\n" not in head and sample.line_end != b"\r":
        found.problems.append(r"its lines end in \r alone, which many programs read as one line")
    allowed = frozenset(_allowed_cells(sample, vocabulary))
    if sample.form == "lines":
        _look_at_lines(path, sample, allowed, found)
    elif sample.form == "members":
        _look_at_members(path, sample, allowed, found)
    elif _same_columns(head, sample, found.problems):
        with path.open(encoding=_named(sample), errors="replace", newline="") as file:
            _look_at_rows(file, sample, allowed, found)
    return found


def _look_at_lines(
    path: Path, sample: Sample, allowed: frozenset[str], found: SubmissionCheck
) -> None:
    """One label a line: as many lines as images, each with a label."""
    empty, wrong = Tally(), Tally()
    with path.open(encoding=_named(sample), errors="replace") as file:
        lines = [line.rstrip("\n").strip(" ").strip('"') for line in file]
    while lines and not lines[-1]:
        lines.pop()
    if sample.has_header:
        want = sample.columns[1]
        if lines[:1] != [want]:
            found.problems.append(f"its first line is not {_short(want)}, the sample's")
        lines = lines[1:]
    found.rows = len(lines)
    for n, label in enumerate(lines, 1):
        if not label:
            empty.add(f"in row {n}")
        elif allowed and label not in allowed:
            wrong.add(_short(label))
        else:
            found.counts[label] += 1
    if found.rows != len(sample.ids):
        found.problems.append(
            f"it has {counted(found.rows, 'label')} for {counted(len(sample.ids), 'image')}"
        )
    if empty:
        found.problems.append(f"lines without a label: {empty}")
    _tell_labels(found, allowed, wrong)


def _look_at_members(
    path: Path, sample: Sample, allowed: frozenset[str], found: SubmissionCheck
) -> None:
    """A column of ids a cluster: every id once, in whichever order."""
    try:
        theirs = read_form(path, SampleFormat(sample.has_header, form="members"))
    except InputError as e:
        found.problems.append(str(e).partition("; got ")[2] or str(e))
        return
    found.rows, found.counts = len(theirs.ids), Counter(theirs.labels)
    if theirs.delimiter != sample.delimiter:
        got, want = DELIMITERS[theirs.delimiter], DELIMITERS[sample.delimiter]
        found.problems.append(f"its cells are separated by {got}, the sample's by {want}")
    place = {image: n for n, image in enumerate(sample.ids)}
    ids = Ids(sample.ids)
    for image in sorted(theirs.ids, key=lambda i: place.get(i, len(place))):
        ids.take(image)
    found.problems += [p for p in ids.problems() if "another order" not in p]
    wrong = Tally()
    for name in theirs.columns if allowed else ():
        if name not in allowed:
            wrong.add(_short(name))
    _tell_labels(found, allowed, wrong)


def _tell_labels(found: SubmissionCheck, allowed: frozenset[str], wrong: Tally) -> None:
    if wrong:
        labels = ", ".join(natural(allowed)[:12]) + (", ..." if len(allowed) > 12 else "")
        found.problems.append(f"labels that are none of {labels}: {wrong}")
    if found.rows > 1 and len(found.counts) == 1 and not wrong and len(allowed) != 1:
        found.problems.append(f"every row has the label {_short(next(iter(found.counts)))}")


def _allowed_cells(sample: Sample, vocabulary: Sequence[str]) -> list[str]:
    """What may stand in a cell, quotes and spaces aside; nothing for anything.

    Parameters
    ----------
    sample : Sample
        The template.
    vocabulary : sequence of str
        Labels that are allowed; empty for any.
    """
    if sample.form == "matches":
        return []
    if sample.form == "indicators":
        names = vocabulary or sample.values
        cells = cells_of(replace(sample, ids=tuple(names), outliers=None), names)
        d = sample.delimiter
        return [d.join(c.strip().strip('"') for c in cell.split(d)) for cell in cells]
    also = [sample.outliers] if sample.outliers and vocabulary else []
    return [*vocabulary, *also]


def _named(sample: Sample) -> str:
    return "utf-8-sig" if sample.encoding == "utf-8" else sample.encoding


def _same_columns(head: bytes, sample: Sample, problems: list[str]) -> bool:
    """Whether rows can be compared at all; adds what is wrong with the header."""
    if not sample.has_header:
        return True
    if re.match(re.escape(sample.header) + rb"(?:[\r\n]|\Z)", head):
        return True
    raw = re.split(rb"[\r\n]", head.removeprefix(BOM), maxsplit=1)[0]
    line = raw.decode(sample.encoding, "replace")
    try:
        cells = [c.strip() for c in split(line, sample.delimiter)]
    except csv.Error:
        cells = []
    width = len(sample.columns)
    if len(cells) == 1 and (other := delimiter_of(line)) != sample.delimiter and other in line:
        got, want = DELIMITERS[other], DELIMITERS[sample.delimiter]
        problems.append(f"its cells are separated by {got}, the sample's by {want}")
        return False
    if cells and cells[0] in UNNAMED - {sample.columns[0]}:
        problems.append("a column of row numbers stands first: write it without index")
        if len(cells) != width:
            return False
    want = sample.header.removeprefix(BOM).decode(sample.encoding)
    problems.append(f"its header is {_short(line)}, the sample's {_short(want)}{_only(line, want)}")
    return len(cells) == width


def _only(got: str, want: str) -> str:
    """In what alone two headers differ, where it is little."""
    if got == want:
        return " (they differ only by a byte-order mark)"
    for change, said in (
        (lambda s: re.sub(r"\s", "", s), "only by spaces"),
        (str.casefold, "only in upper and lower case"),
        (lambda s: s.replace('"', ""), "only by quotes"),
    ):
        if change(got) == change(want):
            return f" (they differ {said})"
    return ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _look_at_rows(
    file: IO[str], sample: Sample, allowed: frozenset[str], found: SubmissionCheck
) -> None:
    """Stream the rows; adds what is wrong with them."""
    reader = csv.reader(iter(lambda: file.readline(PIECE), ""), delimiter=sample.delimiter)
    width, at_id, at_label = len(sample.columns), sample.id_column, sample.label_column
    ids, wide, lists = Ids(sample.ids), sample.form == "indicators", sample.form == "matches"
    wanted = frozenset(sample.ids) if lists else frozenset()
    uneven, empty, wrong = Tally(), Tally(), Tally()
    counts = found.counts
    try:
        if sample.has_header:
            next(reader)
        for cells in reader:
            if not cells:
                continue
            found.rows += 1
            if len(cells) != width:
                uneven.add(f"row {found.rows} has {len(cells)}")
                continue
            image, label = cells[at_id], cells[at_label]
            if wide:
                label = sample.delimiter.join(cell.strip() for cell in cells[1:])
            if sample.spaced:
                image, label = image.strip(), label.strip()
            ids.take(image)
            if not image or not label:
                empty.add(f"in row {found.rows}")
            elif lists:
                if problem := match_problem(image, label, wanted):
                    wrong.add(problem)
                counts[f"{label.count(' ') + 1} matches"] += 1
            elif allowed and label not in allowed:
                wrong.add(_short(label))
            elif label in counts or len(counts) < 1000:  # of any labels, not all are kept
                counts[label] += 1
    except (csv.Error, StopIteration) as e:
        found.problems.append(f"line {reader.line_num} cannot be read as CSV ({e})")
        return
    if found.rows != len(sample.ids):
        found.problems.append(f"it has {counted(found.rows, 'row')}, the sample {len(sample.ids)}")
    if uneven:
        found.problems.append(f"rows of another number of cells than {width}: {uneven}")
    found.problems += ids.problems()
    if empty:
        found.problems.append(f"empty cells: {empty}")
    if wrong and lists:
        found.problems.append(f"lists of matches that are none: {wrong}")
    if lists:
        return
    _tell_labels(found, allowed, wrong)


class Tally:
    """How often, and the first time."""

    def __init__(self) -> None:
        self.n, self.first = 0, ""

    def add(self, what: str) -> None:
        self.first = self.first or what
        self.n += 1

    def __bool__(self) -> bool:
        return self.n > 0

    def __str__(self) -> str:
        return f"{self.n}, first {self.first}"


class Ids:
    """Compares ids as they come with those wanted, (n,) unique.

    As long as they come in order nothing is stored; afterwards one number an id that is wanted,
    however long the file is.
    """

    def __init__(self, want: tuple[str, ...]) -> None:
        self.want, self.taken = want, 0
        self.where: dict[str, int] = {}
        self.seen = bytearray()
        self.last = -1
        self.extra, self.twice, self.moved = Tally(), Tally(), Tally()

    def take(self, image: str) -> None:
        at = self.taken
        self.taken += 1
        if not self.where:
            if at < len(self.want) and self.want[at] == image:
                return
            self.where = {i: n for n, i in enumerate(self.want)}
            self.seen = bytearray(len(self.want))
            self.seen[:at] = b"\1" * at
            self.last = at - 1
        place = self.where.get(image)
        if place is None:
            self.extra.add(_short(image))
        elif self.seen[place]:
            self.twice.add(_short(image))
        else:
            self.seen[place] = 1
            if place < self.last:
                self.moved.add(f"{_short(image)} in row {at + 1}")
            self.last = max(self.last, place)

    def problems(self) -> list[str]:
        """What is missing, extra, repeated, in another order."""
        if self.where:
            missing = self.seen.count(0)
            first = self.seen.find(0)
        else:
            missing, first = len(self.want) - self.taken, self.taken
        found = []
        if missing:
            found.append(f"missing ids: {missing}, first {_short(self.want[first])}")
        if self.extra:
            found.append(f"ids that the sample has not: {self.extra}")
        if self.twice:
            found.append(f"ids more than once: {self.twice}")
        if self.moved:
            found.append(
                f"ids in another order than the sample's ({self.moved}), which matters where "
                "rows are compared one by one"
            )
        return found
