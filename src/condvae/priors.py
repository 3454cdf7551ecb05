"""Prior heads: condition -> distribution of the latents. The densities fitted after training are in densities.py."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from condvae.heads import LOG_SIGMA, diagonal
from condvae.trace import Condition, Draw, Drawable


class StandardNormal(nn.Module):
    """The prior N(0, I) over z [B, Z], whatever is asked."""

    def __init__(self, z: int) -> None:
        super().__init__()
        self.loc: Tensor
        self.scale: Tensor
        self.register_buffer("loc", torch.zeros(z), persistent=False)
        self.register_buffer("scale", torch.ones(z), persistent=False)

    def forward(self, c: Condition) -> Distribution:
        normal = Normal(self.loc.expand(c.rows, -1), self.scale.expand(c.rows, -1), validate_args=False)
        return Independent(normal, 1, validate_args=False)


class ConditionalNormal(nn.Module):
    """A learned prior p(z | c): a diagonal Normal whose parameters are a network of the condition.

    Source: Sohn, Lee, Yan, "Learning Structured Output Representation using Deep Conditional Generative Models", 2015.
    Starts at N(0, I) for every condition.
    """

    def __init__(self, condition: int, z: int) -> None:
        super().__init__()
        self.linear = nn.Linear(condition, 2 * z)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, c: Condition) -> Distribution:
        mean, log_variance = self.linear(c.vector).chunk(2, -1)
        return diagonal(mean, 0.5 * log_variance)


class SeenPrior(nn.Module):
    """A learned prior p(z | c) of a condition that holds a partial picture: an encoder of what is seen."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, c: Condition) -> Distribution:
        assert c.picture is not None, "this prior reads what is seen of a picture"
        return self.encoder(c.picture, Condition(c.vector))


class Table(nn.Module):
    """A linear map of a condition that starts at zero, and may be zero wide."""

    def __init__(self, condition: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out, condition))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, vector: Tensor) -> Tensor:
        return F.linear(vector, self.weight, self.bias)


class ConditionalMixture(nn.Module):
    """A learned prior p(z | c): a mixture of diagonal Normals for each condition, trained with the rest.

    Source: Tomczak, Welling, "VAE with a VampPrior", 2018, whose mixture-of-Gaussians prior this is, conditioned.
    """

    def __init__(self, condition: int, z: int, components: int) -> None:
        super().__init__()
        self.shape = (components, z)
        self.mean = Table(condition, components * z)
        self.log_sigma = Table(condition, components * z)
        self.weight = Table(condition, components)
        nn.init.normal_(self.mean.weight if condition else self.mean.bias, std=0.5)

    def forward(self, c: Condition) -> Distribution:
        log_sigma = self.log_sigma(c.vector).float().clamp(*LOG_SIGMA)
        return DiagonalMixture(
            self.weight(c.vector).float().log_softmax(-1),
            self.mean(c.vector).float().unflatten(-1, self.shape),
            log_sigma.unflatten(-1, self.shape),
        )


class DiagonalMixture(Drawable):
    """A mixture of M diagonal Normals a row: log_weight [B, M], locs, log_sigma [B, M, Z]; z [B, Z] or [K, B, Z]."""

    has_validate_sample = False

    def __init__(self, log_weight: Tensor, locs: Tensor, log_sigma: Tensor, k: int = 0) -> None:
        self.log_weight, self.locs, self.log_sigma, self.k = log_weight, locs, log_sigma, k
        rows = torch.Size([k] if k else []) + locs.shape[:1]
        super().__init__(rows, locs.shape[-1:], validate_args=False)

    def expand(self, batch_shape, _instance=None) -> DiagonalMixture:
        return DiagonalMixture(self.log_weight, self.locs, self.log_sigma, batch_shape[0])

    def log_prob(self, value: Tensor) -> Tensor:
        z = value if value.dim() == 3 else value[None]  # [K, B, Z]
        precision = torch.exp(-2 * self.log_sigma)
        # sum over units of (z - mean)^2 / sigma^2, multiplied out: no [K, B, M, Z] is ever held
        with torch.autocast(z.device.type, enabled=False):  # in half precision a density would lose whole nats
            square = torch.einsum("kbz,bmz->kbm", z.square(), precision)
            cross = torch.einsum("kbz,bmz->kbm", z, self.locs * precision)
        distance = square - 2 * cross + (self.locs.square() * precision).sum(-1)
        half = self.log_sigma.sum(-1) + 0.5 * z.shape[-1] * math.log(2 * math.pi)
        out = torch.logsumexp(self.log_weight - half - 0.5 * distance, -1)
        return out if value.dim() == 3 else out[0]

    def from_noise(self, draw: Draw, level: int) -> Tensor:
        shape = (*self.batch_shape, 1)
        u = draw.noise.uniform(shape, level).to(self.locs)
        chosen = (u >= self.log_weight.exp().cumsum(-1)).sum(-1).clamp_max(self.locs.shape[1] - 1)
        rows = torch.arange(self.locs.shape[0], device=self.locs.device).expand_as(chosen)
        mean, sigma = self.locs[rows, chosen], self.log_sigma[rows, chosen].exp()
        heat = draw.heat(level)
        return mean if heat == 0 else mean + heat * sigma * draw.noise.normal(mean.shape, level).to(mean)

    @property
    def mean(self) -> Tensor:
        return (self.log_weight.exp()[..., None] * self.locs).sum(1)

    @property
    def variance(self) -> Tensor:
        second = (self.log_weight.exp()[..., None] * (self.locs.square() + torch.exp(2 * self.log_sigma))).sum(1)
        return second - self.mean.square()
