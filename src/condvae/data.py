"""Collections of labelled images, and the check that speaks before the first epoch.

A `Collection` is what a model is trained on: a training part and perhaps a test part, each a `Part` of
`Images` and, for every field, one label name per image (``None`` where it is unknown). Labels are made names
once, here at the door; nothing behind it meets a raw label again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from condvae.errors import Refused
from condvae.images import Images, as_images, unit
from condvae.names import label_name, sort_names
from condvae.splits import hold_out, stratified_split

__all__ = [
    "Collection",
    "Images",
    "Likelihood",
    "Part",
    "as_images",
    "choose_likelihood",
    "clean_labels",
    "collect",
    "describe",
    "hold_out",
    "label_values",
    "stratified_split",
    "unit",
]

Likelihood = Literal["bernoulli", "gaussian"]
Names = tuple[str | None, ...]

_SAMPLE = 2_000  # images looked at to choose the likelihood
_EDGE = 0.02  # a pixel this near to 0 or 1 counts as black or white
_BINARY_SHARE = 0.95

_SHOWN = 30  # values named one by one
_UNEVEN = 5  # most frequent to least frequent value, from which on it is said
_FEW = 10  # images of one value, below which it is said


@dataclass(frozen=True, eq=False)
class Part:
    """Images [N, C, H, W] and, per field, their N label names; no field where nothing can be asked for.

    numbers: per numeric field float64 [N, D], NaN where unknown.
    """

    x: Images
    labels: Mapping[str, Names] = field(default_factory=dict)
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> "Part":
        """The rows of `index` [M], in its order, in memory."""
        rows = index.tolist()
        labels = {name: tuple(names[i] for i in rows) for name, names in self.labels.items()}
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return Part(Images(self.x[index], "NCHW", self.x.low, self.x.high), labels, numbers)


@dataclass(frozen=True, eq=False)
class Collection:
    """A named collection; `notes` say in words what was decided when it was read.

    `source` tells where it came from (a path, or "embedded", "memory"), for the run's record.
    """

    name: str
    train: Part
    test: Part | None = None
    notes: tuple[str, ...] = ()
    source: str = "memory"

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of what may be asked for; empty for a plain VAE."""
        return (*self.train.labels, *self.train.numbers)


def collect(
    x: object,
    labels: Mapping[str, object] | None,
    x_test: object = None,
    labels_test: Mapping[str, object] | None = None,
    name: str = "data",
    source: str = "memory",
) -> Collection:
    """Check images and labels together and return them as a `Collection`.

    Args:
        x: images, as `as_images` takes them. labels: per field one label per image, as `clean_labels` takes
            them, or ``None`` for a plain VAE. x_test, labels_test: likewise, of the same size; a field that
            is absent from labels_test is unknown there.

    Raises:
        Refused: unusable images or labels, different lengths, a field with fewer than two values.
    """
    images, notes = as_images(x, "x")
    train = Part(images, _clean_all(labels, len(images), "x"))
    for one, names in train.labels.items():
        _check_classes(one, names)
    if x_test is None:
        if labels_test:
            raise Refused("x_test must be given where labels_test is, got None; leave labels_test out as well")
        return Collection(name, train, None, tuple(notes), source)
    images, more = as_images(x_test, "x_test")
    if images.shape[1:] != train.x.shape[1:]:
        raise Refused(
            f"x_test must hold images of the size of x, {list(train.x.shape[1:])} as [C, H, W], "
            f"got {list(images.shape[1:])}"
        )
    cleaned = _clean_all(labels_test, len(images), "x_test")
    unknown: Names = (None,) * len(images)
    test = Part(images, {one: cleaned.get(one, unknown) for one in train.labels})
    return Collection(name, train, test, (*notes, *more), source)


def _clean_all(labels: Mapping[str, object] | None, n: int, argument: str) -> dict[str, Names]:
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        raise Refused(
            "labels must be a dict of field name and labels, such as {'digit': y}, or None for a plain VAE, "
            f"got {type(labels).__name__}"
        )
    cleaned: dict[str, Names] = {}
    for one, values in labels.items():
        if not isinstance(one, str) or not one.strip():
            raise Refused(f"a field's name must be text that is not blank, such as 'digit', got {one!r}")
        cleaned[one] = tuple(clean_labels(values, n, one, argument))
    return cleaned


def _check_classes(one: str, names: Names) -> None:
    values = label_values(names)
    if len(values) < 2:
        found = f"only {values[0]!r}" if values else "no known label at all"
        raise Refused(
            f"the labels of {one!r} must hold at least two classes, got {found}, so there is "
            "nothing to ask for; train a plain VAE with condvae.fit(x, None)"
        )


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
    listed = _as_sequence(values, field)
    if len(listed) != n:
        raise Refused(
            f"the labels of {field!r} must be one per image, got {len(listed):,} labels for {n:,} images in "
            f"{argument}; put None where a label is unknown"
        )
    try:
        if isinstance(listed, np.ndarray) and listed.dtype.kind in "uifb" and not np.ma.isMaskedArray(listed):
            different, place = np.unique(listed, return_inverse=True)
            names = [label_name(value) for value in different]
            return [names[i] for i in place.tolist()]
        return [label_name(value) for value in listed]
    except Refused as refused:
        raise Refused(f"the labels of {field!r} cannot be read: {refused}") from None


