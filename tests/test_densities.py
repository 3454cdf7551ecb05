"""Densities fitted to latents: against torch's own mixtures, and with too few rows."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from condvae.conditions import Label, Schema
from condvae.densities import LabelMixture, pack, unpack
from condvae.density_fit import fit_density
from condvae.errors import Refused
from condvae.gaussians import COARSE_WEIGHT
from condvae.noise import RowNoise, Stream
from condvae.objectives import kl, kl_per_unit
from condvae.trace import Condition, Draw, Latent

FIELD = Label("digit", ("0", "1", "2"), (0.2, 0.3, 0.5))


def condition(index) -> Condition:
    return Schema((FIELD,)).encode({"digit": np.asarray(index)}, len(index))


def table(full: bool = True, z: int = 3) -> LabelMixture:
    """Seven components: three of label 0, two each of 1 and 2, given in no order."""
    generator = torch.Generator().manual_seed(0)
    density = LabelMixture(z, 3, 7, full)
    tril = torch.randn(7, z, z, generator=generator).tril(-1) * 0.5
    diagonal = torch.rand(7, z, generator=generator) + 0.3
    state = {
        "mean": torch.randn(7, z, generator=generator),
        "factor": pack(tril + torch.diag_embed(diagonal)) if full else diagonal,
        "owner": torch.tensor([0, 1, 2, 0, 1, 2, 0]),
        "log_weight": torch.randn(7, generator=generator),
        "log_share": torch.tensor(FIELD.shares).log(),
    }
    density.load_state_dict(state)
    return density


def reference(density: LabelMixture, line: int) -> MixtureSameFamily:
    """The same mixture by torch.distributions, over the line's own components (it has no weight of exactly 0)."""
    labels = list(range(3)) if line == 3 else [line]
    rows = [torch.nonzero(density.owner == label)[:, 0] for label in labels]
    share = [FIELD.shares[label] if line == 3 else 1.0 for label in labels]
    weight = torch.cat([s * density.log_weight[r].softmax(0) for s, r in zip(share, rows, strict=True)])
    used = torch.cat(rows)
    if density.full:
        parts = MultivariateNormal(density.mean[used], scale_tril=unpack(density.factor, density.z)[used])
    else:
        parts = Independent(Normal(density.mean[used], density.factor[used]), 1)
    return MixtureSameFamily(Categorical(weight), parts)


@pytest.mark.parametrize("full", [True, False])
def test_density_and_moments_are_those_of_the_mixture(full):
    density = table(full)
    index = [0, 1, 2, -1, 0, 2]
    p = density(condition(index))
    z = torch.randn(4, 6, 3)
    for row, label in enumerate(index):
        expected = reference(density, label % 4)
        assert torch.allclose(p.log_prob(z)[:, row], expected.log_prob(z[:, row]), atol=1e-4)
        assert torch.allclose(p.mean[row], expected.mean, atol=1e-5)
        assert torch.allclose(p.stddev[row], expected.stddev, atol=1e-5)
        assert torch.allclose(p.covariance.diagonal(dim1=1, dim2=2)[row], expected.variance, atol=1e-4)
    assert torch.equal(p.expand((4, 6)).log_prob(z), p.log_prob(z))


def test_a_row_is_scored_the_same_whatever_stands_beside_it():
    density = table()
    index = np.arange(999) % 4 - 1
    z = torch.randn(999, 3)
    together = density(condition(index)).log_prob(z)
    alone = torch.cat([density(condition(index[i : i + 1])).log_prob(z[i : i + 1]) for i in range(0, 999, 37)])
    assert torch.equal(together[::37], alone)


@pytest.mark.parametrize("full", [True, False])
def test_draws_have_the_mixtures_moments_and_density(full):
    density = table(full)
    rows = 40_000
    p = density(condition(np.full(rows, -1)))
    z = p.from_noise(Draw(RowNoise(0, np.arange(rows))), 0)
    expected = reference(density, 3)
    assert (z.mean(0) - expected.mean).abs().max() < 5 * expected.stddev.max() / math.sqrt(rows)
    assert torch.allclose(torch.cov(z.T), p.covariance[0], atol=0.06)
    # E[log p] from our draws and from torch's
    torch.manual_seed(0)
    theirs = expected.log_prob(expected.sample((rows,)))  # type: ignore[arg-type]
    ours = p.log_prob(z)
    assert abs(ours.mean() - theirs.mean()) < 5 * theirs.std() / math.sqrt(rows)


