"""The parts of a cartoon face, painted back to front on a batch of pictures."""

from __future__ import annotations

import numpy as np

from condvae.drawn_look import Look, darker, lighter, outline
from condvae.drawn_shapes import Patch, Plane, box, egg, ellipse, lens, ring, segment, stroke, union

__all__ = [
    "backdrop",
    "beard",
    "brow",
    "ear",
    "eye",
    "face_edge",
    "freckles",
    "mouth",
    "neck_and_clothes",
    "nose",
    "skull",
    "spectacles",
]

Array = np.ndarray

WHITE = np.array([[0.99, 0.985, 0.97]], np.float32)
DARK = np.array([[0.13, 0.10, 0.11]], np.float32)
TONGUE = np.array([[0.86, 0.42, 0.42]], np.float32)
THROAT = np.array([[0.42, 0.11, 0.13]], np.float32)
BLUSH = np.array([[0.90, 0.30, 0.28]], np.float32)

EYES = 0.07  # how far below the middle of the head they lie
MOUTH = 0.36

FRECKLES = ((-0.09, 0.0), (0.0, 0.035), (0.09, 0.0), (-0.045, -0.04), (0.05, -0.045))


def backdrop(look: Look, plane: Plane) -> None:
    """A plain wall, a little lighter behind the head."""
    plane.pictures[...] = look.back_colour[:, :, None, None]
    patch = plane.patch(0, 0, 1.2, 1.2)
    patch.paint(ellipse(patch.x, patch.y + 0.05, 0.78, 0.82), lighter(look.back_colour, 0.35), 1.0, 0.5)


def neck_and_clothes(look: Look, plane: Plane) -> None:
    """Shoulders in a garment with a neckline, and a neck in the shadow of the chin."""
    patch = plane.patch(0, 0.85, 1.1, 0.5)
    x, y = patch.x, patch.y
    patch.paint(ellipse(x, y - 1.28, 0.95, 0.50), look.cloth_colour)
    opening = ellipse(x, y - 0.80, 0.27, 0.05 + look.neckline)
    patch.paint(opening - 0.04, lighter(look.cloth_colour, 0.3))
    patch.paint(opening, look.skin_colour)
    neck = box(x, y - 0.56, 0.19, 0.27, 0.05)
    patch.paint(neck, look.skin_colour)
    shadow = ellipse(x - 0.08 * look.sine, y - 0.22, look.width, look.length)
    patch.paint(np.maximum(union(neck, opening), shadow), darker(look.skin_colour, 0.80))


def face_edge(look: Look, patch: Patch) -> Array:
    """The face and the skull behind it; the chin goes with the turn, the back of the head against it."""
    x, y, sine = patch.x, patch.y, look.sine
    level = y - 0.03
    along = x - sine * (0.03 + 0.17 * np.maximum(y, 0))
    narrowed = along / (1 - look.taper * np.maximum(level, 0) / look.length)
    face = ellipse(narrowed, level, look.width, look.length)
    back = ellipse(x + 0.06 * sine, y + 0.12, look.width * 0.99, look.length * 0.8)
    return union(face, back)


def skull(look: Look, plane: Plane) -> None:
    """The head, its shaded side and the cheeks."""
    patch = plane.patch(0, 0, 0.62, 0.72)
    edge = face_edge(look, patch)
    patch.paint(edge, look.skin_colour)
    side = ellipse(patch.x + 0.10 - 0.22 * look.sine, patch.y + 0.05, look.width, look.length)
    patch.paint(np.maximum(edge, -side), darker(look.skin_colour, 0.90))
    bare = look.hair[:, None, None] == "bald"
    shine = ellipse(patch.x - 0.12 - 0.1 * look.sine, patch.y + 0.40, 0.11, 0.06)
    patch.paint(shine, lighter(look.skin_colour, 0.5), 0.7 * bare.astype(np.float32), 0.03)
    for place in (-1.0, 1.0):
        x, narrow = look.turned(place * (look.eye_distance + 0.07))
        cheek = plane.patch(x, 0.2, 0.2, 0.2)
        round_ = ellipse(cheek.x - x, cheek.y - 0.2, 0.09 * narrow, 0.065)
        cheek.paint(round_, BLUSH, look.blush * narrow, 0.08)


