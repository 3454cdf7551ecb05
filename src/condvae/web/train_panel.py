"""The panel that trains, where only this machine reaches the page: data, a few settings, the training watched live."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gradio as gr

from condvae import datasets, workshop
from condvae.errors import Refused
from condvae.jobs import RUNS, default_out
from condvae.progress import clock
from condvae.uploads import unpacked
from condvae.web.base import Page, escaped, picture

__all__ = ["train"]

OWN, PLACE = "my own pictures: a zip", "a folder or file on this machine"
EVERY = 1.5  # seconds between two looks at a training
EPOCHS = 10
SIDE = 32  # pixels to which pictures of a zip are cut at first: photographs as they are would take hours
UPLOADS = RUNS / "uploads"  # where zips are unpacked: a training that is resumed reads them again

SAID = {
    "reading": "Reading the data",
    "training": "Training",
    "finishing": "Finishing: the density of the latents, the report",
    "done": "Done",
    "stopped": "Stopped",
    "refused": "These data or settings cannot be used",
    "failed": "The training failed",
}


def train(page: Page, chosen: gr.Dropdown, tabs: gr.Tabs) -> list[Any]:
    """Choose data, train, watch, stop, use. chosen, tabs: where a finished run is shown. What `standing` sets."""
    named = [row for row in datasets.known(page.desk.data_dir) if not row.where.startswith("would be")]
    ways = [*((f"{row.name}: {row.what}", row.name) for row in named), (OWN, OWN), (PLACE, PLACE)]
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            data = gr.Radio(ways, value=named[0].name, label="What to learn from", interactive=True)
            with gr.Column(visible=False) as own:
                gr.Markdown("A zip of pictures: a sub-folder a class, or a CSV file that names what each shows.")
                file = gr.File(label="The zip", file_types=[".zip"], type="filepath", height=120)
            where = gr.Textbox(label="Its path", placeholder="photos, mine.npz, patients.csv", visible=False)
            told_size = "Pixels of a side that pictures are cut to (0 = as they are)"
            size = gr.Slider(0, 128, value=SIDE, step=8, label=told_size, visible=False, interactive=True)
            epochs = gr.Slider(1, 100, value=EPOCHS, step=1, label="Epochs", interactive=True)
            with gr.Accordion("More", open=False):
                network = gr.Radio(["conv", "mlp", "ladder", "draw"], value="conv", label="Network", interactive=True)
                holes = gr.Radio(["none", "any"], value="none", label="Holes that it learns to fill", interactive=True)
                z = gr.Slider(0, 128, value=0, step=1, label="Latents (0 = chosen by the data)", interactive=True)
            with gr.Row():
                go = gr.Button("Train", variant="primary")
                stop = gr.Button("Stop", interactive=False)
                use = gr.Button("Use it", interactive=False)
        with gr.Column(scale=3, min_width=300):
            words = gr.Markdown("Nothing is trained yet.", elem_classes="said")
            curves = picture("Loss", visible=False, plot=True)
            drawn = picture("What it draws by now", visible=False)
            told = gr.Markdown()
    timer = gr.Timer(EVERY, active=False)
    shown = [words, curves, drawn, told, go, stop, use, timer]

    def turned(what: str) -> list[Any]:
        files = what in (OWN, PLACE)
        return [gr.Column(visible=what == OWN), gr.Textbox(visible=what == PLACE), gr.Slider(visible=files)]

    def begun(what: str, zipped: str | None, place: str, side: int, times: int, net: str, hole: str, units: int):
        named_or_path, reading = source(what, zipped, place)
        if side and Path(named_or_path).is_dir():
            reading = {**reading, "size": side}
        settings = {"epochs": times, "network": net, "holes": hole, **({"z": units} if units else {})}
        try:
            workshop.begin(named_or_path, settings, data_dir=page.desk.data_dir, reading=reading)
        except Refused:
            if what == OWN:  # what was unpacked is of no use to anybody
                shutil.rmtree(named_or_path, ignore_errors=True)
            raise
        return standing()

    def stopped() -> list[Any]:
        job = workshop.current()
        if job is not None:
            job.stop()
        return standing()

    def used() -> list[Any]:
        job = workshop.current()
        if job is None or not job.status().usable:
            raise Refused("the training has not come so far that its run could be used; wait a moment")
        name = page.desk.adopt(job.run)
        return [gr.Dropdown(choices=list(page.desk.runs), value=name), gr.Tabs(selected="use")]

    data.change(turned, [data], [own, where, size], api_visibility="private", queue=False, show_progress="hidden")
    page.listen(go.click, begun, [data, file, where, size, epochs, network, holes, z], shown, "slow")
    page.listen(stop.click, stopped, [], shown)
    page.listen(use.click, used, [], [chosen, tabs])
    page.listen(timer.tick, standing, [], shown, progress="hidden")
    return shown


def source(what: str, zipped: str | None, place: str) -> tuple[str, dict[str, Any]]:
    """(what to train on: a name or a path, options of reading). Refused where nothing was given yet."""
    if what == OWN:
        if zipped is None:
            raise Refused("no zip has been uploaded yet; drop one where it says so")
        folder = default_out(Path(zipped).stem or "pictures", False, UPLOADS)
        return str(unpacked(zipped, folder)[0]), {}
    if what == PLACE:
        if not place.strip():
            raise Refused("no path has been given yet; name a folder of pictures, an npz file or a table")
        return place.strip(), {}
    return what, {}


def standing() -> list[Any]:
    """How the training stands: the values of what is shown."""
    job = workshop.current()
    if job is None:
        return [*[gr.skip()] * 4, *(gr.Button(interactive=on) for on in (True, False, False)), gr.Timer(active=False)]
    status = job.status()
    curve = workshop.curves(status)
    return [
        sentence(status),
        gr.Image(value=curve, visible=curve is not None),
        gr.Image(value=status.picture, visible=status.picture is not None),
        "\n\n".join(escaped(line) for line in (*status.lines, *status.rows)),
        gr.Button(interactive=status.ended),
        gr.Button(interactive=not status.ended),
        gr.Button(interactive=status.usable),  # the report may still be written
        gr.Timer(active=not status.ended),
    ]


def sentence(status: workshop.Status) -> str:
    """The state in one line, what is said of it below."""
    parts = [f"**{SAID.get(status.state, status.state)}**: {escaped(status.data)}"]
    if status.state == "training":
        parts.append(f"epoch {status.epoch} of {status.epochs} ({100 * status.fraction:.0f} %)")
        parts += [f"{name} {value:.2f}" for name, value in status.terms.items() if value is not None]
        parts.append(f"{status.speed:,.0f} {status.what} a second")
        parts += [] if status.left is None else [f"{clock(status.left)} left"]
    return ", ".join(parts) + (f"\n\n{escaped(status.said)}" if status.said else "")
