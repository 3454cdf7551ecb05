"""Likelihoods against closed forms: masses sum to one, densities integrate to one, only what is seen is scored."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from condvae import painting
from condvae.autoregressive import FEATURES, PIXELS, Autoregressive, AutoregressiveHead
from condvae.heads import Bernoulli, DiscretisedLogistic, Gaussian, GaussianHead, GaussianPixels
from condvae.logistics import LogisticMixture, LogisticMixtureHead
from condvae.noise import RowNoise, Stream
from condvae.painting import BLOCK
from condvae.priors import ConditionalMixture
from condvae.trace import Condition, Draw, sample


def test_bernoulli_is_the_binary_cross_entropy() -> None:
    logits, x = torch.randn(3, 1, 2, 2), (torch.rand(3, 1, 2, 2) < 0.5).float()
    p = torch.sigmoid(logits)
    exact = (x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3))
    assert torch.allclose(Bernoulli(logits).log_prob(x), exact, atol=1e-5)


def test_gaussian_is_a_density() -> None:
    mean, log_sigma = torch.full((1, 1, 1, 1), 0.4), torch.full((1, 1, 1), math.log(0.05))
    grid = torch.linspace(-1, 2, 30_001)
    mass = sum(Gaussian(mean, log_sigma).log_prob(v.view(1, 1, 1, 1)).exp() for v in grid) * (grid[1] - grid[0])
    assert float(mass) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("mean", "scale"), [(0.5, 0.1), (0.0, 0.02), (1.2, 0.3), (0.3, 1e-3), (-0.5, 0.05)])
def test_the_256_masses_sum_to_one(mean: float, scale: float) -> None:
    head = DiscretisedLogistic(torch.full((1, 1, 1, 1), mean), torch.full((1, 1, 1), math.log(scale)))
    total = sum(float(head.log_prob(torch.full((1, 1, 1, 1), v / 255)).double().exp()) for v in range(256))
    assert total == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "logistic"])
def test_only_what_is_seen_counts_and_k_samples_share_x(kind: str) -> None:
    parameters, x = torch.rand(6, 3, 4, 5), torch.rand(2, 3, 4, 5)
    scale = torch.full((3, 1, 1), -1.0)
    heads = {"bernoulli": Bernoulli(parameters), "gaussian": Gaussian(parameters, scale)}
    pixels = heads.get(kind) or DiscretisedLogistic(parameters, scale)
    one_by_one = [type(pixels)(parameters[i : i + 1], *(() if kind == "bernoulli" else (scale,))) for i in range(6)]
    exact = torch.cat([p.log_prob(x[i % 2][None]) for i, p in enumerate(one_by_one)])
    assert torch.allclose(pixels.log_prob(x), exact, atol=1e-4)
    seen = torch.rand(2, 1, 4, 5) < 0.5
    hidden = pixels.log_prob(x, seen)
    moved = torch.where(seen.expand_as(x), x, torch.rand_like(x))
    assert torch.allclose(hidden, pixels.log_prob(moved, seen), atol=1e-4)
    assert torch.allclose(pixels.log_prob(x, torch.ones_like(seen)), pixels.log_prob(x))


def test_the_optimal_sigma_finds_the_noise_and_a_row_does_not_depend_on_others() -> None:
    head = GaussianPixels(1).train()
    c = Condition(torch.zeros(64, 0))
    for step in range(1500):
        generator = torch.Generator().manual_seed(step)
        mean = torch.rand(64, 1, 4, 4, generator=generator)
        pixels = head(mean, c)
        head.observe(pixels, mean + 0.07 * torch.randn(64, 1, 4, 4, generator=generator))
    assert float(head.log_sigma.exp()) == pytest.approx(0.07, rel=0.05)
    x, mean = torch.rand(5, 1, 4, 4), torch.rand(5, 1, 4, 4)
    assert torch.equal(head(mean, c).log_prob(x)[:1], head(mean[:1], c).log_prob(x[:1]))


def test_a_posterior_cannot_overflow() -> None:
    head = GaussianHead(4, 2)
    q = head(torch.full((1, 4), 1e6))
    assert torch.isfinite(q.base_dist.scale).all() and (q.base_dist.scale > 0).all()


def mixture_of(pixels: int, channels: int = 3, components: int = 4, seed: int = 0) -> LogisticMixture:
    head = LogisticMixtureHead(channels, components)
    features = torch.randn(1, head.features, 1, 1, generator=torch.Generator().manual_seed(seed))
    pixel = head(features, Condition(torch.zeros(1, 0)))
    return LogisticMixture(pixel.parameters.detach().repeat(pixels, 1, 1, 1), channels)


@pytest.mark.parametrize("components", [1, 4])
def test_the_masses_of_a_mixture_sum_to_one_channel_by_channel(components: int) -> None:
    """Blue of all 256 values, given red and green: p(r, g, b) sums over b to p(r, g), whatever red and green are."""
    blue = torch.arange(256) / 255
    sums = []
    for green in (0.1, 0.7):
        x = torch.stack([torch.full((256,), 0.3), torch.full((256,), green), blue], 1)[:, :, None, None]
        sums.append(float(mixture_of(256, 3, components).log_prob(x).double().exp().sum()))
    whole = 0.0
    for green in range(256):  # and these over green to p(r), which over red sums to one
        x = torch.stack([torch.full((256,), 0.3), torch.full((256,), green / 255), blue], 1)[:, :, None, None]
        whole += float(mixture_of(256, 3, components).log_prob(x).double().exp().sum())
    red = LogisticMixture(first_channel(mixture_of(1, 3, components)), 1)
    assert whole == pytest.approx(float(red.log_prob(torch.full((1, 1, 1, 1), 0.3)).exp()), rel=1e-3)
    assert all(0 < one < whole for one in sums)
    every = (torch.arange(256) / 255)[:, None, None, None]
    total = LogisticMixture(red.parameters.repeat(256, 1, 1, 1), 1).log_prob(every).double().exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-3)


def first_channel(mixture: LogisticMixture) -> torch.Tensor:
    """The parameters of the first channel's own mixture."""
    each = mixture.parameters.unflatten(1, (-1, 10))  # logit, 3 means, 3 log scales, 3 moves
    return each[:, :, [0, 1, 4]].flatten(1, 2)


