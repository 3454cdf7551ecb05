"""The HTTP interface, asked over HTTP: a server of its own, of five runs of the zoo."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import condvae

pytest.importorskip("gradio")

from asked import QUICK, done, drawn, grid, packed, pixels, post, raw, refused, send
from served import ROOT, ZOO, Served, free_port, serving

from condvae.limits import LARGEST_FILE, LARGEST_ZIP
from condvae.web.api import ACTIONS
from condvae.web.bounds import Bounds
from condvae.web.gate import WAITING

pytestmark = pytest.mark.xdist_group("page")

RUNS = ("mnist-cvae", "mnist-holes", "mnist-draw", "mnist-100-labels", "faces-drawn")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of the five runs, whose files lie in a folder of its own. Ctrl-C ends it, and leaves nothing there."""
    folder = tmp_path_factory.mktemp("api")
    files = folder / "files"
    files.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(files))
        with serving([ZOO / name for name in RUNS], folder) as one:
            yield one
            assert list(files.glob("condvae-page-*"))
    assert one.process.returncode == 0
    assert not list(files.glob("condvae-page-*"))
    assert "Traceback" not in (folder / "server.log").read_text()


@pytest.fixture(scope="module")
def six(served: Served) -> str:
    """A six, as PNG in base64."""
    status, told = post(served, "generate", run="mnist-cvae", asked={"digit": "6"}, n=1, seed=3)
    assert status == 200
    return told["images"][0][0]


# What the server says of itself


def test_health_and_runs(served: Served) -> None:
    status, body, headers = send(served, "/healthz")
    assert status == 200 and json.loads(body) == {
        "status": "ok",
        "version": condvae.__version__,
        "runs": list(RUNS),
    }
    assert headers["content-type"] == "application/json"
    found = {one["name"]: one for one in json.loads(send(served, "/api/runs")[1])}
    assert list(found) == list(RUNS)
    digit = {"kind": "choice", "name": "digit", "values": list("0123456789"), "optional": True}
    assert found["mnist-cvae"] == {
        "name": "mnist-cvae",
        "can": ["ask", "hand", "look", "read", "proof"],
        "asks": [digit],
        "shape": [1, 28, 28],
        "trained_on": "mnist",
    }
    assert "fill" in found["mnist-holes"]["can"] and found["mnist-holes"]["asks"][1]["kind"] == "paint"
    assert "draw" in found["mnist-draw"]["can"] and found["faces-drawn"]["shape"] == [3, 64, 64]
    pose = found["faces-drawn"]["asks"][-1]
    assert (pose["kind"], pose["name"], pose["low"], pose["high"]) == ("slider", "pose", [-1.0], [1.0])


def test_openapi_is_served_and_names_nothing_elsewhere(served: Served) -> None:
    status, body, _ = send(served, "/api/openapi.json")
    told = json.loads(body)
    assert status == 200 and "http" not in body.decode().replace("HTTP", "").replace("https://json-schema.org", "")
    assert set(told["paths"]) == {"/healthz", "/api/runs", *(f"/api/{name}" for name in ACTIONS)}
    generate = told["components"]["schemas"]["GenerateRequest"]
    assert generate["required"] == ["run"] and generate["additionalProperties"] is False
    assert generate["properties"]["n"] == {"type": "integer", "title": "N", "default": 16}
    answers = told["paths"]["/api/generate"]["post"]["responses"]
    assert {"413", "422", "500", "503"} <= set(answers) and "HTTPValidationError" not in json.dumps(told)
    for path in ("/docs", "/redoc", "/api/docs"):
        assert send(served, path)[0] == 404


@pytest.mark.parametrize("path", ["/healthz", "/api/runs", "/", "/api/nothing"])
def test_every_answer_keeps_the_browser_here(served: Served, path: str) -> None:
    _, _, headers = send(served, path)
    policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'" and policy["object-src"] == "'none'" and "http" not in str(policy)
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def test_only_this_machine_is_answered(served: Served) -> None:
    for host in ("example.org", "example.org:7860", "127.0.0.1.example.org"):
        assert send(served, "/healthz", host=host)[0] == 400
    for host in ("localhost", "localhost:1", "127.0.0.1"):
        assert send(served, "/healthz", host=host)[0] == 200


