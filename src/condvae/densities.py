"""A density fitted after training to the latents of each label: a prior head like another.

The gap between the prior and the aggregate posterior costs more picture quality than the decoder does; a mixture of
Gaussians fitted to posterior samples closes most of it in seconds (Ghosh, Sajjadi, Vergari, Black, Schölkopf, "From
Variational to Deterministic Autoencoders", 2020; Dai & Wipf, "Diagnosing and Enhancing VAE Models", 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from condvae.trace import Condition, Draw, Drawable

BLOCK = 128  # rows scored at once: of one size always, so that a row's arithmetic does not depend on its neighbours


TYPICAL = (
    0.8  # of the radius at which draws lie; at 1, fewer restyled digits read as wanted, and more of the style stays
)


class LabelMixture(nn.Module):
    """p(z | label): a mixture of Gaussians a label, out of one table of components.

    z: the latent's width; labels: how many labels, 0 for one mixture whatever is asked; components: how many
    Gaussians over all labels; full: covariances by packed lower triangles, else diagonal; start: the column of the
    condition's vector where the one-hot of the label begins; coarse: how many of each label's components, its last,
    are of the coarse mixture; none, where it has but one mixture. Every weight is a buffer: `LabelMixture(**m.sizes)`
    and the state_dict make the same density again. A row whose label is unknown gets the labels' mixtures, weighted
    by `log_share`.
    """

    def __init__(
        self, z: int, labels: int, components: int, full: bool = True, start: int = 0, coarse: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.sizes: dict[str, Any] = {
            "z": z,
            "labels": labels,
            "components": components,
            "full": full,
            "start": start,
            "coarse": list(coarse),
        }
        self.z, self.labels, self.full, self.start, self.coarse = z, labels, full, start, coarse
        groups = max(1, labels)
        self.mean: Tensor
        self.factor: Tensor
        self.owner: Tensor
        self.log_weight: Tensor
        self.log_share: Tensor
        self.register_buffer("mean", torch.zeros(components, z))
        self.register_buffer(
            "factor", pack(torch.eye(z).expand(components, z, z)) if full else torch.ones(components, z)
        )
        self.register_buffer("owner", torch.arange(components) % groups)
        self.register_buffer("log_weight", torch.zeros(components))
        self.register_buffer("log_share", torch.full((groups,), -math.log(groups)))
        self.table: Tensor
        self.cumulative: Tensor
        self.scale: Tensor
        self.inverse: Tensor
        self.log_det: Tensor
        self.derive()
        self.register_load_state_dict_post_hook(lambda module, _: module.derive())

    @torch.no_grad()
    def derive(self) -> None:
        """Work out what is not saved: triangles, their inverses, and each label's row of weights.

        table: log mixing weights [labels + 1, M], -inf for other labels' components, the last row for unknown.
        """
        order = torch.argsort(self.owner, stable=True)
        for name in ("mean", "factor", "owner", "log_weight"):
            self.register_buffer(name, getattr(self, name)[order])
        groups = len(self.log_share)
        mine = self.owner[None] == torch.arange(groups, device=self.owner.device)[:, None]
        rows = torch.where(mine, self.log_weight[None], -math.inf).log_softmax(-1)
        whole = torch.logsumexp(rows + self.log_share.log_softmax(-1)[:, None], 0, keepdim=True)
        table = torch.cat([rows, whole])
        scale = unpack(self.factor, self.z) if self.full else self.factor
        eye = torch.eye(self.z, device=scale.device)
        inverse = torch.linalg.solve_triangular(scale, eye, upper=False) if self.full else 1 / scale
        diagonal = scale.diagonal(dim1=-2, dim2=-1) if self.full else scale
        derived = {
            "table": table,
            "cumulative": table.double().exp().cumsum(-1).float(),
            "scale": scale,
            "inverse": inverse,
            "log_det": diagonal.log().sum(-1),
        }
        for name, value in derived.items():
            self.register_buffer(name, value, persistent=False)

    @torch.no_grad()
    def typical(self, z: Tensor, c: Condition, radius: float = TYPICAL) -> Tensor:
        """The point nearest to z [B, Z] that is typical of what c asks: [B, Z].

        Of the label's components, the coarse ones where there are such, the one nearest in its own metric is taken,
        and z drawn towards its mean until its distance is `radius` times the root of Z, the distance at which most
        draws of a Normal lie; a z that is nearer stays where it is. Rows whose label is unknown stay, too.
        """
        line = self(c).index  # type: ignore[attr-defined]
        out = z.clone()
        for label in line.unique().tolist():
            own = torch.nonzero(self.owner == label)[:, 0]
            if (self.labels and label == self.labels) or not len(own):
                continue
            own = own[-self.coarse[label] :] if self.coarse and self.coarse[label] else own
            rows = torch.nonzero(line == label)[:, 0]
            offset = z[rows, None] - self.mean[own]
            inverse, scale = self.inverse[own], self.scale[own]
            white = torch.einsum("mij,nmj->nmi", inverse, offset) if self.full else offset * inverse
            length = white.square().sum(-1).sqrt()
            nearest = length.argmin(1)
            picked = white[torch.arange(len(rows)), nearest]
            picked = picked * (radius * z.shape[1] ** 0.5 / length.gather(1, nearest[:, None])).clamp_max(1.0)
            moved = (scale[nearest] @ picked[:, :, None])[:, :, 0] if self.full else scale[nearest] * picked
            out[rows] = self.mean[own][nearest] + moved
        return out

    def forward(self, c: Condition) -> Distribution:
        if not self.labels:
            return Mixture(self, torch.zeros(c.rows, dtype=torch.long, device=self.mean.device))
        hot = c.vector[:, self.start : self.start + self.labels]
        return Mixture(self, torch.where(hot.amax(1) > 0, hot.argmax(1), self.labels))


def pack(triangles: Tensor) -> Tensor:
    """Lower triangles [M, Z, Z] -> their entries row by row [M, Z (Z + 1) / 2]."""
    z = triangles.shape[-1]
    rows, columns = torch.tril_indices(z, z)
    return triangles[:, rows, columns]


def unpack(entries: Tensor, z: int) -> Tensor:
    """The reverse of `pack`."""
    rows, columns = torch.tril_indices(z, z)
    triangles = entries.new_zeros(len(entries), z, z)
    triangles[:, rows, columns] = entries
    return triangles


class Mixture(Drawable):
    """The mixture of each row: `index` [B] or [K, B] is the row's line of the table."""

    def __init__(self, density: LabelMixture, index: Tensor) -> None:
        self.density = density
        self.index = index
        super().__init__(index.shape, torch.Size([density.z]), validate_args=False)

    def __repr__(self) -> str:
        return f"Mixture(rows={list(self.batch_shape)}, z={self.density.z})"

    def expand(self, batch_shape, _instance=None) -> Mixture:
        return Mixture(self.density, self.index.expand(tuple(batch_shape)))

    @property
    def mean(self) -> Tensor:
        """The mixture's mean, [B, Z]."""
        return (self.density.table.exp() @ self.density.mean)[self.index]

    @property
    def covariance(self) -> Tensor:
        """The mixture's covariance, [B, Z, Z]."""
        here = self.density
        parts = here.scale @ here.scale.mT if here.full else torch.diag_embed(here.scale.square())
        weight = here.table.exp()
        mean = weight @ here.mean
        second = torch.einsum("lm,mij->lij", weight, parts + here.mean[:, :, None] * here.mean[:, None])
        return (second - mean[:, :, None] * mean[:, None])[self.index]

    @property
    def variance(self) -> Tensor:
        """The variance of each unit, [B, Z]."""
        here = self.density
        own = here.scale.square().sum(-1) if here.full else here.scale.square()
        weight = here.table.exp()
        mean = weight @ here.mean
        # about the mean, not the difference of two moments, which cancels where a component is narrow
        spread = own[None] + (here.mean[None] - mean[:, None]).square()
        return (weight[:, :, None] * spread).sum(1)[self.index]

    def components(self, row: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """The Gaussians of one row: weights [m], means [m, Z], roots of the covariances, lower triangles [m, Z, Z]."""
        here, weight = self.density, self.density.table[self.index[row]].exp()
        used = torch.nonzero(weight)[:, 0]
        return weight[used], here.mean[used], here.scale[used] if here.full else torch.diag_embed(here.scale[used])

    def from_noise(self, draw: Draw, level: int) -> Tensor:
        """One uniform picks the component, then mean + temperature * scale @ normal; temperature 0 = its mean."""
        here = self.density
        shape = self.batch_shape
        uniform = draw.noise.uniform([*shape, 1], level).to(here.mean)
        cumulative = here.cumulative[self.index]
        # a uniform above the last rounded sum belongs to the last component that has weight
        picked = (uniform >= cumulative).sum(-1).minimum((cumulative < cumulative[..., -1:]).sum(-1))
        heat = draw.heat(level)
        if heat == 0:
            return here.mean[picked]
        noise = draw.noise.normal([*shape, here.z], level).to(here.mean)
        scale = here.scale[picked]
        spread = (scale * noise[..., None, :]).sum(-1) if here.full else scale * noise
        return here.mean[picked] + heat * spread

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z) of z [B, Z] or [K, B, Z]: [B] or [K, B]. Only the components of the row's own label are scored."""
        lead = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        index = self.index.expand(lead).flatten()
        flat = value.expand(*lead, self.density.z).flatten(0, -2)
        out = flat.new_empty(len(flat))
        order = torch.argsort(index, stable=True)
        start = 0
        for line, count in enumerate(torch.bincount(index, minlength=len(self.density.table)).tolist()):
            for first in range(start, start + count, BLOCK):
                rows = order[first : min(first + BLOCK, start + count)]
                block = flat.new_zeros(BLOCK, self.density.z)
                block[: len(rows)] = flat[rows]
                out[rows] = score(self.density, block, line)[: len(rows)]
            start += count
        return out.view(lead)


def score(density: LabelMixture, z: Tensor, line: int) -> Tensor:
    """log p(z) under one line of the table, z [B, Z] -> [B]."""
    weight = density.table[line]
    used = torch.nonzero(weight > -math.inf)[:, 0]
    first, last = int(used[0]), int(used[-1]) + 1
    mean, inverse = density.mean[first:last], density.inverse[first:last]
    if density.full:
        stacked = inverse.flatten(0, 1)  # [m * Z, Z]
        shift = torch.einsum("mij,mj->mi", inverse, mean).flatten()
        white = torch.addmm(-shift, z, stacked.mT).unflatten(1, (-1, density.z))
    else:
        white = (z[:, None] - mean) * inverse
    constant = weight[first:last] - density.log_det[first:last] - 0.5 * density.z * math.log(2 * math.pi)
    return torch.logsumexp(constant - 0.5 * white.square().sum(-1), -1)
