"""Pictures of an assignment: the same bytes every time, PNG, SVG or PDF, as wide as wanted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from imclust.report.palette import ON_LIGHT, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Format: TypeAlias = Literal["png", "svg", "pdf"]
MARKERS = ("o", "s", "^", "D", "v", "h")  # as on the page: another for every OF_A_MARKER groups
OF_A_MARKER = 8
PRINT_DOTS = 300  # an inch, of PNG and of what is drawn as pixels in the others
SCREEN_DOTS = 130
PER_ROW = 5  # images of a cluster that are shown
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
STYLE: dict[str, Any] = {
    "font.size": 8,
    "svg.hashsalt": "imclust",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
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
    dots : int
        An inch, where pixels are drawn.
    """

    folder: Path
    width: float
    formats: tuple[Format, ...] = ("png",)
    dots: int = SCREEN_DOTS

    @contextmanager
    def figure(self, name: str, height: float, **subplots: Any) -> Iterator[tuple[Any, Any]]:
        """A figure and its axes, so many inches high; written as `name` when it is drawn."""
        plt = _pyplot()
        subplots = {"layout": "constrained", **subplots}
        with plt.rc_context(STYLE):
            figure, axes = plt.subplots(figsize=(self.width, height), squeeze=False, **subplots)
            try:
                yield figure, axes
                with warnings.catch_warnings():  # a box stands for what the font has not
                    warnings.filterwarnings("ignore", "Glyph .* missing from font")
                    for form in self.formats:
                        path = self.folder / f"{name}.{form}"
                        figure.savefig(path, dpi=self.dots, metadata=UNDATED[form])
            finally:
                plt.close(figure)


