"""What a request names: values of fields in words, an image file, a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from condvae import datasets
from condvae.conditions import Schema
from condvae.data import Part, unit
from condvae.errors import Refused, suggest
from condvae.gallery import known_labels
from condvae.nets import Shape
from condvae.runs import Run

__all__ = ["Seen", "combinations", "one_request", "parse", "part_of", "read_image", "seen"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"}
UNKNOWN = ("", "?", "none")  # digit=, digit=? and digit=none ask for an unknown digit
LARGEST = 50_000_000  # pixels of an image file


@dataclass(frozen=True)
class Seen:
    """Pictures to work on: x float32 [N, C, H, W], what is known of them, names for people, and notes in words."""

    x: np.ndarray
    given: Mapping[str, Sequence[str | None]]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def parse(words: Sequence[str], schema: Schema) -> dict[str, list[str | None]]:
    """`digit=6,7` -> {"digit": ["6", "7"]}; every value checked, None = unknown.

    Raises:
        Refused: a word without "=", a field named twice, an unknown field or value, with what may be asked.
    """
    asked: dict[str, list[str | None]] = {}
    for word in words:
        name, sign, values = word.partition("=")
        if not sign:
            example = f"{schema.fields[0].name}={schema.fields[0].values[0]}" if schema.fields else "nothing"
            near = suggest(word, [field.name for field in schema.fields])
            raise Refused(f"what is asked is written FIELD=VALUE, such as {example}; got {word!r}{near}")
        field = schema.field(name.strip())
        if field.name in asked:
            raise Refused(f"{field.name} was asked for twice; several values are written {field.name}=A,B")
        asked[field.name] = [value_of(field.values, value, field.name_of) for value in split(values, field.values)]
    return asked


def split(values: str, known: Sequence[str]) -> list[str]:
    """Values at commas; a value that holds a comma itself is taken whole where it stands alone."""
    return [values] if values.strip() in known else values.split(",")


def value_of(known: Sequence[str], value: str, name_of: Any) -> str | None:
    """One value, None for unknown, unless the field has a value of that very name."""
    value = value.strip()
    return None if value.lower() in UNKNOWN and value not in known else name_of(value)


def combinations(asked: Mapping[str, Sequence[str | None]]) -> tuple[dict[str, list[str | None]], list[str]]:
    """Every combination of the values asked for, as equally long columns, and a name for each; one where none is."""
    rows = list(product(*asked.values()))
    columns = {name: [row[place] for row in rows] for place, name in enumerate(asked)}
    return columns, [", ".join("?" if value is None else value for value in row) for row in rows]


def one_request(words: Sequence[str], schema: Schema, argument: str) -> dict[str, str | None]:
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
) -> Seen:
    """The pictures that IMAGE or DATA names: an image file in the run's shape, or a collection's test part.

    words: what is given of the pictures, one value a field; else a collection's own labels. limit: at most so many.
    """
    given = one_request(words, run.schema, "--given")
    path = Path(what).expanduser()
    if path.suffix.lower() in SUFFIXES or (path.is_file() and path.suffix.lower() != ".npz"):
        x, notes = read_image(path, run.shape)
        return Seen(x[None], {name: [value] for name, value in given.items()}, (path.name,), notes)
    part, notes = part_of(datasets.load(what, data_dir), run)
    if limit is not None and limit < len(part):
        part = part.take(torch.arange(limit))
        notes = (*notes, f"the first {limit:,} pictures of {what}")
    known: dict[str, list[str | None]] = known_labels(run.schema, part)
    known |= {name: [value] * len(part) for name, value in given.items()}
    return Seen(unit(part.x[slice(None)]).numpy(), known, tuple(f"{what} {i}" for i in range(len(part))), notes)


def part_of(collection: datasets.Collection, run: Run) -> tuple[Part, tuple[str, ...]]:
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
    fields = run.schema.fields
    if len(fields) == 1 and len(part.labels) == 1 and fields[0].name not in part.labels:
        (name, labels), field = next(iter(part.labels.items())), fields[0]
        part = Part(part.x, {field.name: labels})
        notes = (*notes, f"the labels {name!r} of {collection.name} are read as {field.name!r}")
    for field in fields:
        found = {name for name in part.labels.get(field.name, ()) if name is not None}
        if found and not found & set(field.values):
            example = sorted(found)[0]
            raise Refused(
                f"{field.name} is one of {', '.join(field.values[:20])}; none of the labels of {collection.name} is, "
                f"{example!r} for example; give data with the run's labels"
            )
        strange = sorted(found - set(field.values))
        if strange:
            notes = (*notes, f"labels that the run does not know are taken as unknown: {', '.join(strange[:10])}")
    return part, notes


def read_image(path: Path, shape: Shape) -> tuple[np.ndarray, tuple[str, ...]]:
    """An image file as float32 [C, H, W] in [0, 1] of the run's shape, and what was done to it, in words.

    Rotated as its EXIF says; alpha is laid on black or white, whichever its transparent parts suit; of an animation
    the first frame is taken. Resized only where its size differs.

    Raises:
        Refused: a missing file, one that is no image, is cut off, or has more than 50 million pixels.
    """
    channels, height, width = shape
    notes: list[str] = []
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > LARGEST:
                raise Refused(f"{path} has {opened.width} x {opened.height} pixels; scale it down first")
            if getattr(opened, "n_frames", 1) > 1:
                notes.append(f"{path.name} holds {getattr(opened, 'n_frames', 1)} frames; the first is taken")
            image = ImageOps.exif_transpose(opened)
            image.load()
    except FileNotFoundError:
        raise Refused(f"there is no file '{path}'") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(
            f"{path} cannot be read as an image ({type(error).__name__}); it is cut off or no image"
        ) from None
    pixels = to_array(image, channels, path.name, notes)
    if image.size != (width, height):
        notes.append(f"{path.name} was resized from {image.width} x {image.height} to {width} x {height} pixels")
        resized = [
            Image.fromarray(one).resize(
                (width, height), Image.Resampling.BOX if image.width > width else Image.Resampling.BILINEAR
            )
            for one in pixels
        ]
        pixels = np.stack([np.asarray(one) for one in resized])
    return np.clip(pixels, 0, 1).astype(np.float32), tuple(notes)


def to_array(image: Image.Image, channels: int, name: str, notes: list[str]) -> np.ndarray:
    """float32 [C, H, W] in [0, 1] of a picture in any of Pillow's modes."""
    if image.mode.startswith("I") or image.mode == "F":
        deep = np.asarray(image, np.float32)
        top = 65535.0 if image.mode.startswith("I") else max(1.0, float(deep.max()))
        if not np.isfinite(deep).all() or deep.min() < 0 or deep.max() > top:
            raise Refused(
                f"{name} holds values from {deep.min():g} to {deep.max():g}; save it with 8 or 16 bits a pixel"
            )
        notes.append(f"{name} has more than 8 bits a pixel; it was scaled to 0..1")
        grey = deep / top
        return np.stack([grey] * channels)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = np.asarray(image)[..., 3]
        if (alpha < 255).any():
            dark = float(np.asarray(image.convert("L"))[alpha >= 128].mean()) < 128 if (alpha >= 128).any() else False
            ground = Image.new("RGBA", image.size, (255, 255, 255, 255) if dark else (0, 0, 0, 255))
            image = Image.alpha_composite(ground, image)
            notes.append(f"{name} is transparent in places; it was laid on {'white' if dark else 'black'}")
    grey = image.mode in ("1", "L", "LA")
    if channels == 1 and not grey:
        colour = np.asarray(image.convert("RGB"))
        if (colour != colour[..., :1]).any():
            notes.append(f"{name} is in colour; it was made grey")
    if channels == 3 and grey:
        notes.append(f"{name} is grey; its three colours are alike")
    array = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float32) / 255
    return np.ascontiguousarray(array[None] if channels == 1 else array.transpose(2, 0, 1))
