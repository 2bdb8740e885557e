"""What each template may use, as its dataclass declares it: name, kind, default, meaning, example.

The meanings are here and not in ``prompt.py``, which is read at every start; a test holds the two
together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import PurePosixPath

from expand.errors import InputError
from expand.schema.validators import suggestion

# What templates are given: one value a chapter, one a request; and requests to try them on.

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


PURPOSES: Mapping[str, str] = {
    "system.j2": "The first message: the same for all requests of a chapter, so that a provider "
    "can keep it in its cache.",
    "section.j2": "Asks for topics of a section, or for a whole one.",
    "continue.j2": "Asks for more where a section is too short or was cut off.",
    "repair.j2": "Asks for a text again, with what was wrong with it.",
    "length.j2": "Says how many lines are wanted; the others include it, and it comes last.",
    "suggest.j2": "Asks for the sections and topics of a chapter that has only a title.",
}
"""Every template and what it is for."""

_CHAPTER = {
    "language": "The language of the draft, as a code such as `en`.",
    "language_name": "The same in words.",
    "book_title": "The book's title.",
    "chapter_id": "The chapter's id.",
    "chapter_title": "The chapter's title.",
    "audience": "Whom it is written for: the outline's, else the book's, else \"\".",
    "house_rules": "The book's house rules.",
    "glossary": "Terms and what they mean.",
    "code_examples": "How many code examples the chapter demands; 0 if it says nothing.",
    "code_language": 'The language of its code, "" if it says nothing.',
    "sections": "All sections of the chapter, in their order.",
}
_SECTION = {
    "number": "Counted from 1.",
    "title": "Its title.",
    "topics": "Its topics.",
    "share": "Its part of the chapter's lines, in percent.",
}
_REQUEST = {
    "language": "The language of the draft, as a code such as `en`.",
    "audience": 'Whom it is written for, "" if nobody says.',
    "chapter_id": "The chapter's id.",
    "chapter_title": "The chapter's title.",
    "section_number": "The section's number, from 1.",
    "section_title": "The section's title.",
    "topics": "The topics that this request is about.",
    "lines": "How many lines it asks for; the last figure in front of `lines` or `行` is taken.",
    "previous_section": 'The title of the section before, "" for the first.',
    "section_note": "The outline's instruction for the section.",
    "source_material": "The author's own text that stands in this place already.",
    "before": "The end of what the section says so far.",
    "open_fence": 'The opening line of a code block that the text breaks off in, "" if none.',
    "aspect": 'The side of a topic to look at, "" for the whole.',
    "code_examples": "How many code examples this request is to bring.",
    "instruction": "What an editor wants of a new version.",
    "present": "The text that is to be replaced.",
    "told": 'What earlier sections say, "" if sections are drafted side by side.',
    "problems": "What a repair is to mend.",
    "opens_section": "Whether the section's first topic begins with this request.",
    "closes_section": "Whether the section's last topic is among this request's.",
}
_SUGGESTION = {
    "language": "The language of titles and topics, as a code such as `en`.",
    "language_name": "The same in words.",
    "book_title": "The book's title.",
    "audience": 'Whom it is written for, "" if nobody says.',
    "house_rules": "The book's house rules.",
    "chapter_id": "The chapter's id.",
    "chapter_title": "The chapter's title.",
    "lines": "How many lines the whole chapter is to have.",
    "least_sections": "The least number of sections that is taken.",
    "most_sections": "The greatest number of sections that is taken.",
    "other_chapters": "Titles of the book's other chapters.",
    "headings": "The sections that the chapter's document has already.",
    "source_material": "What that document says so far.",
    "present": "The former answer, where it could not be used.",
    "problems": "What was wrong with it.",
}
_MEANINGS: Mapping[type, Mapping[str, str]] = {
    ChapterContext: _CHAPTER,
    SectionContext: _SECTION,
    RequestContext: _REQUEST,
    SuggestionContext: _SUGGESTION,
}
_SECTION_EXAMPLE = SectionContext(number=2, title="Profiling tools", topics=("The perf tool", "Flame graphs"), share=24)
_EXAMPLES: Mapping[type, object] = {
    SectionContext: _SECTION_EXAMPLE,
    ChapterContext: ChapterContext(
        language="en",
        language_name="English",
        book_title="C07 Process Management",
        chapter_id="03",
        chapter_title="Performance engineering",
        audience="Experienced Rust programmers",
        house_rules=("Name every version.",),
        glossary={"zero copy": "moving data without copying it"},
        code_examples=30,
        code_language="rust",
        sections=(_SECTION_EXAMPLE,),
    ),
    RequestContext: RequestContext(
        language="en",
        audience="Experienced Rust programmers",
        chapter_id="03",
        chapter_title="Performance engineering",
        section_number=2,
        section_title="Profiling tools",
        topics=("The perf tool",),
        lines=45,
        previous_section="Methods",
        section_note="Say what needs root.",
        source_material="Measure first.",
        before="It needs no recompilation.",
        open_fence="```rust",
        aspect="common mistakes",
        code_examples=2,
        instruction="more on perf c2c",
        present="perf samples the stack.",
        told="## 1. Methods",
        problems=("line 3: the code does not parse; mend it",),
        opens_section=True,
        closes_section=True,
    ),
    SuggestionContext: SuggestionContext(
        language="en",
        language_name="English",
        book_title="C07 Process Management",
        audience="Experienced Rust programmers",
        house_rules=("Name every version.",),
        chapter_id="06",
        chapter_title="Signals",
        lines=900,
        least_sections=4,
        most_sections=12,
        other_chapters=("Pipes",),
        headings=("Masks",),
        source_material="Signals interrupt.",
        present='{"sections": []}',
        problems=("there are no sections",),
    ),
}
_KINDS = {
    "str": "text",
    "int": "whole number",
    "bool": "yes or no",
    "tuple[str, ...]": "list of texts",
    "Mapping[str, str]": "texts by term",
    "tuple[SectionContext, ...]": "list of sections",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A name that a template may use. ``example`` is a value as Jinja2 writes it; ``default`` what
    it is where nothing is said, None where it is always given.
    """

    name: str
    kind: str
    meaning: str
    example: str
    default: str | None = None


def variables_of(kind: type) -> tuple[Variable, ...]:
    """The variables that a context declares, in its order."""
    return tuple(
        Variable(
            name=field.name,
            kind=_KINDS[str(field.type)],
            meaning=_MEANINGS[kind][field.name],
            example=_shown(getattr(_EXAMPLES[kind], field.name)),
            default=None if field.default is MISSING else _shown(field.default),
        )
        for field in fields(kind)
    )


def context_of(template: str) -> type:
    """The context that a template is rendered with, whatever its style. Raises ``InputError``."""
    name = PurePosixPath(template).name
    name = name if name.endswith(".j2") else f"{name}.j2"
    if name not in PURPOSES:
        raise InputError(f"there is no template {name}", remedy=suggestion(name, PURPOSES))
    return {"system.j2": ChapterContext, "suggest.j2": SuggestionContext}.get(name, RequestContext)


def _shown(value: object) -> str:
    """A value as a template writes it."""
    if isinstance(value, SectionContext):
        return f"section {value.number}"
    if isinstance(value, tuple):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_shown(k)}: {_shown(v)}' for k, v in value.items())}}}"
    if isinstance(value, str):
        return f"'{value}'" if '"' in value else f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)
