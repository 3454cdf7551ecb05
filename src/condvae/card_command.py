"""The command that tells what a run is and how good. What it does lives in `cards`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from condvae.process import Out, show

__all__ = ["card"]


def card(
    run: str,
    /,
    *,
    out: Out = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Tell what a run is: its model, its data, its training, how good it was found to be, and what it can do.

    Args:
        run: a run folder; what was measured last of it, after training or by `condvae evaluate`, is told with it.
        out: the card to write, as Markdown (.md).
        as_json: the card and everything that was measured, as JSON.
    """
    from condvae import cards

    show(cards.card(run, out), as_json)
