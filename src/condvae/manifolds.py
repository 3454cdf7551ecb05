"""Whether drawings look real and whether they show all that real images show: k-nearest-neighbour precision and recall.

A collection of features is taken for a manifold: the union of balls around its rows, each as wide as the distance to
the row's k-th nearest neighbour. Source: Kynkäänniemi, Karras, Laine, Lehtinen, Aila, "Improved Precision and Recall
Metric for Assessing Generative Models", 2019.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from condvae.errors import Refused
from condvae.findings import Share

__all__ = ["NEIGHBOURS", "precision_recall"]

NEIGHBOURS = 3
ROWS_AT_ONCE = 1_000


def precision_recall(real: np.ndarray, drawn: np.ndarray, k: int = NEIGHBOURS) -> tuple[Share, Share]:
    """(precision, recall) of features real [N, F] and drawn [M, F], exactly, in memory for 1,000 rows of distances.

    Precision: the share of the drawings that lie on the real images' manifold: do they look real? Recall: the share of
    the real images that lie on the drawings': is what is real drawn?

    Raises:
        Refused: features of different widths, or not more than k rows of either.
    """
    if real.ndim != 2 or drawn.ndim != 2 or real.shape[1] != drawn.shape[1] or min(len(real), len(drawn)) <= k:
        raise Refused(
            f"real and drawn must be features [N, F] and [M, F] with more than k = {k} rows each; got "
            f"{list(real.shape)} and {list(drawn.shape)}"
        )
    middle = real.mean(0, dtype=np.float64)  # squared distances are differences of squared lengths: keep these short
    sides = [torch.from_numpy(np.asarray(rows, np.float64) - middle) for rows in (real, drawn)]
    radii = [radii_of(side, k) for side in sides]
    on_real = within(sides[1], sides[0], radii[0])
    on_drawn = within(sides[0], sides[1], radii[1])
    return Share(right=int(on_real.sum()), of=len(drawn)), Share(right=int(on_drawn.sum()), of=len(real))


def radii_of(rows: Tensor, k: int) -> Tensor:
    """Squared distance of each row [N, F] to its k-th nearest other [N]."""
    return torch.cat([near.topk(k + 1, 1, largest=False).values[:, k] for near in squared(rows, rows)])


def within(points: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    """Which points [M, F] lie in a ball around some centre [N, F] of that squared radius [N], bool [M]."""
    rounding = 1e-12 * (points.square().sum(1).max() + centres.square().sum(1).max())
    return torch.cat([(near <= radii + rounding).any(1) for near in squared(points, centres)])


def squared(a: Tensor, b: Tensor) -> Iterator[Tensor]:
    """Squared distances of rows a [N, F] to b [M, F], a block [n, M] at a time."""
    lengths = b.square().sum(1)
    for part in a.split(ROWS_AT_ONCE):
        yield torch.addmm(lengths, part, b.T, alpha=-2).add_(part.square().sum(1, keepdim=True)).clamp_(min=0)
