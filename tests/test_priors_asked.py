"""The densities of a run: a mixture for one label, a joint one for several fields, a flow beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import condvae
from condvae import fit
from condvae.densities import LabelMixture
from condvae.errors import Refused
from condvae.joint import JointMixture
from condvae.noise import RowNoise
from condvae.trace import Draw

TINY: dict[str, Any] = {
    "network": "mlp",
    "hidden": (16,),
    "z": 3,
    "epochs": 2,
    "likelihood": "bernoulli",
    "batch": 16,
    "hold_out": 0,
}


def data(rows: int = 96) -> tuple[np.ndarray, list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    labels, size = ["ab"[row % 2] for row in range(rows)], rng.random(rows) + 0.5
    x = np.stack(
        [np.full((1, 6, 6), 0.2 + 0.5 * (name == "b")) * value / 1.5 for name, value in zip(labels, size, strict=True)]
    )
    return (x + 0.05 * rng.random(x.shape)).astype(np.float32).clip(0, 1), labels, size


def test_the_density_suits_the_schema() -> None:
    x, labels, size = data()
    assert isinstance(fit(x, {"sign": labels}, progress=False, **TINY).density, LabelMixture)
    assert isinstance(fit(x, None, progress=False, **TINY).density, LabelMixture)
    several = fit(x, {"sign": labels, "size": size}, progress=False, **TINY)
    assert isinstance(several.density, JointMixture)
    assert fit(x, {"sign": labels}, holes="boxes", progress=False, **TINY).density is None


def test_of_holes_the_density_draws_where_nothing_is_seen_and_the_prior_elsewhere() -> None:
    x, labels, _ = data()
    run = fit(x, {"sign": labels}, holes="any", drop=0.2, progress=False, **TINY)
    assert isinstance(run.density, LabelMixture)
    seen = np.zeros((2, 1, 6, 6), bool)
    seen[1, :, :3] = True
    mixed = run.learned.using()
    own: Any = run.model
    fitted = own.with_prior(run.density)
    c = run.schema.encode(run.schema.index({"sign": ["a", "b"], "picture": list(zip(x[:2], seen, strict=True))}, 2), 2)
    draw = Draw(RowNoise(0, np.arange(2)))
    z, z_own, z_fitted = (model(c, draw=draw).z[0] for model in (mixed, own, fitted))
    assert torch.equal(z[0], z_fitted[0]) and torch.equal(z[1], z_own[1])
    assert not torch.equal(z[1], z_fitted[1]) and not torch.equal(z[0], z_own[0])
    p, q, both = (model(c, z=(z,), draw=draw).latents[0].p.log_prob(z) for model in (own, fitted, mixed))
    assert torch.equal(both, torch.stack([q[0], p[1]]))
    assert np.isfinite(run.log_prob(x[:2], {"sign": labels[:2]}, k=3)).all()


@pytest.mark.parametrize("fields", ["label", "both", "holes"])
def test_a_flow_is_fitted_kept_and_drawn_from(tmp_path, fields: str) -> None:
    pytest.importorskip("zuko")
    x, labels, size = data()
    asked = {"sign": labels, "size": size} if fields == "both" else {"sign": labels}
    holes = "any" if fields == "holes" else "none"
    run = fit(x, asked, density="flow", holes=holes, progress=False, **TINY)
    run.save(tmp_path / "run")
    first = run.generate({"sign": "a"}, n=4, seed=2, prior="flow")
    again = condvae.load(tmp_path / "run")
    assert np.array_equal(again.generate({"sign": "a"}, n=4, seed=2, prior="flow"), first)
    assert np.array_equal(run.generate({"sign": "a"}, n=2, seed=2, prior="flow"), first[:2])
    assert not np.array_equal(run.generate({"sign": "a"}, n=4, seed=2, prior="model"), first)
    few = {name: values[:3] for name, values in asked.items()}
    assert np.isfinite(run.log_prob(x[:3], few, k=4, prior="flow")).all()


def test_a_flow_may_be_fitted_later(tmp_path) -> None:
    pytest.importorskip("zuko")
    x, labels, _ = data()
    fit(x, {"sign": labels}, progress=False, **TINY).save(tmp_path / "run")
    run = condvae.load(tmp_path / "run")
    with pytest.raises(Refused, match="no flow was fitted"):
        run.generate({"sign": "a"}, prior="flow")
    with pytest.raises(Refused, match="must be given"):
        run.fit_flow()
    run.fit_flow(x, {"sign": labels})
    drawn = run.generate({"sign": "a"}, n=2, prior="flow")
    assert np.array_equal(condvae.load(tmp_path / "run").generate({"sign": "a"}, n=2, prior="flow"), drawn)
