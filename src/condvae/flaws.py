"""Two small changes of a digit, one that people mind and one that they do not, and what a measure makes of them.

One stray pixel far from the stroke is a flaw; six pixels more at the stroke's end are none. Squared error holds the
first to be several times nearer to the digit than the second. Source of the argument: Hung-yi Lee, "Unsupervised
Learning: Deep Generative Model (Part II)", lecture, 2016, which says by it what a VAE judged by pixels cannot learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from matplotlib.axes import Axes
from PIL.Image import Image
from scipy import ndimage
from torch import Tensor

from condvae import fonts
from condvae.errors import Refused
from condvae.figures import DPI, INK, SOFT, WIDTH, figure, head, rendered, write
from condvae.findings import Share
from condvae.sheets import pixels

__all__ = ["agreement", "argument", "one_against_six"]

Ranking = Callable[[Tensor, Tensor], Tensor]

MORE = 6  # pixels by which the stroke goes on
FAR = 4.0  # pixels from any trace of ink to the stray one, at least
TRACE, STROKE = 0.05, 0.5  # grey from which a pixel is not blank, and from which it is part of the stroke
AROUND = 5  # pixels: what of the stroke lies so near tells whether it ends there, and which way it goes
GAIN = 0.4  # grey by which each of the six changes, at least
TAPER = 0.2  # grey that a pixel farther ahead must have more, so that the stroke goes on without gaps
STEPS = (2, 3, 4, 5, 6)  # pixels by which a stroke is carried on; a thinner one must go farther
CLEAR = 2  # pixels to another part of the stroke
LINE = 0.24  # inches from one line of the figure to the next
MARK = "#b8443c"

DOWN, ACROSS = np.mgrid[-AROUND : AROUND + 1, -AROUND : AROUND + 1]
DISC = np.hypot(DOWN, ACROSS) <= AROUND + 0.5
RING = DISC & (np.hypot(DOWN, ACROSS) > AROUND - 1)
EIGHT = np.ones((3, 3), int)  # pixels of ink that touch at a corner are joined, blank ones are not
FOUR = np.asarray([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def argument(x: Tensor, rankings: Mapping[str, Ranking]) -> Image:
    """The digit, the flawed and the harmless one side by side, and under the two how far each ranking holds them off.

    What a ranking calls the worse of the two is marked.

    Args:
        x: a digit as in `one_against_six`.
        rankings: name -> distance of pictures [N, 1, H, W] to changed ones, larger = worse, [N].

    Raises:
        Refused: as in `one_against_six`, or without a ranking.
    """
    if not rankings:
        raise Refused("rankings must hold at least one distance by name; it came empty")
    changes = one_against_six(x)
    digit, flawed, harmless = (one.reshape(1, 1, *x.shape[-2:]) for one in (x, *changes))
    drawing, axes = figure(3, size=(WIDTH, WIDTH / 3 + 0.35 + LINE * len(rankings)), columns=3)
    names = ("a real digit", "one stray pixel", "six pixels longer")
    for place, picture, name in zip(axes, (digit, flawed, harmless), names, strict=True):
        place.imshow(pixels(picture[0]), interpolation="nearest")
        place.set_axis_off()
        head(place, name)
    for line, (name, ranking) in enumerate(rankings.items()):
        far = [float(ranking(digit, one)) for one in (flawed, harmless)]
        place_line(axes[0], line, name, INK)
        for place, own, other in zip(axes[1:], far, far[::-1], strict=True):
            worse = own > other
            place_line(place, line, f"{own:#.3g}{', the worse' if worse else ''}", MARK if worse else SOFT)
    return rendered(drawing)


def place_line(axes: Axes, line: int, text: str, colour: str) -> None:
    """Write a line of text under a panel."""
    made = axes.annotate(
        "", (0, 0), (0, -9 - 72 * LINE * line), "axes fraction", "offset points", color=colour, va="top"
    )
    write(made, fonts.fit(text, 11 * DPI / 72, WIDTH / 3 * DPI - 10)[0], 11)


def agreement(x: Tensor, rankings: Mapping[str, Ranking]) -> dict[str, Share]:
    """Ranking -> in how many of the digits [N, 1, H, W] it agrees with people: the flaw is worse than the six pixels.

    Digits without room for both are passed over. A distance that calls both equally bad does not agree.

    Raises:
        Refused: digits of another shape or range, or none with room for both.
    """
    if x.ndim != 4:
        raise Refused(f"x must be digits [N, 1, H, W]; got {list(x.shape)}")
    digits, flawed, harmless = [], [], []
    for digit in x:
        with suppress(NoRoom):
            changes = one_against_six(digit)
            for kept, picture in zip((digits, flawed, harmless), (digit, *changes), strict=True):
                kept.append(picture)
    if not digits:
        raise Refused("x must hold a digit with room for a stray pixel and a longer stroke; take other digits")
    real, bad, good = (torch.stack(part) for part in (digits, flawed, harmless))
    return {
        name: Share(right=int((ranking(real, bad) > ranking(real, good)).sum()), of=len(real))
        for name, ranking in rankings.items()
    }


class NoRoom(Refused):
    """A digit that one of the two changes cannot be made of."""


def one_against_six(x: Tensor) -> tuple[Tensor, Tensor]:
    """(flawed, harmless) of a digit [H, W] or [1, H, W], grey in [0, 1] on black, in its own shape; x is left as it is.

    flawed: one blank pixel is full ink, the one nearest to the picture's middle of those that lie 4 pixels or more from
    any trace of ink. harmless: six pixels that touch the stroke are as dark as it is there, where it ends and in the
    direction in which it ends; a stroke without an end is that much thicker at one place.

    Raises:
        Refused: x of another shape or range, without a stroke, or without room for one of the two.
    """
    if x.ndim not in (2, 3) or (x.ndim == 3 and len(x) != 1) or not x.numel():
        raise Refused(f"x must be a grey digit [H, W] or [1, H, W]; got {list(x.shape)}")
    grey = x.detach().cpu().double().numpy().reshape(x.shape[-2:])
    if not (grey.min() >= 0 and grey.max() <= 1):
        raise Refused("x must lie in [0, 1]; divide 0..255 by 255")
    flawed, harmless = grey.copy(), grey.copy()
    flawed[stray(grey)] = 1.0
    places, ink = longer(grey)
    harmless[tuple(places.T)] = ink
    return torch.from_numpy(flawed).to(x).reshape(x.shape), torch.from_numpy(harmless).to(x).reshape(x.shape)


def stray(grey: np.ndarray) -> tuple[int, int]:
    """Where one pixel of ink is a flaw in the picture [H, W]."""
    away = np.asarray(ndimage.distance_transform_edt(grey < TRACE))
    middle = np.hypot(*(np.indices(grey.shape) - (np.asarray(grey.shape)[:, None, None] - 1) / 2))
    middle[(away < FAR) | (away == 0)] = np.inf
    row, column = np.unravel_index(middle.argmin(), middle.shape)
    if not np.isfinite(middle[row, column]):
        raise NoRoom(f"x must leave room {FAR:g} pixels away from its ink for a stray pixel; take a smaller digit")
    return int(row), int(column)


def longer(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places of six pixels [6, 2] by which the stroke in the picture [H, W] may go on, their grey [6])."""
    stroke = grey > STROKE
    if not stroke.any():
        raise NoRoom(f"x must show a stroke, pixels above {STROKE:g}; it shows none")
    for tip in tips(stroke):
        for steps in STEPS if tip.end else (1,):
            places, ink = carried_on(grey, tip, steps)
            if len(places) == MORE and in_the_open(stroke, tip, places):
                return places, ink
    raise NoRoom("x must show a stroke with blank room beside it; take another digit")


