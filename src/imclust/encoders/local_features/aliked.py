"""`aliked`: ALIKED keypoints matched by LightGlue, both as kornia has them (extra `local`).

Weights of both may be used and passed on: ALIKED's (BSD-3-Clause) and LightGlue's for it
(Apache-2.0). SuperPoint's, which others pair with LightGlue, are for non-commercial research only.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from imclust.core.errors import input_error
from imclust.core.manifest import file_digest
from imclust.data.keypoints import Keypoints, scaled_to
from imclust.encoders.local_features import LOCAL_FEATURES
from imclust.encoders.local_features._base import LocalConfig, LocalFeatures

if TYPE_CHECKING:
    from torch import Tensor, nn

MODEL = "aliked-n16"
SOURCES = {
    f"{MODEL}.pth": f"https://github.com/Shiaoming/ALIKED/raw/main/models/{MODEL}.pth",
    "aliked_lightglue.pth": "https://github.com/cvg/LightGlue/releases/download/v0.1_arxiv/"
    "aliked_lightglue.pth",
}
# Neither early stopping nor pruning: what a pair gets must not hang on what others got.
GLUE = {"input_dim": 128, "depth_confidence": -1, "width_confidence": -1, "flash": False}
DERIVED = ("confidence_thresholds", "dkd.hw_grid")  # from settings: some files hold them, too


@LOCAL_FEATURES.register(
    "aliked", LocalConfig, paper="Zhao et al. 2023; Lindenberger, Sarlin and Pollefeys 2023"
)
class Aliked(LocalFeatures):
    """Learned keypoints and descriptors, and a transformer that looks at both images' at once."""

    track: ClassVar[str] = "open"
    threaded: ClassVar[bool] = False

    def __init__(self, cfg: LocalConfig) -> None:
        super().__init__(cfg)
        try:
            import kornia.feature  # noqa: F401
        except ImportError:
            do = "pip install 'imclust[local]', or take --local-features sift"
            raise input_error(
                "--local-features aliked", "used with the package kornia", "none", do
            ) from None
        self._files = {name: self._file(name) for name in SOURCES}

    def _file(self, name: str) -> Path:
        """A weights file: in the folder given, else in torch's cache, else fetched."""
        if self.cfg.weights is None:
            from imclust.training.pretrained import fetched

            given = "in a folder with --local-weights"
            return fetched(SOURCES[name], "aliked", given=given, named_by_hash=False)
        if not (self.cfg.weights / name).is_file():
            got = f"none in {self.cfg.weights}"
            do = f"fetch it from {SOURCES[name]}"
            raise input_error("--local-weights", f"a folder with {' and '.join(SOURCES)}", got, do)
        return self.cfg.weights / name

    def digests(self) -> dict[str, str]:
        """Of both networks' files."""
        return {name: file_digest(path) for name, path in self._files.items()}

    @cached_property
    def _device(self) -> str:
        from imclust.core.reproducibility import pick_device

        return pick_device(self.cfg.device)

    @cached_property
    def _finder(self) -> nn.Module:
        from kornia.feature import ALIKED

        network = ALIKED(MODEL, max_num_keypoints=self.cfg.most, detection_threshold=0.0)
        return self._loaded(network, f"{MODEL}.pth")

    @cached_property
    def _matcher(self) -> nn.Module:
        from kornia.feature import LightGlue

        glue = LightGlue(None, **GLUE)  # type: ignore[arg-type]  # None: no weights yet
        return self._loaded(glue, "aliked_lightglue.pth")

    def _loaded(self, network: nn.Module, name: str) -> nn.Module:
        from imclust.training.pretrained import load_state, read_state

        path = self._files[name]
        state = {_kornia_name(k): v for k, v in read_state(path).items()}
        state |= {k: v for k, v in network.state_dict().items() if k in DERIVED}
        load_state(network, state, str(path))
        return network.eval().requires_grad_(False).to(self._device)

    def find(self, image: np.ndarray) -> Keypoints:
        """The strongest maxima of the score map."""
        import torch

        from imclust.core.reproducibility import deterministic

        scaled = scaled_to(image, self.cfg.side)
        x = torch.from_numpy(scaled).to(self._device).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode(), deterministic():
            found: Any = self._finder(x)[0]
        xy, rows = (t.float().cpu().numpy() for t in (found.keypoints, found.descriptors))
        size = scaled.shape[1], scaled.shape[0]
        return Keypoints(xy.astype(np.float32), rows.astype(np.float16), size)

    def match(self, a: Keypoints, b: Keypoints) -> np.ndarray:
        """LightGlue's matches above its own threshold of 0.1."""
        import torch

        from imclust.core.reproducibility import deterministic

        if not len(a.xy) or not len(b.xy):
            return np.empty((0, 2), np.int64)
        with torch.inference_mode(), deterministic():
            found: Any = self._matcher({"image0": self._input(a), "image1": self._input(b)})
        matches: np.ndarray = found["matches"][0].cpu().numpy()
        return matches.astype(np.int64)

    def _input(self, k: Keypoints) -> dict[str, Tensor]:
        import torch

        rows = {"keypoints": k.xy, "descriptors": k.descriptors.astype(np.float32)}
        found = {n: torch.from_numpy(v)[None].to(self._device) for n, v in rows.items()}
        return found | {"image_size": torch.tensor([k.size], device=self._device)}


def _kornia_name(key: str) -> str:
    """A name of the authors' LightGlue as kornia has it: attention lies in `transformers` there."""
    return re.sub(r"^(self_attn|cross_attn)\.(\d+)", r"transformers.\2.\1", key)
