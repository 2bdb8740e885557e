"""What drafts hold, remembered from one report to the next.

To count a draft's lines all of it has to be parsed, which takes seconds for a large book. What was
counted is kept under the hash of the text, and holds for this text and no other, and only as long
as the tool's own code that counts is the same. The file is derived: it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from expand.errors import InputError
from expand.workspace import Workspace, write_atomically


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftFacts:
    """A draft: its language and plan ("" where it does not say), its lines by section number."""

    language: str
    plan: str
    lines_by_section: Mapping[int, int]

    @property
    def lines(self) -> int:
        """The sum over its sections."""
        return sum(self.lines_by_section.values())


class Measured:
    """The drafts of a workspace as they were counted, this time or before."""

    def __init__(self, workspace: Workspace) -> None:
        self._path = workspace.root / ".expand" / "measured.json"
        self._code = _code()
        self._before = self._kept()
        self._now: dict[str, DraftFacts] = {}

    def of(self, text: str) -> DraftFacts | None:
        """What a draft holds, None where it has no section."""
        name = hashlib.sha256(text.encode()).hexdigest()
        facts = self._now[name] = self._before.get(name) or _count(text)
        return facts if facts.lines_by_section else None

    def keep(self) -> None:
        """Remembers what was asked for, if anything of it is new and the tool has its folder.

        Where it cannot be written, the next report counts again.
        """
        if self._now.keys() <= self._before.keys() or not self._path.parent.is_dir():
            return
        drafts = {
            name: [facts.language, facts.plan, [*facts.lines_by_section.items()]]
            for name, facts in self._now.items()
        }
        with suppress(InputError):
            form = json.dumps({"code": self._code, "drafts": drafts})
            write_atomically(self._path, form, durable=False)

    def _kept(self) -> dict[str, DraftFacts]:
        try:
            form = json.loads(self._path.read_bytes())
            if form["code"] != self._code:
                return {}
            return {name: _facts(*draft) for name, draft in form["drafts"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # none yet, or not one of ours


def _facts(language: str, plan: str, lines: list[Any]) -> DraftFacts:
    counted = {int(number): int(count) for number, count in lines}
    return DraftFacts(language=str(language), plan=str(plan), lines_by_section=counted)


def _count(text: str) -> DraftFacts:
    from expand.text.draft import read  # start-up time: it reads Markdown
    from expand.text.lines import of_section

    draft = read(text)
    return DraftFacts(
        language=draft.language,
        plan=draft.plan,
        lines_by_section={s.number: of_section(s.text) for s in draft.sections},
    )


def _code() -> str:
    """What tells one state of the code that counts from another."""
    parser = find_spec("markdown_it")
    assert parser is not None
    assert parser.origin is not None  # it has an __init__.py, which every release brings anew
    paths = sorted((Path(__file__).parents[1] / "text").glob("*.py"))
    states = [(path, path.stat()) for path in [*paths, Path(parser.origin)]]
    seen = [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]
    return hashlib.sha256(repr((sys.version, seen)).encode()).hexdigest()
