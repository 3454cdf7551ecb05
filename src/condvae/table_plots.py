"""Pictures of generated tables: drawn beside real distributions under several conditions, and calibration.

Every function returns a PIL image in mode RGB. Real is a grey ground, drawn a blue line or bar: told apart by lightness
and shape, not by hue alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from condvae.errors import Refused
from condvae.figures import FAINT, INK, SOFT, WIDTH, figure, head, legend, rendered, write
from condvae.fonts import fit

__all__ = ["calibration", "distributions"]

REAL, DRAWN = "#bdbdbd", "#1f6fb2"
STYLES = (("#1f6fb2", "o"), ("#e07b28", "s"), ("#3a9150", "^"), ("#7b5aa6", "D"), ("#b8443c", "v"), ("#5f7f8c", "P"))
BINS = 24
MOST = 8  # names drawn one by one

Cells = Mapping[str, np.ndarray]


def distributions(
    real: Sequence[Cells], drawn: Sequence[Cells], conditions: Sequence[str], title: str = ""
) -> Image.Image:
    """Drawn beside real values: a row of panels a column, one panel a condition.

    Args:
        real, drawn: per condition the same columns, each float [N] (NaN = unknown; a histogram), or names [N] (None =
            unknown; bars). conditions: what each is called.

    Raises:
        Refused: for no condition, or different numbers of them.
    """
    if not conditions or not len(real) == len(drawn) == len(conditions):
        raise Refused(
            f"real and drawn must hold one table a condition; got {len(real)}, {len(drawn)}, {len(conditions)}"
        )
    columns, across = list(real[0]), len(conditions)
    size = (WIDTH if across < 3 else 1.25 * WIDTH, 1.95 * len(columns) + 0.75)
    drawing, axes = figure(len(columns) * across, title, size, across)
    for row, name in enumerate(columns):
        places = axes[row * across : (row + 1) * across]
        numbers = real[0][name].dtype.kind == "f"
        both = [(known(one[name]), known(other[name])) for one, other in zip(real, drawn, strict=True)]
        if numbers:
            histograms(places, both)
        else:
            bar_pairs(places, both)
        for place, condition in zip(places, conditions, strict=True):
            line, _ = fit(f"{name}, {condition}", 22, (820 if across < 3 else 1000) / across)
            head(place, line)
    handles = [Line2D([], [], color=REAL, lw=7), Line2D([], [], color=DRAWN, lw=2.2)]
    legend(axes[-1], handles, ["real rows", "drawn for the same conditions"], "under")
    return rendered(drawing)


def known(values: np.ndarray) -> np.ndarray:
    """The values that are known."""
    if values.dtype.kind == "f":
        return values[~np.isnan(values)]
    return np.asarray([value for value in values if value is not None], object)


def histograms(places: Sequence[Axes], both: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Shares of values a bin, on one scale over the conditions."""
    every = np.concatenate([values for pair in both for values in pair])
    low, high = np.quantile(every, [0.002, 0.998]) if len(every) else (0.0, 1.0)
    near = max(abs(low), abs(high)) < 1e15  # further off, floats that are a half apart are one
    whole = bool(len(every)) and bool((every == np.round(every)).all()) and high - low < 60 and near
    step = max(1, round((high - low) / BINS))
    edges = (
        np.arange(np.floor(low) - 0.5, high + step + 0.5, step) if whole else np.linspace(low, high + 1e-9, BINS + 1)
    )
    top = 0.0
    for place, (real, drawn) in zip(places, both, strict=True):
        for values, is_real in ((real, True), (drawn, False)):
            shares = np.histogram(np.clip(values, edges[0], edges[-1] - 1e-9), edges)[0] / max(1, len(values))
            if is_real:
                place.stairs(shares, edges, fill=True, color=REAL)
            else:
                place.stairs(shares, edges, color=DRAWN, lw=1.9)
            top = max(top, float(shares.max()))
        for values, colour, style in ((real, SOFT, (0, (2, 2))), (drawn, DRAWN, "-")):
            if len(values):
                place.plot(
                    [values.mean()] * 2, [0, 1], color=colour, ls=style, lw=1.2, transform=place.get_xaxis_transform()
                )
    for place in places:
        place.set_ylim(0, 1.08 * top or 1)
        place.set_yticks([])
        place.spines["left"].set_visible(False)
        place.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=whole))


