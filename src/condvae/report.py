"""A run's report: one HTML file that holds its pictures, loads nothing, and can be mailed.

No script runs in it but that of `condvae.scatter_script`, which the page names by its hash and which may load nothing.

The page reads from the top: the picture of what was asked for, the proof in sentences, then section by
section curves, samples, reconstructions, maps, tables; what only a few want to see (settings) is folded away.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real
from os import PathLike
from pathlib import Path

from condvae import scatter_script
from condvae.errors import Refused
from condvae.names import printable
from condvae.pictures import write_bytes
from condvae.scatter import Scatter, markup

__all__ = ["Picture", "Section", "Table", "write_report"]

Picture = tuple[str, bytes]  # its caption, which is also its alternative text, and the bytes of a PNG file
Table = tuple[Sequence[object], Sequence[Sequence[object]]]  # the header, and the rows, each as long as it

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NUMERIC = re.compile(r"[-+−±–]?\s?[\d.,]*\d[\d.,]*([eE][-+]?\d+)?(\s?(%|nats?|s|min|MB))?(\s?[±(\[].*)?|–|")


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: its heading.
        text: paragraphs.
        pictures: (caption, bytes of a PNG file) each.
        table: (header, rows); None in a cell is drawn as a dash, a column of numbers stands at the right.
        folded: shown as its title alone until opened.
        scatter: points to look at one by one, before the pictures; it stays hidden where no script may run.
    """

    title: str
    text: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    table: Table | None = None
    folded: bool = False
    scatter: Scatter | None = None


def write_report(
    folder: str | PathLike[str],
    title: str,
    summary: Sequence[str],
    sections: Sequence[Section],
    opening: Picture | None = None,
) -> Path:
    """Write folder/report.html, whole or not at all, and return its path.

    Args:
        folder: made where it is missing.
        title: of the page.
        summary: the findings, a sentence or paragraph each.
        sections: in reading order.
        opening: the picture that stands above the summary: what was asked for.

    Raises:
        Refused: where a picture is no PNG, a table's row is not as long as its header, or the file cannot be
            written.
    """
    body = [f"<header><h1>{_text(title)}</h1>"]
    if opening is not None:
        body.append(_figure(opening, title, "opening"))
    if summary:
        body.append(f'<div class="summary">{_paragraphs(summary)}</div>')
    body.append("</header>")
    if len(sections) >= 4:
        body.append(_contents(sections))
    body += [_section(section, f"part-{i}") for i, section in enumerate(sections, 1)]
    active = any(section.scatter is not None for section in sections)
    if active:
        body.append(f"<script>{scatter_script.SCRIPT}</script>")
    body.append("<footer>Written by condvae. This page is complete in itself: it loads nothing.</footer>")
    return write_bytes(_page(title, body, active).encode("utf-8", "replace"), Path(folder) / "report.html")


def _page(title: str, body: Sequence[str], active: bool) -> str:
    script = (
        f"; script-src '{scatter_script.fingerprint()}'" if active else ""
    )  # no other script runs, whatever the data hold
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:;'
            f" style-src 'unsafe-inline'{script}\">",
            f"<title>{_text(title)}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{STYLE}{scatter_script.STYLE if active else ''}</style>",
            "</head>",
            "<body>",
            "<main>",
            *body,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _contents(sections: Sequence[Section]) -> str:
    links = "".join(f'<li><a href="#part-{i}">{_text(part.title)}</a></li>' for i, part in enumerate(sections, 1))
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>'


def _section(section: Section, name: str) -> str:
    inside = _paragraphs(section.text)
    if section.scatter is not None:
        inside += markup(section.scatter)
    if section.pictures:
        figures = "".join(_figure(picture, section.title, "") for picture in section.pictures)
        inside += f'<div class="figures">{figures}</div>'
    if section.table is not None:
        inside += _table(section.table, section.title)
    heading = f"<h2>{_text(section.title)}</h2>"
    if section.folded:
        return f'<details id="{name}"><summary>{heading}</summary>{inside}</details>'
    return f'<section id="{name}">{heading}{inside}</section>'


