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
from imclust.core.errors import input_error
from imclust.core.files import replaced_file
from imclust.core.log import say
from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.pair_records import PairScores
from imclust.core.records import Features, PairHints, parts_of, read_csv, rows_of_ids
from imclust.core.reproducibility import check_device
from imclust.core.wording import counted
from imclust.data.geometry import Geometry
from imclust.data.images import load_index
from imclust.data.keypoints import Keypoints, index_keypoints, match_pairs, verified_matches
from imclust.encoders.local_features import LOCAL_FEATURES
from imclust.encoders.local_features._base import LocalConfig, LocalFeatures


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
    """Match keypoints, verified by a geometry."""
    local_features: str = "sift"
    """Whose: `sift`; or `aliked`, matched by LightGlue (extra `local`)."""
    local_weights: Path | None = None
    """A folder with the weights files of `aliked`; in torch's cache or fetched unless given."""
    geometry: Geometry = "homography"
    """That matches must agree on: `homography` for what is flat, `fundamental` for any rigid
    thing."""
    rerank: bool = True
    """Score reciprocal neighbourhoods."""
    metric: bool = True
    """Score by a metric learned from the known identities."""
    tuned: tuple[Path, ...] = ()
    """`features` artefacts of encoders from `metric`, one a fold: they are a score of its own."""
    calibrate: bool = True
    """Learn from the known identities; else a mixture without labels."""
    side: int = 320
    """Longer side in pixels that images are scaled to before keypoints are sought."""
    keypoints: int = 400
    """Most keypoints of an image."""
    threads: int | None = None
    """Images or pairs at a time; one a core unless given. Networks take all cores for each."""
    device: str = "auto"
    """Of networks: `auto` takes a GPU where there is one; else `cpu`, `cuda`, `cuda:1`, ..."""
    seed: int = 0
    """Of the folds of identities and the models."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        valid_seed(self.seed)
        check_device(self.device)
        in_range("pairs", "neighbours", self.neighbours, 1, 1000)
        in_range("pairs", "side", self.side, 32, 4000)
        in_range("pairs", "keypoints", self.keypoints, 16, 10_000)
        in_range("pairs", "threads", self.threads or 1, 1, 1024)


def run(cfg: PairStage) -> None:
    """Read `features` and an `index`, write `pairs`: scores and P(same) of the likeliest.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("pairs --features run/map --index raw/index --out run/other --no-local".split())
    ...     # doctest: +ELLIPSIS
    group all: ... pairs, P(same) by mixture
    0
    """
    names = ("neighbours", "local", "rerank", "metric", "calibrate", "side", "keypoints", "seed")
    config = {name: getattr(cfg, name) for name in (*names, "local_features", "geometry")}
    local = _local_features(cfg)
    config |= local.digests() if local else {}
    roles = {"features" if i == 1 else f"features {i}": p for i, p in enumerate(cfg.features, 1)}
    roles |= {f"tuned {i}": p for i, p in enumerate(cfg.tuned, 1)}
    roles["index"] = cfg.index
    if published(cfg.index):
        roles["published"] = cfg.index.parent / "published"
    code = (__name__, *([type(local).__module__] if local else []))
    spec = ArtifactSpec(PairScores.kind, config, roles, code)
    made = make_artifact(
        cfg.out, spec, lambda folder: _pairs(cfg, local, folder), force=cfg.force,
        keep_partial=True,
    )  # fmt: skip
    if made:
        doc = read_manifest(cfg.out)
        for name, how in doc["models"].items():
            loss = how["loss"]
            told = "" if loss is None else f", log loss {loss:.3f} on held-out identities"
            say(f"group {name}: {counted(how['pairs'], 'pair')}, P(same) by {how['how']}{told}")


def _local_features(cfg: PairStage) -> LocalFeatures | None:
    if not cfg.local:
        return None
    entry = LOCAL_FEATURES[cfg.local_features]
    return entry.method(LocalConfig(cfg.side, cfg.keypoints, cfg.local_weights, cfg.device))


def _pairs(cfg: PairStage, local: LocalFeatures | None, folder: Path) -> dict[str, Any]:
    first, *others = (Features.load(path) for path in cfg.features)
    whole = [first.x, *(first.alongside(other) for other in others)]
    spaces = [p for path, x in zip(cfg.features, whole, strict=True) for p in parts_of(path, x)]
    tuned = [_tuned(path, first) for path in cfg.tuned]
    given = published(cfg.index) if cfg.calibrate else {}
    identities = np.array([given.get(i, "") for i in first.ids.tolist()], dtype=str)
    groups = PairHints.load(cfg.index).group_of(first.ids)
    found: dict[str, GroupPairs] = {}
    rows_of: dict[str, np.ndarray] = {}
    matcher = _Matcher(cfg, local, first.ids, folder) if local else None
    for number, group in enumerate(np.unique(groups).tolist()):
        rows = rows_of[group] = np.flatnonzero(groups == group)
        found[group] = group_pairs(
            [np.asarray(x[rows]) for x in spaces], identities[rows],
            matcher.of(rows, number, group) if matcher else None, cfg.neighbours,
            rerank=cfg.rerank, metric=cfg.metric,
            tuned=[([np.asarray(x[rows]) for x in own], seen[rows]) for own, seen in tuned],
            seed=cfg.seed,
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
    track = {"track": local.track} if local and local.track == "open" else {}
    return facts | track | {"models": models}


def _tuned(path: Path, first: Features) -> tuple[list[np.ndarray], np.ndarray]:
    """Spaces of a tuned encoder, and which images it has learned from."""
    features = Features.load(path)
    spaces = parts_of(path, first.alongside(features))
    weights = path / read_manifest(path)["inputs_at"].get("weights", "")
    if "metric" not in read_manifest(weights)["config"]:
        do = "encode with the weights that `metric` wrote"
        raise input_error("--tuned", "features of an encoder from `metric`", str(path), do)
    learned = {r["id"] for r in read_csv(artifact_file(weights, "learned.csv"))}
    return spaces, np.isin(first.ids, sorted(learned))


class _Matcher:
    """Keypoints of the images of an index, matched group by group, resumable.

    Parameters
    ----------
    cfg : PairStage
        Settings.
    local : LocalFeatures
        What finds and matches them.
    ids : np.ndarray
        (n,) str.
    folder : Path
        Where matches are kept until all are there.
    """

    def __init__(self, cfg: PairStage, local: LocalFeatures, ids: np.ndarray, folder: Path) -> None:
        every = load_index(cfg.index)
        where = rows_of_ids(np.array([r.id for r in every]), ids)
        self.images = [every[i] for i in where]
        self.cfg, self.local, self.folder = cfg, local, folder
        self.threads = (cfg.threads or len(os.sched_getaffinity(0))) if local.threaded else 1

    def of(self, rows: np.ndarray, number: int, group: str) -> Any:
        """The matcher of a group: its pairs (m, 2) -> matches and inliers (m, 2)."""

        def match(pairs: np.ndarray) -> np.ndarray:
            done = self.folder / f"matches-{number}.npy"
            if done.is_file():
                return np.load(done, allow_pickle=False)
            images = [self.images[i] for i in rows]
            of = counted(len(rows), "image")
            say(f"group {group}: {counted(len(pairs), 'pair')} of {of} to match")
            keypoints = index_keypoints(images, self.cfg.side, self.local.find, self.threads)
            found = match_pairs(
                keypoints, pairs, done.with_suffix(".part"), self.threads, verify=self._verify
            )
            with replaced_file(done) as fresh, fresh.open("wb") as file:  # whole, or not there
                np.save(file, found, allow_pickle=False)
            return found

        return match

    def _verify(self, a: Keypoints, b: Keypoints) -> tuple[int, int]:
        return verified_matches(a, b, self.local.match, self.cfg.geometry)

    def clear(self) -> None:
        """Remove what only a killed run needs."""
        for path in self.folder.glob("*matches-*"):
            path.unlink()
