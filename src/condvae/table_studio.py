"""Requests of a run that generates rows of a table: rows out, blanks filled, a table measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condvae import pictures
from condvae.columns import read_columns
from condvae.conditions import Label
from condvae.data import Collection
from condvae.errors import Refused
from condvae.intake import Heat, Seen, combinations, heat_of, left_out, one_request, parse, shown
from condvae.learned import whole
from condvae.proof import keep
from condvae.replies import Reply, aligned, check_amount, counted, is_arrays, texts, write_npz
from condvae.reporting import flattering
from condvae.runs import Run, load
from condvae.storage import write_text
from condvae.table_evaluation import TableEvaluation
from condvae.table_measures import evaluate_rows
from condvae.table_report import told_of, unseen_rows
from condvae.table_tasks import FEW, part_of_table
from condvae.table_tasks import impute as filled

__all__ = ["evaluate", "generate_rows", "impute", "reconstruct_rows", "table_seen", "write_rows"]

ENDINGS = (".csv", ".tsv", ".npz", ".parquet")
PRINTED = 20  # rows shown where no file is named
MOST_CELLS = 200_000_000

Columns = Mapping[str, Sequence[Any] | np.ndarray]
Progress = Callable[[str, int, int], None]


def generate_rows(
    run: Run,
    words: Sequence[str] = (),
    n: int = 64,
    out: str | None = None,
    npz: str | None = None,
    seed: int = 0,
    temperature: Heat = 1.0,
    prior: str | None = None,
    guidance: float = 1.0,
) -> Reply:
    """n rows of each combination of what is asked: what was asked first, then what was generated; one line a row.

    out: .csv, .tsv, .npz or .parquet; npz: an npz beside it; without either the first 20 rows are shown. An npz holds a
    column each: names as text ("" = unknown), numbers float64 (NaN = unknown).
    """
    for target in (out, npz):
        check_ending(run, target, ENDINGS if target is out else (".npz",))
    asked, names = combinations(parse(words, run.schema))
    check_amount(n, len(names) * (run.shape[-1] + len(asked)), MOST_CELLS)
    drawn = run.generate(asked, n, seed, heat_of(temperature), prior, guidance=guidance)
    columns: dict[str, Sequence[Any] | np.ndarray] = {
        name: [value for value in values for _ in range(n)] for name, values in asked.items()
    }
    columns |= {name: np.asarray(values).reshape(n * len(names)) for name, values in drawn.items()}
    said = f"{counted(n, 'row')}{' each' if len(names) > 1 else ''} of "
    said += "no condition" if not asked else " and ".join(names) if len(names) <= 3 else f"{len(names)} requests"
    files = tuple(write_rows(target, columns, seed) for target in (out, npz) if target is not None)
    if files:
        return Reply(tuple(f"{said}: {path}" for path in files), None, files)
    return Reply(tuple(printed(columns)))


def check_ending(run: Run, target: str | None, endings: Sequence[str] = ENDINGS) -> None:
    """Refuse a file that rows of a table cannot be written to, before any work is done."""
    if target is not None and Path(target).suffix.lower() not in endings:
        raise Refused(
            f"{run.path} generates rows of a table, so a file to write must end in one of {', '.join(endings)}; got "
            f"{target!r}"
        )


def write_rows(target: str, columns: Columns, seed: int | None = None) -> Path:
    """Write a table by its file's ending, whole or not at all; npz with the seed, where there is one."""
    path = Path(target)
    if is_arrays(target):
        first = {} if seed is None else {"seed": np.asarray(seed)}
        return write_npz(target, {**first, **texts(columns)})
    if path.suffix.lower() == ".parquet":
        return pictures.write_bytes(parquet(columns), target)
    memory = io.StringIO()
    sheet = csv.writer(memory, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\n")
    sheet.writerow(columns)
    sheet.writerows(zip(*(words(values) for values in columns.values()), strict=True))
    write_text(path, memory.getvalue())
    return path


def parquet(columns: Columns) -> bytes:
    """A table as a Parquet file; Refused where pandas or pyarrow are not installed."""
    try:
        import pandas
        import pyarrow  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
    except ImportError:
        raise Refused("Parquet needs pandas and pyarrow: pip install 'condvae[tables]', or write a .csv") from None
    memory = io.BytesIO()
    frame = {name: [None if one == "" else one for one in plain.tolist()] for name, plain in texts(columns).items()}
    pandas.DataFrame(frame).to_parquet(memory, index=False)
    return memory.getvalue()


def words(values: Sequence[Any] | np.ndarray) -> list[str]:
    """The cells of a column as text, "" where unknown."""
    return [word(value) for value in values]


def word(value: Any) -> str:
    """One cell as text: six digits of a number, a whole one in full."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float | np.floating) and not np.isnan(value) and value == round(value):
        return f"{value:.0f}"
    return "" if isinstance(value, float | np.floating) and np.isnan(value) else shown(value)


def printed(columns: Columns) -> list[str]:
    """The first rows as an aligned table, numbers at the right, and what is left out."""
    cells = [words(values[:PRINTED]) for values in columns.values()]
    right = [all(isinstance(one, float | np.floating) for one in values[:PRINTED]) for values in columns.values()]
    head = list(columns)
    for place, (column, number) in enumerate(zip(cells, right, strict=True)):
        if number:
            wide = max(len(head[place]), *map(len, column))
            cells[place], head[place] = [one.rjust(wide) for one in column], head[place].rjust(wide)
    total = len(next(iter(columns.values())))
    more = [f"... {total - PRINTED:,} more rows; -o rows.csv writes all"] if total > PRINTED else []
    return [*aligned(head, list(zip(*cells, strict=True))), *more]


def table_seen(run: Run, table: str, given: Sequence[str] = (), limit: int | None = None) -> Seen:
    """The rows of a table's file as the run takes them, x [N, 1, 1, W], and what is known of their condition."""
    path = Path(table).expanduser()
    part = part_of_table(run.learned, path)
    known: dict[str, Any] = run.schema.told(part.labels, part.numbers, len(part))
    told = one_request(given, run.schema, "--given")
    known |= {name: [value] * len(part) for name, value in told.items()}
    rows = len(part) if limit is None else min(whole(limit, "limit", 1), len(part))
    notes = (f"the first {counted(rows, 'row')} of {table}",) if rows < len(part) else ()
    x = part.x[slice(0, rows)].numpy()
    return Seen(
        x, {name: values[:rows] for name, values in known.items()}, tuple(f"row {i + 1}" for i in range(rows)), notes
    )


def reconstruct_rows(
    run: Run, table: str, given: Sequence[str] = (), out: str | None = None, limit: int | None = None
) -> Reply:
    """Rows through posterior and decoder: likeliest names and mean numbers, to a file, or the first 20 shown."""
    check_ending(run, out)
    found = table_seen(run, table, given, limit)
    columns = run.reconstruct(found.x, found.given)
    if out is None:
        return Reply(tuple(printed(columns)), None, (), found.notes)
    path = write_rows(out, columns)
    return Reply((f"{counted(len(found.x), 'row')} reconstructed: {path}",), None, (path,), found.notes)


def impute(run: str, table: str, out: str | None = None, seed: int = 0, prior: str | None = None) -> Reply:
    """A table whose blanks, of columns that the run generates, are filled by one draw each; other cells stay.

    Names are written as the table writes them; a column where it does not hold all that are needed, as the run does.
    out: .csv, .tsv, .npz or .parquet; without it the first 20 rows are shown.
    """
    drawer = load(run)
    if drawer.outputs is None:
        raise Refused(
            f"{run} generates pictures, and impute fills a table's blanks; `condvae fill` completes a picture"
        )
    check_ending(drawer, out)
    path = Path(table).expanduser()
    notes: list[str] = []
    cells = read_columns(path, notes)
    found = filled(drawer.learned, path, seed=seed, prior=prior)
    full: dict[str, Sequence[Any] | np.ndarray] = dict(cells)
    blanks = 0
    for field in drawer.outputs.fields:
        before = cells.get(field.name) or [None] * len(found.effective)
        drawn = found.columns[field.name][:, 0]
        blanks += sum(one is None for one in before)
        if isinstance(field, Label):
            own = {name: one for one, name in zip(before, drawn, strict=True) if one is not None}
            if all(name in own for name in drawn):  # where it writes 1 and 0, what is filled in is one of them
                drawn = [own[name] if one is None else one for one, name in zip(before, drawn, strict=True)]
            full[field.name] = list(drawn)
        else:
            full[field.name] = [word(new) if one is None else one for one, new in zip(before, drawn, strict=True)]
    weak = int((found.effective < FEW).sum())
    if weak:
        rows = counted(weak, "row")
        notes.append(f"the known cells of {rows} are unlikely under the model: trust what fills them less")
    said = f"{counted(blanks, 'blank')} filled in {counted(int((~np.isnan(found.effective)).sum()), 'row')}"
    if out is None:
        return Reply((*printed(full), said), None, (), tuple(notes))
    if Path(out).suffix.lower() in (".npz", ".parquet"):
        full |= {name: values[:, 0] for name, values in found.columns.items()}
    written = write_rows(out, full)
    return Reply((f"{said}: {written}",), None, (written,), tuple(notes))


def evaluate(
    run: Run,
    collection: Collection | None,
    table: str | None = None,
    k: int | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    leave_out: Sequence[str] = (),
    unknown: str | None = None,
) -> Reply:
    """How good a run is on a table, or on the unseen rows of its own data, `collection`: numbers, and a verdict.

    leave_out, unknown: as in `jobs.evaluate`.
    """
    notes: tuple[str, ...] = ()
    if table is not None:
        part, which = part_of_table(run.learned, Path(table).expanduser()), f"all rows of {table}"
        notes = flattering(run, table, part)
    else:
        assert collection is not None, "either a table or the run's own data"
        if collection.outputs != run.outputs:
            raise Refused(f"the table that {run.path} was trained on has changed since; name a table with --data FILE")
        part, which = unseen_rows(run, collection)
    given = left_out(told_of(run, part), leave_out, run.schema)
    result: TableEvaluation = evaluate_rows(run.learned, part.x, given, k, limit, progress=progress, unknown=unknown)
    if collection is not None and not leave_out and unknown is None:
        notes = (*notes, *keep(run, result, collection.name, which))
    lines = (
        f"{run.path}, measured on {which}{'' if collection is None else f' of {collection.name}'}",
        *aligned(("measure", "value", "beside"), result.table()),
        *result.sentences(),
    )
    return Reply(lines, result.model_dump(mode="json"), (), notes)