def _figure(picture: Picture, title: str, kind: str) -> str:
    caption, data = picture
    if not isinstance(data, bytes) or len(data) < 33 or not data.startswith(_SIGNATURE):
        raise Refused(f"pictures must hold the bytes of PNG files, but {caption!r} does not; use pictures.png.")
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    coded = base64.b64encode(data).decode("ascii")
    alternative = _text(caption if caption.strip() else title)
    said = f"<figcaption>{_text(caption)}</figcaption>" if caption.strip() else ""
    return (
        f'<figure{f" class={kind}" if kind else ""}><img src="data:image/png;base64,{coded}"'
        f' alt="{alternative}" width="{width}" height="{height}">{said}</figure>'
    )


def _table(table: Table, title: str) -> str:
    header, rows = table
    strange = next((i for i, row in enumerate(rows) if len(row) != len(header)), None)
    if strange is not None:
        raise Refused(
            f"table of {title!r} must have {len(header)} cells a row, but row {strange} has"
            f" {len(rows[strange])}; fill empty cells with None."
        )
    cells = [[_cell(value) for value in row] for row in rows]
    right = [all(_NUMERIC.fullmatch(row[i]) for row in cells) for i in range(len(header))] if cells else []
    kinds = [' class="number"' if number else "" for number in right] or [""] * len(header)
    head = "".join(f'<th scope="col"{kind}>{_text(value)}</th>' for value, kind in zip(header, kinds, strict=True))
    lines = "".join(
        "<tr>" + "".join(f"<td{kind}>{_text(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in cells
    )
    # Focusable, so that a keyboard can scroll it where the page is narrower than the table.
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{_text(title)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    """Numbers as nats and shares are read: two decimals from 1 on, else four digits; text as it is."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        number = float(value)
        return f"{number:,.2f}" if 1 <= abs(number) < 1e9 else f"{number:.4g}"
    return str(value)


def _paragraphs(text: Sequence[str]) -> str:
    return "".join(f"<p>{_text(paragraph)}</p>" for paragraph in text)


def _text(value: object) -> str:
    return escape(printable(value), quote=True)


STYLE = """
:root { --paper: #fbfaf8; --card: #ffffff; --ink: #22211f;
  --soft: #66625c; --line: #e3dfd8; --mark: #1f6fb2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #171716; --card: #222120; --ink: #e9e6e1;
    --soft: #a8a39b; --line: #3a3835; --mark: #7db7e8; }
  figure img { filter: brightness(.9); }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 54rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 2rem; font-size: clamp(1.6rem, 1.1rem + 2.4vw, 2.4rem); line-height: 1.2; margin: 0 0 1.5rem;
  letter-spacing: -.015em; text-wrap: balance; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .75rem; letter-spacing: -.01em; }
p { margin: 0 0 .85rem; max-width: 42rem; }
section, details { margin-top: 2.75rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
.summary { margin: 1.75rem 0 0; padding: .1rem 0 .1rem 1.1rem; border-left: 4px solid var(--mark); }
.summary p { font-size: 1.1rem; }
.summary p:last-child { margin-bottom: 0; }
nav ul { list-style: none; margin: 1.75rem 0 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .35rem 1.25rem; font-size: .95rem; }
a { color: var(--mark); }
.figures { display: flex; flex-wrap: wrap; gap: 1.25rem; align-items: flex-start; margin-top: 1.1rem; }
figure { margin: 0; padding: .75rem; background: #ffffff; border: 1px solid var(--line); border-radius: .6rem;
  max-width: 100%; }
.figures figure { flex: 0 1 auto; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { margin-top: .6rem; color: #55514b; font-size: .92rem; line-height: 1.45; }
.wide { overflow-x: auto; margin-top: 1.1rem; border: 1px solid var(--line); border-radius: .6rem;
  background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .95rem; line-height: 1.4; }
th, td { padding: .5rem .85rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; font-size: .88rem; white-space: nowrap; }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
details > summary { cursor: pointer; }
summary h2 { display: inline; }
details[open] > summary { margin-bottom: .75rem; }
footer { margin-top: 3.5rem; color: var(--soft); font-size: .88rem; }
@media (max-width: 32rem) {
  main { padding: 1.5rem .9rem 3rem; }
  figure { padding: .4rem; }
  th, td { padding: .45rem .6rem; }
}
@media print { body { background: #ffffff; } figure, tr { break-inside: avoid; } nav { display: none; } }
"""
