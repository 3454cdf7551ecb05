"""Pictures in their own style under other conditions, and on the way from one to another: functions of any model.

What is wanted of a few pictures shares their passes: (picture, condition) pairs are the rows of a chunk.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from condvae.conditions import Schema
from condvae.errors import Refused
from condvae.learned import Asked, Columns, Learned, chunks, folds, named, open_fields, requests, whole
from condvae.nets import evaluating
from condvae.noise import Given, RowNoise
from condvae.passes import opened, settled, store_folded
from condvae.trace import Condition, Draw, Trace, carried

__all__ = ["arc", "interpolate", "restyle", "restyled"]


def restyle(learned: Learned, x: Any, given: Asked | None, to: Asked, seed: int | None = None) -> np.ndarray:
    """Pictures x in their own style under other conditions, [N, C, H, W]; lists of K values in `to`: [N, K, C, H, W].

    Carried over is the noise of z under the model's own prior p(z | c), at every level, not z itself: under a learned
    prior z says what the label is, too. (Of a prior that is no Normal there is no such noise, and z is carried.) Where
    a density was fitted, z is then moved to the nearest point typical of the new label. Fields that `to` does not name
    stay as they are given. seed as in `reconstruct`, as are the other arguments and refusals; `to` must say what is
    wanted.
    """
    to = named(to, "to")
    wanted, count, listed = requests(learned.schema, to)
    if not to:
        raise Refused("to must say what is wanted, such as {'digit': 3}; got nothing")
    asked = {name: wanted[name] for name in to} | kept_as_given(learned.schema, to)
    for field in open_fields(learned.schema, asked, [0]):
        raise Refused(f"to must hold a value of {field.name}, for this model has no blank input; got None")
    images, columns = opened(learned, x, given)
    out = np.empty((len(images), count, *learned.shape), np.float32)
    with evaluating(learned.model):
        for rows, kept in chunks(len(images)):
            source = settled(learned, images, columns, rows, seed)
            noises, codes = carried(source)
            for ways, places, which in folds(kept.stop - kept.start, count):
                own = rows[places]
                target = {name: wanted[name][ways] if name in to else columns[name][own] for name in columns}
                changed = np.zeros(len(own), bool)
                for name in to:
                    changed |= (target[name] != columns[name][own]).reshape(len(own), -1).any(1)
                c = learned.schema.encode(target, len(own)).to(learned.device)
                at = torch.from_numpy(places).to(learned.device)
                draw = Draw(Given([noise[at] for noise in noises], RowNoise(0, own, learned.device)))
                z = source.coded(*(None if code is None else code[at] for code in codes))
                store_folded(out[kept, which], restyled(learned, c, z, draw, changed, ways), draw)
    return out if listed else out[:, 0]


def restyled(
    learned: Learned,
    c: Condition,
    z: tuple[Tensor | None, ...],
    draw: Draw,
    changed: np.ndarray,
    ways: np.ndarray | None = None,
) -> Trace:
    """The pass of what is carried over under the wanted condition; where that differs from the given one, z is made
    typical of it.

    Latents keep something of the label even where the prior does not know it, and then the carried z would draw the
    old label again: the fitted density says where z of the new label lie. ways [B]: which of several wanted conditions
    each row has, by default one and the same.
    """
    model, fitted = cast(Any, learned.model), learned.fitted
    if not hasattr(fitted, "typical") or not changed.any():
        return model(c, z=z, draw=draw)
    carried_over = model.settle(c, z=z, draw=draw)
    if len(carried_over.codes) != 1:
        return carried_over if isinstance(carried_over, Trace) else model(c, z=z, draw=draw)
    own = carried_over.codes[0].z
    moved, ways = own.clone(), np.zeros(len(changed), int) if ways is None else ways
    for way in np.unique(ways[changed]):
        # a condition's rows by themselves, padded: a density's arithmetic depends on how many rows share a label
        rows = np.flatnonzero(ways == way)
        at = torch.from_numpy(rows[np.minimum(np.arange(len(ways)), len(rows) - 1)]).to(own.device)
        moved[at[: len(rows)]] = cast(Any, fitted).typical(own[at], c[at])[: len(rows)]
    moved = torch.where(torch.from_numpy(changed).to(own.device)[:, None], moved, own)
    return model(c, z=carried_over.coded(moved), draw=draw)


def interpolate(
    learned: Learned,
    x_a: Any,
    x_b: Any,
    given_a: Asked | None = None,
    given_b: Asked | None = None,
    steps: int = 9,
) -> np.ndarray:
    """From pictures x_a to pictures x_b, row by row, [N, steps, C, H, W]; the ends are their reconstructions.

    The noise of z under p(z | c) (z itself, where that is no Normal) moves along a great circle (White, "Sampling
    Generative Networks", 2016), the condition in a straight line. Arguments and refusals as in `reconstruct`; x_a and
    x_b hold equally many pictures.
    """
    steps = whole(steps, "steps", 2)
    ends = [opened(learned, x_a, given_a, "x_a"), opened(learned, x_b, given_b, "x_b")]
    count = len(ends[0][0])
    if count != len(ends[1][0]):
        raise Refused(f"x_a and x_b must hold equally many pictures; got {count} and {len(ends[1][0])}")
    out = np.empty((count, steps, *learned.shape), np.float32)
    with evaluating(learned.model):
        for rows, kept in chunks(count):
            a, b = (settled(learned, images, columns, rows, None) for images, columns in ends)
            c_a, c_b = (learned.condition(columns, rows) for _, columns in ends)
            (noises, codes), (noises_b, codes_b) = carried(a), carried(b)
            for ways, places, which in folds(kept.stop - kept.start, steps):
                times = np.linspace(0, 1, steps)[which]
                at = torch.from_numpy((ways - which.start) * len(rows) + places).to(learned.device)
                vector = torch.cat([torch.lerp(c_a.vector, c_b.vector, float(t)) for t in times])[at]
                c = Condition(vector, None if c_a.picture is None else c_a.picture[at % len(rows)])
                moved = [along(p, q, times)[at] for p, q in zip(noises, noises_b, strict=True)]
                pairs = zip(codes, codes_b, strict=True)
                z = a.coded(*(None if p is None or q is None else along(p, q, times)[at] for p, q in pairs))
                draw = Draw(Given(moved, RowNoise(0, rows[places], learned.device)))
                store_folded(out[kept, which], learned.model(c, z=z, draw=draw), draw)
    return out


def along(a: Tensor, b: Tensor, times: np.ndarray) -> Tensor:
    """The points at T times of the way from a to b [B, ...], [T * B, ...], the first of all rows first."""
    return torch.cat([arc(a, b, float(t)) for t in times])


def arc(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] of the way from a to b [B, ...], along the great circle, or straight."""
    if t in (0.0, 1.0):
        return b if t else a
    flat_a, flat_b = a.flatten(1), b.flatten(1)
    lengths = flat_a.norm(dim=1) * flat_b.norm(dim=1)
    cosine = ((flat_a * flat_b).sum(1) / lengths.clamp_min(1e-12)).clamp(-1, 1)
    angle = torch.acos(cosine)[:, None]
    sine = torch.sin(angle)
    straight = (sine.abs() < 1e-4) | (lengths[:, None] < 1e-12)
    sine = torch.where(straight, torch.ones_like(sine), sine)
    from_a = torch.where(straight, torch.full_like(sine, 1 - t), torch.sin((1 - t) * angle) / sine)
    from_b = torch.where(straight, torch.full_like(sine, t), torch.sin(t * angle) / sine)
    return (from_a * flat_a + from_b * flat_b).view_as(a)


def kept_as_given(schema: Schema, to: Asked) -> Columns:
    """One row of columns for the fields that `to` leaves as they are: known, where they have no blank input."""
    left = [field for field in schema.fields if field.name not in to]
    return {f.name: f.blank(1) if f.optional else f.support()[0][:1] for f in left}  # pyright: ignore
