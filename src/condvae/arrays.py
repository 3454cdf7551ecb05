"""Labels given from Python: lists, arrays and tensors of anything, as columns of names or numbers.

Whole numbers and text are labels; bools, and words for yes and no, are attributes; floats that are not whole are
numbers. An array [N, D] of floats is a vector; one of bools, or a dict of columns, is several attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import cast

import numpy as np
import torch
from torch import Tensor

from condvae.errors import Refused
from condvae.kinds import Column, Kind, check_column, check_named, is_yes_no, read_column
from condvae.names import label_name

__all__ = ["clean_labels", "read_labels", "read_test_labels"]


def read_labels(
    labels: Mapping[str, object], n: int, kinds: Mapping[str, Kind], inferred: str | None = None
) -> list[Column]:
    """The fields that labels given from Python describe, in their order.

    Args:
        labels: field name -> n labels, a matrix [n, D], or a dict of attributes. kinds: what the user said of some.
            inferred: a label that may be unknown in every row, "auto" = any.

    Raises:
        Refused: see `clean_labels`; a field of one value, an identifier, a field that two names describe, a name in
            `kinds` that is no field.
    """
    found: dict[str, Column] = {}
    outer = _checked(labels)
    for name, values in outer.items():
        for column in _columns(name, values, n, "x", kinds):
            if column.name in found:
                raise Refused(f"two fields are called {column.name!r}; give each its own name")
            found[column.name] = column
    check_named(list(kinds), list(dict.fromkeys([*found, *outer])), "kinds")
    plain = "train a plain VAE with condvae.fit(x, None)" if len(found) == 1 else "leave it out"
    for name, column in found.items():
        if inferred in (name, "auto") and column.values is None and column.unknown.any():
            continue  # how many classes it has may be said elsewhere
        check_column(column, plain, meant=name in kinds, table=False)
    return list(found.values())


def read_test_labels(labels: Mapping[str, object], n: int, train: Sequence[Column]) -> list[Column]:
    """The same fields of n test images, of the kinds of the training ones; a field that is absent is unknown."""
    kinds: dict[str, Kind] = {column.name: column.kind for column in train}
    read: dict[str, Column] = {}
    for name, values in _checked(labels).items():
        for column in _columns(name, values, n, "x_test", kinds):
            read[column.name] = column
    check_named(list(read), list(kinds), "labels_test")
    return [_like(column, read.get(column.name), n) for column in train]


def _like(train: Column, read: Column | None, n: int) -> Column:
    """The test column, unknown where there is none; Refused where it holds vectors of another length."""
    if read is None:
        return train.take(np.full(n, -1))
    if train.values is not None and read.values is not None and train.values.shape[1] != read.values.shape[1]:
        raise Refused(
            f"{train.name!r} holds {train.values.shape[1]} numbers an image in labels, and {read.values.shape[1]} in "
            "labels_test; give as many"
        )
    return read


def _checked(labels: Mapping[str, object]) -> Mapping[str, object]:
    if not isinstance(labels, Mapping):
        raise Refused(
            "labels must be a dict of field name and labels, such as {'digit': y}, or None for a plain VAE, "
            f"got {type(labels).__name__}"
        )
    for one in labels:
        _check_name(one)
    return labels


def _check_name(one: object) -> None:
    if not isinstance(one, str) or not one.strip():
        raise Refused(f"a field's name must be text that is not blank, such as 'digit', got {one!r}")


def _columns(name: str, values: object, n: int, argument: str, kinds: Mapping[str, Kind]) -> list[Column]:
    """One field, or several: of a dict, one a key; of a matrix of bools, one a column, called "name 0" and so on."""
    if isinstance(values, Mapping) and values:
        found = []
        for inner, inner_values in values.items():
            _check_name(inner)
            told: Kind = kinds.get(inner) or kinds.get(name) or "attribute"
            found += _columns(inner, inner_values, n, argument, {inner: told})
        return found
    given = _as_sequence(values, name)
    if isinstance(given, np.ndarray) and given.ndim == 2 and given.shape[1] > 1:
        return _matrix_columns(name, given, n, argument, kinds.get(name) or kinds.get(f"{name} 0"))
    flat = _flat(given, name)
    names = _names(flat, n, name, argument)
    decided, why = _array_kind(flat, names)
    kind = kinds.get(name)
    return [read_column(name, names, kind or decided, "" if kind else why, lambda i: f"entry {i}")]


def _matrix_columns(name: str, rows: np.ndarray, n: int, argument: str, kind: Kind | None) -> list[Column]:
    """A vector of numbers, or attributes side by side; Refused where the rows are one-hot, or of whole numbers."""
    if (kind is None and _is_one_hot(rows)) or rows.dtype.kind not in "buif" or kind == "label":
        _flat(rows, name)
    _check_length(name, len(rows), n, argument)
    if kind == "attribute" or (kind is None and rows.dtype.kind == "b"):
        each = [(f"{name} {place}", rows[:, place]) for place in range(rows.shape[1])]
        return [one for inner, column in each for one in _columns(inner, column, n, argument, {inner: "attribute"})]
    if kind is None and rows.dtype.kind != "f":
        _flat(rows, name)
    values = rows.astype(np.float64)
    if np.isinf(values).any():
        row = int(np.isinf(values).any(1).argmax())
        raise Refused(f"{name!r} must be finite numbers, got infinity in entry {row}; put NaN where it is unknown")
    why = "" if kind else "it is a matrix of floats"
    return [Column(name, "number", (), values, why)]


def _array_kind(values: Sequence[object] | np.ndarray, names: Sequence[str | None]) -> tuple[Kind, str]:
    """What labels given from Python are, and why; "" where they are plainly labels."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "buif":
        types = {values.dtype.kind}
    else:
        known = (value for value, name in zip(values, names, strict=True) if name is not None)
        types = {_letter(value) for value in known}
    if types == {"b"}:
        return "attribute", "it holds True and False"
    if types <= {"b", "t"} and is_yes_no({name for name in names if name is not None}):
        return "attribute", "it holds words for yes and no"
    different = {name for name in names if name is not None} if "f" in types and types <= {"f", "i", "u"} else set()
    if any(float(name) != round(float(name)) for name in different):
        return "number", "it holds values that are not whole"
    return "label", ""


