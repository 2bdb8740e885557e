"""What the pages for developers name is there: every file, and every package of the tool."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md"]
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_TOP = ("src/", "tests/", "docs/", "benchmarks/", "prompts/", ".ci/", "outlines/", "chapters/")
_AT_ROOT = ("pyproject.toml", "mkdocs.yml", "hatch_build.py", "CHANGELOG.md", "CONTRIBUTING.md")
_CLASS = re.compile(r"`(\w+)(?:\.\w+)?` \(`(src/[\w/]+\.py)`")
EXAMPLES = ("outlines/book.yaml", "outlines/<chapter>.yaml")
"""Paths in a user's workspace."""


def named_paths(page: Path) -> list[str]:
    """The paths of this repository that a page names in code."""
    words = [word.split("::")[0] for word in _CODE.findall(page.read_text(encoding="utf-8"))]
    return [word for word in words if word.startswith(_TOP) or word in _AT_ROOT]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    paths = named_paths(page)
    assert len(paths) > 20
    assert [path for path in paths if path not in EXAMPLES and not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_class_stands_in_the_file_that_is_named_with_it(page: Path) -> None:
    found = _CLASS.findall(page.read_text(encoding="utf-8"))
    missing = [
        name for name, path in found if not re.search(rf"\b(class|def) {name}\b", (ROOT / path).read_text("utf-8"))
    ]
    assert missing == []


def test_classes_are_looked_at() -> None:
    assert len(_CLASS.findall(PAGES[0].read_text(encoding="utf-8"))) > 5


def test_every_package_and_top_module_is_described() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    table = text.partition("## Packages")[2].partition("\n## ")[0]
    described = {row.split("`")[1].rstrip("/") for row in table.splitlines() if row.startswith("| `")}
    package = ROOT / "src" / "expand"
    there = {f"src/expand/{path.parent.name}" for path in package.glob("*/__init__.py")}
    there |= {f"src/expand/{path.name}" for path in package.glob("*.py") if path.name != "__init__.py"}
    assert described == there


def test_packages_stand_in_the_order_of_the_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    place = {name.strip(): number for number, layer in enumerate(layers) for name in layer.split("|")}
    table = PAGES[0].read_text(encoding="utf-8").partition("## Packages")[2].partition("\n## ")[0]
    names = [
        row.split("`")[1].rstrip("/").removeprefix("src/expand/").removesuffix(".py")
        for row in table.splitlines()
        if row.startswith("| `")
    ]
    assert [place[name] for name in names] == sorted(place[name] for name in names)
