"""The page itself: a choice of run, and its panels, made anew from the run's own schema whenever another is chosen."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr
from gradio.themes import Default

from condvae.conditions import Picture
from condvae.desk import abilities
from condvae.errors import Refused
from condvae.runs import Run
from condvae.web import look_panel, paint_panels, panels, train_panel
from condvae.web.base import Opening, Page, escaped

__all__ = ["CSS", "NAMED", "THEME", "build"]

TABS: dict[str, tuple[str, Callable[[Page, str, Run], Opening | None]]] = {
    "ask": ("Ask", panels.ask),
    "fill": ("Fill", paint_panels.fill),
    "hand": ("Write in my hand", paint_panels.hand),
    "restyle": ("Restyle", paint_panels.restyle),
    "look": ("Look", look_panel.look),
    "read": ("Read", panels.read),
    "draw": ("Draw", panels.draw),
    "proof": ("Proof", panels.proof),
}

# Fonts of the system: nothing is fetched.
SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "DejaVu Sans Mono", "monospace"]
THEME = Default(primary_hue="blue", neutral_hue="stone", font=SANS, font_mono=MONO)

CSS = """
.gradio-container { width: 100% !important; max-width: 1100px !important; margin: 0 auto !important; }
.drawn img { image-rendering: pixelated; object-fit: contain; width: 100%; height: 100%; max-height: 80vh; }
.drawn label[data-testid="block-label"] { position: static; border: 0; box-shadow: none; }
.drawn .icon-button-wrapper { top: -1.5rem !important; }
.drawn .image-container { overflow: visible; }
.plot img { image-rendering: auto; }
.small .image-container { height: calc(100% - 1.7rem); }
.said p { margin: 0 0 .4rem; }
.verdict { font-size: 1.05rem; }
footer { display: none !important; }
@media (max-width: 640px) { .gradio-container { padding: .5rem !important; } }
"""

# Names for those who hear the page: gradio gives pictures none, not even where they can be clicked, and the label of a
# text with a copy button is taken for the button's.
NAMED = """() => {
  const name = () => {
    for (const img of document.querySelectorAll(".drawn img")) {
      const label = img.closest(".drawn").querySelector("[data-testid=block-label]");
      if (label && img.alt !== label.innerText.trim()) img.alt = label.innerText.trim();
    }
    for (const text of document.querySelectorAll("label textarea:not([aria-label])")) {
      const label = text.closest("label").querySelector("[data-testid=block-info]");
      if (label) text.setAttribute("aria-label", label.innerText.trim());
    }
  };
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
}"""

SILENT = """To show is nothing yet: no run is served. Train one here, or start again with
`condvae serve RUN`, where RUN is a folder that `condvae train` wrote."""


def build(page: Page) -> gr.Blocks:
    """The page as gradio's Blocks."""
    with gr.Blocks(title="condvae", analytics_enabled=False, fill_width=True) as blocks:
        gr.Markdown("# condvae\nLearn p(x | c), then get exactly what you ask for.")
        names = list(page.desk.runs)
        with gr.Tabs() as tabs:
            with gr.Tab("Use a run", id="use"):
                chosen = gr.Dropdown(
                    names, value=names[0] if names else None, label="Run", filterable=False, interactive=True
                )

                @gr.render(inputs=[chosen], concurrency_limit=None, show_progress="hidden")
                def panels_of(name: str | None) -> None:
                    show(page, name)

            if page.local:
                with gr.Tab("Train", id="train"):
                    shown = train_panel.train(page, chosen, tabs)
                page.listen(blocks.load, train_panel.standing, [], shown, progress="hidden")
        blocks.load(lambda: gr.Dropdown(choices=list(page.desk.runs)), None, [chosen], api_visibility="private")
    return blocks


def show(page: Page, name: str | None) -> None:
    """The panels of a run, each in its tab; those that it cannot fill are not there."""
    if name is None:
        gr.Markdown(SILENT)
        return
    try:
        run = page.desk.run(name)
    except Refused as refused:
        gr.Markdown(escaped(str(refused)))
        return
    gr.Markdown(escaped(about(run)))
    with gr.Tabs(selected=f"{name} ask"):  # the panel that was open of the run before may not be there
        for panel in abilities(run):
            title, made = TABS[panel]
            with gr.Tab(title, id=f"{name} {panel}") as tab:
                opening = made(page, name, run)
            if opening is not None:
                page.listen(tab.select, *opening, progress="hidden")


def about(run: Run) -> str:
    """A run in one sentence."""
    data = run.facts.get("data") or {}
    fields = [field.name for field in run.schema.fields if not isinstance(field, Picture)]
    fields += ["a hole to be filled"] if run.schema.picture is not None else []
    asked = f"may be asked for {', '.join(fields)}" if fields else "is asked for nothing, as it learnt no label"
    what = "pictures" if run.outputs is None else "rows of a table"
    size = f" of {run.shape[2]} x {run.shape[1]} pixels" if run.outputs is None else ""
    rows = data.get("rows")
    learnt = f"{data.get('name')}{f' ({rows:,} {what})' if isinstance(rows, int) else ''}"
    return f"Draws {what}{size}; {asked}; trained on {learnt}."
