"""All that passes between the rooms: what is asked (Condition), a batch, how noise enters (Draw), and the Trace.

A model is one pass, `model(c, x=None, z=None, draw=Draw())`, which returns a Trace: the latents settled on the way
and the distribution of x. Training, every task and every measure read the Trace and ask nothing else of a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from condvae.noise import Noise, Stream

Role = Literal["code", "label", "auxiliary"]


@dataclass(frozen=True, slots=True)
class Looked:
    """What a model read of pictures under a condition, `Model.look`: a pass takes it in the pictures' place.

    Each model that reads once what many passes need adds what that is, of B rows; it never depends on noise.
    """


Shown = Tensor | Looked  # pictures [B, C, H, W], or what `Model.look` made of them


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked, as tensors: `vector` [N, D]; D = 0 where there is nothing to ask for.

    picture: of an image of which a part is known, [N, C + 1, H, W]: pixels in [0, 1], zeroed where they are hidden, and
    1 where they are seen; None where the model takes no partial image.
    """

    vector: Tensor
    picture: Tensor | None = None

    @property
    def rows(self) -> int:
        return self.vector.shape[0]

    @property
    def width(self) -> int:
        return self.vector.shape[1]

    @property
    def hidden(self) -> Tensor | None:
        """1 where a pixel is not given, [N, 1, H, W]: only these are scored; None = all."""
        return None if self.picture is None else 1 - self.picture[:, -1:]

    def __getitem__(self, index: Tensor | slice) -> Condition:
        return Condition(self.vector[index], None if self.picture is None else self.picture[index])

    def repeat(self, k: int) -> Condition:
        """K copies of the vector one after the other, [K * N, D]: row n of copy k is at k * N + n.

        The picture is not repeated: networks read it once a row, and repeat what they made of it.
        """
        return self if k == 1 else Condition(self.vector.repeat(k, 1), self.picture)

    def filled(self, span: slice, values: Tensor) -> Condition:
        """With these values [N, D] in some columns of the vector."""
        vector = self.vector.clone()
        vector[:, span] = values.to(vector)
        return Condition(vector, self.picture)

    def beside(self, more: Tensor | None) -> Condition:
        """With more columns [N, D] after the vector's own; None adds nothing."""
        return self if more is None else Condition(torch.cat([self.vector, more.to(self.vector)], 1), self.picture)

    def to(self, device: torch.device | str) -> Condition:
        return Condition(self.vector.to(device), None if self.picture is None else self.picture.to(device))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to learn from: x [B, C, H, W] in [0, 1], c of B rows, weight [B] (undoes over-sampling) or None for ones."""

    x: Tensor
    c: Condition
    weight: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """How noise enters a pass: its source, the temperature (one, or one a code in order; 0 = the mean) and K samples a
    row."""

    noise: Noise = field(default_factory=Stream)
    temperature: float | tuple[float, ...] = 1.0
    k: int = 1

    def heat(self, level: int) -> float:
        """The temperature at a level of noise.

        Where each code has its own, what is drawn after the codes, at a level beyond theirs (the pixels of an
        autoregressive head, the cells of a row), has that of the last one.
        """
        if isinstance(self.temperature, int | float):
            return self.temperature
        return self.temperature[min(level, len(self.temperature) - 1)]


@dataclass(frozen=True, slots=True)
class Latent:
    """One settled latent: prior p, posterior q (None where x was not given), value z [B, ...] or [K, B, ...].

    role: "code" for what a picture is made from; "label" for an inferred label, a one-hot vector, which the condition
    goes before; "auxiliary" for one that only sharpens the posterior, and is settled where x is given alone.
    """

    p: Distribution
    q: Distribution | None
    z: Tensor
    role: Role = "code"


@dataclass(frozen=True, slots=True)
class Settled:
    """The latents of a pass, in the order of settling."""

    latents: tuple[Latent, ...]

    @property
    def z(self) -> tuple[Tensor, ...]:
        return tuple(latent.z for latent in self.latents)

    @property
    def codes(self) -> tuple[Latent, ...]:
        """The latents that a picture is made from, beside the condition."""
        return tuple(latent for latent in self.latents if latent.role == "code")

    def coded(self, *codes: Tensor | None) -> tuple[Tensor | None, ...]:
        """z with these codes, the first ones, and what is left to be drawn: what a pass is given."""
        rest = iter(codes)
        return tuple(next(rest, None) if latent.role == "code" else None for latent in self.latents)


@dataclass(frozen=True, slots=True)
class Trace(Settled):
    """What a pass leaves: its latents in the order of settling, and the distribution of x given them.

    `x` is a `heads.Pixels`: `log_prob(x, seen)` [K * B] and `picture(draw)`. `k` is the number of samples a row;
    `scored` [B, 1, H, W] is 1 where a pixel is to be scored, None = all of them: what was given is not.
    """

    x: Distribution
    k: int = 1
    scored: Tensor | None = None


class Drawable(Distribution, ABC):
    """A distribution of the house that knows how to draw itself from given noise."""

    @abstractmethod
    def from_noise(self, draw: Draw, level: int) -> Tensor:
        """A draw that is a function of this noise at this level."""


def settle(prior: Distribution, posterior: Distribution | None, given: Tensor | None, draw: Draw, level: int) -> Latent:
    """The only switch between training, sampling and decoding: the given z, else the posterior's, else the prior's."""
    if draw.k > 1:
        prior = prior.expand((draw.k, *prior.batch_shape))
        posterior = posterior.expand((draw.k, *posterior.batch_shape)) if posterior is not None else None
    z = given if given is not None else sample(posterior if posterior is not None else prior, draw, level)
    return Latent(prior, posterior, z)


def sample(distribution: Distribution, draw: Draw, level: int) -> Tensor:
    """A reparameterised draw with given noise (torch.distributions takes no generator): mean + temperature * noise."""
    if isinstance(distribution, Drawable):
        return distribution.from_noise(draw, level)
    normal = distribution.base_dist if isinstance(distribution, Independent) else distribution
    if not isinstance(normal, Normal):
        raise TypeError(f"no rule to draw from a {type(distribution).__name__} with given noise")
    heat = draw.heat(level)
    if heat == 0:
        return normal.loc
    noise = draw.noise.normal(normal.loc.shape, level).to(normal.loc)
    return normal.loc + (normal.scale * heat if heat != 1 else normal.scale) * noise


def carried(trace: Settled) -> tuple[list[Tensor], list[Tensor | None]]:
    """What another condition can take over of a pass, code by code: the noise that gives z under its prior, a Normal,
    (z - mean) / sigma in z's shape, and None; or zeros, and z itself where the prior is no Normal."""
    noises: list[Tensor] = []
    codes: list[Tensor | None] = []
    for code in trace.codes:
        normal = code.p.base_dist if isinstance(code.p, Independent) else code.p
        plain = isinstance(normal, Normal)
        noises.append((code.z - normal.loc) / normal.scale if plain else torch.zeros_like(code.z))
        codes.append(None if plain else code.z)
    return noises, codes


def given_z(z: Sequence[Tensor | None] | None, level: int) -> Tensor | None:
    """The z asked for at a level, None where it is to be drawn."""
    return None if z is None else z[level]


def copies(distribution: Distribution, k: int) -> Distribution:
    """A diagonal Normal of K * B rows as one of [K, B]; of one sample a row as it is."""
    if k == 1:
        return distribution
    assert isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal)
    normal = distribution.base_dist
    loc, scale = (values.unflatten(0, (k, -1)) for values in (normal.loc, normal.scale))
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


def samples_in(z: Sequence[Tensor | None] | None) -> int | None:
    """How many samples a row are given, K of z [K, B, Z]; None where nothing is given, or one a row."""
    first = next((one for one in z or () if one is not None), None)
    return None if first is None or first.dim() < 3 else len(first)
