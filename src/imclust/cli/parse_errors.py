"""What the option parser refuses, in one plain sentence each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from imclust.core.errors import InputError, input_error

KINDS = {
    "INT": "a whole number",
    "FLOAT": "a number",
    "PATH": "a path",
    "STR": "text",
    "TEXT": "text",
}
KINDS |= {"NUMBER": "a number"}
# Flags of other commands, and what they are here.
OWN_WORDS = {
    "--challenge": "the challenge is a word of its own, as in python -m imclust {} hw9 (python -m "
    "imclust challenges lists them)"
}
BASES = {"int() with base 10": "a whole number", "float": "a number"}  # as Python calls them


def refuse_empty(words: Sequence[str], name: str) -> None:
    """Refuse an empty word where a path or a word is wanted: an unset variable is one, and an empty
    path would be the folder that one is in.

    Parameters
    ----------
    words : sequence of str
        What follows a command.
    name : str
        Of the command.

    Raises
    ------
    InputError
        There is one that is not the value of a flag.

    Examples
    --------
    >>> refuse_empty(["photos", "--name", ""], "cluster-folder")
    >>> refuse_empty([""], "cluster-folder")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    imclust.core.errors.InputError: what follows cluster-folder must be ...
    """
    for before, word in zip(["", *words], words, strict=False):
        if not word and not before.startswith("--"):
            do = "type it; where it is a variable such as $FOLDER, set that first"
            raise input_error(f"what follows {name}", "a path or a word", "an empty one", do)


def parse_error(end: SystemExit, box: str, name: str) -> InputError:
    """The one sentence of what the option parser draws a box about.

    Parameters
    ----------
    end : SystemExit
        How it ended; a config that refuses a value says why itself.
    box : str
        What it drew.
    name : str
        Of the command.

    Examples
    --------
    >>> box = "+--+\\n| invalid choice 'tim' for argument '--encoder'. Expected one of "
    >>> box += "('light', 'strong'). |\\n+--+"
    >>> str(parse_error(SystemExit(2), box, "run")).partition("; see")[0]
    "--encoder must be light or strong; got 'tim'; choose one (python -m imclust run --help)."
    """
    cause: BaseException | None = end
    while cause is not None:
        if isinstance(cause, InputError):
            return cause
        cause = cause.__context__
    # Its frame is of spaces where the terminal has no lines.
    lines = [line[2:].rstrip(" │|") for line in box.splitlines()[1:-1]]
    text = " ".join(line.strip() for line in lines if line.strip("-─ "))
    text = text.split(" For full helptext")[0].split(" Argument helptext:")[0].rstrip(".")
    asked = f"python -m imclust {name} --help lists what there is"
    flags = [line.split()[0].rstrip(",") for line in lines if line.startswith("    --")]
    for found in (_unknown(text, flags, name, asked), _missing(text, lines, flags, name, asked)):
        if found is not None:
            return found
    return _odd_value(text, name, asked) or InputError(f"{text}; {asked}.")


def _unknown(text: str, flags: list[str], name: str, asked: str) -> InputError | None:
    """A flag that there is not, or not there."""
    if odd := re.search(r"Unrecognized options:\s+([^\s,]+)", text):
        if not odd[1].startswith("-") and "Available subcommands" not in text:
            allowed = "options, and each path as one word, in quotes where it has spaces"
            do = f"put the path in quotes ({asked})"
            return input_error(f"what follows {name}", allowed, f"one word more, {odd[1]}", do)
        commands = re.findall(r"[\w-]+", text.partition("Available subcommands:")[2])
        known = [word for word in (*flags, *commands) if word != odd[1]]
        do = OWN_WORDS.get(odd[1], "").format(name) or near(odd[1], known) or asked
        return input_error(f"the options of {name}", "among those it has", odd[1], do)
    if odd := re.match(
        r"Unrecognized or misplaced options: (--[\w-]+).*?imclust [\w-]+ ([\w-]+)\)", text
    ):
        allowed = f"among those of {odd[2]}, or before that word where it is one of {name}"
        do = f"put it there, or see {asked}"
        return input_error(f"what follows {odd[2]}", allowed, odd[1], do)
    return None


def _missing(
    text: str, lines: list[str], flags: list[str], name: str, asked: str
) -> InputError | None:
    """Something that has to be given."""
    if value := re.match(r"Missing value for argument '(\S+?)'", text):
        return input_error(value[1], "followed by a value", "none", f"type one ({asked})")
    if not text.startswith("Missing from"):
        return None
    if flags:
        what = f"{' and '.join(flags)} of {name}"
        return input_error(what, "given", "none of it", asked)
    words = " ".join(line.strip() for line in lines[2:] if line.startswith("        "))
    what = re.split(r"\. | \(required\)|[.;]$", words)[0].rstrip(".")
    allowed = f"followed by {what[:1].lower()}{what[1:]}" if what else "followed by more"
    return input_error(name, allowed, "nothing", asked)


def _odd_value(text: str, name: str, asked: str) -> InputError | None:
    """A value that an option cannot have."""
    if choice := re.match(
        r"invalid choice '(.*)' for argument '(\S+?)'. Expected one of \((.*)\)", text
    ):
        known = re.findall(r"'(.*?)'", choice[3])
        do = near(choice[1], known) or "choose one"
        do += f" (python -m imclust {name} --help)"
        return input_error(choice[2], _either(known), repr(choice[1]), do)
    if choices := re.match(r"Expected one of \{(.*?)\}", text):
        return input_error(f"what follows {name}", f"one of {choices[1]}", "none of these", asked)
    if value := re.match(
        r"Error parsing (\S+?): no type matching (\S+) could .*? from (\[.*?\])", text
    ):
        kinds = [word for word in re.sub("[{}]", "", value[2]).split("|") if word != "None"]
        allowed = _either([KINDS.get(kind, kind) for kind in kinds])
        return input_error(value[1], allowed, value[3].strip("[]"), f"write one ({asked})")
    if value := re.match(
        r"Error parsing (\S+?): (?:invalid literal for|could not convert string to) (.*?): (.*)",
        text,
    ):
        kind = BASES.get(value[2], value[2])
        return input_error(value[1], kind, value[3], f"write one ({asked})")
    return None


def _either(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def near(word: str, known: Sequence[str]) -> str:
    """What to do about a misspelt word: nothing where none of the known ones is near.

    Examples
    --------
    >>> near("--encodr", ["--encoder", "--seed"]), near("x", ["--seed"])
    ('take --encoder', '')
    """
    found = difflib.get_close_matches(word, known, 1)
    return f"take {found[0]}" if found else ""
