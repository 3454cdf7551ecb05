"""Noise as a function of (seed, row, level): independence of what else is asked for, and honest distributions."""

import numpy as np
import pytest
import torch
from scipy import stats

from condvae.noise import Given, RowNoise, Stream, combine, mix, seed_of, turned


@pytest.mark.parametrize("event", [1, 2, 5, 40])
def test_a_row_does_not_depend_on_the_rows_beside_it(event):
    many = RowNoise(7, np.arange(1000)).normal((1000, event), 0)
    few = RowNoise(7, np.array([3, 999])).normal((2, event), 0)
    assert torch.equal(few, many[[3, 999]])


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_the_first_samples_do_not_depend_on_their_number(kind, rows):
    noise = RowNoise(1, np.arange(rows))
    few, many = (getattr(noise, kind)((k, rows, 3), 2) for k in (3, 8))
    assert torch.equal(few, many[:3])


def test_pairs_name_rows_and_their_order_counts():
    pairs = RowNoise(0, np.array([[0, 1], [1, 0], [1, 1]])).normal((3, 4), 0)
    assert len({tuple(row.tolist()) for row in pairs}) == 3
    assert torch.equal(RowNoise(0, np.array([[1, 0]])).normal((1, 4), 0)[0], pairs[1])


def test_seeds_levels_and_kinds_have_noise_of_their_own():
    rows = np.arange(4000)
    drawn = [
        RowNoise(0, rows).uniform((4000, 1), 0),
        RowNoise(0, rows).uniform((4000, 1), 1),
        RowNoise(1, rows).uniform((4000, 1), 0),
        # a level may draw one of each: a component by a uniform, then a normal within it
        torch.special.ndtr(RowNoise(0, rows).normal((4000, 1), 0)),
        RowNoise(0, rows).normal((4000, 2), 0).square().sum(1, keepdim=True),
    ]
    correlation = np.corrcoef(torch.cat(drawn, 1).numpy().T) - np.eye(5)
    correlation[3, 4] = correlation[4, 3] = 0  # both are of the same normals
    assert abs(correlation).max() < 5 / np.sqrt(4000)


def test_normals_are_numpys_own_box_and_muller_to_the_last_bit():
    rows = np.arange(40)
    unit = (RowNoise(9, rows)._words(300, 4, 26, 0) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    radius, angle = np.sqrt(-2.0 * np.log1p(-unit[..., :13])), 2.0 * np.pi * unit[..., 13:]
    exact = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], -1).astype(np.float32)
    assert np.array_equal(RowNoise(9, rows).normal((300, 40, 25), 4).numpy(), exact.transpose(1, 0, 2)[..., :25])
    edges = [0, 5, 2**64 - 1]
    assert mix(np.array(edges, np.uint64)).tolist() == [plain_mix(word) for word in edges]


def plain_mix(word: int) -> int:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        word = ((word ^ (word >> shift)) * factor) % 2**64
    return word


def test_next_to_the_middle_of_two_float32_numpys_cosine_is_taken(monkeypatch):
    """A cosine that is off by 20 float64 steps, and ties in every place: without the check both would round wrongly."""
    angle = 2.0 * np.pi * np.random.default_rng(0).random(1000)
    exact = np.cos(angle)
    ties = (exact.view(np.uint64) & ~np.uint64(2**29 - 1) | np.uint64(2**28)).view(np.float64)
    radius = ties / exact  # so that radius * cos(angle) lies next to the middle of two float32
    off = torch.cos
    monkeypatch.setattr(torch, "cos", lambda x: off(x) * (1 + 20 * 2.0**-53))
    wrong = (radius * torch.cos(torch.from_numpy(angle)).numpy()).astype(np.float32)
    found = turned(radius, angle).astype(np.float32)
    right = np.concatenate([radius * exact, radius * np.sin(angle)]).astype(np.float32)
    assert (wrong != right[:1000]).any() and np.array_equal(found, right)


def test_distributions():
    noise = RowNoise(11, np.arange(200))
    normal, uniform = noise.normal((200, 101), 0).flatten(), noise.uniform((200, 101), 0).flatten()
    assert stats.kstest(normal.numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-3
    assert uniform.min() >= 0 and uniform.max() < 1
    assert abs(np.corrcoef(noise.normal((200, 6), 3).numpy().T) - np.eye(6)).max() < 5 / np.sqrt(200)


def test_mixing_is_a_bijection_and_seeds_fit_torch():
    words = np.arange(100_000, dtype=np.uint64)
    assert len(np.unique(mix(words))) == len(words)
    assert len({int(combine(a, b)) for a in range(100) for b in range(100)}) == 10_000
    assert all(0 <= seed_of(s, 1) < 2**63 for s in (0, -1, 2**64 - 1))
    torch.Generator().manual_seed(seed_of(2**64 - 1, 3))


def test_shapes_that_name_no_row_are_refused():
    with pytest.raises(ValueError, match="must be"):
        RowNoise(0, np.arange(3)).normal((4, 5), 0)


def test_noise_leaves_the_global_random_states_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    RowNoise(0, np.arange(3)).normal((3, 2), 0)
    Stream(seed=1).normal((3, 2), 0)
    Stream().uniform((3, 2), 0)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]


def test_streams_repeat_by_seed_and_given_noise_is_passed_on():
    assert torch.equal(Stream(seed=5).normal((2, 3), 0), Stream(seed=5).normal((2, 3), 1))
    normal = torch.tensor([[0.0, 1.0]])
    given = Given([normal])
    assert torch.equal(given.normal((4, 1, 2), 0), normal.expand(4, 1, 2))
    assert torch.allclose(given.uniform((1, 2), 0), torch.tensor([[0.5, 0.84134]]), atol=1e-4)
