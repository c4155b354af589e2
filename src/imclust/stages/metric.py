"""`metric`: an encoder tuned so that images of one known identity come close (sub-centre ArcFace),
one for each fold of the identities, so that every identity is judged by one that never saw it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from imclust.clustering.pair_probability import identity_folds
from imclust.competitions.submission_check import published
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.checks import disk_space, in_range, valid_seed
from imclust.core.errors import input_error
from imclust.core.log import say, write_jsonl
from imclust.core.manifest import read_manifest
from imclust.core.records import PairHints, write_csv
from imclust.core.reproducibility import check_device
from imclust.data.images import ImageRow, load_index
from imclust.data.loader import Preprocessing, all_pixels
from imclust.encoders import method_modules, revive_encoder
from imclust.encoders._base import needs_content

if TYPE_CHECKING:
    from imclust.training.classifier import Classifier
    from imclust.training.plan import TrainConfig

Changes = Literal["none", "flip", "crop"]
LEARNED, LOOKS = "learned.csv", "looks.jsonl"
LEAST_IDENTITIES = 2  # to learn from


@dataclass(frozen=True)
class Metric:
    """Learn from the known identities which images are alike: sub-centre ArcFace upon an encoder.

    The identities are dealt into folds; those of one are held out, and say when to stop. Writes
    weights that `encode` takes like those of `train`; `pairs --tuned` scores by their features,
    each pair by encoders that have learned from neither of its identities.
    """

    index: Path
    """An `index` artefact, from `download`; the known identities lie beside it."""
    weights: Path
    """The `weights` artefact to start from."""
    out: Path
    """Where the tuned weights go."""
    folds: int = 3
    """That the identities are dealt into."""
    fold: int = 0
    """Which of them is held out, from 0."""
    stages: tuple[int, ...] = (0, 3)
    """How many of the encoder's last blocks learn, stage by stage; 0, the centres alone, first."""
    epochs: int = 6
    """Most passes over the images a stage."""
    patience: int = 2
    """Passes without a gain for the held-out identities after which a stage ends."""
    batch: int = 32
    """Images a step."""
    lr: float = 3e-4
    """Learning rate of the encoder; the centres alone learn at ten times that."""
    augmentation: Changes = "flip"
    """Random changes of the images where the encoder learns: none, flip, or crop and flip."""
    seed: int = 0
    """Of the folds, the initial centres, and the order of the images."""
    device: str = "auto"
    """`auto` takes a GPU where there is one; else `cpu`, `cuda`, `cuda:1`, ..."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        valid_seed(self.seed)
        check_device(self.device)
        in_range("metric", "folds", self.folds, 2, 20)
        in_range("metric", "fold", self.fold, 0, self.folds - 1)
        in_range("metric", "epochs", self.epochs, 1, 1000)
        in_range("metric", "patience", self.patience, 1, 1000)
        in_range("metric", "batch", self.batch, 2, 4096)
        if self.stages[:1] != (0,) or sorted(set(self.stages)) != list(self.stages):
            shown = " ".join(map(str, self.stages)) or "nothing"
            allowed = "0, then more and more blocks"
            raise input_error("--stages", allowed, shown, "write for example --stages 0 3")

    def plan(self, unfrozen: int) -> TrainConfig:
        """How a stage trains."""
        from imclust.data.augment import PRESETS
        from imclust.training.plan import TrainConfig

        return TrainConfig(
            epochs=self.epochs if unfrozen else 20,
            batch=self.batch,
            lr=self.lr if unfrozen else 10 * self.lr,
            weight_decay=1e-4,
            optimizer="adamw",
            schedule="cosine",
            precision="auto" if unfrozen else "float32",
            augmentation=PRESETS[self.augmentation if unfrozen else "none"],
        )


def run(cfg: Metric) -> None:
    """Read an `index`, its published identities and `weights`; write tuned `weights`.

    A killed run goes on in the stage where it was, at most 5 s back.

    Examples
    --------
    >>> run(Metric(Path("known/index"), Path("run/weights"), Path("run/metric")))
    ...     # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    imclust.core.errors.InputError: what metric trains must be an encoder that learns; got pixels...
    """
    base = read_manifest(cfg.weights, "weights")["config"]
    names = ("folds", "fold", "stages", "epochs", "patience", "batch", "lr", "augmentation")
    settings = {n: getattr(cfg, n) for n in (*names, "seed", "device")}
    inputs = {"index": cfg.index, "weights": cfg.weights}
    if published(cfg.index):
        inputs["published"] = cfg.index.parent / "published"
    spec = ArtifactSpec(
        "weights", base | {"metric": settings}, inputs, (__name__, *method_modules(base))
    )
    if make_artifact(
        cfg.out, spec, lambda folder: _learn(cfg, base, folder), force=cfg.force,
        keep_partial=True,
    ):  # fmt: skip
        doc = read_manifest(cfg.out)
        say(
            f"fold {cfg.fold} of {cfg.folds}: unseen identities' mean average precision "
            f"{doc['map_before']:.3f} before, {doc['map_after']:.3f} after"
        )


def _learn(cfg: Metric, base: dict[str, Any], folder: Path) -> dict[str, Any]:
    from imclust.core.reproducibility import pick_device
    from imclust.training.metric_learning import Identified, MetricLearning
    from imclust.training.weights_file import save_weights

    device = pick_device(cfg.device)
    rows, identities, groups, learn, judge = _known(cfg)
    classifier, preprocessing, header = _classifier(cfg, base, groups, identities[learn], device)
    size = sum(v.numel() for v in classifier.state_dict().values())
    disk_space(folder, 4 * size * (1 + 1 + 1 + 3))  # out, finished, best, and a resume point
    images = all_pixels(rows, preprocessing, "read")
    depths = sorted({min(s, classifier.n_blocks) for s in cfg.stages})
    numbers, of = (
        np.unique(names, return_inverse=True)[1].astype(np.int64) for names in (identities, groups)
    )
    work = MetricLearning(
        classifier, Identified(images, numbers, of), learn, judge, preprocessing, cfg.patience,
        cfg.seed, device, folder,
    )  # fmt: skip
    at = work.run(depths, cfg.plan)
    save_weights(folder / "weights.safetensors", classifier.base, header)
    write_csv(folder / LEARNED, ("id",), ((rows[i].id,) for i in np.flatnonzero(learn)))
    write_jsonl(folder / LOOKS, at.looks)
    work.clear()
    told = [look["map"] for look in at.looks]
    return {
        "encoder": base["method"],
        "preprocessing": asdict(preprocessing),
        "learned_from": "published labels",
        "images_learned": int(learn.sum()),
        "images_held_out": int(judge.sum()),
        "map_before": told[0] if told else work.score(),
        "map_after": max(told) if told else work.score(),
    }


Known: TypeAlias = "tuple[list[ImageRow], np.ndarray, np.ndarray, np.ndarray, np.ndarray]"


def _known(cfg: Metric) -> Known:
    """Readable images of known identity, both names, and which are learned from and held out."""
    given = published(cfg.index)
    rows = [r for r in load_index(cfg.index) if r.id in given and not r.problem]
    ids = np.array([r.id for r in rows], dtype=str)
    groups = PairHints.load(cfg.index).group_of(ids)
    # One name may stand for two individuals in two groups.
    identities = np.array([f"{g}\t{given[i]}" for g, i in zip(groups, ids, strict=True)], str)
    learn, judge = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for group in np.unique(groups):
        mine = groups == group
        folds = list(identity_folds(np.where(mine, identities, ""), cfg.folds, cfg.seed))
        if len(folds) == cfg.folds:
            learn |= folds[cfg.fold][0]
            judge |= folds[cfg.fold][1]
    counts = np.unique(identities[judge], return_counts=True)[1]
    enough = len(np.unique(identities[learn])) >= LEAST_IDENTITIES and (counts > 1).any()
    if not enough:
        got = f"{len(np.unique(identities))} in {len(rows)} images"
        allowed = f"{LEAST_IDENTITIES} to learn from and others, of several images, to hold out"
        do = "score pairs without --tuned"
        raise input_error("known identities", allowed, got, do)
    return rows, identities, groups, learn, judge


def _classifier(
    cfg: Metric, base: dict[str, Any], groups: np.ndarray, learned: np.ndarray, device: str
) -> tuple[Classifier, Preprocessing, dict[str, Any]]:
    """The encoder with fresh centres; its preprocessing; the facts in its weights file."""
    import torch

    from imclust.core.reproducibility import isolated_seed
    from imclust.training.arcface import SubcentreHead
    from imclust.training.classifier import Classifier, find_blocks
    from imclust.training.weights_file import load_weights

    encoder = revive_encoder(base)
    if encoder.reads != "images":
        got = base["method"]
        raise input_error("what metric trains", "an encoder of images", got, "take another")
    needs_content(cfg.index, encoder, base["method"])
    network = encoder.network()
    header = load_weights(cfg.weights / "weights.safetensors", network)
    preprocessing = Preprocessing(**header["preprocessing"])
    blocks, dims = find_blocks(network, encoder.encode, preprocessing.size)
    if not blocks:
        do = "take a network, such as timm"
        raise input_error("what metric trains", "an encoder that learns", base["method"], do)
    with isolated_seed(cfg.seed):
        head = SubcentreHead(
            encoder.parts(network) or [dims], len(np.unique(groups)), len(np.unique(learned))
        )
    classifier = Classifier(network, encoder.encode, blocks, head)
    classifier.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return classifier, preprocessing, header
