"""How a hole is shown: hatched in orange, so that nobody takes it for content."""

from __future__ import annotations

import numpy as np

__all__ = ["coloured", "tinted"]

TINT = (0.93, 0.49, 0.13)


def tinted(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Pictures x [..., C, H, W] with what is not `seen` [..., 1 or C, H, W] hatched, float32 [..., 3, H, W].

    Ink shows faintly through.
    """
    x, height, width = coloured(x), *x.shape[-2:]
    stripes = (np.add.outer(np.arange(height), np.arange(width)) % 4 < 2).astype(np.float32)
    strength = np.where(seen.all(-3, keepdims=True), 0.0, 0.6 + 0.3 * stripes)
    return (x * (1 - strength) + np.asarray(TINT)[:, None, None] * strength).astype(np.float32)


def coloured(x: np.ndarray) -> np.ndarray:
    """Pictures [..., C, H, W] with three channels."""
    return np.repeat(x, 3, -3) if x.shape[-3] == 1 else x
