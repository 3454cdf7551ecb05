"""Pictures with axes: learning curves, and shares with their intervals.

Maps of latents live in `condvae.maps`. Every function returns a PIL image in mode RGB.
"""

from collections.abc import Mapping, Sequence
from math import ceil, floor, isfinite, nan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from condvae import fonts
from condvae.errors import Refused
from condvae.figures import FAINT, INK, SOFT, WIDTH, figure, head, legend, rendered, write

__all__ = ["bars", "curves"]

BLUE, ORANGE, GREEN = "#1f6fb2", "#e07b28", "#3a9150"
LINES = {"train": BLUE, "validation": ORANGE, "val": ORANGE, "valid": ORANGE, "held": ORANGE, "test": GREEN}
OTHERS = ("#7b5aa6", "#b8443c", "#8a6a4f", "#c25c9f", "#5f7f8c")


def curves(
    history: Sequence[Mapping[str, object]],
    keys: Sequence[str] | Mapping[str, tuple[str, str]],
    x: str = "epoch",
    unit: str | Mapping[str, str] = "nats per image",
    title: str = "",
    published: Mapping[str, Mapping[float, float]] | None = None,
) -> Image.Image:
    """Terms of the loss over the epochs: one panel a term, one line for each of training and validation.

    The first tenth of the rows may leave the view where it would press the rest flat; the legend
    says where each line starts and ends.

    Args:
        history: one mapping a row; values that are missing, None or not finite are left out.
        keys: which to draw. "train.loss" looks up row["train.loss"], else row["train"]["loss"], and draws the
            line "train" in the panel "loss"; so do "train/loss" and "train_loss". A mapping from key to
            (panel, line) names both freely.
        x: key of the horizontal axis; rows without it count from 1.
        unit: written at the vertical axes; of a mapping that of the panel, else that of "".
        published: key -> {x: value}, drawn as open diamonds in the key's panel.

    Raises:
        Refused: for an empty history or keys, a key that no row holds, or a value that is no number.
    """
    if not history or not keys:
        raise Refused("history and keys must each hold at least one entry, but one came empty; train an epoch first.")
    places = dict(keys) if isinstance(keys, Mapping) else {key: _place(key) for key in keys}
    across = np.array([_value(row, x, float(i)) for i, row in enumerate(history, 1)])
    panels: dict[str, dict[str, str]] = {}
    for key, (panel, line) in places.items():
        panels.setdefault(panel, {})[line] = key
    drawing, axes = figure(len(panels), title)
    for place, (panel, lines) in zip(axes, panels.items(), strict=True):
        found = {line: np.array([_value(row, key, nan) for row in history]) for line, key in lines.items()}
        for line, values in found.items():
            if not np.isfinite(values).any():
                raise Refused(
                    f"keys names {lines[line]!r}, but no row of history holds a number there;"
                    f" rows hold {', '.join(sorted(map(str, history[0])))}."
                )
        marks = {lines[line]: (published or {}).get(lines[line], {}) for line in lines}
        _panel(place, panel, across, found, [point for key in marks.values() for point in key.items()])
        place.set_xlabel(x, color=SOFT)
        place.set_ylabel(unit if isinstance(unit, str) else unit.get(panel, unit[""]), color=SOFT)
    return rendered(drawing)


def _place(key: str) -> tuple[str, str]:
    for mark in "./_ ":
        line, found, panel = key.partition(mark)
        if found and panel and line in LINES:
            return _title(panel), line
    return _title(key), ""


def _title(panel: str) -> str:
    return " ".join("KL" if word == "kl" else word for word in panel.replace("_", " ").split(" "))


def _value(row: Mapping[str, object], key: str, missing: float) -> float:
    found: object = row.get(key)
    if found is None and "." in key:
        head, _, tail = key.partition(".")
        inner = row.get(head)
        return _value(inner, tail, missing) if isinstance(inner, Mapping) else missing
    if found is None:
        return missing
    try:
        number = float(found)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError) as reason:
        raise Refused(f"history must hold numbers, but {key!r} is {found!r}; leave it out of keys.") from reason
    return number if isfinite(number) else nan


