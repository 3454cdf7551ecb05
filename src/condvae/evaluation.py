"""What an evaluation finds: typed numbers, each with its uncertainty and protocol, as a table and in sentences."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, computed_field

from condvae.distances import wilson

__all__ = ["Diversity", "Estimate", "Evaluation", "Frechet", "Likelihood", "Obedience", "Share", "Spread"]


class Finding(BaseModel):
    """Abstract: immutable; a dump can be read again, for what is computed is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Estimate(Finding):
    """A mean over images."""

    mean: float
    """The mean, in nats where nothing else is said."""
    standard_error: float | None
    """Standard error of the mean; None for a single image."""
    images: int
    """How many images it is the mean of."""

    def text(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        return f"{self.mean:.2f}{error} nats"


class Likelihood(Estimate):
    """-log p(x | c) by importance sampling: an upper bound that falls with k."""

    k: int
    """Importance samples an image."""
    effective_mean: float
    """Mean effective number of the k samples, in [1, k]."""
    effective_least: float
    """Least effective number over the images."""


class Share(Finding):
    """A share of trials with its 95 % Wilson interval."""

    right: int
    """Trials that succeeded."""
    of: int = Field(ge=1)
    """All trials."""

    @computed_field
    @property
    def share(self) -> float:
        """right / of, in [0, 1]."""
        return self.right / self.of

    @computed_field
    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return wilson(self.right, self.of)[0]

    @computed_field
    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return wilson(self.right, self.of)[1]

    def text(self) -> str:
        return f"{100 * self.share:.2f} % [{100 * self.low:.2f}, {100 * self.high:.2f}]"


class Obedience(Finding):
    """How often an independent judge reads the label that was asked for."""

    field: str
    """The field asked for."""
    overall: Share
    """Over all drawings, labels at the frequencies of the evaluated images."""
    per_label: dict[str, Share]
    """For each label asked for."""
    chance: float
    """The share that would agree if drawings and requests were unrelated: sum of asked share times read share."""
    judge_accuracy: float | None
    """Share of real, unseen images that the judge itself reads rightly; None where not known."""
    judge: str
    """The judge in a sentence."""

    @property
    def agreement(self) -> float:
        """Agreement beyond chance, 0 = none, 1 = perfect (Cohen, "A Coefficient of Agreement", 1960)."""
        return beyond(self.overall.share, self.chance)


class Spread(Finding):
    """Mean distance of two pictures of one label."""

    drawn: float
    """Among drawings."""
    real: float
    """Among real images, equally many of each label."""

    @computed_field
    @property
    def ratio(self) -> float | None:
        """drawn / real: 0 = all alike, 1 = as varied as real images; None where real images are all alike."""
        return self.drawn / self.real if self.real > 0 else None


class Diversity(Finding):
    """How much the pictures of one label differ, beside real ones."""

    pixels: Spread
    """Euclidean distance of pixels."""
    features: Spread | None
    """Euclidean distance in the judge's features."""


class Frechet(Finding):
    """Frechet distance in the features of the judge: comparable under one judge and one reference only."""

    distance: float
    """Drawings against the evaluated images."""
    drawings: int
    """How many drawings, one for each evaluated image, which it shares its label with."""
    real_mean: float | None
    """Real training images in the drawings' place, mean over the draws; None where none were given."""
    real_spread: float | None
    """Standard deviation over those draws."""
    real_draws: int
    """How many draws of real training images."""


class Evaluation(Finding):
    """How good a conditional model is on images that it was not trained on."""

    protocol: str
    """What the likelihoods are of; numbers of different protocols are not comparable."""
    prior: str
    """"fitted" or "model": the one prior behind bound, likelihood and drawings."""
    unknown: str
    """How unknown labels were treated."""
    images: int
    """How many images were evaluated."""
    seed: int
    """Seed of all noise."""
    bound: Estimate
    """Evidence lower bound on log p(x | c), one posterior sample an image."""
    rate: Estimate
    """KL(q || p) of all latents together."""
    likelihood: Likelihood
    """-log p(x | c), importance-weighted, on `likelihood.images` images drawn at random."""
    bits_per_dimension: float | None
    """The likelihood in bits per pixel and channel, where it is one of 8-bit pixels."""
    kl_per_unit: list[float]
    """Mean KL of each latent unit, nats."""
    active_units: int
    """Units whose posterior mean varies over the images of a condition by a variance above 0.01 (Burda, Grosse,
    Salakhutdinov, "Importance Weighted Autoencoders", 2016; counted there over all images)."""
    label_gain: Estimate | None
    """Nats that the bound loses under a wrong label with the same noise; near 0 = the condition is ignored."""
    classification: Share | None
    """Labels read rightly by Bayes' rule on the bound, on images drawn at random."""
    obedience: Obedience | None
    """Asked label = label read by the judge; None without a judge or a label."""
    diversity: Diversity | None
    """Differences among the drawings of one label; None where no label has two images."""
    frechet: Frechet | None
    """None without a judge."""
    words: list[str]
    """What the numbers say, verdict by verdict, each bad one with what to change."""

    def table(self) -> list[tuple[str, str, str]]:
        """Rows (measure, value, what it stands beside or is of)."""
        like = self.likelihood
        every = "all" if like.images == self.images else "at random,"
        rows = [
            ("bound on log p(x | c)", self.bound.text(), f"{self.images:,} images"),
            (
                "-log p(x | c)",
                like.text(),
                f"k = {like.k:,}, {every} {like.images:,} images; effective samples "
                f"{like.effective_mean:.1f} on average, {like.effective_least:.1f} at least",
            ),
        ]
        if self.bits_per_dimension is not None:
            rows.append(("bits per dimension", f"{self.bits_per_dimension:.3f}", "of 8-bit pixels"))
        rows.append(("KL of the latents", self.rate.text(), f"prior: {self.prior}"))
        rows.append(("active units within a condition", f"{self.active_units} of {len(self.kl_per_unit)}", ""))
        if self.label_gain is not None:
            rows.append(("lost under a wrong label", self.label_gain.text(), f"{self.label_gain.images:,} images"))
        if self.classification is not None:
            rows.append(
                ("labels read by Bayes' rule", self.classification.text(), f"{self.classification.of:,} images")
            )
        return rows + self._drawings()

    def _drawings(self) -> list[tuple[str, str, str]]:
        rows: list[tuple[str, str, str]] = []
        if self.obedience is not None:
            told = self.obedience.judge_accuracy
            beside = "not known" if told is None else f"{100 * told:.2f} %"
            rows.append(("asked label = label read", self.obedience.overall.text(), f"judge on real images {beside}"))
            for name, share in self.obedience.per_label.items():
                rows.append((f"  asked for {name}", share.text(), f"{share.of:,} drawings"))
        if self.diversity is not None:
            for name, spread in (("pixels", self.diversity.pixels), ("features", self.diversity.features)):
                if spread is not None:
                    value = f"{spread.drawn:.2f}"
                    rows.append((f"distance within a label, {name}", value, f"real images {spread.real:.2f}"))
        if self.frechet is not None:
            near = self.frechet
            beside = f"{near.drawings:,} drawings"
            if near.real_mean is not None:
                beside += f"; real training images {near.real_mean:.3f} ± {near.real_spread or 0:.3f}"
                beside += f" ({near.real_draws} draws)"
            rows.append(("Frechet distance in the judge's features", f"{near.distance:.3f}", beside))
        return rows

    def sentences(self) -> list[str]:
        """The verdicts, then how the numbers were come by."""
        how = [
            f"Likelihood: {self.protocol}.",
            f"Prior of bound, likelihood and drawings: {self.prior}; unknown labels: {self.unknown}.",
        ]
        if self.likelihood.images < self.images:
            how.append(
                f"The importance-weighted likelihood is of {self.likelihood.images:,} of {self.images:,} images drawn "
                "at random; limit=0 takes all."
            )
        if self.obedience is not None:
            judge = self.obedience.judge
            how.append(f"{judge[0].upper()}{judge[1:]}.")
        return [*self.words, *how]


def beyond(share: float, chance: float) -> float:
    """A share of agreement as a share of what chance leaves: 0 = chance, 1 = perfect."""
    return (share - chance) / (1 - chance) if chance < 1 else 0.0
