"""Rows of a table in, rows out: a table as a model of rows takes it, and what fills its blanks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from condvae.columns import read_columns
from condvae.conditions import Field, Label, Picture, Schema
from condvae.data import Part, part_with
from condvae.errors import Refused, suggest
from condvae.images import Images
from condvae.kinds import Column
from condvae.learned import Asked, Columns, Learned, chunks, named, rows_of, seed_in, whole
from condvae.nets import evaluating
from condvae.noise import RowNoise
from condvae.objectives import effective_samples
from condvae.tables import Cells, cells_of_field, decode_rows, encode_rows, encoded
from condvae.temperatures import Temperature, alike, said
from condvae.trace import Condition, Draw, sample

__all__ = ["Imputed", "as_learnt", "condition_cells", "impute", "no_pictures", "part_of_table", "rows_given"]

K = 1000  # draws of z a row, of which those that are likely under the known cells are kept
ROWS = 16  # rows filled at once: K draws of each
FREE, PICK = 960, 961  # levels of noise that no latent and no cell has
FEW = 10.0  # effective draws, below which a row's fillings are said to repeat one another


@dataclass(frozen=True)
class Imputed:
    """columns: column -> values [N, n], known cells as they were; effective [N]: how many of the draws of z count, NaN
    for rows without blanks."""

    columns: dict[str, np.ndarray]
    effective: np.ndarray


def no_pictures(outputs: Schema | None, what: str) -> None:
    """Refuse what can only be done with pictures where the model generates rows of a table."""
    if outputs is not None:
        made = ", ".join(field.name for field in outputs.fields)
        raise Refused(f"{what} is for pictures, and this run generates rows of a table ({made})")


def as_learnt(temperature: Temperature) -> None:
    """Refuse to measure rows of a table at another temperature than 1."""
    if alike(temperature) != 1:
        raise Refused(
            f"temperature must be 1 where rows of a table are measured: it is the draws as they were learnt whose "
            f"calibration counts; got {said(temperature)}"
        )


def condition_cells(schema: Schema, cells: Cells) -> list[Column]:
    """The columns of a table that the model may be asked for; Refused where a value was never seen in training."""
    return [
        cells_of_field(field, cells[field.name])
        for field in schema.fields
        if field.name in cells and not isinstance(field, Picture)
    ]


def part_of_table(learned: Learned, table: Any) -> Part:
    """The rows of a table as the model takes them, x [N, 1, 1, W], and what it holds of the condition.

    table: whatever `read_columns` takes, with the columns that are generated and any of those that are asked for;
    others are passed over. Refused as by `encode_rows`.
    """
    assert learned.outputs is not None, "only a model of rows reads tables"
    cells = read_columns(table)
    x = torch.from_numpy(encode_rows(learned.outputs, cells))
    return part_with(Images(x, "NCHW", float(x.min()), float(x.max())), condition_cells(learned.schema, cells))


def rows_given(learned: Learned, table: Any, given: Asked | None = None) -> tuple[Images, dict[str, Any]]:
    """(rows [N, 1, 1, W], what is given of them): of a table, or of rows that are encoded already.

    given: field -> one value, or one a row; goes before the table's own columns.
    """
    told = dict(named(given, "what is given"))
    if isinstance(table, Tensor | Images) or (isinstance(table, np.ndarray) and table.dtype.kind in "biuf"):
        return rows_of(learned, table), told
    part = part_of_table(learned, table)
    return part.x, {**part.labels, **part.numbers, **told}


def impute(
    learned: Learned,
    table: Any,
    n: int = 1,
    k: int = K,
    seed: int = 0,
    prior: str | None = None,
) -> Imputed:
    """n draws of the blank cells of a table's generated columns, from p(blank cells | known cells, condition).

    z is drawn k times a row, half of them from the posterior of the known cells, half from the prior, weighed by
    p(known | z, c) p(z | c) over that mixture's density, and drawn again by these weights; the blanks are then drawn
    from p(. | z, c). The prior's half bounds the weights where training saw no blanks (Mattei & Frellsen, "MIWAE: Deep
    Generative Modelling and Imputation of Incomplete Data Sets", 2019; Hesterberg, "Weighted Average Importance
    Sampling and Defensive Mixture Distributions", 1995).

    table: as `part_of_table`, but every cell that is generated may be blank, and a column that is wholly blank may be
    left out. A blank of the condition must be one that training knew. Row i depends on (seed, i) alone.

    Raises:
        Refused: a table, a value or a number that cannot be used.
    """
    n, k, seed, model = whole(n, "n", 1), whole(k, "k", 2), seed_in(seed), learned.using(prior)
    outputs = learned.outputs
    assert outputs is not None, "only a model of rows has blanks to fill"
    cells = read_columns(table)
    count = len(next(iter(cells.values())))
    refuse_nothing_known(outputs, cells)
    found = [blank_cells(field, cells, count) for field in outputs.fields]
    x, columns = encoded(outputs, found), told(learned.schema, cells, count)
    blank = np.stack([column.unknown for column in found], 1)
    rows = np.flatnonzero(blank.any(1))
    drawn = np.zeros((len(rows), n, x.shape[-1]), np.float32)
    effective = np.full(count, np.nan)
    with evaluating(model):
        for places, kept in chunks(len(rows), ROWS):
            which = rows[places]
            c = learned.condition(columns, which)
            seen = torch.from_numpy(seen_of(outputs, ~blank[which])).to(learned.device)
            made, weighed = filled(model, c, x[which].to(learned.device), seen, which, n, k, seed)
            number = kept.stop - kept.start
            drawn[kept] = made[:number].cpu().numpy()
            effective[rows[kept]] = weighed[:number].cpu().numpy()
    return Imputed(merged(outputs, found, blank, rows, decode_rows(outputs, drawn[:, :, None, None]), n), effective)


def refuse_nothing_known(outputs: Schema, cells: Cells) -> None:
    """Refuse a table that holds none of the generated columns."""
    names = [field.name for field in outputs.fields]
    if not any(name in cells for name in names):
        near = suggest(names[0], cells)
        raise Refused(f"the table must hold at least one of the columns {', '.join(names)} to fill blanks in{near}")


def blank_cells(field: Field, cells: Cells, rows: int) -> Column:
    """A generated column, blank or not; wholly blank where the table lacks it."""
    return cells_of_field(field, cells.get(field.name) or [None] * rows)


def told(schema: Schema, cells: Cells, rows: int) -> Columns:
    """The table's condition as columns; Refused where it is blank in what training always knew."""
    found = {column.name: column for column in condition_cells(schema, cells)}
    given: dict[str, Any] = {one.name: one.names if one.values is None else one.values for one in found.values()}
    columns = schema.index(given, rows)
    for field in schema.fields:
        unknown = field.unknown(columns[field.name])
        if field.optional or not unknown.any():
            continue
        if field.name not in found:
            raise Refused(f"the table must hold the column {field.name!r}, which is asked for; add it")
        raise Refused(f"row {int(unknown.argmax()) + 1} is blank in {field.name!r}, which is asked for; fill it in")
    return columns


