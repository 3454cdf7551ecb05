"""Fitting the density of each label's latents: a fine mixture of Gaussians that draws, a coarse one that keeps watch.

See `densities` for what is fitted, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from condvae.conditions import Label
from condvae.densities import LabelMixture, pack
from condvae.errors import Refused
from condvae.gaussians import Common, Gaussians, expectation_maximisation

# Each label has a fine mixture, which draws legible pictures near to the training rows, and beside it, with little
# weight, a coarse one, which keeps unseen rows likely and says what is typical of the label.
FINE = 5, 160, 0.02  # rows a component; components a label at most; rows a unit that the shared covariance counts for
COARSE = 50, 20, 0.25  # the same of the coarse mixture,
COARSE_WEIGHT = 0.02  # and its weight


def fit_density(
    z: Tensor | np.ndarray,
    index: Tensor | np.ndarray | None,
    field: Label | None = None,
    kind: str = "auto",
    seed: int = 0,
    components: int = FINE[1],
    rows: int = 6000,
    start: int = 0,
    pull: float = FINE[2],
) -> LabelMixture:
    """Fit p(z | label) to samples of the posteriors.

    z: [N, Z] one posterior sample a training row (samples, not means: means lack the posterior's own width), or
    [S, N, Z] several, which help where rows are few; index: [N] positions in field.values, -1 = unknown, left out;
    field None: one density for all rows. kind: "gaussian", one a label, or "mixture", which "auto" takes, too;
    components: Gaussians of a label's fine mixture at most, one to five rows; rows: how many samples of a label are
    used at most; start: the field's first column in the condition.

    Covariances are full and drawn towards what the components of a label, and then all labels, have in common (a
    maximum a posteriori fit, that covariance counting as pull * Z rows), so that a label of few rows, or of none, has
    a proper density, too. A smaller pull draws pictures nearer to the training rows. So many narrow components find
    an unseen row unlikely; the coarse mixture bounds that loss by -log COARSE_WEIGHT, 4 nats (the defensive mixture
    of Hesterberg, "Weighted Average Importance Sampling and Defensive Mixture Distributions", 1995).

    Refused for an unknown kind, or fewer than two rows.
    """
    if kind not in ("auto", "gaussian", "mixture"):
        raise Refused(f"kind may be 'auto', 'gaussian' or 'mixture'; got {kind!r}")
    z = torch.as_tensor(z).detach().cpu().double()
    z = z.transpose(0, 1) if z.ndim == 3 else z[:, None]  # [N, S, Z]
    index = torch.zeros(len(z), dtype=torch.long) if index is None or field is None else torch.as_tensor(index).cpu()
    labels = len(field.values) if field is not None else 0
    known = index >= 0
    if int(known.sum()) < 2:
        raise Refused(f"a density needs the latents of at least two rows with a label; got {int(known.sum())}")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(z), generator=generator)
    groups = [z[order[index[order] == label]][:rows] for label in range(max(1, labels))]
    groups = [group[:, : max(1, rows // max(1, len(group)))] for group in groups]
    common = Common.of([group.flatten(0, 1) for group in groups], pull * z.shape[-1])
    most = max(1, min(components, 2**22 // (len(groups) * z.shape[-1] ** 2)))
    if kind == "gaussian":
        fitted = [(expectation_maximisation(group, 1, common, seed), 0) for group in groups]
    else:
        fitted = [fine_and_coarse(group, most, common, seed) for group in groups]
    counts = torch.bincount(index[known], minlength=len(groups)).double()
    shares = torch.tensor(field.shares).double() if field is not None else counts
    return joined(fitted, labels, shares, start)


def joined(fitted: Sequence[tuple[Gaussians, int]], labels: int, shares: Tensor, start: int) -> LabelMixture:
    """The density of the labels' mixtures, each with the number of its coarse components."""
    mixes, coarse = [mix for mix, _ in fitted], [count for _, count in fitted]
    numbers = torch.tensor([len(mix.weight) for mix in mixes])
    density = LabelMixture(mixes[0].mean.shape[-1], labels, int(numbers.sum()), True, start, coarse)
    state = {
        "mean": torch.cat([mix.mean for mix in mixes]),
        "factor": pack(torch.cat([torch.linalg.cholesky(mix.covariance) for mix in mixes])),
        "owner": torch.repeat_interleave(torch.arange(len(mixes)), numbers),
        "log_weight": torch.cat([mix.weight.log() for mix in mixes]),
        "log_share": (shares / shares.sum()).log(),
    }
    density.load_state_dict(state)
    return density


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
