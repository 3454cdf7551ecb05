"""A prior for models of holes: where nothing is seen of a picture, the density fitted to the latents; else the model's.

A learned prior reads what is seen, and is the better the more there is. Where nothing is seen it is one Normal a label,
as rough as any prior of training, and the density fitted afterwards takes its place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from condvae.trace import Condition, Draw, Drawable, sample


class UnseenPrior(nn.Module):
    """Prior head of two: `fitted` for rows of which nothing is seen, `own` for the others."""

    def __init__(self, fitted: nn.Module, own: nn.Module) -> None:
        super().__init__()
        self.fitted = fitted
        self.own = own

    def forward(self, c: Condition) -> Distribution:
        if c.picture is None:
            return self.fitted(c)
        return Either(c.picture[:, -1].flatten(1).any(1), self.own(c), self.fitted(Condition(c.vector)))


class Either(Drawable):
    """Row by row one of two distributions over z [B, Z]: `first` where `choice` [B] is true, else `second`."""

    has_validate_sample = False

    def __init__(self, choice: Tensor, first: Distribution, second: Distribution) -> None:
        self.choice, self.first, self.second = choice, first, second
        super().__init__(first.batch_shape, first.event_shape, validate_args=False)

    def expand(self, batch_shape, _instance=None) -> Either:
        return Either(self.choice, self.first.expand(batch_shape), self.second.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.where(self.choice, self.first.log_prob(value), self.second.log_prob(value))

    def from_noise(self, draw: Draw, level: int) -> Tensor:
        return torch.where(self.choice[:, None], sample(self.first, draw, level), sample(self.second, draw, level))

    @property
    def mean(self) -> Tensor:
        return torch.where(self.choice[:, None], self.first.mean, self.second.mean)

    @property
    def variance(self) -> Tensor:
        return torch.where(self.choice[:, None], self.first.variance, self.second.variance)
