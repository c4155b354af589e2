"""What several test files use."""

from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def two_kinds(n, seed=0, size=32):
    """Images of two visibly different kinds, bright-warm and dark-blue, (n, s, s, 3) uint8."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    tint = np.where(y[:, None] == 0, [200, 150, 60], [30, 50, 120])[:, None, None, :]
    ramp = np.linspace(-40, 40, size)[None, :, None, None]
    x = tint + ramp * (1 - 2 * y)[:, None, None, None]
    x = x + rng.normal(0, 12, (n, size, size, 3)) + rng.normal(0, 15, (n, 1, 1, 3))
    return x.clip(0, 255).astype(np.uint8), y


def make_arrays(folder, n=60, n_val=20):
    folder.mkdir(parents=True)
    np.save(folder / "trainX.npy", two_kinds(n)[0])
    x, y = two_kinds(n_val, seed=1)
    np.save(folder / "valX.npy", x)
    np.save(folder / "valY.npy", y)
    return folder


def refused(result, *words, status=2):
    """Assert that a command refused in one sentence that holds all the words."""
    code, _, err = result
    assert code == status, err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("imclust ")]
    assert len(lines) == 1, err
    for word in words:
        assert word in lines[0], lines[0]
