"""Models that learn by the bound on the likelihood of what they draw, whatever their latents: it is read off the Trace.

Sources: Kingma & Welling, "Auto-Encoding Variational Bayes", 2013; Burda, Grosse, Salakhutdinov, "Importance Weighted
Autoencoders", 2016.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from condvae.models.base import Model, Terms
from condvae.objectives import distortion, free_bits, importance_bound, log_weights, rate, warm_up
from condvae.trace import Batch, Draw, Trace


class Bounded(Model):
    """A model whose loss is the negative bound of its objective over one pass, with all that the pass settles."""

    def loss(self, batch: Batch, progress: float, draw: Draw) -> tuple[Terms, Terms]:
        terms, notes, _ = self.bound(batch, progress, draw)
        return terms, notes

    def bound(self, batch: Batch, progress: float, draw: Draw) -> tuple[Terms, Terms, Trace]:
        """The loss's terms and notes, and the pass that they were read from."""
        goal = self.objective
        head: Any = self.head
        if self.training and hasattr(head, "begin"):
            head.begin(progress)
        # the importance-weighted bound lets latents sleep that the rising weight of the KL wakes: it comes afterwards
        ready = warm_up(progress, goal.warm_up) >= 1
        samples = goal.samples if ready or not goal.importance else 1
        trace = self(batch.c, batch.x, draw=Draw(draw.noise, draw.temperature, samples))
        if self.training and hasattr(head, "observe"):
            head.observe(trace.x, batch.x, trace.scored)
        if goal.importance and ready:
            bound = mean(importance_bound(log_weights(trace, batch.x)), batch.weight)
            return {"bound": -bound}, {"elbo": bound.detach()}, trace
        error, divergence = distortion(trace, batch.x).mean(0), rate(trace).mean(0)
        reconstruction, charged = mean(error, batch.weight), mean(divergence, batch.weight)
        notes = {"elbo": -(reconstruction + charged).detach(), "kl": charged.detach()}
        if goal.free_bits:
            charged = free_bits(trace, goal.free_bits)
        beta = goal.weight(progress)
        terms = {"reconstruction": reconstruction, "rate": charged if beta == 1 else charged * beta}
        return terms, notes, trace


def mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over the rows, weighted where rows were over-sampled."""
    return values.mean() if weight is None else (values * weight).mean()