def test_a_page_of_another_site_is_refused(served: Served) -> None:
    form = b'--b\r\ncontent-disposition: form-data; name="files"; filename="a.png"\r\n\r\nx\r\n--b--\r\n'
    kind = "multipart/form-data; boundary=b"
    for origin in ("http://example.org", "null", "http://127.0.0.1:1", "http://["):
        for path, body in (("/healthz", None), ("/gradio_api/upload", form), ("/api/card", b"{}")):
            status, said, _ = send(served, path, body, origin=origin, content_type=kind)
            assert "another site" in refused((status, json.loads(said)), 403)
    assert send(served, "/healthz", origin=served.url)[0] == 200
    assert send(served, "/gradio_api/upload", form, origin=served.url, content_type=kind)[0] == 200


def test_unknown_paths_and_ways_are_said(served: Served) -> None:
    said = refused(raw(served, "nothing", b"{}"), 404)
    assert all(name in said for name in ACTIONS) and said.endswith("got POST '/api/nothing'")
    status, body, headers = send(served, "/api/generate")
    assert refused((status, json.loads(body)), 405) == "/api/generate answers POST with a JSON object; got GET"
    assert headers["allow"] == "POST"
    assert refused(raw(served, "runs", b"{}"), 405) == "/api/runs answers GET; got POST"
    assert send(served, "/nothing")[0] == 404


# What each action gives


def test_generate_gives_the_pictures_of_the_run(served: Served) -> None:
    asked = {"digit": ["6", "7"]}
    told = done(served, "generate", run="mnist-cvae", asked=asked, n=3, seed=11, temperature=0.8)
    assert told["digit"] == ["6", "7"] and told["seed"] == 11 and told["said"] == ["3 pictures each of 6 and 7"]
    assert told["notes"] == [] and "--temperature 0.8" in told["command"] and "seed=11" in told["python"]
    wanted = condvae.load(ZOO / "mnist-cvae").generate(asked, n=3, seed=11, temperature=0.8)
    found = drawn(told["images"])
    assert found.shape == (2, 3, 28, 28) and np.abs(found / 255 - wanted[:, :, 0]).max() < 0.5 / 255 + 1e-6
    with grid(told) as image:
        assert told["file"]["name"] == "asked.png" and image.format == "PNG" and min(image.size) > 100
    assert drawn(done(served, "generate", run=QUICK)["images"]).shape == (1, 16, 28, 28)
    assert drawn(done(served, "generate", run="faces-drawn", asked={"pose": 0.5}, n=1)["images"]).shape == (
        1,
        1,
        64,
        64,
        3,
    )


def test_fill_keeps_what_is_seen(served: Served, six: str) -> None:
    told = done(served, "fill", run="mnist-holes", image=six, hole="0,0,14,28", n=3, seed=2, given={"digit": "6"})
    images, seen = drawn(told["images"]), np.asarray(told["seen"])[0]
    assert images.shape == (3, 28, 28) and seen[:, 14:].all() and not seen[:, :14].any()
    assert (images[:, seen] == pixels(six)[seen]).all() and not (images[0] == images[1]).all()
    mask = np.zeros((28, 28), np.uint8)
    mask[10:20, 5:9] = 255
    masked = done(served, "fill", run="mnist-holes", image=six, mask=packed(Image.fromarray(mask)), n=2)
    assert (np.asarray(masked["seen"])[0] == (mask == 0)).all()
    assert (drawn(masked["images"])[:, mask == 0] == pixels(six)[mask == 0]).all()
    clear = Image.merge("LA", (Image.fromarray(pixels(six)), Image.fromarray(255 - mask)))
    through = done(served, "fill", run="mnist-holes", image=packed(clear), n=2)
    assert (np.asarray(through["seen"])[0] == (mask == 0)).all()
    with grid(told) as image:
        assert image.format == "PNG"


def test_restyle_write_and_interpolate(served: Served, six: str) -> None:
    told = done(served, "restyle", run=QUICK, image=six, given={"digit": "6"})
    assert drawn(told["images"]).shape == (1, 10, 28, 28) and told["to_digit"] == list("0123456789")
    assert np.abs(drawn(told["real"])[0].astype(int) - pixels(six)).max() <= 1
    some = done(served, "restyle", run=QUICK, image=six, to={"digit": ["1", "2"]})
    assert some["to_digit"] == ["1", "2"] and "is read as digit" in some["notes"][0]
    written = done(served, "write", run=QUICK, text="20 6", style=six)
    assert written["text"] == ["2", "0", "6"] and drawn(written["images"]).shape == (3, 28, 28)
    line = done(served, "interpolate", run=QUICK, a=six, b=six, begin={"digit": "6"}, end={"digit": "0"}, steps=4)
    assert drawn(line["images"]).shape == (4, 28, 28) and line["file"]["name"] == "between.png"
    moving = done(served, "interpolate", run=QUICK, begin={"digit": "1"}, end={"digit": "7"}, steps=3, moving=True)
    with grid(moving) as image:
        assert image.format == "GIF" and getattr(image, "n_frames", 1) > 1


