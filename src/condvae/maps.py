"""Maps of latents: where the codes of labelled images lie, for all labels and for one. See `maps_numbers`, too.

Where latents follow the prior N(0, I), the circles of radius 1, 2 and 3 hold 39 %, 86 % and 99 % of the
points of a plane. Every function returns a PIL image in mode RGB.
"""

import colorsys
from collections.abc import Sequence
from numbers import Integral

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from PIL import Image

from condvae.errors import Refused, suggest
from condvae.figures import INK, SOFT, WIDTH, figure, head, legend, note, rendered, write
from condvae.names import label_name, sort_names
from condvae.sheets import Images, pixels

__all__ = ["colours", "latent_map", "latent_scatter_pair"]

Colour = tuple[float, float, float]
UNKNOWN: Colour = (0.65, 0.65, 0.65)
TEN: list[Colour] = [(red, green, blue) for red, green, blue, _ in map(colormaps["tab10"], range(10))]


def latent_map(
    z: Images,
    labels: Sequence[object] | Images | None = None,
    names: Sequence[object] | None = None,
    title: str = "",
    images: Images | None = None,
    circles: bool = True,
    said: str = "",
) -> Image.Image:
    """Latents as points, coloured by label.

    Up to 20 labels stand in a legend, up to 60 at the median of their points, more are coloured only.

    Args:
        z: [N, 2], or [N, 1]: then one strip a label, points scattered upwards to be seen.
        labels: N labels (None = unknown, grey); whole numbers count into `names` where names are given, and
            one below 0 is unknown. None draws all points alike.
        names: the labels in their order; None takes those that occur.
        images: [N, C, H, W], one an occupied cell is drawn on the map, moved to the middle of its cell; only for
            [N, 2].
        circles: draw the circles of N(0, I) (lines for [N, 1]); False for coordinates that are not latents.
        said: small print at the foot, one line.

    Raises:
        Refused: for other shapes, values that are not finite, no points, or a label that is not in names.
    """
    points = points_of(z)
    codes, known = _codes(labels, names, len(points))
    check_tiles(images, points)
    if points.shape[1] == 1:
        drawing, (axes,) = figure(1, title, (WIDTH, min(30.0, 1.6 + 0.34 * max(1, len(known)))))
        _strips(axes, points[:, 0], codes, known, circles)
    else:
        drawing, (axes,) = figure(1, title, (WIDTH, 6.2))
        draw(axes, points, _shades(codes, len(known)), circles, images)
        _name(axes, points, codes, known)
    note(drawing, said)
    return rendered(drawing)


def latent_scatter_pair(
    z: Images,
    labels: Sequence[object] | Images,
    one: object,
    names: Sequence[object] | None = None,
    title: str = "",
) -> Image.Image:
    """The latents of all labels, and beside them, in the same view, of one: does each label fill N(0, I)?

    After Agustinus Kristiadi, "Conditional Variational Autoencoder: Intuition and Implementation", 2016.

    Args:
        z: [N, 2]; labels, names: as in `latent_map`.
        one: the label that the second panel shows.

    Raises:
        Refused: as in `latent_map`, and for a label that no point bears.
    """
    points = points_of(z)
    if points.shape[1] != 2:
        raise Refused("z must be [N, 2] for a pair of maps, but came as [N, 1]; draw it with latent_map.")
    codes, known = _codes(labels, names, len(points))
    asked = label_name(one)
    if asked is None or asked not in known or not (codes == known.index(asked)).any():
        raise Refused(
            f"one must be a label of at least one point, but is {one!r}{suggest(str(one), known)};"
            f" the labels are {', '.join(known[:20])}."
        )
    chosen = codes == known.index(asked)
    drawing, (left, right) = figure(2, title, (WIDTH, 4.2 if title else 3.9))
    seen, shades = view(points, True), _shades(codes, len(known))
    _scatter(left, points, shades, seen, True, 1.0, len(points))
    _scatter(right, points[chosen], shades[chosen], seen, True, 1.0, len(points))
    head(left, "all labels")
    head(right, f"only {asked}")
    if len(known) <= 20:
        handles = [dot(colour) for colour in colours(len(known))]
        legend(left, handles, known, "under", 10 if max(map(len, known)) <= 3 else 4)
    return rendered(drawing)


