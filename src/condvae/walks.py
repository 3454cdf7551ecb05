"""Walks through what a picture is made from: one latent unit at a time, or one field of the condition.

Such rows of pictures are called latent traversals (Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a
Constrained Variational Framework", 2017). All is read from the Trace, so that it does for any model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condvae.conditions import Label, Number
from condvae.errors import Refused
from condvae.learned import Asked, Columns, Learned, chunks, drawn, observe, requests, seed_in, whole
from condvae.nets import evaluating
from condvae.noise import Given, RowNoise
from condvae.objectives import kl_per_unit
from condvae.passes import inferred, opened, store
from condvae.restyling import restyled
from condvae.trace import Draw, Trace, carried

__all__ = ["REACH", "Walk", "activity", "most_active", "traverse", "vary"]

REACH = 2.0  # deviations to each side
MOST = 10  # units shown where none are named
ACTIVE = 0.01  # nats of KL below which a unit says next to nothing
DRAWN = 256  # drawings that activity is measured on


@dataclass(frozen=True)
class Walk:
    """Rows of pictures, along each of which one thing moves.

    images: float32 [R, S, C, H, W] in [0, 1]; names: what moves in each row, such as "unit 7"; units: the R units, none
    where a field is walked; at [R, S]: where it stands, z's own value (float64), or the field's (float64 or text).
    """

    images: np.ndarray
    names: tuple[str, ...]
    units: tuple[int, ...]
    at: np.ndarray


@dataclass(frozen=True)
class Start:
    """Where a walk begins: the condition's columns (one row), the pass under the model's own prior, of a whole chunk of
    equal rows, and the noise that pictures are drawn with."""

    columns: Columns
    trace: Trace
    pixels: Draw

    @property
    def codes(self) -> tuple[Tensor, ...]:
        return tuple(code.z for code in self.trace.codes)


def traverse(
    learned: Learned,
    x: Any = None,
    given: Asked | None = None,
    units: Sequence[int] | None = None,
    field: str | None = None,
    steps: int = 9,
    reach: float = REACH,
    seed: int = 0,
) -> Walk:
    """Each latent unit moved by itself, the others kept: a `Walk` of a row a unit, of `steps` pictures.

    x: one picture, [1, C, H, W], whose posterior mean is the middle of every row; given: what is known of it, as in
    `reconstruct`. Without x the middle is the first picture that `generate` draws of what is given, with the seed.

    units: counted over the codes one after the other, from 0; None: the active ones, the most active first, at most
    10 (`most_active`, measured on drawings). A unit goes `reach` deviations to each side: of the density fitted to the
    latents under this condition, which has the spread of the aggregate posterior, else of the prior. Where a model has
    several codes, those below the moved one keep their noise, and follow. field: a number or a label is moved instead,
    as in `vary`.

    Refused for names, values, units or numbers that cannot be used, for more than one picture, or for both units and a
    field.
    """
    if field is not None:
        if units is not None:
            raise Refused("a walk is along units or along a field; give units or field, not both")
        return vary(learned, field, x, given, steps, seed)
    steps, reach = whole(steps, "steps", 2), reach_in(reach)
    start = started(learned, x, given, seed)
    widths = [z.shape[1] for z in start.codes]
    rows = most_active(activity(learned)) if units is None else checked_units(units, sum(widths))
    ends = torch.linspace(-reach, reach, steps, dtype=torch.float64)
    offsets = (ends - ends.flip(0)) / 2  # the middle one is exactly 0
    images = np.empty((len(rows), steps, *learned.shape), np.float32)
    at = np.empty((len(rows), steps))
    first = 0
    with evaluating(learned.model):
        deviations = spreads(learned, start)
        for level, width in enumerate(widths):
            mine = [place for place, unit in enumerate(rows) if first <= unit < first + width]
            own = torch.tensor([rows[place] - first for place in mine], dtype=torch.long)
            moves = deviations[level][own, None] * offsets
            if mine:
                at[mine] = start.codes[level][0].cpu().double()[own, None] + moves
                images[mine] = moved(learned, start, level, own, moves)
            first += width
    return Walk(images, tuple(f"unit {unit}" for unit in rows), tuple(rows), at)


def vary(
    learned: Learned,
    field: str,
    x: Any = None,
    given: Asked | None = None,
    steps: int = 9,
    seed: int = 0,
) -> Walk:
    """One field of the condition moved by itself: a number through its range in training, in `steps`; a label through
    all its values. A vector of numbers has a row an entry.

    x, given, seed as in `traverse`. The noise of z under the model's own prior is kept, that is, z itself under
    N(0, I); where a label changes, z is moved to the nearest point typical of it, as in `restyle`.

    Refused for a field that is neither a number nor a label, and as in `traverse`.
    """
    what, steps = learned.schema.field(field), whole(steps, "steps", 2)
    if not isinstance(what, Number | Label):
        raise Refused(f"field must name a number or a label; {what.name} is a part of a picture")
    start = started(learned, x, given, seed)
    column, names, at = line_of(what, start.columns[what.name][0], steps)
    columns = {name: np.repeat(one, len(column), 0) for name, one in start.columns.items()}
    changed = columns[what.name] != column if isinstance(what, Label) else np.zeros(len(column), bool)
    columns[what.name] = column
    images = np.empty((len(column), *learned.shape), np.float32)
    with evaluating(learned.model):
        noises, codes = carried(start.trace)
        draw = Draw(Given(noises, start.pixels.noise))
        for rows, kept in chunks(len(column)):
            c = learned.condition(columns, rows)
            store(images, kept, restyled(learned, c, start.trace.coded(*codes), draw, changed[rows]), start.pixels)
    return Walk(images.reshape(*at.shape, *learned.shape), names, (), at)


def line_of(field: Number | Label, own: np.ndarray, steps: int) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """(column [R * S, ...] of a walk along a field that starts at `own`, names of its R rows, values [R, S])."""
    if isinstance(field, Label):
        return np.arange(len(field.values)), (field.name,), np.asarray([field.values], np.str_)
    low, high = np.asarray(field.low), np.asarray(field.high)
    steps = min(steps, 1 + int((high - low).max())) if field.whole else steps
    at = field.rounded(np.linspace(low, high, steps).T)  # [D, S]
    entries = np.tile(np.where(np.isnan(own), field.mean, own), (*at.shape, 1))
    for place, values in enumerate(at):
        entries[place, :, place] = values
    names = (field.name,) if field.size == 1 else tuple(f"{field.name}[{place}]" for place in range(field.size))
    return entries.reshape(-1, field.size), names, at


def activity(learned: Learned) -> np.ndarray:
    """Mean KL of each unit's posterior from the model's own prior in nats, [Z] over the codes one after the other.

    Over 256 pictures that the model itself draws of nothing in particular: no data need be at hand, and the order of
    the units is one and the same whatever is walked from.
    """
    names = np.stack([np.zeros(DRAWN, int), np.arange(DRAWN)], 1)
    blank, _, _ = requests(learned.schema, None)
    columns = drawn(learned.schema, {name: np.repeat(one, DRAWN, 0) for name, one in blank.items()}, names, 0)
    draw = Draw(RowNoise(0, names, learned.device))
    with evaluating(learned.model):
        c = learned.condition(columns, np.arange(DRAWN))
        pictures: Any = learned.using()(c, draw=draw).x
        x = observe(pictures.picture(draw).float(), learned.binarise, draw.noise)
        codes = learned.model(c, x, draw=draw).codes
        return torch.cat([kl_per_unit(code).double().mean(0) for code in codes]).cpu().numpy()


def most_active(nats: np.ndarray, most: int = MOST) -> list[int]:
    """Units of the greatest KL first: those above 0.01 nats, at most `most`; the first alone where none is."""
    order = [int(unit) for unit in np.argsort(-nats, kind="stable")]
    return [unit for unit in order[:most] if nats[unit] > ACTIVE] or order[:1]


def reach_in(value: Any) -> float:
    """The reach as a float; Refused where it is no finite number above 0."""
    if not isinstance(value, int | float | np.number) or not 0 < float(value) < math.inf:
        raise Refused(f"reach must be a number of deviations above 0, such as {REACH:g}; got {value!r}")
    return float(value)


def checked_units(units: Sequence[int], width: int) -> list[int]:
    """The units asked for; Refused where there is none, one is none of the model's, or one came twice."""
    found = [unit for unit in units if isinstance(unit, int | np.integer) and 0 <= unit < width]
    if not found or len(found) != len(units) or len(set(found)) != len(found):
        raise Refused(f"units must be different numbers from 0 to {width - 1}, one or more; got {list(units)!r}")
    return [int(unit) for unit in found]


