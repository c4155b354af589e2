"""What the pages of a hand-over say, told from manifests, ledger and machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.reducers import REDUCERS
from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.ledger import Row, best
from imclust.competitions.replay_plan import USER, WORK, ReplayPlan
from imclust.core.registry import Registry
from imclust.core.wording import counted
from imclust.encoders import ENCODERS

REGISTRIES: dict[str, Registry[Any]] = {
    "index": CHALLENGES, "weights": ENCODERS, "features": REDUCERS, "assignment": CLUSTERERS
}  # fmt: skip
Docs = Mapping[str, dict[str, Any]]


def facts_of(plan: ReplayPlan, steps: dict[str, Any], rows: list[Row]) -> dict[str, str]:
    """What the pages say.

    Parameters
    ----------
    plan : ReplayPlan
        How the submission was made.
    steps : dict
        Of steps.json, as `run.described` gives them.
    rows : list of Row
        The submission's rows in the ledger.

    Returns
    -------
    dict of str to str
        For the templates of `pages`.

    Examples
    --------
    >>> from imclust.competitions.handover.run import described
    >>> from imclust.competitions.replay_plan import plan_of
    >>> plan = plan_of(Path("submissions/first"))
    >>> facts_of(plan, described(plan), [])["title"]
    'imagefolder: first'
    """
    docs = plan.docs
    mine = docs[plan.submission]
    index = next(doc for doc in docs.values() if doc["kind"] == "index")
    top = best(rows)[0] if rows else Row("")
    place = top.board or f"the challenge `{index['challenge']}`"
    files = [f"`{name}`" for name in sorted(mine["files"]) if name.endswith(".csv")]
    return {
        "title": f"{index['challenge']}: {Path(plan.submission).name}",
        "run": Path(plan.submission).name,
        "place": place,
        "answer": _answer(plan, mine),
        "files": ", ".join(files),
        **_machine(docs, mine),
        **_times(plan, steps),
        **_data(steps, index),
        **_standing(top),
        **_methods(plan, index),
        "commands": "\n".join(f"- `imclust {' '.join(_shown(s['argv']))}`" for s in steps["steps"]),
        "notes": _notes(docs, steps),
        "labels": _labels(docs, mine),
        "exact": "The bytes are those of one kind of machine, its thread count and BLAS kernels; "
        "another may move a few rows, and `predict.py` says how many.",
    }


def _labels(docs: Docs, mine: dict[str, Any]) -> str:
    """What the assignment owes to labels."""
    if mine.get("learned_from"):
        return f"It was learned from {mine['learned_from']}."
    priors = [doc["config"].get("priors", {}) for doc in docs.values()]
    told = ("anchors", "must_link", "cannot_link")
    given = sorted({name.replace("_", "-") for p in priors for name in told if p.get(name)})
    if given:
        return f"The user told it of some images beforehand: {', '.join(given)}."
    return "No label is read by any step."


def _answer(plan: ReplayPlan, mine: dict[str, Any]) -> str:
    assignment = _submitted(plan)
    return (
        f"It puts {counted(mine['rows'], 'row')} into "
        f"{counted(assignment['n_clusters'], 'cluster')}; track "
        f"`{mine['track']}` ({_track(mine['track'])})."
    )


def _submitted(plan: ReplayPlan) -> dict[str, Any]:
    """Manifest of the assignment that was submitted."""
    there = plan.docs[plan.submission]["inputs_at"]["assignment"]
    return plan.docs[os.path.normpath(os.path.join(plan.submission, there))]


def _track(track: str) -> str:
    if track == "open":
        return "pretrained weights were used"
    return "nothing but the challenge's own data was used"


def _machine(docs: Docs, mine: dict[str, Any]) -> dict[str, str]:
    devices = {doc["device"] for doc in docs.values()}
    gpus = ", ".join(sorted(devices - {"cpu"}))
    versions: dict[str, str] = {}
    for doc in docs.values():
        versions |= doc["versions"]
    threads = {k: v for doc in docs.values() for k, v in doc.get("variables", {}).items() if v}
    peak = max(doc["peak_mib"] for doc in docs.values())
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": " or ".join(sorted({str(doc["cpus"]) for doc in docs.values()})),
        "memory": f"{ram / 2**30:.0f} GiB",
        "peak": f"{peak / 1024:.1f} GiB",
        "peak_mib": str(peak),
        "gpu": gpus or "none was used",
        "system": f"{platform.system()} {platform.release()}, {platform.libc_ver()[0]} "
        f"{platform.libc_ver()[1]}",
        "python": versions["python"],
        "python_minor": ".".join(versions["python"].split(".")[:2]) + " (3.11 or newer)",
        "versions": ", ".join(f"{k} {v}" for k, v in sorted(versions.items()) if k != "python"),
        "threads": ", ".join(f"{k}={v}" for k, v in sorted(threads.items())) or "as many as cores",
        "git": mine["git"] or "not known",
    }


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _times(plan: ReplayPlan, steps: dict[str, Any]) -> dict[str, str]:
    lines = []
    for step in plan.steps:
        for name in step.outputs:
            doc = plan.docs[name]
            lines.append(
                f"| {step.argv[0]} `{name}` | {doc['seconds']:.1f} | {doc['cpu_seconds']:.1f} | "
                f"{doc['peak_mib']} | {doc['device']} |"
            )
    downloads = {n for n, step in enumerate(plan.steps) if step.argv[0] == "download"}
    trained = {n for n, s in enumerate(plan.steps) if set(s.outputs) & set(steps["weights"])}
    predicting = set(steps["prediction"])

    def time(numbers: set[int]) -> str:
        return _span(sum(plan.steps[n].seconds for n in numbers))

    cpu = sum(doc["cpu_seconds"] for doc in plan.docs.values())
    return {
        "times": "\n".join(lines),
        "total": f"{sum(step.seconds for step in plan.steps):.1f}",
        "total_cpu": f"{cpu:.1f}",
        "prepare_time": time(downloads),
        "train_time": time(trained),
        "predict_time": time(predicting - downloads),
        "predict_all": "about " + time(predicting),
        "all_time": "about " + time(set(range(len(plan.steps)))),
    }


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _data(steps: dict[str, Any], index: dict[str, Any]) -> dict[str, str]:
    counts = ", ".join(f"{n} {index['content']} ({split})" for split, n in index["rows"].items())
    names = ", ".join(f"`{name}`" for name in steps["data"])
    if names:
        how = f"Put {names} as the competition gives it into RAW_DATA_DIR; it is not shipped."
    else:
        how = (
            f"`{index['challenge']}` brings its own data or fetches it: `prepare_data.py` needs no "
            "file in RAW_DATA_DIR. Where a service asks for a key, set it as that service says."
        )
    network = "The network is used by `prepare_data.py` alone, if the challenge fetches its files."
    return {"data": f"{how} It holds {counts}.", "network": network}


def _standing(top: Row) -> dict[str, str]:
    return {
        "public": top.public or "TODO",
        "private": top.private or "TODO",
        "rank": top.rank or "TODO",
        "label_free": top.label_free or "see the manifests",
        "validation": top.validation or "no labels",
    }


def _methods(plan: ReplayPlan, index: dict[str, Any]) -> dict[str, str]:
    """Every method of the lineage with its settings and its paper."""
    docs = plan.docs
    lines: dict[str, list[str]] = {kind: [] for kind in REGISTRIES}
    papers: dict[str, None] = {}
    for doc in docs.values():
        name = doc["config"].get("method") or doc["config"].get("challenge")
        if doc["kind"] not in REGISTRIES or name is None:
            continue
        entry = next((e for e in REGISTRIES[doc["kind"]] if e.name == name), None)
        hidden = {"method", "challenge", "sources", "weights_stat", "device"}
        given = {k: v for k, v in doc["config"].items() if k not in hidden and v is not None}
        given |= _set_priors(given.pop("priors", {}))
        shown = ", ".join(f"{k} {_plain(v)}" for k, v in given.items())
        source = f" ({entry.paper})" if entry else ""  # `link` is a stage, and no clusterer
        lines[doc["kind"]].append(f"- `{name}`{source}: {shown or 'no settings'}.")
        if entry:
            papers[f"- `{name}`: {entry.paper}."] = None
    encoders, heads = lines["weights"], lines["assignment"]
    trained = [d for d in docs.values() if d["kind"] == "weights" and "steps" in d]
    learned = "; ".join(
        f"{counted(d['steps'], 'step')} to a loss of {d['loss']:.4f}" for d in trained
    )
    used = " + ".join(
        d["encoder"] for d in docs.values() if d["kind"] == "weights" if "encoder" in d
    )
    head = _submitted(plan)["config"].get("method")
    count = sum(index["rows"].values())
    return {
        "summary": (
            f"{count} {index['content']} were encoded by {used or 'no encoder'}, and the vectors "
            f"clustered by {head or 'the head that was trained on them'}, with imclust. "
            + (f"The encoder was trained on these {index['content']} without labels: {learned}."
               if learned else "The encoder was not trained on them.")
        ),
        "features": "\n".join([*encoders, *lines["features"]]) or "- none",
        "methods": "\n".join(heads) or "- the head of `finetune`, see steps.json",
        "references": "\n".join(papers),
    }  # fmt: skip


def _set_priors(priors: dict[str, Any]) -> dict[str, Any]:
    """What was known beforehand, without what says nothing."""
    return {k: v for k, v in priors.items() if v not in (None, "free", "ignore", 0.0)}


def _plain(value: Any) -> str:
    """A setting for a page; of a path, its name."""
    return Path(value).name if isinstance(value, str) and "/" in value else str(value)


def _notes(docs: Docs, steps: dict[str, Any]) -> str:
    notes = []
    if any(doc["config"].get("method") == "auto" for doc in docs.values()):
        notes.append(
            "- `auto` tries heads for a span of time: a slower or busier machine tries fewer, and "
            "may answer otherwise."
        )
    if any(step["argv"][0] == "finetune" for step in steps["steps"]):
        notes.append("- The head's answer was made while it was trained, and is shipped with it.")
    return "\n".join(notes)


def _shown(argv: list[str]) -> list[str]:
    return [w.replace(f"{WORK}/", "").replace(USER, "RAW_DATA_DIR") for w in argv]
