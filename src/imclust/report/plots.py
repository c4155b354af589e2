"""Pictures: one function each, from arrays to a PNG file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imclust.report.palette import MANY, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PER_ROW = 5  # images of a cluster that are shown
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<")  # with the palette 64 groups look different


def pyplot() -> Any:
    """Matplotlib without a screen, in the style of all pictures."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    return plt


def colours(k: int) -> list[Any]:
    """k colours that differ as much as they can; past 64, neighbours on a wheel look alike."""
    if k <= len(MANY):
        return list(MANY[:k])
    import matplotlib as mpl

    wheel = mpl.colormaps["gist_rainbow"]
    return [wheel(i / k) for i in range(k)]


@dataclass(frozen=True)
class Panel:
    """One scatter: points (n, 2), the group of each (n,) int, group names, and, grey behind them,
    further points (m, 2) or None."""

    title: str
    points: np.ndarray
    groups: np.ndarray
    names: list[str]
    behind: np.ndarray | None = None


def scatter(panels: list[Panel], axes_name: str, path: Path) -> None:
    """Panels side by side; the axes are those of the space of that name."""
    plt = pyplot()
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.2 * len(panels), 5), squeeze=False, layout="constrained"
    )
    for ax, panel in zip(axes[0], panels, strict=True):
        if panel.behind is not None:
            ax.scatter(panel.behind[:, 0], panel.behind[:, 1], s=5, color="#d8d8d8", linewidths=0)
        _groups(ax, panel.points, panel.groups, panel.names)
        ax.set(title=panel.title, xticks=[], yticks=[])
        ax.set(xlabel=f"{axes_name} 1", ylabel=f"{axes_name} 2")
        ax.set_aspect("equal", adjustable="datalim")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _groups(ax: Axes, points: np.ndarray, groups: np.ndarray, names: list[str]) -> None:

    size = float(np.clip(20_000 / max(1, len(points)), 1.5, 14))
    order = np.random.default_rng(0).permutation(len(points))  # no group lies on top of another
    palette = np.array(colours(len(names)), dtype=object)
    ax.scatter(
        points[order, 0],
        points[order, 1],
        s=size,
        c=list(palette[groups[order]]),
        linewidths=0,
        alpha=0.8,
    )
    for colour, name, g in zip(palette, names, range(len(names)), strict=True):
        ax.scatter([], [], s=30, color=colour, label=f"{name} ({(groups == g).sum()})")
    if len(names) <= 20:
        ax.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, 1))


