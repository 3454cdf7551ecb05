"""What a hand does with pictures: fill the hole in one, write a line of text in one handwriting.

As in `condvae.studio`, words and files come in as a person gives them, and a `Reply` goes out.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from condvae import pictures
from condvae.conditions import Attribute, Label, Schema
from condvae.errors import Refused
from condvae.inks import NEAR, ground_of
from condvae.intake import Heat, Seen, heat_of, one_request, read_image
from condvae.masks import alpha_mask, has_alpha, hole_box, mask_from_image
from condvae.nets import Shape
from condvae.replies import Reply, check_amount, counted, is_arrays, write_npz
from condvae.runs import Run, opened
from condvae.sketches import reader_of
from condvae.studio import MOST_VALUES, check_targets, looked_at, read_as
from condvae.table_tasks import no_pictures
from condvae.tints import coloured, tinted

__all__ = ["fill", "write"]

LINE = 12  # pictures in a line of completions
PAGE = 1.4  # width of a sheet of pairs by its height, about
LONGEST = 200  # characters of a line of text
WIDE, TALL = 1600, 280  # pixels of a drawn line, at most


def fill(
    run: str | Run,
    image: str,
    mask: str | None = None,
    hole: str | None = None,
    n: int = 5,
    out: str | None = None,
    given: Sequence[str] = (),
    seed: int = 0,
    temperature: Heat = 1.0,
    prior: str | None = None,
    pairs: bool = False,
) -> Reply:
    """n completions of what is hidden of an image: a picture with the original first, its hole tinted; or an npz.

    mask: an image file, white = hole; hole: a box "X,Y,W,H" in pixels of the model's pictures; without both the
    transparent parts of the image are the hole. given: what else is known of the image, FIELD=VALUE. prior: as in
    `generate`. pairs: the picture shows each completion beside the original. The npz holds `x` float32 [C, H, W] in
    [0, 1], `seen` bool [1, H, W] and `images` float32 [n, C, H, W].

    Raises:
        Refused: a run that fills no holes; both a mask and a hole, or nothing that is hidden; files and words that
            cannot be used.
    """
    drawer = opened(run)
    no_pictures(drawer.outputs, "fill")
    known = one_request(given, drawer.schema, "--given")
    target = check_targets(out)
    x, notes = read_image(Path(image).expanduser(), drawer.shape)
    seen, more = seen_of(image, mask, hole, drawer.shape)
    check_amount(n, x.size, MOST_VALUES)
    images = drawer.fill(x[None], seen[None], known, n, seed, heat_of(temperature), prior)[0]
    if is_arrays(target):
        path = write_npz(target, {"x": x, "seen": seen, "images": images, "seed": np.asarray(seed)})
    else:
        original, completed = tinted(x, seen), coloured(images)
        if pairs:
            shown = paired(original, completed)
            drawn = pictures.grid(shown, pairs_in_line(shown), pad=0)
        else:
            drawn = pictures.grid(np.concatenate([original[None], completed]), min(n + 1, LINE))
        path = pictures.save(drawn, target)
    hidden = 100 * (1 - float(seen.mean()))
    said = f"{counted(n, 'completion')} of {Path(image).name}, {hidden:.0f} % of it hidden: {path}"
    return Reply((said,), None, (path,), (*notes, *more))


def paired(original: np.ndarray, completions: np.ndarray) -> np.ndarray:
    """Each completion [n, 3, H, W] at the right of the original [3, H, W], [n, 3, H', W'], on white paper: a narrow gap
    between the two, a wide margin around both."""
    n, _, height, width = completions.shape
    gap, margin = max(1, round(width / 24)), max(2, round(min(height, width) / 10))
    sheet = np.ones((n, 3, height + 2 * margin, 2 * width + gap + 2 * margin), np.float32)
    inner = sheet[:, :, margin : margin + height, margin:]
    inner[..., :width], inner[..., width + gap : 2 * width + gap] = original, completions
    return sheet


def pairs_in_line(pairs: np.ndarray) -> int:
    """How many pairs [n, 3, H, W] stand in a line, so that all together are about as wide as a page is."""
    n, _, height, width = pairs.shape
    aspects = [across * width / (math.ceil(n / across) * height) for across in range(1, n + 1)]
    across = 1 + int(np.argmin([abs(math.log(aspect / PAGE)) for aspect in aspects]))
    return math.ceil(n / math.ceil(n / across))  # no line is left much shorter than the others


def seen_of(image: str, mask: str | None, hole: str | None, shape: Shape) -> tuple[np.ndarray, tuple[str, ...]]:
    """What is seen of an image, bool [1, H, W], by the one thing that says what is hidden; and notes."""
    if mask is not None and hole is not None:
        raise Refused("what is hidden is either a mask or a hole; give --mask FILE or --hole X,Y,W,H, not both")
    if mask is not None:
        return mask_from_image(mask, shape)
    if hole is not None:
        return hole_box(hole, shape), ()
    if not has_alpha(Path(image).expanduser()):
        raise Refused("say what is hidden: --mask FILE (white = hole), --hole X,Y,W,H, or a picture with transparency")
    return alpha_mask(image, shape)


def write(
    run: str | Run,
    text: str,
    style: str | None = None,
    given: Sequence[str] = (),
    out: str | None = None,
    seed: int = 0,
    field: str | None = None,
    sketched: bool = False,
) -> Reply:
    """A line of text in one hand: one picture, restyled to every character of the text.

    The characters must be values of a label, `field`; spaces are gaps. style: an image file whose hand is taken; what
    it shows is `given`, or else read by the model; sketched: it is a drawing by hand, read as `sketches.sketch` has it.
    Without it the seed is the hand: the label given, else the first character, is drawn once. An npz holds `images`
    float32 [M, C, H, W], one a character that is no space, and `text`, their M names.

    Raises:
        Refused: a run without such a label, characters that it does not know, a text that is empty or longer than 200
            characters, files and words that cannot be used.
    """
    drawer = opened(run)
    no_pictures(drawer.outputs, "write")
    if sketched and style is None:
        raise Refused("sketched says how a style is read, and none came; give an image file, --style FILE")
    known = one_request(given, drawer.schema, "--given")
    label = alphabet(drawer.schema, text, field)
    names, notes = spelled(text, label)
    target = check_targets(out)
    needed = list(dict.fromkeys(name for name in names if name is not None))
    hand, more = hand_of(drawer, label, style, {label.name: None, **known}, needed[0], seed, sketched)
    drawn = drawer.restyle(hand.x, hand.given, {label.name: needed})[0]
    glyphs = dict(zip(needed, drawn, strict=True))
    if is_arrays(target):
        written = [name for name in names if name is not None]
        images = np.stack([glyphs[name] for name in written])
        path = write_npz(target, {"images": images, "text": np.asarray(written, np.str_)})
    else:
        path = pictures.save(enlarged(line(glyphs, names)), target)
    said = f"{' '.join(text.split())!r} in one hand: {path}"
    return Reply((said,), None, (path,), (*notes, *hand.notes, *more))


def alphabet(schema: Schema, text: str, name: str | None) -> Label:
    """The label whose values are characters: the one named, else the only one, else the first that holds the text."""
    if name is not None:
        field = schema.field(name)
        if not isinstance(field, Label):
            raise Refused(f"{field.name} is no label, so its values are no characters to write with")
        return field
    labels = [field for field in schema.labels if not isinstance(field, Attribute)]
    if not labels:
        raise Refused("this run has no label, so there are no characters to write with")
    holding = [label for label in labels if not missing(text, label)]
    if len(labels) > 1 and not holding:
        raise Refused(f"say with --field which label holds the characters: {', '.join(one.name for one in labels)}")
    return (holding or labels)[0]


def spelled(text: str, label: Label) -> tuple[list[str | None], tuple[str, ...]]:
    """The label's value of each character, None for a gap, and notes on cases changed.

    Refused where a character is no value, a text is empty, or it is too long.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if not text or len(text) > LONGEST:
        raise Refused(f"a text to write must hold 1 to {LONGEST} characters, not spaces alone; got {len(text)}")
    lost = missing(text, label)
    if lost:
        shown = ", ".join(label.values[:60]) + (", ..." if len(label.values) > 60 else "")
        characters = ", ".join(repr(one) for one in lost[:20])
        raise Refused(f"{label.name} holds no {characters}; what can be written is {shown}, and spaces")
    names = [None if one == " " else value_of(one, label) for one in text]
    changed = {one: name for one, name in zip(text, names, strict=True) if name is not None and name != one}
    return names, tuple(f"{one!r} is written as {name!r}" for one, name in changed.items())


