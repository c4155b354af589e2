"""imclust: unlabelled images in, the submission that wins out."""

__version__ = "0.1.0"
