"""Digests of code: which source decides an artefact, found from the imports, never listed."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1]
PACKAGE = SOURCE.name
# The face of the package and its version say what there is, not how anything is computed.
LEFT_OUT = frozenset({PACKAGE, f"{PACKAGE}._version"})

DATA = (".json", ".csv", ".npz", ".txt")


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
    tree = ast.parse(source)
    _drop_docstrings(tree)
    digest = hashlib.sha256(ast.dump(tree, annotate_fields=False).encode())
    if any(ending.encode() in source for ending in DATA):
        for file in _data_files(tree, path.parent):
            digest.update(file.read_bytes())
    return digest.hexdigest(), tuple(sorted(set(_imports(tree)) - LEFT_OUT))


def _data_files(tree: ast.Module, folder: Path) -> list[Path]:
    """Files beside a module that it names, such as the numbers of a fitted model."""
    texts = {
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    names = (text for text in texts if text.endswith(DATA))
    return sorted(p for p in (folder / n for n in names if "/" not in n) if p.is_file())


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


def _imports(tree: ast.AST) -> Iterator[str]:
    """Modules of imclust that a tree imports, outside of `if TYPE_CHECKING`."""
    for node in _statements(tree, for_types=False):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            module = node.module or PACKAGE
            yield from _with_parents(module)
            for alias in node.names:
                if _is_module(f"{module}.{alias.name}"):
                    yield f"{module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield from _with_parents(alias.name)


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])
