"""Networks of the ladder: gated blocks, the reader of pictures at every size, the priors and posteriors of a level.

Sources: Sonderby, Raiko, Maaloe, Sonderby, Winther, "Ladder Variational Autoencoders", 2016; Child, "Very Deep VAEs
Generalize Autoregressive Models and Can Outperform Them on Images", 2021; gated blocks: Salimans, Karpathy, Chen,
Kingma, "PixelCNN++", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from condvae.convs import Up
from condvae.heads import diagonal
from condvae.nets import ACTIVATIONS, Fuse, repeated
from condvae.priors import Table
from condvae.trace import Condition

SMALLEST = 4  # pixels on the short side of the smallest feature map: beyond it comes the vector


def shrinking(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes of a ladder, from the vector, 1 x 1, up to the picture's own: 28 x 28 -> 1, 4, 7, 14, 28."""
    sizes = [(height, width)]
    while min(sizes[-1]) > SMALLEST:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return [(1, 1), *sizes[::-1]]


def channels(place: int, sizes: int, whole: bool, width: int) -> int:
    """Channels of the map at a place of so many sizes: the width at the picture's size and half, else twice it."""
    return width if place >= sizes - 1 - whole else 2 * width


class Gated(nn.Module):
    """x + a * sigmoid(b), (a, b) = 1x1(act(shifted(3x3(act(1x1(act(x))))))), scale and shift given by what is told.

    narrow: channels within. A map of one pixel has nothing around it, and its kernels are 1 x 1.
    """

    def __init__(self, wide: int, narrow: int, told: int, size: tuple[int, int], activation: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        self.into = nn.Conv2d(wide, narrow, 1)
        self.look = around(narrow, narrow, size)
        self.tell = Table(told, 2 * narrow)
        self.out = nn.Conv2d(narrow, 2 * wide, 1)
        with torch.no_grad():
            self.out.weight.mul_(0.5)  # a block begins near the identity

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        inner = shifted(self.look(self.act(self.into(self.act(x)))), self.tell(told))
        value, gate = self.out(self.act(inner)).chunk(2, 1)
        return x + value * torch.sigmoid(gate)


def around(before: int, after: int, size: tuple[int, int]) -> nn.Conv2d:
    """A convolution that looks around: 3 x 3, or 1 x 1 of a map of one pixel."""
    kernel = 1 if size == (1, 1) else 3
    return nn.Conv2d(before, after, kernel, padding=kernel // 2)


def shifted(x: Tensor, modulation: Tensor) -> Tensor:
    """x [B, C, h, w] scaled and shifted channel by channel (Perez et al., "FiLM", 2018)."""
    scale, shift = modulation[:, :, None, None].chunk(2, 1)
    return x * (1 + scale) + shift


class MapPrior(nn.Module):
    """p(z | above, c) of a map of latents, and what the level knows without z: features [N, C, h, w] -> (Normal over
    [N, m * h * w], features)."""

    def __init__(self, wide: int, narrow: int, maps: int, told: int, size: tuple[int, int], activation: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        self.into = nn.Conv2d(wide, narrow, 1)
        self.look = around(narrow, narrow, size)
        self.tell = Table(told, 2 * narrow)
        self.out = nn.Conv2d(narrow, 2 * maps + wide, 1)
        self.maps = maps
        with torch.no_grad():
            self.out.weight.mul_(0.3)

    def forward(self, above: Tensor, told: Tensor) -> tuple[Independent, Tensor]:
        inner = shifted(self.look(self.act(self.into(self.act(above)))), self.tell(told))
        out = self.out(self.act(inner))
        mean, log_sigma = out[:, : 2 * self.maps].flatten(1).chunk(2, 1)
        return diagonal(mean, log_sigma), above + out[:, 2 * self.maps :]


class MapPosterior(nn.Module):
    """q(z | x, above, c) of a map of latents, as steps away from the prior: of its mean in its own sigmas, of its sigma
    by a factor (Vahdat & Kautz, "NVAE", 2020). It starts as the prior.

    What is read of x is met once a row, and repeated for the K samples of it.
    """

    def __init__(self, wide: int, narrow: int, maps: int, told: int, size: tuple[int, int], activation: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        self.above = nn.Conv2d(wide, narrow, 1)
        self.seen = nn.Conv2d(wide, narrow, 1)
        self.look = around(narrow, narrow, size)
        self.tell = Table(told, 2 * narrow)
        self.out = nn.Conv2d(narrow, 2 * maps, 1)
        with torch.no_grad():
            self.out.weight.mul_(0.1)

    def forward(self, prior: Independent, above: Tensor, seen: Tensor, told: Tensor) -> Independent:
        met = self.above(self.act(above))
        inner = shifted(self.look(self.act(met + repeated(self.seen(seen), met))), self.tell(told))
        step, factor = self.out(self.act(inner)).float().flatten(1).chunk(2, 1)
        normal = prior.base_dist
        assert isinstance(normal, Normal)
        return diagonal(normal.loc + normal.scale * step, torch.log(normal.scale) + factor)


class Rung(nn.Module):
    """One level: its prior, its posterior, and what its latents say to the features [N, C, h, w]."""

    def __init__(self, wide: int, narrow: int, maps: int, told: int, size: tuple[int, int], activation: str) -> None:
        super().__init__()
        self.size = size
        self.maps = maps
        self.prior = MapPrior(wide, narrow, maps, told, size, activation)
        self.posterior = MapPosterior(wide, narrow, maps, told, size, activation)
        self.tell = nn.Conv2d(maps, wide, 1)
        self.block = Gated(wide, narrow, told, size, activation)

    def offered(
        self, above: Tensor, seen: Tensor | None, told: Tensor
    ) -> tuple[Independent, Tensor, Independent | None]:
        """(prior, features before z, posterior or None) for the features above and what is seen of x, if anything."""
        prior, features = self.prior(above, told)
        return prior, features, None if seen is None else self.posterior(prior, features, seen, told)

    def forward(self, above: Tensor, z: Tensor, told: Tensor) -> Tensor:
        """Features after z [N, m * h * w]."""
        return self.block(above + self.tell(z.unflatten(1, (self.maps, *self.size))), told)


class VectorPosterior(nn.Module):
    """q(z | x, c) of the topmost latents: features [B, F, 1, 1] and condition -> a diagonal Normal over [B, Z]."""

    def __init__(self, wide: int, told: int, z: int, activation: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        self.tell = Table(told, wide)
        self.linear = nn.Linear(wide, 2 * z)

    def forward(self, seen: Tensor, told: Tensor) -> Distribution:
        mean, log_sigma = self.linear(self.act(seen.flatten(1) + self.tell(told))).chunk(2, 1)
        return diagonal(mean, log_sigma)


class Reader(nn.Module):
    """Pictures [B, C, H, W] and what is told -> features at the given sizes, the vector's first: read once, from the
    bottom up. sizes: from the vector's to the largest that is read; whole: that is the pictures' own, else half of it.
    """

    def __init__(
        self,
        pixels: int,
        sizes: Sequence[tuple[int, int]],
        whole: bool,
        width: int,
        features: int,
        blocks: int,
        told: int,
        activation: str,
    ) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        self.downs, self.blocks = nn.ModuleList(), nn.ModuleList()
        before = pixels
        for place in range(len(sizes) - 1, 0, -1):
            wide, first = channels(place, len(sizes), whole, width), place == len(sizes) - 1
            kernel, stride = 5 if first else 3, 1 if first and whole else 2
            self.downs.append(nn.Conv2d(before, wide, kernel, stride, padding=kernel // 2))
            stack = [Gated(wide, wide // 2, told, sizes[place], activation) for _ in range(blocks)]
            self.blocks.append(nn.ModuleList(stack))
            before = wide
        self.vector = nn.Linear(before * sizes[1][0] * sizes[1][1], features)

    def forward(self, x: Tensor, told: Tensor) -> list[Tensor]:
        x = x.contiguous(memory_format=torch.channels_last)
        maps: list[Tensor] = []
        for down, stack in zip(self.downs, self.blocks, strict=True):
            x = down(maps[-1] if maps else x)
            for block in stack:  # type: ignore[union-attr]
                x = block(x, told)
            maps.append(self.act(x))
        vector = self.act(self.vector(maps[-1].flatten(1)))[:, :, None, None]
        return [vector, *maps[::-1]]


class Start(nn.Module):
    """z_1 [N, Z] and condition -> the vector's features [N, F, 1, 1]."""

    def __init__(self, z: int, told: int, features: int) -> None:
        super().__init__()
        self.fuse = Fuse(z, told, features)

    def forward(self, z: Tensor, c: Condition) -> Tensor:
        return self.fuse(z, c)[:, :, None, None]


class Unfold(nn.Module):
    """The vector's features [N, F, 1, 1] -> the smallest map [N, C, h, w]."""

    def __init__(self, features: int, wide: int, size: tuple[int, int], activation: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        self.linear = nn.Linear(features, wide * size[0] * size[1])
        self.shape = (wide, *size)

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear(self.act(x.flatten(1))).unflatten(1, self.shape)
        return out.contiguous(memory_format=torch.channels_last)


class Grow(nn.Module):
    """A map to the next larger size: act, then a sub-pixel convolution; without a larger size a plain one."""

    def __init__(self, before: int, after: int, size: tuple[int, int] | None, activation: str, kernel: int) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]()
        plain = nn.Conv2d(before, after, 3, padding=1)
        self.up = plain if size is None else Up(before, after, size, kernel)

    @property
    def last(self) -> nn.Conv2d:
        """Its convolution."""
        return self.up.conv if isinstance(self.up, Up) else self.up

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.act(x))
