"""`download`: the challenge's files in place, every image inspected, one index of them all."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, home_of
from imclust.core.artifacts import ArtifactSpec, make_artifact, plain
from imclust.core.checks import cluster_count, given_count
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.ray_workers import check_ray, one_cluster, ray_workers
from imclust.core.records import write_csv
from imclust.core.wording import counted
from imclust.data.images import MOST_PIXELS, ImageRow, load_index, save_index
from imclust.data.inspection import inspect
from imclust.data.ray_inspection import forget_inspection, inspect_by_ray


@dataclass(frozen=True)
class Download:
    """Fetch or find a challenge's images, check every one, and write their index.

    Writes `<out>/index` (what and where, without labels), `<out>/labels` (for scoring only) and
    `<out>/published` (the labels that the task gives away for learning; most give none).
    """

    challenge: Annotated[Any, CHALLENGES]
    """Which challenge, with its own flags."""
    out: Path
    """Folder of the challenge, for example data/raw/photos."""
    n_clusters: int | None = None
    """K, if you say it: checked here against the number of images, used by `cluster` unless that
    is told another."""
    max_pixels: int = MOST_PIXELS
    """Most pixels of an image that is decoded whole, width times height; larger ones count as
    unreadable. JPEGs are decoded smaller than they are and may have 400 million."""
    set_aside_corrupt: bool = False
    """Go on without the images that cannot be read; the submission still holds their rows."""
    ray: str | None = None
    """Have the images looked at, and fetched from their addresses, by Ray: `auto` (the cluster of
    this machine), `ray://host:port`, or `local:N` workers. The index is the same bytes."""
    ray_storage: str | None = None
    """With --ray: a folder or an address, such as s3://bucket/folder, that takes the finished
    shards; on the path of the index unless given."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        given_count(self.n_clusters)
        check_ray(self.ray, self.ray_storage)


def run(cfg: Download) -> None:
    """Read a challenge or a folder, write its `index`, `labels` and `published`.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("download --out again imagefolder --data-dir photos".split())
    challenge imagefolder: torchvision's ImageFolder layout
    24 images found, 1 file left out: 1 .csv
    24 images to cluster, 0 for validation
    0
    """
    entry = CHALLENGES.for_config(cfg.challenge)
    say(f"challenge {entry.name}: {entry.paper}")
    sources = cfg.challenge.sources() if hasattr(cfg.challenge, "sources") else []
    stats = [[str(p), (s := p.stat()).st_size, s.st_mtime_ns] for p in sources]
    config = {"challenge": entry.name, **plain(cfg.challenge), "sources": stats}
    config |= {"set_aside_corrupt": cfg.set_aside_corrupt, "max_pixels": cfg.max_pixels}
    modules = (__name__, entry.method.__module__)
    opened: list[Any] = []
    home = home_of(cfg.challenge)

    def challenge() -> Any:
        if not opened:
            fetches = getattr(cfg.challenge, "fetches", False)
            with nullcontext() if cfg.ray is None or not fetches else ray_workers(cfg.ray, []):
                opened.append(entry.method(cfg.challenge, cfg.out / "files"))
        return opened[0]

    def write_index(folder: Path) -> dict[str, Any]:
        rows, facts = _inspected(challenge(), cfg, folder)
        readable = sum(not r.problem for r in rows)
        if readable < challenge().least:
            allowed = f"at least {challenge().least}"
            raise input_error(
                "readable images", allowed, f"{readable} of {len(rows)}", "add images"
            )
        save_index(folder, rows)
        _save_answer(folder, challenge())
        splits = [r.split for r in rows]
        return {
            "challenge": entry.name,
            "content": challenge().content,
            "columns": challenge().columns,
            "sample": asdict(challenge().sample_format),
            "n_clusters": cfg.n_clusters or challenge().n_clusters,
            "rules": home.track,
            "board": home.board,
            "pairs": len(challenge().pairs),
            "individuals": challenge().hints is not None,
            "rows": {s: splits.count(s) for s in sorted(set(splits))},
            **facts,
        }

    def write_labels(folder: Path) -> dict[str, Any]:
        labels = challenge().labels
        write_csv(folder / "labels.csv", ("id", "label"), labels.items())
        return {"rows": len(labels)}

    def write_published(folder: Path) -> dict[str, Any]:
        write_csv(folder / "labels.csv", ("id", "label"), challenge().published.items())
        return {"rows": len(challenge().published)}

    again = cfg.force or _gone(cfg.out / "index")
    said = {} if cfg.n_clusters is None else {"n_clusters": cfg.n_clusters}
    spec = ArtifactSpec("index", config | said, {}, modules)
    resume = cfg.ray is not None
    with nullcontext() if cfg.ray is None else one_cluster():
        made = make_artifact(cfg.out / "index", spec, write_index, force=again, keep_partial=resume)
    if made and cfg.ray is not None and cfg.ray_storage is not None:
        forget_inspection(cfg.ray_storage, spec.key())
    make_artifact(
        cfg.out / "labels", ArtifactSpec("labels", config, {}, modules), write_labels, force=again
    )
    spec = ArtifactSpec("published", config, {}, modules)
    make_artifact(cfg.out / "published", spec, write_published, force=again)
    rows = load_index(cfg.out / "index")
    train = sum(r.split == "train" and not r.problem for r in rows)
    if cfg.n_clusters is not None:
        cluster_count(cfg.n_clusters, train)
    doc = read_manifest(cfg.out / "index")
    others = "of known identity" if doc["individuals"] else "for validation"
    what = counted(train, doc["content"].removesuffix("s"))
    say(f"{what} to cluster, {sum(r.split != 'train' for r in rows)} {others}")


