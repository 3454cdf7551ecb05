"""A drawing by hand as the run's own pictures are: its ground, its ink's direction, size, place and thickness.

How those are is learnt from drawings of the run itself, so that nobody has to say it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from condvae.errors import Refused
from condvae.images_files import open_image, resized, to_array
from condvae.inks import FINER, NEAR, cleaned, contrast, enlarged, extent_of, ground_of, laid, levelled, thicker
from condvae.intake import Notes, Reader, read_image
from condvae.nets import Shape
from condvae.runs import Run
from condvae.table_tasks import no_pictures

__all__ = ["Habit", "habit_of", "reader_of", "sketch", "some_drawings"]

DRAWN = 64  # drawings that a run's habit is learnt from
MOST = 640  # pixels of a drawing's longer side that are looked at: more say nothing more
EMPTY = 0.1  # contrast below which a canvas is bare
HAZE = 0.1  # contrast, of the ink's own, below which paper is taken for bare
SOLID = 0.23  # of its box: ink wider than this is no line, and is not made thicker
MOSTLY = 0.6  # share of the edges that must be of the ground's colour: ink may be cut close
TWO = 0.1  # how far the pixels of pictures in two colours lie from the mixtures of both, on average
ALIKE = 0.35  # strokes that are thinner by less than this share stay as they are: hands differ so much


@dataclass(frozen=True, eq=False)
class Habit:
    """How a run draws: colours of ground and ink [C, 1, 1]; in pixels, the longer side of the ink's box, the width of
    its strokes, and where its centre lies (y, x): that of its mass where `massed`, else the middle of its box."""

    ground: np.ndarray
    ink: np.ndarray
    longer: float
    stroke: float
    centre: tuple[float, float]
    massed: bool

    @property
    def lines(self) -> bool:
        """Whether its ink is lines, not areas."""
        return self.stroke < SOLID * self.longer

    @property
    def dark(self) -> bool:
        """Whether its ink is darker than its ground."""
        return float(self.ink.mean()) < float(self.ground.mean())


DRAWINGS: WeakKeyDictionary[Run, np.ndarray] = WeakKeyDictionary()  # a page asks of the same run again and again
HABITS: WeakKeyDictionary[Run, Habit | None] = WeakKeyDictionary()


def some_drawings(run: Run) -> np.ndarray:
    """64 drawings of a run, of nothing in particular, [64, C, H, W]: drawn once a run."""
    if run not in DRAWINGS:
        DRAWINGS[run] = run.generate(None, n=DRAWN)
    return DRAWINGS[run]


def habit_of(run: Run) -> Habit | None:
    """How a run draws, from 64 of its drawings of nothing in particular; None where they have no ground of one colour.

    Learnt once a run.
    """
    if run not in HABITS:
        HABITS[run] = learnt(some_drawings(run))
    return HABITS[run]


def learnt(drawings: np.ndarray) -> Habit | None:
    """The habit that drawings [N, C, H, W] share; None where they are not of one ink on a ground of one colour."""
    ground = ground_of(drawings, MOSTLY)
    if ground is None:
        return None
    depth = contrast(drawings, ground)
    strength = float(np.median(depth.max((1, 2))))
    if strength < NEAR:
        return None
    ink = np.median(drawings.swapaxes(0, 1)[:, depth > 0.8 * strength], 1)[:, None, None]
    share = (depth / contrast(ink, ground))[:, None]
    if float(contrast(drawings, ground + share * (ink - ground))[depth > NEAR].mean()) > TWO:
        return None
    found = [extent_of(enlarged(one / strength, FINER), FINER) for one in depth]
    extents = [one for one in found if one is not None]
    places = {True: np.asarray([one.mass for one in extents]), False: np.asarray([one.middle for one in extents])}
    massed = bool(places[True].std(0).sum() <= places[False].std(0).sum())
    down, across = places[massed].mean(0)
    longer, stroke = (float(np.median([getattr(one, name) for one in extents])) for name in ("longer", "stroke"))
    return Habit(ground, ink, longer, stroke, (float(down), float(across)), massed)


class Bare(Refused):
    """A drawing without ink."""


def reader_of(run: Run, sketched: bool, bare: bool = False) -> Reader | None:
    """How image files are read where they are drawings by hand; None = as they are.

    bare: a drawing without ink is no mistake, and read as it is.
    """

    def read(path: Path, shape: Shape) -> tuple[np.ndarray, Notes]:
        try:
            return sketch(run, path)
        except Bare:
            if not bare:
                raise
            x, notes = read_image(path, shape)
            return x, (*notes, f"{path.name} is bare: no ink was found on it")

    return read if sketched else None


def sketch(run: Run, image: str | Path) -> tuple[np.ndarray, Notes]:
    """A drawing by hand, or a scan of one, as the run's own pictures are: float32 [C, H, W] in [0, 1], and notes.

    Its ink is found by what differs from its border, turned light or dark, cut out, scaled, made as thick as the run's
    own lines where it is thinner, and laid where the run's own ink lies. A file of the run's own size and ground stays
    as it is; so does, but for its size, any where the run's pictures are not of one ink on one ground, or the drawing
    has no ground.

    Raises:
        Refused: a drawing without ink, a file that cannot be read, a run of tables.
    """
    no_pictures(run.outputs, "a sketch")
    path = Path(image).expanduser()
    habit, (channels, height, width) = habit_of(run), run.shape
    notes: list[str] = []
    opened = open_image(path, path.name, notes)
    own = opened.size == (width, height)
    pixels = levelled(shrunk(to_array(opened, channels, path.name, notes)))
    ground = ground_of(pixels[None], MOSTLY)
    if ground is not None and np.ptp(pixels, (1, 2)).max() < EMPTY:
        raise Bare("the drawing is empty: no ink was found on it; draw something")
    same = habit is not None and ground is not None and bool((np.abs(ground - habit.ground) < NEAR).all())
    if habit is None or ground is None or (own and same):
        x, said = read_image(path, run.shape)
        bare = f"{path.name} has no ground of one colour, so that it was not cut to its ink"
        return x, said if habit is None or ground is not None else (*said, bare)
    ink = ink_of(pixels, ground)
    drawn, thickened = as_drawn(ink, habit, (height, width))
    x = habit.ground + drawn * (habit.ink - habit.ground)
    turned = inverted(pixels, ground, ink) != habit.dark
    done = (*(["inverted"] if turned else []), *(["made thicker"] if thickened else []), "scaled and placed")
    notes.append(f"{path.name} was {', '.join(done)} as the model's own pictures are")
    return np.clip(x, 0, 1).astype(np.float32), tuple(notes)


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """Pixels [C, H, W] of at most 640 a side."""
    share = MOST / max(pixels.shape[1:])
    return pixels if share >= 1 else resized(pixels, *(max(1, round(side * share)) for side in pixels.shape[1:]))


def inverted(pixels: np.ndarray, ground: np.ndarray, ink: np.ndarray) -> bool:
    """Whether the ink of a drawing is darker than its ground."""
    return float(pixels[:, ink >= 0.5].mean()) < float(ground.mean())


def ink_of(pixels: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The ink of a drawing [C, H, W] on a ground of that colour: [H, W], 0 = bare, 1 = its full ink; without dust."""
    return cleaned(np.clip((stretched(contrast(pixels, ground)) - HAZE) / (1 - HAZE), 0, 1))


