"""The field of numbers that may be asked for: one real value, or a vector of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from condvae.errors import Refused
from condvae.fields import listed
from condvae.names import label_name

KNOTS = 33  # quantiles kept of a number
POINTS = 16  # values of an unknown number that are summed over
WILD = 1e6  # deviations from the mean beyond which a number is a mistake: networks would overflow
NAMED = 3  # numbers outside the range of training that a warning names


@dataclass(frozen=True)
class Number:
    """One real value, or a vector of D. Encoded standardised [N, D], with D known-flags where it may be left out.

    mean, deviation, low, high: of the known training values, D each; quantiles: D tuples of 33, from the least to the
    greatest; whole: all of them are whole numbers; optional: training saw rows without it.
    """

    kind: ClassVar[str] = "number"
    name: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    quantiles: tuple[tuple[float, ...], ...]
    whole: bool = False
    optional: bool = False

    @classmethod
    def learn(cls, name: str, values: np.ndarray, optional: bool = False) -> Number:
        """The field that these training values [N, D] (NaN = unknown) describe; Refused where one is constant."""
        values = np.asarray(values, np.float64)
        known = [column[~np.isnan(column)] for column in values.T]
        for place, column in enumerate(known):
            which = f"{name!r}" if len(known) == 1 else f"entry {place} of {name!r}"
            if len(column) == 0 or column.min() == column.max():
                found = f"only {column[0]:g}" if len(column) else "no known value at all"
                raise Refused(f"{which} must hold at least two different numbers, found {found}; leave the field out")
        spots = np.linspace(0, 1, KNOTS)
        return cls(
            name,
            tuple(float(column.mean()) for column in known),
            tuple(float(column.std()) for column in known),
            tuple(float(column.min()) for column in known),
            tuple(float(column.max()) for column in known),
            tuple(tuple(np.quantile(column, spots).tolist()) for column in known),
            all(bool((column == np.round(column)).all()) for column in known),
            optional or bool(np.isnan(values).any()),
        )

    @property
    def size(self) -> int:
        """D, how many numbers an entry holds."""
        return len(self.mean)

    @property
    def width(self) -> int:
        return self.size * (1 + self.optional)

    @property
    def example(self) -> str:
        return ":".join(f"{mean:.0f}" if self.whole else f"{mean:.3g}" for mean in self.mean)

    def many(self, asked: Any) -> bool:
        """Whether `asked` is a list of values.

        Of a vector of D, a list that holds a list is one; D entries that are numbers, text of one number each or None
        are one vector, [None, None] a wholly unknown one; other lists that hold a None or a text are lists of vectors.
        """
        if isinstance(asked, str) or not listed(asked):
            return False
        if self.size == 1 or any(listed(one) for one in asked):
            return True
        if len(asked) == self.size and not any(isinstance(one, str) and ":" in one for one in asked):
            return False
        return any(one is None or isinstance(one, str) for one in asked)

    def index(self, asked: Sequence[Any]) -> np.ndarray:
        """The numbers asked for, float64 [N, D], NaN where unknown; Refused where one is no number."""
        if isinstance(asked, np.ndarray) and asked.dtype.kind in "fiu" and asked.size == len(asked) * self.size:
            return self.checked(asked.reshape(len(asked), self.size).astype(np.float64))
        return self.checked(np.asarray([self.entry(one) for one in asked], np.float64).reshape(-1, self.size))

    def entry(self, asked: Any) -> list[float]:
        """One entry, D numbers: from a number, a list, or text such as "0.3" or "0.3:1"."""
        told = asked.split(":") if isinstance(asked, str) else list(asked) if listed(asked) else [asked]
        parts: list[Any] = [None if one_of_blanks(part) else part for part in told]
        if len(parts) == 1 and missing(parts[0]):
            return [math.nan] * self.size
        if len(parts) != self.size:
            raise Refused(f"{self.name} holds {self.size} number(s) an entry; got {len(parts)}")
        found: list[float] = []
        for part in parts:
            try:
                found.append(math.nan if missing(part) else float(part))
            except (TypeError, ValueError):
                raise Refused(f"{self.name} is a number, {self.range_words()}; got {part!r}") from None
        return found

    def checked(self, column: np.ndarray) -> np.ndarray:
        if np.isinf(column).any():
            raise Refused(f"{self.name} must be a finite number, {self.range_words()}; got infinity")
        if (wild := np.abs(self.standardised(column)) > WILD).any():
            raise Refused(f"{self.name} must be a number near {self.range_words()}; got {column[wild][0]:g}")
        return column

    def range_words(self) -> str:
        return "and ".join(f"{low:g} to {high:g} in training" for low, high in zip(self.low, self.high, strict=True))

    def beyond(self, column: np.ndarray) -> str | None:
        """A sentence where entries lie outside the range that training saw, with all of them; None where none does."""
        with np.errstate(invalid="ignore"):
            outside = (column < np.asarray(self.low)) | (column > np.asarray(self.high))
        told: list[str] = []
        for place in np.flatnonzero(outside.any(0)):
            strange = [f"{one:g}" for one in dict.fromkeys(column[outside[:, place], place].tolist())]
            more = f" and {len(strange) - NAMED} more" if len(strange) > NAMED else ""
            name = self.name if self.size == 1 else f"{self.name}[{place}]"
            lies = "lies" if len(strange) == 1 else "lie"
            told.append(
                f"{name} was within {self.low[place]:g} to {self.high[place]:g} in training; "
                f"{', '.join(strange[:NAMED])}{more} {lies} outside, where the model guesses"
            )
        return "; ".join(told) or None

    def blank(self, rows: int) -> np.ndarray:
        return np.full((rows, self.size), np.nan)

    def unknown(self, column: np.ndarray) -> np.ndarray:
        """Which rows hold anything unknown, bool [N]."""
        return np.isnan(column).any(axis=1)  # pyright: ignore[reportReturnType]

    def filled(self, column: np.ndarray, by: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(column), by, column)

    def drawn(self, uniform: np.ndarray) -> np.ndarray:
        """Values drawn from the training values' own distribution, each number by itself, from uniforms [N, D]."""
        spots = np.linspace(0, 1, KNOTS)
        columns = [np.interp(uniform[:, place], spots, knots) for place, knots in enumerate(self.quantiles)]
        return self.rounded(np.stack(columns, 1))

    def rounded(self, column: np.ndarray) -> np.ndarray:
        return np.round(column) if self.whole else column

    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """16 equally likely values of a number; of a vector, 16 draws of all its entries together."""
        middle = (np.arange(POINTS) + 0.5) / POINTS
        if self.size == 1:
            uniform = middle[:, None]
        else:  # a fixed Latin hypercube
            order = np.random.default_rng(0)
            uniform = np.stack([order.permutation(middle) for _ in range(self.size)], 1)
        return self.drawn(uniform), np.full(POINTS, -math.log(POINTS))

    def standardised(self, column: np.ndarray) -> np.ndarray:
        return (column - np.asarray(self.mean)) / np.asarray(self.deviation)

    def encode(self, column: np.ndarray) -> torch.Tensor:
        """[N, D], NaN = unknown -> float32 [N, width]."""
        known = ~np.isnan(column)
        value = np.where(known, self.standardised(column), 0.0)
        return torch.from_numpy(np.concatenate([value, known] if self.optional else [value], 1).astype(np.float32))

    def text(self, column: np.ndarray) -> list[str]:
        return [":".join("" if math.isnan(v) else f"{v:.6g}" for v in row).strip(":") for row in column]

    def control(self) -> dict[str, Any]:
        """What a page shows: a slider a number, over the range that training saw."""
        return {"kind": "slider", "name": self.name, "low": list(self.low), "high": list(self.high), "optional": True}

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "low": list(self.low),
            "high": list(self.high),
            "quantiles": [list(knots) for knots in self.quantiles],
            "whole": self.whole,
            "optional": self.optional,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Number:
        knots = tuple(tuple(row) for row in data["quantiles"])
        mean, deviation, low, high = (tuple(data[key]) for key in ("mean", "deviation", "low", "high"))
        return cls(data["name"], mean, deviation, low, high, knots, bool(data["whole"]), bool(data["optional"]))


def one_of_blanks(value: Any) -> bool:
    """Whether a value is text that says unknown."""
    return isinstance(value, str) and value.strip().lower() in ("", "?", "none", "nan")


def missing(value: Any) -> bool:
    """Whether a value is one of the ways to say unknown: None, NaN, a blank."""
    try:
        return label_name(value) is None
    except Refused:
        return False
