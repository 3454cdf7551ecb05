"""What the numbers of an evaluation say, in words: what is wrong and what to change, and what is well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from condvae.calibration import CLASSIFIER, Calibration
from condvae.distances import wilson
from condvae.evaluation import (
    Completion,
    Diversity,
    Estimate,
    Likelihood,
    Manifolds,
    Nearness,
    Numbers,
    Obedience,
    Read,
    Sharpness,
    beyond,
)
from condvae.names import counted
from condvae.verdicts_likeness import about_copies, about_recall, about_sharpness

__all__ = ["verdicts"]

SILENT = 0.1  # nats: a code, or a label, that tells less is taken to tell nothing
ALIKE = 0.02  # of the real distance between two pictures of a label: below it drawings are one and the same
POOR, WILD = 0.5, 1.5  # of the real distance: outside, drawings vary far less or far more than real images
UNHEEDED, PARTLY, WELL = 0.1, 0.9, 0.97  # agreement with what is asked, beside that of the judge on real images
WEAK = 0.5  # agreement of the judge with real labels, or a regressor's skill, below which it can tell nothing
LOOSE = 0.2  # correlation of asked and read, beside the regressor's skill on real images: below it nothing is heeded
NEARER = 0.5  # decibels by which a completion must be nearer to what was hidden than the mean image is
OFF = 0.03  # expected calibration error up to which probabilities are taken at their word
SURELY = 2.58  # standard errors, 99 %: confidence so far from the share read rightly is no chance
FEW_UNITS = 0.25  # share of active units below which most of the latents are said to be idle


def verdicts(
    rate: float,
    active: int,
    units: int,
    label_gain: Estimate | None,
    obedience: Obedience | None,
    diversity: Diversity | None,
    likelihood: Likelihood | None,
    shares: tuple[float, ...],
    prior: str,
    others: Sequence[Obedience] = (),
    numbers: Sequence[Numbers] = (),
    completion: Completion | None = None,
    frequencies: Mapping[str, tuple[float, ...]] | None = None,
    reading: Calibration | None = None,
    sharpness: Sharpness | None = None,
    manifolds: Manifolds | None = None,
    nearness: Nearness | None = None,
    codes: int = 1,
    cool: bool = False,
) -> list[str]:
    """The verdicts, the bad ones first.

    Args:
        rate: mean KL of all latents, nats. active, units: latent units active within a condition, and in all.
        shares: the first label's frequencies; empty without labels. prior: what was drawn with.
        others: the obedience of further labels. numbers: of numbers. completion: of a model that fills holes.
        frequencies: field name -> the frequencies of a label's values. reading: how surely the first label is read.
        sharpness, manifolds, nearness: of the drawings, beside real images.
        codes: latents that a picture is drawn from; where each depends on those before, no density is fitted to them.
        cool: drawn at a lower temperature than 1, so that drawings are more alike than the model has them.
    """
    fitted = prior == "model" and completion is None and codes == 1  # a model that fills holes keeps its own prior
    redraw = "draw with the fitted prior or at a lower temperature" if fitted else "draw at a lower temperature"
    alone = len(frequencies or {}) + len(numbers) < 2
    what = "The condition" if alone or obedience is None else obedience.field
    found = [about_label(label_gain, obedience, shares, redraw, what)]
    found += [about_label(None, one, (frequencies or {}).get(one.field, ()), redraw, one.field) for one in others]
    found += [about_number(name, entry, redraw) for one in numbers for name, entry in named_entries(one)]
    found += [about_reading(reading)] if reading is not None else []
    found += [about_holes(completion)] if completion is not None else []
    bad = [
        *about_latents(rate, active, units, None if cool else diversity, codes),
        *(sentence for told, _ in found for sentence in told),
    ]
    good = [heeded for _, heeded in found if heeded is not None]
    poor, varied = about_diversity(diversity, "The pictures of a label" if shares else "The pictures", redraw, cool)
    if not any("ignores z" in sentence for sentence in bad):
        bad += poor or about_recall(manifolds, redraw)
    bad += [*about_sharpness(sharpness, redraw, codes == 1), *about_copies(nearness)]
    if varied is not None:
        good.append(varied)
    if likelihood is not None and likelihood.k > 1 and likelihood.effective_mean < 2:
        bad.append(
            f"The likelihood rests on {likelihood.effective_mean:.1f} of {likelihood.k:,} samples an image, so the "
            "true one is better by an unknown amount: raise k."
        )
    return bad + good


def about_latents(rate: float, active: int, units: int, diversity: Diversity | None, codes: int = 1) -> list[str]:
    """Whether the code z is used, or all codes together."""
    alike = diversity is not None and _below(diversity.pixels.ratio, ALIKE)
    if active == 0 or rate < SILENT or alike:
        signs = [f"its KL is {rate:.2f} nats", f"{active} of {units} units are active within a condition"]
        if alike:
            signs.append("the drawings of a label are one and the same picture")
        return [
            f"The decoder ignores z: {', '.join(signs)}. Train with free_bits (0.1 or more a unit) or a longer "
            "warm_up, with less beta, or with a decoder that is weaker without z."
        ]
    if units >= 4 and active < FEW_UNITS * units:
        enough = f"A z of {2 * active} would do; free_bits" if codes == 1 else "Free_bits"
        return [
            f"Most of z is idle: {active} of {units} units are active within a condition. {enough} or a longer warm_up "
            "may wake more units."
        ]
    return []


def about_label(
    label_gain: Estimate | None,
    obedience: Obedience | None,
    shares: tuple[float, ...],
    redraw: str,
    what: str = "The condition",
) -> tuple[list[str], str | None]:
    """Whether the condition, or the label of that name, is used: (what is wrong, what is well)."""
    silent = label_gain is not None and abs(label_gain.mean) < max(SILENT, 2 * (label_gain.standard_error or 0))
    remedy = "Check that labels and images belong together; train longer (epochs), or with fewer latents (z)."
    if obedience is None:
        if not silent or label_gain is None:
            return [], None
        return [f"{what} is ignored: a wrong label costs {label_gain.mean:.2f} nats, next to nothing. {remedy}"], None
    share, accuracy = obedience.overall.text(), obedience.judge_accuracy
    if accuracy is None or beyond(accuracy, sum(p * p for p in shares)) < WEAK:
        whom = "labels are" if what == "The condition" else f"{what} is"
        known = (
            "how well it reads real images is not known"
            if accuracy is None
            else (f"it reads only {100 * accuracy:.1f} % of real images rightly")
        )
        return [
            f"The judge is too weak to tell whether {whom} obeyed: {known}. It needs more, or better labelled, "
            "real images."
        ], None
    if obedience.agreement < UNHEEDED:
        why = f"; a wrong label costs {label_gain.mean:.2f} nats" if label_gain is not None else ""
        return [
            f"{what} is ignored: the judge reads the asked label in {share} of the drawings, chance is "
            f"{100 * obedience.chance:.1f} %{why}. {remedy}"
        ], None
    beside = f"the judge reads {100 * accuracy:.2f} % of real images rightly"
    if obedience.overall.share < PARTLY * accuracy:
        worst = sorted(obedience.per_label.items(), key=lambda item: item[1].share)[:3]
        named = ", ".join(f"{name} ({100 * part.share:.0f} %)" for name, part in worst)
        return [
            f"{what} is obeyed in part: the asked label is read back in {share} of the drawings, while "
            f"{beside}. Worst: {named}. Train longer (epochs), or {redraw}."
        ], None
    degree = "is obeyed" if obedience.overall.share >= WELL * accuracy else "is mostly obeyed"
    return [], f"{what} {degree}: the asked label is read back in {share} of the drawings, while {beside}."


def about_reading(found: Calibration) -> tuple[list[str], str | None]:
    """Whether labels are read as surely as they are rightly: (what is wrong, what is well).

    Nothing is said where the images are too few to tell.
    """
    own = found.reader == CLASSIFIER
    what = f"{CLASSIFIER[0].upper()}{CLASSIFIER[1:]}," if own else f"Reading labels by {found.reader}"
    told = (
        f"it is right in {found.right.text()} of {counted(found.error.of, 'image')}, at a mean confidence of "
        f"{100 * found.confidence:.2f} %; the expected calibration error is {100 * found.ece:.2f} %"
    )
    if found.ece <= max(OFF, found.chance):
        return [], f"{what} is about as sure as it should be: {told}." if found.chance <= OFF else None
    low, high = wilson(found.right.right, found.right.of, SURELY)
    if found.confidence > high:
        remedy = "; train with more labels, with mixup or for fewer epochs" if own else ""
        return [
            f"{what} is over-confident: {told}. Its probabilities are too sure: take from them which label is "
            f"likeliest, not how likely it is{remedy}."
        ], None
    if found.confidence < low:
        remedy = "train longer (epochs), or with less mixup where it is used" if own else "train longer (epochs)"
        return [
            f"{what} is under-confident: {told}. Its probabilities are not sure enough: the likeliest label is right "
            f"more often than they say; {remedy}."
        ], None
    if found.ece <= 2 * found.chance:
        return [], None
    return [
        f"{what} is too sure of some images and not sure enough of others: {told}. Take from its probabilities which "
        "label is likeliest, not how likely it is."
    ], None


def named_entries(found: Numbers) -> list[tuple[str, Read]]:
    """Each number of a field with what it is called."""
    if len(found.entries) == 1:
        return [(found.field, found.entries[0])]
    return [(f"{found.field}[{place}]", entry) for place, entry in enumerate(found.entries)]


def about_number(name: str, found: Read, redraw: str) -> tuple[list[str], str | None]:
    """Whether a number is heeded: (what is wrong, what is well)."""
    told = (
        f"asked {name} and {name} read differ by {found.mean:.3g} on average, {found.real_mean:.3g} on real images, "
        f"and would by {found.unheeded:.3g} if {name} were not heeded"
    )
    if found.skill is None or found.real_skill is None:
        return [f"Whether {name} is obeyed cannot be told: the same number was asked of every drawing."], None
    if found.real_skill < WEAK:
        return [
            f"The regressor is too weak to tell whether {name} is obeyed: on real images it errs by "
            f"{found.real_mean:.3g} on average, a skill of {found.real_skill:.2f} where 1 is perfect. It needs more, "
            "or better measured, real images."
        ], None
    if (found.correlation or 0.0) < LOOSE * found.real_skill:
        return [
            f"{name} is ignored: {told}. Check that numbers and images belong together; train longer (epochs), or with "
            "fewer latents (z)."
        ], None
    if found.skill < PARTLY * found.real_skill:
        return [f"{name} is obeyed in part: {told}. Train longer (epochs), or {redraw}."], None
    return [], f"{name} is obeyed: {told}."


def about_holes(found: Completion) -> tuple[list[str], str | None]:
    """Whether holes are filled well: (what is wrong, what is well)."""
    bad: list[str] = []
    if found.kept is not None and found.kept.right < found.kept.of:
        bad.append(f"Seen pixels are changed: only {100 * found.kept.share:.4g} % come back as they were given.")
    if found.psnr is None or found.plain_psnr is None:
        return bad, None
    told = (
        f"on the hidden pixels the mean of {found.times} completions has a PSNR of {found.psnr.mean:.1f} dB, the mean "
        f"image one of {found.plain_psnr.mean:.1f} dB"
    )
    if found.psnr.mean < found.plain_psnr.mean + NEARER:
        return [*bad, f"Holes are filled hardly better than by the mean image: {told}. Train longer (epochs)."], None
    shown = f"; the judge reads the asked label in {found.asked.text()} of the completions" if found.asked else ""
    kept = "" if bad or found.kept is None else ", and what is seen is kept exactly"
    return bad, f"Holes are filled: {told}{shown}{kept}."


def about_diversity(
    diversity: Diversity | None, pictures: str, redraw: str, cool: bool = False
) -> tuple[list[str], str | None]:
    """Whether the drawings of a label differ as real images do: (what is wrong, what is well)."""
    if diversity is None:
        return [], None
    spreads = [("pixels", diversity.pixels)]
    if diversity.features is not None:
        spreads.append(("the judge's features", diversity.features))
    known = [(name, spread.ratio) for name, spread in spreads if spread.ratio is not None]
    if not known:
        return [], None
    told = " and ".join(f"{100 * ratio:.0f} % in {name}" for name, ratio in known)
    if min(ratio for _, ratio in known) < POOR:
        train = "Use more latents (z), free_bits or a lower beta, train longer (epochs); draw at temperature 1."
        remedy = "Draw nearer to temperature 1." if cool else train
        return [f"{pictures} are all alike: their mean distance is {told} of that of real images. {remedy}"], None
    if max(ratio for _, ratio in known) > WILD:
        return [
            f"{pictures} differ more than real ones do, {told} of their distance: many are likely "
            f"broken. Train longer (epochs), or {redraw}."
        ], None
    return [], f"{pictures} vary: their mean distance is {told} of that of real images."


def _below(ratio: float | None, limit: float) -> bool:
    return ratio is not None and ratio < limit
