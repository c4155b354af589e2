"""What corrections did to an assignment: the names that its clusters keep, and the words for it."""

from __future__ import annotations

from typing import Any

from imclust.core.log import say
from imclust.core.wording import counted


def classes_of(facts: dict[str, Any]) -> dict[str, Any]:
    """The names that labels gave the clusters, of merged ones that of the lowest number.

    Examples
    --------
    >>> classes_of({"classes": ["cat", "dog"], "n_clusters": 1, "corrections": {"was": [0, 0]}})
    {'classes': ['cat']}
    """
    if "classes" not in facts:
        return {}
    was = facts["corrections"]["was"]
    first = {new: facts["classes"][old] for old, new in reversed(list(enumerate(was)))}
    made = facts.get("names") or {}
    names = [first.get(c) or (made and made[c]) or f"new {c}" for c in range(facts["n_clusters"])]
    return {"classes": names}


def kept_names(
    facts: dict[str, Any], by_hand: list[str] | None, found: list[Any] | None
) -> dict[str, Any]:
    """Names that clusters had before they were corrected, by their numbers now.

    Of clusters that become one, the name by hand is that of the lowest number; what was found of
    them holds no more.

    Parameters
    ----------
    facts : dict[str, Any]
        Of the corrected assignment.
    by_hand : list[str] | None
        The names before.
    found : list[Any] | None
        (name, evidence) of each cluster before, None where that is open.

    Examples
    --------
    >>> said = {"corrections": {"was": [0, 1, 1], "names": {}}, "n_clusters": 3}
    >>> kept_names(said, ["sea", "", "hill"], None)
    {'names': ['sea', 'hill', '']}
    """
    was, said, k = facts["corrections"]["was"], facts["corrections"]["names"], facts["n_clusters"]
    out: dict[str, Any] = {}
    names = list(facts["names"]) if len(facts.get("names") or []) == k and said else [""] * k
    for old, name in enumerate(by_hand or []):
        if str(was[old]) not in said and not names[was[old]]:
            names[was[old]] = name
    if any(names):
        out["names"] = names
    if found:
        parts = [[old for old, new in enumerate(was) if new == c] for c in range(k)]
        out["found_names"] = [found[p[0]] if len(p) == 1 else None for p in parts]
    return out


def report_corrections(facts: dict[str, Any]) -> None:
    """What became of them, for the user.

    Parameters
    ----------
    facts : dict
        Of the corrected assignment: `corrections`, `n_clusters` and `suggested`.

    Examples
    --------
    >>> said = {"moved": 2, "pinned": 0, "new": 0, "must_link": 0, "cannot_link": 0}
    >>> said |= {"merged": [[0, 3]], "names": {}}
    >>> report_corrections({"corrections": said, "n_clusters": 3, "suggested": 0})
    corrections: 2 moved; clusters 0, 3 merged; K = 3
    """
    say(f"corrections: {in_words(facts['corrections'])}; K = {facts['n_clusters']}")
    if facts["suggested"]:
        say(
            f"{counted(facts['suggested'], 'image')} close to those moved may belong there too: "
            "nothing moves them but you; the page shows who and why"
        )


def in_words(said: dict[str, Any]) -> str:
    """What corrections did to an assignment: `12 moved; clusters 1, 2 merged`.

    Examples
    --------
    >>> said = {"moved": 2, "pinned": 0, "new": 0, "must_link": 0, "cannot_link": 0}
    >>> in_words(said | {"merged": [[0, 3]], "names": {}})
    '2 moved; clusters 0, 3 merged'
    """
    parts = [f"{said['moved']} moved"] * bool(said["moved"])
    parts += [f"{said['pinned']} pinned"] * bool(said["pinned"])
    parts += [f"new clusters: {said['new']}"] * bool(said["new"])
    for name in ("must_link", "cannot_link"):
        parts += [f"{name.replace('_', '-')} pairs: {said[name]}"] * bool(said[name])
    parts += ["clusters " + ", ".join(map(str, g)) + " merged" for g in said["merged"]]
    parts += [f"named: {len(said['names'])}"] * bool(said["names"])
    return "; ".join(parts) or "none"