def _as_sequence(values: object, field: str) -> Sequence[object] | np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    if values is None or isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise Refused(f"the labels of {field!r} must be a list or array with one label per image, got {values!r:.60}")
    if not isinstance(values, np.ndarray):
        values = list(values)
        if not values or not isinstance(values[0], list | tuple | np.ndarray | Tensor) or np.ndim(values[0]) == 0:
            return values
        values = np.asarray(values) if len({np.shape(row) for row in values}) == 1 else values
    shape = np.shape(values) if isinstance(values, np.ndarray) else None
    if shape is not None and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        return np.reshape(values, -1)
    hint = "; name one class per image"
    if shape is not None and len(shape) == 2 and _is_one_hot(np.asarray(values)):
        hint = ", which is one-hot; give the class numbers with y.argmax(1)"
    got = f"shape {list(shape)}" if shape is not None else "rows of different lengths"
    raise Refused(f"the labels of {field!r} must be one label per image, got {got}{hint}")


def _is_one_hot(rows: np.ndarray) -> bool:
    if rows.dtype.kind not in "buif" or not rows.size:
        return False
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(1) == 1).all())


def label_values(names: Iterable[str | None]) -> tuple[str, ...]:
    """Return the different known names in order: numbers by size, then text."""
    return sort_names(name for name in names if name is not None)


def choose_likelihood(images: Images) -> tuple[Likelihood, str]:
    """Return the likelihood that fits `images`, and the reason as half a sentence.

    Up to 2,000 images, evenly spread, are looked at. Pictures of two tones are given a Bernoulli likelihood, all
    others a Gaussian one with a calibrated sigma: of grey pixels a Bernoulli is no density, and its pictures are
    softer.
    """
    step = max(1, -(-len(images) // _SAMPLE))
    x = unit(images[::step])
    share = ((x <= _EDGE) | (x >= 1 - _EDGE)).float().mean().item()
    percent = f"{100 * share:.0f} % of the pixels are black or white"
    if share >= _BINARY_SHARE:
        return "bernoulli", percent
    return "gaussian", f"{percent}, the others {'coloured' if images.shape[1] == 3 else 'grey'}"


def describe(train: Part, test: Part | None, likelihood: str, why: str, notes: Sequence[str] = ()) -> list[str]:
    """Say in plain sentences what the data are, what is missing or uneven, and which likelihood was chosen.

    Args:
        train, test: the parts of a collection. likelihood, why: as `choose_likelihood` returns them, or the
            user's choice and "as asked for". notes: of the collection, put in after the shape.
    """
    n, channels, height, width = train.x.shape
    held = "" if test is None else f" and {len(test):,} test images"
    colour = "grey" if channels == 1 else "colour"
    said = [f"{n:,} training images{held}, {colour}, {height} x {width} pixels ({_layout_words(train.x)})."]
    said += [*notes, _range_words(train.x)]
    if not train.labels:
        said.append("No labels, so nothing can be asked for: a plain VAE is trained.")
    for one, names in train.labels.items():
        said += _label_words(one, names, None if test is None else test.labels.get(one))
    other = "gaussian" if likelihood == "bernoulli" else "bernoulli"
    said.append(f"Likelihood: {likelihood}, because {why}; likelihood={other!r} overrides it.")
    return said


def _layout_words(x: Images) -> str:
    kind = "uint8" if x.dtype == torch.uint8 else "float32"
    return f"[N, C, H, W] = {list(x.shape)}, {kind}, {'in memory' if x.memory is not None else 'on disk'}"


def _range_words(x: Images) -> str:
    top = "0 to 255" if x.dtype == torch.uint8 else "0 to 1"
    if x.low == x.high:
        return f"Every pixel of every image is {x.low:g}, so there is nothing to learn from the images."
    return f"Pixels lie within {x.low:g} to {x.high:g} (of {top})."


def _label_words(one: str, names: Names, test: Names | None) -> list[str]:
    counts = Counter(name for name in names if name is not None)
    values = label_values(counts)
    most, least = max(values, key=lambda v: counts[v]), min(values, key=lambda v: counts[v])
    if len(values) <= _SHOWN:
        shown = ", ".join(f"{value} ({counts[value]:,})" for value in values)
        said = [f"{one!r} has {len(values):,} values (images): {shown}."]
    else:
        each = f"{counts[least]:,} to {counts[most]:,}" if counts[least] < counts[most] else f"{counts[most]:,}"
        shown = f"{', '.join(values[:3])}, ..., {values[-1]}"
        said = [f"{one!r} has {len(values):,} values with {each} images each: {shown}."]
    missing = len(names) - sum(counts.values())
    if missing:
        said.append(
            f"{missing:,} of {len(names):,} images ({100 * missing / len(names):.2g} %) have no known "
            f"{one!r}; they are trained on as unknown."
        )
    if counts[most] >= _UNEVEN * counts[least]:
        said.append(
            f"Uneven: {most!r} has {counts[most] / counts[least]:.0f} times as many images as {least!r}; "
            "rare values are learnt less well."
        )
    if counts[least] < _FEW:
        few = sum(count < _FEW for count in counts.values())
        said.append(f"{few:,} of the {len(values):,} values of {one!r} have fewer than {_FEW} images each.")
    new = sorted(set(label_values(test or ())) - set(values))
    if new:
        said.append(f"The test images hold values of {one!r} that training lacks: {', '.join(new[:_SHOWN])}.")
    return said
