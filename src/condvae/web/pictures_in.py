"""Where a picture comes from on the page: drawn there, uploaded, or one of the examples."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from condvae.desk import characters
from condvae.errors import Refused
from condvae.runs import Run
from condvae.web.base import Opening, Page, picture
from condvae.web.painter import painter

__all__ = ["Chosen", "address", "chooser", "picker"]

DRAWN, UPLOADED, EXAMPLE = "drawn here", "uploaded", "an example"
PAPER = 280  # pixels of the paper that is drawn on

Held = tuple[str, tuple[str, ...], str]  # a chosen picture's path, notes on it, and what it is


@dataclass(frozen=True)
class Chosen:
    """The components by which a picture is chosen, in the order in which `path` takes their values.

    sketched: whether pictures are to be inverted, scaled and centred as the run's own are. opening: what shows the
    first example when the tab is opened, where nothing can be drawn.
    """

    components: list[Any]
    sketched: bool
    opening: Opening | None = None

    def path(self, page: Page, *values: Any) -> tuple[str, tuple[str, ...]]:
        """The picture's path, and notes on it. Refused where there is none yet."""
        if not self.sketched:
            return held_path(values[0])
        which, sketch, held = values
        if which != DRAWN:
            return held_path(held)
        if not sketch:
            raise Refused("the paper is still empty; draw something, upload a picture or take an example")
        return page.received(sketch, "drawing"), ()


def held_path(held: Held | None) -> tuple[str, tuple[str, ...]]:
    """The path and notes of a picture that was chosen."""
    if held is None:
        raise Refused("no picture has been chosen yet; upload one or take an example")
    return held[0], held[1]


def address(path: str) -> str:
    """A PNG file as a data address."""
    return "data:image/png;base64," + base64.b64encode(Path(path).read_bytes()).decode("ascii")


def chooser(page: Page, name: str, run: Run, label: str = "The picture") -> Chosen:
    """A picture to be drawn (of characters), uploaded, or picked; the components are made where it is called."""
    if not characters(run.schema):
        preview = picture(label, height=220)
        held, opening = picker(page, name, lambda path: path, preview)
        return Chosen([held], False, opening)
    which = gr.Radio([DRAWN, UPLOADED, EXAMPLE], value=DRAWN, label=f"{label} is", interactive=True)
    with gr.Column(visible=True) as paper:
        drawn = painter(f"{label}, drawn here", ink=True, wide=PAPER, tall=PAPER, brush=22)
    preview = picture(label, height=220, visible=False)
    held, _ = picker(page, name, lambda path: path, preview, which)

    def turned(way: str) -> list[Any]:
        return [gr.Column(visible=way == DRAWN), gr.Image(visible=way != DRAWN)]

    which.change(turned, [which], [paper, preview], api_visibility="private", queue=False, show_progress="hidden")
    return Chosen([which, drawn, held], True)


def picker(
    page: Page, name: str, shown: Callable[[str], Any], preview: Any, which: gr.Radio | None = None
) -> tuple[gr.State, Opening]:
    """Two buttons, upload and the next example, that set the state they return, and the preview to shown(path); and
    what shows the first example where nothing was chosen yet."""
    held, number = gr.State(None), gr.State(-1)
    with gr.Row():
        upload = gr.UploadButton("Upload a picture", type="filepath", size="sm")
        another = gr.Button("Another example", size="sm")

    def uploaded(path: str) -> list[Any]:
        kept, notes = page.uploaded(path)
        return [(kept, notes, UPLOADED), shown(kept), *([UPLOADED] if which else [])]

    def picked(last: int) -> list[Any]:
        path, what = page.desk.example(name, last + 1)
        return [(path, (what,), EXAMPLE), shown(path), last + 1, *([EXAMPLE] if which else [])]

    turned = [which] if which else []
    page.listen(upload.upload, uploaded, [upload], [held, preview, *turned])
    page.listen(another.click, picked, [number], [held, preview, number, *turned])

    def opened(chosen: Any, last: int) -> list[Any]:
        return picked(last) if chosen is None else [gr.skip()] * (3 + len(turned))

    return held, (opened, [held, number], [held, preview, number, *turned])
