"""Consistency of a classifier under changes that keep what a picture shows: learning from pictures without labels.

Sources: Sohn et al., "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence", 2020 (a
picture's confident reading is the target of its strongly changed twin); Ji, Henriques, Vedaldi, "Invariant Information
Clustering for Unsupervised Image Classification and Segmentation", 2019 (the two readings tell of one another);
Berthelot et al., "ReMixMatch", 2020 (readings are aligned with how frequent the classes are); Zhang et al., "mixup:
Beyond Empirical Risk Minimization", 2018.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condvae.choice import Choice
from condvae.noise import Noise
from condvae.trace import Condition
from condvae.warps import Warp

__all__ = ["STRONG", "Alignment", "Teacher", "begun", "cut", "information_lost", "mixed", "strongly", "targets"]

STRONG = Warp(turn=math.radians(15), scale=0.15, shear=0.2, shift=0.14)  # two pixels of 28
CUT = 0.35  # side of the square that is hidden, as a share of the picture's
BEGIN = 0.08  # share of the training before readings become targets: the first ones are often wrong, and lock in
SURE = 0.95  # least probability of a reading that becomes a target
TINY = 1e-8  # least probability that is put into a logarithm
FOLLOW = 0.01  # how fast the running shares follow the batches
VIEW_LEVEL, CUT_LEVEL, MIX_LEVEL = -4, -5, -6  # levels of noise


def strongly(x: Tensor, noise: Noise) -> Tensor:
    """Pictures [B, C, H, W] turned, scaled, sheared and shifted, and a square of each hidden."""
    return cut(STRONG(x, noise, VIEW_LEVEL), noise)


def cut(x: Tensor, noise: Noise) -> Tensor:
    """Pictures [B, C, H, W] in [0, 1] with a square of each in mid-grey, anywhere, in part outside, too.

    Grey shows that something is hidden; in the colour of the ground a 2 without its foot would be a 7.
    Source: DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
    """
    height, width = x.shape[2:]
    centre = noise.uniform([len(x), 2], CUT_LEVEL).to(x)
    inside = torch.ones(len(x), 1, 1, 1, dtype=torch.bool, device=x.device)
    for axis, size in ((0, height), (1, width)):
        places = (torch.arange(size, device=x.device) + 0.5) / size
        near = (places[None] - centre[:, axis, None]).abs() < CUT / 2
        inside = inside & near.view(len(x), 1, *((size, 1) if axis == 0 else (1, size)))
    return torch.where(inside, 0.5, x)


def begun(progress: float) -> bool:
    """Whether readings are targets by now."""
    return progress >= BEGIN


class Teacher(nn.Module):
    """The running average of a classifier: its readings waver less than those of the classifier of the moment.

    Source: Tarvainen & Valpola, "Mean teachers are better role models", 2017.
    """

    def __init__(self, classifier: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(classifier).requires_grad_(False)
        self.decay = decay
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros(()))

    @torch.no_grad()
    def follow(self, classifier: nn.Module) -> None:
        """Come nearer to the classifier; the decay rises from 0, so that the first readings are not the untaught
        ones."""
        self.steps += 1
        decay = min(self.decay, (1 + float(self.steps)) / (10 + float(self.steps)))
        for mine, theirs in zip(self.network.parameters(), classifier.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for mine, theirs in zip(self.network.buffers(), classifier.buffers(), strict=True):
            mine.copy_(theirs)

    @torch.no_grad()
    def forward(self, x: Tensor, c: Condition) -> Choice:
        self.network.eval()
        return self.network(x, c)


class Alignment(nn.Module):
    """Running mean of the readings [K]; a reading is weighed by the prior over it, so that no class takes all."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.shares: Tensor
        self.register_buffer("shares", torch.full((classes,), 1 / classes))

    def forward(self, readings: Tensor, prior: Tensor) -> Tensor:
        """Readings [B, K] made as frequent on average as the prior [K] says."""
        ratio = readings * (prior / self.shares.clamp_min(1e-6))
        return ratio / ratio.sum(1, keepdim=True)

    @torch.no_grad()
    def observe(self, readings: Tensor) -> None:
        """Let the running mean follow a batch of readings [B, K], which may be empty."""
        if len(readings):
            self.shares.lerp_(readings.mean(0).to(self.shares), FOLLOW)


def targets(aligned: Tensor) -> tuple[Tensor, Tensor]:
    """(the class read [B, K] one-hot, 1 where the reading is sure enough to be a target [B])."""
    best, place = aligned.max(1)
    return F.one_hot(place, aligned.shape[1]).to(aligned), (best >= SURE).to(aligned)


def information_lost(first: Tensor, second: Tensor, prior: Tensor) -> Tensor:
    """What two readings [B, K] of the same pictures lack of telling all of one another, []: nats, 0 at the least.

    - their mutual information - the mean of log prior [K] under both; under a uniform prior, log K less the former. Of
    readings that agree it is how much one leaves open of the other, and the divergence of their mean from the prior.
    The joint distribution is that of the batch and is not made symmetric as in the source: a reading that tells but
    plain pictures from changed ones would then seem to inform. 0 for no pictures.
    """
    if len(first) == 0:
        return first.sum()
    with torch.autocast(first.device.type, enabled=False):  # logarithms of small shares need all digits
        joint = (first.float().T @ second.float() / len(first)).clamp_min(TINY)
    one, other = joint.sum(1), joint.sum(0)
    mutual = (joint * joint.log()).sum() - (one * one.log()).sum() - (other * other.log()).sum()
    return -mutual - ((one + other) / 2 * prior.log()).sum()


def mixed(x: Tensor, wanted: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """Each picture mixed with another of the batch, and their targets [B, K] in the same proportion.

    The first has a share uniform in [1/2, 1] (the Beta distribution of mixup with parameter 1, larger part first).
    """
    uniform = noise.uniform([len(x), 2], MIX_LEVEL).to(x)
    other = uniform[:, 1].argsort()
    part = 0.5 + 0.5 * uniform[:, 0]
    whole = part[:, None, None, None]
    return whole * x + (1 - whole) * x[other], part[:, None] * wanted + (1 - part[:, None]) * wanted[other]