def ear(look: Look, plane: Plane, far: bool = False) -> None:
    """The ears: the far one is painted before the head, which covers it; the near one after."""
    for place in (-1.0, 1.0):
        near = (place * look.sine <= 0).astype(np.float32)
        x = place * look.width * (1.02 - 0.55 * np.abs(look.sine) * (0.6 if far else 1.0))
        patch = plane.patch(x, 0.06, 0.12, 0.16)
        wide = 0.075 + 0.035 * np.abs(look.sine) * near
        u, v = patch.x - x, patch.y - 0.06
        shown = (1 - near) if far else near
        patch.paint(ellipse(u, v, wide, 0.115), darker(look.skin_colour, 0.93), shown)
        patch.paint(ellipse(u - place * 0.018, v, wide * 0.5, 0.065), darker(look.skin_colour, 0.78), shown)


def freckles(look: Look, plane: Plane) -> None:
    """Five dots on each cheek."""
    for place in (-1.0, 1.0):
        x, narrow = look.turned(place * (look.eye_distance + 0.02))
        patch = plane.patch(x, 0.17, 0.2, 0.1)
        dots = [ellipse(patch.x - x - u * narrow, patch.y - 0.17 - v, 0.016, 0.016) for u, v in FRECKLES]
        patch.paint(union(*dots), darker(look.skin_colour, 0.62), 0.8)


def beard(look: Look, plane: Plane) -> None:
    """A full beard: the jaw below the cheeks, and a moustache."""
    patch = plane.patch(0, 0.38, 0.62, 0.42)
    x, narrow = look.turned(0.0)
    colour = darker(look.hair_colour, 0.82)
    bare = ellipse(patch.x - 0.85 * x, patch.y - 0.02, look.width * 0.88, 0.30)
    patch.paint(np.maximum(np.maximum(face_edge(look, patch) - 0.012, -bare), 0.10 - patch.y), colour)
    u, v = patch.x - x, patch.y - MOUTH
    patch.paint(stroke(u, v - look.mouth_up + 0.055, 0.13 * narrow, -0.045, 0.033), colour)
    patch.paint(lips(look, u, v, narrow) - 0.028, look.skin_colour)


def nose(look: Look, plane: Plane) -> None:
    """A round tip with a shaded side, further out than the face and so further sideways."""
    x, _ = look.turned(0.0, 1.22)
    root, _ = look.turned(0.0, 0.95)
    y = 0.12 + look.nose_length
    patch = plane.patch(x, 0.1, 0.25, 0.25)
    u, v = patch.x - x, patch.y - y
    bridge = segment(u, v, root - x, -look.nose_length - 0.03, 0.03)
    patch.paint(bridge, darker(look.skin_colour, 0.93))
    patch.paint(ellipse(u, v, 0.072, 0.052), darker(look.skin_colour, 0.80))
    patch.paint(ellipse(u, v + 0.014, 0.066, 0.045), lighter(darker(look.skin_colour, 0.98), 0.06))
    patch.paint(ellipse(u + 0.018, v + 0.025, 0.02, 0.013), lighter(look.skin_colour, 0.6), 0.5)


def lips(look: Look, u: Array, v: Array, narrow: Array) -> Array:
    """The edge of the mouth: an egg where it is round, a bent bar where teeth are shown, else between two arcs."""
    wide, up, low = look.mouth_width * narrow, look.mouth_up, look.mouth_low
    round_ = egg(u, v, wide, np.maximum(-up, 0.01), np.maximum(low, 0.01))
    bar = stroke(u, v, wide, up, low)
    edge = np.where(look.mouth_kind == "bar", bar, lens(u, v, wide, up, low))
    return np.where(look.mouth_kind == "round", round_, edge)


