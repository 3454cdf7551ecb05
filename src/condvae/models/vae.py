"""The conditional variational autoencoder, p(x | c) = integral of p(x | z, c) p(z | c) dz.

Sources: Kingma & Welling, "Auto-Encoding Variational Bayes", 2013; Sohn, Lee, Yan, "Learning Structured Output
Representation using Deep Conditional Generative Models", 2015. A plain VAE is the same with a condition zero wide;
what tells one from another are the networks and heads handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.distributions import Distribution

from condvae.models.bound import Bounded
from condvae.trace import Condition, Draw, Looked, Settled, Shown, Trace, given_z, settle


@dataclass(frozen=True, slots=True)
class Encoded(Looked):
    """q(z | x, c) of B rows."""

    posterior: Distribution


class VAE(Bounded):
    """encoder(x, c) -> q(z | x, c); prior(c) -> p(z | c); decoder(z, c) -> p(x | z, c)."""

    def __init__(self, encoder: nn.Module, prior: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.prior = prior
        self.decoder = decoder

    def forward(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Trace:
        draw = draw or Draw()
        (latent,) = self.settle(c, x, z, draw).latents
        flat = latent.z.flatten(0, -2)  # [K, B, Z] -> [K * B, Z]
        pixels = self.decoder(flat, c.repeat(flat.shape[0] // max(1, c.rows)))
        return Trace((latent,), pixels, draw.k, c.hidden)

    def settle(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Settled:
        """The latent alone: nothing is decoded."""
        posterior = None if x is None else self.look(c, x).posterior
        return Settled((settle(self.prior(c), posterior, given_z(z, 0), draw or Draw(), level=0),))

    def look(self, c: Condition, x: Shown) -> Encoded:
        """The posterior, all that a pass reads of x."""
        return x if isinstance(x, Encoded) else Encoded(self.encoder(x, c))

    def with_prior(self, prior: nn.Module) -> VAE:
        """The same networks under another prior head; no weight is copied."""
        other = VAE(self.encoder, prior, self.decoder)
        other.objective = self.objective
        return other
