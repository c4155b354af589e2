"""`individuals`: who is who. A table of images, some of known identity; K is unknown and large."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, LocalData, image_files
from imclust.competitions.challenges._samples import NAMED, FoundSample, find_sample
from imclust.competitions.challenges.folder import image_name
from imclust.competitions.downloads import made_file
from imclust.competitions.sample_submission import SAMPLE
from imclust.competitions.submission_forms import read_assignment
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.records import PairHints, read_pairs
from imclust.core.wording import counted
from imclust.data.images import ImageRow

METADATA = "metadata.csv"
WHOLE = "all"  # the one group where none are told apart
Table = list[dict[str, str]]


@dataclass(frozen=True)
class IndividualsConfig(LocalData):
    """A folder or zip with metadata.csv, images, and mostly sample_submission.csv. There is no K:
    clusters are found from pairs, each group apart, and known identities set the thresholds."""

    by_pairs: ClassVar[bool] = True

    metadata: str = METADATA
    """The table's path in the folder or zip; one of this name further down will do."""
    id_column: str = "image_id"
    """Its column of ids."""
    identity_column: str = "identity"
    """Its column of known identities; empty cells are to be told. "" for a table without."""
    path_column: str = "path"
    """Its column of the images' paths, beside the table."""
    split_column: str = "split"
    """Its column that tells the images to cluster, where no sample does."""
    test_split: str = "test"
    """What it says of them. Their identities, if the table has any, score and are never used."""
    group_by: str = "dataset"
    """Its column of groups that are clustered apart, such as species; "" for one group."""
    photo_by: str = ""
    """A column; images with the same value are cut from one photograph: different individuals."""
    burst_by: str = ""
    """A column; images with the same value are of one individual, such as a track or a burst."""
    truth: Path | None = None
    """A table of ids and identities of the images to cluster, or a submission in any form, where
    you have one: it scores."""

    def sources(self) -> list[Path]:
        """The user's files."""
        if self.truth is not None and not self.truth.is_file():
            do = "check the path"
            raise input_error("--truth", "a file", f"{self.truth}, which is none", do)
        return [*super().sources(), *([self.truth] if self.truth is not None else [])]


@CHALLENGES.register(
    "individuals", IndividualsConfig, paper="AnimalCLEF 2026's format: image_id,cluster, K unknown"
)
def individuals(cfg: IndividualsConfig, files: Path) -> Challenge:
    """Images to cluster come first, in the sample's order; then those of known identity.

    Parameters
    ----------
    cfg : IndividualsConfig
        Where the data lie and what the columns are called.
    files : Path
        Where a sample inside a zip is unpacked to.

    Raises
    ------
    InputError
        A column or a file is missing, an id is there twice, two identities differ only in case or
        spaces, or nothing is left to cluster.

    Examples
    --------
    >>> challenge = individuals(IndividualsConfig(Path("photos")), Path("files"))
    24 images found, 1 file left out: 1 .csv
    group photos: 6 images to cluster, 18 known
    >>> challenge.rows[0].id, challenge.published["photo 0"]
    ('photo 3', 'A')
    """
    data = cfg.data_dir.resolve()
    found = {image_name(data, f): f for f in image_files(data)}
    name, table = _table(cfg, data)
    by_id = _rows_by_id(cfg, name, table)
    sample = _sample(cfg, data, files, by_id)
    asked = _asked(cfg, name, by_id, sample)
    identities = _identities(cfg, by_id)
    known = [i for i in by_id if i in identities and i not in set(asked)]
    wanted = [*asked, *known]
    if len(by_id) > len(wanted):
        rest = len(by_id) - len(wanted)
        be = "is" if rest == 1 else "are"
        say(f"{counted(rest, 'image')} {be} neither asked for nor known: left out")
    images = _images(cfg, name, by_id, wanted, found)
    rows = [_row(i, "train" if at < len(asked) else "known", images[i])
            for at, i in enumerate(wanted)]  # fmt: skip
    groups = {i: by_id[i][cfg.group_by].strip() if cfg.group_by else WHOLE for i in wanted}
    _say_groups(groups, asked, known)
    challenge = Challenge(
        rows,
        labels={i: identities[i] for i in asked if i in identities} | _truth(cfg, asked),
        columns=(cfg.id_column, "cluster"),
        published={i: identities[i] for i in known},
        hints=PairHints(
            groups, _column(cfg.photo_by, by_id, wanted), _column(cfg.burst_by, by_id, wanted)
        ),
    )
    if sample is None:
        return challenge
    return replace(
        challenge, columns=sample.sample.names, sample=sample.path, sample_format=sample.form
    )


