"""Probe, then unfreeze deeper and deeper: the steps of a fine-tuning, each one resumable."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imclust.clustering.metrics import effective_clusters
from imclust.core.errors import input_error
from imclust.core.log import read_jsonl, say, write_jsonl
from imclust.core.wording import counted
from imclust.training.self_labels import balanced_weights, confident_rows

if TYPE_CHECKING:
    from torch import nn

    from imclust.data.loader import Preprocessing
    from imclust.training.classifier import Classifier
    from imclust.training.plan import TrainConfig

LEAST_CLUSTERS = 0.6  # of K, in effective clusters: less is a collapse
LEAST_OF_START = 0.9  # of the assignment's own number, where that is less than LEAST_CLUSTERS
FINISHED, GOOD, LOG = "finished.safetensors", "good.safetensors", "steps.jsonl"
COLUMNS = ("part", "step", "epoch", "lr", "loss")  # of LOG


class Collapse(Exception):
    """The predictions have run together into too few clusters."""


@dataclass(frozen=True)
class Step:
    """One call of `fit`: the round of labels, and how many of the last blocks learn."""

    round: int
    unfrozen: int

    @property
    def name(self) -> str:
        """As it is printed and logged."""
        blocks = "block" if self.unfrozen == 1 else "blocks"
        depth = f"last {self.unfrozen} {blocks}" if self.unfrozen else "probe"
        return f"round {self.round}, {depth}"


@dataclass(frozen=True)
class Lesson:
    """What is learned from.

    Parameters
    ----------
    images : np.ndarray
        (n, s, s, 3) uint8.
    classes : np.ndarray
        (n,) int64, of every image; in self-labelling only confident ones are used.
    n_classes : int
        k.
    first : np.ndarray | None
        (n, k) probabilities of the assignment to learn from; None for true labels.
    confident : float
        Share of every cluster that is believed.
    """

    images: np.ndarray
    classes: np.ndarray
    n_classes: int
    first: np.ndarray | None = None
    confident: float = 1.0


@dataclass
class Progress:
    """Where a fine-tuning stands; lies in the header of FINISHED, beside the weights."""

    done: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    effective: list[float] = field(default_factory=list)
    collapsed: str = ""


@dataclass
class Unfreezing:
    """A fine-tuning under way in `folder`.

    After every step the weights and the progress are written in one go, so a killed run begins
    the step that it was in, or goes on inside it from `fit`'s own resume point.
    """

    classifier: Classifier
    lesson: Lesson
    preprocessing: Preprocessing
    seed: int
    device: str
    folder: Path

    def run(self, steps: Sequence[Step], plan: Callable[[int, int], TrainConfig]) -> Progress:
        """Take all steps, or as many as no collapse forbids.

        Parameters
        ----------
        steps : Sequence[Step]
            In order.
        plan : Callable[[int, int], TrainConfig]
            (unfrozen blocks, images) -> how to train.
        """
        from imclust.training.weights_file import load_weights, save_weights

        at = Progress()
        if (self.folder / FINISHED).is_file():
            at = Progress(**load_weights(self.folder / FINISHED, self.classifier))
        for i, step in enumerate(steps):
            if i < at.done or at.collapsed:
                continue
            rows, targets = self._targets(step.round)
            say(f"{step.name}: learning from {counted(len(rows), 'image')}")
            own = self.folder / f"step-{i}"
            own.mkdir(exist_ok=True)
            at.collapsed = self._take(step, plan(step.unfrozen, len(rows)), rows, targets, own)
            at.rows.append(len(rows))
            if not at.collapsed:  # the log of what was undone may be of any length
                _append(at.log, read_jsonl(own / LOG), step.name)
            if self.lesson.first is not None:
                at.effective.append(round(self._effective(), 4))
            at.done = i + 1
            save_weights(self.folder / FINISHED, self.classifier, vars(at))
            shutil.rmtree(own)
        return at

    def _targets(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from and their classes: given ones, or the confident ones of a round."""

        lesson = self.lesson
        if lesson.first is None:
            return np.arange(len(lesson.images)), lesson.classes
        p = lesson.first if number == 1 else self._probabilities()
        rows = confident_rows(p, lesson.confident, self.seed)
        return rows, p[rows].argmax(1)

    def _take(
        self, step: Step, plan: TrainConfig, rows: np.ndarray, targets: np.ndarray, own: Path
    ) -> str:
        """Train one step; returns why it was undone, or nothing."""

        from imclust.training.classifier import ClassLoss
        from imclust.training.fit import fit
        from imclust.training.weights_file import load_weights

        k = self.lesson.n_classes
        guarded = self.lesson.first is not None
        weights = balanced_weights(targets, k) if guarded else np.ones(k, np.float32)
        self.classifier.unfreeze(step.unfrozen)
        if not step.unfrozen:
            self._probe(plan, rows, targets, weights, own)
            if guarded and (fall := self._fall()):
                raise input_error(
                    "the probe's predictions",
                    "spread over the clusters",
                    fall,
                    "give an assignment of more even clusters, or other weights",
                )
            return ""
        objective = ClassLoss(targets, weights, None, self._watch(own / GOOD) if guarded else None)
        settings = {"seed": self.seed, "device": self.device, "folder": own}
        images = self.lesson.images[rows] if guarded else self.lesson.images
        try:
            fit(self.classifier, objective, images, self.preprocessing, plan, **settings)  # type: ignore[arg-type]
            fall = self._fall() if guarded else ""
        except Collapse as e:
            fall = str(e)
        if fall:
            load_weights(own / GOOD, self.classifier)
            say(f"{step.name}: {fall}: back to the last good weights, and no further")
        return fall

    def _probe(
        self,
        plan: TrainConfig,
        rows: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        own: Path,
    ) -> None:
        """Train the head alone, on codes that are computed once: nothing beneath it changes."""
        import torch

        from imclust.data.loader import Preprocessing
        from imclust.training.classifier import ClassLoss
        from imclust.training.fit import fit

        codes = torch.from_numpy(self._outputs(self.classifier.codes, self.lesson.images[rows]))
        self.classifier.head.standardise(codes.to(self.device))
        objective = ClassLoss(targets, weights, codes)
        # `fit` feeds images; the objective looks codes up by row, so a pixel each will do.
        pixels = np.zeros((len(rows), 1, 1, 3), np.uint8)
        settings = {"seed": self.seed, "device": self.device, "folder": own}
        fit(self.classifier.head, objective, pixels, Preprocessing(1), plan, **settings)  # type: ignore[arg-type]

    def _watch(self, good: Path) -> Callable[[nn.Module, int], None]:
        """Before every epoch: stop at a collapse, else keep the weights as the last good ones."""
        from imclust.training.weights_file import save_weights

        def look(network: nn.Module, epoch: int) -> None:
            # The weights that a step starts from are those that the step before left as good.
            if epoch and (fall := self._fall()):
                raise Collapse(f"{fall} after epoch {epoch}")
            save_weights(good, network, {"epoch": epoch})

        return look

    def _fall(self) -> str:
        """What is wrong with the predictions, or nothing."""
        k = self.lesson.n_classes
        assert self.lesson.first is not None, "only self-labelling is guarded"
        start = effective_clusters(self.lesson.first.argmax(1), k)
        least = min(LEAST_CLUSTERS * k, LEAST_OF_START * start)
        now = self._effective()
        return "" if now >= least else f"{now:.2f} effective clusters, less than {least:.2f}"

    def _effective(self) -> float:
        """Effective clusters of the predictions for all images at hand."""
        return effective_clusters(self._probabilities().argmax(1), self.lesson.n_classes)

    def _probabilities(self) -> np.ndarray:
        from imclust.training.classifier import softmax

        return softmax(self._outputs(self.classifier, self.lesson.images))

    def _outputs(self, forward: Callable[..., Any], images: np.ndarray) -> np.ndarray:
        from imclust.training.classifier import image_outputs

        return image_outputs(self.classifier, forward, images, self.preprocessing, self.device)

    def clear(self, log: list[dict[str, Any]]) -> None:
        """Leave the step log alone of all that served to resume."""
        # The header of FINISHED sorted its keys; a run without a kill never read it.
        write_jsonl(self.folder / LOG, [{c: r[c] for c in COLUMNS} for r in log])
        remove_resume_points(self.folder)


def remove_resume_points(folder: Path) -> None:
    """Take away what only served to go on with a learning of several steps that is done now.

    Parameters
    ----------
    folder : Path
        The one that the learning was kept in; its weights stay.

    Examples
    --------
    >>> (Path("run") / FINISHED).touch()
    >>> Path("run/step-1").mkdir()
    >>> remove_resume_points(Path("run"))
    >>> Path("run/step-1").exists()
    False
    """
    (folder / FINISHED).unlink()
    for left in folder.glob("step-*"):  # by a kill between two lines of `run`
        shutil.rmtree(left)


def _append(log: list[dict[str, Any]], records: list[dict[str, Any]], name: str) -> None:
    """Add a step's records, counting on from those before."""
    step, epoch = (log[-1]["step"], log[-1]["epoch"]) if log else (0, 0)
    for r in records:
        counted = {"step": step + r["step"], "epoch": round(epoch + r["epoch"], 4)}
        log.append({"part": name, **r, **counted})
