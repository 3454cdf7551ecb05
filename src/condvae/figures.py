"""The house's style for pictures with axes, and text that may hold anything.

Drawn with matplotlib's Figure alone, never through pyplot, so that nothing global is touched and several
threads may draw at once.
"""

import io
from collections.abc import Sequence
from math import ceil

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from condvae import fonts

__all__ = ["FAINT", "INK", "SOFT", "WIDTH", "figure", "head", "legend", "note", "rendered", "write"]

INK, SOFT, FAINT = "#262626", "#6b6b6b", "#d9d9d9"
WIDTH = 6.4  # inches: as wide as text of this size stays readable on a phone
DPI = 150


def figure(
    panels: int, title: str = "", size: tuple[float, float] | None = None, columns: int = 2
) -> tuple[Figure, list[Axes]]:
    """A figure with this many panels, two or `columns` in a row, in the house's style; its axes in reading order."""
    columns = min(columns, panels)
    rows = ceil(panels / columns)
    drawing = Figure(
        size or (WIDTH, (3.4 if panels == 1 else 2.8) * rows), DPI, facecolor="white", layout="constrained"
    )
    FigureCanvasAgg(drawing)
    places = drawing.add_gridspec(rows, columns)
    wide = panels % columns  # an odd panel comes first, over the whole width
    axes = [drawing.add_subplot(places[0, :])] if wide else []
    axes += [
        drawing.add_subplot(places[i // columns, i % columns])
        for i in range(wide * columns, panels + wide * (columns - 1))
    ]
    for one in axes:
        _plain(one)
    if title:
        write(drawing.suptitle("", x=0.01, ha="left", color=INK), title, 13)
    return drawing, axes


def _plain(axes: Axes) -> None:
    """No box, soft ticks: ink for what is measured only."""
    axes.set_facecolor("white")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=9.5)


def write(place: Text, text: object, size: float) -> None:
    """Put any text in: no letter of it is mathematics, and no letter is one that the font lacks."""
    line, path = fonts.readable(text)
    place.set_parse_math(False)
    place.set_fontproperties(FontProperties(fname=path, size=size))
    place.set_text(line)


def head(axes: Axes, name: object) -> None:
    """Name a panel, at its left."""
    write(axes.set_title(" ", loc="left", color=INK), name, 11)


def note(drawing: Figure, text: str) -> None:
    """A line of small print at the foot, smaller and then cut where it is long; nothing where it is empty."""
    if not text:
        return
    room, point = 0.98 * drawing.get_figwidth() * DPI, DPI / 72
    size = max(6.5, 9 * min(1.0, room / fonts.width(text, 9 * point)))
    line, _ = fonts.fit(text, size * point, room)
    write(drawing.supxlabel("", x=0.01, ha="left", color=SOFT), line, size)


def legend(axes: Axes, handles: Sequence[Line2D], names: Sequence[object], place: str, columns: int = 2) -> None:
    """A legend, inside ("best"), under ("under") or at the right of ("right") the axes."""
    entries = list(handles)
    drawn = [str(i) for i in range(len(entries))]  # stand-ins: matplotlib drops names that begin with "_"
    if place == "under":
        whole = axes.get_figure(root=True)
        assert whole is not None
        made = whole.legend(
            entries, drawn, loc="outside lower left", ncols=columns, frameon=False, handlelength=1.6, columnspacing=1.4
        )
    elif place == "right":
        made = axes.legend(entries, drawn, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, handlelength=1)
    else:
        made = axes.legend(entries, drawn, loc="best", frameon=False, handlelength=1.4)
    for text, name in zip(made.get_texts(), names, strict=True):
        write(text, name, 9)
        text.set_color(INK)


def rendered(drawing: Figure) -> Image.Image:
    """The figure as a picture."""
    memory = io.BytesIO()
    drawing.savefig(memory, format="png", facecolor="white")
    return Image.open(io.BytesIO(memory.getvalue())).convert("RGB")
