"""Annealed importance sampling: log p(x | c) a second way, which never asks the model's posterior.

Importance sampling (`scores.log_prob`) is as good as the encoder: where q(z | x, c) misses a part of the posterior, its
bound stays too low, and nothing in it says so. Annealed importance sampling starts from the prior and takes each sample
through p(z | c) p(x | z, c)^beta from beta = 0 to beta = 1, a Hamiltonian Monte Carlo transition at each. Its weights
are right in the mean, E[w] = p(x | c); so log w, and the log of the mean of a few, lies below log p(x | c) in the mean
(Jensen), and exceeds it by b nats with a probability of at most exp(-b) (Markov): a stochastic lower bound, not
log p(x | c) itself. More temperatures raise it.

Sources: Neal, "Annealed importance sampling", 2001; Wu, Burda, Salakhutdinov, Grosse, "On the Quantitative Analysis of
Decoder-Based Generative Models", 2017, and its code, from which schedule, chains, leapfrog steps and the rule of the
step size come. One thing is stricter than there: a step size that follows a chain's own acceptances depends on where
the chain has been, and E[w] = p(x | c) holds no more. Here it follows two scouts an image, chains that are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from condvae.errors import Refused
from condvae.hamiltonian import Pace, Point, transition
from condvae.images import Images
from condvae.learned import (
    Asked,
    Columns,
    Learned,
    Progress,
    chunks,
    columns_of,
    observe,
    open_fields,
    pictures_of,
    seed_in,
    take,
    whole,
)
from condvae.names import counted
from condvae.nets import evaluating
from condvae.noise import RowNoise, seed_of
from condvae.objectives import distortion, effective_samples, importance_bound
from condvae.scores import UNLIKELY
from condvae.trace import Condition, Draw, Trace

ENTRIES = 2**17  # pixels scored at once, chains included: they stay in a processor's cache
SMALL = 64  # what a table's row counts as at least
SCOUTS = 2  # chains an image whose acceptances set its step size, and which are not counted
STREAM = 31  # told to seed_of, so that no noise is that of importance sampling
REACH = 4.0  # of the sigmoid that the temperatures follow


@dataclass(frozen=True)
class Plan:
    """chains: samples an image. temperatures: values of beta from 0 to 1, both counted, at least 2, which is plain
    sampling from the prior. leapfrogs: steps of each transition. Refused where they are no such numbers."""

    chains: int = 16
    temperatures: int = 1000
    leapfrogs: int = 10

    def __post_init__(self) -> None:
        for field, least in zip(fields(self), (1, 2, 1), strict=True):
            whole(getattr(self, field.name), field.name, least)


@dataclass(frozen=True)
class Annealed:
    """What chains say of rows [N] of x: log_weights [N, chains] float64, nats, whose log mean bounds log p(x | c).

    acceptance: the mean probability with which a chain's transitions were accepted, [N] in [0, 1], NaN where there were
    none; step: the step size at the end, [N].
    """

    rows: np.ndarray
    log_weights: np.ndarray
    acceptance: np.ndarray
    step: np.ndarray

    @property
    def log_prob(self) -> np.ndarray:
        """log of the mean weight, [N] nats: below log p(x | c) in the mean."""
        return importance_bound(torch.from_numpy(self.log_weights.T)).numpy()

    @property
    def effective(self) -> np.ndarray:
        """Effective number of chains, [N] in [1, chains]: near 1, a single chain makes the estimate."""
        return effective_samples(torch.from_numpy(self.log_weights.T)).numpy()


def annealed(
    learned: Learned,
    x: Any,
    given: Asked | None = None,
    plan: Plan | None = None,
    seed: int = 0,
    prior: str | None = None,
    rows: Sequence[int] | np.ndarray | None = None,
    progress: Progress | None = None,
) -> Annealed:
    """log p(x | c) by annealed importance sampling, of all rows of x or of some; see `annealing`."""
    parts = list(annealing(learned, x, given, plan, seed, prior, rows, progress))
    return Annealed(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Annealed)))


def annealing(
    learned: Learned,
    x: Any,
    given: Asked | None = None,
    plan: Plan | None = None,
    seed: int = 0,
    prior: str | None = None,
    rows: Sequence[int] | np.ndarray | None = None,
    progress: Progress | None = None,
) -> Iterator[Annealed]:
    """`annealed` in parts of a few rows, each as soon as it is known: what was stored need not be run again.

    x, given: as in `log_prob`, binarised as there with the same seed; prior: "model", "fitted", "flow" or None. rows:
    which rows of x; row i depends on (seed, i), x[i] and what is given of it. progress: (rows done, rows in all), parts
    of a row rounded down.

    Refused for arguments that cannot be used, for a field without a blank input that is not given, for a model without
    a likelihood and for one of several latents.
    """
    if not learned.likely:
        raise Refused(f"annealed importance sampling needs a normalised likelihood; {UNLIKELY}")
    seed, model = seed_in(seed), learned.using(prior)
    images = pictures_of(learned, x)
    if not len(images):
        raise Refused("x must hold at least one picture; got none")
    columns = columns_of(learned, given, len(images))
    names = rows_in(rows, len(images))
    unknown = open_fields(learned.schema, columns, names)
    if unknown:
        name = unknown[0].name
        raise Refused(
            f"{name} must be given for every row (given={{{name!r}: ...}}), as this model has no blank input for it; "
            "log_prob sums over what is unknown"
        )
    return parts_of(learned, model, images, columns, names, plan or Plan(), seed, progress)


def rows_in(rows: Sequence[int] | np.ndarray | None, total: int) -> np.ndarray:
    """Row numbers as an array; all where none are named. Refused where they are none, or there is none at all."""
    if rows is None:
        return np.arange(total)
    names = np.asarray(rows)
    if names.ndim != 1 or not names.size or names.dtype.kind not in "iu" or names.min() < 0 or names.max() >= total:
        raise Refused(f"rows must be one or more whole numbers from 0 to {total - 1}; got {rows!r}")
    return names.astype(np.int64)


def parts_of(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    names: np.ndarray,
    plan: Plan,
    seed: int,
    progress: Progress | None,
) -> Iterator[Annealed]:
    """Chunks of one size, the last padded and cut again."""
    entries = max(SMALL, math.prod(learned.shape)) * (SCOUTS + plan.chains)
    for places, kept in chunks(len(names), 2 ** int(math.log2(max(1, ENTRIES // entries)))):
        number = kept.stop - kept.start

        def told(share: float, kept: slice = kept, number: int = number) -> None:
            if progress is not None:
                progress(kept.start + int(share * number), len(names))

        found = chunk_of(learned, model, images, columns, names[places], plan, seed, told)
        told(1.0)
        yield Annealed(*(getattr(found, field.name)[:number] for field in fields(Annealed)))


def chunk_of(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    rows: np.ndarray,
    plan: Plan,
    seed: int,
    told: Any,
) -> Annealed:
    """All chains of these rows from beta = 0 to beta = 1."""
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        x = observe(take(learned, images, rows), learned.binarise, RowNoise(seed, rows, learned.device))
        noise = RowNoise(seed_of(seed, STREAM), rows, learned.device)
        target = Target(model, learned.condition(columns, rows), x, Draw(noise, k=SCOUTS + plan.chains))
        point = target(target.begin())
        betas = schedule(plan.temperatures)
        weights = torch.zeros_like(point.prior, dtype=torch.float64)
        pace = Pace(len(rows), x.device)
        accepted = torch.zeros(len(rows), dtype=torch.float64, device=x.device)
        for level, (before, beta) in enumerate(pairwise(betas.tolist()), 1):
            weights += (beta - before) * point.likelihood
            if level + 1 == len(betas):  # the last weight is taken: where a chain would go from here is of no account
                break
            point, chance = transition(target, point, beta, pace.step, plan.leapfrogs, noise, level)
            pace.heed(chance[:SCOUTS].mean(0))
            accepted += chance[SCOUTS:].mean(0)
            if level % max(1, len(betas) // 20) == 0:
                told(level / len(betas))
    shares = accepted.cpu().numpy() / (len(betas) - 2) if len(betas) > 2 else np.full(len(rows), np.nan)
    return Annealed(rows, weights[SCOUTS:].T.cpu().numpy(), shares, pace.step.double().cpu().numpy())


def schedule(temperatures: int) -> np.ndarray:
    """Values of beta from 0 to 1 along a sigmoid, close together at both ends (Wu et al. 2017): [T] float64."""
    sigmoid = 1 / (1 + np.exp(-np.linspace(-REACH, REACH, temperatures)))
    return (sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0])


class Target:
    """The two densities of a chunk's images, at any z. Gradients are taken in z alone, none reaches a weight."""

    def __init__(self, model: nn.Module, c: Condition, x: Tensor, draw: Draw) -> None:
        self.model, self.c, self.x, self.draw = model, c, x, draw

    def begin(self) -> Tensor:
        """z [K, B, ...] from the prior; Refused of a model that settles more than one code."""
        with torch.no_grad():
            trace: Trace = self.model(self.c, draw=self.draw)
        if len(trace.latents) != 1 or trace.latents[0].role != "code":
            roles = ", ".join(dict.fromkeys(latent.role for latent in trace.latents))
            raise Refused(
                "annealed importance sampling needs a model of one latent, a code, under its prior; this one has "
                f"{counted(len(trace.latents), 'latent')} ({roles}): use log_prob with a large k"
            )
        return trace.latents[0].z

    def __call__(self, z: Tensor) -> Point:
        z = z.detach().requires_grad_()
        trace: Trace = self.model(self.c, z=(z,), draw=self.draw)
        prior = trace.latents[0].p.log_prob(z)
        likelihood = -distortion(trace, self.x)
        (first,) = torch.autograd.grad(prior.sum(), z, retain_graph=True)
        (second,) = torch.autograd.grad(likelihood.sum(), z)
        return Point(z.detach(), prior.detach(), likelihood.detach(), first, second)
