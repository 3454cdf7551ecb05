"""Holes: their geometry at any size, their shares, and that a row's mask is a function of its own noise alone."""

import numpy as np
import pytest
import torch

from condvae import holes
from condvae.errors import Refused
from condvae.holes import HOLE_LEVEL, KINDS, SHARES, seen_masks
from condvae.noise import RowNoise, Stream

SIZES = [(28, 28), (37, 53), (8, 8), (3, 5)]


def masks(kind, rows=60, size=(28, 28), seed=0):
    return seen_masks(kind, rows, size[0], size[1], RowNoise(seed, np.arange(rows)))


def filled_box(mask):
    """Whether what is True of a mask [H, W] is one box of at least a pixel."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return len(rows) > 0 and mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_masks_of_any_size_hide_something(kind, size):
    seen = masks(kind, 60, size)
    assert seen.shape == (60, 1, *size) and seen.dtype == torch.bool
    assert (~seen).flatten(1).any(1).all()
    if kind == "nothing":
        assert not seen.any()
    elif kind not in ("strokes", "pixels", "any"):
        assert seen.flatten(1).any(1).all()


def test_fixed_quadrants_and_where_odd_sizes_are_cut():
    top, left = slice(0, 18), slice(0, 26)  # of 37 rows and 53 columns
    one, two, three = (masks(f"quadrants-{n}", 2, (37, 53))[:, 0] for n in (1, 2, 3))
    assert one[:, 18:, left].all() and one.sum() == 2 * 19 * 26
    assert two[:, :, left].all() and two.sum() == 2 * 37 * 26
    assert not three[:, 18:, 26:].any() and three[:, top].all() and three[:, :, left].all()


def test_quadrants_one_to_three_and_halves_all_four():
    seen = masks("quadrants", 400)[:, 0, [0, 0, 27, 27], [0, 27, 0, 27]]
    counts = torch.bincount(seen.sum(1), minlength=5)
    assert counts[0] == counts[4] == 0 and (counts[1:4] > 90).all()
    assert len(seen.unique(dim=0)) == 14
    assert len(masks("halves", 100).flatten(1).unique(dim=0)) == 4
    assert (masks("halves", 100).flatten(1).sum(1) == 14 * 28).all()


@pytest.mark.parametrize("size", SIZES)
def test_boxes_are_hidden_and_inner_boxes_seen(size):
    for mask in ~masks("boxes", 80, size)[:, 0].numpy():
        assert filled_box(mask) and mask.any(0).sum() <= max(1, 3 * size[1] // 4)
    inner = masks("outpainting", 200, size)[:, 0].numpy()
    assert all(filled_box(mask) for mask in inner)
    reached = inner.any(0)  # a box may lie anywhere
    assert reached.any(0).all() and reached.any(-1).all()


def test_strokes_are_near_their_lines():
    numbers = torch.full((1, holes.NUMBERS - 1), 0.25)
    numbers[0, 0] = 0.0  # one stroke
    numbers[0, 2:8] = torch.tensor([0.5, 0.25, 0.5, 0.75, 0.5, 0.5])  # along the middle row
    drawn = holes.strokes(numbers, 40, 40)[0]
    half = 40 * (0.05 + 0.25 * 0.08)
    y, x = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    beside = (x - x.clamp(10, 30)).square() + (y - 20).square()
    assert torch.equal(drawn, beside <= half**2) and drawn.any()
    numbers[0, 0] = 0.99  # three
    numbers[0, 8:] = torch.linspace(0, 0.9, holes.NUMBERS - 9)
    assert holes.strokes(numbers, 40, 40)[0].sum() > drawn.sum()


def test_pixels_are_scattered_from_few_to_most():
    seen = masks("pixels", 500)[:, 0].float()
    share = seen.mean((1, 2))
    assert share.min() < 0.03 and share.max() > 0.96 and abs(share.mean() - 0.5) < 0.05
    place = seen.mean(0)  # no place is preferred, and neighbours know nothing of each other
    assert place.min() > 0.35 and place.max() < 0.65
    spread = seen - share[:, None, None]
    assert abs((spread[:, :, 1:] * spread[:, :, :-1]).mean()) < 0.005


def test_any_draws_every_kind_by_its_share():
    assert abs(sum(SHARES.values()) - 1) < 1e-9
    assert abs(sum(SHARES[f"quadrants-{n}"] for n in (1, 2, 3)) - 1 / 3) < 0.01
    seen = seen_masks("any", 8000, 8, 8, Stream(seed=0))
    for kind in ("nothing", "quadrants-1", "quadrants-2", "quadrants-3"):
        same = (seen == seen_masks(kind, 1, 8, 8, Stream(seed=0))).flatten(1).all(1).float().mean()
        assert SHARES[kind] - 0.02 < same < SHARES[kind] + 0.05, kind  # random kinds draw these, too


def test_any_is_a_mixture_of_the_kinds_themselves():
    """Rows of "any" are bitwise what their kind alone would have drawn."""
    mixed = masks("any", 200)
    alone = torch.stack([masks(kind, 200) for kind in SHARES])
    matching = (mixed == alone).flatten(2).all(2)
    assert matching.any(0).all() and matching.any(1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_depends_on_its_own_noise_alone(kind):
    many = masks(kind, 70, (13, 17))
    few = seen_masks(kind, 3, 13, 17, RowNoise(0, np.array([5, 69, 31])))
    assert torch.equal(few, many[[5, 69, 31]])
    if kind not in ("nothing", "quadrants-1", "quadrants-2", "quadrants-3"):
        assert not torch.equal(many, masks(kind, 70, (13, 17), seed=1))


def test_noise_is_read_once_and_no_global_state_is_touched():
    calls = []

    class Counted(Stream):
        def uniform(self, shape, level):
            calls.append((shape[0], level))
            return super().uniform(shape, level)

    before = torch.get_rng_state()
    seen_masks("any", 9, 8, 8, Counted(seed=1))
    assert calls == [(9, HOLE_LEVEL)] and torch.equal(before, torch.get_rng_state())


def test_the_largest_uniform_stays_inside():
    class Edge:
        def uniform(self, shape, level):
            return torch.full(tuple(shape), 1 - 2.0**-24)

        normal = uniform

    for kind in KINDS:
        assert seen_masks(kind, 2, 37, 53, Edge()).shape == (2, 1, 37, 53)


def test_unknown_kinds_are_refused_with_a_hint():
    with pytest.raises(Refused, match="did you mean 'strokes'"):
        seen_masks("stroke", 1, 8, 8, Stream(seed=0))
