"""How often a label is read rightly, against how sure its reader is: the reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MultipleLocator
from PIL import Image

from condvae.errors import Refused
from condvae.figures import FAINT, INK, SOFT, WIDTH, figure, head, legend, rendered, write
from condvae.plots import BLUE

__all__ = ["reliability"]

LIGHT = "#9cc3e3"


def reliability(
    confidences: Sequence[float],
    accuracies: Sequence[float],
    counts: Sequence[int],
    intervals: Sequence[tuple[float, float]],
    bins: int = 15,
    name: str = "",
    title: str = "",
) -> Image.Image:
    """Share read rightly against mean confidence, one point a bin, above the number of images in each bin.

    On the dashed diagonal a reader is right as often as it is sure.

    Args:
        confidences, accuracies: shares in [0, 1], of each bin that holds an image. counts: its images, 1 or more.
        intervals: lower and upper end of each accuracy. bins: equally wide ones in all. name: written above.

    Raises:
        Refused: for no bin, different lengths, or what is no share.
    """
    sure, right = np.asarray(confidences, np.float64), np.asarray(accuracies, np.float64)
    ends, held = np.asarray(intervals, np.float64), np.asarray(counts, np.int64)
    if not sure.size or not sure.shape == right.shape == held.shape or ends.shape != (len(sure), 2):
        raise Refused("confidences, accuracies, counts and intervals must hold one entry a bin, of one bin at least")
    if not all(((part >= 0) & (part <= 1)).all() for part in (sure, right, ends)):
        raise Refused("confidences, accuracies and intervals must be shares in [0, 1]; divide percentages by 100")
    drawing, (above, below) = figure(2, title, (WIDTH, 6.2), columns=1)
    grid = above.get_gridspec()
    assert grid is not None
    grid.set_height_ratios([3, 1])
    _points(above, sure, right, ends)
    # a bin whose images lie on its upper edge has a mean that rounding may put beside it
    _bars(below, np.clip(np.ceil(sure * bins - 1e-9) - 1, 0, bins - 1), held, bins)
    if name:
        head(above, name)
    handles = [
        Line2D([], [], color=INK, ls=(0, (5, 3)), lw=1.3),
        Line2D([], [], ls="", color=BLUE, marker="o", ms=6.5),
    ]
    legend(above, handles, ["right as often as sure", "images of about equal probability, with 95 % interval"], "under")
    return rendered(drawing)


def _points(axes: Axes, sure: np.ndarray, right: np.ndarray, ends: np.ndarray) -> None:
    axes.plot([0, 1], [0, 1], color=INK, ls=(0, (5, 3)), lw=1.3, zorder=3)
    axes.vlines(sure, ends[:, 0], ends[:, 1], color=BLUE, lw=2.4, alpha=0.55, zorder=4, clip_on=False)
    axes.plot(sure, right, "o", color=BLUE, ms=6.5, mec="white", mew=0.8, zorder=5, clip_on=False)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MultipleLocator(0.2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
    axes.grid(color=FAINT, lw=0.6)
    _across(axes)
    write(axes.set_ylabel(" ", color=SOFT), "read rightly", 10)
    for x, y, said, side in (
        (0.03, 0.94, "above the line: not sure enough", "left"),
        (0.97, 0.03, "below the line: too sure", "right"),
    ):
        write(axes.text(x, y, "", ha=side, color=SOFT, zorder=6), said, 9)


def _bars(axes: Axes, places: np.ndarray, held: np.ndarray, bins: int) -> None:
    """Counts, each with its number: beside thousands the bar of three images cannot be seen."""
    middle = (places + 0.5) / bins
    axes.bar(middle, held, 0.9 / bins, color=LIGHT)
    for x, number in zip(middle, held, strict=True):
        said = f"{number:,}" if number < 10_000 else f"{number / 1000:.3g}k"
        write(axes.text(x, number + 0.03 * held.max(), "", ha="center", va="bottom", color=INK), said, 7.5)
    axes.set_ylim(0, 1.3 * held.max())
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    _across(axes)
    write(axes.set_xlabel(" ", color=SOFT), "how sure the model is of the label (the probability it gives)", 10)
    write(axes.set_ylabel(" ", color=SOFT), "images", 10)


def _across(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_locator(MultipleLocator(0.2))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