def in_the_open(stroke: np.ndarray, tip: Tip, places: np.ndarray) -> bool:
    """Whether these places [6, 2] lie off the picture's edge and near no part of the stroke but that around the tip."""
    if (places < 1).any() or (places >= np.asarray(stroke.shape) - 1).any():
        return False
    near = np.zeros_like(stroke)
    near[tuple(places.T)] = True
    joined = parts_of(near | tip.around)[1] == 1
    return joined and not (ndimage.binary_dilation(near, EIGHT, CLEAR) & stroke & ~tip.around).any()


def parts_of(mask: np.ndarray, joined: np.ndarray = EIGHT) -> tuple[np.ndarray, int]:
    """What hangs together in a mask [H, W], numbered from 1, and how many parts there are."""
    return cast(tuple[np.ndarray, int], ndimage.label(mask, joined))


@dataclass(frozen=True)
class Tip:
    """A place of a stroke beyond which lies nothing: whether the stroke ends there, how far what lies around leans to
    the other side, pixels, and what lies around it [H, W], bool."""

    end: bool
    lean: float
    towards: np.ndarray
    around: np.ndarray


def tips(stroke: np.ndarray) -> list[Tip]:
    """The places of the stroke [H, W], bool, beyond which it may go on, the clearest end first.

    A stroke ends where, of what hangs together around a place, a ring is met once only; there what lies around is
    farthest to one side.
    """
    wide = np.pad(stroke, AROUND)
    found: list[Tip] = []
    for row, column in np.argwhere(stroke):
        window = (slice(row, row + 2 * AROUND + 1), slice(column, column + 2 * AROUND + 1))
        parts, _ = parts_of(wide[window] & DISC)
        own = parts == parts[AROUND, AROUND]
        end = parts_of(own & RING)[1] == 1 and parts_of(~np.pad(own, 1), FOUR)[1] == 1  # and no loop
        mean = np.asarray([DOWN[own].mean(), ACROSS[own].mean()])
        around = np.zeros_like(wide)
        around[window] = own
        inner = around[AROUND:-AROUND, AROUND:-AROUND]
        found.append(Tip(end, float(np.hypot(*mean)), -mean, inner))
    return sorted(found, key=lambda one: (not one.end, -one.lean))


