"""Importance weights of pictures, in blocks of samples and chunks of rows, so that memory does not grow with either.

log p(x | c) is bounded from below by importance-weighted samples of the posterior (Burda, Grosse, Salakhutdinov,
"Importance Weighted Autoencoders", 2016); the bound rises with their number. What is not known of a picture is summed
over, value by value, or enters as a blank input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from condvae.conditions import Field, Label
from condvae.errors import Refused
from condvae.images import Images
from condvae.learned import Columns, Learned, Progress, chunks, observe, open_fields, take
from condvae.ledger import Ledger
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.objectives import log_weights
from condvae.trace import Condition, Draw

ENTRIES = 2**20  # pixels scored at once, samples included: bounds the memory
SMALL = 64  # a table's row counts as so many: its latents cost more than its few entries, and a chunk is padded
COMBINATIONS = 1000  # of values of unknown fields that are summed over at most


@dataclass(frozen=True)
class Importance:
    """log_prob [N] float64 nats, the effective number of the k samples behind each, [N] float64 in [1, k], and the ELBO
    of the same samples, [N] float64 nats, NaN where labels were summed over."""

    log_prob: np.ndarray
    effective: np.ndarray
    elbo: np.ndarray


def marginal(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    k: int,
    seed: int,
    progress: Progress | None = None,
    rows: np.ndarray | None = None,
    unknown: str | None = None,
    ledger: Ledger | None = None,
) -> Importance:
    """log p(x | what is known) of these rows, by default of all.

    unknown: how fields that are not known are treated, as `open_fields` has it; those that are open are summed over by
    their shares, a number over 16 equally likely values. ledger: where chunks that are done are kept.
    """
    found = by_value(learned, model, images, columns, k, seed, progress, rows, unknown, ledger)
    return Importance(found.log_prob[0], found.effective[0], found.elbo[0])


def by_value(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    k: int,
    seed: int,
    progress: Progress | None = None,
    rows: np.ndarray | None = None,
    unknown: str | None = None,
    ledger: Ledger | None = None,
    over: Label | None = None,
) -> Importance:
    """`marginal` under each of the V values of a label, whatever the columns say of it: arrays [V, N]; without a label
    [1, N].

    All that one picture may be stands in one chunk: a row and a value after the other share the passes.
    """
    rows = np.arange(len(images)) if rows is None else rows
    shape = 1 if over is None else len(over.values), len(rows)
    out = Importance(np.full(shape, -np.inf), np.zeros(shape), np.full(shape, np.nan))
    best = out.log_prob.copy()
    parts = parts_of(learned, columns, rows, unknown, over)
    done, total = 0, sum(len(part.own) * part.ways for part in parts)
    with evaluating(model):
        for part in parts:
            for places, ways, found in settled(learned, model, images, columns, rows, part, k, seed, ledger):
                for way in np.unique(ways):
                    part.add(int(way), places[ways == way], found[:, ways == way], out, best)
                done += len(places)
                if progress is not None:
                    progress(done, total)
    return out


@dataclass(frozen=True)
class Part:
    """Rows of which the same fields are open, and every way to fill these: all values of a label `over` in turn, each
    with every combination of the open fields' values.

    own: where the rows stand among those that are asked for; entries, shares: of each open field its values and the
    logarithms of their shares.
    """

    own: np.ndarray
    fields: tuple[Field, ...]
    entries: tuple[np.ndarray, ...]
    shares: tuple[np.ndarray, ...]
    over: Label | None

    @property
    def combinations(self) -> int:
        return math.prod(map(len, self.entries))

    @property
    def ways(self) -> int:
        return self.combinations * (1 if self.over is None else len(self.over.values))

    def places(self, ways: np.ndarray) -> tuple[np.ndarray, ...]:
        """Of each open field the place of its value in these ways: the last field's varies fastest."""
        found, left = [], ways % self.combinations
        for entries in reversed(self.entries):
            left, place = np.divmod(left, len(entries))
            found.append(place)
        return tuple(reversed(found))

    def filled(self, columns: Columns, rows: np.ndarray, ways: np.ndarray) -> Columns:
        """The columns of these rows, each filled in its own way."""
        asked = {name: column[rows] for name, column in columns.items()}
        for field, entries, places in zip(self.fields, self.entries, self.places(ways), strict=True):
            asked[field.name] = field.filled(asked[field.name], entries[places])
        if self.over is not None:
            asked[self.over.name] = ways // self.combinations
        return asked

    def add(self, way: int, places: np.ndarray, found: np.ndarray, out: Importance, best: np.ndarray) -> None:
        """Add what was found [3, M] of rows at these places among the part's, filled in this way, to the sums [V, N];
        best: the likeliest combination's of each."""
        at = way // self.combinations, self.own[places]
        share = 0.0
        for shares, place in zip(self.shares, self.places(np.asarray(way)), strict=True):
            share += float(shares[place])
        joint = found[0] + share
        out.log_prob[at] = np.logaddexp(out.log_prob[at], joint)
        out.effective[at] = np.where(joint > best[at], found[1], out.effective[at])
        best[at] = np.maximum(best[at], joint)
        if not self.fields:
            out.elbo[at] = found[2]


