"""`--encoder light` or `strong`: which networks look at the images, by one word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imclust.cli.run_paths import RunPaths
from imclust.core.errors import input_error
from imclust.core.log import say

EncoderWord = Literal["light", "strong"]


@dataclass(frozen=True)
class HubNetwork:
    """A network that is fetched once.

    Parameters
    ----------
    model : str
        timm's name, with the tag of its weights.
    mebibytes : int
        Of its file.
    licence : str
        Of its weights.
    flags : tuple of str
        Of the encoder `timm`.
    """

    model: str
    mebibytes: int
    licence: str
    flags: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """Flags of the encoder `timm`.

        Examples
        --------
        >>> HubNetwork("resnet18.a1_in1k", 45, "Apache-2.0", ("--crop", "1")).words()
        ('--model', 'resnet18.a1_in1k', '--crop', '1')
        """
        return ("--model", self.model, *self.flags)


# Of the field's best that may be used for anything; sizes are 4 bytes a parameter of the file.
STRONG = (
    HubNetwork("vit_base_patch14_reg4_dinov2.lvd142m", 330, "Apache-2.0", ("--size", "224")),
    HubNetwork("vit_base_patch16_siglip_224.v2_webli", 354, "Apache-2.0"),
)


def strong_paths(at: RunPaths) -> tuple[RunPaths, ...]:
    """Where the latents of each strong network of a run lie.

    Examples
    --------
    >>> from pathlib import Path
    >>> at = RunPaths(Path("w"), "photos", "auto-seed0", "timm", 0, ())
    >>> len(strong_paths(at)) == len(STRONG)
    True
    """
    return tuple(
        RunPaths(at.top, at.name, at.run, "timm", at.seed, network.words()) for network in STRONG
    )


def check_tower(encoder: EncoderWord, tower: str) -> None:
    """Refuse a text tower without the image half that it belongs to.

    Raises
    ------
    InputError
        It is given with another encoder than `strong`.

    Examples
    --------
    >>> check_tower("strong", "google/siglip2-base-patch16-224")
    """
    if tower and encoder != "strong":
        do = "add --encoder strong, whose SigLIP2 it belongs to, or leave it out"
        raise input_error("--text-tower", "used with --encoder strong", f"--encoder {encoder}", do)


def check_strong() -> None:
    """Say what is fetched for `--encoder strong`, and refuse before any work where it cannot be.

    Raises
    ------
    InputError
        A file is neither in the hub's cache nor to be had.

    Examples
    --------
    >>> check_strong()  # doctest: +SKIP
    """
    from imclust.training.pretrained import hub_cache, in_hub_cache, reach_hub

    lacking = [n for n in STRONG if not in_hub_cache(f"timm/{n.model}")]
    if not lacking:
        return
    told = ", ".join(f"timm/{n.model} ({n.mebibytes} MiB, {n.licence})" for n in lacking)
    try:
        reach_hub()
    except OSError as e:
        names = " and ".join(f"`hf download timm/{n.model} model.safetensors`" for n in lacking)
        raise input_error(
            "the weights of --encoder strong",
            f"in the cache {hub_cache()} or to be had from huggingface.co",
            f"neither: {told} ({type(e).__name__})",
            f"run {names} where there is a network and copy that cache here, or take --encoder "
            "light, which needs none",
        ) from None
    say(f"--encoder strong fetches once into {hub_cache()}: {told}")
