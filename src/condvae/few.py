"""Few labels: which are kept of many, which label is inferred, and how batches mix rows with and without it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from condvae.balance import turns
from condvae.conditions import Label
from condvae.data import Part
from condvae.errors import Refused, suggest
from condvae.names import sort_names
from condvae.noise import seed_of
from condvae.settings import Settings

__all__ = [
    "few_rows",
    "inferred_label",
    "keep_few",
    "mixed_order",
    "mixed_weights",
    "named_label",
    "said_of",
    "share_of",
    "with_label",
]


def with_label(part: Part, settings: Settings) -> Part:
    """The part with a label that is blank in every row, where it has none and clusters are asked for."""
    if part.labels or settings.infer is None or settings.classes is None:
        return part
    name = "cluster" if settings.infer == "auto" else settings.infer
    return replace(part, labels={name: (None,) * len(part)})


def named_label(part: Part, settings: Settings) -> str | None:
    """The label that is to be inferred, by its name; Refused where there is none, or settings do not go with it."""
    if settings.infer is None:
        for name in (
            "labels",
            "classes",
            "consistency",
            "information",
            "guide",
            "mixup",
            "auxiliary",
            "features_first",
        ):
            if getattr(settings, name):
                raise Refused(
                    f"{name}={getattr(settings, name)!r} goes with a label that is inferred; add infer='auto' "
                    "(--infer auto)"
                )
        return None
    names = list(part.labels)
    if not names:
        raise Refused(
            "infer needs a label, and the data have none; for clusters say how many: classes=10, --classes 10"
        )
    if settings.infer == "auto":
        return max(names, key=lambda name: sum(one is None for one in part.labels[name]))
    if settings.infer not in names:
        hint = suggest(settings.infer, names)
        raise Refused(f"infer is one of {', '.join(names)}, or 'auto'; got {settings.infer!r}{hint}")
    return settings.infer


def few_rows(names: Sequence[str | None], count: int, seed: int) -> np.ndarray:
    """`count` rows whose label is known, equally many of each class, rising [count] int64; a function of
    (names, count, seed) alone, on every machine and version.

    Where count is no multiple of the classes, or a class has too few rows, others give one more each. Refused where
    fewer rows are labelled than are to be kept.
    """
    known = sum(name is not None for name in names)
    if not 1 <= count <= known:
        raise Refused(f"labels must be from 1 to the {known} rows whose label is known; got {count}")
    order = np.argsort(np.random.PCG64(seed_of(seed, 23)).random_raw(len(names)), kind="stable")
    rows: dict[str, list[int]] = {}
    for row in order.tolist():
        name = names[row]
        if name is not None:
            rows.setdefault(name, []).append(row)
    taken: list[int] = []
    turn = 0
    while len(taken) < count:  # one of each class, then a second of each, ...
        left = [rows[name][turn] for name in sort_names(rows) if turn < len(rows[name])]
        if len(taken) + len(left) > count:
            start = seed_of(seed, 29) % len(left)
            left = (left[start:] + left[:start])[: count - len(taken)]
        taken += left
        turn += 1
    return np.sort(np.asarray(taken, np.int64))


def keep_few(part: Part, name: str, count: int, seed: int) -> tuple[Part, np.ndarray]:
    """(the part with all labels of that field but `count` made unknown, the rows [count] that keep theirs)."""
    rows = few_rows(part.labels[name], count, seed)
    kept = set(rows.tolist())
    names = tuple(value if row in kept else None for row, value in enumerate(part.labels[name]))
    return replace(part, labels={**part.labels, name: names}), rows


def inferred_label(name: str, names: Sequence[str | None], more: Sequence[str], settings: Settings) -> Label:
    """The field of an inferred label: the classes that rows name, those of `more`, and clusters up to
    `settings.classes`; shares are those of the known labels, one row added to each class, or equal."""
    counts = Counter(value for value in names if value is not None)
    values = sort_names({*counts, *more})
    if settings.classes is not None:
        if settings.classes < len(values):
            raise Refused(f"classes must be at least the {len(values)} that the data name; got {settings.classes}")
        free = (f"cluster {number}" for number in range(1, 2 * settings.classes + 1))
        unused = (word for word in free if word not in values)
        values = [*values, *(next(unused) for _ in range(settings.classes - len(values)))]
    if len(values) < 2:
        raise Refused(
            f"no row has a known {name!r}, so how many classes there are must be said: classes=10 (--classes 10)"
            if not values
            else f"the known labels of {name!r} name one class, {values[0]!r}; label rows of another, or say classes=2"
        )
    even = settings.class_prior == "uniform"
    total = len(values) if even else sum(counts.values()) + len(values)
    shares = tuple(1 / total if even else (counts[value] + 1) / total for value in values)
    return Label(name, tuple(values), shares, False)


def said_of(field: Label, names: Sequence[str | None], drawn: int | None) -> list[str]:
    """What is said of an inferred label before the first epoch: what is known of it, and of each class."""
    counts = Counter(value for value in names if value is not None)
    known = sum(counts.values())
    if known == 0:
        return [
            f"{field.name!r} is inferred, and no row has it: the {len(field.values)} classes are clusters, numbered in "
            "no order, and what they stand for is for you to see."
        ]
    each = sorted(set(counts.values()))
    many = f"{each[0]:,}" if len(each) == 1 else f"{each[0]:,} to {each[-1]:,}"
    kept = "" if drawn is None else ", drawn by the seed"
    if known == len(names):
        said = [f"{field.name!r} is known in every row: this is the conditional model with a classifier beside it."]
    else:
        all_rows = f"{known:,} of {len(names):,} rows have it ({many} a class{kept})"
        said = [f"{field.name!r} is inferred where it is blank: {all_rows}."]
    lacking = [value for value in field.values if not counts[value]]
    if lacking:
        plural = "classes have" if len(lacking) > 1 else "class has"
        which = ", ".join(map(repr, lacking))
        said.append(f"{len(lacking)} {plural} no labelled row: {which}; what is read as such is a cluster.")
    return said


def share_of(known: Tensor, settings: Settings) -> float | None:
    """The share of each batch that is labelled; None where all rows are, or none, and batches are as the data are."""
    count = int(known.sum())
    return settings.labelled_share if 0 < count < len(known) else None


def labelled_in(size: int, share: float) -> int:
    """Labelled rows of a batch of `size` rows: at least one of each kind."""
    return min(size - 1, max(1, round(size * share)))


def mixed_weights(known: Tensor, size: int, share: float) -> Tensor:
    """Weights [N] that undo how much more often labelled rows come; their mean over any whole batch is 1."""
    natural, shown = float(known.float().mean()), labelled_in(size, share) / size
    return torch.where(known, natural / shown, (1 - natural) / (1 - shown)).float()


def mixed_order(known: Tensor, size: int, share: float, epoch: int, seed: int = 0) -> Tensor:
    """Row numbers of an epoch of as many rows as there are, [N]: each batch of `size` has its share of labelled rows.

    Both kinds are gone through in one random order after another, across epochs. A function of its arguments alone.
    """
    batches = math.ceil(len(known) / size)
    last = len(known) - size * (batches - 1)
    lengths = [size] * (batches - 1) + [last]
    firsts = [labelled_in(length, share) if length > 1 else 0 for length in lengths]
    groups = (torch.nonzero(known)[:, 0], torch.nonzero(~known)[:, 0])
    with_label = turns(groups[0], sum(firsts), epoch, seed, 0)
    without = turns(groups[1], len(known) - sum(firsts), epoch, seed, 1)
    out: list[Tensor] = []
    a = b = 0
    for length, count in zip(lengths, firsts, strict=True):
        out += [with_label[a : a + count], without[b : b + length - count]]
        a, b = a + count, b + length - count
    return torch.cat(out)
