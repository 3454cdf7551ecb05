"""How sharp pictures are: the steepness of their edges, beside that of real ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from condvae.distances import ratio_of_means
from condvae.findings import Sharpness

__all__ = ["gradient_energy", "sharpness"]

ENTRIES_AT_ONCE = 2**24


def gradient_energy(x: Tensor) -> Tensor:
    """Gradient energy [N], float64, of pictures [N, C, H, W] in [0, 1]: how far each pixel is from that below and from
    the one at its right, both squared and added; mean over channels and pixels. Past an edge there is no difference.

    A checkerboard has nearly 2, an even picture 0; a blur takes it away, noise adds to it, and half the contrast has a
    quarter.
    """
    step = max(1, ENTRIES_AT_ONCE // max(1, int(np.prod(x.shape[1:]))))
    return torch.cat([_energy(part.double()) for part in x.split(step)])


def _energy(x: Tensor) -> Tensor:
    down, across = x.diff(dim=2).square(), x.diff(dim=3).square()
    return (down.sum((1, 2, 3)) + across.sum((1, 2, 3))) / x[0].numel()


def sharpness(drawn: np.ndarray, real: np.ndarray) -> Sharpness | None:
    """Gradient energy of drawings [N] relative to that of the real images [N] whose like they are, pair by pair; None
    where the real images are all even."""
    found = ratio_of_means(drawn, real)
    if found is None:
        return None
    return Sharpness(ratio=found[0], standard_error=found[1], drawings=len(drawn))
