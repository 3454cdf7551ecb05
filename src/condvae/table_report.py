"""The report of a run that generates rows of a table: pictures/, and report.html."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from condvae import pictures, table_plots
from condvae.conditions import Field, Label, Number, Picture
from condvae.data import Collection, Part
from condvae.field_pictures import number_text
from condvae.learned import Columns
from condvae.plots_learning import learning_curves
from condvae.proof import keep
from condvae.report import Section, write_report
from condvae.reporting import settings_section, title, unseen_part
from condvae.runs import Run
from condvae.table_draws import Compared
from condvae.table_evaluation import LEVELS, TableEvaluation
from condvae.table_measures import conditioned, evaluate_rows

__all__ = ["told_of", "unseen_rows", "write_table_report"]

Say = Callable[[Iterable[str]], None]

LIMIT, K = 500, 50  # of the report's measures: seconds, not minutes; `condvae evaluate` takes its time
SHOWN = 2_000  # rows whose distributions are drawn
DRAWS = 20
FEW = 300  # unseen rows, below which real distributions are drawn from the training rows, too
COLUMNS = 6  # generated columns drawn
CONDITIONS = 3

CAPTIONS = {
    "calibration": "real, unseen values within the central intervals of their draws: on the diagonal as many as there "
    "should be, below it the draws are too narrow",
    "curves": "loss and its terms over the epochs",
}
TITLES = {"calibration": "Calibration", "curves": "Training"}


def write_table_report(
    run: Run,
    collection: Collection,
    lines: Sequence[str],
    say: Say | None = None,
    extra: Sequence[Section] = (),
) -> Path:
    """Draw the run's pictures into pictures/, measure it quickly, keep the measures, and write report.html; its path.

    lines: what was said of the data.
    """
    assert run.path is not None, "a run in memory has no folder for its report"
    part, whence = unseen_rows(run, collection)
    found = evaluate_rows(run.learned, part.x, told_of(run, part), K, LIMIT)
    opening, caption = compared_picture(run, collection, part, found)
    drawn = {"distributions": opening}
    if found.numbers:
        curves = {name: one.curve for name, one in found.numbers.items()}
        rows = min(one.outer.of for one in found.numbers.values())
        drawn["calibration"] = table_plots.calibration(LEVELS, curves, rows)
    if run.history:
        drawn["curves"] = learning_curves(run.history, "nats per row")
    for name, image in drawn.items():
        pictures.save(image, run.path / "pictures" / f"{name}.png")
    notes = keep(run, found, collection.name, whence)
    if say is not None:
        say([*found.words, *notes])
    sections = [
        *extra,
        *(
            Section(TITLES[name], pictures=[(CAPTIONS[name], pictures.png(drawn[name]))])
            for name in TITLES
            if name in drawn
        ),
        measures_section(found, whence, run),
        Section("The data", list(lines)),
        settings_section(run),
    ]
    return write_report(run.path, title(run), found.words, sections, (caption, pictures.png(opening)))


def unseen_rows(run: Run, collection: Collection) -> tuple[Part, str]:
    """Rows that the model was not trained on, and which they are."""
    part, whence = unseen_part(run, collection)
    return part, whence.replace("images", "rows")


def told_of(run: Run, part: Part) -> dict[str, Any]:
    """What a part holds of the run's condition; names that training never saw are unknown."""
    return run.schema.told(part.labels, part.numbers, len(part))


def measures_section(found: TableEvaluation, whence: str, run: Run) -> Section:
    """The numbers, and how they were come by."""
    how = [sentence for sentence in found.sentences() if sentence not in found.words]
    text = [f"Measured quickly on {whence}; condvae evaluate {run.path} takes more rows and samples.", *how]
    return Section("Measures", text, table=(("measure", "value", "beside"), found.table()))


def compared_picture(run: Run, collection: Collection, part: Part, found: TableEvaluation) -> tuple[Image, str]:
    """(drawn beside real distributions of each column under contrasting conditions, its caption).

    The contrast is that of the field which is heeded most. Where few rows are unseen, real rows are those of training.
    """
    whence = "rows that the model was not trained on"
    if len(part) < FEW and len(collection.train) > len(part):
        part, whence = collection.train, "the training rows"
    _, columns, seen = conditioned(run.learned, part.x, told_of(run, part), SHOWN, DRAWS)
    field = contrasting(run, found)
    groups = {} if field is None else contrasts(field, columns)
    groups = groups or {"all rows": np.ones(len(seen.encoded) // DRAWS, bool)}
    names = shown_columns(run, found)
    real = [{name: cells(seen, name, rows, False) for name in names} for rows in groups.values()]
    drawn = [{name: cells(seen, name, rows, True) for name in names} for rows in groups.values()]
    said = f"Grey: {whence}; blue: drawn for the conditions of the same rows"
    if field is not None and len(groups) > 1:
        said += f", apart by {field.name}; upright lines: the means"
    return table_plots.distributions(real, drawn, list(groups)), said


def contrasting(run: Run, found: TableEvaluation) -> Field | None:
    """The field that costs most when it is exchanged; None where nothing can be asked for."""
    fields = [field for field in run.schema.fields if not isinstance(field, Picture)]
    cost = {name: use.lost.mean for name, use in found.conditions.items()}
    return max(fields, key=lambda field: cost.get(field.name, -np.inf), default=None)


def contrasts(field: Field, columns: Columns) -> dict[str, np.ndarray]:
    """At most three groups of rows that differ in a field: its most frequent names, or its lowest to highest third;
    none where nothing is known of it, or it does not differ."""
    column = columns[field.name]
    if isinstance(field, Label):
        counts = np.bincount(column[column >= 0], minlength=len(field.values))
        kept = sorted(np.argsort(-counts, kind="stable")[:CONDITIONS])
        return {f"{field.name} {field.values[place]}": column == place for place in kept if counts[place]}
    assert isinstance(field, Number)
    flat = column[:, 0]
    known = flat[~np.isnan(flat)]
    ends = np.unique(np.quantile(known, [0, 1 / 3, 2 / 3, 1])) if len(known) else np.zeros(1)
    found: dict[str, np.ndarray] = {}
    for place, (low, high) in enumerate(pairwise(ends)):
        rows = (flat >= low if place == 0 else flat > low) & (flat <= high)
        if rows.any():
            least, most = (number_text(field, [end]) for end in (flat[rows].min(), flat[rows].max()))
            found[f"{field.name} {least} to {most}"] = rows
    return found


def shown_columns(run: Run, found: TableEvaluation) -> list[str]:
    """The generated columns that are drawn: all, or those of which the condition tells most."""
    assert run.outputs is not None
    skill = {name: one.score.skill for name, one in [*found.numbers.items(), *found.names.items()]}
    names = [field.name for field in run.outputs.fields]
    best = sorted(names, key=lambda name: -skill.get(name, -np.inf))[:COLUMNS]
    return [name for name in names if name in best]


def cells(seen: Compared, name: str, rows: np.ndarray, drawn: bool) -> np.ndarray:
    """Known cells of a column in these rows, or the draws for them."""
    rows = rows & seen.known[name]
    return seen.pooled[name][rows].ravel() if drawn else seen.real[name][rows]
