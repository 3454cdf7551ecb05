"""Structural similarity against its definition, written out pixel by pixel."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from condvae import similarity
from condvae.errors import Refused
from condvae.similarity import ssim


def pictures(n: int = 3, channels: int = 2, height: int = 15, width: int = 13, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed))


def slow(x: np.ndarray, y: np.ndarray, side: int) -> float:
    """The paper's equations 13 to 16 of two grey pictures [H, W], window by window."""
    half = side // 2
    weights = np.array(
        [[math.exp(-(i * i + j * j) / 4.5) for j in range(-half, half + 1)] for i in range(-half, half + 1)]
    )
    weights /= weights.sum()
    found = []
    for top in range(x.shape[0] - side + 1):
        for left in range(x.shape[1] - side + 1):
            a, b = (one[top : top + side, left : left + side] for one in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            shared = (weights * (a - mean_a) * (b - mean_b)).sum()
            bright = (2 * mean_a * mean_b + 0.0001) / (mean_a**2 + mean_b**2 + 0.0001)
            found.append(bright * (2 * shared + 0.0009) / (var_a + var_b + 0.0009))
    return float(np.mean(found))


@pytest.mark.parametrize(("height", "width", "side"), [(15, 13, 11), (8, 12, 7), (5, 5, 5)])
def test_it_is_the_definition_written_out(height, width, side):
    x, y = pictures(2, 2, height, width), pictures(2, 2, height, width, seed=1)
    a, b = x.double().numpy(), y.double().numpy()
    expected = [np.mean([slow(a[i, c], b[i, c], side) for c in range(2)]) for i in range(2)]
    np.testing.assert_allclose(ssim(x, y), expected, rtol=1e-10)


def test_a_picture_is_wholly_alike_to_itself_and_likeness_is_mutual():
    x, y = pictures(), pictures(seed=1)
    np.testing.assert_allclose(ssim(x, x), 1, rtol=1e-12)
    assert torch.equal(ssim(x, y), ssim(y, x))
    assert (ssim(x, y) < 0.5).all()


def test_even_pictures_differ_by_their_brightness_alone():
    x, y = torch.full((1, 1, 12, 12), 0.2), torch.full((1, 1, 12, 12), 0.6)
    assert ssim(x, y).item() == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.04 + 0.36 + 1e-4), rel=1e-6)


def test_a_picture_and_its_negative_have_opposite_structure():
    x = 0.5 + 0.4 * torch.where(torch.arange(16) % 2 == 0, 1.0, -1.0).expand(1, 1, 16, 16)
    assert ssim(x, 1 - x).item() < -0.95


def test_blur_is_worse_than_a_little_brightness_of_equal_squared_error():
    x = 0.2 + 0.6 * pictures(4, 1, 28, 28)
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)
    shift = (blurred - x).square().mean((1, 2, 3), keepdim=True).sqrt()
    assert (ssim(x, blurred) < ssim(x, x + shift)).all()


def test_chunks_change_nothing(monkeypatch):
    x, y = pictures(7), pictures(7, seed=1)
    whole = ssim(x, y)
    monkeypatch.setattr(similarity, "ENTRIES_AT_ONCE", 2 * x[0].numel())
    assert torch.equal(ssim(x, y), whole) and whole.shape == (7,)


def test_pictures_that_cannot_be_compared_are_refused():
    with pytest.raises(Refused, match="of one shape"):
        ssim(pictures(3), pictures(2))
    with pytest.raises(Refused, match="of one shape"):
        ssim(pictures()[0], pictures()[0])
