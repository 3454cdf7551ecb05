"""The panels that work on a picture: Fill, Write in my hand, Restyle. Each is made within its tab, for one run."""

from __future__ import annotations

from typing import Any

import gradio as gr
from PIL import Image

from condvae.errors import Refused
from condvae.runs import Run
from condvae.web.base import Opening, Page, picture, say
from condvae.web.controls import READ, controls
from condvae.web.copies import Copies
from condvae.web.painter import painter
from condvae.web.pictures_in import address, chooser, held_path, picker

__all__ = ["fill", "hand", "restyle"]

PAINTED = 1024  # pixels of the longer side of a picture to paint in, at most


def fill(page: Page, name: str, run: Run) -> Opening:
    """Paint over what is to be hidden of a picture, and see it completed several ways."""
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            mask = painter("Paint over what is to be filled")
            held, opening = picker(page, name, lambda path: gr.HTML(picture=paintable(page, path), value=""), mask)
            asking = controls(run.schema, each=False, first=False, unsaid="not known")
            n = gr.Slider(1, 24, value=6, step=1, label="How many completions", interactive=True)
            seed = gr.Number(0, precision=0, minimum=0, label="Seed", interactive=True)
            go = gr.Button("Fill", variant="primary")
        with gr.Column(scale=3, min_width=300):
            out = picture("The original with its hole, and a completion, side by side")
            words = gr.Markdown(elem_classes="said")
            copies = Copies.made("PNG", "NPZ")

    def filled(chosen: Any, painted: str, count: int, number: float, *values: Any) -> list[Any]:
        path, notes = held_path(chosen)
        if not painted:
            raise Refused("nothing is painted over yet, so there is no hole to fill; paint over a part of the picture")
        hidden = page.received(painted, "mask")
        made = page.actions.fill(name, path, hidden, None, asking.asked(values), count, int(number or 0))
        return [made.file, say(made, *notes), *copies.of(page, made)]

    inputs = [held, mask, n, seed, *asking.components]
    page.listen(go.click, filled, inputs, [out, words, *copies.components])
    return opening


def paintable(page: Page, path: str) -> str:
    """A picture as a data address, of its own size; larger ones than a screen are shown smaller."""
    with Image.open(path) as opened:
        if max(opened.size) <= PAINTED and opened.format == "PNG":
            return address(path)
        shown = opened.convert("RGB")
    shown.thumbnail((PAINTED, PAINTED))
    smaller = page.desk.place(".png", "shown")
    shown.save(smaller)
    return address(smaller)


def hand(page: Page, name: str, run: Run) -> None:
    """A character drawn by hand, in all labels of the run; and a text in that handwriting."""
    label = run.schema.labels[0]
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            chosen = chooser(page, name, run, "Your " + label.name)
            asking = controls(run.schema, each=False, first=False, unsaid=READ)
            go = gr.Button(f"Show every {label.name} in this hand", variant="primary")
            text = gr.Textbox("2026", label="A text in this hand", max_length=200, interactive=True)
            line = gr.Button("Write it")
        with gr.Column(scale=3, min_width=300):
            out = picture("In this hand")
            words = gr.Markdown(elem_classes="said")
            copies = Copies.made("PNG", "NPZ")

    count = len(chosen.components)

    def styled(*values: Any) -> list[Any]:
        path, notes = chosen.path(page, *values[:count])
        made = page.actions.restyle(name, path, asking.asked(values[count:]), None, sketched=True)
        return [made.file, say(made, *notes), *copies.of(page, made)]

    def written(said: str, *values: Any) -> list[Any]:
        path, notes = chosen.path(page, *values[:count])
        made = page.actions.write(name, said, path, asking.asked(values[count:]), 0, sketched=True)
        return [made.file, say(made, *notes), *copies.of(page, made)]

    inputs, outputs = [*chosen.components, *asking.components], [out, words, *copies.components]
    page.listen(go.click, styled, inputs, outputs, "reading")
    page.listen(line.click, written, [text, *inputs], outputs, "reading")
    page.listen(text.submit, written, [text, *inputs], outputs, "reading")


def restyle(page: Page, name: str, run: Run) -> Opening | None:
    """A picture in its own style under other values of a field."""
    labels = {field.name: list(field.values) for field in run.schema.labels}
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            chosen = chooser(page, name, run)
            with gr.Accordion("What it shows", open=False):
                asking = controls(run.schema, each=False, first=False, unsaid=READ)
            field = gr.Radio(
                list(labels), value=next(iter(labels)), label="What to change, to each of its values", interactive=True
            )
            go = gr.Button("Change it", variant="primary")
        with gr.Column(scale=3, min_width=300):
            out = picture("The picture, and what it becomes")
            words = gr.Markdown(elem_classes="said")
            copies = Copies.made("PNG", "NPZ")

    count = len(chosen.components)

    def changed(which: str, *values: Any) -> list[Any]:
        path, notes = chosen.path(page, *values[:count])
        given, to = asking.asked(values[count:]), {which: labels[which]}
        made = page.actions.restyle(name, path, given, to, sketched=chosen.sketched)
        return [made.file, say(made, *notes), *copies.of(page, made)]

    inputs = [field, *chosen.components, *asking.components]
    page.listen(go.click, changed, inputs, [out, words, *copies.components], "reading")
    return chosen.opening
