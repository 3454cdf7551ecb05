"""A report's section of the latents: how well fields separate, two maps, and points to look at one by one."""

from __future__ import annotations

import numpy as np
import torch
from PIL.Image import Image

from condvae import maps, pictures
from condvae.data import Part, unit
from condvae.latent_maps import FIELDS, THUMBNAIL, Placed, plane
from condvae.names import counted
from condvae.report import Section
from condvae.scatter import MOST, Scatter
from condvae.sheets import reduced

__all__ = ["latent_section"]

TSNE_ROWS = 1_000  # 5 s
WORDS = (
    "Silhouette: 1 = the groups are far apart, 0 = they overlap. k-NN: each row is read off the k nearest other rows; "
    "chance: the most frequent label is said always; R²: 1 = they tell the number, 0 = they tell nothing of it. "
    "All is measured in the latents themselves, for a map of two dimensions may show groups that are not there "
    "and hide groups that are. Near chance, the latents leave the field to what is asked."
)


def latent_section(placed: Placed, first: Image, title: str, caption: str) -> tuple[Section, Image | None]:
    """(the section, its second map: that of t-SNE with pictures on it; None where one latent leaves no room for it).

    first: the map by principal components. Of two latents the second map shows the same plane as the first.
    """
    rows = spread(len(placed.z), TSNE_ROWS)
    flat, said = placed.flat
    near, told = flat[rows], said
    if placed.z.shape[1] > 2 and len(rows) >= 4:
        near, told = plane(placed.z[rows], "tsne", placed.seed)
    beside = "".join(f"; {one}" for one in placed.said[:1])
    shown = [(f"{caption}; {said}{beside}", pictures.png(first))]
    second = None if flat.shape[1] == 1 else mapped(placed, rows, near, told)
    if second is not None:
        what = f"{told} of {counted(len(rows), 'picture')}, with the one nearest to the middle of each cell{beside}"
        shown.append((what, pictures.png(second)))
    few = spread(len(rows), MOST)
    planes = [("latents" if placed.z.shape[1] <= 2 else "principal components", upright(flat[rows[few]]), said)]
    if told is not said:
        planes.append(("t-SNE", near[few], told))
    fields = [(shade.taken(rows[few]), line) for shade, line in zip(placed.shades[:FIELDS], placed.said, strict=True)]
    points = Scatter(planes, fields, thumbnails(placed.part, rows[few]))
    text = [*(f"{line}." for line in placed.said), *([WORDS] if placed.said else [])]
    return Section(title, text, shown, scatter=points), second


def mapped(placed: Placed, rows: np.ndarray, flat: np.ndarray, title: str) -> Image:
    """The map of some rows with their pictures."""
    tiles, itself = thumbnails(placed.part, rows), placed.z.shape[1] <= 2
    if not placed.shades:
        return maps.latent_map(flat, title=title, images=tiles, circles=itself)
    return placed.shades[0].taken(rows).drawn(flat, title, tiles, itself, placed.said[0])


def spread(count: int, most: int) -> np.ndarray:
    """At most so many of the numbers below count, evenly spread."""
    return np.arange(0, count, max(1, -(-count // most)))


def thumbnails(part: Part, rows: np.ndarray) -> np.ndarray:
    """The pictures of some rows, uint8 [R, C, h, w], at most 48 pixels wide and high."""
    parts = np.array_split(rows, -(-len(rows) // 100))  # large pictures as floats take gigabytes
    return np.concatenate([reduced(unit(part.x[torch.from_numpy(some)]), THUMBNAIL) for some in parts])


def upright(flat: np.ndarray) -> np.ndarray:
    """Points [N, 2]; those of one latent are scattered upwards to be seen."""
    if flat.shape[1] == 2:
        return flat
    lift = np.random.default_rng(0).uniform(-0.2, 0.2, (len(flat), 1))
    return np.concatenate([flat, lift * max(float(np.ptp(flat)), 1e-6)], 1)
