"""Trials of `robustness`: a small finished run that is damaged, killed, or runs out of disk."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from imclust.__main__ import main

STAGES = (
    "download --out raw --n-clusters 2 folder --data-dir images",
    "train --index raw/index --out w pixels",
    "encode --index raw/index --weights w --out z",
    "reduce --features z --out p pca --components 4",
    "cluster --features p --index raw/index --out a --n-clusters 2 kmeans --restarts 1",
    "score --assignment a --index raw/index --labels raw/labels --out scores",
    "submit --assignment a --index raw/index --out s --log log.csv",
)
OTHER_SEED = "cluster --features p --index raw/index --out b --n-clusters 2 --seed 5 kmeans"
ANSWER = "s/submission.csv"


def images(folder: Path, n: int = 24, seed: int = 0) -> None:
    """Two kinds of small images that no clusterer confuses."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(n):
        tint = (200, 150, 60) if i % 2 else (30, 50, 120)
        noise = rng.normal(0, 20, (16, 16, 3))
        pixels = (np.array(tint) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")


def call(line: str) -> tuple[int, str]:
    """A command in this process: its status, and everything that it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = main(line.split() if isinstance(line, str) else line)
        except SystemExit as e:
            status = int(e.code or 0)
        except Exception:
            return -1, traceback.format_exc(limit=-4)
    return status, said.getvalue()


def rerun() -> tuple[int, str]:
    """All stages in their order, up to the first that does not end well."""
    said = ""
    for line in STAGES:
        status, words = call(line)
        said += words
        if status:
            return status, said
    return 0, said


def finished(shared: Path) -> Path:
    """A finished run, made once and shared by all trials."""
    at = shared / "finished"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (at / "done").exists():
            shutil.rmtree(at, ignore_errors=True)
            images(at / "images")
            here = Path.cwd()
            os.chdir(at)
            status, said = rerun()
            assert status == 0, said
            assert call(OTHER_SEED)[0] == 0
            os.chdir(here)
            (at / "done").touch()
    return at


def copied(shared: Path, folder: Path) -> bytes:
    """A copy of the finished run in the trial's folder; returns the right answer."""
    at = finished(shared)
    for path in at.iterdir():
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        elif path.name != "done":
            shutil.copyfile(path, folder / path.name)
    # Where images lie stands in the index by absolute paths: the trial's are the shared ones.
    shutil.rmtree(folder / "images")
    (folder / "images").symlink_to(at / "images")
    return (at / ANSWER).read_bytes()


def judged(status: int, said: str, right: bytes, folder: Path) -> str:
    """The outcome of a rerun."""
    if status == -1 or "Traceback" in said:
        return "traceback"
    if status:
        sentences = [line for line in said.splitlines() if line.startswith("imclust ")]
        return "refused" if len(sentences) == 1 else "traceback"
    if (folder / ANSWER).read_bytes() != right:
        return "wrong"
    return "remade" if "damage" in said else "right"


# --- damages --------------------------------------------------------------------------------------
def zeroed(path: Path, rng: np.random.Generator) -> None:
    """A stretch of zeros."""
    data = bytearray(path.read_bytes())
    a, b = sorted(rng.integers(0, len(data) + 1, 2))
    data[a:b] = bytes(b - a)
    path.write_bytes(data)


def flipped(path: Path, rng: np.random.Generator) -> None:
    """Three bits the other way."""
    data = bytearray(path.read_bytes())
    for at in rng.integers(0, len(data), 3) if data else ():
        data[at] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def cut(path: Path, rng: np.random.Generator) -> None:
    """The beginning alone."""
    path.write_bytes(path.read_bytes()[: int(rng.integers(0, path.stat().st_size + 1))])


def longer(path: Path, rng: np.random.Generator) -> None:
    """Some bytes more."""
    path.write_bytes(path.read_bytes() + rng.bytes(int(rng.integers(1, 100))))


def permuted(path: Path, rng: np.random.Generator) -> None:
    """Rows of an array or lines of a text in another order: the same size."""
    if path.suffix == ".npy":
        a = np.load(path)
        np.save(path, a[rng.permutation(len(a))])
    else:
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[i] for i in rng.permutation(len(lines))))


