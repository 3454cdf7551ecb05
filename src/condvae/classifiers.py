"""A convolutional classifier of pictures: residual blocks at half and at a quarter of the size, then their mean."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.choice import Choice, ChoiceHead
from condvae.convs import norm
from condvae.nets import ACTIVATIONS, Fuse, Shape
from condvae.trace import Condition


class Block(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))) (He et al., "Identity Mappings in Deep Residual Networks", 2016)."""

    def __init__(self, channels: int, activation: str, normalise: str) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        self.body = nn.Sequential(
            norm(normalise, channels),
            act(),
            nn.Conv2d(channels, channels, 3, padding=1),
            norm(normalise, channels),
            act(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        with torch.no_grad():
            last = self.body[-1]
            assert isinstance(last, nn.Conv2d)
            last.weight.mul_(0.3)  # a block begins near the identity

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ConvClassifier(nn.Module):
    """Pictures [B, C, H, W] in [0, 1] and condition -> Choice among K classes; any size of at least 4 pixels.

    width: channels at half the size, doubled at each halving down to about 6 pixels.
    """

    def __init__(
        self, shape: Shape, condition: int, classes: int, width: int, blocks: int, activation: str, normalise: str
    ) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 5, stride=2, padding=2)]
        side, channels = min(shape[1:]) // 2, width
        while True:
            layers += [Block(channels, activation, normalise) for _ in range(blocks)]
            layers += [norm(normalise, channels), act()]
            if side < 12:
                break
            layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)]
            side, channels = side // 2, 2 * channels
        self.body = nn.Sequential(*layers)
        self.fuse = Fuse(2 * channels, condition, 2 * channels)
        self.act = act()
        self.head = ChoiceHead(2 * channels, classes)

    def forward(self, x: Tensor, c: Condition) -> Choice:
        maps = self.body((x * 2 - 1).contiguous(memory_format=torch.channels_last))
        pooled = torch.cat([F.adaptive_avg_pool2d(maps, 1), F.adaptive_max_pool2d(maps, 1)], 1).flatten(1)
        return self.head(self.act(self.fuse(pooled, c)))
