"""What a page and its HTTP interface can ask of the runs that they serve: plain values in, one call of a studio each.

Values are those of JSON: text, numbers, lists, objects; pictures are paths of files that `uploads` has let in. Every
amount is bounded here. What comes out is `Made`: the studio's reply, what it drew, the request as one would type it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from condvae import cards, draw_studio, hands, planes, strolls, studio
from condvae.desk import Desk
from condvae.errors import Refused
from condvae.limits import PICTURES, REQUESTS, SEED, STEPS, within
from condvae.phrases import Phrase, called, known, phrased, words_of
from condvae.replies import Reply

__all__ = ["Actions", "Made"]

SIZES = 25  # rows and columns of a plane, at most
HEAT = 3.0  # the highest temperature
PRESSED = 20.0  # the highest guidance
FARTHEST = 6.0  # deviations from the middle of a plane
DRAWINGS = 16  # of an animation, at most
MAPPED = 1_000  # pictures of a map, at most


@dataclass(frozen=True)
class Made:
    """What came of a request: the studio's reply, the file that it drew or wrote, the request in words."""

    reply: Reply
    file: str | None = None
    phrase: Phrase | None = None


class Actions:
    """The requests, each a method. `run` is the name of a run on the desk, a picture the path of a file.

    All raise Refused for what cannot be used: names, values, pictures, amounts out of their range.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def generate(
        self,
        run: str,
        asked: dict[str, Any] | None = None,
        n: int = 16,
        seed: int = 0,
        temperature: float = 1.0,
        guidance: float = 1.0,
    ) -> Made:
        """n pictures (or rows of a table) of what is asked, such as {"digit": "6"}; a list of values gives a row each.

        n: 1 to 256; temperature: 0 to 3, 0 = the mean; guidance: 0 to 20. Picture i depends on (seed, i) alone.
        """
        drawer, words = self.desk.run(run), words_of(asked)
        within(n, "n", 1, PICTURES)
        checked_seed(seed)
        few_rows(asked, n)
        heat, pressed = real(temperature, "temperature", 0, HEAT), real(guidance, "guidance", 0, PRESSED)
        ending = ".png" if drawer.outputs is None else ".csv"
        out = self.desk.place(ending, "asked")
        reply = studio.generate(drawer, words, n, out, None, seed, heat, None, pressed)
        tuned = {"temperature": unless(heat, 1.0), "guidance": unless(pressed, 1.0)}
        line = called("generate", repr(known(asked)), n=n, seed=seed or None, **tuned)
        options = {"n": n, "seed": seed or None, **tuned, "o": f"asked{ending}"}
        return Made(reply, out, phrased(drawer, "generate", words, options, f"drawn = {line}"))

    def fill(
        self,
        run: str,
        image: str,
        mask: str | None = None,
        hole: str | None = None,
        given: dict[str, Any] | None = None,
        n: int = 6,
        seed: int = 0,
    ) -> Made:
        """n completions of what is hidden of an image: under a mask (white = hole), in a hole "X,Y,W,H", or where the
        image is transparent. n: 1 to 256; given: what else is known of the image."""
        drawer, words = self.desk.run(run), words_of(given, "given")
        within(n, "n", 1, PICTURES)
        checked_seed(seed)
        out = self.desk.place(".png", "filled")
        reply = hands.fill(drawer, image, mask, hole, n, out, words, seed, pairs=True)
        how = {"mask": mask and "mask.png", "hole": hole, "n": n, "given": words, "seed": seed or None}
        return Made(reply, out, phrased(drawer, "fill", ["mine.png"], {**how, "pairs": True, "o": "filled.png"}))

    def restyle(
        self,
        run: str,
        image: str,
        given: dict[str, Any] | None = None,
        to: dict[str, Any] | None = None,
        sketched: bool = False,
    ) -> Made:
        """An image in its own style under other conditions: all values of the first label, or those that `to` names.

        given: what the image shows; labels that are not given are read by the model. sketched: it is drawn by hand,
        and is inverted, scaled and centred as the model's own pictures are.
        """
        drawer, words, wanted = self.desk.run(run), words_of(given, "given"), words_of(to, "to")
        few_rows(to, 1)
        out = self.desk.place(".png", "restyled")
        reply = studio.restyle(drawer, image, words, wanted, out, sketched=sketched)
        options = {"given": words, "to": wanted, "sketched": sketched, "o": "restyled.png"}
        return Made(reply, out, phrased(drawer, "restyle", ["mine.png"], options))

    def write(
        self,
        run: str,
        text: str,
        style: str | None = None,
        given: dict[str, Any] | None = None,
        seed: int = 0,
        sketched: bool = False,
    ) -> Made:
        """A line of text in one hand: that of the image `style`, or without it of the seed. text: 1 to 200 characters,
        all of them values of the run's label, and spaces."""
        drawer, words = self.desk.run(run), words_of(given, "given")
        checked_seed(seed)
        out = self.desk.place(".png", "written")
        reply = hands.write(drawer, text, style, words, out, seed, sketched=sketched and style is not None)
        options = {"style": style and "mine.png", "given": words, "seed": seed or None, "sketched": sketched}
        return Made(reply, out, phrased(drawer, "write", [text], {**options, "o": "written.png"}))

    def classify(
        self,
        run: str,
        image: str,
        field: str | None = None,
        given: dict[str, Any] | None = None,
        sketched: bool = False,
    ) -> Made:
        """Which label an image has, with probabilities, and whether it looks like anything that the model knows."""
        drawer, words = self.desk.run(run), words_of(given, "given")
        reply = studio.classify(drawer, image, field, words, sketched=sketched)
        options = {"field": field, "given": words, "sketched": sketched}
        return Made(reply, None, phrased(drawer, "classify", ["mine.png"], options))

    def interpolate(
        self,
        run: str,
        a: str | None = None,
        b: str | None = None,
        begin: dict[str, Any] | None = None,
        end: dict[str, Any] | None = None,
        steps: int = 9,
        seed: int = 0,
        moving: bool = False,
    ) -> Made:
        """From image a to image b through the latents, or between two drawings of what begin and end ask; begin, end:
        what the ends show. steps: 2 to 64; moving: an animation there and back in place of a strip."""
        drawer = self.desk.run(run)
        words = words_of(begin, "begin"), words_of(end, "end")
        within(steps, "steps", 2, STEPS)
        checked_seed(seed)
        ending = ".gif" if moving else ".png"
        out = self.desk.place(ending, "between")
        reply = strolls.interpolate(drawer, a, b, *words, steps=steps, out=out, seed=seed)
        options = {"from": words[0], "to": words[1], "steps": steps, "seed": seed or None, "o": f"between{ending}"}
        return Made(reply, out, phrased(drawer, "interpolate", ["a.png", "b.png"] if a else [], options))

    def plane(self, run: str, asked: dict[str, Any] | None = None, size: int = 15, seed: int = 0) -> Made:
        """A map of pictures: the plane of two latent units around a drawing of what is asked. size: 2 to 25."""
        drawer, words = self.desk.run(run), words_of(asked)
        within(size, "size", 2, SIZES)
        checked_seed(seed)
        out = self.desk.place(".png", "plane")
        reply = planes.plane(drawer, words, size, out=out, seed=seed)
        options = {"size": size, "seed": seed or None, "o": "plane.png"}
        return Made(reply, out, phrased(drawer, "plane", words, options))

    def point(
        self, run: str, asked: dict[str, Any] | None = None, at: Sequence[float] = (0.0, 0.0), seed: int = 0
    ) -> Made:
        """The picture at one point of that plane; at: deviations along its two units, -6 to 6 each."""
        drawer, words = self.desk.run(run), words_of(asked)
        checked_seed(seed)
        if not isinstance(at, list | tuple) or len(at) != 2:
            raise Refused(f"at must hold two numbers, such as [0.5, -1]; got {at!r:.60}")
        place = tuple(real(one, "at", -FARTHEST, FARTHEST) for one in at)
        out = self.desk.place(".png", "point")
        reply = planes.point(drawer, words, (place[0], place[1]), out=out, seed=seed)
        options = {"at": f"{place[0]:g},{place[1]:g}", "seed": seed or None, "o": "point.png"}
        return Made(reply, out, phrased(drawer, "plane", words, options))

    def map(self, run: str, method: str = "pca", limit: int = 500, thumbnails: bool = True, seed: int = 0) -> Made:
        """Where pictures lie among the latents: the run's own test images where they are on this machine, else its own
        drawings. method: pca or tsne; limit: 2 to 1,000 pictures."""
        drawer = self.desk.run(run)
        within(limit, "limit", 2, MAPPED)
        checked_seed(seed)
        what = self.desk.own_data(drawer) or "drawings"
        out = self.desk.place(".png", "map")
        reply = studio.embed(
            drawer, what, method, out, self.desk.data_dir, limit, seed, thumbnails=thumbnails and drawer.outputs is None
        )
        options = {"method": method, "limit": limit, "thumbnails": thumbnails, "o": "map.png"}
        return Made(reply, out, phrased(drawer, "embed", [what], options))

    def draw(self, run: str, asked: dict[str, Any] | None = None, n: int = 4, seed: int = 0) -> Made:
        """How a DRAW model draws what is asked, glimpse by glimpse: an animation. n: 1 to 16 drawings of each."""
        drawer, words = self.desk.run(run), words_of(asked)
        within(n, "n", 1, DRAWINGS)
        checked_seed(seed)
        few_rows(asked, n)
        out = self.desk.place(".gif", "drawn")
        reply = draw_studio.draw(drawer, words, n, out, seed)
        line = called("canvases", repr(known(asked)), n=n, seed=seed or None)
        options = {"n": n, "seed": seed or None, "o": "drawn.gif"}
        return Made(reply, out, phrased(drawer, "draw", words, options, f"how = {line}"))

    def card(self, run: str) -> Made:
        """What a run is, what it was trained on, and how good it is, in words, with intervals: its model card."""
        drawer = self.desk.run(run)
        out = self.desk.place(".md", "card")
        return Made(cards.card(drawer, out), out, phrased(drawer, "card", [], {"o": "card.md"}))


def checked_seed(seed: Any) -> None:
    """Refuse what is no seed."""
    within(seed, "seed", 0, SEED)


def few_rows(asked: Mapping[str, Any] | None, n: int) -> None:
    """Refuse more combinations of what is asked than a page shows, and more pictures in all."""
    rows = math.prod(len(value) for value in (asked or {}).values() if isinstance(value, list | tuple) and value)
    if rows > REQUESTS or rows * n > REQUESTS * PICTURES // 4:
        raise Refused(
            f"at most {REQUESTS} combinations of {PICTURES // 4} pictures are drawn here; got {rows:,} of {n:,}"
        )


def real(value: Any, name: str, low: float, high: float) -> float:
    """A number within its range; Refused where it is none."""
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not low <= number <= high:
        raise Refused(f"{name} must be a number from {low:g} to {high:g}; got {value!r:.60}")
    return number


def unless(value: float, neutral: float) -> float | None:
    """The value, None where it is what it is anyway."""
    return None if value == neutral else value
