"""M1+M2: a VAE learns features of the pictures, then M2 learns on samples of them, with few labels.

p(x, y, z1, z2) = p(y) p(z2) p(z1 | y, z2) p(x | z1). First M1 alone: p(x | z1) and q(z1 | x), under N(0, I). Then these
stay as they are, and M2 learns p(z1 | y, z2), q(z2 | y, z1) and q(y | z1) on draws of z1.

Source: Kingma, Rezende, Mohamed, Welling, "Semi-supervised Learning with Deep Generative Models", 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from condvae.choice import Choice, ClassPrior, settled_label
from condvae.heads import LOG_SIGMA, Pixels
from condvae.models.base import Model, Terms
from condvae.models.bound import mean
from condvae.models.m2 import M2, copies, spread
from condvae.models.vae import VAE, Encoded
from condvae.nets import evaluating
from condvae.objectives import distortion
from condvae.trace import Batch, Condition, Draw, Latent, Shown, Trace, sample, settle


class Features(Normal):
    """p(z1 | y, z2): independent Normals, whose log_prob is that of all units together, [...] for z1 [..., Z].

    Not an `Independent`, for which `objectives.kl` would know a closed form: that one averages over z1 with z2 held,
    while z2 was drawn in view of this very z1. Without it the KL is taken at the sample, and the bound is the ELBO.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value).sum(-1)


class FeaturePixels(Pixels):
    """Features as M2 reads them, as pictures [B, 1, 1, Z]: a Normal each. parameters [B, 2, 1, Z]: means, log
    variances."""

    @property
    def mean(self) -> Tensor:
        return self.parameters[:, :1]

    def costs(self, x: Tensor) -> Tensor:
        means, log_variances = self.split(self.parameters, x).chunk(2, -3)
        return -Normal(means, sigma_of(log_variances), validate_args=False).log_prob(x)

    def features(self, lead: Sequence[int]) -> Features:
        """The same over z1 [*lead, Z], lead = [B] or [K, B]."""
        means, log_variances = self.parameters.flatten(2).unflatten(0, tuple(lead)).chunk(2, -2)
        return Features(means.squeeze(-2), sigma_of(log_variances.squeeze(-2)), validate_args=False)


class FeatureHead(nn.Module):
    """Feature map [B, 2, 1, Z] -> a Normal for each of Z features."""

    def forward(self, features: Tensor, c: Condition) -> FeaturePixels:
        return FeaturePixels(features.float())


