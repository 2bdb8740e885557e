"""The JSON Schemas of an outline and of the book: every key, what it means and what it may look like.

They are what the reader validates by and what editors get, so that both give the same verdict. What a schema cannot say
(an id against its file's name, a source that leaves the workspace through a link, a chapter that the book does not
have) is in ``reading.py``.
"""

from __future__ import annotations

import re
import unicodedata

from expand.schema.source_text import quoted
from expand.schema.validators import DRAFT, Format, Schema, Validator, key, listed, mapping, number, record, text, whole

MAX_SECTION_LINES = 20_000
MAX_ID = 80
ONE_LINE = r"^\s*\S[^\n\r]*\s*$"
_INSIDE = "a path inside it, such as chapters/03_name.md"
# Relative, with forward slashes, without "..", no drive letter.
_SOURCE = r"^(?![/~])(?!.*(^|/)\.\.(/|$))[^\\:\n\r]*[^\\:\n\r/\s]$"
_LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"


def id_mistake(chapter: str) -> tuple[str, str] | None:
    """Why the text is no chapter's id, and the remedy; None if it is one.

    The schema's pattern says the same but for letters that are not ASCII: patterns that all editors read have no
    classes of characters.
    """
    remedy = "give letters and digits, and . _ - between them, such as 03"
    for character in chapter:
        if character not in "._-" and unicodedata.category(character)[0] not in "LMN":
            return f"holds {quoted(character) if character.strip() else 'a space'}", remedy
    if chapter[0] in ".-":
        return f"begins with {quoted(chapter[0])}", remedy
    return ("is taken by book.yaml", "choose another") if chapter.casefold() == "book" else None


def source_mistake(source: str) -> tuple[str, str] | None:
    """Why the text is no path inside a workspace, and the remedy; None if it is one."""
    if re.match(r"[/\\~]|[A-Za-z]:", source) or ".." in re.split(r"[/\\]", source):
        return f"{quoted(source)} leaves the workspace", f"give {_INSIDE}"
    if "\\" in source:
        return f"{quoted(source)} has backslashes", "write / between folders, on every system"
    return None if re.search(_SOURCE, source) else (f"{quoted(source)} is no path", f"give {_INSIDE}")


def is_language(code: str) -> bool:
    """Whether this is a language code."""
    return re.fullmatch(_LANGUAGE, code) is not None


FORMATS: dict[str, Format] = {"id": id_mistake, "source": source_mistake}


def _translatable(words: Schema) -> Schema:
    """A text, or a mapping from language to text."""
    return {**words, **mapping(LANGUAGE, words, "language"), "type": ["string", "object"]}


# Letters, digits, "_", then also "." and "-"; of what is not ASCII the reader takes letters only.
ID: Schema = {
    **text(r"^[^\u0000-/:-@\[-^`{-\u00a0][^\u0000-,/:-@\[-^`{-\u00a0]*$", "letters and digits, such as 03", MAX_ID),
    "type": ["string", "number"],
    "format": "id",
}
LANGUAGE = text(_LANGUAGE, "a language code such as en or zh", 35)
_SOURCE_TEXT = {**text(_SOURCE, _INSIDE, 500), "format": "source"}
_STYLE_NAME = text(r"^[A-Za-z0-9][A-Za-z0-9_-]*$", "a style's name, such as tutorial or reference", 80)
_TERM = text(ONE_LINE, "a term on one line", 200)
_LINE = _translatable(text(ONE_LINE, "a text on one line", 500))
_PROSE = _translatable(text(r"\S", "a text", 20_000))

_COUNT = whole(0, 10_000)
_USD = number(0, 10**9)
_BOTH = {"zh": "零拷贝技术", "en": "Zero-copy techniques"}

_ID = key(ID, "The name that commands and files know it by; 03 stays 03.", "03")
_TITLE = key(_LINE, "The title, once or by language.", _BOTH)
_AUDIENCE = key(_PROSE, "Whom the text is written for.", "Experienced Rust developers")
_STYLE = key(
    _STYLE_NAME, "The house style: tutorial, reference, plain (none), or a folder of prompts/styles.", "tutorial"
)
_SOURCE_KEY = key(_SOURCE_TEXT, "The document as it stands, from the workspace.", "chapters/03_name.md")
_HOURS = key(number(0, 100_000), "Wall-clock hours expected or spent.", 1.5)
_ALLOWANCE = key(
    record(
        {
            "tokens": key(whole(1, 10**12), "The most tokens that may be spent.", 1_000_000),
            "usd": key(_USD, "The most US dollars that may be spent, exactly.", 12.5),
        }
    ),
    "What may be spent.",
    {"tokens": 200_000},
)

