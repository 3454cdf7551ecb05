"""Mixtures of Gaussians over latents and numbers, conditioned on the numbers that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from condvae.densities import unpack

LIKELY = 1 / 20  # of the greatest weight: coarse components that weigh as much say what is typical


@dataclass(frozen=True)
class Part:
    """The components that may be drawn under some labels, m of them, as functions of n known numbers u.

    own [m]: their places among all; coarse [m]; known [n]: places of u among all numbers; mean_u [m, n], white_u
    [m, n, n], constant_u [m]: of the density of u; mean_z [m, Z], slope [m, Z, n], scale [m, Z, Z], constant_z [m]: of
    z given u. Methods take log_weight [b, m], each row's log weights given its labels, up to a constant.
    """

    known: Tensor
    own: Tensor
    coarse: Tensor
    mean_u: Tensor
    white_u: Tensor
    constant_u: Tensor
    mean_z: Tensor
    slope: Tensor
    scale: Tensor
    constant_z: Tensor

    @cached_property
    def map_u(self) -> tuple[Tensor, Tensor]:
        """(matrix [m * n, n], shift [m * n]) of u [b, n] -> its noise."""
        return linear(self.white_u.double(), self.mean_u.double())

    @cached_property
    def map_z(self) -> tuple[Tensor, Tensor]:
        """(matrix [m * Z, Z + n], shift [m * Z]) of [z; u] -> the noise of z given u; drawing does without."""
        white, slope, mean_u = inverted(self.scale.double()), self.slope.double(), self.mean_u.double()
        return linear(torch.cat([white, -white @ slope], 2), torch.cat([self.mean_z.double(), mean_u], 1))

    def weigh(self, u: Tensor, log_weight: Tensor) -> Tensor:
        """log p(component | labels, u) for u [b, n]: [b, m]."""
        square = through(self.map_u, u, len(self.own)).square().sum(-1)
        return (log_weight + self.constant_u - 0.5 * square).log_softmax(-1)

    def white(self, z: Tensor, u: Tensor) -> Tensor:
        """The noise of z [b, Z] under each component given u: [b, m, Z]."""
        return through(self.map_z, torch.cat([z, u], 1), len(self.own))

    def score(self, z: Tensor, u: Tensor, log_weight: Tensor) -> Tensor:
        """log p(z | labels, u), [b]."""
        return torch.logsumexp(
            self.weigh(u, log_weight) + self.constant_z - 0.5 * self.white(z, u).square().sum(-1), -1
        )

    def means(self, u: Tensor) -> Tensor:
        """The mean of every component given u, [b, m, Z]."""
        return self.mean_z + (self.slope * (u[:, None] - self.mean_u)[:, :, None]).sum(-1)

    def mean(self, picked: Tensor, u: Tensor) -> Tensor:
        """The mean given u of the component picked for each row, [b, Z]."""
        return self.mean_z[picked] + (self.slope[picked] * (u - self.mean_u[picked])[:, None]).sum(-1)

    def pick(self, u: Tensor, log_weight: Tensor, uniform: Tensor) -> Tensor:
        """A component for each row from uniforms [b, 1]: [b]."""
        cumulative = self.weigh(u, log_weight).double().exp().cumsum(-1)
        # a uniform above the last rounded sum belongs to the last component that has weight
        return (uniform >= cumulative).sum(-1).minimum((cumulative < cumulative[:, -1:]).sum(-1))

    def moments(self, u: Tensor, log_weight: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each unit, [b, Z] both."""
        weight, means = self.weigh(u, log_weight).exp()[:, :, None], self.means(u)
        mean = (weight * means).sum(1)
        spread = self.scale.square().sum(-1) + (means - mean[:, None]).square()
        return mean, (weight * spread).sum(1)

    def typical(self, z: Tensor, u: Tensor, log_weight: Tensor, radius: float) -> Tensor:
        """z drawn to `radius` of the nearest of the coarse components that weigh most, [b, Z]."""
        weight = self.weigh(u, log_weight)
        if self.coarse.any():
            weight = weight.masked_fill(~self.coarse, -math.inf)
        white = self.white(z, u)
        length = white.square().sum(-1).sqrt()
        nearest = length.masked_fill(weight < weight.amax(1, keepdim=True) + math.log(LIKELY), math.inf).argmin(1)
        rows = torch.arange(len(z), device=z.device)
        picked = white[rows, nearest]
        picked = picked * (radius * z.shape[1] ** 0.5 / length[rows, nearest])[:, None].clamp_max(1.0)
        return self.mean(nearest, u) + (self.scale[nearest] * picked[:, None]).sum(-1)


def condition_on(z: int, known: Sequence[int], own: Tensor, coarse: Tensor, mean: Tensor, factor: Tensor) -> Part:
    """Components `own` [m] of [z; numbers] as Gaussians of z given the numbers at `known`; worked out in float64.

    Of all components: coarse [M]; mean [M, Z + U]; factor: packed lower triangles of the covariances.
    """
    n, wide = len(known), mean.shape[1]
    order = [z + place for place in known] + list(range(z))
    mean = mean[own].double()
    rows = unpack(factor[own], wide).double()[:, order]  # of the covariance's root; the unknown numbers drop out
    lower = torch.linalg.cholesky(rows @ rows.mT)
    first, below, scale = lower[:, :n, :n], lower[:, n:, :n], lower[:, n:, n:]

    def constant(triangles: Tensor) -> Tensor:
        log_det = triangles.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -log_det - 0.5 * triangles.shape[-1] * math.log(2 * math.pi)

    white_u = inverted(first)
    slope = below @ white_u  # the covariance of z and u times the inverse of u's
    mean_u = mean[:, [z + place for place in known]]
    numbers = mean_u, white_u, constant(first), mean[:, :z], slope, scale, constant(scale)
    places = torch.tensor(known, dtype=torch.long, device=mean.device)
    return Part(places, own, coarse[own], *(value.float().contiguous() for value in numbers))


def inverted(triangles: Tensor) -> Tensor:
    """The inverses of lower triangles [m, n, n]."""
    return torch.linalg.solve_triangular(triangles, torch.eye(triangles.shape[-1]).to(triangles), upper=False)


def linear(matrix: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """matrix [m, e, d] (x - centre [m, d]) as one matrix [m * e, d] and what is to be taken off, [m * e]; float32."""
    return matrix.flatten(0, 1).float(), (matrix @ centre[:, :, None]).flatten().float()


def through(by: tuple[Tensor, Tensor], points: Tensor, components: int) -> Tensor:
    """points [b, d] through (matrix [m * e, d], shift [m * e]): [b, m, e]."""
    matrix, shift = by
    with torch.autocast(points.device.type, enabled=False):  # in half precision a density would lose whole nats
        return torch.addmm(-shift, points, matrix.mT).view(len(points), components, len(shift) // components)
