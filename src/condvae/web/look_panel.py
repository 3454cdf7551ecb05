"""The panel that looks into the latents: a plane to walk on, a walk between two pictures, a map of many."""

from __future__ import annotations

from typing import Any

import gradio as gr

from condvae.desk import has_plane
from condvae.runs import Run
from condvae.web.base import Page, picture, say
from condvae.web.controls import controls
from condvae.web.copies import Copies
from condvae.web.pictures_in import held_path, picker

__all__ = ["look"]

SIZE = 13  # pictures along the plane


def look(page: Page, name: str, run: Run) -> None:
    """The three views, one below the other."""
    if has_plane(run):
        with gr.Accordion("A plane of latents: move two sliders, or click the map", open=True):
            plane(page, name, run)
    with gr.Accordion("From one picture to another", open=not has_plane(run)):
        between(page, name, run)
    with gr.Accordion("Where pictures lie among the latents", open=False):
        mapped(page, name)


def plane(page: Page, name: str, run: Run) -> None:
    """The pictures of two latent units; the sliders and a click say which of them is shown large."""
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            asking = controls(run.schema, each=False)
            seed = gr.Number(0, precision=0, minimum=0, label="Seed of the drawing in the middle", interactive=True)
            go = gr.Button("Show the plane", variant="primary")
            first = gr.Slider(
                -3, 3, value=0, step=0.05, label="Across the map: first unit, in deviations", interactive=True
            )
            second = gr.Slider(
                -3, 3, value=0, step=0.05, label="Down the map: second unit, in deviations", interactive=True
            )
            point = picture("Here", height=220)
        with gr.Column(scale=3, min_width=300):
            out = picture("The plane: click to go there")
            words = gr.Markdown(elem_classes="said")
            copies = Copies.made("PNG", "NPZ")
    held = gr.State(None)

    def laid(number: float, *values: Any) -> list[Any]:
        made = page.actions.plane(name, asking.asked(values), SIZE, int(number or 0))
        return [made.file, made.reply.data, say(made), *copies.of(page, made)]

    def stood(across: float, down: float, number: float, *values: Any) -> Any:
        return page.actions.point(name, asking.asked(values), (across, down), int(number or 0)).file

    def clicked(data: Any, event: gr.SelectData) -> list[Any]:
        return place_of(data, *event.index) if data else [gr.skip(), gr.skip()]

    asked = [seed, *asking.components]
    page.listen(go.click, laid, asked, [out, held, words, *copies.components], "slow")
    for slider in (first, second):
        page.listen(slider.change, stood, [first, second, *asked], [point], progress="hidden")
    silent = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    out.select(clicked, [held], [first, second], trigger_mode="multiple", **silent)


def place_of(data: dict[str, Any], x: int, y: int) -> list[float]:
    """Where on the plane a click on its picture lies: the deviations of the cell's two units, as the sliders step."""
    last = data["size"] - 1
    cells = [min(last, max(0, int(pixel / size))) for pixel, size in zip((x, y), data["cell"], strict=True)]
    return [round(20 * data["at"][cell]) / 20 for cell in cells]


def between(page: Page, name: str, run: Run) -> None:
    """Two pictures, and what lies between them."""
    with gr.Row():
        ends = []
        for label in ("From", "To"):
            with gr.Column(min_width=240):
                preview = picture(label, height=180)
                ends.append(picker(page, name, lambda path: path, preview)[0])
    steps = gr.Slider(3, 24, value=9, step=1, label="Steps", interactive=True)
    go = gr.Button("Go from one to the other", variant="primary")
    out = picture("Between them")
    words = gr.Markdown(elem_classes="said")
    copies = Copies.made("PNG", "NPZ")

    def walked(a: Any, b: Any, count: int) -> list[Any]:
        (begin, more), (end, further) = held_path(a), held_path(b)
        made = page.actions.interpolate(name, begin, end, steps=count)
        return [made.file, say(made, *more, *further), *copies.of(page, made)]

    page.listen(go.click, walked, [*ends, steps], [out, words, *copies.components], "reading")


def mapped(page: Page, name: str) -> None:
    """A map of the latents with the pictures on it."""
    with gr.Row():
        method = gr.Radio(
            [("principal components", "pca"), ("t-SNE", "tsne")], value="pca", label="Method", interactive=True
        )
        limit = gr.Slider(50, 1000, value=400, step=50, label="Pictures", interactive=True)
    go = gr.Button("Draw the map", variant="primary")
    out = picture("The map", plot=True)
    words = gr.Markdown(elem_classes="said")
    copies = Copies.made("PNG")

    def drawn(how: str, count: int) -> list[Any]:
        made = page.actions.map(name, how, count)
        return [made.file, say(made), *copies.of(page, made)]

    page.listen(go.click, drawn, [method, limit], [out, words, *copies.components], "slow")
