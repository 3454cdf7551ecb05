"""Networks: pictures and conditions in, features out. Every one takes any image size.

The condition enters once a network, through `Fuse`: a linear map of the condition's vector added to the features.
For a one-hot label that is the same as concatenating it before a linear layer, and costs one look-up.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.trace import Condition

Shape = tuple[int, int, int]  # [C, H, W] of one picture
ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh, "gelu": nn.GELU}


class Fuse(nn.Module):
    """Linear layer of features and condition together: [B, F], c [B, D] -> [B, out]."""

    def __init__(self, features: int, condition: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features + condition, out)
        self.condition = condition

    def forward(self, features: Tensor, c: Condition) -> Tensor:
        return self.linear(torch.cat([features, c.vector.to(features.dtype)], 1) if self.condition else features)


class MLP(nn.Module):
    """Dense layers, each followed by its activation, the condition beside the input: [B, F], c -> [B, sizes[-1]]."""

    def __init__(self, features: int, condition: int, sizes: Sequence[int], activation: str = "relu") -> None:
        super().__init__()
        self.first = Fuse(features, condition, sizes[0])
        act = ACTIVATIONS[activation]
        layers: list[nn.Module] = [act()]
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), act()]
        self.rest = nn.Sequential(*layers)

    def forward(self, features: Tensor, c: Condition) -> Tensor:
        return self.rest(self.first(features, c))


class DenseEncoder(nn.Module):
    """Picture x [B, C, H, W] and condition -> head's distribution, by dense layers."""

    def __init__(self, shape: Shape, condition: int, hidden: Sequence[int], head: nn.Module, activation: str) -> None:
        super().__init__()
        self.body = MLP(math.prod(shape), condition, hidden, activation)
        self.head = head

    def forward(self, x: Tensor, c: Condition):
        return self.head(self.body(x.flatten(1), c))


class DenseDecoder(nn.Module):
    """Latent z [B, Z] and condition -> distribution over pictures [B, C, H, W], by dense layers."""

    def __init__(
        self, z: int, condition: int, hidden: Sequence[int], shape: Shape, head: nn.Module, activation: str
    ) -> None:
        super().__init__()
        self.shape = shape
        self.body = MLP(z, condition, hidden, activation)
        self.out = nn.Linear(hidden[-1], math.prod(shape))
        self.head = head

    def forward(self, z: Tensor, c: Condition):
        return self.head(self.out(self.body(z, c)).unflatten(1, self.shape), c)


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
    ) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        sizes = halvings(*shape[1:])
        layers: list[nn.Module] = []
        before = shape[0]
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
        seen = (x * 2 - 1).contiguous(memory_format=torch.channels_last)
        return self.head(self.act(self.fuse(self.body(seen).flatten(1), c)))


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


class ConvDecoder(nn.Module):
    """Latent z [B, Z] and condition -> distribution over pictures, by residual blocks and sub-pixel convolutions.

    Latents and condition enter at the start and modulate every block. `out` channels go to the head, each bias
    starting at `start`.
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
    ) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        sizes = halvings(*shape[1:])
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
        for stack, up in zip(self.blocks, self.ups, strict=True):
            for block in stack:  # type: ignore[union-attr]
                x = block(x, by)
            x = up(self.act(x))
        return self.head(x, c)


held: WeakKeyDictionary[nn.Module, tuple[int, bool]] = WeakKeyDictionary()  # module -> (how often, its own mode)
holding = Lock()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode and without gradients; every module gets its own mode back afterwards.

    Counted, for several threads may ask one model at once: the last to leave gives the modes back.
    """
    modules = list(model.modules())
    with holding:
        for module in modules:
            times, mode = held.get(module, (0, module.training))
            held[module] = (times + 1, mode)
            module.training = False
    try:
        with torch.inference_mode():
            yield model
    finally:
        with holding:
            for module in modules:
                times, mode = held.pop(module)
                if times > 1:
                    held[module] = (times - 1, mode)
                else:
                    module.training = mode
