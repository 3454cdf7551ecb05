"""Fitting densities of latents: a fine mixture of Gaussians that draws, a coarse one that keeps watch.

See `densities` for what is fitted, and why; `joint_fit` does the same for labels and numbers together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from condvae.conditions import Label, Schema
from condvae.densities import LabelMixture, pack
from condvae.errors import Refused
from condvae.gaussians import FINE, Common, Gaussians, expectation_maximisation, fine_and_coarse, samples
from condvae.joint import JointMixture
from condvae.joint_fit import fit_joint
from condvae.trace import Condition


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
    z = samples(z, kind)
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


def fit_for(
    schema: Schema,
    columns: Mapping[str, np.ndarray],
    c: Condition,
    z: Tensor | np.ndarray,
    kind: str = "auto",
    seed: int = 0,
    components: int = FINE[1],
) -> LabelMixture | JointMixture:
    """The density that suits a schema of labels and numbers, fitted: `LabelMixture` for no field or one label, else
    `JointMixture`.

    columns: field name -> column of N rows, as `Schema.index` gives them; c: the same encoded; the other arguments as
    in `fit_density`. What is seen of a picture says too much of z for either (see `unseen`). Refused as in
    `fit_density`, and where rows do not match.
    """
    assert schema.picture is None, "a density is of labels and numbers alone"
    rows = np.shape(z)[-2]
    if c.rows != rows:
        raise Refused(f"c must hold one row for each of the {rows} rows of z; got {c.rows}")
    if not schema.fields:
        return fit_density(z, None, None, kind, seed, components)
    field = schema.fields[0]
    if len(schema.fields) == 1 and isinstance(field, Label):
        return fit_density(z, columns[field.name], field, kind, seed, components)
    return fit_joint(schema, columns, z, kind, seed, components)
