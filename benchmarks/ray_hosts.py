"""Ray on several hosts: are the bytes those of one process, also when one is cut off in the middle?

    python benchmarks/ray_hosts.py [--hosts 3] [--runs encode auto kmeans predict ...]

Each host is a network namespace of Linux with an address, processes and a scratch folder of its
own, on a switch between them; all see the same files. The first is the head of a Ray cluster, the
others are nodes of it with one CPU each, and one more has no Ray and gives the commands:

- `encode`, `kmeans`, `predict`: from there, over ray://; `auto`: encode on the head, which finds
  its cluster itself;
- `scratch`: one node has another folder mounted where the latents are to be, which must be refused
  in a sentence; `storage`: the same with --ray-storage on a folder that all see;
- `away`: a node's cable is pulled when some shards are done, for good; `back`: it is put back after
  five seconds; `again`: after the cluster has given the node up, which then joins anew.

Prints one line a run, writes JSON. Needs root, `ip` and `pip install 'imclust[ray]'`. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

RUNS = ("encode", "auto", "kmeans", "predict", "scratch", "storage", "away", "back", "again")
NET = "10.203.71."  # addresses of the hosts, seen by them alone
PORT, CLIENTS = 6379, 10_001
STORE = 256 << 20
IMAGES, SHARD, BEGUN = 400, 4, 5
ROWS, DIMS, K = 150_000, 32, 10
WAIT = 120.0  # seconds for a cluster to be there, or for first shards
MOST = 150.0  # seconds for a run
SHORT = 5.0  # seconds without a cable
SCRATCH = Path("/tmp/ray")  # of Ray, on each host another folder
MOUNT = (
    'while [ "$1" != -- ]; do mount --bind "$1" "$2" && shift 2 || exit 9; done; shift; exec "$@"'
)


def may_be_made() -> str:
    """Why there can be no hosts here; empty where there can."""
    if not sys.platform.startswith("linux") or os.getuid() != 0:
        return "needs Linux and root"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "needs `ip` and `unshare`"
    name = f"imclust{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return tried.stderr.strip()


class Host:
    """A namespace on the switch.

    Parameters
    ----------
    switch : str
        Namespace of the switch.
    number : int
        From 1 on; says its address.
    folder : Path
        Where its scratch is kept.
    """

    def __init__(self, switch: str, number: int, folder: Path) -> None:
        self.name, self.address = f"{switch}h{number}", f"{NET}{number}"
        self._switch, self._end = switch, f"h{number}"
        own = folder / f"own{number}"
        own.mkdir()
        self.mounts = [str(own), str(SCRATCH)]
        for words in (
            ["netns", "add", self.name],
            ["-n", switch, "link", "add", self._end, "type", "veth", "peer", "name", "eth0",
             "netns", self.name],
            ["-n", switch, "link", "set", self._end, "master", "switch", "up"],
            ["-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0"],
            ["-n", self.name, "link", "set", "eth0", "up"],
            ["-n", self.name, "link", "set", "lo", "up"],
            # Nobody is there, but Ray asks which address the way out has.
            ["-n", self.name, "route", "add", "default", "via", f"{NET}254"],
        ):  # fmt: skip
            subprocess.run(["ip", *words], check=True)

    def command(self, words: Sequence[str]) -> list[str]:
        """What runs a command there: beside Ray, where that runs, whose processes it looks for."""
        for pid in self._pids():
            if b"raylet" in Path(f"/proc/{pid}/cmdline").read_bytes():
                here = ["sh", "-c", 'cd "$0" && exec "$@"', str(Path.cwd())]
                return ["nsenter", "-t", pid, "-m", "-n", "-p", *here, *words]
        inside = [
            "unshare",
            "-m",
            "-p",
            "-f",
            "--mount-proc",
            "sh",
            "-c",
            MOUNT,
            "sh",
            *self.mounts,
            "--",
            *words,
        ]
        return ["ip", "netns", "exec", self.name, *inside]

    def cable(self, *, there: bool) -> None:
        """Plug it in or pull it."""
        state = "up" if there else "down"
        subprocess.run(["ip", "-n", self._switch, "link", "set", self._end, state], check=True)

    def _pids(self) -> list[str]:
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True)
        return found.stdout.split()

    def stop(self) -> None:
        """End whatever runs there."""
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def close(self) -> None:
        """End it."""
        self.stop()
        subprocess.run(["ip", "netns", "del", self.name], check=True)


class Cluster:
    """A Ray cluster on hosts, and one more without Ray.

    Parameters
    ----------
    hosts : list of Host
        The head first, the one without Ray last.
    folder : Path
        For what their processes say.
    env : dict
        Environment of their processes.
    """

    def __init__(self, hosts: list[Host], folder: Path, env: dict[str, str]) -> None:
        self.head, *self.nodes, self.other = hosts
        self._folder, self._env = folder, env
        self.address = f"ray://{self.head.address}:{CLIENTS}"
        self._start(self.head, "--head", f"--port={PORT}", f"--ray-client-server-port={CLIENTS}",
                    "--include-dashboard=false")  # fmt: skip
        for node in self.nodes:
            self.join(node)
        self.wait(len(hosts) - 1)

    def join(self, node: Host) -> None:
        """Have a host join."""
        self._start(node, f"--address={self.head.address}:{PORT}")

    def _start(self, host: Host, *flags: str) -> None:
        words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *flags]
        words += [f"--node-ip-address={host.address}", "--num-cpus=1"]
        words += [f"--object-store-memory={STORE}"]
        with Path(self._folder, f"{host.name}.txt").open("ab") as said:
            self._popen(host, words, said, said)

    def _popen(self, host: Host, words: Sequence[str], out: Any, err: Any) -> Any:
        return subprocess.Popen(
            host.command(words), env=self._env, stdout=out, stderr=err, text=True,
            start_new_session=True,
        )  # fmt: skip

    def begin(self, words: Sequence[str], host: Host | None = None) -> Any:
        """An imclust command there, without waiting for it."""
        line = [sys.executable, "-m", "imclust", *words]
        return self._popen(host or self.other, line, subprocess.DEVNULL, subprocess.PIPE)

    def wait(self, nodes: int) -> None:
        """Until so many are there."""
        code = (f"import ray; ray.init('{self.address}', logging_level='ERROR'); "
                "print(sum(n['Alive'] for n in ray.nodes()))")  # fmt: skip
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            asked = self._popen(self.other, [sys.executable, "-c", code], subprocess.PIPE,
                                subprocess.DEVNULL)  # fmt: skip
            if asked.communicate()[0].strip() == str(nodes):
                return
            time.sleep(0.5)
        raise SystemExit(f"no cluster of {nodes} nodes in {WAIT:.0f} s")


@contextmanager
def cluster(
    folder: Path, hosts: int = 3, env: dict[str, str] | None = None, own: Path | None = None
) -> Iterator[Cluster]:
    """A cluster of hosts, and one without Ray, for as long as the block lasts.

    Parameters
    ----------
    folder : Path
        Of a short name, where what is theirs is kept.
    hosts : int
        With Ray.
    env : dict, optional
        Further variables of their environment.
    own : Path, optional
        A folder that the last node has another one in the place of.
    """
    switch = f"imclust{os.getpid()}"
    SCRATCH.mkdir(exist_ok=True)
    with ExitStack() as stack:
        subprocess.run(["ip", "netns", "add", switch], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "del", switch], check=True)
        for words in (["link", "add", "switch", "type", "bridge"], ["link", "set", "switch", "up"]):
            subprocess.run(["ip", "-n", switch, *words], check=True)
        made = []
        for number in range(1, hosts + 2):
            made.append(Host(switch, number, folder))
            stack.callback(made[-1].close)
        if own is not None:
            (folder / "elsewhere").mkdir()
            made[-2].mounts += [str(folder / "elsewhere"), str(own)]
        more = {"RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1", **(env or {})}
        # A head that other hosts can reach asks for a token.
        more |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
        yield Cluster(made, folder, {**os.environ, **more})


def prepare_pictures() -> None:
    """Pictures, and what one process makes of them, in this folder."""
    from PIL import Image

    rng = np.random.default_rng(0)
    Path("files").mkdir()
    for i in range(IMAGES):
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(f"files/{i:04}.png")
    for words in (
        ("download", "--out", "raw", "folder", "--data-dir", "files"),
        ("train", "--index", "raw/index", "--out", "w", "pixels"),
        command("encode", "one/encode"),
    ):
        line = [sys.executable, "-m", "imclust", *words]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def prepare_rows() -> None:
    """The same of rows."""
    from scale import make_rows

    Path("rows").mkdir()
    make_rows(Path("rows"), ROWS, DIMS, K, half=True)
    for stage in ("kmeans", "predict"):
        line = [sys.executable, "-m", "imclust", *command(stage, f"one/{stage}")]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def command(stage: str, out: str, *flags: str) -> tuple[str, ...]:
    """Words of a stage."""
    rows = ("--index", "rows/index", "--features", "rows/z", "--out", out, *flags)
    if stage == "kmeans":
        return ("cluster", *rows, "--n-clusters", str(K), "kmeans")
    if stage == "predict":
        return ("predict", "--assignment", "one/kmeans", *rows)
    more = ("--batch", str(SHARD), "--out", out, *flags)
    return ("encode", "--index", "raw/index", "--weights", "w", *more)


def same(stage: str, out: str) -> bool:
    """Whether the arrays are those of one process."""
    names = ("x",) if stage == "encode" else ("probabilities", "ids")
    return all(Path(out, f"{n}.npy").read_bytes() == Path("one", stage, f"{n}.npy").read_bytes()
               for n in names)  # fmt: skip


def finished(out: Path) -> int:
    """Shards that are done."""
    at = out.parent / f".{out.name}.partial/shards"
    return len(list(at.glob("0*/manifest.json")))


def once(run: str, at: Cluster) -> dict[str, Any]:
    """One run; what came of it."""
    stage = run if run in ("kmeans", "predict") else "encode"
    out = Path("out", run)
    flags = ["--ray", "auto" if run == "auto" else at.address]
    flags += ["--ray-rows", str(SHARD)] if stage == "encode" else []
    flags += ["--ray-storage", str(Path("shared").absolute())] if run == "storage" else []
    began, node = time.perf_counter(), at.nodes[-1]
    doing = at.begin(command(stage, str(out), *flags), at.head if run == "auto" else None)
    hit = 0
    if run in ("away", "back", "again"):
        until = time.monotonic() + WAIT
        while doing.poll() is None and time.monotonic() < until and not hit:
            hit = finished(out) if finished(out) >= BEGUN else 0
            time.sleep(0.02)
        node.cable(there=False)
        if run == "back":
            time.sleep(SHORT)
            node.cable(there=True)
    try:
        said = doing.communicate(timeout=MOST)[1].strip()
    except subprocess.TimeoutExpired:
        os.killpg(doing.pid, signal.SIGKILL)
        said = doing.communicate()[1].strip() + f" (no end in {MOST:.0f} s)"
    row: dict[str, Any] = {"run": run, "seconds": time.perf_counter() - began, "hit": hit}
    row["status"], row["equal"] = doing.returncode, doing.returncode == 0 and same(stage, str(out))
    if doing.returncode:
        row["said"] = said[-300:]
    else:
        row |= json.loads(Path(out, "manifest.json").read_text()).get("ray", {})
    if run in ("away", "again"):
        node.stop()
        node.cable(there=True)
        at.join(node)
        at.wait(len(at.nodes) + 1)
    return row


def main() -> None:
    """Run, print, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=3, help="with Ray")
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=RUNS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ray_hosts.json"))
    cfg = parser.parse_args()
    if why := may_be_made():
        raise SystemExit(f"no hosts can be made here: {why}")
    cfg.out = cfg.out.absolute()
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no host is left
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(dir="/tmp") as scratch:
        os.chdir(scratch)
        prepare_pictures()
        if not {"kmeans", "predict"}.isdisjoint(cfg.runs):
            prepare_rows()
        Path("out").mkdir()
        Path("shared").mkdir()
        own = [run for run in cfg.runs if run in ("scratch", "storage")]
        for runs in (own, [run for run in cfg.runs if run not in own]):
            if not runs:
                continue
            place = Path(scratch, "a" if runs is own else "b")
            place.mkdir()
            with cluster(place, cfg.hosts, own=Path(scratch, "out") if runs is own else None) as at:
                for run in runs:
                    rows.append({**once(run, at), "load": os.getloadavg()[0]})
                    print(rows[-1], flush=True)
        os.chdir("/")
    cfg.out.write_text(json.dumps({"argv": sys.argv[1:], "table": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
