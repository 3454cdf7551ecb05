"""The long requests, each once: train, resume, evaluate, reproduce; and the lists of what there is."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from condvae import api, datasets, table_studio
from condvae.conditions import Field, Label, Number, Picture
from condvae.data import Collection, Part
from condvae.errors import Refused
from condvae.gallery import known_labels
from condvae.intake import Heat, heat_of, left_out, part_of
from condvae.learned import temperature_in
from condvae.ledger import keeping
from condvae.measures import evaluate as measure
from condvae.panel import Panel, halved, judges_for
from condvae.progress import counter
from condvae.proof import keep
from condvae.recipes import recipe as recipe_of
from condvae.recipes import recipes as all_recipes
from condvae.recipes.base import Line
from condvae.replies import Reply, aligned
from condvae.report import Section
from condvae.reporting import flattering, unseen_part, with_test
from condvae.runs import Run, load
from condvae.settings import settings_of
from condvae.table_tasks import as_learnt
from condvae.temperatures import alike
from condvae.typical_record import recorded, write_typical

__all__ = ["evaluate", "list_data", "list_recipes", "reproduce", "resume", "train"]

RUNS = Path("runs")
RESULTS = Path("results")
WEIGHED = "weighed.safetensors"  # in a run's folder, where its evaluation was interrupted


def train(
    data: str,
    settings: Mapping[str, Any],
    recipe: str | None = None,
    out: str | None = None,
    config: str | None = None,
    data_dir: str | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    reading: Mapping[str, Any] | None = None,
) -> Reply:
    """Train on named data, a file or a folder. Settings as typed go before a config file's, they before the recipe's.

    reading: options of `condvae.datasets.load`, how the data are read.
    """
    layers = {**(read_config(Path(config)) if config else {}), **typed(settings)}
    settings_of(layers)  # a wrong setting is refused before data are read or downloaded
    places = {row.name: row.where for row in datasets.known(data_dir)}
    what = {"embedded": "drawing", None: "reading images"}.get(places.get(data), "downloading")
    collection = datasets.load(data, data_dir, None if quiet else counter(what), **(reading or {}))
    folder = Path(out) if out is not None else default_out(collection.name, overwrite)
    fitting = api.prepare(collection, layers, recipe, folder, overwrite)
    return trained(api.complete(fitting, fitting.steps(), not quiet))


def resume(run: str, epochs: str | None = None, data_dir: str | None = None, quiet: bool = False) -> Reply:
    """Go on with a run's training: as planned, to N epochs in all, or by +N more."""
    return trained(api.resume(run, epochs=epochs, data_dir=data_dir, progress=not quiet))


def trained(run: Run) -> Reply:
    """What to say when a training is done, and what can be done next."""
    assert run.path is not None
    files = (run.path, run.path / "report.html")
    field = next((one for one in run.schema.fields if not isinstance(one, Picture)), None)
    asked = [] if field is None else [f"{field.name}={asked_of(field)}"]
    target = ["-o", "asked.png"] if run.outputs is None else ["-n", "8", "-o", "rows.csv"]
    command = shlex.join(["condvae", "generate", str(run.path), *asked, *target])
    return Reply((f"the run: {files[0]}", f"the report: {files[1]}", f"ask it: {command}"), None, files)


def asked_of(field: Label | Number) -> str:
    """A value of a field, as an example."""
    if isinstance(field, Number):
        return field.example
    return "6" if "6" in field.values else field.values[0]


def default_out(name: str, overwrite: bool, under: Path = RUNS) -> Path:
    """runs/NAME, or runs/NAME-2, -3, ... where that is taken."""
    folder, number = under / name, 1
    while not overwrite and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        number += 1
        folder = under / f"{name}-{number}"
    return folder


