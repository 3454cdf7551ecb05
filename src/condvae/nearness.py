"""How near drawings come to training images, beside how near real images come to them: whether they are copies."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from condvae.distances import ratio_of_means
from condvae.findings import Nearness
from condvae.images import Images, unit

__all__ = ["nearest", "nearness"]

SIDE = 32  # pixels: larger pictures are compared at this size
QUERIES, LEAST = 1_000, 50  # pictures whose nearest image is looked for, drawn and real each
WORK = 10**11  # products of pixels that the search may take, drawn and real together
AT_ONCE = 4_096  # training images
SHARED = 0.1  # of the real images: data sets hold some pictures twice


def nearness(drawn: Tensor, real: Tensor, train: Images, seed: int) -> Nearness | None:
    """Mean distance of drawings [N, C, H, W] to their nearest training image, beside that of as many real images; None
    where more than a tenth of the real images are themselves among the training images.

    Of at most 1,000 pairs of a drawing and a real image of the same label, fewer of very many training images.
    """
    pixels = reduced(train[:1])[0].numel()
    most = max(LEAST, min(QUERIES, WORK // (2 * len(train) * pixels)))
    pairs = np.sort(np.random.default_rng(seed).permutation(len(drawn))[:most])
    both = nearest(torch.cat([drawn[pairs], real[pairs]]), train).view(2, -1).numpy()
    found = ratio_of_means(both[0], both[1])
    if found is None or (both[1] == 0).mean() > SHARED:
        return None
    means = both.mean(1)
    return Nearness(
        drawn=float(means[0]), real=float(means[1]), standard_error=found[1], pictures=len(pairs), training=len(train)
    )


def nearest(x: Tensor, images: Images) -> Tensor:
    """Euclidean distance [N], float64, of pictures x [N, C, H, W] in [0, 1] to the nearest of the images, pixel by
    pixel; those of more than 32 pixels a side are averaged to that size first."""
    queries = reduced(x)
    best = torch.full((len(queries),), math.inf, dtype=torch.float64)
    for start in range(0, len(images), AT_ONCE):
        rows = reduced(images[start : start + AT_ONCE])
        place = torch.addmm(rows.square().sum(1), queries, rows.T, alpha=-2).argmin(1)
        # the product finds which is nearest; how near it is, to a copy above all, its rounding would blur
        apart = (queries - rows[place]).double().square().sum(1).sqrt()
        best = torch.minimum(best, apart)
    return best


def reduced(x: Tensor) -> Tensor:
    """Pictures as rows [N, D] in [0, 1], those of more than 32 pixels a side averaged to that size."""
    height, width = (min(SIDE, length) for length in x.shape[2:])
    return F.adaptive_avg_pool2d(unit(x), (height, width)).flatten(1)
