"""The Python API: arrays and labels in, a trained `Run` out. The command line trains through the same functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

import torch

from condvae import datasets
from condvae.columns import is_table, names_in
from condvae.data import Collection, collect
from condvae.errors import Refused
from condvae.fitting import Fitting, resumed
from condvae.panel import Reader
from condvae.progress import Bar, Interrupted, interruptible, say, watch
from condvae.recipes import recipe as recipe_of
from condvae.report import Section
from condvae.reporting import write_run_report
from condvae.runs import Run
from condvae.settings import Overrides, settings_of
from condvae.storage import read_json
from condvae.table_report import write_table_report
from condvae.tables import table_collection
from condvae.train import Step

__all__ = ["complete", "fit", "prepare", "resume", "resuming", "stripped"]

Test = tuple[Any, Mapping[str, Any] | None]


def fit(
    x: Any,
    c: Mapping[str, Any] | None = None,
    *,
    recipe: str | None = None,
    test: Test | None = None,
    out: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool = True,
    name: str = "data",
    judge: Reader | Mapping[str, Reader] | None = None,
    condition: Sequence[str] | str | None = None,
    generate: Sequence[str] | str | None = None,
    kinds: Mapping[str, str] | None = None,
    **settings: Unpack[Overrides],
) -> Run:
    """Train a model of x given c, and return it as a `Run`.

    Args:
        x: images [N, H, W], [N, C, H, W] or [N, H, W, C], C of 1 or 3; array, tensor, memory-mapped array or list;
            uint8, or float in [0, 1]. Or a whole collection, as condvae.datasets.load gives it. Or a table: a data
            frame, or a dict of columns.
        c: field name -> N labels (numbers or text; None or NaN = unknown); None trains the plain VAE. Bools, or a dict
            of columns, are attributes (yes or no); floats that are not whole are numbers, floats [N, D] vectors.
        condition, generate: of a table, the columns that are asked for, and those that are generated (by default all
            others). kinds: field or column -> "label", "attribute" or "number", where it is not as decided.
        recipe: the name of a recipe, whose model and settings are used; `settings` go before them.
        test: (x, c) of test images, for the report; nothing is chosen by them.
        out: folder of the run; None keeps it in memory. overwrite: use a folder that is not empty.
        progress: show the data check and a bar on stderr.
        name: what the data are called in the record.
        judge: a classifier that reads the labels of what is drawn, for the report; by default one is trained where
            that costs little.
        settings: any of `condvae.settings.Settings`, epochs=5 for example.

    Raises:
        Refused: data or settings that cannot be used. Interrupted (a KeyboardInterrupt): Ctrl-C; a run with a folder
            is saved first. Diverged: a term of the loss became infinite.
    """
    if is_table(x):
        collection = table_of(x, c, test, condition, generate, kinds, name)
    elif condition is not None or generate is not None:
        raise Refused("condition and generate name columns of a table, a data frame or a dict; x is none, so use c")
    elif isinstance(x, Collection):
        if kinds is not None:
            raise Refused("kinds goes with raw data; x is a collection, so give kinds to condvae.datasets.load")
        collection = x
    elif test is not None and not (isinstance(test, tuple) and len(test) == 2):
        raise Refused(
            f"test must be a pair of images and labels, (x_test, {{'digit': y_test}}), got {type(test).__name__}"
        )
    else:
        reading = {"kinds": dict(kinds)} if kinds else {}
        collection = replace(
            collect(x, c, *(test or (None, None)), name=name, kinds=kinds, inferred=settings.get("infer")),
            reading=reading,
        )
    fitting = prepare(collection, dict(settings), recipe, out, overwrite)
    return complete(fitting, fitting.steps(), progress, judge)


def table_of(
    x: Any,
    c: Mapping[str, Any] | None,
    test: Test | None,
    condition: Sequence[str] | str | None,
    generate: Sequence[str] | str | None,
    kinds: Mapping[str, str] | None,
    name: str,
) -> Collection:
    """The collection of a table in memory; Refused where arguments came that go with images."""
    if c is not None or test is not None:
        word = "c" if c is not None else "test"
        raise Refused(
            f"{word} goes with images, and x is a table; name the columns that are asked for with condition, and those "
            "that are generated with generate"
        )
    if condition is None and generate is None:
        raise Refused(
            "of a table it must be said which columns are asked for (condition) or generated (generate); its columns "
            f"are {names_in(list(map(str, x if isinstance(x, Mapping) else x.columns)))}"
        )
    made = table_collection(x, condition, generate, name, kinds=kinds)
    reading = {"condition": condition, "generate": generate, "kinds": dict(kinds) if kinds else None}
    return replace(made, reading={key: value for key, value in reading.items() if value is not None})


def resume(
    run: str | PathLike[str],
    x: Any = None,
    c: Mapping[str, Any] | None = None,
    *,
    test: Test | None = None,
    epochs: int | str | None = None,
    data_dir: str | PathLike[str] | None = None,
    progress: bool = True,
    judge: Reader | Mapping[str, Reader] | None = None,
) -> Run:
    """Go on with the training of a run folder; the weights are those of a training that was never interrupted.

    Args:
        run: the folder. x, c, test: the data that it was trained on; None where they are known by name or file.
        epochs: None = as planned, N = in all, "+N" = N more. data_dir, progress, judge: as elsewhere.

    Raises:
        Refused: a folder that holds no checkpoint, other data than before, fewer epochs than are done.
    """
    fitting = resuming(run, given_again(run, x, c, test), epochs, data_dir)
    return complete(fitting, fitting.steps(), progress, judge)


def given_again(run: str | PathLike[str], x: Any, c: Mapping[str, Any] | None, test: Test | None) -> Collection | None:
    """The data of a run folder, given once more as they were given to `fit`; None where they are not given."""
    if x is None or isinstance(x, Collection):
        return x
    facts = read_json(Path(run) / "run.json") if (Path(run) / "run.json").is_file() else {}
    reading = dict((facts.get("data") or {}).get("reading") or {})
    kinds = reading.get("kinds")
    if is_table(x):
        return table_of(x, c, test, reading.get("condition"), reading.get("generate"), kinds, "data")
    inferred = (facts.get("settings") or {}).get("infer")
    return collect(x, c, *(test or (None, None)), kinds=kinds, inferred=inferred)


def prepare(
    collection: Collection,
    settings: Mapping[str, Any],
    recipe: str | None = None,
    out: str | PathLike[str] | None = None,
    overwrite: bool = False,
) -> Fitting:
    """The training of a collection under a recipe's settings and those given, which go before them."""
    found = recipe_of(recipe) if recipe is not None else None
    basis = dict(found.settings_for(next(iter(found.variants)))) if found is not None else {}
    basis.pop("labels", None)  # how many labels are kept is the user's to say: all that the data have
    rows = len(collection.train)
    if float(basis.get("hold_out", 0)) > rows / 10:
        basis["hold_out"] = 0.1  # a number of rows meant for the recipe's own data
    watch_test = found is not None and found.watch_test
    whole = settings_of(basis, settings)
    return Fitting(collection, whole, Path(out) if out is not None else None, overwrite, recipe, watch_test)


