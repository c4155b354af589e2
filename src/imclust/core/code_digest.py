"""Digests of code: which source decides an artefact, found from the imports, never listed."""

from __future__ import annotations

import ast
import atexit
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1]
PACKAGE = SOURCE.name
# The face of the package and its version say what there is, not how anything is computed.
LEFT_OUT = frozenset({PACKAGE, f"{PACKAGE}._version"})

DATA = (".json", ".csv", ".npz", ".txt")
# What was read from sources, by their bytes: taking trees apart anew costs a second a command.
KNOWN = SOURCE / "__pycache__" / f"code_digests.{sys.implementation.cache_tag}.json"


def code_digest(*modules: str) -> str:
    """Digest of all code that the modules reach by their imports.

    Docstrings, comments and layout do not count, so that words do not redo work. Data files that
    lie beside a module and are named in it count as its code.

    Parameters
    ----------
    *modules : str
        Full names, such as ``imclust.stages.cluster``.

    Returns
    -------
    str
        16 hexadecimal digits.

    Examples
    --------
    >>> len(code_digest("imclust.core.log"))
    16
    """
    text = "".join(f"{name} {_facts(name)[0]}\n" for name in sorted(import_closure(*modules)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def import_closure(*modules: str) -> set[str]:
    """The modules themselves and every module of imclust that they import, at any depth.

    Imports inside of functions count, those for type checkers do not. What a registry loads by
    name is not seen: whoever looks a method up names its module too.

    Parameters
    ----------
    *modules : str
        Full names.

    Returns
    -------
    set of str
        Full names; packages stand for their ``__init__``.

    Examples
    --------
    >>> "imclust.core.errors" in import_closure("imclust.core.checks")
    True
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _facts(name)[1]
    return found


@cache
def _facts(module: str) -> tuple[str, tuple[str, ...]]:
    """Digest of a module's code and data, and the modules of imclust that it imports."""
    path = _path(module)
    source = path.read_bytes()
    known, mark = _known(), _mark(source)
    if mark not in known:
        tree = ast.parse(source)
        _drop_docstrings(tree)
        text = ast.dump(tree, annotate_fields=False).encode()
        names = _data_names(tree) if any(ending.encode() in source for ending in DATA) else []
        known[mark] = [hashlib.sha256(text).hexdigest(), names, list(_imported(tree))]
        atexit.unregister(_remember)
        atexit.register(_remember)
    digest, names, imported = known[mark]
    if files := [path.parent / name for name in names if (path.parent / name).is_file()]:
        tree = ast.parse(source)
        _drop_docstrings(tree)
        whole = hashlib.sha256(ast.dump(tree, annotate_fields=False).encode())
        for file in files:
            whole.update(file.read_bytes())
        digest = whole.hexdigest()
    return digest, tuple(sorted(set(_modules(imported)) - LEFT_OUT))


def _mark(source: bytes) -> str:
    """Of a source, and of this module, which decides what is found in it."""
    return hashlib.sha256(_own_source() + source).hexdigest()


@cache
def _own_source() -> bytes:
    return Path(__file__).read_bytes()


@cache
def _known() -> dict[str, Any]:
    """Digest of its tree, names of data files and imports of each source, by its `_mark`."""
    try:
        found = json.loads(KNOWN.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember() -> None:
    """Keep them for the next command, as Python keeps what it compiles; sources that are no more
    are let go."""
    if sys.dont_write_bytecode:
        return
    sources = {_mark(p.read_bytes()) for p in SOURCE.rglob("*.py")}
    text = json.dumps({mark: facts for mark, facts in _known().items() if mark in sources})
    fresh = KNOWN.with_name(f"{KNOWN.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, KNOWN)
    except OSError:  # somebody else's installation
        fresh.unlink(missing_ok=True)


def _data_names(tree: ast.Module) -> list[str]:
    """What may be files beside a module, such as the numbers of a fitted model."""
    texts = {
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    return sorted(text for text in texts if text.endswith(DATA) and "/" not in text)


def _path(module: str) -> Path:
    """The file of a module that is known to exist."""
    below = SOURCE.joinpath(*module.split(".")[1:])
    return below / "__init__.py" if below.is_dir() else below.with_suffix(".py")


def _is_module(name: str) -> bool:
    return _path(name).is_file()


def _drop_docstrings(tree: ast.Module) -> None:
    for node in (tree, *_statements(tree)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # A string behind a field documents that field.
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]


def _statements(node: ast.AST, *, for_types: bool = True) -> Iterator[ast.AST]:
    """All statements below a node, with what holds some, such as the parts of a `try`; their
    expressions, which are most of a tree, are not gone into."""
    only_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    names = ("body", "orelse", "finalbody", "handlers", "cases")
    for name in names if for_types or not only_types else ("orelse",):
        for below in getattr(node, name, ()):
            yield below
            yield from _statements(below, for_types=for_types)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _imported(tree: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """What a tree imports of imclust, outside of `if TYPE_CHECKING`: a module, and names of it."""
    for node in _statements(tree, for_types=False):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            yield node.module or PACKAGE, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield alias.name, []


def _modules(imported: list[tuple[str, list[str]]]) -> Iterator[str]:
    """These modules with the packages around them, and names of them that are modules, too."""
    for module, names in imported:
        yield from _with_parents(module)
        for name in names:
            if _is_module(f"{module}.{name}"):
                yield f"{module}.{name}"


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])