def test_classify_says_what_is_like_nothing_it_knows(served: Served, six: str) -> None:
    told = done(served, "classify", run=QUICK, image=f"data:image/png;base64,{six}")
    data = told["data"]
    assert data["names"] == ["6"] and data["values"] == list("0123456789") and not data["typical"]["flagged"]
    assert sum(data["probabilities"][0]) == pytest.approx(1, abs=1e-4) and "file" not in told
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    for strange in (np.zeros_like(noise), np.full_like(noise, 255), noise):
        answer = done(served, "classify", run=QUICK, image=packed(Image.fromarray(strange)))
        assert answer["data"]["typical"]["flagged"]
        assert "it looks like nothing the model knows" in answer["said"][1]


def test_look_draw_and_card(served: Served) -> None:
    plane = done(served, "plane", run=QUICK, asked={"digit": "3"}, size=3, seed=4)
    assert drawn(plane["images"]).shape == (3, 3, 28, 28) and len(plane["units"]) == 2
    middle = done(served, "point", run=QUICK, asked={"digit": "3"}, at=[0, 0], seed=4)
    assert (drawn(middle["images"]).reshape(28, 28) == drawn(plane["images"])[1, 1]).all()
    with grid(done(served, "map", run=QUICK, limit=20, thumbnails=False)) as image:
        assert image.format == "PNG"
    how = done(served, "draw", run="mnist-draw", asked={"digit": "3"}, n=2)
    assert drawn(how["images"]).shape[:2] == (1, 2) and drawn(how["images"]).shape[3:] == (28, 28)
    with grid(how) as image:
        assert image.format == "GIF" and getattr(image, "n_frames", 1) > 1
    card = done(served, "card", run=QUICK)
    assert card["data"]["sections"] and base64.b64decode(card["file"]["base64"]).decode().startswith("#")


def test_every_action_is_tried_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in ACTIONS if f'done(served, "{name}"' not in source] == []


# The same by gradio's client


def test_gradios_client_gets_the_same(served: Served) -> None:
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    client = Client(served.url, verbose=False)
    told: Any = client.view_api(print_info=False, return_format="dict")
    assert set(told["named_endpoints"]) == {"/runs", *(f"/{name}" for name in ACTIONS)}
    assert not told["unnamed_endpoints"]
    first = client.predict("mnist-cvae", {"digit": "6"}, 2, api_name="/generate")
    named = client.predict(run="mnist-cvae", asked={"digit": "6"}, n=2, seed=0, api_name="/generate")
    asked = done(served, "generate", run="mnist-cvae", asked={"digit": "6"}, n=2)
    assert first == named == asked
    assert [one["name"] for one in client.predict(api_name="/runs")] == list(RUNS)
    at = client.predict(run=QUICK, asked={"digit": "3"}, at=[0.5, -1], api_name="/point")
    assert at == done(served, "point", run=QUICK, asked={"digit": "3"}, at=[0.5, -1])
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("generate", {"run": "mnist-cvae", "n": 257}),
        ("generate", {"run": ["mnist-cvae"]}),
        ("generate", {"run": "mnist-cvae", "asked": {"digit": "six"}}),
        ("write", {"run": "mnist-cvae", "text": 5}),
        ("classify", {"run": "mnist-cvae", "image": "/etc/hostname"}),
    ]
    for action, values in wrong:
        with pytest.raises(AppError) as caught:
            client.predict(**values, api_name=f"/{action}")
        assert str(caught.value) == refused(post(served, action, **values))


# Many at once


