"""M2: a label is a latent where it is not known, inferred by q(y | x) and summed out in training.

Source: Kingma, Rezende, Mohamed, Welling, "Semi-supervised Learning with Deep Generative Models", 2014. An auxiliary
latent is an option (Maaloe et al., "Auxiliary Deep Generative Models", 2016), as is consistency of the classifier under
changes of the picture (see `consistency`).

The label's columns of the condition hold a one-hot vector where it is known, zeros where it is not: no other flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from condvae.choice import Choice, ClassPrior, every_label, settled_label
from condvae.consistency import Alignment, Teacher, begun, information_lost, mixed, strongly, targets
from condvae.models.base import Model, Reading, Terms
from condvae.models.vae import VAE
from condvae.noise import Given, Noise
from condvae.objectives import distortion, kl
from condvae.trace import Batch, Condition, Draw, Latent, Looked, Shown, Trace, settle

AUXILIARY_LEVEL = 911  # the level of noise of the auxiliary latent


@dataclass(frozen=True, slots=True)
class Sighted(Looked):
    """Pictures x [B, C, H, W], and what the networks of z and of an auxiliary latent read of them whatever the label:
    z, behind [B, features] (`DenseEncoder.look`), the latter of p(a | x, y, z); side, q(a | x)."""

    x: Tensor
    z: Tensor
    side: Distribution | None = None
    behind: Tensor | None = None


class Auxiliary(nn.Module):
    """q(a | x) and p(a | x, y, z): a latent that the classifier and the encoder read, so that they see more than one
    Normal's worth of what x may mean."""

    def __init__(self, posterior: nn.Module, prior: nn.Module) -> None:
        super().__init__()
        self.posterior = posterior
        self.prior = prior


