"""How a section stands: whose it is, whether it is current, and why it would be drafted.

The one place where that is decided, for the run, for what it announces, and for the dry run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from expand.drafting.chapter import Edition
from expand.drafting.commission import Commission
from expand.drafting.folio import Folio
from expand.drafting.ordering import NO_SETTING, Setting
from expand.outline import Section
from expand.text import digest
from expand.text.draft import text_hash

Fate = Literal["edited", "current", "stale", "due"]
"""``stale`` is current in itself, but those before it say something else than it was told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A section's fate. ``reason`` says why it is due, "" when it is current, "edited" when it is
    left to the person who edited it. ``told`` is the hash of what it is told of those before it.
    """

    fate: Fate
    reason: str = ""
    edition: Edition
    key: str = ""
    setting: Setting = NO_SETTING
    told: str = ""


def standing(
    folio: Folio, section: Section, commission: Commission, *, edition: Edition
) -> Standing:
    """How a section stands in its draft as it is now."""
    chapter, number = folio.chapter, section.number
    if folio.edited(number):
        return Standing(fate="edited", reason="edited", edition=edition)
    key = chapter.key(section, edition)
    setting = _setting(folio, section, edition, commission)
    told = text_hash(setting.told) if setting.told else ""
    reason = folio.reason(section, key)
    fate: Fate = "due"
    if not reason:
        behind = commission.context_text and folio.told(number) != told
        fate = "current" if not behind else "due" if commission.cascade else "stale"
    return Standing(fate=fate, reason=reason, edition=edition, key=key, setting=setting, told=told)


def _setting(folio: Folio, section: Section, edition: Edition, commission: Commission) -> Setting:
    """What the section is told beside its own outline."""
    if not (edition.instruction or commission.context_text):
        return NO_SETTING
    before = [
        folio.texts[other.number]
        for other in folio.chapter.outline.sections
        if other.number < section.number
    ]
    frame = folio.chapter.frame(section)
    return Setting(
        told=digest.of_sections(before) if commission.context_text else "",
        present=digest.by_topic(folio.texts[section.number], frame.topics)
        if edition.instruction
        else {},
    )
