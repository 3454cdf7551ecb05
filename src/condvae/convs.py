"""Networks of convolutions: pictures and conditions in, features out. They take their depth from the image's size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.nets import ACTIVATIONS, Fuse, Shape, repeated, seen_channels
from condvae.trace import Condition


def halvings(height: int, width: int, most: int = 5) -> list[tuple[int, int]]:
    """Sizes from the picture's own down to 5 to 8 pixels on the short side, each the upper half of the one before.

    28x28 -> 28, 14, 7; 8x8 -> 8, 4; 37x53 -> 37x53, 19x27, 10x14, 5x7: a network takes its depth from it.
    """
    sizes = [(height, width)]
    while len(sizes) <= most and min(sizes[-1]) >= (6 if len(sizes) == 1 else 9):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


def channels_at(level: int, width: int) -> int:
    """Channels of a feature map after `level` halvings: the width at half the size, doubled once, and again."""
    return width * min(4, 2 ** max(0, level - 1))


def norm(kind: str, channels: int) -> nn.Module:
    """Batch normalisation, or nothing."""
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.Identity()


class Residual(nn.Module):
    """x + conv(act(scale * norm(conv(act(x))) + shift)), scale and shift given by what conditions the block.

    Source: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", 2018.
    """

    def __init__(self, channels: int, by: int, activation: str, normalise: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = norm(normalise, channels)
        self.modulate = nn.Linear(by, 2 * channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        with torch.no_grad():
            self.second.weight.mul_(0.3)  # a block begins near the identity

    def forward(self, x: Tensor, by: Tensor) -> Tensor:
        scale, shift = self.modulate(by)[:, :, None, None].chunk(2, 1)
        inner = self.norm(self.first(self.act(x))) * (1 + scale) + shift
        return x + self.second(self.act(inner))


class ConvEncoder(nn.Module):
    """Picture and condition -> head's distribution, by strided convolutions; the condition at their end."""

    def __init__(
        self,
        shape: Shape,
        condition: int,
        width: int,
        features: int,
        head: nn.Module,
        activation: str,
        normalise: str,
        partial: bool = False,
    ) -> None:
        super().__init__()
        self.partial = partial
        act = ACTIVATIONS[activation]
        sizes = halvings(*shape[1:])
        layers: list[nn.Module] = []
        before = shape[0] + partial * (shape[0] + 1)
        for level in range(1, len(sizes)):
            after, kernel = channels_at(level, width), 5 if level == 1 else 3
            layers += [nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2), norm(normalise, after), act()]
            before = after
        after = channels_at(len(sizes) - 1, width)
        layers += [nn.Conv2d(before, after, 3, padding=1), norm(normalise, after), act()]
        self.body = nn.Sequential(*layers)
        self.fuse = Fuse(after * math.prod(sizes[-1]), condition, features)
        self.act = act()
        self.head = head

    def forward(self, x: Tensor, c: Condition):
        return self.head(self.act(self.fuse(self.convolved(x, c), c)))

    def convolved(self, x: Tensor, c: Condition) -> Tensor:
        """Features of pictures, [B, F]."""
        seen = x * 2 - 1
        if self.partial and c.picture is not None:
            seen = torch.cat([seen, seen_channels(c.picture)], 1)
        return self.body(seen.contiguous(memory_format=torch.channels_last)).flatten(1)

    def look(self, x: Tensor, c: Condition) -> Tensor:
        """What does not depend on the condition's vector, [B, features]: read once where many conditions follow."""
        return self.fuse.part(self.convolved(x, c))

    def conclude(self, looked: Tensor, c: Condition):
        """The distribution for rows of what `look` gave and as many conditions: look, then conclude = forward."""
        return self.head(self.act(self.fuse.joined(looked, c)))


