"""The finished run that the examples in docstrings are about."""

import numpy as np
import pytest
from PIL import Image

from helpers import two_kinds
from imclust.__main__ import main

COMMANDS = """
download --out raw --n-clusters 2 imagefolder --data-dir photos --published 0.25
train --index raw/index --out run/weights pixels
encode --index raw/index --weights run/weights --out run/latents
reduce --features run/latents --out run/map pca --components 2
cluster --index raw/index --features run/latents --out run/clusters kmeans
score --assignment run/clusters --index raw/index --labels raw/labels --out run/scores
submit --assignment run/clusters --index raw/index --out submissions/first --scores run/scores
look --features run/latents --index raw/index --out run/look
pairs --features run/latents --index raw/index --out run/pairs
link --pairs run/pairs --features run/latents --index raw/index --out run/linked
"""


def make_sample_run(folder):
    """24 photos of dunes and lakes below photos/, their index, labels and published labels in raw/,
    a run on them in run/, and what was submitted in submissions/."""
    images, lake = two_kinds(24)
    for i, (x, kind) in enumerate(zip(images, np.where(lake, "lake", "dune"), strict=True)):
        (folder / "photos" / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(folder / "photos" / kind / f"{i // 2:02}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in COMMANDS.strip().splitlines():
            assert main(line.split()) == 0
    return folder
