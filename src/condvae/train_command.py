"""The command `train`, with a flag for every setting."""

from __future__ import annotations

from dataclasses import fields as fields_of
from typing import Annotated, Any

from cyclopts import Group, Parameter

from condvae.errors import Refused
from condvae.flags import Flags
from condvae.process import Out, Plain, show

__all__ = ["train"]

DATA = Group("Your own data", sort_key=5)
Told = Annotated[str | None, Parameter(group=DATA)]
Said = Annotated[bool, Parameter(group=DATA, negative="")]


def train(
    data: str | None = None,
    /,
    *,
    recipe: str | None = None,
    out: Out = None,
    epochs: str | None = None,
    resume: str | None = None,
    data_dir: str | None = None,
    config: str | None = None,
    overwrite: Plain = False,
    quiet: Plain = False,
    attributes: Told = None,
    file_column: Told = None,
    fields: Told = None,
    size: Told = None,
    condition: Told = None,
    generate: Told = None,
    number: Told = None,
    label: Told = None,
    yes_no: Told = None,
    skip_bad: Said = False,
    settings: Annotated[Flags, Parameter(name="*")] = Flags(),  # noqa: B008
) -> None:
    """Train a model on DATA, or go on with a training that was interrupted (--resume RUN).

    Writes a run folder: weights, history, pictures and report.html. Ctrl-C saves and says how to go on.

    Args:
        data: digits, faces-drawn, mnist, fashion-mnist, svhn, cifar10, an npz file (see `condvae data`), a folder of
            images (a class a sub-folder, or with a CSV that tells of each file), or a table (.csv, .tsv, .parquet).
        recipe: a recipe's model and settings (see `condvae recipes`).
        out: the run's folder; by default runs/DATA.
        epochs: passes over the data; with --resume N in all, or +N more. By default 30.
        resume: a run folder whose training goes on.
        data_dir: a folder that holds the data's files.
        config: a TOML or JSON file of settings; flags go before it.
        overwrite: write into a folder that is not empty.
        quiet: show no bar and no words.
        attributes: of a folder: the table that tells of its images; by default the only .csv in it.
        file_column: of a folder: the table's column of file names; by default found by its values.
        fields: of a folder: the table's columns that may be asked for, A,B; by default all others.
        size: of a folder: the size that images are cut and resized to, 64, or height x width, 64x48.
        condition: of a table: the columns that are asked for, A,B.
        generate: of a table: the columns that are generated, C,D; by default all others.
        number: fields that are numbers, A,B, where they are not read so.
        label: fields that are labels, A,B, where they are not read so.
        yes_no: fields that are attributes, yes or no, A,B, where they are not read so.
        skip_bad: leave out images that cannot be read, and rows that name none or hold nothing, and say so.
    """
    from condvae import jobs

    asked: dict[str, Any] = {one.name: getattr(settings, one.name) for one in fields_of(settings)}
    asked = {name: value for name, value in asked.items() if value is not None}
    reading: dict[str, Any] = {
        "attributes": attributes,
        "file_column": file_column,
        "fields": names(fields, "--fields"),
        "size": size,
        "condition": names(condition, "--condition"),
        "generate": names(generate, "--generate"),
        "kinds": kinds_of(number, label, yes_no),
        "skip_bad": skip_bad or None,
    }
    reading = {name: value for name, value in reading.items() if value is not None}
    if resume is not None:
        if data is not None or recipe or config or out or overwrite or asked or reading:
            raise Refused(
                "--resume RUN goes on as RUN was begun: beside it only --epochs, --data-dir and --quiet may be given"
            )
        return show(jobs.resume(resume, epochs, data_dir, quiet))
    if data is None:
        raise Refused(
            "train needs DATA: digits, faces-drawn, mnist, fashion-mnist, svhn, cifar10 or an npz file, a folder of "
            "images or a table; or --resume RUN"
        )
    if epochs is not None:
        if epochs.startswith("+"):
            raise Refused(f"--epochs {epochs} goes with --resume RUN; give the number of epochs alone")
        asked["epochs"] = epochs
    show(jobs.train(data, asked, recipe, out, config, data_dir, overwrite, quiet, reading))


def names(text: str | None, flag: str) -> list[str] | None:
    """Names at commas; None where the flag was not given, Refused where it names nothing."""
    if text is None:
        return None
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise Refused(f"{flag} takes names at commas, A,B; got {text!r}")
    return found


def kinds_of(number: str | None, label: str | None, yes_no: str | None) -> dict[str, str] | None:
    """Field -> kind, from the lists of three flags; Refused where a field is in two of them."""
    found: dict[str, str] = {}
    for flag, kind, text in (
        ("--number", "number", number),
        ("--label", "label", label),
        ("--yes-no", "attribute", yes_no),
    ):
        for name in names(text, flag) or ():
            if name in found:
                raise Refused(f"{name!r} is named as {found[name]} and as {kind}; name it in one of the two")
            found[name] = kind
    return found or None
