"""A picture to paint in, for the page: a mask over it, or a drawing on white paper; with mouse, finger or keys.

Gradio's own editor shows a picture of 28 x 28 pixels as large as a thumbnail, or not at all; here a pixel of the model
is one that can be seen and hit. What is painted comes back as a PNG file of the picture's own size, in a data address.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import gradio as gr

__all__ = ["painter"]

SCRIPT = Path(__file__).with_name("painter.js").read_text(encoding="utf-8")

BODY = """<div class="painter" role="group" aria-label="{label}">
<span class="painter-label">{label}</span>
<canvas tabindex="0" role="img" aria-label="{label}: arrow keys move, space paints"></canvas>
<span class="painter-said" role="status"></span>
<div class="painter-tools">
<label>Brush <input type="range" min="1" max="{most}" value="{brush}" aria-label="Brush of: {label}"></label>
<button type="button" data-does="undo">Undo</button>
<button type="button" data-does="clear">Clear</button>
</div></div>"""

STYLE = """
.painter { display: flex; flex-direction: column; gap: .5rem; }
.painter-label { font-weight: 600; }
.painter-said { font-size: .9rem; min-height: 1.2em; }
canvas { width: 100%; height: auto; image-rendering: pixelated; touch-action: none; cursor: crosshair;
  border: 1px solid var(--border-color-primary, #ccc); border-radius: 6px; background: #fff; }
canvas:focus-visible { outline: 3px solid #1f6fb2; outline-offset: 2px; }
.painter-tools { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; }
.painter-tools button { padding: .3rem .9rem; border: 1px solid var(--border-color-primary, #ccc); border-radius: 6px;
  background: var(--button-secondary-background-fill, #eee); cursor: pointer; }
"""


def painter(label: str, ink: bool = False, wide: int = 280, tall: int = 280, brush: int = 0) -> gr.HTML:
    """A canvas over `picture` (a data address, set later by `gr.HTML(picture=...)`), white paper without one.

    ink: what is painted is black ink on the paper, and the value a picture of both; else the value is the mask, white
    where it is painted. wide, tall: the paper's pixels; brush: its diameter in them, 0 = a seventh of the longer side.
    """
    most, first = max(2, max(wide, tall) // 2), brush or max(1, max(wide, tall) // 7)
    return gr.HTML(
        value="",
        html_template=BODY.format(label=escape(label, quote=True), most=most if not ink else 48, brush=first),
        css_template=STYLE,
        js_on_load=SCRIPT,
        apply_default_css=False,
        picture="",
        wide=wide,
        tall=tall,
        brush=brush,
        ink=ink,
    )
