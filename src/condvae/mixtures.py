"""The mixture of Gaussians fitted to the latents, component by component: a picture of each mean, and draws from it.

A VAE is an infinite mixture, p(x) = integral of p(x | z) p(z) dz; where p(z) is itself a mixture of Gaussians, as in
`densities` and `joint`, each of them is a kind of picture with a weight of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condvae.densities import LabelMixture
from condvae.errors import Refused
from condvae.joint import JointMixture
from condvae.learned import Asked, Columns, Learned, chunks, open_fields, requests, seed_in, whole
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.passes import store
from condvae.trace import Condition, Draw

__all__ = ["Components", "components"]


@dataclass(frozen=True)
class Components:
    """The heaviest components of a mixture under one condition, m of `count`.

    weights [m] float64, falling, of all components together 1; means [m, C, H, W]: the picture of each mean; images
    [m, n, C, H, W]: draws from each; z [m, 1 + n, Z]: their latents, the mean's first. Pictures are float32 in [0, 1].
    """

    weights: np.ndarray
    means: np.ndarray
    images: np.ndarray
    z: np.ndarray
    count: int


def components(learned: Learned, asked: Asked | None = None, n: int = 8, most: int = 8, seed: int = 0) -> Components:
    """The components of the fitted density under what is asked, the heaviest first: `most` of them, n draws from each.

    asked: one value a field; a field that has no blank input must be asked for. Of a joint density each component is
    conditioned on what is known. Draw j of component i (in this order) is a function of (seed, i, j).

    Refused where no density was fitted, for a list of values, a partial picture, or what cannot be used.
    """
    n, most, seed = whole(n, "n", 1), whole(most, "most", 1), seed_in(seed)
    columns = one_condition(learned, asked)
    fitted: Any = learned.fitted
    with evaluating(learned.model):
        c = learned.condition(columns, np.zeros(1, int))
        weight, mean, scale = fitted(Condition(c.vector)).components()
        order = torch.argsort(weight, descending=True, stable=True)[:most]
        names = np.stack(np.divmod(np.arange(len(order) * n), n), 1)
        normal = RowNoise(seed, names, mean.device).normal([len(names), mean.shape[1]], 0).to(mean)
        offsets = (scale[order].repeat_interleave(n, 0) @ normal[:, :, None])[:, :, 0]
        draws = mean[order].repeat_interleave(n, 0) + offsets
        means = decoded(learned, columns, mean[order], names[::n], seed, 0.0)
        images = decoded(learned, columns, draws, names, seed, 1.0)
    z = torch.cat([mean[order][:, None], draws.unflatten(0, (-1, n))], 1)
    shares = (weight[order].double() / weight.double().sum()).cpu().numpy()
    return Components(shares, means, images.reshape(-1, n, *learned.shape), z.float().cpu().numpy(), len(weight))


def one_condition(learned: Learned, asked: Asked | None) -> Columns:
    """What is asked as columns of one row; Refused where there is no mixture of its latents."""
    if not hasattr(learned.model, "with_prior"):
        raise Refused(
            "components are those of a mixture fitted to the latents, and none is where pictures are drawn in steps"
        )
    if not isinstance(learned.fitted, LabelMixture | JointMixture):
        raise Refused(
            "components are those of the mixture fitted to the latents, and this run has none; train with "
            "density='auto' (--density auto), and a model that fills holes with holes='any'"
        )
    columns, _, listed = requests(learned.schema, asked)
    if listed:
        raise Refused("components are shown of one condition; give one value a field, not a list")
    picture = learned.schema.picture
    if picture is not None and not picture.unknown(columns[picture.name])[0]:
        raise Refused(f"the mixture is of pictures of which nothing is seen; leave {picture.name} out")
    for field in open_fields(learned.schema, columns, [0]):
        raise Refused(f"components need {field.name}, such as {field.example}; got None")
    return columns


def decoded(
    learned: Learned, columns: Columns, z: Tensor, names: np.ndarray, seed: int, temperature: float
) -> np.ndarray:
    """Pictures [N, C, H, W] of values z [N, Z] of the first code; what noise is left is of the rows' names."""
    out = np.empty((len(z), *learned.shape), np.float32)
    for rows, kept in chunks(len(z)):
        draw = Draw(RowNoise(seed, names[rows], learned.device), temperature)
        c = learned.condition(columns, np.zeros(len(rows), int))
        given = learned.model(c, draw=draw).coded(z[torch.from_numpy(rows)].to(learned.device))
        store(out, kept, learned.model(c, z=given, draw=draw), draw)
    return out
