"""Obedience and Frechet distance of drawings against their temperature, by which one is chosen.

A VAE's prior covers more than its posteriors fill, so that draws nearer to their means look better, and the nearer they
come, the more they are alike. Where there are several latents, each may have a temperature of its own (Vahdat, Kautz,
"NVAE: A Deep Hierarchical Variational Autoencoder", 2020; Child, "Very Deep VAEs Generalize Autoregressive Models and
Can Outperform Them on Images", 2021). It is chosen on training images, or on images held out of training, never on the
test images.

Every candidate draws with the same noise at the labels of the same images, so that what is left between two of them is
their temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from condvae.conditions import Label
from condvae.drawings import drawings, known_rows, near, obeyed, varied
from condvae.errors import Refused
from condvae.evaluation import Finding, Share
from condvae.images import Images
from condvae.judges import Judge
from condvae.learned import Asked, Learned, codes_of, columns_of, pictures_of, seed_in, temperature_in, whole
from condvae.sharpness import sharpness
from condvae.subject import Progress, Subject, chosen, readers_of, subject_of, target_of
from condvae.temperatures import Temperature, alike, said

__all__ = ["Curve", "Warm", "choice", "curve"]

DRAWS = 2_000
TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
STEP = 0.1  # by which the best cut is tried colder and warmer
CUTS = (0.25, 0.5, 0.75)  # shares of the latents above a cut

Each = tuple[float, ...]  # a temperature for each latent, in order


class Warm(Finding):
    """How drawings at one temperature do."""

    temperature: Each
    """One for each latent, in order."""
    obedience: Share | None
    """Asked label = label read by the judge; None where no label was asked for."""
    frechet: float
    """Frechet distance to the real images in the judge's features."""
    diversity: float | None
    """Mean distance of two drawings of a label in the judge's features, real images = 1."""
    sharpness: float | None
    """Gradient energy, real images = 1."""
    drawings: int
    """How many drawings, each beside a real image whose label it was asked for."""

    def plain(self) -> dict[str, Any]:
        """As plain numbers, for a result file."""
        read = self.obedience
        found: dict[str, Any] = {"temperature": list(self.temperature)}
        if read is not None:
            found |= {"obedience": read.share, "obedience_interval": [read.low, read.high]}
        found |= {"frechet": self.frechet, "diversity_features": self.diversity, "sharpness": self.sharpness}
        return {**found, "draws": self.drawings}


class Curve(Finding):
    """The candidates that were tried, and the one that was chosen."""

    rows: list[Warm]
    """In the order of trying; temperature 1 is among them."""
    chosen: Each
    """The temperature that `choice` takes, one for each latent."""
    field: str | None
    """The label whose obedience is read; None without labels."""
    prior: str
    """The prior that was drawn from, as it was asked for; "" = the run's usual one."""
    seed: int
    """Of all noise."""
    judge: str
    """The judge in a sentence."""

    def table(self) -> list[tuple[str, str, str, str, str]]:
        """Rows (temperature, obedience, Frechet distance, diversity, sharpness)."""

        def number(value: float | None) -> str:
            return "" if value is None else f"{value:.3f}"

        return [
            (
                said(row.temperature),
                "" if row.obedience is None else row.obedience.text(),
                number(row.frechet),
                number(row.diversity),
                number(row.sharpness),
            )
            for row in self.rows
        ]


def curve(
    learned: Learned,
    x: Any,
    given: Asked | None,
    judge: Judge,
    candidates: Sequence[Temperature] | None = None,
    draws: int = DRAWS,
    prior: str | None = None,
    seed: int = 0,
    field: str | None = None,
    progress: Progress | None = None,
) -> Curve:
    """How drawings do at each of several temperatures, and the one that `choice` takes.

    Args:
        x: real images [N, C, H, W] as the tasks take them, of the training or held out of it; test images would have a
            say in what is measured on them. given: field -> one value a row, or one for all.
        judge: reads the label `field`, by default the first; without labels its features alone are used.
        candidates: temperatures, each one number or one a latent; 1 is tried in any case. By default those of
            `searched`.
        draws: drawings a candidate, at most one for each image (at random where there are more). prior: as
            `Learned.using`. progress: called with (what is measured, done, total).

    Raises:
        Refused: arguments that cannot be used, or a model of table rows.
    """
    draws, seed = whole(draws, "draws", 2), seed_in(seed)
    if learned.outputs is not None:
        raise Refused("temperatures are compared by pictures, and this model generates rows of a table")
    if not isinstance(judge, Judge):
        raise Refused(f"judge must be a Judge, whose features the distance is of; got {type(judge).__name__}")
    target = target_of(learned, field)
    readers_of(learned, judge, target)  # refuses a judge of other labels
    each = [spread(learned, one) for one in candidates] if candidates is not None else None
    subject = at_random(learned, pictures_of(learned, x), given, draws, prior, seed, progress)
    tried: dict[Each, Warm] = {}

    def measure(temperature: Each) -> Warm:
        if temperature not in tried:
            tried[temperature] = warm(subject, target, judge, prior, temperature)
        return tried[temperature]

    codes = codes_of(learned)
    measure((1.0,) * codes)
    if each is None:
        searched(codes, measure)
    else:
        for temperature in each:
            measure(temperature)
    rows = list(tried.values())
    return Curve(
        rows=rows,
        chosen=choice(rows).temperature,
        field=None if target is None else target.name,
        prior=prior or "",
        seed=seed,
        judge=judge.card.sentence(),
    )


