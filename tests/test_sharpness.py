"""Sharpness against closed forms, and what is said of it."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from condvae import sharpness as module
from condvae.distances import ratio_of_means
from condvae.findings import Sharpness
from condvae.sharpness import gradient_energy, sharpness
from condvae.verdicts_likeness import about_sharpness


def energy(picture: torch.Tensor) -> float:
    return gradient_energy(picture[None, None]).item()


def test_an_even_picture_has_none_and_a_ramp_that_of_its_slope():
    assert energy(torch.full((5, 7), 0.3)) == 0
    ramp = torch.linspace(0, 1, 9).double().expand(4, 9)
    assert energy(ramp) == pytest.approx(4 * 8 * (1 / 8) ** 2 / 36)
    assert energy(ramp.T) == pytest.approx(energy(ramp))


def test_a_checkerboard_has_every_difference_there_is():
    board = (torch.arange(6)[:, None] + torch.arange(8)) % 2 == 0
    assert energy(board.float()) == pytest.approx((6 * 7 + 5 * 8) / 48)


def test_channels_are_averaged_lines_are_pictures_and_chunks_change_nothing(monkeypatch):
    x = torch.rand(5, 3, 6, 4, generator=torch.Generator().manual_seed(0))
    each = torch.stack([gradient_energy(x[:, [c]]) for c in range(3)]).mean(0)
    torch.testing.assert_close(gradient_energy(x), each)
    monkeypatch.setattr(module, "ENTRIES_AT_ONCE", 2 * 72)
    torch.testing.assert_close(gradient_energy(x), each)
    assert gradient_energy(torch.tensor([0.0, 1, 0]).view(1, 1, 1, 3)).item() == pytest.approx(2 / 3)


def test_half_the_contrast_has_a_quarter_blur_less_and_noise_more():
    x = torch.rand(20, 1, 12, 12, generator=torch.Generator().manual_seed(0)).round()
    real = gradient_energy(x).numpy()
    noise = 0.2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1))

    def found(changed: torch.Tensor) -> Sharpness:
        measured = sharpness(gradient_energy(changed).numpy(), real)
        assert measured is not None
        return measured

    assert found(x).ratio == 1 and found(x).standard_error == 0
    assert found(x / 2).ratio == pytest.approx(0.25)
    assert found(F.avg_pool2d(x, 3, 1, 1)).ratio < 0.2
    even = torch.full_like(x, 0.4)
    assert found((even + noise).clamp(0, 1)).ratio > found(even).ratio == 0


def test_there_is_none_beside_even_pictures_and_no_error_of_one():
    assert sharpness(np.ones(3), np.zeros(3)) is None
    one = sharpness(np.ones(1), np.full(1, 2.0))
    assert one is not None and (one.ratio, one.standard_error) == (0.5, None)
    assert json.loads(one.model_dump_json())["standard_error"] is None


def test_the_error_of_a_ratio_is_its_spread_over_many_samples():
    rng = np.random.default_rng(0)
    real = rng.uniform(1, 3, (2000, 100))
    drawn = 0.6 * real + rng.normal(0, 0.3, real.shape)
    found = [ratio_of_means(a, b) for a, b in zip(drawn, real, strict=True)]
    ratios, errors = np.asarray(found, float).T
    assert ratios.mean() == pytest.approx(0.6, abs=0.005)
    assert errors.mean() == pytest.approx(ratios.std(), rel=0.05)


@pytest.mark.parametrize(("ratio", "word"), [(0.5, "blurry"), (0.95, None), (1.5, "noisier")])
def test_blur_and_noise_are_told_with_a_remedy(ratio, word):
    words = about_sharpness(Sharpness(ratio=ratio, standard_error=0.01, drawings=9), "draw at a lower temperature")
    assert (not words) if word is None else (word in words[0] and f"{ratio:.3f} ± 0.010" in words[0])
    assert about_sharpness(None, "") == []