def seen_of(outputs: Schema, known: np.ndarray) -> np.ndarray:
    """Which columns are known [N, F] -> the same of each entry of encoded rows, float32 [N, 1, 1, W]."""
    wide = [field.width for field in outputs.fields]
    return np.repeat(known, wide, 1).astype(np.float32)[:, None, None]


def filled(
    model: nn.Module, c: Condition, x: Tensor, seen: Tensor, rows: np.ndarray, n: int, k: int, seed: int
) -> tuple[Tensor, Tensor]:
    """(n drawn rows of each [B, n, W], effective number of the k draws [B]) given the entries that are seen."""
    noise, half = RowNoise(seed, rows, x.device), max(1, k // 2)
    trace = model(c, x, draw=Draw(noise, k=half))
    latent = trace.codes[0]
    prior = latent.p if half > 1 else latent.p.expand((1, *latent.p.batch_shape))
    posterior = latent.q if half > 1 else latent.q.expand((1, *latent.q.batch_shape))
    halves = [latent.z.reshape(half, len(rows), -1), sample(prior, Draw(noise, k=half), FREE)]
    log_p, log_q = (torch.cat([one.log_prob(z) for z in halves]) for one in (prior, posterior))
    z = torch.cat(halves)
    known = cast(Any, model(c, z=trace.coded(z), draw=Draw(noise))).x.log_prob(x, seen).reshape(len(z), -1)
    weights = (known + log_p - torch.logaddexp(log_p, log_q)).double()
    edges = weights.softmax(0).cumsum(0)
    uniform = noise.uniform([len(rows), n], PICK).to(edges).T.contiguous()  # [n, B]
    picked = torch.searchsorted(edges.T.contiguous(), uniform.T.contiguous()).clamp_max(len(z) - 1).T
    chosen = torch.take_along_dim(z, picked[:, :, None], 0)
    names = np.stack([np.tile(rows, n), np.repeat(np.arange(n), len(rows))], 1)
    draw = Draw(RowNoise(seed, names, x.device))
    made = cast(Any, model(c, z=trace.coded(chosen), draw=draw)).x.picture(draw)
    return made.reshape(n, len(rows), -1).transpose(0, 1), effective_samples(weights)


def merged(
    outputs: Schema,
    found: list[Column],
    blank: np.ndarray,
    rows: np.ndarray,
    drawn: Mapping[str, np.ndarray],
    n: int,
) -> dict[str, np.ndarray]:
    """The table's own cells [N, n], its blanks from the drawn rows [len(rows), n]."""
    made: dict[str, np.ndarray] = {}
    for place, (field, column) in enumerate(zip(outputs.fields, found, strict=True)):
        own = np.asarray(column.names, object) if column.values is None else column.values[:, 0]
        values = np.repeat(own[:, None], n, 1)
        mine = blank[rows, place]
        values[rows[mine]] = drawn[field.name][mine]
        made[field.name] = values
    return made


def known_cells(outputs: Schema, x: np.ndarray) -> Iterator[tuple[Field, np.ndarray]]:
    """(field, which of the rows [N, 1, 1, W] know it, bool [N]) of each generated column."""
    flat = x.reshape(len(x), -1)
    for field in outputs.fields:
        block = flat[:, outputs.slice(field.name)]
        if isinstance(field, Label):
            yield field, (block > 0).sum(1) > 0
        else:
            yield field, flat[:, outputs.span(field.name)][:, -1] > 0 if field.optional else np.ones(len(x), bool)
