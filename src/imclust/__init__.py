"""imclust: unlabelled images in, the submission that wins out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imclust.api import Result as Result
    from imclust.api import cluster_latents as cluster_latents
    from imclust.commands._result import FolderResult as FolderResult
    from imclust.commands.cluster_folder import cluster_folder as cluster_folder
    from imclust.estimators import LatentClusterer as LatentClusterer
    from imclust.priors import Priors as Priors

__version__ = "0.1.0"

# Where the names that people import are; found when asked for, so that `--help` loads nothing.
_HOMES = {
    "cluster_latents": "api",
    "Result": "api",
    "cluster_folder": "commands.cluster_folder",
    "FolderResult": "commands._result",
    "Priors": "priors",
    "LatentClusterer": "estimators",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'imclust' has no attribute {name!r}")
    return getattr(import_module(f"imclust.{_HOMES[name]}"), name)
