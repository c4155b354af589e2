"""Where a training stands, and its resume points on disk."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imclust.core.files import replaced_file
from imclust.core.log import say
from imclust.training.plan import Objective

RESUME = "resume.pt"
AT = ("step", "steps", "planned", "spent", "log", "cuts")  # of `State`, in a resume point
SEAL = hashlib.sha256().digest_size  # bytes before a resume point: the digest of what follows


@dataclass
class State:
    """Where a training stands; everything a resume needs.

    Parameters
    ----------
    steps : int
        To make.
    planned : int
        How many there were to make at first.
    cuts : list[list[int]]
        Where that was shortened: after which step, and to how many.
    step : int
        done.
    spent : float
        Seconds of all runs so far.
    log : list[dict[str, Any]]
        The step log.
    losses : list[Tensor]
        Of the steps since the last record of the log.
    """

    network: nn.Module
    objective: Objective
    optimizer: torch.optim.Optimizer
    steps: int
    planned: int
    step: int = 0
    spent: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    cuts: list[list[int]] = field(default_factory=list)

    def cut(self, steps: int) -> None:
        """From here on make so many in all."""
        self.steps = steps
        self.cuts.append([self.step, steps])

    def save(self, path: Path) -> None:
        """Write in one step, so that a kill leaves the old state or the new."""
        doc = {
            "network": self.network.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "at": json.dumps([getattr(self, name) for name in AT]),
            "losses": torch.tensor([float(loss) for loss in self.losses]),
        }
        # By way of memory: torch's own writer turns a full disk into an error nobody can read.
        buffer = io.BytesIO()
        torch.save(doc, buffer)
        content = buffer.getvalue()
        with replaced_file(path) as fresh:
            fresh.write_bytes(hashlib.sha256(content).digest() + content)

    def load(self, path: Path, device: str) -> bool:
        """Go on from what `save` wrote; False, and nothing is loaded, where it was damaged."""
        content = path.read_bytes()
        seal, content = content[:SEAL], content[SEAL:]
        if hashlib.sha256(content).digest() != seal:
            say(f"{path} was damaged since it was written: the training starts again")
            return False
        doc = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        self.network.load_state_dict(doc["network"])
        self.objective.load_state_dict(doc["objective"])
        self.optimizer.load_state_dict(doc["optimizer"])
        for name, value in zip(AT, json.loads(doc["at"]), strict=True):
            setattr(self, name, value)
        self.losses = list(doc["losses"])
        return True
