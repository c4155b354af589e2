"""Pictures of how numbers run: of training over epochs, of the criteria over K."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imclust.core.log import read_jsonl
from imclust.core.manifest import read_manifest
from imclust.encoders import ENCODERS
from imclust.report.figures import Sheet
from imclust.report.palette import MANY, PALETTE

STEPS = "steps.jsonl"  # of a `weights` artefact, what its training was like
SIDES = ("left", "right", "bottom", "top", "wspace", "hspace")
K_ROOM = (0.05, 0.99, 0.09, 0.84, 0.22, 0.65)  # of the picture of K


def loss_curve(weights: Path) -> dict[str, Any]:
    """What a training was like: `name` of the encoder, `of`, what the loss is, and columns `epoch`
    and `loss`.

    Parameters
    ----------
    weights : Path
        A `weights` artefact that has STEPS.

    Examples
    --------
    >>> from imclust.core.log import write_jsonl
    >>> write_jsonl(Path("run/weights/steps.jsonl"), [{"epoch": 1, "loss": 0.5}])
    >>> loss_curve(Path("run/weights"))
    {'name': 'pixels', 'of': 'loss', 'epoch': [1], 'loss': [0.5]}
    """
    steps = [s for s in read_jsonl(weights / STEPS) if {"epoch", "loss"} <= s.keys()]
    columns = {name: [step[name] for step in steps] for name in ("epoch", "loss")}
    config = read_manifest(weights, "weights")["config"]
    if any("part" in step for step in steps):  # a classifier's, of `finetune`
        return {"name": f"{config['method']}, fine-tuned", "of": "loss", **columns}
    decodes = getattr(ENCODERS[config["method"]].method, "decodes", False)
    of = "mean squared error" if decodes else "loss"
    return {"name": config["method"], "of": of, **columns}


def training(
    sheet: Sheet,
    trainings: list[dict[str, Any]],
    checkpoints: list[dict[str, str]],
) -> None:
    """Training loss by epoch, a panel an encoder; beneath it error and, where known, accuracy of
    the last one by checkpoint.

    Parameters
    ----------
    sheet : Sheet
        Where `training` is written.
    trainings : list[dict[str, Any]]
        `loss_curve` of each, at least one.
    checkpoints : list[dict[str, str]]
        `epoch`, `reconstruction` and, where labels are known, `accuracy`; may be empty.

    Examples
    --------
    >>> curve = {"name": "simclr", "of": "loss", "epoch": [1, 2], "loss": [0.9, 0.4]}
    >>> training(Sheet(Path(), 7), [curve], [])
    >>> Path("training.png").is_file()
    True
    """
    known = bool(checkpoints) and "accuracy" in checkpoints[0]
    panels = len(trainings) + known
    height = 3.4 + 2.6 * (panels - 1)
    shared = "all" if len(trainings) == 1 else "none"
    with sheet.figure("training", height, nrows=panels, sharex=shared) as (_, axes):
        for (top,), curve in zip(axes, trainings, strict=False):
            mark = "o" if len(curve["epoch"]) == 1 else ""  # a line of one point is not seen
            how = {"color": PALETTE[4], "lw": 1, "label": "training loss (running mean)"}
            top.plot(curve["epoch"], curve["loss"], marker=mark, **how)
            top.set(yscale="log", ylabel=curve["of"], title=f"Training of {curve['name']}")
            for how_told in (top.yaxis.set_major_formatter, top.yaxis.set_minor_formatter):
                how_told(_plain_log())
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
        for (panel,) in axes[: len(trainings)]:
            panel.legend(frameon=False)
        if known:
            low = axes[-1, 0]
            low.plot(epochs, [float(c["accuracy"]) for c in checkpoints], "o-", color=PALETTE[5])
            title = "Accuracy of the baseline at checkpoints (shown, never used to choose)"
            low.set(ylabel="accuracy", title=title)
            low.set_ylim(0, 1.02)
            low.grid(axis="y", alpha=0.3)
        axes[-1, 0].set_xlabel("epoch")


def _plain_log() -> Any:
    """Numbers beside a logarithmic axis, the fewer the longer it is: 0.36, not 3.6 x 10^-1."""
    from matplotlib.ticker import LogFormatter

    class PlainLog(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    return PlainLog(labelOnlyBase=False, minor_thresholds=(2, 0.4))


def k_evidence(
    sheet: Sheet,
    table: list[dict[str, float]],
    favourites: dict[str, int],
    counted: tuple[str, ...],
    words: Mapping[str, Any],
) -> None:
    """Every criterion over K, its favourite as a dot, and the vote; the assignment as a line.

    What the terminal and the page say of the vote stands above.

    Parameters
    ----------
    sheet : Sheet
        Where `k` is written.
    table : list[dict[str, float]]
        Of `n_clusters.KVote`: a row for every K that was tried.
    favourites : dict[str, int]
        Criterion to the K that it favours.
    counted : tuple[str, ...]
        The criteria that count.
    words : mapping
        Of `k_words`.

    Examples
    --------
    >>> from pathlib import Path
    >>> table = [{"k": k, "silhouette": 0.1 * k, "vote": -abs(k - 3)} for k in (2, 3, 4)]
    >>> words = {"k": 3, "sure": "The criteria agree.", "criteria": [["silhouette", "", 4, True]]}
    >>> k_evidence(Sheet(Path(), 7), table, {"silhouette": 4}, ("silhouette",), words)
    >>> Path("k.png").is_file()
    True
    """
    n_clusters = words["k"]
    asks = {name: text for name, text, _, _ in words["criteria"]}
    names = [*favourites, "vote"]
    ks = [row["k"] for row in table]
    columns = -(-len(names) // 2)
    # Room is laid out by hand: having it found costs three times the drawing.
    room = {"layout": "none", "gridspec_kw": dict(zip(SIDES, K_ROOM, strict=True))}
    with sheet.figure("k", sheet.width / 2, nrows=2, ncols=columns, **room) as (figure, axes):
        for ax, name, colour in zip(axes.flat, names, MANY, strict=False):
            values = [row[name] for row in table]
            best = favourites.get(name, n_clusters)
            ax.axvline(n_clusters, color="#b0b0b0", lw=1, ls="--")
            ax.plot(ks, values, color=colour, lw=1.5)
            ax.plot([best], [values[ks.index(best)]], "o", color=colour)
            what = "answer" if name == "vote" else "favours"
            aside = "" if name in (*counted, "vote") else ", not counted"
            ax.set_title(f"{name}: {what} {best}{aside}\n", fontsize=9)
            said = asks.get(name, "the criteria that count, weighed together")
            style = {"ha": "center", "fontsize": 6.5, "color": "#606060"}
            ax.text(0.5, 1.02, said, transform=ax.transAxes, **style)
            ax.set_xlabel("number of clusters K")
            ax.locator_params(axis="x", integer=True, nbins=6)
            ax.locator_params(axis="y", nbins=4)
        for ax in axes.flat[len(names) :]:
            ax.set_axis_off()
        figure.suptitle(f"K = {n_clusters} by vote, {words['sure']}", fontsize=11)
