"""The laws that hold for every model, over every recipe: see ARCHITECTURE.md."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from shrunk import EVERY as CASES
from shrunk import SHAPE, batch_of, columns_of, model_of, schema_of

from condvae.conditions import Schema
from condvae.data import collect
from condvae.fitting import Fitting
from condvae.models.build import build
from condvae.noise import RowNoise, Stream
from condvae.objectives import distortion, importance_bound, log_weights
from condvae.runs import load
from condvae.trace import Batch, Condition, Draw

pytestmark = pytest.mark.parametrize("name", list(CASES))


def draw(rows: int, k: int = 1, seed: int = 3) -> Draw:
    return Draw(RowNoise(seed, np.arange(rows)), k=k)


def test_1_a_given_z_decodes_to_what_was_decoded(name: str) -> None:
    model = model_of(CASES[name])
    x, c = batch_of(schema_of(CASES[name]))
    with torch.no_grad():
        trace = model(c, x, draw=draw(len(x)))
        again = model(c, z=trace.z)
        assert torch.equal(trace.x.log_prob(x), again.x.log_prob(x))
        assert torch.equal(trace.x.picture(draw(len(x))), again.x.picture(draw(len(x))))


def test_2_every_parameter_gets_a_gradient(name: str) -> None:
    model = model_of(CASES[name]).train()
    x, c = batch_of(schema_of(CASES[name]))
    for progress in (0.1, 0.7):  # a model may learn one part after the other
        terms, _ = model.loss(Batch(x, c), progress, Draw(Stream(seed=0)))
        torch.stack(list(terms.values())).sum().backward()
    still = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert still == []


@pytest.mark.parametrize("field", ["sign", "size"])
def test_3_an_unknown_field_does_not_move_the_loss(name: str, field: str) -> None:
    model = model_of(CASES[name])
    whole = schema_of(CASES[name])
    x, _ = batch_of(whole)
    columns = columns_of(whole, x)
    nothing = {"sign": np.full(len(x), -1), "size": np.full((len(x), 1), np.nan)}[field]
    unknown = whole.encode({**columns, field: nothing}, len(x))
    assert not unknown.vector[:, whole.span(field)].any()  # whatever the value was, it is zeroed with its flag
    known = whole.encode({**columns, field: np.zeros_like(nothing)}, len(x))
    with torch.no_grad():
        blank, told = (model.loss(Batch(x, c), 1.0, draw(len(x)))[0] for c in (unknown, known))
    assert any(not torch.equal(blank[term], told[term]) for term in blank)  # and a known one does


def test_3_what_is_hidden_of_a_picture_is_not_told(name: str) -> None:
    whole = schema_of(CASES[name])
    if whole.picture is None:
        return
    model = model_of(CASES[name])
    x, c = batch_of(whole)
    assert c.picture is not None
    other = torch.where(c.picture[:, -1:] > 0, x, 1 - x)  # other pixels where they are hidden
    again = whole.encode(
        {**columns_of(whole, x), "picture": torch.cat([other * c.picture[:, -1:], c.picture[:, -1:]], 1).numpy()},
        len(x),
    )
    with torch.no_grad():
        assert torch.equal(model(c, draw=draw(len(x))).z[0], model(again, draw=draw(len(x))).z[0])
        trace = model(c, x, draw=draw(len(x)))
        changed = torch.where(c.picture[:, -1:] > 0, 1 - x, x)  # other pixels where they are seen: not scored
        assert torch.equal(distortion(trace, x), distortion(trace, changed))


def test_4_the_bound_rises_with_the_samples(name: str) -> None:
    model = model_of(CASES[name])
    x, c = batch_of(schema_of(CASES[name]))
    with torch.no_grad():
        weights = log_weights(model(c, x, draw=draw(len(x), k=256)), x)
    bounds = [torch.stack([importance_bound(part) for part in weights.split(k)]).mean() for k in (1, 4, 16, 64, 256)]
    assert all(a <= b + 1e-4 for a, b in itertools.pairwise(bounds))


def test_5_a_zero_wide_condition_trains(name: str) -> None:
    if CASES[name].infer is not None:
        return  # a label is what it is for
    picture = schema_of(CASES[name]).picture
    model = build(CASES[name], Schema((picture,) if picture else ()), SHAPE).train()
    x, c = batch_of(schema_of(CASES[name]))
    terms, _ = model.loss(Batch(x, Condition(torch.zeros(len(x), 0), c.picture)), 0.7, Draw(Stream(seed=0)))
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_6_saved_and_loaded_it_draws_the_same(name: str, tmp_path) -> None:
    rng = np.random.default_rng(0)
    x = (rng.random((60, 8, 8)) < 0.4).astype(np.float32)
    labels = [*"abc"] * 20
    fitting = Fitting(collect(x, {"sign": labels}), CASES[name].model_copy(update={"epochs": 1}), tmp_path / "run")
    for _ in fitting.steps():
        pass
    run = fitting.finish()
    flags = [m.training for m in run.model.modules()]
    state = torch.random.get_rng_state()
    first = run.generate({"sign": "b"}, n=5, seed=4)
    assert np.array_equal(first, load(tmp_path / "run").generate({"sign": "b"}, n=5, seed=4))
    assert np.array_equal(first[:3], run.generate({"sign": "b"}, n=3, seed=4))
    assert np.array_equal(first, run.generate({"sign": ["b", "a"]}, n=5, seed=4)[0])
    assert not np.array_equal(first, run.generate({"sign": "b"}, n=5, seed=5))
    assert torch.equal(state, torch.random.get_rng_state())
    assert flags == [m.training for m in run.model.modules()]
    run.save(tmp_path / "half", half=True)
    assert np.allclose(first, load(tmp_path / "half").generate({"sign": "b"}, n=5, seed=4), atol=0.05)
