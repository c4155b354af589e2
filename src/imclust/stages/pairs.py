"""`pairs`: which images are of one individual, pair by pair: scores, and the probability."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.fused_pairs import NAMES, GroupPairs, group_pairs
from imclust.competitions.submission_check import published
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.checks import in_range, valid_seed
from imclust.core.files import replaced_file
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.pair_records import PairScores
from imclust.core.records import Features, PairHints, parts_of, rows_of_ids
from imclust.data.images import load_index
from imclust.data.keypoints import index_keypoints, match_pairs


@dataclass(frozen=True)
class PairStage:
    """Score the likeliest pairs of images: global features, keypoints that agree on a geometry, and
    from both, calibrated on the known identities where there are some, P(same)."""

    features: tuple[Path, ...]
    """A `features` artefact, from `encode`; or several of the same ids."""
    index: Path
    """The `index` artefact; knows groups; the known identities lie beside it."""
    out: Path
    """Where the pairs go: pairs.csv, and as arrays."""
    neighbours: int = 20
    """Of every image, by each of two likenesses, that are looked at closely."""
    local: bool = True
    """Match keypoints (SIFT, verified by a homography)."""
    rerank: bool = True
    """Score reciprocal neighbourhoods."""
    metric: bool = True
    """Score by a metric learned from the known identities."""
    calibrate: bool = True
    """Learn from the known identities; else a mixture without labels."""
    side: int = 320
    """Longer side in pixels that images are scaled to before keypoints are sought."""
    keypoints: int = 400
    """Most keypoints of an image."""
    threads: int | None = None
    """Images or pairs at a time; one a core unless given."""
    seed: int = 0
    """Of the folds of identities and the models."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        valid_seed(self.seed)
        in_range("pairs", "neighbours", self.neighbours, 1, 1000)
        in_range("pairs", "side", self.side, 32, 4000)
        in_range("pairs", "keypoints", self.keypoints, 16, 10_000)
        in_range("pairs", "threads", self.threads or 1, 1, 1024)


def run(cfg: PairStage) -> None:
    """Run the stage."""
    names = ("neighbours", "local", "rerank", "metric", "calibrate", "side", "keypoints", "seed")
    config = {name: getattr(cfg, name) for name in names}
    roles = {"features" if i == 1 else f"features {i}": p for i, p in enumerate(cfg.features, 1)}
    roles["index"] = cfg.index
    if published(cfg.index):
        roles["published"] = cfg.index.parent / "published"
    spec = ArtifactSpec(PairScores.kind, config, roles, (__name__,))
    made = make_artifact(
        cfg.out, spec, lambda folder: _pairs(cfg, folder), force=cfg.force, keep_partial=True
    )
    if made:
        doc = read_manifest(cfg.out)
        for name, how in doc["models"].items():
            loss = how["loss"]
            told = "" if loss is None else f", log loss {loss:.3f} on held-out identities"
            say(f"group {name}: {how['pairs']} pairs, P(same) by {how['how']}{told}")


def _pairs(cfg: PairStage, folder: Path) -> dict[str, Any]:
    first, *others = (Features.load(path) for path in cfg.features)
    whole = [first.x, *(first.alongside(other) for other in others)]
    spaces = [p for path, x in zip(cfg.features, whole, strict=True) for p in parts_of(path, x)]
    given = published(cfg.index) if cfg.calibrate else {}
    identities = np.array([given.get(i, "") for i in first.ids.tolist()], dtype=str)
    groups = PairHints.load(cfg.index).group_of(first.ids)
    found: dict[str, GroupPairs] = {}
    rows_of: dict[str, np.ndarray] = {}
    matcher = _Matcher(cfg, first.ids, folder) if cfg.local else None
    for number, group in enumerate(np.unique(groups).tolist()):
        rows = rows_of[group] = np.flatnonzero(groups == group)
        found[group] = group_pairs(
            [np.asarray(x[rows]) for x in spaces], identities[rows],
            matcher.of(rows, number) if matcher else None, cfg.neighbours,
            rerank=cfg.rerank, metric=cfg.metric, seed=cfg.seed,
        )  # fmt: skip
    if matcher:
        matcher.clear()
    scores = PairScores(
        first.ids, first.splits, groups,
        np.concatenate([rows_of[g][f.pairs] for g, f in found.items()]), NAMES,
        np.concatenate([f.scores for f in found.values()]),
        np.concatenate([f.model.probability for f in found.values()]).astype(np.float32),
    )  # fmt: skip
    facts = scores.save(folder)
    models = {
        g: {
            "how": f.model.how, "pairs": len(f.pairs),
            "loss": None if np.isnan(f.model.loss) else round(f.model.loss, 4),
        }
        for g, f in found.items()
    }  # fmt: skip
    return facts | {"models": models}


class _Matcher:
    """Keypoints of the images of an index, matched group by group, resumable.

    Parameters
    ----------
    cfg : PairStage
        Settings.
    ids : np.ndarray
        (n,) str.
    folder : Path
        Where matches are kept until all are there.
    """

    def __init__(self, cfg: PairStage, ids: np.ndarray, folder: Path) -> None:
        every = load_index(cfg.index)
        where = rows_of_ids(np.array([r.id for r in every]), ids)
        self.images = [every[i] for i in where]
        self.cfg, self.folder = cfg, folder
        self.threads = cfg.threads or len(os.sched_getaffinity(0))

    def of(self, rows: np.ndarray, number: int) -> Any:
        """The matcher of a group: its pairs (m, 2) -> matches and inliers (m, 2)."""

        def match(pairs: np.ndarray) -> np.ndarray:
            done = self.folder / f"matches-{number}.npy"
            if done.is_file():
                return np.load(done, allow_pickle=False)
            cfg, images = self.cfg, [self.images[i] for i in rows]
            keypoints = index_keypoints(images, cfg.side, cfg.keypoints, self.threads)
            found = match_pairs(keypoints, pairs, done.with_suffix(".part"), self.threads)
            with replaced_file(done) as fresh, fresh.open("wb") as file:  # whole, or not there
                np.save(file, found, allow_pickle=False)
            return found

        return match

    def clear(self) -> None:
        """Remove what only a killed run needs."""
        for path in self.folder.glob("*matches-*"):
            path.unlink()
