"""Where weights that others published lie on this machine; looking there loads no torch."""

from __future__ import annotations

import os
from pathlib import Path


def cached_weights(url: str) -> Path:
    """Where torch's cache keeps a published weights file, whether it is there or not.

    Parameters
    ----------
    url : str
        Of the file.

    Returns
    -------
    Path
        In TORCH_HOME, else in XDG_CACHE_HOME or ~/.cache, as torch.hub has it.

    Examples
    --------
    >>> cached_weights("https://x/vgg16-397923af.pth").name
    'vgg16-397923af.pth'
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    home = Path(os.environ.get("TORCH_HOME") or cache).expanduser()
    return home / "hub" / "checkpoints" / url.rsplit("/", 1)[1]
