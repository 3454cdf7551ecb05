"""A density fitted after training to latents and conditions together, so that whatever is known may be asked of it.

A mixture over z, the numbers u and the labels l, p(z, u, l) = sum_k w_k N([z; u]; m_k, S_k) prod_j Cat(l_j; pi_kj).
Given what a row knows, p(z | known) is again a mixture of Gaussians, exactly: unknown numbers and labels drop out, the
known ones weigh the components, and each Gaussian is conditioned on the known numbers (Ghahramani & Jordan, "Supervised
learning from incomplete data via an EM approach", 1994; Bishop, "Pattern Recognition and Machine Learning", 2006,
section 2.3.1). Where there are so many combinations of labels that few have rows enough, labels are heard as numbers
instead (`layout_of`), whose effects on z add up within a component. It is fitted in `joint_fit`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from condvae.conditioning import Part, condition_on
from condvae.conditions import Label, Number, Schema
from condvae.densities import BLOCK, TYPICAL
from condvae.trace import Condition, Draw, Drawable

# Components that the labels alone make so many nats less likely than the best are left out: a label that was fitted by
# itself is drawn from its own components only, whatever number is asked with it, and is scored as fast.
CUT = 20.0
HOT = 2.0  # what a hot label's column holds where it is so: its deviation is then near a number's
HELD = 2**26  # numbers held of conditioned components, some 256 MiB: what was asked for longest ago goes first


def layout_of(schema: Schema, pure: bool = True) -> list[dict[str, Any]]:
    """Where the labels and numbers of a schema stand in the condition's vector, as plain data that a run can store.

    One dict a field: kind "label", "hot" or "number"; start, size: its columns; optional: whether known-flags follow
    them. pure: labels are labels; else they are "hot", their columns being heard as numbers.
    """
    named = "label" if pure else "hot"
    kinds = ((field, named if isinstance(field, Label) else "number") for field in schema.fields)
    spans = ((field, kind, schema.slice(field.name)) for field, kind in kinds if isinstance(field, Label | Number))
    return [
        {"kind": kind, "start": span.start, "size": span.stop - span.start, "optional": field.optional}
        for field, kind, span in spans
    ]


class JointMixture(nn.Module):
    """p(z | whatever of the labels and numbers is known): a prior head, by conditioning one mixture over all of them.

    z: the latent's width; layout: as `layout_of` gives it, with J labels and U numbers in all, columns of hot labels
    among them (of K values K columns, of two one; 0 or HOT); components: M. Every weight is a buffer:
    `JointMixture(**m.sizes)` and the state_dict make the same density again.

    mean [M, Z + U] of [z; u], u standardised as in the condition; factor: packed lower triangles of the covariances;
    log_weight [M]; log_label [M, values of all labels]: log pi; coarse [M]: which components are of a coarse mixture;
    low, high [U]: the training range of u. A number beyond it is heard as its end: a regression does not know more.
    """

    def __init__(self, z: int, layout: Sequence[Mapping[str, Any]], components: int) -> None:
        super().__init__()
        self.sizes: dict[str, Any] = {"z": z, "layout": [dict(field) for field in layout], "components": components}
        self.z = z
        self.labels = [field for field in layout if field["kind"] == "label"]
        self.numbers = [field for field in layout if field["kind"] != "label"]
        values = sum(int(field["size"]) for field in self.labels)
        width = sum(int(f["size"]) - (f["kind"] == "hot" and f["size"] == 2) for f in self.numbers)
        wide = z + width
        self.mean: Tensor
        self.factor: Tensor
        self.log_weight: Tensor
        self.log_label: Tensor
        self.coarse: Tensor
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("mean", torch.zeros(components, wide))
        rows, columns = torch.tril_indices(wide, wide)
        self.register_buffer("factor", (rows == columns).float().repeat(components, 1))
        self.register_buffer("log_weight", torch.full((components,), -math.log(components)))
        self.register_buffer("log_label", torch.zeros(components, values))
        self.register_buffer("coarse", torch.ones(components, dtype=torch.bool))
        self.register_buffer("low", torch.full((width,), -math.inf))
        self.register_buffer("high", torch.full((width,), math.inf))
        self.parts: OrderedDict[tuple[tuple[int, ...], tuple[int, ...]], Part] = OrderedDict()
        self.register_load_state_dict_post_hook(lambda module, _: module.parts.clear())

    def _apply(self, fn, recurse=True):
        """Moved to another device: what was conditioned there stays there, so it is worked out again."""
        self.parts.clear()
        return super()._apply(fn, recurse)

    def heard(self, c: Condition) -> tuple[Tensor, Tensor]:
        """What the rows of a condition say: labels [B, J], -1 = unknown, and numbers [B, U], NaN = unknown."""
        vector = c.vector.float()
        labels = [vector[:, f["start"] : f["start"] + f["size"]] for f in self.labels]
        index = [torch.where(hot.amax(1) > 0, hot.argmax(1), -1) for hot in labels]
        numbers: list[Tensor] = []
        for f in self.numbers:
            first, size = f["start"], f["size"]
            value = vector[:, first : first + size]
            if f["kind"] == "hot":
                value = HOT * value[:, int(size == 2) :].masked_fill(value.amax(1, keepdim=True) <= 0, math.nan)
            elif f["optional"]:
                value = value.masked_fill(vector[:, first + size : first + 2 * size] < 0.5, math.nan)
            numbers.append(value)
        none = vector[:, :0]
        return (
            torch.stack(index, 1) if index else none.long(),
            torch.cat([none, *numbers], 1).clamp(self.low, self.high),  # NaN stays NaN
        )

    def told(self, labels: Tensor) -> Tensor:
        """log weight of each component given the labels [n, J], up to a constant: [n, M]."""
        total, first = self.log_weight.expand(len(labels), -1), 0
        for index, field in zip(labels.T, self.labels, strict=True):
            table = self.log_label[:, first : first + field["size"]].T
            total = total + torch.where(index[:, None] >= 0, table[index.clamp_min(0)], 0.0)
            first += field["size"]
        return total

    @torch.no_grad()
    def part(self, labels: tuple[int, ...], known: tuple[int, ...]) -> Part:
        """The components that may be drawn under these labels (-1 = unknown), given the numbers at `known`."""
        key = labels, known
        if key in self.parts:
            self.parts.move_to_end(key)
            return self.parts[key]
        told = self.told(torch.tensor([labels], dtype=torch.long, device=self.mean.device))[0] - self.log_weight
        own = torch.nonzero(told >= told.max() - CUT)[:, 0]
        found = condition_on(self.z, known, own, self.coarse, self.mean, self.factor)
        self.parts[key] = found
        while len(self.parts) > 1 and sum(part.scale.numel() for part in self.parts.values()) > HELD // 4:
            self.parts.popitem(last=False)
        return found

    def forward(self, c: Condition) -> Conditioned:
        labels, u = self.heard(c)
        table, which = torch.unique(torch.cat([labels, (~u.isnan()).long()], 1), dim=0, return_inverse=True)
        wide = labels.shape[1]
        parts = [
            self.part(tuple(line[:wide]), tuple(place for place, flag in enumerate(line[wide:]) if flag))
            for line in table.tolist()
        ]
        return Conditioned(self, parts, which, u, self.told(labels))

    @torch.no_grad()
    def typical(self, z: Tensor, c: Condition, radius: float = TYPICAL) -> Tensor:
        """The point nearest to z [B, Z] that is typical of what c asks: [B, Z].

        Of the coarse components that weigh most under c, the one nearest in its own metric is taken, and z drawn
        towards its mean until its distance is `radius` times the root of Z, the distance at which most draws of a
        Normal lie; a z that is nearer stays where it is. Rows of which nothing is known stay, too.
        """
        p, out = self(c), z.clone()
        labels, u = self.heard(c)
        asked = (labels >= 0).any(1) | ~u.isnan().all(1)
        for part, block, given, rows in p.blocks(p.batch_shape):
            moved = part.typical(z[block].float(), *given, radius)[: len(rows)]
            out[rows] = torch.where(asked[rows, None], moved.to(z), z[rows])
        return out


class Conditioned(Drawable):
    """The mixture of each row given what it knows; z [B, Z], or [K, B, Z] once expanded.

    which [B]: the row's part; u [B, U]: its numbers, NaN = unknown; log_weight [B, M]: of the components given labels.
    """

    def __init__(
        self,
        density: JointMixture,
        parts: Sequence[Part],
        which: Tensor,
        u: Tensor,
        log_weight: Tensor,
        shape: Sequence[int] | None = None,
    ) -> None:
        self.density, self.parts, self.which, self.u, self.log_weight = density, parts, which, u, log_weight
        rows = torch.Size(which.shape if shape is None else shape)
        super().__init__(rows, torch.Size([density.z]), validate_args=False)

    def __repr__(self) -> str:
        return f"Conditioned(rows={list(self.batch_shape)}, z={self.density.z})"

    def expand(self, batch_shape: Sequence[int], _instance: Distribution | None = None) -> Conditioned:
        return Conditioned(self.density, self.parts, self.which, self.u, self.log_weight, batch_shape)

    def blocks(self, lead: Sequence[int]) -> Iterator[tuple[Part, Tensor, tuple[Tensor, Tensor], Tensor]]:
        """(part, block, (its numbers, its log weights), rows) over the flattened rows of a shape [K, B] or [B].

        Rows of one part at a time, padded to blocks of one size: a row's arithmetic does not depend on its neighbours.
        """
        place = torch.arange(len(self.which), device=self.which.device).expand(lead).flatten()
        which = self.which[place]
        order, start = torch.argsort(which, stable=True), 0
        for part, count in zip(self.parts, torch.bincount(which, minlength=len(self.parts)).tolist(), strict=True):
            for rows in order[start : start + count].split(BLOCK) if count else ():
                block = torch.cat([rows, rows[-1:].expand(BLOCK - len(rows))])
                at = place[block][:, None]
                yield part, block, (self.u[at, part.known], self.log_weight[at, part.own]), rows
            start += count

    def components(self, row: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """The Gaussians of one row: weights [m], means [m, Z], roots of the covariances, lower triangles [m, Z, Z]."""
        part, here = self.parts[int(self.which[row])], slice(row, row + 1)
        u = self.u[here, part.known]
        return part.weigh(u, self.log_weight[here, part.own])[0].exp(), part.means(u)[0], part.scale

    def from_noise(self, draw: Draw, level: int) -> Tensor:
        """One uniform picks the component, then mean + temperature * scale @ normal; temperature 0 = its mean."""
        shape, z, heat = self.batch_shape, self.density.z, draw.heat(level)
        uniform = draw.noise.uniform([*shape, 1], level).to(self.u).view(-1, 1)
        noise = draw.noise.normal([*shape, z], level).to(self.u).view(-1, z) if heat else None
        out = self.u.new_empty(len(uniform), z)
        for part, block, (u, log_weight), rows in self.blocks(shape):
            picked = part.pick(u, log_weight, uniform[block])
            value = part.mean(picked, u)
            if noise is not None:
                value = value + heat * (part.scale[picked] * noise[block][:, None]).sum(-1)
            out[rows] = value[: len(rows)]
        return out.view(*shape, z)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z | what is known) of z [B, Z] or [K, B, Z]: [B] or [K, B]."""
        lead = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        flat = value.expand(*lead, -1).flatten(0, -2).float()
        out = flat.new_empty(len(flat))
        for part, block, given, rows in self.blocks(lead):
            out[rows] = part.score(flat[block], *given)[: len(rows)]
        return out.view(lead)

    def moments(self) -> tuple[Tensor, Tensor]:
        mean, variance = (self.u.new_empty(len(self.u), self.density.z) for _ in range(2))
        for part, _, given, rows in self.blocks(self.which.shape):
            mean[rows], variance[rows] = (each[: len(rows)] for each in part.moments(*given))
        return mean, variance

    @property
    def mean(self) -> Tensor:
        """The mixture's mean, [B, Z]."""
        return self.moments()[0]

    @property
    def variance(self) -> Tensor:
        """The variance of each unit, [B, Z]."""
        return self.moments()[1]
