"""Hamiltonian Monte Carlo along a path of densities: many chains at once, each image with a step size of its own.

The path leads from one log density, p(z | c), to its sum with another, log p(x | z, c), as beta goes from 0 to 1. What
is moved is z [K, B, ...], K chains of B images; values a chain are [K, B].

Sources: Duane, Kennedy, Pendleton, Roweth, "Hybrid Monte Carlo", 1987; Neal, "MCMC using Hamiltonian dynamics", 2011.
The rule of the step size is that of the code of Wu, Burda, Salakhutdinov, Grosse, "On the Quantitative Analysis of
Decoder-Based Generative Models", 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from condvae.noise import Noise

FIRST_STEP, STEPS = 0.1, (1e-4, 0.25)  # ten steps of the longest turn a unit Normal by less than half a circle
TARGET, SLOWNESS, FASTER, SLOWER = 0.65, 0.9, 1.02, 0.98  # what acceptance is aimed at, and how


@dataclass(frozen=True)
class Point:
    """Chains' positions z [K, B, ...], log p(z | c) and log p(x | z, c) [K, B] there, and their gradients in z."""

    z: Tensor
    prior: Tensor
    likelihood: Tensor
    prior_slope: Tensor
    likelihood_slope: Tensor

    def density(self, beta: float) -> Tensor:
        """log of p(z | c) p(x | z, c)^beta, [K, B]."""
        return self.prior + beta * self.likelihood

    def slope(self, beta: float) -> Tensor:
        """Its gradient, as z."""
        return self.prior_slope + beta * self.likelihood_slope

    def unless(self, moved: Tensor, other: Point) -> Point:
        """This point, or `other` where moved [K, B] is true."""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Point(*(torch.where(over(moved, mine), theirs, mine) for mine, theirs in pairs))


Target = Callable[[Tensor], Point]  # z -> the densities and gradients there


def over(values: Tensor, z: Tensor) -> Tensor:
    """Values [B] or [K, B] with as many axes as z [K, B, ...]."""
    values = values[None] if values.dim() == 1 else values
    return values.reshape(*values.shape, *[1] * (z.dim() - 2))


def leapfrog(
    target: Target, point: Point, momentum: Tensor, beta: float, step: Tensor, count: int
) -> tuple[Point, Tensor]:
    """`count` steps of Hamilton's equations, unit mass: (where they end, the momentum there). Reversible, and it keeps
    volume; step [B] is that of each image, momentum as z."""
    length = over(step, point.z)
    for _ in range(count):
        momentum = momentum + 0.5 * length * point.slope(beta)
        point = target(point.z + length * momentum)
        momentum = momentum + 0.5 * length * point.slope(beta)
    return point, momentum


def transition(
    target: Target, point: Point, beta: float, step: Tensor, count: int, noise: Noise, level: int
) -> tuple[Point, Tensor]:
    """One Hamiltonian Monte Carlo transition, which leaves p(z | c) p(x | z, c)^beta as it is: (point, the probability
    of acceptance [K, B]). A proposal that is no number is refused."""
    momentum = noise.normal(point.z.shape, level).to(point.z)
    proposal, ended = leapfrog(target, point, momentum, beta, step, count)
    gain = proposal.density(beta) - point.density(beta) + kinetic(momentum) - kinetic(ended)
    chance = gain.double().clamp_max(0).exp().nan_to_num(0.0)
    uniform = noise.uniform([*point.prior.shape, 1], level)[..., 0].to(point.z)
    return point.unless(uniform < chance, proposal), chance


def kinetic(momentum: Tensor) -> Tensor:
    """Half the square of the momentum, [K, B]."""
    return 0.5 * momentum.square().flatten(2).sum(2)


class Pace:
    """The step size of each image [B]: longer where the running acceptance of its scouts is above what is aimed at,
    else shorter. Scouts are chains that do nothing else."""

    def __init__(self, rows: int, device: torch.device) -> None:
        self.step = torch.full((rows,), FIRST_STEP, device=device)
        self.running = torch.full((rows,), TARGET, dtype=torch.float64, device=device)

    def heed(self, chance: Tensor) -> None:
        """Take in the scouts' mean probability of acceptance [B]."""
        self.running = SLOWNESS * self.running + (1 - SLOWNESS) * chance
        self.step = torch.where(self.running > TARGET, self.step * FASTER, self.step * SLOWER).clamp(*STEPS)
