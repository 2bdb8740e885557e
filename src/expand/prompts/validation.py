"""What is wrong with a template, by file, line and name: found by reading it before it is used.

A name that is nowhere said is found in branches too that no request has taken yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import meta, nodes

from expand.errors import InputError, Place
from expand.schema.validators import suggestion

_UNDEFINED = re.compile(r"^'(?P<name>[^']+)' is undefined$")
_NO_ATTRIBUTE = re.compile(r"object(?: \S+)?' has no attribute '(?P<name>[^']+)'$")
_FIGURE = re.compile(r"(\d+)\s*(?:lines|行)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What a template may use: ``declared``; what only the others may (``elsewhere``) and why; and
    what the items of its lists have.
    """

    declared: frozenset[str]
    elsewhere: frozenset[str]
    reason: str
    attributes: frozenset[str]

    def remedy(self, name: str) -> str:
        """What to do about a name that is not declared."""
        if name in self.elsewhere:
            return self.reason
        return suggestion(name, sorted(self.declared))


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """A template as it was read: the names that it sets, and those that it uses without setting
    them, with their lines.
    """

    path: Path
    sets: frozenset[str]
    uses: Mapping[str, int]


def references(tree: nodes.Template) -> tuple[str | None, ...]:
    """The names of those that a parsed template takes text from; None: named while rendering."""
    return tuple(meta.find_referenced_templates(tree))


def read(path: Path, tree: nodes.Template) -> Read:
    """What the parsed template at ``path`` says. Raises ``jinja2.TemplateSyntaxError``."""
    parts = tuple(tree.find_all((nodes.Name, nodes.Test)))
    names = [part for part in parts if isinstance(part, nodes.Name)]
    tested = {
        part.node.name
        for part in parts
        if isinstance(part, nodes.Test) and part.name in ("defined", "undefined") and isinstance(part.node, nodes.Name)
    }
    undeclared = meta.find_undeclared_variables(tree) - tested
    uses: dict[str, int] = {}
    for name in names:
        if name.ctx == "load" and name.name in undeclared:
            uses[name.name] = min(name.lineno, uses.get(name.name, name.lineno))
    return Read(
        path=path,
        sets=frozenset(name.name for name in names if name.ctx == "store"),
        uses=uses,
    )


def undeclared_names(sources: Iterable[Read], names: Names) -> tuple[InputError, ...]:
    """An error for each name that nothing declares or sets, in the order of the files."""
    read_ones = tuple(sources)
    given = names.declared.union(*(source.sets for source in read_ones), {"caller", "varargs"})
    return tuple(
        _unknown(name, names, Place(path=source.path, line=line))
        for source in read_ones
        for name, line in sorted(source.uses.items(), key=lambda use: (use[1], use[0]))
        if name not in given
    )


def rendering_error(error: BaseException, names: Names, place: Place) -> InputError:
    """What went wrong while rendering, with the name that was meant as far as that shows."""
    said = str(error)
    if match := _UNDEFINED.search(said):
        return _unknown(match["name"], names, place)
    if match := _NO_ATTRIBUTE.search(said):
        what = f"template: nothing here has {match['name']!r}"
        return InputError(what, remedy=suggestion(match["name"], names.attributes), place=place)
    known = ", ".join(sorted(names.declared))
    return InputError(f"template: {said}", remedy=f"it may use: {known}", place=place)


def stated_lines(text: str) -> int | None:
    """The lines that a request asks for: the last figure in front of ``lines`` or ``行``."""
    found = _FIGURE.findall(text)
    return int(found[-1]) if found else None


def _unknown(name: str, names: Names, place: Place) -> InputError:
    return InputError(f"template: {name!r} is undefined", remedy=names.remedy(name), place=place)
