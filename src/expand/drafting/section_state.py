"""Decide for each section whether it is current, edited by a person, or due, and why.

The one place where that is decided: for the run, for what it announces, for the dry run and the batches.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from expand.drafting.chapter import NO_REVISION, Chapter, Revision
from expand.drafting.draft_file import NOT_BEGUN, Begun, DraftFile, DraftStore
from expand.drafting.events import SectionPlanned
from expand.drafting.length_loop import LengthLoop
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.run_options import RunOptions
from expand.drafting.section_text import SectionText
from expand.errors import InputError, Place
from expand.ledger import Ledger
from expand.markdown import assemble
from expand.outline import Section
from expand.references.citations import with_ids

Revisions = Mapping[tuple[str, int], tuple[int, str]]
"""How often sections were asked for afresh, and with which instruction, as the ledger has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionCheck:
    """The state of a section. ``reason`` says why it is due, "" when it is current, "edited" when it is left to the
    person who edited it. For a revision, its requests say the text of each topic as it stands (``present``)."""

    section: Section
    state: Literal["edited", "current", "due"]
    reason: str = ""
    revision: Revision = NO_REVISION
    key: str = ""
    present: Mapping[int, str] = field(default_factory=dict)
    begun: Begun = NOT_BEGUN

    def text(self, chapter: Chapter) -> SectionText:
        """The section's text as its requests find it: the author's blocks, and what it goes on from."""
        skeleton = chapter.skeletons[self.section.number].opened(self.begun.opening)
        bodies = enumerate(self.begun.bodies)
        return SectionText(skeleton, {slot: with_ids(body, skeleton.passages) for slot, body in bodies})

    def planned(self, chapter: Chapter) -> SectionPlanned:
        """What a run announces of the section."""
        return SectionPlanned(
            chapter=chapter.id,
            section=self.section.number,
            title=chapter.skeletons[self.section.number].title,
            lines=self.section.lines,
            reason=self.reason,
            unit=chapter.skeletons[self.section.number].measure.unit,
            target=chapter.skeletons[self.section.number].goal,
        )


def check_section_state(draft_file: DraftFile, section: Section, revisions: Revisions) -> SectionCheck:
    """The state of a section in its draft as it is now."""
    chapter, number, revision = draft_file.chapter, section.number, revision_of(draft_file, section, revisions)
    if draft_file.edited(number):
        return SectionCheck(section=section, state="edited", reason="edited", revision=revision)
    reason, skeleton = draft_file.reason(section, revision), chapter.skeletons[number]
    topics = assemble.by_topic(draft_file.texts[number], skeleton.topics) if revision.instruction else {}
    return SectionCheck(
        section=section,
        state="due" if reason else "current",
        reason=reason,
        revision=revision,
        key=chapter.key(section, revision),
        present={slot: with_ids(said, skeleton.passages) for slot, said in topics.items()},
        begun=draft_file.begun(section, revision) if reason else NOT_BEGUN,
    )


def revision_of(draft_file: DraftFile, section: Section, revisions: Revisions) -> Revision:
    """The section's present revision, under the number that the ledger knows it by."""
    return Revision(*revisions.get((draft_file.chapter.name, draft_file.ledger_id(section.number)), ()))


def check_chapter_state(draft_file: DraftFile, options: RunOptions, revisions: Revisions) -> list[SectionCheck]:
    """The state of every section that a run is about. The first request of the first one that is due is built and
    dropped, so that a fault of the templates or a context window that is too small is told before anything is sent.

    Raises ``InputError``."""
    chapter = draft_file.chapter
    if chapter.translated:
        raise InputError(
            "it is a translation, which is not drafted",
            remedy=f"renew it with `expand translate {chapter.id} --to {chapter.language}`, or delete it",
            place=Place(path=draft_file.path),
        )
    checks = [check_section_state(draft_file, one, revisions) for one in options.chosen(chapter.outline)]
    due = next((check for check in checks if check.state == "due" and not check.begun.whole), None)
    if due is not None:
        chapter.require_sound_source()
        text = due.text(chapter)
        ask = LengthLoop(text, chapter.setup.profile).next()
        if ask is not None:
            RequestBuilder(chapter, due).order(ask, text)
    return checks


def check_chapters(
    drafts: DraftStore, ledger: Ledger | None, *, dry_run: bool = False, overwrite: bool = False
) -> Iterator[tuple[Chapter, list[SectionCheck]]]:
    """The state of every section of a run, by chapter; revisions are raised first: see ``raised_revisions``."""
    revisions = raised_revisions(drafts, ledger, dry_run=dry_run, overwrite=overwrite)
    for chapter in drafts.options.chapters:
        draft_file = drafts.look(chapter)
        yield draft_file.chapter, check_chapter_state(draft_file, drafts.options, revisions)


def raised_revisions(drafts: DraftStore, ledger: Ledger | None, *, dry_run: bool, overwrite: bool) -> Revisions:
    """The revisions of a run's sections; a ``fresh`` run has them bought anew, which ``dry_run`` leaves out of the
    ledger. One that a person edited is left to them, unless it was named and ``overwrite`` is set. Raises
    ``InputError`` before any is raised."""
    options = drafts.options
    revisions = dict(ledger.editions()) if ledger else {}
    if not options.fresh:
        return revisions
    for chapter in options.chapters:
        options.chosen(drafts.look(chapter).chapter.outline)
    for chapter in options.chapters:
        draft_file = drafts.look(chapter)
        for section in options.chosen(draft_file.chapter.outline):
            number = section.number
            if draft_file.edited(number) and (not overwrite or options.sections is None):
                continue
            place = draft_file.chapter.name, draft_file.ledger_id(number)
            revisions[place] = revisions.get(place, (0, ""))[0] + 1, options.instruction
            if ledger and not dry_run:
                raise_revision(ledger, draft_file, number, options.instruction)
            else:
                draft_file.overwrite(number)
    return dict(ledger.editions()) if ledger and not dry_run else revisions


def raise_revision(ledger: Ledger, draft_file: DraftFile, number: int, instruction: str) -> None:
    """Have a section bought anew, also one that a person edited."""
    draft_file.overwrite(number)
    ledger.raise_edition(draft_file.chapter.name, draft_file.ledger_id(number), instruction=instruction)
