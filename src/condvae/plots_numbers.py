"""Numbers asked for beside numbers read, with the ideal diagonal and the error that reading has on real data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from PIL import Image

from condvae.errors import Refused
from condvae.figures import FAINT, INK, SOFT, figure, head, legend, rendered, write
from condvae.plots import BLUE

__all__ = ["asked_and_read"]

MOST = 6  # panels
BINS = 8
BAND = "#e3e3e3"

Points = Sequence[tuple[float, float]]


def asked_and_read(
    points: Mapping[str, Points], errors: Mapping[str, float] | None = None, title: str = ""
) -> Image.Image:
    """A panel a number: what was asked (across) against what was read off the drawing (up).

    On the dashed diagonal what was asked is what is read; the line with dots is the mean of what is read of drawings
    that were asked for about the same. The view may leave out the outermost hundredth of what is read.

    Args:
        points: name -> pairs (asked, read), at most 6 names. errors: name -> the root mean squared error of reading
            real images, drawn as a grey band about the diagonal.

    Raises:
        Refused: for no names or more than 6, a name without pairs, or a value that is not finite.
    """
    if not 1 <= len(points) <= MOST:
        raise Refused(f"points must name 1 to {MOST} numbers, but {len(points)} came; draw them apart.")
    drawing, axes = figure(len(points), title, (6.4, 5.0) if len(points) == 1 else None)
    for place, (name, pairs) in zip(axes, points.items(), strict=True):
        both = np.asarray(pairs, np.float64)
        if both.ndim != 2 or both.shape[1] != 2 or not len(both) or not np.isfinite(both).all():
            raise Refused(f"points[{name!r}] must hold finite pairs (asked, read), at least one; mend it.")
        _panel(place, name, both[:, 0], both[:, 1], (errors or {}).get(name))
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INK, ls=(0, (5, 3)), lw=1.3),
        Line2D([], [], ls="", marker="o", color=BLUE, ms=4, alpha=0.45),
        Line2D([], [], color=BLUE, marker="o", ms=6, lw=2.0),
    ]
    named = ["as asked", "one drawing", "mean of the drawings"]
    if errors:
        handles.append(Patch(color=BAND))
        named.append("how far off real images are read")
    legend(axes[0], handles, named, "under", 2)  # pyright: ignore[reportArgumentType]
    return rendered(drawing)


def _panel(axes: Axes, name: str, asked: np.ndarray, read: np.ndarray, error: float | None) -> None:
    low, high = _view(asked, read)
    if error is not None:
        axes.fill_between([low, high], [low - error, high - error], [low + error, high + error], color=BAND, lw=0)
    axes.plot([low, high], [low, high], color=INK, ls=(0, (5, 3)), lw=1.3, zorder=3)
    axes.plot(asked, read, "o", color=BLUE, ms=4, mew=0, alpha=0.3, zorder=4)
    across, mean = _means(asked, read)
    axes.plot(across, mean, "-o", color=BLUE, ms=6, lw=2.0, mec="white", mew=0.8, zorder=5)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.grid(color=FAINT, lw=0.6)
    head(axes, name)
    write(axes.set_xlabel(" ", color=SOFT), "asked for", 10)
    write(axes.set_ylabel(" ", color=SOFT), "read off the drawing", 10)


def _view(asked: np.ndarray, read: np.ndarray) -> tuple[float, float]:
    """One range for both axes: all that was asked, and all but the outermost hundredth of what was read."""
    least, most = np.quantile(read, [0.01, 0.99])
    low, high = min(float(asked.min()), float(least)), max(float(asked.max()), float(most))
    room = 0.04 * (high - low) or max(1e-6, 0.04 * abs(high))
    return low - room, high + room


def _means(asked: np.ndarray, read: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean asked, mean read) of up to 8 equally full groups of what was asked."""
    order = np.argsort(asked, kind="stable")
    groups = [group for group in np.array_split(order, min(BINS, len(np.unique(asked)))) if len(group)]
    return np.asarray([asked[group].mean() for group in groups]), np.asarray([read[group].mean() for group in groups])
