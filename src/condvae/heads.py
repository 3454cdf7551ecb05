"""Heads: the last step of a network, from features to a distribution.

Heads return torch.distributions objects in float32, never (mean, log-variance) tuples. Those over pictures are
`Pixels`: they score only what is seen of x, and give a picture through one function.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from condvae.trace import Condition, Draw

LOG_SIGMA = (
    -7.0,
    5.0,
)  # a posterior's log standard deviation: wider than any use, narrow enough never to overflow


def diagonal(mean: Tensor, log_sigma: Tensor) -> Independent:
    """Normal with a diagonal covariance over the last dimension, log sigma bounded so that no KL turns into NaN."""
    sigma = log_sigma.float().clamp(*LOG_SIGMA).exp()
    return Independent(Normal(mean.float(), sigma, validate_args=False), 1, validate_args=False)


class GaussianHead(nn.Module):
    """Features [B, F] -> diagonal Normal over z [B, Z] (Kingma & Welling, "Auto-Encoding Variational Bayes", 2013)."""

    def __init__(self, features: int, z: int) -> None:
        super().__init__()
        self.z = z
        self.linear = nn.Linear(features, 2 * z)

    def forward(self, features: Tensor) -> Distribution:
        mean, log_variance = self.linear(features).chunk(2, -1)
        return diagonal(mean, 0.5 * log_variance)


class Pixels(Distribution, ABC):
    """A distribution over pictures [B, C, H, W]. `log_prob(x, seen)` counts only the seen entries.

    x may hold fewer rows than the distribution: with K samples a row, row b of x is scored by rows b, B + b, 2 B + b,
    ... and log_prob returns [K * B].
    """

    has_validate_sample = False

    def __init__(self, parameters: Tensor) -> None:
        self.parameters = parameters
        super().__init__(parameters.shape[:1], parameters.shape[1:], validate_args=False)

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Expected picture [B, C, H, W] in [0, 1]."""

    @abstractmethod
    def costs(self, x: Tensor) -> Tensor:
        """-log p of each entry, [K, B, C, H, W] for x [B, C, H, W]."""

    def split(self, values: Tensor, x: Tensor) -> Tensor:
        """[K * B, ...] -> [K, B, ...], B being x's rows."""
        return values.unflatten(0, (-1, x.shape[0]))

    def log_prob(self, value: Tensor, seen: Tensor | None = None) -> Tensor:
        costs = self.costs(value)
        if seen is not None:
            costs = costs * seen
        return -costs.flatten(2).sum(-1).flatten()

    def picture(self, draw: Draw) -> Tensor:
        """The picture shown for this distribution [B, C, H, W]: its mean, unless it has none."""
        return self.mean

    def guided(self, other: Pixels, strength: float) -> Pixels:
        """This distribution's natural parameters (logits, means) extrapolated from `other`'s: strength 1 = this one.

        Source: Ho & Salimans, "Classifier-Free Diffusion Guidance", 2022, here on the likelihood of a decoder.
        """
        moved = copy.copy(self)
        moved.parameters = torch.lerp(other.parameters, self.parameters, strength)
        return moved


