"""One stray pixel against six of the stroke, on strokes drawn by hand and on the embedded digits."""

import numpy as np
import pytest
import torch

from condvae.errors import Refused
from condvae.flaws import agreement, argument, one_against_six


def bar() -> torch.Tensor:
    """An upright stroke three pixels wide, rows 8 to 19, columns 13 to 15."""
    x = torch.zeros(28, 28)
    x[8:20, 13:16] = 1
    return x


def ring() -> torch.Tensor:
    """A stroke that ends nowhere."""
    down, across = torch.meshgrid(torch.arange(28) - 13.5, torch.arange(28) - 13.5, indexing="ij")
    away = torch.hypot(down, across)
    return ((away > 6) & (away < 9)).float()


def squared(x: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    return (x - changed).square().sum((1, 2, 3))


def lonely(x: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """The most ink of a changed pixel that the digit has no ink next to."""
    near = torch.nn.functional.max_pool2d(x, 5, 1, 2)
    return ((changed - x).clamp(min=0) * (near == 0)).amax((1, 2, 3))


def test_a_bar_goes_on_at_one_of_its_ends_as_wide_as_it_is():
    x = bar()
    _, harmless = one_against_six(x)
    added = torch.nonzero(harmless != x)
    assert set(added[:, 1].tolist()) == {13, 14, 15}
    assert set(added[:, 0].tolist()) in ({6, 7}, {20, 21})
    assert (harmless[harmless != x] == 1).all()
    assert squared(x[None, None], harmless[None, None]).item() == 6


def test_the_stray_pixel_is_alone_and_is_one():
    x = bar()
    flawed, _ = one_against_six(x)
    ((row, column),) = torch.nonzero(flawed != x).tolist()
    assert flawed[row, column] == 1
    assert torch.hypot(*(torch.nonzero(x).T - torch.tensor([[row], [column]])).float()).min() >= 4


@pytest.mark.parametrize("turns", range(4))
def test_a_slanting_stroke_goes_on_in_its_direction(turns):
    x = torch.zeros(28, 28)
    for i in range(8, 20):
        x[i, i - 1 : i + 2] = 1
    x = torch.rot90(x, turns)
    _, harmless = one_against_six(x)
    added = torch.nonzero(torch.rot90(harmless, -turns) - torch.rot90(x, -turns)).float()
    assert len(added) == 6
    assert (added[:, 0] - added[:, 1]).abs().max() <= 2  # along the diagonal
    assert (added.mean(0) < 8).all() or (added.mean(0) > 19).all()


def test_a_ring_is_thicker_at_one_place_of_its_outside():
    x = ring()
    _, harmless = one_against_six(x)
    added = torch.nonzero(harmless != x).float()
    away = torch.hypot(*(added - 13.5).T)
    assert len(added) == 6 and ((away >= 9) & (away < 10.5)).all()
    assert (added.amax(0) - added.amin(0)).max() <= 6


def test_a_stroke_does_not_run_into_another():
    x = bar()
    x[5, 8:21] = 1  # two blank rows above the bar: it goes on below
    _, harmless = one_against_six(x)
    rows = torch.nonzero(harmless != x)[:, 0]
    assert len(rows) == 6 and (rows >= 5).all() and not ((rows == 6) | (rows == 7)).any()


def test_shapes_are_kept_and_the_digit_is_left_as_it_is():
    x = bar()[None]
    before = x.clone()
    flawed, harmless = one_against_six(x)
    assert flawed.shape == harmless.shape == x.shape and flawed.dtype == x.dtype
    assert torch.equal(x, before)
    assert torch.equal(one_against_six(bar())[1], harmless[0])


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(28, 28), "must show a stroke"),
        (torch.ones(28, 28), "room 4 pixels away"),
        (torch.ones(3, 28, 28), "grey digit"),
        (255 * torch.ones(28, 28), "divide 0..255"),
        (torch.full((28, 28), torch.nan), r"\[0, 1\]"),
    ],
)
def test_what_is_no_digit_is_refused(x, words):
    with pytest.raises(Refused, match=words):
        one_against_six(x)


def test_squared_error_never_agrees_with_people_and_what_sees_loneliness_does():
    x = torch.stack([bar(), ring(), bar().T, torch.ones(28, 28)])[:, None]
    found = agreement(x, {"squared error": squared, "lonely": lonely, "equal": lambda a, b: torch.zeros(len(a))})
    assert {name: (share.right, share.of) for name, share in found.items()} == {
        "squared error": (0, 3),
        "lonely": (3, 3),
        "equal": (0, 3),
    }
    with pytest.raises(Refused, match="must hold a digit"):
        agreement(x[3:], {"squared error": squared})
    with pytest.raises(Refused, match=r"\[N, 1, H, W\]"):
        agreement(bar(), {"squared error": squared})


def test_the_figure_marks_what_a_ranking_calls_worse():
    plain, other = (np.asarray(argument(bar(), {"it": ranking})) for ranking in (squared, lonely))
    assert plain.shape == other.shape
    under = slice(plain.shape[0] * 6 // 8, None)
    third = plain.shape[1] // 3

    def marked(picture: np.ndarray) -> list[bool]:
        """Which panels have coloured text under them."""
        text = picture[under].astype(int)
        coloured = text.max(2) - text.min(2) > 60
        return [bool(coloured[:, i * third : (i + 1) * third].any()) for i in range(3)]

    assert marked(plain) == [False, False, True] and marked(other) == [False, True, False]
    with pytest.raises(Refused, match="rankings"):
        argument(bar(), {})
