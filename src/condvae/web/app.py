"""The server: the page, the HTTP interface and /healthz, and what keeps them on this machine."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: it asks nobody whether it is up to date
os.environ["HF_HUB_OFFLINE"] = "1"

import gradio as gr
import torch
import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from condvae.actions import Actions
from condvae.desk import Desk
from condvae.limits import LARGEST_FILE, LARGEST_ZIP
from condvae.web import api
from condvae.web.base import Page
from condvae.web.bounds import LOCAL, Bounds
from condvae.web.gate import Gate
from condvae.web.page import CSS, NAMED, THEME, build

__all__ = ["application", "serve"]

# A browser that opens the page may load what this server gives, and nothing else.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)


def application(desk: Desk, host: str = "127.0.0.1") -> FastAPI:
    """The server's application for the runs on a desk.

    host: where it will listen. Where that is this machine alone, the page can train, and requests whose Host header
    names another machine are refused, so that no web site can reach it through the user's browser.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(desk.folder)
    page = Page(desk, Actions(desk), Gate(), host in LOCAL)
    blocks = build(page)
    with blocks:
        api.add_client(page)

    @asynccontextmanager
    async def alive(_: FastAPI):
        yield
        page.close()

    app = FastAPI(
        title="condvae",
        version=version("condvae"),
        docs_url=None,  # they load their scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=alive,
    )
    api.add_routes(app, page)
    app.add_middleware(Bounds, local=page.local)
    guard(app)
    if page.local:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", "testserver"])
    return gr.mount_gradio_app(
        app,
        blocks,
        path="",
        server_name=host,
        theme=THEME,
        css=CSS,
        js=NAMED,
        footer_links=[],
        show_error=False,
        max_file_size=LARGEST_ZIP if page.local else LARGEST_FILE,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        run_history=False,
        allowed_paths=[str(desk.folder)],
    )


def guard(app: FastAPI) -> None:
    """Headers of every answer: nothing from elsewhere, no guessing of types, no address handed on."""

    @app.middleware("http")
    async def headers(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def serve(desk: Desk, host: str, port: int) -> None:
    """Serve until Ctrl-C, or the system, ends it; `port.check` has passed host and port."""
    torch.set_num_threads(1)  # several requests side by side: a thread each is faster than all threads in turn
    app = application(desk, host)
    shown = f"[{host}]" if ":" in host else host
    server = Announcing(uvicorn.Config(app, host=host, port=port, log_level="warning", ws="none"))
    server.said = f"http://{shown}:{port} (Ctrl-C ends it)"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the folder of what was made is removed either way
    with suppress(KeyboardInterrupt):
        server.run()


class Announcing(uvicorn.Server):
    """A server that says where it is once it answers."""

    said = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self.said, flush=True)
