"""Who reads what: a judge for each label and a regressor for each number of a collection, where they are affordable."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from condvae import judges
from condvae.conditions import Field, Label, Number
from condvae.data import Collection, Part
from condvae.errors import Refused
from condvae.images import Images
from condvae.judge_net import Judge, working_size
from condvae.judges import Progress, judge_for
from condvae.learned import Asked, Learned, columns_of
from condvae.names import counted
from condvae.regress_net import Regressor
from condvae.regressors import kept_regressor, regressor_for
from condvae.splits import hold_out

__all__ = ["Panel", "Reader", "halved", "judges_for", "panel_of", "pixels_of"]

Reader = Judge | Regressor
TABLE = "rows of a table are not read by a judge"
SEED = 0x68616C66  # "half"
AT_MOST = 2.0  # times what one may cost: all that are trained for one report


@dataclass(frozen=True)
class Panel:
    """readers: field name -> its judge or regressor; missing: field name -> why it has none, as half a sentence.

    unseen: the rows of the images at hand that no reader learnt from, rising; None = all.
    """

    readers: Mapping[str, Reader] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    unseen: np.ndarray | None = None


def judges_for(
    collection: Collection,
    fields: Sequence[Field] | None = None,
    cheap: float | None = None,
    cache_dir: Path | None = None,
    progress: Callable[[str], Progress | None] | None = None,
    starting: Callable[[str], None] | None = None,
) -> Panel:
    """A judge of each label and a regressor of each number: pinned, cached, or trained and kept.

    Args:
        collection: real images with their labels and numbers.
        fields: the fields to read, by default all that the collection holds; others than labels and numbers are passed
            over.
        cheap: pixels that the training of one may look at; a field whose reader is neither pinned nor cached and costs
            more is missing from the panel, and so are those past twice that in all. None = train all.
        cache_dir: where they are kept, by default the user's cache.
        progress: field name -> what is called with (done, total) pictures while its reader is trained.
        starting: called with a field's name before its reader is trained.
    """
    wanted = read_fields(collection, fields)
    readers: dict[str, Reader] = {}
    missing: dict[str, str] = {}
    spent = 0.0
    for name, number in wanted.items():
        held = collection.train.numbers if number else collection.train.labels
        if collection.outputs is not None:
            missing[name] = TABLE
        elif name not in held:
            missing[name] = f"{collection.name} does not hold it"
        else:
            try:
                there = kept(collection, name, number, cache_dir)
                cost = 0.0 if there else pixels_of(collection)
                if cheap is not None and (cost > cheap or spent + cost > AT_MOST * cheap):
                    missing[name] = f"a judge for {counted(len(collection.train), 'image')} takes minutes to train"
                    continue
                if not there and starting is not None:
                    starting(name)
                told = progress(name) if progress is not None else None
                make = regressor_for if number else judge_for
                readers[name] = make(collection, name, cache_dir, told)
                spent += cost
                if unnamed := unread(fields, readers[name], name):
                    del readers[name]
                    missing[name] = f"no real image is labelled {unnamed}, which a judge could learn from"
            except Refused as refused:
                missing[name] = str(refused)
    return Panel(readers, missing)


def read_fields(collection: Collection, fields: Sequence[Field] | None) -> dict[str, bool]:
    """Field name -> whether it is a number, of the fields that can be read off a picture."""
    if fields is None:
        return {name: False for name in collection.train.labels} | {name: True for name in collection.train.numbers}
    return {one.name: isinstance(one, Number) for one in fields if isinstance(one, Label | Number)}


def unread(fields: Sequence[Field] | None, reader: Reader, name: str) -> str:
    """The model's values of a label that its judge has never seen, in words; "" where it knows them all."""
    field = next((one for one in fields or () if one.name == name and isinstance(one, Label)), None)
    if field is None or not isinstance(reader, Judge):
        return ""
    return ", ".join(repr(value) for value in field.values if value not in reader.values)


