"""What a command line process owes its caller: results on stdout, one line for an error, an exit code; and torch an
allocator that suits it."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from condvae.errors import Refused

if TYPE_CHECKING:
    from condvae.studio import Reply

__all__ = ["Out", "Plain", "Words", "outcome", "show", "tune"]

Out = Annotated[str | None, Parameter(alias="-o")]
Words = Annotated[list[str] | None, Parameter(negative="")]
Plain = Annotated[bool, Parameter(negative="")]

HOUSE = Path(__file__).parent  # warnings raised below it are condvae's
FAILED, BAD_INPUT, CTRL_C, BROKEN_PIPE = 1, 2, 130, 141


def show(reply: Reply, as_json: bool = False) -> None:
    """Results to stdout; notes, which are not results, to stderr."""
    for note in reply.notes:
        print(note, file=sys.stderr)
    if as_json:
        print(json.dumps(reply.data, ensure_ascii=False, allow_nan=False))
        return
    for line in reply.lines:
        print(line)


def outcome(command: Callable[[], object], environment: Mapping[str, str]) -> int:
    """Run a command and return its exit code; an error is one line on stderr, unless CONDVAE_DEBUG is set.

    So is a warning of condvae's own, as a note, for where in the code it arose is no news to a user.
    """
    try:
        with plain_notes():
            command()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; without this Python complains once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt as error:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # a line that showed how far the work had come is not written over
        return complain(str(error) or "interrupted", CTRL_C)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0 if error.code is None else FAILED
    except Exception as error:
        if environment.get("CONDVAE_DEBUG"):
            raise
        return complain(*explained(error))
    return 0


@contextmanager
def plain_notes() -> Iterator[None]:
    """Within it, a UserWarning raised in condvae's code is one line on stderr; others are shown as ever."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def shown(
            message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any, **more: Any
        ) -> None:
            if issubclass(category, UserWarning) and Path(filename).is_relative_to(HOUSE):
                complain(f"note: {' '.join(str(message).split())}", 0)
            else:
                usual(message, category, filename, lineno, *rest, **more)

        warnings.showwarning = shown
        yield


def explained(error: Exception) -> tuple[str, int]:
    """An error in one line, and the exit code: 2 for input that cannot be used, 1 for what failed."""
    said = " ".join(str(error).split())
    if isinstance(error, Refused):
        return said, BAD_INPUT
    if isinstance(error, cyclopts.CycloptsError):
        return f"{said.rstrip('.')}; `condvae --help` lists what there is", BAD_INPUT
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError | PermissionError):
        return f"{error.strerror}: {error.filename}" if error.strerror else said, BAD_INPUT
    if isinstance(error, OSError):
        return f"{error.strerror or said}{f': {error.filename}' if error.filename else ''}", FAILED
    if isinstance(error, MemoryError) or "out of memory" in said.lower() or "allocate memory" in said.lower():
        return "memory ran out; use a smaller --batch, a smaller model or fewer pictures at a time", FAILED
    if type(error).__name__ == "Diverged":
        return said, FAILED
    return f"{type(error).__name__}: {said}; CONDVAE_DEBUG=1 shows where, please report it", FAILED


def complain(said: str, code: int) -> int:
    """One line on stderr."""
    print(f"condvae: {said}", file=sys.stderr)
    return code


def tune() -> None:
    """Settings of the whole process that suit torch, made before it is loaded.

    On Linux glibc keeps freed memory (M_MMAP_MAX = 0, M_TRIM_THRESHOLD = 2^31 - 1, M_TOP_PAD = 128 MiB): returned to
    the system, it costs convolutions 15 to 32 % in page faults. OpenMP's threads spin only briefly while they wait:
    beside a busy neighbour, long spinning made two threads 15 times slower than one, brief spinning 3 to 4 times.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    try:
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "gnu_get_libc_version"):
            return
        for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 128 * 2**20)):
            libc.mallopt(option, value)
    except (OSError, AttributeError):
        return
