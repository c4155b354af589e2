"""An encoder learned from identities, for as long as identities that it has not seen gain by it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imclust.core.log import read_jsonl, say, write_jsonl
from imclust.core.wording import counted
from imclust.training.arcface import ArcFaceLoss, SubcentreHead, retrieval
from imclust.training.unfreezing import FINISHED, remove_resume_points

if TYPE_CHECKING:
    from torch import nn

    from imclust.data.loader import Preprocessing
    from imclust.training.classifier import Classifier
    from imclust.training.plan import TrainConfig

BEST = "best.safetensors"
LOOKS = "looks.jsonl"  # step, epoch, and the mean average precision of unseen identities


class Enough(Exception):
    """The identities that are held out have stopped gaining."""


@dataclass(frozen=True)
class Identified:
    """Images of known identity.

    Parameters
    ----------
    images : np.ndarray
        (n, s, s, 3) uint8.
    identities, groups : np.ndarray
        (n,) int64, numbered from 0.
    """

    images: np.ndarray
    identities: np.ndarray
    groups: np.ndarray

    def part(self, rows: np.ndarray) -> Identified:
        """Some rows (n,) bool, their identities numbered from 0 again."""
        numbers = np.unique(self.identities[rows], return_inverse=True)[1].astype(np.int64)
        return Identified(self.images[rows], numbers, self.groups[rows])


@dataclass
class Standing:
    """Where the learning stands; lies in the header of FINISHED, beside the weights.

    Parameters
    ----------
    done : int
        Steps.
    looks : list of dict
        Records as of LOOKS, of the steps that are done.
    """

    done: int = 0
    looks: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class MetricLearning:
    """A learning under way in `folder`; a killed one goes on, at most 5 s back.

    Parameters
    ----------
    classifier : Classifier
        With a `SubcentreHead`.
    known : Identified
        All images.
    learn, judge : np.ndarray
        (n,) bool: which are learned from; and which, of other identities, say when to stop.
    preprocessing : Preprocessing
        Pixels to input.
    patience : int
        Epochs without a gain after which a step ends.
    seed : int
        Order of the images, and their changes.
    device : str
        Torch's name.
    folder : Path
        Where an interrupted run may have left what it had.
    """

    classifier: Classifier
    known: Identified
    learn: np.ndarray
    judge: np.ndarray
    preprocessing: Preprocessing
    patience: int
    seed: int
    device: str
    folder: Path

    def run(self, depths: Sequence[int], plan: Callable[[int], TrainConfig]) -> Standing:
        """Take the steps; the network is then as it was when unseen identities were told best.

        Parameters
        ----------
        depths : sequence of int
            How many of the last blocks learn, step by step; 0, the centres alone, first.
        plan : callable
            Unfrozen blocks -> how to train.
        """
        from imclust.training.weights_file import load_weights, save_weights

        at = Standing()
        if (self.folder / FINISHED).is_file():
            at = Standing(**load_weights(self.folder / FINISHED, self.classifier))
        for number, depth in enumerate(depths):
            if number < at.done:
                continue
            blocks = "block" if depth == 1 else "blocks"
            name = f"last {depth} {blocks}" if depth else "centres"
            say(f"{name}: learning from {counted(int(self.learn.sum()), 'image')}")
            own = self.folder / f"step-{number}"
            own.mkdir(exist_ok=True)
            if depth:
                self._blocks(depth, plan(depth), own)
                at.looks += [{"blocks": depth, **r} for r in read_jsonl(own / LOOKS)]
            else:
                self._centres(plan(depth), own)
            at.done = number + 1
            save_weights(self.folder / FINISHED, self.classifier, vars(at))
            shutil.rmtree(own)
        return at

    def _settings(self, own: Path) -> dict[str, Any]:
        return {"seed": self.seed, "device": self.device, "folder": own}

    def _centres(self, plan: TrainConfig, own: Path) -> None:
        """Place the centres, on codes that are computed once: nothing beneath them changes."""
        import torch

        from imclust.data.loader import Preprocessing
        from imclust.training.fit import fit

        learn, head = self.known.part(self.learn), self._head
        codes = torch.from_numpy(self._codes(learn.images)).to(self.device)
        groups, targets = (torch.from_numpy(a).to(self.device)
                           for a in (learn.groups, learn.identities))  # fmt: skip
        head.begin(codes, groups, targets)
        pixels = np.zeros((len(codes), 1, 1, 3), np.uint8)  # codes are looked up by their row
        self.classifier.unfreeze(0)
        fit(head, self._loss(codes.cpu()), pixels, Preprocessing(1), plan, **self._settings(own))

    def _blocks(self, depth: int, plan: TrainConfig, own: Path) -> None:
        from imclust.training.fit import fit
        from imclust.training.weights_file import load_weights

        self.classifier.unfreeze(depth)
        look = self._looker(own)
        images, loss = self.known.images[self.learn], self._loss(None, look)
        try:
            fit(self.classifier, loss, images, self.preprocessing, plan, **self._settings(own))
            look(self.classifier, plan.epochs)
        except Enough:
            say(f"unseen identities gained nothing in {self.patience} epochs: back to their best")
        load_weights(own / BEST, self.classifier)

    def _loss(self, codes: Any, look: Callable[[nn.Module, int], None] | None = None) -> Any:
        learn = self.known.part(self.learn)
        # Identities are numbered through all groups: each belongs to one.
        of = np.zeros(int(learn.identities.max()) + 1, np.int64)
        of[learn.identities] = learn.groups
        return ArcFaceLoss(learn.identities, learn.groups, of, codes, look)

    def _looker(self, own: Path) -> Callable[[nn.Module, int], None]:
        """Before every epoch: keep the weights if unseen identities gained; stop if not for long.

        What is kept is in files, so that a resumed run that looks again finds what it found.
        """
        from imclust.training.weights_file import save_weights

        def look(network: nn.Module, epoch: int) -> None:
            before = read_jsonl(own / LOOKS) if (own / LOOKS).is_file() else []
            before = [r for r in before if r["epoch"] < epoch]
            score = round(self.score(), 6)
            best = max(before, key=lambda r: r["map"], default=None)
            write_jsonl(own / LOOKS, [*before, {"epoch": epoch, "map": score}])
            say(f"epoch {epoch}: mean average precision {score:.3f} of unseen identities")
            if best is None or score > best["map"]:
                save_weights(own / BEST, network, {})
            elif epoch - best["epoch"] >= self.patience:
                raise Enough

        return look

    def score(self) -> float:
        """How well those that are held out are found among all known, as of `retrieval`."""
        import torch

        known = self.known
        codes = torch.from_numpy(self._codes(known.images))
        groups = torch.from_numpy(known.groups)
        # The means of these codes: how pairs are scored afterwards, too.
        means = torch.stack([codes[groups == g].mean(0) for g in range(int(groups.max()) + 1)])
        rows = self._head.embed(codes, groups, means).numpy()
        return retrieval(rows, known.identities, known.groups, self.judge)

    @property
    def _head(self) -> SubcentreHead:
        head: SubcentreHead = self.classifier.head
        return head

    def _codes(self, images: np.ndarray) -> np.ndarray:
        from imclust.training.classifier import image_outputs

        codes = self.classifier.codes
        return image_outputs(self.classifier, codes, images, self.preprocessing, self.device)

    def clear(self) -> None:
        """Remove what served to resume."""
        remove_resume_points(self.folder)
