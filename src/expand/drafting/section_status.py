"""How a section stands: whose it is, whether it is current, and why it would be drafted.

The one place where that is decided, for the run, for what it announces, and for the dry run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from expand.document.draft import text_hash
from expand.drafting.chapter_state import Revision
from expand.drafting.draft_file import DraftFile
from expand.drafting.request_builder import NO_EXTRA_CONTEXT, ExtraContext
from expand.drafting.run_options import RunOptions
from expand.markdown import summaries
from expand.outline import Section

SectionState = Literal["edited", "current", "stale", "due"]
"""``stale`` is current in itself, but those before it say something else than it was told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionCheck:
    """A section's fate. ``reason`` says why it is due, "" when it is current, "edited" when it is
    left to the person who edited it. ``told`` is the hash of what it is told of those before it.
    """

    fate: SectionState
    reason: str = ""
    edition: Revision
    key: str = ""
    setting: ExtraContext = NO_EXTRA_CONTEXT
    told: str = ""


def check_section_state(folio: DraftFile, section: Section, options: RunOptions, *, edition: Revision) -> SectionCheck:
    """How a section stands in its draft as it is now."""
    chapter, number = folio.chapter, section.number
    if folio.edited(number):
        return SectionCheck(fate="edited", reason="edited", edition=edition)
    key = chapter.key(section, edition)
    setting = _setting(folio, section, edition, options)
    told = text_hash(setting.told) if setting.told else ""
    reason = folio.reason(section, key)
    fate: SectionState = "due"
    if not reason:
        behind = options.context == "text" and folio.told(number) != told
        fate = "current" if not behind else "due" if options.cascade else "stale"
    return SectionCheck(fate=fate, reason=reason, edition=edition, key=key, setting=setting, told=told)


def _setting(folio: DraftFile, section: Section, edition: Revision, options: RunOptions) -> ExtraContext:
    """What the section is told beside its own outline."""
    if not (edition.instruction or options.context == "text"):
        return NO_EXTRA_CONTEXT
    before = [folio.texts[other.number] for other in folio.chapter.outline.sections if other.number < section.number]
    frame = folio.chapter.frame(section)
    return ExtraContext(
        told=summaries.of_sections(before) if options.context == "text" else "",
        present=summaries.by_topic(folio.texts[section.number], frame.topics) if edition.instruction else {},
    )
