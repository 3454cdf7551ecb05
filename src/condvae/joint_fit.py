"""Fitting the density of latents, numbers and labels together; see `joint` for what is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from condvae.conditions import Label, Number, Schema
from condvae.densities import pack
from condvae.errors import Refused
from condvae.gaussians import FINE, Common, Gaussians, fine_and_coarse, samples
from condvae.joint import HOT, JointMixture, layout_of

GROUPS = 64  # combinations of labels that are fitted each by itself; where there are more, as many clusters of rows
PURE = -23.0  # log probability of another label in a combination's components: below `joint.CUT`, so they are not drawn
PULL = 0.25  # of a cluster's components, as in `gaussians.FINE`: labels heard as numbers are many
NUMBER_FLOOR = 0.1**2  # variance added to a number within a component: it is heard to a tenth of its deviation

Fitted = tuple[Gaussians, int, Tensor]  # a group's mixture, how many of it, the last, are coarse, its labels' table


def fit_joint(
    schema: Schema,
    columns: Mapping[str, np.ndarray],
    z: Tensor | np.ndarray,
    kind: str = "auto",
    seed: int = 0,
    components: int = FINE[1],
    rows: int = 6000,
) -> JointMixture:
    """Fit p(z, numbers, labels) to samples of the posteriors; arguments as in `density_fit.fit_for`; rows: how
    many of a group are used at most.

    Rows are fitted by their combination of labels, at most GROUPS of them; where there are more, labels are heard as
    numbers, and rows fitted by clusters that are alike in numbers and z. Each group has a fine mixture over [z;
    numbers] of at most `components`, and a coarse one beside it, as in `fit_density`; of a single group, twice as many
    of twice the rows, for it has to cover all. Rows of which anything is unknown are left out where half of the rows,
    or `rows`, are whole; else what they lack is filled in (`completed`).

    Refused for an unknown kind, or fewer than two rows.
    """
    z, labels, u = settled(samples(z, kind), *told(schema, columns), seed, rows)
    if len(z) < 2:
        raise Refused(f"a density needs the latents of at least two rows; got {len(z)}")
    alike = F.pad(labels, (1, 0))  # a column, where there is no label at all
    group = torch.unique(alike, dim=0, return_inverse=True)[1]
    pure = int(group.max()) < GROUPS
    if not pure:
        u = torch.cat(heard_as_numbers(schema, labels, u), 1)
    points = torch.cat([z, u[:, None].expand(-1, z.shape[1], -1)], 2)  # [N, S, Z + U]
    group = group if pure else clusters(points.mean(1), seed)
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))
    sizes = torch.bincount(group)
    numbers = torch.nonzero(sizes)[:, 0].tolist()
    twice = 2 if len(numbers) == 1 else 1
    members = [order[group[order] == number][: twice * rows] for number in numbers]
    grouped = [points[each][:, : max(1, rows // len(each))] for each in members]
    width = points.shape[2]
    common = Common.of([each.flatten(0, 1) for each in grouped], (FINE[2] if pure else PULL) * width)
    most = 1 if kind == "gaussian" else max(1, min(twice * components, 2**22 // (len(grouped) * width**2)))
    fitted: list[Fitted] = []
    for each, member, number in zip(grouped, members, numbers, strict=True):
        mix, coarse = fine_and_coarse(each, most, common, seed)
        table = pure_table(schema, labels[member[0]], mix) if pure else torch.zeros(len(mix.weight), 0)
        weight = sizes[number] / len(group) * mix.weight / mix.weight.sum()
        fitted.append((replace(mix, weight=weight), coarse, table))
    return jointly(schema, pure, z.shape[2], fitted)


def heard_as_numbers(schema: Schema, labels: Tensor, u: Tensor) -> list[Tensor]:
    """The columns [N, *] of each field in the order of the schema, labels as `joint.JointMixture` hears hot ones."""
    left, numbers = iter(labels.T), iter(u.split([field.size for field in schema.numbers], 1))
    return [
        HOT * F.one_hot(next(left), len(field.values))[:, int(len(field.values) == 2) :].double()
        if isinstance(field, Label)
        else next(numbers)
        for field in schema.fields
    ]


def told(schema: Schema, columns: Mapping[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    """Labels [N, J], -1 = unknown, and standardised numbers [N, U], NaN = unknown, of the fields in their order."""
    rows = len(next(iter(columns.values()), ()))
    labels = [torch.as_tensor(np.asarray(columns[field.name], np.int64)) for field in schema.labels]
    numbers = [torch.as_tensor(field.standardised(np.asarray(columns[field.name]))) for field in schema.numbers]
    return (
        torch.stack(labels, 1) if labels else torch.zeros(rows, 0, dtype=torch.long),
        torch.cat(numbers, 1).double() if numbers else torch.zeros(rows, 0, dtype=torch.float64),
    )


def settled(z: Tensor, labels: Tensor, u: Tensor, seed: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of which all is known, where half of them or `rows` are such; else all, with what they lack filled."""
    whole = (labels >= 0).all(1) & ~u.isnan().any(1)
    if int(whole.sum()) >= max(2, min(len(z) // 2, rows)):
        return z[whole], labels[whole], u[whole]
    return z, *completed(z.mean(1), labels, u, seed)


def completed(z: Tensor, labels: Tensor, u: Tensor, seed: int, donors: int = 4000) -> tuple[Tensor, Tensor]:
    """Labels and numbers with what is unknown taken from the row that is nearest in z [N, Z] and knows it.

    A hot deck: unlike a mean it leaves what z tells of the condition (Andridge & Little, "A review of hot deck
    imputation for survey non-response", 2010). An entry that no row knows becomes 0, a number's mean.
    """
    labels, u = labels.clone(), u.clone()
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))
    for table, blank in ((labels, labels < 0), (u, u.isnan())):
        for place in range(table.shape[1]):
            lack = torch.nonzero(blank[:, place])[:, 0]
            known = order[~blank[order, place]][:donors]
            for rows in lack.split(4096):
                near = known[torch.cdist(z[rows], z[known]).argmin(1)] if len(known) else None
                table[rows, place] = table[near, place] if near is not None else 0
    return labels, u


