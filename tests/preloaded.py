"""What the fork server of `command` imports before it forks for the first time."""

import gc
from importlib import import_module

import bokeh.plotting  # noqa: F401
import cv2  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import numpy as np
import openTSNE  # noqa: F401
import openvino  # noqa: F401
import requests  # noqa: F401
import safetensors.torch  # noqa: F401
import scipy.sparse.csgraph  # noqa: F401
import sklearn.cluster
import sklearn.linear_model
import sklearn.mixture  # noqa: F401
import sknetwork.clustering  # noqa: F401
import torch._dynamo  # noqa: F401  (a second and a half, which PyTorch's optimisers take)
from scipy.sparse import csr_array

import imclust.__main__
import imclust.api  # noqa: F401
from imclust.clustering.graph_layout import graph_layout
from imclust.core.code_digest import SOURCE, code_digest
from imclust.training.pretrained import vision

vision("timm")
for path in SOURCE.rglob("*.py"):  # what each command would import and read of our own code
    name = ".".join(("imclust", *path.relative_to(SOURCE).with_suffix("").parts))
    import_module(name.removesuffix(".__init__"))
    code_digest(name)
graph_layout(csr_array(np.ones((4, 4))), np.eye(4, 2), 0, epochs=1)  # loads what Numba compiled
gc.freeze()  # no forked command looks for garbage among all this