def missing(text: str, label: Label) -> list[str]:
    """The characters of a text that are no values of a label, each once."""
    characters = dict.fromkeys("".join(unicodedata.normalize("NFC", text).split()))
    return [one for one in characters if value_of(one, label) is None]


def value_of(character: str, label: Label) -> str | None:
    """The value that is the character, or else the only one that is its other case; None where there is none."""
    if character in label.values:
        return character
    cases = {character.lower(), character.upper(), character.title()} & set(label.values)
    return cases.pop() if len(cases) == 1 else None


def hand_of(
    drawer: Run,
    label: Label,
    style: str | None,
    known: Mapping[str, Any],
    first: str,
    seed: int,
    sketched: bool = False,
) -> tuple[Seen, tuple[str, ...]]:
    """The picture whose hand is taken, x [1, C, H, W], with all that is known of it; and notes."""
    shows = known[label.name]
    if style is None:
        asked = {**known, label.name: shows if shows is not None else first}
        x = drawer.generate({name: [value] for name, value in asked.items()}, 1, seed)[0]
        return Seen(x, asked_once(asked), ("drawn",)), ()
    path = Path(style).expanduser()
    x, notes = (reader_of(drawer, sketched) or read_image)(path, drawer.shape)
    said: tuple[str, ...] = ()
    if shows is None:
        shows, note = read_as(drawer, x[None], label.name, known, path.name)
        said = (note,)
    found = Seen(x[None], asked_once({**known, label.name: shows}), (path.name,), notes)
    return looked_at(drawer, found), said


