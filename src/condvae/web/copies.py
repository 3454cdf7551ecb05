"""What goes out of the page beside the picture: files to download, and the request to copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from condvae.actions import Made
from condvae.replies import write_npz
from condvae.web.base import Page

__all__ = ["Copies"]

NAMES = {"MD": "the card", "CSV": "the rows"}


@dataclass(frozen=True)
class Copies:
    """Download buttons by the ending of their file, and two texts: the request as a command and in Python."""

    endings: tuple[str, ...]
    components: list[Any]

    @classmethod
    def made(cls, *endings: str) -> Copies:
        """The components, where it is called."""
        parts: list[Any] = []
        if endings:
            with gr.Row():
                parts += [
                    gr.DownloadButton(f"Download {NAMES.get(one, one)}", size="sm", interactive=False)
                    for one in endings
                ]
        with gr.Accordion("The same request, to copy", open=False):
            parts.append(gr.Textbox(label="Command line", buttons=["copy"], interactive=False, lines=1))
            parts.append(gr.Textbox(label="Python", buttons=["copy"], interactive=False, lines=4))
        return cls(endings, parts)

    def of(self, page: Page, made: Made) -> list[Any]:
        """Values of the components for what was made."""
        files = [gr.DownloadButton(value=self.file(page, made, ending), interactive=True) for ending in self.endings]
        phrase = made.phrase
        return [
            *files,
            phrase.command if phrase else "",
            gr.Textbox(value=phrase.python if phrase else "", visible=bool(phrase and phrase.python)),
        ]

    def file(self, page: Page, made: Made, ending: str) -> str | None:
        """The file of that ending: what was drawn, or its arrays."""
        if ending != "NPZ":
            return made.file
        return str(write_npz(page.desk.place(".npz", "condvae"), made.reply.arrays or {}))
