"""A choice among K classes as a distribution of the house: what a classifier returns, the prior of labels, and a label
as a latent."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import OneHotCategorical

from condvae.trace import Draw, Drawable, Latent, settle

LABEL_LEVEL = 910  # the level of noise that draws an inferred label


class Choice(OneHotCategorical, Drawable):  # pyright: ignore[reportIncompatibleMethodOverride]
    """One of K classes, as one-hot vectors [..., K]; unnormalised log-probabilities [..., K]."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits.float(), validate_args=False)

    def expand(self, batch_shape, _instance=None) -> Choice:
        return Choice(self.logits.expand((*batch_shape, self.logits.shape[-1])))

    def from_noise(self, draw: Draw, level: int) -> Tensor:
        """A one-hot draw by the inverse of the distribution function; temperature 0 gives the likeliest class.

        A label is drawn before the codes, whose first one's temperature it has.
        """
        if draw.heat(0) == 0:
            place = self.logits.argmax(-1)
        else:
            uniform = draw.noise.uniform((*self.logits.shape[:-1], 1), LABEL_LEVEL).to(self.logits)
            place = (self.probs.cumsum(-1)[..., :-1] <= uniform).sum(-1)
        return F.one_hot(place, self.logits.shape[-1]).to(self.logits)


class ChoiceHead(nn.Module):
    """Features [B, F] -> Choice among `classes`."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Choice:
        return Choice(self.linear(features))


class ClassPrior(nn.Module):
    """p(label): the shares [K] that it is given, or starts from where it is learned."""

    def __init__(self, shares: Tensor, learned: bool = False) -> None:
        super().__init__()
        start = torch.log(shares.float().clamp_min(1e-6))
        self.logits: Tensor
        if learned:
            self.logits = nn.Parameter(start)
        else:
            self.register_buffer("logits", start)

    def forward(self, rows: int) -> Choice:
        return Choice(self.logits.expand(rows, -1))

    @property
    def shares(self) -> Tensor:
        """The probability of each class, [K]."""
        return self.logits.detach().softmax(-1)


def settled_label(told: Tensor, prior: Choice, q: Choice | None, given: Tensor | None, draw: Draw) -> Latent:
    """The label of each row, one-hot [B, K]: as `told` [B, K] says, zeros = unknown; else as given; else drawn from q,
    or from the prior where there is no picture to infer it from."""
    known = told.sum(1, keepdim=True) > 0
    if not bool(known.all()):
        guess = settle(prior, q, given, draw, 0).z
        guess = guess[0] if guess.dim() > 2 else guess  # K samples share their row's label
        told = torch.where(known, told, guess.to(told))
    # where the label is known nothing is inferred: q is p there, the KL nothing, the importance weight one
    return Latent(prior, None if q is None else Choice(torch.where(known, prior.logits, q.logits)), told, "label")


def every_label(known: Tensor, given: Tensor, q: Choice) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of the sum over labels: (which picture [R], its label [R, K], how much it counts [R]).

    Pictures whose label is known come once, with it, and count 1; the others come K times, once with each label, and
    count as much as q(y | x) believes it.
    """
    sure, open_rows = torch.nonzero(known)[:, 0], torch.nonzero(~known)[:, 0]
    classes = given.shape[1]
    every = torch.eye(classes, device=given.device, dtype=given.dtype).repeat(len(open_rows), 1)
    index = torch.cat([sure, open_rows.repeat_interleave(classes)])
    share = torch.cat([torch.ones_like(q.probs[:, 0])[sure], q.probs[open_rows].flatten()])
    return index, torch.cat([given[sure], every]), share
