"""The remedies for blur side by side: goals beside the CVAE, rows of labels, who minds the flaw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from condvae import fit
from condvae.data import collect
from condvae.recipes import recipe, sharper
from condvae.recipes.base import Outcome
from condvae.recipes.pixel_argument import apart, argued, argument_picture, rankings_of, real

NAMES = ("vae", "cvae", "deep-features", "vae-gan", "cvae-gan")


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """A CVAE-GAN of strokes that was hardly trained, with its critic."""
    x = np.zeros((40, 1, 28, 28), np.float32)
    x[:20, :, 6:22, 12:15] = 0.9
    x[20:, :, 12:15, 6:22] = 0.9
    labels = {"digit": ["1"] * 20 + ["2"] * 20}
    tiny = {"width": 4, "blocks": 0, "features": 8, "z": 2, "batch": 8, "critic_width": 4, "density": "none"}
    run = fit(x, labels, epochs=1, likelihood="gaussian", adversarial=1.0, hold_out=0, progress=False, **tiny)
    collection = replace(collect(x, labels, x, labels), name="strokes")
    return Outcome(run.learned, run.history, collection, lambda: None, variant="mnist", settings=run.settings)  # type: ignore


def proof(frechet: float, obedience: float, sharpness: float = 1.0) -> dict[str, Any]:
    return {"frechet": frechet, "obedience": obedience, "sharpness": sharpness, "precision": 0.5, "recall": 0.5}


def test_the_goals_stand_beside_the_cvae_of_the_same_data(outcome: Outcome, tmp_path: Path, monkeypatch: Any) -> None:
    plain = {"fitted": proof(2.0, 0.95), "model": proof(4.0, 0.5)}
    (tmp_path / "chen-fang-ju").mkdir()
    path = tmp_path / "chen-fang-ju" / "cvae.json"
    path.write_text(json.dumps({"runs": [{"variant": "svhn", "seed": 0, "values": plain}]}))
    found = {"fitted": proof(0.9, 0.946, 0.85), "model": proof(3.0, 0.6)}
    monkeypatch.setattr(sharper, "proof", lambda outcome, prior: dict(found[prior]))
    values, lines = sharper.measure_gan(replace(outcome, variant="svhn", results=tmp_path))
    met = {line.what: line.met for line in lines if line.met is not None}
    assert met == {
        "sharpness": False,  # 15 % off
        "obedience": True,
        "Frechet distance as a share of the CVAE's, fitted density": True,
        "obedience beyond the CVAE's": True,
    }
    assert values["frechet_share_of_cvae_fitted"] == pytest.approx(0.45)
    assert values["frechet_share_of_cvae_model"] == pytest.approx(0.75)
    found["fitted"]["obedience"] = 0.944  # more than half a point below
    _, lines = sharper.measure_gan(replace(outcome, variant="svhn", results=tmp_path))
    assert {line.what: line.met for line in lines}["obedience beyond the CVAE's"] is False


@pytest.mark.parametrize("name", NAMES)
def test_all_models_of_a_data_set_have_the_same_networks_and_seed(name: str) -> None:
    made = recipe(f"chen-fang-ju/{name}")
    for variant in made.variants:
        data, settings = sharper.data_of(variant), made.settings_for(variant)
        assert made.collections[variant] == sharper.DATA[data]
        assert (settings["width"], settings["blocks"], settings["z"]) == (24, 1, 32 if data == "mnist" else 64)
        assert (variant in made.unconditional) == (name in ("vae", "vae-gan") or variant.endswith("unconditional"))
    assert made.seeds == (0,)


def test_the_squared_error_is_a_gaussian_of_variance_one_half() -> None:
    from condvae.heads import Gaussian

    assert sharper.SQUARED["sigma"] ** 2 == pytest.approx(0.5)
    x, made = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    nats = -Gaussian(made, torch.tensor(sharper.SQUARED["sigma"]).log()).log_prob(x)
    rest = nats - (x - made).square().flatten(1).sum(1)
    assert torch.allclose(rest, rest[:1].expand(3), atol=1e-5)  # a constant


def test_rows_of_labels_and_of_nothing(outcome: Outcome) -> None:
    assert sharper.label_rows(outcome).size[1] < sharper.label_rows(outcome).size[0]
    x = np.random.default_rng(0).random((40, 1, 8, 8), np.float32)
    tiny = {"width": 4, "blocks": 0, "features": 8, "z": 2, "density": "none", "likelihood": "gaussian"}
    alone = fit(x, None, epochs=1, hold_out=0, progress=False, **tiny)
    assert sharper.label_rows(replace(outcome, learned=alone.learned)).size[0] > 0


def test_who_minds_the_flaw(outcome: Outcome, tmp_path: Path) -> None:
    from condvae import train_features

    train_features(outcome.collection, out=tmp_path / "features", epochs=1, progress=False)
    outcome = replace(outcome, features=lambda: str(tmp_path / "features"))
    found = argued(outcome)
    assert set(found) == {"squared error", "deep features", "critic"}
    assert found["squared error"]["share"] == 0 and found["squared error"]["digits"] == 40  # one against six
    assert argument_picture(outcome).size[0] > 300
    x = torch.from_numpy(np.random.default_rng(0).random((3, 1, 28, 28), np.float32))
    rankings = rankings_of(outcome)
    for ranking in rankings.values():
        assert torch.allclose(ranking(x, x), torch.zeros(3), atol=1e-6)  # nothing is changed
    assert rankings["deep features"](x, 1 - x).min() > 0


def test_the_critic_is_asked_about_the_label_that_suits_a_picture_best(outcome: Outcome) -> None:
    x = torch.rand(2, 1, 28, 28)

    class Fits(torch.nn.Module):
        def forward(self, x: torch.Tensor, c: Any) -> Any:
            return c.vector @ torch.tensor([[1.0], [3.0]]), []

    assert real(Fits(), x, outcome).tolist() == [3.0, 3.0]


def test_features_apart_are_what_a_perceptual_head_charges() -> None:
    from condvae.features import network_of
    from condvae.perceptual import Perceptual

    torch.manual_seed(0)
    network = network_of(("conv1", "conv2"), 1)
    x, made = torch.rand(2, 1, 12, 12), torch.rand(2, 1, 12, 12)
    charged = -Perceptual(torch.logit(made), network, 1.0).log_prob(x)
    assert torch.allclose(apart(network, x, made), charged, rtol=1e-3)
