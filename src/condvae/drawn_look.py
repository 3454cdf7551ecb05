"""What cartoon faces look like: expressions as arcs, palettes, and the sizes and colours that style gives.

A head's coordinates (see `condvae.drawn_shapes.Plane`) are 0 in the middle of the head. It turns as a cylinder does:
what lies beside the middle moves sideways and narrows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Look", "between", "darker", "lighter", "look_of", "outline"]

Array = np.ndarray
Palette = tuple[tuple[int, int, int], ...]

# Of each expression: the kind of mouth; its width, upper and lower arc (of a bar: its bend and half its height); height
# of the eyes above and below their middle, their tilt, the iris; eyebrows' height, tilt (inner end up) and arch.
MOODS: dict[str, tuple[str, tuple[float, ...]]] = {
    "neutral": ("line", (0.150, 0.012, 0.016, 0.090, 0.075, 0.00, 0.72, 0.200, 0.00, 0.030)),
    "happy": ("smile", (0.215, 0.015, 0.200, 0.100, 0.040, 0.00, 0.74, 0.225, 0.04, 0.055)),
    "sad": ("line", (0.150, -0.095, -0.090, 0.070, 0.080, 0.24, 0.72, 0.220, 0.50, 0.010)),
    "angry": ("bar", (0.115, -0.024, 0.044, 0.065, 0.065, -0.28, 0.62, 0.160, -0.52, 0.005)),
    "surprised": ("round", (0.095, -0.100, 0.130, 0.130, 0.120, 0.00, 0.50, 0.275, 0.00, 0.070)),
}

SKIN: dict[str, tuple[int, int, int]] = {
    "light": (250, 218, 194),
    "tan": (224, 172, 128),
    "brown": (178, 122, 84),
    "dark": (124, 84, 66),
}
HAIR: dict[str, tuple[int, int, int]] = {
    "black": (38, 34, 42),
    "brown": (86, 50, 28),
    "blond": (232, 190, 96),
    "red": (200, 84, 40),
    "grey": (168, 170, 178),
}
EYES: Palette = ((88, 58, 38), (58, 112, 168), (74, 130, 84), (120, 132, 140), (140, 96, 44))
CLOTHES: Palette = (
    (214, 88, 82),
    (64, 120, 176),
    (72, 148, 120),
    (238, 176, 72),
    (128, 96, 164),
    (60, 72, 96),
    (228, 128, 148),
    (240, 236, 226),
)
WALLS: Palette = (
    (178, 214, 232),
    (250, 222, 170),
    (196, 224, 192),
    (232, 200, 214),
    (206, 202, 232),
    (242, 206, 184),
    (186, 222, 216),
    (220, 220, 214),
)
RIMS: Palette = ((44, 40, 48), (120, 60, 40), (50, 84, 140), (160, 48, 60))


@dataclass(frozen=True)
class Look:
    """What B faces look like. Sizes are float32 [B, 1, 1], colours [B, 3] in 0..1, flags and `hair` [B].

    sine and cosine are the turn's; the mouth and the eyes lie between two arcs (`lens`), up and low of them.
    """

    sine: Array
    cosine: Array
    width: Array
    length: Array
    taper: Array
    hair: Array
    sweep: Array
    parted: Array
    neckline: Array
    eye_distance: Array
    eye_width: Array
    eye_up: Array
    eye_low: Array
    eye_tilt: Array
    iris: Array
    lashes: Array
    brow_height: Array
    brow_tilt: Array
    brow_arch: Array
    brow_half: Array
    mouth_width: Array
    mouth_up: Array
    mouth_low: Array
    mouth_kind: Array
    nose_length: Array
    blush: Array
    freckled: Array
    spectacled: Array
    bearded: Array
    skin_colour: Array
    hair_colour: Array
    eye_colour: Array
    cloth_colour: Array
    rim_colour: Array
    back_colour: Array

    def take(self, index: Array) -> Look:
        """The faces of `index`, in its order."""
        return Look(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def turned(self, x: Array | float, depth: float = 0.97) -> tuple[Array, Array]:
        """Where what lies at x of a face seen from the front is seen, and how much it narrows; depth: in widths."""
        radius = depth * self.width
        side = x / radius
        front = np.sqrt(1 - side * side)
        return radius * (side * self.cosine + front * self.sine), (
            np.maximum(front * self.cosine - side * self.sine, np.float32(0.1)) / front
        )


def look_of(labels: Mapping[str, Array], pose: Array, style: Mapping[str, Array]) -> Look:
    """Sizes and colours of B faces: labels, text [B], by factor; pose [B, 1, 1] in -1..1; style [B, 1, 1] in 0..1, by
    name.
    """
    table = np.asarray([numbers for _, numbers in MOODS.values()], np.float32)
    code = np.asarray([list(MOODS).index(one) for one in labels["expression"].tolist()])
    mood = table[0] + between(style["strength"], 0.75, 1.1)[:, :, 0] * (table[code] - table[0])  # [B, 10]
    wide, up, low, eye_up, eye_low, tilt, iris, height, slant, arch = mood.T[:, :, None, None]
    kinds = np.asarray([kind for kind, _ in MOODS.values()])
    bald = labels["hair"][:, None, None] == "bald"
    turn = np.float32(0.28) * pose  # tangent of half the angle, up to 31 degrees
    width, eye_size = between(style["width"], 0.43, 0.49), between(style["eye_size"], 0.9, 1.15)
    parting = style["parting"]
    eye_width = 0.115 * eye_size
    return Look(
        sine=2 * turn / (1 + turn**2),
        cosine=(1 - turn**2) / (1 + turn**2),
        width=width,
        length=between(style["length"], 0.54, 0.61),
        taper=between(style["jaw"], 0.02, 0.26),
        hair=labels["hair"],
        sweep=between(style["sweep"], -0.18, 0.18),
        parted=np.where(parting < 0.5, 0, np.where(parting < 0.75, -1, 1)).astype(np.float32),
        neckline=between(style["neckline"], 0.03, 0.10),
        eye_distance=width * between(style["eye_distance"], 0.40, 0.47),
        eye_width=eye_width,
        eye_up=eye_up * eye_size,
        eye_low=eye_low * eye_size,
        eye_tilt=tilt,
        iris=iris,
        lashes=(style["lashes"] < 0.45).astype(np.float32),
        brow_height=height,
        brow_tilt=slant,
        brow_arch=arch,
        brow_half=between(style["brows"], 0.022, 0.036) * np.where(bald, np.float32(1.25), np.float32(1)),
        mouth_width=wide * between(style["mouth"], 0.88, 1.12),
        mouth_up=up,
        mouth_low=low,
        mouth_kind=kinds[code][:, None, None],
        nose_length=between(style["nose"], 0.05, 0.10),
        blush=between(style["blush"], 0.05, 0.35),
        freckled=style["freckles"][:, 0, 0] < 0.16,
        spectacled=style["glasses"][:, 0, 0] < 0.2,
        bearded=style["beard"][:, 0, 0] < 0.15,
        skin_colour=varied([SKIN[one] for one in labels["skin"].tolist()], style["skin_light"], style["skin_warmth"]),
        hair_colour=varied(
            [HAIR[one] for one in labels["hair_colour"].tolist()], style["hair_light"], style["hair_warmth"]
        ),
        eye_colour=picked(EYES, style["eye_colour"]) / np.float32(255),
        cloth_colour=varied(picked(CLOTHES, style["clothes"]), style["clothes_shade"], style["clothes_shade"]),
        rim_colour=picked(RIMS, style["rims"]) / np.float32(255),
        back_colour=varied(picked(WALLS, style["wall"]), style["wall_shade"], style["wall_shade"]),
    )


def between(share: Array, low: float, high: float) -> Array:
    """A uniform number in 0..1 as one in low..high."""
    return np.float32(low) + np.float32(high - low) * share


def picked(palette: Palette, share: Array) -> Array:
    """One colour of a palette a face, [B, 3] of 0..255."""
    place = np.minimum((share[:, 0, 0] * len(palette)).astype(np.int64), len(palette) - 1)
    return np.asarray(palette, np.float32)[place]


def varied(colours: Array | Sequence[tuple[int, int, int]], light: Array, warmth: Array) -> Array:
    """Colours [B, 3] of 0..255 as 0..1, each a little lighter or darker, warmer or cooler."""
    near = np.asarray(colours, np.float32) / np.float32(255)
    red = between(warmth[:, 0], -0.01, 0.02)
    return np.clip(near * between(light[:, 0], 0.94, 1.05) + red * np.array([[1, 0, -1]], np.float32), 0, 1)


def darker(colour: Array, share: float) -> Array:
    """A colour in shade: red keeps a little more than green and blue."""
    return colour * np.array([share**0.85, share, share**0.95], np.float32)


def lighter(colour: Array, share: float) -> Array:
    """A colour on its way to white."""
    return colour + share * (1 - colour)


def outline(colour: Array) -> Array:
    """Lips: skin, darker and redder."""
    return colour * np.array([0.46, 0.22, 0.22], np.float32) + np.array([0.05, 0.0, 0.01], np.float32)
