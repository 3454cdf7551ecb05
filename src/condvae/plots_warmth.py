"""Obedience and Frechet distance of drawings against their temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from condvae.errors import Refused
from condvae.figures import FAINT, INK, SOFT, WIDTH, figure, head, legend, rendered, write
from condvae.plots import BLUE, GREEN, ORANGE, OTHERS
from condvae.temperatures import shape_of

__all__ = ["warmth"]

COLOURS = (BLUE, ORANGE, *OTHERS, GREEN)
MARKS = "osD^vP*X"
RING = 15  # size of the ring around what was chosen

Row = Mapping[str, Any]


def warmth(rows: Sequence[Row], chosen: Sequence[float] = (), title: str = "") -> Image.Image:
    """Two panels over the temperature: the share of asked labels that a judge reads back, with its interval, and the
    Frechet distance. One line a family: all latents alike, or those to one side of a cut with the others at 1.

    Args:
        rows: as `warmth.Warm.plain` and result files have them: "temperature" (one a latent), "frechet" and, where
            labels were asked for, "obedience" and "obedience_interval". chosen: the temperature that is ringed.

    Raises:
        Refused: for no rows.
    """
    if not rows:
        raise Refused("rows must hold at least one temperature, but none came; measure some first")
    families: dict[str, list[tuple[float, Row]]] = {}
    for row in rows:
        name, heat = shape_of(row["temperature"])
        families.setdefault(name, []).append((heat, row))
    obeyed = all("obedience" in row for row in rows)
    drawing, axes = figure(1 + obeyed, title, (WIDTH, 3.6))
    panels = [("obedience", "asked label read back")] if obeyed else []
    panels.append(("frechet", "Frechet distance to real images"))
    styles = list(zip(COLOURS * len(families), MARKS * len(families), strict=False))
    for place, (key, name) in zip(axes, panels, strict=True):
        for (colour, mark), family in zip(styles, families.values(), strict=False):
            _family(place, key, family, colour, mark)
        for heat, row in (one for family in families.values() for one in family):
            if tuple(row["temperature"]) == tuple(chosen):
                place.plot(heat, row[key], "o", ms=RING, mfc="none", mec=INK, mew=1.2, zorder=6, clip_on=False)
        if key == "obedience":
            place.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
        place.xaxis.set_major_locator(MaxNLocator(nbins=6))
        place.grid(axis="y", color=FAINT, lw=0.7)
        head(place, name)
        write(place.set_xlabel(" ", color=SOFT), "temperature", 10)
    handles = [
        Line2D([], [], color=colour, marker=mark, lw=1.8 if len(family) > 1 else 0, ms=5.5)
        for (colour, mark), family in zip(styles, families.values(), strict=False)
    ]
    names = list(families)
    if chosen:
        handles.append(Line2D([], [], ls="", marker="o", mfc="none", mec=INK, mew=1.2, ms=9))
        names.append("chosen")
    legend(axes[0], handles, names, "under")
    return rendered(drawing)


def _family(axes: Axes, key: str, family: Sequence[tuple[float, Row]], colour: str, mark: str) -> None:
    """One line, or a point where it holds but one, with the intervals of an obedience."""
    heats, rows = zip(*sorted(family, key=lambda one: one[0]), strict=True)
    if key == "obedience":
        ends = [row["obedience_interval"] for row in rows]
        axes.vlines(heats, *zip(*ends, strict=True), color=colour, lw=2, alpha=0.35, zorder=3)
    axes.plot(heats, [row[key] for row in rows], color=colour, marker=mark, ms=5.5, lw=1.8, zorder=4)
