"""What each template may use: a dataclass for each kind, each field with its meaning and an example.

The reference, ``expand prompt context`` and the check of a user's templates are made from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import PurePosixPath

from expand.errors import InputError
from expand.schema.validators import suggestion

LANGUAGE_NAMES = {"en": "English", "zh": "Chinese (简体中文)", "de": "German", "fr": "French",
                  "es": "Spanish", "ja": "Japanese", "ko": "Korean", "pt": "Portuguese",
                  "ru": "Russian", "it": "Italian"}  # fmt: skip


def _about(meaning: str, example: object) -> Mapping[str, object]:
    """The metadata of a field: what it means, and a value as it may be."""
    return {"meaning": meaning, "example": example}


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionContext:
    """A section as the system template sees it."""

    number: int = field(metadata=_about("Counted from 1.", 2))
    title: str = field(metadata=_about("Its title.", "Profiling tools"))
    topics: tuple[str, ...] = field(metadata=_about("Its topics.", ("The perf tool", "Flame graphs")))
    share: int = field(metadata=_about("Its part of the chapter's lines, in percent.", 24))


_EXAMPLE_SECTION = SectionContext(number=2, title="Profiling tools", topics=("The perf tool", "Flame graphs"), share=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterContext:
    """What ``system.j2`` may use: what stays the same for every request of a chapter."""

    language: str = field(metadata=_about("The language of the draft, as a code such as `en`.", "en"))
    language_name: str = field(metadata=_about("The same in words.", "English"))
    book_title: str = field(metadata=_about("The book's title.", "C07 Process Management"))
    chapter_id: str = field(metadata=_about("The chapter's id.", "03"))
    chapter_title: str = field(metadata=_about("The chapter's title.", "Performance engineering"))
    audience: str = field(
        metadata=_about(
            "Whom it is written for: the outline's, else the book's, else \"\".", "Experienced Rust programmers"
        )
    )
    house_rules: tuple[str, ...] = field(metadata=_about("The book's house rules.", ("Name every version.",)))
    glossary: Mapping[str, str] = field(
        metadata=_about("Terms and what they mean.", {"zero copy": "moving data without copying it"})
    )
    code_examples: int = field(metadata=_about("How many code examples the chapter demands; 0 if it says nothing.", 30))
    code_language: str = field(metadata=_about('The language of its code, "" if it says nothing.', "rust"))
    sections: tuple[SectionContext, ...] = field(
        metadata=_about("All sections of the chapter, in their order.", (_EXAMPLE_SECTION,))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestContext:
    """What ``section.j2``, ``continue.j2`` and the like may use: one request's own matter."""

    language: str = field(metadata=_about("The language of the draft, as a code such as `en`.", "en"))
    audience: str = field(metadata=_about('Whom it is written for, "" if nobody says.', "Experienced Rust programmers"))
    chapter_id: str = field(metadata=_about("The chapter's id.", "03"))
    chapter_title: str = field(metadata=_about("The chapter's title.", "Performance engineering"))
    section_number: int = field(metadata=_about("The section's number, from 1.", 2))
    section_title: str = field(metadata=_about("The section's title.", "Profiling tools"))
    topics: tuple[str, ...] = field(metadata=_about("The topics that this request is about.", ("The perf tool",)))
    lines: int = field(
        metadata=_about("How many lines it asks for; the last figure in front of `lines` or `行` is taken.", 45)
    )
    previous_section: str = field(
        default="", metadata=_about('The title of the section before, "" for the first.', "Methods")
    )
    section_note: str = field(
        default="", metadata=_about("The outline's instruction for the section.", "Say what needs root.")
    )
    source_material: str = field(
        default="", metadata=_about("The author's own text that stands in this place already.", "Measure first.")
    )
    before: str = field(
        default="", metadata=_about("The end of what the section says so far.", "It needs no recompilation.")
    )
    open_fence: str = field(
        default="",
        metadata=_about('The opening line of a code block that the text breaks off in, "" if none.', "```rust"),
    )
    aspect: str = field(
        default="", metadata=_about('The side of a topic to look at, "" for the whole.', "common mistakes")
    )
    code_examples: int = field(default=0, metadata=_about("How many code examples this request is to bring.", 2))
    instruction: str = field(default="", metadata=_about("What an editor wants of a new version.", "more on perf c2c"))
    present: str = field(default="", metadata=_about("The text that is to be replaced.", "perf samples the stack."))
    told: str = field(
        default="",
        metadata=_about('What earlier sections say, "" if sections are drafted side by side.', "## 1. Methods"),
    )
    problems: tuple[str, ...] = field(
        default=(), metadata=_about("What a repair is to mend.", ("line 3: the code does not parse; mend it",))
    )
    opens_section: bool = field(
        default=False, metadata=_about("Whether the section's first topic begins with this request.", True)
    )
    closes_section: bool = field(
        default=False, metadata=_about("Whether the section's last topic is among this request's.", True)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestionContext:
    """What ``suggest.j2`` may use: a chapter whose sections are to be proposed."""

    language: str = field(metadata=_about("The language of titles and topics, as a code such as `en`.", "en"))
    language_name: str = field(metadata=_about("The same in words.", "English"))
    book_title: str = field(metadata=_about("The book's title.", "C07 Process Management"))
    audience: str = field(metadata=_about('Whom it is written for, "" if nobody says.', "Experienced Rust programmers"))
    house_rules: tuple[str, ...] = field(metadata=_about("The book's house rules.", ("Name every version.",)))
    chapter_id: str = field(metadata=_about("The chapter's id.", "06"))
    chapter_title: str = field(metadata=_about("The chapter's title.", "Signals"))
    lines: int = field(metadata=_about("How many lines the whole chapter is to have.", 900))
    least_sections: int = field(metadata=_about("The least number of sections that is taken.", 4))
    most_sections: int = field(metadata=_about("The greatest number of sections that is taken.", 12))
    other_chapters: tuple[str, ...] = field(
        default=(), metadata=_about("Titles of the book's other chapters.", ("Pipes",))
    )
    headings: tuple[str, ...] = field(
        default=(), metadata=_about("The sections that the chapter's document has already.", ("Masks",))
    )
    source_material: str = field(default="", metadata=_about("What that document says so far.", "Signals interrupt."))
    present: str = field(
        default="", metadata=_about("The former answer, where it could not be used.", '{"sections": []}')
    )
    problems: tuple[str, ...] = field(
        default=(), metadata=_about("What was wrong with it.", ("there are no sections",))
    )


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
            name=variable.name,
            kind=_KINDS[str(variable.type)],
            meaning=variable.metadata["meaning"],
            example=_shown(variable.metadata["example"]),
            default=None if variable.default is MISSING else _shown(variable.default),
        )
        for variable in fields(kind)
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