def test_a_row_is_drawn_the_same_whatever_is_drawn_beside_it():
    density = table()
    many = density(condition(np.full(300, 1))).from_noise(Draw(RowNoise(5, np.arange(300))), 0)
    one = density(condition([1])).from_noise(Draw(RowNoise(5, np.array([200]))), 0)
    assert torch.equal(one[0], many[200])


def test_temperature_scales_within_the_component():
    density = table()
    p, rows = density(condition(np.arange(500) % 3)), np.arange(500)
    cold, mild, full = (p.from_noise(Draw(RowNoise(3, rows), t), 0) for t in (0.0, 0.5, 1.0))
    assert torch.allclose(mild - cold, 0.5 * (full - cold), atol=1e-6)
    # at 0 only the means of the row's own components are drawn
    for label in range(3):
        own = density.mean[density.owner == label]
        assert (torch.cdist(cold[label::3], own).amin(1) == 0).all()


def test_several_samples_a_row_and_a_stream():
    density = table()
    p = density(condition([0, 1])).expand((2, 2))
    assert p.from_noise(Draw(RowNoise(0, np.arange(2)), k=2), 0).shape == (2, 2, 3)
    assert p.from_noise(Draw(Stream(seed=0)), 0).shape == (2, 2, 3)


def test_the_state_makes_the_same_density_again():
    density = table()
    again = LabelMixture(**density.sizes)
    again.load_state_dict(density.state_dict())
    z = torch.randn(4, 3)
    assert torch.equal(again(condition([0, 1, 2, -1])).log_prob(z), density(condition([0, 1, 2, -1])).log_prob(z))
    assert not list(density.parameters())


def test_kl_from_a_posterior_is_sampled_and_has_units():
    p = table()(condition([0, 1])).expand((20_000, 2))
    q = Independent(Normal(torch.zeros(2, 3), torch.full((2, 3), 0.5)), 1).expand((20_000, 2))
    torch.manual_seed(0)
    latent = Latent(p, q, q.sample())
    assert (kl(latent).mean(0) > 0).all()
    assert kl_per_unit(latent).shape == (20_000, 2, 3)


def test_other_columns_of_the_condition_do_not_matter():
    density = LabelMixture(2, 3, 3, start=2)
    vector = torch.tensor([[1.0, 0, 0, 1, 0, 1], [0, 1, 0, 1, 0, 0]])
    assert density(Condition(vector)).index.tolist() == [1, 1]


def test_a_fit_finds_the_mixture_it_was_drawn_from():
    torch.manual_seed(0)
    centres = torch.tensor([[[-3.0, 0], [3, 0]], [[0, -3], [0, 3]], [[4, 4], [-4, -4]]])
    index = torch.arange(1800) % 3
    z = centres[index, torch.randint(2, (1800,))] + 0.3 * torch.randn(1800, 2)
    index[::100] = -1
    auto = fit_density(z, index, FIELD)
    one = fit_density(z, index, FIELD, kind="gaussian")
    assert one.sizes["components"] == 3 < auto.sizes["components"]
    c = condition(index.numpy())
    # log density of the truth: -log 2 - log(2 pi 0.09) - 1
    truth = -math.log(2) - math.log(2 * math.pi * 0.09) - 1
    known = index >= 0
    two = fit_density(z, index, FIELD, kind="mixture", components=2, pull=1.0)
    assert two(c).log_prob(z)[known].mean() == pytest.approx(truth, abs=0.1)
    assert one(c).log_prob(z)[known].mean() < truth - 0.5
    assert two.sizes["components"] == 9  # two, and a coarse one, for each of three labels
    assert torch.equal(fit_density(z, index, FIELD).mean, auto.mean)


