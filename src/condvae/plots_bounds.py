"""Lower bounds on a log-likelihood over the number of samples, beside estimates that do not depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image

from condvae.errors import Refused
from condvae.figures import FAINT, INK, SOFT, WIDTH, figure, legend, rendered, write

__all__ = ["bounds_by_samples"]

BLUE, COLOURS = "#1f6fb2", ("#d1722b", "#8a8a8a", "#3f8f5b")
FIGURES = 7  # counts that are written at the axis, at most


def bounds_by_samples(
    curve: Mapping[int, float], levels: Mapping[str, tuple[float, float]], title: str = "", samples: str = "samples"
) -> Image.Image:
    """Mean bounds in nats over the number of samples, on a logarithmic scale, and horizontal lines beside them.

    Args:
        curve: number of samples, at least 1 -> the mean bound. levels: name -> (mean, standard error; 0 = no band); a
            band is two standard errors to either side. samples: what is counted.

    Raises:
        Refused: for no point, or a number that is not finite.
    """
    numbers = [*curve.values(), *(value for level in levels.values() for value in level)]
    if not curve or min(curve) < 1 or not all(isfinite(value) for value in numbers):
        raise Refused("curve must map one or more numbers of samples, from 1, to finite nats, and levels hold such")
    drawing, (axes,) = figure(1, title, (WIDTH, 4.0))
    axes.set_xscale("log")
    counts = sorted(curve)
    handles, names = [Line2D([], [], color=BLUE, lw=2.2, marker="o", ms=5)], ["importance-weighted bound"]
    for colour, (name, (mean, error)) in zip(COLOURS, levels.items(), strict=False):
        if error:
            axes.axhspan(mean - 2 * error, mean + 2 * error, color=colour, alpha=0.18, lw=0)
        axes.axhline(mean, color=colour, lw=1.8, ls=(0, (5, 2)))
        handles.append(Line2D([], [], color=colour, lw=1.8, ls=(0, (5, 2))))
        names.append(f"{name}: {signed(mean)}")
    axes.plot(counts, [curve[count] for count in counts], color=BLUE, lw=2.2, marker="o", ms=5)
    last = axes.annotate("", (counts[-1], curve[counts[-1]]), (0, -16), textcoords="offset points", ha="right")
    write(last, signed(curve[counts[-1]]), 9)
    last.set_color(INK)
    axes.xaxis.set_major_locator(FixedLocator(counts[:: -(-len(counts) // FIGURES)] + counts[-1:]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", color=FAINT, lw=0.8)
    write(axes.set_xlabel(" ", color=SOFT), f"{samples} an image, K", 10)
    write(axes.set_ylabel(" ", color=SOFT), "nats an image, mean", 10)
    legend(axes, handles, names, "under", columns=2)
    return rendered(drawing)


def signed(value: float) -> str:
    """Two decimals, with the minus of the axes."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
