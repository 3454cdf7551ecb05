"""Small changes of pictures that leave what they show as it is: turned, scaled, sheared and shifted a little."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from condvae.noise import Noise

__all__ = ["Warp", "resample"]

KNOTS = 5  # places in a row, and rows of them, whose shifts bend a picture
WARP_LEVEL = -3  # the level of noise that warps pictures in training


def resample(x: Tensor, matrix: Tensor, bent: Tensor | None = None) -> Tensor:
    """Pictures x [B, C, H, W] read at affinely moved places; matrix [B, 2, 3] in units of half the picture's sides.

    bent: further shifts of the places [B, 2, h, w], across and down, smoothly spread over the picture.
    """
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    if bent is not None:
        spread = F.interpolate(bent, size=x.shape[2:], mode="bicubic", align_corners=True)
        grid = grid + spread.permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, align_corners=False, padding_mode="border")


@dataclass(frozen=True, slots=True)
class Warp:
    """Random affine changes, each uniform within its limits, and bends.

    turn: radians; scale and shear: shares; shift: in halves of the picture's side; bend: standard deviation, in halves
    of the side, of the shifts of 5 x 5 places, between which it is interpolated (after Simard, Steinkraus, Platt, "Best
    Practices for Convolutional Neural Networks", 2003).
    """

    turn: float
    scale: float
    shear: float
    shift: float
    bend: float = 0.0

    def __call__(self, x: Tensor, noise: Noise, level: int = WARP_LEVEL) -> Tensor:
        """x [B, C, H, W] in [0, 1], each picture changed by its own noise."""
        within = (2 * noise.uniform([len(x), 6], level).to(x) - 1).unbind(1)
        angle = self.turn * within[0]
        wide, high, shear = 1 + self.scale * within[1], 1 + self.scale * within[2], self.shear * within[3]
        cos, sin = angle.cos(), angle.sin()
        across, down = self.shift * within[4], self.shift * within[5]
        rows = [cos * wide, (shear - sin) * high, across, sin * wide, cos * high, down]
        bent = None
        if self.bend:
            bent = self.bend * noise.normal([len(x), 2 * KNOTS**2], level).to(x).view(-1, 2, KNOTS, KNOTS)
        return resample(x, torch.stack(rows, 1).view(-1, 2, 3), bent).clamp(0, 1)
