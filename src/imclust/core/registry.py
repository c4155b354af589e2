"""Name -> method tables, filled by `@REGISTRY.register("name", Config, paper=...)`.

A method is one file: dropping it into its package is enough. Discovery imports every module of
the package whose name has no leading underscore; an import error is an error. Method modules
import numpy, torch and the like inside functions, so that `--help` stays instant.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_type_hints

from imclust.core.errors import InputError, input_error

M = TypeVar("M")


@dataclass(frozen=True)
class Entry(Generic[M]):
    """One method: its command-line name, its frozen config, its code, and where it is published."""

    name: str
    config: Any
    method: M
    paper: str


class Registry(Generic[M]):
    """The methods of one kind. Iterating yields entries sorted by name."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, Entry[M]] = {}

    def register(self, name: str, config: type, *, paper: str) -> Callable[[M], M]:
        """Decorator that files a method under `name`; a second one of that name is an error."""

        def add(method: M) -> M:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            frozen = is_dataclass(config) and config.__dataclass_params__.frozen  # type: ignore[attr-defined]
            if not frozen:
                raise TypeError(f"config of {self.kind} {name!r} must be a frozen dataclass")
            self._entries[name] = Entry(name, config, method, paper)
            return method

        return add

    def _load(self) -> None:
        package = importlib.import_module(self._package)
        for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
            if not module.startswith("_"):
                importlib.import_module(f"{self._package}.{module}")

    def __iter__(self) -> Iterator[Entry[M]]:
        self._load()
        return iter(sorted(self._entries.values(), key=lambda e: e.name))

    def __getitem__(self, name: str) -> Entry[M]:
        self._load()
        if name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(sorted(self._entries))
            raise InputError(f"{self.kind} {name!r} is unknown; known: {known}.{hint}")
        return self._entries[name]

    def for_config(self, config: Any) -> Entry[M]:
        """The entry whose config type is that of `config`."""
        return next(e for e in self if e.config is type(config))

    def revive(self, doc: dict[str, Any]) -> tuple[Entry[M], Any]:
        """A manifest's `{"method": name, field: value, ...}` -> (entry, config)."""
        entry = self[doc["method"]]
        hints = get_type_hints(entry.config)
        known = [f.name for f in fields(entry.config) if f.name in doc]
        return entry, entry.config(**{k: _typed(doc[k], hints[k]) for k in known})

    def configured(self, name: str, options: Mapping[str, Any]) -> tuple[Entry[M], Any]:
        """A method by its name, and its config with the fields in `options` given.

        Raises
        ------
        InputError
            No such method, no such field, or a value that the config refuses.
        """
        known = [f.name for f in fields(self[name].config)]
        odd = ", ".join(sorted(set(options) - set(known)))
        if odd:
            raise input_error(f"options of {name}", f"of {', '.join(known)}", odd, "leave it out")
        return self.revive({"method": name, **options})

    def union(self, named: Collection[str]) -> Any:
        """Every method as a sub-command: `<stage> ... <method> --its-flags`.

        Parameters
        ----------
        named : collection of str
            Words of the command line. Only methods among them get their flags; the others are a
            name and a line of help, which costs a tenth of the time.

        Returns
        -------
        type
            For tyro.
        """
        kinds = tuple(_subcommand(e.name, e.config, flags=e.name in named) for e in self)
        return Union[kinds]  # noqa: UP007  (built at run time)


def _typed(value: Any, hint: Any) -> Any:
    """A JSON value as the field's type: JSON has no paths and no tuples."""
    kinds = {hint, *get_args(hint)}
    if isinstance(value, str) and Path in kinds:
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def _subcommand(name: str, config: Any, *, flags: bool) -> Any:
    """The command of a config; where a field must be given, the others keep their defaults."""
    from tyro.conf import subcommand

    if not flags:
        bare = make_dataclass(config.__name__, [], namespace={"__doc__": config.__doc__})
        return Annotated[bare, subcommand(name)]
    try:
        return Annotated[config, subcommand(name, default=config())]
    except TypeError:
        return Annotated[config, subcommand(name)]
