"""The small finished run that the examples in docstrings are about."""

import numpy as np
import pytest
from PIL import Image

from helpers import two_kinds
from imclust.__main__ import main

COMMANDS = """
download --out raw --n-clusters 2 imagefolder --data-dir photos
download --out known individuals --data-dir photos
train --index raw/index --out run/weights pixels
encode --index raw/index --weights run/weights --out run/latents
reduce --features run/latents --out run/map pca --components 2
cluster --index raw/index --features run/latents --out run/clusters kmeans
score --assignment run/clusters --index raw/index --labels raw/labels --out run/scores
submit --assignment run/clusters --index raw/index --out submissions/first --scores run/scores
look --features run/latents --index raw/index --out run/look
pairs --features run/latents --index raw/index --out run/pairs --no-local
link --pairs run/pairs --features run/latents --index raw/index --out run/linked
"""


def make_sample_run(folder):
    """Photos of 12 dunes and 12 lakes below photos/; their index and labels in raw/, a run on them
    in run/, and what it submitted in submissions/. In known/ they are individuals, four photos of
    each of six, of which one is to be told."""
    images, lake = two_kinds(24)
    names = [f"{kind}/{i // 2:02}.png" for i, kind in enumerate(np.where(lake, "lake", "dune"))]
    for name, x in zip(names, images, strict=True):
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(folder / "photos" / name)
    table = ["image_id,path,dataset,identity"]
    for i, name in enumerate(sorted(names)):
        table.append(f"photo {i},{name},photos,{'' if i % 4 == 3 else 'ABCDEF'[i // 4]}")
    (folder / "photos" / "metadata.csv").write_text("\n".join(table) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in COMMANDS.strip().splitlines():
            assert main(line.split()) == 0
    return folder