def typed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as words, as they should be: `512,256` -> (512, 256); the rest is converted where it is checked."""
    found = {name: value for name, value in settings.items() if value is not None}
    for name in ("hidden", "layers", "levels"):
        if isinstance(found.get(name), str):
            found[name] = tuple(part.strip() for part in found[name].split(",") if part.strip())
    if found.get("batch") in ("auto", "none"):
        found["batch"] = None
    return found


def read_config(path: Path) -> dict[str, Any]:
    """Settings from a TOML or JSON file; Refused where it cannot be read or names what is no setting."""
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise Refused(f"there is no file '{path}'; --config names a TOML or JSON file of settings") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise Refused(f"{path} cannot be read as {kind} ({str(error).splitlines()[0]})") from None
    if not isinstance(values, dict):
        raise Refused(f"{path} must hold settings by name, such as epochs = 5; got {type(values).__name__}")
    try:
        settings_of(values)
    except Refused as refused:
        raise Refused(f"{path}: {refused}") from None
    return values


def evaluate(
    run: str,
    data: str | None = None,
    k: int | None = None,
    limit: int | None = None,
    data_dir: str | None = None,
    quiet: bool = False,
    temperature: Heat = 1.0,
    leave_out: Sequence[str] = (),
    unknown: str | None = None,
) -> Reply:
    """How good a run is, on its own data's test part or on DATA: numbers, and a verdict in words.

    leave_out: fields that are measured as if nobody had told them. What is weighed is kept in the run's folder until
    the evaluation has ended, so that Ctrl-C loses little; what was found on its own data, for good (`condvae.proof`).
    """
    found = load(run)
    heat = temperature_in(found.learned, heat_of(temperature))
    if found.outputs is not None:
        as_learnt(heat)
        own = api.recorded_data(found.facts, data_dir) if data is None else None
        return table_studio.evaluate(found, own, data, k, limit, None if quiet else stages(), leave_out, unknown)
    if data is None:
        collection = api.recorded_data(found.facts, data_dir)
        part, whence = unseen_part(found, collection)
        collection = with_test(found, collection)
        notes: tuple[str, ...] = ()
    else:
        collection = datasets.load(data, data_dir, None if quiet else counter("downloading"))
        part, notes = part_of(collection, found)
        whence = "the test images" if collection.test is not None else "all images"
        if collection.test is None:
            notes = (*notes, *flattering(found, collection.source, collection.train))
    collection, unseen = halved(collection)
    panel = judge_of(found, collection, quiet)
    unseen = unseen if panel.readers else None
    if unseen is not None:
        learnt = f"judges learn from {len(collection.train):,} of these images"
        notes = (*notes, f"{learnt}; drawings are compared with the other {len(unseen):,}")
    given = left_out(known_labels(found.schema, part), leave_out, found.schema)
    watch = None if quiet else stages()
    train = collection.train if panel.readers else None
    with keeping(Path(run) / WEIGHED, found.learned.using()) as ledger:
        result = measure(
            found.learned,
            part.x,
            given,
            panel.readers,
            train,
            k,
            limit,
            progress=watch,
            unjudged=panel.missing,
            unseen=unseen,
            temperature=heat,
            unknown=unknown,
            ledger=ledger,
        )
    if data is None and not leave_out and unknown is None and alike(heat) == 1:
        notes = (*notes, *keep(found, result, collection.name, whence))
    if data is None:
        notes = (*notes, *noted(found, part, whence))
    lines = (
        f"{found.path}, measured on {whence} of {collection.name}",
        *aligned(("measure", "value", "beside"), result.table()),
        *result.sentences(),
    )
    return Reply(lines, result.model_dump(mode="json"), (), notes)


def noted(run: Run, part: Part, whence: str) -> tuple[str, ...]:
    """Record what is typical of a run's unseen images where no record of use is there; a note where that cannot be."""
    try:
        recorded(run)
    except Refused:
        try:
            write_typical(run, part.x, whence)
        except Refused as refused:
            return (str(refused),)
    return ()


def judge_of(run: Run, collection: Collection, quiet: bool) -> Panel:
    """What reads the run's labels and numbers off pictures, trained where there is none yet.

    Where run and collection have one label each (or one number), under two names, the one is read as the other.
    """
    named = other_names(run.schema.labels, collection.train.labels)
    named |= other_names(run.schema.numbers, collection.train.numbers)
    return judges_for(
        under_names(collection, named),
        run.schema.fields,
        progress=None if quiet else lambda name: counter(f"training the judge of {name}"),
    )


