"""Views: what changes, what does not, and a loop over images beside the batch."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_image

from helpers import two_kinds
from imclust.core.errors import InputError
from imclust.core.reproducibility import step_generator
from imclust.data.augment import (
    FIGURES,
    NOTHING,
    PHOTOGRAPHS,
    PRESETS,
    YIQ,
    Augmentation,
    augment,
    described,
    suited,
)


def photographs(n=24, side=32):
    picture = load_sample_image("china.jpg")
    rng = np.random.default_rng(0)
    tops, lefts = rng.integers(0, 300, n), rng.integers(0, 500, n)
    return np.stack([picture[t : t + side, s : s + side] for t, s in zip(tops, lefts, strict=True)])


@pytest.fixture
def x():
    return torch.from_numpy(photographs()).permute(0, 3, 1, 2).float() / 255


def views(x, what, *parts):
    return augment(x, what, step_generator(*parts))


@pytest.mark.parametrize("what", [PHOTOGRAPHS, FIGURES, *PRESETS.values(), Augmentation(blur=1.0)])
def test_views_are_seeded_and_stay_images(x, what):
    a, again, b = views(x, what, 1), views(x, what, 1), views(x, what, 2)
    assert torch.equal(a, again)
    assert torch.equal(a, b) == (what == NOTHING)
    assert a.shape == x.shape
    assert float(a.min()) >= 0
    assert float(a.max()) <= 1 + 1e-6
    assert a.is_contiguous(memory_format=torch.channels_last) or what == NOTHING


def test_every_image_has_a_draw_of_its_own(x):
    same = x[:1].repeat(16, 1, 1, 1)
    got = views(same, PHOTOGRAPHS, 3).flatten(1)
    distances = torch.cdist(got, got) + torch.eye(16) * 9
    assert float(distances.min()) > 0.5


def test_a_flip_is_the_image_or_its_mirror_image(x):
    got = views(x, PRESETS["flip"], 5)
    kinds = [torch.equal(g, i.flip(2)) for g, i in zip(got, x, strict=True)]
    same = [torch.equal(g, i) for g, i in zip(got, x, strict=True)]
    assert all(a or b for a, b in zip(kinds, same, strict=True))
    assert 4 <= sum(kinds) <= 20


def drawn(what, n, *parts):
    """The numbers that `augment` draws, in its order, by name."""
    generator = step_generator(*parts)

    def between(low, high):
        return low + (high - low) * torch.rand(n, generator=generator).double()

    names = ["mirror"] if what.flip else []
    d = {}
    for name in names:
        d[name] = (between(0, 1) < 0.5).double()
    if what.moves:
        d["area"] = between(what.area, 1)
        d["stretch"] = between(-math.log(what.aspect), math.log(what.aspect)).exp()
        d["mx"], d["my"] = between(-1, 1), between(-1, 1)
        d["angle"] = between(-math.radians(what.turn), math.radians(what.turn))
    if what.colours:
        d["on"] = (between(0, 1) < 0.8).double()
        for name in ("bright", "contrast", "vivid"):
            d[name] = 1 + d["on"] * between(-what.jitter, what.jitter)
        d["hue"] = d["on"] * between(-what.hue, what.hue) * 2 * math.pi
        d["vivid"] = d["vivid"] * (1 - (between(0, 1) < what.grey).double())
    return d


def test_colours_change_as_a_loop_over_pixels_would_change_them(x):
    """Hue and saturation in YIQ, then contrast about the mean luma, then brightness."""
    what = Augmentation(jitter=0.4, hue=0.1, grey=0.2)
    got = views(x, what, 7).double()
    d = drawn(what, len(x), 7)
    yiq = np.array(YIQ)
    for i, image in enumerate(x.double().numpy()):
        cos, sin = math.cos(float(d["hue"][i])), math.sin(float(d["hue"][i]))
        y, p, q = np.tensordot(yiq, image, 1)
        turned = np.stack([y, float(d["vivid"][i]) * (cos * p - sin * q),
                           float(d["vivid"][i]) * (sin * p + cos * q)])  # fmt: skip
        rgb = np.tensordot(np.linalg.inv(yiq), turned, 1)
        mean, contrast = y.mean(), float(d["contrast"][i])
        want = float(d["bright"][i]) * (contrast * rgb + (1 - contrast) * mean)
        np.testing.assert_allclose(got[i], want.clip(0, 1), atol=2e-3)


def test_a_crop_samples_where_a_loop_over_pixels_would(x):
    what = Augmentation(flip=True, area=0.3, aspect=4 / 3)
    got = views(x, what, 9).double()
    d = drawn(what, len(x), 9)
    side = x.shape[-1]
    for i in range(4):
        w = min(1.0, math.sqrt(float(d["area"][i] * d["stretch"][i])))
        h = min(1.0, math.sqrt(float(d["area"][i] / d["stretch"][i])))
        sign = 1 - 2 * float(d["mirror"][i])
        for r, c in ((0, 0), (5, 20), (31, 31), (16, 3)):
            u, v = (2 * c + 1) / side - 1, (2 * r + 1) / side - 1
            px = sign * w * u + float(d["mx"][i]) * (1 - w)
            py = h * v + float(d["my"][i]) * (1 - h)
            column, row = ((px + 1) * side - 1) / 2, ((py + 1) * side - 1) / 2
            want = bilinear(x[i].double(), row, column)
            np.testing.assert_allclose(got[i, :, r, c], want, atol=2e-3)


def bilinear(image, row, column):
    last = image.shape[-1] - 1
    row, column = abs(row + 0.5) - 0.5, abs(column + 0.5) - 0.5  # reflected at the border
    row, column = max(row, 0), max(column, 0)
    r0, c0 = min(int(row), last), min(int(column), last)
    r1, c1, fr, fc = min(r0 + 1, last), min(c0 + 1, last), row - r0, column - c0
    top = (1 - fc) * image[:, r0, c0] + fc * image[:, r0, c1]
    return (1 - fr) * top + fr * ((1 - fc) * image[:, r1, c0] + fc * image[:, r1, c1])


def test_blur_smooths_and_keeps_the_mean(x):
    got = views(x, Augmentation(blur=1.0), 11)
    rough = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))
    smooth = (got[..., 1:] - got[..., :-1]).abs().mean((1, 2, 3))
    assert 0.25 < float((smooth < 0.99 * rough).float().mean()) < 0.75  # half of them
    np.testing.assert_allclose(got.mean((1, 2, 3)), x.mean((1, 2, 3)), atol=0.02)


def test_photographs_are_told_from_figures():
    assert suited(torch.from_numpy(photographs())) == PHOTOGRAPHS
    digits = load_digits().images[:50].repeat(4, 1).repeat(4, 2) * 15
    assert suited(torch.from_numpy(digits.astype(np.uint8)[..., None].repeat(3, 3))) == FIGURES
    framed = np.zeros((20, 32, 32, 3), np.uint8)
    framed[:, 6:26, 6:26] = two_kinds(20, size=20)[0]
    assert suited(torch.from_numpy(framed)) == FIGURES


def test_values_out_of_range_are_one_sentence():
    for wrong in ({"area": 0.0}, {"jitter": 1.0}, {"hue": 0.6}, {"turn": -1.0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Augmentation(**wrong)


def test_it_is_told_to_people():
    assert described(NOTHING) == "nothing"
    assert described(PRESETS["crop"]) == "flip, area 0.4"
