"""What each template may use, as its dataclass declares it: name, kind, default and meaning.

The meanings are here and not in ``prompt.py``, which is read at every start; a test holds the two
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import PurePosixPath

from expand.errors import InputError
from expand.model.prompt import ChapterContext, RequestContext, SectionContext, SuggestionContext
from expand.outline.shape import suggestion

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
    """A name that a template may use. ``default`` is what it is where nothing is said, None where
    it is always given.
    """

    name: str
    kind: str
    meaning: str
    default: str | None = None


def variables_of(kind: type) -> tuple[Variable, ...]:
    """The variables that a context declares, in its order."""
    return tuple(
        Variable(
            name=field.name,
            kind=_KINDS[str(field.type)],
            meaning=_MEANINGS[kind][field.name],
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


def reference() -> str:
    """The page about templates: what each is for and what it may use, as Markdown."""
    used = ", ".join(f"`{name}`" for name in PURPOSES if context_of(name) is RequestContext)
    purposes = [f"| `{name}` | {purpose} |" for name, purpose in PURPOSES.items()]
    return "\n".join(
        [
            "# Templates",
            "",
            "Prompts are [Jinja2](https://jinja.palletsprojects.com/) templates. `expand prompt "
            "list` shows them, `expand prompt eject` copies them into `prompts/` to be changed, "
            "and `expand prompt diff` shows what was changed. A file in `prompts/` takes the "
            "place of the packaged one of the same name; those in `prompts/<style>/` hold for "
            "models whose profile names that style. An undefined name is an error that names "
            "template and line.",
            "",
            *_table(("Template", "What it is for"), purposes),
            "",
            "## What `system.j2` may use",
            "",
            *_rows(ChapterContext),
            "",
            "Each of `sections` has:",
            "",
            *_rows(SectionContext),
            "",
            f"## What {used} may use",
            "",
            *_rows(RequestContext),
            "",
            "## What `suggest.j2` may use",
            "",
            *_rows(SuggestionContext),
            "",
        ]
    )


def _rows(kind: type) -> list[str]:
    rows = [
        f"| `{v.name}` | {v.kind} | {v.meaning}{f' Default: `{v.default}`.' if v.default else ''} |"
        for v in variables_of(kind)
    ]
    return _table(("Name", "Kind", "Meaning"), rows)


def _table(head: Sequence[str], rows: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *rows]


def _shown(value: object) -> str:
    return (
        {"": '""', (): "[]"}.get(value, str(value))
        if isinstance(value, str | tuple)
        else str(value)
    )
