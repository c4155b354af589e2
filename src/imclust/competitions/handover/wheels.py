"""The packages that a run imports, as wheels for another machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

from imclust.competitions.handover import hidden
from imclust.competitions.handover.build import SOURCE
from imclust.competitions.handover.facts import REGISTRIES
from imclust.competitions.handover.settings import NotebookSettings
from imclust.competitions.replay_plan import ReplayPlan
from imclust.core.code_digest import import_closure
from imclust.core.errors import input_error


def packages_of(plan: ReplayPlan, without: tuple[str, ...] = ()) -> list[str]:
    """`name==version` of the packages that the run's stages import, those of `without` left out.

    Parameters
    ----------
    plan : ReplayPlan
        Of the run.
    without : tuple of str
        Names as pip has them.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> packages = packages_of(plan_of(Path("submissions/first")), without=("torch",))
    >>> {name.partition("==")[0] for name in packages} & {"numpy", "torch"}
    {'numpy'}
    """
    stages = {f"imclust.stages.{step.argv[0]}" for step in plan.steps}
    closure = import_closure(*stages, *_methods(plan), "imclust.__main__", hidden.__name__)
    known = packages_distributions()
    found = {d for module in closure for top in _imported(module) for d in known.get(top, ())}
    skipped = {_pip_name(name) for name in ("imclust", *without)}
    return sorted(f"{d}=={_public(d)}" for d in found if _pip_name(d) not in skipped)


def _methods(plan: ReplayPlan) -> set[str]:
    """Modules of the challenge, encoders, reducers and clusterers of a run."""
    found = set()
    for doc in plan.docs.values():
        name = doc["config"].get("method") or doc["config"].get("challenge")
        registry = REGISTRIES.get(doc["kind"])
        if registry is not None and name in {entry.name for entry in registry}:
            found.add(registry[name].method.__module__)
    return found


def _public(name: str) -> str:
    """A package's version here without its build, such as `+cpu`, which indexes do not list."""
    return version(name).partition("+")[0]


def _pip_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _imported(module: str) -> set[str]:
    """Top-level names that a module imports, in functions too."""
    below = SOURCE.joinpath(*module.split(".")[1:])
    path = below / "__init__.py" if below.is_dir() else below.with_suffix(".py")
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def fetch_wheels(to: Path, packages: list[str], cfg: NotebookSettings) -> None:
    """`pip download` of the packages and of what they need, for the target alone.

    Parameters
    ----------
    to : Path
        The folder, which is made.
    packages : list of str
        `name==version` each.
    cfg : NotebookSettings
        Python and platform of the target, and what it has already.

    Raises
    ------
    InputError
        One of them has no wheel for it.

    Examples
    --------
    >>> fetch_wheels(Path("wheels"), ["numpy==2.2.0"], NotebookSettings())  # doctest: +SKIP
    """
    to.mkdir()
    tags = [word for tag in platform_tags(cfg.platform) for word in ("--platform", tag)]
    target = ("--only-binary=:all:", "--python-version", cfg.python, *tags)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(to), *target]
    if cfg.without:  # whatever would bring one of them in comes alone, with its other needs named
        packages = _needs(packages, {_pip_name(name) for name in cfg.without})
        command.append("--no-deps")
    done = subprocess.run([*command, *packages], capture_output=True, text=True)
    if done.returncode:
        said = next((s for s in done.stderr.splitlines() if "ERROR" in s), done.stderr[-200:])
        raise input_error(
            "every package of the run", f"a wheel for Python {cfg.python} on {cfg.platform}",
            said.removeprefix("ERROR: "), "leave it out by --without where the image has it",
        )  # fmt: skip


def platform_tags(platform: str) -> list[str]:
    """The tags of wheels that run on a platform: of older C libraries too (PEP 600).

    Examples
    --------
    >>> platform_tags("manylinux_2_6_x86_64")
    ['manylinux_2_6_x86_64', 'manylinux_2_5_x86_64', 'manylinux1_x86_64']
    """
    found = re.fullmatch(r"manylinux_2_(\d+)_(\w+)", platform)
    if found is None:
        return [platform]
    names = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    tags = []
    for minor in range(int(found[1]), 4, -1):
        tags.append(f"manylinux_2_{minor}_{found[2]}")
        if minor in names:
            tags.append(f"{names[minor]}_{found[2]}")
    return tags


def _needs(packages: list[str], skipped: set[str]) -> list[str]:
    """The packages and all that they need here, pinned, but for those skipped and their needs."""
    found: dict[str, str] = {}
    waiting = [p.split("==")[0] for p in packages]
    while waiting:
        name = _pip_name(waiting.pop())
        if name in found or name in skipped:
            continue
        try:
            found[name] = f"{name}=={_public(name)}"
        except ModuleNotFoundError:  # for another platform
            continue
        for line in requires(name) or ():
            if "extra ==" not in line:
                waiting.append(re.split(r"[^\w.-]", line, maxsplit=1)[0])
    return sorted(found.values())
