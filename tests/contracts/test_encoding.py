"""What the encode stage promises for every encoder of images."""

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import two_kinds
from imclust.core.records import Features
from imclust.encoders import ENCODERS, _latents
from imclust.stages import download, encode, train
from imclust.training.backends import least_cosine

ALL = [e for e in ENCODERS if getattr(e.method, "reads", "images") == "images"]
SETTINGS = {
    "conv-ae": {"epochs": 1},
    "vgg-ae": {"size": 32, "epochs": 1},
    "local-aggregation": {"epochs": 1, "centroids": 4},
    "timm": {"size": 64},
    "vgg16": {"size": 32},
    "scan-net": {"epochs": 1, "n_clusters": 2},
} | {n: {"epochs": 1, "width": 8} for n in ("simclr", "vicreg", "pseudo-labels")}
BASE = {"local-aggregation": "conv-ae", "scan-net": "simclr"}  # of encoders that refine another
N = 14


@pytest.fixture
def index(tmp_path):
    """Images whose names do not sort as they were written."""
    (tmp_path / "images").mkdir()
    for i, x in enumerate(two_kinds(N, size=40)[0]):
        Image.fromarray(x).save(tmp_path / "images" / f"{(5 * i) % N:02}.png")
    from imclust.competitions.challenges import CHALLENGES

    folder = CHALLENGES["folder"].config(data_dir=tmp_path / "images")
    download.run(download.Download(challenge=folder, out=tmp_path / "raw"))
    return tmp_path / "raw" / "index"


def trained(name, index, tmp_path):
    settings = dict(SETTINGS.get(name, {}))
    if name == "vgg16":  # random numbers under torchvision's names
        entry = ENCODERS[name]
        torch.save(entry.method(entry.config()).network().state_dict(), tmp_path / "vgg.pth")
        settings["weights"] = tmp_path / "vgg.pth"
    start = None
    if getattr(ENCODERS[name].method, "refines", False):
        start = trained(BASE[name], index, tmp_path)
    others = ()
    if getattr(ENCODERS[name].method, "needs_spaces", False):
        others = (tmp_path / "others",)
        pixels = trained("pixels", index, tmp_path)
        encode.run(encode.Encode(index=index, weights=pixels, out=others[0]))
    train.run(
        train.Train(
            encoder=ENCODERS[name].config(**settings), index=index, out=tmp_path / name,
            init_weights=start, features=others,
        )
    )  # fmt: skip
    return tmp_path / name


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_batch_workers_and_kills_change_nothing(entry, index, tmp_path, monkeypatch):
    weights = trained(entry.name, index, tmp_path)

    def encoded(out, **settings):
        cfg = encode.Encode(index=index, weights=weights, out=tmp_path / out, **settings)
        encode.run(cfg)
        return Features.load(tmp_path / out), (tmp_path / out / "x.npy").read_bytes()

    whole, straight = encoded("a", batch=4)
    assert whole.ids.tolist() == [f"{i:02}.png" for i in range(N)]
    assert np.isfinite(whole.x).all()
    for settings in ({"batch": 1, "workers": 5}, {"batch": 9, "workers": 1}):
        other, _ = encoded("c", **settings)
        if torch.cuda.is_available():  # where the order of sums depends on the size of a batch
            assert least_cosine(other.x, whole.x) > 0.999
        else:
            np.testing.assert_allclose(other.x, whole.x, rtol=2e-3, atol=1e-4)

    monkeypatch.setattr(_latents, "KEEP_EVERY", 0.0)
    batches = _latents.pixel_batches
    kills = iter([2, 1])

    def dying(rows, *args):
        last = next(kills, None) if len(rows) < N or args[1] == 4 else None
        for i, block in enumerate(batches(rows, *args)):
            if i == last:
                raise KeyboardInterrupt
            yield block

    monkeypatch.setattr(_latents, "pixel_batches", dying)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            encoded("d", batch=4)
    assert encoded("d", batch=4)[1] == straight
