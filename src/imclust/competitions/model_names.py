"""Names of clusters that a vision-language model gives now, or gave at an earlier visit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imclust.core.errors import ServiceError
from imclust.core.look_records import Look
from imclust.core.manifest import MANIFEST, artifact_file, parse_json, read_manifest
from imclust.core.name_records import names_before
from imclust.core.records import Assignment, read_csv
from imclust.data.images import indexed

if TYPE_CHECKING:
    from imclust.competitions.clients.vision_model import VisionModel

ALIKE = 2  # times the images that a cluster had when a model named it, up or down
CONFIG = ("names", "pictures", "sizes")  # of a manifest, of each cluster


@dataclass(frozen=True)
class ModelNames:
    """Names of clusters that a model gave.

    Parameters
    ----------
    by : str
        Who, as the evidence says it.
    names : Mapping[int, str]
        Cluster -> its name.
    pictures : Mapping[int, Sequence[str]]
        Cluster -> ids of those that it was named by.
    sizes : Mapping[int, int]
        Cluster -> how many images it had then.
    failure : ServiceError, optional
        Why others have none.
    """

    by: str
    names: Mapping[int, str]
    pictures: Mapping[int, Sequence[str]]
    sizes: Mapping[int, int]
    failure: ServiceError | None = None

    def config(self) -> dict[str, Any]:
        """For the manifest.

        Examples
        --------
        >>> ModelNames("by llava at localhost", {1: "sea"}, {1: ["a"]}, {1: 9}).config()
        ...     # doctest: +ELLIPSIS
        {'by': 'by llava at localhost', 'names': {'1': 'sea'}, 'pictures': {'1': ['a']}, ...}
        """
        told = zip(CONFIG, (self.names, self.pictures, self.sizes), strict=True)
        return {"by": self.by} | {
            what: {str(c): of[c] for c in sorted(self.names)} for what, of in told
        }


def is_by_model(evidence: str) -> bool:
    """Whether evidence is that of a name by a model.

    Examples
    --------
    >>> is_by_model("by llava at localhost; dog 0.82"), is_by_model("dog 0.82")
    (True, False)
    """
    return evidence.startswith("by ")


def standing_names(names: Path, assignment: Path) -> ModelNames | None:
    """Names that a model gave at an earlier visit, which stand when it is not asked again: of
    clusters that hold most of the pictures that it saw, no other's, and about as many images.

    Parameters
    ----------
    names : Path
        Where the `names` artefact of that visit may lie.
    assignment : Path
        The `assignment` artefact now.

    Examples
    --------
    >>> standing_names(Path("run/names"), Path("run/clusters")) is None  # no model was asked
    True
    """
    path = names / MANIFEST
    doc = parse_json(path) if path.is_file() else None
    config = (doc or {}).get("config") or {}
    if not config.get("pictures"):
        return None
    rows = read_csv(artifact_file(assignment, "assignment.csv"))
    cluster = {row["id"]: int(row["cluster"]) for row in rows}
    sizes = Counter(cluster.values())
    now = defaultdict[int, list[str]](list)
    for old, ids in config["pictures"].items():
        places = Counter(cluster[i] for i in ids if i in cluster).most_common(1)
        if places and 2 * places[0][1] > len(ids):
            now[places[0][0]].append(old)
    like = {
        c: olds[0] for c, olds in now.items()
        if len(olds) == 1 and 1 / ALIKE <= sizes[c] / config["sizes"][olds[0]] <= ALIKE
    }  # fmt: skip
    of = {what: {c: config[what][old] for c, old in like.items()} for what in CONFIG}
    return ModelNames(config["by"], of["names"], of["pictures"], of["sizes"])


def ask_model_names(
    model: VisionModel, by: str, names: Path, assignment: Path, index: Path, look: Path | None
) -> ModelNames:
    """What a model calls the clusters that have no name by hand or by it.

    Parameters
    ----------
    model : VisionModel
        That is asked.
    by : str
        Who that is, as the evidence says it.
    names : Path
        Of the `names` artefact to come; answers are kept beside it.
    assignment : Path
        The `assignment` artefact.
    index : Path
        The `index` artefact of the images.
    look : Path, optional
        The `look` artefact of the images; of copies one is sent.

    Examples
    --------
    >>> from imclust.competitions.clients.vision_model import vision_model
    >>> model = vision_model("http://localhost:9/v1", "llava")
    >>> where = (Path("run/names"), Path("run/clusters"), Path("raw/index"), None)
    >>> asked = ask_model_names(model, "by llava", *where)  # doctest: +ELLIPSIS
    sending 10 pictures ...
    >>> asked.failure.kind  # nothing listens there
    'network'
    """
    from imclust.competitions.asked_names import ANSWERS, ask_names, central_pictures

    doc = read_manifest(assignment, Assignment.kind)
    by_hand = doc.get("names") or [""] * doc["n_clusters"]
    named_already = [p is not None and p[1].split("; ")[0] == by for p in names_before(doc)]
    rows = read_csv(artifact_file(assignment, "assignment.csv"))
    images = {row.id: row for row, _ in indexed(index)}
    copies = Look.load(look).copy_of if look else {}
    members, copied = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for number, row in enumerate(rows):
        c = int(row["cluster"])
        if not by_hand[c] and not named_already[c]:
            (copied if copies.get(row["id"], row["id"]) != row["id"] else members)[c].append(number)
    distance = np.array([float(row["distance"]) for row in rows])
    digests = [images[row["id"]].digest for row in rows]
    pictures = {}
    for c in sorted({*members, *copied}):
        central = central_pictures(members[c] or copied[c], distance, digests)
        pictures[c] = [images[rows[n]["id"]] for n in central]
    found = ask_names(model, pictures, names.parent / ANSWERS)
    ids = {c: [row.id for row in seen] for c, seen in pictures.items()}
    sizes = Counter(int(row["cluster"]) for row in rows)
    return ModelNames(by, found.names, ids, sizes, found.failure)