def other_names(wanted: Sequence[Field], held: Mapping[str, Any]) -> dict[str, str]:
    """The data's name -> the run's, of the only field of a kind on both sides."""
    if len(wanted) != 1 or len(held) != 1 or wanted[0].name in held:
        return {}
    return {next(iter(held)): wanted[0].name}


def under_names(collection: Collection, named: Mapping[str, str]) -> Collection:
    """The collection with some of its fields under other names."""
    if not named:
        return collection

    def renamed(part: Part | None) -> Part | None:
        if part is None:
            return None
        labels = {named.get(name, name): values for name, values in part.labels.items()}
        return Part(part.x, labels, {named.get(name, name): values for name, values in part.numbers.items()})

    train = renamed(collection.train)
    return collection if train is None else replace(collection, train=train, test=renamed(collection.test))


def stages() -> Callable[[str, int, int], None]:
    """A progress callback of several measures, one line each on a terminal."""
    shown: dict[str, Callable[[int, int], None]] = {}
    return lambda what, done, total: shown.setdefault(what, counter(what))(done, total)


def reproduce(
    name: str,
    variant: str | None = None,
    seed: int = 0,
    out: str | None = None,
    data_dir: str | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Reply:
    """Run a published experiment; its numbers beside ours, printed and recorded in results/NAME.json."""
    from condvae.reproduce import reproduction

    recipe = recipe_of(name)
    variant = variant or next(iter(recipe.variants))
    first = variant == next(iter(recipe.variants))
    folder = Path(out) if out is not None else RUNS / f"{name}{'' if first else '-' + variant}-seed{seed}"
    job = reproduction(recipe, variant, seed, folder, data_dir, overwrite)
    head = ("", "published", "obtained", "goal")
    rows: list[tuple[str, str, str, str]] = []
    sections: list[Section] = []

    def finish() -> Run:
        run, lines = job.finish(RESULTS)
        rows.extend(row_of(line) for line in lines)
        about = [f"{recipe.title}. Source: {recipe.source}.", f"Protocol: {recipe.protocol}."]
        sections.append(Section("Published and obtained", about, table=(head, rows)))
        return run

    run = api.complete(job.fitting, job.steps(), not quiet, finish=finish, extra=sections)
    table = aligned(head, rows)
    record = RESULTS / f"{name}.json"
    lines = (f"{recipe.title} ({variant}, seed {seed})", *table, f"recorded in {record}")
    return Reply((*lines, *trained(run).lines), None, (record, folder))


def row_of(line: Line) -> tuple[str, str, str, str]:
    """One published number beside ours, as text."""
    published = "-" if line.published is None else f"{line.published:.2f}"
    obtained = f"{line.obtained:.4g}" if abs(line.obtained) < 1 else f"{line.obtained:.2f}"
    goal = line.goal if line.met is None else f"{line.goal}: {'met' if line.met else 'missed'}"
    return line.what, published, obtained, goal


def list_recipes() -> Reply:
    """The recipes: name, data, variants, what it is and its source."""
    rows = [(one.name, one.data, ", ".join(one.variants), one.title, one.source) for one in all_recipes()]
    return Reply(tuple(aligned(("recipe", "data", "variants", "what", "source"), rows)))


def list_data(data_dir: str | None = None) -> Reply:
    """The named data, and where each is found."""
    rows = [
        (one.name, one.field, one.size, " x ".join(map(str, one.shape)), one.classes, one.what, one.where)
        for one in datasets.known(data_dir)
    ]
    head = ("data", "ask for", "train + test", "C x H x W", "classes", "what", "where")
    last = (
        "or of your own: an npz file, numpy.savez(path, x=images, y=labels); a folder of images, a class a sub-folder "
        "or with a CSV; a table, .csv, .tsv or .parquet, with --condition and --generate"
    )
    return Reply((*aligned(head, rows), last))
