"""Settings of `cluster-folder`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from imclust.cli.encoder_choice import EncoderWord, check_tower
from imclust.clustering.effort import EffortLevel
from imclust.core.checks import given_count, valid_seed
from imclust.core.errors import input_error
from imclust.core.ray_workers import check_ray


@dataclass(frozen=True)
class ClusterFolder:
    """Cluster the images of a folder: assignments.csv, report.html, a summary.

    Sub-folders count as one set of images; their names are not looked at. Images that cannot be
    read are named and set aside. The same command again redoes only what changed, and goes on
    where it was stopped; images that came since join the clusters that are there.
    """

    folder: tyro.conf.Positional[Path]
    """The images: a folder, also nested, or a zip."""
    n_clusters: int | Literal["auto"] = "auto"
    """K; `auto` lets several criteria vote on it and shows the evidence (k.png, k.csv)."""
    new: Path | None = None
    """Further images, a folder or zip: give them the clusters that the folder's run has found.
    A finished run is taken as it is."""
    corrections: tuple[Path, ...] = ()
    """What you said of the assignment: files saved from its page. They stay with the run."""
    without_corrections: bool = False
    """Leave out what the run was corrected with until now; the files are kept."""
    fresh: bool = False
    """Cluster all images anew. Without it, images that came since the last visit join the clusters
    that are there, and many that fit nowhere are a new one."""
    watch: bool = False
    """Stay, and do so whenever files come, until Ctrl-C."""
    encoder: EncoderWord = "light"
    """What looks at the images: `light` comes with the program; `strong`, two large networks
    (DINOv2 and SigLIP2), is fetched once, 684 MiB, and wants a GPU or patience."""
    text_tower: str = ""
    """With --encoder strong: a folder, or google/siglip2-base-patch16-224 (1.5 GB, fetched once),
    whose text half finds images by any words (`find`) and names the clusters."""
    name_by: str = ""
    """Have a vision-language model name the clusters: the address of its endpoint, which speaks
    OpenAI's chat completions, such as http://localhost:1234/v1. Five pictures of each are sent
    there, 512 pixels large, without file names, place or date. A key that it asks for is taken from
    the environment variable IMCLUST_NAME_KEY. Where it fails, the usual names stand."""
    name_model: str = ""
    """With --name-by: the name of the model there."""
    name_unencrypted: bool = False
    """With --name-by: send pictures through the internet also without encryption (http)."""
    remove_copies: bool = False
    """Cluster one image of each group of copies, exact or near; the others go where it goes."""
    symlinks: bool = False
    """Also a folder by-cluster/<cluster>/ of links to the images."""
    copy: bool = False
    """Copies instead of links there."""
    seed: int = 0
    """Random choices."""
    effort: EffortLevel = "normal"
    """How much `auto` tries: quick, normal or thorough."""
    name: str | None = None
    """Of the data set, in data/raw and data/runs; after the folder unless given."""
    workspace: Path = Path()
    """Where data/ goes; it must lie outside of the images."""
    ray: str | None = None
    """Have a Ray cluster index, encode, reduce by `pca`, cluster by `auto` or `kmeans`, and place:
    `auto` (that of this machine), `ray://host:port`, or `local:N` workers here. The results are the
    same bytes (of PyTorch on a CPU: as with one thread)."""
    ray_storage: str | None = None
    """With --ray: a folder or an address, such as s3://bucket/folder, that takes finished
    shards until they are joined; nodes need no path but the images'."""
    gpu_share: float = 0.0
    """With --ray: share of a GPU that a worker that encodes takes, such as 0.5; 0 encodes on
    CPUs."""

    def __post_init__(self) -> None:
        given_count(self.n_clusters)
        valid_seed(self.seed)
        if self.watch and self.new is not None:
            do = "watch the folder itself"
            raise input_error("--watch", "used without --new", f"--new {self.new}", do)
        check_ray(self.ray, self.ray_storage, gpus=self.gpu_share)
        check_tower(self.encoder, self.text_tower)