def _table(cfg: IndividualsConfig, data: Path) -> tuple[str, Table]:
    """Where the table lies below the data, and its rows."""
    member, raw = _file(data, cfg.metadata)
    try:
        reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""))
        table = [{k: v or "" for k, v in row.items() if k is not None} for row in reader]
    except (UnicodeDecodeError, csv.Error) as e:
        raise input_error(member, "a CSV table in UTF-8", e, "save it again") from None
    if not table:
        raise input_error(member, "a table with rows", "none", "check --metadata")
    flags = ("id_column", "identity_column", "path_column", "split_column", "group_by",
             "photo_by", "burst_by")  # fmt: skip
    for flag in flags:
        column = getattr(cfg, flag)
        if flag == "split_column" and column == IndividualsConfig.split_column:
            continue  # mostly there; without it, empty identities tell
        needed = flag in {"id_column", "path_column"}
        if (column or needed) and column not in table[0]:
            name, got = f"--{flag.replace('_', '-')}", repr(column)
            do = 'name another (CHALLENGE_FLAGS), or "" where there is none'
            raise input_error(name, f"one of {member}'s {', '.join(table[0])}", got, do)
    return member, table


def _file(data: Path, wanted: str) -> tuple[str, bytes]:
    """Path and bytes of the file of this name that lies highest in a folder or zip."""
    if data.is_dir():
        name = PurePosixPath(wanted).name
        there = sorted(p.relative_to(data).as_posix() for p in data.rglob(name))
        found = _highest(there, wanted)
        return found, (data / found).read_bytes()
    with zipfile.ZipFile(data) as z:
        found = _highest(z.namelist(), wanted)
        return found, z.read(found)


def _highest(names: Iterable[str], wanted: str) -> str:
    fits = [n for n in names if n == wanted or n.endswith(f"/{wanted}")]
    if not fits:
        do = "check DATA_DIR, or name the table with --metadata (CHALLENGE_FLAGS)"
        raise input_error("the data", f"with a table {wanted}", "none", do)
    return min(fits, key=lambda n: (n.count("/"), n))


def _rows_by_id(cfg: IndividualsConfig, name: str, table: Table) -> dict[str, dict[str, str]]:
    by_id: dict[str, dict[str, str]] = {}
    for row in table:
        key = row[cfg.id_column].strip()
        if not key or key in by_id:
            got = f"{key!r} twice" if key else "an empty one"
            raise input_error(f"every {cfg.id_column} of {name}", "there once", got, "correct it")
        by_id[key] = row
    return by_id


def _sample(
    cfg: IndividualsConfig, data: Path, files: Path, by_id: Mapping[str, Mapping[str, str]]
) -> FoundSample | None:
    """The sample beside the table, in the zip, or where the user says; None without one."""
    count = len(_without_sample(cfg, by_id)[0])
    if data.is_dir() or cfg.sample is not None:
        return cfg.find_sample(files, by_id, count)
    with zipfile.ZipFile(data) as z:
        plain = {n: "".join(c for c in n.rsplit("/", 1)[-1].lower() if c.isalnum())
                 for n in z.namelist()}  # fmt: skip
        names = [n for n, word in plain.items() if NAMED.fullmatch(word) and n.endswith(".csv")]
        if not names:
            return cfg.find_sample(files, by_id, count)
        with made_file(files / SAMPLE) as fresh:
            fresh.write_bytes(z.read(min(names, key=lambda n: (n.count("/"), n))))
    given = files / SAMPLE
    said = cfg.said_of_sample()
    return find_sample(files, files, set(by_id), given=given, form=said, count=count)


