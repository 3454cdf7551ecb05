"""The fields that may be asked for: a label, an attribute (yes or no), a number, a partial picture.

A field turns words into a column (one entry a row), and a column into tensors; it knows which entries are unknown,
what unknown ones may be, and what may be asked. Unknown is a value: None, NaN, a missing key, a blank.

Columns: of a label int64 [N], -1 = unknown; of a number float64 [N, D], NaN = unknown; of a picture float32
[N, C + 1, H, W], the pixels zeroed where they are not seen, and what is seen (1) last.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from condvae.errors import Refused, suggest
from condvae.names import label_name, sort_names

WORDS = dict(
    zip(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], range(11), strict=True)
)
YES, NO = ("yes", "true", "1", "y", "on"), ("no", "false", "0", "n", "off")
KNOTS = 33  # quantiles kept of a number
POINTS = 16  # values of an unknown number that are summed over


def listed(value: Any) -> bool:
    """Whether a value is a list of values, not one."""
    if isinstance(value, str | bytes) or getattr(value, "ndim", None) == 0:
        return False
    return hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, Mapping)


@dataclass(frozen=True)
class Label:
    """One of some names. Encoded one-hot [N, K], or [N, K + 1] with the known-flag last where it may be left out.

    name: the field's name; values: the K names in order (numeric names as numbers, then text); shares: their
    relative frequency among the training rows whose label is known, the class prior p(label); optional: whether
    training saw rows without it.
    """

    kind: ClassVar[str] = "label"
    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...]
    optional: bool = False

    @classmethod
    def learn(cls, name: str, labels: Sequence[str | None], optional: bool = False) -> Label:
        """The field that these training labels (already names, None = unknown) describe.

        Two values that are "no" and "yes" make an `Attribute`. optional: may be left out even if no label is blank.
        """
        counts = Counter(label for label in labels if label is not None)
        values = sort_names(counts)
        if len(values) < 2:
            found = f"only {values[0]!r}" if values else "no label at all"
            raise Refused(
                f"the labels of {name!r} must hold at least two classes, found {found}: there is nothing to ask for; "
                "train a plain VAE with condvae.fit(x, None)"
            )
        total = sum(counts.values())
        kind = Attribute if set(values) == {"no", "yes"} else cls
        return kind(name, tuple(values), tuple(counts[v] / total for v in values), optional or total < len(labels))

    @property
    def width(self) -> int:
        return len(self.values) + self.optional

    @property
    def example(self) -> str:
        return self.values[-1]

    def name_of(self, asked: Any) -> str | None:
        """The name that is meant (6, 6.0 and "6" are one), None for unknown; Refused where it is none of `values`."""
        name = label_name(asked)
        if name is None or name in self.values:
            return name
        shown = ", ".join(self.values[:20]) + (f", ... ({len(self.values)} in all)" if len(self.values) > 20 else "")
        number = str(WORDS.get(name.lower(), ""))
        hint = f", did you mean '{number}'?" if number in self.values else suggest(name, self.values)
        raise Refused(f"{self.name} is one of {shown}; got {name!r}{hint}")

    def many(self, asked: Any) -> bool:
        """Whether `asked` is a list of values."""
        return listed(asked)

    def index(self, asked: Sequence[Any]) -> np.ndarray:
        """Positions in `values` [N] int64, -1 where unknown."""
        places = {value: place for place, value in enumerate(self.values)}
        known = {name: name for name in self.values}
        names = (
            known.get(value) if isinstance(value, str) and value in known else self.name_of(value) for value in asked
        )
        return np.asarray([-1 if name is None else places[name] for name in names], np.int64)

    def blank(self, rows: int) -> np.ndarray:
        return np.full(rows, -1, np.int64)

    def unknown(self, column: np.ndarray) -> np.ndarray:
        """Which rows are unknown, bool [N]."""
        return column < 0

    def filled(self, column: np.ndarray, by: np.ndarray) -> np.ndarray:
        """The column with what is unknown taken from another [N]."""
        return np.where(column < 0, by, column)

    def drawn(self, uniform: np.ndarray) -> np.ndarray:
        """Labels drawn by their shares from uniforms [N, 1]."""
        shares = np.asarray(self.shares, np.float64)
        edges = (np.cumsum(shares) / math.fsum(shares))[:-1]
        return np.searchsorted(edges, uniform[:, 0], side="right")

    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """What an unknown entry may be: a column of S entries, and the logarithms of their shares [S]."""
        return np.arange(len(self.values)), np.log(np.maximum(self.shares, 1e-300))

    def encode(self, index: np.ndarray) -> torch.Tensor:
        """[N] positions, -1 = unknown -> float32 [N, width]."""
        out = torch.zeros(len(index), self.width)
        known = torch.from_numpy(index >= 0)
        rows = torch.nonzero(known)[:, 0]
        out[rows, torch.from_numpy(index)[rows]] = 1.0
        if self.optional:
            out[:, -1] = known.float()
        return out

    def text(self, column: np.ndarray) -> list[str]:
        """The entries as words, "" where unknown."""
        return ["" if place < 0 else self.values[place] for place in column]

    def control(self) -> dict[str, Any]:
        """What a page shows for the field: a choice among the values, or none of them."""
        return {"kind": "choice", "name": self.name, "values": list(self.values), "optional": True}

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "values": list(self.values),
            "shares": list(self.shares),
            "optional": self.optional,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Label:
        return cls(data["name"], tuple(data["values"]), tuple(data["shares"]), bool(data["optional"]))


@dataclass(frozen=True)
class Attribute(Label):
    """A label that is "no" or "yes"; True, 1, "true", "on" mean yes, and so on. Several are fields side by side."""

    kind: ClassVar[str] = "attribute"

    def name_of(self, asked: Any) -> str | None:
        """"yes", "no", or None for unknown; Refused for anything else."""
        name = label_name(asked)
        if name is None:
            return None
        word = name.lower()
        if word in YES or word in NO:
            return "yes" if word in YES else "no"
        raise Refused(f"{self.name} is yes or no; got {name!r}")

    def control(self) -> dict[str, Any]:
        return {"kind": "tick", "name": self.name, "optional": True}


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
        return ":".join(f"{np.round(mean) if self.whole else mean:.3g}" for mean in self.mean)

    def many(self, asked: Any) -> bool:
        """Whether `asked` is a list of values: for a vector, a list of vectors."""
        if isinstance(asked, str) or not listed(asked):
            return False
        return self.size == 1 or any(listed(one) or one is None or isinstance(one, str) for one in asked)

    def index(self, asked: Sequence[Any]) -> np.ndarray:
        """The numbers asked for, float64 [N, D], NaN where unknown; Refused where one is no number."""
        if isinstance(asked, np.ndarray) and asked.dtype.kind in "fiu" and asked.size == len(asked) * self.size:
            return self.checked(asked.reshape(len(asked), self.size).astype(np.float64))
        return self.checked(np.asarray([self.entry(one) for one in asked], np.float64).reshape(-1, self.size))

    def entry(self, asked: Any) -> list[float]:
        """One entry, D numbers: from a number, a list, or text such as "0.3" or "0.3:1"."""
        if isinstance(asked, str):
            asked = [None if part.strip().lower() in ("", "?", "none", "nan") else part for part in asked.split(":")]
        parts = list(asked) if listed(asked) else [asked]
        if len(parts) == 1 and label_name(parts[0]) is None:
            return [math.nan] * self.size
        if len(parts) != self.size:
            raise Refused(f"{self.name} holds {self.size} number(s) an entry; got {len(parts)}")
        found: list[float] = []
        for part in parts:
            try:
                found.append(math.nan if label_name(part) is None else float(part))
            except (TypeError, ValueError):
                raise Refused(f"{self.name} is a number, {self.range_words()}; got {part!r}") from None
        return found

    def checked(self, column: np.ndarray) -> np.ndarray:
        if np.isinf(column).any():
            raise Refused(f"{self.name} must be a finite number, {self.range_words()}; got infinity")
        return column

    def range_words(self) -> str:
        return "and ".join(f"{low:g} to {high:g} in training" for low, high in zip(self.low, self.high, strict=True))

    def beyond(self, column: np.ndarray) -> str | None:
        """A sentence where entries lie outside the range that training saw; None where none does."""
        with np.errstate(invalid="ignore"):
            outside = (column < np.asarray(self.low)) | (column > np.asarray(self.high))
        if not outside.any():
            return None
        row, place = np.argwhere(outside)[0]
        return (
            f"{self.name} was within {self.low[place]:g} to {self.high[place]:g} in training; "
            f"{column[row, place]:g} lies outside, where the model guesses"
        )

    def blank(self, rows: int) -> np.ndarray:
        return np.full((rows, self.size), np.nan)

    def unknown(self, column: np.ndarray) -> np.ndarray:
        """Which rows hold anything unknown, bool [N]."""
        return np.isnan(column).any(1)

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
        plain = (tuple(data[key]) for key in ("mean", "deviation", "low", "high"))
        return cls(data["name"], *plain, knots, bool(data["whole"]), bool(data["optional"]))


@dataclass(frozen=True)
class Picture:
    """A partial image: what is seen of it, and where. Encoded as C + 1 channels beside the vector; always optional.

    name: the field's name; shape: [C, H, W] of the pictures.
    """

    kind: ClassVar[str] = "picture"
    name: str
    shape: tuple[int, int, int]
    optional: ClassVar[bool] = True
    width: ClassVar[int] = 0
    example: ClassVar[str] = "(x, seen)"

    def many(self, asked: Any) -> bool:
        """Whether `asked` is a list of (x, seen) pairs, or a column as `index` gives it."""
        return isinstance(asked, list) or getattr(asked, "ndim", 0) == 4

    def index(self, asked: Sequence[Any]) -> np.ndarray:
        """Pairs (x [C, H, W] in [0, 1], seen bool [C, H, W], [1, H, W] or [H, W]), None = nothing seen."""
        if isinstance(asked, np.ndarray) and asked.ndim == 4 and asked.shape[1] == self.shape[0] + 1:
            return asked.astype(np.float32)
        out = self.blank(len(asked))
        for row, one in enumerate(asked):
            if one is not None:
                out[row] = self.entry(one)
        return out

    def entry(self, pair: Any) -> np.ndarray:
        """One entry, float32 [C + 1, H, W]; Refused where it is no pair of a picture and what is seen of it."""
        if isinstance(pair, np.ndarray) and pair.shape == (self.shape[0] + 1, *self.shape[1:]):
            return pair.astype(np.float32)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise Refused(f"{self.name} is a pair (x, seen) of a picture and what is seen of it; got {pair!r:.60}")
        x, seen = np.asarray(pair[0], np.float32), np.asarray(pair[1])
        x = x[None] if x.ndim == 2 else x
        if x.shape != tuple(self.shape):
            raise Refused(f"{self.name} must be of the shape [C, H, W] = {list(self.shape)}; got {list(x.shape)}")
        return partial(x[None], seen.reshape(-1, *self.shape[1:])[None].astype(bool))[0]

    def blank(self, rows: int) -> np.ndarray:
        return np.zeros((rows, self.shape[0] + 1, *self.shape[1:]), np.float32)

    def unknown(self, column: np.ndarray) -> np.ndarray:
        return ~column[:, -1].any((1, 2))

    def filled(self, column: np.ndarray, by: np.ndarray) -> np.ndarray:
        return column

    def encode(self, column: np.ndarray) -> torch.Tensor:
        return torch.zeros(len(column), 0)

    def text(self, column: np.ndarray) -> list[str]:
        return [f"{100 * share:.0f} % seen" for share in column[:, -1].mean((1, 2))]

    def control(self) -> dict[str, Any]:
        """What a page shows: a picture to paint a hole in."""
        return {"kind": "paint", "name": self.name, "shape": list(self.shape), "optional": True}

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Picture:
        channels, height, width = data["shape"]
        return cls(data["name"], (int(channels), int(height), int(width)))


def partial(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """x [N, C, H, W] and seen [N, 1 or C, H, W] -> what a model is told, [N, C + 1, H, W]: hidden pixels are zeroed.

    A pixel counts as seen where all of its channels are.
    """
    whole = seen.all(1, keepdims=True)
    return np.concatenate([x * whole, whole], 1).astype(np.float32)


Field = Label | Number | Picture
