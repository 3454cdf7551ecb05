"""What the numbers of an evaluation say, in words: what is wrong and what to change, and what is well."""

from __future__ import annotations

from condvae.evaluation import Diversity, Estimate, Likelihood, Obedience, beyond

__all__ = ["verdicts"]

SILENT = 0.1  # nats: a code, or a label, that tells less is taken to tell nothing
ALIKE = 0.02  # of the real distance between two pictures of a label: below it drawings are one and the same
POOR, WILD = 0.5, 1.5  # of the real distance: outside, drawings vary far less or far more than real images
UNHEEDED, PARTLY, WELL = 0.1, 0.9, 0.97  # agreement with what is asked, beside that of the judge on real images
WEAK = 0.5  # agreement of the judge with real labels, below which it can tell nothing
FEW_UNITS = 0.25  # share of active units below which most of the latents are said to be idle


def verdicts(
    rate: float,
    active: int,
    units: int,
    label_gain: Estimate | None,
    obedience: Obedience | None,
    diversity: Diversity | None,
    likelihood: Likelihood,
    shares: tuple[float, ...],
    prior: str,
) -> list[str]:
    """The verdicts, the bad ones first.

    Args:
        rate: mean KL of all latents, nats. active, units: latent units active within a condition, and in all.
        shares: the labels' frequencies; empty without labels. prior: what was drawn with.
    """
    redraw = (
        "draw with the fitted prior or at a lower temperature" if prior == "model" else "draw at a lower temperature"
    )
    told, heeded = about_label(label_gain, obedience, shares, redraw)
    bad = [*about_latents(rate, active, units, diversity), *told]
    good: list[str] = [] if heeded is None else [heeded]
    poor, varied = about_diversity(diversity, "The pictures of a label" if shares else "The pictures", redraw)
    if not any("ignores z" in sentence for sentence in bad):
        bad += poor
    if varied is not None:
        good.append(varied)
    if likelihood.k > 1 and likelihood.effective_mean < 2:
        bad.append(
            f"The likelihood rests on {likelihood.effective_mean:.1f} of {likelihood.k:,} samples an image, so the "
            "true one is better by an unknown amount: raise k."
        )
    return bad + good


def about_latents(rate: float, active: int, units: int, diversity: Diversity | None) -> list[str]:
    """Whether the code z is used."""
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
        return [
            f"Most of z is idle: {active} of {units} units are active within a condition. A z of {2 * active} would "
            "do; free_bits or a longer warm_up may wake more units."
        ]
    return []


def about_label(
    label_gain: Estimate | None, obedience: Obedience | None, shares: tuple[float, ...], redraw: str
) -> tuple[list[str], str | None]:
    """Whether the condition is used: (what is wrong, what is well)."""
    silent = label_gain is not None and abs(label_gain.mean) < max(SILENT, 2 * (label_gain.standard_error or 0))
    remedy = "Check that labels and images belong together; train longer (epochs), or with fewer latents (z)."
    if obedience is None:
        if not silent or label_gain is None:
            return [], None
        return [
            f"The condition is ignored: a wrong label costs {label_gain.mean:.2f} nats, next to nothing. {remedy}"
        ], None
    share, accuracy = obedience.overall.text(), obedience.judge_accuracy
    if accuracy is None or beyond(accuracy, sum(p * p for p in shares)) < WEAK:
        known = (
            "how well it reads real images is not known"
            if accuracy is None
            else (f"it reads only {100 * accuracy:.1f} % of real images rightly")
        )
        return [
            f"The judge is too weak to tell whether labels are obeyed: {known}. It needs more, or better labelled, "
            "real images."
        ], None
    if obedience.agreement < UNHEEDED:
        why = f"; a wrong label costs {label_gain.mean:.2f} nats" if label_gain is not None else ""
        return [
            f"The condition is ignored: the judge reads the asked label in {share} of the drawings, chance is "
            f"{100 * obedience.chance:.1f} %{why}. {remedy}"
        ], None
    beside = f"the judge reads {100 * accuracy:.2f} % of real images rightly"
    if obedience.overall.share < PARTLY * accuracy:
        worst = sorted(obedience.per_label.items(), key=lambda item: item[1].share)[:3]
        named = ", ".join(f"{name} ({100 * part.share:.0f} %)" for name, part in worst)
        return [
            f"The condition is obeyed in part: the asked label is read back in {share} of the drawings, while "
            f"{beside}. Worst: {named}. Train longer (epochs), or {redraw}."
        ], None
    degree = "is obeyed" if obedience.overall.share >= WELL * accuracy else "is mostly obeyed"
    return [], f"The condition {degree}: the asked label is read back in {share} of the drawings, while {beside}."


def about_diversity(diversity: Diversity | None, pictures: str, redraw: str) -> tuple[list[str], str | None]:
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
        return [
            f"{pictures} are all alike: their mean distance is {told} of that of real images. Use more "
            "latents (z), free_bits or a lower beta, train longer (epochs); draw at temperature 1."
        ], None
    if max(ratio for _, ratio in known) > WILD:
        return [
            f"{pictures} differ more than real ones do, {told} of their distance: many are likely "
            f"broken. Train longer (epochs), or {redraw}."
        ], None
    return [], f"{pictures} vary: their mean distance is {told} of that of real images."


def _below(ratio: float | None, limit: float) -> bool:
    return ratio is not None and ratio < limit
