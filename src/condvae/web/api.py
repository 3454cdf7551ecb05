"""The HTTP interface: every action as POST /api/NAME with a JSON object, and the same names for gradio's client.

What it takes and gives back is documented in docs/api.md, and as OpenAPI at /api/openapi.json.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, get_type_hints

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, create_model

from condvae.actions import Actions, Made
from condvae.answers import answer
from condvae.desk import abilities
from condvae.errors import Refused
from condvae.web.base import Page, received
from condvae.web.gate import Busy, Failed

__all__ = ["ACTIONS", "add_client", "add_routes"]

# Each action, and the door that it goes through.
ACTIONS = {
    "generate": "quick",
    "fill": "quick",
    "restyle": "quick",
    "write": "quick",
    "classify": "quick",
    "interpolate": "quick",
    "point": "quick",
    "card": "quick",
    "plane": "slow",
    "map": "slow",
    "draw": "slow",
}
PICTURES = ("image", "mask", "style", "a", "b")  # arguments that are pictures, in base64
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


def taken(name: str) -> dict[str, inspect.Parameter]:
    """The arguments of an action."""
    return {key: one for key, one in inspect.signature(getattr(Actions, name)).parameters.items() if key != "self"}


def body_of(name: str) -> type[BaseModel]:
    """The JSON object that an action takes, made from its arguments; others are refused."""
    hints = get_type_hints(getattr(Actions, name))
    fields: dict[str, Any] = {
        key: (hints[key], ... if one.default is one.empty else one.default) for key, one in taken(name).items()
    }
    return create_model(f"{name.capitalize()}Request", __config__=ConfigDict(extra="forbid", strict=True), **fields)


def add_routes(app: FastAPI, page: Page) -> None:
    """GET /healthz and /api/runs, POST /api/NAME; errors are {"error": one sentence}."""

    @app.get("/healthz", summary="Whether the server answers, and what it serves")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "version": version("condvae"), "runs": list(page.desk.runs)}

    @app.get("/api/runs", summary="The runs that are served")
    async def runs() -> list[dict[str, Any]]:
        return listed(page)

    for name in ACTIONS:
        app.post(f"/api/{name}", summary=getattr(Actions, name).__doc__)(route(page, name))

    for kind, status in STATUS.items():

        async def told(_: Request, error: Exception, status: int = status) -> JSONResponse:
            return JSONResponse({"error": str(error)}, status)

        app.add_exception_handler(kind, told)
    app.add_exception_handler(RequestValidationError, misfit)


def route(page: Page, name: str) -> Callable[[Any], Awaitable[dict[str, Any]]]:
    """The handler of POST /api/NAME."""
    body = body_of(name)

    async def handle(request: Any) -> dict[str, Any]:
        return await page.gate.through(ACTIONS[name], answered, page, name, request.model_dump())

    handle.__annotations__ = {"request": body, "return": dict[str, Any]}
    handle.__name__ = name
    return handle


async def misfit(_: Request, error: Exception) -> JSONResponse:
    """A request that is not of the shape that an action takes, in one sentence: the first thing that is wrong."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    place = ".".join(str(one) for one in first.get("loc", ())[1:]) or "the request"
    said = str(first.get("msg", error))
    came = "" if first.get("type") in ("missing", "json_invalid") else f"; got {first.get('input')!r:.60}"
    return JSONResponse({"error": f"{place}: {said[:1].lower()}{said[1:]}{came}; docs/api.md shows what is taken"}, 422)


def add_client(page: Page) -> None:
    """The same actions under the same names for gradio's client; called within the page's Blocks."""
    for name in ACTIONS:
        gr.api(client_of(page, name), api_name=name, concurrency_limit=None)

    def runs() -> list[dict[str, Any]]:
        return listed(page)

    gr.api(runs, api_name="runs", concurrency_limit=None)


def client_of(page: Page, name: str) -> Callable[..., Awaitable[dict[str, Any]]]:
    """An action as gradio takes it: its arguments by name, with their types."""

    async def handle(*values: Any, **named: Any) -> dict[str, Any]:
        bound = dict(zip(taken(name), values, strict=False)) | named
        try:
            return await page.gate.through(ACTIONS[name], answered, page, name, bound)
        except (Refused, Busy, Failed) as error:
            raise gr.Error(str(error), print_exception=False) from None

    hints = get_type_hints(getattr(Actions, name))
    parameters = [one.replace(annotation=hints[key]) for key, one in taken(name).items()]
    handle.__signature__ = inspect.Signature(parameters, return_annotation=dict[str, Any])  # pyright: ignore
    handle.__annotations__ = {key: hints[key] for key in taken(name)} | {"return": dict[str, Any]}
    handle.__doc__, handle.__name__ = getattr(Actions, name).__doc__, name
    return handle
