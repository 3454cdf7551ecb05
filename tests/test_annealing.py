"""Annealed importance sampling against closed forms: weights, bounds, transitions, rows, refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL.Image import Image
from shrunk import EVERY, SHAPE, batch_of, columns_of, model_of, schema_of
from test_tasks import DIGIT, LinearDecoder, linear, scene, small
from torch import Tensor
from torch.distributions import MultivariateNormal

from condvae import annealing
from condvae.annealing import Plan, Target, annealed, schedule
from condvae.density_fit import fit_density
from condvae.errors import Refused
from condvae.hamiltonian import Pace, leapfrog, transition
from condvae.images import as_images
from condvae.learned import Learned
from condvae.models.vae import VAE
from condvae.noise import RowNoise
from condvae.plots_bounds import bounds_by_samples
from condvae.priors import ConditionalMixture
from condvae.scores import marginal
from condvae.trace import Condition, Draw

LABELS = [0, 1, 2, 0, 1, 2]


def mixed() -> tuple[Learned, np.ndarray]:
    """The linear model under a learned mixture as its prior, and the exact log p(x | label) of `scene`'s rows [N]."""
    learned, _ = linear()
    decoder: Any = learned.model.decoder
    torch.manual_seed(1)
    prior = ConditionalMixture(DIGIT.width, 2, 3)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.7)
    model = VAE(learned.model.encoder, prior, decoder).eval()  # type: ignore[arg-type]
    c = torch.eye(DIGIT.width)[LABELS]
    found: Any = prior(Condition(c))
    parts = zip(found.log_weight.exp(), found.locs, torch.diag_embed(torch.exp(2 * found.log_sigma)), strict=True)
    return Learned(model, learned.schema, learned.shape, "grey"), exact_of(list(parts), decoder, c)


def fitted() -> tuple[Learned, np.ndarray]:
    """The same with a density that was fitted to latents afterwards, of full covariances."""
    learned, _ = linear()
    rows = torch.randn(300, 2, generator=torch.Generator().manual_seed(4)) * torch.tensor([1.0, 0.3])
    density = fit_density(rows + torch.arange(300)[:, None] % 3, torch.arange(300) % 3, DIGIT)
    c = torch.eye(DIGIT.width)[LABELS]
    drawn: Any = density(Condition(c))
    triangles = [drawn.components(row) for row in range(len(c))]
    parts = [(weight, mean, root @ root.mT) for weight, mean, root in triangles]
    made = Learned(learned.model, learned.schema, learned.shape, "grey", density)
    return made, exact_of(parts, learned.model.decoder, c)


def exact_of(parts: list[tuple[Tensor, Tensor, Tensor]], decoder: Any, c: Tensor) -> np.ndarray:
    """log p(x) of x = W z + offset + noise under mixtures of Gaussians, a row each (weights, means, covariances)."""
    assert isinstance(decoder, LinearDecoder)
    weight, noise = decoder.weight.double(), 0.09 * torch.eye(12).double()
    out = []
    for x, row, (share, mean, covariance) in zip(scene().flatten(1).double(), c, parts, strict=True):
        centre = mean.double() @ weight.T + (row @ decoder.offset).double()
        whole = weight @ covariance.double() @ weight.T + noise
        out.append(torch.logsumexp(share.double().log() + MultivariateNormal(centre, whole).log_prob(x), 0))
    return torch.stack(out).detach().numpy()


def standard() -> tuple[Learned, np.ndarray]:
    """The linear model under N(0, I)."""
    learned, exact = linear()
    return learned, exact[np.arange(6), LABELS]


def test_the_estimate_is_the_likelihood():
    learned, exact = standard()
    found = annealed(learned, scene(), {"digit": LABELS}, Plan(64, 200, 5))
    assert found.log_weights.shape == (6, 64) and found.log_weights.dtype == np.float64
    assert np.allclose(found.log_prob, exact, atol=0.25)
    assert abs((found.log_prob - exact).mean()) < 0.1
    assert ((found.effective > 32) & (found.effective <= 64)).all()
    assert ((found.acceptance > 0.5) & (found.acceptance <= 1)).all()


@pytest.mark.parametrize("case", [standard, mixed, fitted])
def test_weights_are_right_in_the_mean_however_few_the_temperatures(case):
    """E[w] = p(x | c), though no single chain is near: six images, 3,000 chains each, which spread over many nats."""
    learned, exact = case()
    found = annealed(learned, scene(), {"digit": LABELS}, Plan(3000, 8, 3))
    assert found.log_weights.std(1).min() > 2
    ratio = np.exp(found.log_weights - exact[:, None])
    error = ratio.std(1) / math.sqrt(ratio.shape[1])
    assert error.max() < 0.15 and (np.abs(ratio.mean(1) - 1) < 4 * error).all()


