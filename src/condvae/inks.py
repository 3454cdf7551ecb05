"""What is ground and what is ink in a picture; how thick ink is, how large, where it lies; and how it is laid anew.

Ink is measured on pictures enlarged `FINER` times, so that an edge that lies within a pixel counts as where it lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

__all__ = [
    "FINER",
    "NEAR",
    "Extent",
    "cleaned",
    "contrast",
    "enlarged",
    "extent_of",
    "ground_of",
    "laid",
    "levelled",
    "thicker",
]

UNIFORM = 0.9  # share of the pixels along the edges that make a ground one colour
NEAR = 0.15  # how far from the ground's colour a pixel is ink
FINER = 8
SPECK = 0.02  # of the largest piece of ink: what is smaller is dust
AROUND = 0.03  # of a picture's longer side: so far from ink its soft edge may reach


def ground_of(glyphs: np.ndarray, share: float = UNIFORM) -> np.ndarray | None:
    """The colour [C, 1, 1] along the edges of pictures [N, C, H, W]; None where less than a share of them is of it."""
    sides = [glyphs[:, :, 0], glyphs[:, :, -1], glyphs[:, :, :, 0], glyphs[:, :, :, -1]]
    edge = np.concatenate([side.swapaxes(0, 1).reshape(glyphs.shape[1], -1) for side in sides], 1)
    colour = np.median(edge, 1, keepdims=True)
    return colour[:, :, None] if (np.abs(edge - colour) < NEAR).all(0).mean() >= share else None


def levelled(x: np.ndarray) -> np.ndarray:
    """A picture [C, H, W] without the slope of its light: of the plane that fits its edges, what differs from the mean
    is taken away. Edge pixels far from the plane, which are ink, do not count."""
    _, height, width = x.shape
    down, across = (places.ravel() for places in np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j])
    slopes = np.stack([np.ones(height * width), down, across], 1)
    edge = np.flatnonzero((np.abs(down) == 1) | (np.abs(across) == 1))
    out = np.empty_like(x)
    for channel, values in enumerate(x.reshape(len(x), -1)):
        plane, kept = np.zeros(3), edge
        for _ in range(3):
            plane, *_ = np.linalg.lstsq(slopes[kept], values[kept], rcond=None)
            off = np.abs(slopes[edge] @ plane - values[edge])
            kept = edge[off <= max(NEAR, float(np.median(off)))]
        out[channel] = (values - slopes[:, 1:] @ plane[1:]).reshape(height, width)
    return out


def contrast(x: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """How far each pixel of pictures [..., C, H, W] is from the ground's colour [C, 1, 1]: [..., H, W] in [0, 1], the
    most of its channels."""
    return np.abs(x - ground).max(-3)


@dataclass(frozen=True)
class Extent:
    """Ink in units of a picture's pixels: its box (top, left, bottom, right), its centre of mass (y, x), both from the
    top left corner of the picture, and the width of its strokes."""

    box: tuple[float, float, float, float]
    mass: tuple[float, float]
    stroke: float

    @property
    def longer(self) -> float:
        """The longer side of the box."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of the box (y, x)."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


def enlarged(ink: np.ndarray, factor: float) -> np.ndarray:
    """Ink [H, W] in [0, 1], float32, `factor` times as large: means over areas where it shrinks, between pixels where
    it grows; at least one pixel each way."""
    height, width = (max(1, round(side * factor)) for side in ink.shape)
    rule = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(ink.astype(np.float32)).resize((width, height), rule))


def extent_of(ink: np.ndarray, scale: float = 1.0) -> Extent | None:
    """The extent of ink [H, W] in [0, 1], of which half and more counts; None where nothing does.

    scale: how many pixels of `ink` make one of those in which the extent is told. A stroke's width is four times the
    mean distance of its points to its edge, as it is of a long stroke.
    """
    mask = ink >= 0.5
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    inside = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]
    stroke = 4 * (float(inside[mask].mean()) - 0.5)
    total = float(ink.sum())
    mass = [float((ink.sum(1 - axis) * (np.arange(ink.shape[axis]) + 0.5)).sum()) / total for axis in (0, 1)]
    box = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    top, left, bottom, right = (float(side) / scale for side in box)
    return Extent((top, left, bottom, right), (mass[0] / scale, mass[1] / scale), stroke / scale)


def cleaned(ink: np.ndarray) -> np.ndarray:
    """Ink [H, W] without dust: pieces far smaller than the largest one, and grey that lies far from every piece."""
    pieces = np.zeros(ink.shape, np.int32)
    if not ndimage.label(ink >= 0.5, np.ones((3, 3)), pieces):
        return ink
    areas = np.bincount(pieces.ravel())[1:]
    kept = np.concatenate([[False], areas >= SPECK * areas.max()])[pieces]
    away = np.asarray(ndimage.distance_transform_edt(~kept))
    return np.where(away <= max(2.0, AROUND * max(ink.shape)), ink, 0)


def thicker(ink: np.ndarray, by: float) -> np.ndarray:
    """Ink [H, W] whose edges, where it is half, lie `by` pixels further out; the picture grows by as much each way."""
    wide = np.pad(ink, int(np.ceil(by)) + 1)
    outside = np.asarray(ndimage.distance_transform_edt(wide < 0.5))
    return np.maximum(wide, np.clip(by + 1 - outside, 0, 1)).astype(np.float32)


def laid(ink: np.ndarray, size: tuple[int, int], corner: tuple[float, float]) -> np.ndarray:
    """Ink [h, w], enlarged `FINER` times, in a picture [H, W] of that size, as means over areas.

    corner: where the ink's top left corner lies (y, x), in the picture's pixels; what lies beyond its edges is cut off.
    """
    fine = np.zeros((size[0] * FINER, size[1] * FINER), np.float32)
    top, left = (round(place * FINER) for place in corner)
    rows = slice(max(0, top), min(fine.shape[0], top + ink.shape[0]))
    columns = slice(max(0, left), min(fine.shape[1], left + ink.shape[1]))
    fine[rows, columns] = ink[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return fine.reshape(size[0], FINER, size[1], FINER).mean((1, 3))
