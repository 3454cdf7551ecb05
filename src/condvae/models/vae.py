"""The conditional variational autoencoder, p(x | c) = integral of p(x | z, c) p(z | c) dz.

Sources: Kingma & Welling, "Auto-Encoding Variational Bayes", 2013; Sohn, Lee, Yan, "Learning Structured Output
Representation using Deep Conditional Generative Models", 2015. A plain VAE is the same with a condition zero wide;
what tells one from another are the networks and heads handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from condvae.models.base import Model, Terms
from condvae.objectives import distortion, free_bits, importance_bound, log_weights, rate, warm_up
from condvae.trace import Batch, Condition, Draw, Trace, given_z, settle


class VAE(Model):
    """encoder(x, c) -> q(z | x, c); prior(c) -> p(z | c); decoder(z, c) -> p(x | z, c)."""

    def __init__(self, encoder: nn.Module, prior: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.prior = prior
        self.decoder = decoder

    def forward(
        self,
        c: Condition,
        x: Tensor | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Trace:
        draw = draw or Draw()
        posterior = self.encoder(x, c) if x is not None else None
        latent = settle(self.prior(c), posterior, given_z(z, 0), draw, level=0)
        flat = latent.z.flatten(0, -2)  # [K, B, Z] -> [K * B, Z]
        pixels = self.decoder(flat, c.repeat(flat.shape[0] // max(1, c.rows)))
        return Trace((latent,), pixels, draw.k, c.hidden)

    def with_prior(self, prior: nn.Module) -> VAE:
        """The same networks under another prior head; no weight is copied."""
        other = VAE(self.encoder, prior, self.decoder)
        other.objective = self.objective
        return other

    def loss(self, batch: Batch, progress: float, draw: Draw) -> tuple[Terms, Terms]:
        terms, notes, _ = self.bound(batch, progress, draw)
        return terms, notes

    def bound(self, batch: Batch, progress: float, draw: Draw) -> tuple[Terms, Terms, Trace]:
        """The loss's terms and notes, and the pass that they were read from."""
        goal = self.objective
        head: Any = getattr(self.decoder, "head", None)
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
