"""Structural similarity: how alike two pictures look in brightness, contrast and structure, window by window."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from condvae.errors import Refused

__all__ = ["ssim"]

WINDOW, SIGMA = 11, 1.5  # pixels a side, and standard deviation, of the Gaussian window
K1, K2 = 0.01, 0.03  # small shares of the range of values, which keep dark and flat windows from dividing by nothing
ENTRIES_AT_ONCE = 2**22  # values of each of the two collections that are compared at once


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean structural similarity [N] of pictures x and y [N, C, H, W] in [0, 1], pair by pair, in [-1, 1]: 1 = alike.

    A Gaussian window of 11 x 11 pixels, smaller and odd where a picture is; whole windows only; each channel for
    itself, and the mean over all. Pictures are compared in float64 on their own device.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity",
    2004.

    Raises:
        Refused: x and y of different shapes, or not [N, C, H, W].
    """
    if x.ndim != 4 or x.shape != y.shape:
        raise Refused(
            f"x and y must be pictures [N, C, H, W] of one shape; got {list(x.shape)} and {list(y.shape)}, match them"
        )
    step = max(1, ENTRIES_AT_ONCE // max(1, x[0].numel() if len(x) else 1))
    parts = [_ssim(a.double(), b.double()) for a, b in zip(x.split(step), y.split(step), strict=True)]
    return torch.cat(parts)


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    mean_x, mean_y = _smooth(x), _smooth(y)
    var_x, var_y = _smooth(x * x) - mean_x**2, _smooth(y * y) - mean_y**2
    shared = _smooth(x * y) - mean_x * mean_y
    bright = (2 * mean_x * mean_y + K1**2) / (mean_x**2 + mean_y**2 + K1**2)
    return (bright * (2 * shared + K2**2) / (var_x + var_y + K2**2)).mean((1, 2, 3))


def _smooth(x: Tensor) -> Tensor:
    """The window's weighted mean at every place where the whole window lies within the picture."""
    channels = x.shape[1]
    side = min(WINDOW, *((length - 1) // 2 * 2 + 1 for length in x.shape[2:]))
    away = torch.arange(side, dtype=x.dtype, device=x.device) - side // 2
    weights = torch.exp(-(away**2) / (2 * SIGMA**2))
    weights = (weights / weights.sum()).expand(channels, 1, side)
    return F.conv2d(F.conv2d(x, weights[..., None], groups=channels), weights[:, :, None], groups=channels)
