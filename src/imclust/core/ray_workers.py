"""Shards on the workers of a Ray cluster: `pip install 'imclust[ray]'`."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from imclust._version import __version__
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.object_storage import object_size, storage_url
from imclust.core.overdue import Overdue
from imclust.core.shards import received, run_by
from imclust.core.wording import counted

STORE = 256 << 20  # bytes of the object store of `local:N`; below 200 MB it does not start
AHEAD = 2  # tasks a CPU that wait or run at once
JOINS = 4  # tries
LONGEST = 300  # characters that are told of what Ray said
ANSWER = 10.0  # seconds to wait until a cluster's port takes a connection
LOOK = 1.0  # seconds between two looks at who is done
RETRIES = 5  # of a task whose worker or node is lost
_kept: ContextVar[bool] = ContextVar("kept", default=False)


def check_ray(
    address: str | None, storage: str | None = None, what: str = "--ray", gpus: float = 0.0
) -> None:
    """Refuse an address that is none, any where there is no Ray, and storage or a share of a GPU
    that cannot be.

    Parameters
    ----------
    address : str or None
        `auto`, `ray://host:port` or `local:N`.
    storage : str or None, optional
        Where finished shards go.
    what : str, optional
        The setting, as its user knows it.
    gpus : float, optional
        Share of a GPU that a worker takes.

    Raises
    ------
    InputError
        It is none of these, or the package `ray` is not installed.

    Examples
    --------
    >>> check_ray(None)
    >>> check_ray("my-cluster")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    imclust.core.errors.InputError: --ray must be auto, ray://host:port or local:N ...
    """
    if not (0 <= gpus <= 1 or (float(gpus).is_integer() and gpus > 0)):
        raise input_error("--gpu-share", "from 0 to 1, or a whole number", gpus, "choose another")
    if address is None:
        if gpus:
            raise input_error("--gpu-share", "used with --ray", "no --ray", "leave it out")
        if storage is not None:
            raise input_error("--ray-storage", "used with --ray", "no --ray", "leave it out")
        return
    if not re.fullmatch(r"auto|ray://[^/:]+:\d+|local:[1-9]\d{0,3}", address):
        allowed = "auto, ray://host:port or local:N with N workers"
        raise input_error(what, allowed, repr(address), "write it so")
    if importlib.util.find_spec("ray") is None:
        do = f"pip install 'imclust[ray]', or leave {what} out"
        raise input_error(what, "used where Ray is installed", "no Ray here", do)
    if storage is not None:
        storage_url(storage)


@contextmanager
def ray_cluster(address: str, files: Sequence[Path | str]) -> Iterator[int]:
    """Inside the block, this process is the driver of a cluster that can do the work.

    Parameters
    ----------
    address : str
        `auto`: the cluster of this machine; `ray://host:port`: another; `local:N`: N workers on
        this machine, for as long as the block lasts, or that of `one_cluster` around it.
    files : sequence of Path or str
        That workers read or write beside, objects by their addresses: every node must see them.

    Yields
    ------
    int
        CPUs of the cluster.

    Raises
    ------
    InputError
        There is no such cluster, or a node has another Python or imclust, or does not see a file.

    Examples
    --------
    >>> with ray_cluster("local:1", []) as cpus:  # doctest: +SKIP
    ...     cpus
    1
    """
    check_ray(address)
    import ray

    if not ray.is_initialized():
        _connect(address)
    try:
        _check_nodes(files)
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        if not _kept.get():
            ray.shutdown()


@contextmanager
def one_cluster() -> Iterator[None]:
    """Inside the block, what the first `ray_cluster` starts or joins serves the others, too; within
    another such block, until the end of that.

    Examples
    --------
    >>> with one_cluster():
    ...     pass
    """
    before = _kept.set(True)
    try:
        yield
    finally:
        _kept.reset(before)
        ray = sys.modules.get("ray")
        if not _kept.get() and ray is not None and ray.is_initialized():
            ray.shutdown()


def _connect(address: str) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        _refuse_silence(address)
        if address.startswith("local:"):
            here = {"num_cpus": int(address[6:]), "object_store_memory": STORE}
            joined = ray.init(address="local", include_dashboard=False, **here, **quiet)
        else:
            joined = _join(address, quiet)
    except (ImportError, OSError, ValueError, RuntimeError, ray.exceptions.RayError) as e:
        got = " ".join(str(e).split())[:LONGEST].rstrip(".") or type(e).__name__
        allowed, do = "running", "start one with `ray start --head`, or use --ray local:2"
        if "ersion mismatch" in got or "versions differ" in got:
            allowed, do = "of the same Python and Ray as here", "install the same on both"
        elif "ray[client]" in got:
            allowed, do = "joined by Ray's client", "pip install 'ray[client]'"
            got = "no such package here"
        elif "uthentication" in got or "timeout" in got:
            do = "set RAY_AUTH_MODE and the token as on its nodes, see Ray's token authentication"
        raise input_error(f"the Ray cluster {address}", allowed, got, do) from None
    nodes = [n for n in ray.nodes() if n["Alive"]]
    board = getattr(joined, "dashboard_url", None)
    seen = f"; its dashboard: http://{board}" if board else ""
    cpus = int(ray.cluster_resources().get("CPU", 1))
    say(f"Ray: {counted(cpus, 'CPU')} on {counted(len(nodes), 'node')}{seen}")


def _join(address: str, quiet: dict[str, Any]) -> Any:
    """Of a cluster that is busy, the server that it starts for a client may be late: ask again."""
    import ray

    for left in reversed(range(JOINS)):
        try:
            with warnings.catch_warnings(action="ignore"):  # what it warns of is raised, too
                return ray.init(address=address, **quiet)
        except ConnectionError as e:
            if not left or "Starting Ray client server failed" not in str(e):
                raise
    raise AssertionError


def _refuse_silence(address: str) -> None:
    """Refuse a cluster at whose port nobody listens: Ray itself would wait for it, some for ever.

    Raises
    ------
    OSError
        There is no answer.
    """
    if address.startswith("local:"):
        return
    at = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if found := re.fullmatch(r"(?:ray://)?([^/:]+):(\d+)", at):
        host, port = found[1], int(found[2])
        try:
            socket.create_connection((host, port), ANSWER).close()
        except (OSError, OverflowError) as e:
            raise ConnectionError(f"no answer from {host}:{port} ({e})") from None


@contextmanager
def ray_workers(address: str, files: Sequence[Path]) -> Iterator[None]:
    """Inside the block, work over shards is done by the workers of a cluster; see `ray_cluster`.

    Examples
    --------
    >>> with ray_workers("local:2", [Path("z/x.npy")]):  # doctest: +SKIP
    ...     list(over_shards(x, np.sum))
    """
    with ray_cluster(address, files) as cpus, run_by(_Runner(cpus)):
        yield


def workers_of(
    address: str | None, features: Sequence[Path], files: Sequence[Path] = ()
) -> AbstractContextManager[None]:
    """`ray_workers` that see the rows of some artefacts, and files; without an address, this
    process.

    Examples
    --------
    >>> with workers_of(None, [Path("z")]):
    ...     pass
    """
    if address is None:
        return nullcontext()
    return ray_workers(address, [*(path / "x.npy" for path in features), *files])


class _Runner:
    """Runs work on shards or items as tasks, and gives their results in order."""

    def __init__(self, cpus: int) -> None:
        import ray

        # Short tasks all land on one node unless they are told to spread.
        options = {"max_retries": RETRIES, "scheduling_strategy": "SPREAD", "num_cpus": 1}
        self._task, self._ahead = ray.remote(**options)(_work_on), AHEAD * cpus

    def __call__(
        self, items: Sequence[Any], work: Callable[..., Any], more: tuple[Any, ...]
    ) -> Iterator[Any]:
        import ray

        shared, late = ray.put(more), Overdue()
        found, running, begun = dict[int, Any](), dict[Any, int](), 0
        try:
            for number in range(len(items)):
                while number not in found:
                    while begun < min(number + self._ahead + 1, len(items)):
                        running[self._task.remote(items[begun], work, shared)] = begun
                        late.begin(begun)
                        begun += 1
                    self._look(running, found, late)
                    for old in late.numbers():
                        there = on_node(self._task, late.other_node(old))
                        running[there.remote(items[old], work, shared)] = old
                        say(f"task {old} is overdue and given out again")
                yield found.pop(number)
        finally:
            for ref in running:
                ray.cancel(ref, force=False)

    @staticmethod
    def _look(running: dict[Any, int], found: dict[int, Any], late: Overdue) -> None:
        """Move what has ended from what runs to what is found; of an item that was given out again,
        the first to end counts."""
        import ray

        for ref in ray.wait(list(running), timeout=LOOK)[0]:
            if ref not in running:  # the same item ended elsewhere in this very moment
                continue
            number = running.pop(ref)
            node, found[number] = _result(ref)
            late.end(number, node)
            for other in [other for other, n in running.items() if n == number]:
                del running[other]
                ray.cancel(other, force=False)


def on_node(task: Any, node: str) -> Any:
    """A remote function that is run on a node, or elsewhere where that has gone.

    Parameters
    ----------
    task : ray.remote_function.RemoteFunction
        The function.
    node : str
        The node's id.

    Examples
    --------
    >>> on_node(task, "8a02").remote(1)  # doctest: +SKIP
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True))


