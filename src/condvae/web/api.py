"""The HTTP interface: every action as POST /api/NAME with a JSON object, and the same names for gradio's client.

What it takes and gives back is documented in docs/api.md, and as OpenAPI at /api/openapi.json.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from condvae.actions import Actions, Made
from condvae.answers import answer
from condvae.desk import abilities
from condvae.errors import Refused
from condvae.web.base import Page, received
from condvae.web.bodies import OBJECT, PICTURES, body_of, fitted, hints_of, misfit, quoted, taken
from condvae.web.gate import Busy, Failed

__all__ = ["ACTIONS", "add_client", "add_routes"]

# Each action, and the door that it goes through.
ACTIONS = {
    "generate": "quick",
    "fill": "quick",
    "restyle": "reading",
    "write": "reading",
    "classify": "reading",
    "interpolate": "reading",
    "point": "quick",
    "card": "quick",
    "plane": "slow",
    "map": "slow",
    "draw": "slow",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
STATUS = {Refused: 422, Busy: 503, Failed: 500}


def listed(page: Page) -> list[dict[str, Any]]:
    """The runs that are served: name, what each can do, what it may be asked for, its pictures' shape."""
    return [
        {
            "name": name,
            "can": list(abilities(run)),
            "asks": [field.control() for field in run.schema.fields],
            "shape": list(run.shape) if run.outputs is None else None,
            "trained_on": (run.facts.get("data") or {}).get("name"),
        }
        for name, run in page.desk.runs.items()
    ]


def answered(page: Page, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """One action, from plain values to plain values."""
    for one in PICTURES:
        if values.get(one) is not None and one in taken(name):
            values[one] = received(page.desk, values[one], one)
    made: Made = getattr(page.actions, name)(**values)
    return answer(made)


class Told(BaseModel):
    """What is said where a request cannot be done."""

    error: str


def add_routes(app: FastAPI, page: Page) -> None:
    """GET /healthz and /api/runs, POST /api/NAME; errors are {"error": one sentence}."""

    @app.get("/healthz", summary="Whether the server answers, and what it serves")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "version": version("condvae"), "runs": list(page.desk.runs)}

    @app.get("/api/runs", summary="The runs that are served")
    async def runs() -> list[dict[str, Any]]:
        return listed(page)

    wrong: dict[int | str, Any] = {status: {"model": Told} for status in (413, *STATUS.values())}
    for name in ACTIONS:
        words = inspect.cleandoc(getattr(Actions, name).__doc__ or "")
        app.post(f"/api/{name}", summary=name, description=words, responses=wrong)(route(page, name))

    @app.api_route("/api/{path:path}", methods=[*METHODS], include_in_schema=False)
    async def other(request: Request) -> JSONResponse:
        return elsewhere(request)

    for kind, status in STATUS.items():

        async def told(_: Request, error: Exception, status: int = status) -> JSONResponse:
            return JSONResponse({"error": page.said(error)}, status)

        app.add_exception_handler(kind, told)
    app.add_exception_handler(RequestValidationError, unfit)
    app.add_exception_handler(HTTPException, unread)


def route(page: Page, name: str) -> Callable[[Any], Awaitable[dict[str, Any]]]:
    """The handler of POST /api/NAME."""

    async def handle(request: Any) -> dict[str, Any]:
        return await page.gate.through(ACTIONS[name], answered, page, name, request.model_dump())

    handle.__annotations__ = {"request": body_of(name), "return": dict[str, Any]}
    handle.__name__ = name
    return handle


def elsewhere(request: Request) -> JSONResponse:
    """What is said of an address below /api/ that is none, or that is asked in another way than it answers."""
    name = request.url.path.removeprefix("/api/")
    if name not in (*ACTIONS, "runs", "openapi.json"):
        known = f"GET /api/runs and /api/openapi.json, and POST /api/NAME of {', '.join(ACTIONS)}"
        return JSONResponse({"error": f"there is {known}; got {request.method} {quoted(request.url.path)}"}, 404)
    way = "POST" if name in ACTIONS else "GET"
    said = f"/api/{name} answers {way}{' with a JSON object' * (way == 'POST')}; got {request.method}"
    return JSONResponse({"error": said}, 405, {"Allow": way})


async def unfit(request: Request, error: Exception) -> JSONResponse:
    """A request that is not of the shape that an action takes: the first thing that is wrong, in one sentence."""
    assert isinstance(error, RequestValidationError)
    first = dict(error.errors()[0])
    first["loc"] = first["loc"][1:]  # without "body"
    return JSONResponse({"error": misfit(request.url.path.removeprefix("/api/"), first)}, 422)


async def unread(_: Request, error: Exception) -> JSONResponse:
    """What the server refuses by itself: a body that is no text, or nested without end."""
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        return JSONResponse({"error": f"the request must be {OBJECT}; what came cannot be read"}, 422)
    return JSONResponse({"error": str(error.detail)}, error.status_code)


def add_client(page: Page) -> None:
    """The same actions under the same names for gradio's client; called within the page's Blocks."""
    for name in ACTIONS:
        gr.api(client_of(page, name), api_name=name, concurrency_limit=None)  # pyright: ignore[reportPrivateImportUsage]

    def runs() -> list[dict[str, Any]]:
        return listed(page)

    gr.api(runs, api_name="runs", concurrency_limit=None)  # pyright: ignore[reportPrivateImportUsage]


def client_of(page: Page, name: str) -> Callable[..., Awaitable[dict[str, Any]]]:
    """An action as gradio takes it: its arguments by name, with their types."""

    async def handle(*values: Any, **named: Any) -> dict[str, Any]:
        bound = dict(zip(taken(name), values, strict=False)) | named
        try:
            return await page.gate.through(ACTIONS[name], answered, page, name, fitted(name, bound))
        except (Refused, Busy, Failed) as error:
            raise gr.Error(page.said(error), print_exception=False) from None

    hints = hints_of(name)
    parameters = [one.replace(annotation=hints[key]) for key, one in taken(name).items()]
    handle.__signature__ = inspect.Signature(parameters, return_annotation=dict[str, Any])  # pyright: ignore
    handle.__annotations__ = hints | {"return": dict[str, Any]}
    handle.__doc__, handle.__name__ = getattr(Actions, name).__doc__, name
    return handle