def parts_of(
    learned: Learned, columns: Columns, rows: np.ndarray, unknown: str | None, over: Label | None
) -> list[Part]:
    """The rows by what is open of them. Refused where that may be filled in too many ways."""
    told = columns if over is None else {**columns, over.name: np.zeros(len(columns[over.name]), np.int64)}
    fields = open_fields(learned.schema, told, rows, unknown)
    blanks = np.stack([field.unknown(told[field.name][rows]) for field in fields], 1) if fields else None
    patterns = [()] if blanks is None else [tuple(bool(one) for one in row) for row in np.unique(blanks, axis=0)]
    supports = {field.name: field.support() for field in fields}  # pyright: ignore
    parts = []
    for pattern in patterns:
        some = tuple(field for field, blank in zip(fields, pattern, strict=False) if blank)
        own = np.arange(len(rows)) if blanks is None else np.flatnonzero((blanks == pattern).all(1))
        entries, shares = (tuple(supports[field.name][which] for field in some) for which in (0, 1))
        parts.append(Part(own, some, entries, shares, over))
    most = max(part.combinations for part in parts)
    if most > COMBINATIONS:
        raise Refused(
            f"unknown fields may be summed over {COMBINATIONS} combinations of their values, here they have "
            f"{most}; give more of {', '.join(field.name for field in fields)}"
        )
    return parts


def settled(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    rows: np.ndarray,
    part: Part,
    k: int,
    seed: int,
    ledger: Ledger | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The importance-weighted bound of a part's rows under columns that leave nothing open, chunk by chunk, the first
    way of all rows first: (their places in the part [M], the ways [M], what `weighed_chunk` says of them [3, M])."""
    entries = math.prod(learned.shape) if learned.outputs is None else max(SMALL, math.prod(learned.shape))
    most = max(1, ENTRIES // entries)
    samples = min(k, 2 ** int(math.log2(most)))
    size = 2 ** int(math.log2(max(1, most // samples)))
    for flat, kept in chunks(len(part.own) * part.ways, size):
        ways, places = np.divmod(flat, len(part.own))
        # a row has its own noise whatever it is filled with: it cancels where these are compared
        chunk, number = rows[part.own[places]], kept.stop - kept.start
        x = observe(take(learned, images, chunk), learned.binarise, RowNoise(seed, chunk, learned.device))
        c = learned.schema.encode(part.filled(columns, chunk, ways), size).to(learned.device)
        weigh = partial(weighed_chunk, model, c, x, chunk, k, samples, seed)
        told = (x, c.vector, c.picture, chunk, k, samples, seed)
        found = weigh() if ledger is None else ledger.kept(told, weigh)
        yield places[:number], ways[:number], found[:, :number]


def weighed_chunk(
    model: nn.Module, c: Condition, x: Tensor, rows: np.ndarray, k: int, samples: int, seed: int
) -> np.ndarray:
    """(log mean weight, effective samples, mean log weight) of each row of a chunk, [3, B] float64."""
    first = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
    second, total = first.clone(), torch.zeros_like(first)
    for weights in weight_blocks(model, c, x, rows, k, samples, seed):
        first = torch.logaddexp(first, torch.logsumexp(weights, 0))
        second = torch.logaddexp(second, torch.logsumexp(2 * weights, 0))
        total += weights.sum(0)
    return torch.stack([first - math.log(k), torch.exp(2 * first - second), total / k]).cpu().numpy()


def weight_blocks(
    model: nn.Module, c: Condition, x: Tensor, rows: np.ndarray, k: int, samples: int, seed: int
) -> Iterator[Tensor]:
    """log weights of k samples a row in blocks [<= samples, B], float64. The first k samples do not depend on k.

    What the model reads of x whatever the noise (`Model.look`) it reads once; each block is a pass.
    """
    looked = cast(Any, model).look(c, x)
    for block in range(-(-k // samples)):
        draw = Draw(RowNoise(seed, np.stack([rows, np.full_like(rows, block)], 1), x.device), k=samples)
        yield log_weights(model(c, looked, draw=draw), x).double()[: k - block * samples]