class M2(Model):
    """A VAE whose condition's columns `span` hold a label that is inferred where they are zero.

    vae: the networks of z and x given the label; classifier(x, c) -> Choice, q(y | x); prior: p(y).
    """

    helpers = ("guide.", "teacher.")

    def __init__(
        self,
        vae: VAE,
        classifier: nn.Module,
        class_prior: ClassPrior,
        span: slice,
        auxiliary: Auxiliary | None = None,
        reading: Reading | None = None,
        guide: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.vae = vae
        self.classifier = classifier
        self.class_prior = class_prior
        self.span = span
        self.auxiliary = auxiliary
        self.reading = reading or Reading()
        self.alignment = Alignment(span.stop - span.start)
        self.guide = guide
        self.teacher = Teacher(classifier, self.reading.teacher) if self.reading.teacher else None

    @property
    def prior(self) -> nn.Module:
        """p(z | c) of the networks within."""
        return self.vae.prior

    @property
    def decoder(self) -> nn.Module:
        return self.vae.decoder

    def with_prior(self, prior: nn.Module) -> M2:
        """The same networks under another prior head of z; no weight is copied."""
        other = M2(self.vae.with_prior(prior), self.classifier, self.class_prior, self.span, self.auxiliary)
        other.objective, other.reading = self.objective, self.reading
        return other

    def blank(self, c: Condition) -> Condition:
        """The condition without the label."""
        return c.filled(self.span, torch.zeros((), device=c.vector.device))

    def aside(self, x: Tensor, blank: Condition, draw: Draw) -> tuple[Distribution | None, Tensor | None]:
        """(q(a | x), its draw [B, A]); nothing where the model has no auxiliary latent."""
        if self.auxiliary is None:
            return None, None
        q = self.auxiliary.posterior(x, blank)
        return q, settle(q, None, None, draw, AUXILIARY_LEVEL).z

    def read(self, x: Tensor, c: Condition, draw: Draw | None = None) -> Choice:
        """q(y | x, the other fields of c), whatever c says of the label; of an auxiliary latent, its mean."""
        blank = self.blank(c)
        _, a = self.aside(x, blank, draw or Draw(temperature=0.0))
        return self.classifier(x, blank.beside(a))

    def forward(
        self,
        c: Condition,
        x: Shown | None = None,
        z: Sequence[Tensor | None] | None = None,
        draw: Draw | None = None,
    ) -> Trace:
        """Latents: the label, the code, and with x the auxiliary one where there is one.

        The K samples of a row share its label: `tasks.log_prob` sums an unknown one out instead.
        """
        draw = draw or Draw()
        single = Draw(draw.noise, draw.temperature)
        looked = None if x is None else self.look(c, x)
        side = None if looked is None else looked.side
        a = None if side is None else settle(side, None, None, single, AUXILIARY_LEVEL).z
        prior = self.class_prior(c.rows)
        q = None if looked is None else self.inferred(looked.x, c, a, prior)
        label = settled_label(c.vector[:, self.span], prior, q, None if z is None else z[0], single)
        told = c.filled(self.span, label.z)
        encoder: Any = self.vae.encoder
        posterior = None if looked is None else encoder.conclude(looked.z, told.beside(a))
        code = settle(self.vae.prior(told), posterior, None if z is None else z[1], draw, 0)
        flat = code.z.flatten(0, -2)
        pixels = self.vae.decoder(flat, told.repeat(flat.shape[0] // max(1, c.rows)))
        latents = [label if draw.k == 1 else spread(label, draw.k), code]
        if looked is not None and a is not None:
            latents.append(self.sidelong(looked, told, a, code.z, draw.k))
        return Trace(tuple(latents), pixels, draw.k, c.hidden)

    def look(self, c: Condition, x: Shown) -> Sighted:
        """What the networks read of x whatever the label and the noise."""
        if isinstance(x, Sighted):
            return x
        assert isinstance(x, Tensor)
        blank, encoder = self.blank(c), cast(Any, self.vae.encoder)
        if self.auxiliary is None:
            return Sighted(x, encoder.look(x, blank))
        behind = cast(Any, self.auxiliary.prior).look(x, blank)
        return Sighted(x, encoder.look(x, blank), self.auxiliary.posterior(x, blank), behind)

    def inferred(self, x: Tensor, c: Condition, a: Tensor | None, prior: Choice) -> Choice:
        """q(y | x, a); where every label is told, so that none is inferred, the prior, and nothing is read."""
        told = c.vector[:, self.span].sum(1) > 0
        return prior if bool(told.all()) else self.classifier(x, self.blank(c).beside(a))

    def sidelong(self, looked: Sighted, told: Condition, a: Tensor, z: Tensor, k: int) -> Latent:
        """The auxiliary latent of a pass: q(a | x) against p(a | x, y, z) for each of the K samples of z."""
        assert self.auxiliary is not None and looked.side is not None and looked.behind is not None
        side = looked.side
        p = cast(Any, self.auxiliary.prior).conclude(
            looked.behind.repeat(k, 1), told.repeat(k).beside(z.flatten(0, -2))
        )
        if k > 1:
            p, side, a = copies(p, k), side.expand((k, *side.batch_shape)), a.expand(k, *a.shape)
        return Latent(p, side, a, "auxiliary")

    def loss(self, batch: Batch, progress: float, draw: Draw) -> tuple[Terms, Terms]:
        """Terms: reconstruction, rate and label, whose sum is the bound on -log p(x, y) of rows whose label is known
        and on -log p(x) of others, summed over all labels; and the classifier's, see `readings`."""
        goal, rows = self.objective, len(batch.x)
        weight = torch.ones(rows, device=batch.x.device) if batch.weight is None else batch.weight
        given = batch.c.vector[:, self.span]
        known = given.sum(1) > 0
        blank = self.blank(batch.c)
        aside = self.aside(batch.x, blank, draw)
        q, more = self.readings(batch.x, blank.beside(aside[1]), given, known, progress, draw.noise)
        index, labels, share = every_label(known, given, q)
        told = batch.c[index].filled(self.span, labels)
        pixels, divergence = self.under(batch.x, blank, index, told, aside, draw)
        share = share * weight[index] / rows
        error = distortion(Trace((), pixels, 1, told.hidden), batch.x[index])[0]
        self.observed(pixels, batch.x[index], told, share.detach())
        charged = (share * divergence).sum()
        prior = self.class_prior(rows)
        label = torch.where(known, -prior.log_prob(given), kl_divergence(q, prior))
        terms = {"reconstruction": (share * error).sum(), "rate": charged, "label": (weight * label).mean()}
        notes = {"elbo": -torch.stack([term.detach() for term in terms.values()]).sum(), "kl": charged.detach()}
        beta = goal.weight(progress)
        if beta != 1:
            terms["rate"] = charged * beta
        return {**terms, **more}, notes

    def under(
        self,
        x: Tensor,
        blank: Condition,
        index: Tensor,
        told: Condition,
        aside: tuple[Distribution | None, Tensor | None],
        draw: Draw,
    ) -> tuple[Any, Tensor]:
        """(p(x | y, z), KL of z and of a [R]) of pictures `index` [R] under the labels that `told` holds.

        What does not depend on the label is computed once a picture, and a picture's noise is the same under each
        label, so that labels are compared without it.
        """
        encoder: Any = self.vae.encoder
        a = None if aside[1] is None else aside[1][index]
        posterior = encoder.conclude(encoder.look(x, blank)[index], told.beside(a))
        noise = draw.noise.normal((len(x), *posterior.event_shape), 0).to(x)[index]
        code = settle(self.vae.prior(told), posterior, None, Draw(Given([noise])), 0)
        divergence = kl(code)
        if self.auxiliary is not None and a is not None:
            prior: Any = self.auxiliary.prior
            p = prior.conclude(prior.look(x, blank)[index], told.beside(code.z))
            divergence = divergence + kl(Latent(p, rows_of(aside[0], index), a, "auxiliary"))
        return self.vae.decoder(code.z, told), divergence

    def observed(self, pixels: Any, x: Tensor, told: Condition, share: Tensor) -> None:
        """Let an optimal noise level follow the errors, each label's counting as much as it is believed."""
        head: Any = self.head
        if self.training and hasattr(head, "observe"):
            scored = torch.ones_like(x[:, :1]) if told.hidden is None else told.hidden
            head.observe(pixels, x, scored * share[:, None, None, None])

    def readings(
        self, x: Tensor, blank: Condition, given: Tensor, known: Tensor, progress: float, noise: Noise
    ) -> tuple[Choice, Terms]:
        """(q(y | x), the terms by which the classifier learns from known labels and from its own sure readings)."""
        goal = self.reading
        if not goal.in_pairs:
            q = self.classifier(x, blank)
            return q, {"classifier": goal.classify * over(-q.log_prob(given), known)}
        views = [x, strongly(x, noise)]
        q, changed = self.viewed(views, blank)
        terms = {"classifier": goal.classify * over(missed(given, q, changed), known)}
        first, second = q, changed
        if self.guide is not None and progress < goal.guide:
            first, second = self.viewed(views, blank, self.guide)
            terms["guide"] = goal.classify * over(missed(given, first, second), known)
        if goal.information:
            lost = information_lost(first.probs[~known], second.probs[~known], self.class_prior.shares)
            terms["information"] = goal.information * lost
        if goal.consistency or goal.mixup:
            own = self.taught(x, blank, q) if first is q else first.probs.detach()
            terms |= self.targeted(x, blank, given, known, own, changed, float(begun(progress)), noise)
        return q, terms

    def targeted(
        self,
        x: Tensor,
        blank: Condition,
        given: Tensor,
        known: Tensor,
        own: Tensor,
        changed: Choice,
        ready: float,
        noise: Noise,
    ) -> Terms:
        """The terms in which readings of pictures as they are, `own` [B, K], are targets for changed ones."""
        goal = self.reading
        aligned = self.alignment(own, self.class_prior.shares)
        if self.training:
            self.alignment.observe(own[~known])
        wanted, sure = targets(aligned)
        cost = -(wanted * changed.logits).sum(1)
        terms = {"consistency": goal.consistency * ready * over(cost * sure, ~known)}
        if goal.mixup:
            blend, blended = mixed(x, torch.where(known[:, None], given, aligned), noise)
            terms["mixup"] = goal.mixup * ready * -(blended * self.classifier(blend, blank).logits).sum(1).mean()
        return terms

    def taught(self, x: Tensor, blank: Condition, q: Choice) -> Tensor:
        """The readings [B, K] of pictures as they are, from which targets are made."""
        if self.teacher is None:
            return q.probs.detach()
        if self.training:
            self.teacher.follow(self.classifier)
        return self.teacher(x, blank).probs

    def viewed(self, views: Sequence[Tensor], blank: Condition, reader: nn.Module | None = None) -> tuple[Choice, ...]:
        """What the classifier, or another, reads in several views [B, C, H, W] of the same pictures, in one pass."""
        read = (reader or self.classifier)(torch.cat(list(views)), blank.repeat(len(views)))
        return tuple(Choice(logits) for logits in read.logits.chunk(len(views)))


def missed(given: Tensor, *readings: Choice) -> Tensor:
    """Cross entropy [B] of known labels, one-hot [B, K], the mean of several readings; 0 where none is known."""
    return -torch.stack([(given * one.logits).sum(1) for one in readings]).mean(0)


def over(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values [B] over the rows of a mask [B]; 0 where it has none."""
    return (values * mask).sum() / mask.sum().clamp_min(1)


def rows_of(distribution: Any, index: Tensor) -> Distribution:
    """A diagonal Normal's rows."""
    normal = distribution.base_dist
    return Independent(Normal(normal.loc[index], normal.scale[index], validate_args=False), 1, validate_args=False)


def copies(distribution: Any, k: int) -> Distribution:
    """A diagonal Normal of K * B rows as one of [K, B]."""
    normal = distribution.base_dist
    loc, scale = (values.unflatten(0, (k, -1)) for values in (normal.loc, normal.scale))
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


def spread(latent: Latent, k: int) -> Latent:
    """A latent of B rows for K samples of each, all of which share it."""
    p, q = (None if d is None else d.expand((k, *d.batch_shape)) for d in (latent.p, latent.q))
    assert p is not None
    return Latent(p, q, latent.z.expand(k, *latent.z.shape), latent.role)