def test_the_mean_of_a_mixture_is_its_expectation() -> None:
    """Against the mean over all 256 values of the first channel, and the linear moves of the others."""
    parameters = 0.2 * torch.randn(1, 40, 1, 1, generator=torch.Generator().manual_seed(2))
    parameters.unflatten(1, (4, 10))[:, :, 4:7] -= 2  # narrow, so that hardly anything lies beyond the edges
    mixture = LogisticMixture(parameters, 3)
    every = (torch.arange(256) / 255)[:, None, None, None]
    red = LogisticMixture(first_channel(mixture).repeat(256, 1, 1, 1), 1)
    expected = float((red.log_prob(every).double().exp() * every.flatten()).sum())
    assert float(mixture.mean[0, 0]) == pytest.approx(expected, abs=0.005)
    weight, mean, _, moves = mixture.parts(mixture.parameters)
    by_hand = mean[0, :, :, 0, 0] + 0.5
    by_hand[:, 1] += moves[0, :, 0, 0, 0] * (by_hand[:, 0] - 0.5)
    by_hand[:, 2] += (moves[0, :, 1:, 0, 0] * (by_hand[:, :2] - 0.5)).sum(1)
    exact = (weight[0, :, 0, 0].exp()[:, None] * by_hand).sum(0).clamp(0, 1)
    assert torch.allclose(mixture.mean[0, :, 0, 0], exact, atol=1e-5)


def test_a_mixture_of_one_is_a_logistic_and_k_samples_share_x() -> None:
    parameters, x = torch.randn(6, 3, 2, 2), torch.rand(3, 1, 2, 2)
    mixture = LogisticMixture(parameters, 1)
    scale = (parameters[:, 2:] - 2).clamp(-5.5, 1.5)
    for row in range(6):
        plain = DiscretisedLogistic(parameters[row : row + 1, 1:2] + 0.5, scale[row])
        assert torch.allclose(mixture.log_prob(x)[row], plain.log_prob(x[row % 3][None])[0], atol=1e-4)
    seen = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]).expand(3, 1, 2, 2)
    moved = torch.where(seen > 0, x, 1 - x)
    assert torch.equal(mixture.log_prob(x, seen), mixture.log_prob(moved, seen))


def head_of(features: int = FEATURES, layers: int = 1) -> AutoregressiveHead:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # whatever tests ran before
        head = AutoregressiveHead(features, layers=layers).eval()
    with torch.no_grad():
        head.out.weight.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
        head.up.normal_(std=0.7, generator=torch.Generator().manual_seed(1))
        head.left.normal_(std=0.7, generator=torch.Generator().manual_seed(2))
    return head


@pytest.mark.parametrize("layers", [1, 3])
def test_autoregressive_masses_sum_to_one(layers: int) -> None:
    """All 2^9 binary pictures of 3 x 3: only a causal head sums to one."""
    head = head_of(layers=layers)
    features = torch.randn(1, FEATURES, 3, 3, generator=torch.Generator().manual_seed(3))
    every = torch.tensor([[n >> bit & 1 for bit in range(9)] for n in range(512)]).float().view(512, 1, 3, 3)
    with torch.no_grad():
        pixels = Autoregressive(features.expand(512, -1, -1, -1), head, 1.0)
        total = pixels.log_prob(every).double().exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("layers", [1, 3])
