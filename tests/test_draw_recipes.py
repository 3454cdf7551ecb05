"""The recipes of DRAW: what is measured, which goals stand beside it, what they resolve to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from condvae import fit
from condvae.data import collect
from condvae.fitting import Fitting
from condvae.models.draw import DRAW
from condvae.recipes import draw, recipe
from condvae.recipes.base import Outcome
from condvae.settings import settings_of

NAMES = ("gregor-draw", "chen-fang-ju/draw", "chen-fang-ju/conditional-draw")
TINY: dict[str, Any] = {"network": "draw", "glimpses": 2, "lstm": 8, "z": 2, "read": 2, "write": 2, "hold_out": 0}


def outcome_of(conditional: bool, variant: str) -> Outcome:
    """A model of strokes that was hardly trained."""
    x = np.zeros((40, 1, 8, 8), np.float32)
    x[:20, :, 2:6, 3], x[20:, :, 3, 2:6] = 0.9, 0.9
    labels = {"digit": ["1"] * 20 + ["2"] * 20}
    settings: dict[str, Any] = {**TINY, "likelihood": "bernoulli", "binarise": "dynamic"}
    run = fit(x, labels if conditional else None, epochs=1, progress=False, **settings)
    collection = replace(collect(x, labels, x, labels), name="strokes")
    return Outcome(run.learned, run.history, collection, lambda: None, variant=variant)  # type: ignore


@pytest.mark.parametrize(("variant", "conditional"), [("t64", False), ("t10-conditional", True)])
def test_the_bound_stands_beside_its_goal(variant: str, conditional: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = outcome_of(conditional, variant)
    found: dict[str, Any] = {"frechet": 3.0, "sharpness": 0.9} | ({"obedience": 0.985} if conditional else {})
    monkeypatch.setattr(draw, "proof", lambda outcome, prior: {"prior": prior, **found})
    values, lines = draw.measure(outcome)
    assert values["images"] == 40 and values["proof_model"]["prior"] == "model"
    part = outcome.collection.test
    assert part is not None
    given = {"digit": part.labels["digit"]} if conditional else None
    few = draw.importance(outcome.learned, part.x, given, k=50)
    assert values["minus_elbo"] == pytest.approx(-float(few.elbo.mean()), rel=0.05)
    assert lines[0].obtained == values["minus_elbo"] and lines[0].published == (None if conditional else 80.97)
    assert ("static" in lines[0].what) == (not conditional)
    monkeypatch.setitem(draw.GOALS, variant, values["minus_elbo"] - 0.1)
    assert draw.measure(outcome)[1][0].met is False
    met = {line.what: line.met for line in lines[1:]}
    assert [word for word in met.values() if word is not None] == ([False] if conditional else [])
    plain, lines = draw.measure_slides(outcome)
    assert plain == values and all(line.published is None and line.met is None for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_they_resolve(name: str) -> None:
    made = recipe(name)
    for variant in made.variants:
        colour = variant == "svhn"
        x = np.random.default_rng(0).random((24, *((3, 32, 32) if colour else (1, 28, 28))), np.float32)
        free = variant in made.unconditional
        assert free == (name == "chen-fang-ju/draw" or variant in ("t10", "t64"))
        settings = settings_of(made.settings_for(variant), {"hold_out": 4})
        fitting = Fitting(collect(x, None if free else {"digit": ["1", "2"] * 12}), settings)
        model, s = fitting.training.model, fitting.settings
        assert isinstance(model, DRAW) and model.steps == (16 if colour else 64 if "t64" in variant else 10)
        assert (s.z, s.lstm, s.read, s.write) == ((100, 256, 8, 8) if colour else (100, 256, 2, 5))
        assert s.attention == (variant != "choice-no-attention")
        assert (s.likelihood, s.binarise) == (("gaussian", "grey") if colour else ("bernoulli", "dynamic"))
        choices = {one for one in made.variants if one.startswith("choice")}
        assert variant not in draw.GOALS or set(made.variants) == set(draw.GOALS) | choices


def test_choices_are_read_on_held_out_training_images_alone() -> None:
    outcome = outcome_of(True, "choice-all")
    history = [{"epoch": 1, "validation": {"loss": 7.5, "rate": 2.5}}]
    values, lines = draw.measure(replace(outcome, history=history, collection=replace(outcome.collection, test=None)))
    assert values == {"held_out_minus_elbo": 7.5, "held_out_kl": 2.5}
    assert [line.obtained for line in lines] == [7.5, 2.5]
