"""Every model of the house, shrunk in size: what the laws are tested on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from condvae.conditions import Label, Schema
from condvae.models.build import build
from condvae.models.vae import VAE
from condvae.recipes import recipes
from condvae.settings import Settings, settings_of
from condvae.trace import Condition

SMALL: dict[str, Any] = {
    "hidden": (24, 16),
    "width": 6,
    "features": 24,
    "z": 3,
    "batch": 16,
    "epochs": 2,
    "hold_out": 0,
}
SHAPE = (1, 8, 8)

OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {"likelihood": "bernoulli"},
    "gaussian": {"likelihood": "gaussian"},
    "learned-sigma": {"likelihood": "gaussian", "sigma": "learned"},
    "fixed-sigma": {"likelihood": "gaussian", "sigma": 0.2},
    "logistic": {"likelihood": "logistic"},
    "learned-prior": {"likelihood": "bernoulli", "prior": "learned"},
    "mixture-prior": {"likelihood": "bernoulli", "prior": "mixture", "components": 4},
    "autoregressive": {"likelihood": "autoregressive", "binarise": "dynamic", "normalise": "none"},
    "importance": {"likelihood": "bernoulli", "samples": 3, "importance": True},
    "free-bits": {"likelihood": "bernoulli", "free_bits": 0.1, "warm_up": 0.5},
    "silu-deep": {"likelihood": "bernoulli", "activation": "silu", "blocks": 2},
}


def cases() -> dict[str, Settings]:
    """Name -> shrunk settings: each recipe's variants, then the options that no recipe uses."""
    found: dict[str, Settings] = {}
    for recipe in recipes():
        for variant in recipe.variants:
            if variant.startswith("choice"):  # what they leave out stands among the options
                continue
            whole = recipe.settings_for(variant)
            small = {name: value for name, value in SMALL.items() if name != "z" or whole.get("z", 9) > 3}
            if whole.get("likelihood", "auto") == "auto":
                small["likelihood"] = "bernoulli"
            found[f"{recipe.name}/{variant}"] = settings_of(whole, small)
    for name, option in OPTIONS.items():
        found[name] = settings_of(SMALL, option)
    return found


CASES = cases()


def schema(optional: bool = True) -> Schema:
    """One label of three values; `optional` = training saw blanks."""
    names = ["a", "b", "c"] * 10 + [None] * (3 if optional else 0)
    return Schema((Label.learn("sign", names),))


def model_of(settings: Settings, optional: bool = True, shape: tuple[int, int, int] = SHAPE) -> VAE:
    """The model with every weight that starts at zero moved off it, so that no law holds by accident."""
    model = build(settings, schema(optional), shape)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def batch_of(
    model_schema: Schema, rows: int = 12, shape: tuple[int, int, int] = SHAPE
) -> tuple[torch.Tensor, Condition]:
    """Random binary pictures and labels, every fourth unknown where that is allowed."""
    generator = torch.Generator().manual_seed(2)
    x = (torch.rand(rows, *shape, generator=generator) < 0.4).float()
    index = np.arange(rows) % 3
    if model_schema.fields[0].optional:
        index = np.where(np.arange(rows) % 4 == 3, -1, index)
    return x, model_schema.encode({"sign": index}, rows)
