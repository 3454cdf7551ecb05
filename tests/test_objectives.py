"""Objectives against closed forms."""

import math

import pytest
import torch
from torch.distributions import Distribution, Independent, Normal

from condvae.heads import Bernoulli, Gaussian
from condvae.models.base import Objective
from condvae.objectives import (
    closed_form,
    effective_samples,
    elbo,
    free_bits,
    importance_bound,
    kl,
    kl_per_unit,
    log_weights,
    rate,
    warm_up,
)
from condvae.trace import Latent, Trace


class Sampled(Distribution):
    """A Normal that hides its family: no closed form is known for it."""

    def __init__(self, normal: Independent) -> None:
        self.normal = normal
        super().__init__(normal.batch_shape, normal.event_shape, validate_args=False)

    @property
    def mean(self):
        return self.normal.mean

    @property
    def variance(self):
        return self.normal.variance

    def log_prob(self, value):
        return self.normal.log_prob(value)


def gaussian(mean: torch.Tensor, sigma: torch.Tensor) -> Independent:
    return Independent(Normal(mean, sigma), 1)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    q = gaussian(torch.randn(5, 3, generator=generator), torch.rand(5, 3, generator=generator) + 0.2)
    p = gaussian(torch.randn(5, 3, generator=generator), torch.rand(5, 3, generator=generator) + 0.5)
    return p, q


def test_kl_is_the_textbook_formula(pair):
    p, q = pair
    (m, s), (n, r) = ((d.base_dist.loc, d.base_dist.scale) for d in (q, p))
    expected = (torch.log(r / s) + (s**2 + (m - n) ** 2) / (2 * r**2) - 0.5).sum(1)
    latent = Latent(p, q, q.mean)
    assert torch.allclose(kl(latent), expected, atol=1e-5)
    assert torch.allclose(kl_per_unit(latent).sum(-1), expected, atol=1e-5)


def test_kl_without_a_closed_form_is_sampled_and_agrees(pair):
    p, q = pair
    torch.manual_seed(1)
    many = q.expand((40_000, 5))
    hidden = Sampled(p.expand((40_000, 5)))
    assert closed_form(p, q) and not closed_form(hidden, q)
    sampled = kl(Latent(hidden, many, many.sample()))
    error = sampled.std(0) / math.sqrt(len(sampled))
    assert ((sampled.mean(0) - kl(Latent(p, q, q.mean))).abs() < 5 * error).all()
    # the units' values need only the moments
    assert torch.allclose(kl_per_unit(Latent(Sampled(p), q, q.mean)), kl_per_unit(Latent(p, q, q.mean)), atol=1e-5)


def test_kl_of_equals_is_zero(pair):
    p, _ = pair
    assert torch.equal(kl(Latent(p, p, p.mean)), torch.zeros(5))


def trace_of(p: Independent, q: Independent, k: int, pixels) -> Trace:
    torch.manual_seed(2)
    many = q.expand((k, *q.batch_shape))
    return Trace((Latent(p.expand((k, *p.batch_shape)), many, many.sample()),), pixels, k)


def test_elbo_is_reconstruction_minus_kl(pair):
    p, q = pair
    logits = torch.randn(4 * 5, 1, 2, 2)
    x = torch.rand(5, 1, 2, 2).round()
    trace = trace_of(p, q, 4, Bernoulli(logits))
    each = torch.distributions.Bernoulli(logits=logits.view(4, 5, 1, 2, 2)).log_prob(x).sum((2, 3, 4))
    assert torch.allclose(elbo(trace, x), each.mean(0) - kl(Latent(p, q, q.mean)), atol=1e-4)
    assert torch.allclose(rate(trace), kl(trace.latents[0]), atol=1e-5)
    seen = torch.zeros(5, 1, 2, 2)
    assert torch.allclose(elbo(trace, x, seen), -kl(Latent(p, q, q.mean)), atol=1e-4)


def test_log_weights_are_the_joint_over_the_proposal(pair):
    p, q = pair
    pixels = Gaussian(torch.randn(3 * 5, 1, 2, 2), torch.zeros(1, 1, 1))
    x = torch.rand(5, 1, 2, 2)
    trace = trace_of(p, q, 3, pixels)
    z = trace.latents[0].z
    likelihood = Normal(pixels.parameters.view(3, 5, 1, 2, 2), 1.0).log_prob(x).sum((2, 3, 4))
    assert torch.allclose(log_weights(trace, x), likelihood + p.log_prob(z) - q.log_prob(z), atol=1e-4)


def test_free_bits_charge_each_unit_at_least_the_floor():
    q = gaussian(torch.tensor([[0.0, 3.0]]), torch.ones(1, 2))
    p = gaussian(torch.zeros(1, 2), torch.ones(1, 2))
    trace = Trace((Latent(p, q, q.mean),), Bernoulli(torch.zeros(1, 1, 1, 1)))
    assert free_bits(trace, 0.5) == pytest.approx(0.5 + 4.5)
    assert free_bits(trace, 0.0) == pytest.approx(4.5)
    # the floor holds for the mean over the batch, not for each row
    q = gaussian(torch.tensor([[0.0], [2.0]]), torch.ones(2, 1))
    trace = Trace(
        (Latent(gaussian(torch.zeros(2, 1), torch.ones(2, 1)), q, q.mean),), Bernoulli(torch.zeros(2, 1, 1, 1))
    )
    assert free_bits(trace, 0.5) == pytest.approx(1.0)


def test_a_unit_below_the_floor_gets_no_gradient():
    mean = torch.tensor([[0.1, 3.0]], requires_grad=True)
    q = gaussian(mean, torch.ones(1, 2))
    trace = Trace(
        (Latent(gaussian(torch.zeros(1, 2), torch.ones(1, 2)), q, q.mean),), Bernoulli(torch.zeros(1, 1, 1, 1))
    )
    free_bits(trace, 0.5).backward()
    assert mean.grad is not None and mean.grad.tolist() == [[0.0, 3.0]]


def test_warm_up():
    assert [warm_up(t, 0.5) for t in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 1]
    assert warm_up(0, 0) == 1
    assert [Objective(1.0, 0.5, 5.0).weight(t) for t in (0, 0.25, 0.5, 1)] == [5, 3, 1, 1]
    assert [Objective(2.0, 0.5).weight(t) for t in (0, 0.25, 1)] == [0, 1, 2]


def test_importance_bound_is_the_log_of_the_mean_weight():
    weights = torch.tensor([[1.0, 2.0, 6.0], [3.0, 2.0, 0.0]]).log()
    assert torch.allclose(importance_bound(weights).exp(), torch.tensor([2.0, 2.0, 3.0]))
    # weights that would under- or overflow
    assert importance_bound(torch.full((7, 1), -1e4)).item() == pytest.approx(-1e4)
    assert importance_bound(torch.full((7, 1), 1e4)).item() == pytest.approx(1e4)


def test_the_bound_rises_with_nested_samples():
    """Jensen's inequality, which holds for any weights: the mean bound of the parts is at most that of the whole."""
    weights = torch.randn(64, 9, generator=torch.Generator().manual_seed(0)) * 5
    whole = importance_bound(weights)
    for k in (1, 4, 16):
        parts = torch.stack([importance_bound(part) for part in weights.split(k)])
        assert (parts.mean(0) < whole).all()


def test_effective_samples():
    weights = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 2.0], [1.0, 0.0, 1.0]]).log()
    assert torch.allclose(effective_samples(weights), torch.tensor([3.0, 1.0, 16 / 6]))
    assert torch.allclose(effective_samples(weights - 5000), effective_samples(weights), atol=1e-2)
