"""Shapes with smooth edges, painted on a batch of pictures at once: signed distances in, shares of pixels out.

Every picture of a batch has places of its own (`Plane`: shifted, scaled, rolled). A shape is painted on the smallest
`Patch` of pixels that holds it in all pictures; its distance, negative inside, becomes the share of a pixel that it
covers (after I. Quilez, "2D distance functions", 2008). Only + - * / and square roots are used, which are rounded
alike on every machine.

Parameters of shapes are float32 [B, 1, 1], one a picture; colours [B, 3] in 0..1; x runs right and y down, both from
-1 to 1 over a picture that is not moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Patch", "Plane", "box", "egg", "ellipse", "hypot", "lens", "ring", "segment", "stroke", "union"]

Array = np.ndarray


@dataclass(frozen=True)
class Plane:
    """Pictures [B, 3, S, S], float32 in 0..1, and how the places of their pixels are told.

    A point (x, y) of the plane is seen at (across, down) + scale * rotation * (x, y); cos and sin are the rotation's.
    """

    pictures: Array
    across: Array
    down: Array
    scale: Array
    cos: Array
    sin: Array

    def patch(self, x: Array | float, y: Array | float, wide: Array | float, high: Array | float) -> Patch:
        """The pixels in which all points within `wide` and `high` of (x, y) lie, in every picture."""
        size = self.pictures.shape[-1]
        middles = (
            self.across + self.scale * (self.cos * x - self.sin * y),
            self.down + self.scale * (self.sin * x + self.cos * y),
        )
        turn = np.abs(self.sin)
        reaches = (self.scale * (self.cos * wide + turn * high), self.scale * (turn * wide + self.cos * high))
        columns, rows = (
            slice(
                max(0, int(((middle - reach).min() + 1) * size / 2) - 1),
                max(0, int(((middle + reach).max() + 1) * size / 2) + 2),
            )
            for middle, reach in zip(middles, reaches, strict=True)
        )
        steps = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / size) - 1
        right = (steps[None, None, columns] - self.across) / self.scale
        below = (steps[None, rows, None] - self.down) / self.scale
        pixel = 2 / (size * self.scale)
        seen = self.pictures[:, :, rows, columns]
        return Patch(self.cos * right + self.sin * below, self.cos * below - self.sin * right, pixel, seen)

    def of(self, index: Array) -> Plane:
        """The plane of some of the pictures, which are copied."""
        parts = (self.across, self.down, self.scale, self.cos, self.sin)
        return Plane(self.pictures[index], *(part[index] for part in parts))


@dataclass(frozen=True)
class Patch:
    """A rectangle of pixels of all pictures: their places x, y [B, h, w], a pixel's side [B, 1, 1], their colours."""

    x: Array
    y: Array
    pixel: Array
    seen: Array

    def paint(self, distance: Array, colour: Array, opacity: Array | float = 1.0, soft: float = 0.0) -> None:
        """Paint where `distance` [B, h, w] is negative; the edge is a pixel wide, or `soft` where that is more."""
        edge = np.maximum(self.pixel, np.float32(soft)) if soft else self.pixel
        share = np.clip(np.float32(0.5) - distance / edge, 0, 1)
        if not isinstance(opacity, float) or opacity != 1.0:
            share *= opacity
        difference = colour[:, :, None, None] - self.seen
        difference *= share[:, None]
        np.add(self.seen, difference, out=self.seen)


def hypot(a: Array, b: Array) -> Array:
    """The length of (a, b)."""
    return np.sqrt(a * a + b * b)


def union(*distances: Array) -> Array:
    """What is in any of the shapes."""
    whole = distances[0]
    for distance in distances[1:]:
        whole = np.minimum(whole, distance)
    return whole


def ellipse(x: Array, y: Array, wide: Array | float, high: Array | float) -> Array:
    """An ellipse of these half axes around 0, to first order in the distance from its edge."""
    across, down = x / wide, y / high
    length = hypot(across, down)
    slope = hypot(across / wide, down / high)
    return length * (length - 1) / np.maximum(slope, np.float32(1e-6))


def ring(distance: Array, half: Array | float) -> Array:
    """A line along the edge of a shape, `half` to either side."""
    return np.abs(distance) - half


def box(x: Array, y: Array, wide: Array | float, high: Array | float, corner: Array | float) -> Array:
    """A rectangle of these half sides around 0 with round corners."""
    across, down = np.abs(x) - (wide - corner), np.abs(y) - (high - corner)
    return hypot(np.maximum(across, 0), np.maximum(down, 0)) + np.minimum(np.maximum(across, down), 0) - corner


def segment(x: Array, y: Array, to_x: Array | float, to_y: Array | float, half: Array | float) -> Array:
    """A straight line from 0 to a point, with round ends."""
    share = np.clip((x * to_x + y * to_y) / (to_x * to_x + to_y * to_y), 0, 1)
    return hypot(x - share * to_x, y - share * to_y) - half


def egg(x: Array, y: Array, wide: Array | float, above: Array | float, below: Array | float) -> Array:
    """Two half ellipses that meet at (-wide, 0) and (wide, 0): `above` and `below` high."""
    return ellipse(x, y, wide, np.where(y < 0, above, below))


def _below(x: Array, y: Array, wide: Array, bend: Array | float) -> Array:
    """How far below a parabola a point lies, which runs over -wide..wide and is `bend` lower in the middle."""
    place = np.clip(x / wide, -1, 1)
    slope = 2 * bend * place / wide
    return (y - bend * (1 - place * place)) / np.sqrt(1 + slope * slope)


def stroke(x: Array, y: Array, wide: Array, bend: Array | float, half: Array | float) -> Array:
    """A line, `half` to either side of a parabola from (-wide, 0) to (wide, 0), `bend` lower in the middle."""
    return hypot(_below(x, y, wide, bend), np.maximum(np.abs(x) - wide, 0)) - half


def lens(x: Array, y: Array, wide: Array, upper: Array | float, lower: Array | float) -> Array:
    """What lies between two parabolas from (-wide, 0) to (wide, 0), `upper` and `lower` lower in the middle."""
    off = np.maximum(-_below(x, y, wide, upper), _below(x, y, wide, lower))
    return hypot(np.maximum(np.abs(x) - wide, 0), np.maximum(off, 0)) + np.minimum(off, 0)