def test_the_bound_rises_with_temperatures():
    """The mean of log w over chains, which is below log p(x | c) by less the more temperatures there are."""
    learned, exact = standard()
    plans = [Plan(100, temperatures, 5) for temperatures in (2, 5, 20, 100)]
    means = [annealed(learned, scene(), {"digit": LABELS}, plan).log_weights.mean() for plan in plans]
    assert means == sorted(means) and np.diff(means).min() > 0.3
    assert exact.mean() - 0.5 < means[-1] < exact.mean()


def test_two_temperatures_are_plain_sampling_from_the_prior():
    learned, _ = standard()
    found = annealed(learned, scene(), {"digit": LABELS}, Plan(4, 2))
    path, _ = prepared(learned)
    again = path(path.begin()).likelihood
    assert torch.isfinite(again).all() and found.acceptance.shape == (6,) and np.isnan(found.acceptance).all()
    decoder: Any = learned.model.decoder
    noise = RowNoise(annealing.seed_of(0, annealing.STREAM), np.arange(6))
    z = noise.normal([6, 6, 2], 0)[annealing.SCOUTS :]
    mean = z @ decoder.weight.T + decoder.offset[LABELS]
    error = (scene().flatten(1) - mean).square().sum(-1) / 0.09
    expected = -0.5 * error - 6 * math.log(2 * math.pi * 0.09)
    assert np.allclose(found.log_weights, expected.T.numpy(), atol=1e-3)


def prepared(learned: Learned, k: int = 6) -> tuple[Target, Condition]:
    """The path of `scene`'s rows, with k chains a row."""
    c = Condition(torch.eye(DIGIT.width)[LABELS])
    return Target(learned.model, c, scene(), Draw(RowNoise(3, np.arange(6)), k=k)), c


def test_the_schedule_goes_from_0_to_1_and_is_dense_at_both_ends():
    betas = schedule(1000)
    assert betas[0] == 0 and betas[-1] == 1 and len(betas) == 1000
    steps = np.diff(betas)
    assert (steps > 0).all() and np.allclose(steps, steps[::-1]) and steps[0] < steps[499] / 10
    assert schedule(2).tolist() == [0, 1]


def test_slopes_are_those_of_the_densities():
    learned, _ = mixed()
    path, _ = prepared(learned)
    point = path(path.begin())
    ahead = torch.zeros_like(point.z)
    ahead[..., 1] = 1e-3
    lower, upper = path(point.z - ahead), path(point.z + ahead)
    for name in ("prior", "likelihood"):
        slope = (getattr(upper, name) - getattr(lower, name)) / 2e-3
        assert torch.allclose(getattr(point, f"{name}_slope")[..., 1], slope, atol=0.2, rtol=0.02)
    assert torch.allclose(point.density(0.3), point.prior + 0.3 * point.likelihood)


@pytest.mark.parametrize("case", [standard, mixed])
def test_leapfrog_forward_and_back_returns(case):
    learned, _ = case()
    path, _ = prepared(learned)
    point = path(path.begin())
    momentum = torch.randn(point.z.shape, generator=torch.Generator().manual_seed(0))
    step = torch.linspace(0.02, 0.12, 6)
    there, turned = leapfrog(path, point, momentum, 0.7, step, 10)
    back, again = leapfrog(path, there, -turned, 0.7, step, 10)
    assert (there.z - point.z).abs().mean() > 0.1
    assert torch.allclose(back.z, point.z, atol=1e-3) and torch.allclose(-again, momentum, atol=1e-2)


def test_leapfrog_keeps_volume():
    """The determinant of (z, momentum) -> (z, momentum), by differences, in one image of two latents: 1."""
    learned, _ = standard()
    path, _ = prepared(learned, k=1)
    z, momentum = torch.zeros(1, 6, 2) + 0.2, torch.ones(1, 6, 2) * 0.5
    step = torch.full((6,), 0.1)

    def flow(state: Tensor) -> Tensor:
        end, turned = leapfrog(path, path(state[..., :2]), state[..., 2:], 1.0, step, 3)
        return torch.cat([end.z, turned], -1)

    state = torch.cat([z, momentum], -1)
    columns = [(flow(state + 0.01 * unit) - flow(state - 0.01 * unit))[0] / 0.02 for unit in torch.eye(4)]
    assert torch.allclose(torch.linalg.det(torch.stack(columns, -1)), torch.ones(6), atol=0.02)


