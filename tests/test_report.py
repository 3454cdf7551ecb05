"""The report is one page that loads nothing, escapes everything, and names each picture for who cannot see it."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from condvae import pictures
from condvae.errors import Refused
from condvae.report import Section, write_report

VOID = {"meta", "link", "img", "br", "hr", "input"}
NASTY = "<b>&\"'</style></script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Tags with attributes, visible text, and whether every tag that opens closes in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


PICTURE = pictures.png(pictures.grid(np.random.default_rng(0).random((2, 3, 8, 8)), scale=2))
SECTIONS = [
    Section("Curves", ["The loss fell."], [("Loss over epochs.", PICTURE), (f"Label {NASTY}", PICTURE)]),
    Section(f"Samples {NASTY}", [NASTY, "ζήτα 数字 🙂 \ud800 \x00 end"]),
    Section("Numbers", table=(["measure", NASTY], [["bound", -127.523], [NASTY, None], ["active", True]])),
    Section("No caption", pictures=[("", PICTURE)]),
    Section("Settings", table=(["name", "value"], [["warm-up", 50]]), folded=True),
]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    path = write_report(
        tmp_path / "new" / "run", f"A title {NASTY}", ["It obeys.", NASTY], SECTIONS, ("Sixes.", PICTURE)
    )
    assert path == tmp_path / "new" / "run" / "report.html"
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    return Page(path.read_text(encoding="utf-8"))


def test_nothing_is_loaded_and_nothing_runs(page: Page) -> None:
    assert page.named("script") == [] and page.named("iframe") == [] and page.named("object") == []
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name) or "#"
            assert value.startswith(("data:", "#"))


def test_the_style_loads_nothing(tmp_path: Path) -> None:
    text = write_report(tmp_path, "t", [], []).read_text()
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert len(style) == 1 and "@import" not in style[0] and "url(" not in style[0] and "@font-face" not in style[0]
    assert style[0].count("{") == style[0].count("}")
    assert "prefers-color-scheme: dark" in style[0]


def test_every_picture_is_inside_whole_and_named(page: Page) -> None:
    images = page.named("img")
    assert len(images) == 4
    for image in images:
        kind, _, coded = (image["src"] or "").partition(",")
        assert kind == "data:image/png;base64"
        data = base64.b64decode(coded, validate=True)
        assert data == PICTURE
        size = Image.open(io.BytesIO(data)).size
        assert (image["width"], image["height"]) == tuple(map(str, size))
    assert [image["alt"] for image in images] == ["Sixes.", "Loss over epochs.", f"Label {NASTY}", "No caption"]


def test_text_stays_text(page: Page) -> None:
    assert page.open == []
    assert page.named("b") == []
    words = "".join(page.words)
    assert words.count(NASTY) == 9  # title, heading, summary, contents, section, paragraph, caption, header, cell
    assert "ζήτα 数字 🙂 ? \ufffd end" in words
    titles = [attributes for tag, attributes in page.tags if tag == "h1"]
    assert len(titles) == 1


def test_the_page_reads_from_picture_to_proof_to_detail(page: Page) -> None:
    words = "".join(page.words)
    places = [
        words.index(part) for part in ("Sixes.", "It obeys.", "The loss fell.", "-127.52", "warm-up", "Written by")
    ]
    assert places == sorted(places)
    assert len(page.named("details")) == 1 and "open" not in page.named("details")[0]
    targets = {link["href"] for link in page.named("a")}
    there = {f"#{attributes['id']}" for _, attributes in page.tags if "id" in attributes}
    assert targets == there and len(there) == len(SECTIONS)


def test_a_phone_and_a_reader_are_told_what_they_need(page: Page) -> None:
    viewports = [meta["content"] for meta in page.named("meta") if meta.get("name") == "viewport"]
    assert viewports == ["width=device-width, initial-scale=1"]
    assert page.named("html")[0]["lang"] == "en"
    assert all(head.get("scope") == "col" for head in page.named("th"))


def test_cells_are_written_for_people(tmp_path: Path) -> None:
    rows = [[-127.523, 12345, None, False, 0.00012, float("nan"), np.float32(2.5), "99.4 %"]]
    text = write_report(tmp_path, "t", [], [Section("n", table=(["h"] * 8, rows))]).read_text()
    cells = re.findall(r"<td[^>]*>(.*?)</td>", text)
    assert cells == ["-127.52", "12,345", "–", "no", "0.00012", "nan", "2.50", "99.4 %"]


def test_columns_of_numbers_stand_right(tmp_path: Path) -> None:
    rows = [["a", 1.5, "97.1 %", "7 rows of text"], ["b", None, "99.4 % (98.9–99.7)", "x"]]
    text = write_report(tmp_path, "t", [], [Section("n", table=(["name", "v", "share", "text"], rows))]).read_text()
    heads = re.findall(r'<th scope="col"( class="number")?>', text)
    assert [bool(head) for head in heads] == [False, True, True, False]


def test_an_empty_report_is_still_a_page(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, "Nothing yet", [], []).read_text())
    assert page.open == [] and "Nothing yet" in "".join(page.words) and page.named("nav") == []


@pytest.mark.parametrize("data", [b"", b"GIF89a" + b"0" * 60, b"\x89PNG\r\n\x1a\n", "text"])
def test_a_picture_that_is_no_png_is_refused_before_anything_is_written(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Refused, match="PNG"):
        write_report(tmp_path / "run", "t", [], [Section("s", pictures=[("c", data)])])
    assert not (tmp_path / "run").exists()


def test_ragged_tables_and_bad_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="row 1 has 1"):
        write_report(tmp_path, "t", [], [Section("s", table=(["a", "b"], [[1, 2], [3]]))])
    (tmp_path / "file").write_text("precious")
    with pytest.raises(Refused, match="cannot be written"):
        write_report(tmp_path / "file", "t", [], [])
    assert (tmp_path / "file").read_text() == "precious"


def test_a_second_report_replaces_the_first_whole(tmp_path: Path) -> None:
    write_report(tmp_path, "first " * 1000, [], SECTIONS)
    text = write_report(tmp_path, "second", [], []).read_text()
    assert "first" not in text and text.rstrip().endswith("</html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