def test_autoregressive_painting_follows_its_own_probabilities(layers: int) -> None:
    head = head_of(layers=layers)
    features = torch.randn(1, FEATURES, 3, 3, generator=torch.Generator().manual_seed(3))
    rows = 20_000
    with torch.no_grad():
        drawn, shown = head.paint(features.expand(rows, -1, -1, -1), Draw(Stream(seed=0)))
        pixels = Autoregressive(features.expand(rows, -1, -1, -1), head, 1.0)
        again = -torch.nn.functional.binary_cross_entropy(shown, drawn, reduction="none").sum((1, 2, 3))
        assert torch.allclose(pixels.log_prob(drawn), again, atol=1e-3)
        codes = (drawn.flatten(1).long() * 2 ** torch.arange(9)).sum(1)
        frequent = int(torch.bincount(codes, minlength=512).argmax())
        share = float((codes == frequent).float().mean())
        exact = float(pixels.log_prob(drawn)[codes == frequent][0].exp())
    assert share == pytest.approx(exact, abs=4 * math.sqrt(exact / rows))


@pytest.mark.parametrize("heat", [1.0, 0.0])
@pytest.mark.parametrize(("layers", "size"), [(1, (6, 9)), (3, (9, 5)), (2, (1, 1))])
def test_painting_is_what_the_convolutions_say_of_the_drawn_picture(
    layers: int, size: tuple[int, int], heat: float
) -> None:
    head = head_of(layers=layers)
    features = torch.randn(BLOCK + 6, FEATURES, *size, generator=torch.Generator().manual_seed(3))
    noise = RowNoise(7, np.arange(len(features)))
    with torch.inference_mode():
        drawn, shown = head.paint(features, Draw(noise, heat))
        p = torch.sigmoid(head.mix(features + head.context(drawn)))
    level = noise.uniform(drawn.shape, PIXELS) if heat else torch.full_like(p, 0.5)
    assert torch.allclose(shown, p, atol=2e-6) and shown.dtype == features.dtype
    clear = (p - level).abs() > 1e-5
    assert torch.equal((drawn > 0)[clear], (p > level)[clear]) and drawn.mean() > 0


def test_a_painted_picture_depends_on_its_own_row_alone() -> None:
    head = head_of(layers=3)
    rows = np.arange(2 * BLOCK + 3)
    features = torch.randn(len(rows), FEATURES, 7, 5, generator=torch.Generator().manual_seed(3))
    whole = head.paint(features, Draw(RowNoise(7, rows)))[1]
    for some in (rows[:1], rows[:BLOCK], rows[::-1], np.repeat(rows[5:9], 30), np.minimum(rows, 4), rows * 0 + 2):
        part = head.paint(features[torch.from_numpy(some.copy())], Draw(RowNoise(7, some)))[1]
        assert torch.equal(part, whole[torch.from_numpy(some.copy())])


def test_copies_that_pad_a_request_are_not_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    head, blocks = head_of(), []
    plain = painting._block
    monkeypatch.setattr(painting, "_block", lambda *asked: blocks.append(len(asked[1])) or plain(*asked))
    rows = np.minimum(np.arange(4 * BLOCK), 16)
    features = torch.randn(17, FEATURES, 4, 4)[torch.from_numpy(rows)]
    head.paint(features, Draw(RowNoise(7, rows)))
    assert blocks == [BLOCK]
    head.paint(features, Draw(RowNoise(7, np.arange(4 * BLOCK))))  # the same features, each with noise of its own
    assert blocks == [BLOCK] * 5


def test_mixture_prior_against_its_definition() -> None:
    torch.manual_seed(0)
    head = ConditionalMixture(2, 3, 4)
    torch.nn.init.normal_(head.log_sigma.weight, std=0.4)
    torch.nn.init.normal_(head.weight.weight)
    prior = head(Condition(torch.eye(2)))
    z = torch.randn(5, 2, 3)
    parts = torch.distributions.Normal(prior.locs, prior.log_sigma.exp()).log_prob(z[:, :, None]).sum(-1)
    exact = torch.logsumexp(parts + prior.log_weight, -1)
    assert torch.allclose(prior.log_prob(z), exact, atol=1e-4)
    assert torch.allclose(prior.log_prob(z[0]), exact[0], atol=1e-4)
    rows = 40_000
    many = head(Condition(torch.eye(2)[:1].expand(rows, 2)))
    drawn = sample(many, Draw(RowNoise(1, np.arange(rows))), 0)
    assert torch.allclose(drawn.mean(0), many.mean[0], atol=0.03)
    assert torch.allclose(drawn.var(0), many.variance[0], rtol=0.05)
