"""Maps of a run's latents: rows brought to a plane, coloured by what is known of them, with a number beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

from condvae import maps, maps_numbers, pictures
from condvae.conditions import Label, Number, Schema
from condvae.data import Part
from condvae.errors import Refused
from condvae.names import counted
from condvae.structure import Structure, of_label, of_number
from condvae.tasks import Learned, embed, manifold

__all__ = ["Placed", "Shade", "latent_pictures", "placed_rows", "plane", "shade_of", "shades"]

MAPPED = 2_000  # points of the map of a run
TSNE_MOST = 5_000  # points; t-SNE of 1,000 takes 5 s
PERPLEXITY = 30.0
FIELDS = 12  # of a run whose separation is measured: a quarter of a second each
THUMBNAIL = 48  # pixels of a picture on a map, at most: larger ones are not seen larger


@dataclass(frozen=True, eq=False)
class Shade:
    """What may colour the points of a map: N names of a label (None = unknown), or N numbers (NaN = unknown).

    values: the label's names in their order; None of a number.
    """

    name: str
    column: Sequence[str | None] | np.ndarray
    values: tuple[str, ...] | None = None

    def structure(self, z: np.ndarray, seed: int = 0) -> Structure:
        """How well it separates in the latents z [N, Z] of its rows."""
        if self.values is None:
            return of_number(z, np.asarray(self.column), seed)
        return of_label(z, list(self.column), seed)

    def said(self, z: np.ndarray, seed: int = 0) -> str:
        """The same in words: "digit: silhouette 0.21, 15-NN accuracy ..."."""
        return f"{self.name}: {self.structure(z, seed).text()}"

    def taken(self, rows: np.ndarray) -> Shade:
        """The same of some rows."""
        column = self.column[rows] if isinstance(self.column, np.ndarray) else [self.column[i] for i in rows]
        return Shade(self.name, column, self.values)

    def drawn(
        self, flat: np.ndarray, title: str, images: np.ndarray | None = None, circles: bool = True, said: str = ""
    ) -> Image:
        """The map of points [N, 2] or [N, 1] in these colours; arguments as in `maps.latent_map`."""
        if self.values is None:
            return maps_numbers.number_map(flat, np.asarray(self.column), self.name, title, images, circles, said)
        return maps.latent_map(flat, list(self.column), self.values, title, images, circles, said)


def shades(schema: Schema, known: Mapping[str, Any], rows: int) -> list[Shade]:
    """What may colour a map, labels first, then numbers, one an entry of a vector; unknown where not in `known`."""
    found = [Shade(one.name, list(known.get(one.name, [None] * rows)), one.values) for one in schema.labels]
    for field in schema.numbers:
        column = np.asarray(known.get(field.name, field.blank(rows)), np.float64).reshape(rows, field.size)
        names = [field.name] if field.size == 1 else [f"{field.name} {place + 1}" for place in range(field.size)]
        found += [Shade(name, values) for name, values in zip(names, column.T, strict=True)]
    return found


def shade_of(schema: Schema, known: Mapping[str, Any], rows: int, field: str | None = None) -> Shade | None:
    """The colours of the field asked for, of a vector its first entry; by default of the first label, else the first
    number; None where nothing is known of rows. Refused for a field that is neither label nor number.
    """
    found = shades(schema, known, rows)
    if field is None:
        return found[0] if found else None
    wanted = schema.field(field)
    if not isinstance(wanted, Label | Number):
        raise Refused(f"field must be a label or a number to colour a map; {field} is a part of a picture")
    name = wanted.name if isinstance(wanted, Label) or wanted.size == 1 else f"{wanted.name} 1"
    return next(shade for shade in found if shade.name == name)


@dataclass(frozen=True, eq=False)
class Placed:
    """Rows of a part and their latents z [N, Z], one posterior sample a row; what may colour them."""

    part: Part
    z: np.ndarray
    shades: Sequence[Shade]
    seed: int = 0

    @cached_property
    def said(self) -> list[str]:
        """How well each of the first 12 fields separates in z, a line a shade."""
        return [shade.said(self.z, self.seed) for shade in self.shades[:FIELDS]]

    @cached_property
    def flat(self) -> tuple[np.ndarray, str]:
        """Principal components, as `plane` gives them."""
        return plane(self.z, "pca", self.seed)


def placed_rows(learned: Learned, part: Part, seed: int = 0) -> Placed:
    """Up to 2,000 rows of a part, evenly spread, and one posterior sample of each."""
    few = part.take(torch.arange(0, len(part), max(1, -(-len(part) // MAPPED))))
    known = learned.schema.told(few.labels, few.numbers, len(few))
    return Placed(few, embed(learned, few.x, known, seed), shades(learned.schema, known, len(few)), seed)


def latent_pictures(learned: Learned, placed: Placed, asked: Mapping[str, Any]) -> dict[str, Image]:
    """The map of the latents, and what one or two latents allow beside it."""
    z, (flat, said) = placed.z, placed.flat
    shade = placed.shades[0] if placed.shades else None
    itself = z.shape[1] <= 2
    if shade is None:
        drawn = {"latents": maps.latent_map(flat, title=said, circles=itself)}
    else:
        drawn = {"latents": shade.drawn(flat, said, None, itself, placed.said[0])}
        if z.shape[1] == 2 and shade.values is not None and asked.get(shade.name) in shade.column:
            drawn["one-label"] = maps.latent_scatter_pair(z, shade.column, asked[shade.name], shade.values)
    if itself and learned.outputs is None:
        drawn["manifold"] = pictures.manifold(manifold(learned, asked))
    return drawn


def plane(z: np.ndarray, method: str, seed: int = 0, perplexity: float | None = None) -> tuple[np.ndarray, str]:
    """(points [N, 2] of latents z [N, Z], how they were made); one or two latents stay as they are under "pca".

    method: "pca", or "tsne" (van der Maaten & Hinton, "Visualizing Data using t-SNE", 2008). perplexity: of t-SNE, in
    [1, N): about how many neighbours a point heeds; None takes 30, of fewer than 91 rows a third of the others.
    Refused for another, for a perplexity under "pca", and for t-SNE of fewer than 4 or more than 5,000 rows.
    """
    if method not in ("pca", "tsne"):
        raise Refused(f"method is pca or tsne; got {method!r}")
    if method == "tsne":
        return neighbourhoods(z, seed, perplexity)
    if perplexity is not None:
        raise Refused(f"perplexity is of t-SNE alone; got {perplexity:g} for pca, leave it out or use --method tsne")
    if z.shape[1] <= 2:
        return z, "the latents themselves"
    centred = z.astype(np.float64) - z.mean(0)
    if len(z) == 1:
        return np.zeros((1, 2), np.float32), f"one picture of {z.shape[1]} latents"
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(1)])[:, None]
    share = float((lengths[:2] ** 2).sum() / max(float((lengths**2).sum()), 1e-12))
    said = f"two principal components of {z.shape[1]} latents, {100 * share:.0f} % of their variance"
    return (centred @ axes.T).astype(np.float32), said


def neighbourhoods(z: np.ndarray, seed: int, perplexity: float | None) -> tuple[np.ndarray, str]:
    """`plane` by t-SNE."""
    if not 4 <= len(z) <= TSNE_MOST:
        raise Refused(f"t-SNE is for 4 to {TSNE_MOST:,} pictures; got {len(z):,}, use --limit or --method pca")
    if perplexity is None:
        perplexity = min(PERPLEXITY, (len(z) - 1) / 3)
    if not 1 <= perplexity < len(z):
        raise Refused(
            f"perplexity must be at least 1 and less than the {len(z):,} rows that are mapped; got {perplexity:g},"
            " leave it out to choose"
        )
    from sklearn.manifold import TSNE

    said = f"t-SNE of {counted(z.shape[1], 'latent')}, perplexity {perplexity:.3g}"
    centred = z.astype(np.float64) - z.mean(0)
    spread = float(centred.std())
    if spread == 0:  # scikit-learn would divide by it
        return np.zeros((len(z), 2), np.float32), f"{said}: they are all alike"
    start = "pca" if z.shape[1] > 1 else "random"
    made = TSNE(2, perplexity=perplexity, init=start, random_state=seed)
    return made.fit_transform(centred / spread), said  # t-SNE knows no scale, but underflows
