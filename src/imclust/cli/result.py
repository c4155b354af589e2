"""What `cluster_folder` gives back: the assignment by file, its summary, its gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from imclust.cli.progress_display import format_duration
from imclust.clustering.correction_facts import in_words
from imclust.clustering.k_words import k_lines, k_sentence
from imclust.clustering.uncorrected import SUGGESTED
from imclust.core.errors import ServiceError
from imclust.core.look_records import found_words
from imclust.core.manifest import read_manifest
from imclust.core.wording import counted
from imclust.report.notebook import gallery
from imclust.report.results import CENTRAL, AssignedImage, FolderAssignment, printable

NAMED = 20  # unreadable files that a summary names


def _by_hand(doc: dict[str, Any]) -> bool:
    """Whether hand-made corrections changed the number of clusters."""
    said = doc.get("corrections") or {}
    return bool(said.get("merged") or said.get("new"))


@dataclass(frozen=True)
class FolderResult:
    """Every image of a folder with its cluster.

    Parameters
    ----------
    clustering : FolderAssignment
        Rows, names of the clusters, what was set aside.
    folder : Path
        Of this run, with assignments.csv.
    clusters : Path
        The `assignment` artefact.
    report : Path | None
        The page to look at; None for images that were placed later.
    piles : Path | None
        The folder of links or copies by cluster, where one was wanted.
    took : dict[str, float]
        Seconds of each step, 0 where it was up to date.
    seconds : float
        In all.
    look : Path | None
        The `look` artefact, where there is one.
    visit : Sequence[str]
        What became of the clusters since the last visit.
    unmet : Sequence[ServiceError]
        What a service failed, of that which was asked for.

    Examples
    --------
    >>> sorted(name for name in dir(FolderResult) if name in {"assignments", "sizes", "summary"})
    ['assignments', 'sizes', 'summary']
    """

    clustering: FolderAssignment
    folder: Path
    clusters: Path
    report: Path | None
    piles: Path | None
    took: dict[str, float]
    seconds: float
    look: Path | None = None
    visit: Sequence[str] = ()
    unmet: Sequence[ServiceError] = ()

    @property
    def assignments(self) -> list[AssignedImage]:
        """A row an image: file, cluster, confidence, runner_up, distance."""
        return self.clustering.rows

    @property
    def n_clusters(self) -> int:
        """K."""
        return len(self.clustering.names)

    @property
    def sizes(self) -> list[int]:
        """Images of every cluster, in their order."""
        clusters = [row.cluster for row in self.clustering.rows]
        return [clusters.count(c) for c in range(self.n_clusters)]

    def evidence(self) -> str:
        """Where K comes from, and which of the clusters are empty by now."""
        empty = [str(c) for c, size in enumerate(self.sizes) if not size]
        if not empty:
            return self._source()
        which = "cluster" if len(empty) == 1 else "clusters"
        return f"{self._source()}; {which} {', '.join(empty)} without any picture by now"

    def _source(self) -> str:
        doc = read_manifest(self.clusters)
        if doc["config"]["method"] == "predict":
            return f"K = {self.n_clusters}, the clusters of {self.clusters.parents[1] / 'clusters'}"
        hand = f"K = {self.n_clusters} by hand, from " if _by_hand(doc) else ""
        if hand:
            doc = doc | {"n_clusters": len(doc["corrections"]["was"])}
        if "grown" in doc:
            opened = doc["n_clusters"] - doc["grown"]["k"]
            more = f", and {opened} opened for pictures that came since" if opened else ""
            hand = f"{hand}K = {doc['n_clusters']}: {doc['grown']['k']} that were there{more}; "
            if "k_words" in doc:
                return f"{hand}the vote then: {k_sentence(doc['k_words'])}"
            return hand.removesuffix("; ")
        if "k_words" not in doc:
            return f"{hand}K = {doc['n_clusters']}, as given"
        return f"{hand}{k_sentence(doc['k_words'])}: {self.clusters / 'k.png'}"

    def summary(self) -> list[str]:
        """What the user wants to know at the end, as lines for a terminal."""
        lines = ["", "cluster  images  confidence  most central images"]
        for c, size in enumerate(self.sizes):
            members = self.clustering.members(c)
            mean = sum(self.clustering.rows[i].confidence for i in members) / max(size, 1)
            shown = "" if members else "(empty)"
            shown += ", ".join(printable(self.clustering.rows[i].file) for i in members[:CENTRAL])
            share = self.clustering.doubtful(c)
            seen = "" if share is None else f", seen in {share:.0%} of them"
            name = f"  [{self.clustering.names[c]}{seen}]" if self.clustering.names[c] else ""
            lines.append(f"{c:>7}  {size:>6}  {mean:>10.2f}  {shown}{name}")
        lines += [
            "",
            *self.visit,
            self.evidence(),
            *self._criteria(),
            *self._corrected(),
            *self._copies(),
            *self._aside(),
        ]
        times = [f"{title} {took:.1f}" for title, took in self.took.items() if took]
        lines.append(f"seconds: {'  '.join(times) or 'everything was up to date'}")
        lines.append(
            f"{counted(len(self.clustering.rows), 'image')} in {format_duration(self.seconds)}"
        )
        lines += [*self._to_look_at(), *self._stale()]
        lines.append(f"table: {self.folder / 'assignments.csv'}")
        run = quote(str(self.folder))
        lines.append(f"sort them for real: python -m imclust sort {run} --into NEW_FOLDER")
        if self.report is not None:
            lines.append(f"find by what is seen: python -m imclust find {run} WORDS")
        if self.piles is not None:
            lines.append(f"images by cluster: {self.piles}")
        if self.report is not None:
            lines.append(f"look at it: python -m webbrowser -t {self.report.resolve().as_uri()}")
        return lines

    def _corrected(self) -> list[str]:
        doc = read_manifest(self.clusters)
        if doc["config"]["method"] == "predict":
            return []
        if "corrections" not in doc:
            before = doc.get("grown", {}).get("corrected")
            return (
                [f"corrected by hand before that: {in_words(before)}; this stays"] if before else []
            )
        lines = [
            f"corrected by hand: {in_words(doc['corrections'])}; this stays with the run "
            "(--without-corrections leaves it out)"
        ]
        if doc.get("suggested"):
            n = doc["suggested"]
            lines.append(
                f"{counted(n, 'image')} close to those moved may belong there too; none was "
                f"moved: {self.clusters / SUGGESTED}, and on the page"
            )
        return lines

    def _criteria(self) -> list[str]:
        """What each criterion said of K."""
        words = read_manifest(self.clusters).get("k_words")
        return k_lines(words) if words else []

    def _copies(self) -> list[str]:
        n = read_manifest(self.clusters).get("copies_put_aside", 0)
        if not n:
            return []
        them = f"{counted(n, 'copy')} {'was' if n == 1 else 'were'}"
        return [f"{them} put aside (--remove-copies): each is where the picture it copies is"]

    def _stale(self) -> list[str]:
        """Tables of images that were placed by an earlier answer of this run."""
        if self.report is None:
            return []
        now = read_manifest(self.clusters)["digest"]
        placed = sorted(self.folder.glob("new-*/clusters"))
        old = [p for p in placed if read_manifest(p)["inputs"].get("assignment") != now]
        return [
            f"{p.parent / 'assignments.csv'} is of an earlier answer: --new with its images again "
            "makes it anew"
            for p in old
        ]

    def _to_look_at(self) -> list[str]:
        found = read_manifest(self.look)["found"] if self.look else {}
        if not found:
            return []
        told = ", ".join(found_words(n, what) for what, n in found.items())
        return [f"to look at: {told}: {self.folder / 'look_at.csv'}, and on the page"]

    def _aside(self) -> list[str]:
        aside = self.clustering.set_aside
        if not aside:
            return []
        shown = ", ".join(printable(file) for file, _ in aside[:NAMED])
        more = f" and {len(aside) - NAMED} more" if len(aside) > NAMED else ""
        files = f"{counted(len(aside), 'file')} that cannot be read"
        lines = [f"set aside, in no cluster: {files}: {shown}{more}"]
        return [*lines, f"why: {self.folder / 'set_aside.csv'}"]

    def _repr_html_(self) -> str:
        return gallery(self.clustering, self.evidence())
