"""What may be asked: a Schema of named fields, from words to the tensors of a Condition.

A field that may be left out carries a known-flag beside its value, and the value is zeroed where it is unknown; a
field that was always known in training carries no flag, and a task settles it (draws it, classifies, or sums it out)
before it encodes. After `Schema.encode` no room meets a dict again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from condvae.errors import Refused, suggest
from condvae.fields import Attribute, Label, listed
from condvae.numbers import Number
from condvae.partials import Picture, partial
from condvae.trace import Condition

__all__ = ["Attribute", "Field", "Label", "Number", "Picture", "Schema", "listed", "partial"]

Field = Label | Number | Picture
KINDS = {kind.kind: kind for kind in (Label, Attribute, Number, Picture)}


@dataclass(frozen=True)
class Schema:
    """An ordered list of fields: what may be asked of a model. Empty for a plain VAE."""

    fields: tuple[Field, ...] = ()

    @property
    def width(self) -> int:
        """Columns of the condition's vector."""
        return sum(field.width for field in self.fields)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels and attributes among the fields."""
        return tuple(field for field in self.fields if isinstance(field, Label))

    @property
    def numbers(self) -> tuple[Number, ...]:
        return tuple(field for field in self.fields if isinstance(field, Number))

    @property
    def picture(self) -> Picture | None:
        """The partial picture among the fields, if any."""
        return next((field for field in self.fields if isinstance(field, Picture)), None)

    def field(self, name: str) -> Field:
        """The field of that name; Refused, with what may be asked, where there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        names = [field.name for field in self.fields]
        if not names:
            raise Refused(f"this model was trained without conditions, so nothing may be asked; got {name!r}")
        raise Refused(f"what may be asked is {', '.join(names)}; got {name!r}{suggest(name, names)}")

    def span(self, name: str) -> slice:
        """The columns of the condition's vector that belong to the field, its flags last."""
        start = 0
        for field in self.fields:
            if field.name == name:
                return slice(start, start + field.width)
            start += field.width
        raise Refused(f"no field is called {name!r}")

    def slice(self, name: str) -> slice:
        """The columns of the condition's vector that hold the field's value (without its flags)."""
        span, field = self.span(name), self.field(name)
        wide = len(field.values) if isinstance(field, Label) else field.size if isinstance(field, Number) else 0
        return slice(span.start, span.start + wide)

    def index(self, asked: Mapping[str, Sequence[Any]] | None, rows: int) -> dict[str, np.ndarray]:
        """What is asked -> a column [rows, ...] a field; an absent field is unknown in every row."""
        asked = asked or {}
        for name in asked:
            self.field(name)
        columns: dict[str, np.ndarray] = {}
        for field in self.fields:
            given = asked.get(field.name)
            column = field.blank(rows) if given is None else field.index(given)
            if len(column) != rows:
                raise Refused(
                    f"{field.name} must hold one value for each of the {rows} rows of x; got {len(column)} values"
                )
            columns[field.name] = column
        return columns

    def encode(self, columns: Mapping[str, np.ndarray], rows: int) -> Condition:
        """Columns, as `index` gives them -> Condition of `rows` rows."""
        parts = [field.encode(columns[field.name]) for field in self.fields]
        picture = None
        if self.picture is not None:
            picture = torch.from_numpy(np.ascontiguousarray(columns[self.picture.name], np.float32))
        return Condition(torch.cat(parts, 1) if parts else torch.zeros(rows, 0), picture)

    def told(self, labels: Mapping[str, Sequence[str | None]], numbers: Mapping[str, np.ndarray], rows: int) -> dict:
        """A part's labels and numbers as they may be given; a label that the schema does not know is unknown."""
        found: dict[str, Any] = {}
        for field in self.fields:
            if isinstance(field, Label):
                known = set(field.values)
                names = labels.get(field.name) or [None] * rows
                found[field.name] = [name if name in known else None for name in names]
            elif isinstance(field, Number):
                found[field.name] = numbers.get(field.name, field.blank(rows))
        return found

    def to_json(self) -> list[dict[str, Any]]:
        return [field.to_json() for field in self.fields]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any]]) -> Schema:
        return cls(tuple(cast(Field, KINDS[entry["kind"]].from_json(entry)) for entry in data))
