"""Holes: which pixels of an image are seen, and which a model has to fill in.

`seen_masks` draws one mask a row, True where a pixel is seen. A row's mask is a function of its own numbers alone,
which come from outside in one call, so that it depends neither on the rows beside it nor on a global random state.

The three fixed quadrants are those of Pyro's conditional VAE (after Sohn, Lee, Yan, "Learning Structured Output
Representation using Deep Conditional Generative Models", 2015). A picture is cut at row H // 2 and column W // 2: of 37
rows the upper half holds 18 and the lower 19, and of 53 columns the left half 26 and the right 27.
"""

from __future__ import annotations

import torch
from torch import Tensor

from condvae.errors import Refused, suggest
from condvae.noise import Noise

__all__ = ["HOLE_LEVEL", "KINDS", "SHARES", "seen_masks"]

HOLE_LEVEL = 3000  # the level of noise that draws what is seen

SHARES = {  # of the kinds that the rows of "any" draw
    "nothing": 0.05,  # nothing is seen
    "quadrants-1": 0.11,  # seen: the bottom left quadrant
    "quadrants-2": 0.11,  # seen: the left half
    "quadrants-3": 0.11,  # seen: all but the bottom right quadrant
    "quadrants": 0.08,  # seen: one, two or three quadrants
    "halves": 0.08,  # seen: the left, right, upper or lower half
    "boxes": 0.14,  # hidden: a box
    "outpainting": 0.06,  # seen: a box
    "strokes": 0.14,  # hidden: one to three thick strokes
    "pixels": 0.12,  # seen: 1 to 99 % of the pixels, scattered
}
KINDS = (*SHARES, "any")

TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT = 1, 2, 4, 8
ALL = 15
CORNERS = (TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT)
HALVES = (TOP_LEFT + BOTTOM_LEFT, TOP_RIGHT + BOTTOM_RIGHT, TOP_LEFT + TOP_RIGHT, BOTTOM_LEFT + BOTTOM_RIGHT)
PAIRS = (*HALVES, TOP_LEFT + BOTTOM_RIGHT, TOP_RIGHT + BOTTOM_LEFT)
LAYOUTS = {  # the sets of quadrants that may be seen, equally likely: one, two or three of them in "quadrants"
    "nothing": (0,),
    "quadrants-1": (BOTTOM_LEFT,),
    "quadrants-2": (HALVES[0],),
    "quadrants-3": (ALL - BOTTOM_RIGHT,),
    "quadrants": (3 * CORNERS + 2 * PAIRS + 3 * tuple(ALL - corner for corner in CORNERS)),
    "halves": HALVES,
}
CHOICES = 36  # a multiple of the lengths of all layouts
TABLE = torch.tensor([layouts * (CHOICES // len(layouts)) for layouts in LAYOUTS.values()])

STROKES, POINTS = 3, 3  # a picture's strokes at most, and the points of one
THICKNESS = (0.05, 0.13)  # half a stroke's width, as a share of the picture's shorter side
THINNEST = 0.75  # pixels: above half a pixel's diagonal, so that every stroke hides something
LEAST_SEEN, MOST_SEEN = 0.01, 0.99
NUMBERS = 1 + 2 + STROKES * POINTS * 2  # of a row: its kind, and what the greediest kind, a stroke, needs


def seen_masks(
    kind: str, rows: int, height: int, width: int, noise: Noise, device: torch.device | str = "cpu"
) -> Tensor:
    """What is seen of each of `rows` pictures of height x width: bool [rows, 1, height, width], True = seen.

    kind: one of `KINDS`; "any" draws a kind for each row, by `SHARES`. noise: the rows' own, read at `HOLE_LEVEL`.
    Masks are made where the noise lies, and moved to `device`. Some pixel is hidden in every picture of 2 x 2 pixels
    and more; in tiny ones all may be (a stroke over 3 x 5 pixels).

    Raises:
        Refused: an unknown kind.
    """
    if kind not in KINDS:
        raise Refused(f"holes may be {', '.join(KINDS)}; got {kind!r}{suggest(kind, KINDS)}")
    numbers = noise.uniform([rows, NUMBERS], HOLE_LEVEL)
    kinds = list(SHARES)
    if kind == "any":
        edges = torch.tensor(list(SHARES.values()), device=numbers.device).cumsum(0)[:-1]
        which = torch.searchsorted(edges, numbers[:, 0].contiguous(), right=True)
    else:
        which = torch.full((rows,), kinds.index(kind), device=numbers.device)
    seen = quadrants(which, numbers[:, 1:], height, width)
    for name, draw in (("boxes", box), ("outpainting", box), ("strokes", strokes), ("pixels", scattered)):
        if kind not in ("any", name):
            continue
        place = torch.nonzero(which == kinds.index(name))[:, 0]
        if len(place):
            drawn = draw(numbers[place, 1:], height, width)
            seen[place] = drawn if name in ("outpainting", "pixels") else ~drawn
    return seen[:, None].to(device)


def whole(uniform: Tensor, count: Tensor | int) -> Tensor:
    """Uniforms in [0, 1) as whole numbers from 0 to count - 1; the product may round up to count itself."""
    return (uniform * count).long().clamp_max(count - 1)


def quadrants(which: Tensor, numbers: Tensor, height: int, width: int) -> Tensor:
    """Quadrants that are seen, bool [N, H, W], by the place of each row's kind in `LAYOUTS`; none for other kinds."""
    known = which < len(LAYOUTS)
    codes = TABLE.to(which.device)[torch.where(known, which, 0), whole(numbers[:, 0], CHOICES)] * known
    corners = ((codes[:, None] >> torch.arange(4, device=which.device)) & 1).bool().view(-1, 2, 1, 2)
    lower = torch.arange(height, device=which.device)[:, None] >= height // 2
    right = torch.arange(width, device=which.device) >= width // 2
    sides = torch.where(lower, corners[:, 1], corners[:, 0])
    return torch.where(right, sides[:, :, 1:], sides[:, :, :1])


def box(numbers: Tensor, height: int, width: int) -> Tensor:
    """True within a box whose sides are a quarter to three quarters of the picture's, bool [N, H, W]."""
    down = span(numbers[:, 0], numbers[:, 1], height)
    across = span(numbers[:, 2], numbers[:, 3], width)
    return down[:, :, None] & across[:, None, :]


def span(size: Tensor, start: Tensor, length: int) -> Tensor:
    """True within a stretch of a quarter to three quarters of `length`, and of one place at least, bool [N, length]."""
    least = max(1, length // 4)
    most = max(least, 3 * length // 4)
    wide = least + whole(size, most - least + 1)
    first = whole(start, length - wide + 1)[:, None]
    place = torch.arange(length, device=size.device)
    return (place >= first) & (place < first + wide[:, None])


def strokes(numbers: Tensor, height: int, width: int) -> Tensor:
    """True where a pixel's centre is near one of one to three polylines through three random points, bool [N, H, W].

    The squared distance to a segment from a along d is |p - a|^2 + s (s - 2 t) |d|^2, where t = (p - a) d / |d|^2 and
    s is t held within [0, 1]; both t and |p - a|^2 are sums of a part for the row and one for the column.
    """
    used = torch.arange(STROKES, device=numbers.device) <= whole(numbers[:, :1], STROKES)
    thin, thick = (share * min(height, width) for share in THICKNESS)
    reach = (thin + numbers[:, 1:2] * (thick - thin)).clamp_min(THINNEST).square()
    near = torch.where(used, reach, -1.0).repeat_interleave(POINTS - 1, 1)[:, :, None, None]
    points = numbers[:, 2:].view(-1, STROKES, POINTS, 2) * numbers.new_tensor([height, width])
    start = points[:, :, :-1].flatten(1, 2)
    along = points[:, :, 1:].flatten(1, 2) - start
    length = along.square().sum(2).clamp_min(1e-6)[:, :, None]
    down = torch.arange(height, device=numbers.device) + 0.5 - start[:, :, :1]
    across = torch.arange(width, device=numbers.device) + 0.5 - start[:, :, 1:]
    t = (down * along[:, :, :1] / length)[:, :, :, None] + (across * along[:, :, 1:] / length)[:, :, None, :]
    s = t.clamp(0, 1)
    distance = down.square()[:, :, :, None] + across.square()[:, :, None, :]
    distance += s.mul_(s.sub(t, alpha=2)).mul_(length[..., None])
    return (distance <= near).any(1)


def scattered(numbers: Tensor, height: int, width: int) -> Tensor:
    """True in a random share of the pixels, bool [N, H, W]; one pixel at least is left out.

    A row's numbers do not grow with the picture: a pixel's own is a hash of two of them and of its place (SplitMix64's
    finaliser as in `noise.mix`, on signed words, which have no unsigned shift).
    """
    share = LEAST_SEEN + numbers[:, :1] * (MOST_SEEN - LEAST_SEEN)
    place = torch.arange(1, height * width + 1, device=numbers.device)
    high, low = (whole(numbers[:, column : column + 1], 2**24) for column in (1, 2))
    word = (high << 24) + low + place * -0x61C8864680B583EB
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        word = (word ^ ((word >> shift) & ((1 << (64 - shift)) - 1))) * factor
    level = (word >> 40 & 0xFFFFFF).float() * 2.0**-24
    seen = (level < share) & (level < level.amax(1, keepdim=True))
    return seen.view(-1, height, width)
