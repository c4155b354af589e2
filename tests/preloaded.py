"""What the fork server of `command` imports before it forks for the first time."""

import bokeh.plotting  # noqa: F401
import cv2  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import openTSNE  # noqa: F401
import openvino  # noqa: F401
import requests  # noqa: F401
import safetensors.torch  # noqa: F401
import scipy.sparse.csgraph  # noqa: F401
import sklearn.cluster
import sklearn.linear_model
import sklearn.mixture  # noqa: F401
import torch._dynamo  # noqa: F401  (a second and a half, which PyTorch's optimisers take)

import imclust.__main__
import imclust.api  # noqa: F401
from imclust.core.code_digest import SOURCE, code_digest
from imclust.training.pretrained import vision

vision("timm")
for path in SOURCE.rglob("*.py"):  # what each command would read of our own code
    code_digest(".".join(("imclust", *path.relative_to(SOURCE).with_suffix("").parts)))
