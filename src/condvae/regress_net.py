"""The regressor's network, what it reads, its card, and the file that it is kept in: a judge of numbers."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from condvae.images import Images
from condvae.judge_net import Trunk, fingerprint, stored_network
from condvae.names import counted

__all__ = ["Regressor", "RegressorCard", "RegressorReading", "number_fingerprint"]

FORMAT = "condvae regressor 1"


@dataclass(frozen=True, slots=True)
class RegressorReading:
    """What a regressor read: numbers [N, D] float64 in the data's own units, features [N, 128] float32."""

    numbers: np.ndarray
    features: np.ndarray


@dataclass(frozen=True, slots=True)
class RegressorCard:
    """What a regressor was trained on and how well it reads real pictures.

    data: the collection's name; field: the number's name; mean, deviation: of the known training numbers, D each;
    shape: [C, H, W]; fingerprint: of the training images and numbers; tested: real images that it never saw and whose
    numbers are known; absolute, square: its mean absolute and root mean squared error on them, D each, in the data's
    units; tested_on: their fingerprint; held_out: whether they were kept back from the training part, for want of a
    test part.
    """

    data: str
    field: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    shape: tuple[int, int, int]
    fingerprint: str = ""
    tested: int = 0
    absolute: tuple[float, ...] = ()
    square: tuple[float, ...] = ()
    tested_on: str = ""
    held_out: bool = False

    def sentence(self) -> str:
        which = "held-out training" if self.held_out else "test"
        if not self.tested:
            return f"regressor: it reads {self.field} of the real images of {self.data}; how well is not known"
        errors = " and ".join(f"{error:.3g}" for error in self.absolute)
        return (
            f"regressor: trained on the real training images of {self.data} alone, it reads {self.field} of "
            f"{counted(self.tested, f'real {which} image')} with a mean absolute error of {errors}"
        )


class Regressor(Trunk):
    """A small convolutional network that reads D numbers off pictures [N, C, H, W] in [0, 1]."""

    def __init__(self, card: RegressorCard) -> None:
        super().__init__(card.shape, len(card.mean))
        self.card = card

    def read(self, x: object) -> RegressorReading:
        """Read pictures, anything that `as_images` takes, a chunk at a time.

        Raises:
            Refused: pictures of another size or number of channels than those it was trained on.
        """
        outputs, features = self.looked(x)
        numbers = outputs.double().numpy() * np.asarray(self.card.deviation) + np.asarray(self.card.mean)
        return RegressorReading(numbers, features.numpy())

    def tested(self, x: Images, column: np.ndarray, held_out: bool = False) -> Regressor:
        """The regressor itself, its card renewed by its errors on real images that it never saw; column [N, D], NaN =
        unknown.
        """
        error = self.read(x).numbers - column
        known = int((~np.isnan(column)).any(1).sum())
        self.card = replace(
            self.card,
            tested=known,
            absolute=_means(np.abs(error)) if known else (),
            square=tuple(math.sqrt(one) for one in _means(error**2)) if known else (),
            tested_on=number_fingerprint(x, column, self.card.field),
            held_out=held_out,
        )
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and card to `path` as safetensors, whole or not at all; matrices as float16."""
        self.write(path, {"format": FORMAT, "card": json.dumps(asdict(self.card))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Regressor:
        """Read a regressor that `save` wrote.

        Raises:
            Refused: the file is missing, truncated, or no regressor of this version.
        """
        return stored_network(path, FORMAT, "regressor", lambda card: cls(_card(card)))


def _means(values: np.ndarray) -> tuple[float, ...]:
    """The mean of what is known of each column of [N, D]; 0 where nothing is."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(0)
    return tuple(float(total / max(1, count)) for total, count in zip(sums, known.sum(0), strict=True))


def _card(data: dict[str, Any]) -> RegressorCard:
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return RegressorCard(**plain)


def number_fingerprint(x: Images, column: np.ndarray, field: str) -> str:
    """SHA-256 of pictures, as 8 bits a pixel, and their numbers [N, D], NaN = unknown."""
    digest = hashlib.sha256(fingerprint(x, np.zeros(0, np.int64), ("number", field)).encode())
    plain = np.where(np.isnan(column), np.nan, column) + 0.0  # one NaN, and one zero
    digest.update(json.dumps(list(column.shape)).encode() + np.ascontiguousarray(plain, dtype="<f8").tobytes())
    return digest.hexdigest()
