"""Features by a formula: each against a naive twin, and what they do not see."""

import math

import numpy as np
import pytest
import torch

from helpers import two_kinds, two_textures
from imclust.core.reproducibility import isolated_seed
from imclust.data.loader import to_input
from imclust.encoders import ENCODERS, _fixed
from imclust.encoders import hog as hogs
from imclust.encoders import lbp as lbps
from imclust.encoders._fixed import UNIT, cells, luma
from imclust.encoders.colour import BINS, JOINT, histograms, moments, opponent, soft_bins
from imclust.encoders.patch_dictionary import CONTRAST, SIDE, STRIDE, even_contrast, random_patches
from imclust.encoders.power_spectrum import DIRECTIONS, power, sectors
from imclust.encoders.scattering import folded, morlet


@pytest.fixture
def images(rng):
    """(4, 3, 16, 16) float32 in [0, 1]."""
    return torch.from_numpy(rng.random((4, 3, 16, 16)).astype(np.float32))


def built(name, images, **settings):
    """An encoder with its network, learned from images (n, s, s, 3) uint8."""
    entry = ENCODERS[name]
    encoder = entry.method(entry.config(size=images.shape[1], **settings))
    with isolated_seed(0), torch.inference_mode():
        network = encoder.network()
        if encoder.learns_at_once:
            encoder.learn(network, images, 0)
    return encoder, network


def encoded(encoder, network, images):
    with torch.inference_mode():
        return encoder.encode(network, to_input(images, encoder.preprocessing, "cpu")).numpy()


@pytest.mark.parametrize("side", [16, 15])
def test_power_is_that_of_the_fourier_transform(rng, side):
    y = rng.random((3, side, side))
    want = np.abs(np.fft.rfft2(y - y.mean((1, 2), keepdims=True))) ** 2 / side**2
    got = power(torch.from_numpy(y))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)


