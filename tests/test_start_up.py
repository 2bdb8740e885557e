"""What commands that send nothing load before they answer: the modules, which no machine's speed
changes. Speed itself is measured by ``python -m benchmarks.speed start-up``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from workspaces import ROOT, shipped

WRITING = {"expand.drafting.chapter", "expand.checks", "expand.prompts.rendering", "jinja2"}
"""What only writing and checking take."""
SENDING = {"openai", "aiohttp", "pydantic", "tiktoken", "genai_prices", "tenacity", "asyncio"}
PARSING = {"markdown_it", "tree_sitter"}
DRAWING = {"rich.console", "rich.table", "rich.progress"}
YAML_WRITING = {"ruamel"}
HEAVY = WRITING | SENDING | PARSING | DRAWING | YAML_WRITING


def loaded(book: Path, *command: str) -> set[str]:
    """The modules that a command has loaded when it ends with exit code 0."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: sys.stderr.write('\\n'.join(['', '--', *sys.modules])))\n"
        "from expand.__main__ import main\n"
        "main()\n"
    )
    bare = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    ran = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=book,
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=bare,
    )
    return set(ran.stderr.partition("\n--\n")[2].split())


@pytest.mark.parametrize(
    "command",
    ["--help", "outline --help", "outline check", "budget", "budget --json", "plan", "status"],
)
def test_what_sends_and_writes_nothing_loads_nothing_for_it(tmp_path: Path, command: str) -> None:
    book = shipped(tmp_path / "book")

    assert loaded(book, *command.split()) & HEAVY == set()


@pytest.mark.parametrize(("version", "compiled"), [("editable", True), ("standard", False)])
def test_a_checkouts_modules_are_compiled_where_it_is_installed(tmp_path: Path, version: str, compiled: bool) -> None:
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    hook = module_from_spec(spec)
    spec.loader.exec_module(hook)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "one.py").write_text("ONE = 1\n", encoding="utf-8")
    hook.CompilingHook(str(tmp_path), {}, None, None, "", "wheel").initialize(version, {})
    assert bool(list(tmp_path.rglob("*.pyc"))) is compiled


def test_the_sdk_is_loaded_in_a_thread_only_after_what_other_threads_load_too() -> None:
    code = (
        "import asyncio, sys\n"
        "from expand.llm.endpoint import Endpoint\n"
        "from expand.llm.openai_client import OpenAIClient\n"
        "loaded = lambda: 'importlib.resources' in sys.modules\n"
        "seen = [loaded()]\n"
        "OpenAIClient._connect = lambda self: seen.append(loaded())\n"
        "asyncio.run(OpenAIClient(Endpoint(base_url='http://127.0.0.1:9/v1', api_key=''))._connected())\n"
        "print(seen)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[False, True]"
