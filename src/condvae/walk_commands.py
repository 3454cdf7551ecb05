"""The commands that walk through the latents. What they do lives in `strolls` and `planes`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from condvae.process import Out, Words, show

__all__ = ["components", "interpolate", "plane", "traverse"]


def interpolate(
    run: str,
    a: str | None = None,
    b: str | None = None,
    /,
    *,
    begin: Annotated[Words, Parameter(name="--from")] = None,
    end: Annotated[Words, Parameter(name="--to")] = None,
    given: Words = None,
    steps: int = 9,
    out: Out = None,
    seed: int = 0,
) -> None:
    """From one picture to another through the latents: two image files, or two drawings.

    Args:
        run: a run folder.
        a: an image file to begin at; without A and B both ends are drawn.
        b: an image file to end at.
        begin: what the first shows, or is to show, FIELD=VALUE.
        end: what the last shows, or is to show, FIELD=VALUE.
        given: what both show, FIELD=VALUE.
        steps: pictures from end to end.
        out: the strip to write, an animation there and back (.gif), or the arrays (.npz).
        seed: of the drawings.
    """
    from condvae import strolls

    show(strolls.interpolate(run, a, b, begin or (), end or (), given or (), steps, out, seed))


def traverse(
    run: str,
    /,
    *asked: str,
    image: str | None = None,
    given: Words = None,
    units: str | None = None,
    field: str | None = None,
    steps: int = 9,
    reach: float = 2.0,
    out: Out = None,
    seed: int = 0,
) -> None:
    """What each latent unit does: a drawing of what is asked, or a picture, with one unit moved at a time.

    Args:
        run: a run folder.
        asked: FIELD=VALUE, what the drawing shows that is walked from.
        image: an image file to walk from instead.
        given: what that image shows, FIELD=VALUE; labels that are not given are read by the model.
        units: which units, such as 0,3,7; by default the active ones, at most 10.
        field: a field to move instead: a number through its range, a label through its values.
        steps: pictures a row.
        reach: how many deviations a unit is moved to each side.
        out: the picture to write, an animation of all rows at once (.gif), or the arrays (.npz).
        seed: of the drawing.
    """
    from condvae import strolls

    show(strolls.traverse(run, asked, image, given or (), units, field, steps, reach, out, seed))


def components(
    run: str,
    /,
    *asked: str,
    n: Annotated[int, Parameter(alias="-n")] = 8,
    most: int = 8,
    out: Out = None,
    seed: int = 0,
) -> None:
    """The mixture of Gaussians fitted to the latents, component by component: its mean as a picture, and draws from it.

    Args:
        run: a run folder.
        asked: FIELD=VALUE, under which the mixture is looked at.
        n: draws from each component.
        most: components, the heaviest first.
        out: the picture to write, or the arrays (.npz).
        seed: draw j of component i depends on (seed, i, j) alone.
    """
    from condvae import strolls

    show(strolls.components(run, asked, n, most, out, seed))


def plane(
    run: str,
    /,
    *asked: str,
    at: str | None = None,
    units: str | None = None,
    size: int = 15,
    reach: float = 2.5,
    out: Out = None,
    seed: int = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """The plane of two latent units around a drawing, as a sheet of pictures; or one point of it.

    Args:
        run: a run folder.
        asked: FIELD=VALUE, what the drawing in the middle shows.
        at: draw one point alone, deviations along the first and the second unit, such as --at=0.5,-1.
        units: two units of the first latent, such as 3,7; by default the two that say most.
        size: pictures a side.
        reach: deviations from the middle to each side.
        out: the picture to write, or the arrays (.npz).
        seed: of the drawing in the middle.
        as_json: units, points and what the middle shows, as JSON.
    """
    from condvae import planes

    if at is not None:
        show(planes.point(run, asked, at, units, out, seed), as_json)
    else:
        show(planes.plane(run, asked, size, units, reach, out, seed), as_json)
