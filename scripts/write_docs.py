"""Write the parts of docs/ that are made from the code: `python scripts/write_docs.py`.

The drawing of the rooms in docs/architecture.md and the table of docs/settings.md lie between marks
there; a test says when they are out of date.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "imclust"
ROOMS = {  # from the roof to the ground; what stands on one line does not import each other
    "cli": "commands, settings, the order of the stages, the display",
    "stages": "one file a stage: read artefacts, call the domain, write an artefact",
    "competitions": "challenges, submissions, services, the ledger, the hand-over",
    "report": "pages, pictures, tables",
    "encoders": "images or texts to features, one file a method",
    "training": "networks, losses, the training loop, inference engines",
    "clustering": "features to clusters, choice without labels, constraints",
    "data": "finding, decoding, batching, augmenting",
    "core": "artefacts, records, registries, errors, locks, seeds, the log",
}


def arrows() -> list[tuple[str, str]]:
    """(room, room that it imports from), in the order of the rooms."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("imclust."):
                other = (node.module or "").split(".")[1]
                if room in ROOMS and other in ROOMS and room != other:
                    found.add((room, other))
    order = list(ROOMS)
    return sorted(found, key=lambda a: (order.index(a[0]), order.index(a[1])))


def drawing() -> str:
    """The rooms and their arrows, as Mermaid draws them."""
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {room}["<b>{room}</b><br/>{text}"]' for room, text in ROOMS.items()]
    lines += [f"    {room} --> {other}" for room, other in arrows()]
    return "\n".join([*lines, "```"])


def settings() -> str:
    """The settings of the baseline, a row each, from their declaration."""
    tree = ast.parse((SOURCE / "cli" / "settings.py").read_text(encoding="utf-8"))
    declared = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Baseline")
    rows = ["| flag | variable | default | meaning |", "|---|---|---|---|"]
    for field, text in zip(declared.body, declared.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        name = field.target.id
        default = ast.literal_eval(field.value) if isinstance(field.value, ast.Constant) else "."
        meaning = " ".join(ast.literal_eval(text.value).split())  # type: ignore[attr-defined]
        shown = "" if default in {None, ""} else f"`{default}`"
        flag = "--" + name.replace("_", "-")
        rows.append(f"| `{flag}` | `{name.upper()}` | {shown} | {meaning} |")
    return "\n".join(rows)


PARTS = {"architecture.md": drawing, "settings.md": settings}


def written(page: str, text: str) -> str:
    """A page with its part that is made from the code brought up to date."""
    head, _, rest = text.partition("<!-- made from the code -->\n")
    _, _, tail = rest.partition("<!-- until here -->")
    made = PARTS[page]()
    return f"{head}<!-- made from the code -->\n{made}\n<!-- until here -->{tail}"


if __name__ == "__main__":
    for name in PARTS:
        path = ROOT / "docs" / name
        path.write_text(written(name, path.read_text(encoding="utf-8")), encoding="utf-8")
