"""Tables of docs/page.md: how fast the page is, and what it calls strange. Called by tables.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Run = Mapping[str, Any]
Rows = tuple[list[str], list[list[str]]]

# Columns of what is flagged: the name, and the kinds of pictures that it sums up.
STRANGE = {
    "other real test images": ("test images",),
    "blank pages": ("black page", "white page", "grey page", "dark grey page", "light grey page"),
    "noise": ("uniform noise", "Gaussian noise"),
    "inverted test images": ("inverted",),
    "other data": ("images of mnist", "images of fashion-mnist"),
    "scribbles": ("scribbles",),
}


def strange(runs: Sequence[Run]) -> Rows:
    """How many pictures of each kind the runs of the zoo call strange, with 95 % intervals; seconds a picture."""
    header = ["", *STRANGE, "seconds a picture"]
    rows = []
    for run, found in runs[-1]["values"].items():
        cells = []
        for kinds in STRANGE.values():
            some = [found["flagged"][kind] for kind in kinds if kind in found["flagged"]]
            flagged, of = (sum(one[key] for one in some) for key in ("flagged", "pictures"))
            cells.append("" if not of else f"{flagged:,} of {of:,}{interval(some)}")
        rows.append([run, *cells, f"{found['seconds_a_picture']:.2f}"])
    return header, rows


def speed(runs: Sequence[Run]) -> Rows:
    """How long one waits: median and longest of some times, beside what was asked; p95 of many clients."""
    found = runs[-1]["values"]
    rows = [
        row("start-up, eight runs", found["start_up"], "<= 8"),
        row("first page", found["first_page"], "<= 2"),
        *(
            row(f"ask to picture, {name}", one, "<= 0.4" if name.startswith("mnist") else "")
            for name, one in found["ask_to_picture"].items()
        ),
        *(row(f"over HTTP: {name}", one, "") for name, one in found["http"].items()),
    ]
    many = found["side_by_side"]
    told = f"{many['clients']} clients, {many['requests']} requests in all: {many['failures']} failed, "
    rows.append([told + f"{many['mixed_up']} mixed up; p50, p95", f"{many['p50']:.2f}", f"{many['p95']:.2f}", "", ""])
    return ["seconds", "median", "longest", "asked", "met"], rows


def row(name: str, found: Mapping[str, Any], asked: str) -> list[str]:
    """A row of the table of speeds; met where the median is."""
    met = "" if not asked else "yes" if found["median"] <= float(asked.removeprefix("<= ")) else "no"
    return [name, f"{found['median']:.2f}", f"{found['greatest']:.2f}", asked, met]


def interval(some: Sequence[Mapping[str, Any]]) -> str:
    """The 95 % interval of a share, where it is of one kind of many pictures and not all are flagged."""
    if len(some) != 1 or some[0]["flagged"] == some[0]["pictures"]:
        return ""
    return f" [{100 * some[0]['low']:.1f}, {100 * some[0]['high']:.1f} %]"
