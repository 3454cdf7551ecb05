"""The script of a report's scatter, its style, and the element that it fills.

It puts what the data hold in as text alone, so that no name is ever read as HTML, and it loads nothing. The
Content-Security-Policy of the page names it by its hash: no other script runs, whatever the data hold.
"""

import base64
import hashlib

__all__ = ["FRAME", "SCRIPT", "STYLE", "fingerprint"]


def fingerprint() -> str:
    """The script's hash as a Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode("utf-8")).digest()).decode("ascii")


FRAME = """<div class="scatter" hidden>
<script type="application/json">DATA</script>
<div class="choices"><label>Map <select></select></label> <label>Colour <select></select></label></div>
<div class="stage">
<svg viewBox="-20 -20 1040 1040" tabindex="0" role="application"
 aria-label="Map of points. Arrow keys walk from point to point."><circle r="9"></circle></svg>
<div class="tip" role="status" hidden><canvas></canvas><div></div></div>
</div>
<div class="legend"></div>
<p class="said"></p>
<p class="said">Point at, touch or, with the arrow keys, walk to a point to see what it is.
 A name in the legend hides its points and shows them again.</p>
</div>"""

STYLE = """
.scatter { margin: 1.1rem 0; padding: .75rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; max-width: 38rem; }
.choices { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; margin-bottom: .6rem; font-size: .95rem; }
.choices select, .legend button { font: inherit; color: var(--ink); background: var(--paper);
  border: 1px solid var(--line); border-radius: .4rem; padding: .3rem .6rem; max-width: 100%; }
.stage { position: relative; }
.stage svg { display: block; width: 100%; height: auto; aspect-ratio: 1; touch-action: manipulation; }
.stage svg:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
.stage circle { stroke: var(--ink); stroke-opacity: .3; stroke-width: 1.5; }
.stage circle.on { stroke-opacity: 1; stroke-width: 5; }
.tip { position: absolute; pointer-events: none; z-index: 1; max-width: 46%; padding: .5rem; font-size: .88rem;
  line-height: 1.35; background: var(--card); border: 1px solid var(--soft); border-radius: .5rem;
  box-shadow: 0 2px 10px rgba(0, 0, 0, .25); }
.tip canvas { display: block; margin-bottom: .35rem; image-rendering: pixelated; }
.legend { display: flex; flex-wrap: wrap; gap: .35rem; margin-top: .6rem; font-size: .9rem; max-height: 11rem;
  overflow-y: auto; align-items: center; }
