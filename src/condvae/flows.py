"""A flow fitted after training to the latents under conditions of any kind: a prior head that can be inverted.

Coupling layers turn z into normals and back, given the condition (Dinh, Sohl-Dickstein, Bengio, "Density estimation
using Real NVP", 2017; Durkan, Bekasov, Murray, Papamakarios, "Neural Spline Flows", 2019; as a second stage beside a
VAE: Xiao, Yan, Amit, "Generative Latent Flow", 2019). The layers are zuko's, an optional dependency. It is fitted in
`flow_fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from condvae.errors import Refused
from condvae.trace import Condition, Draw, Drawable

BLOCK = 256  # rows that pass at once: of one size always, so that a row's arithmetic does not depend on its neighbours
DRAWS = 64  # normals, the same for every row, that mean and variance are taken over
SLOPE = 0.1  # a layer stretches a unit ten times at most: far from the training rows nothing explodes
BINS = 8  # of the splines


def zuko() -> Any:
    """The package of the coupling layers; Refused where it is not installed."""
    try:
        import zuko
    except ImportError:
        raise Refused("a flow needs zuko, which is not installed; pip install 'condvae[flow]'") from None
    return zuko


def layers_of(z: int, condition: int, affine: int, splines: int, hidden: int, seed: int) -> nn.ModuleList:
    """Coupling layers from z towards the noise: splines first, then affine ones; each keeps every other unit.

    Which units go together is drawn by the seed, as the first weights are; the global random state stays as it is.
    """
    transforms, make = zuko().transforms, zuko().flows.coupling.GeneralCouplingTransform
    spline = partial(transforms.MonotonicRQSTransform, slope=1e-2), [(BINS,), (BINS,), (BINS - 1,)]
    stretch = partial(transforms.MonotonicAffineTransform, slope=SLOPE), [(), ()]
    found = nn.ModuleList()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        order = torch.randperm(z)
        for place in range(splines + affine):
            univariate, shapes = spline if place < splines else stretch
            sides, widths = order % 2 == place % 2, (hidden, hidden)
            layer = make(z, condition, mask=sides, univariate=univariate, shapes=shapes, hidden_features=widths)
            found.append(layer)
            order = torch.randperm(z) if place % 2 else order  # after two layers every unit was moved once
    return found


class FlowDensity(nn.Module):
    """p(z | c) by coupling layers between z and normals: a prior head for conditions of any kind.

    z: the latent's width; condition: columns of the condition's vector; affine, splines: layers of each kind (at equal
    time affine ones fit 16 latents better, and draw three times as fast); hidden: width of their networks; based: z
    stands on the model's own prior, that is, the flow is of (z - mean) / deviation of p(z | c): `attach` it, after
    loading, too, for it is not saved with the flow. `FlowDensity(**m.sizes)` and the state_dict make the same density
    again. Refused without zuko.
    """

    def __init__(
        self,
        z: int,
        condition: int,
        affine: int = 6,
        splines: int = 0,
        hidden: int = 128,
        based: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.sizes: dict[str, Any] = {
            "z": z,
            "condition": condition,
            "affine": affine,
            "splines": splines,
            "hidden": hidden,
            "based": based,
        }
        self.z, self.based = z, based
        self.layers = layers_of(z, condition, affine, splines, hidden, seed)
        self.loc: Tensor
        self.scale: Tensor
        self.register_buffer("loc", torch.zeros(z))
        self.register_buffer("scale", torch.ones(z))
        self._prior: tuple[nn.Module, ...] = ()  # in a tuple, so that its weights are not taken for the flow's

    def attach(self, prior: nn.Module) -> FlowDensity:
        """Stand on this prior head from now on; it is held, not copied, and not saved."""
        self._prior = (prior,)
        return self

    def base(self, c: Condition) -> tuple[Tensor, Tensor]:
        """Mean and deviation [B, Z] by which z is standardised before the layers see it."""
        if not self.based:
            return self.loc.expand(c.rows, -1), self.scale.expand(c.rows, -1)
        if not self._prior:
            raise Refused("this flow stands on the model's own prior; give it by attach(model.prior) first")
        p = self._prior[0](c)
        mean, deviation = p.mean.float(), p.stddev.float()
        return mean + deviation * self.loc, deviation * self.scale

    def encode(self, y: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised latents [n, Z] under conditions [n, D] -> (normals [n, Z], log |d normals / d y| [n])."""
        total, told = y.new_zeros(len(y)), vector if self.sizes["condition"] else None
        for layer in self.layers:
            y, jacobian = layer(told).call_and_ladj(y)
            total = total + jacobian
        return y, total

    def decode(self, normal: Tensor, vector: Tensor) -> Tensor:
        """Normals [n, Z] -> standardised latents [n, Z]."""
        told = vector if self.sizes["condition"] else None
        for layer in reversed(self.layers):
            normal = layer(told).inv(normal)
        return normal

    def forward(self, c: Condition) -> Flowing:
        return Flowing(self, c)