def resuming(
    run: str | PathLike[str],
    collection: Collection | None = None,
    epochs: int | str | None = None,
    data_dir: str | PathLike[str] | None = None,
) -> Fitting:
    """The training of a run folder where it stopped, its data read again where they are not given."""
    folder = Path(run)
    if not (folder / "run.json").is_file():
        raise Refused(f"{folder} is no run: it holds no run.json; name a folder that `condvae train` wrote")
    facts = read_json(folder / "run.json")
    collection = collection or recorded_data(facts, data_dir)
    if not facts.get("schema"):
        collection = stripped(collection)
    return resumed(collection, folder, epochs)


def recorded_data(facts: Mapping[str, Any], data_dir: str | PathLike[str] | None = None) -> Collection:
    """The data that a run's record names, read again; Refused where they were arrays in memory."""
    data = facts.get("data") or {}
    name, source = str(data.get("name")), str(data.get("source"))
    if datasets.is_path(source):
        return datasets.load(source, data_dir, **(data.get("reading") or {}))
    if name in (row.name for row in datasets.known(data_dir)) and source != "memory":
        return datasets.load(name, data_dir)
    raise Refused(f"the data of this run ({name!r}) were arrays in memory; give them, as x and c or as an npz file")


def stripped(collection: Collection) -> Collection:
    """The collection without what may be asked for: for a plain VAE."""
    test = collection.test and replace(collection.test, labels={}, numbers={})
    return replace(collection, train=replace(collection.train, labels={}, numbers={}), test=test)


def complete(
    fitting: Fitting,
    steps: Iterable[Step],
    progress: bool = True,
    judge: Reader | Mapping[str, Reader] | None = None,
    finish: Callable[[], Run] | None = None,
    extra: Sequence[Section] = (),
) -> Run:
    """Say what the data are, train under the bar, fit the density, and write the report where there is a folder.

    finish: what ends the training, by default fitting.finish. extra: sections that open the report.
    Raises Interrupted where Ctrl-C ended the training, after saving it.
    """
    if progress:
        say(fitting.lines)
    what = "images" if fitting.outputs is None else "rows"
    bar = Bar(fitting.settings.epochs, fitting.history, what=what) if progress else None
    with interruptible() as stop:
        done = watch(steps, stop, bar)
        if fitting.out is not None:
            # What follows takes a while: a training is never lost to it.
            fitting.save("training" if done else "interrupted")
    if not done:
        raise Interrupted(fitting.out)
    with threads(fitting.settings.threads):
        run = (finish or fitting.finish)()
        if fitting.out is not None:
            told = say if progress else None
            if run.outputs is not None:
                write_table_report(run, fitting.collection, fitting.lines, told, extra)
            else:
                write_run_report(run, fitting.collection, fitting.lines, judge, told, extra)
    return run


@contextmanager
def threads(count: int) -> Iterator[None]:
    """What follows a training takes the threads that the training took; 0 = as the process has them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
