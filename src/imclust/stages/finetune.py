"""`finetune`: a linear head, then the encoder's blocks, on published labels or a clustering's own
answer (transfer learning as in PyTorch's tutorial; self-labelling as in SCAN's last step)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.checks import cluster_count, disk_space, valid_seed
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.records import Assignment, read_published, rows_of_ids
from imclust.core.reproducibility import check_device
from imclust.data.images import ImageRow, load_index
from imclust.data.loader import Preprocessing, all_pixels, pixel_batches
from imclust.encoders import method_modules, revive_encoder
from imclust.encoders._base import Encoder, needs_content
from imclust.training.unfreezing import Lesson, Step, Unfreezing

if TYPE_CHECKING:
    from imclust.training.classifier import Classifier
    from imclust.training.plan import TrainConfig

Changes = Literal["none", "flip", "crop"]
LEARNED = "published labels"
PROBE_STEPS, PROBE_EPOCHS = 1000, (10, 100)
DEEP = 0.3  # of the head's learning rate, for `fast` where the encoder learns


@dataclass(frozen=True)
class Finetune:
    """Train a classifier on labels that the task gives away, or on a clustering's confident rows.

    Writes `<out>/weights`, which `encode` takes like those of `train`, and `<out>/clusters`, the
    head's answer for every image, which `score` and `submit` take like those of `cluster`.
    """

    index: Path
    """An `index` artefact, from `download`."""
    weights: Path
    """The `weights` artefact to start from."""
    out: Path
    """Folder of the two artefacts."""
    published: Path | None = None
    """A `published` artefact, from `download`: cluster c is then the c-th class in order."""
    assignment: Path | None = None
    """An `assignment` artefact to label the images with instead; no label is read."""
    recipe: Literal["fast", "literal"] = "fast"
    """`literal`: every stage by Adam 1e-3, weight decay 1e-4, a tenth of the rate every 5 epochs,
    10 epochs, batch 32. `fast`: AdamW, cosine; 1000 steps of the probe, then 10 epochs at three
    tenths of the rate on images flipped at random."""
    stages: tuple[int | Literal["all"], ...] = (0, 3)
    """How many of the encoder's last blocks learn, stage by stage; 0, the head alone, first."""
    epochs: int | None = None
    """Passes over the images a stage; the recipe's number unless given."""
    batch: int = 32
    """Images a step."""
    lr: float = 1e-3
    """Learning rate of the head alone."""
    deep_lr: float | None = None
    """Learning rate where the encoder learns; the recipe's unless given."""
    augmentation: Changes | None = None
    """Random changes of the images where the encoder learns; the recipe's unless given."""
    confident: float | None = None
    """Share of every cluster of the assignment that is learned from; half of it unless given."""
    rounds: int | None = None
    """How often images are labelled; after the first time by the network, one unless given."""
    seed: int = 0
    """Initial head, order of the images, choice between equal confidences."""
    device: str = "auto"
    """`auto` takes a GPU where there is one; else `cpu`, `cuda`, `cuda:1`, ..."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        valid_seed(self.seed)
        check_device(self.device)
        if (self.published is None) == (self.assignment is None):
            got = "neither" if self.published is None else "both"
            do = "give one of them"
            raise input_error("what finetune learns from", "--published or --assignment", got, do)
        depths = [float("inf") if s == "all" else s for s in self.stages]
        if not depths or depths[0] != 0 or sorted(set(depths)) != depths:
            allowed = "0, then more and more blocks"
            shown = " ".join(map(str, self.stages)) or "nothing"
            raise input_error("--stages", allowed, shown, "write for example --stages 0 3 all")
        own = ("confident", self.confident), ("rounds", self.rounds)
        for name, value in own if self.published else ():
            if value is not None:
                raise input_error(f"--{name}", "left out with --published", value, "drop it")
        if self.confident is not None and not 0 < self.confident <= 1:
            raise input_error("--confident", "a share in (0, 1]", self.confident, "choose another")
        for name in ("rounds", "epochs", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise input_error(f"--{name}", "at least 1", value, "raise it or leave it out")

    def plan(self, unfrozen: int, n_images: int) -> TrainConfig:
        """How to train a stage of so many blocks on so many images."""
        from imclust.data.augment import PRESETS
        from imclust.training.plan import TrainConfig

        literal = self.recipe == "literal"
        least, most = PROBE_EPOCHS
        enough = min(max(round(PROBE_STEPS * self.batch / n_images), least), most)
        changes: Changes = self.augmentation or ("none" if literal else "flip")
        return TrainConfig(
            epochs=self.epochs or (10 if literal or unfrozen else enough),
            batch=self.batch,
            lr=(self.deep_lr or (self.lr if literal else DEEP * self.lr)) if unfrozen else self.lr,
            weight_decay=1e-4,
            optimizer="adam" if literal else "adamw",
            schedule="step" if literal else "cosine",
            precision="auto" if unfrozen and not literal else "float32",
            augmentation=PRESETS[changes if unfrozen else "none"],
        )


def run(cfg: Finetune) -> None:
    """Read `weights` and what to learn from, write tuned `weights` and an `assignment`.

    A killed run goes on in the step where it was, at most 5 s back.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> words = "finetune --index raw/index --weights run/weights --assignment run/clusters"
    >>> main([*words.split(), "--out", "run/tuned", "--epochs", "2"])
    pixels: 0 blocks; stages unfreeze [0]
    round 1, probe: learning from 12 images
    clusters of [12, 12] images are in run/tuned/clusters
    0
    """
    base = read_manifest(cfg.weights, "weights")["config"]
    source = {"published": cfg.published} if cfg.published else {"assignment": cfg.assignment}
    names = ("recipe", "stages", "epochs", "batch", "lr", "deep_lr", "augmentation", "confident")
    settings = {n: getattr(cfg, n) for n in (*names, "rounds", "seed", "device")}
    inputs = {"index": cfg.index, "weights": cfg.weights} | source
    code = (__name__, *method_modules(base))
    spec = ArtifactSpec("weights", base | {"finetune": settings}, inputs, code)  # type: ignore[arg-type]
    weights, clusters = cfg.out / "weights", cfg.out / "clusters"
    make_artifact(
        weights, spec, lambda folder: _weights(cfg, base, folder), force=cfg.force,
        keep_partial=True,
    )  # fmt: skip
    inputs = {"index": cfg.index, "weights": weights}
    config = {"method": "finetune", "split": "train", "device": cfg.device}
    spec = ArtifactSpec("assignment", config, inputs, code)
    if make_artifact(clusters, spec, lambda folder: _clusters(cfg, base, folder), force=cfg.force):
        say(f"clusters of {read_manifest(clusters)['sizes']} images are in {clusters}")


def _weights(cfg: Finetune, base: dict[str, Any], folder: Path) -> dict[str, Any]:
    from imclust.core.reproducibility import pick_device
    from imclust.training.weights_file import save_weights

    device = pick_device(cfg.device)
    encoder, rows = _encoder(cfg, base), _readable(cfg.index)
    rows = [r for r in rows if r.split == "train"]  # validation images are never learned from
    rows, lesson_of, classes, facts = (_published if cfg.published else _assigned)(cfg, rows)
    classifier, preprocessing, header = _classifier(cfg, encoder, cfg.weights, len(classes), device)
    numbers = sum(v.numel() for v in classifier.state_dict().values())
    disk_space(folder, 4 * numbers * (1 + 1 + 3))  # finished, good, and a resume point
    lesson = lesson_of(all_pixels(rows, preprocessing, "read"))
    n_blocks = classifier.n_blocks
    depths = sorted({n_blocks if s == "all" else min(s, n_blocks) for s in cfg.stages})
    steps = [Step(1, n) for n in depths]
    steps += [Step(r, depths[-1]) for r in range(2, (cfg.rounds or 1) + 1)]
    say(f"{base['method']}: {n_blocks} blocks; stages unfreeze {depths}")
    work = Unfreezing(classifier, lesson, preprocessing, cfg.seed, device, folder)
    at = work.run(steps, cfg.plan)
    save_weights(folder / "weights.safetensors", classifier.base, header)
    save_weights(folder / "head.safetensors", classifier.head, {"classes": classes})
    work.clear(at.log)
    return facts | {
        "encoder": base["method"],
        "preprocessing": asdict(preprocessing),
        "blocks": n_blocks,
        "classes": classes,
        "steps_taken": [s.name for s in steps[: at.done]],
        "images_learned": at.rows,
        "effective_clusters": at.effective,
        "collapsed": at.collapsed,
        "loss": at.log[-1]["loss"],
    }


Source = tuple[list[ImageRow], Any, list[str], dict[str, Any]]


def _published(cfg: Finetune, rows: list[ImageRow]) -> Source:
    """The rows that have a published label, and their lesson."""

    assert cfg.published is not None, "checked by the caller"
    given = read_published(cfg.published)
    if not given:
        do = "download with --published SHARE where the challenge has it, or give --assignment"
        raise input_error(f"the labels in {cfg.published}", "at least one a class", "none", do)
    everything = np.array([r.id for r in load_index(cfg.index)])
    rows_of_ids(everything, np.array(list(given)))
    mine = [r for r in rows if r.id in given]
    classes = sorted({given[r.id] for r in mine}, key=_natural)
    k = read_manifest(cfg.index)["n_clusters"]
    if len(classes) < 2 or (k is not None and len(classes) != k):
        got = f"labels of {len(classes)} classes for images to cluster"
        allowed = f"of {k or 'two or more'} classes, as many as the challenge has"
        raise input_error("published labels", allowed, got, "publish some of every class")
    y = np.array([classes.index(given[r.id]) for r in mine], np.int64)
    return mine, lambda images: Lesson(images, y, len(classes)), classes, {"learned_from": LEARNED}


def _assigned(cfg: Finetune, rows: list[ImageRow]) -> Source:
    """All rows, with the clusters of the assignment."""

    assert cfg.assignment is not None, "checked by the caller"
    assignment = Assignment.load(cfg.assignment).part("train")
    known = np.array([r.id for r in rows])
    rows_of_ids(known, assignment.ids)  # every row of the assignment is of this index
    p = assignment.probabilities[rows_of_ids(assignment.ids, known)]
    k = p.shape[1]
    cluster_count(k, len(rows))
    share = 0.5 if cfg.confident is None else cfg.confident
    names = [str(c) for c in range(k)]
    return rows, lambda images: Lesson(images, p.argmax(1), k, p, share), names, {}


def _natural(name: str) -> tuple[bool, int, str]:
    """Sorts numbers by value, before names by letters."""
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)


def _readable(index: Path) -> list[ImageRow]:
    return [r for r in load_index(index) if not r.problem]


def _encoder(cfg: Finetune, base: dict[str, Any]) -> Encoder:
    encoder = revive_encoder(base)
    if encoder.reads != "images":
        raise input_error(
            "what finetune trains", "an encoder of images", base["method"], "take another"
        )
    needs_content(cfg.index, encoder, base["method"])
    return encoder


def _classifier(
    cfg: Finetune, encoder: Encoder, weights: Path, n_classes: int, device: str
) -> tuple[Classifier, Preprocessing, dict[str, Any]]:
    """The encoder with a fresh head; its preprocessing; the facts in its weights file."""
    import torch

    from imclust.core.reproducibility import isolated_seed
    from imclust.training.classifier import Classifier, Head, find_blocks
    from imclust.training.weights_file import load_weights

    network = encoder.network()
    header = load_weights(weights / "weights.safetensors", network)
    preprocessing = Preprocessing(**header["preprocessing"])
    blocks, dims = find_blocks(network, encoder.encode, preprocessing.size)
    with isolated_seed(cfg.seed):
        head = Head(dims, n_classes)
    classifier = Classifier(network, encoder.encode, blocks, head)
    classifier.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return classifier, preprocessing, header


def _clusters(cfg: Finetune, base: dict[str, Any], folder: Path) -> dict[str, Any]:

    from imclust.core.reproducibility import pick_device
    from imclust.training.backends import batch_size
    from imclust.training.classifier import outputs, softmax
    from imclust.training.weights_file import load_weights

    device, weights = pick_device(cfg.device), cfg.out / "weights"
    doc = read_manifest(weights)
    k = len(doc["classes"])
    made = _classifier(cfg, _encoder(cfg, base), weights, k, device)
    classifier, preprocessing, _ = made
    load_weights(weights / "head.safetensors", classifier.head)
    rows = _readable(cfg.index)
    blocks = pixel_batches(rows, preprocessing, batch_size(preprocessing.size, device))
    logits = outputs(classifier, lambda _, x: classifier(x), blocks, preprocessing, device)
    ids, splits = np.array([r.id for r in rows]), np.array([r.split for r in rows])
    facts = Assignment(ids, splits, softmax(logits)).save(folder)
    return facts | ({"classes": doc["classes"]} if cfg.published else {})