def points_of(z: Images) -> np.ndarray:
    """Coordinates as float64, [N, 2] or [N, 1]; Refused where they are neither, or not finite."""
    points = (z.detach().cpu().double().numpy() if isinstance(z, torch.Tensor) else np.asarray(z)).astype(np.float64)
    if points.ndim != 2 or points.shape[1] not in (1, 2) or len(points) == 0:
        raise Refused(
            f"z must be [N, 2] or [N, 1] with at least one point, but came with the shape"
            f" {list(points.shape)}; reduce wider latents to two first."
        )
    if not np.isfinite(points).all():
        raise Refused("z must be finite, but holds NaN or infinite values; leave those rows out.")
    return points


def check_tiles(images: Images | None, points: np.ndarray) -> None:
    """Refuse images that are not one a point, or for which a strip has no room."""
    if images is None:
        return
    if points.shape[1] == 1:
        raise Refused("images have no room on the map of one latent; leave them out, or map it by t-SNE.")
    if np.ndim(images) != 4 or len(images) != len(points):
        raise Refused(f"images must be [N, C, H, W] with N = {len(points)}, but {len(images)} came; give one a point.")


def _codes(
    labels: Sequence[object] | Images | None, names: Sequence[object] | None, count: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The labels as places in the tuple of names, -1 where unknown."""
    if labels is None:
        return np.full(count, -1), ()
    given = labels.tolist() if isinstance(labels, (np.ndarray, torch.Tensor)) else list(labels)
    if len(given) != count:
        raise Refused(f"labels must be one a point, {count} in all, but {len(given)} came; match them.")
    known = () if names is None else tuple(label_name(name) or "" for name in names)
    if names is not None and all(type(label) is not bool and isinstance(label, Integral) for label in given):
        codes = np.array(given, dtype=np.int64)
        if codes.max() >= len(known):
            raise Refused(
                f"labels must count into the {len(known)} names, from 0, but {codes.max()} came;"
                " give labels by name instead."
            )
        return np.maximum(codes, -1), known
    called = [label_name(label) for label in given]
    if names is None:
        known = sort_names(name for name in called if name is not None)
    places = {name: i for i, name in enumerate(known)}
    strange = next((name for name in called if name is not None and name not in places), None)
    if strange is not None:
        raise Refused(f"labels holds {strange!r}, which is not in names{suggest(strange, known)}; add it there.")
    return np.array([-1 if name is None else places[name] for name in called]), known


def colours(count: int) -> list[Colour]:
    """Ten well-known colours; for more a wheel, whose neighbours differ in lightness as well."""
    if count <= 10:
        return list(TEN[:count])
    lights = (0.38, 0.58, 0.48)
    return [colorsys.hls_to_rgb(i / count, lights[i % 3], 0.72) for i in range(count)]


def _shades(codes: np.ndarray, count: int) -> np.ndarray:
    """The colours of points, [N, 3]."""
    return np.array([*colours(count), UNKNOWN])[codes]


def dot(colour: Colour) -> Line2D:
    """The sign of a point in a legend."""
    return Line2D([], [], ls="", marker="o", color=colour, ms=6)


def view(points: np.ndarray, circles: bool) -> tuple[float, float, float]:
    """Middle and half side of a square that holds all but the outermost points, and the circles."""
    share = 0.1 if len(points) >= 1000 else 0.0
    low, high = np.percentile(points, [share, 100 - share], axis=0)
    if circles:
        low, high = np.minimum(low, -3.05), np.maximum(high, 3.05)
    half = max(float((high - low).max()) / 2, 1e-6)
    return float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2, 1.05 * half


def draw(axes: Axes, points: np.ndarray, shades: np.ndarray, circles: bool, images: Images | None) -> None:
    """Points [N, 2] in their colours [N, 3], and over them the images [N, C, H, W] nearest to the middle of cells."""
    tiles = None if images is None else pixels(images)
    seen = view(points, circles)
    _scatter(axes, points, shades, seen, circles, 1.0 if tiles is None else 0.35, len(points))
    if tiles is not None:
        _thumbnails(axes, points, tiles, shades, seen)


def _scatter(
    axes: Axes,
    points: np.ndarray,
    shades: np.ndarray,
    seen: tuple[float, float, float],
    circles: bool,
    strength: float,
    crowd: int,
) -> None:
    if circles:
        for radius in (1, 2, 3):
            axes.add_patch(Circle((0, 0), radius, fill=False, ec=SOFT, lw=0.9, ls=(0, (4, 3)), zorder=4))
            text = axes.text(0, radius, "", ha="center", va="center", color=SOFT, zorder=4.5)
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])
            write(text, f"{radius}σ", 8)
    order = np.random.default_rng(0).permutation(len(points))  # else the last label would cover the others
    size = float(np.clip(24000 / crowd, 4, 26))
    alpha = strength * float(np.clip(2500 / crowd, 0.55, 0.85))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=circles))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=circles))
    axes.scatter(*points[order].T, s=size, c=shades[order], alpha=alpha, lw=0, zorder=3)
    x, y, half = seen
    axes.set_aspect("equal")
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y - half, y + half)
    outside = int((np.abs(points - (x, y)) > half).any(axis=1).sum())
    if outside:
        axes.set_xlabel(" ", color=SOFT, loc="right")
        write(axes.xaxis.label, f"{outside:,} of {len(points):,} points lie outside", 8)


def _name(axes: Axes, points: np.ndarray, codes: np.ndarray, known: Sequence[str]) -> None:
    if 0 < len(known) <= 20:
        handles = [dot(colour) for colour in colours(len(known))]
        blank = [dot(UNKNOWN)] if (codes < 0).any() else []
        legend(axes, handles + blank, [*known, *(["unknown"] * len(blank))], "right")
    elif len(known) <= 60:
        for code, name in enumerate(known):
            if (codes == code).any():
                x, y = np.median(points[codes == code], axis=0)
                text = axes.text(x, y, "", ha="center", va="center", color=INK, zorder=8, clip_on=True)
                text.set_path_effects([withStroke(linewidth=4, foreground="white")])
                write(text, name, 11)


def _thumbnails(
    axes: Axes,
    points: np.ndarray,
    tiles: np.ndarray,
    shades: np.ndarray,
    seen: tuple[float, float, float],
) -> None:
    x, y, half = seen
    cells = 18
    side = 2 * half / cells
    place = np.floor((points - (x - half, y - half)) / side).astype(int)  # [N, 2]
    middle = (x - half, y - half) + (place + 0.5) * side
    far = ((points - middle) ** 2).sum(axis=1)
    nearest: dict[tuple[int, int], int] = {}
    for i in np.argsort(far):
        if (place[i] >= 0).all() and (place[i] < cells).all():
            nearest.setdefault((int(place[i, 0]), int(place[i, 1])), int(i))
    tall, wide = tiles.shape[1:3]
    up, along = 0.43 * side * tall / max(tall, wide), 0.43 * side * wide / max(tall, wide)
    for i in nearest.values():
        left, bottom = middle[i] - (along, up)
        axes.imshow(tiles[i], extent=(left, left + 2 * along, bottom, bottom + 2 * up), zorder=5)
        axes.add_patch(Rectangle((left, bottom), 2 * along, 2 * up, fill=False, ec=shades[i], lw=1.6, zorder=6))
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y - half, y + half)


def _strips(axes: Axes, points: np.ndarray, codes: np.ndarray, known: Sequence[str], circles: bool) -> None:
    rows = [*known, "unknown"] if (codes < 0).any() and known else list(known) or [""]
    lift = np.random.default_rng(0).uniform(-0.32, 0.32, len(points))
    base = np.where(codes < 0, len(rows) - 1, codes)
    size = float(np.clip(12000 / len(points), 3, 20))
    axes.scatter(points, base + lift, s=size, c=_shades(codes, len(known)), alpha=0.6, lw=0, zorder=3)
    for sigma in (-3, -2, -1, 1, 2, 3) if circles else ():
        axes.axvline(sigma, color=SOFT, lw=0.9, ls=(0, (4, 3)), zorder=2)
    for row, name in enumerate(rows):
        text = axes.text(-0.01, row, "", transform=axes.get_yaxis_transform(), ha="right", va="center", color=INK)
        write(text, name, 10)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("z", color=SOFT)
