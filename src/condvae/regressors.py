"""The judge of numbers: a regressor trained on real pictures alone, which reads back the number that a drawing shows.

As a judge of labels it has a seed of its own, shares nothing with any model that it judges, carries its own error on
real images that it never saw, is trained once for a data set and kept as safetensors in the user's cache.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from condvae import judges
from condvae.data import Collection, Part
from condvae.errors import Refused
from condvae.images import as_images, unit
from condvae.judges import Progress, keep, optimiser_of, passes, rounded, row_batches, user_cache
from condvae.noise import seed_of
from condvae.regress_net import Regressor, RegressorCard, RegressorReading, number_fingerprint
from condvae.splits import hold_out

__all__ = [
    "Regressor",
    "RegressorCard",
    "RegressorReading",
    "kept_regressor",
    "make_regressor",
    "regressor_for",
    "train_regressor",
]

SEED = 0x6E756D626572  # "number": no seed that a model is trained with leads to the regressor's
NOISE = 0.02  # standard deviation of the noise on the pixels that training looks at


def regressor_for(
    collection: Collection,
    field: str | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Regressor:
    """The regressor of a collection's numbers: from the cache, else trained and kept there.

    A kept one is used only where it was trained on these very images and numbers (their SHA-256), and named after the
    collection at hand. Its error is that on the test part, measured anew where it was tested on others; without a test
    part a tenth of the training part is held out to measure it. A kept file that cannot be read is trained anew; a
    folder that cannot be written to costs a warning, not the regressor.

    Args:
        collection: real images; entries that are unknown are passed over.
        field: the name of the numbers' field, by default the first.
        cache_dir: where regressors are kept, by default the user's cache.
        progress: called with (done, total) pictures while one is trained.

    Raises:
        Refused: a collection without numbers, or without that field among them.
    """
    name, train, test = collection.name, collection.train, collection.test
    if not train.numbers or (field is not None and field not in train.numbers):
        raise Refused(
            f"a regressor needs images with numbers, of {', '.join(train.numbers) or 'any field'}; got {field!r} of "
            f"{name}"
        )
    field = field or next(iter(train.numbers))
    found = kept_regressor(collection, field, cache_dir)
    if found is not None:
        found.card = replace(found.card, data=name)
        return found if test is None else retested(found, field, test, collection.held_out)
    made = make_regressor(name, train, field, test, progress, collection.held_out)
    keep(made, kept_path(made.card.fingerprint, cache_dir))
    return made


def kept_path(key: str, cache_dir: Path | None = None) -> Path:
    """Where the regressor of that fingerprint is kept."""
    return (cache_dir or user_cache()) / "judges" / f"{key[:32]}.safetensors"


def kept_regressor(collection: Collection, field: str, cache_dir: Path | None = None) -> Regressor | None:
    """The regressor of these very data in the cache; None where there is none, or it cannot be read."""
    key = number_fingerprint(collection.train.x, collection.train.numbers[field], field)
    path = kept_path(key, cache_dir)
    if not path.is_file():
        return None
    try:
        found = Regressor.load(path)
    except Refused:
        return None
    return found if found.card.fingerprint == key else None


def retested(regressor: Regressor, field: str, test: Part, held_out: bool = False) -> Regressor:
    """The regressor with its error on `test`; as it is where that part does not hold the numbers."""
    column = test.numbers.get(field)
    if column is None:
        return regressor
    if (regressor.card.tested_on, regressor.card.held_out) == (number_fingerprint(test.x, column, field), held_out):
        return regressor
    return regressor.tested(test.x, column, held_out)


def make_regressor(
    name: str,
    train: Part,
    field: str,
    test: Part | None = None,
    progress: Progress | None = None,
    held_out: bool = False,
) -> Regressor:
    """Train a regressor on the training part and test it on the other, or on a tenth held out where there is none.

    held_out: the other part was held out before, too.
    """
    column = train.numbers[field]
    key = number_fingerprint(train.x, column, field)
    if test is not None and field in test.numbers:
        made = train_regressor(train.x, column, data=name, field=field, progress=progress)
        made.tested(test.x, test.numbers[field], held_out)
    else:
        _, held = hold_out(len(train), None, min(max(round(0.1 * len(train)), 1), max(len(train) - 1, 1)), SEED)
        seen = column.copy()
        seen[held.numpy()] = np.nan
        made = train_regressor(train.x, seen, data=name, field=field, progress=progress)
        made.tested(train.take(held).x, column[held.numpy()], held_out=True)
    made.card = replace(made.card, fingerprint=key)
    return made


def train_regressor(
    x: object,
    column: np.ndarray,
    seed: int = 0,
    epochs: float | None = None,
    data: str = "data",
    field: str = "number",
    progress: Progress | None = None,
) -> Regressor:
    """Train a regressor on real pictures x [N, C, H, W] and their numbers [N, D] float, NaN = unknown.

    The mean squared error of the standardised numbers that are known is minimised by the optimiser of `train_judge`, in
    batches of 128 with dropout 0.2 on the features. Pictures are neither turned nor moved, as a judge's are, for a
    number may be just that angle or place: they are given a little noise only. The global random state is left as it
    was. Matrices are rounded to half precision at the end, so that what is in memory is what is saved.

    Raises:
        Refused: x and column of different lengths, or fewer than two pictures with a known number.
    """
    images, _ = as_images(x)
    column = np.asarray(column, np.float64)
    known = ~np.isnan(column)
    rows = torch.from_numpy(np.flatnonzero(known.any(1)))
    if column.ndim != 2 or len(column) != len(images) or len(rows) < 2:
        raise Refused(
            f"column must hold numbers [N, D] of each of the {len(images)} pictures, at least two known; got "
            f"{list(column.shape)} with {len(rows)} known"
        )
    mean = np.asarray([one[told].mean() if told.any() else 0.0 for one, told in zip(column.T, known.T, strict=True)])
    spread = np.asarray([one[told].std() if told.any() else 0.0 for one, told in zip(column.T, known.T, strict=True)])
    spread = np.where(spread > 0, spread, 1.0)
    targets = torch.from_numpy(np.where(known, (column - mean) / spread, 0.0)).float()
    weights = torch.from_numpy(known).float()
    card = RegressorCard(data, field, tuple(mean.tolist()), tuple(spread.tolist()), images.shape[1:])
    generator = torch.Generator().manual_seed(seed_of(SEED, seed))
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed_of(SEED, seed, 1))
        regressor = Regressor(card)
        regressor.train().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        batch = min(judges.BATCH, len(rows))
        steps = max(1, passes(len(rows), images.shape[1:], epochs) // batch)
        optimiser, schedule = optimiser_of(regressor, steps)
        for step, picked in enumerate(row_batches(rows, batch, steps, generator)):
            pictures = unit(images[picked])
            pictures = pictures + NOISE * torch.randn(pictures.shape, generator=generator)
            features = regressor.features(pictures)
            kept = torch.rand(features.shape, generator=generator) >= 0.2
            error = (regressor.out(features * kept / 0.8) - targets[picked]).square() * weights[picked]
            loss = error.sum() / weights[picked].sum().clamp_min(1)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            if progress is not None:
                progress((step + 1) * batch, steps * batch)
    return rounded(regressor)
