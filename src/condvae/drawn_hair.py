"""The hair of cartoon faces, behind the head and over it."""

from __future__ import annotations

import numpy as np

from condvae.drawn_look import Look, darker, lighter
from condvae.drawn_parts import face_edge
from condvae.drawn_shapes import Patch, Plane, box, ellipse, stroke, union

__all__ = ["BEHIND", "fringe", "front_hair"]

Array = np.ndarray
HAIRLINE = -0.37  # how far below the middle of the head it lies
Circles = tuple[tuple[float, float, float], ...]

# Curls: across in halves of the head's width, down, radius; around the head, and over the forehead.
CLOUD: Circles = (
    (-1.06, 0.17, 0.15),
    (-1.12, -0.17, 0.17),
    (-1.08, -0.53, 0.17),
    (-0.90, -0.87, 0.18),
    (-0.58, -1.15, 0.18),
    (-0.20, -1.29, 0.18),
    (0.20, -1.29, 0.18),
    (0.58, -1.15, 0.18),
    (0.90, -0.87, 0.18),
    (1.08, -0.53, 0.17),
    (1.12, -0.17, 0.17),
    (1.06, 0.17, 0.15),
)
FRINGE: Circles = (
    (-0.66, -0.31, 0.12),
    (-0.36, -0.43, 0.13),
    (0.0, -0.46, 0.13),
    (0.36, -0.43, 0.13),
    (0.66, -0.31, 0.12),
)

# Hair over the skull: how much wider and higher than it, how far down it comes, how far the hairline is lifted, and how
# far its middle is lowered.
CUTS = {
    "short": (0.05, 0.08, 0.06, 0.0, 0.0),
    "long": (0.055, 0.06, 0.62, 0.0, 0.31),
    "curly": (0.055, 0.06, 0.16, 0.05, 0.0),
    "bun": (0.02, 0.03, 0.06, 0.0, 0.0),
}


def long_behind(look: Look, plane: Plane) -> None:
    """Long hair falls behind the neck to the shoulders."""
    patch = plane.patch(0, 0.08, 0.8, 0.9)
    u = patch.x + 0.09 * look.sine
    wide = look.width + 0.13 + 0.05 * patch.y
    patch.paint(box(u, patch.y - 0.10, wide, 0.78, 0.45), darker(look.hair_colour, 0.80))


def curly_behind(look: Look, plane: Plane) -> None:
    """A cloud of curls around the head."""
    patch = plane.patch(0, -0.12, 0.95, 0.9)
    cloud = curls(look, patch, CLOUD, 0.82 * look.length, -0.07 * look.sine)
    patch.paint(cloud, darker(look.hair_colour, 0.86))


def bun_behind(look: Look, plane: Plane) -> None:
    """A bun on top of the head, behind its middle."""
    x, y = -0.22 * look.sine, -look.length - 0.13
    patch = plane.patch(x, y, 0.25, 0.25)
    u, v = patch.x - x, patch.y - y
    patch.paint(ellipse(u, v, 0.20, 0.17), darker(look.hair_colour, 0.88))
    patch.paint(ellipse(u + 0.04, v + 0.05, 0.11, 0.07), lighter(look.hair_colour, 0.12), 1.0, 0.04)


BEHIND = {"long": long_behind, "curly": curly_behind, "bun": bun_behind}


def front_hair(look: Look, plane: Plane) -> None:
    """The hair over the skull down to the hairline, and the shadow that it throws on the forehead."""
    patch = plane.patch(0, -0.1, 0.7, 0.75)
    x, y = patch.x, patch.y
    wider, higher, low, lift, down = np.asarray([CUTS[kind] for kind in look.hair.tolist()], np.float32).T[
        :, :, None, None
    ]
    whole = ellipse(x + 0.07 * look.sine, y + 0.10 - down, look.width + wider, look.length * 0.84 + higher + down)
    edge = np.maximum(np.maximum(whole, -forehead(look, patch, lift)), y - low)
    patch.paint(np.maximum(edge - 0.03, face_edge(look, patch)), darker(look.skin_colour, 0.84), 0.7)
    patch.paint(edge, look.hair_colour)
    shine = stroke(x + 0.03 * look.sine + 0.08, y + 0.52, 0.35 * look.width, -0.06, 0.022)
    patch.paint(np.maximum(shine, edge + 0.02), lighter(look.hair_colour, 0.22), 0.8, 0.03)


def forehead(look: Look, patch: Patch, lift: Array) -> Array:
    """The opening of the face between the hair: an ellipse, of which a parting lifts one side."""
    u = patch.x - 0.30 * look.sine
    below = patch.y + look.sweep * u - HAIRLINE + lift
    plain = ellipse(u, below - 0.62, look.width * 0.93, 0.62)
    side = ellipse(np.abs(u + 0.12 * look.parted) - 0.02, below - 0.5, look.width * 0.55, 0.58)
    return np.where(look.parted != 0, union(plain, side), plain)


def fringe(look: Look, plane: Plane) -> None:
    """Curls over the forehead."""
    patch = plane.patch(0, -0.41, 0.7, 0.35)
    patch.paint(curls(look, patch, FRINGE, 1.0, 0.14 * look.sine), look.hair_colour)


def curls(look: Look, patch: Patch, table: Circles, high: Array | float, middle: Array | float) -> Array:
    """Circles: across in halves of the head's width, down in `high`, around `middle`; and their radii."""
    u = patch.x - middle
    return union(*(ellipse(u - across * look.width, patch.y - down * high, r, r) for across, down, r in table))
