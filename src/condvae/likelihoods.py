"""How likely a model finds images, and how it uses its code and its condition: measures that need no drawing."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from condvae.calibration import BAYES, CLASSIFIER, Calibration, calibration
from condvae.conditionals import likelihood_of
from condvae.conditions import Label, Number, Picture
from condvae.evaluation import Estimate, Likelihood
from condvae.heads import DiscretisedLogistic, Gaussian
from condvae.learned import Columns, chunks, observe, open_fields, take
from condvae.names import counted
from condvae.nets import evaluating
from condvae.noise import RowNoise, seed_of
from condvae.numbers import POINTS
from condvae.objectives import elbo, kl_per_unit, rate
from condvae.perceptual import Perceptual
from condvae.rows import Row
from condvae.scores import UNLIKELY, posterior
from condvae.subject import Subject, chosen, estimate
from condvae.trace import Draw, Trace
from condvae.weighing import marginal

ACTIVE = 0.01  # variance of a unit's posterior mean over the images of a condition
READINGS = 10_000  # images times labels that are classified, at most
SAMPLES = 10  # importance samples behind each label of a classification


@dataclass(frozen=True)
class Passes:
    """One pass of every image: ELBO [N] and KL [N] in nats, mean KL of each unit [Z], active units, the protocol.

    hidden: the mean share of the pixels that are scored, 1 for a model that fills no holes. codes: latents that a
    picture is drawn from.
    """

    elbo: np.ndarray
    rate: np.ndarray
    units: np.ndarray
    active: int
    protocol: str
    eight_bit: bool
    hidden: float = 1.0
    codes: int = 1


def inferred(subject: Subject) -> Passes:
    """The bound, the KL and the posterior means of every image, in one pass each."""
    total = len(subject.images)
    bound, divergence = np.empty(total), np.empty(total)
    groups = conditions_of(subject)
    units = within = None
    binary, head, codes = True, None, 0
    with evaluating(subject.model):
        for rows, kept in chunks(total):
            x, trace = observed_pass(subject, rows, subject.settled)
            number = kept.stop - kept.start
            bound[kept] = elbo(trace, x)[:number].double().cpu().numpy()
            divergence[kept] = rate(trace).mean(0)[:number].double().cpu().numpy()
            each = torch.cat([kl_per_unit(latent).flatten(1) for latent in trace.codes], 1)[:number].double()
            means = torch.cat([posterior_of(latent.q).mean.flatten(1) for latent in trace.codes], 1)[:number]
            if units is None or within is None:
                units, within = np.zeros(each.shape[1]), Within(int(groups.max()) + 1, each.shape[1])
            units += each.sum(0).cpu().numpy()
            within.add(means.double().cpu().numpy(), groups[kept])
            head, codes = trace.x, len(trace.codes)
            binary = binary and bool(((x == 0) | (x == 1)).all())
            if subject.progress is not None:
                subject.progress("bound", kept.stop, total)
    assert units is not None and within is not None and head is not None
    active = int((within.variance() > ACTIVE).sum())
    hidden = hidden_share(subject)
    words = protocol_words(head, subject.learned.binarise, binary, subject.seed) + hole_words(subject, hidden)
    eight_bit = isinstance(head, DiscretisedLogistic)
    return Passes(bound, divergence, units / total, active, words, eight_bit, hidden, codes)


def hidden_share(subject: Subject) -> float:
    """The mean share of the images' pixels that is not given, in [0, 1]."""
    picture = subject.learned.schema.picture
    return 1.0 if picture is None else 1 - float(subject.given[picture.name][:, -1].mean(dtype=np.float64))


def hole_words(subject: Subject, hidden: float) -> str:
    """That hidden pixels alone are scored, where a part of the picture is given."""
    if subject.learned.schema.picture is None:
        return ""
    cut = f"holes of the kind {subject.holes!r}, cut with seed {subject.seed}" if subject.holes else "as it was given"
    return f"; of the hidden pixels alone, {100 * hidden:.0f} % of all ({cut})"


