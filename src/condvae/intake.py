"""What a request names: values of fields in words, an image file, a collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from condvae import datasets
from condvae.conditions import Field, Label, Number, Picture, Schema
from condvae.data import Part, unit
from condvae.errors import Refused, suggest
from condvae.images_files import SUFFIXES, open_image, resized, to_array
from condvae.learned import LABEL_LEVEL, whole
from condvae.names import counted
from condvae.nets import Shape
from condvae.noise import RowNoise
from condvae.runs import Run
from condvae.temperatures import Temperature, typed

__all__ = [
    "Heat",
    "Reader",
    "Seen",
    "combinations",
    "drawings_of",
    "heat_of",
    "left_out",
    "one_request",
    "open_image",
    "parse",
    "part_of",
    "read_image",
    "seen",
    "to_array",
]

DATA_FILES = {".npz", ".csv", ".tsv", ".parquet"}
ANY_LABEL = ("label", "class")
UNKNOWN = ("", "?", "none")  # digit=, digit=? and digit=none ask for an unknown digit

Notes = tuple[str, ...]
Reader = Callable[[Path, Shape], tuple[np.ndarray, Notes]]  # an image file as `read_image` gives it
Heat = str | Temperature  # a temperature, which may be typed


@dataclass(frozen=True)
class Seen:
    """Pictures to work on: x float32 [N, C, H, W], what is known of them, names for people, and notes in words.

    given: field -> N values: names of a label (None = unknown), or numbers (NaN = unknown), [N] or, of vectors, [N, D].
    """

    x: np.ndarray
    given: Mapping[str, Sequence[Any] | np.ndarray]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def parse(words: Sequence[str], schema: Schema) -> dict[str, list[Any]]:
    """`digit=6,7` -> {"digit": ["6", "7"]}, `age=20,?` -> {"age": [20.0, nan]}; every value checked.

    A label's values are names, None where unknown; a number's are floats, NaN where unknown, and a vector's, written
    `light=0.3:1`, tuples of them. A run's only label is "label" and "class", too, however its data call it.

    Raises:
        Refused: a word without "=", a field named twice, an unknown field or value, with what may be asked; a field
            that words cannot give.
    """
    asked: dict[str, list[Any]] = {}
    for word in words:
        name, sign, values = word.partition("=")
        if not sign:
            near = suggest(word, [field.name for field in schema.fields])
            raise Refused(f"what is asked is written FIELD=VALUE, such as {example(schema)}; got {word!r}{near}")
        field = schema.field(called(name.strip(), schema))
        if field.name in asked:
            raise Refused(f"{field.name} was asked for twice; several values are written {field.name}=A,B")
        asked[field.name] = values_of(field, values)
    return asked


def called(name: str, schema: Schema) -> str:
    """The field's own name where its only label is called "label" or "class", as the name came otherwise."""
    known = [field.name for field in schema.fields]
    return schema.labels[0].name if name in ANY_LABEL and name not in known and len(schema.labels) == 1 else name


def left_out(given: Mapping[str, Any], words: Sequence[str], schema: Schema) -> dict[str, Any]:
    """What is given without the fields that words name, `digit` or `digit,ink`, or without all of them, `all`.

    Refused for a field that the run has not.
    """
    names = [called(name.strip(), schema) for word in words for name in word.split(",")]
    if names == ["all"]:
        return {}
    gone = {schema.field(name).name for name in names}
    return {name: values for name, values in given.items() if name not in gone}


def example(schema: Schema) -> str:
    """Words that may be asked, of the first field that words can give."""
    return next((f"{one.name}={one.example}" for one in schema.fields if not isinstance(one, Picture)), "nothing")


def values_of(field: Field, text: str) -> list[Any]:
    """The values of a field that `A,B` names."""
    if isinstance(field, Picture):
        raise Refused(f"{field.name} is a part of a picture, which words cannot give; `condvae fill` takes an image")
    if isinstance(field, Number):
        numbers = field.index([value.strip() for value in text.split(",")])
        return [float(entry[0]) if field.size == 1 else tuple(entry.tolist()) for entry in numbers]
    return [label_of(field, value) for value in split(text, field.values)]


