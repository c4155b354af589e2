"""The forms that submissions have: which one a table is of, and its clusters.

Beside id and label there are lists of matches (`id,matches`), one label a line without ids, a
column of ids a cluster, and a column of 0 and 1 a cluster.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from unicodedata import normalize

from imclust.competitions.sample_submission import (
    ID_NAMES,
    LABEL_NAMES,
    PLAIN,
    Form,
    Sample,
    SampleFormat,
    as_numbers,
    read_sample,
    unique_ids,
)
from imclust.competitions.submission_cells import label_cells
from imclust.competitions.table_cells import cell_spans, cell_text, opened
from imclust.core.errors import input_error
from imclust.core.wording import counted

MATCHES = ("matches", "match")  # columns of such names hold lists of ids
OUTLIERS = ("outliers", "outlier")  # labels that mean: of no cluster
PEEK = 1000  # rows that tell the form
OPTION = "--submission-form"
SAID = {
    "matches": "the ids of its cluster with spaces between them, its own among them",
    "members": "a column a cluster, every id once below its cluster's name",
    "indicators": "a column a cluster, 1 in one of them and 0 in the others",
    "lines": "one label a line, a line an image",
}


def read_form(
    path: Path,
    form: SampleFormat = PLAIN,
    known: Collection[str] = (),
    count: int | None = None,
) -> Sample:
    """A table in any form as a template, with the ids and labels that it has.

    Parameters
    ----------
    path : Path
        The table.
    form : SampleFormat
        How it is read; its form is told from the text where it says none.
    known : collection of str
        What ids may be.
    count : int, optional
        How many images there are, for one label a line.

    Raises
    ------
    InputError
        It is no table, or damaged: rows of another form than the others, an id twice, an id that
        does not match itself.

    Examples
    --------
    >>> _ = Path("lists.csv").write_text("image,matches\\na,a b\\nb,b a\\nc,c\\n")
    >>> read_form(Path("lists.csv"), known=["a", "b", "c"]).form
    'matches'
    """
    wanted = form.form or _form_of(path, form, frozenset(known))
    read = {"lines": _read_lines, "members": _read_members}.get(wanted)
    if read is not None:
        sample = read(path, form, count)
    else:
        sample = read_sample(path, replace(form, form=wanted))
        if wanted == "matches":
            _check_matches(path, sample)
        elif wanted == "indicators":
            _check_indicators(path, sample)
    named = dict.fromkeys(named_labels(sample)) if wanted != "matches" else {}
    if wanted in ("members", "indicators"):
        named |= dict.fromkeys(sample.columns)
    odd = form.outliers is not None and wanted == "matches"
    if odd:
        do = "leave it out: an image alone is a list of its own id"
        raise input_error("--outliers", "used where clusters have names", "lists of matches", do)
    found = next((v for v in named if v.strip().casefold() in OUTLIERS), None)
    return replace(sample, outliers=form.outliers or found)


def form_of(sample: Sample) -> SampleFormat:
    """How a table that was read is read again, without its images at hand.

    Examples
    --------
    >>> form_of(read_form(Path("submissions/first/submission.csv"))).label_column
    'label'
    """
    label = sample.names[1] if sample.has_header and sample.form in ("labels", "matches") else None
    return SampleFormat(sample.has_header, label, sample.form, sample.outliers)


def _form_of(path: Path, form: SampleFormat, known: frozenset[str]) -> Form:
    """What the text says of its form; `labels` where nothing speaks for another one.

    A table of one form stays one when a row is damaged, so that reading it says which. Its first
    rows tell, but for lists of matches among labels, which any row may hold.
    """
    data, encoding, start, delimiter = opened(path)
    spans = cell_spans(data, start, delimiter.encode())
    cells = ([cell_text(data, *span, encoding)[2] for span in row] for row, _ in spans)
    every = (row for row in cells if row != [""])
    head = next(every)
    first = list(islice(every, PEEK))
    headed = form.header and head[0] not in known
    rows = first if headed else [head, *first]
    names = [re.sub(r"[^a-z]", "", name.lower()) for name in head]
    if len(head) == 1 and all(len(row) == 1 for row in rows):
        alone = [normalize("NFC", row[0]) for row in rows]
        bare = known.issuperset(alone) and len(set(alone)) == len(alone)
        return "labels" if bare or names[0] in ID_NAMES else "lines"  # ids alone are no labels
    if form.label_column is not None:
        column = re.sub(r"[^a-z]", "", form.label_column.lower())
        return "matches" if column in MATCHES else "labels"
    if headed and set(names) & set(MATCHES):
        return "matches"
    if len(head) < 2:
        return "labels"  # which says what is wrong with it
    # Without names, or under such names, numbers may be ids and labels: words that are ids tell.
    plain = headed and not {*LABEL_NAMES, *ID_NAMES} & set(names)
    words = not all(as_numbers(row) for row in rows)
    if _is_members(rows, known, 0.7) if plain else words and _is_members(rows, known, 0.95):
        return "members"
    if len(head) > 2 and not set(names) & set(LABEL_NAMES) and _are_indicators(rows):
        return "indicators"
    if len(head) == 2 and b" " in data[start:].strip():
        rows += every
        ids = {row[0] for row in rows}
        lists = (row[1].split(" ") for row in rows if len(row) == 2 and " " in row[1])
        if any(ids.issuperset(found) for found in lists):
            return "matches"
    return "labels"


def _is_members(rows: list[list[str]], known: frozenset[str], least: float) -> bool:
    """Whether nearly all cells, a share `least`, are ids, in two columns at least, each once.

    Where labels are numbers that are ids too, half of the cells are no other ids.
    """
    cells = [normalize("NFC", cell) for row in rows for cell in row if cell]
    if not cells or len(known.intersection(cells)) <= least * len(cells):
        return False
    return any(normalize("NFC", cell) in known for row in rows for cell in row[1:])


def _are_indicators(rows: list[list[str]]) -> bool:
    """Whether all cells but the first are 0 or 1, and most rows have a single 1."""
    numbers = [as_numbers(row[1:]) for row in rows]
    plain = all(row and set(row) <= {0.0, 1.0} for row in numbers)
    return plain and sum(sum(row) == 1 for row in numbers) > len(rows) / 2


def _is_indicator(cells: Sequence[str]) -> bool:
    numbers = as_numbers(cells)
    return sorted(numbers) == [0.0] * (len(cells) - 1) + [1.0]


def _read_lines(path: Path, form: SampleFormat, count: int | None) -> Sample:
    """One label a line; a header where there is a line more than images."""
    data, encoding, start, _ = opened(path)
    lines, ends = [], []
    for (span,), end in cell_spans(data, start, b"\0"):
        lines.append(cell_text(data, *span, encoding))
        ends.append(end)
    while lines and not lines[-1][2]:
        lines.pop()
    empty = next((n for n, (_, _, text) in enumerate(lines, 1) if not text), None)
    if empty is not None:
        raise _odd(path, "lines", f"line {empty} without a label")
    header = form.header if count is None else len(lines) == count + 1
    if count is not None and len(lines) - header != count:
        got = f"{counted(len(lines), 'line')} for {counted(count, 'image')}"
        raise _odd(path, "lines", got)
    top, rows = (lines[0], lines[1:]) if header else (None, lines)
    if not rows:
        raise input_error(str(path), "of at least one row", "a header alone", "download it again")
    begin = ends[0] if header else 0
    before, after = [], []
    for n, (a, b, _) in enumerate(rows):
        before.append(data[begin:a])
        begin = len(data) if n == len(rows) - 1 else ends[n + header]
        after.append(data[b:begin])
    line_end = data[lines[0][1] : ends[0]].strip(b' "') or b"\n"
    return Sample(
        data[: lines[0][1]] if header else b"", line_end, ",", encoding,
        ("id", top[2] if top else "label"), 0, 1, tuple(map(str, range(len(rows)))),
        tuple(text for _, _, text in rows), tuple(before), tuple(after), False, header, "lines",
    )  # fmt: skip


def _read_members(path: Path, form: SampleFormat, count: int | None) -> Sample:
    """A column a cluster; without a header, columns are called 0, 1, ..."""
    data, encoding, start, delimiter = opened(path)
    table = list(cell_spans(data, start, delimiter.encode()))
    spans, end = table[0]
    texts = [[cell_text(data, *span, encoding)[2] for span in row] for row, _ in table]
    while texts and texts[-1] == [""]:
        texts.pop()
    columns = tuple(texts[0]) if form.header else tuple(map(str, range(len(texts[0]))))
    rows = texts[1:] if form.header else texts
    if not all(columns) or len(set(columns)) < len(columns) or len(columns) < 2:
        raise _odd(path, "members", f"columns {', '.join(columns)}")
    uneven = next((n for n, row in enumerate(rows, 1) if len(row) != len(columns)), None)
    if uneven is not None:
        got = f"{len(rows[uneven - 1])} cells in row {uneven}, {len(columns)} in the first line"
        raise _odd(path, "members", got)
    ids, labels = [], []
    for name, column in zip(columns, zip(*rows, strict=True), strict=True):
        there = [cell for cell in column if cell]
        if list(column[: len(there)]) != there:
            raise _odd(path, "members", f"an empty cell above others in column {name!r}")
        ids += there
        labels += [name] * len(there)
    if not ids:
        raise input_error(str(path), "of at least one row", "a header alone", "download it again")
    unique_ids(path, ids)
    last_row, _ = table[len(texts) - 1]
    quoted = data[spans[0][0] : spans[0][0] + 1] == b'"'
    return Sample(
        data[: spans[-1][1]] if form.header else data[:start],
        data[spans[-1][1] : end] or b"\n", delimiter, encoding, columns, 0, 1, tuple(ids),
        tuple(labels), (b'"' if quoted else b"",), (data[last_row[-1][1] :],),
        False, form.header, "members",
    )  # fmt: skip


def _check_matches(path: Path, sample: Sample) -> None:
    ids = set(sample.ids)
    for image, cell in zip(sample.ids, sample.labels, strict=True):
        if problem := match_problem(image, cell, ids):
            raise _odd(path, "matches", problem)


def match_problem(image: str, cell: str, ids: Collection[str]) -> str:
    """What is wrong with the matches of an image; "" if nothing.

    Examples
    --------
    >>> match_problem("a", "a b", {"a", "b"})
    ''
    >>> match_problem("a", "b", {"a", "b"})
    "'a', which does not match itself"
    """
    found = cell.split(" ")
    if odd := next((i for i in found if i not in ids), None):
        return f"{odd!r} among the matches of {image!r}, which is none of the ids"
    if "" in found:
        return f"two spaces, or none but spaces, among the matches of {image!r}"
    if image not in found:
        return f"{image!r}, which does not match itself"
    if len(set(found)) < len(found):
        twice = next(i for i, n in Counter(found).items() if n > 1)
        return f"{twice!r} twice among the matches of {image!r}"
    return ""


def _check_indicators(path: Path, sample: Sample) -> None:
    for image, cell in zip(sample.ids, sample.labels, strict=True):
        if not _is_indicator(label_cells(sample, cell)):
            raise _odd(path, "indicators", f"{cell!r} of {image!r}")


def _odd(path: Path, form: Form, got: str) -> Exception:
    do = f"correct that, or say what form it has with {OPTION}"
    return input_error(f"{path.name} ({form})", SAID[form], got, do)


def named_labels(sample: Sample) -> list[str]:
    """The label of every image: (n,). Of lists of matches, the first id of each cluster.

    Raises
    ------
    InputError
        Lists of matches that are no clusters: one says that two match, the other does not.

    Examples
    --------
    >>> _ = Path("lists.csv").write_text("image,matches\\na,a b\\nb,a b\\nc,c\\n")
    >>> named_labels(read_form(Path("lists.csv"), known=["a", "b", "c"]))
    ['a', 'a', 'c']
    """
    if sample.form == "indicators":
        at = [as_numbers(label_cells(sample, label)).index(1.0) for label in sample.labels]
        return [sample.columns[1 + n] for n in at]
    if sample.form != "matches":
        return list(sample.labels)
    lists = {
        i: frozenset(cell.split(" ")) for i, cell in zip(sample.ids, sample.labels, strict=True)
    }
    heads: dict[frozenset[str], str] = {}
    for image, mine in lists.items():
        heads.setdefault(mine, image)
        other = next((i for i in mine if lists.get(i) != mine), None)
        if other is not None:
            got = f"other lists of {image!r} and {other!r}, which one of them names"
            do = "let every image of a cluster name all of it"
            raise input_error("lists of matches", "the same for all that match", got, do)
    return [heads[mine] for mine in lists.values()]


def clusters_in(sample: Sample) -> list[str]:
    """The cluster of every image by name: (n,). Each outlier is a cluster of its own.

    Examples
    --------
    >>> _ = Path("mine.csv").write_text("id,label\\na,0\\nb,outliers\\nc,outliers\\n")
    >>> clusters_in(read_form(Path("mine.csv")))
    ['0', 'outliers b', 'outliers c']
    """
    labels = named_labels(sample)
    if sample.outliers is None:
        return labels
    taken = set(labels)
    found = []
    for image, label in zip(sample.ids, labels, strict=True):
        name = f"{label} {image}" if label == sample.outliers else label
        while label == sample.outliers and name in taken:
            name += "'"
        found.append(name)
    return found


def read_assignment(path: Path, ids: Sequence[str], form: SampleFormat = PLAIN) -> dict[str, str]:
    """id -> name of its cluster in an assignment made elsewhere, or in a table of the truth.

    Parameters
    ----------
    path : Path
        A table in any form.
    ids : sequence of str
        (n,) what ids may be; of one label a line, those of the lines.
    form : SampleFormat
        What is said of the form.

    Raises
    ------
    InputError
        It is no such table, or none of its ids is one of these.

    Examples
    --------
    >>> assignment = read_assignment(Path("submissions/first/submission.csv"), ["dune/00.png"])
    >>> assignment["dune/00.png"], len(assignment)
    ('1', 24)
    """
    known = set(ids)
    sample = read_form(path, form, known, len(ids))
    if sample.form == "lines":
        sample = replace(sample, ids=tuple(ids))
    elif sample.names[0] in known:
        sample = read_form(path, replace(form, header=False), known, len(ids))
    if empty := next((i for i, v in zip(sample.ids, sample.labels, strict=True) if not v), None):
        raise input_error(str(path), "a label for every id", f"none for {empty!r}", "add it")
    if not known.intersection(sample.ids):
        got, do = f"none of them, first {sample.ids[0]!r}", "check that both belong together"
        raise input_error(f"ids of {path}", f"some of the {len(known)} images", got, do)
    return dict(zip(sample.ids, clusters_in(sample), strict=True))
