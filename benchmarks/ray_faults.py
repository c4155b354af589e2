"""Faults of a Ray cluster in the middle of a stage: are the bytes those of one process?

    python benchmarks/ray_faults.py [--times 20] [--faults worker node driver ...] [--storage URL]
        [--stage encode | index | reduce]

Two nodes on this machine, one CPU each, encode made pictures in many shards, look at them (index)
or reduce made rows by `pca`, whose shards are no files; when some are done,

- `worker`: a worker is killed;        - `node`: the second node is taken away;
- `driver`: the command is killed, and given again;
- `store`: the object store is filled with more than it holds;
- `shard`: the file of a finished shard is removed;
- `image`: a picture is overwritten (the command must end with a sentence), then put back;
- `late`: there is one node, and the second comes now.

With `--storage`, finished shards are objects there (`encode --ray-storage`), on a server that runs.

Prints one line a time, then for each fault how often the bytes were equal; writes JSON. Needs
`pip install 'imclust[ray]'`. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from scale import make_rows

FAULTS = ("worker", "node", "driver", "store", "shard", "image", "late")
IMAGES, SIDE, SHARD = 160, 32, 4
INDEXED = 40_000  # pictures, in shards of 4096
ROWS, DIMS = 1_000_000, 128  # to reduce, in shards of 131 072
BEGUN = {"encode": 5, "index": 2, "reduce": 0}  # shards that are done when the fault comes
STAGES = tuple(BEGUN)
STORE = 256 << 20
WAIT = 180.0  # seconds for the first shards


def imclust(*words: str) -> list[str]:
    """A command line."""
    return [sys.executable, "-m", "imclust", *words]


def prepare(stage: str) -> bytes:
    """What the stage reads, and what one process makes of it, in this folder; its bytes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    Path("files").mkdir()
    if stage == "reduce":
        make_rows(Path(), ROWS, DIMS, 20, half=True)
    else:
        count, side = (IMAGES, SIDE) if stage == "encode" else (INDEXED, 8)
        for i in range(count):
            pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(f"files/{i:05}.png")
    index = ("--index", "raw/index")
    first = {
        "encode": (
            ("download", "--out", "raw", "folder", "--data-dir", "files"),
            ("train", *index, "--out", "w", "pixels"),
        )
    }
    for words in (*first.get(stage, ()), command(stage, "one")):
        subprocess.run(imclust(*words), check=True, stdout=subprocess.DEVNULL)
    return made(stage, "one").read_bytes()


def command(stage: str, out: str, *flags: str) -> tuple[str, ...]:
    """Words of the stage."""
    to = ("--out", out, *flags)
    if stage == "index":
        return ("download", *to, "folder", "--data-dir", "files")
    if stage == "reduce":
        return ("reduce", "--features", "z", "--half", *to, "pca", "--components", "8")
    return ("encode", "--index", "raw/index", "--weights", "w", "--batch", str(SHARD), *to)


def made(stage: str, out: str) -> Path:
    """The file that is compared."""
    return Path(out, "index/index.csv" if stage == "index" else "x.npy")