def split(values: str, known: Sequence[str]) -> list[str]:
    """Values at commas; a value that holds a comma itself is taken whole where it stands alone."""
    return [values] if values.strip() in known else values.split(",")


def label_of(field: Label, value: str) -> str | None:
    """One value of a label, None for unknown, unless the field has a value of that very name."""
    value = value.strip()
    return None if value.lower() in UNKNOWN and value not in field.values else field.name_of(value)


def combinations(asked: Mapping[str, Sequence[Any]]) -> tuple[dict[str, list[Any]], list[str]]:
    """Every combination of the values asked for, as equally long columns, and a name for each; one where none is.

    A name is what tells a combination from the others: the value, such as 3; of several fields each value with its
    field's name, such as digit 3, bold yes. A field of which one value is asked is left out, unless that holds of all.
    """
    rows = list(product(*asked.values()))
    columns = {name: [row[place] for row in rows] for place, name in enumerate(asked)}
    telling = [name for name, values in asked.items() if len(values) > 1] or list(asked)
    heads = {name: f"{name} " if len(asked) > 1 else "" for name in telling}
    return columns, [
        ", ".join(f"{head}{shown(columns[name][row])}" for name, head in heads.items()) for row in range(len(rows))
    ]


def shown(value: Any) -> str:
    """A value as it is written, "?" where it is unknown."""
    if isinstance(value, tuple | np.ndarray):
        return ":".join(shown(one) for one in value)
    if isinstance(value, float | np.floating):
        return "?" if np.isnan(value) else f"{value:.6g}"
    return "?" if value is None else str(value)


def heat_of(temperature: Heat) -> Temperature:
    """A temperature that may be typed, `0.8` or `1,0.9,0.7`, as numbers. Refused where it is written otherwise."""
    return typed(temperature) if isinstance(temperature, str) else temperature


def one_request(words: Sequence[str], schema: Schema, argument: str) -> dict[str, Any]:
    """Words that give one value a field; Refused where several came."""
    asked = parse(words, schema)
    for name, values in asked.items():
        if len(values) > 1:
            raise Refused(f"{argument} takes one value a field; got {len(values)} for {name}")
    return {name: values[0] for name, values in asked.items()}


def seen(
    run: Run,
    what: str,
    words: Sequence[str] = (),
    data_dir: str | PathLike[str] | None = None,
    limit: int | None = None,
    reader: Reader | None = None,
) -> Seen:
    """The pictures that IMAGE or DATA names: an image file in the run's shape, or a collection's test part.

    words: what is given of the pictures, one value a field; else a collection's own labels. limit: at most so many.
    reader: how an image file is read, where not by `read_image`; Refused for a collection.
    """
    given = one_request(words, run.schema, "--given")
    path = Path(what).expanduser()
    if path.suffix.lower() in SUFFIXES or (path.is_file() and path.suffix.lower() not in DATA_FILES):
        x, notes = (reader or read_image)(path, run.shape)
        return Seen(x[None], {name: [value] for name, value in given.items()}, (path.name,), notes)
    if reader is not None:
        raise Refused(f"a drawing by hand is one image file; {what} names a collection, leave out --sketched")
    part, notes = part_of(data_of(run, what, data_dir), run)
    if limit is not None and whole(limit, "limit", 1) < len(part):
        part = part.take(torch.arange(limit))
        notes = (*notes, f"the first {counted(limit, 'picture')} of {what}")
    known: dict[str, Any] = run.schema.told(part.labels, part.numbers, len(part))
    known |= {name: [value] * len(part) for name, value in given.items()}
    return Seen(unit(part.x[slice(None)]).numpy(), known, tuple(f"{what} {i}" for i in range(len(part))), notes)


