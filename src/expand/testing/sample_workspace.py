"""A copy of a workspace to draft in, so that a test leaves the user's own as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

from expand.workspace import Workspace

LEFT_OUT = (
    ".*",
    "drafts",
    "node_modules",
    "target",
    "build",
    "dist",
    "site",
    "venv",
    "__pycache__",
)
"""What is not copied: hidden files, drafts, the ledger, and what others build or install."""
LARGEST_BYTES = 2 * 2**20
"""Larger files are left out as well: no outline, template or chapter is so large."""


def copy_workspace(workspace: Workspace, folder: Path) -> Workspace:
    """A copy in ``folder`` with settings, outlines, templates and documents, and no ledger."""
    by_name = shutil.ignore_patterns(*LEFT_OUT)

    def left_out(place: str, names: list[str]) -> set[str]:
        large = {
            name for name in names if (path := Path(place, name)).is_file() and path.stat().st_size > LARGEST_BYTES
        }
        inside = {name for name in names if Path(place, name) == folder}
        return {*by_name(place, names), *large, *inside}

    shutil.copytree(workspace.root, folder, ignore=left_out, ignore_dangling_symlinks=True)
    return Workspace.open(folder)
