"""Clusters written in the form of a sample: what stands in the cell of each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from imclust.competitions.sample_submission import Sample, as_numbers, render
from imclust.core.errors import input_error

MOST_MATCHES = 30_000_000  # ids in all lists together: some 500 MB


def label_cells(sample: Sample, label: str) -> list[str]:
    """The cells that a label of the form `indicators` is made of, without quotes.

    Examples
    --------
    >>> from imclust.competitions.submission_forms import read_form
    >>> _ = Path("marks.csv").write_text("id,x,y,z\\na,0,1,0\\nb,1,0,0\\n")
    >>> label_cells(read_form(Path("marks.csv")), '"0",1,0')
    ['0', '1', '0']
    """
    return [cell.strip().strip('"') for cell in label.split(sample.delimiter)]


def cells_of(sample: Sample, labels: Sequence[str]) -> list[str]:
    """What stands in the cell of every image: (n,), in the sample's form.

    Parameters
    ----------
    sample : Sample
        Its ids are those of the images.
    labels : sequence of str
        (n,) the label of the cluster of each.

    Raises
    ------
    InputError
        Clusters too large for lists of matches, ids with spaces in them, no column of that name.

    Examples
    --------
    >>> from imclust.competitions.submission_forms import read_form
    >>> _ = Path("lists.csv").write_text("image,matches\\na,a\\nb,b\\nc,c\\n")
    >>> cells_of(read_form(Path("lists.csv"), known=["a", "b", "c"]), ["x", "x", "y"])
    ['a b', 'a b', 'c']
    """
    if sample.form == "matches":
        return _lists(sample.ids, labels)
    if sample.outliers is not None:
        sizes = Counter(labels)
        labels = [sample.outliers if sizes[label] == 1 else label for label in labels]
    if sample.form == "indicators":
        (one, zero), names = _marks(sample), sample.columns[1:]
        cell = {
            name: sample.delimiter.join(one if other == name else zero for other in names)
            for name in names
        }  # fmt: skip
        return [cell[label] for label in labels]
    return list(labels)


def _lists(ids: Sequence[str], labels: Sequence[str]) -> list[str]:
    if spaced := next((i for i in ids if " " in i), None):
        do = "hand in another form"
        raise input_error("ids in lists of matches", "without spaces", repr(spaced), do)
    members: dict[str, list[str]] = {}
    for image, label in zip(ids, labels, strict=True):
        members.setdefault(label, []).append(image)
    total = sum(len(m) ** 2 for m in members.values())
    if total > MOST_MATCHES:
        got = f"{total}, {max(map(len, members.values()))} images in one cluster"
        do = "take more clusters, or hand in another form"
        raise input_error("ids in all lists of matches", f"at most {MOST_MATCHES}", got, do)
    text = {label: " ".join(mine) for label, mine in members.items()}
    return [text[label] for label in labels]


def _marks(sample: Sample) -> tuple[str, str]:
    """What stands for 1 and for 0, as the sample writes it."""
    cells = sample.labels[0].split(sample.delimiter)
    values = as_numbers(label_cells(sample, sample.labels[0]))
    return cells[values.index(1.0)], cells[values.index(0.0)]


def write(path: Path, sample: Sample, labels: Sequence[str]) -> None:
    """Write a submission to a file. `labels`: (n,) the label of the cluster of each image.

    Examples
    --------
    >>> from imclust.competitions.submission_forms import read_form
    >>> _ = Path("sample.csv").write_text("id,label\\na,0\\nb,0\\n")
    >>> write(Path("mine.csv"), read_form(Path("sample.csv")), ["0", "1"])
    >>> Path("mine.csv").read_text()
    'id,label\\na,0\\nb,1\\n'
    """
    path.write_bytes(render(sample, cells_of(sample, labels)))
