"""What a model is asked to do: generate, reconstruct, embed, restyle, interpolate, manifold; functions of any model.

Every task takes a `Learned` first, leaves it as it was (modes, gradients, random state), and gives float32 numpy.
`log_prob` and `classify` are in scores.py, `restyle` and `interpolate` in restyling.py; they are named here, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from condvae.conditions import Field
from condvae.errors import Refused
from condvae.learned import (
    Asked,
    Columns,
    Learned,
    at_least_0,
    chunks,
    observe,
    open_fields,
    repeated,
    requests,
    seed_in,
    temperature_in,
    whole,
)
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.passes import inferred, opened, settled, store
from condvae.restyling import arc, interpolate, restyle
from condvae.scores import Classified, Importance, classify, columns_for, importance, log_prob
from condvae.temperatures import Temperature
from condvae.trace import Draw

__all__ = [
    "Classified",
    "Importance",
    "Learned",
    "arc",
    "classify",
    "columns_for",
    "embed",
    "generate",
    "importance",
    "interpolate",
    "log_prob",
    "manifold",
    "observe",
    "reconstruct",
    "restyle",
]


def generate(
    learned: Learned,
    asked: Asked | None = None,
    n: int = 1,
    seed: int = 0,
    temperature: Temperature = 1.0,
    prior: str | None = None,
    guidance: float = 1.0,
) -> np.ndarray:
    """n pictures of what is asked, [n, C, H, W] in [0, 1]; [N, n, C, H, W] for a list of N values.

    asked: field -> value, or a list of values, one a request (several lists are equally long); None, NaN or an absent
    field = unknown: the model's blank input where it has one, else drawn from the labels' shares. temperature:
    scales the latents' noise, 0 = the mean; one number, or one for each of the model's latents in order, of which what
    is drawn before them (a label that is inferred) has the first one's, what is drawn after them (pixels one by one, a
    row's cells) the last one's. prior: as `Learned.using`. guidance: above 1, the likelihood's natural
    parameters (logits, means) are extrapolated from those of the same z where what is asked is left blank; the fields
    that are asked for must have a blank input, all others are the same in both. Picture j of request r is a function
    of (seed, r, j), whatever else is asked for. Of a partial picture that is asked for, the seen pixels come back as
    they were given.

    Refused for names, values or numbers that cannot be used.
    """
    n, seed, model = whole(n, "n", 1), seed_in(seed), learned.using(prior)
    temperature, guidance = temperature_in(learned, temperature), at_least_0(guidance, "guidance")
    columns, count, listed = requests(learned.schema, asked)
    told = spoken_for(learned, columns) if guidance != 1 else ()
    columns, names = repeated(learned.schema, columns, count, n, seed)
    blank = unguided(columns, told) if guidance != 1 else None
    out = np.empty((count * n, *learned.shape), np.float32)
    with evaluating(model), learned.arithmetic():
        for rows, kept in chunks(len(out)):
            draw = Draw(RowNoise(seed, names[rows], learned.device), temperature)
            c = learned.condition(columns, rows)
            trace = model(c, draw=draw)
            if blank is not None:
                free = model(learned.condition(blank, rows), z=trace.z, draw=draw)
                trace = replace(trace, x=trace.x.guided(free.x, guidance))
            store(out, kept, trace, draw, c)
    return out.reshape(count, n, *learned.shape) if listed else out


def spoken_for(learned: Learned, columns: Columns) -> tuple[Field, ...]:
    """The fields of which any request says something. Refused where one of them has no blank input to lead away from.

    columns: as they were asked, before what is open is drawn.
    """
    schema = learned.schema
    if not schema.fields:
        raise Refused("guidance must be 1 here, for this model was trained without conditions: nothing may be asked")
    asked = tuple(
        field
        for field in schema.fields
        if not np.array_equal(own := columns[field.name], field.blank(len(own)), equal_nan=True)
    )
    firm = [field.name for field in asked if not field.optional]
    if firm:
        are, have = ("is", "has") if len(firm) == 1 else ("are", "have")
        raise Refused(
            f"guidance must be 1 where {' and '.join(firm)} {are} asked for, which {have} no blank input; train with "
            "drop=0.1 to guide"
        )
    return asked


def unguided(columns: Columns, fields: tuple[Field, ...]) -> Columns:
    """The columns with these fields left blank in every row: what guidance leads away from."""
    return {**columns, **{field.name: field.blank(len(columns[field.name])) for field in fields}}


def reconstruct(learned: Learned, x: Any, given: Asked | None = None, seed: int | None = None) -> np.ndarray:
    """Pictures x through posterior and decoder, [N, C, H, W] in [0, 1].

    x: [N, H, W], [N, C, H, W] or [N, H, W, C], uint8 or float in [0, 1], array or tensor. given: field -> one value,
    or one a row; an unknown label is the model's blank input where it has one, else what `classify` reads. seed None:
    the posterior's mean of x as it is; a seed: one random pass as in training (binarised there: binarised here).

    Refused for names, values or shapes that cannot be used.
    """
    images, columns = opened(learned, x, given)
    out = np.empty((len(images), *learned.shape), np.float32)
    with evaluating(learned.model):
        for rows, kept in chunks(len(out)):
            trace, draw = inferred(learned, images, columns, rows, seed)
            store(out, kept, trace, draw)
    return out


def embed(learned: Learned, x: Any, given: Asked | None = None, seed: int | None = None) -> np.ndarray:
    """Means of the posterior q(z | x, c), [N, Z], several latents side by side; one posterior draw where seeded.

    Arguments and refusals as in `reconstruct`.
    """
    images, columns = opened(learned, x, given)
    parts: list[np.ndarray] = []
    with evaluating(learned.model):
        for rows, kept in chunks(len(images)):
            codes = settled(learned, images, columns, rows, seed).codes
            z = torch.cat([code.z.flatten(1) for code in codes], 1)
            parts.append(z[: kept.stop - kept.start].float().cpu().numpy())
    return np.concatenate(parts)


def manifold(
    learned: Learned,
    asked: Asked | None = None,
    size: int = 15,
    units: tuple[int, int] | None = (0, 1),
    spread: float = 0.95,
    prior: str | None = None,
) -> np.ndarray:
    """The plane of two latent units under one condition, [size, size, C, H, W]: rows along the first, columns along
    the second, from the lower to the upper quantile of the prior, the other units at its mean.

    units: two units, or None for the two directions in which the prior varies most; with one unit in all, a strip
    [1, size, C, H, W]. Of several codes they are those of the first, and the others follow at their means. spread: the
    share of the prior's mass between the outermost rows, in (0, 1).

    Refused for a list of values, an unknown label without a blank input, units that do not exist.
    """
    size, model = whole(size, "size", 2), learned.using(prior)
    if not 0 < spread < 1:
        raise Refused(f"spread must be a number between 0 and 1; got {spread!r}")
    columns, _, listed = requests(learned.schema, asked)
    if listed:
        raise Refused("a manifold shows one condition; give one value a field, not a list")
    for field in open_fields(learned.schema, columns, [0]):
        raise Refused(f"a manifold needs {field.name}, such as {field.example}; got None")
    tail = (1 - spread) / 2
    steps = torch.special.ndtri(torch.linspace(tail, 1 - tail, size, dtype=torch.float64)).float()
    with evaluating(model):
        still = Draw(RowNoise(0, np.zeros(1, int), learned.device), 0.0)
        trace = model(learned.condition(columns, np.zeros(1, int)), draw=still)
        centre = trace.codes[0].p
        across = axes(centre, units)
        down = steps[:, None, None] * across[0] if len(across) > 1 else torch.zeros(1, 1, 1)
        plane = (centre.mean.cpu() + down + steps[None, :, None] * across[-1]).flatten(0, 1)
        out = np.empty((len(plane), *learned.shape), np.float32)
        for rows, kept in chunks(len(plane)):
            draw = Draw(RowNoise(0, np.zeros(len(rows), int), learned.device), 0.0)
            z = trace.coded(plane[torch.from_numpy(rows)].to(learned.device))
            store(out, kept, model(learned.condition(columns, np.zeros(len(rows), int)), z=z, draw=draw), draw)
    return out.reshape(-1, size, *learned.shape)


def axes(p: Distribution, units: tuple[int, int] | None) -> Tensor:
    """One standard deviation of the prior along each of the plane's axes, [2, Z]; [1, Z] where Z = 1."""
    deviation = p.stddev[0].cpu()
    width = len(deviation)
    if width == 1:
        return deviation[:, None]
    if units is None:
        covariance = getattr(p, "covariance", None)
        spread = torch.diag(deviation.square()) if covariance is None else covariance[0].cpu()
        values, vectors = torch.linalg.eigh(spread.double())
        longest = vectors[:, -2:].flip(1) * values[-2:].flip(0).clamp_min(0).sqrt()
        # an eigenvector's sign is arbitrary: its largest entry points up
        largest = longest.gather(0, longest.abs().argmax(0, keepdim=True))
        return (longest * largest.sign()).T.float()
    if len(set(units)) != 2 or not all(0 <= unit < width for unit in units):
        raise Refused(f"units must be two different numbers from 0 to {width - 1}, or None; got {units!r}")
    return torch.diag(deviation)[list(units)]