def asked_once(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """One value a field as columns of one row."""
    return {name: [value] for name, value in values.items()}


def line(glyphs: Mapping[str, np.ndarray], names: Sequence[str | None]) -> np.ndarray:
    """Characters [C, H, W] side by side, None a gap, as one picture [C, H', W'].

    Where they share a ground of one colour, each is trimmed to its ink and set as far apart as print is, within a
    margin of that colour; else they stand edge to edge.
    """
    ground = ground_of(np.stack(list(glyphs.values())))
    channels, height, width = next(iter(glyphs.values())).shape
    colour = np.zeros((channels, 1, 1), np.float32) if ground is None else ground
    apart, margin = (0, 0) if ground is None else (max(1, round(width / 10)), max(1, round(height / 7)))

    def blank(wide: int) -> np.ndarray:
        return np.broadcast_to(colour, (channels, height, wide))

    pieces = [blank(margin)]
    for place, name in enumerate(names):
        if place:
            pieces.append(blank(apart))
        pieces.append(blank(max(1, round(width * 0.35))) if name is None else trimmed(glyphs[name], ground))
    row = np.concatenate([*pieces, blank(margin)], 2)
    above = np.broadcast_to(colour, (channels, margin // 2, row.shape[2]))
    return np.concatenate([above, row, above], 1)


def trimmed(glyph: np.ndarray, ground: np.ndarray | None) -> np.ndarray:
    """A character [C, H, W] without the columns at its sides that hold no ink, but for one; a third if all is bare."""
    if ground is None:
        return glyph
    ink = np.flatnonzero((np.abs(glyph - ground) > NEAR).any((0, 1)))
    if not len(ink):
        return glyph[:, :, : max(1, glyph.shape[2] // 3)]
    return glyph[:, :, max(0, ink[0] - 1) : ink[-1] + 2]


def enlarged(picture: np.ndarray) -> Image.Image:
    """A picture [C, H, W] in [0, 1] as large as a line of text is read, smoothed as ink is."""
    tiny = Image.fromarray(pictures.pixels(picture, "the line"))
    factor = max(2.0, min(WIDE / tiny.width, TALL / tiny.height))
    return tiny.resize((round(tiny.width * factor), round(tiny.height * factor)), Image.Resampling.BICUBIC)
