"""Collections of labelled images or rows: what a model is trained on.

A `Collection` is a training part and perhaps a test part, each a `Part` of `Images` and, for every field, one label
name per image (``None`` where it is unknown) or its numbers (NaN where unknown). Labels are made names once, here at
the door; nothing behind it meets a raw label again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from condvae.arrays import clean_labels, read_labels, read_test_labels
from condvae.conditions import Schema
from condvae.describing import Likelihood, choose_likelihood, describe
from condvae.errors import Refused
from condvae.images import Images, as_images, unit
from condvae.kinds import Column, Names, check_kinds, kinds_words, label_values
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
    "part_with",
    "stratified_split",
    "unit",
]


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

    def take(self, index: Tensor) -> Part:
        """The rows of `index` [M], in its order, in memory."""
        rows = index.tolist()
        labels = {name: tuple(names[i] for i in rows) for name, names in self.labels.items()}
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return Part(Images(self.x[index], "NCHW", self.x.low, self.x.high), labels, numbers)


@dataclass(frozen=True, eq=False)
class Collection:
    """A named collection; `notes` say in words what was decided when it was read.

    `source` tells where it came from (a path, or "embedded", "memory"), for the run's record; `reading`, the options
    with which `condvae.datasets.load` reads it again from there (plain JSON). `outputs`: the fields of a generated
    table, whose rows `x` holds as encoded, [N, 1, 1, W]; None for pictures. `held_out`: the test part was set aside
    from the training part, for want of one of its own.
    """

    name: str
    train: Part
    test: Part | None = None
    notes: tuple[str, ...] = ()
    source: str = "memory"
    outputs: Schema | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    held_out: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of what may be asked for; empty for a plain VAE."""
        return (*self.train.labels, *self.train.numbers)


def part_with(images: Images, columns: Sequence[Column]) -> Part:
    """Images and what is known of them."""
    labels = {column.name: column.names for column in columns if column.values is None}
    numbers = {column.name: column.values for column in columns if column.values is not None}
    return Part(images, labels, numbers)


def collect(
    x: object,
    labels: Mapping[str, object] | None,
    x_test: object = None,
    labels_test: Mapping[str, object] | None = None,
    name: str = "data",
    source: str = "memory",
    kinds: Mapping[str, str] | None = None,
    inferred: str | None = None,
) -> Collection:
    """Check images and labels together and return them as a `Collection`.

    Args:
        x: images, as `as_images` takes them. labels: per field one label per image, or ``None`` for a plain VAE:
            whole numbers and text are labels, bools attributes (yes or no), floats that are not whole numbers; floats
            [N, D] are a vector of numbers, bools [N, D] or a dict of columns several attributes, each a field of its
            own. x_test, labels_test: likewise, of the same size and kinds; a field that is absent from labels_test is
            unknown there. kinds: field -> "label", "attribute" or "number", where it should be read as that. inferred:
            a label that a model is to infer, which may be unknown in every row; "auto" = any.

    Raises:
        Refused: unusable images or labels, different lengths, a field with fewer than two values, or with about as
            many as images.
    """
    images, notes = as_images(x, "x")
    columns = read_labels({} if labels is None else labels, len(images), check_kinds(kinds), inferred)
    train = part_with(images, columns)
    notes += kinds_words(columns)
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
    asked = labels_test if labels_test is not None and columns else {}
    test = part_with(images, read_test_labels(asked, len(images), columns))
    return Collection(name, train, test, (*notes, *more), source)
