"""How good a conditional model of table rows is: likelihood, calibration, proper scores, use of the condition.

Everything is measured under one prior, on rows that the model was not trained on, in the table's own units, by noise
that is a function of the seed and the row. Beside each number stands what chance, or the training distribution, gives.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from condvae.conditionals import likelihood_of
from condvae.conditions import Field, Label, Number, Schema
from condvae.findings import Likelihood, Share
from condvae.images import Images
from condvae.learned import Asked, Columns, Learned, columns_of, rows_of, seed_in, whole
from condvae.noise import seed_of
from condvae.subject import chosen, estimate
from condvae.table_draws import Compared, compared, plain_crps
from condvae.table_evaluation import (
    LEVELS,
    ConditionUse,
    Correlations,
    NameColumn,
    NumberColumn,
    Score,
    TableEvaluation,
)
from condvae.table_tasks import known_cells
from condvae.table_verdicts import table_verdicts
from condvae.weighing import marginal

__all__ = ["PROTOCOL", "conditioned", "evaluate_rows"]

K, LIMIT, DRAWS = 100, 1_000, 200
EXCHANGED = 50  # draws a row under an exchanged condition
GROUPS = 8  # groups of a number's values in the analysis of variance
RARE = 1e-3  # of the analysis of variance: how often it may tell of a dependence that is none
PROTOCOL = (
    "mixed: nats of standardised numbers and names, those that are known; numbers are divided by their standard "
    "deviation in training"
)

Progress = Callable[[str, int, int], None]


def evaluate_rows(
    learned: Learned,
    x: Any,
    given: Asked | None = None,
    k: int | None = None,
    limit: int | None = None,
    prior: str | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    progress: Progress | None = None,
    unknown: str | None = None,
) -> TableEvaluation:
    """Measure a model of rows on rows that it was not trained on.

    Args:
        x: rows [N, 1, 1, W] as `tables.encode_rows` gives them. given: field -> one value a row; what is unknown is
            summed over in the likelihood, and drawn from its shares elsewhere, or a blank input where the model has
            one. k: importance samples a row, 100 by default. limit: rows at random that are measured, 1,000 by
            default; 0 = all. prior: as `Learned.using`. draws: a row, of at least 2. progress: called with (what is
            measured, done, total). unknown: what the likelihood does with what is not given, "sum" or "blank", as in
            `log_prob`.

    Raises:
        Refused: arguments that cannot be used.
    """
    k, limit = whole(K if k is None else k, "k", 1), whole(LIMIT if limit is None else limit, "limit", 0)
    seed, draws, model = seed_in(seed), whole(draws, "draws", 2), learned.using(prior)
    images, total = rows_of(learned, x), len(x)
    columns = columns_of(learned, given, total)
    sample = chosen(total, limit or total, seed)
    images = Images(images[sample].float(), "NCHW", images.low, images.high)
    columns = {name: column[sample] for name, column in columns.items()}
    tell = partial(stage, progress)
    begun = time.perf_counter()
    found = marginal(learned, model, images, columns, k, seed, tell("likelihood"), unknown=unknown)
    seconds = time.perf_counter() - begun
    rows = images[slice(None)].numpy()
    seen = compared(learned, model, rows, columns, draws, seed, tell("draws"))
    outputs = schema_of(learned)
    numbers = {field.name: number_column(field, seen) for field in outputs.fields if isinstance(field, Number)}
    names = {field.name: name_column(field, seen) for field in outputs.fields if isinstance(field, Label)}
    numbers = {name: one for name, one in numbers.items() if one is not None}
    names = {name: one for name, one in names.items() if one is not None}
    together = correlations(outputs, rows, seen)
    measured = partial(exchanged, learned, model, images, columns, k, seed, found.log_prob, seen, unknown)
    used = {}
    for number, field in enumerate(learned.schema.fields):
        use = measured(field, number, tell(f"another row's {field.name}"))
        if use is not None:
            used[field.name] = use
    likelihood = Likelihood(
        **estimate(-found.log_prob).model_dump(),
        of=likelihood_of(learned.schema, columns, np.arange(len(images)), unknown, "row"),
        k=k,
        effective_mean=float(found.effective.mean()),
        effective_least=float(found.effective.min()),
        seconds=seconds,
    )
    fitted = learned.fitted is not None and prior != "model"
    return TableEvaluation(
        protocol=PROTOCOL,
        prior="flow" if prior == "flow" else "fitted" if fitted else "model",
        rows=total,
        drawn_rows=len(sample),
        draws=draws,
        seed=seed,
        likelihood=likelihood,
        numbers=numbers,
        names=names,
        correlations=together,
        conditions=used,
        words=table_verdicts(numbers, names, together, used, likelihood),
    )


def conditioned(
    learned: Learned, x: Any, given: Asked | None, limit: int, draws: int, seed: int = 0
) -> tuple[np.ndarray, Columns, Compared]:
    """(rows at random, at most `limit`, their columns of the condition, how they lie among as many draws each)."""
    images = rows_of(learned, x)
    sample = chosen(len(images), limit, seed)
    columns = {name: column[sample] for name, column in columns_of(learned, given, len(images)).items()}
    rows = images[sample].float().numpy()
    return sample, columns, compared(learned, learned.using(), rows, columns, draws, seed)


def stage(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    """The progress of one of the measures."""
    return None if progress is None else partial(progress, what)


def schema_of(learned: Learned) -> Schema:
    """The generated columns."""
    assert learned.outputs is not None, "only a model of rows has columns to measure"
    return learned.outputs


def number_column(field: Number, seen: Compared) -> NumberColumn | None:
    """What is found of a generated number; None where no row knows it."""
    known = seen.known[field.name]
    if not known.any():
        return None
    off = np.abs(seen.place[field.name][known] - 0.5)
    inside = {level: int((off <= level / 2).sum()) for level in LEVELS}
    rows, real = int(known.sum()), seen.real[field.name][known]
    return NumberColumn(
        inner=Share(right=inside[0.5], of=rows),
        outer=Share(right=inside[0.9], of=rows),
        curve=[inside[level] / rows for level in LEVELS],
        score=score_of(seen.score[field.name][known], plain_crps(field, real)),
        distance=kolmogorov(real, seen.pooled[field.name][known].ravel()),
        chance=min(1.0, 1.36 / math.sqrt(rows)),  # Kolmogorov's 95 % point; the draws are many
    )


def name_column(field: Label, seen: Compared) -> NameColumn | None:
    """What is found of a generated label; None where no row knows it."""
    known = seen.known[field.name]
    if not known.any():
        return None
    shares, rows = seen.shares[field.name][known], int(known.sum())
    index = field.index(list(seen.real[field.name][known]))
    real = np.bincount(index, minlength=len(field.values)) / rows
    trained = np.maximum(np.asarray(field.shares), 1e-12)
    likely = shares.mean(0)
    return NameColumn(
        score=score_of(seen.score[field.name][known], -np.log(trained)[index]),
        right=Share(right=int((shares.argmax(1) == index).sum()), of=rows),
        confidence=float(shares.max(1).mean()),
        distance=float(np.abs(likely - real).sum() / 2),
        chance=float(np.sqrt(2 * likely * (1 - likely) / (math.pi * rows)).sum() / 2),
    )


def score_of(model: np.ndarray, plain: np.ndarray) -> Score:
    """Scores of N rows, of the model and of the training distribution."""
    gain = plain - model
    error = float(gain.std(ddof=1) / math.sqrt(len(gain))) if len(gain) > 1 else None
    return Score(model=float(model.mean()), unconditional=float(plain.mean()), error=error, rows=len(gain))


def kolmogorov(a: np.ndarray, b: np.ndarray) -> float:
    """Greatest difference of the distribution functions of two samples."""
    both = np.concatenate([a, b])
    at = [np.searchsorted(np.sort(one), both, side="right") / len(one) for one in (a, b)]
    return float(np.abs(at[0] - at[1]).max())


def correlations(outputs: Schema, x: np.ndarray, seen: Compared) -> Correlations | None:
    """Correlations of the entries of different columns, drawn beside real; None where there are none."""
    places = entries(outputs)
    owner = np.asarray([field.name for field, _ in places])
    at = [place for _, place in places]
    known = np.stack([seen.known[field.name] for field, _ in places], 1)
    real = correlation(np.where(known, x.reshape(len(x), -1)[:, at], np.nan))
    made = correlation(seen.encoded[:, at].astype(np.float64))
    pairs = np.triu(owner[:, None] != owner[None], 1) & np.isfinite(real) & np.isfinite(made)
    if not pairs.any():
        return None
    r = real[pairs]
    # by the correlations of the draws, which are many: those of a few real rows are near to 1 by chance
    chance = float(((1 - made[pairs] ** 2) * math.sqrt(2 / math.pi / max(1, len(x)))).mean())
    return Correlations(
        difference=float(np.abs(made[pairs] - r).mean()),
        apart=float(np.abs(r).mean()),
        chance=chance,
        pairs=int(pairs.sum()),
    )


def entries(outputs: Schema) -> list[tuple[Field, int]]:
    """(column, place in the encoded row) of the numbers that stand for a column: of two names one, of more all."""
    found: list[tuple[Field, int]] = []
    for field in outputs.fields:
        span = outputs.slice(field.name)
        first = span.start + (isinstance(field, Label) and len(field.values) == 2)
        found += [(field, place) for place in range(first, span.stop)]
    return found


def correlation(values: np.ndarray) -> np.ndarray:
    """Pairwise correlations [E, E] of columns [N, E], over the rows that know both; NaN where one does not vary."""
    known = np.isfinite(values)
    weight, full = known.astype(np.float64), np.where(known, values, 0.0)
    count = weight.T @ weight
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = full.T @ weight / count  # of column i over the rows that know i and j
        square = (full * full).T @ weight / count - mean**2
        cross = full.T @ full / count - mean * mean.T
        found = cross / np.sqrt(square * square.T)
    found[(square < 1e-9) | (square.T < 1e-9)] = np.nan
    return found


def exchanged(
    learned: Learned,
    model: nn.Module,
    images: Images,
    columns: Columns,
    k: int,
    seed: int,
    log_prob: np.ndarray,
    seen: Compared,
    unknown: str | None,
    field: Field,
    number: int,
    progress: Callable[[int, int], None] | None = None,
) -> ConditionUse | None:
    """What it costs that each row is given another row's value of a field; None where fewer than two rows know it.

    Draws have the same noise as those under the row's own value; so has the likelihood.
    """
    known = np.flatnonzero(~field.unknown(columns[field.name]))  # pyright: ignore[reportArgumentType]
    if len(known) < 2:
        return None
    order = np.random.default_rng(seed_of(seed, 13, number)).permutation(known)
    column = columns[field.name].copy()
    column[order] = columns[field.name][np.roll(order, 1)]
    asked = {**columns, field.name: column}
    wrong = marginal(learned, model, images, asked, k, seed, progress, known, unknown)
    few = {name: values[known] for name, values in asked.items()}
    own = {name: values[known] for name, values in columns.items()}
    rows = images[known].numpy()
    right, other = (compared(learned, model, rows, one, EXCHANGED, seed) for one in (own, few))
    rise: dict[str, float] = {}
    for name in seen.score:
        told = right.known[name]
        before, after = (float(one.score[name][told].sum()) for one in (right, other))
        if before > 0:
            rise[name] = after / before - 1
    return ConditionUse(
        lost=estimate(log_prob[known] - wrong.log_prob),
        columns=rise,
        told_by=told_by(schema_of(learned), field, columns[field.name][known], rows),
    )


def told_by(outputs: Schema, field: Field, column: np.ndarray, x: np.ndarray) -> list[str]:
    """The generated columns whose mean differs among groups of a field's values, by analyses of variance."""
    if isinstance(field, Label):
        group = column
    else:
        flat = column.reshape(len(column), -1)[:, 0]
        group = np.searchsorted(np.quantile(flat, np.linspace(0, 1, GROUPS + 1)[1:-1]), flat)
    places, flat = entries(outputs), x.reshape(len(x), -1)
    known = {one.name: mask for one, mask in known_cells(outputs, x)}
    found: dict[str, None] = {}
    for one, place in places:
        values = [flat[(group == g) & known[one.name], place] for g in np.unique(group)]
        values = [some for some in values if len(some) > 1]
        if len(values) < 2 or np.ptp(np.concatenate(values)) < 1e-9:
            continue
        if by_chance(values) * len(places) < RARE:
            found[one.name] = None
    return list(found)


def by_chance(groups: Sequence[np.ndarray]) -> float:
    """How often means of groups of one distribution differ as much: one-way analysis of variance (Fisher, 1925).

    Groups within which nothing varies count as if one row of each had strayed.
    """
    from scipy.special import fdtrc

    every = np.concatenate(groups)
    between = sum(len(one) * (one.mean() - every.mean()) ** 2 for one in groups)
    within = sum(float(np.square(one - one.mean()).sum()) for one in groups)
    within = within if within > 1e-9 * between else len(groups) * between / len(every)
    free, left = len(groups) - 1, len(every) - len(groups)
    return float(fdtrc(free, left, (between / free) / (within / left)))
