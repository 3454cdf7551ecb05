"""Critics: networks that tell real pictures from drawn ones, and know what was asked."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.convs import channels_at, halvings
from condvae.nets import Shape
from condvae.trace import Condition

GROUPS = 8  # of channels that are normalised together
DETAIL = 4.0  # how much fine detail is enlarged
SLOPE = 0.2  # of the leaky activation below zero


def detail(x: Tensor) -> Tensor:
    """What a picture [B, C, H, W] holds beyond the mean of each pixel's neighbourhood of 3 x 3."""
    return x - F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


class Critic(nn.Module):
    """Pictures [B, C, H, W] in [0, 1] and condition -> (how real each of P patches seems [B, P], feature maps).

    Beside the picture it is shown the picture's fine detail, enlarged: blur is what it is there for, and from pixels
    alone convolutions are slow to find it. The last maps are scored place by place (Isola et al., "Image-to-Image
    Translation with Conditional Adversarial Networks", 2017). Under group norm, and no batch norm, whose statistics
    would move with the pictures that are judged. The condition enters by projection (Miyato & Koyama, "cGANs with
    Projection Discriminator", 2018): whatever it holds, labels or numbers, a picture that does not go with it is told
    from one that does.
    """

    def __init__(self, shape: Shape, condition: int, width: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = 2 * shape[0]
        for level in range(1, max(2, len(halvings(*shape[1:])))):
            after = channels_at(level, width)
            grouped = nn.GroupNorm(math.gcd(after, GROUPS), after) if level > 1 else nn.Identity()
            stages.append(nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), grouped))
            before = after
        last = nn.Sequential(nn.Conv2d(before, before, 3, padding=1), nn.GroupNorm(math.gcd(before, GROUPS), before))
        self.stages = nn.ModuleList([*stages, last])
        self.real = nn.Conv2d(before, 1, 1)
        self.fits = nn.Linear(condition, before, bias=False) if condition else None

    def forward(self, x: Tensor, c: Condition) -> tuple[Tensor, list[Tensor]]:
        maps: list[Tensor] = []
        x = x * 2 - 1
        h = torch.cat([x, DETAIL * detail(x)], 1).contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            h = F.leaky_relu(stage(h), SLOPE)
            maps.append(h)
        score = self.real(h).flatten(1)
        if self.fits is not None:
            told = self.fits(c.vector.to(h.dtype))
            score = score + torch.einsum("bf,bfhw->bhw", told, h).flatten(1) / h.shape[1] ** 0.5
        return score.float(), maps
