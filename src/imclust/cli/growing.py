"""A folder that has been clustered is visited again: whether its clusters grow, and what to say."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imclust.cli.run_paths import RunPaths
from imclust.clustering.uncorrected import EVIDENCE, KEPT, TABLE, kept_files, leave_out
from imclust.competitions.challenges.folder import FolderConfig
from imclust.core.artifacts import ArtifactSpec, is_artifact, make_artifact
from imclust.core.base_records import Base
from imclust.core.errors import DamagedArtifactError, InputError, input_error
from imclust.core.files import remove_work
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, artifact_file, read_manifest
from imclust.core.records import feature_folders, read_csv
from imclust.core.wording import counted
from imclust.data.images import indexed


@dataclass(frozen=True)
class Growth:
    """How the clusters of a run go on from what they were.

    Parameters
    ----------
    base : Path
        The `base` artefact that they grow from.
    opened : tuple of str
        Digests of images that founded clusters since, in the order of their numbers.
    before : Mapping[str, int]
        The cluster of every image at the last visit, by id.
    earlier : tuple of str
        sha256:K of each table since the base; pages of those visits may still be open.
    digests : Mapping[str, str]
        Of every image at the last visit, by id; empty where they are not known any more.
    """

    base: Path
    opened: tuple[str, ...]
    before: Mapping[str, int]
    earlier: tuple[str, ...]
    digests: Mapping[str, str]

    def flags(self) -> tuple[str, ...]:
        """Flags of `cluster`."""
        opened = ("--opened", *self.opened) if self.opened else ()
        earlier = ("--earlier", *self.earlier) if self.earlier else ()
        return ("--grown-from", str(self.base), *opened, *earlier)


def base_of(at: RunPaths) -> Path:
    """Where a run keeps what its clusters grow from.

    Examples
    --------
    >>> at = RunPaths(Path("w"), "photos", "auto-seed0", "timm", 0, ())
    >>> base_of(at).as_posix()
    'w/data/runs/photos/auto-seed0/base'
    """
    return at.folder / "base"


def growth_of(at: RunPaths, data: Path, *, as_it_is: bool = False) -> Growth | None:
    """Whether the clusters of a run are kept and grow at this visit.

    They do where files came, went or changed since they were made, and where they have grown
    already. A visit that was cut short is gone on with.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    data : Path
        The folder or archive of its images.
    as_it_is : bool
        How they have grown until now, whatever came since.

    Returns
    -------
    Growth | None
        None where everything is to be clustered: at the first visit, or where it is as it was.

    Examples
    --------
    >>> at = RunPaths(Path("w"), "photos", "auto-seed0", "timm", 0, ())
    >>> growth_of(at, Path("photos"))  # nothing was clustered yet
    """
    if not (at.clusters / MANIFEST).is_file():
        return None
    doc, damage = _manifest_of(at.clusters), _damage(at.clusters)
    base, to = _finished(base_of(at)), base_of(at)
    table = f"{doc['files'][TABLE][1]}:{doc['n_clusters']}"
    before, digests = _clusters_before(at.clusters), _digests_before(at, doc)
    if base is not None and base["config"]["of"] == doc["digest"]:
        return Growth(
            to, (), before, (table,), digests
        )  # kept at a visit that ended before anything grew
    grown = base is not None and doc["inputs"].get("grown from") == base["digest"]
    if grown and damage:
        say(f"{damage} The clusters grow again from {base_of(at)}.")
    changed = not as_it_is and (_files_changed(at, data) or not _of_index(at, doc))
    if grown and not changed:
        was = doc["config"]
        return Growth(to, tuple(was["opened"]), before, tuple(was.get("earlier", ())), digests)
    if grown and "corrections" not in doc:
        earlier = (*doc["config"].get("earlier", ()), table)
        return Growth(to, tuple(doc["grown"]["opened"]), before, earlier, digests)
    if not changed or not _of_index(at, doc):
        return None
    if damage:
        allowed = "as imclust wrote them, for pictures that came, went or changed to join them"
        do = "put the file back, or add --fresh to cluster all pictures afresh"
        raise input_error(f"the clusters in {at.clusters}", allowed, damage, do)
    _keep_base(at, doc)
    return Growth(to, (), before, (table,), digests)


def _manifest_of(clusters: Path) -> dict[str, Any]:
    """What the clusters of a run say of themselves.

    Raises
    ------
    InputError
        It was changed since: what the clusters were then, nothing tells.
    """
    try:
        return read_manifest(clusters)
    except DamagedArtifactError:
        do = (
            f"put that file back, or move {clusters} elsewhere and give the same command again, "
            f"which clusters all pictures afresh (files of corrections lie in its {KEPT}/)"
        )
        got = f"{MANIFEST} changed or cut short"
        raise input_error(f"the clusters in {clusters}", "as imclust wrote them", got, do) from None


def refuse_without(at: RunPaths, growth: Growth | None) -> None:
    """Refuse to leave out corrections that clusters have grown from: they cannot be taken back one
    by one.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    growth : Growth, optional
        How its clusters go on, as `growth_of` says.

    Raises
    ------
    InputError
        There are such, and none that came after them.

    Examples
    --------
    >>> at = RunPaths(Path("w"), "photos", "auto-seed0", "timm", 0, ())
    >>> refuse_without(at, None)  # nothing has grown: nothing is refused
    """
    doc = _finished(at.clusters)
    if growth is None or doc is None or not kept_files(growth.base):
        return
    if (
        "corrections" in doc
        and doc["inputs"].get("grown from") == read_manifest(growth.base)["digest"]
    ):
        return
    allowed = "used before pictures came and joined the corrected clusters"
    got = "corrections from before that"
    do = "add --fresh to cluster all pictures afresh without them (the files are kept)"
    raise input_error("--without-corrections", allowed, got, do)


def files_came(at: RunPaths, data: Path) -> bool:
    """Whether a finished run is there and files came, went or changed since.

    Examples
    --------
    >>> at = RunPaths(Path("w"), "photos", "auto-seed0", "timm", 0, ())
    >>> files_came(at, Path("photos"))
    False
    """
    doc = _finished(at.clusters)
    return doc is not None and _of_index(at, doc) and _files_changed(at, data)


def _files_changed(at: RunPaths, data: Path) -> bool:
    """Whether any file of the images came, went or changed since their index was made."""
    now = [[str(p), (s := p.stat()).st_size, s.st_mtime_ns] for p in FolderConfig(data).sources()]
    return bool(now != read_manifest(at.index, "index")["config"]["sources"])


def _keep_base(at: RunPaths, doc: Mapping[str, Any]) -> None:
    """Keep the clusters as they are, for images to join them."""
    names = _finished(at.names)
    mine = at.names if names and names["inputs"]["assignment"] == doc["digest"] else None

    def write(folder: Path) -> dict[str, Any]:
        digests = {row.id: row.digest for row, _ in indexed(at.index)}
        earlier = base_of(at) if doc["inputs"].get("grown from") else None
        before = Base.load(earlier) if earlier and is_artifact(earlier) else None
        files = [*(kept_files(earlier) if earlier else ()), *kept_files(at.clusters)]
        for n, path in enumerate(files, 1):
            (folder / KEPT).mkdir(exist_ok=True)
            shutil.copyfile(path, folder / KEPT / f"{n:03}.json")
        for name in EVIDENCE:
            if (at.clusters / name).is_file():
                shutil.copyfile(at.clusters / name, folder / name)
        return Base.of(at.clusters, digests, mine, before).save(folder)

    make_artifact(
        base_of(at), ArtifactSpec(Base.kind, {"of": doc["digest"]}, {}, (__name__,)), write
    )


def start_afresh(at: RunPaths, *, without_corrections: bool) -> None:
    """Let go of what the clusters of a run grew from, where imclust wrote it.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    without_corrections : bool
        Whether corrections by hand are left out; their files are kept.

    Raises
    ------
    InputError
        The run is corrected by hand, and it was not said to leave that out; or something else lies
        there. Nothing has changed then.

    Examples
    --------
    >>> at = RunPaths(Path("w"), "photos", "auto-seed0", "timm", 0, ())
    >>> start_afresh(at, without_corrections=False)  # nothing has grown: nothing is let go
    """
    base = base_of(at)
    if base.exists() and not is_artifact(base):
        do = "move it elsewhere"
        raise input_error(str(base), "as imclust wrote it", "a folder with other files in it", do)
    said = [*kept_files(at.clusters), *kept_files(base)]
    if said and not without_corrections:
        allowed = "used on a run that is not corrected by hand"
        do = "add --without-corrections to leave them out (the files are kept), or drop --fresh"
        raise input_error("--fresh", allowed, f"{counted(len(said), 'file')} of corrections", do)
    if without_corrections:
        leave_out(base, at.clusters)
    remove_work(base, MANIFEST)


def _finished(folder: Path) -> dict[str, Any] | None:
    """The manifest in a folder; None where nothing whole is."""
    return None if _damage(folder) else read_manifest(folder)


def _damage(folder: Path) -> str:
    """What is wrong with the artefact in a folder, one sentence; nothing where it is whole."""
    try:
        for name in read_manifest(folder)["files"]:
            artifact_file(folder, name)
    except InputError as e:
        return str(e)
    return ""


def _clusters_before(folder: Path) -> dict[str, int]:
    """The cluster of every image by id, as far as the table can be read: it may be damaged."""
    try:
        rows = read_csv(folder / "assignment.csv")
        return {r["id"]: int(r["cluster"]) for r in rows}
    except (InputError, OSError, KeyError, ValueError):
        return {}


def _digests_before(at: RunPaths, doc: Mapping[str, Any]) -> dict[str, str]:
    """The digest of every image at the last visit by id, as far as anything still says it."""
    if _of_index(at, doc):
        return {row.id: row.digest for row, _ in indexed(at.index)}
    if _finished(base_of(at)) is None:
        return {}
    base = Base.load(base_of(at))
    return dict(zip(base.ids.tolist(), base.digests.tolist(), strict=True))


def _of_index(at: RunPaths, doc: Mapping[str, Any]) -> bool:
    """Whether the index on the disk is that of the clusters."""
    index, latents = _finished(at.index), _finished(feature_folders(at.clusters)[0])
    return bool(
        index
        and latents
        and latents["inputs"]["index"] == index["digest"]
        and doc["inputs"]["features"] == latents["digest"]
    )
