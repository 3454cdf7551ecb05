"""The lecture's argument on pixel errors, made with a trained critic: who minds one stray pixel more than six of the
stroke? Squared error does not; deep features and the critic are asked."""

from __future__ import annotations

from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from condvae.data import unit
from condvae.feature_files import load_features
from condvae.features import Features
from condvae.flaws import agreement, argument
from condvae.models.base import Model
from condvae.nets import evaluating
from condvae.recipes.base import Outcome
from condvae.trace import Condition

DIGITS = 1000  # test images that are counted
SHOWN = 4  # the one that is drawn


def rankings_of(outcome: Outcome) -> dict[str, Any]:
    """Name -> distance of changed pictures, by squared error, by deep features, and by the critic of the model.

    The critic's distance is how much less real it takes the changed picture to be,
    of the label asked for; it is given every label in turn, and the likeliest counts, for a ranking sees no label.
    """
    model: Any = outcome.learned.model
    assert isinstance(model, Model) and getattr(model, "critic", None) is not None and outcome.features is not None
    network, _ = load_features(outcome.features())
    return {
        "squared error": lambda x, changed: (changed - x).square().flatten(1).sum(1),
        "deep features": lambda x, changed: apart(network, x, changed),
        "critic": lambda x, changed: real(model.critic, x, outcome) - real(model.critic, changed, outcome),
    }


def apart(network: Features, x: Tensor, changed: Tensor) -> Tensor:
    """The difference of the features of pictures [N, C, H, W] as a perceptual head takes it, at weight 1: [N]."""
    with torch.inference_mode():
        pairs = zip(network(x), network(changed), strict=True)
        return torch.stack([0.5 * (one - other).square().flatten(1).mean(1) for one, other in pairs]).sum(0)


def real(critic: Any, x: Tensor, outcome: Outcome) -> Tensor:
    """How real the critic takes pictures to be under the label that suits them best, mean over the patches: [N]."""
    width = outcome.learned.schema.width
    asked = torch.eye(width) if width else torch.zeros(1, 0)
    with evaluating(critic):
        scores = [critic(x, Condition(one.expand(len(x), -1)))[0].mean(1) for one in asked]
        return torch.stack(scores).amax(0)


def argued(outcome: Outcome) -> dict[str, Any]:
    """Ranking -> share of test digits whose stray pixel it minds more than the longer stroke, as people do."""
    part = outcome.collection.test
    assert part is not None
    found = agreement(unit(part.x[slice(0, DIGITS)]), rankings_of(outcome))
    return {
        name: {"share": one.share, "low": one.low, "high": one.high, "digits": one.of} for name, one in found.items()
    }


def argument_picture(outcome: Outcome) -> Image:
    """One digit, with its flaw and its harmless change, and what each ranking says."""
    part = outcome.collection.test
    assert part is not None
    return argument(unit(part.x[slice(SHOWN, SHOWN + 1)])[0], rankings_of(outcome))
