"""What happens when things go wrong: damaged artefacts, odd inputs, kills, full disks.

    python benchmarks/robustness.py [--trials 100] [--kinds damages inputs kills disks] [--seed 0]

Every trial is a process of its own, drawn from the seed and its number, so that trial 17 can be
repeated alone (`--only 17`). Prints a table of outcomes and every trial that is not as it should
be; writes JSON.

| outcome | what it means |
|---|---|
| right | the assignment is that of the undisturbed run, or fits the input |
| remade | the same, after what was damaged was named and made again |
| refused | one sentence and a status that is not 0 |
| wrong | another assignment with status 0: never right |
| traceback | an unexpected exception |
| over time | no end within the limit |
| over memory | a gibibyte more than the process had before |
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imclust.core.log import progress
from robustness_disturbances import damages, disks, finished, kills
from robustness_inputs import inputs

KINDS: dict[str, Callable[..., tuple[str, str]]] = {
    "damages": damages, "inputs": inputs, "kills": kills, "disks": disks
}  # fmt: skip
OUTCOMES = ("right", "remade", "refused", "wrong", "traceback", "over time", "over memory")
BAD = OUTCOMES[3:]
LIMIT = 120.0  # seconds of one trial
CEILING = 1 << 20  # KiB that one trial may take beyond what its process begins with


def trial(kind: str, number: int, seed: int, shared: Path, results: Any) -> None:
    """One trial in this process; puts (outcome, what was done)."""
    os.environ["OMP_NUM_THREADS"] = "1"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            outcome, said = KINDS[kind](Path(folder), number, seed, shared)
        except BaseException:  # whatever it is, it should not have come this far
            outcome, said = "traceback", traceback.format_exc(limit=-4)
        os.chdir("/")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if grown > CEILING:
        outcome, said = "over memory", f"{grown >> 10} MiB: {said}"
    results.put((outcome, said))


def attempt(kind: str, number: int, seed: int, shared: Path) -> tuple[str, str]:
    """A trial in a process of its own, ended when it takes too long."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=trial, args=(kind, number, seed, shared, results))
    child.start()
    end = time.monotonic() + LIMIT
    while child.is_alive() and results.empty() and time.monotonic() < end:
        time.sleep(0.01)
    if results.empty():
        child.kill()
        child.join()
        ended = child.exitcode if child.exitcode != -9 else None
        return "over time" if ended is None else "traceback", f"the process ended with {ended}"
    found = results.get()
    child.join()
    return found


def warm(shared: Path) -> None:
    """Load what every trial needs, once: children of this process find it loaded."""
    import torch

    torch.set_num_threads(1)
    finished(shared)


def run(kinds: list[str], trials: int, seed: int, only: int | None = None) -> dict[str, Any]:
    """All trials: counts of outcomes by kind, and the bad ones."""
    numbers = range(trials) if only is None else [only]
    counts = {kind: Counter[str]() for kind in kinds}
    bad: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        warm(Path(folder))
        jobs = [(kind, number) for kind in kinds for number in numbers]
        for kind, number in progress(jobs, "robustness", unit="trial"):
            outcome, said = attempt(kind, number, seed, Path(folder))
            counts[kind][outcome] += 1
            if outcome in BAD or only is not None:
                bad.append({"kind": kind, "trial": number, "outcome": outcome, "what": said})
    return {"seed": seed, "counts": {k: dict(c) for k, c in counts.items()}, "bad": bad}


def table(counts: dict[str, dict[str, int]]) -> list[str]:
    """The counts as lines of a table."""
    lines = [f"{'':10}" + "".join(f"{o:>13}" for o in OUTCOMES)]
    for kind, found in counts.items():
        lines.append(f"{kind:10}" + "".join(f"{found.get(o, 0):>13}" for o in OUTCOMES))
    return lines


def main(argv: list[str] | None = None) -> int:
    """Returns 1 where anything is not as it should be."""
    os.environ["OMP_NUM_THREADS"] = "1"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/robustness.json"))
    cfg = parser.parse_args(argv)
    out = cfg.out.resolve()
    began = time.monotonic()
    found = run(cfg.kinds, cfg.trials, cfg.seed, cfg.only)
    found["seconds"] = round(time.monotonic() - began, 1)
    print("\n".join(table(found["counts"])))
    for each in found["bad"]:
        print(f"{each['kind']} {each['trial']}: {each['outcome']}: {each['what']}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n")
    return int(any(each["outcome"] in BAD for each in found["bad"]))


if __name__ == "__main__":
    sys.exit(main())
