"""The look at every image by the workers of a Ray cluster: parts of the rows, each a shard on a
path that all nodes see, or objects on storage, joined to the rows that one process finds."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from imclust.core.errors import DamagedArtifactError, InputError
from imclust.core.log import progress, say, silent
from imclust.core.manifest import KEY
from imclust.core.object_shards import fetch_shard, make_shard, remove_shards
from imclust.core.object_storage import probe_storage, storage_url
from imclust.core.ray_tasks import Tally, run_and_take
from imclust.core.ray_workers import ray_cluster
from imclust.data.images import ImageRow, at_whole_paths
from imclust.data.inspection import look_at, say_depths

PARTS = "shards"  # folder of the parts, in that of the index that is to be
EACH = 4096  # images a part
TABLE = "rows.json"


@dataclass(frozen=True)
class Part:
    """What a worker is asked.

    Parameters
    ----------
    top : str
        The address that parts go below.
    first : int
        Number of the first row.
    rows : list of ImageRow
        Not inspected yet, side by side in the index.
    max_pixels : int
        As for `inspect`.
    files : str
        Digest of sizes and times of the rows' files: of others, the part is another.
    """

    top: str
    first: int
    rows: list[ImageRow]
    max_pixels: int
    files: str

    def __str__(self) -> str:
        return f"{self.top} from row {self.first} on"

    @property
    def spec(self) -> dict[str, Any]:
        """What decides it."""
        asked = json.dumps([asdict(row) for row in self.rows])
        digest = hashlib.sha256(asked.encode()).hexdigest()
        return {"rows": digest, "max_pixels": self.max_pixels, "files": self.files}


def inspect_by_ray(
    rows: Sequence[ImageRow],
    max_pixels: int,
    folder: Path,
    *,
    address: str,
    storage: str | None = None,
) -> tuple[list[ImageRow], Tally]:
    """What `imclust.data.inspection.inspect` finds, found by workers.

    Parameters
    ----------
    rows : sequence of ImageRow
        At least one, not inspected yet.
    max_pixels : int
        As for `inspect`.
    folder : Path
        The staging folder of the index, where finished parts survive an interruption.
    address : str
        Of the cluster.
    storage : str, optional
        A folder or address for finished parts, instead.

    Returns
    -------
    tuple of list of ImageRow and Tally
        The rows, and how the run went.

    Raises
    ------
    InputError
        No such cluster or storage, or a node that does not see the images.

    Examples
    --------
    >>> inspect_by_ray(rows, 10**6, Path("index"), address="local:2")  # doctest: +SKIP
    """
    key = (folder / KEY).read_text()
    if storage is None:
        top, seen = storage_url(str((folder / PARTS).absolute())), [folder.absolute() / KEY]
    else:
        top, seen = _top(storage, key), []
        probe_storage(storage_url(storage))
    parts = []
    for a in range(0, len(rows), EACH):
        some = at_whole_paths(rows[a : a + EACH])
        parts.append(Part(top, a, some, max_pixels, _files(some)))
    found: dict[int, list[ImageRow]] = {}
    depths: Counter[str] = Counter()

    def take(part: Part) -> bool:
        with TemporaryDirectory(prefix="imclust-") as place:
            try:
                doc = fetch_shard(part.top, part.spec, Path(place))
            except DamagedArtifactError:
                return False
            table = json.loads(Path(place, TABLE).read_text())
        asked = rows[part.first : part.first + len(table)]
        found[part.first] = [
            replace(ImageRow(**row), source=was.source)
            for row, was in zip(table, asked, strict=True)
        ]
        depths.update(doc["depths"])
        return True

    with (
        ray_cluster(address, [*seen, Path(rows[0].source)]),
        progress(None, "inspect", total=len(rows), unit="img") as bar,
    ):

        def note(tally: Tally, part: Part) -> None:
            tally.add_images(len(part.rows))
            bar.set_postfix_str(tally.line(), refresh=False)
            bar.update(len(part.rows))

        tally = run_and_take(inspect_part, parts, note, take)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    say(f"Ray: {tally.line()}, {tally.kept} of the shards done before")
    for line in tally.table():
        say(line)
    say_depths(depths)
    return [row for part in parts for row in found[part.first]], tally


def inspect_part(part: Part) -> bool:
    """On a worker: look at the images of a part; whether that was to do.

    Examples
    --------
    >>> rows = [ImageRow("a", "train", "photos/dune/00.png", "")]
    >>> part = Part("memory://doc-inspect", 0, rows, 10**6, "")
    >>> inspect_part(part), inspect_part(part)
    (True, False)
    """

    def write(folder: Path) -> dict[str, Any]:
        with silent():
            rows, depths = look_at(part.rows, len(part.rows), part.max_pixels)
        (folder / TABLE).write_text(json.dumps([asdict(row) for row in rows]))
        return {"depths": dict(depths)}

    return make_shard(part.top, part.spec, write)


def forget_inspection(storage: str, key: dict[str, Any]) -> None:
    """Remove what `inspect_by_ray` put on storage, when the index is in its place.

    Parameters
    ----------
    storage : str
        As it was given.
    key : dict
        Of the index' spec.

    Examples
    --------
    >>> forget_inspection("memory://doc-inspect", {})
    """
    try:
        remove_shards(_top(storage, json.dumps(key, sort_keys=True)))
    except InputError as e:
        say(f"the index is whole, but its shards stay: {e}")


def _top(storage: str, key: str) -> str:
    return f"{storage_url(storage)}/{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _files(rows: Sequence[ImageRow]) -> str:
    """Digest of sizes and times of the files of some rows; one that has gone counts as such."""
    found: dict[str, tuple[int, int] | None] = {}
    for source in dict.fromkeys(row.source for row in rows):
        try:
            stat = Path(source).stat()
            found[source] = stat.st_size, stat.st_mtime_ns
        except OSError:
            found[source] = None
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()
