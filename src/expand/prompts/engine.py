"""Jinja2 as templates get it here: sandboxed, strict, without chance, in the shelf's order."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import SandboxedEnvironment

from expand.errors import InputError, Place
from expand.prompts.template_lookup import TemplateLookup


class TemplateEngine(SandboxedEnvironment):
    """Jinja2 with the shelf's order of files. A template's name here is its path."""

    def __init__(self, shelf: TemplateLookup) -> None:
        super().__init__(
            loader=_Trees(),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._shelf = shelf
        self._texts: dict[Path, str] = {}
        self._trees: dict[Path, nodes.Template] = {}
        self._joined: dict[tuple[str, str], str] = {}
        # What is said must not depend on chance: a section would never be current.
        del self.globals["lipsum"]
        del self.filters["random"]

    def text(self, path: Path) -> str:
        """A template's source, read once. Raises ``InputError``."""
        if path not in self._texts:
            try:
                self._texts[path] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(
                    f"the template cannot be read: {error}",
                    remedy="save it as UTF-8, and check who may read it",
                    place=Place(path=path),
                ) from error
        return self._texts[path]

    def tree(self, path: Path) -> nodes.Template:
        """A template parsed, once. Raises ``InputError`` and ``jinja2.TemplateSyntaxError``."""
        if path not in self._trees:
            self._trees[path] = self.parse(self.text(path), filename=str(path))
        return self._trees[path]

    def gave(self, path: Path) -> bool:
        """Whether a path is that of a template which was read here."""
        return path in self._texts

    def join_path(self, template: str, parent: str) -> str:
        """The file that a template means by a name; the name itself where there is none."""
        known = self._joined.get((template, parent))
        if known is None:
            found = self._shelf.find(template, Path(parent))
            known = str(found) if found is not None else f"{template}\0"
            self._joined[template, parent] = known
        return known


class _Trees(jinja2.BaseLoader):
    """Makes templates of what the engine parsed, to look for their names, already."""

    def load(
        self,
        environment: jinja2.Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - jinja2's own name
    ) -> jinja2.Template:
        """The template at a path."""
        if name.endswith("\0"):
            raise jinja2.TemplateNotFound(name[:-1])
        assert isinstance(environment, TemplateEngine)
        code = environment.compile(environment.tree(Path(name)), name, name)
        return jinja2.Template.from_code(environment, code, globals or {})
