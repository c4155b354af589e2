"""Scores as lines for a terminal."""

from __future__ import annotations

from typing import Any

WAYS = {
    "train": "images to cluster, against their labels",
    "val_own": "valX clustered on its own (the homework's way)",
    "val_through": "valX through the clustering of trainX (the honest way)",
}


def table(scores: dict[str, Any]) -> list[str]:
    """The scores as lines for a terminal.

    Examples
    --------
    >>> lines = table({**dict.fromkeys(WAYS), "label_free": {"stability": 0.9, "sizes": [3, 5]}})
    >>> lines
    ['without labels:', '  stability 0.900', '  cluster sizes 3 5']
    """
    lines = [f"learned from {scores['learned_from']}"] if scores.get("learned_from") else []
    for way, text in WAYS.items():
        s = scores[way]
        if s is None:
            continue
        first = f"accuracy max(acc, 1-acc) {s['accuracy']:.4f}  " if "accuracy" in s else ""
        first += f"accuracy by name {s['named']:.4f}  " if "named" in s else ""
        numbers = f"Hungarian {s['hungarian']:.4f}  NMI {s['nmi']:.4f}  ARI {s['ari']:.4f}"
        lines += [f"{text}, n = {s['n']}:", f"  {first}{numbers}  sizes {_sizes(s['sizes'])}"]
    for group, s in (scores.get("individuals") or {}).items():
        numbers = f"ARI {s['ari']:.4f}  AMI {s['ami']:.4f}  V {s['v_measure']:.4f} (homogeneity "
        numbers += f"{s['homogeneity']:.4f}, completeness {s['completeness']:.4f})"
        more = f"B-cubed F {s['b_cubed_f1']:.4f}  pair F1 {s['pair_f1']:.4f}  "
        more += f"row-wise F1 {s['row_f1']:.4f}  scenes: purity {s['scene_purity']:.4f}, "
        more += f"coverage {s['scene_coverage']:.4f}"
        lines += [f"individuals, {group}, n = {s['n']}:", f"  {numbers}", f"  {more}"]
    free = dict(scores["label_free"])
    sizes = free.pop("sizes")
    lines.append("without labels:")
    lines.append("  " + "  ".join(f"{k} {v:.3f}" for k, v in free.items()))
    return [*lines, f"  cluster sizes {_sizes(sizes)}"]


def _sizes(sizes: list[int]) -> str:
    shown = " ".join(map(str, sizes[:20]))
    return shown + (" ..." if len(sizes) > 20 else "")
