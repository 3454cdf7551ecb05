"""What an evaluation finds: all measures together, as a table and in sentences."""

from __future__ import annotations

import math

from pydantic import Field

from condvae.calibration import BAYES, Calibration
from condvae.conditionals import head_and_rest
from condvae.findings import (
    Completion,
    Decibels,
    Diversity,
    Estimate,
    Finding,
    Frechet,
    Likelihood,
    Manifolds,
    Nearness,
    Numbers,
    Obedience,
    Read,
    Share,
    Sharpness,
    Spread,
    beyond,
)
from condvae.names import counted
from condvae.temperatures import alike, said

__all__ = [
    "Calibration",
    "Completion",
    "Decibels",
    "Diversity",
    "Estimate",
    "Evaluation",
    "Finding",
    "Frechet",
    "Likelihood",
    "Manifolds",
    "Nearness",
    "Numbers",
    "Obedience",
    "Read",
    "Share",
    "Sharpness",
    "Spread",
    "beyond",
]


class Evaluation(Finding):
    """How good a conditional model is on images that it was not trained on."""

    protocol: str
    """What the likelihoods are of, or why there are none; numbers of different protocols are not comparable."""
    prior: str
    """"fitted", "flow" or "model": the one prior behind bound, likelihood and drawings."""
    temperature: float | list[float] = 1.0
    """Of drawings and completions: one number, or one a latent in order; all else is of the model as it is."""
    unknown: str
    """How what was not given of the images was treated, field by field."""
    images: int
    """How many images were evaluated."""
    seed: int
    """Seed of all noise."""
    bound_of: str = "p(x | c)"
    """What the bound is a bound on, in words as in `Likelihood.of`."""
    bound: Estimate | None
    """Evidence lower bound on log p(x | c), one posterior sample an image; None of a model without a likelihood."""
    rate: Estimate
    """KL(q || p) of all latents together."""
    likelihood: Likelihood | None
    """-log p(x | c), importance-weighted, on `likelihood.images` images drawn at random; None of a model without."""
    bits_per_dimension: float | None
    """The likelihood in bits per pixel and channel, where it is one of 8-bit pixels."""
    kl_per_unit: list[float]
    """Mean KL of each latent unit, nats."""
    active_units: int
    """Units whose posterior mean varies over the images of a condition by a variance above 0.01 (Burda, Grosse,
    Salakhutdinov, "Importance Weighted Autoencoders", 2016; counted there over all images)."""
    label_gain: Estimate | None
    """Nats that the bound loses under a wrong first label with the same noise; near 0 = the condition is ignored."""
    classification: Share | None
    """First labels read rightly: by Bayes' rule on the bound, on images drawn at random; a label that the model itself
    infers by its classifier, on all images."""
    calibration: Calibration | None = None
    """What read them, and whether it is as often right as it is sure; None of evaluations made before it was told."""
    obedience: Obedience | None
    """Asked label = label read by the judge, of the first label; None without a judge or a label."""
    obediences: dict[str, Obedience] = Field(default_factory=dict)
    """The same of every label and attribute that a judge reads, the first among them."""
    numbers: dict[str, Numbers] = Field(default_factory=dict)
    """Of every number that a regressor reads."""
    completion: Completion | None = None
    """What is made of the hidden parts of real images; None for a model that fills no holes."""
    unmeasured: dict[str, str] = Field(default_factory=dict)
    """Fields whose obedience was not measured, and why, as half a sentence."""
    diversity: Diversity | None
    """Differences among the drawings of one (first) label; None where no label has two images."""
    frechet: Frechet | None
    """None without a judge."""
    sharpness: Sharpness | None = None
    """None where the real images are even, and of evaluations made before it was measured; so are the next two."""
    manifolds: Manifolds | None = None
    """Precision and recall; None without a judge."""
    nearness: Nearness | None = None
    """To training images; None where none were given, or where the evaluated images are among them."""
    words: list[str]
    """What the numbers say, verdict by verdict, each bad one with what to change."""

    def table(self) -> list[tuple[str, str, str]]:
        """Rows (measure, value, what it stands beside or is of)."""
        rows: list[tuple[str, str, str]] = []
        if self.bound is not None:
            head, rest = head_and_rest(self.bound_of)
            beside = [counted(self.images, "image"), *([rest] if rest else [])]
            rows.append((f"bound on log {head}", self.bound.text(), "; ".join(beside)))
        if self.likelihood is not None:
            rows.append(likelihood_row(self.likelihood, self.images))
        if self.bits_per_dimension is not None:
            rows.append(("bits per dimension", f"{self.bits_per_dimension:.3f}", "of 8-bit pixels"))
        rows.append(("KL of the latents", self.rate.text(), f"prior: {self.prior}"))
        rows.append(("active units within a condition", f"{self.active_units} of {len(self.kl_per_unit)}", ""))
        if self.label_gain is not None:
            rows.append(("lost under a wrong label", self.label_gain.text(), counted(self.label_gain.images, "image")))
        if self.classification is not None:
            reader = self.calibration.reader if self.calibration is not None else BAYES
            misread = 100 * (1 - self.classification.share)
            beside = f"{counted(self.classification.of, 'image')}, {misread:.2f} % misread"
            rows.append((f"labels read by {reader}", self.classification.text(), beside))
        if self.calibration is not None:
            rows += calibration_rows(self.calibration)
        return rows + self._drawings()

    def _read(self) -> dict[str, Obedience]:
        """The obedience of every label, the first one first."""
        first = {self.obedience.field: self.obedience} if self.obedience is not None else {}
        return first | self.obediences

    def _drawings(self) -> list[tuple[str, str, str]]:
        rows: list[tuple[str, str, str]] = []
        read = self._read()
        for name, found in read.items():
            rows += obedience_rows(found, "label" if len(read) == 1 and not self.numbers else name)
        for name, numbers in self.numbers.items():
            rows += number_rows(name, numbers)
        if self.completion is not None:
            rows += completion_rows(self.completion)
        if self.diversity is not None:
            labelled = (self.label_gain, self.obedience, self.classification) != (None, None, None)
            of = "within a label" if labelled else "of two pictures"
            for name, spread in (("pixels", self.diversity.pixels), ("features", self.diversity.features)):
                if spread is not None:
                    value = f"{spread.drawn:.2f}"
                    rows.append((f"distance {of}, {name}", value, f"real images {spread.real:.2f}"))
        if self.frechet is not None:
            near = self.frechet
            beside = counted(near.drawings, "drawing")
            if near.real_mean is not None:
                beside += f"; real training images {near.real_mean:.3f} ± {near.real_spread or 0:.3f}"
                beside += f" ({near.real_draws} draws)"
            rows.append(("Frechet distance in the judge's features", f"{near.distance:.3f}", beside))
        return rows + likeness_rows(self.sharpness, self.manifolds, self.nearness)

    def sentences(self) -> list[str]:
        """The verdicts, then how the numbers were come by."""
        behind = "KL" if self.likelihood is None else "bound, likelihood"
        of = "" if self.likelihood is None else f"{self.likelihood.of}; "
        how = [
            f"Likelihood: {of}{self.protocol}.",
            f"Prior of {behind} and drawings: {self.prior}; what was not given: {self.unknown}.",
        ]
        if alike(self.temperature) != 1:
            how.append(f"Temperature of the drawings: {said(self.temperature)}; all else is of the model as it is.")
        if self.likelihood is not None and self.likelihood.images < self.images:
            how.append(
                f"The importance-weighted likelihood is of {self.likelihood.images:,} of "
                f"{counted(self.images, 'image')} drawn at random; limit=0 takes all."
            )
        if self.likelihood is not None and self.likelihood.seconds is not None:
            how.append(self.likelihood.cost(self.images))
        cards = [found.judge for found in self._read().values()]
        if len(cards) > 1:
            cards = [found.judge.replace("judge", f"judge of {name}", 1) for name, found in self._read().items()]
        how += [f"{card[0].upper()}{card[1:]}." for card in [*cards, *(one.regressor for one in self.numbers.values())]]
        how += [f"Whether {name} is obeyed was not measured: {why}." for name, why in self.unmeasured.items()]
        return [*self.words, *how]