class Nodes:
    """Two nodes on this machine."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._size = {"num_cpus": 1, "object_store_memory": STORE}
        self.cluster = Cluster(initialize_head=True, head_node_args=self._size)
        self.second: Any = None
        self.add()

    def add(self) -> None:
        """The second node, unless it is there."""
        if self.second is None:
            self.second = self.cluster.add_node(**self._size)

    def remove(self) -> None:
        """Take the second node away without a word."""
        if self.second is not None:
            self.cluster.remove_node(self.second, allow_graceful=False)
            self.second = None

    def close(self) -> None:
        """Stop them all; this process may be a driver of theirs since it filled their store."""
        import ray

        ray.shutdown()
        self.cluster.shutdown()

    def at_work(self) -> list[int]:
        """Processes of workers that do a task."""
        raylets = {info.process.pid for node in self.cluster.list_all_nodes()
                   for info in node.all_processes["raylet"]}  # fmt: skip
        return list(working(raylets))

    def kill_worker(self) -> bool:
        """Kill one that is at work; whether there was one."""
        for pid in self.at_work():
            os.kill(pid, signal.SIGKILL)
            return True
        return False


def working(parents: set[int]) -> Iterator[int]:
    """Children of these processes that do a task."""
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            name = (folder / "cmdline").read_bytes()
        except (OSError, IndexError, ValueError):
            continue
        if (
            folder.name.isdigit()
            and parent in parents
            and name.startswith((b"ray::_placed", b"ray::_work_on"))
        ):
            yield int(folder.name)


class Folder:
    """Finished shards beside what they become.

    Parameters
    ----------
    stage : str
        Whose.
    """

    flags: tuple[str, ...] = ()

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def finished(self, out: str) -> list[Any]:
        """The shards that are done."""
        at = Path(f"{out}/.index.partial" if self._stage == "index" else f".{out}.partial")
        return sorted((at / "shards").glob("[0-9a-f]*/manifest.json"))

    def lose(self, out: str) -> None:
        """Remove the file of one."""
        files = sorted(self.finished(out)[0].parent.iterdir())
        next(file for file in files if file.name.endswith(("x.npy", "rows.json"))).unlink()

    def left(self) -> int:
        """Files that are left of runs that ended."""
        return 0


class Storage(Folder):
    """Finished shards as objects.

    Parameters
    ----------
    stage : str
        Whose.
    url : str
        Where they go.
    """

    def __init__(self, stage: str, url: str) -> None:
        super().__init__(stage)
        from fsspec.core import url_to_fs

        self.flags = ("--ray-storage", url)
        self._fs, self._path = url_to_fs(url)

    def _there(self, end: str) -> list[str]:
        self._fs.invalidate_cache()
        try:
            return [name for name in self._fs.find(self._path) if name.endswith(end)]
        except FileNotFoundError:
            return []

    def finished(self, out: str) -> list[Any]:
        """The shards that are done."""
        return self._there("/manifest.json")

    def lose(self, out: str) -> None:
        """Remove the file of one."""
        self._fs.rm_file(self._there("-rows.json" if self._stage == "index" else "-x.npy")[0])

    def left(self) -> int:
        """Objects that are left of runs that ended."""
        return len(self._there(""))


def begin(stage: str, out: str, address: str, shards: Folder) -> subprocess.Popen[str]:
    """The command, without waiting for it."""
    ray = ("--ray", "auto", *shards.flags)
    ray += ("--ray-rows", str(SHARD)) if stage == "encode" else ()
    env = {**os.environ, "RAY_ADDRESS": address}
    return subprocess.Popen(
        imclust(*command(stage, out, *ray)), env=env, text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for_shards(
    stage: str, out: str, run: subprocess.Popen[str], shards: Folder, nodes: Nodes
) -> int:
    """Until BEGUN are done; how many are. Of `reduce`, until workers are at work; how many."""
    until = time.monotonic() + WAIT
    while run.poll() is None and time.monotonic() < until:
        n = len(nodes.at_work() if stage == "reduce" else shards.finished(out))
        if n and n >= BEGUN[stage]:
            return n
        time.sleep(0.02)
    return 0


def once(
    stage: str, fault: str, number: int, nodes: Nodes, want: bytes, shards: Folder
) -> dict[str, Any]:
    """One run with a fault; what came of it."""
    out = f"{fault}{number}"
    nodes.remove() if fault == "late" else nodes.add()
    picture = Path(f"files/{IMAGES // 2:05}.png")
    kept = picture.read_bytes() if fault == "image" else b""
    began, address = time.perf_counter(), nodes.cluster.address
    run = begin(stage, out, address, shards)
    hit: Any = wait_for_shards(stage, out, run, shards, nodes)
    again = False
    if hit and fault == "worker":
        hit = nodes.kill_worker()
    elif hit and fault == "node":
        nodes.remove()
    elif hit and fault == "late":
        nodes.add()
    elif hit and fault == "driver":
        run.kill()
        again = True
    elif hit and fault == "store":
        held = fill(address)
        hit = len(held)
    elif hit and fault == "shard":
        shards.lose(out)
    elif hit and fault == "image":
        picture.write_bytes(kept[: len(kept) // 2])
        again = True
    said = run.communicate()[1]
    sentence = "must be the image that was indexed" in said
    if again:
        if kept:
            picture.write_bytes(kept)
        run = begin(stage, out, address, shards)
        said = run.communicate()[1]
    ended = run.returncode == 0
    doc = json.loads((made(stage, out).parent / "manifest.json").read_text()) if ended else {}
    equal = ended and made(stage, out).read_bytes() == want
    row = {"fault": fault, "hit": bool(hit), "equal": equal, "seconds": time.perf_counter() - began}
    row |= {"sentence": sentence} if fault == "image" else {}
    row |= {"said": said.strip()[-300:]} if not ended else {}
    row |= {"left": shards.left()}
    shutil.rmtree(out, ignore_errors=True)
    return row | doc.get("ray", {})


def fill(address: str) -> list[Any]:
    """Put more into the object store than it holds; what must be held on to."""
    import ray

    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    each = np.ones(STORE // 5, np.uint8)
    return [ray.put(each) for _ in range(7)]


def main() -> None:
    """Run, print, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20, help="runs with each fault")
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=FAULTS)
    parser.add_argument("--stage", choices=STAGES, default="encode")
    parser.add_argument("--storage", help="address for finished shards")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ray_faults.json"))
    cfg = parser.parse_args()
    if cfg.stage == "reduce" and not {"shard", "image"}.isdisjoint(cfg.faults):
        parser.error("the shards of reduce are no files, and it reads no pictures")
    if cfg.stage == "index" and "image" in cfg.faults:
        parser.error("index takes pictures as they are")
    cfg.out = cfg.out.absolute()
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as scratch:
        os.chdir(scratch)
        want = prepare(cfg.stage)
        nodes = Nodes()
        try:
            shards = Storage(cfg.stage, cfg.storage) if cfg.storage else Folder(cfg.stage)
            for number in range(cfg.times):
                for fault in cfg.faults:
                    rows.append(once(cfg.stage, fault, number, nodes, want, shards))
                    print(rows[-1], flush=True)
                    cfg.out.write_text(json.dumps({"argv": sys.argv[1:], "table": rows}, indent=1))
        finally:
            nodes.close()
            os.chdir("/")
    print(f"{'fault':10}{'times':>6}{'hit':>6}{'equal':>6}{'retries':>8}{'s':>7}")
    for fault in cfg.faults:
        of = [r for r in rows if r["fault"] == fault]
        hit, equal = (sum(r[name] for r in of) for name in ("hit", "equal"))
        retries = sum(r.get("retries", 0) for r in of)
        seconds = sum(r["seconds"] for r in of) / len(of)
        print(f"{fault:10}{len(of):>6}{hit:>6}{equal:>6}{retries:>8}{seconds:>7.1f}")


if __name__ == "__main__":
    main()
