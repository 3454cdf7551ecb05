"""Error against the number of labels: what labels alone teach, and what they teach together with all other pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image

from condvae.errors import Refused
from condvae.figures import FAINT, INK, SOFT, WIDTH, figure, legend, rendered, write

__all__ = ["errors_by_labels"]

COLOURS = ("#8a8a8a", "#9cc3e3", "#1f6fb2", "#d1722b", "#3f8f5b")
TICKS = (0.5, 1, 2, 5, 10, 20, 50)


def errors_by_labels(
    curves: Mapping[str, Mapping[int, Sequence[float]]], title: str = "", goals: Mapping[int, float] | None = None
) -> Image.Image:
    """Test errors in per cent over the number of labels, both on logarithmic scales; one curve a method.

    Args:
        curves: method -> labels -> the errors of its runs, per cent above 0; the line goes through their means, and
            each run is a dot. goals: labels -> the error that is aimed at, drawn as a dash.

    Raises:
        Refused: for no run, or an error that is not above 0.
    """
    runs = [error for curve in curves.values() for errors in curve.values() for error in errors]
    if not runs or min(runs) <= 0:
        raise Refused("errors must be given in per cent, above 0, of one run at least")
    drawing, (axes,) = figure(1, title, (WIDTH, 4.2))
    axes.set_xscale("log")
    axes.set_yscale("log")
    handles = []
    for colour, curve in zip(COLOURS, curves.values(), strict=False):
        counts = sorted(curve)
        means = [average(curve[count]) for count in counts]
        axes.plot(counts, means, color=colour, lw=2.2, marker="o", ms=5.5)
        for count, mean in zip(counts, means, strict=True):
            axes.plot([count] * len(curve[count]), curve[count], ls="", marker=".", color=colour, ms=4, alpha=0.6)
            shift = -15 if below(mean, [average(one[count]) for one in curves.values() if count in one]) else 7
            note = axes.annotate("", (count, mean), (0, shift), textcoords="offset points", ha="center", color=INK)
            write(note, f"{mean:.2f} %" if mean < 1 else f"{mean:.2g} %" if mean < 10 else f"{mean:.0f} %", 8.5)
        handles.append(Line2D([], [], color=colour, lw=2.2, marker="o", ms=5.5))
    names = list(curves)
    if goals:
        axes.plot(list(goals), list(goals.values()), ls="", marker="_", ms=16, mew=1.8, color=INK)
        handles.append(Line2D([], [], ls="", marker="_", ms=12, mew=1.8, color=INK))
        names.append("goal")
    counts = sorted({count for curve in curves.values() for count in curve})
    axes.xaxis.set_major_locator(FixedLocator(counts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    low = min([*runs, *(goals or {}).values()])
    axes.set_ylim(low / 1.6, max(runs) * 1.6)
    axes.grid(axis="y", color=FAINT, lw=0.8)
    write(axes.set_xlabel(" ", color=SOFT), "labels in all, equally many a class", 10)
    write(axes.set_ylabel(" ", color=SOFT), "test images read wrongly", 10)
    legend(axes, handles, names, "under", columns=2)
    return rendered(drawing)


def average(errors: Sequence[float]) -> float:
    """The mean."""
    return sum(errors) / len(errors)


def below(mean: float, others: Sequence[float]) -> bool:
    """Whether a number is written under its point: it is the least of its column, of several, or one is close above."""
    return (len(others) > 1 and mean == min(others)) or any(mean < other < 1.4 * mean for other in others)
