"""How much `auto` tries: a level chosen beforehand, and what it costs; the clock says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from imclust.core.errors import input_error

EffortLevel: TypeAlias = Literal["quick", "normal", "thorough"]
LEVELS: tuple[EffortLevel, ...] = get_args(EffortLevel)


@dataclass(frozen=True)
class Effort:
    """What a level does.

    Parameters
    ----------
    rows : int
        Rows that heads are fitted to at most; of more, a sample, and the others are placed.
    finer : bool
        Also a second graph of fewer neighbours for the views.
    leiden, scan : bool
        Also Leiden communities; also SCAN's heads, the slow ones, which changed no answer for the
        better in the tasks that the choice was fitted on.
    layouts : int
        Layouts of each view, from as many seeds.
    """

    rows: int
    finer: bool
    leiden: bool
    scan: bool
    layouts: int


EFFORTS: dict[EffortLevel, Effort] = {
    "quick": Effort(4_000, finer=False, leiden=False, scan=False, layouts=1),
    "normal": Effort(10_000, finer=True, leiden=True, scan=False, layouts=1),
    "thorough": Effort(20_000, finer=True, leiden=True, scan=True, layouts=3),
}
# Seconds of each level on one core of an AMD EPYC with AVX2, measured by
# `benchmarks/auto_speed.py`: a + b n' + c n' k + d n with n' the fitted rows, n and k in thousands
# and hundreds; the width counts through its principal directions only.
COST: dict[EffortLevel, tuple[float, float, float, float]] = {
    "quick": (4.9, 2.8, 1.6, 0.05),
    "normal": (4.9, 3.6, 2.4, 0.05),
    "thorough": (9.7, 10.8, 4.8, 0.05),
}
WIDE = 1280  # columns that the costs were measured with


def effort_of(level: str) -> Effort:
    """What a level does.

    Raises
    ------
    InputError
        There is none of that name.

    Examples
    --------
    >>> effort_of("quick").rows > 0
    True
    """
    if level not in LEVELS:
        raise input_error("effort", f"one of {', '.join(LEVELS)}", repr(level), "choose one")
    return EFFORTS[level]


def seconds_of(n: int, d: int, k: int, level: EffortLevel) -> float:
    """Seconds that a level is expected to take.

    Parameters
    ----------
    n, d : int
        Rows and columns, of all spaces together.
    k : int
        Clusters.
    level : str
        `quick`, `normal` or `thorough`.

    Examples
    --------
    >>> seconds_of(2000, 512, 10, "quick") < seconds_of(2000, 512, 10, "thorough")
    True
    """
    a, b, c, e = COST[level]
    fitted = min(n, EFFORTS[level].rows) / 1000
    width = max(1.0, d / WIDE)
    return a + b * fitted + c * fitted * k / 100 + e * width * n / 1000
