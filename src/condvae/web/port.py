"""Whether an address can be listened on, asked before the seconds that the page takes to come up."""

from __future__ import annotations

import socket

from condvae.errors import Refused

__all__ = ["check"]


def check(host: str, port: int) -> None:
    """Refused: a port that is none or is taken, a host that is none of this machine's."""
    if not 1 <= port <= 65535:
        raise Refused(f"port must be a whole number from 1 to 65,535; got {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        why = error.strerror or str(error)
        raise Refused(f"{host}:{port} cannot be listened on ({why}); choose another with --port or --host") from None