def carried_on(grey: np.ndarray, tip: Tip, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Six pixels, fewer where there is no room, that become stroke where the picture [H, W] is moved by so many steps
    in the direction of a tip: (places [6, 2], their grey then [6]).

    So the stroke goes on as wide and as soft as it was. Of a stroke that ends, the pixels next to its end; else those
    next to the tip.
    """
    own = np.argwhere(tip.around)
    middle = own.mean(0)
    towards = direction(tip, own - middle)
    moved = ndimage.shift(grey, steps * towards, order=1)
    gain = moved - grey
    blank = np.argwhere((grey <= STROKE) & (moved > STROKE) & (gain > GAIN))
    across = np.asarray([towards[1], -towards[0]])
    band = np.abs((own - middle) @ across).max() + 1
    ahead, beside = (blank - middle) @ towards, np.abs((blank - middle) @ across)
    fits = (beside <= band) & (ahead > ((own - middle) @ towards).max() - 2)
    worth = gain[tuple(blank.T)] - TAPER * ahead if tip.end else -beside
    places = blank[fits][np.argsort(-worth[fits], kind="stable")[:MORE]]
    return places, moved[tuple(places.T)]


def direction(tip: Tip, own: np.ndarray) -> np.ndarray:
    """Where the stroke goes at a tip, a unit vector (down, across): the longer axis of what lies around, which is
    centred [P, 2], unless that is wider than long."""
    axis = np.linalg.svd(own, full_matrices=False)[2][0]
    along = float(axis @ tip.towards)
    return axis * np.sign(along) if abs(along) > 0.7 * tip.lean > 0 else tip.towards / max(tip.lean, 1e-9)
