"""The shapes of an outline and of the book: every key, what it means and what it may look like.

One declaration serves the reader and the JSON Schema, so that an editor and the tool give the
same verdict. What a schema cannot say (an id against its file's name, a source that leaves the
workspace, titles that repeat) is in ``outline_file.py`` and in the identities.
"""

from __future__ import annotations

from decimal import Decimal

from expand.outline.text_rules import (
    ID,
    LANGUAGE,
    LINE,
    PROSE,
    SOURCE,
    STYLE,
    TERM,
    id_identity,
    text_identity,
)
from expand.schema.validators import (
    Choice,
    Field,
    Flag,
    Identity,
    ListOf,
    MappingOf,
    Number,
    Record,
    Schema,
    Values,
)

MAX_SECTION_LINES = 20_000


def lines_up_to(maximum: int, minimum: int = 1) -> Number:
    """A whole number of lines."""
    return Number(minimum=minimum, maximum=maximum, whole=True)


def _by_id(values: Values) -> Identity | None:
    text = values.get(ID_FIELD)
    return None if text is None else id_identity(text)._replace(spot=values.spot(ID_FIELD))


def _by_title(values: Values) -> Identity | None:
    title = values.get(TITLE)
    if title is None:
        return None
    return text_identity("the title")(title)._replace(spot=values.spot(TITLE))


_BOTH: Schema = {"zh": "零拷贝技术", "en": "Zero-copy techniques"}
_TOKENS = Number(minimum=1, maximum=10**12, whole=True)
_COUNT = Number(minimum=0, maximum=10_000, whole=True)
_USD = Number(minimum=0, maximum=10**9)
_HOURS = Number(minimum=0, maximum=100_000)
_KNOWN_LINES = lines_up_to(100_000_000, 0)
_TARGET = lines_up_to(1_000_000)

ID_FIELD = Field("id", ID, "The name that commands and files know it by; 03 stays 03.", "03", True)
TITLE = Field("title", LINE, "The title, once or by language.", _BOTH, True)
AUDIENCE = Field("audience", PROSE, "Whom the text is written for.", "Experienced Rust developers")
STYLE_FIELD = Field(
    "style",
    STYLE,
    "The house style: tutorial, reference, plain (none), or a folder of prompts/styles.",
    "tutorial",
)
SOURCE_FIELD = Field("source", SOURCE, "The document as it stands, from the workspace.", "chapters/03_name.md")
SOURCE_NEEDED = Field("source", SOURCE, SOURCE_FIELD.meaning, SOURCE_FIELD.example, True)

LINES = Field("lines", lines_up_to(MAX_SECTION_LINES), "How many Markdown lines are wanted.", 150, True)
TOPICS = Field(
    "topics",
    ListOf(item=LINE, noun="topic", identity=text_identity("the text")),
    "What the section treats, one subsection each.",
    ["splice and sendfile", _BOTH],
)
SECTION_EXAMPLES = Field("code_examples", _COUNT, "The least number of code blocks.", 4)
NOTE = Field("note", PROSE, "An instruction for this section.", "Show perf c2c.")
SECTION = Record(fields=(TITLE, LINES, TOPICS, SECTION_EXAMPLES, NOTE))

CODE_EXAMPLES = Field("code_examples", _COUNT, "The least number of code blocks in all.", 30)
CODE_LANGUAGE = Field("code_language", TERM, "The language of code blocks.", "rust")
QUALITY_SHAPE = Record(fields=(CODE_EXAMPLES, CODE_LANGUAGE))

TOKENS = Field("tokens", _TOKENS, "The most tokens that may be spent.", 1_000_000)
USD = Field("usd", _USD, "The most US dollars that may be spent, exactly.", 12.5)
ALLOWANCE_SHAPE = Record(fields=(TOKENS, USD))
ALLOWANCE = Field("allowance", ALLOWANCE_SHAPE, "What may be spent.", {"tokens": 200_000})

