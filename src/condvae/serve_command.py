"""The command that serves the page. What it does lives in `web`."""

from __future__ import annotations

from importlib.util import find_spec

from condvae.errors import Refused

__all__ = ["serve"]


def serve(*runs: str, host: str = "127.0.0.1", port: int = 7860, data_dir: str | None = None) -> None:
    """Open a page in the browser: ask, fill, restyle, look, read; and train, where only this machine can reach it.

    Args:
        runs: run folders; without any, the page trains one.
        host: where to listen; 127.0.0.1 = this machine alone, 0.0.0.0 = every machine that reaches this one.
        port: of the page.
        data_dir: a folder that holds the named data's files.
    """
    if find_spec("gradio") is None:
        raise Refused("the page needs the extra 'web': pip install 'condvae[web]'")
    from condvae.web.port import check

    check(host, port)  # what cannot be served is refused before the seconds that the page takes to come up
    from condvae.desk import Desk

    desk = Desk(runs, data_dir)
    try:
        from condvae.web.app import serve as begin

        begin(desk, host, port)
    finally:
        desk.close()