def pixels_of(collection: Collection) -> float:
    """Pixels that the training of one judge of the collection looks at."""
    rows, shape = len(collection.train), collection.train.x.shape
    return judges.passes(rows, shape[1:], None) * math.prod(working_size(*shape[2:]))


def kept(collection: Collection, name: str, number: bool, cache_dir: Path | None = None) -> bool:
    """Whether a judge or regressor of these very data is pinned or cached."""
    if number:
        return kept_regressor(collection, name, cache_dir) is not None
    label = judges.learnt(collection.train, name)
    key = judges.fingerprint(collection.train.x, judges.positions(collection.train, label), label.values)
    places = (
        judges.PINNED / f"judge-{collection.name}.safetensors",
        (cache_dir or judges.user_cache()) / "judges" / f"{key[:32]}.safetensors",
    )
    return any(judges.stored(path, key) is not None for path in places)


def panel_of(learned: Learned, images: Images, given: Asked, name: str, collection: Collection | None) -> Panel:
    """What reads the fields that are given of images [N], for a model of the data called `name`.

    Each judge is the one pinned for those data, else one trained on the training part of the collection, or where there
    is none, or most of the images are of it, on half of the images themselves: the other half is `unseen`.
    """
    fields = [field for field in learned.schema.fields if field.name in given]
    if learned.outputs is not None:
        return Panel({}, {field.name: TABLE for field in fields})
    ready: dict[str, Reader] = {}
    for one in fields:
        pinned = judges.pinned(name, one.values, learned.shape) if isinstance(one, Label) else None
        if pinned is not None:
            ready[one.name] = pinned
    rest = [field for field in fields if field.name not in ready]
    if not rest:
        return Panel(ready)
    columns = columns_of(learned, given, len(images))
    texts = {field.name: field.text(columns[field.name]) for field in learned.schema.labels}
    labels = {name: tuple(text or None for text in words) for name, words in texts.items()}
    shown = Part(images, labels, {field.name: columns[field.name] for field in learned.schema.numbers})
    if collection is None or mostly_among(images, collection.train.x):
        made, unseen = halved(Collection(name, shown))
    else:
        made, unseen = replace(collection, test=shown), None
    found = judges_for(made, rest)
    return Panel({**ready, **found.readers}, found.missing, unseen)


def mostly_among(images: Images, others: Images) -> bool:
    """Whether more than half of the images are among others; a few are so by chance, in data that repeat themselves."""
    if tuple(images.shape[1:]) != tuple(others.shape[1:]):
        return False
    known = set(marks(others))
    return sum(mark in known for mark in marks(images)) > len(images) / 2


def marks(images: Images) -> Iterator[bytes]:
    """A hash of each image, the same for 0..255 and the same divided by 255."""
    for chunk in images.chunks():
        bits = chunk if chunk.dtype == torch.uint8 else (chunk * 255).round_().to(torch.uint8)
        for row in bits.contiguous().numpy():
            yield hashlib.blake2b(row.tobytes(), digest_size=16).digest()


def halved(collection: Collection) -> tuple[Collection, np.ndarray | None]:
    """(a collection without a test part with half of its images as one, the rows that these are, rising).

    Readers learn from the other half, so that the measured images are none of theirs; it holds every value of every
    label. A collection of fewer than two images, which has no halves, or with a test part, is given back with None.
    """
    part = collection.train
    if collection.test is not None or len(part) < 2:
        return collection, None
    first = next(iter(part.labels.values()), None)
    held = np.zeros(len(part), bool)
    held[hold_out(len(part), first, len(part) // 2, SEED)[1].numpy()] = True
    for names in part.labels.values():
        known = {name for name, gone in zip(names, held, strict=True) if not gone}
        for row in np.flatnonzero(held):
            if names[row] not in known:
                known.add(names[row])
                held[row] = False
    rows = np.flatnonzero(held)
    if not len(rows):
        return collection, None
    kept, aside = (part.take(torch.from_numpy(np.flatnonzero(which))) for which in (~held, held))
    return replace(collection, train=kept, test=aside, held_out=True), rows
