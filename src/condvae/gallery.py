"""The pictures of any run: samples of what is asked, holes filled, reconstructions, curves, the map of its latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from PIL.Image import Image

from condvae import maps, pictures
from condvae.conditions import Schema
from condvae.data import Part, unit
from condvae.densities import LabelMixture
from condvae.errors import Refused
from condvae.field_pictures import HOLES, completions, effects, first_request, samples, shown_values
from condvae.joint import JointMixture
from condvae.mixtures import Components, components
from condvae.plots_learning import learning_curves
from condvae.tasks import Learned, embed, generate, manifold, reconstruct
from condvae.walks import activity, most_active, traverse

__all__ = ["component_rows", "first_request", "gallery", "known_labels", "plane", "shown_values", "tiles"]

ASKED = 64  # pictures of the one request
RESTORED = 24  # pictures reconstructed
MAPPED = 2_000  # points of the latent map
BINS = 5  # of a number that colours a map
LINE = 16  # pictures in a line of a grid
UNITS = 8  # latent units that are walked along
COMPONENTS = 6  # of the mixture of the latents
TSNE_MOST = 5_000  # points; t-SNE of 500 takes 4 s


def gallery(
    learned: Learned,
    part: Part,
    history: Sequence[Mapping[str, Any]] = (),
    asked: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, Image]:
    """The pictures of a run, by name.

    "asked": 64 pictures of one request; "samples": a row a value of the first label, or of a number; "effects": a row a
    value of each further field; "completions": holes of real pictures filled, of a model that fills them;
    "reconstructions": real pictures above what the model makes of them; "traversal": the most active latent units moved
    one by one; "components": of the mixture fitted to the latents, where there is one; "latents": posterior samples,
    coloured by label (two latents as they are, more by PCA); "one-label": all labels beside one, for two latents;
    "manifold" for one or two; "curves": the loss and its terms. Of a model of a table's rows: "latents" and "curves".

    Args:
        part: real pictures and what is known of them to reconstruct and map, the test part where there is one.
        history: one row an epoch. asked: what the grid of one request shows; by default `first_request`.
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
            "traversal": traversal(learned, asked, seed),
            "components": mixture_rows(learned, asked, seed),
        }
        drawn |= {name: image for name, image in further.items() if image is not None}
    if len(known):
        drawn |= latent_pictures(learned, known, asked, seed)
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


def latent_pictures(learned: Learned, part: Part, asked: Mapping[str, Any], seed: int) -> dict[str, Image]:
    """The map of the latents, and what one or two latents allow beside it."""
    step = max(1, -(-len(part) // MAPPED))
    few = part.take(torch.arange(0, len(part), step))
    labels = known_labels(learned.schema, few)
    z = embed(learned, few.x, labels, seed)
    shown, names = colours(learned.schema, labels)
    flat, said = plane(z, "pca", seed)
    drawn = {"latents": maps.latent_map(flat, shown, names, title=said, circles=z.shape[1] <= 2)}
    first = learned.schema.labels[0].name if learned.schema.labels else None
    if z.shape[1] == 2 and first is not None and shown is not None and asked.get(first) in shown:
        drawn["one-label"] = maps.latent_scatter_pair(z, shown, asked[first], names)
    if z.shape[1] <= 2 and learned.outputs is None:
        drawn["manifold"] = pictures.manifold(manifold(learned, asked))
    return drawn


def colours(schema: Schema, known: Mapping[str, Any]) -> tuple[list[str | None] | None, Sequence[str] | None]:
    """(what colours each point of a map, its values in order): the first label, else the first number in 5 bins."""
    if schema.labels:
        return known[schema.labels[0].name], schema.labels[0].values
    if not schema.numbers:
        return None, None
    field = schema.numbers[0]
    edges = np.unique(np.quantile(field.quantiles[0], np.linspace(0, 1, BINS + 1)))
    names = [f"{field.name} {low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
    column = np.asarray(known[field.name])[:, 0]
    places = np.searchsorted(edges[1:-1], column, side="right")
    return [None if np.isnan(one) else names[place] for one, place in zip(column, places, strict=True)], names


def plane(z: np.ndarray, method: str, seed: int = 0) -> tuple[np.ndarray, str]:
    """(points [N, 2] of latents z [N, Z], how they were made); one or two latents stay as they are under "pca".

    method: "pca", or "tsne" (van der Maaten & Hinton, "Visualizing Data using t-SNE", 2008). Refused for another, and
    for t-SNE of fewer than 4 or more than 5,000 rows.
    """
    if method not in ("pca", "tsne"):
        raise Refused(f"method is pca or tsne; got {method!r}")
    if method == "tsne":
        if not 4 <= len(z) <= TSNE_MOST:
            raise Refused(f"t-SNE is for 4 to {TSNE_MOST:,} pictures; got {len(z):,}, use --limit or --method pca")
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(z) - 1) / 3)
        return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(
            z
        ), f"t-SNE of {z.shape[1]} latents"
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
