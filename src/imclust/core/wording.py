"""Numbers of things in words."""

from __future__ import annotations


def counted(n: int, what: str) -> str:
    """A number and what is counted, in the singular where it is one.

    Parameters
    ----------
    n : int
        How many.
    what : str
        Its singular, of which only the last word changes.

    Examples
    --------
    >>> counted(1, "picture"), counted(3, "exact copy"), counted(0, "class")
    ('1 picture', '3 exact copies', '0 classes')
    """
    return f"{n} {plural(n, what)}"


def plural(n: int, what: str) -> str:
    """What is counted, without the number.

    Examples
    --------
    >>> plural(1, "copy"), plural(2, "copy"), plural(2, "key")
    ('copy', 'copies', 'keys')
    """
    if n == 1:
        return what
    if what.endswith("y") and what[-2:-1] not in "aeiou":
        return f"{what[:-1]}ies"
    return f"{what}es" if what.endswith(("s", "ch", "sh", "x")) else f"{what}s"
