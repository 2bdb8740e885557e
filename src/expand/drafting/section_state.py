"""Decide for each section whether it is current, edited by a person, or due, and why.

The one place where that is decided: for the run, for what it announces, for the dry run, the queue and the batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from expand.document.draft import text_hash
from expand.drafting.chapter import Chapter, Revision
from expand.drafting.draft_file import DraftFile
from expand.drafting.events import SectionPlanned
from expand.drafting.length_loop import loop_for
from expand.drafting.request_builder import NO_EXTRA_CONTEXT, ExtraContext, RequestBuilder
from expand.drafting.run_options import RunOptions
from expand.drafting.section_text import SectionText
from expand.ledger import Ledger
from expand.markdown import assemble
from expand.outline import Section

SectionState = Literal["edited", "current", "stale", "due"]
"""``stale`` is current in itself, but the sections before it say something else than when it was drafted."""

Revisions = Mapping[tuple[str, int], tuple[int, str]]
"""How often sections were asked for afresh, and with which instruction, as the ledger has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionCheck:
    """The state of a section. ``reason`` says why it is due, "" when it is current, "edited" when it is left to the
    person who edited it. ``preceding_hash`` is the hash of what its requests say of the sections before it.
    """

    section: Section
    state: SectionState
    reason: str = ""
    revision: Revision
    key: str = ""
    extra: ExtraContext = NO_EXTRA_CONTEXT
    preceding_hash: str = ""

    def planned(self, chapter: Chapter) -> SectionPlanned:
        """What a run announces of the section."""
        return SectionPlanned(
            chapter=chapter.id,
            section=self.section.number,
            title=chapter.skeletons[self.section.number].title,
            lines=self.section.lines,
            reason=self.reason,
        )


def revision_of(chapter: str, section: int, revisions: Revisions) -> Revision:
    """The revision that the ledger has for a section."""
    number, instruction = revisions.get((chapter, section), (0, ""))
    return Revision(number=number, instruction=instruction)


def check_section_state(
    draft_file: DraftFile, section: Section, options: RunOptions, revision: Revision
) -> SectionCheck:
    """The state of a section in its draft as it is now."""
    chapter, number = draft_file.chapter, section.number
    if draft_file.edited(number):
        return SectionCheck(section=section, state="edited", reason="edited", revision=revision)
    key = chapter.key(section, revision)
    extra = _extra_context(draft_file, section, revision, options)
    preceding_hash = text_hash(extra.preceding) if extra.preceding else ""
    reason = draft_file.reason(section, key)
    state: SectionState = "due"
    if not reason:
        behind = options.context == "text" and draft_file.preceding_hash(number) != preceding_hash
        state = "current" if not behind else "due" if options.cascade else "stale"
    return SectionCheck(
        section=section,
        state=state,
        reason=reason,
        revision=revision,
        key=key,
        extra=extra,
        preceding_hash=preceding_hash,
    )


def check_chapter_state(draft_file: DraftFile, options: RunOptions, revisions: Revisions) -> list[SectionCheck]:
    """The state of every section that a run is about. Where one is due, its first request is built and dropped, so that
    a fault of the templates or a context window that is too small is told before anything is sent.

    Raises ``InputError``.
    """
    chapter = draft_file.chapter
    checks = [
        check_section_state(draft_file, section, options, revision_of(chapter.id, section.number, revisions))
        for section in options.chosen(chapter.outline)
    ]
    due = next((check.section for check in checks if check.state == "due"), None)
    if due is not None:
        section_text = SectionText(chapter.skeletons[due.number])
        ask = loop_for(section_text, chapter.setup.profile).next()
        if ask is not None:
            RequestBuilder(chapter, due, run_id="none").require_fit(ask, section_text)
    return checks


def raise_revisions(
    ledger: Ledger,
    options: RunOptions,
    look: Callable[[str], DraftFile],
    overwrite: Callable[[str, int], None] | None = None,
) -> None:
    """Have the sections of a ``fresh`` run bought anew. One that a person edited is left to them, unless it was named
    and can be given to ``overwrite``. Raises ``InputError`` before any is raised.
    """
    for chapter in options.chapters:
        options.chosen(look(chapter).chapter.outline)
    for chapter in options.chapters:
        draft_file = look(chapter)
        for section in options.chosen(draft_file.chapter.outline):
            if draft_file.edited(section.number):
                if overwrite is None or options.sections is None:
                    continue
                overwrite(chapter, section.number)
            ledger.raise_edition(chapter, section.number, instruction=options.instruction)


def _extra_context(draft_file: DraftFile, section: Section, revision: Revision, options: RunOptions) -> ExtraContext:
    """What the section's requests say beside its own outline."""
    if not (revision.instruction or options.context == "text"):
        return NO_EXTRA_CONTEXT
    chapter = draft_file.chapter
    before = [draft_file.texts[other.number] for other in chapter.outline.sections if other.number < section.number]
    text, topics = draft_file.texts[section.number], chapter.skeletons[section.number].topics
    return ExtraContext(
        preceding=assemble.summary_of_sections(before) if options.context == "text" else "",
        present=assemble.by_topic(text, topics) if revision.instruction else {},
    )