def drawings_of(run: Run, n: int, seed: int = 0) -> Seen:
    """n drawings of the model's own, and what was asked of each: equally many of each value of the first label, all
    other fields as they are in the training data, each by itself."""
    names = np.stack([np.zeros(n, int), np.arange(n)], 1)
    asked: dict[str, Any] = {}
    for place, field in enumerate(run.schema.fields):
        if isinstance(field, Picture):
            continue
        wide = field.size if isinstance(field, Number) else 1
        column = field.drawn(RowNoise(seed, names).uniform([n, wide], LABEL_LEVEL + place).numpy())
        if isinstance(field, Label):
            even = np.arange(n) % len(field.values) if field is run.schema.labels[0] else column
            asked[field.name] = [field.values[spot] for spot in even]
        else:
            asked[field.name] = column[:, 0] if wide == 1 else column
    x = run.generate(asked, 1, seed)[:, 0] if asked else run.generate(None, n, seed)
    note = f"the map is of {counted(n, 'drawing')} by the model itself, seed {seed}, not of data"
    return Seen(x, asked, tuple(f"drawing {i}" for i in range(n)), (note,))


def data_of(
    run: Run,
    what: str,
    data_dir: str | PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> datasets.Collection:
    """The collection that DATA names, read as the run's own was: images of a folder in the run's size."""
    if not Path(what).expanduser().exists():
        return datasets.load(what, data_dir, progress)
    reading = dict(run.facts.get("data", {}).get("reading") or {})
    if Path(what).expanduser().is_dir():
        kept = {name: reading[name] for name in ("file_column", "fields", "kinds") if name in reading}
        return datasets.load(what, data_dir, progress, size=f"{run.shape[1]}x{run.shape[2]}", **kept)
    return datasets.load(what, data_dir, progress, **(reading if run.outputs is not None else {}))


def part_of(collection: datasets.Collection, run: Run) -> tuple[Part, Notes]:
    """The test part of a collection, else all of it, its labels under the run's field names; and notes.

    Refused where its pictures have another shape than the run's, or its labels none of the run's values.
    """
    part = collection.test or collection.train
    notes = () if collection.test else (f"{collection.name} has no test part: all its pictures are used",)
    if tuple(part.x.shape[1:]) != tuple(run.shape):
        raise Refused(
            f"{collection.name} holds pictures of {list(part.x.shape[1:])} as [C, H, W], and the run was trained on "
            f"{list(run.shape)}; give data of that shape"
        )
    labels, more = renamed(part.labels, [field.name for field in run.schema.labels], "labels", collection.name)
    numbers, further = renamed(part.numbers, [field.name for field in run.schema.numbers], "numbers", collection.name)
    part = Part(part.x, labels, numbers)
    notes = (*notes, *more, *further)
    for field in run.schema.labels:
        found = {name for name in part.labels.get(field.name, ()) if name is not None}
        if found and not found & set(field.values):
            raise Refused(
                f"{field.name} is one of {', '.join(field.values[:20])}; none of the labels of {collection.name} is, "
                f"{min(found)!r} for example; give data with the run's labels"
            )
        strange = sorted(found - set(field.values))
        if strange:
            notes = (*notes, f"labels that the run does not know are taken as unknown: {', '.join(strange[:10])}")
    return part, notes


def renamed(held: Mapping[str, Any], wanted: Sequence[str], what: str, of: str) -> tuple[Mapping[str, Any], Notes]:
    """The only labels (or numbers) of a part under the name of the run's only field of that kind, with a note."""
    if len(held) != 1 or len(wanted) != 1 or wanted[0] in held:
        return held, ()
    ((name, values),) = held.items()
    return {wanted[0]: values}, (f"the {what} {name!r} of {of} are read as {wanted[0]!r}",)


def read_image(path: Path, shape: Shape) -> tuple[np.ndarray, Notes]:
    """An image file as float32 [C, H, W] in [0, 1] of the run's shape, and what was done to it, in words.

    Rotated as its EXIF says; alpha is laid on black or white, whichever its transparent parts suit; of an animation
    the first frame is taken. Resized only where its size differs.

    Raises:
        Refused: a missing file, one that is no image, is cut off, or has more than 50 million pixels.
    """
    channels, height, width = shape
    notes: list[str] = []
    image = open_image(path, path.name, notes)
    pixels = to_array(image, channels, path.name, notes)
    if image.size != (width, height):
        notes.append(f"{path.name} was resized from {image.width} x {image.height} to {width} x {height} pixels")
        pixels = resized(pixels, height, width)
    return np.clip(pixels, 0, 1).astype(np.float32), tuple(notes)
