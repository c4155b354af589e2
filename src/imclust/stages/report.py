"""`report`: the pictures of a run, and the summary that ends it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imclust import plots
from imclust.artifacts import Order, lineage, produce, read_manifest
from imclust.encoders import revive_encoder
from imclust.encoders._base import Encoder
from imclust.images import load_index
from imclust.loader import Preprocessing, pixels
from imclust.log import read_jsonl, say
from imclust.records import Assignment, Features, read_csv, read_labels, write_csv
from imclust.stages._table import table

if TYPE_CHECKING:
    import numpy as np

SIDE = 96  # pixels of an example
SHOWN = (1, 2, 3, 6, 7, 9)  # rows of trainX that the homework shows


@dataclass(frozen=True)
class Report:
    """Draw a run: the embedding, reconstructions, training; then say how it went."""

    submission: Path
    """The `submission` artefact, from `submit`."""
    scores: Path
    """The `scores` artefact, from `score`."""
    labels: Path
    """The `labels` artefact, from `download`; colours points, chooses nothing."""
    embedding: Path
    """The two-dimensional `features` artefact to draw."""
    out: Path
    """Folder of the pictures."""
    own: Path | None = None
    """The embedding of validation images reduced on their own."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Report) -> None:
    """Run the stage."""
    roles = {"submission": cfg.submission, "scores": cfg.scores, "labels": cfg.labels}
    roles |= {"embedding": cfg.embedding} | ({"own": cfg.own} if cfg.own else {})
    order = Order("report", {}, roles, ("plots", "stages.report"))
    produce(cfg.out, order, lambda folder: _draw(cfg, folder), force=cfg.force)
    _summary(cfg)


def _draw(cfg: Report, folder: Path) -> dict[str, Any]:
    made = lineage(cfg.submission, cfg.scores)
    at = {doc["kind"]: path for path, doc in made.items()}
    _draw_embedding(cfg, at["assignment"], folder / "embedding.png")
    encoder = revive_encoder(read_manifest(at["weights"], "weights")["config"])
    _draw_examples(cfg, at["index"], folder)
    if encoder.decodes:
        _draw_reconstructions(encoder, at["index"], at["weights"], folder / "reconstructions.png")
    steps, checked = at["weights"] / "steps.jsonl", cfg.scores / "checkpoints.csv"
    if steps.is_file():
        checkpoints = read_csv(checked) if checked.is_file() else []
        loss = "mean squared error" if encoder.decodes else "loss"
        plots.training(read_jsonl(steps), checkpoints, folder / "training.png", loss=loss)
    return {}


def _draw_embedding(cfg: Report, assignment: Path, path: Path) -> None:
    """Panels: by cluster; by label as placed; validation images on their own by label."""
    import numpy as np

    labels = read_labels(cfg.labels)
    submitted = read_manifest(cfg.submission)["inputs_at"]["assignment"]
    answer = Assignment.load(cfg.submission / submitted)
    space = Features.load(cfg.embedding)
    mine = answer.part("train")
    k = mine.probabilities.shape[1]
    names = [f"cluster {c}" for c in range(k)]
    clustered = space.at(mine.ids)
    panels = [plots.Panel("Images by cluster", clustered, mine.clusters, names)]
    spaces = [("Validation images among them, by label" if cfg.own else "Images by label", space)]
    if cfg.own:
        spaces.append(("Validation images on their own, by label", Features.load(cfg.own)))
    for title, s in spaces:
        known = np.array([i in labels for i in s.ids.tolist()])
        if known.any():
            classes, groups = np.unique([labels[i] for i in s.ids[known]], return_inverse=True)
            named = [f"label {c}" for c in classes]
            behind = clustered if cfg.own and s is space else None
            panels.append(plots.Panel(title, np.asarray(s.x[known]), groups, named, behind))
    plots.scatter(panels, read_manifest(cfg.embedding)["space"], path)


def _draw_examples(cfg: Report, index: Path, folder: Path) -> None:
    """Images of every cluster, from its most to its least confident, in even steps; of texts, a
    table. The most confident alone would be near copies of each other."""
    import numpy as np

    submitted = read_manifest(cfg.submission)["inputs_at"]["assignment"]
    answer = Assignment.load(cfg.submission / submitted).part("train")
    by_id = {r.id: r for r in load_index(index)}
    confidence = answer.probabilities.max(1)
    chosen = []
    for cluster in range(answer.probabilities.shape[1]):
        members = (answer.clusters == cluster).nonzero()[0]
        ranked = members[np.argsort(-confidence[members], kind="stable")]
        few = min(len(ranked), plots.PER_ROW)
        shown = ranked[np.linspace(0, len(ranked) - 1, few).round().astype(int)]
        chosen.append((len(members), [by_id[i] for i in answer.ids[shown].tolist()]))
    if read_manifest(index, "index")["content"] == "texts":
        rows = [(c, size, r.id) for c, (size, few) in enumerate(chosen) for r in few]
        write_csv(folder / "examples.csv", ("cluster", "size", "id"), rows)
        return
    scale = Preprocessing(SIDE)
    images = [np.array([pixels(r, scale) for r in few]) for _, few in chosen]
    names = [f"cluster {c}\n{size} image{'s' * (size != 1)}" for c, (size, _) in enumerate(chosen)]
    plots.examples(images, names, folder / "examples.png")


def _draw_reconstructions(encoder: Encoder, index: Path, weights: Path, path: Path) -> None:
    import numpy as np

    rows = [r for r in load_index(index) if r.split == "train"]
    chosen = [i for i in SHOWN if i < len(rows) and not rows[i].problem]
    if not chosen:
        return
    shown = np.stack([pixels(rows[i], encoder.preprocessing) for i in chosen])
    back = _rebuild(encoder, weights, shown)
    plots.reconstructions(shown, back, [f"row {i}" for i in chosen], path)


def _rebuild(encoder: Encoder, weights: Path, shown: np.ndarray) -> np.ndarray:
    """Reconstructions (n, s, s, 3) uint8."""
    import torch

    from imclust.fit import load_weights
    from imclust.loader import to_input

    network = encoder.network()
    facts = load_weights(weights / "weights.safetensors", network)
    with torch.inference_mode():
        x = to_input(shown, Preprocessing(**facts["preprocessing"]), "cpu")
        back = encoder.reconstruct(network.eval(), x)
    mean, std = (torch.tensor(facts["preprocessing"][k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    level = ((back * std + mean) * 255).round().clamp(0, 255).byte()
    return level.permute(0, 2, 3, 1).numpy()


def _summary(cfg: Report) -> None:
    """What the user wants to know at the end."""
    say("")
    say("== result ==")
    for path in sorted(cfg.submission.glob("*.csv")):
        say(str(path))
    for line in table(json.loads((cfg.scores / "scores.json").read_text())):
        say(line)
    say(f"pictures in {cfg.out}: {', '.join(sorted(p.name for p in cfg.out.glob('*.png')))}")
    made = lineage(cfg.out)
    names = {p: doc["kind"] if doc["kind"] == "submission" else p.name for p, doc in made.items()}
    seconds = {names[path]: doc["seconds"] for path, doc in made.items()}
    say("seconds: " + "  ".join(f"{name} {s:.1f}" for name, s in seconds.items()))
    peak = max(doc["peak_mib"] for doc in made.values())
    say(f"in all {sum(seconds.values()):.0f} s of computing, at most {peak / 1024:.1f} GiB")
