"""Decide for each section whether it is current, edited by a person, or due, and why.

The one place where that is decided: for the run, for what it announces, for the dry run and the batches.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from expand.document.draft import text_hash
from expand.drafting.chapter import NO_REVISION, Chapter, Revision
from expand.drafting.draft_file import NOT_BEGUN, Begun, DraftFile, DraftStore
from expand.drafting.events import SectionPlanned
from expand.drafting.length_loop import loop_for
from expand.drafting.request_builder import PRECEDING_TOKENS, RequestBuilder, quoted
from expand.drafting.run_options import RunOptions
from expand.drafting.section_text import SectionText
from expand.errors import InputError, Place
from expand.ledger import Ledger
from expand.markdown import assemble
from expand.outline import Section
from expand.references.footnotes import with_ids

OTHER_TOKENS = 8000
"""What a request may need beside the texts that it quotes: its template, the outline's words and the answer."""

SectionState = Literal["edited", "current", "stale", "due"]
"""``stale`` is current in itself, but the sections before it say something else than when it was drafted."""

Revisions = Mapping[tuple[str, int], tuple[int, str]]
"""How often sections were asked for afresh, and with which instruction, as the ledger has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionCheck:
    """The state of a section. ``reason`` says why it is due, "" when it is current, "edited" when it is left to the
    person who edited it.

    Beside its own outline, its requests say what the sections before it say (``preceding``, "" when they are drafted
    side by side; ``preceding_hash`` is its hash) and, for a revision, the text of each topic as it stands
    (``present``)."""

    section: Section
    state: SectionState
    reason: str = ""
    revision: Revision = NO_REVISION
    key: str = ""
    preceding: str = ""
    preceding_hash: str = ""
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
        )


def check_section_state(
    draft_file: DraftFile, section: Section, options: RunOptions, revisions: Revisions
) -> SectionCheck:
    """The state of a section in its draft as it is now."""
    chapter, number, revision = draft_file.chapter, section.number, revision_of(draft_file, section, revisions)
    if draft_file.edited(number):
        return SectionCheck(section=section, state="edited", reason="edited", revision=revision)
    key = chapter.key(section, revision)
    preceding, present = "", {}
    if options.context == "text":
        before = [draft_file.texts[other.number] for other in chapter.outline.sections if other.number < number]
        preceding = quoted(assemble.summary_of_sections(before), PRECEDING_TOKENS, chapter.setup)
    if revision.instruction:
        skeleton = chapter.skeletons[number]
        topics = assemble.by_topic(draft_file.texts[number], skeleton.topics)
        present = {slot: with_ids(said, skeleton.passages) for slot, said in topics.items()}
    preceding_hash = text_hash(preceding) if preceding else ""
    reason = draft_file.reason(section, revision)
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
        preceding=preceding,
        preceding_hash=preceding_hash,
        present=present,
        begun=draft_file.begun(section, revision) if state == "due" else NOT_BEGUN,
    )


def revision_of(draft_file: DraftFile, section: Section, revisions: Revisions) -> Revision:
    """The section's present revision, under the number that the ledger knows it by."""
    return Revision(*revisions.get((draft_file.chapter.name, draft_file.ledger_id(section.number)), ()))


def check_chapter_state(draft_file: DraftFile, options: RunOptions, revisions: Revisions) -> list[SectionCheck]:
    """The state of every section that a run is about. The first request of the first one that is due, and of every one
    whose texts may be too long, is built and dropped, so that a fault of the templates or a context window that is too
    small is told before anything is sent.

    Raises ``InputError``."""
    chapter = draft_file.chapter
    if chapter.translated:
        raise InputError(
            "it is a translation, which is not drafted",
            remedy=f"renew it with `expand translate {chapter.id} --to {chapter.language}`, or delete it",
            place=Place(path=draft_file.path),
        )
    checks = [check_section_state(draft_file, one, options, revisions) for one in options.chosen(chapter.outline)]
    due = [check for check in checks if check.state == "due" and not check.begun.whole]
    if due:
        chapter.require_sound_source()
    for check in due:
        if check is due[0] or _may_be_too_long(chapter, check):
            section_text = check.text(chapter)
            ask = loop_for(section_text, chapter.setup.profile).next()
            if ask is not None:
                RequestBuilder(chapter, check, run_id="none").order(ask, section_text)
    return checks


def _may_be_too_long(chapter: Chapter, check: SectionCheck) -> bool:
    """Whether what a section's requests quote could fill the model's context window, at two tokens a character and with
    some thousands for the rest. Counting instead would have every section of a large book rendered twice."""
    skeleton = chapter.skeletons[check.section.number]
    placed = [text for texts in skeleton.placed.values() for text in texts]
    texts = (chapter.system.content, *skeleton.intro, *placed, *check.present.values(), check.revision.instruction)
    return 2 * sum(map(len, texts)) + OTHER_TOKENS > chapter.setup.profile.context_window


def check_sections(
    drafts: DraftStore, ledger: Ledger | None, *, dry_run: bool = False, overwrite: bool = False
) -> Iterator[tuple[Chapter, SectionCheck]]:
    """The state of every section of a run. Those of a ``fresh`` run are given their next revision first: see
    ``raise_revisions``. With ``dry_run`` the ledger is left as it is.

    Raises ``InputError`` before any revision is raised when the input is wrong."""
    options = drafts.options
    if options.fresh and ledger and not dry_run:
        raise_revisions(ledger, drafts, overwrite=overwrite)
    revisions = dict(ledger.editions()) if ledger else {}
    for chapter in options.chapters:
        draft_file = drafts.look(chapter)
        if options.fresh and dry_run:
            for section in options.chosen(draft_file.chapter.outline):
                place = draft_file.chapter.name, draft_file.ledger_id(section.number)
                revisions[place] = (revisions.get(place, (0, ""))[0] + 1, options.instruction)
                if overwrite and options.sections is not None:
                    draft_file.overwrite(section.number)
        for check in check_chapter_state(draft_file, options, revisions):
            yield draft_file.chapter, check


def raise_revisions(ledger: Ledger, drafts: DraftStore, *, overwrite: bool) -> None:
    """Have the sections of a ``fresh`` run bought anew. One that a person edited is left to them, unless it was named
    and ``overwrite`` is set. Raises ``InputError`` before any is raised."""
    options = drafts.options
    for chapter in options.chapters:
        options.chosen(drafts.look(chapter).chapter.outline)
    for chapter in options.chapters:
        draft_file = drafts.look(chapter)
        for section in options.chosen(draft_file.chapter.outline):
            if draft_file.edited(section.number) and (not overwrite or options.sections is None):
                continue
            raise_revision(ledger, draft_file, section.number, options.instruction)


def raise_revision(ledger: Ledger, draft_file: DraftFile, number: int, instruction: str) -> None:
    """Have a section bought anew, also one that a person edited."""
    if draft_file.edited(number):
        draft_file.overwrite(number)
    ledger.raise_edition(draft_file.chapter.name, draft_file.ledger_id(number), instruction=instruction)
