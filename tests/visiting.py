"""A visit to the page, in a browser: what a person would click, type and paint. Not a test itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["Visit"]

PATIENCE = 60_000  # ms: a busy machine
NAMED = ("faces-drawn", "digits")  # runs whose data are called as they are


class Visit:
    """A page that is open, what it asked for over the network, and what went wrong in it."""

    def __init__(self, browser: Any, url: str, width: int = 1100, height: int = 1000) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.goto(url)
        self.button("Ask").wait_for()

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True).locator("visible=true").first

    def unfold(self, name: str) -> None:
        """Open the part of the page that is folded away under this title."""
        self.page.get_by_role("button", name=name).locator("visible=true").first.click()

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()

    def run(self, name: str) -> None:
        self.page.get_by_role("combobox", name="Run", exact=True).click()
        self.page.get_by_role("option", name=name, exact=True).click()
        data = "mnist" if "mnist" in name else name if name in NAMED else "data"
        self.page.get_by_text(f"trained on {data} (").wait_for()

    def value(self, name: str) -> None:
        self.page.get_by_role("radio", name=name, exact=True).locator("visible=true").first.click()

    def download(self, name: str) -> bytes:
        with self.page.expect_download() as coming:
            self.page.get_by_role("link", name=name).or_(self.button(name)).first.click()
        return Path(coming.value.path()).read_bytes()

    def stroke(self, label: str, points: list[tuple[float, float]]) -> None:
        """Paint along points, shares of the canvas's width and height."""
        canvas = self.page.get_by_role("img", name=f"{label}: arrow keys move, space paints")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=8)
        self.page.mouse.up()

    def said(self, pattern: str) -> str:
        """The words that stand below a picture, once they match."""
        found = self.page.locator(".said").filter(has_text=re.compile(pattern)).locator("visible=true").first
        found.wait_for()
        return found.inner_text()

    def toast(self, words: str) -> str:
        """What an error says that holds these words."""
        body = self.page.get_by_test_id("toast-body").filter(has_text=words).first
        body.wait_for()
        return body.inner_text()

    def close(self) -> None:
        self.context.close()
