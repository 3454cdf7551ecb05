"""What stops a training: a term that is not finite, or one that lies at its floor for long."""

from __future__ import annotations

import math

from torch import Tensor

from condvae.models.base import Model, Terms
from condvae.settings import Settings


class Diverged(RuntimeError):
    """A term of the loss became NaN or infinite; names epoch, batch and term."""


class Watch:
    """Stops a training in which a term lies at its floor for long, as a critic's does that wins outright.

    Of each term that the model names the running mean is kept; where it falls below the floor, the weights of that
    moment are the last good ones, and are put back if it stays there for PATIENCE steps.
    """

    PATIENCE = 400
    DECAY = 0.98

    def __init__(self, model: Model, averaged: Model | None) -> None:
        self.models = [model] if averaged is None else [model, averaged]
        self.floors = model.floors
        self.means: dict[str, float] = {}
        self.since: dict[str, int] = {}
        self.good: list[dict[str, Tensor]] = []

    def __call__(self, terms: Terms) -> str | None:
        """The name of a term that has been at its floor for too long, the last good weights being back in place."""
        for name in self.floors:
            if name not in terms:
                continue
            value = float(terms[name].detach())
            self.means[name] = mean = self.DECAY * self.means.get(name, value) + (1 - self.DECAY) * value
            if mean >= self.floors[name]:
                self.since.pop(name, None)
            elif name not in self.since:
                self.since[name] = 1
                self.good = [{key: weight.clone() for key, weight in one.state_dict().items()} for one in self.models]
            else:
                self.since[name] += 1
            if self.since.get(name, 0) > self.PATIENCE:
                for one, weights in zip(self.models, self.good, strict=True):
                    one.load_state_dict(weights)
                return name
        return None


def lost(name: str, epoch: int, batch: int, settings: Settings) -> Diverged:
    """What is said where a term stays at its floor."""
    return Diverged(
        f"training stopped at epoch {epoch}, batch {batch}: the term {name!r} has been at its floor for "
        f"{Watch.PATIENCE} steps, so that one player wins outright and the other learns nothing from it; "
        f"the weights from before are kept; try a smaller critic_rate than {settings.critic_rate:g}, or a "
        f"smaller adversarial than {settings.adversarial:g}"
    )


def check_finite(loss: Tensor, terms: Terms, epoch: int, batch: int, settings: Settings) -> None:
    """Stop before a NaN reaches the weights, naming the term."""
    if math.isfinite(float(loss.detach())):
        return
    bad = [name for name, term in terms.items() if not math.isfinite(float(term.detach()))]
    value = float(terms[bad[0]].detach()) if bad else float(loss.detach())
    raise Diverged(
        f"training stopped at epoch {epoch}, batch {batch}: the term '{bad[0] if bad else 'sum'}' became {value}; the "
        f"weights from before this batch are kept; try a smaller learning rate than {settings.lr:g}, or clip=1"
    )
