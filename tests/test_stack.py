"""M1+M2: both phases of its loss against sums by hand, what stays as it is, every task, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from shrunk import EVERY, batch_of, model_of, schema_of
from test_m2 import TINY, signs
from torch.distributions import Normal

from condvae import fit
from condvae.data import collect
from condvae.errors import Refused
from condvae.fitting import Fitting, resumed
from condvae.measures import evaluate
from condvae.models.stack import Stack
from condvae.models.vae import VAE
from condvae.noise import RowNoise, Stream
from condvae.objectives import distortion, elbo, kl, log_weights
from condvae.priors import StandardNormal
from condvae.runs import load
from condvae.settings import settings_of
from condvae.trace import Batch, Condition, Draw

CASE = EVERY["m1-m2"]
FEW: dict[str, Any] = {**TINY, "z": 3, "epochs": 60, "lr": 1e-2, "features_first": 0.5, "average": 0.9}


def noise(rows: int, k: int = 1) -> Draw:
    return Draw(RowNoise(7, np.arange(rows)), k=k)


def stacked() -> tuple[Stack, torch.Tensor, Condition]:
    """The shrunk model, pictures, and what is known of them: of every fourth the label is blank."""
    model = model_of(CASE)
    assert isinstance(model, Stack)
    x, c = batch_of(schema_of(CASE))
    return model, x, c


def test_first_it_is_a_plain_vae_of_the_pictures() -> None:
    model, x, c = stacked()
    plain = VAE(model.bottom.encoder, StandardNormal(3), model.bottom.decoder)
    plain.objective = model.objective
    weight = torch.linspace(0.5, 1.5, len(x))
    with torch.no_grad():
        for progress, share in ((0.0, 0.0), (0.1, 0.2), (0.4, 0.8)):  # the warm-up is that of the first half
            terms, notes = model.loss(Batch(x, c, weight), progress, noise(len(x)))
            blank = Condition(torch.zeros(len(x), 0))
            wanted, told = plain.loss(Batch(x, blank, weight), share, noise(len(x)))
            assert terms.pop("label") == terms.pop("classifier") == 0
            assert terms == wanted and notes == told


def test_then_it_is_the_bound_summed_over_labels_by_hand() -> None:
    model, x, c = stacked()
    top, rows = model.top, len(x)
    weight = torch.linspace(0.5, 1.5, rows)
    with torch.no_grad():
        terms, notes = model.loss(Batch(x, c, weight), 1.0, noise(rows))
        encoded: Any = model.bottom.encoder(x, Condition(torch.zeros(rows, 0)))
        below = Normal(encoded.mean, encoded.stddev)
        z1 = below.mean + below.stddev * noise(rows).noise.normal((rows, 3), 1)
        decoded: Any = model.bottom.decoder(z1, Condition(torch.zeros(rows, 0)))
        shown = Normal(decoded.parameters, decoded.log_sigma.exp())
        bound = shown.log_prob(x).flatten(1).sum(1) - below.log_prob(z1).sum(1)
        read = top.classifier(z1[:, None, None], top.blank(c)).probs
        given, prior = c.vector[:, top.span], top.class_prior.shares
        known = given.sum(1) > 0
        assert 0 < known.sum() < rows
        inferred = torch.zeros(rows)
        for place in range(3):
            told = c.filled(top.span, torch.eye(3)[place].expand(rows, -1))
            q: Any = top.vae.encoder(z1[:, None, None], told)
            z2 = q.mean + q.stddev * noise(rows).noise.normal((rows, 3), 0)
            means, log_variances = top.vae.decoder(z2, told).parameters[:, :, 0].unbind(1)
            found = Normal(means, torch.exp(0.5 * log_variances)).log_prob(z1).sum(1)
            found -= 0.5 * (q.mean.square() + q.stddev.square() - 1 - 2 * q.stddev.log()).sum(1)
            found += prior[place].log()
            mine = read[:, place]
            inferred += torch.where(known, given[:, place] * found, mine * (found - mine.log()))
        bound += inferred
    total = terms["reconstruction"] + terms["rate"] + terms["label"]
    assert torch.allclose(total, -(weight * bound).mean(), rtol=1e-5)
    assert torch.allclose(notes["elbo"], (weight * bound).mean(), rtol=1e-5)
    cross = -(given * read.log()).sum(1)[known].mean()
    assert torch.allclose(terms["classifier"], CASE.classify * cross, rtol=1e-5)
    with torch.no_grad():
        early, same = model.loss(Batch(x, c, weight), 0.625, noise(rows))  # half of the second warm-up
    assert torch.allclose(same["elbo"], notes["elbo"]) and not torch.equal(early["rate"], terms["rate"])


def test_a_pass_is_the_bound_that_training_maximises() -> None:
    model, x, c = stacked()
    told = c.filled(model.top.span, torch.eye(3)[torch.arange(len(x)) % 3])
    with torch.no_grad():
        terms, notes = model.loss(Batch(x, told), 1.0, noise(len(x)))
        trace = model(told, x, draw=noise(len(x)))
    assert [latent.role for latent in trace.latents] == ["label", "code", "code"]
    assert torch.allclose(elbo(trace, x).mean(), notes["elbo"] + terms["label"], rtol=1e-5)
    assert torch.allclose(distortion(trace, x).mean(), terms["reconstruction"], rtol=1e-5)
    upper, lower = trace.codes
    assert lower.q is not None and torch.equal(kl(lower), lower.q.log_prob(lower.z) - lower.p.log_prob(lower.z))
    assert kl(upper).shape == kl(lower).shape == (len(x),)


@pytest.mark.parametrize("known", [True, False])
def test_samples_of_a_row_are_as_many_passes(known: bool) -> None:
    model, x, c = stacked()
    c = c.filled(model.top.span, torch.eye(3)[torch.arange(len(x)) % 3]) if known else model.top.blank(c)
    with torch.no_grad():
        many = model(c, x, draw=noise(len(x), 4))
        assert [tuple(z.shape) for z in many.z] == [(4, len(x), 3)] * 3
        weights = log_weights(many, x)
        each = [log_weights(model(c, x, z=[z[k] for z in many.z], draw=noise(len(x))), x)[0] for k in range(4)]
        again = model(c, z=many.z)
        free = model(c, draw=noise(len(x), 4))
    assert torch.allclose(weights, torch.stack(each), rtol=1e-5)
    assert torch.equal(again.x.log_prob(x), many.x.log_prob(x))
    assert [tuple(z.shape) for z in free.z] == [(4, len(x), 3)] * 3


def test_what_was_learned_first_stays_as_it_is() -> None:
    model, x, c = stacked()
    model.train()
    before = {name: value.clone() for name, value in model.bottom.state_dict().items()}
    assert any("running" in name for name in before)
    terms, _ = model.loss(Batch(x, c), 0.7, Draw(Stream(seed=0)))
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in model.bottom.state_dict().items())
    assert all(parameter.grad is None for parameter in model.bottom.parameters())
    assert all(module.training for module in model.modules())
    model.zero_grad()
    terms, _ = model.loss(Batch(x, c), 0.3, Draw(Stream(seed=0)))
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is None for parameter in model.top.parameters())
    assert not all(torch.equal(value, before[name]) for name, value in model.bottom.state_dict().items())


def test_from_few_labels_to_all_tasks(tmp_path) -> None:
    x, few, truth = signs()
    run = fit(x, {"sign": few}, test=(x, {"sign": truth}), out=tmp_path / "run", progress=False, **FEW)
    read = run.classify(x)
    assert np.mean(np.asarray(read.names) == np.asarray(truth)) > 0.9
    again = load(tmp_path / "run")
    drawn = run.generate({"sign": ["a", "b", "c"]}, n=40, seed=1)
    assert np.array_equal(drawn, again.generate({"sign": ["a", "b", "c"]}, n=40, seed=1))
    assert np.array_equal(read.probabilities, again.classify(x).probabilities)
    shown = np.asarray(run.classify(drawn.reshape(-1, 1, 8, 8)).names).reshape(3, 40)
    assert np.mean(shown == np.asarray([["a"], ["b"], ["c"]])) > 0.9
    assert not np.array_equal(drawn, run.generate({"sign": ["a", "b", "c"]}, n=40, seed=1, prior="model"))
    assert run.embed(x[:5]).shape == (5, 6)  # z2 and z1 side by side
    own = run.reconstruct(x[:3], {"sign": truth[:3]})
    assert own.shape == (3, 1, 8, 8)
    moved = run.restyle(x[:3], None, {"sign": ["a", "b", "c"]})
    assert moved.shape == (3, 3, 1, 8, 8)
    assert np.allclose(moved[range(3), range(3)], own, atol=1e-5)  # the noise of z2 and of z1 is carried
    assert run.interpolate(x[:2], x[2:4], steps=3).shape == (2, 3, 1, 8, 8)
    assert run.manifold({"sign": "a"}, size=3).shape == (3, 3, 1, 8, 8)
    summed = run.log_prob(x[:4], k=20)
    each = [run.log_prob(x[:4], {"sign": name}, k=20) for name in "abc"]
    shares = np.log(run.schema.fields[0].shares)[:, None]  # pyright: ignore[reportAttributeAccessIssue]
    assert np.allclose(summed, np.logaddexp.reduce(np.stack(each) + shares, axis=0))
    assert set(run.history[0]["train"]) == set(run.history[-1]["train"])
    found = evaluate(run.learned, x[:60], {"sign": truth[:60]}, k=4)
    assert found.bound is not None and np.isfinite(found.bound.mean) and len(found.kl_per_unit) == 6


def test_a_training_goes_on_where_it_stopped(tmp_path) -> None:
    x, few, _ = signs(96)
    settings = settings_of(FEW, {"epochs": 4, "network": "conv", "width": 4, "features": 12, "blocks": 1})
    whole = Fitting(collect(x, {"sign": few}), settings)
    for _ in whole.steps():
        pass
    for stop in (9, 17):  # of 24 steps, of which 12 are M1's
        parted = Fitting(collect(x, {"sign": few}), settings, tmp_path / str(stop))
        for step in parted.steps():
            if step.step == stop:
                break
        parted.save("training")
        parted = resumed(collect(x, {"sign": few}), tmp_path / str(stop))
        for _ in parted.steps():
            pass
        both = (whole.training.trained().state_dict(), parted.training.trained().state_dict())
        assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"infer": None}, "features_first=0.5 goes with a label that is inferred"),
        ({"auxiliary": 2}, "auxiliary must be 0 with features_first, for features, .* got 2"),
        ({"consistency": 1.0}, "consistency must be 0.0 with features_first, for features, .* got 1.0"),
        ({"consistency": 1.0, "mixup": 1.0}, "consistency must be 0.0 with features_first"),
        ({"devices": 2}, "devices must be 1 with features_first"),
        ({"holes": "any"}, "holes must be 'none' where a label is inferred"),
        ({"classifier": "residual"}, "classifier must be 'dense' with features_first"),
    ],
)
def test_what_does_not_go_together_is_refused(changed: dict[str, Any], words: str) -> None:
    x, few, _ = signs(24)
    with pytest.raises(Refused, match=words):
        Fitting(collect(x, {"sign": few}), settings_of({**FEW, **changed}))


def test_a_table_is_refused() -> None:
    columns = {"sign": [*"ab"] * 20, "size": [*range(40)], "wide": [*range(40)]}
    settings: dict[str, Any] = {"infer": "sign", "features_first": 0.5, "epochs": 1}
    with pytest.raises(Refused, match="features_first learns features of pictures"):
        fit(columns, condition=["sign"], progress=False, **settings)


def test_shares_are_below_1() -> None:
    with pytest.raises(Refused, match="features_first was given as 1"):
        settings_of({"features_first": 1})
