"""The labels that the clusters of an answer get, after those that the sample has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imclust.competitions.sample_submission import Sample, as_numbers
from imclust.core.errors import input_error


def vocabulary(sample: Sample, n_clusters: int) -> tuple[str, ...]:
    """The label of every cluster: (n_clusters,) distinct texts.

    The sample's own labels where it has as many, and the first K where they are words; 1..K where
    it counts up to K from 1; words that end in a number go on counting; else 0..K-1, as floats
    where the sample has floats.

    Raises
    ------
    InputError
        The sample has several words as labels, or a column a cluster, but fewer than clusters.

    Examples
    --------
    >>> from imclust.competitions.sample_submission import plain_sample
    >>> vocabulary(plain_sample(["a", "b"], ("id", "label")), 3)
    ('0', '1', '2')
    """
    values = sample.values
    if len(values) == n_clusters:
        return values
    if sample.form == "indicators" and len(values) < n_clusters:
        got, do = f"{n_clusters}", f"set K to at most {len(values)}"
        raise input_error("clusters", f"no more than the {len(values)} columns", got, do)
    numbers = as_numbers(values)
    columns = sample.form in ("members", "indicators")
    if counted := _counted_on(values, n_clusters, columns=columns):
        return counted
    if columns and len(values) > n_clusters:
        return values[:n_clusters]
    if len(values) > 1 and all(map(_is_name, values)):
        if len(values) < n_clusters:
            got = f"{len(values)}: {', '.join(values[:12])}"
            do = f"set K to at most {len(values)}"
            raise input_error("labels of the sample", f"as many as {n_clusters} clusters", got, do)
        return values[:n_clusters]
    first = 1 if numbers and min(numbers) >= 1 and max(numbers) == n_clusters else 0
    end = ".0" if numbers and any("." in v for v in values) else ""
    return tuple(f"{n}{end}" for n in range(first, first + n_clusters))


def _counted_on(values: Sequence[str], k: int, *, columns: bool) -> tuple[str, ...]:
    """K labels where all of the sample's are one word and a number; none where they are not.

    Numbers alone are such labels where they are names of columns.
    """
    found = [re.fullmatch(r"(.*?)(0|[1-9]\d*)", v) for v in values]
    stems = {m[1] for m in found if m}
    if not values or not all(found) or len(stems) > 1 or (stems == {""} and not columns):
        return ()
    stem, first = stems.pop(), min(int(m[2]) for m in found if m)
    if not stem[-1:].isalpha() and stem[-1:] not in {"", "_", "-", " "}:
        return ()  # 1.0 and 2.0 are numbers
    return tuple(f"{stem}{n}" for n in range(first, first + k))


def _is_name(value: str) -> bool:
    """Whether a label is a word rather than a number, finite or not."""
    try:
        float(value)
    except ValueError:
        return True
    return False