class Flowing(Drawable):
    """The flow under the conditions c of B rows; z [B, Z], or [K, B, Z] once expanded."""

    def __init__(self, density: FlowDensity, c: Condition, like: Flowing | None = None, k: int = 0) -> None:
        self.density, self.vector = density, c.vector.float()
        self.c = c
        self.center, self.spread = (like.center, like.spread) if like is not None else self.based()
        super().__init__(torch.Size([k] if k else []) + torch.Size([c.rows]), torch.Size([density.z]), False)

    def __repr__(self) -> str:
        return f"Flowing(rows={list(self.batch_shape)}, z={self.density.z})"

    def expand(self, batch_shape: Sequence[int], _instance: Distribution | None = None) -> Flowing:
        return Flowing(self.density, self.c, self, batch_shape[0] if len(batch_shape) > 1 else 0)

    def based(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation [B, Z] of the base of each row."""
        if not self.density.based:
            return self.density.base(self.c)
        rows = torch.arange(self.c.rows, device=self.vector.device)
        parts = [self.density.base(self.c[block]) for block in padded(rows)]
        empty = self.vector.new_zeros(0, self.density.z)
        mean, deviation = (torch.cat([empty, *(part[side] for part in parts)])[: len(rows)] for side in (0, 1))
        return mean, deviation

    def through(self, pass_of: Callable[[Tensor, Tensor], tuple[Tensor, ...]], value: Tensor) -> tuple[Tensor, ...]:
        """A pass of the layers over value [..., B, Z], in blocks of one size; each output as [..., B, *]."""
        lead = value.shape[:-1]
        flat = value.reshape(-1, value.shape[-1])
        row = torch.arange(self.c.rows, device=flat.device).expand(lead).flatten()
        outs: list[tuple[Tensor, ...]] = []
        with torch.autocast(flat.device.type, enabled=False):  # in half precision a density would lose whole nats
            for block in padded(torch.arange(len(flat), device=flat.device)):
                outs.append(pass_of(flat[block], self.vector[row[block]]))
        if not outs:
            return value, value.sum(-1)
        return tuple(torch.cat(parts)[: len(flat)].unflatten(0, lead) for parts in zip(*outs, strict=True))

    def noise(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The normals [..., B, Z] that give z [..., B, Z], and log |d normals / d z| [..., B]."""
        normal, jacobian = self.through(self.density.encode, (z.float() - self.center) / self.spread)
        return normal, jacobian - self.spread.log().sum(-1)

    def of_noise(self, normal: Tensor) -> Tensor:
        """z [..., B, Z] of normals."""
        (y,) = self.through(lambda n, vector: (self.density.decode(n, vector),), normal)[:1]
        return self.center + self.spread * y

    def from_noise(self, draw: Draw, level: int) -> Tensor:
        """temperature * normals, through the layers; temperature 0 = what no noise gives, near a mode."""
        shape, heat = self.batch_shape + self.event_shape, draw.heat(level)
        if heat == 0:
            return self.of_noise(self.vector.new_zeros(shape))
        return self.of_noise(heat * draw.noise.normal(shape, level).to(self.vector))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z | c) of z [B, Z] or [K, B, Z]: [B] or [K, B]."""
        normal, jacobian = self.noise(value.expand(*torch.broadcast_shapes(value.shape[:-1], self.batch_shape), -1))
        return log_normal(normal) + jacobian

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance [B, Z] over DRAWS fixed draws, half of them the other half mirrored: an approximation."""
        half = torch.randn(DRAWS // 2, self.density.z, generator=torch.Generator().manual_seed(0)).to(self.vector)
        normal = torch.cat([half, -half])[:, None].expand(-1, self.c.rows, -1)
        z = self.of_noise(normal)
        return z.mean(0), z.var(0)

    @property
    def mean(self) -> Tensor:
        """[B, Z], over a fixed set of draws."""
        return self.moments()[0]

    @property
    def variance(self) -> Tensor:
        """[B, Z], over a fixed set of draws."""
        return self.moments()[1]


def log_normal(normal: Tensor) -> Tensor:
    """log density of standard normals [..., Z]: [...]."""
    return -0.5 * (normal.square() + torch.tensor(2 * torch.pi).log().to(normal)).sum(-1)


def padded(rows: Tensor) -> list[Tensor]:
    """Row numbers in blocks of BLOCK, the last one padded by its last row."""
    parts = rows.split(BLOCK) if len(rows) else ()
    return [torch.cat([part, part[-1:].expand(BLOCK - len(part))]) for part in parts]
