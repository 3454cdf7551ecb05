"""Text as Markdown that shows what the text says, whatever names it holds: no mark-up and no HTML comes of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from condvae.names import printable

__all__ = ["bullets", "escaped", "fenced", "one_line", "table"]

_BREAKS = re.compile("[\t\n\x0b\x0c\r\x85\u2028\u2029]+")
# As entities, not with a backslash: tables, and pages that read Markdown with formulas, treat backslashes in ways of
# their own.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "`": "&#96;", "\\": "&#92;", "$": "&#36;"}
_SPECIAL = re.compile(r"[&<>|`\\$*~#]|\](?=[(\[:])|^\[|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
_BULLET = re.compile(r"^([-+=])(?=[-+=]*(\s|$))")


def one_line(text: object) -> str:
    """Text without line breaks, and without what a page or a terminal does not show as text."""
    return printable(_BREAKS.sub(" ", str(text)))


def escaped(text: object) -> str:
    """Text as one line of Markdown, which stands for itself alone; blanks at its start are kept."""
    line = one_line(text)
    bare = line.lstrip(" ")
    bare = _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), bare)
    bare = _BULLET.sub(r"\\\1", _NUMBERED.sub(r"\1\\\2", bare))
    return "&nbsp;" * (len(line) - len(line.lstrip(" "))) + bare


def bullets(sentences: Sequence[str]) -> list[str]:
    """Sentences as lines of Markdown: one as a paragraph, more as a list."""
    mark = "- " if len(sentences) > 1 else ""
    return [f"{mark}{escaped(sentence)}" for sentence in sentences]


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table as lines of Markdown; each row is as long as the head."""
    lines = [head, *rows]
    drawn = [f"| {' | '.join(escaped(cell) for cell in row)} |" for row in lines]
    return [drawn[0], f"|{' --- |' * len(head)}", *drawn[1:]]


def fenced(code: str, language: str = "") -> list[str]:
    """Code as lines of Markdown, within a fence that nothing in it ends."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *printable(code).split("\n"), fence]
