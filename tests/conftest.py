"""Fixtures that many tests share."""

import gc
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers import imclust_in, make_arrays
from standin import KEYS, NOISE, StandIn

for name in (*KEYS, *NOISE):  # nobody's own keys come into a test
    os.environ.pop(name, None)
# Kaggle's package makes this folder on import, and fails where another process makes it just then.
(Path.home() / ".config" / "kaggle").mkdir(parents=True, exist_ok=True)


# Left out of `bash run_tests.sh --fast`, with everything in e2e: whole runs, training of
# networks, services. What is left takes a minute.
SLOW = {
    *("test_metric_learning", "test_local_features", "test_growth", "test_watching"),
    *("test_encoder_choice", "test_parquet", "test_ray_encode", "test_hierarchical_kmeans"),
    *("test_pair_pictures", "test_containers", "test_docstrings", "test_names"),
    *("test_aicrowd_cli", "test_arena", "test_auto", "test_backends", "test_code_digest"),
    *("test_drive_client", "test_encode", "test_encoding", "test_encoders", "test_estimators"),
    *("test_figures", "test_finetune", "test_fit", "test_kaggle_client", "test_local_aggregation"),
    *("test_losses", "test_predict", "test_real_clients", "test_reducers", "test_text_encoders"),
    *("test_benchmarks", "test_challenges", "test_cluster_count", "test_page", "test_refusals"),
    *("test_pair_clustering", "test_tasks", "test_free_features", "test_unequal_spaces"),
    *("test_timm", "test_transfer", "test_vgg16", "test_vgg_ae", "test_clusterers", "test_api"),
    *("test_curate", "test_many_rows", "test_shards", "test_forms", "test_pair_questions"),
    *("test_ray_stages", "test_ray_client", "test_many_clusters"),
    *("test_exports", "test_sorting", "test_words", "test_pseudo_labels", "test_spaces"),
    *("test_asked_names", "test_look"),
}


def is_slow(path):
    return "e2e" in path.parts or path.stem in SLOW


def pytest_ignore_collect(collection_path, config):
    """`-m "not slow"` does not even import the slow files: that took each worker 8 s."""
    if config.option.markexpr == "not slow" and is_slow(collection_path):
        return True
    return None


def pytest_collection_modifyitems(config, items):
    for item in items:
        if is_slow(item.path):
            item.add_marker(pytest.mark.slow)
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = dealt(items, workers)


def pytest_collection_finish():
    """What is imported and collected lives to the end: nobody looks for garbage in it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def dealt(items, workers):
    """Tests in an order whose equal shares, which pytest-xdist hands to its workers, take about as
    long: file by file, whole runs first, so that what is left at the end is short. The longest
    test of all is in `test_docs`: begun last, it had others wait for a minute and a half."""
    files = {}

    def turn(item):
        return (
            item.path.stem != "test_docs",
            "e2e" not in item.path.parts,
            "slow" not in item.keywords,
        )

    for item in sorted(items, key=turn):
        files.setdefault(item.path, []).append(item)
    hands = [list(files.values())[i::workers] for i in range(workers)]
    return [item for hand in hands for file in hand for item in file]


@pytest.fixture(params=[0, 1, 2])
def rng(request):
    return np.random.default_rng(request.param)


@pytest.fixture
def blobs(rng):
    """Three groups that any honest method tells apart: (90, 8) float32 and their numbers."""
    centres = 6 * rng.standard_normal((3, 8))
    y = np.repeat(np.arange(3), 30)
    return (centres[y] + rng.standard_normal((90, 8))).astype(np.float32), y


@pytest.fixture
def one_thread():
    """A few rows are slower on several threads, far slower where the cores are busy; Numba, which
    lays graphs out, raises PyTorch's number of them whatever OMP_NUM_THREADS says."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def standin(tmp_path_factory):
    """AIcrowd, Kaggle and Google Drive on the loopback, see `standin.StandIn`."""
    server = StandIn(tmp_path_factory.mktemp("standin"))
    yield server
    server.close()


@pytest.fixture
def arrays_dir(tmp_path):
    """A folder with trainX.npy (60), valX.npy and valY.npy (20)."""
    return make_arrays(tmp_path / "data")


@pytest.fixture
def imclust(tmp_path):
    """Run `python -m imclust ...` in a scratch folder: (status, stdout, stderr)."""

    def call(*args, cwd=tmp_path, **env):
        return imclust_in(cwd, *args, **env)

    return call


@pytest.fixture(scope="module")
def browser():
    """Chromium, to look at pages with."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        it = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield it
        it.close()
