"""Maps of latents coloured by a number."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from PIL import Image

from condvae import maps
from condvae.errors import Refused
from condvae.figures import INK, SOFT, WIDTH, figure, legend, note, rendered, write
from condvae.sheets import Images

__all__ = ["bounds", "number_map", "scale"]

EDGE = 0.01  # share of the values at either end that share the colour of the end


def scale() -> np.ndarray:
    """The colours of a number from low to high, [256, 3] in [0, 1].

    Viridis, in which equal steps look equal (van der Walt, Smith, "A better default colormap for matplotlib", 2015);
    without its last yellow, which paper does not show.
    """
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.93, 256))[:, :3]


def bounds(values: np.ndarray) -> tuple[float, float]:
    """What the ends of the scale stand for: all known values but the outermost hundredths."""
    low, high = np.nanquantile(values, [EDGE, 1 - EDGE])
    return float(low), float(high) if high > low else float(low) + 1.0


def number_map(
    z: Images,
    values: np.ndarray,
    name: str,
    title: str = "",
    images: Images | None = None,
    circles: bool = True,
    said: str = "",
) -> Image.Image:
    """Latents as points, coloured by a number, with the scale beside them.

    Args:
        z: [N, 2]; or [N, 1]: then the number stands upwards.
        values: N floats, NaN where unknown (grey; left out for [N, 1]). name: of the number.
        title, images, circles, said: as in `maps.latent_map`.

    Raises:
        Refused: as in `maps.latent_map`, and where values are not one a point.
    """
    points, values = maps.points_of(z), np.asarray(values, np.float64)
    if values.shape != (len(points),):
        raise Refused(f"values must be one a point, {len(points)} in all, but came as {list(values.shape)}; match them")
    maps.check_tiles(images, points)
    known = np.isfinite(values)
    if not known.any():
        return maps.latent_map(points, None, None, title, images, circles, said)
    if points.shape[1] == 1:
        drawing, (axes,) = figure(1, title, (WIDTH, 4.4))
        _against(axes, points[known, 0], values[known], name, circles)
    else:
        drawing, (axes,) = figure(1, title, (WIDTH, 6.2))
        low, high = bounds(values)
        tints = ListedColormap(scale())
        shades = tints(np.clip((np.where(known, values, low) - low) / (high - low), 0, 1))[:, :3]
        maps.draw(axes, points, np.where(known[:, None], shades, maps.UNKNOWN), circles, images)
        _bar(drawing, axes, ScalarMappable(Normalize(low, high), tints), values[known], name)
        if not known.all():
            legend(axes, [maps.dot(maps.UNKNOWN)], ["unknown"], "best")
    note(drawing, said)
    return rendered(drawing)


def _bar(drawing: Figure, axes: Axes, tints: ScalarMappable, values: np.ndarray, name: str) -> None:
    low, high = tints.get_clim()
    beyond = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    made = drawing.colorbar(
        tints,
        ax=axes,
        shrink=0.6,
        aspect=28,
        pad=0.02,
        extend=beyond[bool(values.min() < low), bool(values.max() > high)],
    )
    made.outline.set_visible(False)
    made.ax.tick_params(colors=SOFT, labelsize=9.5)
    made.set_label(" ")
    write(made.ax.yaxis.label, name, 10)
    made.ax.yaxis.label.set_color(INK)


def _against(axes: Axes, points: np.ndarray, values: np.ndarray, name: str, circles: bool) -> None:
    axes.scatter(points, values, s=float(np.clip(12000 / len(points), 3, 20)), color=maps.TEN[0], alpha=0.6, lw=0)
    for sigma in (-3, -2, -1, 1, 2, 3) if circles else ():
        axes.axvline(sigma, color=SOFT, lw=0.9, ls=(0, (4, 3)), zorder=0.5)
    axes.set_xlabel("z", color=SOFT)
    write(axes.set_ylabel(" ", color=INK), name, 10)
