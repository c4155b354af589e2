"""The walkthroughs' encoding loop against ours: the same JPEG files, the same weights.

    python benchmarks/encode_speed.py --data FOLDER_OR_ZIP [--runs 3] [--cases vgg16 resnet18 lite0]
        [--images 8192]
    python benchmarks/encode_speed.py --data FOLDER_OR_ZIP --memory 1000 10000 50000

The walkthrough takes one image at a time: cv2.imread, PIL transforms, float32, torch. Ours is
what `encode` runs: decoding threads, bytes to the engine, the fastest backend whose features agree
with torch's to cosine 0.9999. Both in turn, alternating order, medians of images a second; then
decoding alone and encoding alone, so that the bottleneck shows. On a GPU, besides, the share of the
matrix rate measured there. `--memory` encodes so many images (the files again and again) in
processes of their own and prints the peak memory of each. All but Lite0 have random weights
unless these are at hand: speed does not depend on them. Prints one table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from imclust.competitions.challenges._base import image_files
from imclust.core.npy import NpyRows
from imclust.core.reproducibility import isolated_seed, pick_device
from imclust.data.images import ImageRow, read_bytes
from imclust.data.loader import Preprocessing, pixel_batches
from imclust.encoders import ENCODERS
from imclust.training.backends import Backend, Codes, batch_size, least_cosine, pick_backend

CASES = {
    "vgg16": ("vgg16", {}, 24),
    "resnet18": ("timm", {"model": "resnet18"}, 200),
    "lite0": ("timm", {}, 200),
    "dinov2": ("timm", {"model": "vit_base_patch14_reg4_dinov2.lvd142m", "size": 224}, 24),
    "siglip2": ("timm", {"model": "vit_base_patch16_siglip_224.v2_webli"}, 24),
}
COLUMNS = ("loop", "ours", "ratio", "decode alone", "encode alone", "set-up (s)")


def jpeg_files(data: Path, folder: Path) -> list[ImageRow]:
    """The JPEGs of a folder or zip, as files on disk."""
    found = [ImageRow(str(i), "train", str(p), m) for i, (p, m) in enumerate(image_files(data))]
    rows = []
    for row in found:
        if Path(row.member or row.source).suffix.lower() in {".jpg", ".jpeg"}:
            path = folder / f"{row.id}.jpg"
            path.write_bytes(read_bytes(row))
            rows.append(ImageRow(row.id, "train", str(path), ""))
    return rows


def build(case: str) -> tuple[Any, torch.nn.Module]:
    """The encoder and its network; pretrained where the weights are at hand."""
    name, settings, _ = CASES[case]
    entry = ENCODERS[name]
    encoder = entry.method(entry.config(**settings))
    with isolated_seed(0):
        network = encoder.network()
    if not encoder.lacks():
        encoder.pretrained(network)
    return encoder, network.eval()


def loop(
    rows: list[ImageRow], encoder: Any, network: torch.nn.Module, device: str
) -> Iterator[np.ndarray]:
    """The walkthrough, as it stands: one file, one transform chain, one forward pass."""
    import cv2
    from PIL import Image

    p: Preprocessing = encoder.preprocessing
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (p.mean, p.std))
    network = network.to(device)
    with torch.no_grad():
        for row in rows:
            image = Image.fromarray(cv2.cvtColor(cv2.imread(row.source), cv2.COLOR_BGR2RGB))
            w, h = image.size
            side = p.kept(w, h)
            box = ((w - side) / 2, (h - side) / 2, (w + side) / 2, (h + side) / 2)
            image = image.resize((p.size, p.size), Image.Resampling.BILINEAR, box=box)
            x = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
            x = ((x - mean) / std)[None].to(device)
            yield encoder.encode(network, x).cpu().numpy()


def engine(
    encoder: Any, network: torch.nn.Module, rows: list[ImageRow], device: str
) -> tuple[Backend, int]:
    """What `encode` would take for a long run over these images."""
    p = encoder.preprocessing
    batch = batch_size(p.size, device)
    probe = next(pixel_batches(rows[:16], p, 16))
    codes = Codes(encoder.encode, network, p, flip=False)
    return pick_backend(codes, probe, 10**6, batch, device, "auto", "auto")[0], batch


def rate(latents: Iterator[np.ndarray], n: int) -> tuple[float, np.ndarray]:
    """Images a second, and the latents."""
    began = time.perf_counter()
    z = np.concatenate(list(latents))
    return n / (time.perf_counter() - began), z


def measure(case: str, rows: list[ImageRow], runs: int, device: str, n: int) -> dict[str, Any]:
    """Medians over runs of everything in a table row, of n images."""
    rows = (rows * (n // len(rows) + 1))[:n]
    encoder, network = build(case)
    began = time.perf_counter()
    backend, batch = engine(encoder, network, rows, device)
    setup = time.perf_counter() - began
    p = encoder.preprocessing
    ready = np.concatenate(list(pixel_batches(rows, p, batch)))
    blocks = [ready[a : a + batch] for a in range(0, n, batch)]
    few = rows[: max(2, min(n // 4, 200))]  # the loop is slow, and even all the way

    def decode_only() -> Iterator[np.ndarray]:
        return (block[:, 0, 0] for block in pixel_batches(rows, p, batch))

    ways: dict[str, Any] = {
        "loop": lambda: rate(loop(few, encoder, network, device), len(few)),
        "ours": lambda: rate(backend.stream(pixel_batches(rows, p, batch)), n),
        "decode alone": lambda: rate(decode_only(), n),
        "encode alone": lambda: rate(backend.stream(blocks), n),
    }
    ways["loop"](), ways["ours"]()  # warm up
    found: dict[str, list[float]] = {name: [] for name in ways}
    z: dict[str, np.ndarray] = {}
    for run in range(runs):
        for name in list(ways) if run % 2 == 0 else list(ways)[::-1]:
            r, z[name] = ways[name]()
            found[name].append(r)
    result: dict[str, Any] = {name: median(v) for name, v in found.items()}
    pairs = zip(found["ours"], found["loop"], strict=True)
    result["ratio"] = median(a / b for a, b in pairs)
    result["set-up (s)"] = setup
    result["cosine"] = least_cosine(z["loop"], z["ours"][: len(few)])
    result["engine"] = f"{backend.name} {backend.precision}, {batch} at a time"
    result["tflops"] = flops(encoder, network, device) * result["encode alone"] / 1e12
    result["matrix_tflops"] = matrix_rate(device) if device.startswith("cuda") else None
    return result | {"runs": found, "images": n}


def flops(encoder: Any, network: torch.nn.Module, device: str) -> float:
    """Floating-point operations of one image."""
    from torch.utils.flop_counter import FlopCounterMode

    side = encoder.preprocessing.size
    with FlopCounterMode(display=False) as counter:  # it follows gradients
        encoder.encode(network.to(device), torch.zeros(1, 3, side, side, device=device))
    return float(counter.get_total_flops())


def matrix_rate(device: str, n: int = 8192) -> float:
    """TFLOP/s of bfloat16 matrix products of side n."""
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        a @ a
    torch.cuda.synchronize()
    return 20 * 2 * n**3 / (time.perf_counter() - began) / 1e12


def peak(data: Path, n: int, case: str) -> float:
    """MiB at most of a process of its own that encodes n images to disk."""
    words = [sys.executable, __file__, "--data", str(data), "--child", str(n), "--cases", case]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def child(data: Path, n: int, case: str) -> None:
    """Encode n images to a file, as `encode` does; prints the peak memory."""
    import resource

    with TemporaryDirectory() as scratch:
        rows = jpeg_files(data, Path(scratch))
        rows = (rows * (n // len(rows) + 1))[:n]
        encoder, network = build(case)
        backend, batch = engine(encoder, network, rows, pick_device())
        latents = backend.stream(pixel_batches(rows, encoder.preprocessing, batch))
        first, at = next(latents), 0
        with NpyRows(Path(scratch) / "x.npy", (n, first.shape[1])) as file:
            for block in chain([first], latents):
                file.write(at, block)
                at += len(block)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder or zip with JPEGs")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--images", type=int, help="so many; few of a slow network unless given")
    parser.add_argument("--memory", nargs="+", type=int, help="peak memory at so many images")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/encode_speed.json"))
    cfg = parser.parse_args()
    if cfg.child:
        child(cfg.data, cfg.child, cfg.cases[0])
        return
    device = pick_device()
    doc: dict[str, Any] = {"data": cfg.data.name, "cpus": os.cpu_count(), "device": device}
    doc["torch"] = torch.__version__
    if cfg.memory:
        case = cfg.cases[-1]
        doc["peak_mib"] = {n: peak(cfg.data, n, case) for n in cfg.memory}
        print(f"\n{case}: images and peak memory (MiB)")
        for n, mib in doc["peak_mib"].items():
            print(f"{n:>10}{mib:>10.0f}")
    else:
        with TemporaryDirectory() as scratch:
            rows = jpeg_files(cfg.data, Path(scratch))
            doc["cases"] = {
                c: measure(c, rows, cfg.runs, device, cfg.images or CASES[c][2]) for c in cfg.cases
            }
        print(f"\n{doc['data']}: images a second, {doc['cpus']} cores, {device}, {cfg.runs} runs")
        print(f"{'':10}" + "".join(f"{c:>14}" for c in COLUMNS) + f"{'TFLOP/s':>10}  engine")
        for case, r in doc["cases"].items():
            cells = "".join(f"{r[c]:>13.1f}{'x' if c == 'ratio' else ' '}" for c in COLUMNS)
            of = f" of {r['matrix_tflops']:.0f}" if r["matrix_tflops"] else ""
            print(f"{case:10}{cells}{r['tflops']:>10.2f}{of}  {r['engine']}")
            print(f"{'':10}  least cosine to the loop's features {r['cosine']:.5f}")
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    cfg.out.write_text(json.dumps(doc, indent=1) + "\n")
    print(f"written to {cfg.out}")


if __name__ == "__main__":
    main()
