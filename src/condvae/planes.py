"""The plane of two latent units in words: the whole of it as a picture, and one point of it at once.

As in `condvae.studio`, words and files come in as a person gives them, and a `Reply` goes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from condvae import pictures
from condvae.crossings import Origin, crossed, origin_of, two_units
from condvae.errors import Refused
from condvae.intake import one_request, shown
from condvae.learned import Columns, whole
from condvae.replies import Reply, counted, is_arrays, write_npz
from condvae.runs import Run, opened
from condvae.strolls import numbers_of
from condvae.studio import check_targets
from condvae.table_tasks import no_pictures
from condvae.walks import checked_units, reach_in

__all__ = ["plane", "point"]

Units = str | Sequence[int] | None

MOST = 50  # pictures a side
FURTHEST = 20.0  # deviations: beyond, no picture is meant
KEPT = 8  # origins of a run that are kept for the next point
T = TypeVar("T")

HELD: WeakKeyDictionary[Run, dict[Any, Any]] = WeakKeyDictionary()  # a page asks point after point of one plane


def plane(
    run: str | Run,
    words: Sequence[str] = (),
    size: int = 15,
    units: Units = None,
    reach: float = 2.5,
    out: str | None = None,
    seed: int = 0,
) -> Reply:
    """The plane of two latent units, size x size pictures edge to edge; or an npz.

    All else stays as in the first picture that `generate` draws of what `words` ask, with the seed: it is the middle.
    units: two units of the model's first latent (a ladder's topmost), numbers or written 3,7; by default the two that
    say most of the model's drawings. Columns go along the first of them, rows along the second, from `reach` deviations
    below the middle to as many above.

    data: `units` [2], `reach`, `size`, `at` [size] (deviations: row r, column c lies at (at[c], at[r])), `cell` (pixels
    of a picture in the sheet: wide, tall), `base` [2] and `deviation` [2] (z of the two in the middle, and what one
    deviation of each is), `given` (what the middle shows, in words). An npz holds `images` [size, size, C, H, W]
    float32, and `units` and `at`.

    Raises:
        Refused: words, units, numbers or a file that cannot be used; runs with a single unit, DRAW's and tables'.
    """
    drawer = opened(run)
    known = asked(drawer, words)
    target, size, reach = check_targets(out), whole(size, "size", 2, MOST), reach_in(reach)
    origin, chosen = settled(drawer, known, units, seed)
    at = np.linspace(-reach, reach, size)
    spots = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)  # along a row the first changes
    images = crossed(drawer.learned, origin, chosen, spots).reshape(size, size, *drawer.shape)
    data = {**said_of(drawer, origin, chosen), "reach": reach, "size": size, "at": at.tolist()}
    arrays = {"images": images, "units": np.asarray(chosen), "at": at}
    if is_arrays(target):
        path = write_npz(target, arrays)
    else:
        sheet = pictures.manifold(images)
        data["cell"] = [sheet.width // size, sheet.height // size]
        path = pictures.save(sheet, target)
    said = f"{size} x {size} pictures around a drawing of {data['given']}, units {chosen[0]} and {chosen[1]}: {path}"
    return Reply((said,), data, (path,), (), arrays)


def point(
    run: str | Run,
    words: Sequence[str] = (),
    at: str | Sequence[float] = (0.0, 0.0),
    units: Units = None,
    out: str | None = None,
    seed: int = 0,
) -> Reply:
    """The picture at one point of that plane, bit by bit that of the plane's cell there; or an npz.

    at: deviations along the first and the second unit, numbers or written 0.5,-1. The other arguments, data and
    refusals as in `plane`; data holds `at` [2], too. An npz holds `images` [1, C, H, W] float32.
    """
    drawer = opened(run)
    known = asked(drawer, words)
    target, place = check_targets(out), place_of(at)
    origin, chosen = settled(drawer, known, units, seed)
    images = crossed(drawer.learned, origin, chosen, np.asarray([place]))
    data = {**said_of(drawer, origin, chosen), "at": list(place)}
    arrays = {"images": images, "units": np.asarray(chosen), "at": np.asarray(place)}
    drawn = None if is_arrays(target) else pictures.grid(images, 1, pad=0)
    path = write_npz(target, arrays) if drawn is None else pictures.save(drawn, target)
    where = " and ".join(f"unit {unit} at {there:g}" for unit, there in zip(chosen, place, strict=True))
    return Reply((f"{where} deviations from a drawing of {data['given']}: {path}",), data, (path,), (), arrays)


def asked(drawer: Run, words: Sequence[str]) -> dict[str, Any]:
    """What is asked of a plane, one value a field."""
    no_pictures(drawer.outputs, "plane")
    return one_request(words, drawer.schema, "a plane")


def settled(drawer: Run, known: dict[str, Any], units: Units, seed: int) -> tuple[Origin, tuple[int, int]]:
    """The plane's origin and its two units."""
    name = (repr(sorted(known.items())), whole(seed, "seed", 0))
    origin = held(drawer, name, lambda: origin_of(drawer.learned, known, seed))
    if units is None:
        return origin, held(drawer, "units", lambda: two_units(drawer.learned, origin.width))
    chosen = checked_units(numbers_of(units) if isinstance(units, str) else units, origin.width)
    if len(chosen) != 2:
        raise Refused(f"a plane has two units, such as 0,1; got {counted(len(chosen), 'unit')}")
    return origin, (chosen[0], chosen[1])


def held(drawer: Run, name: Any, make: Callable[[], T]) -> T:
    """What was made of a run under this name before, or is made now; the newest few are kept."""
    kept = HELD.setdefault(drawer, {})
    if name not in kept:
        made = make()
        for old in [one for one in list(kept) if one != "units"][: max(0, len(kept) - KEPT)]:
            kept.pop(old, None)
        kept[name] = made
    return kept[name]


def said_of(drawer: Run, origin: Origin, units: tuple[int, int]) -> dict[str, Any]:
    """What a plane is, for a program."""
    chosen = list(units)
    middle = {"base": origin.z[chosen].tolist(), "deviation": origin.deviations[chosen].tolist()}
    return {"units": chosen, **middle, "given": told(drawer, origin.columns)}


def told(drawer: Run, columns: Columns) -> str:
    """What the middle shows, in words: `digit 3`; unknown fields are left out."""
    parts = [
        f"{one.name} {one.values[columns[one.name][0]]}" for one in drawer.schema.labels if columns[one.name][0] >= 0
    ]
    for field in drawer.schema.numbers:
        entry = columns[field.name][0]
        if not np.isnan(entry).any():
            parts.append(f"{field.name} {shown(entry)}")
    return ", ".join(parts) or "nothing in particular"


def place_of(at: str | Sequence[float]) -> tuple[float, float]:
    """`0.5,-1`, or two numbers, as a point; Refused where it is none, or lies 20 deviations away or further."""
    try:
        first, second = (float(one) for one in (at.split(",") if isinstance(at, str) else at))
    except (TypeError, ValueError):
        raise Refused(f"a point is two numbers of deviations, written 0.5,-1; got {at!r}") from None
    if not all(math.isfinite(one) and abs(one) < FURTHEST for one in (first, second)):
        raise Refused(
            f"a point lies less than {FURTHEST:g} deviations from the middle each way; got {first:g},{second:g}"
        )
    return first, second