def spread(learned: Learned, temperature: Temperature) -> Each:
    """A temperature as one for each latent; Refused where it cannot be one."""
    found = temperature_in(learned, temperature)
    return found if isinstance(found, tuple) else (found,) * codes_of(learned)


def at_random(
    learned: Learned,
    images: Images,
    given: Asked | None,
    draws: int,
    prior: str | None,
    seed: int,
    progress: Progress | None,
) -> Subject:
    """The subject of so many of the images of which something is known, of all where nothing is."""
    told = columns_of(learned, given, len(images))
    known = np.flatnonzero(known_rows(learned, told, len(images)))
    pool = known if len(known) else np.arange(len(images))
    rows = pool[chosen(len(pool), draws, seed)]
    if len(rows) < 2:
        raise Refused(f"x must hold at least two images, for one has no Frechet distance; got {len(images)}")
    whole_part = Subject(learned, learned.using(prior), images, told, told, seed, progress)
    picture = learned.schema.picture
    asked = whole_part.asked_of(rows, picture is not None and picture.name in (given or {}))
    few = Images(images[torch.from_numpy(rows)], "NCHW", images.low, images.high)
    return subject_of(learned, few, asked, prior, seed, progress)


def warm(subject: Subject, target: Label | None, judge: Judge, prior: str | None, temperature: Each) -> Warm:
    """One candidate: a drawing for each of the subject's images, with the noise of every other candidate."""
    progress, name = subject.progress, f"temperature {said(temperature)}"
    watch = None if progress is None else lambda what, done, total: progress(name, done, total)
    here = replace(subject, temperature=temperature, progress=watch)
    readers = {} if target is None else {target.name: judge}
    drawn = drawings(here, target, len(here.images), prior, readers, judge)
    read = None if target is None else obeyed(here, drawn, target, judge)
    distance, spread_found = near(drawn, []), varied(drawn)
    sharp = sharpness(drawn.energy, drawn.real_energy)
    assert distance is not None, "there is a judge, and there are two drawings"
    features = None if spread_found is None else spread_found.features
    return Warm(
        temperature=temperature,
        obedience=None if read is None else read.overall,
        frechet=distance.distance,
        diversity=None if features is None else features.ratio,
        sharpness=None if sharp is None else sharp.ratio,
        drawings=len(drawn.rows),
    )


def choice(rows: Sequence[Warm]) -> Warm:
    """Of the candidates whose obedience is not below that of temperature 1 by more than half its interval, the one of
    the lowest Frechet distance; of equal ones that which is nearest to 1.

    Refused where temperature 1 is not among them.
    """
    plain = next((row for row in rows if alike(row.temperature) == 1), None)
    if plain is None:
        raise Refused("candidates must hold temperature 1, which the others are compared with; add it")
    least = 0.0
    if plain.obedience is not None:
        least = plain.obedience.share - (plain.obedience.high - plain.obedience.low) / 2
    allowed = [row for row in rows if row.obedience is None or row.obedience.share >= least]
    return min(allowed, key=lambda row: (row.frechet, sum(abs(one - 1) for one in row.temperature)))


def searched(codes: int, measure: Callable[[Each], Warm]) -> None:
    """Try one temperature for all latents, 1 down to 0.5; then, of several latents, the best below 1 on one side of a
    cut, with 1 on the other; then, where such a cut is the best so far, colder and warmer ones of it for as long as
    that helps."""
    level = [measure((one,) * codes) for one in TEMPERATURES]
    heat = min(level[1:], key=lambda row: row.frechet).temperature[0]
    parted = [measure(one) for one in halves(codes, heat)]
    best = choice([*level, *parted])
    if best not in parted:
        return
    for step in (-STEP, STEP):
        here = heat
        while 0 < (other := round(here + step, 2)) < 1:
            found = measure(tuple(1.0 if one == 1 else other for one in best.temperature))
            if choice([level[0], best, found]) is not found:
                break
            best, here = found, other
        if here != heat:
            return


def halves(codes: int, heat: float) -> list[Each]:
    """Temperature 1 for the first latents and `heat` for the others, and the other way round, at up to three cuts."""
    cuts = sorted({min(codes - 1, max(1, round(share * codes))) for share in CUTS}) if codes > 1 else []
    found: list[Each] = []
    for cut in cuts:
        above, below = (1.0,) * cut, (1.0,) * (codes - cut)
        found += [(*above, *(heat for _ in below)), (*(heat for _ in above), *below)]
    return found
