"""What an evaluation is of: a model under one prior, images and what is known of them; what all measures share."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from condvae.conditions import Field, Label, Number
from condvae.errors import Refused
from condvae.evaluation import Estimate
from condvae.holes import seen_masks
from condvae.images import Images, unit
from condvae.judges import Judge
from condvae.learned import Asked, Columns, Learned, chunks, columns_of, observe, open_fields, take
from condvae.ledger import Ledger
from condvae.noise import RowNoise, seed_of
from condvae.panel import Reader
from condvae.regress_net import Regressor
from condvae.scores import CLASSIFY_SAMPLES, posterior
from condvae.tasks import generate
from condvae.temperatures import Temperature
from condvae.weighing import marginal

Progress = Callable[[str, int, int], None]  # (what is measured, done, total)

HELD = 2**28  # numbers of partial pictures that are kept at once: a gigabyte
BLANK_HOLES = ("any", "nothing")  # kinds of holes whose training saw pictures of which nothing is seen


@dataclass(frozen=True)
class Subject:
    """What is measured: the model under its prior, the images, what is known of them as given and settled.

    given: as it was given, with the holes that were cut; settled: with nothing left open. holes: the kind of the holes
    that were cut here into the images, "" where none were. unseen: the rows that no judge was trained on; None = all.
    temperature: of the drawings.
    unknown: what the likelihood does with what is not given, as `open_fields` has it; ledger: keeps what is weighed.
    """

    learned: Learned
    model: nn.Module
    images: Images
    given: Columns
    settled: Columns
    seed: int
    progress: Progress | None
    holes: str = ""
    unseen: np.ndarray | None = None
    temperature: Temperature = 1.0
    unknown: str | None = None
    ledger: Ledger | None = None

    @property
    def judged(self) -> np.ndarray:
        """The rows that judges may read: whose like is drawn, and which are completed."""
        return np.arange(len(self.images)) if self.unseen is None else self.unseen

    def tell(self, what: str) -> Callable[[int, int], None] | None:
        """A progress of rows for one measure."""
        progress = self.progress
        return None if progress is None else lambda done, total: progress(what, done, total)

    @property
    def blank_pictures(self) -> bool:
        """Whether drawings begin from a picture of which nothing is seen; else what is seen of an image is given."""
        return self.learned.schema.picture is None or self.learned.holes in BLANK_HOLES

    def asked_of(self, rows: np.ndarray, picture: bool) -> dict[str, list]:
        """What is known of these images, as may be asked; what is seen of them only with `picture`."""
        asked: dict[str, list] = {}
        for field in self.learned.schema.fields:
            column = self.given[field.name][rows]
            if isinstance(field, Label):
                names = [*field.values, None]
                asked[field.name] = [names[place] for place in column]
            elif isinstance(field, Number) or picture:
                asked[field.name] = list(column)
        return asked

    def drawn(self, asked: dict[str, list], n: int, seed: int, prior: str | None) -> np.ndarray:
        """n drawings of each request, [N, n, C, H, W], as `generate` makes them; without requests [n, C, H, W]."""
        with beyond_training():
            return generate(self.learned, asked or None, n, seed, self.temperature, prior)


@contextmanager
def beyond_training() -> Iterator[None]:
    """Within it nobody is warned of numbers that training did not reach: that real images hold some is no news."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*where the model guesses")
        yield


def subject_of(
    learned: Learned,
    images: Images,
    given: Asked | None,
    prior: str | None,
    seed: int,
    progress: Progress | None = None,
    unseen: np.ndarray | None = None,
    temperature: Temperature = 1.0,
    unknown: str | None = None,
    ledger: Ledger | None = None,
) -> Subject:
    """The subject of these images; holes are cut into them where the model fills holes and none are given.

    Of images whose partial pictures would take more than a gigabyte, as many as fit are taken, drawn at random.
    """
    told = columns_of(learned, given, len(images))
    open_fields(learned.schema, told, np.arange(len(images)), unknown)  # refuses what cannot be done before the work
    picture = learned.schema.picture
    holes = ""
    if picture is not None and picture.name not in (given or {}):
        holes = "any" if learned.holes == "none" else learned.holes
        most = HELD // (math.prod(learned.shape) + math.prod(learned.shape[1:]))
        if len(images) > most:
            rows = chosen(len(images), max(1, most), seed)
            told = {name: column[rows] for name, column in told.items()}
            images = Images(images[torch.from_numpy(rows)], "NCHW", images.low, images.high)
            unseen = None if unseen is None else np.flatnonzero(np.isin(rows, unseen))
        told[picture.name] = cut(learned, images, holes, seed)
    settled = settle(learned, images, told, progress)
    model = learned.using(prior)
    return Subject(learned, model, images, told, settled, seed, progress, holes, unseen, temperature, unknown, ledger)