def _result(ref: Any) -> Any:
    """Of a task: what it gave, or the sentence that it raised."""
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as e:
        cause = getattr(e, "cause", None)
        raise (cause if isinstance(cause, InputError) else e) from None
    except ray.exceptions.RayError as e:
        got = f"{RETRIES + 1} lost, the last by {type(e).__name__}"
        do = "look at the memory of the nodes, then repeat the command"
        raise input_error("the workers of a task", "alive to its end", got, do) from None


def _work_on(item: Any, work: Callable[..., Any], more: tuple[Any, ...]) -> tuple[str, Any]:
    """On a worker: its node, and what came of it."""
    import ray

    return ray.get_runtime_context().get_node_id(), work(received(item), *more)


def _check_nodes(files: Sequence[Path | str]) -> None:
    """Refuse nodes that cannot do the work."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    mine = platform.python_version(), __version__
    names = [file if isinstance(file, str) else str(file.absolute()) for file in files]
    wanted = {name: _size(name) for name in names}
    for node in ray.nodes():
        if not node["Alive"] or not node["Resources"].get("CPU"):
            continue
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        look = ray.remote(num_cpus=0, scheduling_strategy=there)(_looked)
        name = f"the node {node['NodeManagerAddress']}"
        try:
            versions, sizes = ray.get(look.remote(list(wanted)))
        except ray.exceptions.RayTaskError as e:
            got = str(e).strip().splitlines()[-1]
            do = "install the same imclust on every node"
            raise input_error(name, "able to import imclust", got, do) from None
        except ray.exceptions.RayError:  # it has gone meanwhile: others do the work
            continue
        if versions != mine:
            allowed = f"of Python {mine[0]} and imclust {mine[1]} as here"
            got = f"Python {versions[0]} and imclust {versions[1]}"
            raise input_error(name, allowed, got, "install the same there")
        for path, size in wanted.items():
            if sizes[path] != size:
                found = sizes[path]
                got = f"{found} bytes" if isinstance(found, int) else found or "nothing there"
                do = "put it on storage that all nodes share"
                raise input_error(f"{path} on {name[4:]}", f"the {size} bytes here", got, do)


def _looked(paths: list[str]) -> tuple[tuple[str, str], dict[str, int | str | None]]:
    """On a worker: its versions, and the sizes of files; None for none, or why it is not told."""
    return (platform.python_version(), __version__), {path: _size(path) for path in paths}


def _size(path: str) -> int | str | None:
    if "://" not in path:
        return os.stat(path).st_size if os.path.exists(path) else None
    try:
        return object_size(storage_url(path))
    except InputError as e:
        return str(e).rstrip(".")
