"""How fast the page of `condvae serve` is: until it is up, until it is shown, until a picture is, and many at once.

A server process of its own serves the runs; a browser and clients over HTTP ask it from this machine, so that all of
them share its cores.
"""

from __future__ import annotations

import base64
import io
import json
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
import torch
from bench import RESULTS, ROOT, load_average, publish
from PIL import Image

sys.path.insert(0, str(ROOT / "tests"))
from served import browsing, serving  # pyright: ignore[reportMissingImports]

ZOO = sorted(path.parent for path in (ROOT / "zoo").glob("*/run.json"))
MIX = ("mnist-cvae", "mnist-100-labels", "mnist-holes", "mnist-gan")  # what the clients ask, in turn
SHOWN = 16  # pictures of one ask in the browser: what the page begins with
PATIENCE = 120_000  # ms
PROTOCOL = (
    "condvae serve of {runs} runs, asked from the same machine; start-up: process start until /healthz answers, of "
    "{starts}; first page: goto until the button Ask is there, a fresh context of headless chromium each, of {pages}; "
    "ask to picture: click on Ask until {shown} new pictures are painted, of {asks} after the first; classify, "
    "restyle, fill and generate over HTTP, of {calls} after the first; {clients} clients x {requests} requests for one "
    "picture each, runs in turn ({mix}), each answer compared with Run.generate"
)

Summary = dict[str, Any]


def summary(row: Sequence[float], unit: int = 3) -> Summary:
    """Median, least and greatest of some seconds."""
    found = {"median": statistics.median(row), "least": min(row), "greatest": max(row)}
    return {**{name: round(value, unit) for name, value in found.items()}, "times": len(row)}


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def post(url: str, action: str, **values: Any) -> Any:
    """What an action gives over HTTP."""
    request = urllib.request.Request(
        f"{url}/api/{action}", json.dumps(values).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


def start_up(runs: Sequence[Path], times: int) -> Summary:
    """Seconds until the server answers."""
    row = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder, serving(runs, Path(folder)) as one:
            row.append(one.seconds)
    return summary(row)


def first_page(browser: Any, url: str, times: int) -> Summary:
    """Seconds until the page can be used, nothing of it being in the browser's cache."""
    row = []
    for _ in range(times):
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(PATIENCE)

        def shown(page: Any = page) -> None:
            page.goto(url, wait_until="commit")
            ask_button(page).wait_for()

        row.append(timed(shown))
        context.close()
    return summary(row)


def ask_button(page: Any) -> Any:
    return page.get_by_role("button", name="Ask", exact=True).locator("visible=true").first


# The picture below the open tab, once the browser has painted another than it was.
CHANGED = """(old) => {
    const one = [...document.querySelectorAll('.drawn img')].find((image) => image.offsetParent !== null);
    return one && one.src !== old && one.complete && one.naturalWidth > 0 ? one.src : null;
}"""

BEGUN = """(amount) => [...document.querySelectorAll('input[aria-label="number input for How many, of each"]')]
    .some((input) => input.offsetParent !== null && input.value === amount)"""


def ask_to_picture(browser: Any, url: str, names: Sequence[str], times: int) -> dict[str, Summary]:
    """Seconds from a click on Ask until the picture is there, of each run."""
    found = {}
    for name in names:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        ask_button(page).wait_for()
        choose(page, name)
        source, row = "", []
        for _ in range(times + 1):
            start = time.perf_counter()
            ask_button(page).click()
            source = page.wait_for_function(CHANGED, arg=source, polling="raf").json_value()
            row.append(time.perf_counter() - start)
        check(page, name)
        context.close()
        found[name] = {"first": round(row[0], 3), **summary(row[1:])}
    return found


def choose(page: Any, name: str) -> None:
    """Choose a run of the page, and wait until its panels stand."""
    chooser = page.get_by_role("combobox", name="Run", exact=True)
    if chooser.input_value() == name:
        return
    amount = page.get_by_label("number input for How many, of each").locator("visible=true").first
    amount.fill(str(SHOWN + 1))  # the new run's panels begin with the old number
    amount.press("Tab")
    chooser.click()
    page.get_by_role("option", name=name, exact=True).click()
    page.wait_for_function(BEGUN, arg=str(SHOWN))
    ask_button(page).wait_for()


def check(page: Any, name: str) -> None:
    """Fail where it was another run that was asked."""
    page.get_by_role("button", name="The same request, to copy").locator("visible=true").first.click()
    command = page.locator("label:has-text('Command line') textarea").locator("visible=true").first.input_value()
    if not re.search(rf"[/ ]{re.escape(name)} ", command):
        raise RuntimeError(f"{name} was to be asked, and the page says {command!r}")


def over_http(url: str, times: int) -> dict[str, Summary]:
    """Seconds of single requests over HTTP."""
    drawn = post(url, "generate", run="mnist-cvae", asked={"digit": "6"}, n=1)["images"][0][0]
    face = post(url, "generate", run="faces-drawn", asked={"expression": "happy"}, n=1)["images"][0][0]
    features = {"hair": "short", "hair_colour": "black", "skin": "light", "pose": 0}
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "classify, mnist-cvae": ("classify", {"run": "mnist-cvae", "image": drawn}),
        "classify, mnist-100-labels": ("classify", {"run": "mnist-100-labels", "image": drawn}),
        "restyle, mnist-cvae": ("restyle", {"run": "mnist-cvae", "image": drawn, "given": {"digit": "6"}}),
        "restyle, mnist-cvae, label read": ("restyle", {"run": "mnist-cvae", "image": drawn}),
        "restyle, faces-drawn": (
            "restyle",
            {"run": "faces-drawn", "image": face, "given": {"expression": "happy", **features}},
        ),
        "fill, mnist-holes": ("fill", {"run": "mnist-holes", "image": drawn, "hole": "0,0,14,28", "n": 6}),
        "generate, mnist-cvae": ("generate", {"run": "mnist-cvae", "asked": {"digit": "6"}, "n": SHOWN}),
    }
    found = {}
    for name, (action, values) in calls.items():
        first = timed(lambda: post(url, action, **values))  # noqa: B023
        row = [timed(lambda: post(url, action, **values)) for _ in range(times)]  # noqa: B023
        found[name] = {"first": round(first, 3), **summary(row)}
    return found


