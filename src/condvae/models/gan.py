"""VAE-GAN and CVAE-GAN: a VAE whose pictures a critic judges, too.

Sources: Larsen, Sonderby, Larochelle, Winther, "Autoencoding beyond pixels using a learned similarity metric", 2016;
Bao et al., "CVAE-GAN: Fine-Grained Image Generation through Asymmetric Training", 2017. As there, pictures are pulled
towards what the critic takes for real, both reconstructions and draws from the prior, and reconstructions towards the
features that the critic sees in the original. Unlike there, the likelihood of the pixels stays, so that the model keeps
its bound, and with it all that the house measures.

Each pull is taken as a gradient at the picture and scaled there by that of the likelihood (Esser, Rombach, Ommer,
"Taming Transformers for High-Resolution Image Synthesis", 2021, at the last layer): its weight is a ratio of
forces, which does not depend on the size or brightness of the pictures. No gradient of one player reaches the other's
weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.models.base import Model, Player, Terms
from condvae.models.vae import VAE, Encoded
from condvae.trace import Batch, Condition, Draw, Settled, Shown, Trace, settle

PRIOR_LEVEL = 31  # the level of noise of the draws from the prior that the critic sees
MOST = 1e4  # of a pull's scale, where a critic has no gradient at all


@dataclass(frozen=True, slots=True)
class Adversary:
    """Weights of what a critic asks, as ratios to the likelihood's own pull on a reconstruction.

    adversarial: to look real, of reconstructions and of draws from the prior; matching: to have the original's features
    in the critic; start: share of the training after which the critic joins; rate: its learning rate as a multiple of
    the other's.
    """

    adversarial: float = 1.0
    matching: float = 0.5
    start: float = 0.5
    rate: float = 1.0


class GAN(Model):
    """vae: the networks of the pictures; critic(x, c) -> (scores [B, P], feature maps), None after training."""

    helpers = ("critic.",)
    floors = MappingProxyType({"critic": 0.05})  # the hinge: 2 where the critic cannot tell, 0 where it always can

    def __init__(self, vae: VAE, critic: nn.Module | None, adversary: Adversary | None = None) -> None:
        super().__init__()
        self.vae = vae
        self.critic = critic
        self.adversary = adversary or Adversary()

    @property
    def prior(self) -> nn.Module:
        return self.vae.prior

    @property
    def decoder(self) -> nn.Module:
        return self.vae.decoder

    def with_prior(self, prior: nn.Module) -> GAN:
        """The same networks under another prior head; no weight is copied."""
        other = GAN(self.vae.with_prior(prior), self.critic, self.adversary)
        other.objective = self.objective
        return other

    def players(self) -> tuple[Player, ...]:
        if self.critic is None:
            return super().players()
        return (
            Player("vae", tuple(self.vae.parameters())),
            Player("critic", tuple(self.critic.parameters()), self.adversary.rate, (0.5, 0.99)),
        )

    def forward(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Trace:
        return self.vae(c, x, z, draw)

    def settle(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Settled:
        return self.vae.settle(c, x, z, draw)

    def look(self, c: Condition, x: Shown) -> Encoded:
        return self.vae.look(c, x)

    def loss(self, batch: Batch, progress: float, draw: Draw) -> tuple[Terms, Terms]:
        terms, notes, trace = self.vae.bound(batch, progress, draw)
        if self.critic is None or not torch.is_grad_enabled():  # without gradients there is nothing to pull
            return terms, notes
        goal = self.adversary
        if progress < goal.start:
            return terms, notes
        scale = force(terms["reconstruction"], trace.x)
        drawn = self.judged(batch.c, trace.latents[0].z.detach(), draw)
        seen = drawn.mean.detach().requires_grad_()
        scores, maps = self.critic(torch.cat([batch.x, seen]), batch.c.repeat(2))
        real, fake = scores.chunk(2)
        terms["critic"] = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        # a pull is as strong as asked however faint the critic's gradient: one that cannot tell must not be shouted up
        heed = (0.5 * (real.detach().mean() - fake.detach().mean())).clamp(0, 1)
        terms["adversarial"] = pull(-fake.mean(), seen, drawn, goal.adversarial * heed, scale)
        if goal.matching:
            again = trace.x.mean.detach().requires_grad_()  # type: ignore[attr-defined]
            _, mine = self.critic(again, batch.c)
            originals = [each[: len(again)].detach() for each in maps]
            terms["matching"] = pull(unlike(mine, originals), again, trace.x, goal.matching * heed, scale)
        return terms, notes | {"taken for real": fake.detach().mean(), "real": real.detach().mean()}

    def judged(self, c: Condition, z: Tensor, draw: Draw) -> Any:
        """Pictures for the critic, of these rows: half of them reconstructions from z, the others draws from the prior.

        z comes cut off from its encoder: what the critic asks of a picture is the decoder's business alone.
        """
        free = settle(self.vae.prior(c), None, None, Draw(draw.noise), PRIOR_LEVEL).z
        half = len(z) // 2
        return self.vae(c, z=(torch.cat([z[:half], free[half:]]),)).x


def unlike(mine: Sequence[Tensor], originals: Sequence[Tensor]) -> Tensor:
    """Half the mean squared distance of feature maps, summed over the stages."""
    pairs = zip(mine, originals, strict=True)
    return torch.stack([0.5 * (a.float() - b.float()).square().mean() for a, b in pairs]).sum()


def size_of(gradient: Tensor) -> Tensor:
    """Root mean square of a gradient."""
    return gradient.float().square().mean().sqrt()


def force(value: Tensor, pixels: Any) -> Tensor:
    """How strongly the likelihood's term pulls at what the decoder gave, root mean square over the entries."""
    (gradient,) = torch.autograd.grad(value, pixels.parameters, retain_graph=True)
    return size_of(gradient)


def pull(value: Tensor, leaf: Tensor, pixels: Any, weight: Tensor, scale: Tensor) -> Tensor:
    """A term whose gradient reaches the networks behind `pixels` alone, `weight` times as strong as `scale` there.

    value: what is to fall, a function of `leaf`, which holds the picture of `pixels` cut off from its network.
    """
    (gradient,) = torch.autograd.grad(value, leaf, retain_graph=True)
    picture = pixels.mean
    (felt,) = torch.autograd.grad(picture, pixels.parameters, gradient, retain_graph=True)
    factor = (weight * scale / size_of(felt).clamp_min(1e-12)).clamp_max(MOST)
    pulled = (picture * (gradient * factor)).sum()
    return pulled + (factor * value - pulled).detach()
