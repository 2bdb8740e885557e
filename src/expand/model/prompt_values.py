"""What templates are given: one value a chapter, one a request; and requests to try them on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

LANGUAGE_NAMES = {"en": "English", "zh": "Chinese (简体中文)", "de": "German", "fr": "French",
                  "es": "Spanish", "ja": "Japanese", "ko": "Korean", "pt": "Portuguese",
                  "ru": "Russian", "it": "Italian"}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionContext:
    """A section as the system template sees it: ``share`` is its part of the chapter in percent."""

    number: int
    title: str
    topics: tuple[str, ...]
    share: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterContext:
    """What ``system.j2`` may use: what stays the same for every request of a chapter."""

    language: str
    language_name: str
    book_title: str
    chapter_id: str
    chapter_title: str
    audience: str
    house_rules: tuple[str, ...]
    glossary: Mapping[str, str]
    code_examples: int
    code_language: str
    sections: tuple[SectionContext, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestContext:
    """What ``section.j2`` and ``continue.j2`` may use: one request's own matter.

    ``topics`` are this request's topics, ``lines`` how many lines it asks for, ``before`` the end
    of what the section already says, ``open_fence`` the opening line of a code block that the text
    breaks off in ("" if none), ``aspect`` the side of a topic to look at ("" if the whole),
    ``instruction`` what an editor wants of a new version and ``present`` the text that is to be
    replaced, ``problems`` what a repair is to mend in it, ``told`` what earlier sections say ("" if
    the sections are drafted side by side). ``opens_section`` and ``closes_section`` say that the
    section's first topic begins here, and that its last one is among these.
    """

    language: str
    audience: str
    chapter_id: str
    chapter_title: str
    section_number: int
    section_title: str
    topics: tuple[str, ...]
    lines: int
    previous_section: str = ""
    section_note: str = ""
    source_material: str = ""
    before: str = ""
    open_fence: str = ""
    aspect: str = ""
    code_examples: int = 0
    instruction: str = ""
    present: str = ""
    told: str = ""
    problems: tuple[str, ...] = field(default=())
    opens_section: bool = False
    closes_section: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestionContext:
    """What ``suggest.j2`` may use: a chapter whose sections are to be proposed.

    ``lines`` is the whole chapter's target, ``headings`` the sections that its document has
    already, ``problems`` what is wrong with the former answer, ``present``.
    """

    language: str
    language_name: str
    book_title: str
    audience: str
    house_rules: tuple[str, ...]
    chapter_id: str
    chapter_title: str
    lines: int
    least_sections: int
    most_sections: int
    other_chapters: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    source_material: str = ""
    present: str = ""
    problems: tuple[str, ...] = ()


_DECOY = "It is said here in 7 lines. 这里有 7 行。"
_SAMPLE_LINES = 4_217
_SAMPLE = RequestContext(
    language="en",
    audience=_DECOY,
    chapter_id="03",
    chapter_title="Sample",
    section_number=2,
    section_title="Sample",
    topics=("One",),
    lines=_SAMPLE_LINES,
)
SAMPLES = (
    _SAMPLE,
    replace(_SAMPLE, topics=(), opens_section=True, closes_section=True),
    replace(
        _SAMPLE,
        topics=("One", "Two"),
        previous_section="Before",
        section_note=_DECOY,
        source_material=_DECOY,
        before=_DECOY,
        open_fence="```rust",
        aspect=_DECOY,
        code_examples=2,
        instruction=_DECOY,
        present=_DECOY,
        told=_DECOY,
        problems=(_DECOY,),
    ),
)
"""Requests that templates are tried on: whatever they hold, the last figure is the lines wanted."""