.legend button { cursor: pointer; text-align: left; }
.legend button[aria-pressed="false"] { opacity: .45; text-decoration: line-through; }
.legend i { display: inline-block; width: .75em; height: .75em; border-radius: 50%; margin-right: .45em; }
.legend b { flex: 1 1 8rem; height: .8rem; border-radius: .4rem; }
.scatter[hidden], .tip[hidden], .tip canvas[hidden] { display: none; }
.said { margin: .6rem 0 0; color: var(--soft); font-size: .92rem; line-height: 1.45; }
@media print { .scatter { display: none; } }
"""

SCRIPT = """
"use strict";
for (const box of document.querySelectorAll(".scatter")) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const [planes, fields] = box.querySelectorAll("select");
  const svg = box.querySelector("svg"), tip = box.querySelector(".tip"), legend = box.querySelector(".legend");
  const canvas = tip.querySelector("canvas"), lines = tip.querySelector("div"), said = box.querySelector(".said");
  const first = svg.querySelector("circle"), count = data.planes[0].points.length;
  const dots = [first];
  while (dots.length < count) dots.push(svg.appendChild(first.cloneNode()));
  const sheet = data.sprite && new Image();
  let hidden = new Set(), now = -1;

  const make = (tag, text, parent) => {
    const made = parent.appendChild(document.createElement(tag));
    made.textContent = text;
    return made;
  };
  const points = () => data.planes[planes.selectedIndex].points;
  const field = () => data.fields[fields.selectedIndex];
  const seen = i => !hidden.size || !hidden.has(field().column[i]);
  const word = (one, i) => {
    const value = one.column[i];
    if (value === null || one.names && value < 0) return "unknown";
    return one.names ? one.names[value] : String(value);
  };
  const colour = (one, i) => {
    const value = one ? one.column[i] : null;
    if (value === null || one.names && value < 0) return one ? data.unknown : data.scale[10];
    if (one.names) return one.colours[value];
    const share = Math.min(1, Math.max(0, (value - one.ends[0]) / (one.ends[1] - one.ends[0] || 1)));
    return data.scale[Math.round(share * (data.scale.length - 1))];
  };

  const show = i => {
    if (now >= 0) dots[now].classList.remove("on");
    now = i;
    tip.hidden = i < 0;
    if (i < 0) return;
    svg.appendChild(dots[i]).classList.add("on");
    lines.textContent = "";
    for (const one of data.fields) make("div", one.name + ": " + word(one, i), lines);
    canvas.hidden = !sheet;
    if (sheet) {
      const {width, height, across} = data.sprite, zoom = Math.max(1, 96 / Math.max(width, height));
      canvas.width = width;
      canvas.height = height;
      canvas.style.width = width * zoom + "px";
      canvas.style.height = height * zoom + "px";
      canvas.getContext("2d").drawImage(
        sheet, i % across * width, Math.floor(i / across) * height, width, height, 0, 0, width, height);
    }
    tip.hidden = !sheet && !data.fields.length;
    const [x, y] = points()[i], right = x > 500, low = y > 500;  // away from the nearest edges
    tip.style.left = right ? "auto" : x / 10.4 + 4 + "%";
    tip.style.right = right ? (1000 - x) / 10.4 + 4 + "%" : "auto";
    tip.style.top = low ? "auto" : y / 10.4 + 4 + "%";
    tip.style.bottom = low ? (1000 - y) / 10.4 + 4 + "%" : "auto";
  };

  const paint = () => {
    points().forEach(([x, y], i) => {
      dots[i].setAttribute("cx", x);
      dots[i].setAttribute("cy", y);
      dots[i].setAttribute("fill", colour(field(), i));
      dots[i].style.display = seen(i) ? "" : "none";
    });
    said.textContent = [data.planes[planes.selectedIndex].said, field() && field().said].filter(Boolean).join("; ");
    show(-1);
  };

  const explain = () => {
    const one = field();
    hidden = new Set();
    legend.textContent = "";
    if (one && !one.names) {
      make("span", one.ends[0], legend);
      make("b", "", legend).style.background = "linear-gradient(to right, " + data.scale.join(",") + ")";
      make("span", one.ends[1], legend);
    } else if (one) {
      for (const value of [...new Set(one.column)].sort((a, b) => (a < 0) - (b < 0) || a - b)) {
        const button = make("button", "", legend);
        button.type = "button";
        button.setAttribute("aria-pressed", "true");
        make("i", "", button).style.background = value < 0 ? data.unknown : one.colours[value];
        make("span", value < 0 ? "unknown" : one.names[value], button);
        button.onclick = () => {
          hidden.delete(value) || hidden.add(value);
          button.setAttribute("aria-pressed", String(!hidden.has(value)));
          paint();
        };
      }
    }
    paint();
  };

  const nearest = (x, y, far, fits) => {
    let best = -1;
    points().forEach(([a, b], i) => {
      const away = Math.hypot(a - x, b - y);
      if (seen(i) && away < far && (!fits || fits(a - x, b - y))) [best, far] = [i, away];
    });
    return best;
  };
  const point = event => {
    const place = svg.getBoundingClientRect(), step = 1040 / place.width;
    show(nearest((event.clientX - place.left) * step - 20, (event.clientY - place.top) * step - 20, 22 * step));
  };
  const ways = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", event => event.pointerType === "mouse" && show(-1));
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener("keydown", event => {
    const way = ways[event.key];
    if (event.key === "Escape") show(-1);
    if (!way) return;
    event.preventDefault();
    const [x, y] = now < 0 ? [500, 500] : points()[now];
    const ahead = (a, b) => a * way[0] + b * way[1] > 0 && a * way[0] + b * way[1] >= Math.abs(a * way[1] + b * way[0]);
    const next = nearest(x, y, Infinity, now < 0 ? null : ahead);
    if (next >= 0) show(next);
  });

  for (const [select, all] of [[planes, data.planes], [fields, data.fields]]) {
    for (const one of all) make("option", one.name, select);
    select.parentElement.hidden = all.length < 2;
  }
  planes.onchange = paint;
  fields.onchange = explain;
  if (sheet) sheet.src = data.sprite.src;
  explain();
  box.hidden = false;
}
"""
