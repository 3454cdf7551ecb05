"""Two latent units moved at once from a drawing of the model's own: any point of the plane that they span.

The middle is a drawing, not the origin: where all other units are nought, a model with a fitted density draws nothing
in particular.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from condvae.errors import Refused
from condvae.learned import Asked, Columns, Learned, chunks
from condvae.nets import evaluating
from condvae.noise import Given
from condvae.tasks import store
from condvae.trace import Draw, Trace, carried
from condvae.walks import activity, most_active, spreads, started

__all__ = ["Origin", "crossed", "origin_of", "two_units"]


@dataclass(frozen=True, eq=False)
class Origin:
    """The middle of a plane: the condition's columns (one row), the latents of a chunk of equal rows, their noise, the
    noise that pictures are drawn with, and the deviation of each unit of the first code, float64 [Z]."""

    columns: Columns
    latents: Trace
    noises: Sequence[Tensor]
    pixels: Draw
    deviations: np.ndarray

    @property
    def width(self) -> int:
        """Units of the first code."""
        return len(self.deviations)

    @property
    def z(self) -> np.ndarray:
        """The first code [Z]."""
        return self.latents.codes[0].z[0].cpu().double().numpy()


def origin_of(learned: Learned, given: Asked | None = None, seed: int = 0) -> Origin:
    """The first picture that `generate` draws of what is given, as the middle of a plane. Refused as in `traverse`,
    and for a model that draws in glimpses, whose first latent is only the first of many strokes."""
    if hasattr(learned.model, "glimpses"):
        raise Refused("a plane moves two units of one latent, and this model has a latent for each of its glimpses")
    start = started(learned, None, given, seed)
    with evaluating(learned.model):
        deviations = spreads(learned, start)[0].numpy()
    noises, _ = carried(start.trace)
    latents = Trace(start.trace.latents, cast(Any, None), start.trace.k)  # the picture itself is not kept
    return Origin(start.columns, latents, noises, start.pixels, deviations)


def two_units(learned: Learned, width: int) -> tuple[int, int]:
    """The two units of the first code, of so many, that say most of the model's own drawings (`walks.activity`)."""
    if width < 2:
        raise Refused("a plane needs two latent units, and this model has one; walk along it with traverse")
    nats = activity(learned)[:width]
    first = most_active(nats, 2)
    rest = [int(unit) for unit in np.argsort(-nats, kind="stable") if unit not in first]
    return cast(tuple[int, int], tuple((first + rest)[:2]))


def crossed(learned: Learned, origin: Origin, units: tuple[int, int], at: np.ndarray) -> np.ndarray:
    """The pictures [N, C, H, W] where two units of the first code lie so many deviations, at [N, 2], from the origin.

    Codes below keep their noise, and follow. A picture is a function of (origin, units, its point) alone.
    """
    moves = torch.from_numpy((np.asarray(at, np.float64) * origin.deviations[list(units)]).astype(np.float32))
    draw = Draw(Given(list(origin.noises), origin.pixels.noise))
    out = np.empty((len(moves), *learned.shape), np.float32)
    with evaluating(learned.model):
        for rows, kept in chunks(len(out)):
            z = origin.latents.codes[0].z.clone()
            z[:, list(units)] += moves[torch.from_numpy(rows)].to(z)
            c = learned.condition(origin.columns, np.zeros(len(rows), int))
            store(out, kept, learned.model(c, z=origin.latents.coded(z), draw=draw), origin.pixels)
    return out