def started(learned: Learned, x: Any, given: Asked | None, seed: int) -> Start:
    """Where a walk begins: the posterior mean of the picture x, or the first drawing of what is given."""
    with evaluating(learned.model):
        columns, settled, pixels = first_drawing(learned, given, seed) if x is None else pictured(learned, x, given)
        c = learned.condition(columns, np.zeros(len(settled.codes[0].z), int))
        z = settled.coded(*(code.z for code in settled.codes))
        return Start(columns, learned.model(c, z=z, draw=pixels), pixels)


def first_drawing(learned: Learned, given: Asked | None, seed: int) -> tuple[Columns, Trace, Draw]:
    """What `generate` draws first of what is given: (columns of one row, a chunk's pass, its noise)."""
    columns, _, listed = requests(learned.schema, given)
    if listed:
        raise Refused("a walk begins at one picture; give one value a field, not a list")
    columns = drawn(learned.schema, columns, np.zeros((1, 2), int), seed_in(seed))
    rows, _ = next(chunks(1))
    draw = Draw(RowNoise(seed, np.zeros((len(rows), 2), int), learned.device))
    return columns, learned.using()(learned.condition(columns, rows), draw=draw), draw


def pictured(learned: Learned, x: Any, given: Asked | None) -> tuple[Columns, Trace, Draw]:
    """What `reconstruct` makes of one picture: (columns of one row, a chunk's pass, its noise)."""
    images, columns = opened(learned, x, given)
    if len(images) != 1:
        raise Refused(f"a walk begins at one picture; x holds {len(images)}, give x[:1]")
    return columns, *inferred(learned, images, columns, next(chunks(1))[0], None)