def _save_answer(folder: Path, challenge: Challenge) -> None:
    """What the submission is about, beside the images: its sample, byte for byte, and its pairs."""
    if challenge.sample is not None:
        (folder / "sample.csv").write_bytes(challenge.sample.read_bytes())
    if challenge.pairs:
        write_csv(folder / "pairs.csv", ("id", "left", "right"), challenge.pairs)
    if challenge.hints is not None:
        challenge.hints.save(folder)


def _gone(index: Path) -> bool:
    """Whether an index is there whose images are not."""
    if not (index / "manifest.json").is_file():
        return False
    try:
        load_index(index)
    except InputError:
        return True
    return False


def _inspected(
    challenge: Challenge, cfg: Download, folder: Path
) -> tuple[list[ImageRow], dict[str, Any]]:
    """Rows with size and digest, and facts. Unreadable ones are listed, then refused or set
    aside."""
    rows, content = challenge.rows, challenge.content
    facts: dict[str, Any] = {}
    if not all(r.digest for r in rows):
        if cfg.ray is None:
            rows = inspect(rows, len(rows), cfg.max_pixels)
        else:
            rows, tally = inspect_by_ray(
                rows, cfg.max_pixels, folder, address=cfg.ray, storage=cfg.ray_storage
            )
            facts["ray"] = tally.facts()
    bad = [r for r in rows if r.problem]
    for r in bad[:20]:
        say(f"cannot read {r.member or r.source}: {r.problem}")
    if len(bad) > 20:
        say(f"... and {len(bad) - 20} more")
    if bad and not cfg.set_aside_corrupt:
        raise input_error(
            "every image",
            "readable",
            f"{len(bad)} of {len(rows)} that are not (listed above)",
            "repair them, or set them aside with SET_ASIDE_CORRUPT=1 (--set-aside-corrupt): "
            "their submission rows then get the largest cluster",
        )
    copies = len(rows) - len({r.digest for r in rows if not r.problem}) - len(bad)
    if copies:
        be = "is an exact copy" if copies == 1 else "are exact copies"
        what = counted(copies, content.removesuffix("s"))
        say(f"{what} {be} of others (kept: every row needs an assignment)")
    if bad:
        be = "is" if len(bad) == 1 else "are"
        say(f"{len(bad)} of {counted(len(rows), 'image')} {be} set aside")
    return rows, facts