def test_a_transition_leaves_its_target_as_it_is_where_half_the_steps_are_refused():
    """Chains that begin in the exact posterior stay there; the same steps without a refusal would not."""
    learned, _ = standard()
    k = 6000
    path, c = prepared(learned, k)
    q: Any = learned.model.encoder(scene(), c).base_dist  # type: ignore[operator]
    z = q.loc + q.scale * torch.randn(k, 6, 2, generator=torch.Generator().manual_seed(0))
    point = path(z)
    step = torch.full((6,), 0.53)  # of a posterior whose narrower unit has a deviation of 0.29: nearly unstable
    bold, chances = point, []
    noise = RowNoise(8, np.arange(6))
    for level in range(1, 7):
        point, chance = transition(path, point, 1.0, step, 3, noise, level)
        chances.append(chance.mean())
        momentum = noise.normal(bold.z.shape, level)
        bold, _ = leapfrog(path, bold, momentum, 1.0, step, 3)
    assert 0.2 < torch.stack(chances).mean() < 0.9
    assert (point.z != z).any(-1).double().mean() > 0.9
    spread = lambda one: (((one.z - q.loc) / q.scale).std(0) - 1).abs().max()  # noqa: E731
    assert (((point.z - q.loc) / q.scale).mean(0).abs() < 5 / math.sqrt(k)).all()
    assert spread(point) < 5 / math.sqrt(2 * k) < 0.1 < spread(bold)


def test_a_proposal_that_is_no_number_is_refused():
    learned, _ = standard()
    path, _ = prepared(learned)
    point = path(path.begin())
    far, chance = transition(path, point, 1.0, torch.full((6,), 1e30), 3, RowNoise(0, np.arange(6)), 1)
    assert torch.equal(far.z, point.z) and not chance.any()


def test_the_step_size_follows_what_is_accepted():
    pace = Pace(3, torch.device("cpu"))
    for _ in range(400):
        pace.heed(torch.tensor([1.0, 0.0, 0.65]))
    assert pace.step[0] == 0.25 and pace.step[1] == pytest.approx(1e-4) and pace.step[2] < 0.25
    # in the long run, of a density whose steps matter, at about 0.65
    learned, _ = linear(sigma=0.02)
    found = annealed(learned, scene(), {"digit": LABELS}, Plan(8, 600, 5))
    assert np.allclose(found.acceptance, 0.68, atol=0.1)
    assert (found.step < 0.1).all()


def test_counted_chains_do_not_steer_their_steps():
    """With other scouts the steps differ; with more counted chains they do not, nor does any chain."""
    learned, _ = linear(sigma=0.05)
    few, many = (annealed(learned, scene(), {"digit": LABELS}, Plan(chains, 60, 5)) for chains in (3, 20))
    assert np.allclose(few.step, many.step) and len(set(few.step)) > 1
    assert np.allclose(few.log_weights, many.log_weights[:, :3], atol=0.02)


def test_a_row_depends_on_itself_alone(monkeypatch):
    monkeypatch.setattr(annealing, "ENTRIES", 64 * 7 * 4)  # four rows at once
    learned = small(prior="mixture")
    x = np.random.default_rng(0).random((11, 1, 5, 4)).astype(np.float32)
    labels = [d % 3 for d in range(11)]
    plan = Plan(5, 40, 4)
    whole = annealed(learned, x, {"digit": labels}, plan, seed=2)
    assert whole.rows.tolist() == list(range(11))
    few = annealed(learned, x[:3], {"digit": labels[:3]}, plan, seed=2)
    assert np.array_equal(few.log_weights, whole.log_weights[:3])
    some = annealed(learned, x, {"digit": labels}, plan, seed=2, rows=[9, 4])
    assert np.array_equal(some.log_weights, whole.log_weights[[9, 4]]) and some.rows.tolist() == [9, 4]
    assert np.array_equal(some.acceptance, whole.acceptance[[9, 4]])
    other = annealed(learned, x[:3], {"digit": labels[:3]}, plan, seed=3)
    assert not np.isclose(other.log_weights, few.log_weights).any()


def test_parts_come_as_they_are_known_and_leave_nothing_set(monkeypatch):
    monkeypatch.setattr(annealing, "ENTRIES", 64 * 4 * 2)  # two rows at once
    learned, _ = linear()
    learned.model.train()
    ticks: list[tuple[int, int]] = []
    parts = annealing.annealing(
        learned, scene(), {"digit": LABELS}, Plan(2, 30, 2), rows=[0, 1, 2], progress=lambda a, b: ticks.append((a, b))
    )
    first = next(parts)
    assert first.rows.tolist() == [0, 1] and ticks[-1] == (2, 3) and learned.model.training
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    rest = next(parts)
    assert rest.rows.tolist() == [2] and rest.log_weights.shape == (1, 2) and ticks[-1] == (3, 3)
    assert ticks == sorted(ticks) and len(ticks) > 10
    again = annealed(learned, scene(), {"digit": LABELS}, Plan(2, 30, 2), rows=[0, 1])
    assert np.array_equal(again.log_weights, first.log_weights)