def halved(path: Path, rng: np.random.Generator) -> None:
    """Half of the lines."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))


def gone(path: Path, rng: np.random.Generator) -> None:
    """No file."""
    path.unlink()


def swapped(path: Path, rng: np.random.Generator) -> None:
    """Another file of the same name, from another folder."""
    others = [p for p in Path().glob(f"*/{path.name}") if p.resolve() != path.resolve()]
    if others:
        shutil.copyfile(others[int(rng.integers(len(others)))], path)
    else:
        zeroed(path, rng)


def edited(path: Path, rng: np.random.Generator) -> None:
    """One digit raised by one: what a hand or a find-and-replace does."""
    data = bytearray(path.read_bytes())
    digits = [i for i, c in enumerate(data) if chr(c).isdigit()]
    if digits:
        at = digits[int(rng.integers(len(digits)))]
        data[at] = ord("0") + (data[at] - ord("0") + 1) % 10
        path.write_bytes(data)


def odd_json(path: Path, rng: np.random.Generator) -> None:
    """JSON that is no manifest, or no JSON."""
    texts = ["", "{}", "null", "[]", "1", "[" * 100_000, '{"kind": 7}', "\ufeff{}", "nan"]
    data = [t.encode() for t in texts] + [b"\xff\xfe\x00", rng.bytes(200)]
    path.write_bytes(data[int(rng.integers(len(data)))])


def odd_manifest(path: Path, rng: np.random.Generator) -> None:
    """A manifest with one entry of another value or kind."""
    doc = json.loads(path.read_text())
    name = list(doc)[int(rng.integers(len(doc)))]
    values = [None, [], {}, "", 3, -1.5, True, {"a": [1]}]
    doc[name] = values[int(rng.integers(len(values)))]
    path.write_text(json.dumps(doc))


DAMAGES: tuple[Callable[[Path, np.random.Generator], None], ...] = (
    zeroed, flipped, cut, longer, permuted, halved, gone, swapped, edited
)  # fmt: skip


def damages(folder: Path, number: int, seed: int, shared: Path) -> tuple[str, str]:
    """One file of a finished run is damaged, and the same commands are given again."""
    rng = np.random.default_rng((seed, number, 1))
    right = copied(shared, folder)
    tops = ("raw", "w", "z", "p", "a", "scores", "s")
    files = sorted(p for top in tops for p in Path(top).rglob("*") if p.is_file())
    files = [p for p in files if not p.name.endswith(".lock")]
    path = files[int(rng.integers(len(files)))]
    ways = DAMAGES + ((odd_json, odd_manifest) * 2 if path.name == "manifest.json" else ())
    way = ways[int(rng.integers(len(ways)))]
    way(path, rng)
    status, said = rerun()
    return judged(status, said, right, folder), f"{way.__name__} {path}: {said[-500:]}"


# --- kills ----------------------------------------------------------------------------------------
WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "os.truncate"}


def in_child(act: Callable[[], None]) -> int:
    """`act` in a child of this process: its exit status, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            act()
            status = 0
        os._exit(status)
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended)


def kills(folder: Path, number: int, seed: int, shared: Path) -> tuple[str, str]:
    """A fresh run is killed at one of its file operations, once or twice, and begun again."""
    rng = np.random.default_rng((seed, number, 2))
    right = copied(shared, folder)
    for name in ("raw", "w", "z", "p", "a", "scores", "s", "b"):
        shutil.rmtree(name)
    Path("log.csv").unlink()
    said = ""
    for _ in range(int(rng.integers(1, 3))):
        last = int(rng.integers(1, 140))

        def doomed(last: int = last) -> None:
            count = 0

            def hook(event: str, args: tuple[object, ...]) -> None:
                nonlocal count
                writes = event == "open" and isinstance(args[1], str) and args[1][:1] in "wxa"
                if writes or event in WRITES:
                    count += 1
                    if count == last:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            rerun()

        said += f"killed at file operation {last}: status {in_child(doomed)}; "
    status, words = rerun()
    return judged(status, words, right, folder), said + words[-400:]


# --- full disks -----------------------------------------------------------------------------------
def disks(folder: Path, number: int, seed: int, shared: Path) -> tuple[str, str]:
    """A fresh run may write no file beyond a size; then the limit is lifted, and it goes on."""
    rng = np.random.default_rng((seed, number, 3))
    right = copied(shared, folder)
    for name in ("raw", "w", "z", "p", "a", "scores", "s", "b"):
        shutil.rmtree(name)
    Path("log.csv").unlink()
    most = int(2 ** rng.uniform(3, 19))
    note = folder.parent / f"{folder.name}.said"

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        pipe = os.open(note, os.O_CREAT | os.O_WRONLY)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        status, words = rerun()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        os.write(pipe, json.dumps([status, words]).encode())

    in_child(limited)
    status, said = json.loads(note.read_text())
    note.unlink()
    if status == -1 or "Traceback" in said:
        return "traceback", f"files of at most {most} bytes: {said[-600:]}"
    status, words = rerun()
    return judged(
        status, words, right, folder
    ), f"at most {most} bytes: {said[-300:]} {words[-300:]}"