def bar_pairs(places: Sequence[Axes], both: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Shares of names, real above drawn, the most frequent names first."""
    every = np.concatenate([real for real, _ in both] + [drawn for _, drawn in both])
    names, counts = np.unique(every.astype(str), return_counts=True)
    order = names[np.argsort(-counts, kind="stable")]
    shown, rest = order[:MOST], order[MOST:]
    top = 0.0
    for number, (place, (real, drawn)) in enumerate(zip(places, both, strict=True)):
        for values, shift, colour in ((real, -0.2, REAL), (drawn, 0.2, DRAWN)):
            text = values.astype(str)
            shares = np.array([(text == name).sum() for name in shown], float) / max(1, len(text))
            place.barh(np.arange(len(shown)) + shift, shares, 0.36, color=colour)
            top = max(top, float(shares.max(initial=0)))
        place.set_ylim(len(shown) - 0.45, -0.55)
        place.set_yticks(np.arange(len(shown)), [""] * len(shown))
        place.tick_params(axis="y", length=0)
        if number == 0:
            beside = place.get_yaxis_transform()
            for row, name in enumerate(shown):
                line, _ = fit(name, 20, 190)
                write(place.text(-0.03, row, "", transform=beside, ha="right", va="center", color=INK), line, 9)
            if len(rest):
                said = f"and {len(rest)} more"
                write(
                    place.text(1, 0.02, "", transform=place.transAxes, ha="right", color=SOFT, backgroundcolor="white"),
                    said,
                    8,
                )
        place.xaxis.set_major_locator(MaxNLocator(nbins=4))
        place.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g} %"))
    for place in places:
        place.set_xlim(0, min(1.0, 1.08 * top) or 1)


def calibration(
    nominal: Sequence[float], covered: Mapping[str, Sequence[float]], rows: int, title: str = ""
) -> Image.Image:
    """Shares of real values within the central intervals of their draws, beside what the intervals should hold.

    On the diagonal draws are as wide as they should be; below it too narrow, over-confident. The band is where 95 % of
    well-calibrated columns of so many rows lie.

    Raises:
        Refused: for no column, or shares that are not as many as the nominal ones.
    """
    if not covered or any(len(shares) != len(nominal) for shares in covered.values()):
        raise Refused(f"covered must hold {len(nominal)} shares a column, of one column at least")
    drawing, (axes,) = figure(1, title, (WIDTH, 4.6))
    at = np.linspace(0, 1, 101)
    half = 1.96 * np.sqrt(at * (1 - at) / max(1, rows))
    axes.fill_between(at, at - half, at + half, color="#ececec", lw=0)
    axes.plot([0, 1], [0, 1], color=SOFT, ls=(0, (4, 3)), lw=1.2)
    handles = [Line2D([], [], color=SOFT, ls=(0, (4, 3)), lw=1.2), Line2D([], [], color="#e2e2e2", lw=7)]
    named: list[str] = ["as it should be", f"chance, {rows:,} rows"]
    for place, (name, shares) in enumerate(covered.items()):
        colour, marker = STYLES[place % len(STYLES)]
        axes.plot([0, *nominal, 1], [0, *shares, 1], color=colour, lw=1.5)
        axes.plot(nominal, shares, ls="", marker=marker, color=colour, ms=5.5)
        handles.append(Line2D([], [], color=colour, marker=marker, lw=1.5, ms=5.5))
        named.append(name)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.grid(color=FAINT, lw=0.6)
    axes.set_xlabel("central interval of the draws", color=SOFT)
    axes.set_ylabel("real values within it", color=SOFT)
    for y, said, sides in (
        (0.94, "too wide: under-confident", (0.03, "left")),
        (0.04, "too narrow: over-confident", (0.97, "right")),
    ):
        write(axes.text(sides[0], y, "", ha=sides[1], color=SOFT, style="italic"), said, 8.5)
    legend(axes, handles, named, "right")
    return rendered(drawing)
