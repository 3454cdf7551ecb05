"""The command `train`, with a flag for every setting."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from cyclopts import Parameter

from condvae.errors import Refused
from condvae.flags import Flags
from condvae.process import Out, Plain, show

__all__ = ["train"]


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
    settings: Annotated[Flags, Parameter(name="*")] = Flags(),  # noqa: B008
) -> None:
    """Train a model on DATA, or go on with a training that was interrupted (--resume RUN).

    Writes a run folder: weights, history, pictures and report.html. Ctrl-C saves and says how to go on.

    Args:
        data: digits, mnist, fashion-mnist, svhn, cifar10, or an npz file (see `condvae data`).
        recipe: a recipe's model and settings (see `condvae recipes`).
        out: the run's folder; by default runs/DATA.
        epochs: passes over the data; with --resume N in all, or +N more. By default 30.
        resume: a run folder whose training goes on.
        data_dir: a folder that holds the data's files.
        config: a TOML or JSON file of settings; flags go before it.
        overwrite: write into a folder that is not empty.
        quiet: show no bar and no words.
    """
    from condvae import jobs

    asked: dict[str, Any] = {one.name: getattr(settings, one.name) for one in fields(settings)}
    asked = {name: value for name, value in asked.items() if value is not None}
    if resume is not None:
        if data is not None or recipe or config or out or overwrite or asked:
            raise Refused(
                "--resume RUN goes on as RUN was begun: beside it only --epochs, --data-dir and --quiet may be given"
            )
        return show(jobs.resume(resume, epochs, data_dir, quiet))
    if data is None:
        raise Refused("train needs DATA: digits, mnist, fashion-mnist, svhn, cifar10 or an npz file; or --resume RUN")
    if epochs is not None:
        if epochs.startswith("+"):
            raise Refused(f"--epochs {epochs} goes with --resume RUN; give the number of epochs alone")
        asked["epochs"] = epochs
    show(jobs.train(data, asked, recipe, out, config, data_dir, overwrite, quiet))
