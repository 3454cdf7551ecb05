"""How a picture is drawn glimpse by glimpse, shown: a strip of canvases, and an animation, windows drawn in.

As in the figures of Gregor, Danihelka, Graves, Rezende, Wierstra, "DRAW: A Recurrent Neural Network For Image
Generation", 2015, the window is a red rectangle, whose line is the wider the more its filters blur.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from condvae import pictures
from condvae.sheets import LARGEST_FACTOR, TARGET, Images, balanced, pixels, sheet

__all__ = ["animate", "framed", "frames", "strip"]

RED = (255, 59, 48)
MOST = 12  # glimpses of a strip
LINE = 8  # drawings of one request beside each other in an animation
SIDE = 84  # pixels that an enlarged picture has at least: a rectangle can be drawn into it
THINNEST = 2.0  # pixels of a window's outline
THICKEST = 1 / 24  # of a picture's longer side, its widest outline
SECONDS = 4.0  # of an animation, about
REST = 2.0  # further seconds for which the finished pictures stay


def strip(images: Images, windows: np.ndarray | None, labels: Sequence[object] | None = None) -> Image.Image:
    """A row a drawing, a column a glimpse, whose number stands above: all up to 12, of more 12, evenly spread.

    Args:
        images: canvases [R, T, C, H, W]. windows: [R, T, 4] as `framed` has them, or None.
        labels: one name a row.

    Raises:
        Refused: for images as in `sheets.pixels`.
    """
    steps = images.shape[1]
    shown = np.linspace(0, steps - 1, min(steps, MOST)).round().astype(int)
    factor = factor_for(len(images), len(shown), *images.shape[-2:])
    tiles = framed(images[:, shown], None if windows is None else windows[:, shown], factor)
    names = None if labels is None else [str(label) for label in labels]
    return sheet([tiles], names, 1, None, [str(step + 1) for step in shown])


def animate(
    images: Images, windows: np.ndarray | None, path: str | os.PathLike[str], labels: Sequence[object] | None = None
) -> Path:
    """The `frames` as a GIF of about four seconds, the finished pictures held; its path. Refused as in `animation`."""
    drawn = frames(images, windows, labels)
    fps = min(20.0, max(4.0, len(drawn) / SECONDS))
    return pictures.animation(drawn, path, fps, REST)


def frames(images: Images, windows: np.ndarray | None, labels: Sequence[object] | None = None) -> list[Image.Image]:
    """All drawings side by side after each glimpse, T pictures; where there are windows, one more without them.

    Args:
        images: canvases [R, n, T, C, H, W]: a row a request; those of a single one without labels in a balanced grid.
        windows: [R, n, T, 4], or None. labels: one name a row.
    """
    count, n, steps = images.shape[:3]
    single = count == 1 and labels is None
    across = balanced(n, LINE) if single else n
    factor = factor_for(ceil(count * n / across), across, *images.shape[-2:])
    found: list[Image.Image] = []
    for step in range(steps + (windows is not None)):
        there = None if windows is None or step == steps else windows[:, :, step]
        tiles = np.moveaxis(framed(images[:, :, min(step, steps - 1)], there, factor), -1, -3)
        found.append(pictures.grid(tiles[0], across, None, 1) if single else pictures.grid(tiles, None, labels, 1))
    return found


def factor_for(down: int, across: int, height: int, width: int) -> int:
    """The factor by which small pictures of such a grid are enlarged."""
    fits = round(TARGET / max(down * height, across * width))
    return min(LARGEST_FACTOR, max(1, fits, round(SIDE / max(height, width))))


def framed(images: Images, windows: np.ndarray | None, factor: int) -> np.ndarray:
    """Pictures [..., C, H, W] enlarged, each with its window drawn in, uint8 [..., H * factor, W * factor, 3].

    windows [..., 4]: the centre's row and column (0 = the middle of the first one), the side and the filters'
    deviation, in pixels of the picture; what reaches beyond an edge is drawn along it. None: no window.
    """
    tiles = pixels(images).repeat(factor, -3).repeat(factor, -2)
    if windows is not None:
        height, width = tiles.shape[-3:-1]
        tiles[outlined(np.asarray(windows, float) * factor, height, width, factor)] = RED
    return tiles


def outlined(windows: np.ndarray, height: int, width: int, factor: int) -> np.ndarray:
    """Which pixels [..., H, W] of enlarged pictures the outlines of windows cover, all in enlarged pixels.

    A window that lies wholly outside has no outline.
    """
    y, x, side, deviation = (one[..., None] for one in np.moveaxis(windows, -1, 0))
    widest = np.minimum(max(height, width) * THICKEST, side / 4)  # a small window keeps its middle
    line = np.maximum(np.minimum(deviation, widest), THINNEST)
    axes = [reached(centre + factor / 2, side / 2, line, length) for centre, length in ((y, height), (x, width))]
    outer, inner = (rows[..., :, None] & columns[..., None, :] for rows, columns in zip(*axes, strict=True))
    return outer & ~inner


def reached(centre: np.ndarray, half: np.ndarray, line: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Places along one axis that lie within a window, and those that its outline leaves free, bool [..., L] each."""
    low, high = np.maximum(centre - half, 0), np.minimum(centre + half, length)
    place = np.arange(length) + 0.5
    return (place > low) & (place < high), (place > low + line) & (place < high - line)
