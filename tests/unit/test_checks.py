import numpy as np
import pytest

from imclust.core import checks
from imclust.core.errors import InputError


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_in_range_refuses_what_lies_outside(value):
    with pytest.raises(InputError, match=r"tsne.speed must be in \[0, 1\]; got .*; choose another"):
        checks.in_range("tsne", "speed", value, 0, 1)


def test_shaped_names_the_sizes_it_wants():
    assert checks.shaped("x", np.zeros((3, 4)), "n d", n=3) == {"n": 3, "d": 4}
    with pytest.raises(InputError, match=r"x must be of shape \[n=5, d\]; got \[3, 4\]"):
        checks.shaped("x", np.zeros((3, 4)), "n d", n=5)
    with pytest.raises(InputError, match="of shape"):
        checks.shaped("x", np.zeros(3), "n d")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_finite_counts_what_is_not(bad):
    checks.finite("x", np.ones(4))
    with pytest.raises(InputError, match="got 1 NaN or infinite"):
        checks.finite("x", np.array([1, bad, 2]))


@pytest.mark.parametrize("k", [-1, 0, 1, 11])
def test_cluster_count_refuses_fewer_than_two_and_more_than_rows(k):
    with pytest.raises(InputError, match=r"from 2 to the number of images \(10\); got"):
        checks.cluster_count(k, 10)


def test_disk_space_refuses_before_writing(tmp_path):
    checks.disk_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(InputError, match="free space"):
        checks.disk_space(tmp_path / "not" / "yet", 1 << 60)


def test_what_is_needed_and_what_is_free_never_read_the_same(tmp_path, monkeypatch):
    free = type("Usage", (), {"free": (1 << 20) + 5})
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: free)
    with pytest.raises(InputError, match="at least 2 MiB; got 1 MiB"):
        checks.disk_space(tmp_path, (1 << 20) + 6)
