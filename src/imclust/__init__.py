"""imclust: unlabelled images in, the submission that wins out."""

from typing import TYPE_CHECKING, Any

from imclust._version import __version__ as __version__

if TYPE_CHECKING:
    from imclust.api import Result as Result
    from imclust.api import cluster_latents as cluster_latents
    from imclust.cli.cluster_folder import cluster_folder as cluster_folder
    from imclust.cli.result import FolderResult as FolderResult
    from imclust.clustering.priors import Priors as Priors
    from imclust.core.errors import InputError as InputError
    from imclust.estimators import LatentClusterer as LatentClusterer

# Where the names that people import are; found when asked for, so that `--help` loads nothing.
_HOMES = {
    "cluster_latents": "api",
    "Result": "api",
    "cluster_folder": "cli.cluster_folder",
    "FolderResult": "cli.result",
    "Priors": "clustering.priors",
    "InputError": "core.errors",
    "LatentClusterer": "estimators",
}

__all__ = [*_HOMES]


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'imclust' has no attribute {name!r}")
    return getattr(import_module(f"imclust.{_HOMES[name]}"), name)
