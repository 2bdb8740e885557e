"""A chapter drafted on trial: its result, its draft, every request, and what to assert of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from expand.api import expand_chapter
from expand.document.draft import read
from expand.drafting.events import Event
from expand.drafting.results import ChapterResult, RunResult
from expand.outline import Outline
from expand.testing.scripted_author import ScriptedAuthor, SentRequest
from expand.workspace import Workspace, read_text

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftTrial:
    """What became of one chapter. ``text`` is the draft as it is on disk; ``requests`` are those
    that a scripted author got for this run.
    """

    workspace: Workspace
    result: RunResult
    text: str
    requests: tuple[SentRequest, ...]
    events: tuple[Event, ...]

    @property
    def chapter(self) -> ChapterResult:
        """The chapter's result: lines, findings, sections."""
        return self.result.chapter

    @property
    def outline(self) -> Outline:
        """The chapter's outline."""
        return self.workspace.outline(self.chapter.id)

    def section(self, number: int) -> str:
        """A section's text in the draft, from its heading on."""
        found = read(self.text).section(number)
        if found is None:
            raise AssertionError(f"the draft of chapter {self.chapter.id} has no section {number}")
        return found.text

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

    def assert_topics_asked(self, section: int | None = None) -> None:
        """Fails unless each topic of the section, or of every section of the run, was asked for."""
        language = self.chapter.language
        done = [result.number for result in self.chapter.sections]
        for each in self.outline.sections:
            if each.number in ([section] if section is not None else done):
                self.assert_asked(each.number, *(topic.say(language) for topic in each.topics))


def drafted(workspace: Workspace, chapter: str, author: ScriptedAuthor, options: Mapping[str, Any]) -> DraftTrial:
    """Drafts a chapter with a scripted author, in a loop of its own."""
    before = len(author.requests)
    events: list[Event] = []
    listener = options.get("on_event")

    def on_event(event: Event) -> None:
        events.append(event)
        if listener is not None:
            listener(event)

    given = {"unpriced": True, "author": author, **options, "on_event": on_event}
    result = in_a_loop_of_its_own(lambda: expand_chapter(workspace, chapter, **given))
    return DraftTrial(
        workspace=workspace,
        result=result,
        text=read_text(workspace.draft_path(chapter)),
        requests=tuple(author.requests[before:]),
        events=tuple(events),
    )


def in_a_loop_of_its_own(work: Callable[[], Awaitable[T]]) -> T:
    """Runs to the end in a thread with a loop of its own, so that a loop under way is no matter."""
    done: list[T] = []
    failed: list[BaseException] = []

    async def worked() -> T:
        return await work()

    def run() -> None:
        try:
            done.append(asyncio.run(worked()))
        except BaseException as error:  # it is raised again where it was called from
            failed.append(error)

    thread = threading.Thread(target=run, name="expand")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]