class Within(torch.autograd.Function):
    """Clamped to [0, 1]; a gradient may call a value beyond the edge back, where a clamp's is lost, not push it out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        outward = ((x < 0) & (gradient > 0)) | ((x > 1) & (gradient < 0))  # descent goes against the gradient
        return gradient.masked_fill(outward, 0)


def within(x: Tensor) -> Tensor:
    """Pixels in [0, 1]."""
    return Within.apply(x)  # type: ignore[return-value]


class Bernoulli(Pixels):
    """Independent Bernoulli entries with the given logits; for x in (0, 1) an unnormalised score, the grey BCE."""

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.parameters)

    def costs(self, x: Tensor) -> Tensor:
        logits = self.split(self.parameters, x)
        return F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")


class Gaussian(Pixels):
    """Independent Normal entries of one standard deviation a channel, a density over x as a real number in [0, 1]."""

    def __init__(self, mean: Tensor, log_sigma: Tensor) -> None:
        super().__init__(mean)
        self.log_sigma = log_sigma

    @property
    def mean(self) -> Tensor:
        return within(self.parameters)

    def costs(self, x: Tensor) -> Tensor:
        mean = self.split(self.parameters, x)
        error = (x - mean) * torch.exp(-self.log_sigma)
        return 0.5 * error.square() + self.log_sigma + 0.5 * math.log(2 * math.pi)


class DiscretisedLogistic(Pixels):
    """8-bit entries: the mass that a logistic gives to each of 256 bins of width 1/255; the edge bins take the tails.

    A normalised likelihood of pixels v / 255. Source: Kingma et al., "Improved Variational Inference with Inverse
    Autoregressive Flow", 2016, and Salimans et al., "PixelCNN++", 2017.
    """

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        super().__init__(mean)
        self.log_scale = log_scale

    @property
    def mean(self) -> Tensor:
        return within(self.parameters)

    def costs(self, x: Tensor) -> Tensor:
        return logistic_costs(x, self.split(self.parameters, x), self.log_scale)


def logistic_costs(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """-log of the mass that logistics give to the bins of x, elementwise."""
    scale = torch.exp(-log_scale)
    upper, lower = (x - mean + 0.5 / 255) * scale, (x - mean - 0.5 / 255) * scale
    # log(sigmoid(u) - sigmoid(l)) = log(1 - exp(l - u)) + logsigmoid(u) + logsigmoid(-l): no bin underflows
    inside = torch.log(-torch.expm1(lower - upper)) + F.logsigmoid(upper) + F.logsigmoid(-lower)
    above = torch.where(x > 254.5 / 255, F.logsigmoid(-lower), inside)
    return -torch.where(x < 0.5 / 255, F.logsigmoid(upper), above)


class BernoulliHead(nn.Module):
    """Feature map [B, C, H, W] -> Bernoulli: the map holds the logits."""

    normalised = "binary"

    def forward(self, features: Tensor, c: Condition) -> Pixels:
        return Bernoulli(features.float())


class GaussianPixels(nn.Module):
    """Feature map [B, C, H, W] -> Gaussian around it, its noise fixed, learned, or optimal.

    sigma: a number: fixed; "learned": one parameter a channel, trained with the rest; "optimal": a buffer a channel
    that follows the detached mean squared error of the training batches, the maximum-likelihood sigma (Rybkin,
    Daniilidis, Levine, "Simple and Effective VAE Training with Calibrated Decoders", 2021). A buffer, because a sigma
    taken from the batch that is scored would make a row's likelihood depend on the other rows.
    """

    normalised = "continuous"
    RATE = 0.01  # how fast the optimal sigma follows the batches
    FLOOR = math.log(1e-3)  # a quarter of one 8-bit step: below it a density rewards copying the quantisation

    def __init__(self, channels: int, sigma: float | str = "optimal") -> None:
        super().__init__()
        self.sigma = sigma
        start = torch.full((channels, 1, 1), math.log(sigma if isinstance(sigma, float | int) else 0.3))
        self.log_sigma: Tensor
        if sigma == "learned":
            self.log_sigma = nn.Parameter(start)
        else:
            self.register_buffer("log_sigma", start)

    def forward(self, features: Tensor, c: Condition) -> Pixels:
        return Gaussian(features.float(), self.log_sigma.clamp(self.FLOOR, 2.0))

    @torch.no_grad()
    def observe(self, pixels: Pixels, x: Tensor, scored: Tensor | None = None) -> None:
        """After a training pass: let the optimal sigma follow the batch's error on the pixels that are scored."""
        if self.sigma == "optimal":
            square = (pixels.split(pixels.parameters.detach(), x) - x).square().mean(0)
            if scored is None:
                error = square.mean((0, 2, 3))[:, None, None]
            else:
                error = ((square * scored).sum((0, 2, 3)) / scored.sum().clamp_min(1))[:, None, None]
            variance = torch.exp(2 * self.log_sigma).lerp(error.clamp_min(1e-6), self.RATE)
            self.log_sigma.copy_(0.5 * torch.log(variance))


class LogisticHead(nn.Module):
    """Feature map [B, C, H, W] -> discretised logistic around it with one learned scale a channel."""

    normalised = "8-bit"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((channels, 1, 1), math.log(0.1)))

    def forward(self, features: Tensor, c: Condition) -> Pixels:
        return DiscretisedLogistic(features.float(), self.log_scale.clamp(-7.0, 2.0))


def pixel_head(likelihood: str, channels: int, sigma: float | str = "optimal") -> nn.Module:
    """The head of that name: "bernoulli", "gaussian" or "logistic"."""
    if likelihood == "bernoulli":
        return BernoulliHead()
    return GaussianPixels(channels, sigma) if likelihood == "gaussian" else LogisticHead(channels)
