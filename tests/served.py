"""A server of its own for the tests of the page, and a browser; not a test itself."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
ZOO = ROOT / "zoo"
# A browser that asks nobody but the page: no updates, no safe browsing, no field trials.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Served:
    """A server that runs: its address, its process, and seconds until it answered."""

    url: str
    process: subprocess.Popen[str]
    seconds: float


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(runs: Sequence[str | Path], folder: Path, host: str = "127.0.0.1") -> Iterator[Served]:
    """`condvae serve RUNS` in a folder of its own, until it is left; Ctrl-C ends it."""
    port = free_port()
    command = [sys.executable, "-m", "condvae", "serve", *map(str, runs), "--host", host, "--port", str(port)]
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    begun = time.monotonic()
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, text=True)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, process, folder / "server.log")
            yield Served(url, process, time.monotonic() - begun)
        finally:
            process.send_signal(2)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(url: str, process: subprocess.Popen[str], log: Path, seconds: float = 90) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"the server ended: {log.read_text()}")
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"no answer in {seconds} s: {log.read_text()}")


@contextmanager
def browsing() -> Iterator[Any]:
    """A browser of Playwright's, Debian's chromium; the test is skipped where there is none, unless one is required."""
    found = shutil.which("chromium")
    if found is None and not os.environ.get("CONDVAE_BROWSER"):
        pytest.skip("there is no chromium; CONDVAE_BROWSER=required makes this a failure")
    assert found is not None, "the package chromium is not installed"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
