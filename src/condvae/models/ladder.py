"""The ladder: latents on many levels, from a vector down to maps as fine as is wanted, each given all those above it;
conditional, for what is asked is told to every level.

Sources: Sonderby, Raiko, Maaloe, Sonderby, Winther, "Ladder Variational Autoencoders", 2016; Child, "Very Deep VAEs
Generalize Autoregressive Models and Can Outperform Them on Images", 2021. The picture is read once, from the bottom up;
priors and posteriors are both settled from the top down, so that a posterior knows what its prior knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from condvae.models.bound import Bounded
from condvae.models.draw import samples_in
from condvae.models.m2 import copies
from condvae.nets import repeated, seen_channels
from condvae.rungs import Grow, Reader, Rung, Start, Unfold, VectorPosterior
from condvae.trace import Condition, Draw, Looked, Shown, Trace, given_z, settle


@dataclass(frozen=True, slots=True)
class Climbed(Looked):
    """Features of pictures at every size, the vector's first."""

    maps: list[Tensor]


class Ladder(Bounded):
    """Networks of the levels: reader(x, c) -> features at every size; prior(c) -> p(z_1 | c); posterior(the vector's
    features, c) -> q(z_1 | x, c); start(z_1, c) -> features [N, F, 1, 1]; stacks: for each size, the vector's first,
    its blocks, of which a `Rung` holds latents; grows: from each size to the next, the last to what the head reads;
    pixels(features, c) -> p(x | z, c).

    sight: like the reader, of the partial pictures that the condition holds, where it does.
    """

    def __init__(
        self,
        reader: Reader,
        prior: nn.Module,
        posterior: VectorPosterior,
        start: Start,
        stacks: Sequence[Sequence[nn.Module]],
        grows: Sequence[Unfold | Grow],
        pixels: nn.Module,
        sight: Reader | None = None,
    ) -> None:
        super().__init__()
        self.reader = reader
        self.prior = prior
        self.posterior = posterior
        self.start = start
        self.stacks = nn.ModuleList(nn.ModuleList(stack) for stack in stacks)
        self.grows = nn.ModuleList(grows)
        self.pixels = pixels
        self.sight = sight

    @property
    def head(self) -> nn.Module:
        return self.pixels

    @property
    def levels(self) -> tuple[int, ...]:
        """How many levels of latents stand at each size, the vector's first."""
        each = [sum(isinstance(block, Rung) for block in stack) for stack in self.stacks]  # type: ignore[union-attr]
        return (each[0] + 1, *each[1:])

    @property
    def last(self) -> nn.Conv2d:
        """The convolution that gives the head its features."""
        grow = self.grows[-1]
        assert isinstance(grow, Grow)
        return grow.last

    def with_prior(self, prior: nn.Module) -> Ladder:
        """The same networks under another prior head of the topmost latents; no weight is copied."""
        other = Ladder(self.reader, prior, self.posterior, self.start, (), (), self.pixels, self.sight)
        other.stacks, other.grows, other.objective = self.stacks, self.grows, self.objective
        return other

    def look(self, c: Condition, x: Shown) -> Climbed:
        """What the reader makes of x: all that a pass sees of it."""
        if isinstance(x, Climbed):
            return x
        assert isinstance(x, Tensor)
        seen = x * 2 - 1
        if self.sight is not None:
            seen = torch.cat([seen, self.partial(c)], 1)
        return Climbed(self.reader(seen, c.vector))

    def partial(self, c: Condition) -> Tensor:
        """The partial picture as networks read it, [B, C + 1, H, W]."""
        assert c.picture is not None, "this model reads what is seen of a picture"
        return seen_channels(c.picture)

    def forward(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Trace:
        """Latents, the topmost first: that of level i has the noise of level i. K samples part at the first."""
        draw = draw or Draw()
        k = samples_in(z) or draw.k
        single, told = Draw(draw.noise, draw.temperature), c.vector.repeat(k, 1)
        looked = None if x is None else self.look(c, x)
        posterior = None if looked is None else self.posterior(looked.maps[0], c.vector)
        latents = [settle(self.prior(c), posterior, given_z(z, 0), Draw(draw.noise, draw.temperature, k), 0)]
        features = self.start(latents[0].z.flatten(0, -2), Condition(told))
        sights = None if self.sight is None else self.sight(self.partial(c), c.vector)
        for place, (stack, grow) in enumerate(zip(self.stacks, self.grows, strict=True)):
            if sights is not None:
                features = features + repeated(sights[place], features)
            for block in stack:  # type: ignore[union-attr]
                if isinstance(block, Rung):
                    seen, level = None if looked is None else looked.maps[place], len(latents)
                    prior, features, posterior = block.offered(features, seen, told)
                    prior, posterior = shared(prior, k), None if posterior is None else shared(posterior, k)
                    latents.append(settle(prior, posterior, given_z(z, level), single, level))
                    features = block(features, latents[-1].z.flatten(0, -2), told)
                else:
                    features = block(features, told)
            features = grow(features)
        return Trace(tuple(latents), self.pixels(features, c.repeat(k)), k, c.hidden)


def shared(distribution: Distribution, k: int) -> Distribution:
    """A diagonal Normal of K * B rows as one of [K, B]; of one sample a row as it is."""
    return distribution if k == 1 else copies(distribution, k)
