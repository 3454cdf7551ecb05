"""The independent judge: a classifier of real pictures that reads back which label a drawn picture shows.

It is trained on the real training images alone, with a seed and an architecture of its own, shares nothing
with any model that it judges, and carries its own accuracy on real images that it never saw. Its last
hidden layer gives the features in which distances between collections of pictures are taken. A judge is
trained once for a data set and kept as safetensors: pinned in the package for the best known data, else in
the user's cache.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from condvae.conditions import Label
from condvae.data import Collection, Part
from condvae.errors import Refused
from condvae.images import as_images, unit
from condvae.judge_net import Judge, JudgeCard, JudgeReading, Trunk, fingerprint, working_size
from condvae.noise import seed_of
from condvae.splits import stratified_split
from condvae.warps import resample

__all__ = ["Judge", "JudgeCard", "JudgeReading", "fingerprint", "judge_for", "make_judge", "pinned", "train_judge"]

SEED = 0x6A75646765  # "judge": no seed that a model is trained with leads to the judge's
MIRRORED = frozenset({"fashion-mnist", "cifar10"})  # known data in which a mirrored picture keeps its label
PINNED = Path(str(resources.files("condvae"))) / "pinned"

BATCH = 128
PASSES = 420_000  # pictures of 28 x 28 that training looks at, at most: about three minutes on two slow cores
AREA = 28 * 28
LEAST_PASSES, EPOCHS = 30_000, 25  # a small collection is gone through 25 times, a very small one more often

Network = TypeVar("Network", bound=Trunk)
Progress = Callable[[int, int], None]  # (done, total), in pictures looked at


def judge_for(
    collection: Collection,
    field: str | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Judge:
    """The judge of a collection's labels: pinned in the package, else in the cache, else trained and kept there.

    A kept judge is used only where it was trained on these very images and labels (their SHA-256), and named
    after the collection at hand. Its accuracy is that on the test part, measured anew where it was tested on
    others; without a test part a tenth of the training part is held out to measure it. A kept file that cannot
    be read is trained anew; a folder that cannot be written to costs a warning, not the judge.

    Args:
        collection: real images; those whose label is unknown are passed over.
        field: the name of the labels' field, by default the first.
        cache_dir: where judges are kept, by default the user's cache.
        progress: called with (done, total) pictures while a judge is trained.

    Raises:
        Refused: a collection without labels, or without that field among them: numbers are read by a regressor
            (`condvae.regressors.regressor_for`).
    """
    name, train, test = collection.name, collection.train, collection.test
    if not train.labels or (field is not None and field not in train.labels):
        raise Refused(
            f"a judge needs images with labels, of {', '.join(train.labels) or 'any field'}; got {field!r} of {name}"
        )
    label = learnt(train, field or next(iter(train.labels)))
    key = fingerprint(train.x, positions(train, label), label.values)
    kept = (cache_dir or user_cache()) / "judges" / f"{key[:32]}.safetensors"
    pinned = [PINNED / f"judge-{name}.safetensors"] if re.fullmatch(r"[a-z0-9-]+", name) else []
    for path in (*pinned, kept):
        judge = stored(path, key)
        if judge is not None:
            judge.card = replace(judge.card, data=name)
            return retested(judge, label, test, collection.held_out)
    judge = make_judge(name, train, label, test, progress, collection.held_out)
    keep(judge, kept)
    return judge


def keep(judge: Any, path: Path) -> None:
    """Save a judge or regressor; a folder that cannot be written to costs a warning, not the judge."""
    try:
        judge.save(path)
    except OSError as error:
        warnings.warn(f"the judge could not be kept in {path.parent} ({error.strerror or error})", stacklevel=3)


def learnt(part: Part, field: str) -> Label:
    """The field that a part's known labels describe; whether some are unknown does not matter to a judge."""
    return Label.learn(field, [name for name in part.labels[field] if name is not None])