def observed_pass(subject: Subject, rows: np.ndarray, columns: Columns) -> tuple[Tensor, Trace]:
    """(x as the model's protocol sees it, the trace of its pass) for these rows, with the rows' own noise."""
    learned = subject.learned
    noise = RowNoise(subject.seed, rows, learned.device)
    x = observe(take(learned, subject.images, rows), learned.binarise, noise)
    return x, subject.model(learned.condition(columns, rows), x, draw=Draw(noise))


def posterior_of(q: Distribution | None) -> Distribution:
    assert q is not None, "a latent without a posterior has no code to measure"
    return q


def conditions_of(subject: Subject) -> np.ndarray:
    """A number for each image's condition [N]; 0 where nothing is asked. What is seen of a picture does not count.

    One label: its value. Several fields: labels and numbers together, numbers in 16 equally full bins; where that
    leaves most images alone in their condition, in 4 bins, then without numbers, then by the first label.
    """
    schema, total = subject.learned.schema, len(subject.images)
    labels = [subject.settled[field.name][:, None] for field in schema.labels]
    groups = np.zeros(total, np.int64)
    for columns in (
        [*labels, *(binned(subject, field, 16) for field in schema.numbers)],
        [*labels, *(binned(subject, field, 4) for field in schema.numbers)],
        labels,
        labels[:1],
    ):
        if not columns:
            return np.zeros(total, np.int64)
        groups = np.unique(np.concatenate(columns, 1), axis=0, return_inverse=True)[1].reshape(-1)
        if total - int(groups.max()) - 1 >= total / 2:
            return groups
    return groups


def binned(subject: Subject, field: Number, bins: int) -> np.ndarray:
    """A number's column as bins that training values filled equally, [N, D] int64; -1 where unknown."""
    column = subject.settled[field.name]
    out = np.full(column.shape, -1, np.int64)
    for place, knots in enumerate(field.quantiles):
        edges = np.interp(np.arange(1, bins) / bins, np.linspace(0, 1, len(knots)), knots)
        known = ~np.isnan(column[:, place])
        out[known, place] = np.searchsorted(edges, column[known, place], side="right")
    return out


class Within:
    """Variance of rows within groups, pooled, from running sums (about the first rows' mean, for precision)."""

    def __init__(self, groups: int, width: int) -> None:
        self.count = np.zeros(groups)
        self.sums = np.zeros((groups, width))
        self.squares = np.zeros((groups, width))
        self.centre: np.ndarray | None = None

    def add(self, rows: np.ndarray, group: np.ndarray) -> None:
        if self.centre is None:
            self.centre = rows.mean(0)
        rows = rows - self.centre
        np.add.at(self.count, group, 1)
        np.add.at(self.sums, group, rows)
        np.add.at(self.squares, group, rows**2)

    def variance(self) -> np.ndarray:
        """Pooled variance [Z] over the groups of two rows or more; 0 where there is none."""
        some = self.count > 1
        freedom = (self.count[some] - 1).sum()
        if freedom == 0:
            return np.zeros(self.sums.shape[1])
        deviation = self.squares[some] - self.sums[some] ** 2 / self.count[some, None]
        return deviation.sum(0).clip(0) / freedom


def protocol_words(head: Distribution, binarise: str, binary: bool, seed: int) -> str:
    """What the likelihood is a likelihood of."""
    if isinstance(head, Perceptual):
        return f"none; {UNLIKELY}: bound and -log p(x | c) are left out"
    if isinstance(head, Row):
        return "columns of a table: probabilities of labels, densities of numbers in their standard deviations"
    if isinstance(head, DiscretisedLogistic):
        return "8-bit discretised pixels, nats and bits per dimension"
    if isinstance(head, Gaussian):
        return "continuous density in [0, 1]; uniform dequantisation not applied"
    if binarise != "grey":
        return f"{binarise} binarisation, drawn with seed {seed}"
    return "binary pixels as they are" if binary else "grey BCE score, not a density"


