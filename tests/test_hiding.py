"""What training hides and shows: fields dropped, holes cut, balanced batches; and what that makes possible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from condvae import fit
from condvae.balance import balanced_order, quotas
from condvae.data import collect
from condvae.errors import Refused
from condvae.fills import fill
from condvae.fitting import Fitting
from condvae.noise import Stream
from condvae.settings import settings_of
from condvae.tasks import generate
from condvae.trace import Condition
from condvae.train import Hiding

TINY: dict[str, Any] = {"network": "mlp", "hidden": (24,), "z": 2, "epochs": 2, "batch": 16, "hold_out": 0}
TINY["likelihood"] = "bernoulli"
ONCE: dict[str, Any] = {**TINY, "epochs": 1}
NEVER: dict[str, Any] = {**TINY, "epochs": 0}


def stripes(rows: int = 120) -> tuple[np.ndarray, list[str]]:
    """Pictures whose upper or lower half is bright, by label."""
    labels = ["up" if row % 2 else "down" for row in range(rows)]
    x = np.zeros((rows, 1, 8, 8), np.float32)
    for row, name in enumerate(labels):
        x[row, :, :4] = 0.9 if name == "up" else 0.1
        x[row, :, 4:] = 1 - x[row, :, :1]
    return x, labels


def test_hiding_drops_each_field_by_itself() -> None:
    c = Condition(torch.ones(4000, 5))
    hiding = Hiding("none", (0.25, 0.5), (slice(0, 2), slice(3, 5)))
    told = hiding(c, torch.zeros(4000, 1, 2, 2), Stream(seed=0)).vector
    assert torch.equal(told[:, 0], told[:, 1]) and bool((told[:, 2] == 1).all())
    gone = 1 - told[:, [0, 3]]
    assert gone.mean(0).tolist() == pytest.approx([0.25, 0.5], abs=0.03)
    assert float((gone[:, 0] * gone[:, 1]).mean()) == pytest.approx(0.125, abs=0.02)
    assert bool((c.vector == 1).all())  # the batch itself is left alone


def test_fields_are_dropped_only_where_there_are_blanks_or_it_is_asked() -> None:
    x, labels = stripes()
    assert Fitting(collect(x, {"half": labels}), settings_of(TINY)).training.learner.module.hiding.spans == ()
    blank = [None if row % 10 == 0 else name for row, name in enumerate(labels)]
    fitting = Fitting(collect(x, {"half": blank}), settings_of(TINY))
    assert fitting.training.learner.module.hiding == Hiding("none", (0.1,), (slice(0, 3),))
    assert any("may be left out" in line for line in fitting.lines)
    asked = Fitting(collect(x, {"half": labels}), settings_of(TINY, {"drop": 0.3}))
    assert asked.training.learner.module.hiding.drop == (0.3,) and asked.schema.labels[0].optional
    never = Fitting(collect(x, {"half": blank}), settings_of(TINY, {"drop": 0.0}))
    assert never.training.learner.module.hiding.spans == ()


def test_quotas_and_orders_are_balanced() -> None:
    assert quotas([900, 90, 10]) == [450, 450, 100]  # no row over ten times
    assert quotas([5, 5]) == [5, 5]
    groups = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    orders = [balanced_order(groups, epoch, 3) for epoch in range(4)]
    assert all(torch.bincount(groups[order]).tolist() == [450, 450, 100] for order in orders)
    shown = torch.bincount(torch.cat(orders[:2]), minlength=1000)
    assert shown[:900].tolist() == [1] * 900  # frequent rows come in their turn
    assert not torch.equal(orders[0], orders[1]) and torch.equal(orders[0], balanced_order(groups, 0, 3))


def test_uneven_labels_are_balanced_and_it_is_said() -> None:
    x, _ = stripes(66)
    labels = ["rare" if row % 11 == 0 else "often" for row in range(66)]
    fitting = Fitting(collect(x, {"kind": labels}), settings_of(TINY))
    assert fitting.batches.groups is not None and any("balanced" in line for line in fitting.lines)
    shown = torch.cat([batch.c.vector for batch in fitting.batches.epoch(0)])
    assert shown[:, 1].mean() == pytest.approx(0.5, abs=0.02)
    assert Fitting(collect(x, {"kind": labels}), settings_of(TINY, {"balance": "never"})).batches.groups is None
    even = ["a", "b"] * 33
    assert Fitting(collect(x, {"kind": even}), settings_of(TINY)).batches.groups is None


@pytest.fixture(scope="module")
def filler():
    """A model that has learned the halves: what is seen of one tells the other."""
    x, labels = stripes()
    more: dict[str, Any] = {**TINY, "epochs": 80, "hidden": (48,), "lr": 5e-3}
    return fit(x, {"half": labels}, holes="any", drop=0.5, progress=False, **more)


def test_fill_keeps_what_is_seen_bit_for_bit(filler) -> None:
    x, _ = stripes(6)
    x = x + np.random.default_rng(0).random(x.shape, np.float32) * 1e-3
    seen = np.zeros((6, 1, 8, 8), bool)
    seen[:, :, :4] = True
    out = filler.fill(x, seen, n=3)
    assert out.shape == (6, 3, 1, 8, 8) and out.dtype == np.float32
    assert (out[:, :, :, :4] == x[:, None, :, :4]).all()
    wild = np.where(seen, x, np.nan)  # what is hidden may hold anything
    assert np.array_equal(filler.fill(wild, seen, n=3), out)
    assert np.abs(out[:, :, :, 4:] - x[:, None, :, 4:]).mean() < 0.15  # and the hidden half follows from the seen one


def test_fill_is_a_function_of_seed_picture_and_place(filler) -> None:
    x, _ = stripes(4)
    seen = np.zeros((4, 1, 8, 8), bool)
    out = filler.fill(x, seen, {"half": ["up", None, "down", "up"]}, n=4, seed=3)
    assert np.array_equal(filler.fill(x[:2], seen[:2], {"half": ["up", None]}, n=2, seed=3), out[:2, :2])
    assert out[0, :, :, :4].mean() > out[2, :, :, :4].mean() + 0.1  # nothing seen: the label decides


@pytest.mark.parametrize(
    ("x", "seen", "words"),
    [
        (np.zeros((2, 1, 8, 8), np.uint8), np.ones((2, 1, 8, 8), bool), "float"),
        (np.zeros((2, 1, 8, 7), np.float32), np.ones((2, 1, 8, 7), bool), "shape"),
        (np.zeros((2, 1, 8, 8), np.float32), np.ones((2, 1, 8, 8), int), "bool"),
        (np.full((2, 1, 8, 8), 2.0, np.float32), np.ones((2, 1, 8, 8), bool), "0, 1"),
        (np.full((2, 1, 8, 8), np.nan, np.float32), np.ones((2, 1, 8, 8), bool), "0, 1"),
        (np.zeros((0, 1, 8, 8), np.float32), np.ones((0, 1, 8, 8), bool), "shape"),
    ],
)
def test_fill_refuses_what_it_cannot_use(filler, x, seen, words) -> None:
    with pytest.raises(Refused, match=words):
        filler.fill(x, seen)


def test_a_tensor_that_learns_is_filled_as_its_values_are(filler) -> None:
    x, seen = stripes(2)[0], np.ones((2, 1, 8, 8), bool)
    seen[..., 4:] = False
    learning = torch.from_numpy(x.copy()).requires_grad_()
    assert np.array_equal(filler.fill(learning, torch.from_numpy(seen), n=1), filler.fill(x, seen, n=1))


def test_only_a_model_of_holes_fills() -> None:
    x, labels = stripes(40)
    run = fit(x, {"half": labels}, progress=False, **NEVER)
    with pytest.raises(Refused, match="holes='any'"):
        fill(run.learned, x, np.ones((40, 1, 8, 8), bool))
    with pytest.raises(Refused, match="where half is asked for, which has no blank input; train with drop"):
        run.generate({"half": "up"}, guidance=2.0)
    ink = fit(x, {"half": labels, "ink": np.linspace(0, 1.5, 40)}, progress=False, **NEVER)
    with pytest.raises(Refused, match="where half and ink are asked for, which have no blank input"):
        ink.generate({"half": "up", "ink": 0.5}, guidance=2.0)
    with pytest.raises(Refused, match="trained without conditions"):
        fit(x, None, progress=False, **NEVER).generate(guidance=2.0)


def test_guidance_extrapolates_logits_with_the_same_z(filler) -> None:
    learned = filler.learned
    one, zero, three = (generate(learned, {"half": "up"}, 5, 1, guidance=w) for w in (1.0, 0.0, 3.0))
    blank = generate(learned, None, 5, 1)
    logit = lambda p: np.log(p) - np.log1p(-p)  # noqa: E731
    assert np.allclose(logit(three), logit(zero) + 3 * (logit(one) - logit(zero)), atol=2e-3)
    assert not np.allclose(zero, blank)  # z is that of the asked label, not of the blank


def test_guidance_is_about_what_is_asked_and_other_fields_stay_as_they_were_drawn() -> None:
    x, labels = stripes()
    ink = np.linspace(0, 1.5, len(x))
    blank = [name if row % 3 else None for row, name in enumerate(labels)]
    learned = fit(x, {"half": blank, "ink": ink}, progress=False, **TINY).learned  # half is optional, ink is not
    one, zero, two = (generate(learned, {"half": "up"}, 5, 1, guidance=w) for w in (1.0, 0.0, 2.0))
    logit = lambda p: np.log(p) - np.log1p(-p)  # noqa: E731
    assert np.allclose(logit(two), 2 * logit(one) - logit(zero), atol=2e-3) and not np.allclose(one, zero)
    assert np.array_equal(one, generate(learned, {"half": "up"}, 5, 1))
    nothing = generate(learned, None, 5, 1)
    assert np.allclose(generate(learned, None, 5, 1, guidance=2.0), nothing, atol=1e-6)  # nothing is asked
    with pytest.raises(Refused, match="where ink is asked for"):
        generate(learned, {"half": "up", "ink": 0.5}, 5, 1, guidance=2.0)


def test_one_request_of_a_vector_may_be_known_in_part() -> None:
    x, _ = stripes(40)
    sides = np.stack([np.linspace(0, 1, 40), np.linspace(2, 3, 40)], 1)
    sides[::4, 1] = np.nan
    run = fit(x, {"sides": sides}, progress=False, **ONCE)
    assert run.generate({"sides": [0.3, None]}, n=2).shape == (2, 1, 8, 8)
    assert run.generate({"sides": [[0.3, None], None, [0.1, 2.5]]}, n=2).shape == (3, 2, 1, 8, 8)


def test_completions_are_drawn_under_the_prior_that_is_asked(filler) -> None:
    x, _ = stripes(4)
    seen = np.zeros((4, 1, 8, 8), bool)
    seen[:, :, :2] = True
    filler.fit_flow(*stripes()[:1], {"half": stripes()[1]})
    own, flow = (filler.fill(x, seen, n=3, prior=prior) for prior in ("model", "flow"))
    assert not np.array_equal(own, flow) and (flow[:, :, :, :2] == x[:, None, :, :2]).all()
    with pytest.raises(Refused, match="prior may be"):
        filler.fill(x, seen, prior="floww")


def test_a_grey_mask_of_the_wrong_shape_is_told_one_shape(filler) -> None:
    with pytest.raises(Refused) as refused:
        filler.fill(stripes(2)[0], np.ones((2, 1, 8, 7), bool))
    assert str(refused.value).startswith("seen must be bool, [2, 1, 8, 8], True where")


def test_a_number_outside_its_range_is_warned_of() -> None:
    x, labels = stripes(40)
    ink = np.linspace(0, 1.5, 40)
    run = fit(x, {"half": labels, "ink": ink}, progress=False, **ONCE)
    with pytest.warns(UserWarning, match="0 to 1.5 in training; 9 lies") as warned:
        run.generate({"half": "up", "ink": 9.0})
    assert len(warned) == 1
    two = fit(x, {"a": ink, "b": ink**2}, progress=False, **NEVER)
    with pytest.warns(UserWarning, match="a was within.*9 lies.*b was within.*7, 8 lie") as warned:
        two.generate({"a": 9.0, "b": [7, 8]})
    assert len(warned) == 1
    assert run.generate({"half": "up", "ink": [0.2, 1.0, None]}, n=2).shape == (3, 2, 1, 8, 8)
    assert run.log_prob(x[:3], {"half": labels[:3]}, k=2).shape == (3,)  # the number is summed over
    with pytest.raises(Refused, match=r"ink must be given.*given=\{'ink'.*--given ink="):
        run.reconstruct(x[:3], {"half": labels[:3]})


def test_an_unknown_number_is_summed_over_its_support() -> None:
    x, _ = stripes(40)
    run = fit(x, {"ink": np.linspace(0, 1.5, 40)}, progress=False, **ONCE)
    field = run.schema.numbers[0]
    values, shares = field.support()
    each = np.stack([run.log_prob(x[:3], {"ink": float(value[0])}, k=4, seed=2) for value in values])
    exact = np.logaddexp.reduce(each + shares[:, None], axis=0)
    assert np.allclose(run.log_prob(x[:3], None, k=4, seed=2), exact, atol=1e-4)


def test_partly_labelled_data_train_by_the_same_call() -> None:
    x, labels = stripes()
    blank = [name if row % 3 else None for row, name in enumerate(labels)]
    run = fit(x, {"half": blank}, progress=False, **TINY)
    assert run.schema.labels[0].optional
    assert run.generate(None, n=2).shape == (2, 1, 8, 8)
    assert replace(run.learned).schema.width == 3


def test_a_model_of_holes_alone_is_not_called_a_plain_vae() -> None:
    x, _ = stripes(40)
    lines = Fitting(collect(x, None), settings_of(TINY, {"holes": "boxes"})).lines
    assert any("only what is seen of a picture can be given" in line for line in lines)
    assert not any("plain VAE" in line for line in lines)
    assert any("plain VAE" in line for line in Fitting(collect(x, None), settings_of(TINY)).lines)
