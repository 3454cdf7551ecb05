"""Balanced batches: where one class is much more frequent than another, rare ones are shown as often.

A conditional model learns p(x | c), for which how often each c comes is free to choose; of a class that comes once in
a hundred rows it would otherwise see one row a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from condvae.noise import seed_of

__all__ = ["UNEVEN", "balanced_order", "quotas", "turns"]

UNEVEN = 5  # most frequent to least frequent class, from which on batches are balanced
REPEATS = 10  # times a row comes in an epoch, at most: more would learn the few rows of a rare class by heart


def quotas(counts: list[int]) -> list[int]:
    """How many rows of each class an epoch of sum(counts) rows shows: equally many, but no row over ten times."""
    left, open_classes = sum(counts), set(range(len(counts)))
    found = [0] * len(counts)
    while open_classes:
        share = left // len(open_classes)
        full = [place for place in open_classes if counts[place] * REPEATS <= share]
        if not full:
            for rank, place in enumerate(sorted(open_classes)):
                found[place] = share + (rank < left - share * len(open_classes))
            break
        for place in full:
            found[place] = counts[place] * REPEATS
            left -= found[place]
            open_classes.discard(place)
    return found


def turns(rows: Tensor, count: int, epoch: int, seed: int, place: int) -> Tensor:
    """The part [count] that belongs to an epoch of the endless sequence of all rows in one random order after another.

    place: tells apart the sequences of several groups of rows.
    """
    first, last = epoch * count, (epoch + 1) * count
    taken: list[Tensor] = [rows[:0]]
    for turn in range(first // len(rows), -(-last // len(rows))):
        generator = torch.Generator().manual_seed(seed_of(seed, place, turn, 19))
        order = rows[torch.randperm(len(rows), generator=generator)]
        start = turn * len(rows)
        taken.append(order[max(0, first - start) : min(len(rows), last - start)])
    return torch.cat(taken)


def balanced_order(groups: Tensor, epoch: int, seed: int) -> Tensor:
    """Row numbers of an epoch [N], the classes of `groups` [N] (-1 = unknown, a class of its own) equally frequent.

    A class with more rows than its share shows other ones in the next epoch, so that all come in their turn; one with
    fewer is shown several times. A function of (groups, epoch, seed) alone.
    """
    classes = groups.unique().tolist()
    rows = [torch.nonzero(groups == one)[:, 0] for one in classes]
    taken: list[Tensor] = []
    for place, (own, count) in enumerate(zip(rows, quotas([len(own) for own in rows]), strict=True)):
        taken.append(turns(own, count, epoch, seed, place))
    order = torch.cat(taken)
    generator = torch.Generator().manual_seed(seed_of(seed, epoch, 17))
    return order[torch.randperm(len(order), generator=generator)]
