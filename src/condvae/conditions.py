"""What may be asked: a Schema of named fields. A field turns words into tensors and says what may be asked.

Unknown is a value. A field that may be left out carries a known-flag beside its value, and the value is zeroed where
it is unknown; a field that was always known in training carries no flag, and a task settles it (draws it, classifies,
or sums it out) before it encodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from condvae.errors import Refused, suggest
from condvae.names import label_name, sort_names
from condvae.trace import Condition

WORDS = dict(
    zip(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], range(11), strict=True)
)


@dataclass(frozen=True)
class Label:
    """One of some names. Encoded one-hot [N, K], or [N, K + 1] with the known-flag last where it may be left out.

    name: the field's name; values: the K names in order (numeric names as numbers, then text); shares: their
    relative frequency among the training rows whose label is known, the class prior p(label); optional: whether
    training saw rows without it.
    """

    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...]
    optional: bool = False

    @classmethod
    def learn(cls, name: str, labels: Sequence[str | None]) -> Label:
        """The field that these training labels (already names, None = unknown) describe."""
        counts = Counter(label for label in labels if label is not None)
        values = sort_names(counts)
        if len(values) < 2:
            found = f"only {values[0]!r}" if values else "no label at all"
            raise Refused(
                f"the labels of {name!r} must hold at least two classes, found {found}: there is nothing to ask for; "
                "train a plain VAE with condvae.fit(x, None)"
            )
        total = sum(counts.values())
        return cls(name, tuple(values), tuple(counts[v] / total for v in values), total < len(labels))

    @property
    def width(self) -> int:
        return len(self.values) + self.optional

    def name_of(self, asked: Any) -> str | None:
        """The name that is meant (6, 6.0 and "6" are one), None for unknown; Refused where it is none of `values`."""
        name = label_name(asked)
        if name is None or name in self.values:
            return name
        shown = ", ".join(self.values[:20]) + (f", ... ({len(self.values)} in all)" if len(self.values) > 20 else "")
        number = str(WORDS.get(name.lower(), ""))
        hint = f", did you mean '{number}'?" if number in self.values else suggest(name, self.values)
        raise Refused(f"{self.name} is one of {shown}; got {name!r}{hint}")

    def index(self, asked: Sequence[Any]) -> np.ndarray:
        """Positions in `values` [N] int64, -1 where unknown."""
        places = {value: place for place, value in enumerate(self.values)}
        known = {name: name for name in self.values}
        names = (
            known.get(value) if isinstance(value, str) and value in known else self.name_of(value) for value in asked
        )
        return np.asarray([-1 if name is None else places[name] for name in names], np.int64)

    def encode(self, index: np.ndarray) -> torch.Tensor:
        """[N] positions, -1 = unknown -> float32 [N, width]."""
        out = torch.zeros(len(index), self.width)
        known = torch.from_numpy(index >= 0)
        rows = torch.nonzero(known)[:, 0]
        out[rows, torch.from_numpy(index)[rows]] = 1.0
        if self.optional:
            out[:, -1] = known.float()
        return out

    def control(self) -> dict[str, Any]:
        """What a page shows for the field: a choice among the values, or none of them."""
        return {"kind": "choice", "name": self.name, "values": list(self.values), "optional": True}

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "label",
            "name": self.name,
            "values": list(self.values),
            "shares": list(self.shares),
            "optional": self.optional,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Label:
        return cls(data["name"], tuple(data["values"]), tuple(data["shares"]), bool(data["optional"]))


KINDS = {"label": Label}


@dataclass(frozen=True)
class Schema:
    """An ordered list of fields: what may be asked of a model. Empty for a plain VAE."""

    fields: tuple[Label, ...] = ()

    @property
    def width(self) -> int:
        return sum(field.width for field in self.fields)

    def field(self, name: str) -> Label:
        """The field of that name; Refused, with what may be asked, where there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        names = [field.name for field in self.fields]
        if not names:
            raise Refused(f"this model was trained without conditions, so nothing may be asked; got {name!r}")
        raise Refused(f"what may be asked is {', '.join(names)}; got {name!r}{suggest(name, names)}")

    def slice(self, name: str) -> slice:
        """The columns of the condition's vector that hold the field's value (without its flag)."""
        start = 0
        for field in self.fields:
            if field.name == name:
                return slice(start, start + len(field.values))
            start += field.width
        raise Refused(f"no field is called {name!r}")

    def index(self, asked: Mapping[str, Sequence[Any]] | None, rows: int) -> dict[str, np.ndarray]:
        """Names -> positions, a column [rows] a field, -1 = unknown; an absent field is unknown in every row."""
        asked = asked or {}
        for name in asked:
            self.field(name)
        columns: dict[str, np.ndarray] = {}
        for field in self.fields:
            given = asked.get(field.name)
            column = np.full(rows, -1, np.int64) if given is None else field.index(given)
            if len(column) != rows:
                raise Refused(
                    f"{field.name} must hold one value for each of the {rows} rows of x; got {len(column)} values"
                )
            columns[field.name] = column
        return columns

    def encode(self, columns: Mapping[str, np.ndarray], rows: int) -> Condition:
        """Columns of positions, as `index` gives them -> Condition of `rows` rows."""
        parts = [field.encode(columns[field.name]) for field in self.fields]
        return Condition(torch.cat(parts, 1) if parts else torch.zeros(rows, 0))

    def to_json(self) -> list[dict[str, Any]]:
        return [field.to_json() for field in self.fields]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any]]) -> Schema:
        return cls(tuple(KINDS[entry["kind"]].from_json(entry) for entry in data))