def clusters(points: Tensor, seed: int, fitted: int = 20_000) -> Tensor:
    """Each row's cluster [N] of at most GROUPS, of 100 rows or more on average; found by k-means."""
    from sklearn.cluster import KMeans

    means = KMeans(max(1, min(GROUPS, len(points) // 100)), n_init="auto", max_iter=20, random_state=seed % 2**32)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
    means.fit(points[order[:fitted]].numpy())
    return torch.from_numpy(means.predict(points.numpy())).long()


def pure_table(schema: Schema, labels: Tensor, mix: Gaussians) -> Tensor:
    """log p(label | component) [m, values of all labels] where all rows have this combination of labels [J]."""
    lines = [
        torch.full((len(field.values),), PURE, dtype=torch.float64).index_fill(0, label, 0.0).log_softmax(0)
        for label, field in zip(labels, schema.labels, strict=True)
    ]
    return torch.cat([*lines, torch.zeros(0, dtype=torch.float64)]).expand(len(mix.weight), -1)


def jointly(schema: Schema, pure: bool, z: int, fitted: Sequence[Fitted]) -> JointMixture:
    """The density of the groups' mixtures."""
    mean, covariance, weight = (
        torch.cat([getattr(mix, name) for mix, _, _ in fitted]) for name in ("mean", "covariance", "weight")
    )
    covariance = covariance + torch.diag(NUMBER_FLOOR * (torch.arange(mean.shape[1]) >= z).double())
    # a group that has but one mixture is coarse as a whole
    coarse = [torch.arange(len(m.weight)) >= (len(m.weight) - count if count else 0) for m, count, _ in fitted]
    low, high = ends(schema, pure)
    density = JointMixture(z, layout_of(schema, pure), len(weight))
    state = {
        "mean": mean,
        "factor": pack(torch.linalg.cholesky(covariance)),
        "log_weight": weight.log(),
        "log_label": torch.cat([table for _, _, table in fitted]),
        "coarse": torch.cat(coarse),
        "low": low,
        "high": high,
    }
    density.load_state_dict(state)
    return density


def ends(schema: Schema, pure: bool) -> Tensor:
    """The training range of what is heard as numbers, low and high: [2, U]."""
    parts: list[Tensor] = [torch.zeros(2, 0)]
    for field in schema.fields:
        if isinstance(field, Number):
            parts.append(torch.as_tensor(field.standardised(np.asarray([field.low, field.high]))))
        elif isinstance(field, Label) and not pure:
            values = len(field.values)
            parts.append(torch.tensor([[0.0], [HOT]]).expand(2, values - (values == 2)))
    return torch.cat([part.float() for part in parts], 1)
