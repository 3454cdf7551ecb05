"""The command that shows how a model draws. What it does lives in `draw_studio`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from condvae.process import Out, show

__all__ = ["draw"]


def draw(
    run: str,
    /,
    *asked: str,
    n: Annotated[int | None, Parameter(alias="-n")] = None,
    out: Out = None,
    seed: int = 0,
    temperature: str = "1",
) -> None:
    """Show how a picture is drawn, glimpse by glimpse, by a run that was trained with --network draw.

    Args:
        run: a run folder, of a model that draws in glimpses.
        asked: FIELD=VALUE[,VALUE...]; a row a combination, all with the same noise; without a value for the first
            label all its values.
        n: drawings of each row; by default 1 in a strip of several rows, else 4.
        out: the animation to write (.gif), a strip, a drawing a row and a glimpse a column (.png, .jpg, ...), or the
            canvases and windows (.npz).
        seed: drawing i of a row depends on (seed, i) alone, and is that of generate.
        temperature: scales the noise, 0 = the mean; one for all glimpses, or one for each, such as 1,0.9,0.7.
    """
    from condvae import draw_studio

    show(draw_studio.draw(run, asked, n, out, seed, temperature))
