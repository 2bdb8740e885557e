"""What an editable installation does beside being one: the modules are compiled.

Whoever installs a wheel has that done by the installer, and a checkout by its first command. Where
``PYTHONDONTWRITEBYTECODE`` is set, as in many container images, nobody would do it, and every
command would take twice as long to start.
"""

from __future__ import annotations

import compileall
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompilingHook(BuildHookInterface[Any]):
    """Compiles the package in the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before anything is built; ``version`` says of which kind it will be."""
        if version == "editable":
            compileall.compile_dir(Path(self.root) / "src", quiet=1)
