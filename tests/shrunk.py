"""Every model of the house, shrunk in size: what the laws are tested on."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from condvae.conditions import Label, Number, Picture, Schema
from condvae.feature_files import FeatureCard, save_features
from condvae.features import FeatureNet
from condvae.holes import seen_masks
from condvae.models.base import Model
from condvae.models.build import build
from condvae.noise import RowNoise
from condvae.recipes import recipes
from condvae.rungs import shrinking
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
    "glimpses": 3,
    "maps": 2,
    "lstm": 16,
    "read": 2,
    "write": 3,
    "density_components": 4,
}
SHAPE = (1, 8, 8)
FOLDER = TemporaryDirectory()  # of random features, gone when the tests are done
FEATURES = str(Path(FOLDER.name) / "features")
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(5)
    save_features(Path(FEATURES), FeatureNet(1, tuple(FeatureNet.plan)), FeatureCard(task="label", of="sign"))

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
    "perceptual": {"likelihood": "perceptual", "perceptual": FEATURES},
    "m2": {"likelihood": "gaussian", "infer": "sign", "warm_up": 0.5},
    "m2-dense": {"likelihood": "bernoulli", "infer": "sign", "network": "mlp", "class_prior": "learned"},
    "m2-auxiliary": {"likelihood": "bernoulli", "infer": "sign", "network": "mlp", "auxiliary": 2},
    "m2-consistent": {"likelihood": "bernoulli", "infer": "sign", "network": "mlp"},
    "m2-learned-prior": {"likelihood": "gaussian", "infer": "sign", "auxiliary": 3, "prior": "learned"},
    "m2-perceptual": {"likelihood": "perceptual", "perceptual": FEATURES, "infer": "sign", "layers": ("conv2",)},
    "m1-m2": {"likelihood": "gaussian", "infer": "sign", "features_first": 0.5, "warm_up": 0.5},
    "holes": {"likelihood": "gaussian", "holes": "any", "drop": 0.3, "prior": "learned"},
    "gan": {"likelihood": "gaussian", "adversarial": 1.0, "critic_width": 4},
    "gan-binary": {"likelihood": "bernoulli", "adversarial": 0.5, "matching": 0.0, "network": "mlp"},
    "draw": {"likelihood": "bernoulli", "network": "draw", "warm_up": 0.5},
    "autoregressive-deep": {"likelihood": "autoregressive", "binarise": "dynamic", "context": 3},
    "logistic-mixture": {"likelihood": "logistic-mixture", "logistics": 3},
    "ladder": {"likelihood": "bernoulli", "network": "ladder", "levels": (1, 2, 1), "warm_up": 0.5},
    "ladder-vectors": {"likelihood": "gaussian", "network": "ladder", "levels": (3,), "free_bits": 0.01},
    "ladder-mixture": {"likelihood": "logistic-mixture", "network": "ladder", "levels": (1, 1), "prior": "mixture"},
    "ladder-holes": {"likelihood": "bernoulli", "network": "ladder", "levels": (1, 1), "holes": "any"},
    "ladder-painting": {"likelihood": "autoregressive", "binarise": "dynamic", "network": "ladder", "context": 2},
    "draw-plain": {"likelihood": "gaussian", "network": "draw", "attention": False, "prior": "learned"},
    "draw-holes": {"likelihood": "bernoulli", "network": "draw", "holes": "any", "prior": "learned"},
    "holes-dense": {"likelihood": "bernoulli", "holes": "boxes", "network": "mlp", "prior": "learned"},
}
OPTIONS["ladder-painting"] |= {"levels": (1, 1)}
OPTIONS["m2-consistent"] |= {"classifier": "residual", "consistency": 1.0, "information": 0.5, "mixup": 0.5}
OPTIONS["m2-consistent"] |= {"teacher": 0.9, "guide": 0.5}


def cases() -> dict[str, Settings]:
    """Name -> shrunk settings: each recipe's variants, then the options that no recipe uses."""
    found: dict[str, Settings] = {}
    for recipe in recipes():
        for variant in recipe.variants:
            if variant.startswith("choice") or variant in recipe.features:  # what they are stands among the options
                continue
            whole = recipe.settings_for(variant)
            small = {name: value for name, value in SMALL.items() if name != "z" or whole.get("z", 9) > 3}
            if "levels" in whole:  # a small picture has fewer sizes
                small["levels"] = whole["levels"][: len(shrinking(*SHAPE[1:]))]
            if whole.get("likelihood", "auto") == "auto":
                small["likelihood"] = "bernoulli"
            if whole.get("infer") is not None:
                small |= {"infer": "sign", "labels": None}
            case = settings_of(whole, small)
            if case not in found.values():  # many variants differ in nothing but size
                found[f"{recipe.name}/{variant}"] = case
    for name, option in OPTIONS.items():
        found[name] = settings_of(SMALL, option)
    return found


EVERY = cases()  # what the laws hold for
CASES = {name: case for name, case in EVERY.items() if not case.features_first}  # those of one code


def schema(optional: bool = True, holes: bool = False, inferred: bool = False) -> Schema:
    """One label of three values and one number; `optional` = training saw blanks; holes: and a partial picture;
    inferred: the label is, so that it has no blank input."""
    names = ["a", "b", "c"] * 10 + [None] * (3 if optional else 0)
    values = np.linspace(-2, 5, 33)[:, None]
    values[30:] = np.nan if optional else values[30:]
    sign = Label("sign", ("a", "b", "c"), (0.5, 0.25, 0.25)) if inferred else Label.learn("sign", names)
    fields = [sign, Number.learn("size", values)]
    return Schema((*fields, Picture("picture", SHAPE)) if holes else tuple(fields))


def schema_of(settings: Settings, optional: bool = True) -> Schema:
    """The schema of a shrunk model with these settings."""
    return schema(optional, settings.holes != "none", settings.infer is not None)


def model_of(settings: Settings, optional: bool = True, shape: tuple[int, int, int] = SHAPE) -> Model:
    """The model with every weight that starts at zero moved off it, so that no law holds by accident."""
    model: Model = build(settings, schema_of(settings, optional), shape)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def columns_of(model_schema: Schema, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Labels and numbers for pictures x [N, C, H, W], every fourth unknown where that is allowed; part of x is seen."""
    rows = np.arange(len(x))
    index, size = rows % 3, np.linspace(-2, 5, len(rows))[:, None]
    if model_schema.fields[1].optional:
        index, size = np.where(rows % 4 == 3, -1, index), np.where(rows[:, None] % 4 == 2, np.nan, size)
    columns = {"sign": index, "size": size}
    if model_schema.picture is not None:
        seen = seen_masks("boxes", len(x), x.shape[2], x.shape[3], RowNoise(5, rows)).float()
        columns["picture"] = torch.cat([x * seen, seen], 1).numpy()
    return columns


def batch_of(
    model_schema: Schema, rows: int = 12, shape: tuple[int, int, int] = SHAPE
) -> tuple[torch.Tensor, Condition]:
    """Random binary pictures and what is asked of them."""
    generator = torch.Generator().manual_seed(2)
    x = (torch.rand(rows, *shape, generator=generator) < 0.4).float()
    return x, model_schema.encode(columns_of(model_schema, x), rows)