def test_eight_clients_get_each_what_they_asked_for(served: Served) -> None:
    """8 clients x 50 requests, each for another picture: none fails, none gets another's."""
    clients, each = 8, 50
    seconds: list[float] = []

    def client(number: int) -> list[tuple[str, int, np.ndarray]]:
        found = []
        for i in range(each):
            digit, seed = str((number + i) % 10), number * each + i
            begun = time.perf_counter()
            told = done(served, "generate", run=QUICK, asked={"digit": digit}, n=1, seed=seed)
            seconds.append(time.perf_counter() - begun)
            assert told["seed"] == seed and told["digit"] == [digit]
            found.append((digit, seed, pixels(told["images"][0][0])))
        return found

    with ThreadPoolExecutor(clients) as pool:
        answers = [one for row in pool.map(client, range(clients)) for one in row]
    run = condvae.load(ZOO / QUICK)
    assert len({seed for _, seed, _ in answers}) == clients * each
    for digit, seed, found in answers:
        wanted = run.generate({"digit": digit}, n=1, seed=seed)[0, 0]
        assert np.abs(found / 255 - wanted).max() < 0.5 / 255 + 1e-6, (digit, seed)
    cuts = statistics.quantiles(seconds, n=20)
    print(f"{clients} clients x {each} requests: p50 {cuts[9]:.3f} s, p95 {cuts[18]:.3f} s")


def test_slow_requests_do_not_block_quick_ones(served: Served, six: str) -> None:
    slow: list[tuple[str, dict[str, Any]]] = [
        ("map", {"run": QUICK, "method": "tsne", "limit": 700}),
        ("plane", {"run": "mnist-cvae", "asked": {"digit": "3"}, "size": 25}),
        ("classify", {"run": "mnist-cvae", "image": six}),
    ]
    with ThreadPoolExecutor(len(slow)) as pool:
        running = [pool.submit(post, served, action, **values) for action, values in slow]
        time.sleep(0.3)  # they have begun
        for seed in range(10):
            done(served, "generate", run=QUICK, asked={"digit": "3"}, n=1, seed=seed)
        early = [one.done() for one in running]
        statuses = [one.result()[0] for one in running]
    assert statuses == [200] * len(slow)
    assert not early[0] and not early[2], early


# Files


def test_uploads_are_bounded(served: Served) -> None:
    def said_of(length: int) -> bytes:
        """What is answered to an upload of that length, long before all of it has come."""
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as line:
            kind = "multipart/form-data; boundary=b"
            head = f"POST /gradio_api/upload HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\n"
            line.sendall(f"{head}content-length: {length}\r\n\r\n--b\r\n".encode())
            for _ in range(65):
                line.sendall(b"\0" * 1_000_000)
            return line.recv(4096)

    assert said_of(LARGEST_ZIP + 2_000_000).startswith(b"HTTP/1.1 413")


def test_bounds_of_a_server_that_others_reach() -> None:
    assert Bounds(None, local=True).largest("/gradio_api/upload") > LARGEST_ZIP
    assert Bounds(None, local=False).largest("/gradio_api/upload") < 1.1 * LARGEST_FILE
    assert Bounds(None, local=False).largest("/api/fill") > 2 * LARGEST_FILE * 4 / 3


