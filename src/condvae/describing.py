"""What is said of data before the first epoch: what they are, what is missing or uneven, which likelihood fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from condvae.conditions import Schema
from condvae.images import Images, unit
from condvae.kinds import Names, label_values
from condvae.names import counted

if TYPE_CHECKING:
    from condvae.data import Part

__all__ = ["Likelihood", "choose_likelihood", "describe"]

Likelihood = Literal["bernoulli", "gaussian"]

_SAMPLE = 2_000  # images looked at to choose the likelihood
_EDGE = 0.02  # a pixel this near to 0 or 1 counts as black or white
_BINARY_SHARE = 0.95

_SHOWN = 30  # values named one by one
_UNEVEN = 5  # most frequent to least frequent value, from which on it is said
_FEW = 10  # images of one value, below which it is said
_RARE = 0.05  # share of yes or no, below which it is said


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


def describe(
    train: Part,
    test: Part | None,
    likelihood: str,
    why: str,
    notes: Sequence[str] = (),
    outputs: Schema | None = None,
    holes: bool = False,
) -> list[str]:
    """Say in plain sentences what the data are, what is missing or uneven, and which likelihood was chosen.

    Args:
        train, test: the parts of a collection. likelihood, why: as `choose_likelihood` returns them, or the
            user's choice and "as asked for". notes: of the collection, put in after the shape. outputs: the fields
            of a generated table, of which no likelihood is said; None for pictures. holes: parts of the pictures
            are told to the model, which fills the rest.
    """
    what = "images" if outputs is None else "rows"
    n, channels, height, width = train.x.shape
    held = "" if test is None else f" and {len(test):,} test {what}"
    if outputs is None:
        colour = "grey" if channels == 1 else "colour"
        said = [f"{n:,} training images{held}, {colour}, {height} x {width} pixels ({_layout_words(train.x)})."]
        said += [*notes, _range_words(train.x)]
    else:
        names = ", ".join(field.name for field in outputs.fields)
        wide = f"{counted(width, 'number')} a row as encoded"
        said = [f"{n:,} training rows{held}; generated are {names} ({wide}).", *notes]
    if not train.labels and not train.numbers:
        asked = (
            "only what is seen of a picture can be given."
            if holes
            else "nothing can be asked for: a plain VAE is trained."
        )
        said.append(f"No {_asked(outputs)}, so {asked}")
    said += _attributes_words({one: names for one, names in train.labels.items() if _is_attribute(names)}, what)
    for one, names in train.labels.items():
        if not _is_attribute(names):
            said += _label_words(one, names, None if test is None else test.labels.get(one), what)
    for one, values in train.numbers.items():
        said += _number_words(one, values, None if test is None else test.numbers.get(one), what)
    if outputs is None:
        other = "gaussian" if likelihood == "bernoulli" else "bernoulli"
        said.append(f"Likelihood: {likelihood}, because {why}; likelihood={other!r} overrides it.")
    return said


def _asked(outputs: Schema | None) -> str:
    return "labels" if outputs is None else "condition columns"


def _layout_words(x: Images) -> str:
    kind = "uint8" if x.dtype == torch.uint8 else "float32"
    return f"[N, C, H, W] = {list(x.shape)}, {kind}, {'in memory' if x.memory is not None else 'on disk'}"


def _range_words(x: Images) -> str:
    top = "0 to 255" if x.dtype == torch.uint8 else "0 to 1"
    if x.low == x.high:
        return f"Every pixel of every image is {x.low:g}, so there is nothing to learn from the images."
    return f"Pixels lie within {x.low:g} to {x.high:g} (of {top})."


def _percent(share: float) -> str:
    """A share to two digits; to four where two would make it 1e+02."""
    return f"{100 * share:.{2 if share < 0.995 else 4}g} %"


def _is_attribute(names: Names) -> bool:
    return {name for name in names if name is not None} == {"no", "yes"}


def _missing_words(one: str, missing: int, rows: int, what: str) -> list[str]:
    if not missing:
        return []
    share = _percent(missing / rows)
    return [f"{missing:,} of {rows:,} {what} ({share}) have no known {one!r}; they are trained on as unknown."]


def _attributes_words(attributes: dict[str, Names], what: str) -> list[str]:
    """All attributes in one sentence, then what is missing and what is rare."""
    shares, missing, rare = [], [], []
    for one, names in attributes.items():
        counts = Counter(names)
        known = counts["yes"] + counts["no"]
        share = counts["yes"] / known
        shares.append(f"{one} {_percent(share)}")
        missing += _missing_words(one, len(names) - known, len(names), what)
        if min(share, 1 - share) < _RARE or min(counts["yes"], counts["no"]) < _FEW:
            word = "yes" if share < 0.5 else "no"
            rare.append(f"{one}={word} ({counts[word]:,} {what})")
    said = [f"Yes or no (share of yes): {', '.join(shares)}."] if shares else []
    if rare:
        said.append(f"Uneven: rare are {', '.join(rare)}; rare values are learnt less well.")
    return [*said, *missing]


def _label_words(one: str, names: Names, test: Names | None, what: str) -> list[str]:
    counts = Counter(name for name in names if name is not None)
    values = label_values(list(counts))
    if not values:
        return _missing_words(one, len(names), len(names), what)
    most, least = max(values, key=lambda v: counts[v]), min(values, key=lambda v: counts[v])
    if len(values) <= _SHOWN:
        shown = ", ".join(f"{value} ({counts[value]:,})" for value in values)
        said = [f"{one!r} has {len(values):,} values ({what}): {shown}."]
    else:
        each = f"{counts[least]:,} to {counts[most]:,}" if counts[least] < counts[most] else f"{counts[most]:,}"
        shown = f"{', '.join(values[:3])}, ..., {values[-1]}"
        said = [f"{one!r} has {len(values):,} values with {each} {what} each: {shown}."]
    said += _missing_words(one, len(names) - sum(counts.values()), len(names), what)
    if counts[most] >= _UNEVEN * counts[least]:
        said.append(
            f"Uneven: {most!r} has {counts[most] / counts[least]:.0f} times as many {what} as {least!r}; "
            "rare values are learnt less well."
        )
    if counts[least] < _FEW:
        few = sum(count < _FEW for count in counts.values())
        said.append(f"{few:,} of the {len(values):,} values of {one!r} have fewer than {_FEW} {what} each.")
    new = sorted(set(label_values(test or ())) - set(values))
    if new:
        said.append(f"The test {what} hold values of {one!r} that training lacks: {', '.join(new[:_SHOWN])}.")
    return said


def _number_words(one: str, values: np.ndarray, test: np.ndarray | None, what: str) -> list[str]:
    """Range, mean and middle half of each number of a field; what is missing, piled up or new in the test part."""
    said: list[str] = []
    for place, column in enumerate(values.T):
        name = f"{one!r}" if values.shape[1] == 1 else f"entry {place} of {one!r}"
        known = column[~np.isnan(column)]
        if not len(known):
            continue
        low, first, third, high = np.quantile(known, [0, 0.25, 0.75, 1])
        said.append(
            f"{name} is a number from {low:.6g} to {high:.6g}, of mean {known.mean():.4g}; half of its values lie "
            f"within {first:.4g} to {third:.4g}."
        )
        common, counts = np.unique(known, return_counts=True)
        if 2 * counts.max() > len(known) and len(common) > 2:
            said.append(
                f"Uneven: {100 * counts.max() / len(known):.0f} % of {name} are {common[counts.argmax()]:g}; rare "
                "values are learnt less well."
            )
        others = np.empty(0) if test is None else test[:, place][~np.isnan(test[:, place])]
        beyond = int(((others < low) | (others > high)).sum())
        if beyond:
            said.append(f"{beyond:,} test {what} hold values of {name} outside the range of training.")
    return said + _missing_words(one, int(np.isnan(values).any(1).sum()), len(values), what)
