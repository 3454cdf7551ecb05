"""Windows of Gaussian filters: against the equations written out, closed forms, and the edges of what may be asked."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from condvae.glimpses import (
    GlimpseReader,
    GlimpseWriter,
    PictureReader,
    PictureWriter,
    Window,
    read,
    tiling,
    window_of,
    write,
)

FLAT = math.log(1e-9)  # a log variance below every bound


def asked(rows: int, seed: int = 0, spread: float = 0.7) -> Tensor:
    return spread * torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed))


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9))


def pixel(value: float, length: int) -> float:
    """What to ask for so that the centre is at this pixel, counted from 0."""
    return (value + 1) * 2 / (length + 1) - 1


@pytest.mark.parametrize(("n", "height", "width"), [(1, 6, 6), (2, 6, 9), (5, 11, 7)])
def test_filters_are_those_of_the_paper_written_out(n: int, height: int, width: int) -> None:
    raw = asked(4)
    found = window_of(raw, n, height, width).filters(n, height, width)
    for row, (y, x, log_variance, log_stride, _) in enumerate(raw.double().tolist()):
        stride = (max(height, width) - 1) / max(n - 1, 1) * math.exp(log_stride)
        for bank, ask, length in zip(found, (y, x), (height, width), strict=True):
            centre = (length + 1) / 2 * (ask + 1)
            for i in range(1, n + 1):
                mean = centre + (i - n / 2 - 0.5) * stride
                weights = [math.exp(-((a - mean) ** 2) / (2 * math.exp(log_variance))) for a in range(1, length + 1)]
                if sum(weights) == 0:
                    continue
                wanted = torch.tensor(weights) / sum(weights)
                assert torch.allclose(bank[row, i - 1], wanted, atol=1e-5)


def test_a_window_as_wide_as_it_starts_spans_the_longer_side() -> None:
    window = window_of(torch.zeros(1, 5), 3, 5, 9)
    assert (float(window.y), float(window.x), float(window.stride)) == (2, 4, 4)  # pixels 0, 4, 8 of nine
    assert float(window.variance) == float(window.intensity) == 1


def test_a_narrow_filter_reads_its_pixel() -> None:
    x = noise(1, 3, 6, 9)
    raw = torch.tensor([[pixel(4, 6), pixel(7, 9), FLAT, 0.0, math.log(2.0)]])
    assert torch.allclose(read(x, window_of(raw, 1, 6, 9), 1), 2 * x[:, :, 4:5, 7:8])


def test_narrow_filters_a_pixel_apart_cut_out_the_middle() -> None:
    x = noise(2, 1, 9, 7)
    raw = torch.tensor([[0.0, 0.0, FLAT, math.log(2 / 8), 0.0]]).expand(2, 5)
    window = window_of(raw, 3, 9, 7)
    assert torch.allclose(read(x, window, 3), x[:, :, 3:6, 2:5], atol=1e-5)
    ink = write(x[:, :, :3, :3], window, 9, 7)
    assert torch.allclose(ink[:, :, 3:6, 2:5], x[:, :, :3, :3], atol=1e-5)
    assert ink.abs().sum() == pytest.approx(float(x[:, :, :3, :3].abs().sum()), rel=1e-5)  # and nothing beside it


@pytest.mark.parametrize("n", [1, 4])
def test_writing_is_the_adjoint_of_reading(n: int) -> None:
    x, patch, raw = noise(5, 3, 8, 6).double(), noise(5, 3, n, n), asked(5)
    at_one = window_of(raw * torch.tensor([1, 1, 1, 1, 0]), n, 8, 6)
    there = (read(x.float(), at_one, n) * patch).sum((1, 2, 3))
    back = (x.float() * write(patch, at_one, 8, 6)).sum((1, 2, 3))
    assert torch.allclose(there, back, atol=1e-4)
    other = window_of(raw, n, 8, 6)  # intensity multiplies what is read and divides what is written
    scale = other.intensity[:, None, None, None]
    assert torch.allclose(read(x.float(), other, n), scale * read(x.float(), at_one, n), rtol=1e-4, atol=1e-5)
    assert torch.allclose(write(patch, other, 8, 6), write(patch, at_one, 8, 6) / scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("far", [0.0, 50.0, -1e4])
@pytest.mark.parametrize("narrow", [-60.0, 60.0])
def test_however_far_and_narrow_all_stays_finite_and_weights_sum_to_one(far: float, narrow: float) -> None:
    raw = torch.tensor([[far, -far, narrow, 60.0, -60.0], [far, 0.2, narrow, -60.0, 60.0]], requires_grad=True)
    window = window_of(raw, 3, 6, 9)
    for bank in window.filters(3, 6, 9):
        assert torch.allclose(bank.sum(-1), torch.ones(2, 3), atol=1e-5)
    seen, ink = read(noise(2, 1, 6, 9), window, 3), write(noise(2, 1, 3, 3), window, 6, 9)
    assert seen.isfinite().all() and ink.isfinite().all()
    (seen.square().mean() + ink.square().mean()).backward()
    assert raw.grad is not None and raw.grad.isfinite().all()


def test_a_window_moves_by_its_gradient_towards_what_is_to_be_read() -> None:
    x = torch.zeros(1, 1, 9, 9)
    x[..., 2, 6] = 1
    raw = torch.tensor([[0.0, 0.0, math.log(9.0), -1.0, 0.0]], requires_grad=True)
    read(x, window_of(raw, 1, 9, 9), 1).sum().backward()
    assert raw.grad is not None
    assert raw.grad[0, 0] < 0 < raw.grad[0, 1]  # up, and to the right


@pytest.mark.parametrize(("n", "side"), [(2, 28), (5, 28), (8, 32), (1, 9)])
def test_windows_start_by_tiling_the_picture(n: int, side: int) -> None:
    window = window_of(tiling(n, side, side)[None], n, side, side)
    assert float(window.stride) == pytest.approx(side / n, rel=1e-5)
    assert float(window.variance.sqrt()) == pytest.approx(side / n / 2, rel=1e-5)
    centres = float(window.y) + float(window.stride) * (torch.arange(n) - (n - 1) / 2)
    assert float(centres[0] + 0.5) == pytest.approx(side / n / 2, abs=1e-4)  # half a stride from the picture's edge


@pytest.mark.parametrize("n", [2, 5, 7])
def test_a_patch_of_ones_at_first_darkens_the_canvas_by_about_one(n: int) -> None:
    writer = GlimpseWriter(6, (1, 28, 28), n)
    with torch.no_grad():
        writer.linear.weight.zero_()
        writer.linear.bias[5:] = 1
        ink, window = writer(torch.zeros(1, 6))
    assert window is not None and float(ink.mean()) == pytest.approx(1, abs=1e-5)


def test_half_precision_leaves_filters_as_they_are() -> None:
    x, window = noise(2, 1, 8, 8), window_of(asked(2), 3, 8, 8)
    plain = read(x, window, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain, read(x, window, 3))
        assert write(plain, window, 8, 8).dtype == torch.float32


def test_readers_and_writers_have_the_sizes_they_say() -> None:
    shape, rows, hidden = (3, 5, 7), 4, 6
    x, error, output = noise(rows, *shape), noise(rows, *shape), noise(rows, hidden)
    for reader in (GlimpseReader(hidden, shape, 2), PictureReader(shape)):
        seen, window = reader(x, error, output)
        assert seen.shape == (rows, reader.moves) and reader.stay(x).shape == (rows, reader.stays)
        assert isinstance(window, Window) == isinstance(reader, GlimpseReader)
    for writer in (GlimpseWriter(hidden, shape, 2), PictureWriter(hidden, shape)):
        assert writer(output)[0].shape == (rows, *shape)
    with_window = GlimpseReader(hidden, shape, 2)
    seen, window = with_window(x, error, output)
    assert torch.allclose(seen, torch.cat([read(x, window, 2), read(error, window, 2)], 1).flatten(1))
    assert torch.equal(PictureReader(shape)(x, error, output)[0], error.flatten(1))
