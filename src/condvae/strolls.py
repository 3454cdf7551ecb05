"""Walks through the latents in words: between two pictures, along units or a field, from component to component.

As in `condvae.studio`, words and files come in as a person gives them, and a `Reply` goes out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condvae import pictures
from condvae.errors import Refused
from condvae.gallery import component_rows
from condvae.intake import Seen, one_request, read_image, shown
from condvae.learned import whole
from condvae.replies import Reply, check_amount, counted, is_arrays, write_npz
from condvae.runs import Run, opened
from condvae.studio import MOST_VALUES, as_read, check_targets, looked_at
from condvae.table_tasks import no_pictures
from condvae.walks import REACH, Walk

__all__ = ["components", "interpolate", "traverse"]

ROWS = 10  # of a walk, as a rule


def interpolate(
    run: str | Run,
    a: str | None = None,
    b: str | None = None,
    begin: Sequence[str] = (),
    end: Sequence[str] = (),
    given: Sequence[str] = (),
    steps: int = 9,
    out: str | None = None,
    seed: int = 0,
) -> Reply:
    """From one picture to another through the latents: a strip, an animation there and back (.gif), or an npz.

    a, b: image files, or neither: then both ends are drawn with the seed. begin, end: what the ends show, or are to
    show, FIELD=VALUE; given: what both do. An npz holds `images` [steps, C, H, W] float32 in [0, 1].
    """
    drawer = opened(run)
    no_pictures(drawer.outputs, "interpolate")
    both = one_request(given, drawer.schema, "--given")
    known = [both | one_request(begin, drawer.schema, "--from"), both | one_request(end, drawer.schema, "--to")]
    target = check_targets(out)
    check_steps(steps, drawer)
    ends = [as_read(drawer, one) for one in ends_of(drawer, a, b, known, seed)]
    images = drawer.interpolate(ends[0].x, ends[1].x, ends[0].given, ends[1].given, steps)[0]
    arrays = {"images": images}
    path = write_npz(target, arrays) if is_arrays(target) else drawn(target, images[None])
    said = f"{counted(len(images), 'step')} from {ends[0].names[0]} to {ends[1].names[0]}: {path}"
    return Reply((said,), None, (path,), tuple(dict.fromkeys((*ends[0].notes, *ends[1].notes))), arrays)


def ends_of(drawer: Run, a: str | None, b: str | None, known: Sequence[dict[str, Any]], seed: int) -> list[Seen]:
    """The two pictures of an interpolation with what is known of them, from files or drawn."""
    if (a is None) != (b is None):
        raise Refused("interpolate takes two image files, or none and --from and --to; one came")
    if a is not None and b is not None:
        return [picture_of(drawer, image, told) for image, told in zip((a, b), known, strict=True)]
    names = list(dict.fromkeys(name for told in known for name in told))
    if not names and drawer.schema.fields:
        raise Refused("say what to go between: two image files, or --from FIELD=VALUE and --to FIELD=VALUE")
    asked = {name: [told.get(name) for told in known] for name in names}
    x = drawer.generate(asked, 1, seed)[:, 0] if names else drawer.generate(None, 2, seed)
    told = [", ".join(f"{name} {shown(value)}" for name, value in one.items()) or "a drawing" for one in known]
    return [Seen(x[i : i + 1], once(one), (told[i],)) for i, one in enumerate(known)]


def picture_of(drawer: Run, image: str, known: dict[str, Any]) -> Seen:
    """An image file in the run's shape, with what is known of it."""
    path = Path(image).expanduser()
    x, notes = read_image(path, drawer.shape)
    return looked_at(drawer, Seen(x[None], once(known), (path.name,), notes))


def once(values: dict[str, Any]) -> dict[str, list[Any]]:
    """One value a field as columns of one row."""
    return {name: [value] for name, value in values.items()}


