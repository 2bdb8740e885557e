"""The pytest plugin: fixtures to test outlines, prompts and house rules without network or key.

It is loaded by every pytest that finds the package installed, so importing it imports nothing else of the package:
``expand.testing`` loads each of its names when a fixture first uses it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from expand import testing

if TYPE_CHECKING:
    from expand.testing.runs import DraftTrial
    from expand.testing.scripted_author import ScriptedAuthor
    from expand.workspace import Workspace


ExpandDraft: TypeAlias = Callable[..., "DraftTrial"]
"""Drafts a chapter of the copied workspace: ``expand_draft("03", sections=[1])``, options as of ``expand_chapter``."""


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
    from expand.workspace import Workspace  # only where a workspace is asked for

    for name in [name for name in os.environ if name.startswith(("OPENAI_", "EXPAND_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EXPAND_LEDGER", ".expand/ledger.db")  # the copy's own, wherever the workspace keeps its ledger
    stated = request.config.getini("expand_workspace")
    workspace = Workspace.open(request.config.rootpath / stated) if stated else Workspace.find(request.path.parent)
    return testing.copy_workspace(workspace, tmp_path / "workspace")


@pytest.fixture
def scripted_author() -> ScriptedAuthor:
    """The author of ``expand_draft``; set its ``ratio``, ``behaviour``, ``script``, ``write`` …."""
    return testing.ScriptedAuthor()


@pytest.fixture
def expand_draft(expand_workspace: Workspace, scripted_author: ScriptedAuthor) -> ExpandDraft:
    """Drafts chapters of the copied workspace with the scripted author, or with ``author=…``."""
    return partial(testing.drafted, expand_workspace, scripted_author)