def stretched(ink: np.ndarray) -> np.ndarray:
    """Ink [H, W] scaled so that a quarter of what is more than half full is full: 1."""
    return np.clip(ink / float(np.percentile(ink[ink >= 0.5 * ink.max()], 75)), 0, 1)


def as_drawn(ink: np.ndarray, habit: Habit, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """Ink [h, w] laid as the habit has it in a picture [H, W]; and whether it was made thicker."""
    extent = extent_of(ink)
    assert extent is not None, "the darkest pixels of a drawing are ink"
    top, left, bottom, right = extent.box
    tall, wide = bottom - top, right - left
    side = habit.longer * min(
        1.0, size[0] / (habit.longer * tall / extent.longer), size[1] / (habit.longer * wide / extent.longer)
    )
    scale, by = side / extent.longer, 0.0
    if habit.lines and extent.stroke * scale < (1 - ALIKE) * habit.stroke:
        # the line's middle fills what the model's lines leave of the box: thickening then makes it whole
        scale = (side - habit.stroke) / max(extent.longer - extent.stroke, 1.0)
        by = (habit.stroke - extent.stroke * scale) / 2
    margin = int(max(ink.shape) * 0.03) + 2
    cut = np.pad(ink, margin)[int(top) : int(bottom) + 2 * margin, int(left) : int(right) + 2 * margin]
    fine = enlarged(cut, scale * FINER)
    if by > 0:
        fine = thicker(fine, by * FINER)
    return stretched(laid(fine, size, corner_of(fine, habit, size))), by > 0


def corner_of(fine: np.ndarray, habit: Habit, size: tuple[int, int]) -> tuple[float, float]:
    """Where the corner of enlarged ink goes, so that its centre lies where the habit has it and all of it is seen."""
    extent = extent_of(fine, FINER)
    assert extent is not None
    centre = extent.mass if habit.massed else extent.middle
    found = []
    for axis in (0, 1):
        low, high = extent.box[axis], extent.box[axis + 2]
        corner = habit.centre[axis] - centre[axis]
        found.append(float(np.clip(corner, -low, max(-low, size[axis] - high))))
    return found[0], found[1]