def likelihood_row(found: Likelihood, images: int) -> tuple[str, str, str]:
    """Row of a table: the likelihood, and what it rests on; images: how many were evaluated."""
    every = "all" if found.images == images else "at random,"
    beside = (
        f"k = {found.k:,}, {every} {counted(found.images, 'image')}; effective samples "
        f"{found.effective_mean:.1f} on average, {found.effective_least:.1f} at least"
    )
    head, rest = head_and_rest(found.of)
    return f"-log {head}", found.text(), f"{rest}; {beside}" if rest else beside


def obedience_rows(found: Obedience, name: str) -> list[tuple[str, str, str]]:
    """Rows of a table: one label's obedience, and that of each of its values."""
    told = "not known" if found.judge_accuracy is None else f"{100 * found.judge_accuracy:.2f} %"
    rows = [(f"asked {name} = {name} read", found.overall.text(), f"judge on real images {told}")]
    asked = "asked for" if name == "label" else f"asked for {name}"
    rows += [
        (f"  {asked} {value}", share.text(), counted(share.of, "drawing")) for value, share in found.per_label.items()
    ]
    return rows


def likeness_rows(
    sharpness: Sharpness | None, manifolds: Manifolds | None, nearness: Nearness | None
) -> list[tuple[str, str, str]]:
    """Rows of a table: whether drawings are as sharp as real images, look real, show all of them, and are no copies."""
    rows: list[tuple[str, str, str]] = []
    if sharpness is not None:
        rows.append(("sharpness", sharpness.text(), f"real images 1; {counted(sharpness.drawings, 'drawing')}"))
    if manifolds is not None:
        for name, found, real in (
            ("precision: drawings among real images", manifolds.precision, manifolds.real_precision),
            ("recall: real images among drawings", manifolds.recall, manifolds.real_recall),
        ):
            beside = f"real training images {100 * real.share:.2f} %; " if real is not None else ""
            rows.append((name, found.text(), f"{beside}{counted(found.of, 'image')}, k = {manifolds.k}"))
    if nearness is not None:
        beside = f"real images {nearness.real:.2f}; {nearness.pictures:,} against {nearness.training:,} training images"
        rows.append(("distance to the nearest training image", f"{nearness.drawn:.2f}", beside))
    return rows


