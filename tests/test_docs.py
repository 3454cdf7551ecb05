"""The documents are true: tables come from results/, links lead somewhere, every command is in the README."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from condvae.cli import app
from condvae.recipes import recipe
from condvae.settings import Likelihood, Network, Settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_tables_are_those_of_the_results() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "tables.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(
    "command",
    sorted(name for name in app if not name.startswith("-")),
)
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"condvae {command}" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_every_page_is_linked_from_the_readme(page: Path) -> None:
    assert f"](docs/{page.name})" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_on_the_pages_compiles(page: Path) -> None:
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)):
        compile(block, f"{page.name}, block {number}", "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_on_the_pages_are_understood(page: Path) -> None:
    for line in re.findall(r"^    (?:\$ )?condvae (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        app.parse_args(shlex.split(line, comments=True), exit_on_error=False, print_error=False)


def test_no_page_names_a_machine() -> None:
    for page in [*PAGES, *(ROOT / "results").rglob("*.json"), *(ROOT / "zoo").rglob("*.json")]:
        assert not re.search(r"(?<![\w.])/(work|root|home|tmp)/", page.read_text(encoding="utf-8")), page


MODELS = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
NO_MODEL_OF_X = {"__init__", "base", "bound", "build", "supervised"}  # what models share, and a bare classifier


def mapped() -> dict[str, list[str]]:
    """A model's first cell on docs/models.md -> where its process, inference, abilities and limits are told."""
    rows = re.findall(r"^\| ([^|]*\.py`\)) \| [^|]* \|(.*)\|$", MODELS, re.MULTILINE)
    return {name: re.findall(r"\]\(([\w-]+\.md#[\w-]+)\)", rest) for name, rest in rows}


def headings(page: str) -> set[str]:
    """The anchors of a page's headings, as a forge makes them."""
    lines = re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("name", sorted({p.stem for p in (ROOT / "src/condvae/models").glob("*.py")} - NO_MODEL_OF_X))
def test_every_model_has_a_page(name: str) -> None:
    assert any(f"`models/{name}.py`" in cell for cell in mapped())


def test_every_model_tells_how_it_generates_infers_what_it_can_do_and_its_limits() -> None:
    assert len(mapped()) >= 8
    for name, places in mapped().items():
        assert len(places) == 4, name
        for place in places:
            page, anchor = place.split("#")
            assert anchor in headings(page), f"{name}: {place}"


@pytest.mark.parametrize("setting", ["network", "likelihood", "prior"])
def test_every_setting_of_a_model_is_named_on_its_pages(setting: str) -> None:
    kinds = {"network": Network, "likelihood": Likelihood, "prior": Settings.model_fields["prior"].annotation}
    pages = {place.split("#")[0] for places in mapped().values() for place in places}
    text = MODELS + "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in pages)
    for value in set(get_args(kinds[setting])) - {"auto"}:
        assert f'"{value}"' in text or f"--{setting} {value}" in text, value


def test_every_variant_of_the_table_of_models_has_a_name_and_a_page() -> None:
    found = re.search(r"^MODELS = (\{.*?^\})", (ROOT / "docs" / "tables.py").read_text(encoding="utf-8"), re.S | re.M)
    assert found is not None
    pages = ast.literal_eval(found[1])
    linked = {place.split("#")[0] for places in mapped().values() for place in places}
    for variant in recipe("models").variants:
        assert pages[variant][1] in linked, variant