Asked = tuple[str, str, int]  # run, digit, seed


def many(url: str, clients: int, requests: int) -> dict[str, Any]:
    """Clients side by side, each asking for other pictures, one at a time; which answers were another's, or none."""

    def client(number: int) -> list[tuple[Asked, float, np.ndarray | None]]:
        row = []
        for i in range(requests):
            seed = number * requests + i
            run, digit = MIX[(number + i) % len(MIX)], str(seed % 10)
            start = time.perf_counter()
            try:
                told = post(url, "generate", run=run, asked={"digit": digit}, n=1, seed=seed)
            except OSError:
                row.append(((run, digit, seed), time.perf_counter() - start, None))
                continue
            seconds = time.perf_counter() - start
            with Image.open(io.BytesIO(base64.b64decode(told["images"][0][0]))) as image:
                row.append(((run, digit, seed), seconds, np.asarray(image, np.float32) / 255))
        return row

    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = [one for row in pool.map(client, range(clients)) for one in row]
    spent = time.perf_counter() - begun
    cuts = statistics.quantiles([seconds for _, seconds, _ in answers], n=20)
    return {
        "clients": clients,
        "requests": len(answers),
        "failures": sum(image is None for _, _, image in answers),
        "mixed_up": mixed_up([(asked, image) for asked, _, image in answers if image is not None]),
        "p50": round(cuts[9], 3),
        "p95": round(cuts[18], 3),
        "requests_a_second": round(len(answers) / spent, 1),
    }


def mixed_up(answers: Sequence[tuple[Asked, np.ndarray]]) -> int:
    """How many answers are not the picture that the run itself draws, to the rounding of a PNG."""
    import condvae

    runs = {name: condvae.load(str(ROOT / "zoo" / name)) for name in MIX}
    wrong = 0
    for (run, digit, seed), image in answers:
        wanted = runs[run].generate({"digit": digit}, n=1, seed=seed)[0, 0]
        wrong += not np.abs(image - wanted).max() < 0.51 / 255
    return wrong


def main(*, out: Path = RESULTS / "page.json", quick: bool = False, dry: bool = False) -> None:
    """Measure and add the run to the results file.

    Parameters
    ----------
    out: the results file
    quick: each thing once or twice, to try it; prints only
    dry: print only
    """
    load, start = load_average(), time.perf_counter()
    starts, pages, asks, calls, clients, requests = (1, 1, 1, 1, 2, 4) if quick else (3, 5, 9, 5, 8, 50)
    values: dict[str, Any] = {"unit": "seconds", "start_up": start_up(ZOO, starts)}
    with tempfile.TemporaryDirectory() as folder, serving(ZOO, Path(folder)) as one:
        with browsing() as browser:
            values["first_page"] = first_page(browser, one.url, pages)
            values["ask_to_picture"] = ask_to_picture(browser, one.url, [path.name for path in ZOO], asks)
        values["http"] = over_http(one.url, calls)
        values["side_by_side"] = many(one.url, clients, requests)
    print(json.dumps(values, indent=2))
    if not (dry or quick):
        protocol = PROTOCOL.format(
            runs=len(ZOO),
            starts=starts,
            pages=pages,
            shown=SHOWN,
            asks=asks,
            calls=calls,
            clients=clients,
            requests=requests,
            mix=", ".join(MIX),
        )
        publish(out, values, protocol, start, load, torch.get_num_threads())


if __name__ == "__main__":
    cyclopts.run(main)
