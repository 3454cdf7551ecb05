"""Curves of a training: the loss and its terms over the epochs and, where a label is inferred, how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL.Image import Image

from condvae import plots

__all__ = ["learning_curves"]

PARTS = ("train", "validation", "test")
TERMS = ("loss", "reconstruction", "rate", "bound")
# Of a model that infers a label: its loss has terms that no held-out row has, so what is set beside is the
# bound without what the label costs there.
BOUND, MISREAD = "-ELBO given the label", "labels read wrongly"
INFERRING = (BOUND, "reconstruction", "rate", MISREAD, "classifier", "guide", "consistency", "information", "mixup")


def learning_curves(history: Sequence[Mapping[str, Any]], unit: str = "nats per image") -> Image:
    """Curves of training, validation and, where it was watched, test rows, from the rows of history.jsonl."""
    inferring = any("classifier" in row.get("train", {}) for row in history)
    rows = [beside(row) for row in history] if inferring else history
    terms = INFERRING if inferring else TERMS
    keys = [f"{part}.{term}" for term in terms for part in PARTS if any(term in row.get(part, {}) for row in rows)]
    return plots.curves(rows, keys, unit={MISREAD: "per cent", "": unit})


def beside(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of history with what may be compared under the same names: the bound's loss, and the errors of reading."""
    found: dict[str, Any] = dict(row)
    for part in PARTS:
        terms = row.get(part)
        if terms is None:
            continue
        lost = -terms["elbo"] - terms.get("label", 0.0) if part == "train" else terms["loss"]
        found[part] = {**terms, BOUND: lost} | ({MISREAD: 100 * terms["error"]} if "error" in terms else {})
    return found
