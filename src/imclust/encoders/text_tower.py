"""A text tower: words as vectors in the space of an image network, CLIP's or SigLIP's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.errors import input_error
from imclust.core.log import progress
from imclust.encoders.text import model_folder, silent_transformers, tokenizer_of

NOUNS = Path(__file__).with_name("nouns.txt")
CLIP, SIGLIP = "a photo of a {}.", "this is a photo of {}."  # as each was trained
KINDS = {"clip": CLIP, "siglip": SIGLIP, "siglip2": SIGLIP}
BATCH = 64  # words at once
SAME = 1e-2  # of their size, by which the same network's patches may differ in two files
PATCHES = "patch_embed.proj.weight"  # timm's name of an image network's first layer


def nouns() -> tuple[str, ...]:
    """The nouns that pictures are searched for where a text tower knows them, and names come from.

    Examples
    --------
    >>> {"sea", "beach", "school bus", "motorcycle"} <= set(nouns())
    True
    """
    return tuple(NOUNS.read_text(encoding="utf-8").split("\n")[:-1])


class TextTower:
    """The text half of a CLIP or SigLIP model, as transformers reads it.

    Parameters
    ----------
    name : str
        A folder with the model's files, or its name on the Hugging Face hub.

    Raises
    ------
    InputError
        It is not there and not to be had, it is damaged, or it is something else.

    Examples
    --------
    >>> tower = TextTower("google/siglip2-base-patch16-224")  # doctest: +SKIP
    >>> tower.vectors(["sea", "school bus"]).shape  # doctest: +SKIP
    (2, 768)
    """

    def __init__(self, name: str) -> None:
        self.folder = model_folder(name, "--text-tower")
        self._model = self._loaded()
        self.kind: str = self._model.config.model_type

    def _loaded(self) -> Any:
        library, place = silent_transformers(), f"{self.folder}/config.json"
        files = {"local_files_only": True, "trust_remote_code": False}
        do = "give a model such as google/siglip2-base-patch16-224 or openai/clip-vit-base-patch16"
        try:
            config = library.AutoConfig.from_pretrained(self.folder, **files)
        except (OSError, ValueError, KeyError, TypeError) as e:
            got = str(e).strip().splitlines()[0].rstrip(".")
            raise input_error(place, "of a CLIP or SigLIP model", got, do) from None
        if config.model_type not in KINDS:
            got = f"{config.model_type}, which has no text beside images"
            raise input_error(place, f"one of {', '.join(KINDS)}", got, do)
        weights = f"{self.folder}/model.safetensors"
        try:
            model, about = library.AutoModel.from_pretrained(
                self.folder,
                dtype="float32",
                use_safetensors=True,
                output_loading_info=True,
                **files,
            )
        except Exception as e:  # safetensors and transformers raise bare Exception
            got = str(e).strip().splitlines()[0].rstrip(".")
            raise input_error(weights, "whole", got, "download it again") from None
        if lacking := sorted(about["missing_keys"]):
            got = f"{len(lacking)} keys missing, first {lacking[0]}"
            raise input_error(weights, "of the whole model, images and text", got, "give that one")
        return model.eval()

    @cached_property
    def _tokenizer(self) -> Any:
        return tokenizer_of(self.folder)

    @property
    def scale(self) -> float:
        """By which the model was trained to sharpen cosines."""
        return float(self._model.logit_scale.detach().exp())

    @property
    def projection(self) -> np.ndarray | None:
        """(e, d) float32, from the image network's vectors to the words'; None where none is."""
        if self.kind != "clip":
            return None
        return np.ascontiguousarray(self._model.visual_projection.weight.detach().numpy().T)

    def vectors(self, words: Sequence[str]) -> np.ndarray:
        """Words (v of them), each within the sentence that the model was trained on.

        Parameters
        ----------
        words : sequence of str
            Or whatever is sought.

        Returns
        -------
        np.ndarray
            (v, d) float32, each of length 1.
        """
        import torch
        from torch.nn.functional import normalize

        sentences = [KINDS[self.kind].format(word) for word in words]
        if self.kind != "clip":  # SigLIP was trained on small letters and full rows
            sentences = [s.lower() for s in sentences]
        limit = self._model.config.text_config.max_position_embeddings
        padding = True if self.kind == "clip" else "max_length"
        found = []
        steps = range(0, len(sentences), BATCH)
        for a in progress(steps, "words", total=len(steps), unit="batch"):
            tokens = self._tokenizer(
                sentences[a : a + BATCH],
                padding=padding,
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            given = {k: v for k, v in tokens.items() if k in {"input_ids", "attention_mask"}}
            if self.kind != "clip":
                given.pop("attention_mask", None)
            with torch.inference_mode():
                z = self._model.get_text_features(**given)
            z = z if isinstance(z, torch.Tensor) else z.pooler_output
            found.append(normalize(z.float()).numpy())
        return np.concatenate(found)

    def refuse_another(self, state: dict[str, Any], features: Path) -> None:
        """Refuse image features that another network than the tower's own made.

        Parameters
        ----------
        state : dict
            Tensors of the image network, under timm's names.
        features : Path
            The artefact, for the refusal.

        Raises
        ------
        InputError
            Their first layers differ: cosines between such vectors would say nothing.
        """
        own = self._model.vision_model.embeddings.patch_embedding.weight.detach().float()
        mine = state.get(PATCHES)
        do = (
            "encode the images with the image half of the same model (timm: "
            "vit_base_patch16_siglip_224.v2_webli for google/siglip2-base-patch16-224)"
        )
        what = f"the network that made {features}"
        if mine is None or mine.numel() != own.numel():
            raise input_error(what, f"the image half of {self.folder}", "another one", do)
        if (mine.float().reshape(own.shape) - own).norm() > SAME * own.norm():
            raise input_error(what, f"the image half of {self.folder}", "other weights", do)