def _letter(value: object) -> str:
    """ "b", "i", "f" for a bool, a whole number or another number, "t" for text and the rest."""
    if isinstance(value, bool):
        return "b"
    if isinstance(value, int):
        return "i"
    if isinstance(value, float | Decimal):
        return "f"
    if isinstance(value, Tensor):
        return "b" if value.dtype == torch.bool else "f" if value.is_floating_point() else "i"
    kind = value.dtype.kind if isinstance(value, np.ndarray | np.generic) else "t"
    return {"b": "b", "i": "i", "u": "i", "f": "f"}.get(kind, "t")


def clean_labels(values: object, n: int, field: str, argument: str = "x") -> list[str | None]:
    """Return one name per image for raw labels, ``None`` where a label is unknown.

    Args:
        values: N labels: a list, array, tensor or column of whole numbers, numbers, bools or text; [N, 1] is
            read as [N]. n: how many images there are. field: the field's name, argument: what the images are
            called, both for messages.

    Raises:
        Refused: a different number of labels than images, one-hot rows, or a label that is no label (see
            `condvae.names.label_name`).
    """
    return _names(_flat(_as_sequence(values, field), field), n, field, argument)


def _check_length(field: str, found: int, n: int, argument: str) -> None:
    if found != n:
        raise Refused(
            f"the labels of {field!r} must be one per image, got {found:,} labels for {n:,} images in "
            f"{argument}; put None where a label is unknown"
        )


def _names(listed: Sequence[object] | np.ndarray, n: int, field: str, argument: str) -> list[str | None]:
    _check_length(field, len(listed), n, argument)
    try:
        if isinstance(listed, np.ndarray) and listed.dtype.kind in "uifb" and not np.ma.isMaskedArray(listed):
            different, place = np.unique(listed, return_inverse=True)
            names = [label_name(value) for value in different]
            return [names[i] for i in place.tolist()]
        return [label_name(value) for value in listed]
    except Refused as refused:
        raise Refused(f"the labels of {field!r} cannot be read: {refused}") from None


def _as_sequence(values: object, field: str) -> Sequence[object] | np.ndarray:
    """What was given as an array of any shape, or as a list."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    if values is None or isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise Refused(f"the labels of {field!r} must be a list or array with one label per image, got {values!r:.60}")
    if isinstance(values, np.ndarray):
        return cast(np.ndarray, values)
    listed = list(values)
    if not listed or not isinstance(listed[0], list | tuple | np.ndarray | Tensor) or np.ndim(listed[0]) == 0:
        return listed
    return np.asarray(listed) if len({np.shape(row) for row in listed}) == 1 else listed


def _flat(values: Sequence[object] | np.ndarray, field: str) -> Sequence[object] | np.ndarray:
    """One label an image: [N] or [N, 1] as [N]; Refused where there are several."""
    if isinstance(values, np.ndarray):
        shape = values.shape
        if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
            return np.reshape(values, -1)
        got = f"shape {list(shape)}"
    elif not values or not isinstance(values[0], list | tuple | np.ndarray | Tensor) or np.ndim(values[0]) == 0:
        return values
    else:
        raise Refused(
            f"the labels of {field!r} must be one label per image, got rows of different lengths; name one class per "
            "image"
        )
    hint = "; name one class per image, or give attributes as bools and a vector of numbers as floats"
    if len(shape) == 2 and _is_one_hot(values):
        hint = ", which is one-hot; give the class numbers with y.argmax(1)"
    raise Refused(f"the labels of {field!r} must be one label per image, got {got}{hint}")


def _is_one_hot(rows: np.ndarray) -> bool:
    if rows.dtype.kind not in "buif" or not rows.size:
        return False
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(1) == 1).all())
