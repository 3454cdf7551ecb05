"""The recipes by name. A new one is a file here and one word in this table."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from condvae.errors import Refused, suggest

if TYPE_CHECKING:
    from condvae.recipes.base import Recipe

NAMES = {
    "zhang-cai": "zhang_cai",
    "kristiadi": "kristiadi",
    "sabour": "sabour",
    "best-mnist": "best_mnist",
    "mnist-cvae": "zoo",
    "fashion-cvae": "zoo",
    "faces-drawn": "zoo",
    "quadrants": "quadrants",
    "chen-fang-ju/completion": "completion",
    "chen-fang-ju/vae": "sharper",
    "chen-fang-ju/cvae": "sharper",
    "chen-fang-ju/deep-features": "sharper",
    "chen-fang-ju/vae-gan": "sharper",
    "chen-fang-ju/cvae-gan": "sharper",
    "chen-fang-ju/draw": "draw",
    "chen-fang-ju/conditional-draw": "draw",
    "gregor-draw": "draw",
    "ladder-mnist": "ladder",
    "ladder-cifar": "ladder",
    "guidance": "guidance",
    "kingma-m2": "few_labels",
    "chen-fang-ju/few-labels": "few_labels",
    "best-few-labels": "few_labels",
    "few-labels-choices": "few_labels",
    "faces": "faces",
    "models": "models",
}


def recipe(name: str) -> Recipe:
    """The recipe of that name; Refused, with what there is, where there is none."""
    if name not in NAMES:
        raise Refused(f"recipe is one of {', '.join(NAMES)}; got {name!r}{suggest(name, NAMES)}")
    module = import_module(f"condvae.recipes.{NAMES[name]}")
    return next(found for found in module.RECIPES if found.name == name)


def recipes() -> list[Recipe]:
    """All recipes, in the table's order."""
    return [recipe(name) for name in NAMES]
