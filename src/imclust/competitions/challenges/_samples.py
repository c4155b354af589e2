"""The sample submission of a challenge: found under the names that it goes by, read as it is."""

from __future__ import annotations

import difflib
import os
import re
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from imclust.competitions.downloads import made_file
from imclust.competitions.sample_submission import PLAIN, SAMPLE, Sample, SampleFormat
from imclust.competitions.submission_forms import SAID, form_of, read_form
from imclust.core.errors import input_error
from imclust.core.log import say

# sample_submission.csv, sampleSubmission.csv, SubmissionFormat.csv, submission-example.csv.zip, ...
NAMED = re.compile(
    r"((sample|example|format)s?submissions?|submissions?(sample|example|format))"
    r"(stage\d+|v\d+|\d+)?csv(zip)?"
)

TELLING = 4  # letters of an id from which a first line does not hold it by chance
CLOSE = 0.8  # difflib's ratio from which a first line begins with the damaged id of an image


@dataclass(frozen=True)
class FoundSample:
    """A sample submission.

    Parameters
    ----------
    path : Path
        Its file, unpacked.
    form : SampleFormat
        How it is read.
    sample : Sample
        What it says.
    """

    path: Path
    form: SampleFormat
    sample: Sample


def sample_candidates(folder: Path, *, deep: bool) -> list[Path]:
    """Files whose names say that they are sample submissions; `sample_submission.csv` alone if it
    lies at the top.

    Parameters
    ----------
    folder : Path
        Where to look.
    deep : bool
        Also in its sub-folders.
    """
    if (folder / SAMPLE).is_file():
        return [folder / SAMPLE]
    found = []
    for top, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(n for n in folders if not n.startswith(".")) if deep else []
        for name in sorted(names):
            if NAMED.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())):
                found.append(Path(top, name))
    return found


def find_sample(
    folder: Path,
    files: Path,
    known: Collection[str],
    *,
    deep: bool = True,
    given: Path | None = None,
    form: SampleFormat = PLAIN,
    count: int | None = None,
) -> FoundSample | None:
    """The sample submission of a challenge, if there is one.

    Parameters
    ----------
    folder : Path
        The challenge's data.
    files : Path
        Where a sample that comes zipped is unpacked to.
    known : collection of str
        What ids may be: a first line with one of them is no header.
    deep : bool
        Also look in sub-folders.
    given : Path, optional
        The file itself, where the user names it.
    form : SampleFormat
        What the user says of it: its form, the column of labels, the name of outliers.
    count : int, optional
        Of the images (or pairs), for a sample of one label a line.

    Returns
    -------
    FoundSample or None
        None where nothing is called like a sample.

    Raises
    ------
    InputError
        Several files may be the sample, or it is no table.
    """
    candidates = [given] if given is not None else sample_candidates(folder, deep=deep)
    if len(candidates) > 1:
        names = ", ".join(p.relative_to(folder).as_posix() for p in candidates[:5])
        raise input_error(
            "the sample submission", "one file", f"{len(candidates)}: {names}",
            "name one of them with --sample (CHALLENGE_FLAGS='--sample FILE')",
        )  # fmt: skip
    if not candidates:
        return None
    path = candidates[0]
    if path.suffix.lower() == ".zip":
        path = _unpacked(path, files)
    wanted = set(known)
    sample = read_form(path, form, wanted, count)
    if sample.form != "lines" and sample.names[0] in wanted:
        sample = read_form(path, replace(form, header=False), wanted, count)
        say(f"{path.name} has no header: its first line is a row")
    elif near := "" if sample.form == "lines" else _nearly_a_row(sample, known):
        do = "mend it: it is a header, or the row of that image"
        got = f"{sample.names[0]!r}, nearly {near!r}, which has no row"
        raise input_error(f"the first line of {path.name}", "a header or a row", got, do)
    if sample.form != "labels":
        say(f"{path.name}: {SAID[sample.form]} ({sample.form})")
    if sample.outliers is not None:
        say(f"{path.name}: images that are alone in their cluster are called {sample.outliers!r}")
    if path.name != SAMPLE and sample.form == "labels":
        id_name, label_name = sample.names
        say(f"sample submission: {path.name}, columns {id_name} and {label_name}")
    return FoundSample(path, form_of(sample), sample)


def _nearly_a_row(sample: Sample, known: Collection[str]) -> str:
    """The image without a row whose id the first line holds, damaged or not; "" if none.

    Names of columns are words: only what has a digit or a dot is looked at.
    """
    name = sample.names[0]
    if not re.search(r"[\d.]", name):
        return ""
    missing = set(known) - set(sample.ids)
    held = [i for i in missing if len(i) >= TELLING and i in name and re.search(r"\d", i)]
    found = held or difflib.get_close_matches(name, missing, 1, CLOSE)
    return max(found, key=len) if found else ""


def _unpacked(archive: Path, files: Path) -> Path:
    """The one table in a zip."""
    try:
        with zipfile.ZipFile(archive) as z:
            names = [n for n in z.namelist() if n.lower().endswith(".csv")]
            if len(names) != 1:
                got = f"{len(names)} of them"
                raise input_error(str(archive), "a zip with one CSV table", got, "unpack it")
            with made_file(files / SAMPLE) as fresh:
                fresh.write_bytes(z.read(names[0]))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as e:
        raise input_error(str(archive), "a zip with one CSV table", e, "unpack it") from None
    return files / SAMPLE