def cut(learned: Learned, images: Images, holes: str, seed: int) -> np.ndarray:
    """What is seen of the images through holes of that kind, [N, C + 1, H, W], as the model's protocol sees them.

    Row i is a function of (seed, i) and its image.
    """
    channels, height, width = learned.shape
    out = np.empty((len(images), channels + 1, height, width), np.float32)
    for rows, kept in chunks(len(images)):
        noise = RowNoise(seed, rows, learned.device)
        x = observe(take(learned, images, rows), learned.binarise, noise)
        seen = seen_masks(holes, len(rows), height, width, noise, x.device).to(x)
        out[kept] = torch.cat([x * seen, seen], 1)[: kept.stop - kept.start].cpu().numpy()
    return out


def settle(learned: Learned, images: Images, told: Columns, progress: Progress | None = None) -> Columns:
    """The columns with what is unknown and has no blank input read from the images, field by field.

    A label by `classify`; a number as the likeliest of the 16 values that it is summed over elsewhere.
    """
    columns = dict(told)
    for field in learned.schema.fields:
        rows = np.flatnonzero(field.unknown(columns[field.name]))
        if field.optional or not len(rows):
            continue
        if isinstance(field, Label):
            tell = None if progress is None else partial(progress, f"reading {field.name}")
            read = posterior(learned, learned.using(), images, columns, field, CLASSIFY_SAMPLES, 0, tell, rows)
            column = columns[field.name].copy()
            column[rows] = read.probabilities.argmax(1)
        else:
            assert isinstance(field, Number)
            column = likeliest(learned, images, columns, field, rows)
        columns[field.name] = column
    return columns


def likeliest(learned: Learned, images: Images, columns: Columns, field: Number, rows: np.ndarray) -> np.ndarray:
    """The column of a number with these rows filled by the likeliest of the 16 values of its support."""
    entries, _ = field.support()
    own = columns[field.name]
    best, column = np.full(len(rows), -np.inf), own.copy()
    for entry in entries:
        filled = field.filled(own, entry)
        found = marginal(
            learned, learned.using(), images, {**columns, field.name: filled}, CLASSIFY_SAMPLES, 0, None, rows
        )
        better = found.log_prob > best
        column[rows[better]] = filled[rows[better]]
        best = np.maximum(best, found.log_prob)
    return column


def estimate(values: np.ndarray) -> Estimate:
    """Mean and standard error of values [N]."""
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return Estimate(mean=float(values.mean()), standard_error=error, images=len(values))


def chosen(total: int, count: int, seed: int) -> np.ndarray:
    """`count` of `total` rows at random, rising; all where there are no more."""
    if count >= total:
        return np.arange(total)
    order = np.random.default_rng(seed_of(seed, 11)).permutation(total)
    return np.sort(order[:count])


def target_of(learned: Learned, name: str | None) -> Label | None:
    """The label that stands for all: the one named, else the first; None for a model without labels."""
    labels = learned.schema.labels
    if name is None or not learned.schema.fields:
        return next(iter(labels), None)
    found = learned.schema.field(name)
    if not isinstance(found, Label):
        raise Refused(
            f"field must be a label, one of {', '.join(one.name for one in labels) or 'none here'}; got {name!r}"
        )
    return found


def readers_of(
    learned: Learned, judge: Reader | Mapping[str, Reader] | None, target: Label | None
) -> dict[str, Reader]:
    """Field name -> what reads it. A single judge is the target's, a single regressor the first number's.

    Refused where a judge lacks a value of its field, reads another kind of field, or other pictures.
    """
    if judge is None:
        return {}
    if isinstance(judge, Mapping):
        named = dict(judge)
    elif isinstance(judge, Regressor):
        named = {field.name: judge for field in learned.schema.numbers[:1]}
    else:
        named = {target.name: judge} if target is not None else {}
    return {name: fitting(learned.schema.field(name), reader) for name, reader in named.items()}


def fitting(field: Field, reader: Reader) -> Reader:
    """The judge or regressor itself; Refused where it does not fit the field."""
    if isinstance(field, Label) and isinstance(reader, Judge):
        strange = sorted(set(field.values) - set(reader.values))
        if strange:
            raise Refused(
                f"judge must know all values of {field.name}, but {', '.join(strange[:5])} it does not; train one with "
                "condvae.judges.judge_for on the model's own data"
            )
        return reader
    if isinstance(field, Number) and isinstance(reader, Regressor):
        if len(reader.card.mean) != field.size:
            raise Refused(
                f"the regressor of {field.name} must read {field.size} number(s); it reads {len(reader.card.mean)}"
            )
        return reader
    wanted = {"number": "a regressor", "picture": "no judge"}.get(field.kind, "a judge")
    raise Refused(f"{field.name} is a {field.kind} and is read by {wanted}; got a {type(reader).__name__}")


def real_images(subject: Subject, rows: np.ndarray) -> Images | Tensor:
    """These images, as a judge reads them."""
    if len(rows) == len(subject.images):
        return subject.images
    return unit(subject.images[torch.from_numpy(rows)])