def unknown_words(subject: Subject) -> str:
    """How what is not known of the images was treated, field by field."""
    schema, rows = subject.learned.schema, np.arange(len(subject.images))
    summed = {field.name for field in open_fields(schema, subject.given, rows, subject.unknown)}
    several = len([field for field in schema.fields if not isinstance(field, Picture)]) > 1
    said: list[str] = []
    for field in schema.fields:
        count = int(field.unknown(subject.given[field.name]).sum())
        if isinstance(field, Picture):
            cut = f"what is seen through holes of the kind {subject.holes!r}, cut from each image"
            kept = cut if subject.holes else f"as given; nothing seen of {counted(count, 'image')}"
            drawn = "nothing seen" if subject.blank_pictures else "the same"
            said.append(f"{field.name}: {kept}; {drawn} in drawings")
        elif count and field.name in summed:
            over = "summed over" if isinstance(field, Label) else f"summed over {POINTS} equally likely values"
            read = "classified" if isinstance(field, Label) else "the likeliest of them"
            read = "blank input" if field.optional else read
            drawn = ", drawn as in training in drawings" if several else ""
            said.append(
                f"{field.name}: {over} in the likelihood, {read} in the bound{drawn} ({counted(count, 'image')})"
            )
        elif count:
            said.append(f"{field.name}: blank input ({counted(count, 'image')})")
    return "; ".join(said) or "none"


def label_gain(subject: Subject, target: Label, own: np.ndarray, sample: np.ndarray) -> Estimate | None:
    """Nats that the bound loses where the images' labels are replaced by others, with the same noise."""
    rows = sample[~target.unknown(subject.given[target.name][sample])]
    if not len(rows):
        return None
    other = np.random.default_rng(seed_of(subject.seed, 12)).integers(1, len(target.values), len(subject.images))
    wrong = (subject.settled[target.name] + other) % len(target.values)
    columns = {**subject.settled, target.name: wrong}
    found = np.empty(len(rows))
    with evaluating(subject.model):
        for places, kept in chunks(len(rows)):
            x, trace = observed_pass(subject, rows[places], columns)
            found[kept] = elbo(trace, x)[: kept.stop - kept.start].double().cpu().numpy()
    return estimate(own[rows] - found)


def weighed(subject: Subject, sample: np.ndarray, k: int) -> Likelihood:
    """-log p(x | c) of the sampled rows by k importance samples."""
    begun = time.perf_counter()
    found = marginal(
        subject.learned,
        subject.model,
        subject.images,
        subject.given,
        k,
        subject.seed,
        subject.tell("likelihood"),
        sample,
        subject.unknown,
        subject.ledger,
    )
    spared = 0.0 if subject.ledger is None else subject.ledger.spared
    return Likelihood(
        **estimate(-found.log_prob).model_dump(),
        of=likelihood_of(subject.learned.schema, subject.given, sample, subject.unknown),
        k=k,
        effective_mean=float(found.effective.mean()),
        effective_least=float(found.effective.min()),
        seconds=time.perf_counter() - begun + spared,
    )


def classified(subject: Subject, target: Label, sample: np.ndarray) -> Calibration | None:
    """How rightly known labels are read, and how surely; None where none is known.

    By the model's own classifier where it infers the label, on all images: that is one cheap pass. Else by Bayes' rule
    on the bound, on at most 10,000 / K of the sampled rows.
    """
    own = subject.learned.infers == target.name
    rows = np.arange(len(subject.images)) if own else sample
    rows = rows[~target.unknown(subject.given[target.name][rows])]
    if not len(rows):
        return None
    if not own and len(sample) < len(subject.images):
        rows = rows[chosen(len(rows), max(100, READINGS // len(target.values)), subject.seed)]
    read = posterior(
        subject.learned,
        subject.model,
        subject.images,
        subject.given,
        target,
        SAMPLES,
        subject.seed,
        subject.tell("classification"),
        rows,
    )
    # an image that is impossible under every label tells nothing of it: all are equally likely
    told = np.isfinite(read.probabilities).all(1, keepdims=True)
    probabilities = np.where(told, read.probabilities, 1 / len(target.values))
    return calibration(probabilities, subject.given[target.name][rows], CLASSIFIER if own else BAYES)