def spreads(learned: Learned, start: Start) -> list[Tensor]:
    """Deviations [Z] of each code's units where the walk begins: of the fitted density where there is one."""
    rows, _ = next(chunks(1))
    z = start.trace.coded(*start.codes)
    trace = learned.using()(learned.condition(start.columns, rows), z=z, draw=start.pixels)
    return [code.p.stddev[0].cpu().double() for code in trace.codes]


def moved(learned: Learned, start: Start, level: int, units: Tensor, moves: Tensor) -> np.ndarray:
    """Pictures [r, S, C, H, W] with one unit [r] of the code of this level moved by so much, [r, S]."""
    out = np.empty((moves.numel(), *learned.shape), np.float32)
    noises, _ = carried(start.trace)
    draw = Draw(Given(noises, start.pixels.noise))
    by, own = moves.flatten().float(), units.repeat_interleave(moves.shape[1])
    for rows, kept in chunks(len(out)):
        place = torch.from_numpy(rows)
        z = start.codes[level].clone()
        z[torch.arange(len(rows)), own[place].to(z.device)] += by[place].to(z)
        given = start.trace.coded(*start.codes[:level], z)
        c = learned.condition(start.columns, np.zeros(len(rows), int))
        store(out, kept, learned.model(c, z=given, draw=draw), start.pixels)
    return out.reshape(*moves.shape, *learned.shape)
