"""One file from a public mirror: resumed where it broke off, checked, and only then given its name.

While it comes in, a file is called ``NAME.part``. It becomes ``NAME`` in one step, after its size and SHA-256
are found right, so that an interrupted download is never taken for a whole file.
"""

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from condvae.errors import Refused

__all__ = ["Progress", "Remote", "download", "sha256_of"]

Progress = Callable[[int, int], None]

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # seconds without a byte
_TRIES = 3  # per mirror; every try goes on where the last one broke off


@dataclass(frozen=True)
class Remote:
    """A file on public mirrors: its name, size in bytes, SHA-256 as hex, full addresses in order of trial."""

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


def download(remote: Remote, folder: Path, progress: Progress | None = None) -> Path:
    """Bring `remote` into `folder` and return its path.

    `progress(done, total)` is called with bytes as they come, starting at what an earlier, interrupted
    download had left. A file already there under its own name is returned as it is.

    Raises:
        Refused: where no mirror gave a file of the right size and SHA-256, or the folder cannot be written.
    """
    target = folder / remote.name
    if target.exists():
        return target
    part = folder / f"{remote.name}.part"
    reasons: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for url in remote.urls:
            reason = _from_mirror(url, remote, part, progress)
            if reason is None:
                os.replace(part, target)
                return target
            reasons.append(reason)
    except OSError as error:
        raise Refused(
            f"{target} cannot be written ({error.strerror or error}); set CONDVAE_CACHE to another folder"
        ) from None
    raise Refused(
        f"{remote.name} could not be downloaded ({'; '.join(dict.fromkeys(reasons))}); "
        "try again, or put the file into a folder and name that with data_dir"
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hex, reading it in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _from_mirror(url: str, remote: Remote, part: Path, progress: Progress | None) -> str | None:
    """Fill `part` from one mirror; return None once it is whole and right, else the reason why not."""
    reason = "the connection broke off"
    inherited = part.exists()
    for _ in range(_TRIES):
        if not part.exists() or part.stat().st_size < remote.size:
            try:
                _fetch(url, remote, part, progress)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 416 and inherited:  # what is left of an earlier try is longer than the file
                    part.unlink()
                    inherited = False
                    continue
                return f"HTTP status {error.code}"
            except _Broken as broken:
                reason = str(broken)
                continue
        if part.stat().st_size == remote.size and sha256_of(part) == remote.sha256:
            return None
        if part.stat().st_size >= remote.size:
            # A wrong byte can be anywhere, so nothing of it is kept.
            part.unlink()
            reason = "what came has a wrong checksum"
            if not inherited:
                return reason
            inherited = False
    return reason


class _Broken(Exception):
    """The connection failed or broke; what has come, if anything, is in the part file."""


def _fetch(url: str, remote: Remote, part: Path, progress: Progress | None) -> None:
    """Ask once for what `part` still lacks, and append what comes."""
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "condvae", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    request = urllib.request.Request(url, headers=headers)
    with contextlib.closing(_open(request)) as answer:
        goes_on = answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {done}-")
        if not goes_on:
            done = 0  # the mirror sends the whole file, whatever was asked for
        with part.open("ab" if goes_on else "wb") as stream:
            _report(progress, done, remote.size)
            while done <= remote.size and (piece := _read(answer)):
                stream.write(piece)
                done += len(piece)
                _report(progress, min(done, remote.size), remote.size)
    if done < remote.size:
        raise _Broken("the connection broke off")


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(str(getattr(error, "reason", error)) or type(error).__name__) from None


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(str(error) or type(error).__name__) from None


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