def reconstructions(
    originals: np.ndarray, rebuilt: np.ndarray, names: list[str], path: Path
) -> None:
    """Originals above reconstructions, a column an image; both (n, s, s, 3) uint8."""
    plt = pyplot()
    n = len(originals)
    figure, axes = plt.subplots(2, n, figsize=(1.5 * n + 0.6, 3.6), layout="constrained")
    for row, images, title in ((0, originals, "original"), (1, rebuilt, "reconstruction")):
        for column in range(n):
            ax = axes[row, column]
            ax.imshow(images[column], interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if row == 0:
                ax.set_title(names[column], fontsize=9)
        axes[row, 0].set_ylabel(title)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def examples(images: list[np.ndarray], names: list[str], path: Path) -> None:
    """A row a cluster, each of up to `PER_ROW` images.

    Parameters
    ----------
    images : list[np.ndarray]
        Of every cluster (m, s, s, 3) uint8, m from 0 on, the most confident first.
    names : list[str]
        Of the clusters, with their sizes.
    """
    plt = pyplot()
    k = len(images)
    figure, axes = plt.subplots(
        k, PER_ROW, figsize=(1.4 * PER_ROW + 1.2, 1.45 * k), squeeze=False, layout="constrained"
    )
    for row, (shown, name) in enumerate(zip(images, names, strict=True)):
        for column, ax in enumerate(axes[row]):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if column < len(shown):
                ax.imshow(shown[column], interpolation="nearest")
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def training(
    steps: list[dict[str, Any]],
    checkpoints: list[dict[str, str]],
    path: Path,
    *,
    loss: str = "mean squared error",
) -> None:
    """Training loss by epoch; beneath it error and, where known, accuracy by checkpoint."""
    plt = pyplot()
    known = bool(checkpoints) and "accuracy" in checkpoints[0]
    figure, axes = plt.subplots(
        2 if known else 1,
        1,
        figsize=(7, 6.4 if known else 3.6),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    top = axes[0, 0]
    top.plot(
        [s["epoch"] for s in steps],
        [s["loss"] for s in steps],
        color=PALETTE[4],
        lw=1,
        label="training loss (running mean)",
    )
    epochs = [int(c["epoch"]) for c in checkpoints]
    errors = [c["reconstruction"] for c in checkpoints]
    if errors and all(errors):
        top.plot(
            epochs,
            list(map(float, errors)),
            "o-",
            color=PALETTE[0],
            label="error at checkpoints (validation images)",
        )
    top.set(yscale="log", ylabel=loss, title="Training")
    top.legend(frameon=False, fontsize=8)
    if known:
        low = axes[1, 0]
        low.plot(epochs, [float(c["accuracy"]) for c in checkpoints], "o-", color=PALETTE[5])
        low.set(
            ylabel="accuracy",
            title="Accuracy of the baseline at checkpoints (shown, never used to choose)",
        )
        low.set_ylim(0, 1.02)
        low.grid(axis="y", alpha=0.3)
    axes[-1, 0].set_xlabel("epoch")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def k_evidence(
    table: list[dict[str, float]],
    favourites: dict[str, int],
    counted: tuple[str, ...],
    words: Mapping[str, Any],
    path: Path,
) -> None:
    """Every criterion over K, its favourite as a dot, and the vote; the assignment as a line.

    What the terminal and the page say of the vote stands above.

    Parameters
    ----------
    table : list[dict[str, float]]
        Of `n_clusters.KVote`: a row for every K that was tried.
    favourites : dict[str, int]
        Criterion to the K that it favours.
    counted : tuple[str, ...]
        The criteria that count.
    words : mapping
        Of `k_words`.
    path : Path
        Of the picture.
    """
    plt = pyplot()
    n_clusters = words["k"]
    asks = {name: text for name, text, _, _ in words["criteria"]}
    names = [*favourites, "vote"]
    ks = [row["k"] for row in table]
    figure, axes = plt.subplots(2, -(-len(names) // 2), figsize=(11, 5.6), layout="constrained")
    for ax, name, colour in zip(axes.flat, names, colours(len(names)), strict=False):
        values = [row[name] for row in table]
        best = favourites.get(name, n_clusters)
        ax.axvline(n_clusters, color="#b0b0b0", lw=1, ls="--")
        ax.plot(ks, values, color=colour, lw=1.5)
        ax.plot([best], [values[ks.index(best)]], "o", color=colour)
        what = "answer" if name == "vote" else "favours"
        aside = "" if name in (*counted, "vote") else ", not counted"
        ax.set_title(f"{name}: {what} {best}{aside}\n", fontsize=10)
        said = asks.get(name, "the criteria that count, weighed together")
        ax.text(0.5, 1.02, said, transform=ax.transAxes, ha="center", fontsize=7, color="#606060")
        ax.set_xlabel("number of clusters K")
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    figure.suptitle(f"K = {n_clusters} by vote, {words['sure']}", fontsize=11)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def dendrogram(tree: np.ndarray, names: list[str], path: Path) -> None:
    """The tree over clusters of a `ClusterTree`, one name a cluster."""
    from scipy.cluster import hierarchy

    plt = pyplot()
    figure, ax = plt.subplots(figsize=(7, 0.28 * len(names) + 1.4), layout="constrained")
    hierarchy.dendrogram(
        tree, labels=names, orientation="right", ax=ax, color_threshold=0, link_color_func=_link
    )
    ax.set(xlabel="how far apart", title="Which clusters belong together")
    ax.spines["left"].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _link(node: int) -> str:
    return PALETTE[0]