def test_sectors_average_the_frequencies_of_a_ring_and_a_direction():
    side = 16
    table = sectors(side).numpy().reshape(side, side // 2 + 1, -1)
    np.testing.assert_allclose(table.sum((0, 1)), 1, rtol=1e-5)
    rings = [r for r in range(table.shape[2]) if (table[:, :, r] > 0).sum() > 0]
    assert len(rings) == table.shape[2]
    for i, j in ((0, 3), (3, 0), (5, 5), (13, 2)):
        y, x = (i if i < 8 else i - 16), j
        ring = round(2 * math.log2(math.hypot(y, x)))
        sector = round((math.atan2(y, x) % math.pi) * DIRECTIONS / math.pi) % DIRECTIONS
        holding = np.flatnonzero(table[i, j] > 0)
        assert len(holding) == 2  # its ring and its sector of it
        for column in holding:
            for a, b in np.argwhere(table[:, :, column] > 0):
                v, h = (a if a < 8 else a - 16), b
                assert round(2 * math.log2(math.hypot(v, h))) == ring
        same = np.argwhere(table[:, :, holding[1]] > 0)
        angles = [math.atan2(a if a < 8 else a - 16, b) % math.pi for a, b in same]
        assert {round(t * DIRECTIONS / math.pi) % DIRECTIONS for t in angles} == {sector}


def test_cells_are_means(images):
    got = cells(images, (1, 2)).numpy()
    x = images.numpy()
    want = [x[:, :, a : a + s, b : b + s].mean((2, 3))
            for s in (16, 8) for a in range(0, 16, s) for b in range(0, 16, s)]  # fmt: skip
    np.testing.assert_allclose(got, np.hstack(want), rtol=1e-5)


def test_colour_moments_are_numpys(images):
    colours = opponent(images)
    got = moments(colours).numpy()
    first = colours.numpy()[0]
    want = []
    for s in (16, 8, 4):
        for a in range(0, 16, s):
            for b in range(0, 16, s):
                cell = first[:, a : a + s, b : b + s].reshape(3, -1).astype(np.float64)
                third = ((cell - cell.mean(1, keepdims=True)) ** 3).mean(1)
                want += [*cell.mean(1), *cell.std(1), *np.cbrt(third)]
    np.testing.assert_allclose(got[0], want, atol=2e-2)  # roots of nothing are rounding
    np.testing.assert_allclose(got[0][:6], want[:6], atol=1e-5)


def test_histograms_count_every_pixel_once(images):
    single, joint = histograms(opponent(images))
    np.testing.assert_allclose(single.unflatten(1, (3, BINS)).sum(2), 1, rtol=1e-5)
    np.testing.assert_allclose(joint.sum(1), 1, rtol=1e-5)
    assert joint.shape[1] == JOINT**3
    halfway = soft_bins(torch.tensor([0.0, 1.0, 0.25]), 4)
    np.testing.assert_allclose(halfway, [[1, 0, 0, 0], [0, 0, 0, 1], [0.5, 0.5, 0, 0]])


def naive_hog(x, grid):
    """Loops over pixels, cells and blocks of one image (3, s, s)."""
    side = x.shape[1]
    found = np.zeros((grid, grid, hogs.DIRECTIONS))
    for i in range(side):
        for j in range(side):
            up, down = max(i - 1, 0), min(i + 1, side - 1)
            left, right = max(j - 1, 0), min(j + 1, side - 1)
            steps = [(c[i, right] - c[i, left], c[down, j] - c[up, j]) for c in x]
            across, along = max(steps, key=lambda s: math.hypot(*s))
            at = (math.atan2(along, across) % math.pi) * hogs.DIRECTIONS / math.pi
            low = int(at) % hogs.DIRECTIONS
            size, part = math.hypot(across, along), at - int(at)
            cell = found[i * grid // side, j * grid // side]
            cell[low] += size * (1 - part)
            cell[(low + 1) % hogs.DIRECTIONS] += size * part
    found /= (side // grid) ** 2
    out = np.zeros((4 * hogs.DIRECTIONS, grid - 1, grid - 1))
    for i in range(grid - 1):
        for j in range(grid - 1):
            block = found[i : i + 2, j : j + 2].reshape(-1)
            for _ in range(2):
                block = np.minimum(block / np.sqrt((block**2).sum() + 1e-6), hogs.CLIP)
            out[:, i, j] = block / np.sqrt((block**2).sum() + 1e-6)
    return out.reshape(-1)


def test_hog_is_its_naive_twin(images):
    encoder, network = built("hog", np.zeros((1, 16, 16, 3), np.uint8), grid=4)
    got = encoder.encode(network, images).numpy()
    want = [naive_hog(x.astype(np.float64), 4) for x in images.numpy()]
    np.testing.assert_allclose(got, want, atol=1e-4)


def naive_pattern(y, i, j, radius):
    code = 0
    for bit in range(8):
        angle = 2 * math.pi * bit / 8
        v, h = i - radius * math.sin(angle), j + radius * math.cos(angle)
        top, left = math.floor(v + 1e-6), math.floor(h + 1e-6)
        value = 0.0
        for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = (1 - abs(v - top - a)) * (1 - abs(h - left - b))
            if abs(weight) > 1e-6:
                value += weight * y[top + a, left + b]
        code += (value - y[i, j] > lbps.LEAST) << bit
    return code


@pytest.mark.parametrize("radius", lbps.RADII)
def test_patterns_are_those_of_the_naive_twin(images, radius):
    y = luma(images)[0].double()
    got = lbps.patterns(y[None], radius)[0].numpy()
    inner = range(radius, 16 - radius)
    want = [[naive_pattern(y.numpy(), i, j, radius) for j in inner] for i in inner]
    np.testing.assert_array_equal(got, want)


def test_shares_of_patterns_sum_to_one_in_every_cell(rng):
    kinds = torch.from_numpy(rng.integers(0, lbps.KINDS, (2, 9, 9)))
    got = lbps.shares(kinds, 2).unflatten(1, (4, lbps.KINDS))
    np.testing.assert_allclose(got.sum(2), 1, rtol=1e-5)
    first = np.bincount(kinds[0, :4, :4].flatten(), minlength=lbps.KINDS) / 16
    np.testing.assert_allclose(got[0, 0], first, rtol=1e-5)
    assert len(set(lbps.uniform_patterns().tolist())) == lbps.KINDS


def test_folding_a_spectrum_is_taking_every_second_pixel(rng):
    y = torch.from_numpy(rng.random((3, 12, 12)))
    got = torch.fft.ifft2(folded(torch.fft.fft2(y), 2)).real
    np.testing.assert_allclose(got, y[:, ::2, ::2], atol=1e-9)


def test_wavelets_answer_to_their_own_frequency_and_not_to_plain_pictures():
    found = torch.stack([morlet(32, j, i / 6) for j in range(3) for i in range(6)])
    assert float(found[:, 0, 0].abs().max()) < 1e-6
    peaks = {tuple(np.unravel_index(int(f.argmax()), (32, 32))) for f in found}
    assert len(peaks) == 18  # each scale and direction another


def test_scattering_hardly_moves_with_its_picture_and_pixels_do():
    images, _ = two_textures(40)
    shifted = np.roll(images, 1, 2)
    for name, least, most in (("scattering", 0.0, 0.5), ("pixels", 0.7, 2.0)):
        encoder, network = built(name, images)
        a, b = (encoded(encoder, network, x) for x in (images, shifted))
        a, b = a - a.mean(0), b - a.mean(0)
        moved = np.linalg.norm(a - b) / np.linalg.norm(a)
        assert least <= moved < most, (name, moved)


def test_patches_against_words_one_by_one():
    images, _ = two_kinds(6, size=12)
    encoder, network = built("patch-dictionary", images, words=5)
    got = encoded(encoder, network, images)
    mean, turn, words = (getattr(network, n).numpy() for n in ("mean", "whitening", "words"))
    x, places = images[0].astype(np.float64) / 255, range(0, 12 - SIDE + 1, STRIDE)
    near = np.zeros((len(places), len(places), 5))
    for i, top in enumerate(places):
        for j, left in enumerate(places):
            patch = x[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1).reshape(-1)
            patch = patch - patch.mean()
            patch = patch / np.sqrt((patch**2).mean() + CONTRAST)
            far = np.linalg.norm((patch - mean) @ turn - words, axis=1)
            near[i, j] = np.maximum(far.mean() - far, 0)
    want = [near[a, b].reshape(-1, 5).mean(0)
            for a in (slice(0, 2), slice(2, 4)) for b in (slice(0, 2), slice(2, 4))]  # fmt: skip
    np.testing.assert_allclose(got[0], np.concatenate(want), atol=1e-4)


def test_the_whitening_of_patches_evens_their_directions():
    images, _ = two_kinds(40)
    _, network = built("patch-dictionary", images, words=5)
    rows = even_contrast(random_patches(images, 2000, 1)) - network.mean.numpy()
    before, after = (
        np.linalg.eigvalsh(np.cov(r.T)) for r in (rows, rows @ network.whitening.numpy())
    )
    assert after[-1] / np.median(after) < 0.5 * before[-1] / np.median(before)


def test_images_that_are_all_the_same_have_features_too():
    plain = np.full((8, 16, 16, 3), 77, np.uint8)
    for name in ("power-spectrum", "colour", "hog", "lbp", "scattering", "random-conv"):
        z = encoded(*built(name, plain), plain)
        assert np.isfinite(z).all()
        assert np.ptp(z, 0).max() < 1e-3, name
    z = encoded(*built("patch-dictionary", plain, words=4), plain)
    assert np.isfinite(z).all()


def test_what_is_standardised_has_mean_nought_and_spread_one_on_the_images_learned_from():
    images, _ = two_textures(64)
    for name in ("power-spectrum", "colour", "scattering"):
        z = encoded(*built(name, images), images)
        np.testing.assert_allclose(z.mean(0), 0, atol=2e-2)
        assert np.median(z.std(0)) == pytest.approx(1, abs=0.02)
        assert z.std(0).max() < 1.05


def test_of_many_images_some_spread_over_all_say_what_is_standard(monkeypatch):
    images, _ = two_textures(120)
    encoder, network = built("scattering", images)
    whole = encoded(encoder, network, images)
    monkeypatch.setattr(type(encoder), "looked_at", 60)
    seen = []
    monkeypatch.setattr(
        _fixed, "to_input", lambda x, *more: seen.append(len(x)) or to_input(x, *more)
    )
    few = encoded(*built("scattering", images), images)
    assert seen == [60]
    assert 0 < np.abs(few - whole).mean() < 0.2


def test_the_scale_of_pixels_is_nought_to_one():
    for name in ("power-spectrum", "patch-dictionary"):
        encoder, _ = built(name, np.zeros((2, 16, 16, 3), np.uint8))
        assert (encoder.preprocessing.mean, encoder.preprocessing.std) == UNIT