def test_no_weight_receives_a_gradient():
    learned = small()
    flags = [(parameter.requires_grad, parameter.grad) for parameter in learned.model.parameters()]
    state = torch.get_rng_state()
    annealed(learned, np.ones((2, 1, 5, 4), np.float32), {"digit": 0}, Plan(2, 4, 2))
    assert [(parameter.requires_grad, parameter.grad) for parameter in learned.model.parameters()] == flags
    assert all(flag and grad is None for flag, grad in flags) and torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", ["gaussian", "learned-prior", "mixture-prior", "autoregressive", "holes", "logistic"])
def test_any_model_of_one_code_meets_importance_sampling(name):
    """Heads, priors and holes as they are: both ways to the same number."""
    settings = EVERY[name]
    model, schema = model_of(settings).eval(), schema_of(settings)
    x, _ = batch_of(schema, 4)
    learned = Learned(model, schema, SHAPE, settings.binarise, holes=settings.holes)
    columns = columns_of(schema, x)
    images, _ = as_images(x, "x")
    exact = marginal(learned, model, images, columns, 1000, 0, rows=np.arange(4))
    parts = annealing.parts_of(learned, model, images, columns, np.arange(4), Plan(32, 30, 3), 0, None)
    found = next(parts)
    assert exact.effective.min() > 20
    assert np.allclose(found.log_prob, exact.log_prob, atol=0.25 + 3 / math.sqrt(exact.effective.min()))


def test_refusals():
    learned, _ = linear()
    with pytest.raises(Refused, match="temperatures must be a whole number of at least 2; got 1"):
        Plan(temperatures=1)
    with pytest.raises(Refused, match="chains must be a whole number of at least 1"):
        Plan(chains=0)
    with pytest.raises(Refused, match="leapfrogs"):
        Plan(leapfrogs=2.5)  # type: ignore[arg-type]
    wrong: Any
    for wrong in ([], [6], [-1], [0.5], [[0]]):
        with pytest.raises(Refused, match="rows must be one or more whole numbers from 0 to 5"):
            annealed(learned, scene(), {"digit": 0}, rows=wrong)
    with pytest.raises(Refused, match="digit must be given for every row"):
        annealed(learned, scene())
    with pytest.raises(Refused, match="digit must be given for every row"):
        annealed(learned, scene(), {"digit": [0, 1, None, 1, 2, 0]})
    part = annealed(learned, scene(), {"digit": [0, 1, None, 1, 2, 0]}, Plan(1, 3, 1), rows=[0, 1])
    assert len(part.log_prob) == 2  # what is not asked need not be known
    with pytest.raises(Refused, match="prior"):
        annealed(learned, scene(), {"digit": 0}, prior="fitted")
    with pytest.raises(Refused, match="seed"):
        annealed(learned, scene(), {"digit": 0}, seed=-1)


@pytest.mark.parametrize("name", ["draw", "m2"])
def test_models_of_several_latents_are_refused(name):
    settings = EVERY[name]
    schema = schema_of(settings)
    learned = Learned(model_of(settings).eval(), schema, SHAPE, settings.binarise)
    x, _ = batch_of(schema, 2)
    latents = "3 latents" if name == "draw" else "2 latents"
    with pytest.raises(Refused, match=f"one latent.*{latents}"):
        annealed(learned, x.numpy(), {"sign": "a", "size": 1.0})


def test_a_model_without_a_likelihood_is_refused():
    settings = EVERY["perceptual"]
    schema = schema_of(settings)
    learned = Learned(model_of(settings).eval(), schema, SHAPE, settings.binarise)
    with pytest.raises(Refused, match="normalised likelihood"):
        annealed(learned, np.ones((1, *SHAPE), np.float32), {"sign": "a", "size": 1.0})


def shaded(picture: Image) -> np.ndarray:
    """Its pixels as whole numbers that may be subtracted, [H, W, 3]."""
    return np.asarray(picture, np.int64)


def test_a_picture_of_bounds_tells_levels_apart():
    curve = {1: -90.0, 10: -87.5, 5000: -86.4}
    levels = {"annealed": (-86.3, 0.03), "ELBO": (-90.0, 0.0)}
    plain, beside = bounds_by_samples(curve, {}), bounds_by_samples(curve, levels, "bounds")
    assert plain.mode == beside.mode == "RGB" and beside.width == plain.width
    warm = [int(((pixels[..., 0] - pixels[..., 2]) > 60).sum()) for pixels in map(shaded, (plain, beside))]
    assert warm[0] == 0 and warm[1] > 500  # the dashes of the first level are orange
    for wrong in ({}, {0: 1.0}, {1: math.nan}):
        with pytest.raises(Refused, match="curve must map"):
            bounds_by_samples(wrong, {})
