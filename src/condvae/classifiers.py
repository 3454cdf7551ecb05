"""Classifiers of pictures: residual blocks at half the size, a quarter and so on, then dense; or dense layers alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.choice import Choice, ChoiceHead
from condvae.convs import norm
from condvae.nets import ACTIVATIONS, Fuse, Shape
from condvae.trace import Condition

PLACES = 8  # features of as many rows and columns of the last maps are kept


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

    width: channels at half the size, doubled at each halving down to about 6 pixels. Features keep their places, up to
    8 x 8 of them: their mean over the picture would tell what strokes there are, and not how they are arranged, and of
    few labels the classes are then told apart by a mere mark (a 7 with a bar and a 2).
    """

    def __init__(
        self, shape: Shape, condition: int, classes: int, width: int, blocks: int, activation: str, normalise: str
    ) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 5, stride=2, padding=2)]
        channels, high, wide = width, math.ceil(shape[1] / 2), math.ceil(shape[2] / 2)
        while True:
            layers += [Block(channels, activation, normalise) for _ in range(blocks)]
            layers += [norm(normalise, channels), act()]
            if min(high, wide) < 12:
                break
            layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)]
            channels, high, wide = 2 * channels, math.ceil(high / 2), math.ceil(wide / 2)
        self.body = nn.Sequential(*layers)
        self.places = min(PLACES, high), min(PLACES, wide)
        self.fuse = Fuse(channels * math.prod(self.places), condition, 4 * width)
        self.act = act()
        self.head = ChoiceHead(4 * width, classes)

    def forward(self, x: Tensor, c: Condition) -> Choice:
        maps = self.body((x * 2 - 1).contiguous(memory_format=torch.channels_last))
        placed = F.adaptive_avg_pool2d(maps, self.places).flatten(1)
        return self.head(self.act(self.fuse(placed, c)))


class DenseClassifier(nn.Module):
    """Pictures [B, C, H, W] in [0, 1] and condition -> Choice among K classes, by normalised dense layers.

    What it holds for alike is alike pixel by pixel, so that a mark more or less seldom makes another class.
    """

    def __init__(self, shape: Shape, condition: int, classes: int, sizes: Sequence[int], activation: str) -> None:
        super().__init__()
        self.first = Fuse(math.prod(shape), condition, sizes[0])
        layers: list[nn.Module] = [nn.BatchNorm1d(sizes[0]), ACTIVATIONS[activation]()]
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), ACTIVATIONS[activation]()]
        self.rest = nn.Sequential(*layers)
        self.head = ChoiceHead(sizes[-1], classes)

    def forward(self, x: Tensor, c: Condition) -> Choice:
        return self.head(self.rest(self.first(x.flatten(1) * 2 - 1, c)))