TARGET_LINES = Field("target_lines", _TARGET, "The stated target; the sections are drafted.", 1000)
PRIORITY = Field("priority", Choice(options=("high", "medium", "low")), "What to draft first.", "high")
HOURS = Field("hours", _HOURS, "Wall-clock hours expected or spent.", 1.5)
QUALITY = Field("quality", QUALITY_SHAPE, "Demands beyond the length.", {"code_examples": 30})
GLOSSARY = Field(
    "glossary",
    MappingOf(key=TERM, value=PROSE, noun="term"),
    "Terms and what they mean, or how they are translated.",
    {"zero copy": {"zh": "零拷贝"}},
)
SECTIONS = Field(
    "sections",
    ListOf(item=SECTION, noun="section", identity=_by_title),
    "The sections in their order.",
    [{"title": _BOTH, "lines": 100, "topics": ["splice and sendfile"]}],
    True,
)
OUTLINE = Record(
    fields=(
        ID_FIELD,
        TITLE,
        SOURCE_NEEDED,
        TARGET_LINES,
        PRIORITY,
        HOURS,
        AUDIENCE,
        STYLE_FIELD,
        QUALITY,
        GLOSSARY,
        ALLOWANCE,
        SECTIONS,
    )
)

DEFAULT_LANGUAGE = Field("language", LANGUAGE, "The language if none is asked for.", "en")
LANGUAGES = Field(
    "languages",
    ListOf(item=LANGUAGE, noun="language", identity=id_identity),
    "All languages that chapters may be drafted in.",
    ["en", "zh"],
)
HOUSE_RULES = Field("house_rules", ListOf(item=PROSE, noun="rule"), "What every chapter keeps to.", ["No filler."])
IDS = Field("chapters", ListOf(item=ID, noun="chapter", identity=id_identity), "Ids.", ["01", "02"], True)
SPENT_TOKENS = Field("tokens", Number(minimum=0, maximum=10**12, whole=True), "Spent.", 165_000)
SPENT_USD = Field("usd", _USD, "US dollars spent.", 1.5)
OPENING = Field(
    "opening",
    ListOf(item=Record(fields=(IDS, SPENT_TOKENS, HOURS, SPENT_USD)), noun="opening"),
    "What was spent before this tool kept the book.",
    [{"chapters": ["01", "02"], "tokens": 165_000, "hours": 2.0}],
)
KNOWN_LINES = Field("lines", _KNOWN_LINES, "Lines now; left out, they are counted.", 5175)
LINES_BEFORE = Field("lines_before", _KNOWN_LINES, "Lines before any expansion.", 132)
TIER_TARGET = Field("target_lines", lines_up_to(100_000_000), "Lines wanted.", 4376, True)
TIERS = Field(
    "tiers",
    ListOf(
        item=Record(fields=(ID_FIELD, TITLE, KNOWN_LINES, TIER_TARGET)),
        noun="tier",
        identity=_by_id,
    ),
    "The tiers of the book.",
    [{"id": "1", "title": "Basics", "lines": 5175, "target_lines": 4376}],
)
TIER = Field("tier", ID, "The tier that it belongs to.", "4")
CHAPTER_TARGET = Field("target_lines", _TARGET, "Lines wanted.", 1000)
FINISHED = Field("finished", Flag(), "Whether it is done, so that no plan expands it.", True)
CHAPTERS = Field(
    "chapters",
    ListOf(
        item=Record(
            fields=(
                ID_FIELD,
                TITLE,
                TIER,
                LINES_BEFORE,
                KNOWN_LINES,
                CHAPTER_TARGET,
                FINISHED,
                SOURCE_FIELD,
            )
        ),
        noun="chapter",
        identity=_by_id,
    ),
    "The chapters in their order, as the book records them.",
    [{"id": "03", "title": "Performance", "lines": 75, "target_lines": 1000}],
)
FACTOR = Field(
    "factor",
    Number(minimum=Decimal("0.01"), maximum=10),
    "Share of the outline's lines for the others.",
    0.5,
)
TARGETS = Field(
    "targets",
    MappingOf(key=ID, value=_TARGET, noun="chapter"),
    "Target lines by chapter.",
    {"03": 500},
)
PLANS = Field(
    "plans",
    MappingOf(key=ID, value=Record(fields=(FACTOR, TARGETS)), noun="plan"),
    "Plans of your own beside full, lean and none.",
    {"half": {"factor": 0.5}},
)
BOOK = Record(
    fields=(
        TITLE,
        DEFAULT_LANGUAGE,
        LANGUAGES,
        AUDIENCE,
        STYLE_FIELD,
        HOUSE_RULES,
        ALLOWANCE,
        OPENING,
        TIERS,
        CHAPTERS,
        PLANS,
    )
)


def outline_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of ``outlines/<chapter>.yaml``."""
    return _document(OUTLINE, "Outline of a chapter")


def book_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of ``outlines/book.yaml``."""
    return _document(BOOK, "Book")


def _document(record: Record, title: str) -> Schema:
    head: Schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**head, **record.schema()}