def user_cache() -> Path:
    """The user's cache folder: CONDVAE_CACHE, else condvae under XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("CONDVAE_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "condvae"


def make_judge(
    name: str,
    train: Part,
    field: Label,
    test: Part | None = None,
    progress: Progress | None = None,
    held_out: bool = False,
) -> Judge:
    """Train a judge on the training part and test it on the other, or on a tenth held out where there is
    none. held_out: the other part was held out before, too.
    """
    x, index = train.x, positions(train, field)
    key = fingerprint(x, index, field.values)
    mirror = name in MIRRORED
    if test is not None:
        judge = train_judge(x, index, field.values, mirror=mirror, data=name, progress=progress)
        judge.tested(test.x, positions(test, field), held_out)
    else:
        _, held = stratified_split(train.labels[field.name], 0.1, SEED)
        seen = index.copy()
        seen[held.numpy()] = -1
        judge = train_judge(x, seen, field.values, mirror=mirror, data=name, progress=progress)
        judge.tested(train.take(held).x, index[held.numpy()], held_out=True)
    judge.card = replace(judge.card, fingerprint=key)
    return judge


def positions(part: Part, field: Label) -> np.ndarray:
    """Positions of a part's labels in the field's values [N], -1 where unknown or none of them."""
    places = {value: place for place, value in enumerate(field.values)}
    return np.asarray([-1 if name is None else places.get(name, -1) for name in part.labels[field.name]], np.int64)


def stored(path: Path, key: str) -> Judge | None:
    """The judge kept at `path`, None where there is none, it cannot be read, or it was trained on other
    data.
    """
    if not path.is_file():
        return None
    try:
        judge = Judge.load(path)
    except Refused:
        return None
    return judge if judge.card.fingerprint == key else None


def pinned(name: str, values: Sequence[str], shape: tuple[int, int, int]) -> Judge | None:
    """The judge pinned for the data of that name, where it reads these values from pictures of this shape [C, H, W]."""
    path = PINNED / f"judge-{name}.safetensors"
    if not re.fullmatch(r"[a-z0-9-]+", name) or not path.is_file():
        return None
    judge = Judge.load(path)
    return judge if judge.values == tuple(values) and tuple(judge.card.shape) == tuple(shape) else None


def retested(judge: Judge, field: Label, test: Part | None, held_out: bool = False) -> Judge:
    """The judge with its accuracy on `test`; what it was tested on before stands where there is no test
    part.
    """
    if test is None:
        return judge
    index = positions(test, field)
    if (judge.card.tested_on, judge.card.held_out) == (fingerprint(test.x, index, judge.values), held_out):
        return judge
    return judge.tested(test.x, index, held_out)


def augment(x: Tensor, generator: torch.Generator, mirror: bool = False) -> Tensor:
    """Pictures [B, C, H, W] turned by up to 10 degrees, scaled by 10 %, sheared by 0.1 and shifted by 7 %,
    at random.
    """

    def within(limit: float) -> Tensor:
        return (2 * torch.rand(len(x), generator=generator) - 1) * limit

    angle = within(math.pi / 18)
    wide, high, shear = 1 + within(0.1), 1 + within(0.1), within(0.1)
    if mirror:
        wide = wide * (1 - 2 * (torch.rand(len(x), generator=generator) < 0.5).float())
    cos, sin = angle.cos(), angle.sin()
    rows = [cos * wide, (shear - sin) * high, within(0.14), sin * wide, cos * high, within(0.14)]
    return resample(x, torch.stack(rows, 1).view(-1, 2, 3))


def passes(rows: int, shape: Sequence[int], epochs: float | None) -> int:
    """How many pictures training looks at: `epochs` times all, by default as many as the size of the data
    asks for.
    """
    if epochs is not None:
        return round(epochs * rows)
    most = PASSES * AREA / math.prod(working_size(shape[1], shape[2]))
    return round(min(most, max(LEAST_PASSES, EPOCHS * rows)))


def train_judge(
    x: object,
    index: np.ndarray,
    values: Sequence[str],
    seed: int = 0,
    epochs: float | None = None,
    mirror: bool = False,
    data: str = "data",
    progress: Progress | None = None,
) -> Judge:
    """Train a judge on real pictures x [N, C, H, W] and the positions of their labels in `values` [N], -1 =
    unknown.

    AdamW at 3e-3 (warm-up over a fifth, cosine to zero), batches of 128, label smoothing 0.05, dropout 0.2
    on the features, small random affine changes (none in the last 3 %). By default a collection of 60,000
    pictures of 28 x 28 is gone through seven times, a small one 25 times or more. The global random state
    is left as it was. Matrices are rounded to half precision at the end, so that the judge in memory is the
    one that is saved.

    Raises:
        Refused: x and index of different lengths, or fewer than two pictures with a known label.
    """
    images, _ = as_images(x)
    index = np.asarray(index)
    rows = torch.from_numpy(np.flatnonzero(index >= 0))
    if len(index) != len(images) or len(rows) < 2:
        raise Refused(
            f"index must hold a label's position for each of the {len(images)} pictures, at least two known; "
            f"got {len(index)} with {len(rows)} known"
        )
    targets = torch.from_numpy(index.astype(np.int64))
    generator = torch.Generator().manual_seed(seed_of(SEED, seed))
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed_of(SEED, seed, 1))
        judge = Judge(JudgeCard(data, tuple(values), images.shape[1:]))
        judge.train().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        batch = min(BATCH, len(rows))
        steps = max(1, passes(len(rows), images.shape[1:], epochs) // batch)
        optimiser, schedule = optimiser_of(judge, steps)
        for step, picked in enumerate(row_batches(rows, batch, steps, generator)):
            pictures = judge.resized(unit(images[picked]))  # large pictures are made small before they are warped
            if step < 0.97 * steps:
                pictures = augment(pictures, generator, mirror)
            features = judge.features(pictures)
            kept = torch.rand(features.shape, generator=generator) >= 0.2
            loss = F.cross_entropy(judge.out(features * kept / 0.8), targets[picked], label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            if progress is not None:
                progress((step + 1) * batch, steps * batch)
    return rounded(judge)


def rounded(judge: Network) -> Network:
    """The network at rest, its matrices rounded to half precision: in memory it is what would be saved."""
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter.copy_(parameter.half() if parameter.ndim > 1 else parameter)
            parameter.requires_grad_(False)
    return judge.eval()


def optimiser_of(judge: nn.Module, steps: int) -> tuple[AdamW, LambdaLR]:
    """AdamW at 3e-3 with its schedule over `steps`: warm-up over a fifth, cosine to zero."""
    groups = [
        {"params": [p for p in judge.parameters() if p.ndim > 1], "weight_decay": 0.02},
        {"params": [p for p in judge.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = AdamW(groups, lr=3e-3, betas=(0.9, 0.99))

    def rate(step: int) -> float:
        done = (step + 1) / steps
        return done / 0.2 if done < 0.2 else 0.5 * (1 + math.cos(math.pi * (done - 0.2) / 0.8))

    return optimiser, LambdaLR(optimiser, rate)


def row_batches(rows: Tensor, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Rows of each step: random orders of all, one after the other, each without its last, broken batch."""
    step = 0
    while step < steps:
        order = rows[torch.randperm(len(rows), generator=generator)]
        for start in range(0, len(rows) - batch + 1, batch):
            if step < steps:
                yield order[start : start + batch]
            step += 1
