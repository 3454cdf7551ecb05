"""The model card of a run: what it is, what it was trained on, the proof of how good it is, what it can do.

As in `condvae.studio`, words and files come in as a person gives them, and a `Reply` goes out.
"""

from __future__ import annotations

from pathlib import Path

from condvae.errors import Refused
from condvae.markdown import one_line
from condvae.model_card import Card, card_of
from condvae.pictures import write_bytes
from condvae.replies import Reply, aligned
from condvae.runs import Run, opened

__all__ = ["Card", "card", "card_of"]

ENDINGS = (".md", ".markdown")


def card(run: str | Run, out: str | None = None) -> Reply:
    """The card of a run in words, and as JSON in `data`; with `out` written as Markdown.

    Raises:
        Refused: no run; another file than a .md one, or one that cannot be written; measures.json that is damaged.
    """
    if out is not None and Path(out).suffix.lower() not in ENDINGS:
        raise Refused(f"a card is written as Markdown, so its file must end in .md; got {out!r}")
    told = card_of(opened(run))
    if out is None:
        return Reply(tuple(words(told)), told.to_json())
    path = write_bytes(told.markdown().encode("utf-8", "replace"), out)
    return Reply((f"the card of {one_line(told.title)}: {path}",), told.to_json(), (path,))


def words(told: Card) -> list[str]:
    """The card as lines for a terminal."""
    lines = [one_line(told.title)]
    for section in told.sections:
        lines += ["", section.title, *(one_line(sentence) for sentence in section.text)]
        if section.table is not None:
            head, rows = section.table
            lines += aligned(head, [[one_line(cell) for cell in row] for row in rows])
        for _, code in section.code:
            lines += code.split("\n")
    return lines
