"""Mixtures of Gaussians by expectation maximisation, with covariances that learn from one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from condvae.errors import Refused

ROUNDS = 20  # of expectation maximisation at most: later ones move the held-out density by hundredths of a nat
ENOUGH = 0.01  # nats a row: a round that gains less is the last

# Each label has a fine mixture, which draws legible pictures near to the training rows, and beside it, with little
# weight, a coarse one, which keeps unseen rows likely and says what is typical of the label.
FINE = 5, 160, 0.02  # rows a component; components a label at most; rows a unit that the shared covariance counts for
COARSE = 50, 20, 0.25  # the same of the coarse mixture,
COARSE_WEIGHT = 0.02  # and its weight


@dataclass(frozen=True)
class Common:
    """What the labels have in common: the mean of all rows, the covariance within the labels, and the weight of it.

    weight: how many rows the shared covariance counts for in a fit.
    """

    mean: Tensor
    covariance: Tensor
    weight: float

    @classmethod
    def of(cls, groups: Sequence[Tensor], weight: float) -> Common:
        rows = torch.cat(list(groups))
        centred = torch.cat([group - group.mean(0) for group in groups if len(group)])
        spread = centred.T @ centred / len(rows)
        if not spread.diagonal().any():  # one row a label: nothing varies within them
            spread = torch.cov(rows.T).reshape(spread.shape)
        diagonal = spread.diagonal()
        share = rows.shape[1] / (len(rows) + rows.shape[1])
        floor = 1e-4 * diagonal.mean() + 1e-6
        return cls(rows.mean(0), (1 - share) * spread + torch.diag(share * diagonal + floor), weight)


@dataclass(frozen=True)
class Gaussians:
    """A fitted mixture: weight [m], mean [m, Z], covariance [m, Z, Z]; float64."""

    weight: Tensor
    mean: Tensor
    covariance: Tensor

    def joint(self, z: Tensor) -> Tensor:
        """log weight + log density of each component at each row, [N, m]."""
        factor = torch.linalg.cholesky(self.covariance)
        inverse = torch.linalg.solve_triangular(factor, torch.eye(z.shape[1]).to(z), upper=False)
        # one component after the other: all at once leaves the cache, which takes three times as long
        each = [((z - mean) @ part.mT).square().sum(1) for mean, part in zip(self.mean, inverse, strict=True)]
        log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + 0.5 * z.shape[1] * math.log(2 * math.pi)
        return self.weight.log() - log_det - 0.5 * torch.stack(each, 1)


def expectation_maximisation(z: Tensor, k: int, common: Common, seed: int) -> Gaussians:
    """Fit k Gaussians to S samples of each of n rows, z [n, S, Z], from a k-means start (Dempster, Laird, Rubin 1977).

    The maximum a posteriori fit under priors of `common.weight` rows (covariances) and of a tenth of a row (means).
    Written out because it has to share the covariances' prior between components and labels, and in float64, which
    torch's setting for the precision of float32 products does not reach.
    """
    from sklearn.cluster import KMeans

    each = 1 / z.shape[1]  # so that a row counts once, however many samples it has
    z = z.flatten(0, 1)
    centre = z.mean(0) if len(z) else common.mean
    if k > 1:
        means = KMeans(k, n_init="auto", max_iter=10, random_state=seed % 2**32)
        share = nn.functional.one_hot(torch.from_numpy(means.fit_predict(z.numpy())).long(), k).double()
    else:
        share = torch.ones(len(z), 1, dtype=torch.float64)
    before = -math.inf
    mix = maximise(z, share * each, centre, common)
    for _ in range(ROUNDS if k > 1 else 0):
        joint = mix.joint(z)
        total = torch.logsumexp(joint, 1)
        after = float(total.mean())
        if after - before < ENOUGH:
            break
        before = after
        mix = maximise(z, torch.exp(joint - total[:, None]) * each, centre, common)
    return mix


def maximise(z: Tensor, share: Tensor, centre: Tensor, common: Common) -> Gaussians:
    """The Gaussians of largest posterior density, given the weight [n, k] of each sample in the k components."""
    weight = common.weight
    count = share.sum(0)
    n = count.sum()
    mean = (share.T @ z + 0.1 * centre) / (count + 0.1)[:, None]
    spread = torch.stack([scatter(z - mean[j], share[:, j]) for j in range(len(count))])
    target = (spread.sum(0) + weight * common.covariance) / (n + weight)
    covariance = (spread + weight * target) / (count + weight)[:, None, None]
    return Gaussians((count + 1) / (n + len(count)), mean, covariance)


def scatter(centred: Tensor, weight: Tensor) -> Tensor:
    """Weighted scatter matrix of centred rows [n, Z] -> [Z, Z]."""
    return (centred * weight[:, None]).T @ centred


def fine_and_coarse(group: Tensor, most: int, common: Common, seed: int) -> tuple[Gaussians, int]:
    """A label's mixture, the coarse components last, and how many those are; one Gaussian where rows are few."""
    rows = len(group)
    fine = min(most, rows // FINE[0])
    if fine <= 1:
        return expectation_maximisation(group, 1, common, seed), 0
    narrow = expectation_maximisation(group, fine, common, seed)
    count = max(1, min(COARSE[1], most, fine // 2, rows // COARSE[0]))
    wide = expectation_maximisation(group, count, replace(common, weight=COARSE[2] * group.shape[-1]), seed)
    parts = ((narrow, 1 - COARSE_WEIGHT), (wide, COARSE_WEIGHT))
    return Gaussians(
        torch.cat([share * mix.weight / mix.weight.sum() for mix, share in parts]),
        torch.cat([mix.mean for mix, _ in parts]),
        torch.cat([mix.covariance for mix, _ in parts]),
    ), count


def samples(z: Tensor | np.ndarray, kind: str) -> Tensor:
    """z [N, Z] or [S, N, Z] -> [N, S, Z], float64 on the CPU; Refused for an unknown kind of fit."""
    if kind not in ("auto", "gaussian", "mixture"):
        raise Refused(f"kind may be 'auto', 'gaussian' or 'mixture'; got {kind!r}")
    z = torch.as_tensor(z).detach().cpu().double()
    return z.transpose(0, 1) if z.ndim == 3 else z[:, None]
