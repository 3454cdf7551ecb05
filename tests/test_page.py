"""The page in a real browser: what is asked comes, what is seen is kept, what is wrong is said in a sentence."""

from __future__ import annotations

import base64
import io
import json
import re
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from served import ZOO, Served, browsing, serving
from visiting import Visit

import condvae
from condvae import judges

pytest.importorskip("gradio")
pytest.importorskip("playwright")
pytestmark = pytest.mark.xdist_group("page")

RUNS = ("mnist-cvae", "mnist-holes", "mnist-draw", "faces-drawn")
SHOWN = "() => [...document.querySelectorAll('.small img')].filter(one => one.offsetParent).map(one => one.src).join()"
TWO = [(0.3, 0.28), (0.5, 0.18), (0.7, 0.28), (0.62, 0.45), (0.42, 0.62), (0.28, 0.82), (0.5, 0.82), (0.76, 0.82)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page")
    own = small_runs(folder)
    with serving([*(ZOO / name for name in RUNS), *own], folder) as server:
        yield server


def small_runs(folder: Path) -> list[Path]:
    """Runs of moments: pictures with a label, a yes or no and a number; rows of a table; pictures without a label."""
    noise = np.random.default_rng(0)
    x = noise.random((120, 1, 6, 8), dtype=np.float32)
    fields = {"kind": list("abc") * 40, "bold": [True, False] * 60, "age": np.linspace(20, 60, 120)}
    table = {"sex": ["f", "m"] * 60, "height": noise.normal(170, 8, 120).round(1)}
    tiny: dict[str, Any] = {"network": "mlp", "hidden": (16,), "z": 3, "epochs": 1, "progress": False}
    made = {
        "mixed": condvae.fit(x, fields, drop=0.2, **tiny),
        "plain": condvae.fit(x, None, **tiny),
        "rows": condvae.fit(table, condition=["sex"], **tiny),
    }
    return [run.save(folder / name) for name, run in made.items()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as found:
        yield found


@pytest.fixture
def visit(browser: Any, served: Served) -> Iterator[Visit]:
    made = Visit(browser, served.url)
    yield made
    hosts = {re.split(r"[/:]", url.split("://", 1)[1], maxsplit=1)[0] for url in made.asked if "://" in url}
    made.close()
    assert hosts == {"127.0.0.1"}  # nothing is asked of any other machine, whatever was done
    assert not made.wrong


def arrays(data: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def test_a_six_is_asked_for_and_is_one(visit: Visit) -> None:
    visit.value("6")
    visit.button("Ask").click()
    visit.said(r"16 pictures of 6")
    held = arrays(visit.download("Download NPZ"))
    assert held["images"].shape == (1, 16, 1, 28, 28) and list(held["digit"]) == ["6"]
    judge = judges.pinned("mnist", tuple("0123456789"), (1, 28, 28))
    assert judge is not None and (judge.read(held["images"][0]).index == 6).sum() >= 15
    assert visit.download("Download PNG")[:4] == b"\x89PNG"
    visit.unfold("The same request, to copy")
    command = visit.page.get_by_label("Command line").locator("visible=true").input_value()
    python = visit.page.get_by_label("Python").locator("visible=true").input_value()
    assert command.split()[:2] == ["condvae", "generate"] and "digit=6" in command and "-n 16" in command
    names: dict[str, Any] = {}
    exec(python, names)
    assert np.array_equal(names["drawn"], held["images"][0])


def test_another_seed_gives_others_and_a_value_each_a_row(visit: Visit) -> None:
    visit.value("each of them")
    visit.button("Ask").click()
    visit.said(r"16 pictures each of 10 requests")
    first = arrays(visit.download("Download NPZ"))
    visit.value("don't care")
    visit.button("Draw others").click()
    visit.said(r"16 pictures of no label")
    second = arrays(visit.download("Download NPZ"))
    assert first["images"].shape == (10, 16, 1, 28, 28) and list(first["digit"]) == list("0123456789")
    assert second["images"].shape == (1, 16, 1, 28, 28) and int(second["seed"]) == 1


def test_what_is_seen_is_kept_and_the_mask_is_the_pictures_own_size(visit: Visit) -> None:
    visit.run("mnist-holes")
    visit.tab("Fill")
    visit.page.get_by_text("nothing is hidden yet").wait_for()  # an example is there already
    visit.stroke("Paint over what is to be filled", [(0.6, 0.1), (0.8, 0.5), (0.6, 0.9)])
    visit.page.get_by_text(re.compile(r"\d+ % is hidden")).wait_for()
    visit.button("Fill").click()
    visit.said("6 completions of example.png")
    held = arrays(visit.download("Download NPZ"))
    x, seen, images = held["x"], held["seen"], held["images"]
    assert x.shape == (1, 28, 28) and seen.shape == (1, 28, 28) and images.shape == (6, 1, 28, 28)
    hidden = ~seen[0]
    assert hidden[:, 14:].sum() == hidden.sum() and 40 < hidden.sum() < 200  # painted in the right half alone
    assert hidden[14, 22] and hidden[3, 17] and not hidden[14, 4]
    assert np.array_equal(images[:, :, seen[0]], np.repeat(x[None, :, seen[0]], 6, 0))
    assert not np.array_equal(images[0], images[1])


@pytest.mark.parametrize(("wide", "tall"), [(90, 40), (36, 100)])
def test_a_picture_of_any_size_is_painted_in_its_own_pixels(visit: Visit, tmp_path: Path, wide: int, tall: int) -> None:
    """The mask that the page sends has the uploaded picture's own size, be it wide, tall, or in colour."""
    pixels = np.random.default_rng(0).integers(0, 255, (tall, wide, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    visit.run("mnist-holes")
    visit.tab("Fill")
    visit.page.get_by_text("nothing is hidden yet").wait_for()
    upload(visit, tmp_path / "mine.png")
    canvas = visit.page.get_by_role("img", name=re.compile("Paint over what is to be filled"))
    visit.page.wait_for_function(
        "([canvas, ratio]) => Math.abs(canvas.width / canvas.height - ratio) < 0.01",
        arg=[canvas.element_handle(), wide / tall],
    )
    visit.stroke("Paint over what is to be filled", [(0.05, 0.5), (0.95, 0.5)])
    visit.page.get_by_text(re.compile(r"\d+ % is hidden")).wait_for()
    sent: list[str] = []
    visit.page.on("request", lambda request: sent.append(request.post_data or ""))
    visit.button("Fill").click()
    said = visit.said("6 completions of mine.png")
    mask = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", "".join(sent))
    assert mask is not None
    painted = np.asarray(Image.open(io.BytesIO(base64.b64decode(mask[1]))).convert("L"))
    assert painted.shape == (tall, wide) and set(np.unique(painted)) == {0, 255}
    middle = painted[tall // 2] == 255
    assert middle[wide // 10 : -wide // 10].all() and not painted[0].any() and not painted[-1].any()
    assert f"mine.png was resized from {wide} x {tall} to 28 x 28 pixels" in said and "it was made grey" in said


def test_my_hand_writes_every_digit_and_a_year(visit: Visit) -> None:
    visit.tab("Write in my hand")
    visit.stroke("Your digit, drawn here", TWO)
    visit.button("Show every digit in this hand").click()
    said = visit.said(r"1 picture under 10 labels")
    assert "is read as digit 2" in said
    held = arrays(visit.download("Download NPZ"))
    judge = judges.pinned("mnist", tuple("0123456789"), (1, 28, 28))
    assert judge is not None and (judge.read(held["images"][0]).index == np.arange(10)).sum() >= 9
    visit.button("Write it").click()
    visit.said("'2026' in one hand")
    written = arrays(visit.download("Download NPZ"))
    assert list(written["text"]) == list("2026") and np.array_equal(written["images"][0], written["images"][2])
    assert list(judge.read(written["images"]).index) == [2, 0, 2, 6]


def test_a_picture_is_read_with_probabilities(visit: Visit) -> None:
    visit.tab("Read")
    visit.button("Another example").click()
    visit.page.locator(".drawn img").locator("visible=true").first.wait_for()
    visit.button("Read").click()
    visit.page.get_by_test_id("7-confidence-set").or_(visit.page.get_by_text("100%")).first.wait_for()
    assert "looks like nothing" not in visit.said("digit: ")


@pytest.mark.parametrize("what", ["blank", "white", "noise"])
def test_a_blank_page_and_noise_look_like_nothing_it_knows(visit: Visit, tmp_path: Path, what: str) -> None:
    pixels = {"blank": np.zeros((28, 28)), "white": np.full((60, 80), 255.0)}.get(what)
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28)) if pixels is None else pixels
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "mine.png")
    visit.tab("Read")
    upload(visit, tmp_path / "mine.png")
    visit.page.locator(".small img").locator("visible=true").first.wait_for()
    visit.button("Read").click()
    assert "what it is read as means little" in visit.said("it looks like nothing the model knows")


def upload(visit: Visit, path: Path) -> None:
    """Upload a picture by the button that can be seen; it is not shown yet."""
    with visit.page.expect_file_chooser() as choosing:
        visit.button("Upload a picture").click()
    with visit.page.expect_response(re.compile(r"/upload")):
        choosing.value.set_files(str(path))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "SVG"),
        ("torn.jpg", b"\xff\xd8\xff\xe0" + bytes(40), "torn.jpg"),
        ("<b>x.png", b"not a picture", "x.png"),
    ],
)
def test_a_bad_upload_is_refused_in_a_sentence(visit: Visit, tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    visit.tab("Read")
    upload(visit, tmp_path / name)
    told = visit.toast(said)
    assert "Traceback" not in told and str(tmp_path) not in told and "/tmp" not in told


def test_a_refusal_of_the_library_is_its_own_sentence(visit: Visit) -> None:
    visit.tab("Write in my hand")
    visit.stroke("Your digit, drawn here", TWO)
    visit.page.get_by_label("A text in this hand").fill("2O26")
    visit.button("Write it").click()
    visit.toast("digit holds no 'O'; what can be written is 0, 1, 2")
    visit.button("Clear").click()
    visit.button("Show every digit in this hand").click()
    visit.toast("the paper is still empty")


def test_each_run_has_the_panels_that_it_can_fill(visit: Visit) -> None:
    expected = {
        "mnist-cvae": ["Ask", "Write in my hand", "Look", "Read", "Proof"],
        "mnist-holes": ["Ask", "Fill", "Write in my hand", "Look", "Read", "Proof"],
        "mnist-draw": ["Ask", "Write in my hand", "Look", "Read", "Draw", "Proof"],
        "faces-drawn": ["Ask", "Restyle", "Look", "Read", "Proof"],
        "mixed": ["Ask", "Write in my hand", "Look", "Read", "Proof"],
        "plain": ["Ask", "Look", "Proof"],
        "rows": ["Ask", "Proof"],
    }
    for name, panels in expected.items():
        visit.run(name)
        for panel in dict.fromkeys(panel for some in expected.values() for panel in some):
            state = "visible" if panel in panels else "hidden"
            visit.page.get_by_role("tab", name=panel, exact=True).wait_for(state=state)
        tabs = [tab.inner_text().strip() for tab in visit.page.get_by_role("tab").locator("visible=true").all()]
        assert [tab for tab in tabs if tab not in ("Use a run", "Train")] == panels
        visit.button("Ask").wait_for()  # whatever panel was open of the run before
        visit.tab(panels[-2])


def test_glimpses_move(visit: Visit) -> None:
    visit.run("mnist-draw")
    visit.tab("Draw")
    visit.value("3")
    visit.button("Draw").click()
    visit.said("4 drawings of 3, in 10 glimpses")
    with Image.open(io.BytesIO(visit.download("Download GIF"))) as moving:
        assert moving.format == "GIF" and getattr(moving, "n_frames", 1) == 11


def test_the_plane_is_clicked_and_the_sliders_follow(visit: Visit) -> None:
    visit.tab("Look")
    visit.value("3")
    visit.button("Show the plane").click()
    visit.said("13 x 13 pictures around a drawing of digit 3")
    sheet = visit.page.locator(".drawn img").locator("visible=true").last
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    visit.page.mouse.click(box["x"] + box["width"] * 0.03, box["y"] + box["height"] * 0.97)
    across = visit.page.get_by_label(re.compile("number input for Across the map"))
    visit.page.wait_for_function("field => Number(field.value) === -2.5", arg=across.element_handle())
    down = visit.page.get_by_label(re.compile("number input for Down the map"))
    assert float(down.input_value()) == 2.5
    visit.page.wait_for_function("() => document.querySelectorAll('.drawn img').length >= 2")


def test_the_proof_says_what_was_measured_and_on_what(visit: Visit) -> None:
    visit.tab("Proof")
    visit.page.get_by_role("heading", name="How good it is").wait_for()
    text = visit.page.locator(".prose.card").inner_text()
    assert re.search(r"asked label = label read\s+9\d\.\d+ % \[9\d\.\d+, \d+\.\d+\]", text)
    assert "59,000 images of mnist" in text
    visit.page.locator(".drawn img").locator("visible=true").first.wait_for()
    assert visit.download("Download the card").startswith(b"# ")


def test_a_face_is_asked_in_all_its_fields(visit: Visit) -> None:
    visit.run("faces-drawn")
    visit.value("happy")
    visit.value("curly")
    visit.page.get_by_label("pose: don't care").locator("visible=true").first.uncheck()
    visit.button("Ask").click()
    visit.said("16 pictures of")
    held = arrays(visit.download("Download NPZ"))
    assert list(held["expression"]) == ["happy"] and list(held["hair"]) == ["curly"] and "hair_colour" not in held
    assert held["images"].shape == (1, 16, 3, 64, 64) and abs(held["pose"][0]) < 0.05
    visit.tab("Restyle")
    visit.page.locator(".drawn img").locator("visible=true").first.wait_for()
    visit.button("Change it").click()
    visit.said("1 picture under 5 labels")


def test_ticks_and_sliders_ask_for_what_they_say(visit: Visit) -> None:
    visit.run("mixed")
    visit.value("b")
    visit.page.get_by_label("bold", exact=True).locator("visible=true").check()
    visit.page.get_by_label("bold: don't care").locator("visible=true").first.uncheck()
    visit.page.get_by_label("number input for age").locator("visible=true").first.fill("30")
    visit.page.keyboard.press("Tab")
    visit.page.get_by_label("age: don't care").locator("visible=true").first.uncheck()
    visit.button("Ask").click()
    visit.said("16 pictures of kind b, bold yes, age 30")
    held = arrays(visit.download("Download NPZ"))
    assert list(held["kind"]) == ["b"] and list(held["bold"]) == ["yes"] and held["age"][0] == 30


def test_rows_of_a_table_are_shown_and_downloaded(visit: Visit) -> None:
    visit.run("rows")
    visit.page.get_by_role("radio", name="f", exact=True).locator("visible=true").wait_for()
    visit.value("f")
    visit.button("Ask").click()
    visit.said("16 rows of f")
    lines = visit.download("Download the rows").decode().splitlines()
    assert lines[0] == "sex,height" and len(lines) == 17 and all(line.startswith("f,1") for line in lines[1:])
    visit.page.get_by_text(lines[1].split(",")[1], exact=True).locator("visible=true").first.wait_for()


def test_it_can_be_used_by_keyboard_alone_and_every_control_has_a_name(visit: Visit) -> None:
    page = visit.page
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.type") == "radio":
            break
    page.keyboard.press("Space")
    chosen = page.evaluate("() => document.activeElement.parentElement.innerText.trim()")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.innerText") == "Ask":
            break
    page.keyboard.press("Enter")
    visit.said(f"16 pictures of {chosen}")
    visit.tab("Write in my hand")
    canvas = page.get_by_role("img", name="Your digit, drawn here: arrow keys move, space paints")
    canvas.focus()
    for key in ("ArrowUp", "Space", "ArrowDown", "Space", "ArrowDown", "Space"):
        page.keyboard.press(key)
    visit.button("Show every digit in this hand").click()
    visit.said("1 picture under 10 labels")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, canvas, [role=tab], [role=slider]')]
        .filter(one => one.offsetParent !== null && one.type !== 'file' && one.type !== 'hidden')
        .filter(one => !one.querySelector('img[alt]')?.alt)
        .filter(one => !(one.innerText || one.ariaLabel || one.title || one.placeholder || one.closest('label')
            || (one.labels && one.labels.length && one.labels[0].innerText) || one.getAttribute('aria-labelledby')))
        .map(one => one.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


def test_it_fits_a_phone(browser: Any, served: Served, tmp_path: Path) -> None:
    visit = Visit(browser, served.url, 390, 844)
    try:
        visit.value("6")
        visit.button("Ask").click()
        visit.said("16 pictures of 6")
        shot = visit.page.screenshot(path=tmp_path / "phone.png")
        for tab in ("Ask", "Write in my hand", "Look", "Read", "Proof"):
            more = visit.page.get_by_role("tab", name=tab, exact=True)
            if not more.is_visible():  # tabs that have no room stand in a menu
                visit.page.get_by_role("button", name="More tabs").locator("visible=true").first.click()
                visit.page.locator(".overflow-dropdown button", has_text=tab).locator("visible=true").first.click()
            else:
                more.click()
            visit.page.wait_for_timeout(300)
            widths = visit.page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
            assert widths[0] <= widths[1], tab
        assert Image.open(io.BytesIO(shot)).size == (390, 844)
    finally:
        visit.close()


def test_two_pictures_and_what_lies_between(visit: Visit) -> None:
    visit.tab("Look")
    visit.unfold("A plane of latents")  # is closed: it has downloads, too
    visit.unfold("From one picture to another")
    buttons = visit.page.get_by_role("button", name="Another example").locator("visible=true")
    for button in (buttons.first, buttons.last, buttons.last):  # the first example, and the second
        before = visit.page.evaluate(SHOWN)
        button.click()
        visit.page.wait_for_function(f"(before) => ({SHOWN})() !== before", arg=before)
    visit.button("Go from one to the other").click()
    visit.said("9 steps from example.png to example.png")
    held = arrays(visit.download("Download NPZ"))
    assert held["images"].shape == (9, 1, 28, 28) and np.abs(held["images"][0] - held["images"][8]).max() > 0.5


def zipped(path: Path, climbing: bool) -> Path:
    """A zip of 40 pictures of two classes, or of one picture that would lie outside of the folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(1 if climbing else 40):
            pixels, file = np.zeros((20, 30, 3), np.uint8), io.BytesIO()
            pixels[5:15, 5 + i % 9 : 20, i % 2] = 220
            Image.fromarray(pixels).save(file, "PNG")
            place = "../../out.png" if climbing else f"{'green' if i % 2 else 'red'}/{i}.png"
            archive.writestr(place, file.getvalue())
    return path


@pytest.mark.parametrize("climbing", [True, False])
def test_a_zip_is_trained_on_and_refused_where_it_climbs(visit: Visit, tmp_path: Path, climbing: bool) -> None:
    page = visit.page
    visit.tab("Train")
    visit.value("my own pictures: a zip")
    with page.expect_response(re.compile("/upload")):
        page.get_by_test_id("file-upload").set_input_files(str(zipped(tmp_path / "shapes.zip", climbing)))
    page.get_by_text("shapes.zip").or_(page.get_by_text("shapes")).first.wait_for()
    page.get_by_label("number input for Epochs").fill("2")
    page.keyboard.press("Tab")
    visit.unfold("More")
    visit.value("mlp")
    visit.button("Train").click()
    if climbing:
        assert "../../out.png" in visit.toast("shapes.zip")
        return
    visit.said("(Finishing|Done).*shapes")
    visit.button("Use it").click()
    page.get_by_text("Draws pictures of 32 x 32 pixels").wait_for()


def test_a_model_is_trained_watched_stopped_and_used(visit: Visit) -> None:
    page = visit.page
    visit.tab("Train")
    page.get_by_label("number input for Epochs").fill("60")
    page.keyboard.press("Tab")
    visit.unfold("More")
    visit.value("mlp")
    visit.button("Train").click()
    visit.said(r"Training.*epoch \d+ of 60")
    page.locator(".drawn img").locator("visible=true").nth(1).wait_for()  # the curve, and what it draws by now
    visit.button("Stop").click()
    visit.said("Stopped|Done")
    visit.button("Use it").click()
    page.get_by_text("trained on digits").wait_for()
    visit.value("3")
    visit.button("Ask").click()
    visit.said("16 pictures of 3")
    with urllib.request.urlopen(f"{page.url.rstrip('/')}/api/runs") as answer:
        runs = json.load(answer)
    assert [one["name"] for one in runs if one["trained_on"] == "digits"]