def calibration_rows(found: Calibration) -> list[tuple[str, str, str]]:
    """Rows of a table: what the probabilities with which labels are read are worth."""
    guess = "all labels equally likely"
    confidence = f"mean confidence {100 * found.confidence:.2f} %; about {100 * found.chance:.2f} % by chance alone"
    return [
        ("  expected calibration error", f"{100 * found.ece:.2f} %", confidence),
        (
            "  negative log-likelihood of the label",
            f"{found.nll:.3f}{plus_minus(found.nll_error)} nats",
            f"0 = sure and right, {math.log(found.values):.3f} = {guess}",
        ),
        (
            "  Brier score",
            f"{found.brier:.3f}{plus_minus(found.brier_error)}",
            f"0 = sure and right, {1 - 1 / found.values:.3f} = {guess}, 2 = sure and wrong",
        ),
    ]


def plus_minus(error: float | None) -> str:
    """A standard error as it stands behind its number; "" where there is none."""
    return "" if error is None else f" ± {error:.3f}"


def number_rows(name: str, found: Numbers) -> list[tuple[str, str, str]]:
    """Rows of a table: how far each number that is read lies from the one asked for."""
    rows: list[tuple[str, str, str]] = []
    for place, one in enumerate(found.entries):
        what = name if len(found.entries) == 1 else f"{name}[{place}]"
        beside = f"{one.real_mean:.3g} on the real images, {one.unheeded:.3g} if nothing were heeded"
        rows.append(
            (f"asked {what} to {what} read, apart", one.text(), f"{beside}; {counted(one.drawings, 'drawing')}")
        )
        rows.append(("  root mean square", f"{one.square:.3g}", f"{one.real_square:.3g} on the real images"))
        if one.correlation is not None:
            rows.append(("  correlation", f"{one.correlation:.3f}", ""))
        if one.skill is not None and one.real_skill is not None:
            told = f"{one.real_skill:.3f} on the real images; 1 = perfect, 0 = none"
            rows.append(("  skill", f"{one.skill:.3f}", told))
    return rows


def completion_rows(found: Completion) -> list[tuple[str, str, str]]:
    """Rows of a table: what is made of the hidden parts of images."""
    of = f"{counted(found.images, 'image')}, {100 * found.hidden:.0f} % hidden"
    rows: list[tuple[str, str, str]] = []
    if found.kept is not None:
        rows.append(("seen values kept exactly", f"{100 * found.kept.share:.4g} %", of))
    if found.psnr is not None and found.plain_psnr is not None:
        beside = f"mean of {found.times} completions; the mean image {found.plain_psnr.mean:.2f} dB"
        rows.append(("hidden pixels, PSNR", found.psnr.text(), beside))
    real = "" if found.real is None else f"the real images whole {100 * found.real.share:.2f} %"
    if found.asked is not None:
        rows.append(("completed, asked label = label read", found.asked.text(), real))
    if found.unasked is not None:
        rows.append(("completed without a label, own label read", found.unasked.text(), real))
    return rows