def _panel(
    axes: Axes,
    name: str,
    across: np.ndarray,
    lines: Mapping[str, np.ndarray],
    published: Sequence[tuple[float, float]],
) -> None:
    others = iter(OTHERS * len(lines))
    colours = {line: LINES.get(line) or (next(others) if line else BLUE) for line in lines}
    handles = []
    for line, values in lines.items():
        held = np.isfinite(values)  # what is measured every fifth epoch is still one line
        marker = "o" if held.sum() <= 12 else ""
        axes.plot(
            across[held], values[held], color=colours[line], lw=1.8, marker=marker, ms=3.5, solid_capstyle="round"
        )
        handles.append(Line2D([], [], color=colours[line], lw=2.2))
    named = [f"{line} {_course(values)}".strip() for line, values in lines.items()]
    if published:
        axes.plot(*zip(*published, strict=True), "D", mfc="none", mec=INK, mew=1.2, ms=5.5, zorder=5)
        handles.append(Line2D([], [], ls="", marker="D", mfc="none", mec=INK, ms=5.5))
        named.append("published")
    axes.set_ylim(_window(list(lines.values()), [value for _, value in published]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.grid(axis="y", color=FAINT, lw=0.7)
    head(axes, name)
    legend(axes, handles, named, "best")


def _window(lines: Sequence[np.ndarray], further: Sequence[float]) -> tuple[float, float]:
    """The vertical view: all of it, unless the first tenth stands further off than the rest is tall."""
    skip = max(1, ceil(len(lines[0]) / 10)) if len(lines[0]) >= 5 else 0
    everything = np.concatenate(lines)
    settled = np.concatenate([values[skip:] for values in lines])
    settled = settled[np.isfinite(settled)]
    everything = everything[np.isfinite(everything)]
    kept = np.append(settled if settled.size else everything, further)
    low, high = float(kept.min()), float(kept.max())
    room = max(high - low, 1e-3 * max(abs(high), abs(low)), 1e-6)
    over, under = everything.max() > high + room, everything.min() < low - room
    # Nearly half as much again on the side that is cut, where the legend finds its place.
    top = high + 0.45 * room if over else max(high, float(everything.max())) + 0.06 * room
    bottom = low - 0.45 * room if under else min(low, float(everything.min())) - 0.06 * room
    return bottom, top


def _course(values: np.ndarray) -> str:
    """From where to where: the legend keeps a start that has left the view."""
    ends = values[np.isfinite(values)][[0, -1]]
    return " → ".join(_short(end) for end in (ends if np.isfinite(values).sum() > 1 else ends[1:]))


def _short(value: float) -> str:
    return f"{value:.2f}" if 1 <= abs(value) < 1000 else f"{value:.4g}"


def bars(
    values: Sequence[float] | np.ndarray,
    names: Sequence[object],
    intervals: Sequence[tuple[float, float]] | np.ndarray | None = None,
    beside: Sequence[float] | np.ndarray | float | None = None,
    value_name: str = "asked labels read back",
    beside_name: str = "real test images read right",
    title: str = "",
) -> Image.Image:
    """A share per label with its interval, beside what the same judge reaches on real data.

    Drawn as points with intervals: bars must start at 0, where 99.1 % and 99.6 % look alike. The axis covers
    what there is to see and ends at 100 %.

    Args:
        values: shares in [0, 1], one per name; NaN where nothing was drawn.
        intervals: [K, 2], lower and upper end of each, for example Wilson's.
        beside: one share per name (open diamonds), or one for all (a dashed line).

    Raises:
        Refused: for different lengths, nothing at all, or a number that is no share or outside its interval.
    """
    shares = _shares(values, "values", len(names))
    ends = _ends(intervals, shares)
    others = None if beside is None else _shares(np.atleast_1d(beside), "beside", None)
    if others is not None and len(others) not in (1, len(shares)):
        raise Refused(f"beside must be one share or {len(shares)}, one per name, but {len(others)} came.")
    rows = np.arange(len(shares))
    drawing, (axes,) = figure(1, title, (WIDTH, min(60.0, 1.3 + 0.3 * len(shares))))
    seen = np.concatenate([shares, ends.ravel(), shares if others is None else others])
    start = _start(seen[np.isfinite(seen)])
    axes.hlines(rows, start, 1, color="#efefef", lw=1, zorder=1)
    handles: list[Line2D] = [Line2D([], [], color=BLUE, marker="o", lw=2.4, ms=6)]
    named = [value_name]
    if others is not None and len(others) == 1:
        axes.axvline(float(others[0]), color=SOFT, ls=(0, (4, 3)), lw=1.3, zorder=2)
        handles.append(Line2D([], [], color=SOFT, ls=(0, (4, 3)), lw=1.3))
        named.append(f"{beside_name}: {100 * others[0]:.1f} %")
    elif others is not None:
        axes.plot(others, rows, "D", mfc="none", mec=INK, mew=1.2, ms=6.5, zorder=6, clip_on=False)
        handles.append(Line2D([], [], ls="", marker="D", mfc="none", mec=INK, mew=1.2, ms=6.5))
        named.append(beside_name)
    axes.hlines(rows, ends[:, 0], ends[:, 1], color=BLUE, lw=2.4, alpha=0.75, zorder=4)
    axes.plot(shares, rows, "o", color=BLUE, ms=6, zorder=5, clip_on=False)
    axes.set_xlim(start, 1 + 0.002 * (1 - start))
    axes.set_ylim(len(shares) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
    _name_rows(axes, names, shares)
    legend(axes, handles, named, "under")
    return rendered(drawing)


def _start(seen: np.ndarray) -> float:
    """Where the axis begins: 0, or a round share a little below the least where all are high."""
    least = float(seen.min()) if seen.size else 0.0
    step = 0.01 if least > 0.95 else 0.05 if least > 0.8 else 0.1
    return min(1 - step, floor((least - 0.15 * (1 - least)) / step) * step) if least > 0.5 else 0.0


def _name_rows(axes: Axes, names: Sequence[object], shares: np.ndarray) -> None:
    """The names at the left, the shares in figures at the right."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    beside = axes.get_yaxis_transform()
    for row, (name, share) in enumerate(zip(names, shares, strict=True)):
        line, _ = fonts.fit(name, 20, 330)  # 10 points at 150 dots an inch, and a third of the width
        write(axes.text(-0.012, row, "", transform=beside, ha="right", va="center", color=INK), line, 10)
        said = f"{100 * share:.1f} %" if np.isfinite(share) else "none drawn"
        write(axes.text(1.015, row, "", transform=beside, va="center", color=SOFT), said, 9)


def _shares(values: Sequence[float] | np.ndarray, name: str, count: int | None) -> np.ndarray:
    shares = np.asarray(values, dtype=np.float64)
    if shares.ndim != 1 or shares.size == 0 or (count is not None and len(shares) != count):
        raise Refused(f"{name} must hold one share per name, but came with the shape {list(shares.shape)}.")
    if ((shares < 0) | (shares > 1)).any():
        raise Refused(
            f"{name} must be shares in [0, 1], but run from {np.nanmin(shares):.4g} to"
            f" {np.nanmax(shares):.4g}; divide percentages by 100."
        )
    return shares


def _ends(intervals: Sequence[tuple[float, float]] | np.ndarray | None, shares: np.ndarray) -> np.ndarray:
    if intervals is None:
        return np.stack([shares, shares], axis=1)
    ends = np.asarray(intervals, dtype=np.float64)
    if ends.shape != (len(shares), 2):
        raise Refused(f"intervals must be [{len(shares)}, 2], one pair per name, but came as {list(ends.shape)}.")
    if (ends[:, 0] > shares + 1e-9).any() or (ends[:, 1] < shares - 1e-9).any():
        raise Refused("intervals must each hold their value between lower and upper end; check their order.")
    return ends
