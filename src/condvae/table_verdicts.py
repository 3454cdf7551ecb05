"""What the numbers of a table's evaluation say, in words: what is wrong and what to change, and what is well."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from condvae.findings import Likelihood, Share
from condvae.names import counted
from condvae.table_evaluation import ConditionUse, Correlations, NameColumn, NumberColumn

__all__ = ["table_verdicts"]

NEAR, NEARER = 0.05, 0.03  # what is surely further off is no longer calibrated; the second of 90 % intervals
WIDE = 0.25  # an interval of a share that is wider tells nothing
UNSURE = 0.2  # nats that a field may cost for all that so few rows tell: it is not said to change nothing
SILENT = 0.01  # nats: a field whose values cost less is taken to change nothing
FAR = 0.05  # distance of distributions beyond chance that is said
LOOSE = 0.1  # mean difference of correlations beyond chance that is said

TIGHTER = "Train for fewer epochs, on more rows, or with a smaller network (hidden)."
LONGER = "Train longer (epochs), or with more latents (z)."


def table_verdicts(
    numbers: Mapping[str, NumberColumn],
    names: Mapping[str, NameColumn],
    correlations: Correlations | None,
    conditions: Mapping[str, ConditionUse],
    likelihood: Likelihood,
) -> list[str]:
    """The verdicts, the bad ones first; names of columns and fields as the table has them."""
    bad: list[str] = []
    good: list[str] = []
    for told, well in (
        about_conditions(conditions),
        about_numbers(numbers),
        about_names(names),
        about_distributions(numbers, names),
        about_correlations(correlations),
    ):
        bad += told
        good += well
    if likelihood.k > 1 and likelihood.effective_mean < 2:
        bad.append(
            f"The likelihood rests on {likelihood.effective_mean:.1f} of {likelihood.k:,} samples a row, so the true "
            "one is better by an unknown amount: raise k."
        )
    return bad + good


def about_conditions(conditions: Mapping[str, ConditionUse]) -> tuple[list[str], list[str]]:
    """Whether each field is heeded: (what is wrong, what is well)."""
    bad: list[str] = []
    good: list[str] = []
    heeded: list[str] = []
    for name, use in conditions.items():
        cost = f"another row's {name} costs {use.lost.text()}"
        error = 2 * (use.lost.standard_error or 0.0)
        if use.lost.mean > max(SILENT, error):
            heeded.append(f"{name} ({use.lost.mean:.2f} nats)")
        elif use.lost.mean + error > UNSURE:
            bad.append(f"Whether {name} is heeded cannot be told from {counted(use.lost.images, 'row')}: {cost}.")
        elif use.told_by:
            bad.append(
                f"{name} is ignored: {cost}, next to nothing, though real {listed(use.told_by)} "
                f"{'depends' if len(use.told_by) == 1 else 'depend'} on it. Train longer (epochs), or with fewer "
                "latents (z)."
            )
        else:
            good.append(f"{name} changes nothing: {cost}; nor do the real rows tell of any dependence on it.")
    if heeded:
        good.insert(0, f"The condition is heeded: a row becomes less likely under another row's {listed(heeded)}.")
    return bad, good


def about_numbers(numbers: Mapping[str, NumberColumn]) -> tuple[list[str], list[str]]:
    """Whether the intervals of the draws hold as many real values as they should: (what is wrong, what is well)."""
    bad: list[str] = []
    well: list[str] = []
    for name, found in numbers.items():
        told = (
            f"its 90 % intervals hold {found.outer.text()} of the real values, its 50 % intervals {found.inner.text()}"
        )
        if found.score.worse:
            bad.append(
                f"{name} is drawn worse than by its training distribution alone: CRPS {found.score.model:.4g} against "
                f"{found.score.unconditional:.4g}. {TIGHTER}"
            )
        if width(found.outer) > WIDE:
            bad.append(f"Whether {name} is calibrated cannot be told from {counted(found.outer.of, 'row')}: {told}.")
        elif surely_below(found.outer, 0.9, NEARER) or surely_below(found.inner, 0.5):
            bad.append(f"{name} is over-confident: {told}. {TIGHTER}")
        elif surely_above(found.outer, 0.9, NEARER) or surely_above(found.inner, 0.5):
            bad.append(f"{name} is under-confident: {told}. {LONGER}")
        else:
            well.append(f"{name} ({100 * found.outer.share:.0f} %)")
    if not well:
        return bad, []
    return bad, [
        f"Well calibrated: the 90 % intervals of the draws hold as much as they should of real {listed(well)}."
    ]


def about_names(names: Mapping[str, NameColumn]) -> tuple[list[str], list[str]]:
    """Whether names are as likely as the model says: (what is wrong, what is well)."""
    bad: list[str] = []
    well: list[str] = []
    for name, found in names.items():
        told = f"its likeliest name is right in {found.right.text()} of the rows, at a confidence of "
        told += f"{100 * found.confidence:.1f} %"
        if found.score.worse:
            bad.append(
                f"{name} is drawn worse than by its training shares alone: log score {found.score.model:.3f} against "
                f"{found.score.unconditional:.3f} nats. {TIGHTER}"
            )
        if width(found.right) > WIDE:
            bad.append(f"Whether {name} is calibrated cannot be told from {counted(found.right.of, 'row')}: {told}.")
        elif surely_below(found.right, found.confidence):
            bad.append(f"{name} is over-confident: {told}. {TIGHTER}")
        elif surely_above(found.right, found.confidence):
            bad.append(f"{name} is under-confident: {told}. {LONGER}")
        else:
            right, sure = 100 * found.right.share, 100 * found.confidence
            well.append(f"{name} ({right:.0f} % of its likeliest names are right, expected {sure:.0f} %)")
    return bad, [f"As sure as it should be of {listed(well)}."] if well else []


def about_distributions(
    numbers: Mapping[str, NumberColumn], names: Mapping[str, NameColumn]
) -> tuple[list[str], list[str]]:
    """Whether columns are distributed over all rows as the real ones: (what is wrong, what is well)."""
    both = [(name, found, "KS", FAR) for name, found in numbers.items()]
    # of names the distance by chance is a mean, of numbers one that is seldom passed
    both += [
        (name, found, "total variation", max(FAR, 0.5 / math.sqrt(found.right.of))) for name, found in names.items()
    ]
    far = [(name, found, kind) for name, found, kind, room in both if found.distance > found.chance + room]
    bad = [
        f"Drawn {name} is distributed unlike the real one: {kind} distance {found.distance:.2f}, by chance "
        f"{found.chance:.2f}. {LONGER}"
        for name, found, kind in far
    ]
    return bad, [] if far or not both else ["Over all rows, every column is distributed as the real one."]


def about_correlations(found: Correlations | None) -> tuple[list[str], list[str]]:
    """Whether columns hang together as the real ones: (what is wrong, what is well)."""
    if found is None:
        return [], []
    told = f"their correlations are {found.difference:.2f} off on average, by chance about {found.chance:.2f}"
    if found.difference > max(found.chance + LOOSE, 2.5 * found.chance):  # of one pair, 2.5 means are two deviations
        return [f"Drawn columns hang together unlike the real ones: {told}. {LONGER}"], []
    return [], [f"Drawn columns hang together as the real ones: {told}."]


def width(share: Share) -> float:
    """How wide the interval of a share is."""
    return share.high - share.low


def surely_below(share: Share, nominal: float, near: float = NEAR) -> bool:
    """Whether a share is below what it should be by more than chance and a little."""
    return share.high < nominal and share.share < nominal - near


def surely_above(share: Share, nominal: float, near: float = NEAR) -> bool:
    """Whether a share is above what it should be by more than chance and a little."""
    return share.low > nominal and share.share > nominal + near


def listed(words: Sequence[str]) -> str:
    """Words as a list: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
