"""A copy of a workspace, and a chapter drafted in it on trial, with assertions."""

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from expand.api import expand_chapter
from expand.document.draft import read
from expand.drafting.events import Event
from expand.drafting.results import ChapterResult, RunResult
from expand.testing.scripted_author import ScriptedAuthor, SentRequest
from expand.workspace import Workspace, read_text

LEFT_OUT = (".*", "drafts", "node_modules", "target", "build", "dist", "site", "venv", "__pycache__")
"""What is not copied: hidden files, drafts, the ledger, and what others build or install."""
LARGEST_BYTES = 2 * 2**20
"""Larger files are left out as well: no outline, template or chapter is so large."""


def copy_workspace(workspace: Workspace, folder: Path) -> Workspace:
    """A copy in ``folder`` with settings, outlines, templates and documents, and no ledger."""
    by_name = shutil.ignore_patterns(*LEFT_OUT)

    def left_out(place: str, names: list[str]) -> set[str]:
        paths = [Path(place, name) for name in names]
        large = {path.name for path in paths if path.is_file() and path.stat().st_size > LARGEST_BYTES}
        return {*by_name(place, names), *large, *(path.name for path in paths if path == folder)}

    shutil.copytree(workspace.root, folder, ignore=left_out, ignore_dangling_symlinks=True)
    return Workspace.open(folder)


@dataclass(frozen=True, slots=True)
class DraftTrial:
    """One chapter drafted. ``text`` is the draft as it is on disk; ``requests`` are those
    that a scripted author got for this run."""

    workspace: Workspace
    result: RunResult
    text: str
    requests: tuple[SentRequest, ...]
    events: tuple[Event, ...]

    @property
    def chapter(self) -> ChapterResult:
        """The chapter's result: lines, findings, sections."""
        return self.result.chapter

    def section(self, number: int) -> str:
        """A section's text in the draft, from its heading on."""
        found = read(self.text).sections
        if number not in found:
            raise AssertionError(f"the draft of chapter {self.chapter.id} has no section {number}")
        return found[number]

    def requests_for(self, section: int, purpose: str = "") -> tuple[SentRequest, ...]:
        """The requests for a section, of one purpose (draft, continue, repair, revise) or all."""
        return tuple(sent for sent in self.requests if sent.section == section and purpose in ("", sent.purpose))

    def assert_kept(self) -> None:
        """Fails with every finding above a note, if there is one."""
        misses = [str(f) for f in self.chapter.every_finding if f.severity != "note"]
        if misses:
            listed = "\n  ".join(misses)
            raise AssertionError(f"chapter {self.chapter.id} misses its contract:\n  {listed}")

    def assert_asked(self, section: int, *texts: str) -> None:
        """Fails unless each text stands in at least one request for the section."""
        prompts = [sent.prompt_text for sent in self.requests_for(section)]
        if not prompts:
            raise AssertionError(f"nothing was sent for section {section}")
        missing = [text for text in texts if not any(text in prompt for prompt in prompts)]
        if missing:
            listed = "\n  ".join(missing)
            raise AssertionError(f"none of the {len(prompts)} requests for section {section} says:\n  {listed}")

    def assert_topics_asked(self) -> None:
        """Fails unless each topic of each section of the run was asked for."""
        done = {result.number for result in self.chapter.sections}
        for each in self.workspace.outline(self.chapter.id).sections:
            if each.number in done:
                self.assert_asked(each.number, *(topic.say(self.chapter.language) for topic in each.topics))


ExpandDraft: TypeAlias = Callable[..., DraftTrial]
"""Drafts a chapter of the copied workspace: ``expand_draft("03", sections=[1])``, options as of ``expand_chapter``."""


def drafted(
    workspace: Workspace,
    scripted: ScriptedAuthor,
    chapter: str,
    *,
    on_event: Callable[[Event], None] = lambda _: None,
    **options: Any,
) -> DraftTrial:
    """Drafts a chapter with a scripted author, also from within a running event loop."""
    before = len(scripted.requests)
    events: list[Event] = []

    def noted(event: Event) -> None:
        events.append(event)
        on_event(event)

    given = {"unpriced": True, "author": scripted, **options, "on_event": noted}
    with ThreadPoolExecutor(max_workers=1) as thread:  # a loop of its own, as the test may run in one
        result = thread.submit(lambda: asyncio.run(expand_chapter(workspace, chapter, **given))).result()
    text = read_text(workspace.inside(result.chapter.draft))
    return DraftTrial(workspace, result, text, tuple(scripted.requests[before:]), tuple(events))
