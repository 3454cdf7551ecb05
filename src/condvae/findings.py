"""The single findings of an evaluation: typed numbers, each with its uncertainty."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, computed_field

from condvae.conditionals import head_and_rest
from condvae.distances import wilson
from condvae.names import counted, lasting

__all__ = [
    "Completion",
    "Decibels",
    "Diversity",
    "Estimate",
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

    of: str = "p(x | c)"
    """What is given, and how what is not was treated: "p(x | digit)", "p(x), summed over digit", "p(x), blank input \
for digit"; "p(x | c)" of evaluations made before it was told."""
    k: int
    """Importance samples an image."""
    effective_mean: float
    """Mean effective number of the k samples, in [1, k]."""
    effective_least: float
    """Least effective number over the images."""
    seconds: float | None = None
    """What it cost here, on the clock; None of evaluations made before it was told."""

    def __eq__(self, other: object) -> bool:
        """Whether all is the same but what it cost: one seed gives one evaluation, at whatever speed."""
        if not isinstance(other, Likelihood):
            return NotImplemented
        return self.model_dump(exclude={"seconds"}) == other.model_dump(exclude={"seconds"})

    __hash__ = None  # type: ignore[assignment]

    def cost(self, every: int, row: str = "image") -> str:
        """What it cost in a sentence, and what `every` rows cost with 500 and with 5,000 samples each."""
        assert self.seconds is not None, "an evaluation made before its cost was told"
        head, _ = head_and_rest(self.of)
        unit = self.seconds / self.images / self.k
        others = [k for k in (500, 5_000) if (k, every) != (self.k, self.images)]
        told = " and ".join(f"about {lasting(unit * every * k)} with k = {k:,}" for k in others)
        took = f"-log {head} of {counted(self.images, row)} with k = {self.k:,} took {lasting(self.seconds)}"
        return f"{took} on this machine; {counted(every, row)} take {told}."


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


class Sharpness(Finding):
    """How sharp drawings are, beside the real images whose fields they were asked with."""

    ratio: float
    """Gradient energy of the drawings as a share of that of the real images: 1 = as sharp, less = blurred or fainter, \
more = noisier or harder."""
    standard_error: float | None
    """Standard error of the ratio; None for a single drawing."""
    drawings: int
    """How many drawings, each beside a real image."""

    def text(self) -> str:
        return f"{self.ratio:.3f}" + ("" if self.standard_error is None else f" ± {self.standard_error:.3f}")


class Manifolds(Finding):
    """Whether drawings look real and show all that real images show, in the judge's features; the more images, the
    smaller the neighbourhoods: comparable under one judge and as many images only."""

    precision: Share
    """Drawings that lie within the neighbourhood of a real image."""
    recall: Share
    """Real images that lie within the neighbourhood of a drawing."""
    k: int
    """A neighbourhood reaches to the k-th nearest image of its own kind."""
    real_precision: Share | None
    """Of as many real training images in the drawings' place; None where none were given."""
    real_recall: Share | None
    """The same of recall."""


class Nearness(Finding):
    """How near drawings come to training images."""

    drawn: float
    """Mean distance of a drawing to the training image nearest to it, in pixels of at most 32 a side."""
    real: float
    """The same of real images that are not among the training images."""
    standard_error: float | None
    """Standard error of drawn / real; None for a single pair."""
    pictures: int
    """How many drawings, and real images."""
    training: int
    """How many training images were looked through."""

    @computed_field
    @property
    def ratio(self) -> float:
        """drawn / real: 0 = copies of training images, 1 = as far from them as real images are."""
        return self.drawn / self.real


class Read(Finding):
    """One number that was asked for, beside the number that an independent regressor reads off the drawing."""

    mean: float
    """Mean absolute difference of asked and read, in the number's own units."""
    standard_error: float | None
    """Standard error of `mean`; None for a single drawing."""
    square: float
    """Root mean squared difference."""
    correlation: float | None
    """Of asked and read, in [-1, 1]; None where one of them does not vary."""
    skill: float | None
    """1 - mean squared difference / variance of what was asked: 1 = perfect, 0 = as the mean; None without variance."""
    real_mean: float
    """Mean absolute error of the same regressor on the real images whose numbers were asked for."""
    real_square: float
    """Root mean squared error there."""
    real_skill: float | None
    """Skill there."""
    unheeded: float
    """Mean absolute difference if drawings had nothing to do with what was asked: over all pairs of asked and read."""
    drawings: int
    """How many drawings, one for each image whose number is known."""
    points: list[tuple[float, float, float]] = []
    """(asked, read on the drawing, read on the real image) of at most 200 of them, for a picture."""

    def text(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
        return f"{self.mean:.3g}{error}"


class Numbers(Finding):
    """How near the numbers that are read come to those that were asked for."""

    field: str
    """The field asked for."""
    entries: list[Read]
    """Of each of the D numbers of an entry; one for a plain number."""
    regressor: str
    """The regressor in a sentence."""


class Decibels(Estimate):
    """A mean peak signal-to-noise ratio over images."""

    def text(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        return f"{self.mean:.2f}{error} dB"


class Completion(Finding):
    """What a model makes of the hidden parts of real images."""

    field: str
    """The field that holds what is seen."""
    images: int
    """How many images were completed."""
    times: int
    """Completions an image."""
    hidden: float
    """Mean share of the pixels that was hidden."""
    kept: Share | None
    """Seen values that come back exactly as they were given, all must; None where nothing was seen."""
    psnr: Decibels | None
    """Peak signal-to-noise ratio of the mean completion on the hidden pixels, against the real ones."""
    plain_psnr: Decibels | None
    """The same of the mean of the real images in the completion's place."""
    asked: Share | None
    """Completions of which the judge reads the label that was asked; None without a judge."""
    unasked: Share | None
    """Completions without a label asked, of which it reads the image's own; None where the label cannot be left out."""
    real: Share | None
    """The same images whole, of which it reads their label."""


def beyond(share: float, chance: float) -> float:
    """A share of agreement as a share of what chance leaves: 0 = chance, 1 = perfect."""
    return (share - chance) / (1 - chance) if chance < 1 else 0.0