def test_no_file_but_the_pages_own_is_served(served: Served, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    run = ZOO / QUICK / "run.json"
    above = "/".join([".."] * 12)
    for path in (
        "/etc/hostname",
        outside,
        run,
        f"{above}/etc/hostname",
        f"{above}{run}",
        "server.log",
        "/etc/../etc/hostname",
    ):
        for place in (f"/gradio_api/file={path}", f"/file={path}", f"/static/{path}", f"/assets/{path}"):
            status, body, _ = send(served, place)
            assert status in (400, 403, 404, 422), place
            assert b"secret" not in body and b"schema" not in body
    form = b'--b\r\ncontent-disposition: form-data; name="files"; filename="../../up.txt"\r\n\r\nmine\r\n--b--\r\n'
    _, body, _ = send(served, "/gradio_api/upload", form, content_type="multipart/form-data; boundary=b")
    (kept,) = json.loads(body)
    assert Path(kept).name == "up.txt" and "condvae-page-" in kept and ".." not in kept
    assert send(served, f"/gradio_api/file={kept}")[1] == b"mine"
    assert send(served, f"/gradio_api/file={Path(kept).parent}/../../../{above}/etc/hostname")[0] in (403, 404)


# What goes wrong on the server's side, without a server


@pytest.fixture
def page() -> Iterator[tuple[Any, Any]]:
    """(a page of no run, a client of its HTTP interface) within this process."""
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from condvae.actions import Actions
    from condvae.desk import Desk
    from condvae.web import api
    from condvae.web.base import Page
    from condvae.web.gate import Gate

    desk = Desk()
    made, app = Page(desk, Actions(desk), Gate()), FastAPI()
    api.add_routes(app, made)
    with TestClient(app) as client:
        yield made, client
    desk.close()


def test_what_fails_is_one_sentence_without_the_servers_folder(page: tuple, monkeypatch, capsys) -> None:
    made, client = page

    def broken(run: str) -> None:
        raise RuntimeError(f"cannot open {made.desk.place('.png', 'mine')}\nat all")

    monkeypatch.setattr(made.actions, "card", broken)
    answer = client.post("/api/card", json={"run": "mnist-cvae"})
    assert (answer.status_code, answer.json()) == (500, {"error": "RuntimeError: cannot open mine.png at all"})
    assert "Traceback" in capsys.readouterr().err  # for who runs the server
    assert refused((422, client.post("/api/point", json={"run": "a"}).json())) == "run is one of none yet; got 'a'"


def test_too_many_requests_are_sent_away(page: tuple) -> None:
    made, client = page
    made.gate.waiting["quick"] = WAITING
    answer = client.post("/api/card", json={"run": "mnist-cvae"})
    assert answer.status_code == 503
    assert answer.json() == {"error": f"{WAITING} requests wait already; try again in a moment"}
    assert client.post("/api/map", json={"run": "mnist-cvae"}).status_code == 422  # another door


# Begin and end


def test_the_end_leaves_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    """Ended by the system; by Ctrl-C the server of all these tests is ended."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with serving([ZOO / QUICK], tmp_path) as one:
        assert list(folder.glob("condvae-page-*"))
        one.process.terminate()
        assert one.process.wait(30) == 0
    assert not list(folder.glob("condvae-page-*"))
    assert (tmp_path / "server.log").read_text() == f"{one.url} (Ctrl-C ends it)\n"


def command(folder: Path, *words: str, stub: str | None = None) -> subprocess.CompletedProcess[str]:
    """`condvae serve WORDS`, where gradio, if a stub is given, is that text."""
    paths = [str(ROOT / "src")]
    if stub is not None:
        (folder / "gradio").mkdir()
        (folder / "gradio" / "__init__.py").write_text(stub)
        paths.insert(0, str(folder))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    line = [sys.executable, "-m", "condvae", "serve", *words]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


LOADED = "raise RuntimeError('the page was loaded')"


@pytest.mark.parametrize("wrong", ["port", "run", "number"])
def test_what_cannot_be_served_is_refused_before_the_page_is_loaded(tmp_path: Path, wrong: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1] if wrong == "port" else free_port())
        words = [str(tmp_path if wrong == "run" else ZOO / QUICK), "--port", "70000" if wrong == "number" else port]
        found = command(tmp_path, *words, stub=LOADED)
    assert found.returncode == 2 and found.stdout == "" and found.stderr.count("\n") == 1
    sentences = {"port": f"127.0.0.1:{port} cannot be listened on", "run": "is no run", "number": "from 1 to 65,535"}
    assert sentences[wrong] in found.stderr


def test_without_gradio_one_sentence_says_what_to_install() -> None:
    code = "import sys; sys.modules['gradio'] = None; from condvae.cli import main; sys.exit(main(['serve']))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    said = "condvae: the page needs the extra 'web': pip install 'condvae[web]'\n"
    assert (found.returncode, found.stdout, found.stderr) == (2, "", said)


# The examples of docs/api.md


BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_examples_of_the_documentation_run(served: Served, tmp_path: Path) -> None:
    """All of docs/api.md, in their order, in one folder; what they write are pictures."""
    assert {kind for kind, _ in BLOCKS} == {"sh", "python"} and len(BLOCKS) >= 4
    for kind, block in BLOCKS:
        if kind == "sh" and shutil.which("curl") is None:
            continue
        code = block.replace("http://127.0.0.1:7860", served.url)
        line = ["sh", "-e", "-c", code] if kind == "sh" else [sys.executable, "-c", code]
        ran = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert ran.returncode == 0, f"{block}\n{ran.stdout}{ran.stderr}"
        for name in set(re.findall(r"[\w-]+\.(?:png|gif)\b", code)):
            with Image.open(tmp_path / name) as image:
                image.load()
