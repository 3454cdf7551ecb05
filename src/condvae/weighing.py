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
from itertools import product
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

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
    rows = np.arange(len(images)) if rows is None else rows
    fields = open_fields(learned.schema, columns, rows, unknown)
    blanks = np.stack([field.unknown(columns[field.name][rows]) for field in fields], 1) if fields else None
    patterns = [()] if blanks is None else [tuple(bool(one) for one in row) for row in np.unique(blanks, axis=0)]
    supports = {field.name: field.support() for field in fields}  # pyright: ignore
    sums = [[field for field, blank in zip(fields, pattern, strict=False) if blank] for pattern in patterns]
    ways = [math.prod(len(supports[field.name][1]) for field in some) for some in sums]
    if max(ways) > COMBINATIONS:
        raise Refused(
            f"unknown fields may be summed over {COMBINATIONS} combinations of their values, here they have "
            f"{max(ways)}; give more of {', '.join(field.name for field in fields)}"
        )
    members = [
        np.arange(len(rows)) if blanks is None else np.flatnonzero((blanks == pattern).all(1)) for pattern in patterns
    ]
    out = Importance(np.full(len(rows), -np.inf), np.zeros(len(rows)), np.full(len(rows), np.nan))
    best = np.full(len(rows), -np.inf)
    total = sum(len(some) * way for some, way in zip(members, ways, strict=True))
    done = 0
    for some, own in zip(sums, members, strict=True):
        for places in product(*(range(len(supports[field.name][1])) for field in some)):
            asked, share = dict(columns), 0.0
            for field, place in zip(some, places, strict=True):
                entries, shares = supports[field.name]
                asked[field.name] = field.filled(asked[field.name], entries[place])
                share += float(shares[place])
            told = shifted(progress, done, total)
            found = settled(learned, model, images, asked, rows[own], k, seed, told, ledger)
            done += len(own)
            joint = found.log_prob + share
            out.log_prob[own] = np.logaddexp(out.log_prob[own], joint)
            out.effective[own] = np.where(joint > best[own], found.effective, out.effective[own])
            best[own] = np.maximum(best[own], joint)
            if not some:
                out.elbo[own] = found.elbo
    return out


def settled(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    rows: np.ndarray,
    k: int,
    seed: int,
    progress: Progress | None = None,
    ledger: Ledger | None = None,
) -> Importance:
    """The importance-weighted bound of these rows under columns that leave nothing open."""
    entries = math.prod(learned.shape) if learned.outputs is None else max(SMALL, math.prod(learned.shape))
    most = max(1, ENTRIES // entries)
    samples = min(k, 2 ** int(math.log2(most)))
    size = 2 ** int(math.log2(max(1, most // samples)))
    out = Importance(np.empty(len(rows)), np.empty(len(rows)), np.empty(len(rows)))
    with evaluating(model):
        for places, kept in chunks(len(rows), size):
            chunk, number = rows[places], kept.stop - kept.start
            x = observe(take(learned, images, chunk), learned.binarise, RowNoise(seed, chunk, learned.device))
            c = learned.condition(columns, chunk)
            weigh = partial(weighed_chunk, model, c, x, chunk, k, samples, seed)
            told = (x, c.vector, c.picture, chunk, k, samples, seed)
            found = weigh() if ledger is None else ledger.kept(told, weigh)
            out.log_prob[kept], out.effective[kept], out.elbo[kept] = found[:, :number]
            if progress is not None:
                progress(kept.stop, len(rows))
    return out


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


def shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """`progress` for a part of a longer task: `before` rows are done, of `total`."""
    return None if progress is None else lambda done, _: progress(before + done, total)
