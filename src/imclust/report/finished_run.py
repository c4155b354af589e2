"""A finished run of anybody's images, by its folder: the assignment, and what lies beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from imclust.core.errors import input_error
from imclust.core.manifest import MANIFEST, lineage, read_manifest
from imclust.core.records import Assignment
from imclust.report.results import FolderAssignment


@dataclass(frozen=True)
class FinishedRun:
    """What a run has found.

    Parameters
    ----------
    folder : Path
        Of the run.
    clustering : FolderAssignment
        Every image with its cluster.
    data : Path
        The folder or archive of the images.
    embedding : Path | None
        The `features` artefact of the map, where one was drawn.
    """

    folder: Path
    clustering: FolderAssignment
    data: Path
    embedding: Path | None

    @classmethod
    def load(cls, folder: Path) -> FinishedRun:
        """The run in a folder such as `data/runs/folder-photos/timm-auto-kauto-seed0`.

        Raises
        ------
        InputError
            No finished run is there, or something that it rests on was made anew since.
        """
        folder = folder.expanduser()
        clusters = folder if (folder / MANIFEST).is_file() else folder / "clusters"
        if not (clusters / MANIFEST).is_file():
            do = "name a folder that holds clusters/, such as cluster-folder says at its end"
            raise input_error("the run", "the folder of a finished one", folder, do)
        read_manifest(clusters, Assignment.kind)
        made = lineage(clusters)
        _refuse_stale(made)
        top = clusters.parent
        index = _index_of(clusters)
        data = Path(read_manifest(index, "index")["config"].get("data_dir") or index).resolve()
        # Images that were placed later are called as those of the run around them.
        places = [top / "names", top.parent / "names"]
        names = next((p for p in places if (p / MANIFEST).is_file()), None)
        clustering = FolderAssignment.load(clusters, index, names)
        return cls(top, clustering, data, _embedding(top / "report"))


def _index_of(clusters: Path) -> Path:
    """The index of the images that an assignment is about."""
    inputs = read_manifest(clusters)["inputs_at"]
    for role in ("index", "features", "features 1"):
        if role in inputs:
            folder = Path(os.path.normpath(clusters / inputs[role]))
            made = lineage(folder)
            return next(p for p, doc in reversed(made.items()) if doc["kind"] == "index")
    raise input_error(str(clusters), "an assignment about images", "none", "name another run")


def _refuse_stale(made: dict[Path, dict[str, object]]) -> None:
    """Refuse what rests on an artefact that was made anew since."""
    digests = {path: doc["digest"] for path, doc in made.items()}
    for path, doc in made.items():
        at, inputs = doc["inputs_at"], doc["inputs"]
        assert isinstance(at, dict)
        assert isinstance(inputs, dict)
        for role, there in at.items():
            if digests[Path(os.path.normpath(path / there))] != inputs[role]:
                got = f"one that rests on an earlier {there}"
                do = "run the command that made it again"
                raise input_error(str(path), "of the present answer", got, do)


def _embedding(report: Path) -> Path | None:
    if not (report / MANIFEST).is_file():
        return None
    there = read_manifest(report)["inputs_at"].get("embedding")
    return Path(os.path.normpath(report / there)) if there else None
