"""The fields of names that may be asked for: a label, and an attribute (yes or no). See `numbers` and `partials`, too.

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
        """ "yes", "no", or None for unknown; Refused for anything else."""
        name = label_name(asked)
        if name is None:
            return None
        word = name.lower()
        if word in YES or word in NO:
            return "yes" if word in YES else "no"
        raise Refused(f"{self.name} is yes or no; got {name!r}")

    def control(self) -> dict[str, Any]:
        return {"kind": "tick", "name": self.name, "optional": True}
