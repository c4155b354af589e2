"""What several test files use."""

import io
import os
import tarfile
import time
import zipfile
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
from PIL import Image

from command import ROOT, environment, imclust_in
from imclust.__main__ import main
from imclust.competitions.challenges.hw9 import SHAPES, HW9Config
from imclust.core.errors import ServiceError
from standin import AICROWD_KEY, KAGGLE_KEY, KAGGLE_TOKEN

__all__ = ["ROOT", "environment", "imclust_in"]


def answer_about(challenge, folder, reduce, cluster):
    """An assignment `a` of its images in a folder: raw, weights w, latents z, what is asked for.

    Args:
        challenge: its name and flags.
        reduce, cluster: the flags of these two stages behind those of their inputs.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in (
            f"download --out raw {challenge}",
            "train --index raw/index --out w pixels",
            "encode --index raw/index --weights w --out z",
            f"reduce --features z {reduce}",
            f"cluster --index raw/index --out a {cluster}",
        ):
            assert main(line.split()) == 0
    return folder


def two_kinds(n, seed=0, size=32):
    """Images of two visibly different kinds, bright-warm and dark-blue, (n, s, s, 3) uint8."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    tint = np.where(y[:, None] == 0, [200, 150, 60], [30, 50, 120])[:, None, None, :]
    ramp = np.linspace(-40, 40, size)[None, :, None, None]
    x = tint + ramp * (1 - 2 * y)[:, None, None, None]
    x = x + rng.normal(0, 12, (n, size, size, 3)) + rng.normal(0, 15, (n, 1, 1, 3))
    return x.clip(0, 255).astype(np.uint8), y


def two_textures(n, seed=0, size=32):
    """Images of two kinds that colour does not tell apart, noise drawn out along rows or along
    columns, (n, s, s, 3) uint8."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    noise = rng.normal(0, 60, (n, size, size + 6))
    drawn = sum(noise[:, :, i : i + size] for i in range(6)) / 6**0.5
    drawn[y == 1] = drawn[y == 1].transpose(0, 2, 1)
    x = 128 + drawn[..., None] + rng.normal(0, 4, (n, size, size, 3))
    return x.clip(0, 255).astype(np.uint8), y


def make_arrays(folder, n=60, n_val=20):
    folder.mkdir(parents=True)
    np.save(folder / "trainX.npy", two_kinds(n)[0])
    x, y = two_kinds(n_val, seed=1)
    np.save(folder / "valX.npy", x)
    np.save(folder / "valY.npy", y)
    return folder


def make_pairs(folder, n=40, n_pairs=60, seed=0):
    """Images of two kinds as files, and pairs of them; returns the folder and what is right."""
    (folder / "images").mkdir(parents=True)
    images, y = two_kinds(n, seed)
    for i, x in enumerate(images):
        Image.fromarray(x).save(folder / "images" / f"{i:06}.png")
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, n, (2, n_pairs))
    rows = "".join(f"{i},{p:06},{q:06}\n" for i, (p, q) in enumerate(zip(a, b, strict=True)))
    (folder / "test_case.csv").write_text("id,image1_name,image2_name\n" + rows)
    return folder, (y[a] == y[b]).astype(int)


def refused(result, *words, status=2):
    """Assert that a command refused in one sentence that holds all the words."""
    code, _, err = result
    assert code == status, err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("imclust ")]
    assert len(lines) == 1, err
    for word in words:
        assert word in lines[0], lines[0]


@contextmanager
def failed(kind, status, *words):
    """Expect a failure of a kind and status in one sentence that has the words and no key."""
    with pytest.raises(ServiceError) as caught:
        yield
    e = caught.value
    assert (e.kind, e.status) == (kind, status), e
    assert "\n" not in str(e)
    assert str(e).endswith(".")
    for word in (*words, " must ", "; got"):
        assert word in str(e), str(e)
    for secret in (AICROWD_KEY, KAGGLE_KEY, KAGGLE_TOKEN):
        assert secret not in str(e)


def npy(a):
    out = io.BytesIO()
    np.save(out, a)
    return out.getvalue()


# The homework's file names -> their Drive ids.
DRIVE = {name: where.removeprefix("drive:") for name, where in HW9Config.home.files.items()}


def homework():
    """The homework's three files by their Drive ids, of random content."""
    rng = np.random.default_rng(0)
    images = {n: rng.integers(0, 256, s, dtype=np.uint8) for n, s in SHAPES.items()}
    images["valY.npy"] = images["valY.npy"].astype(np.int64) % 2
    return {DRIVE[n]: npy(a) for n, a in images.items()}


# Options with which a head that takes seconds still finds well separated groups. An empty one is
# slow whatever its options.
QUICK = {
    "auto": {"effort": "quick"},
    "consensus": {"runs": 1},
    "dec": {"heads": 2, "steps": 100},
    "deepcluster": {"rounds": 4, "steps": 40},
    "hdbscan": {},
    "idec": {"heads": 1, "steps": 60},
    "scan": {"heads": 2, "steps": 150},
    "temi": {"heads": 2, "steps": 150},
    "tsne-kmeans": {},
    "turtle": {"heads": 2, "steps": 150},
    "umap-ward": {},
}


def quick(entry):
    """A config of fewer steps, heads or runs than the default, where that one is slow."""
    return entry.config(**QUICK.get(entry.name, {}))


def dying(work, mark):
    """Work that kills the first worker that comes to it."""

    def once(*more):
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return work(*more)
        return os.kill(os.getpid(), 9)

    return once


def never_ending(work, mark, inside=lambda *_: nullcontext()):
    """Work that never ends for whoever comes to it first, who waits inside of something."""

    def once(*more):
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return work(*more)
        with inside(*more):
            while True:
                time.sleep(1)

    return once


def png(array):
    """An image (h, w, 3) uint8 as the bytes of a PNG."""
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def make_shards(folder, n=8):
    """Two tars of n / 2 images each with their classes, as WebDataset has them; their folder."""
    folder.mkdir(parents=True)
    images, y = two_kinds(n)
    for shard in range(2):
        with tarfile.open(folder / f"{shard:06}.tar", "w") as tar:
            for i in range(shard * n // 2, (shard + 1) * n // 2):
                for name, data in ((f"{i:03}.png", png(images[i])), (f"{i:03}.cls", b"%d" % y[i])):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    return folder


def make_parquet(path, n=8, *, struct=True):
    """A table of n images as Hugging Face writes them, or of plain bytes, with their classes."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    images, y = two_kinds(n)
    cells = [png(x) for x in images]
    image = [{"bytes": c, "path": f"{i}.png"} for i, c in enumerate(cells)] if struct else cells
    table = pa.table({"image": image, "label": [f"kind {c}" for c in y]})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, path, row_group_size=3)
    return path


def make_list(folder, n=8):
    """Images with a table of their paths and classes; the table."""
    (folder / "pictures").mkdir(parents=True)
    images, y = two_kinds(n)
    lines = ["id,path,kind"]
    for i, x in enumerate(images):
        (folder / "pictures" / f"{i}.png").write_bytes(png(x))
        lines.append(f"image-{i},pictures/{i}.png,{y[i]}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder / "list.csv"


def zipped(members):
    """A zip archive, as bytes, of name -> bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members.items():
            z.writestr(name, data)
    return out.getvalue()
