"""Rows held out of a collection: the same ones for the same seed, on every machine and version."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from condvae.errors import Refused

__all__ = ["hold_out", "stratified_split"]


def hold_out(n: int, labels: Sequence[str | None] | None, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Split n rows into (kept, held): int64 row numbers [n - count] and [count], each rising.

    Every class, unknown counted as one, gives its share of the `count` held rows and keeps at least one row
    where it can. The split is a function of (labels, count, seed) alone, on every machine and version.

    Raises:
        Refused: a count below 1 or above n - 1, or labels that are not n.
    """
    if not 1 <= count < n:
        raise Refused(f"the number of images held out must be 1 to {n - 1} of {n}, got {count}")
    if labels is not None and len(labels) != n:
        raise Refused(f"labels must be one per row, got {len(labels)} for {n} rows")
    # The raw stream of a bit generator never changes between numpy's versions; its shuffle may.
    order = np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")
    rows: dict[str | None, list[int]] = {}
    for row in order.tolist():
        rows.setdefault(None if labels is None else labels[row], []).append(row)
    groups = sorted(rows.values(), key=lambda group: (-len(group), min(group)))
    held = [row for group, k in zip(groups, _quotas([len(g) for g in groups], count), strict=True) for row in group[:k]]
    mask = np.zeros(n, bool)
    mask[held] = True
    return torch.from_numpy(np.flatnonzero(~mask)), torch.from_numpy(np.flatnonzero(mask))


def stratified_split(labels: Sequence[str | None], share: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Like `hold_out`, for a share of the rows in (0, 1); at least one row is held and one kept."""
    if not 0 < share < 1:
        raise Refused(f"the share of images held out must be between 0 and 1, got {share}")
    n = len(labels)
    return hold_out(n, labels, min(max(round(share * n), 1), max(n - 1, 1)), seed)


def _quotas(sizes: Sequence[int], count: int) -> list[int]:
    """Largest remainders: whole numbers that sum to `count` in proportion to `sizes`, sparing one each."""
    total = sum(sizes)
    exact = [count * size / total for size in sizes]
    quotas = [min(int(share), size - 1) for share, size in zip(exact, sizes, strict=True)]
    for spare in (1, 0):
        while sum(quotas) < count:
            open_groups = [i for i, size in enumerate(sizes) if quotas[i] < size - spare]
            if not open_groups:
                break
            quotas[max(open_groups, key=lambda i: exact[i] - quotas[i])] += 1
    return quotas
