"""Flows fitted to latents: a proper density, invertible, better than a Gaussian on data that are bent."""

import builtins
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from condvae import flow_fit
from condvae.conditions import Label, Number, Schema
from condvae.density_io import load_density, save_density
from condvae.errors import Refused
from condvae.flow_fit import fit_flow, forgetting, usable
from condvae.flows import FlowDensity
from condvae.noise import Given, RowNoise
from condvae.priors import ConditionalNormal
from condvae.trace import Condition, Draw

KNOTS = (tuple(np.linspace(-2, 2, 33).tolist()),)
SCHEMA = Schema((Label("side", ("left", "right"), (0.5, 0.5)), Number("bend", (0.0,), (1.0,), (-2.0,), (2.0,), KNOTS)))


def bananas(rows: int, seed: int = 0) -> tuple[torch.Tensor, Condition]:
    """z = (side + a, bend * a^2 / 2 + noise): bent up or down by a number, left or right by a label."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.randint(2, (rows,), generator=generator)
    bend = (4 * torch.rand(rows, generator=generator) - 2).double()
    a, noise = torch.randn(2, rows, generator=generator)
    z = torch.stack([6.0 * side - 3 + a, bend.float() * a.square() / 2 + 0.2 * noise], 1)
    return z, SCHEMA.encode({"side": side.numpy(), "bend": bend.numpy()[:, None]}, rows)


def one(side: int, bend: float, rows: int) -> Condition:
    return SCHEMA.encode({"side": np.full(rows, side), "bend": np.full((rows, 1), bend)}, rows)


@pytest.fixture(scope="module")
def flow() -> FlowDensity:
    z, c = bananas(6000)
    return fit_flow(z[None], c, SCHEMA, steps=300)


def wild(based: bool = False, **sizes) -> FlowDensity:
    """Layers with large random weights, so that nothing is near the identity."""
    density = FlowDensity(**{"z": 2, "condition": SCHEMA.width, "affine": 4, "hidden": 16, "based": based} | sizes)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in density.parameters():
            value.mul_(1.5).add_(0.1 * torch.randn(value.shape, generator=generator))
        density.loc.copy_(torch.tensor([0.3, -0.2]))
        density.scale.copy_(torch.tensor([0.8, 1.3]))
    return density.requires_grad_(False)


def prior() -> ConditionalNormal:
    head = ConditionalNormal(SCHEMA.width, 2)
    nn.init.normal_(head.linear.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    return head.requires_grad_(False)


@pytest.mark.parametrize("based", [False, True])
@pytest.mark.parametrize("splines", [0, 2])
def test_the_density_integrates_to_one(based, splines):
    density = wild(based, splines=splines)
    if based:
        density.attach(prior())
    side = torch.linspace(-12, 12, 201)
    grid = torch.cartesian_prod(side, side)
    total = density(one(1, 1.5, 1)).log_prob(grid[:, None]).exp().sum() * (24 / 200) ** 2
    assert float(total) == pytest.approx(1, abs=0.01)


def test_draws_have_the_density():
    density = wild()
    c = one(1, 0.5, 4000)
    z = density(c).from_noise(Draw(RowNoise(0, np.arange(4000))), 0)
    normal = RowNoise(0, np.arange(4000)).normal([4000, 2], 0)
    exact = torch.autograd.functional.jacobian(lambda n: density(one(1, 0.5, 1)).of_noise(n[None])[0], normal[7])
    log_det = torch.linalg.slogdet(exact)[1]  # type: ignore[arg-type]
    base = Independent(Normal(torch.zeros(2), torch.ones(2)), 1).log_prob(normal[7])
    assert float(density(c).log_prob(z)[7]) == pytest.approx(float(base - log_det), abs=1e-4)


def test_a_fit_beats_a_gaussian_on_bent_data(flow):
    z, c = bananas(2000, 1)
    ours = flow(c).log_prob(z).mean()
    # a Gaussian for each side, and for bends alike: ten of them
    train, told = bananas(6000)
    parts = []
    for side in range(2):
        for low in np.linspace(-2, 1.6, 10):
            fits, held = (
                (k.vector[:, side] == 1) & (k.vector[:, 2] >= low) & (k.vector[:, 2] < low + 0.4) for k in (told, c)
            )
            normal = torch.distributions.MultivariateNormal(train[fits].mean(0), torch.cov(train[fits].T))
            parts.append(normal.log_prob(z[held]))
    truth = -2 * (0.5 * math.log(2 * math.pi) + 0.5) - math.log(0.2)
    assert truth + 0.05 > ours > truth - 0.2 and torch.cat(parts).mean() < ours - 0.2


def test_draws_match_the_moments_of_what_is_asked(flow):
    for side, bend in ((0, 1.5), (1, -1.0)):
        z = flow(one(side, bend, 4000)).from_noise(Draw(RowNoise(0, np.arange(4000))), 0)
        a = z[:, 0] - (6 * side - 3)
        assert abs(a.mean()) < 0.2 and abs(a.std() - 1) < 0.2
        assert abs(z[:, 1].mean() - bend / 2) < 0.25
        # the bend itself: what is drawn lies upon it, which no Gaussian of these moments does
        assert (z[:, 1] - bend * a.square() / 2).abs().median() < 0.3 < abs(bend) * a.square().std() / 2
        p = flow(one(side, bend, 3))
        assert p.mean.shape == p.variance.shape == (3, 2)
        assert (p.mean[0] - z.mean(0)).abs().max() < 0.4 and (p.stddev[0] / z.std(0) - 1).abs().max() < 0.4


def test_the_layers_are_invertible_and_the_noise_is_kept():
    density = wild(True).attach(prior())
    a, b = one(0, -1.0, 50), one(1, 1.5, 50)
    z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    noise = density(a).noise(z)[0]
    there = density(b).of_noise(noise)
    assert torch.allclose(density(b).noise(there)[0], noise, atol=1e-4) and (there - z).abs().mean() > 0.1
    assert torch.allclose(density(a).of_noise(noise), z, atol=1e-4)
    assert torch.allclose(density(b).from_noise(Draw(Given([noise])), 0), there, atol=1e-5)


def test_a_row_is_drawn_and_scored_the_same_whatever_stands_beside_it():
    density = wild(True).attach(prior())
    c = Condition(torch.randn(300, SCHEMA.width, generator=torch.Generator().manual_seed(0)))
    z = density(c).from_noise(Draw(RowNoise(5, np.arange(300))), 0)
    scores = density(c).log_prob(z)
    for row in (0, 150, 299):
        alone = density(c[row : row + 1])
        assert torch.equal(alone.from_noise(Draw(RowNoise(5, np.array([row]))), 0)[0], z[row])
        assert torch.equal(alone.log_prob(z[row : row + 1])[0], scores[row])


def test_temperature_and_several_samples():
    density = wild()
    p, rows = density(one(0, 1.0, 5)), np.arange(5)
    cold = p.from_noise(Draw(RowNoise(0, rows), 0.0), 0)
    assert torch.equal(cold, p.from_noise(Draw(RowNoise(1, rows), 0.0), 0)) and torch.equal(cold[0], cold[4])
    half = p.from_noise(Draw(RowNoise(0, rows), 0.5), 0)
    assert torch.allclose(p.noise(half)[0], 0.5 * RowNoise(0, rows).normal([5, 2], 0), atol=1e-4)
    many = p.expand((3, 5))
    z = many.from_noise(Draw(RowNoise(0, rows), k=3), 0)
    assert z.shape == (3, 5, 2) and many.log_prob(z).shape == (3, 5)
    assert torch.equal(many.log_prob(z)[1], p.log_prob(z[1]))
    assert density(Condition(torch.zeros(0, SCHEMA.width))).log_prob(torch.zeros(0, 2)).shape == (0,)


@pytest.mark.parametrize("half", [False, True])
def test_a_file_gives_the_same_flow_without_its_prior(tmp_path, half):
    density, head = wild(True).attach(prior()), prior()
    save_density(tmp_path / "density.safetensors", density, half)
    loaded = load_density(tmp_path / "density.safetensors")
    assert isinstance(loaded, FlowDensity) and not any("prior" in name for name in loaded.state_dict())
    c, z = one(1, 1.0, 4), torch.randn(4, 2)
    with pytest.raises(Refused, match="attach"):
        loaded(c)
    exact = density(c).log_prob(z)
    assert torch.allclose(loaded.attach(head)(c).log_prob(z), exact, atol=0.1 if half else 0, rtol=0)


def test_two_rows_are_enough():
    z, c = bananas(2)
    fitted = fit_flow(z, c, SCHEMA, steps=2)
    assert fitted(c).log_prob(z).isfinite().all() and fitted(c).mean.isfinite().all()


def test_a_fit_on_the_models_own_prior(flow):
    z, c = bananas(1500)
    head = prior()
    before = head.linear.weight.clone()
    fitted = fit_flow(torch.stack([z, z]), c, SCHEMA, prior=head, steps=60)
    mean, deviation = fitted.base(c)
    assert ((z - mean) / deviation).mean(0).abs().max() < 0.1
    assert torch.equal(head.linear.weight, before) and head not in list(fitted.modules())
    assert fitted(c).log_prob(z).mean() > head(c).log_prob(z).mean() + 1


def test_the_weights_kept_are_those_of_the_best_check(monkeypatch):
    real, checks = flow_fit.score, []

    def noted(density, z, c):
        found = real(density, z, c)
        if not torch.is_grad_enabled():
            checks.append((float(found.mean()), z, c))
        return found

    monkeypatch.setattr(flow_fit, "score", noted)
    z, c = bananas(60)
    fitted = fit_flow(z, c, SCHEMA, steps=100)  # learns its 57 rows by heart
    scores, held, told = zip(*checks, strict=True)
    assert scores[-1] < max(scores) - 0.1
    assert float(real(fitted, held[0], told[0]).mean()) == pytest.approx(max(scores), abs=1e-4)


def test_unknown_entries_in_a_fit():
    number = Number("bend", (0.0,), (1.0,), (-2.0,), (2.0,), KNOTS, False, True)
    schema = Schema((SCHEMA.fields[0], number))
    columns = {"side": np.arange(4000) % 3 - 1, "bend": np.full((4000, 1), 0.5)}
    c = schema.encode(columns, 4000)
    assert torch.equal(usable(c, schema), torch.nonzero(torch.from_numpy(columns["side"]) >= 0)[:, 0])
    less = forgetting(c, schema, torch.Generator().manual_seed(0)).vector
    gone = less[:, 3] == 0
    assert 0.07 < gone.float().mean() < 0.13 and (less[gone, 2] == 0).all()
    assert torch.equal(less[:, :2], c.vector[:, :2]) and torch.equal(less[~gone], c.vector[~gone])


def test_fitting_is_repeatable_and_leaves_the_global_random_state_alone():
    z, c = bananas(300)
    torch.manual_seed(0)
    before, seen = torch.random.get_rng_state(), []
    one_, two = (fit_flow(z, c, SCHEMA, seed=3, steps=20, progress=lambda *step: seen.append(step)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one_.state_dict().values(), two.state_dict().values(), strict=True))
    assert torch.equal(before, torch.random.get_rng_state())
    assert seen[-1] == ("flow", 20, 20) and len(seen) == 40
    assert not any(value.requires_grad for value in one_.parameters())


def test_what_cannot_be_fitted_is_refused(monkeypatch):
    z, c = bananas(10)
    with pytest.raises(Refused, match="one row for each"):
        fit_flow(z[:9], c, SCHEMA)
    with pytest.raises(Refused, match="at least two rows"):
        fit_flow(z, Condition(torch.zeros(10, SCHEMA.width)), SCHEMA)
    real = builtins.__import__

    def without(name, *rest, **named):
        if name == "zuko":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Refused, match=r"pip install 'condvae\[flow\]'"):
        FlowDensity(2, 1)


@pytest.mark.parametrize("z", [1, 3])
def test_any_width_and_no_condition(z):
    rows = torch.randn(200, z, generator=torch.Generator().manual_seed(0)) * 2 + 5
    density = fit_flow(rows, Condition(torch.zeros(200, 0)), Schema(), steps=40)
    p = density(Condition(torch.zeros(3, 0)))
    drawn = p.from_noise(Draw(RowNoise(0, np.arange(3))), 0)
    assert drawn.shape == (3, z) and p.log_prob(drawn).shape == (3,)
    assert (p.mean - 5).abs().max() < 1.5
