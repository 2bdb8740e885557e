"""What drafts hold, counted once: lines and words by section, for reports."""

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from expand.document.draft import read
from expand.errors import InputError
from expand.markdown import lines
from expand.outline import Section
from expand.references.footnotes import citations_in
from expand.workspace import Workspace, write_atomically


class DraftSummary(NamedTuple):
    """A draft: its language and plan ("" where it does not say), its lines and words by section number, and how often
    it cites a reference."""

    language: str
    plan: str
    lines_by_section: Mapping[int, int]
    words_by_section: Mapping[int, int] = {}
    citations: int = 0

    def delivered(self, section: Section) -> int:
        """The lines of a section; where its outline counts words, the lines that those come to."""
        goal, unit = section.goal(self.language)
        if unit == "lines":
            return self.lines_by_section.get(section.number, 0)
        return round(self.words_by_section.get(section.number, 0) * section.lines / goal)

    @property
    def lines(self) -> int:
        """The sum over its sections."""
        return sum(self.lines_by_section.values())


class DraftCounts:
    """The drafts of a workspace as they were counted, this time or before.

    To count the lines of a draft all of it is parsed: 8 s for a book of 10,000 short sections, 0.3 s from this file.
    What was found is kept under the hash of the text, as long as the code that counts is the same. The file is derived:
    it may be deleted at any time."""

    def __init__(self, workspace: Workspace) -> None:
        self._path = workspace.state_path("measured.json")
        self._code = _code_state()
        self._former = self._load()
        self._current: dict[str, DraftSummary] = {}

    def summary(self, text: str) -> DraftSummary | None:
        """What a draft holds, None where it has no section."""
        key = hashlib.sha256(text.encode()).hexdigest()
        summary = self._current[key] = self._former.get(key) or _count(text)
        return summary if summary.lines_by_section else None

    def save(self) -> None:
        """Remembers what was asked for, if anything of it is new and the tool has its folder.

        Where it cannot be written, the next report counts anew."""
        if self._current.keys() <= self._former.keys() or not self._path.parent.is_dir():
            return
        drafts = {
            key: [s.language, s.plan, s.citations, [*s.lines_by_section.items()], [*s.words_by_section.items()]]
            for key, s in self._current.items()
        }
        form = json.dumps({"code": self._code, "drafts": drafts})
        with suppress(InputError):
            write_atomically(self._path, form, durable=False, private=True)

    def _load(self) -> dict[str, DraftSummary]:
        try:
            form = json.loads(self._path.read_bytes())
            if form["code"] != self._code:
                return {}
            return {
                key: DraftSummary(str(language), str(plan), _counts(counted), _counts(words), int(citations))
                for key, (language, plan, citations, counted, words) in form["drafts"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}  # none yet, or not one of ours


def _counts(items: list[tuple[int, int]]) -> dict[int, int]:
    return {int(number): int(count) for number, count in items}


def _count(text: str) -> DraftSummary:
    draft = read(text)
    texts = {section.number: section.text for section in draft.sections}
    return DraftSummary(
        draft.language,
        draft.plan,
        {number: lines.of_section(text) for number, text in texts.items()},
        {number: lines.words(text) for number, text in texts.items()},
        sum(map(citations_in, texts.values())),
    )


def _code_state() -> str:
    """Tells one state of the code that counts from another: the versions alone do not, in a checkout."""
    package = Path(__file__).parents[1]
    paths = sorted(path for folder in ("document", "markdown") for path in (package / folder).glob("*.py"))
    spec = find_spec("markdown_it")
    assert spec is not None
    assert spec.origin is not None  # it has an __init__.py, which every release brings anew
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in [*paths, Path(spec.origin)]]
    return hashlib.sha256(repr((sys.version, states)).encode()).hexdigest()
