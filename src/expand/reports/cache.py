"""What drafts and outlines hold, remembered from one report to the next.

To count a draft's lines all of it has to be parsed, and of an outline every value is checked, which
takes seconds for a large book. What was found is kept under the hash of the text, and holds for
this text and no other, and only as long as the tool's own code that reads it is the same. The file
is derived: it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from expand.errors import InputError
from expand.outline import Outline, Priority, Text
from expand.workspace import Workspace, write_atomically


class DraftFacts(NamedTuple):
    """A draft: its language and plan ("" where it does not say), its lines by section number."""

    language: str
    plan: str
    lines_by_section: Mapping[int, int]

    @property
    def lines(self) -> int:
        """The sum over its sections."""
        return sum(self.lines_by_section.values())


class OutlineFacts(NamedTuple):
    """What reports take from an outline; ``sections`` are titles with their lines."""

    id: str
    title: Text
    source: str
    stated_lines: int | None
    priority: Priority
    hours: float
    sections: tuple[tuple[Text, int], ...]

    @property
    def target_lines(self) -> int:
        """The sum of the sections' lines."""
        return sum(lines for _, lines in self.sections)


class MeasureCache:
    """The drafts and outlines of a workspace as they were read, this time or before."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._path = workspace.root / ".expand" / "measured.json"
        self._code = _code()
        self._drafts_before, self._outlines_before = self._kept()
        self._drafts: dict[str, DraftFacts] = {}
        self._outlines: dict[str, OutlineFacts] = {}
        self._folders: dict[str, bool] = {}

    def draft(self, text: str) -> DraftFacts | None:
        """What a draft holds, None where it has no section."""
        name = hashlib.sha256(text.encode()).hexdigest()
        facts = self._drafts[name] = self._drafts_before.get(name) or _count(text)
        return facts if facts.lines_by_section else None

    def outline(self, chapter: str) -> OutlineFacts:
        """What the outline of a chapter holds. Raises ``InputError``."""
        path = self._workspace.outline_path(chapter)
        name = _name(chapter, path)
        facts = self._outlines_before.get(name)
        if facts is None or not self._is_plain(facts.source):
            facts = _read(self._workspace.outline(chapter))
            if not name or name != _name(chapter, path):
                return facts  # nobody knows which text this was: it was changed meanwhile
        self._outlines[name] = facts
        return facts

    def keep(self) -> None:
        """Remembers what was asked for, if anything of it is new and the tool has its folder.

        Where it cannot be written, the next report reads it all again.
        """
        known = self._drafts.keys() <= self._drafts_before.keys()
        known &= self._outlines.keys() <= self._outlines_before.keys()
        if known or not self._path.parent.is_dir():
            return
        form = {
            "code": self._code,
            "drafts": {
                name: [facts.language, facts.plan, [*facts.lines_by_section.items()]]
                for name, facts in self._drafts.items()
            },
            "outlines": {name: _outline_form(facts) for name, facts in self._outlines.items()},
        }
        with suppress(InputError):
            write_atomically(self._path, json.dumps(form), durable=False)

    def _kept(self) -> tuple[dict[str, DraftFacts], dict[str, OutlineFacts]]:
        try:
            form = json.loads(self._path.read_bytes())
            if form["code"] != self._code:
                return {}, {}
            return (
                {name: _draft(*draft) for name, draft in form["drafts"].items()},
                {name: _outline(*outline) for name, outline in form["outlines"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}, {}  # none yet, or not one of ours

    def _is_plain(self, source: str) -> bool:
        """Whether the text of the outline alone decides that its source is right: it is no link, no
        folder, and in no folder that leads out of the workspace.
        """
        folder, _, _ = source.rpartition("/")
        if folder not in self._folders:
            root = os.path.realpath(self._workspace.root)
            self._folders[folder] = Path(os.path.realpath(Path(root, folder))).is_relative_to(root)
        try:
            plain = stat.S_ISREG(os.lstat(self._workspace.root / source).st_mode)
        except OSError as error:
            plain = isinstance(error, FileNotFoundError)
        return plain and self._folders[folder]


def _draft(language: str, plan: str, lines: list[Any]) -> DraftFacts:
    counted = {int(number): int(count) for number, count in lines}
    return DraftFacts(language=str(language), plan=str(plan), lines_by_section=counted)


def _name(chapter: str, path: Path) -> str:
    """The hash of an outline with the name that it has to have; "" where it cannot be read."""
    try:
        text = path.read_bytes() if path.is_file() else b""
    except OSError:
        return ""
    return hashlib.sha256(f"{chapter}\0".encode() + text).hexdigest()


def _read(outline: Outline) -> OutlineFacts:
    return OutlineFacts(
        id=outline.id,
        title=outline.title,
        source=outline.source,
        stated_lines=outline.stated_lines,
        priority=outline.priority,
        hours=outline.hours,
        sections=tuple((section.title, section.lines) for section in outline.sections),
    )


def _outline_form(facts: OutlineFacts) -> list[Any]:
    sections = [[_text_form(title), lines] for title, lines in facts.sections]
    return [facts.id, _text_form(facts.title), *facts[2:-1], sections]


def _outline(name: str, title: Any, *more: Any) -> OutlineFacts:
    source, stated_lines, priority, hours, sections = more
    return OutlineFacts(
        id=name,
        title=_text(title),
        source=source,
        stated_lines=stated_lines,
        priority=priority,
        hours=hours,
        sections=tuple((_text(title), int(lines)) for title, lines in sections),
    )


def _text_form(text: Text) -> str | dict[str, str]:
    return dict(text.by_language) if text.plain is None else text.plain


def _text(form: Any) -> Text:
    return Text(plain=form) if isinstance(form, str) else Text(by_language=dict(form))


def _count(text: str) -> DraftFacts:
    from expand.document.draft import read  # start-up time: it reads Markdown
    from expand.markdown.lines import of_section

    draft = read(text)
    return DraftFacts(
        language=draft.language,
        plan=draft.plan,
        lines_by_section={s.number: of_section(s.text) for s in draft.sections},
    )


def _code() -> str:
    """What tells one state of the code that reads from another."""
    package = Path(__file__).parents[1]
    paths = sorted(
        path for room in ("document", "markdown", "outline", "schema") for path in (package / room).glob("*.py")
    )
    for vendor in ("markdown_it", "yaml"):
        spec = find_spec(vendor)
        assert spec is not None
        assert spec.origin is not None  # it has an __init__.py, which every release brings anew
        paths.append(Path(spec.origin))
    states = [(path, path.stat()) for path in paths]
    seen = [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]
    return hashlib.sha256(repr((sys.version, seen)).encode()).hexdigest()
