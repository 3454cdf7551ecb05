"""Critics: networks that tell real pictures from drawn ones, and know what was asked."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from condvae.convs import channels_at, halvings
from condvae.nets import Shape
from condvae.trace import Condition

SLOPE = 0.2  # of the leaky activation below zero


class Critic(nn.Module):
    """Pictures [B, C, H, W] in [0, 1] and condition -> (how real each is taken to be [B], feature maps by stage).

    Strided convolutions under spectral norm (Miyato et al., "Spectral Normalization for Generative Adversarial
    Networks", 2018), and no batch norm, whose statistics would move with the pictures that are judged. The condition
    enters by projection (Miyato & Koyama, "cGANs with Projection Discriminator", 2018): whatever it holds, labels or
    numbers, a picture that does not go with it is told from one that does.
    """

    def __init__(self, shape: Shape, condition: int, width: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = shape[0]
        for level in range(1, max(2, len(halvings(*shape[1:])))):
            after = channels_at(level, width)
            stages.append(spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)))
            before = after
        stages.append(spectral_norm(nn.Conv2d(before, before, 3, padding=1)))
        self.stages = nn.ModuleList(stages)
        self.real = spectral_norm(nn.Linear(before, 1))
        self.fits = spectral_norm(nn.Linear(condition, before, bias=False)) if condition else None

    def forward(self, x: Tensor, c: Condition) -> tuple[Tensor, list[Tensor]]:
        maps: list[Tensor] = []
        h = (x * 2 - 1).contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            h = F.leaky_relu(stage(h), SLOPE)
            maps.append(h)
        features = h.mean((2, 3)) * h.shape[2]  # between the mean and the sum, which would grow with the picture
        score = self.real(features)[:, 0]
        if self.fits is not None:
            score = score + (self.fits(c.vector.to(features.dtype)) * features).sum(1)
        return score.float(), maps