def _asked(
    cfg: IndividualsConfig,
    name: str,
    by_id: Mapping[str, Mapping[str, str]],
    sample: FoundSample | None,
) -> list[str]:
    """Ids to cluster: the sample's; else those of the test split; else those without identity."""
    if sample is not None and sample.sample.form != "lines":
        odd = [i for i in sample.sample.ids if i not in by_id]
        if odd:
            got = f"{len(odd)} that are not, first {odd[0]!r}"
            raise input_error(f"ids of {sample.path}", f"ids of {name}", got, "check both")
        return list(sample.sample.ids)
    asked, do = _without_sample(cfg, by_id)
    if not asked:
        raise input_error("images to cluster", "one at least", "none: all are known", do)
    if sample is not None:
        say(f"{sample.path.name} has no ids: line 1 is {asked[0]}, the last one {asked[-1]}")
    return asked


def _without_sample(
    cfg: IndividualsConfig, by_id: Mapping[str, Mapping[str, str]]
) -> tuple[list[str], str]:
    """Ids of the test split, or else without identity; and what to do where these are none."""
    first = next(iter(by_id.values()))
    if cfg.split_column and cfg.split_column in first:
        asked = [i for i, r in by_id.items() if r[cfg.split_column].strip() == cfg.test_split]
        return asked, f"check --test-split ({cfg.test_split})"
    column = cfg.identity_column
    asked = [i for i, r in by_id.items() if not column or not r[column].strip()]
    return asked, "leave the identities to be told empty"


def _identities(cfg: IndividualsConfig, by_id: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """id -> identity where the table has one."""
    column = cfg.identity_column
    if not column:
        return {}
    found = {i: row[column].strip() for i, row in by_id.items() if row[column].strip()}
    spelt: dict[str, str] = {}
    for identity in found.values():
        other = spelt.setdefault("".join(identity.split()).casefold(), identity)
        if other != identity:
            got = f"{other!r} and {identity!r}, which differ only in case or spaces"
            raise input_error("every identity", "spelt one way", got, "correct the table")
    return found


def _truth(cfg: IndividualsConfig, asked: list[str]) -> dict[str, str]:
    """id -> identity of images to cluster, of a table that scores: ids and identities, or a
    submission in any form."""
    if cfg.truth is None:
        return {}
    named = (cfg.id_column, cfg.identity_column or "identity")
    with cfg.truth.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        head = next(csv.reader([file.readline()]), [])
    pairs = (
        dict(read_pairs(cfg.truth, *named))
        if set(named) <= set(head)
        else read_assignment(cfg.truth, asked, cfg.said_of_sample())
    )
    return {i: pairs[i] for i in asked if i in pairs}


def _images(
    cfg: IndividualsConfig,
    name: str,
    by_id: Mapping[str, Mapping[str, str]],
    wanted: list[str],
    found: Mapping[str, tuple[Path, str]],
) -> dict[str, tuple[Path, str]]:
    """The file of every image: its path beside the table, or below the data."""
    beside = PurePosixPath(name).parent
    images: dict[str, tuple[Path, str]] = {}
    missing = []
    for i in wanted:
        path = by_id[i][cfg.path_column].strip().replace("\\", "/")
        file = found.get(str(beside / path)) or found.get(path)
        if file is None:
            missing.append(path)
        else:
            images[i] = file
    if missing:
        got = f"{len(missing)} of {len(wanted)} that are not, first {missing[0]!r}"
        do = "check that the data hold all images"
        raise input_error(f"every {cfg.path_column} of {name}", "that of an image", got, do)
    return images


def _row(image_id: str, split: str, f: tuple[Path, str]) -> ImageRow:
    return ImageRow(image_id, split, str(f[0]), f[1])


def _column(
    column: str, by_id: Mapping[str, Mapping[str, str]], wanted: list[str]
) -> dict[str, str]:
    return {i: v for i in wanted if column and (v := by_id[i][column].strip())}


def _say_groups(groups: Mapping[str, str], asked: list[str], known: list[str]) -> None:
    mine, theirs = Counter(groups[i] for i in asked), Counter(groups[i] for i in known)
    for group in sorted({*mine, *theirs}):
        here = counted(mine[group], "image")
        say(f"group {group or '(no name)'}: {here} to cluster, {theirs[group]} known")
    alone = [g for g in mine if mine[g] + theirs[g] == 1]
    if alone:
        have = "has" if len(alone) == 1 else "have"
        groups_alone = counted(len(alone), "group")
        say(f"{groups_alone} {have} a single image, which is a cluster of its own")
    if not known:
        say("no identities are known: thresholds come from the pairs themselves")