def test_an_unseen_row_stays_likely_under_many_narrow_components():
    z = torch.randn(6000, 4, generator=torch.Generator().manual_seed(0))
    density = fit_density(z, torch.arange(6000) % 3, FIELD)
    held = 2 * torch.randn(3000, 4, generator=torch.Generator().manual_seed(1))  # wider than what was fitted, too
    line = density(condition(np.zeros(3000, int)))
    own = torch.nonzero(density.owner == 0)[:, 0][-density.coarse[0] :]
    alone = LabelMixture(4, 0, len(own))
    part = {"mean": density.mean[own], "factor": density.factor[own], "owner": torch.zeros(len(own), dtype=torch.long)}
    alone.load_state_dict(alone.state_dict() | part | {"log_weight": density.log_weight[own]})
    coarse = alone(Condition(torch.zeros(3000, 0))).log_prob(held)
    assert (line.log_prob(held) >= coarse + math.log(COARSE_WEIGHT) - 1e-3).all()
    exact = Independent(Normal(torch.zeros(4), torch.ones(4)), 1)
    seen = exact.sample((3000,))
    assert line.log_prob(seen).mean() > exact.log_prob(seen).mean() + math.log(COARSE_WEIGHT) - 0.3


def test_a_label_has_components_by_its_rows_and_coarse_ones_beside():
    index = torch.repeat_interleave(torch.arange(3), torch.tensor([20, 5, 3000]))
    z = torch.randn(len(index), 2, generator=torch.Generator().manual_seed(0))
    density = fit_density(z, index, FIELD)
    assert density.coarse == [1, 0, 20]
    assert torch.bincount(density.owner).tolist() == [4 + 1, 1, 160 + 20]
    weights = density.table.exp()
    assert torch.allclose(weights.sum(1), torch.ones(4), atol=1e-5)
    assert weights[2, density.owner == 2][-20:].sum() == pytest.approx(COARSE_WEIGHT, rel=1e-4)
    again = LabelMixture(**density.sizes)
    again.load_state_dict(density.state_dict())
    assert again.coarse == density.coarse


def test_several_samples_a_row_help_where_rows_are_few():
    generator = torch.Generator().manual_seed(0)
    index = torch.arange(45) % 3
    means = torch.randn(45, 6, generator=generator)
    many = means + torch.randn(8, 45, 6, generator=generator)
    held = math.sqrt(2) * torch.randn(4000, 6, generator=generator)
    c = condition(np.zeros(4000, int))
    one = fit_density(many[0], index, FIELD, kind="gaussian")(c).log_prob(held).mean()
    assert fit_density(many, index, FIELD, kind="gaussian")(c).log_prob(held).mean() > one
    # the same sample eight times is one sample: a row counts once
    same = fit_density(many[:1].expand(8, 45, 6), index, FIELD, kind="gaussian")
    assert torch.allclose(same.mean, fit_density(many[0], index, FIELD, kind="gaussian").mean, atol=1e-5)


@pytest.mark.parametrize("counts", [(40, 1, 0), (2, 0, 0), (1, 1, 0), (1, 1, 1), (300, 3, 8)])
def test_labels_of_few_rows_or_none_have_proper_densities(counts):
    generator = torch.Generator().manual_seed(0)
    index = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    z = torch.randn(len(index), 10, generator=generator)
    density = fit_density(z, index, FIELD)
    p = density(condition(np.arange(3)))
    drawn = p.from_noise(Draw(RowNoise(0, np.arange(3))), 0)
    assert drawn.isfinite().all() and p.log_prob(drawn).isfinite().all() and p.stddev.isfinite().all()


def test_without_labels_one_mixture_serves_all_rows():
    z = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)) + 5
    density = fit_density(z.numpy(), None)
    p = density(Condition(torch.zeros(3, 0)))
    assert p.mean.shape == (3, 2) and (p.mean - 5).abs().max() < 0.5
    again = LabelMixture(**density.sizes)
    again.load_state_dict(density.state_dict())
    assert torch.equal(again(Condition(torch.zeros(3, 0))).log_prob(z[:3]), p.log_prob(z[:3]))


def test_fitting_leaves_the_global_random_states_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    fit_density(torch.linspace(0, 1, 200).reshape(100, 2), torch.arange(100) % 3, FIELD)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(Refused, match="kind may be"):
        fit_density(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long), FIELD, kind="flow")
    with pytest.raises(Refused, match="at least two rows"):
        fit_density(torch.zeros(4, 2), torch.full((4,), -1), FIELD)
