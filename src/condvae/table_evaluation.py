"""What an evaluation of a model of table rows finds: all measures together, as a table and in sentences."""

from __future__ import annotations

from pydantic import Field, computed_field

from condvae.conditionals import head_and_rest
from condvae.findings import Estimate, Finding, Likelihood, Share
from condvae.names import counted

__all__ = ["LEVELS", "ConditionUse", "Correlations", "NameColumn", "NumberColumn", "Score", "TableEvaluation"]

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Nominal shares of the central intervals whose coverage is counted."""


class Score(Finding):
    """A proper score of one column, less is better, beside that of the column's training distribution alone
    (Gneiting & Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", 2007)."""

    model: float
    """Of the draws given each row's condition."""
    unconditional: float
    """Of the column's distribution in training, whatever the condition."""
    error: float | None
    """Standard error of the difference of the two over the rows; None for a single row."""
    rows: int
    """How many rows know the column."""

    @computed_field
    @property
    def skill(self) -> float:
        """1 - model / unconditional: 1 = certain and right, 0 = no better than the training distribution."""
        return 1 - self.model / self.unconditional if self.unconditional else 0.0

    @property
    def better(self) -> bool:
        """Whether the draws are better than the training distribution, by more than two standard errors; no single row
        tells."""
        return self.error is not None and self.unconditional - self.model > 2 * self.error

    @property
    def worse(self) -> bool:
        """Whether they are worse, by more than two standard errors; no single row tells."""
        return self.error is not None and self.model - self.unconditional > 2 * self.error


class NumberColumn(Finding):
    """How well a generated number is drawn."""

    inner: Share
    """Real values within the central 50 % interval of the draws for their condition."""
    outer: Share
    """The same of the central 90 % interval."""
    curve: list[float]
    """The same share at each of `LEVELS`."""
    score: Score
    """Continuous ranked probability score (CRPS), in the column's units."""
    distance: float
    """Kolmogorov-Smirnov distance of drawn to real values over all rows, in [0, 1]."""
    chance: float
    """What that distance stays below in 95 % of cases where both are of one distribution."""


class NameColumn(Finding):
    """How well a generated name is drawn."""

    score: Score
    """Log score: -log probability of the real name, nats."""
    right: Share
    """Rows whose likeliest name, by the model, is the real one."""
    confidence: float
    """Mean probability that the model gives its likeliest name; calibrated where it is the share above."""
    distance: float
    """Total variation between drawn and real frequencies over all rows, in [0, 1]."""
    chance: float
    """What that distance is on average where both are of one distribution."""


class Correlations(Finding):
    """How generated columns hang together; names are taken as one number, 0 or 1, a value."""

    difference: float
    """Mean absolute difference of the correlations, drawn to real, over all pairs of two columns."""
    apart: float
    """What it would be if columns were drawn independently: the mean absolute real correlation."""
    chance: float
    """What it is, about, where both are of one distribution."""
    pairs: int
    """Pairs of entries of two different columns."""


class ConditionUse(Finding):
    """What another row's value of one field costs: its values are exchanged among the rows, the others stay."""

    lost: Estimate
    """Nats of log p(x | c) lost a row."""
    columns: dict[str, float]
    """Generated column -> what its score (CRPS or log score) rises by, as a share of itself."""
    told_by: list[str]
    """The generated columns whose real values depend on the field in these rows, by an analysis of variance at one in a
    thousand over all columns."""


class TableEvaluation(Finding):
    """How good a conditional model of table rows is on rows that it was not trained on. Finding's `images` are rows."""

    protocol: str
    """What the likelihoods are of; numbers of different protocols, or columns, are not comparable."""
    prior: str
    """"fitted", "flow" or "model": the one prior behind likelihood and drawings."""
    rows: int
    """How many rows were given."""
    drawn_rows: int
    """How many of them, at random, were drawn for and weighed."""
    draws: int
    """Draws a row."""
    seed: int
    """Seed of all noise."""
    likelihood: Likelihood
    """-log p(x | c) a row, importance-weighted."""
    numbers: dict[str, NumberColumn] = Field(default_factory=dict)
    """Of every generated number."""
    names: dict[str, NameColumn] = Field(default_factory=dict)
    """Of every generated label and attribute."""
    correlations: Correlations | None
    """None where only one column is generated, or none varies."""
    conditions: dict[str, ConditionUse] = Field(default_factory=dict)
    """Of every field that is asked for and known of two rows."""
    words: list[str]
    """What the numbers say, verdict by verdict, each bad one with what to change."""

    def table(self) -> list[tuple[str, str, str]]:
        """Rows (measure, value, what it stands beside or is of)."""
        like = self.likelihood
        effective = f"effective samples {like.effective_mean:.1f} on average, {like.effective_least:.1f} at least"
        head, rest = head_and_rest(like.of)
        beside = [*([rest] if rest else []), f"k = {like.k:,}, {counted(like.images, 'row')}", effective]
        rows = [(f"-log {head}", like.text(), "; ".join(beside))]
        for name, number in self.numbers.items():
            rows += number_rows(name, number)
        for name, column in self.names.items():
            rows += name_rows(name, column)
        if self.correlations is not None:
            found = self.correlations
            beside = f"chance about {found.chance:.3f}, independent columns {found.apart:.3f}; "
            beside += counted(found.pairs, "pair")
            rows.append(("correlations, drawn to real", f"{found.difference:.3f}", beside))
        for name, use in self.conditions.items():
            costs = ", ".join(f"{column} {100 * share:+.0f} %" for column, share in use.columns.items())
            rows.append((f"lost under another row's {name}", use.lost.text(), f"scores: {costs}"))
        return rows

    def sentences(self) -> list[str]:
        """The verdicts, then how the numbers were come by."""
        how = [
            f"Likelihood: {self.likelihood.of}; {self.protocol}.",
            f"Prior of likelihood and drawings: {self.prior}; {self.draws} draws a row for its own condition.",
            "Scores are proper ones, less is better: of numbers the CRPS in the column's units, of names the log score "
            "in nats.",
        ]
        if self.drawn_rows < self.rows:
            how.append(f"Measured on {self.drawn_rows:,} of {counted(self.rows, 'row')} at random; limit=0 takes all.")
        if self.likelihood.seconds is not None:
            how.append(self.likelihood.cost(self.rows, "row"))
        return [*self.words, *how]


def number_rows(name: str, found: NumberColumn) -> list[tuple[str, str, str]]:
    """Rows of a table: one generated number."""
    score = found.score
    return [
        (f"{name}: within 50 % intervals", found.inner.text(), f"nominal 50 %; {counted(found.inner.of, 'row')}"),
        ("  within 90 % intervals", found.outer.text(), "nominal 90 %"),
        (
            "  CRPS",
            f"{score.model:.4g}",
            f"training distribution {score.unconditional:.4g}: {gained(score.skill)}",
        ),
        ("  distance of distributions (KS)", f"{found.distance:.3f}", f"chance below {found.chance:.3f}"),
    ]


def name_rows(name: str, found: NameColumn) -> list[tuple[str, str, str]]:
    """Rows of a table: one generated label."""
    score = found.score
    return [
        (
            f"{name}: log score",
            f"{score.model:.3f} nats",
            f"training shares {score.unconditional:.3f} nats: {gained(score.skill)}",
        ),
        ("  likeliest name is right", found.right.text(), f"the model's own confidence {percent(found.confidence)}"),
        ("  distance of frequencies", f"{found.distance:.3f}", f"chance about {found.chance:.3f}"),
    ]


def gained(skill: float) -> str:
    """A skill in words."""
    return f"{percent(abs(skill))} {'worse' if skill < 0 else 'better'}"


def percent(share: float) -> str:
    """A share as percent."""
    return f"{100 * share:.1f} %"
