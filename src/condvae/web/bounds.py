"""What a request may be before anything reads it: of no other site's page, and no larger than its kind."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from condvae.limits import LARGEST_FILE, LARGEST_ZIP

__all__ = ["LOCAL", "Bounds"]

LOCAL = ("127.0.0.1", "localhost", "::1")
UPLOAD = "/gradio_api/upload"
ENVELOPE = 1_000_000  # bytes around what is uploaded
PATIENCE = 64_000_000  # bytes of a request that is too large which are read before it is refused
LARGEST_REQUEST = 2 * (LARGEST_FILE * 4 // 3) + ENVELOPE  # bytes of any other request: two pictures in base64


class Bounds:
    """A layer around the server's application.

    local: where only this machine reaches the server, requests that another site's page makes are refused, for a
    browser would send them, if not show the answer. Nothing is kept of a request that is too large.
    """

    def __init__(self, app: Any, local: bool) -> None:
        self.app, self.local = app, local

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        if self.local and not own(told):
            said = "this server answers its own page alone; another site's page has asked"
            await JSONResponse({"error": said}, 403)(scope, receive, send)
            return
        most = self.largest(scope["path"])
        length = told.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            await dropped(receive)
            await too_large(most)(scope, receive, send)
            return
        counted = Counted(receive, send, most)
        await self.app(scope, counted.receive, counted.send)
        if counted.over:
            await dropped(receive)
            await too_large(most)(scope, receive, send)

    def largest(self, path: str) -> int:
        """How many bytes a request to a path may have."""
        if path != UPLOAD:
            return LARGEST_REQUEST
        return (LARGEST_ZIP if self.local else LARGEST_FILE) + ENVELOPE


def own(told: dict[str, str]) -> bool:
    """Whether a request is of the server's own page, or of no page at all. told: its headers."""
    return told.get("origin", "") in ("", *(f"{scheme}://{told.get('host')}" for scheme in ("http", "https")))


class Counted:
    """A request of unknown length, counted as it comes; where it is too large, what is answered to it is dropped."""

    def __init__(self, receive: Any, send: Any, most: int) -> None:
        self.inner, self.outer, self.most = receive, send, most
        self.bytes, self.over = 0, False

    async def receive(self) -> MutableMapping[str, Any]:
        message = await self.inner()
        self.bytes += len(message.get("body", b""))
        if self.bytes <= self.most:
            return message
        self.over = True
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if not self.over:
            await self.outer(message)


async def dropped(receive: Any) -> None:
    """Read on and keep nothing, for who is still sending may not hear the answer; not for ever."""
    left = PATIENCE
    while left > 0:
        message = await receive()
        if not message.get("more_body"):
            return
        left -= len(message["body"])


def too_large(most: int) -> JSONResponse:
    """What is said of a request that is too large."""
    return JSONResponse({"error": f"a request may hold {most / 1e6:,.0f} MB here; this one is larger"}, 413)