class Stack(Model):
    """bottom: M1, a VAE of the pictures under N(0, I) that is asked for nothing; top: M2, whose pictures [B, 1, 1, Z]
    are the latents of M1, with a `FeatureHead`; first: the share of the training, in (0, 1), in which M1 learns."""

    def __init__(self, bottom: VAE, top: M2, first: float) -> None:
        super().__init__()
        self.bottom = bottom
        self.top = top
        self.first = first

    @property
    def prior(self) -> nn.Module:
        """p(z2 | c)."""
        return self.top.prior

    @property
    def decoder(self) -> nn.Module:
        """p(x | z1)."""
        return self.bottom.decoder

    @property
    def class_prior(self) -> ClassPrior:
        return self.top.class_prior

    def with_prior(self, prior: nn.Module) -> Stack:
        """The same networks under another prior head of z2; no weight is copied."""
        other = Stack(self.bottom, self.top.with_prior(prior), self.first)
        other.objective = self.objective
        return other

    def read(self, x: Tensor, c: Condition, draw: Draw | None = None) -> Choice:
        """q(y | mean of z1, the other fields of c), whatever c says of the label."""
        return self.top.read(as_pictures(self.bottom.encoder(x, nothing(x)).mean), c, draw)

    def forward(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Trace:
        """Latents: the label, z2 (noise of level 0), z1 (level 1).

        The K samples of a row share its label, as in M2, which is therefore inferred from the mean of z1, and only in
        training from its draw.
        """
        draw = draw or Draw()
        single = Draw(draw.noise, draw.temperature)
        y, code, features = (None, None, None) if z is None else z
        below = None if x is None else self.look(c, x).posterior
        label = self.labelled(c, below, y, single)
        told = c.filled(self.top.span, label.z)
        prior = many(self.top.prior(told), draw.k)
        posterior = None
        if below is not None:
            below = many(below, draw.k)
            features = sample(below, single, 1) if features is None else features
            posterior = self.top.vae.encoder(as_pictures(features.flatten(0, -2)), told.repeat(draw.k))
            posterior = posterior if draw.k == 1 else copies(posterior, draw.k)
        upper = settle(prior, posterior, code, single, 0)
        flat = upper.z.flatten(0, -2)
        given = self.top.decoder(flat, told.repeat(len(flat) // max(1, c.rows))).features(upper.z.shape[:-1])
        lower = Latent(given, below, sample(given, single, 1) if features is None else features)
        flat = lower.z.flatten(0, -2)
        pixels = self.bottom.decoder(flat, nothing(flat))
        return Trace((label if draw.k == 1 else spread(label, draw.k), upper, lower), pixels, draw.k)

    def look(self, c: Condition, x: Shown) -> Encoded:
        """q(z1 | x), through which all the rest is read: M2 reads a draw of z1, sample by sample."""
        return self.bottom.look(Condition(c.vector[:, :0]), x)

    def labelled(self, c: Condition, below: Distribution | None, y: Tensor | None, draw: Draw) -> Latent:
        """The label [B, K] of each row: as c says, else as given, else from q(y | mean of z1), else from p(y)."""
        q = None if below is None else self.top.read(as_pictures(below.mean), c)
        return settled_label(c.vector[:, self.top.span], self.class_prior(c.rows), q, y, draw)

    def loss(self, batch: Batch, progress: float, draw: Draw) -> tuple[Terms, Terms]:
        """While M1 learns: its own terms, the rate under N(0, I), and none of the label. Afterwards those of M2 on a
        draw of z1, from which M1 learns nothing: reconstruction is -log p(x | z1), a number; rate is
        log q(z1 | x) - log p(z1 | y, z2) and the KL of z2: the sum of all but the classifier's term bounds
        -log p(x), or -log p(x, y). Each of the two has a warm-up of its own.
        """
        if progress < self.first:
            plain = Batch(batch.x, nothing(batch.x), batch.weight)
            terms, notes = self.bottom.loss(plain, progress / self.first, draw)
            zero = batch.x.new_zeros(())
            return {**terms, "label": zero, "classifier": zero}, notes
        # M1 as it is after training: its statistics must not move; what it gives is an input like another
        with evaluating(self.bottom), torch.inference_mode(False), torch.no_grad():
            q = self.bottom.encoder(batch.x, nothing(batch.x))
            z = sample(q, draw, 1)
            pixels = self.bottom.decoder(z, nothing(z))
            error = mean(distortion(Trace((), pixels), batch.x)[0], batch.weight)
            sure = mean(q.log_prob(z), batch.weight)
        share = (progress - self.first) / (1 - self.first)
        terms, notes = self.top.loss(Batch(as_pictures(z), batch.c, batch.weight), share, draw)
        cost = terms["reconstruction"]
        notes = {"elbo": notes["elbo"] - error - sure, "kl": notes["kl"] + cost.detach() + sure}
        return {**terms, "reconstruction": error, "rate": terms["rate"] + cost + sure}, notes


def as_pictures(z: Tensor) -> Tensor:
    """Features [B, Z] as the pictures [B, 1, 1, Z] that M2 reads."""
    return z[:, None, None]


def nothing(rows: Tensor) -> Condition:
    """The condition of M1 for so many rows: zero wide."""
    return Condition(rows.new_zeros(len(rows), 0))


def many(distribution: Distribution, k: int) -> Distribution:
    """A distribution of B rows for K samples of each."""
    return distribution if k == 1 else distribution.expand(torch.Size((k, *distribution.batch_shape)))


def sigma_of(log_variance: Tensor) -> Tensor:
    """Standard deviations, bounded as those of latents are."""
    return (0.5 * log_variance.float()).clamp(*LOG_SIGMA).exp()
