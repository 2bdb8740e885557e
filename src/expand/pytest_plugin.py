"""The pytest plugin: fixtures to test outlines, prompts and house rules without network or key.

It is loaded by every pytest that finds the package installed, so the fixtures import what they use.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from expand.testing import ExpandDraft, ScriptedAuthor
    from expand.workspace import Workspace


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one setting: where the workspace is, if the tests are not inside it."""
    parser.addini(
        "expand_workspace",
        "the folder with expand.toml, relative to the root of the tests; by default the nearest "
        "one at or above the test's own folder",
        default="",
    )


@pytest.fixture
def expand_workspace(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy of the workspace that the tests belong to, without drafts and ledger.

    No key, base URL or setting of the environment is seen while the test runs."""
    from expand.testing import copy_workspace
    from expand.workspace import Workspace

    for name in [name for name in os.environ if name.startswith(("OPENAI_", "EXPAND_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EXPAND_LEDGER", ".expand/ledger.db")  # the copy's own, wherever the workspace keeps its ledger
    stated = request.config.getini("expand_workspace")
    workspace = Workspace.open(request.config.rootpath / stated) if stated else Workspace.find(request.path.parent)
    return copy_workspace(workspace, tmp_path / "workspace")


@pytest.fixture
def scripted_author() -> ScriptedAuthor:
    """The author of ``expand_draft``; set its ``ratio``, ``behaviour``, ``script``, ``write`` …."""
    from expand.testing import ScriptedAuthor

    return ScriptedAuthor()


@pytest.fixture
def expand_draft(expand_workspace: Workspace, scripted_author: ScriptedAuthor) -> ExpandDraft:
    """Drafts chapters of the copied workspace with the scripted author, or with ``author=…``."""
    from expand.testing import drafted

    return partial(drafted, expand_workspace, scripted_author)
