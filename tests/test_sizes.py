"""Any image size, and every kind of field at once, in one request."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from condvae import fit

SMALL: dict[str, Any] = {"width": 4, "blocks": 1, "features": 16, "z": 3, "epochs": 1, "batch": 16, "progress": False}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 112, 92), (1, 128, 128), (3, 37, 53)])
@pytest.mark.parametrize("network", ["conv", "mlp"])
def test_any_size_is_learned_asked_and_filled(shape: tuple[int, int, int], network: str) -> None:
    x = np.random.default_rng(0).random((24, *shape), np.float32)
    hidden: dict[str, Any] = {"hidden": (16,), "network": network}
    run = fit(x, {"sign": ["a", "b"] * 12}, holes="any", drop=0.1, hold_out=0, **SMALL, **hidden)
    assert run.generate({"sign": "a"}, n=2).shape == (2, *shape)
    seen = np.zeros((2, 1, *shape[1:]), bool)
    seen[:, :, : shape[1] // 2] = True
    filled = run.fill(x[:2], seen, n=2)
    assert filled.shape == (2, 2, *shape)
    assert np.array_equal(np.where(seen[:, None], filled, 0), np.where(seen, x[:2], 0)[:, None].repeat(2, 1))


def test_label_number_attribute_and_half_a_picture_in_one_request() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((60, 1, 8, 8), np.float32)
    given = {"digit": ["5", "6", None] * 20, "slant": rng.normal(size=60), "bold": [True, False, None] * 20}
    run = fit(x, given, holes="any", hold_out=0, **SMALL)
    assert [field.kind for field in run.schema.fields] == ["label", "attribute", "number", "picture"]
    half = np.zeros((8, 8), bool)
    half[:, :4] = True
    asked = {"digit": 6, "slant": 0.3, "bold": "yes", "picture": (x[0], half)}
    drawn = run.generate(asked, n=3, seed=1)
    assert drawn.shape == (3, 1, 8, 8) and (drawn[..., :4] == x[0, :, :, :4]).all()
    assert not np.array_equal(drawn, run.generate({**asked, "slant": -0.3}, n=3, seed=1))
    assert not np.array_equal(drawn, run.generate({**asked, "bold": None}, n=3, seed=1))
    assert (run.generate({"slant": 0.3}, n=3, seed=1)[..., :4] != x[0, :, :, :4]).any()  # a missing key: don't care
