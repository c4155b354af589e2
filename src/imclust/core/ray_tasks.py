"""Tasks on a Ray cluster that leave their results on the disk: done again when their worker is
lost, and counted for whoever watches."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from imclust.core.errors import InputError, input_error
from imclust.core.log import say, shown_by
from imclust.core.overdue import Overdue
from imclust.core.ray_workers import AHEAD, LOOK, RETRIES, on_node
from imclust.core.wording import counted

MISSED = 3  # times that what was finished may be lost again before it is taken


@dataclass
class Tally:
    """How far a distributed run is.

    Parameters
    ----------
    tasks : int
        In all.
    done, retries, images : int
        Tasks that are done; that were lost or overdue and given out again; images of those that
        were worked on now.
    kept : int
        Tasks that an earlier run had done.
    last_kept, last_node : bool, str
        Whether the last one was, and the node that had it.
    nodes, images_of : Counter
        Node -> tasks that it did, and images of those.
    """

    tasks: int
    done: int = 0
    retries: int = 0
    images: int = 0
    kept: int = 0
    last_kept: bool = False
    last_node: str = ""
    nodes: Counter[str] = field(default_factory=Counter)
    images_of: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    def add_images(self, count: int) -> None:
        """Those of the last task, unless an earlier run had done it."""
        if not self.last_kept:
            self.images += count
            self.images_of[self.last_node] += count

    def line(self) -> str:
        """One line to watch.

        Examples
        --------
        >>> Tally(12, images=0).line()
        'shards 0/12, 0 images/s a node on 1 node, retries 0'
        """
        nodes = max(1, len(self.nodes))
        took = max(time.monotonic() - self.began, 1e-9)
        many = "node" if nodes == 1 else "nodes"
        worked = self.done - self.kept
        left = took * (self.tasks - self.done) / worked if worked else 0.0
        return (
            f"shards {self.done}/{self.tasks}, {self.images / took / nodes:.0f} images/s a node "
            f"on {nodes} {many}, retries {self.retries}"
            + (f", about {left:.0f} s left" if left >= 1 else "")
        )

    def table(self) -> list[str]:
        """A line for each node, where there are several.

        Examples
        --------
        >>> tally = Tally(3, done=3, images=12)
        >>> tally.nodes.update(["a1", "b2", "a1"])
        >>> tally.images_of.update({"a1": 8, "b2": 4})
        >>> [line.partition(",")[0] for line in tally.table()]
        ['  node a1: 2 shards', '  node b2: 1 shard']
        """
        took = max(time.monotonic() - self.began, 1e-9)
        return [
            f"  node {node[:8]}: {counted(count, 'shard')}, {self.images_of[node]} images, "
            f"{self.images_of[node] / took:.0f} a second"
            for node, count in sorted(self.nodes.items())
            if len(self.nodes) > 1
        ]

    def facts(self) -> dict[str, Any]:
        """For a manifest."""
        names = "tasks", "kept", "retries"
        return {name: getattr(self, name) for name in names} | {"nodes": len(self.nodes)}


def run_tasks(
    work: Callable[[Any], bool],
    items: Sequence[Any],
    seen: Callable[[Tally, Any], None],
    *,
    gpus: float = 0.0,
    what: str = "shard",
    again: Callable[[Any, int], Any] | None = None,
) -> Tally:
    """Do `work(item)` for every item on the workers of the cluster that this process drives.

    An item that is overdue is given to another node as well, and the first to end counts.

    Parameters
    ----------
    work : Callable
        A function of a module, which can be called again for the same item after its worker was
        killed half way; tells whether there was something to do. What it says is said here.
    items : Sequence
        What can be pickled.
    seen : Callable
        Is told of every item that is done, and may count its images.
    gpus : float, optional
        Share of a GPU for each task.
    what : str, optional
        An item's name.
    again : Callable, optional
        (item, n) -> the item as it is given out the n-th time more, while workers may still be at
        the others; the item itself unless given.

    Raises
    ------
    InputError
        That of an item; or an item's worker was lost more than RETRIES times; or no node has a GPU
        where a share of one is asked for.

    Examples
    --------
    >>> run_tasks(bool, [(1, 2), (3,)], lambda tally, item: None).done  # doctest: +SKIP
    2
    """
    import ray

    _check_gpus(gpus)
    options = {"max_retries": 0, "scheduling_strategy": "SPREAD", "num_cpus": 1, "num_gpus": gpus}
    options |= {"max_calls": 0}  # or Ray ends each worker that has a GPU after a single task
    task = ray.remote(**options)(_placed)
    tally, lost, late = Tally(len(items)), Counter[int](), Overdue()
    waiting, running = deque(range(len(items))), dict[Any, int]()
    try:
        while waiting or running:
            room = AHEAD * int(ray.cluster_resources().get("CPU", 1))  # nodes come and go
            while waiting and len(running) < max(1, room):
                number = waiting.popleft()
                running[task.remote(work, items[number])] = number
                late.begin(number)
            done, _ = ray.wait(list(running), timeout=LOOK)
            for ref in done:
                if ref not in running:  # the same item ended elsewhere in this very moment
                    continue
                number = running.pop(ref)
                others = [other for other, n in running.items() if n == number]
                try:
                    node, worked, said = ray.get(ref)
                except ray.exceptions.RayTaskError as e:
                    raise _cause(e) from None
                except ray.exceptions.RayError as e:
                    lost[number] += 1
                    tally.retries += 1
                    if lost[number] > RETRIES:
                        got = f"{lost[number]} lost, the last by {type(e).__name__}"
                        do = "look at the memory of the nodes, then repeat the command"
                        name = f"the workers of {what} {number}"
                        raise input_error(name, "alive to its end", got, do) from None
                    if not others:
                        waiting.appendleft(number)
                    continue
                for other in others:
                    del running[other]
                    ray.cancel(other, force=False)
                for line in said:
                    say(line)
                # What an overdue worker had finished unheard was not done before this run.
                worked = worked or late.given[number] > 0
                late.end(number, node, worked=worked)
                tally.done += 1
                tally.last_kept, tally.last_node = not worked, node
                tally.kept += not worked
                tally.nodes[node] += 1
                seen(tally, items[number])
            for number in late.numbers():
                there, item = on_node(task, late.other_node(number)), items[number]
                item = again(item, late.given[number]) if again else item
                running[there.remote(work, item)] = number
                tally.retries += 1
                say(f"{what} {number} is overdue and given out again: {tally.line()}")
    finally:
        for ref in running:
            ray.cancel(ref, force=False)
    return tally


def run_and_take(
    work: Callable[[Any], bool],
    items: Sequence[Any],
    seen: Callable[[Tally, Any], None],
    take: Callable[[Any], bool],
    *,
    gpus: float = 0.0,
    again: Callable[[Any, int], Any] | None = None,
) -> Tally:
    """`run_tasks`, then `take(item)` of every item here, in order; what is not whole any more is
    made again.

    Parameters
    ----------
    work, items, seen, gpus, again
        As for `run_tasks`.
    take : Callable
        Takes what came of an item; false where that has gone or is damaged.

    Raises
    ------
    InputError
        As for `run_tasks`, or something was lost more than MISSED times.

    Examples
    --------
    >>> run_and_take(encode_part, parts, seen, joined).done  # doctest: +SKIP
    2
    """
    tally = run_tasks(work, items, seen, gpus=gpus, again=again)
    lost = [item for item in items if not take(item)]
    for _ in range(MISSED):
        if not lost:
            break
        say(f"{len(lost)} of the finished shards are lost or damaged; they are made again")
        run_tasks(work, lost, lambda tally, item: None, gpus=gpus, again=again)
        tally.retries += len(lost)
        lost = [item for item in lost if not take(item)]
    if lost:
        got = f"{lost[0]} gone or damaged {MISSED} times"
        raise input_error("finished shards", "left alone until they are joined", got, "repeat it")
    return tally


def call_on_worker(work: Callable[..., Any], *more: Any, gpus: float = 0.0) -> Any:
    """`work(*more)` on one of the workers of the cluster that this process drives.

    Examples
    --------
    >>> call_on_worker(sum, [1, 2])  # doctest: +SKIP
    3
    """
    import ray

    _check_gpus(gpus)
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(work)
    try:
        return ray.get(task.remote(*more))
    except ray.exceptions.RayTaskError as e:
        raise _cause(e) from None


def _check_gpus(gpus: float) -> None:
    import ray

    if gpus and not ray.cluster_resources().get("GPU"):
        got, do = "none in the cluster", "leave --gpu-share out"
        raise input_error("--gpu-share", "used where nodes have a GPU", got, do)


def _placed(work: Callable[[Any], bool], item: Any) -> tuple[str, bool, list[str]]:
    """On a worker: its node, what came of it, and the lines that it said."""
    import ray

    said: list[str] = []
    with shown_by(None, said.append):
        worked = work(item)
    return ray.get_runtime_context().get_node_id(), worked, said


def _cause(e: Any) -> BaseException:
    """What a task raised, without the traceback of another machine where it is a sentence."""
    cause = getattr(e, "cause", None)
    return cause if isinstance(cause, InputError) else e
