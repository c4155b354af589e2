"""Pictures for papers and slides: the same bytes every time, PNG, SVG or PDF, as wide as wanted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from imclust.report.palette import PALETTE
from imclust.report.plots import MARKERS, pyplot

Format: TypeAlias = Literal["png", "svg", "pdf"]
DOTS = 300  # an inch, of PNG and of what is drawn as pixels in the others
AS_PIXELS = 4000  # more points than this are pixels in SVG and PDF too: such files stay small
ROWS = 10  # clusters on one sheet of examples
LETTER = 0.065  # inches of a letter of such a name, about
LONG = 22  # characters of a name that are shown
LISTED = 24  # groups that a legend lists
WIDE = 5.0  # inches from which on there is room for it beside the picture
# Without these, SVG and PDF hold the date, and SVG random identifiers.
UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {},
}


@dataclass(frozen=True)
class Sheet:
    """How pictures are written.

    Parameters
    ----------
    folder : Path
        where.
    width : float
        Of each, in inches.
    formats : tuple[Format, ...]
        A file each.
    """

    folder: Path
    width: float
    formats: tuple[Format, ...]

    @contextmanager
    def figure(self, name: str, height: float, **subplots: Any) -> Iterator[tuple[Any, Any]]:
        """A figure and its axes, so many inches high; written as `name` when it is drawn."""
        plt = pyplot()
        style = {"font.size": 8, "svg.hashsalt": "imclust", "axes.linewidth": 0.6}
        with plt.rc_context(style):
            figure, axes = plt.subplots(
                figsize=(self.width, height), squeeze=False, layout="constrained", **subplots
            )
            try:
                yield figure, axes
                with warnings.catch_warnings():  # a box stands for what the font has not
                    warnings.filterwarnings("ignore", "Glyph .* missing from font")
                    for form in self.formats:
                        path = self.folder / f"{name}.{form}"
                        figure.savefig(path, dpi=DOTS, metadata=UNDATED[form])
            finally:
                plt.close(figure)


def shown(name: str) -> str:
    """A name as it fits beside a picture; dollars are dollars, no formulas."""
    short = name if len(name) <= LONG else name[: LONG - 1] + "…"
    return short.replace("$", r"\$")


def look_of(group: int) -> tuple[str, str]:
    """Colour and marker of a group: colours repeat with another marker."""
    return PALETTE[group % len(PALETTE)], MARKERS[group // len(PALETTE) % len(MARKERS)]


def scatter(
    sheet: Sheet, name: str, points: np.ndarray, groups: np.ndarray, names: list[str], axes: str
) -> None:
    """Points (n, 2) by group (n,) int, as `name`; every group's number stands at its middle.

    Parameters
    ----------
    names : list[str]
        Of the groups.
    axes : str
        Name of the space.
    """
    from matplotlib.patheffects import withStroke

    listed = len(names) <= LISTED
    wide = sheet.width >= WIDE
    height = sheet.width * (0.68 if listed and wide else 0.85)
    height += 0.16 * -(-len(names) // 2) if listed and not wide else 0
    size = float(np.clip(9000 / max(1, len(points)), 1.0, 12)) * sheet.width / 6
    with sheet.figure(name, height) as (figure, all_axes):
        ax = all_axes[0, 0]
        for g in range(len(names)):
            colour, marker = look_of(g)
            mine = points[groups == g]
            ax.scatter(
                mine[:, 0], mine[:, 1], s=size, c=colour, marker=marker, linewidths=0, alpha=0.85,
                rasterized=len(points) > AS_PIXELS,
            )  # fmt: skip
        halo = [withStroke(linewidth=2.2, foreground="white")]
        for g in range(len(names)):
            if (groups == g).any():
                x, y = _middle(points[groups == g])
                ax.text(
                    x, y, str(g), ha="center", va="center",
                    fontsize=8, fontweight="bold", path_effects=halo,
                )  # fmt: skip
        ax.set(xticks=[], yticks=[], xlabel=f"{axes} 1", ylabel=f"{axes} 2")
        ax.set_aspect("equal", adjustable="datalim")
        if listed:
            _legend(figure, names, np.bincount(groups, minlength=len(names)), wide)


def _middle(points: np.ndarray) -> np.ndarray:
    """The point (2,) of a group that is nearest to its median, so that its number stands on it."""

    away = ((points - np.median(points, axis=0)) ** 2).sum(1)
    return np.asarray(points[int(away.argmin())])


def _legend(figure: Any, names: list[str], sizes: np.ndarray, wide: bool) -> None:
    """Numbers, names and sizes of the groups, beside a wide picture or beneath it."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], ls="", color=look_of(g)[0], marker=look_of(g)[1], ms=4.5, mew=0)
        for g in range(len(names))
    ]
    own = ["" if name == f"cluster {g}" else f"{g}  " for g, name in enumerate(names)]
    texts = [f"{own[g]}{shown(name)} ({sizes[g]})" for g, name in enumerate(names)]
    where: dict[str, Any] = {"loc": "outside right center"}
    if not wide:
        where = {"loc": "outside lower center", "ncols": 2, "columnspacing": 1.0}
    figure.legend(handles, texts, frameon=False, handletextpad=0.2, **where)


def examples(sheet: Sheet, images: list[np.ndarray], names: list[str], sizes: list[int]) -> None:
    """A row a cluster, each of up to five images, as `examples`, or on several sheets.

    Parameters
    ----------
    images : list[np.ndarray]
        Of every cluster (m, s, s, 3) uint8.
    names, sizes : list[str]
        Of the clusters.
    """
    sheets = range(0, len(images), ROWS)
    per_row = max(1, *(len(few) for few in images))
    texts = [f"{shown(name)}\n({size})" for name, size in zip(names, sizes, strict=True)]
    beside = 0.15 + LETTER * max(len(line) for text in texts for line in text.split("\n"))
    side = max(0.2, (sheet.width - beside) / per_row)
    for number, first in enumerate(sheets, 1):
        rows = range(first, min(first + ROWS, len(images)))
        name = "examples" if len(sheets) == 1 else f"examples-{number}"
        with sheet.figure(name, side * len(rows), nrows=len(rows), ncols=per_row) as (_, axes):
            for row, cluster in zip(axes, rows, strict=True):
                _row(row, images[cluster], texts[cluster])


def _row(axes: np.ndarray, images: np.ndarray, name: str) -> None:
    for column, ax in enumerate(axes):
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        if column < len(images):
            ax.imshow(images[column], interpolation="nearest")
    axes[0].set_ylabel(name, rotation=0, ha="right", va="center")


def sizes_of(sheet: Sheet, names: list[str], sizes: list[int]) -> None:
    """How many images each cluster has, as bars with numbers, as `sizes`."""

    k = len(names)
    with sheet.figure("sizes", 0.5 + 0.2 * k) as (_, axes):
        ax = axes[0, 0]
        bars = ax.barh(np.arange(k), sizes, height=0.72, color=PALETTE[0])
        ax.bar_label(bars, padding=3)
        ax.set_yticks(np.arange(k), [shown(name) for name in names])
        ax.set_ylim(k - 0.5, -0.5)
        ax.set(xlabel="images")
        ax.margins(x=0.1)
        ax.tick_params(axis="y", length=0)
