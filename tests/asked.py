"""Requests to a server of the tests, and what comes back; not a test itself."""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np
from PIL import Image
from served import Served

QUICK = "mnist-100-labels"  # the smallest run of the zoo
Answer = tuple[int, Any]


def send(served: Served, path: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
    """(status, body, headers) of one request; a body makes it a POST."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{served.url}{path}", data, named)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def raw(served: Served, action: str, data: bytes, kind: str = "application/json") -> Answer:
    """(status, JSON) of an action that is sent these bytes."""
    status, body, _ = send(served, f"/api/{action}", data, content_type=kind)
    return status, json.loads(body)


def post(served: Served, action: str, **values: Any) -> Answer:
    """(status, JSON) of an action."""
    return raw(served, action, json.dumps(values).encode())


def done(served: Served, action: str, **values: Any) -> Any:
    """What an action gave."""
    status, told = post(served, action, **values)
    assert status == 200, told
    return told


def refused(answer: Answer, status: int = 422) -> str:
    """The sentence of a refusal, which is all that comes: one line, nothing of the server's folder or its code."""
    found, told = answer
    assert found == status and set(told) == {"error"}, answer
    said = told["error"]
    assert said and "\n" not in said and "Traceback" not in said
    assert "condvae-page-" not in said and ".py" not in said and "/tmp" not in said
    assert "input should be" not in said.lower()  # pydantic's words
    return said


def pixels(text: str) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3] of a PNG in base64."""
    with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def drawn(nested: Any) -> np.ndarray:
    """Nested lists of PNGs in base64 as one array."""
    return pixels(nested) if isinstance(nested, str) else np.stack([drawn(one) for one in nested])


def grid(told: Any) -> Image.Image:
    """The picture or animation that the page would show."""
    return Image.open(io.BytesIO(base64.b64decode(told["file"]["base64"])))


def packed(image: Image.Image, kind: str = "PNG", **options: Any) -> str:
    """A picture as a file of that kind, in base64."""
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return text_of(memory.getvalue())


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()