class Up(nn.Module):
    """Feature map [B, C, h, w] -> [B, out, H, W], H in {2h - 1, 2h}: sub-pixel convolution, cut to the size.

    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
    Neural Network", 2016. Cheaper than convolving at the larger size, and exact for odd sizes through the cut.
    """

    def __init__(self, channels: int, out: int, size: tuple[int, int], kernel: int = 3) -> None:
        super().__init__()
        self.size = size
        self.conv = nn.Conv2d(channels, 4 * out, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)[..., : self.size[0], : self.size[1]]


class Pyramid(nn.Module):
    """A partial picture [B, C + 1, H, W] -> feature maps at each size of a decoder, the smallest first."""

    def __init__(self, channels: int, sizes: Sequence[tuple[int, int]], width: int, activation: str, normalise: str):
        super().__init__()
        act = ACTIVATIONS[activation]
        self.steps = nn.ModuleList()
        before = channels
        for level in range(1, len(sizes)) if len(sizes) > 1 else (0,):
            after = channels_at(level, width)
            conv = nn.Conv2d(
                before, after, 5 if level < 2 else 3, stride=2 if level else 1, padding=2 if level < 2 else 1
            )
            look = nn.Conv2d(after, after, 3, padding=1)
            self.steps.append(nn.Sequential(conv, norm(normalise, after), act(), look, norm(normalise, after), act()))
            before = after

    def forward(self, picture: Tensor) -> list[Tensor]:
        x, maps = seen_channels(picture).contiguous(memory_format=torch.channels_last), []
        for step in self.steps:
            x = step(x)
            maps.append(x)
        return maps[::-1]


class ConvDecoder(nn.Module):
    """Latent z [B, Z] and condition -> distribution over pictures, by residual blocks and sub-pixel convolutions.

    Latents and condition enter at the start and modulate every block; what is seen of a picture (`partial` channels)
    enters at every size. `out` channels go to the head, each bias starting at `start`.
    """

    def __init__(
        self,
        z: int,
        condition: int,
        width: int,
        blocks: int,
        features: int,
        shape: Shape,
        head: nn.Module,
        activation: str,
        normalise: str,
        out: int,
        partial: int = 0,
    ) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        sizes = halvings(*shape[1:])
        self.sight = Pyramid(partial, sizes, width, activation, normalise) if partial else None
        self.start = (channels_at(len(sizes) - 1, width), *sizes[-1])
        self.fuse = Fuse(z, condition, features)
        self.dense = nn.Linear(features, math.prod(self.start))
        self.blocks = nn.ModuleList()
        self.ups = nn.ModuleList()
        for level in range(len(sizes) - 1, -1, -1):
            here, below = channels_at(level, width), channels_at(level - 1, width)
            if level or len(sizes) == 1:
                by = z + condition
                stack = [Residual(here, by, activation, normalise) for _ in range(blocks)]
                self.blocks.append(nn.ModuleList(stack))
            if level:
                last = level == 1
                kernel = 1 if blocks and not last else 3  # between, the next block looks around
                self.ups.append(Up(here, out if last else below, sizes[level - 1], kernel))
            elif len(sizes) == 1:  # a picture too small to halve
                self.ups.append(nn.Conv2d(here, out, 3, padding=1))
        self.head = head

    @property
    def last(self) -> nn.Conv2d:
        """The convolution that gives the head its features."""
        up = self.ups[-1]
        return up.conv if isinstance(up, Up) else up  # type: ignore[return-value]

    def forward(self, z: Tensor, c: Condition):
        by = torch.cat([z, c.vector.to(z.dtype)], 1)
        x = self.dense(self.act(self.fuse(z, c))).unflatten(1, self.start)
        x = x.contiguous(memory_format=torch.channels_last)
        maps: Sequence[Tensor | None] = [None] * len(self.ups)
        if self.sight is not None and c.picture is not None:
            maps = self.sight(c.picture)
        for stack, up, seen in zip(self.blocks, self.ups, maps, strict=True):
            if seen is not None:
                x = x + repeated(seen, x)
            for block in stack:  # type: ignore[union-attr]
                x = block(x, by)
            x = up(self.act(x))
        return self.head(x, c)
