"""How much of a picture's style `restyle` keeps: stroke thickness and slant of source and restyled picture.

Measured on grey pictures of strokes on an even ground, as handwriting is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from condvae.distances import wilson
from condvae.errors import Refused
from condvae.judges import Judge
from condvae.learned import Asked, Learned, columns_of, pictures_of
from condvae.noise import seed_of
from condvae.tasks import restyle

__all__ = ["StyleKept", "slant", "style_kept", "thickness"]

FINER = 4  # a picture is enlarged so that the width of its strokes is no whole number of pixels


@dataclass(frozen=True)
class StyleKept:
    """What restyling does: pictures restyled, how many are read as the wanted label with the share's 95 % interval, and
    the correlations of stroke thickness, slant and ink between source and restyled picture, in [-1, 1].

    Correlations are within pairs of labels, that is, of what thickness and slant differ from the mean of their own
    label: a 1 is thinner than a 0 in any hand.
    """

    pictures: int
    right: int
    thickness: float
    slant: float
    ink: float

    @property
    def share(self) -> float:
        return self.right / self.pictures

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.pictures)


def thickness(x: np.ndarray) -> np.ndarray:
    """Width of the strokes of pictures [N, 1, H, W] in pixels, [N]: four times the mean distance of ink to its edge.

    In a long stroke of width w, points lie w / 4 from its edge on average. NaN where there is no ink.
    """
    found = np.full(len(x), math.nan)
    for row, picture in enumerate(on_black(x)):
        large = np.asarray(ndimage.zoom(picture, FINER, order=1, grid_mode=True, mode="nearest"))
        ink = large > 0.5 * large.max() if large.max() > 0.1 else np.zeros_like(large, bool)
        if ink.any():
            depth = np.asarray(ndimage.distance_transform_edt(np.pad(ink, 1)))
            # the distance is to the middle of the next point of ground: half a point too far
            found[row] = 4 * (depth[1:-1, 1:-1][ink] - 0.5).mean() / FINER
    return found


def slant(x: np.ndarray) -> np.ndarray:
    """Slant of pictures [N, 1, H, W], [N]: columns moved to the right a row upwards, by the moments of the ink."""
    x = on_black(x)
    rows, columns = np.arange(x.shape[1])[:, None], np.arange(x.shape[2])
    mass = x.sum((1, 2)).clip(1e-9)
    down = (x * rows).sum((1, 2)) / mass
    across = (x * columns).sum((1, 2)) / mass
    y, z = rows - down[:, None, None], columns - across[:, None, None]
    return -(x * y * z).sum((1, 2)) / (x * y * y).sum((1, 2)).clip(1e-9)


def on_black(x: np.ndarray) -> np.ndarray:
    """Grey pictures [N, H, W] with bright ink, whichever of ink and ground was bright."""
    if x.ndim != 4 or x.shape[1] != 1:
        raise Refused(f"strokes are measured on grey pictures [N, 1, H, W]; got {list(x.shape)}")
    edge = np.concatenate([x[:, 0, 0], x[:, 0, -1], x[:, 0, :, 0], x[:, 0, :, -1]], 1)
    light = np.median(edge, 1) > 0.5
    return np.where(light[:, None, None], 1 - x[:, 0], x[:, 0])


def style_kept(
    learned: Learned, x: Any, given: Asked, judge: Judge, field: str | None = None, seed: int = 0
) -> StyleKept:
    """Restyle each picture to one other label at random, and measure what is wanted and what is kept.

    x: grey pictures [N, 1, H, W]; given: field -> N labels. judge: reads labels. Refused where the model has no label,
    or for arguments that cannot be used.
    """
    labels = learned.schema.labels
    if not labels:
        raise Refused("styles are kept from label to label; this model was trained without labels")
    target = labels[0] if field is None else next(one for one in labels if one.name == field)
    images = pictures_of(learned, x)
    source = np.asarray(x, np.float32)
    own = columns_of(learned, given, len(images))[target.name]
    step = np.random.default_rng(seed_of(seed, 21)).integers(1, len(target.values), len(images))
    wanted = (own + step) % len(target.values)
    out = np.empty_like(source)
    for place, value in enumerate(target.values):
        rows = np.flatnonzero(wanted == place)
        if len(rows):
            told = {name: [values[row] for row in rows] for name, values in given.items()}
            out[rows] = restyle(learned, source[rows], told, {target.name: value})
    read = np.asarray(judge.values)[judge.read(out).index]
    right = int((read == np.asarray(target.values)[wanted]).sum())
    kept = [
        correlation(measure(source), measure(out), own, wanted)
        for measure in (thickness, slant, lambda pictures: on_black(pictures).sum((1, 2)))
    ]
    return StyleKept(len(images), right, *kept)


def correlation(a: np.ndarray, b: np.ndarray, group_a: np.ndarray, group_b: np.ndarray) -> float:
    """Correlation of what a and b [N] differ from the means of their own groups; rows with NaN are left out."""
    known = np.isfinite(a) & np.isfinite(b)
    left = centred(a[known], group_a[known])
    right = centred(b[known], group_b[known])
    return float((left * right).mean() / math.sqrt(float((left**2).mean() * (right**2).mean())))


def centred(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Values [N] without the mean of their group."""
    counts = np.bincount(group).clip(1)
    return values - (np.bincount(group, values) / counts)[group]