def _pyplot() -> Any:
    """Matplotlib without a screen."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def shown(name: str) -> str:
    """A name as it fits beside a picture; dollars are dollars, no formulas.

    Examples
    --------
    >>> shown("5 $")
    '5 \\\\$'
    """
    short = name if len(name) <= LONG else name[: LONG - 1] + "…"
    return short.replace("$", r"\$")


def look_of(group: int, colour: int | None = None) -> tuple[str, str]:
    """Colour and marker of a group, as the page has them: colours repeat with another marker.

    Parameters
    ----------
    group : int
        Its number.
    colour : int, optional
        The number of its colour, where that is not its own.

    Examples
    --------
    >>> look_of(0), look_of(9, colour=0)
    (('#0072b2', 'o'), ('#0072b2', 's'))
    """
    number = group if colour is None else colour
    return ON_LIGHT[number % len(ON_LIGHT)], MARKERS[group // OF_A_MARKER % len(MARKERS)]


@dataclass(frozen=True)
class Panel:
    """One scatter.

    Parameters
    ----------
    points : np.ndarray
        (n, 2), or of more columns, of which the first two are drawn.
    groups : np.ndarray
        (n,) int, the group of each.
    names : list[str]
        Of the groups.
    title : str
        Above it.
    behind : np.ndarray, optional
        Further points (m, 2 or more), grey.
    colours : sequence of int, optional
        Numbers of the groups' colours, where they are not the groups' own.
    """

    points: np.ndarray
    groups: np.ndarray
    names: list[str]
    title: str = ""
    behind: np.ndarray | None = None
    colours: Sequence[int] | None = None

    @property
    def looks(self) -> list[tuple[str, str]]:
        """Colour and marker of every group."""
        colours = self.colours or range(len(self.names))
        return [look_of(g, colour) for g, colour in enumerate(colours)]


def scatter(sheet: Sheet, name: str, panels: list[Panel], axes: str) -> None:
    """Panels side by side, as `name`; every group's number stands at its middle.

    Parameters
    ----------
    sheet : Sheet
        Where, and how wide all of them are together.
    name : str
        Of the file.
    panels : list[Panel]
        Points by group.
    axes : str
        Name of the space.

    Examples
    --------
    >>> panel = Panel(np.array([[0, 0], [0, 1], [5, 5.0]]), np.array([0, 0, 1]), ["sea", "sun"])
    >>> scatter(Sheet(Path(), 6), "map", [panel], "t-SNE")
    >>> Path("map.png").is_file()
    True
    """
    each = sheet.width / len(panels)
    most = max(len(panel.names) for panel in panels)
    where = "below" if each < WIDE else "beside"
    where = where if len(panels) == 1 else "below its axes"
    height = each * (0.68 if most <= LISTED and where == "beside" else 0.85)
    height += 0.16 * -(-most // 2) if most <= LISTED and where != "beside" else 0
    with sheet.figure(name, height, ncols=len(panels)) as (_, all_axes):
        for ax, panel in zip(all_axes[0], panels, strict=True):
            _points(ax, panel, each)
            ax.set(title=panel.title, xticks=[], yticks=[])
            ax.set(xlabel=f"{axes} 1", ylabel=f"{axes} 2")
            ax.set_aspect("equal", adjustable="datalim")
            if len(panel.names) <= LISTED:
                _legend(ax, panel, where)


def _points(ax: Axes, panel: Panel, width: float) -> None:
    """Points in a random order, so that no group lies on top of another, and the numbers."""
    from matplotlib.patheffects import withStroke

    points = panel.points[:, :2]
    if panel.behind is not None:
        x, y = panel.behind[:, :2].T
        ax.scatter(x, y, s=3, color="#d8d8d8", linewidths=0, rasterized=True)
    size = float(np.clip(9000 / max(1, len(points)), 1.0, 12)) * width / 6
    looks = panel.looks
    shuffled = np.random.default_rng(0).permutation(len(points))
    for marker in dict.fromkeys(marker for _, marker in looks):  # a call of `scatter` has one
        rows = [i for i in shuffled if looks[panel.groups[i]][1] == marker]
        x, y = points[rows].T
        ax.scatter(
            x, y, s=size, c=[looks[g][0] for g in panel.groups[rows]], marker=marker,
            linewidths=0, alpha=0.85, rasterized=len(points) > AS_PIXELS,
        )  # fmt: skip
    halo = [withStroke(linewidth=2.2, foreground="white")]
    for g in np.unique(panel.groups):
        x, y = _middle(points[panel.groups == g])
        ax.text(
            x, y, str(g), ha="center", va="center",
            fontsize=8, fontweight="bold", path_effects=halo,
        )  # fmt: skip


def _middle(points: np.ndarray) -> np.ndarray:
    """The point (2,) of a group that is nearest to its median, so that its number stands on it."""

    away = ((points - np.median(points, axis=0)) ** 2).sum(1)
    return np.asarray(points[int(away.argmin())])


def _legend(ax: Axes, panel: Panel, where: str) -> None:
    """Numbers, names and sizes of the groups."""
    from matplotlib.lines import Line2D

    names, sizes = panel.names, np.bincount(panel.groups, minlength=len(panel.names))
    handles = [
        Line2D([], [], ls="", color=colour, marker=marker, ms=4.5, mew=0)
        for colour, marker in panel.looks
    ]
    own = ["" if name == f"cluster {g}" else f"{g}  " for g, name in enumerate(names)]
    texts = [f"{own[g]}{shown(name)} ({sizes[g]})" for g, name in enumerate(names)]
    style = {"frameon": False, "handletextpad": 0.2, "columnspacing": 1.0}
    if where == "below its axes":
        middle = (0.5, -0.07)
        ax.legend(handles, texts, loc="upper center", bbox_to_anchor=middle, ncols=2, **style)
    elif where == "beside":
        ax.figure.legend(handles, texts, loc="outside right center", **style)
    else:
        ax.figure.legend(handles, texts, loc="outside lower center", ncols=2, **style)


def examples(
    sheet: Sheet,
    images: list[np.ndarray],
    names: list[str],
    sizes: list[int],
    rows: int = ROWS,
    title: str = "",
) -> None:
    """A row a cluster, each of up to `PER_ROW` images, as `examples`, or on several sheets.

    Parameters
    ----------
    sheet : Sheet
        Where.
    images : list[np.ndarray]
        Of every cluster (m, s, s, 3) uint8.
    names : list[str]
        Of the clusters.
    sizes : list[int]
        Images of each.
    rows : int, optional
        Clusters on one sheet.
    title : str, optional
        Of each.

    Examples
    --------
    >>> images = [np.zeros((2, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3), np.uint8)]
    >>> examples(Sheet(Path(), 6), images, ["sea", "sun"], sizes=[20, 1])
    >>> Path("examples.png").is_file()
    True
    """
    sheets = range(0, len(images), rows)
    per_row = max(1, *(len(few) for few in images))
    texts = [f"{shown(name)}\n({size})" for name, size in zip(names, sizes, strict=True)]
    beside = 0.15 + LETTER * max(len(line) for text in texts for line in text.split("\n"))
    side = max(0.2, (sheet.width - beside) / per_row)
    for number, first in enumerate(sheets, 1):
        here = range(first, min(first + rows, len(images)))
        name = "examples" if len(sheets) == 1 else f"examples-{number}"
        with sheet.figure(name, side * len(here)) as (_, axes):
            middles, _ = _tiles(axes[0, 0], [images[cluster] for cluster in here], per_row)
            axes[0, 0].set_yticks(middles, [texts[cluster] for cluster in here])
            axes[0, 0].set_title(title)


def _tiles(ax: Axes, rows: list[np.ndarray], per_row: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of images (m, s, s, 3) as one, since axes for each take seconds; the middles of rows and
    of columns."""
    side = max((row.shape[1] for row in rows if len(row)), default=1)
    gap = max(1, side // 24)
    step = side + gap
    sheet = np.full((step * len(rows) - gap, step * per_row - gap, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            height, width = image.shape[:2]
            sheet[y * step : y * step + height, x * step : x * step + width] = image
    ax.imshow(sheet, interpolation="nearest")
    ax.set(xticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    middles = np.arange(max(len(rows), per_row)) * step + (side - 1) / 2
    return middles[: len(rows)], middles[:per_row]


def sizes_of(sheet: Sheet, names: list[str], sizes: list[int]) -> None:
    """How many images each cluster has, as bars with numbers, as `sizes`.

    Parameters
    ----------
    sheet : Sheet
        Where.
    names : list of str
        Of the k clusters.
    sizes : list of int
        Images of each.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     sizes_of(Sheet(Path(place), 7), ["sea", "sun"], [3, 5])
    ...     sorted(p.name for p in Path(place).iterdir())
    ['sizes.png']
    """

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


def reconstructions(
    sheet: Sheet, originals: np.ndarray, rebuilt: np.ndarray, names: list[str]
) -> None:
    """Originals above what an autoencoder made of them, a column an image, as `reconstructions`.

    Parameters
    ----------
    sheet : Sheet
        Where.
    originals, rebuilt : np.ndarray
        (n, s, s, 3) uint8.
    names : list[str]
        Of the images.

    Examples
    --------
    >>> images = np.zeros((2, 8, 8, 3), np.uint8)
    >>> reconstructions(Sheet(Path(), 6), images, images, ["1", "2"])
    >>> Path("reconstructions.png").is_file()
    True
    """
    n = len(originals)
    with sheet.figure("reconstructions", 0.5 + 2 * sheet.width / n) as (_, axes):
        ax = axes[0, 0]
        middles, columns = _tiles(ax, [originals, rebuilt], n)
        ax.set_yticks(middles, ["original", "reconstruction"], rotation=90, va="center")
        ax.xaxis.tick_top()
        ax.set_xticks(columns, names)


def dendrogram(sheet: Sheet, tree: np.ndarray, names: list[str]) -> None:
    """The tree over clusters of a `ClusterTree`, one name a cluster, as `tree`.

    Parameters
    ----------
    sheet : Sheet
        Where.
    tree : np.ndarray
        (k - 1, 4) merges, as scipy has them.
    names : list of str
        Of the k clusters.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> merges = np.array([[0, 1, 0.2, 2], [2, 3, 0.7, 3]])
    >>> with TemporaryDirectory() as place:
    ...     dendrogram(Sheet(Path(place), 7), merges, ["sea", "sun", "snow"])
    ...     sorted(p.name for p in Path(place).iterdir())
    ['tree.png']
    """
    from scipy.cluster import hierarchy

    with sheet.figure("tree", 0.24 * len(names) + 1.0) as (_, axes):
        ax = axes[0, 0]
        texts = [shown(name) for name in names]
        hierarchy.dendrogram(
            tree,
            labels=texts,
            orientation="right",
            ax=ax,
            color_threshold=0,
            leaf_font_size=8,
            link_color_func=lambda _: PALETTE[0],
        )
        ax.set(xlabel="how far apart", title="Which clusters belong together")
        ax.spines["left"].set_visible(False)
