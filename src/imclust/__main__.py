"""`python -m imclust <stage>`: one command a stage."""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Callable
from typing import Any

from imclust import __version__
from imclust.checks import Refusal

STAGES = {  # in pipeline order
    "challenges": ("Challenges", "list the challenges: rules, boards, and what each still needs"),
    "download": ("Download", "fetch or find a challenge's images, check them, index them"),
    "encoders": ("Encoders", "list the encoders, and which weights are at hand"),
    "plan": ("Plan", "choose a network and divide a time budget, by this machine's speed"),
    "train": ("Train", "train an encoder on the images to cluster"),
    "encode": ("Encode", "images to latents"),
    "gather": ("Gather", "join latents that several machines encoded"),
    "reduce": ("Reduce", "latents to a smaller space: PCA, KernelPCA, t-SNE"),
    "cluster": ("Cluster", "give every image a cluster"),
    "finetune": ("Finetune", "train a classifier on published labels or on confident clusters"),
    "score": ("Score", "measure the answer, against labels where there are some"),
    "submit": ("Submit", "write submission.csv, for two clusters its inverted twin; or check one"),
    "report": ("Report", "one page about a run, its pictures, and the summary that ends it"),
    "plot": ("Plot", "pictures of an answer for papers and slides"),
    "upload": ("Upload", "send a submission to its leaderboard, once, and follow its score"),
    "leaderboard": ("Leaderboard", "show the ledger of submissions, best first"),
    "reproduce": ("Reproduce", "make a submission again and compare the bytes"),
    "package": ("Package", "the winner's hand-over: one folder or zip that runs elsewhere"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one stage; returns the exit status.

    0 done, 2 refused, 3 disk, 4 no right to it, 5 a limit, 6 the file was rejected, 7 the service
    or the network failed, 8 what came is not what was asked for, 9 it is not known whether it was
    sent, 130 interrupted.
    """
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in {"-h", "--help"}:
        print("usage: python -m imclust <stage> [options]   (each stage has its own --help)\n")
        for name, (_, text) in STAGES.items():
            print(f"  {name:<11} {text}")
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    try:
        run, cfg = parse(argv)
        run(cfg)
    except Refusal as e:
        return _fail(argv[0], str(e), e.status)
    except KeyboardInterrupt:
        return _fail(argv[0], "interrupted; the same command goes on where it stopped.", 130)
    except MemoryError:
        return _fail(argv[0], "out of memory; take a smaller set or another machine.", 3)
    except OSError as e:
        return _fail(argv[0], _disk_sentence(e), 3)
    return 0


def parse(argv: list[str]) -> tuple[Callable[[Any], None], Any]:
    """argv -> (the stage's run function, its frozen config). Imports that one stage only."""
    if argv[0] not in STAGES:
        raise Refusal(f"stage must be one of {', '.join(STAGES)}; got {argv[0]!r}.")
    import tyro

    module = importlib.import_module(f"imclust.stages.{argv[0]}")
    cfg = tyro.cli(
        getattr(module, STAGES[argv[0]][0]),
        args=argv[1:],
        prog=f"python -m imclust {argv[0]}",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    return module.run, cfg


def _fail(stage: str, sentence: str, status: int) -> int:
    print(f"imclust {stage}: {sentence}", file=sys.stderr, flush=True)
    return status


def _disk_sentence(e: OSError) -> str:
    """One sentence for what the disk refused."""
    where = e.filename or "the output folder"
    if e.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return (
            f"the disk must have room for {where}; it is full; free some space and run the same "
            "command again: what was finished is untouched."
        )
    if e.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return f"{where} must be accessible; got: {e.strerror}; choose another folder."
    return f"the disk must allow what was asked; got: {e}."


if __name__ == "__main__":
    raise SystemExit(main())
