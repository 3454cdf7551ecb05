"""Take the pictures of the page that README.md and docs/page.md show: `python docs/make_screenshots.py`.

It serves runs of the zoo, opens the page in Debian's chromium by Playwright, does what a visitor would do, and writes
docs/pictures/page-*.png at the size at which they are shown. On them are pictures that this software drew, and real
digits; CONDVAE_DATA names the folder of the data, for these.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from served import ZOO, browsing, serving  # noqa: E402
from visiting import Visit  # noqa: E402

OUT = ROOT / "docs" / "pictures"
RUNS = ("mnist-cvae", "mnist-holes", "mnist-draw", "faces-drawn")
WIDE, TALL = 1000, 900  # of a window on a desk
PHONE = (390, 844)
COLOURS = 128  # of a stored picture: the page has few, and the files stay small

# A two, as shares of the paper: where a pen goes.
TWO = [
    (0.3, 0.28),
    (0.38, 0.2),
    (0.5, 0.17),
    (0.62, 0.2),
    (0.7, 0.3),
    (0.66, 0.42),
    (0.52, 0.56),
    (0.38, 0.7),
    (0.28, 0.82),
]
FOOT = [(0.28, 0.82), (0.5, 0.8), (0.76, 0.82)]


class Camera(Visit):
    """A visit that is photographed."""

    def tab(self, name: str) -> None:
        super().tab(name)
        self.page.wait_for_timeout(1000)  # an example comes

    def said(self, pattern: str) -> str:
        words = super().said(pattern)
        self.page.wait_for_timeout(1200)  # what is shown has faded in
        return words

    def take(self, name: str, whole: bool = True) -> None:
        """Store what is seen, the page from its top (`whole`: all of it), in few colours."""
        self.page.mouse.move(0, 0)
        self.page.evaluate("() => window.scrollTo(0, 0)")
        path = OUT / f"page-{name}.png"
        self.page.screenshot(path=path, full_page=whole)
        with Image.open(path) as shot:
            few = shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
        print(f"{path.name}: {few.width} x {few.height}, {path.stat().st_size / 1e3:.0f} kB")


def asked(camera: Camera) -> None:
    camera.value("6")
    camera.button("Ask").click()
    camera.said("16 pictures of 6")
    camera.take("ask")


def filled(camera: Camera) -> None:
    camera.run("mnist-holes")
    camera.tab("Fill")
    for _ in range(3):
        camera.button("Another example").click()
        camera.page.wait_for_timeout(700)
    camera.stroke("Paint over what is to be filled", [(0.42, 0.1), (0.42, 0.5)])
    camera.stroke("Paint over what is to be filled", [(0.55, 0.1), (0.55, 0.5)])
    camera.button("Fill").click()
    camera.said("6 completions")
    camera.take("fill")


def written(camera: Camera) -> None:
    camera.tab("Write in my hand")
    camera.stroke("Your digit, drawn here", TWO)
    camera.stroke("Your digit, drawn here", FOOT)
    camera.button("Show every digit in this hand").click()
    camera.said("1 picture under 10 labels")
    camera.take("hand", whole=False)


def looked(camera: Camera) -> None:
    camera.tab("Look")
    camera.value("8")
    camera.button("Show the plane").click()
    camera.said("13 x 13 pictures")
    sheet = camera.page.locator(".drawn img").locator("visible=true").last
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    camera.page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 0.75 * box["height"])
    camera.page.wait_for_timeout(2500)
    camera.take("look")


def on_a_phone(camera: Camera) -> None:
    camera.value("3")
    camera.button("Ask").click()
    camera.said("16 pictures of 3")
    camera.take("phone")


def main() -> None:
    """Serve, visit, photograph."""
    visits: list[tuple[Callable[[Camera], None], tuple[int, int]]] = [
        (asked, (WIDE, TALL)),
        (filled, (WIDE, TALL)),
        (written, (WIDE, TALL)),
        (looked, (WIDE, TALL)),
        (on_a_phone, PHONE),
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving([ZOO / name for name in RUNS], Path(folder)) as server,
        browsing() as browser,
    ):
        for visit, size in visits:
            camera = Camera(browser, server.url, *size)
            visit(camera)
            camera.close()


if __name__ == "__main__":
    main()
