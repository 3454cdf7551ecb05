"""What the panels share: the desk, the gate, handlers whose errors are sentences, pictures that come in and go out."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from condvae import workshop
from condvae.actions import Actions, Made
from condvae.desk import Desk
from condvae.errors import Refused
from condvae.limits import LARGEST_FILE
from condvae.uploads import image_of
from condvae.web.gate import Busy, Failed, Gate

__all__ = ["Opening", "Page", "escaped", "picture", "received", "say"]

# What is called when a panel's tab is opened, with these inputs, and the components that it sets.
Opening = tuple[Callable[..., Any], list[Any], list[Any]]


@dataclass(frozen=True)
class Page:
    """What every panel is given: runs, requests, the gate; local: whether only this machine can reach the page."""

    desk: Desk
    actions: Actions
    gate: Gate
    local: bool = True

    def close(self) -> None:
        """End what runs when the server ends: a training saves what resuming needs."""
        job = workshop.current()
        if job is not None:
            job.kill()

    def said(self, error: Exception) -> str:
        """An error's sentence, without the server's own folder where it names one."""
        return re.sub(rf"{re.escape(str(self.desk.folder))}(/made/[0-9a-f]+)?/?", "", str(error))

    def handler(self, call: Callable[..., Any], kind: str = "quick") -> Callable[..., Any]:
        """An event's handler: `call` behind the gate, its refusals as the page's own error, in one sentence."""

        async def handle(*values: Any) -> Any:
            try:
                return await self.gate.through(kind, call, *values)
            except (Refused, Busy, Failed) as error:
                # The page would render what the sentence quotes as HTML.
                raise gr.Error(escape(self.said(error)), 12, print_exception=False) from None

        return handle

    def listen(
        self,
        trigger: Callable[..., Any],
        call: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        kind: str = "quick",
        progress: str = "minimal",
    ) -> Any:
        """Let an event call a handler. The gate alone bounds how many run; the page's own events are no interface."""
        return trigger(
            self.handler(call, kind),
            list(inputs),
            list(outputs),
            concurrency_limit=None,
            show_progress=progress,
            api_visibility="private",
        )

    def received(self, data: str, stem: str) -> str:
        """What was painted, a data address, as the path of a file."""
        return received(self.desk, data, stem)

    def uploaded(self, path: str) -> tuple[str, tuple[str, ...]]:
        """An uploaded picture that may be opened, and notes; Refused where it may not."""
        kept, notes = image_of(Path(path))
        return str(kept), notes


def picture(label: str, height: int | None = None, visible: bool = True, plot: bool = False) -> gr.Image:
    """A place for what was drawn, with buttons to download it and to show it as large as the window; small pictures are
    shown in their pixels, plots smoothly."""
    return gr.Image(
        label=label,
        type="filepath",
        format="png",
        height=height,
        visible=visible,
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_classes=["drawn", *(["small"] if height else []), *(["plot"] if plot else [])],
    )


def received(desk: Desk, data: str, stem: str) -> str:
    """A picture that came as base64, or as a data address, as the path of a file of its own.

    Raises:
        Refused: what is no base64, no picture, or larger than 20 MB.
    """
    if not isinstance(data, str):
        raise Refused(f"{stem} must be a picture in base64; got {type(data).__name__}")
    text = data.partition(",")[2] if data.startswith("data:") else data
    if len(text) > LARGEST_FILE * 4 // 3 + 4:
        raise Refused(f"{stem} may hold {LARGEST_FILE // 10**6} MB; this one is larger: scale it down")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{stem} must be a picture in base64; what came is none") from None
    path = Path(desk.place(".png", stem))
    path.write_bytes(raw)
    return str(image_of(path, stem)[0])


def say(made: Made, *more: str) -> str:
    """The words of a reply as Markdown, its notes after them; no path of a file, for the page shows the file."""
    words = [line.replace(f": {made.file}", "") if made.file else line for line in made.reply.lines]
    # What to type on the command line is no help here.
    told = (note.partition("; --given")[0] for note in (*more, *made.reply.notes))
    notes = [f"*{escaped(note)}*" for note in dict.fromkeys(told)]
    return "\n\n".join([*map(escaped, words), *notes])


def escaped(text: str) -> str:
    """Text whose signs Markdown would read, as they are."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]<>()#+!|~$" else one for one in text)
