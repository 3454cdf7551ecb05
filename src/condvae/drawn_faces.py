"""Drawn faces: cartoons of nobody, in colour, made from known factors; the named data faces-drawn, faces-drawn-128.

Five factors are told (`FACTORS`): expression, hair, hair_colour and skin are labels, pose is a number. Everything else
is style: `STYLE` names uniform numbers, one a trait, which no field tells and which latents must carry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from condvae.drawn_hair import BEHIND, fringe, front_hair
from condvae.drawn_look import Look, between, look_of
from condvae.drawn_parts import (
    backdrop,
    beard,
    brow,
    ear,
    eye,
    freckles,
    mouth,
    neck_and_clothes,
    nose,
    skull,
    spectacles,
)
from condvae.drawn_shapes import Plane
from condvae.errors import Refused, suggest
from condvae.noise import combine

__all__ = ["FACTORS", "STYLE", "Factors", "draw_faces", "random_factors"]

Array = np.ndarray

SMALLEST, LARGEST = 16, 1024  # pixels a side
PIXELS = 1 << 16  # of one channel, painted at a time: they stay in a core's cache

FACTORS: dict[str, tuple[str, ...]] = {
    "expression": ("neutral", "happy", "sad", "angry", "surprised"),
    "hair": ("short", "long", "curly", "bun", "bald"),
    "hair_colour": ("black", "brown", "blond", "red", "grey"),
    "skin": ("light", "tan", "brown", "dark"),
}
BLOCK = 500  # combinations of the labels; each comes once among so many faces

STYLE = (
    "width",
    "length",
    "jaw",
    "eye_size",
    "eye_distance",
    "eye_colour",
    "nose",
    "mouth",
    "strength",
    "brows",
    "blush",
    "lashes",
    "freckles",
    "glasses",
    "rims",
    "beard",
    "sweep",
    "parting",
    "clothes",
    "clothes_shade",
    "neckline",
    "wall",
    "wall_shade",
    "right",
    "down",
    "scale",
    "roll",
    "skin_light",
    "skin_warmth",
    "hair_light",
    "hair_warmth",
)


@dataclass(frozen=True)
class Factors:
    """What N faces are: four labels each, text [N]; pose [N] in -1..1, the head turned to its right .. left; style
    [N, len(STYLE)] in 0..1.
    """

    expression: Array
    hair: Array
    hair_colour: Array
    skin: Array
    pose: Array
    style: Array

    def __len__(self) -> int:
        return len(self.style)

    def take(self, rows: Array | slice) -> Factors:
        """The faces of `rows`, in its order."""
        return Factors(*(getattr(self, field.name)[rows] for field in fields(self)))


def random_factors(n: int, seed: int = 0) -> Factors:
    """Factors of n faces; those of face i are a function of (seed, i) alone.

    Among each 500 faces in a row, every combination of labels comes once: the labels are balanced and independent.
    pose, in hundredths, and style are uniform.

    Raises:
        Refused: an n or seed that is not a whole number of at least 0.
    """
    for name, value in (("n", n), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise Refused(f"{name} must be a whole number of at least 0, got {value!r}")
    blocks = [
        np.argsort(combine(int(seed), 1, block, np.arange(BLOCK)), kind="stable") for block in range(-(-n // BLOCK))
    ]
    code = np.concatenate([*blocks, np.zeros(0, np.int64)])[:n]
    labels: dict[str, Array] = {}
    for name, values in FACTORS.items():
        labels[name] = np.asarray(values)[code % len(values)]
        code = code // len(values)
    words = combine(int(seed), 2, np.arange(n)[:, None], np.arange(1 + len(STYLE))[None])
    uniform = (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return Factors(**labels, pose=np.round(2 * uniform[:, 0] - 1, 2), style=uniform[:, 1:])


def draw_faces(factors: Factors, size: int = 64) -> Array:
    """Draw faces as uint8 [N, 3, size, size], each a function of its own factors alone.

    size: pixels a side, 16 to 1,024; a face looks alike at all of them. A face of 64 pixels takes about a
            millisecond.

    Raises:
        Refused: a size out of range, a label that is no value of its factor, a pose beyond -1..1, a style beyond
            0..1, or factors of different lengths.
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not SMALLEST <= size <= LARGEST:
        raise Refused(f"size must be a whole number of pixels, {SMALLEST} to {LARGEST}, got {size!r}")
    factors = _checked(factors)
    # Like faces are drawn together: their parts lie within smaller rectangles.
    order = np.lexsort((factors.pose, factors.hair))
    drawn = np.empty((len(factors), 3, size, size), np.uint8)
    step = max(1, PIXELS // size**2)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        drawn[rows] = _drawn(factors.take(rows), int(size))
    return drawn


def _checked(factors: Factors) -> Factors:
    n = len(factors)
    labels = {name: np.asarray(getattr(factors, name)) for name in FACTORS}
    for name, values in FACTORS.items():
        given = labels[name]
        if given.shape != (n,):
            raise Refused(f"{name} must be one label a face, {n}, got the shape {list(given.shape)}")
        for value in dict.fromkeys(given.tolist()):
            if value not in values:
                raise Refused(f"{name} must be one of {', '.join(values)}, got {value!r}{suggest(str(value), values)}")
    pose, style = np.asarray(factors.pose, np.float32), np.asarray(factors.style, np.float32)
    if pose.shape != (n,):
        raise Refused(f"pose must be one number a face, {n}, got the shape {list(pose.shape)}")
    if not (np.abs(pose) <= 1).all():
        raise Refused(f"pose must lie within -1 to 1, got {pose[~(np.abs(pose) <= 1)][0]:g}")
    if style.shape != (n, len(STYLE)) or not ((style >= 0) & (style <= 1)).all():
        raise Refused(f"style must be [{n}, {len(STYLE)}] numbers within 0 to 1, got the shape {list(style.shape)}")
    return Factors(**labels, pose=pose, style=style)


def _drawn(factors: Factors, size: int) -> Array:
    """A chunk of faces as uint8 [B, 3, S, S]."""
    style = {name: factors.style[:, place, None, None] for place, name in enumerate(STYLE)}
    pictures = np.empty((len(factors), 3, size, size), np.float32)
    half = between(style["roll"], -0.06, 0.06)  # tangent of half the angle: cos and sin need no more than a division
    across, down = between(style["right"], -0.05, 0.05), between(style["down"], 0.05, 0.10)
    scale = between(style["scale"], 1.0, 1.13)
    one = np.ones_like(half)
    head = Plane(pictures, across, down, scale, (1 - half**2) / (1 + half**2), 2 * half / (1 + half**2))
    body = Plane(pictures, 0.7 * across, down, one, one, 0 * one)
    labels = {name: getattr(factors, name) for name in FACTORS}
    paint(look_of(labels, factors.pose[:, None, None], style), head, body)
    return np.rint(np.clip(pictures, 0, 1) * 255).astype(np.uint8)


def paint(look: Look, head: Plane, body: Plane) -> None:
    """Paint faces on the pictures that `head` and `body` share."""
    backdrop(look, body)
    for kind, drawn in BEHIND.items():
        among(look.hair == kind, look, head, drawn)
    neck_and_clothes(look, body)
    ear(look, head, far=True)
    skull(look, head)
    among(look.freckled, look, head, freckles)
    among(look.bearded, look, head, beard)
    nose(look, head)
    mouth(look, head)
    for side in (-1.0, 1.0):
        eye(look, head, side)
        brow(look, head, side)
    among(look.hair != "bald", look, head, front_hair)
    among(np.isin(look.hair, ("short", "bun", "bald")), look, head, ear)
    among(look.hair == "curly", look, head, fringe)
    among(look.spectacled, look, head, spectacles)


def among(chosen: Array, look: Look, plane: Plane, part: Callable[[Look, Plane], None]) -> None:
    """Paint a part on some of the pictures."""
    if chosen.all():
        part(look, plane)
    elif chosen.any():
        index = np.flatnonzero(chosen)
        some = plane.of(index)
        part(look.take(index), some)
        plane.pictures[index] = some.pictures
