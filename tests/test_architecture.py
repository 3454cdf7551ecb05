"""ARCHITECTURE.md is true: every room stands in its table, and imports run downward."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "condvae"


def floors() -> dict[str, int]:
    table = re.findall(r"^\| (\d) \| ([^|]+) \|", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {room.strip(): int(floor) for floor, rooms in table for room in rooms.split(",")}


def rooms() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py"))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Rooms that a file imports anywhere but under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in typing_only or not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        parts = node.module.split(".")
        if parts[0] == "condvae":
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found & set(floors())


@pytest.mark.parametrize("path", rooms(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_downward(path: Path) -> None:
    known = floors()
    assert room_of(path) in known, f"{path.name} stands on no floor of ARCHITECTURE.md"
    upward = {name for name in imported(path) if known[name] > known[room_of(path)]}
    assert not upward


def test_every_room_of_the_table_is_there() -> None:
    there = {room_of(path) for path in rooms()}
    assert set(floors()) == there


@pytest.mark.parametrize("room", ["train", "tasks", "measures"])
def test_what_reads_a_trace_knows_no_model(room: str) -> None:
    text = (SOURCE / f"{room}.py").read_text(encoding="utf-8")
    assert set(re.findall(r"from condvae\.models[.\w]* ", text)) <= {"from condvae.models.base "}


def test_models_know_no_data() -> None:
    for path in (SOURCE / "models").glob("*.py"):
        assert not imported(path) & {"data", "datasets", "train", "tasks"}


def test_files_stay_readable() -> None:
    long = {path.name: n for path in rooms() if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long
