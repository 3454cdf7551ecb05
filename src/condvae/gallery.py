"""The pictures of any run: samples of what is asked, holes filled, reconstructions, curves, the map of its latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

from condvae import pictures
from condvae.conditions import Schema
from condvae.data import Part, unit
from condvae.densities import LabelMixture
from condvae.field_pictures import HOLES, completions, drawing, effects, first_request, samples, shown_values
from condvae.joint import JointMixture
from condvae.latent_maps import Placed, latent_pictures, placed_rows
from condvae.mixtures import Components, components
from condvae.plots_learning import learning_curves
from condvae.tasks import Learned, generate, reconstruct
from condvae.walks import activity, most_active, traverse

__all__ = ["component_rows", "first_request", "gallery", "known_labels", "shown_values", "tiles"]

ASKED = 64  # pictures of the one request
RESTORED = 24  # pictures reconstructed
LINE = 16  # pictures in a line of a grid
UNITS = 8  # latent units that are walked along
COMPONENTS = 6  # of the mixture of the latents


def gallery(
    learned: Learned,
    part: Part,
    history: Sequence[Mapping[str, Any]] = (),
    asked: Mapping[str, Any] | None = None,
    seed: int = 0,
    placed: Placed | None = None,
) -> dict[str, Image]:
    """The pictures of a run, by name.

    "asked": 64 pictures of one request; "samples": a row a value of the first label, or of a number; "effects": a row a
    value of each further field; "completions": holes of real pictures filled, of a model that fills them;
    "reconstructions": real pictures above what the model makes of them; "drawing": the canvas after each glimpse, of a
    model that draws in glimpses; "traversal": the most active latent units moved
    one by one; "components": of the mixture fitted to the latents, where there is one; "latents": posterior samples,
    coloured by the first label or number (two latents as they are, more by PCA); "one-label": all labels beside one,
    for two latents;
    "manifold" for one or two; "curves": the loss and its terms. Of a model of a table's rows: "latents" and "curves".

    Args:
        part: real pictures and what is known of them to reconstruct and map, the test part where there is one.
        history: one row an epoch. asked: what the grid of one request shows; by default `first_request`.
        placed: the rows of the part that the map shows, as `placed_rows` gives them; None finds them.
    """
    asked = asked if asked is not None else first_request(learned.schema)
    drawn: dict[str, Image] = {}
    known = answerable(learned.schema, part)
    if learned.outputs is None:
        drawn["asked"] = tiles(generate(learned, asked, ASKED, seed)[None], None)
        drawn["samples"] = samples(learned, seed)
        first = learned.schema.labels[0].name if learned.schema.labels else None
        further = {
            "effects": effects(learned, seed),
            "completions": completions(learned, part, spread_rows(part, first, len(HOLES)), seed),
            "reconstructions": reconstructions(learned, known) if len(known) else None,
            "drawing": drawing(learned, seed),
            "traversal": traversal(learned, asked, seed),
            "components": mixture_rows(learned, asked, seed),
        }
        drawn |= {name: image for name, image in further.items() if image is not None}
    if len(known):
        drawn |= latent_pictures(learned, placed or placed_rows(learned, known, seed), asked)
    if history:
        drawn["curves"] = learning_curves(history, "nats per image" if learned.likely else "loss per image")
    return drawn


def known_labels(schema: Schema, part: Part) -> dict[str, Any]:
    """The part's labels and numbers, field by field; a label that the model never saw is unknown (None)."""
    return schema.told(part.labels, part.numbers, len(part))


def answerable(schema: Schema, part: Part) -> Part:
    """The rows of which all numbers are known that the model must be told: a label it can read, a number it cannot."""
    columns = known_labels(schema, part)
    firm = [field.unknown(columns[field.name]) for field in schema.numbers if not field.optional]
    if not firm or not np.any(firm):
        return part
    return part.take(torch.from_numpy(np.flatnonzero(~np.any(firm, axis=0))))


def tiles(images: np.ndarray, names: Sequence[str] | None) -> Image:
    """R requests of n pictures, [R, n, C, H, W], in lines of at most 16; names stand beside the first lines."""
    count, n = images.shape[:2]
    if count == 1 and names is None:
        return pictures.grid(images[0])
    across = n if n <= LINE else max((d for d in range(LINE // 2, LINE + 1) if n % d == 0), default=LINE)
    lines = -(-n // across)
    blank = np.ones((count, lines * across - n, *images.shape[2:]), images.dtype)
    laid = np.concatenate([images, blank], 1).reshape(count * lines, across, *images.shape[2:])
    labels = None if names is None else [name if i == 0 else "" for name in names for i in range(lines)]
    return pictures.grid(laid, labels=labels)


def spread_rows(part: Part, field: str | None, count: int) -> np.ndarray:
    """Row numbers that show the labels in turn: one of each, then the next of each."""
    if field is None or field not in part.labels:
        return np.arange(min(count, len(part)))
    seen: dict[str | None, int] = {}
    turn = np.empty(len(part), np.int64)
    for row, name in enumerate(part.labels[field]):
        turn[row] = seen[name] = seen.get(name, -1) + 1
    return np.sort(np.lexsort((np.arange(len(part)), turn))[:count])


def reconstructions(learned: Learned, part: Part) -> Image:
    """Real pictures above what encoder and decoder make of them."""
    field = learned.schema.labels[0].name if learned.schema.labels else None
    few = part.take(torch.from_numpy(spread_rows(part, field, RESTORED)))
    x = unit(few.x[slice(None)]).numpy()
    return pictures.before_after({"real": x, "model": reconstruct(learned, x, known_labels(learned.schema, few))})


def traversal(learned: Learned, asked: Mapping[str, Any], seed: int) -> Image:
    """A row a latent unit, the most active first: one drawing of what is asked, with that unit moved."""
    walk = traverse(learned, None, asked, most_active(activity(learned), UNITS), seed=seed)
    return pictures.grid(walk.images, labels=walk.names)


def mixture_rows(learned: Learned, asked: Mapping[str, Any], seed: int) -> Image | None:
    """The heaviest components under what is asked; None where no mixture was fitted."""
    if not isinstance(learned.fitted, LabelMixture | JointMixture):
        return None
    return component_rows(components(learned, asked, most=COMPONENTS, seed=seed))


def component_rows(found: Components) -> Image:
    """A row a component, named by its weight: the picture of its mean, and, set apart, draws from it."""
    gap = np.ones_like(found.means)[:, None]
    rows = np.concatenate([found.means[:, None], gap, found.images], 1)
    return pictures.grid(rows, labels=[f"{100 * weight:.1f} %" for weight in found.weights])