_SECTION = record(
    {
        "title": _TITLE,
        "lines": key(whole(1, MAX_SECTION_LINES), "How many Markdown lines are wanted.", 150),
        "topics": key(
            listed(_LINE, "topic", unique=True),
            "What the section treats, one subsection each.",
            ["splice and sendfile", _BOTH],
        ),
        "code_examples": key(_COUNT, "The least number of code blocks.", 4),
        "note": key(_PROSE, "An instruction for this section.", "Show perf c2c."),
    },
    "title",
    "lines",
)
_QUALITY = record(
    {
        "code_examples": key(_COUNT, "The least number of code blocks in all.", 30),
        "code_language": key(_TERM, "The language of code blocks.", "rust"),
    }
)
_OUTLINE_KEYS = {
    "id": _ID,
    "title": _TITLE,
    "source": _SOURCE_KEY,
    "target_lines": key(whole(1, 1_000_000), "The stated target; the sections are drafted.", 1000),
    "priority": key({"enum": ["high", "medium", "low"]}, "What to draft first.", "high"),
    "hours": _HOURS,
    "audience": _AUDIENCE,
    "style": _STYLE,
    "quality": key(_QUALITY, "Demands beyond the length.", {"code_examples": 30}),
    "glossary": key(
        mapping(_TERM, _PROSE, "term"),
        "Terms and what they mean, or how they are translated.",
        {"zero copy": {"zh": "零拷贝"}},
    ),
    "allowance": _ALLOWANCE,
    "sections": key(
        listed(_SECTION, "section", unique=True),
        "The sections in their order.",
        [{"title": _BOTH, "lines": 100, "topics": ["splice and sendfile"]}],
    ),
}

_KNOWN_LINES = key(whole(0, 100_000_000), "Lines now; left out, they are counted.", 5175)
_OPENING = record(
    {
        "chapters": key(listed(ID, "chapter", unique=True), "Ids.", ["01", "02"]),
        "tokens": key(whole(0, 10**12), "Spent.", 165_000),
        "hours": _HOURS,
        "usd": key(_USD, "US dollars spent.", 1.5),
    },
    "chapters",
)
_TIER = record(
    {
        "id": _ID,
        "title": _TITLE,
        "lines": _KNOWN_LINES,
        "target_lines": key(whole(1, 100_000_000), "Lines wanted.", 4376),
    },
    "id",
    "title",
    "target_lines",
)
_CHAPTER = record(
    {
        "id": _ID,
        "title": _TITLE,
        "tier": key(ID, "The tier that it belongs to.", "4"),
        "lines_before": key(whole(0, 100_000_000), "Lines before any expansion.", 132),
        "lines": _KNOWN_LINES,
        "target_lines": key(whole(1, 1_000_000), "Lines wanted.", 1000),
        "finished": key({"type": "boolean"}, "Whether it is done, so that no plan expands it.", True),
        "source": _SOURCE_KEY,
    },
    "id",
    "title",
)
_PLAN = record(
    {
        "factor": key(number(0.01, 10), "Share of the outline's lines for the others.", 0.5),
        "targets": key(mapping(ID, whole(1, 1_000_000), "chapter"), "Target lines by chapter.", {"03": 500}),
    }
)
_BOOK_KEYS = {
    "title": _TITLE,
    "language": key(LANGUAGE, "The language if none is asked for.", "en"),
    "languages": key(
        listed(LANGUAGE, "language", unique=True), "All languages that chapters may be drafted in.", ["en", "zh"]
    ),
    "audience": _AUDIENCE,
    "style": _STYLE,
    "house_rules": key(listed(_PROSE, "rule"), "What every chapter keeps to.", ["No filler."]),
    "allowance": _ALLOWANCE,
    "opening": key(
        listed(_OPENING, "opening"),
        "What was spent before this tool kept the book.",
        [{"chapters": ["01", "02"], "tokens": 165_000, "hours": 2.0}],
    ),
    "tiers": key(
        listed(_TIER, "tier", unique=True),
        "The tiers of the book.",
        [{"id": "1", "title": "Basics", "lines": 5175, "target_lines": 4376}],
    ),
    "chapters": key(
        listed(_CHAPTER, "chapter", unique=True),
        "The chapters in their order, as the book records them.",
        [{"id": "03", "title": "Performance", "lines": 75, "target_lines": 1000}],
    ),
    "plans": key(
        mapping(ID, _PLAN, "plan"), "Plans of your own beside full, lean and none.", {"half": {"factor": 0.5}}
    ),
}

OUTLINE = Validator(
    {"$schema": DRAFT, "title": "Outline of a chapter", **record(_OUTLINE_KEYS, "id", "title", "source", "sections")},
    FORMATS,
)
BOOK = Validator({"$schema": DRAFT, "title": "Book", **record(_BOOK_KEYS, "title")}, FORMATS)
