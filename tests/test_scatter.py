"""The points of a report: data stay data, the one script is the one that the page allows, and it does what it says."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report import Page

from condvae import pictures
from condvae.data import collect
from condvae.latent_maps import Placed, Shade
from condvae.latent_report import latent_section
from condvae.report import Section, write_report
from condvae.scatter import FINE, HEAVIEST, MOST, Scatter, content, markup, sprite, steps
from condvae.scatter_script import FRAME, SCRIPT, STYLE, fingerprint
from condvae.sheets import reduced

RNG = np.random.default_rng(0)
NASTY = "</script><script>alert(1)</script><!-- & \u2028 \u202e ζ 🙂"
POINTS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0], [5.0, 5.0]])
SHADES = [
    (Shade("digit", ["3", NASTY, None, "3", "3"], ("3", "4", NASTY)), "digit: silhouette 0.10"),
    (Shade(NASTY, np.array([1.0, 2.0, np.nan, 4.123456789, 3.0])), "ink: R² 0.5"),
]
IMAGES = RNG.integers(0, 256, (5, 3, 6, 4), np.uint8)
SCATTER = Scatter([("PCA", POINTS, "two components"), ("t-SNE", -POINTS, "perplexity 2")], SHADES, IMAGES)


def page_of(tmp_path: Path, sections: list[Section]) -> str:
    return write_report(tmp_path, "t", [], sections).read_text(encoding="utf-8")


def told(text: str) -> dict:
    found = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def test_the_page_allows_the_one_script_and_no_other(tmp_path: Path) -> None:
    text = page_of(tmp_path, [Section("Map", scatter=SCATTER), Section("Again", scatter=SCATTER)])
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert scripts == [SCRIPT]
    hashed = "sha256-" + base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy == [f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{hashed}'"]
    assert fingerprint() == hashed and SCRIPT.isascii() and "\r" not in SCRIPT
    plain = page_of(tmp_path, [Section("No map")])
    assert "<script" not in plain and "script-src" not in plain and ".scatter" not in plain


def test_data_never_become_html(tmp_path: Path) -> None:
    text = page_of(tmp_path, [Section("Map", scatter=SCATTER)])
    page = Page(text)
    assert page.open == [] and len(page.named("script")) == 2 and "alert(1)</" not in text
    inside = text.split('<script type="application/json">')[1].split("</script>")[0]
    assert not set("<>&") & set(inside) and inside.isascii()
    assert told(text)["fields"][1]["name"] == NASTY.replace("\u202e", "\ufffd")
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval", "Function(", "setTimeout"):
        assert word not in SCRIPT


def test_it_loads_nothing() -> None:
    for text in (SCRIPT, STYLE, FRAME, markup(SCATTER)):
        assert not re.search(r"https?:|//\w|@import|url\(|fetch|import\(|XMLHttp|WebSocket|Worker", text)
    assert re.findall(r"\.src = ([\w.]+)", SCRIPT) == ["data.sprite.src"]
    assert content(SCATTER)["sprite"]["src"].startswith("data:image/png;base64,")


def test_what_the_script_reads() -> None:
    found = content(SCATTER)
    assert [plane["name"] for plane in found["planes"]] == ["PCA", "t-SNE"]
    label, number = found["fields"]
    assert label["column"] == [0, 2, -1, 0, 0] and len(label["names"]) == len(set(label["colours"])) == 3
    assert number["column"] == [1.0, 2.0, None, 4.12346, 3.0] and number["names"] is None
    low, high = number["ends"]
    assert 1 <= low < 1.1 and 4 < high <= 4.124
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    bare = content(Scatter([("PCA", POINTS, "")]))
    assert bare["fields"] == [] and bare["sprite"] is None
    blank = content(Scatter([("PCA", POINTS, "")], [(Shade("x", np.full(5, np.nan)), "")]))
    assert blank["fields"][0]["column"] == [None] * 5


def test_points_fill_the_square_upright() -> None:
    found = np.array(steps(POINTS))
    assert found.min() >= 0 and found.max() <= FINE and found[4].tolist() == [FINE // 2, FINE // 2]
    assert found[0, 0] < found[1, 0] and found[0, 1] > found[2, 1]  # upwards is less
    assert abs((found[1, 0] - found[0, 0]) - FINE / 1.05) < 1
    assert np.isfinite(steps(np.zeros((3, 2)))).all()


@pytest.mark.parametrize("shape", [(5, 3, 6, 4), (1, 1, 3, 3), (17, 1, 8, 8)])
def test_each_tile_stands_where_the_script_looks(shape: tuple[int, ...]) -> None:
    images = RNG.integers(0, 256, shape, np.uint8)
    data, width, height, across = sprite(images)
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert (height, width) == shape[2:]
    for i, image in enumerate(images):
        left, top = i % across * width, i // across * height
        tile = sheet[top : top + height, left : left + width]
        assert np.array_equal(tile, np.broadcast_to(image.transpose(1, 2, 0), tile.shape))


def test_the_sheet_stays_light() -> None:
    noise = RNG.integers(0, 256, (MOST, 3, 48, 48), np.uint8)  # nothing compresses worse
    data, width, height, _ = sprite(noise)
    assert len(data) <= HEAVIEST and width == height == 24
    flat = np.repeat(RNG.integers(0, 256, (MOST, 3, 1, 1), np.uint8), 64, 2).repeat(48, 3)
    data, width, height, _ = sprite(flat)
    assert len(data) <= HEAVIEST and (width, height) == (36, 48)


def test_pictures_are_reduced_by_means_over_areas() -> None:
    image = np.kron(np.array([[0, 100], [200, 40]], np.uint8), np.ones((30, 30), np.uint8))[None, None]
    assert reduced(image, 2).tolist() == [[[[0, 100], [200, 40]]]]
    assert reduced(image, 1).tolist() == [[[[85]]]]
    assert reduced(image, 60).shape == (1, 1, 60, 60) and reduced(np.zeros((2, 3, 10, 40)), 20).shape == (2, 3, 5, 20)


@pytest.mark.parametrize(("wide", "rows"), [(1, 9), (2, 9), (5, 3)])
def test_few_latents_or_rows_have_one_plane(wide: int, rows: int) -> None:
    section, second = section_of(RNG.normal(size=(rows, wide)).astype(np.float32), [])
    assert section.scatter is not None and (second is None) == (wide == 1)
    assert [name for name, _, _ in section.scatter.planes] == ["latents" if wide <= 2 else "principal components"]
    assert len(section.pictures) == (1 if wide == 1 else 2) and section.text == []
    assert all(points.shape == (rows, 2) and np.isfinite(points).all() for _, points, _ in section.scatter.planes)


def test_the_section_of_the_latents_says_and_shows_each_field() -> None:
    z = RNG.normal(size=(60, 4)).astype(np.float32)
    z[:30] += 20
    shades = [Shade("half", ["a"] * 30 + ["b"] * 30, ("a", "b")), Shade("first", z[:, 0].astype(float))]
    section, second = section_of(z, shades)
    assert second is not None and second.width > 500 and section.scatter is not None
    separate = "half: silhouette 0.93, 7-NN accuracy 100.0 % (chance 50.0 %), in the 4 latents"
    assert re.sub(r"0\.9\d", "0.93", section.text[0]) == f"{separate}." and section.text[1].startswith("first: 7-NN")
    captions = [caption for caption, _ in section.pictures]
    assert all(section.text[0][:-1] in caption for caption in captions) and "perplexity 19.7" in captions[1]
    assert [name for name, _, _ in section.scatter.planes] == ["principal components", "t-SNE"]
    assert [line for _, line in section.scatter.fields] == [line[:-1] for line in section.text[:2]]
    images = section.scatter.images
    assert images is not None and images.shape == (60, 1, 4, 4) and images[7, 0, 0, 0] == 7


def section_of(z: np.ndarray, shades: list[Shade]) -> tuple[Section, Image.Image | None]:
    """The section of latents z, whose pictures are squares of their row number."""
    x = np.broadcast_to(np.arange(len(z), dtype=np.uint8)[:, None, None], (len(z), 4, 4)).copy()
    x[-1, 0, 0] = 255  # bytes from 0 to 255
    placed = Placed(collect(x, None).train, z, shades)
    return latent_section(placed, Image.new("RGB", (8, 8)), "Map", "samples")


STAGE = """
const made = [];
class Element {
  constructor(tag) {
    Object.assign(this, {tag, kids: [], style: {}, attributes: {}, heard: {}, classes: new Set(), text: ""});
    made.push(this);
    this.classList = {add: name => this.classes.add(name), remove: name => this.classes.delete(name)};
  }
  get textContent() { return this.text + this.kids.map(kid => kid.textContent).join(""); }
  set textContent(value) { this.text = String(value); this.kids = []; }
  get selectedIndex() { return this.picked ?? (this.kids.length ? 0 : -1); }
  get parentElement() { return this.parent; }
  appendChild(kid) {
    if (kid.parent) kid.parent.kids = kid.parent.kids.filter(one => one !== kid);
    this.kids.push(kid);
    kid.parent = this;
    return kid;
  }
  cloneNode() { return new Element(this.tag); }
  setAttribute(name, value) { this.attributes[name] = value; }
  addEventListener(name, act) { this.heard[name] = act; }
  getBoundingClientRect() { return {left: 0, top: 0, width: 1040}; }
  getContext() { return {drawImage: (...all) => { this.drawn = all.slice(1); }}; }
}
const parts = {}, add = (name, tag, parent) => (parts[name] = parent.appendChild(new Element(tag)));
const box = new Element("div");
box.hidden = true;
add("script", "script", box).textContent = require("fs").readFileSync(0, "utf8");
const selects = [0, 1].map(() => add("label", "label", box).appendChild(new Element("select")));
add("svg", "svg", box).appendChild(new Element("circle"));
parts.svg.querySelector = () => parts.svg.kids[0];
for (const name of ["tip", "legend", "said"]) add(name, "div", box);
add("canvas", "canvas", parts.tip);
add("lines", "div", parts.tip);
parts.tip.querySelector = name => name === "canvas" ? parts.canvas : parts.lines;
box.querySelector = name => parts[name.replace(".", "")];
box.querySelectorAll = () => selects;
global.document = {querySelectorAll: () => [box], createElement: tag => new Element(tag)};
global.Image = class {};
const look = () => ({
  hidden: box.hidden, tip: parts.tip.hidden ? "" : parts.lines.kids.map(kid => kid.textContent).join("|"),
  drawn: parts.canvas.drawn, said: parts.said.textContent,
  names: parts.legend.kids.map(kid => kid.textContent),
  seen: made.filter(one => one.tag === "circle" && one.style.display === "").length,
  fills: made.filter(one => one.tag === "circle").map(one => one.attributes.fill),
});
"""

ACTS = """
const found = {};
found.first = look();
parts.svg.heard.pointermove({clientX: 45, clientY: 45});
found.near = look();
parts.svg.heard.pointermove({clientX: 300, clientY: 45});
found.far = look();
parts.svg.heard.keydown({key: "ArrowLeft", preventDefault() {}});
found.middle = look();
parts.svg.heard.keydown({key: "Escape"});
parts.legend.kids[0].onclick();
found.without = look();
found.pressed = parts.legend.kids[0].attributes["aria-pressed"];
parts.legend.kids[0].onclick();
selects[1].picked = 1;
selects[1].onchange();
selects[0].picked = 1;
selects[0].onchange();
found.number = look();
console.log(JSON.stringify(found));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_script_draws_points_shows_what_is_near_and_hides_by_label() -> None:
    text = json.dumps(content(SCATTER))
    done = subprocess.run(
        ["node", "-e", STAGE + "{" + SCRIPT + "}" + ACTS], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    first, colours, name = found["first"], content(SCATTER)["fields"][0]["colours"], NASTY.replace("\u202e", "\ufffd")
    assert not first["hidden"] and first["seen"] == 5 and first["tip"] == ""
    assert first["names"] == ["3", name, "unknown"] and first["said"] == "two components; digit: silhouette 0.10"
    assert first["fills"] == [colours[0], colours[2], "#a6a6a6", colours[0], colours[0]]
    # the upper left corner is the third point, [0, 10]: third tile of three across, the first row
    assert found["near"]["tip"] == f"digit: unknown|{name}: unknown" and found["near"]["drawn"][:4] == [8, 0, 4, 6]
    assert found["far"]["tip"] == "" and found["middle"]["tip"] == f"digit: 3|{name}: 3"
    assert found["middle"]["drawn"][:4] == [4, 6, 4, 6]
    assert found["without"]["seen"] == 2 and found["pressed"] == "false"
    number = found["number"]
    assert number["seen"] == 5 and number["said"] == "perplexity 2; ink: R² 0.5" and number["names"][1] == ""
    scale = content(SCATTER)["scale"]
    assert number["fills"][0] == scale[0] and number["fills"][2] == "#a6a6a6" and number["fills"][3] == scale[-1]


def test_without_script_the_maps_stand_there(tmp_path: Path) -> None:
    picture = pictures.png(pictures.grid(IMAGES, scale=1))
    text = page_of(tmp_path, [Section("Map", pictures=[("PCA", picture)], scatter=SCATTER)])
    assert '<div class="scatter" hidden>' in text and 'alt="PCA"' in text
