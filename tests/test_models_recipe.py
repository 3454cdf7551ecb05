"""The recipe that sets every model of the house beside the others: one protocol, what is counted, what is measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from shrunk import FEATURES

from condvae import fit
from condvae.data import collect
from condvae.fitting import Fitting
from condvae.judges import Judge, JudgeCard
from condvae.recipes import models, recipe
from condvae.recipes.base import Outcome
from condvae.settings import settings_of
from condvae.tasks import importance

TINY: dict[str, Any] = {"hidden": (8,), "width": 4, "blocks": 0, "features": 8, "z": 2, "batch": 16, "hold_out": 0}
TINY |= {"glimpses": 2, "lstm": 8, "read": 2, "write": 2, "critic_width": 4, "density_components": 2, "epochs": 1}
ROWS = 40


def outcome_of(variant: str) -> Outcome:
    """That variant, tiny, hardly trained on strokes, and a judge that knows nothing."""
    x = np.zeros((ROWS, 1, 8, 8), np.float32)
    x[: ROWS // 2, :, 2:6, 3], x[ROWS // 2 :, :, 3, 2:6] = 0.9, 0.9
    labels = {"digit": ["1"] * (ROWS // 2) + ["2"] * (ROWS // 2)}
    made = recipe("models")
    settings = {**made.settings_for(variant), **TINY}
    if variant in made.features:
        settings["perceptual"] = FEATURES
    run = fit(x, None if variant in made.unconditional else labels, progress=False, **settings)
    collection = replace(collect(x, labels, x, labels), name="strokes")
    judge = Judge(JudgeCard("strokes", ("1", "2"), (1, 8, 8)))
    return Outcome(run.learned, run.history, collection, lambda: judge, variant=variant, cpu_minutes=0.5)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "HELD", 0)
    monkeypatch.setattr(models, "WEIGHED", 10)
    monkeypatch.setattr(models, "ROUNDS", 1)


@pytest.mark.parametrize("variant", ["dense", "m1-m2", "draw"])
def test_bound_and_likelihood_are_those_of_the_test_images(variant: str) -> None:
    outcome = outcome_of(variant)
    values, lines = models.measure(outcome)
    assert ("fitted" in values) == (variant != "draw")  # no density is fitted to latents that depend on one another
    part = outcome.collection.test
    assert part is not None
    for prior in ("model", "fitted") if "fitted" in values else ("model",):
        found = values[prior]
        assert found["prior"] == prior and found["images"] == ROWS and found["nll_images"] == 10
        many = importance(outcome.learned, part.x, {"digit": list(part.labels["digit"])}, k=100, prior=prior)
        assert found["minus_elbo"] == pytest.approx(-many.elbo.mean(), rel=0.1)
        assert found["nll"] == pytest.approx(-many.log_prob.mean(), rel=0.2) and 1 <= found["effective_samples"] <= 100
        assert found["draws"] == ROWS and 0 <= found["obedience"] <= 1 and found["frechet"] > 0
    assert {line.what for line in lines} >= {"-ELBO, nats, the model's own prior", "-log p, K = 100, nats, " + OWN}
    assert all(line.published is None and line.met is None for line in lines)
    assert values["images_a_second_trained"] == ROWS / 30 and values["images_a_second_drawn"] > 0


OWN = "the model's own prior"


def test_what_a_run_stores_is_counted_and_a_critic_is_not() -> None:
    dense = models.measure(outcome_of("dense"))[0]
    units, labels, pixels = 8, 2, 64
    encoder = (pixels + labels + 1) * units + (units + 1) * 2 * 2  # to means and deviations of two latents
    assert dense["parameters"] == encoder + (2 + labels + 1) * units + (units + 1) * pixels
    assert dense["density_parameters"] > 0
    gan, mixture = (models.sizes(outcome_of(name).learned)["parameters"] for name in ("gan", "mixture-prior"))
    assert gan == mixture


def test_what_a_model_lacks_is_left_out() -> None:
    plain, _ = models.measure(outcome_of("vae"))
    assert "obedience" not in plain["model"] and plain["model"]["frechet"] > 0 and "nll" in plain["fitted"]
    deep, lines = models.measure(outcome_of("deep-features"))
    assert "minus_elbo" not in deep["model"] and "nll" not in deep["fitted"] and deep["model"]["kl"] > 0
    assert not any("nats" in line.what for line in lines)


def test_who_reads_the_label_itself_says_how_often_it_errs() -> None:
    assert 0 <= models.measure(outcome_of("m2"))[0]["model"]["misread"] <= 1


def test_all_variants_have_one_protocol() -> None:
    made = recipe("models")
    x = np.random.default_rng(0).random((1024, 1, 28, 28), np.float32)
    for variant in made.variants:
        deep = {"perceptual": FEATURES} if variant in made.features else {}
        settings = settings_of(made.settings_for(variant), deep)
        assert settings.binarise == ("grey" if deep else "dynamic")
        assert (settings.hold_out, settings.precision, settings.labels) == (1000, "32", None)
        labels = None if variant in made.unconditional else {"digit": ["1", "2"] * 512}
        fitting = Fitting(collect(x, labels), settings)
        assert len(fitting.kept) == 24 and fitting.settings.likelihood in ("bernoulli", "autoregressive", "perceptual")
    assert made.unconditional | made.features <= set(made.variants)
