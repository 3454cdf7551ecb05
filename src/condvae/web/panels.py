"""The panels that ask and look: Ask, Draw, Read, Proof. Each is made within its tab, for one run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import gradio as gr

from condvae.cards import card_of
from condvae.runs import Run
from condvae.web.base import Opening, Page, picture, say
from condvae.web.controls import controls
from condvae.web.copies import Copies
from condvae.web.pictures_in import chooser

__all__ = ["ask", "draw", "proof", "read"]

FIRST = 16  # pictures that are asked for at first


def ask(page: Page, name: str, run: Run) -> None:
    """Ask for what the run's schema can be asked for, and get it."""
    table = run.outputs is not None
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            asking = controls(run.schema)
            n = gr.Slider(1, 256, value=FIRST, step=1, label="How many, of each", interactive=True)
            with gr.Accordion("More", open=False):
                seed = gr.Number(
                    0, precision=0, minimum=0, label="Seed: picture i depends on it alone", interactive=True
                )
                heat = gr.Slider(
                    0, 2, value=1, step=0.05, label="Temperature: 0 = the mean, 1 = as it was learnt", interactive=True
                )
                guided = any(field.optional for field in run.schema.fields)
                pressed = gr.Slider(
                    0,
                    8,
                    value=1,
                    step=0.1,
                    visible=guided,
                    label="Guidance: above 1 presses what is asked",
                    interactive=True,
                )
            with gr.Row():
                go = gr.Button("Ask", variant="primary")
                anew = gr.Button("Draw others")
        with gr.Column(scale=3, min_width=300):
            out = gr.Dataframe(label="Rows", interactive=False) if table else picture("What was asked for")
            words = gr.Markdown(elem_classes="said")
            copies = Copies.made("PNG", "NPZ") if not table else Copies.made("CSV")

    def asked(*values: Any) -> list[Any]:
        count, number, temperature, guidance, *rest = values
        made = page.actions.generate(name, asking.asked(rest), count, int(number or 0), temperature, guidance)
        return [rows_of(made.file) if table else made.file, say(made), *copies.of(page, made)]

    inputs, outputs = [n, seed, heat, pressed, *asking.components], [out, words, *copies.components]
    page.listen(go.click, asked, inputs, outputs)
    stepped = anew.click(lambda number: int(number or 0) + 1, [seed], [seed], api_visibility="private", queue=False)
    page.listen(stepped.then, asked, inputs, outputs)


def rows_of(path: str | None) -> dict[str, Any]:
    """A CSV file as a table of the page: at most its first 200 rows."""
    with Path(str(path)).open(encoding="utf-8", newline="") as file:
        lines = [line for _, line in zip(range(201), csv.reader(file), strict=False)]
    return {"headers": lines[0], "data": lines[1:]}


def draw(page: Page, name: str, run: Run) -> None:
    """How the run draws, glimpse by glimpse."""
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            asking = controls(run.schema)
            n = gr.Slider(1, 16, value=4, step=1, label="How many, of each", interactive=True)
            seed = gr.Number(0, precision=0, minimum=0, label="Seed", interactive=True)
            go = gr.Button("Draw", variant="primary")
        with gr.Column(scale=3, min_width=300):
            out = picture("The canvas, glimpse by glimpse")
            words = gr.Markdown(elem_classes="said")
            copies = Copies.made("GIF", "NPZ")

    def drawn(count: int, number: float, *values: Any) -> list[Any]:
        made = page.actions.draw(name, asking.asked(values), count, int(number or 0))
        return [made.file, say(made), *copies.of(page, made)]

    page.listen(go.click, drawn, [n, seed, *asking.components], [out, words, *copies.components], "slow")


def read(page: Page, name: str, run: Run) -> Opening | None:
    """Which label a picture has, and whether it looks like anything that the run knows."""
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            chosen = chooser(page, name, run)
            fields = [field.name for field in run.schema.labels]
            field = gr.Radio(
                fields, value=fields[0], label="Which field to read", visible=len(fields) > 1, interactive=True
            )
            go = gr.Button("Read", variant="primary")
        with gr.Column(scale=3, min_width=300):
            out = gr.Label(label="What it is read as", num_top_classes=5)
            verdict = gr.Markdown(elem_classes="said verdict")
            copies = Copies.made()

    def readings(which: str, *values: Any) -> list[Any]:
        path, notes = chosen.path(page, *values)
        made = page.actions.classify(name, path, which, sketched=chosen.sketched)
        data = made.reply.data
        shares = dict(zip(data["values"], data["probabilities"][0], strict=True))
        return [shares, say(made, *notes), *copies.of(page, made)]

    page.listen(go.click, readings, [field, *chosen.components], [out, verdict, *copies.components], "reading")
    return chosen.opening


def proof(page: Page, name: str, run: Run) -> Opening:
    """The run's model card: what it is, how good it is, what it was trained on; drawn when its tab is opened."""
    words = gr.Markdown("The card of this run is being written.", elem_classes="card")
    curves = picture("Training: the loss over the epochs", plot=True)
    copies = Copies.made("MD")

    def told() -> list[Any]:
        made = page.actions.card(name)
        drawn = next((section.picture for section in card_of(run).sections if section.picture is not None), None)
        text = Path(str(made.file)).read_text(encoding="utf-8")
        return [text, gr.Image(value=drawn, visible=drawn is not None), *copies.of(page, made)]

    return told, [], [words, curves, *copies.components]
