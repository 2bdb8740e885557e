"""Every Python block in the documentation runs, in a copy of the shipped book."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from documented_code import CodeBlock, code_blocks
from scripted_server import ScriptedServer
from test_testing import pytest_in
from workspaces import ROOT, shipped

LIBRARY = code_blocks(ROOT / "docs" / "library.md", "python")
TESTING = code_blocks(ROOT / "docs" / "testing.md", "python")


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.mark.parametrize("block", LIBRARY, ids=lambda block: block.name)
def test_the_library_as_documented(
    block: CodeBlock,
    provider: ScriptedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped(tmp_path / "my-book")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
    monkeypatch.setenv("EXPAND_MODEL", "scripted")
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(block.padded(), str(block.path), "exec", flags=flags, dont_inherit=True)
    pending = eval(code, {"__name__": "documented"})
    if inspect.iscoroutine(pending):
        asyncio.run(pending)


def test_the_plugin_as_documented(tmp_path: Path) -> None:
    shipped(tmp_path)
    for block in TESTING:
        name = f"test_line_{block.line}.py"
        (tmp_path / name).write_text(block.code, encoding="utf-8")
    ran = pytest_in(tmp_path, "-n", "0", "--tb=short", "-p", "no:asyncio")
    assert ran.returncode == 0, ran.stdout
    assert f"{sum(block.code.count('def test_') for block in TESTING)} passed" in ran.stdout


def test_blocks_are_found_with_their_lines_and_reasons(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "# Page\n\n```python\nprint(1)\n```\n\n<!-- not run: it needs a key -->\n\n"
        "```console\n$ expand doctor  # looks\nfine\n$ expand plan\n```\n\n```\nplain\n```\n",
        encoding="utf-8",
    )
    first, second, third = code_blocks(document)
    assert (first.language, first.line, first.code, first.not_run) == (
        "python",
        4,
        "print(1)\n",
        "",
    )
    assert first.padded().splitlines()[3] == "print(1)"
    assert (second.line, second.not_run) == (10, "it needs a key")
    assert second.commands == ("expand doctor", "expand plan")
    assert (third.language, third.not_run) == ("", "")
    assert code_blocks(document, "console") == [second]
