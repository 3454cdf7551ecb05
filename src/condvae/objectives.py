"""Objectives over any Trace: KL, ELBO, free bits, warm-up, importance weights. In nats, a value a row.

With x [B, ...] and a Trace of K samples a row, values are [K, B].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence
from torch.distributions.kl import _dispatch_kl

from condvae.heads import Pixels
from condvae.trace import Latent, Trace


def closed_form(p: Distribution, q: Distribution) -> bool:
    """Whether KL(q || p) is known in closed form."""
    if isinstance(p, Independent) and isinstance(q, Independent):
        p, q = p.base_dist, q.base_dist
    return (isinstance(p, Normal) and isinstance(q, Normal)) or _dispatch_kl(type(q), type(p)) is not NotImplemented


def kl(latent: Latent) -> Tensor:
    """KL(q || p) of one latent, [B] or [K, B]: in closed form, else log q(z) - log p(z) at the sample.

    An auxiliary latent's is always taken at the sample: its prior is given a code that was drawn in view of that very
    sample, over which a closed form would average with the code held.
    """
    assert latent.q is not None, "a latent settled from its prior has no posterior"
    if latent.role != "auxiliary" and closed_form(latent.p, latent.q):
        return kl_divergence(latent.q, latent.p)
    return latent.q.log_prob(latent.z) - latent.p.log_prob(latent.z)


def kl_per_unit(latent: Latent) -> Tensor:
    """KL of each unit of one latent, [B, Z] or [K, B, Z]; sampled under a prior that does not factorise into units.

    Under such a prior the units' values are q's own divergence from the prior's diagonal Normal of the same moments.
    """
    assert isinstance(latent.q, Independent) and isinstance(latent.q.base_dist, Normal)
    prior = latent.p.base_dist if isinstance(latent.p, Independent) else Normal(latent.p.mean, latent.p.stddev)
    return kl_divergence(latent.q.base_dist, prior)


def rate(trace: Trace) -> Tensor:
    """Sum of the KL over the latents, [K, B]."""
    return sum((kl(latent).reshape(trace.k, -1) for latent in trace.latents), torch.zeros(()))


def distortion(trace: Trace, x: Tensor, seen: Tensor | None = None) -> Tensor:
    """-log p(x | z, c) of the entries that `seen` marks, by default those that the trace says are scored: [K, B]."""
    assert isinstance(trace.x, Pixels)
    return -trace.x.log_prob(x, trace.scored if seen is None else seen).reshape(trace.k, -1)


def elbo(trace: Trace, x: Tensor, seen: Tensor | None = None) -> Tensor:
    """The evidence lower bound, mean over the K samples: [B] nats (Kingma & Welling 2013)."""
    return -(distortion(trace, x, seen) + rate(trace)).mean(0)


def free_bits(trace: Trace, floor: float) -> Tensor:
    """KL as it is charged in training, []: each unit's mean over the batch counts at least `floor` nats.

    Source: Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", 2016.
    """
    total = torch.zeros(())
    for latent in trace.latents:
        units = kl_per_unit(latent)
        total = total + units.flatten(0, -2).mean(0).clamp_min(floor).sum()
    return total


def warm_up(progress: float, share: float) -> float:
    """How far the weight of the KL has come at a progress in [0, 1] of the training: linear from 0 to 1 over the first
    `share` of it."""
    return 1.0 if share <= 0 else min(1.0, progress / share)


def log_weights(trace: Trace, x: Tensor, seen: Tensor | None = None) -> Tensor:
    """log p(x, z | c) - log q(z | x, c) for each sample, [K, B]."""
    total = -distortion(trace, x, seen)
    for latent in trace.latents:
        assert latent.q is not None
        ratio = latent.p.log_prob(latent.z) - latent.q.log_prob(latent.z)
        total = total + ratio.reshape(trace.k, -1)
    return total


def importance_bound(weights: Tensor) -> Tensor:
    """log of the mean weight over K samples, [B]: a bound on log p(x | c) that rises with K.

    Source: Burda, Grosse, Salakhutdinov, "Importance Weighted Autoencoders", 2016.
    """
    return torch.logsumexp(weights, 0) - math.log(weights.shape[0])


def effective_samples(weights: Tensor) -> Tensor:
    """Effective sample size of K importance weights, [B] in [1, K]: (sum w)^2 / sum w^2."""
    return torch.exp(2 * torch.logsumexp(weights, 0) - torch.logsumexp(2 * weights, 0))
