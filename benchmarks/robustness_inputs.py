"""Trials of `robustness`: odd folders, tables, arrays and settings, each drawn from a seed."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imclust.core.errors import InputError
from imclust.core.records import read_csv
from robustness_disturbances import call, images

Rng = np.random.Generator
MODES = ("RGB", "L", "RGBA", "P", "1", "I;16", "F", "CMYK", "LA", "I")
NAMES = ("a.png", "b.jpg", "c.tif", "d", "e.webp", "f.bmp", "é.png", "g\rh.png", "i,j.png",
         'k"l.png', " m .png", ".hidden.png", "n.PNG", "o.gif", "p.jp2", "q" * 200 + ".png",
         "=1+1.png", "-r.png", "s\n.png", "<b>.png", "0", "00.png", "con.png")  # fmt: skip
BYTES = (b"", b"<html>no</html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM",
         b"II*\0", b"RIFF\0\0\0\0WEBP", b"PK\x03\x04", b"\x93NUMPY\x01\0")  # fmt: skip


def picture(rng: Rng) -> Image.Image:
    """Any mode, any size, any values."""
    mode = MODES[int(rng.integers(len(MODES)))]
    w, h = (int(x) for x in rng.integers(1, 90, 2))
    if mode == "F":
        values = rng.normal(0, 10.0 ** int(rng.integers(-3, 6)), (h, w)).astype(np.float32)
        values.flat[int(rng.integers(values.size))] = rng.choice([np.nan, np.inf, 0.0])
        return Image.fromarray(values)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 2 ** int(rng.integers(1, 17)), (h, w), np.uint16))
    if mode == "I":
        return Image.fromarray(rng.integers(-(2**31), 2**31, (h, w)).astype(np.int32))
    return Image.fromarray(rng.integers(0, 255, (h, w, 3), dtype=np.uint8)).convert(mode)


def odd_file(path: Path, rng: Rng) -> None:
    """An image of some mode and format, a damaged one, or something else."""
    data = io.BytesIO()
    kind = str(rng.choice(["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP"]))
    try:
        picture(rng).save(data, kind)
    except (OSError, ValueError):  # a format that has no such mode
        picture(rng).convert("RGB").save(data, kind)
    found = data.getvalue()
    way = rng.integers(6)
    if way == 0:
        found = found[: int(rng.integers(len(found) + 1))]
    elif way == 1:
        start = BYTES[int(rng.integers(len(BYTES)))]
        found = start + rng.bytes(int(rng.integers(0, 300)))
    elif way == 2:
        broken = bytearray(found)
        for at in rng.integers(0, len(broken), 4):
            broken[at] = int(rng.integers(256))
        found = bytes(broken)
    path.write_bytes(found)


def folders(folder: Path, rng: Rng) -> tuple[str, str]:
    """A folder of odd files: whatever is indexed can be read, and everything else is said."""
    images(folder / "in", 4, int(rng.integers(100)))
    for name in rng.choice(NAMES, int(rng.integers(1, 8)), replace=False):
        odd_file(folder / "in" / str(name), rng)
    if rng.random() < 0.3:
        (folder / "in" / "loop").symlink_to(folder / "in")
    data = "in"
    if rng.random() < 0.3:
        with zipfile.ZipFile("in.zip", "w") as archive:
            for path in sorted((folder / "in").iterdir()):
                if path.is_file():
                    archive.write(path, path.name)
        data = "in.zip"
    status, said = call(
        f"download --out raw --set-aside-corrupt --n-clusters 2 folder --data-dir {data}"
    )
    if status:
        return refused(status, said)
    rows = read_csv(Path("raw/index/index.csv"))
    for line in ("train --index raw/index --out w pixels",
                 "encode --index raw/index --weights w --out z"):  # fmt: skip
        status, said = call(line)
        if status:
            return refused(status, said)
    x = np.load("z/x.npy")
    good = [r for r in rows if not r["problem"]]
    fits = (
        len(x) == len(good) and np.isfinite(x).all() and len({r["id"] for r in rows}) == len(rows)
    )
    return ("right" if fits else "wrong"), said


def samples(folder: Path, rng: Rng) -> tuple[str, str]:
    """An odd table as the sample submission: its ids are kept in their order, or it is refused."""
    images(folder / "in", 4)
    ids = [f"{i:02}.png" for i in rng.permutation(4)]
    header = str(rng.choice(["id,label", "ImageId,ClusterId", "", "id;label", "a,b,c", "id"]))
    lines = ([header] if header else []) + [f"{i},{rng.choice(['0', 'a', ''])}" for i in ids]
    text = str(rng.choice(["\n", "\r\n", "\r"])).join(lines) + "\n"
    if rng.random() < 0.4:
        at = int(rng.integers(len(text)))
        text = (
            text[:at] + str(rng.choice(['"', ",", "\0", "\n", "é", "\ufeff", ""])) + text[at + 1 :]
        )
    name = str(
        rng.choice(["sample_submission.csv", "sampleSubmission.csv", "SUBMISSION_FORMAT.csv"])
    )
    (folder / "in" / name).write_text(text, encoding=str(rng.choice(["utf-8", "utf-16"])))
    status, said = call("download --out raw --n-clusters 2 folder --data-dir in")
    if status:
        return refused(status, said)
    got = [r["id"] for r in read_csv(Path("raw/index/index.csv"))]
    return ("right" if [i.removesuffix(".png") for i in got] ==
            [i.removesuffix(".png") for i in ids] else "wrong"), f"{text!r} {got}"  # fmt: skip


def arrays(folder: Path, rng: Rng) -> tuple[str, str]:
    """An odd .npy or .npz: images as they are, or one sentence."""
    shape = tuple(int(x) for x in rng.integers(0, 9, int(rng.integers(0, 5))))
    kind = str(rng.choice(["u1", "i4", "f4", "O", "U3", "c8", "?"]))
    a = np.zeros(shape, kind) if kind in {"O", "U3"} else (rng.random(shape) * 200).astype(kind)
    (folder / "in").mkdir()
    zipped = rng.random() < 0.4
    path = folder / ("in.npz" if zipped else "in/trainX.npy")
    if zipped:
        np.savez_compressed(path, **{str(rng.choice(["x", "y", "z"])): a}, allow_pickle=True)
    else:
        np.save(path, a, allow_pickle=True)
    data = bytearray(path.read_bytes())
    if rng.random() < 0.5 and data:
        for at in rng.integers(0, min(len(data), 128), 3):
            data[at] = int(rng.integers(256))
        path.write_bytes(data)
    source = "in.npz" if zipped else "in"
    status, said = call(f"download --out raw arrays --data-dir {source}")
    if status:
        return refused(status, said)
    rows = read_csv(Path("raw/index/index.csv"))
    return ("right" if len(rows) >= 2 else "wrong"), f"{shape} {kind} {said}"


def vectors(folder: Path, rng: Rng) -> tuple[str, str]:
    """Anything at all given to `cluster_latents`: K labels of every row, or one sentence."""
    import scipy.sparse as sp

    from imclust import cluster_latents

    n, d = int(rng.integers(0, 40)), int(rng.integers(0, 6))
    z: Any = rng.normal(0, 10.0 ** int(rng.integers(-20, 20)), (n, d))
    way = rng.integers(9)
    if way == 0 and z.size:
        z.flat[int(rng.integers(z.size))] = rng.choice([np.nan, np.inf])
    elif way == 1:
        z = z.tolist()
    elif way == 2:
        z = sp.csr_matrix(z)
    elif way == 3:
        z = z.astype(object)
    elif way == 4:
        z = np.repeat(z[:3], 10, axis=0)
    elif way == 5:
        z = [z, z[: n // 2]]
    elif way == 6:
        z = rng.choice(np.array([None, "text", 3, 1j, {}], dtype=object))
    elif way == 7:
        z = z.astype(np.float16)
    k = [2, 3, 0, -1, 1, n, n + 1, 2.0, "auto", "2", None, True, 10**9][int(rng.integers(13))]
    method = str(rng.choice(["kmeans", "spectral", "hdbscan", "nope", "leiden", "umap-ward"]))
    seed = [0, -1, 2**32, 1.5][int(rng.choice(4, p=[0.7, 0.1, 0.1, 0.1]))]
    what = f"{type(z).__name__} ({n}, {d}) way {way}, K {k!r}, {method}, seed {seed}"
    try:
        found = cluster_latents(z, k, method, seed)
    except InputError as e:
        one = "\n" not in str(e)
        return ("refused" if one else "traceback"), f"{what}: {e}"
    rows = len(found.labels) if way == 6 else len(z[0]) if way == 5 else len(found.labels)
    fits = len(found.labels) == rows and np.isfinite(found.probabilities).all()
    fits = fits and found.probabilities.shape[1] == (found.vote.k if found.vote else k)
    return ("right" if fits else "wrong"), what


def settings(folder: Path, rng: Rng) -> tuple[str, str]:
    """A stage with one setting of any value."""
    at = finished_features(folder)
    values = ["0", "-1", "1e9", "nan", "inf", "99999999999999999999", "", "auto", "cpu:7", "meta",
              "5 s", "1.5", "yes", "../..", "\u0661", "'", "--", "2,3", "0x10"]  # fmt: skip
    value = str(rng.choice(values))
    lines: dict[str, tuple[str, ...]] = {
        "cluster": ("--n-clusters", "--seed", "--split", "--proportions", "--min-effective"),
        "cluster kmeans": ("--restarts", "--prepare"),
        "reduce pca": ("--components",),
        "reduce": ("--seed", "--split"),
        "encode": ("--batch", "--workers", "--shard", "--device", "--precision"),
        "train": ("--seed", "--device", "--budget", "--steps"),
    }
    name = str(rng.choice(list(lines)))
    flag = str(rng.choice(lines[name]))
    stage, _, method = name.partition(" ")
    method = method or {"cluster": "kmeans", "reduce": "pca", "train": "pixels"}.get(stage, "")
    words = {
        "cluster": [*["cluster", "--features", "z", "--index", "raw/index", "--out", "o"]],
        "reduce": [*["reduce", "--features", "z", "--out", "o"]],
        "encode": [*["encode", "--index", "raw/index", "--weights", "w", "--out", "o"]],
        "train": [*["train", "--index", "raw/index", "--out", "o"]],
    }[stage]
    own = [flag, value]
    words += [method, *own] if " " in name else [*own, *([method] if method else [])]
    status, said = call(words)  # type: ignore[arg-type]
    what = f"{' '.join(words)} in {at}: {said[-300:]}"
    if status:
        return refused(status, said, what)
    return ("right" if Path("o/manifest.json").is_file() else "wrong"), what


def finished_features(folder: Path) -> Path:
    """Index, weights and features of a few images."""
    images(folder / "images", 12)
    for line in ("download --out raw --n-clusters 2 folder --data-dir images",
                 "train --index raw/index --out w pixels",
                 "encode --index raw/index --weights w --out z"):  # fmt: skip
        assert call(line)[0] == 0
    return folder


def environments(folder: Path, rng: Rng) -> tuple[str, str]:
    """The baseline with one setting of the environment of any value; nothing is run."""
    names = ("SEED", "K", "RECIPE", "ENCODER", "PREDICTOR", "FINETUNE", "SET_ASIDE_CORRUPT",
             "BUDGET", "RUN", "NAME", "CHALLENGE", "DATA_DIR", "WEIGHTS", "CLUSTER_FLAGS",
             "N_CLUSTERS", "CHALENGE", "BOARD")  # fmt: skip
    values = ["0", "-1", "nope", "auto", "2", "1e3", "4294967296", "yes", "false", "../x", "self",
              "spectral", "kmeans", "--nope", "'", "literal", "litteral", "digits", "a/b",
              "\u00e9"]  # fmt: skip
    name, value = str(rng.choice(names)), str(rng.choice(values))
    os.environ[name] = value
    status, said = call("baseline --dry-run")
    what = f"{name}={value}: {said[-300:]}"
    if status:
        return refused(status, said, what)
    return ("right" if "python -m imclust download" in said else "wrong"), what


def corrections(folder: Path, rng: Rng) -> tuple[str, str]:
    """An odd file of corrections."""
    finished_features(folder)
    line = "cluster --features z --index raw/index --out a --n-clusters 2 kmeans"
    assert call(line)[0] == 0
    odd = [
        None,
        [],
        {},
        "",
        3,
        -1,
        10**30,
        1e308,
        True,
        {"a": 1},
        [[0, 1]],
        {"00.png": 1},
        "x" * 999,
    ]
    doc = {
        "format": rng.choice(["imclust-corrections-1", "imclust-corrections-2"]),
        "assignment": "0" * 64,
    }
    for key in ("names", "merge", "move", "must_link", "cannot_link"):
        if rng.random() < 0.6:
            doc[key] = odd[int(rng.integers(len(odd)))]
    text = json.dumps(doc)
    if rng.random() < 0.2:
        text = text[: int(rng.integers(len(text)))]
    Path("c.json").write_text(text)
    status, said = call(line.replace("--out a", "--out b --corrections c.json"))
    return refused(status, said, text) if status else ("wrong", f"{text}: {said}")


def refused(status: int, said: str, what: str = "") -> tuple[str, str]:
    """One sentence that says no, or not even that."""
    sentences = [line for line in said.splitlines() if line.startswith("imclust ")]
    bad = status == -1 or "Traceback" in said or len(sentences) != 1
    return ("traceback" if bad else "refused"), f"{what} {said[-600:]}"


INPUTS: tuple[Callable[[Path, Rng], tuple[str, str]], ...] = (
    folders, samples, arrays, vectors, settings, environments, corrections
)  # fmt: skip


def inputs(folder: Path, number: int, seed: int, shared: Path) -> tuple[str, str]:
    """One odd input of one kind, kinds in turn."""
    rng = np.random.default_rng((seed, number, 4))
    kind = INPUTS[number % len(INPUTS)]
    outcome, said = kind(folder, rng)
    return outcome, f"{kind.__name__}: {said}"