def mouth(look: Look, plane: Plane) -> None:
    """What lies between the lips: the throat, a tongue where it is open wide enough, teeth."""
    x, narrow = look.turned(0.0)
    patch = plane.patch(x, MOUTH, 0.36, 0.27)
    u, v = patch.x - x, patch.y - MOUTH
    wide, up, low = look.mouth_width * narrow, look.mouth_up, look.mouth_low
    edge = lips(look, u, v, narrow)
    patch.paint(edge - 0.022, outline(look.skin_colour))
    inside = edge + 0.01
    patch.paint(inside, THROAT)
    bar, smile = (look.mouth_kind == kind for kind in ("bar", "smile"))
    tongue = ellipse(u, v - low - 0.02, wide * 0.62, 0.5 * np.maximum(low - np.minimum(up, 0), 0.02))
    patch.paint(np.where(bar, 1, np.maximum(inside, tongue)), TONGUE)
    gap = np.abs(v - up * (1 - (u / wide) ** 2)) - 0.008
    teeth = np.where(bar, np.maximum(inside, -gap), np.maximum(inside, np.where(smile, v - up - 0.34 * (low - up), 1)))
    patch.paint(teeth, WHITE)


def eye(look: Look, plane: Plane, place: float) -> None:
    """White, iris, pupil and a light, cut by the lids; the upper lid carries a dark line, some a lash."""
    x, narrow = look.turned(place * look.eye_distance)
    patch = plane.patch(x, EYES, 0.24, 0.26)
    u, v = patch.x - x, patch.y - EYES
    wide = look.eye_width * narrow
    v = v - place * look.eye_tilt * u
    upper = ellipse(u, v, wide, look.eye_up)
    seen = egg(u, v, wide, look.eye_up, look.eye_low)
    patch.paint(np.maximum(upper - 0.035, v), darker(look.skin_colour, 0.86), 0.8)
    patch.paint(seen, WHITE)
    middle, lifted = u + 0.03 * look.sine, v - 0.3 * (look.eye_low - look.eye_up)
    high = look.iris * look.eye_width
    thin = high * np.minimum(narrow, 1)
    patch.paint(np.maximum(ellipse(middle, lifted, thin, high), seen), look.eye_colour)
    patch.paint(np.maximum(ellipse(middle, lifted, thin * 0.55, high * 0.55), seen), DARK)
    light = ellipse(middle + 0.32 * thin, lifted + 0.36 * high, thin * 0.27, high * 0.27)
    patch.paint(np.maximum(light, seen), WHITE)
    patch.paint(np.maximum(ring(upper, 0.017), v - 0.006), DARK)
    lash = segment(u - place * wide, v, place * 0.035 * narrow, -0.035, 0.013)
    patch.paint(lash, DARK, look.lashes)


def brow(look: Look, plane: Plane, place: float) -> None:
    """An eyebrow: `tilt` lifts its inner end, `arch` its middle."""
    x, narrow = look.turned(place * (look.eye_distance + 0.015))
    y = EYES - look.brow_height
    patch = plane.patch(x, y, 0.26, 0.2)
    wide = 1.12 * look.eye_width * narrow
    u, v = patch.x - x, patch.y - y
    line = stroke(u, v - place * look.brow_tilt * u / narrow, wide, -look.brow_arch, look.brow_half)
    line = np.maximum(line, face_edge(look, patch))
    patch.paint(line - 0.012, darker(look.skin_colour, 0.8), 0.6)
    patch.paint(line, darker(look.hair_colour, 0.9))


def spectacles(look: Look, plane: Plane) -> None:
    """Round glasses: two rims, a bridge, and an arm to each ear."""
    patch = plane.patch(0, EYES, 0.7, 0.3)
    lines = []
    inner = []
    for place in (-1.0, 1.0):
        x, narrow = look.turned(place * (look.eye_distance + 0.01), 1.0)
        wide = 0.165 * narrow
        lines.append(ring(ellipse(patch.x - x, patch.y - EYES - 0.02, wide, 0.165), 0.014))
        inner.append(x - place * wide)
        outer = x + place * wide
        to_ear = np.maximum(look.width * (1 - 0.3 * np.abs(look.sine)) - place * outer, np.float32(0.001))
        lines.append(segment(patch.x - outer, patch.y - EYES, place * to_ear, 0.0, 0.012))
    lines.append(segment(patch.x - inner[0], patch.y - EYES, inner[1] - inner[0], 0.0, 0.014))
    patch.paint(union(*lines), look.rim_colour)
