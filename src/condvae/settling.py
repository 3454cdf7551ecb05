"""What is not known of a picture, read by the model: field by field, where all together have too many values.

Each field takes the value that makes the picture likeliest while the others stay as they were read last (coordinate
ascent), twice over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from condvae.conditions import Field, Label, Number
from condvae.learned import Columns, Learned, columns_of, observe, open_fields, pictures_of, take
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.objectives import distortion
from condvae.trace import Draw

__all__ = [
    "SUMMED",
    "SWEEPS",
    "Weigher",
    "best",
    "combinations",
    "crowded",
    "numberless",
    "read_fields",
    "settle",
    "tiled",
]

SUMMED = 32  # combinations of values that are summed over; of more, fields are read one after another
SWEEPS = 2  # how often each field is read, the others as they were read last


def crowded(learned: Learned, given: Mapping[str, Any], count: int, but: str | None = None) -> bool:
    """Whether the fields that are not given of `count` pictures and have no blank input, without `but`, have more than
    32 values together."""
    fields = open_fields(learned.schema, columns_of(learned, given, count), np.arange(count))
    return combinations(tuple(field for field in fields if field.name != but)) > SUMMED


def numberless(learned: Learned, given: Mapping[str, Any], count: int) -> bool:
    """Whether a number that has no blank input is not given of `count` pictures: no label's reading tells it."""
    fields = open_fields(learned.schema, columns_of(learned, given, count), np.arange(count))
    return any(isinstance(field, Number) for field in fields)


def read_fields(learned: Learned, x: Any, given: Mapping[str, Any], but: str | None = None) -> dict[str, list[Any]]:
    """Field -> N values (names of a label, floats of a number, tuples of a vector) of the fields that are not given of
    pictures x [N, C, H, W] and that have no blank input, read by the model; `but` is left as it is.

    Refused as by `tasks.classify`.
    """
    images = pictures_of(learned, x)
    rows = np.arange(len(images))
    columns = columns_of(learned, given, len(images))
    fields = tuple(field for field in open_fields(learned.schema, columns, rows) if field.name != but)
    if but is not None and but not in given:  # while it is not known, it stands at any of its values
        columns = {**columns, but: np.zeros(len(images), np.int64)}
    model = learned.using()
    with evaluating(model):
        seen = observe(take(learned, images, rows), learned.binarise, RowNoise(0, rows, learned.device))
        found = settle(Weigher(learned, model, seen, rows, 1, 0), columns, fields)
    return {field.name: values_of(field, found[field.name]) for field in fields}


def values_of(field: Field, column: np.ndarray) -> list[Any]:
    """Entries of a column as they may be given."""
    if isinstance(field, Label):
        return [field.values[place] for place in column]
    return [float(entry[0]) if len(entry) == 1 else tuple(entry.tolist()) for entry in column]


@dataclass(frozen=True)
class Weigher:
    """Pictures x [B, C, H, W] as the protocol sees them, rows [B] to name their noise, and what weighs them."""

    learned: Learned
    model: nn.Module
    x: Tensor
    rows: np.ndarray
    k: int
    seed: int

    def weighed(self, columns: Columns, ways: int, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(log p(x | c), rate), [B, ways] each, of columns of B * ways rows, those of a picture side by side.

        The ways of one picture share its noise, so that it cancels where they are compared.
        """
        names, k = np.repeat(self.rows, ways), k or self.k
        c, x = self.learned.condition(columns, np.arange(len(names))), self.x.repeat_interleave(ways, 0)
        noise = RowNoise(self.seed, np.stack([names, np.zeros_like(names)], 1), x.device)
        trace = self.model(c, x, draw=Draw(noise, k=k))
        fit = -distortion(trace, x).double()
        ratio = torch.zeros_like(fit)
        for latent in trace.latents:
            assert latent.q is not None
            ratio += (latent.p.log_prob(latent.z) - latent.q.log_prob(latent.z)).reshape(trace.k, -1)
        found = torch.logsumexp(fit + ratio, 0) - math.log(k)
        return tuple(one.reshape(-1, ways).cpu().numpy() for one in (found, -ratio.mean(0)))  # pyright: ignore


def settle(weigh: Weigher, columns: Columns, fields: tuple[Field, ...]) -> Columns:
    """The columns with what is read of the fields, each in turn, the others as they were read last.

    At first each stands at its likeliest value, a number at its middle one.
    """
    settled, rows = dict(columns), len(weigh.rows)
    supports = {field.name: field.support() for field in fields}  # pyright: ignore
    for name, (entries, shares) in supports.items():
        likeliest = np.flatnonzero(shares == shares.max())
        settled[name] = np.repeat(entries[likeliest[len(likeliest) // 2]][None], rows, 0)
    for field in list(fields) * SWEEPS:
        entries, shares = supports[field.name]
        asked = {name: np.repeat(column, len(shares), 0) for name, column in settled.items()}
        each, _ = weigh.weighed({**asked, field.name: tiled(entries, rows)}, len(shares), 1)
        settled[field.name] = entries[best(each + shares)]
    return settled


def combinations(fields: tuple[Field, ...]) -> int:
    """How many values these fields have together."""
    return math.prod(len(field.support()[1]) for field in fields)  # pyright: ignore


def best(joint: np.ndarray) -> np.ndarray:
    """The place of the largest of each row [B, W], where some may be no numbers."""
    return np.nan_to_num(joint, nan=-np.inf).argmax(1)


def tiled(entries: np.ndarray, rows: int) -> np.ndarray:
    """A column [W, ...] repeated as a whole, [rows * W, ...]."""
    return np.tile(entries, (rows, *(1,) * (entries.ndim - 1)))
