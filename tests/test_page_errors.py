"""What the HTTP interface refuses or converts: amounts, names, bodies and pictures of strangers."""

from __future__ import annotations

import base64
import http.client
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from asked import QUICK, done, packed, pixels, post, raw, refused, send, text_of
from served import ZOO, Served, serving

from condvae.limits import LARGEST_FILE

pytestmark = pytest.mark.xdist_group("page")

RUNS = ("mnist-cvae", "mnist-holes", "mnist-draw", QUICK)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of the four runs, whose files are in a temporary folder of its own, and what it prints beside it."""
    with serving([ZOO / name for name in RUNS], tmp_path_factory.mktemp("refused")) as one:
        yield one


@pytest.fixture(scope="module")
def six(served: Served) -> str:
    """A six, as PNG in base64."""
    status, told = post(served, "generate", run="mnist-cvae", asked={"digit": "6"}, n=1, seed=3)
    assert status == 200
    return told["images"][0][0]


# What is refused, in one sentence


AMOUNT = "n must be a whole number from 1 to 256; got "
DIGITS = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
SIZE = "the hole must lie within the model's pictures"
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("generate", {"run": "mnist-cave"}, f"run is one of {', '.join(RUNS)}; got 'mnist-cave', did you"),
    ("generate", {}, "run is missing; it must be a string"),
    ("generate", {"run": 5}, "run must be a string; got 5"),
    ("generate", {"asked": {"colour": "red"}}, "what may be asked is digit; got 'colour'"),
    ("generate", {"asked": {"digit": "six"}}, f"digit is one of {DIGITS}; got 'six', did you mean '6'?"),
    ("generate", {"asked": ["6"]}, "asked must be an object of values by the field's name"),
    ("generate", {"asked": {"digit": {"a": 1}}}, "a value of digit is text, a number, true, false or null; got "),
    ("generate", {"asked": {"digit": ["6"] * 33}}, "at most 32 combinations of 64 pictures are drawn here; got "),
    ("generate", {"n": 0}, f"{AMOUNT}0"),
    ("generate", {"n": 257}, f"{AMOUNT}257"),
    ("generate", {"n": 1e9}, f"{AMOUNT}1000000000"),
    ("generate", {"n": "a"}, "n must be a whole number; got 'a'"),
    ("generate", {"n": 2.5}, "n must be a whole number; got 2.5"),
    ("generate", {"n": True}, "n must be a whole number; got true"),
    ("generate", {"n": None}, "n must be a whole number; got null"),
    ("generate", {"seed": -1}, "seed must be a whole number from 0 to 9,223,372,036,854,775,807; got -1"),
    ("generate", {"seed": 2**64}, "seed must be a whole number from 0 to "),
    ("generate", {"temperature": "hot"}, "temperature must be a number; got 'hot'"),
    ("generate", {"temperature": 4}, "temperature must be a number from 0 to 3; got 4"),
    ("generate", {"guidance": float("nan")}, "guidance must be a number from 0 to 20; got nan"),
    ("generate", {"sed": 1}, "generate takes run, asked, n, seed, temperature, guidance; got 'sed', did"),
    ("interpolate", {"steps": 1000}, "steps must be a whole number from 2 to 64; got 1000"),
    ("plane", {"size": 26}, "size must be a whole number from 2 to 25; got 26"),
    ("plane", {"run": "mnist-draw"}, "a plane moves two units of one latent"),
    ("point", {"at": [0]}, "at must hold two numbers, such as [0.5, -1]; got [0.0]"),
    ("point", {"at": "12"}, "at must be a list of two numbers, such as [0.5, -1]; got '12'"),
    ("point", {"at": [0, 7]}, "at must be a number from -6 to 6; got 7"),
    ("map", {"method": "umap"}, "method is pca or tsne; got 'umap'"),
    ("map", {"limit": 1001}, "limit must be a whole number from 2 to 1,000; got 1001"),
    ("write", {"text": "1" * 201}, "a text to write must hold 1 to 200 characters, not spaces alone; got 201"),
    ("write", {"text": "a1b"}, f"digit holds no 'a', 'b'; what can be written is {DIGITS}, and spaces"),
    ("write", {"text": "\ud800"}, "digit holds no '\\ud800'"),
    ("write", {"text": "1", "sketched": "no"}, "sketched must be true or false; got 'no'"),
    ("draw", {}, "canvases are those of a model that draws in glimpses"),
    ("draw", {"run": "mnist-draw", "n": 17}, "n must be a whole number from 1 to 16; got 17"),
    ("fill", {"image": "SIX", "hole": "0,0,9,9"}, "this model fills no holes; train one with holes='any'"),
    ("fill", {"run": "mnist-holes", "image": "SIX"}, "say what is hidden"),
    ("fill", {"run": "mnist-holes", "image": "SIX", "hole": "0,0,99,9"}, SIZE),
    ("classify", {}, "image is missing; it must be a picture in base64, a string"),
    ("classify", {"image": {"path": "/etc/hostname"}}, "image must be a picture in base64, a string; got {'path'"),
    ("classify", {"image": "/etc/hostname"}, "image must be a picture in base64; what came is none"),
    ("classify", {"image": "SIX", "field": "colour"}, "what may be asked is digit; got 'colour'"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "values", "sentence"), WRONG, ids=[f"{one[0]}-{i}" for i, one in enumerate(WRONG)])
def test_wrong_values_are_refused(served: Served, six: str, action: str, values: dict, sentence: str) -> None:
    filled = {name: six if value == "SIX" else value for name, value in values.items()}
    run = {} if sentence.startswith("run is missing") else {"run": "mnist-cvae"}
    said = refused(post(served, action, **{**run, **filled}))
    assert said.startswith(sentence), said


BODIES = {
    "nothing": (b"", "nothing came"),
    "a list": (b'["mnist-cvae"]', "got ['mnist-cvae']"),
    "broken": (b'{"run": "mnist-cvae",', "what came is no JSON (expecting property name enclosed in double quotes)"),
    "a word": (b"hello", "what came is no JSON (expecting value)"),
    "no text": (b'{"run": "\xff"}', "what came cannot be read"),
    "deep": (b'{"run": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "what came cannot be read"),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_object_is_refused(served: Served, name: str) -> None:
    body, end = BODIES[name]
    assert (
        refused(raw(served, "generate", body))
        == f'the request must be a JSON object, such as {{"run": "mnist-cvae"}}; {end}'
    )


def test_what_is_not_said_to_be_json_is_refused(served: Served) -> None:
    body = json.dumps({"run": QUICK, "n": 1}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
        assert refused(raw(served, "generate", body, kind)).endswith("the header content-type: application/json")
    assert raw(served, "generate", body, "application/json; charset=utf-8")[0] == 200


def test_a_request_that_is_too_large_is_dropped(served: Served) -> None:
    most = "a request may hold 54 MB here; this one is larger"
    assert refused(raw(served, "classify", b" " * 55_000_000), 413) == most
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=60)
    parts = (b" " * 1_000_000 for _ in range(56))
    connection.request("POST", "/api/classify", parts, {"content-type": "application/json"}, encode_chunked=True)
    answer = connection.getresponse()
    assert refused((answer.status, json.loads(answer.read())), 413) == most
    connection.close()
    assert send(served, "/gradio_api/queue/join", b" " * 55_000_000, content_type="application/json")[0] == 413


# Pictures that strangers send


def header_of(wide: int, tall: int) -> bytes:
    """A PNG that says it has so many pixels, and holds none."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    sizes = struct.pack(">IIBBBBB", wide, tall, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sizes) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def test_what_is_no_picture_is_refused(served: Served, six: str) -> None:
    png, jpeg = base64.b64decode(six), base64.b64decode(packed(Image.fromarray(pixels(six)).resize((280, 280)), "JPEG"))
    wrong = {
        "!!!": "image must be a picture in base64; what came is none",
        "": "image is empty",
        text_of(b"hello"): "image is no picture that can be read here, as a PNG or JPEG is; it is a text",
        text_of(b'<svg xmlns="http://www.w3.org/2000/svg"/>'): "it is an SVG, which holds drawing commands",
        text_of(b"PK\x03\x04" + b"0" * 40): "it is a zip archive",
        text_of(png[:20]): "its header cannot be read: it is cut off or damaged",
        text_of(png[:60] + b"\0\0\0\0" + png[64:]): "it is cut off or no image",
        text_of(jpeg[: len(jpeg) // 2]): "it is cut off or no image",
        text_of(header_of(60_000, 60_000)): "at most 25 million are taken; scale it down",
        text_of(header_of(6_000, 6_000)): "image has 6,000 x 6,000 pixels, and at most 25 million are taken",
        text_of(b"\0" * (LARGEST_FILE + 9)): "image may hold 20 MB; this one is larger: scale it down",
        "A" * 30_000_000: "image may hold 20 MB; this one is larger: scale it down",
    }
    for image, words in wrong.items():
        assert words in refused(post(served, "classify", run=QUICK, image=image))
    assert "mask is no picture" in refused(post(served, "fill", run="mnist-holes", image=six, mask=text_of(b"hello")))


def test_odd_pictures_are_taken_with_a_note(served: Served, six: str) -> None:
    small = Image.fromarray(pixels(six))
    large = small.resize((280, 280))
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = [Image.new("L", (28, 28), 9), Image.new("L", (28, 28), 99)]
    odd = {
        packed(small, "GIF", save_all=True, append_images=frames): "3 frames; the first is taken",
        packed(small, "PNG", save_all=True, append_images=frames): "3 frames; the first is taken",
        packed(large.convert("CMYK"), "JPEG"): "print (CMYK)",
        packed(Image.fromarray(np.asarray(small).astype(np.uint16) * 257)): "more than 8 bits a pixel",
        packed(small.rotate(90).convert("RGB"), "JPEG", exif=turned, quality=95): "turned upright",
        packed(large.convert("P")): "resized from 280 x 280 to 28 x 28 pixels",
        packed(Image.merge("LA", (small, Image.new("L", (28, 28), 250)))): "transparent in places",
        packed(large.crop((0, 20, 280, 260))): "resized from 280 x 240 to 28 x 28 pixels",
        packed(large.convert("RGB"), "WEBP"): "in colour; it was made grey",
    }
    for image, words in odd.items():
        told = done(served, "classify", run=QUICK, image=image)
        assert any(words in note for note in told["notes"]), (words, told["notes"])
        if "transparent" not in words:
            assert told["data"]["names"] == ["6"], words