def traverse(
    run: str | Run,
    words: Sequence[str] = (),
    image: str | None = None,
    given: Sequence[str] = (),
    units: str | None = None,
    field: str | None = None,
    steps: int = 9,
    reach: float = REACH,
    out: str | None = None,
    seed: int = 0,
) -> Reply:
    """Latent units, or a field, moved one by one: a row each, an animation of all rows at once (.gif), or an npz.

    From a drawing of what `words` ask, or from an image file, of which `given` says what it shows. units: numbers,
    written 0,3,7. An npz holds `images` [R, S, C, H, W] float32 in [0, 1], `units` [R], and `at` [R, S], the unit's z
    or the field's values.
    """
    drawer = opened(run)
    no_pictures(drawer.outputs, "traverse")
    if words and image is not None:
        raise Refused("what --image shows is said with --given FIELD=VALUE; FIELD=VALUE alone asks for a drawing")
    if given and image is None:
        raise Refused("--given says what --image shows, and no image came; ask for a drawing with FIELD=VALUE alone")
    known = one_request(given or words, drawer.schema, "--given" if given else "a walk")
    wanted = None if units is None else numbers_of(units)
    target = check_targets(out)
    check_steps(steps, drawer)
    start = None if image is None else as_read(drawer, picture_of(drawer, image, known))
    x, told = (None, known) if start is None else (start.x, start.given)
    walk = drawer.traverse(x, told, wanted, field, steps, reach, seed)
    if is_arrays(target):
        path = write_npz(target, {"images": walk.images, "units": np.asarray(walk.units, np.int64), "at": walk.at})
    else:
        path = drawn(target, walk.images, walk.names)
    what = counted(len(walk.units), "unit") if walk.units else field
    whence = start.names[0] if start is not None else "a drawing"
    said = f"{what} in {counted(walk.at.shape[1], 'step')} from {whence}: {path}"
    return Reply((said, *ways(walk)), None, (path,), () if start is None else start.notes)


def check_steps(steps: int, drawer: Run) -> None:
    """Refuse rows of more pictures than memory holds, before any work is done."""
    whole(steps, "steps", 2, MOST_VALUES // (ROWS * math.prod(drawer.shape)))


def numbers_of(units: str) -> list[int]:
    """`0,3,7` -> [0, 3, 7]; Refused where it is no such list."""
    parts = [part.strip() for part in units.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise Refused(f"--units are numbers, written 0,3,7; got {units!r}")
    return [int(part) for part in parts]


def ways(walk: Walk) -> list[str]:
    """How far each row went, in words."""
    ends = walk.at[:, [0, -1]].tolist()
    words = [[one if isinstance(one, str) else f"{one:.3g}" for one in pair] for pair in ends]
    return [f"{name}: {first} to {last}" for name, (first, last) in zip(walk.names, words, strict=True)]


def drawn(target: str, images: np.ndarray, names: Sequence[str] | None = None) -> Path:
    """Rows of pictures [R, S, C, H, W] written as a sheet; as a GIF all rows move at once, there and back."""
    if Path(target).suffix.lower() != ".gif":
        return pictures.save(pictures.grid(images, labels=names), target)
    there_and_back = [*range(images.shape[1]), *range(images.shape[1] - 2, 0, -1)]
    frames = [pictures.grid(images[:, step, None], labels=names) for step in there_and_back]
    return pictures.animation(frames, target, hold=0)


def components(
    run: str | Run,
    words: Sequence[str] = (),
    n: int = 8,
    most: int = 8,
    out: str | None = None,
    seed: int = 0,
) -> Reply:
    """The heaviest components of the mixture fitted to the latents, under what is asked: a row each, its mean first and
    n draws beside it; or an npz: `weights` [m], `means` [m, C, H, W], `images` [m, n, C, H, W], `z` [m, 1 + n, Z].
    """
    drawer = opened(run)
    no_pictures(drawer.outputs, "components")
    asked = one_request(words, drawer.schema, "components")
    target = check_targets(out)
    check_amount(n, max(1, most) * math.prod(drawer.shape), MOST_VALUES)
    found = drawer.components(asked, n, most, seed)
    if is_arrays(target):
        arrays = {"weights": found.weights, "means": found.means, "images": found.images, "z": found.z}
        path = write_npz(target, {**arrays, "seed": np.asarray(seed)})
    else:
        path = pictures.save(component_rows(found), target)
    share = 100 * float(found.weights.sum())
    which = "all" if len(found.weights) == found.count else f"the heaviest {len(found.weights)}"
    said = f"{counted(found.count, 'component')}; shown: {which}, {share:.1f} % of the weight: {path}"
    return Reply((said,), None, (path,))
