"""Book, chapter, section and topic as frozen values, under a plan and with what they allow to be spent; ``reading``
reads them.

Lines are Markdown lines as ``wc -l`` counts them, tokens are whole, hours are wall-clock hours. A length that is
stated in words or Chinese characters is also known in the lines that it comes to.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args

from expand.budget import Amount, Limit, pico_from_usd
from expand.errors import InputError, Place

Priority = Literal["high", "medium", "low"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
Layout = Literal["keep", "numbered"]
SourceText = Literal["keep", "revise"]
Unit = Literal["lines", "words", "characters"]

WORDS_A_LINE = 10
"""About what a line of a chapter holds, code and blank lines included."""
CHARACTERS_A_WORD = Fraction(8, 5)
"""Chinese characters that say what an English word says."""
CHARACTERS_A_LINE = WORDS_A_LINE * CHARACTERS_A_WORD
LINES_AN_EXAMPLE = 20
"""About what a complete code example takes, its fence included."""
LINES_A_TOPIC = 3
"""The fewest lines for a topic of a section."""
LEAST_TEXT = 15
"""The lines of text that an example needs beside it, so that a chapter is more than a listing."""


class Text(NamedTuple):
    """A title or topic: the same in every language (``plain``), or one text a language."""

    plain: str | None = None
    by_language: Mapping[str, str] = {}

    def say(self, language: str, fallback: str | None = None) -> str:
        """The text in ``language``, else in ``fallback``, else in the first one given."""
        if self.plain is not None:
            return self.plain
        for wanted in (language, fallback):
            if wanted is not None and wanted in self.by_language:
                return self.by_language[wanted]
        return next(iter(self.by_language.values()))

    def every(self) -> tuple[str, ...]:
        """All wordings, for matching against documents in any language."""
        return (self.plain,) if self.plain is not None else tuple(self.by_language.values())


class Allowance(NamedTuple):
    """What may be spent: tokens, and US dollars if set."""

    tokens: int | None = None
    usd: Decimal | None = None

    @property
    def limit(self) -> Limit:
        """The same as a budget's limit."""
        return Limit(tokens=self.tokens, pico_usd=None if self.usd is None else pico_from_usd(self.usd))


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """A house style by its name; ``place`` is where the file names it, for messages."""

    name: str
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A file, folder or pattern that a text may cite, as it is ``said``; ``place`` is where, for messages."""

    said: str
    place: Place | None = field(default=None, compare=False)


class Section(NamedTuple):
    """One section of a chapter: ``number`` counts from 1, ``lines`` is its target. ``heading`` is its heading in the
    document, or ``#id``, "" where its title tells. ``words`` and ``characters`` are what the outline states beside or
    instead of lines, 0 where it does not; where it states either, that is counted and ``lines`` is what it comes to."""

    number: int
    title: Text
    lines: int
    words: int = 0
    characters: int = 0
    topics: tuple[Text, ...] = ()
    topic_lines: tuple[int, ...] = ()
    """How the topics share the section, in lines, where any states its length; () where none does."""
    code_examples: int | None = None
    note: Text | None = None
    heading: str = ""
    ignore: tuple[str, ...] = ()
    """Kinds of findings that are silenced, beside those of the outline."""
    source_text: SourceText | None = None
    references: tuple[Reference, ...] = ()
    """What it may cite, beside what outline and book name."""
    must_cite: tuple[Text, ...] = ()
    """Claims that it has to make and to cite a reference for."""

    def goal(self, language: str) -> tuple[int, Unit]:
        """What a draft in a language is to have, and of what: words, Chinese characters where it is in Chinese or
        Japanese, lines where the outline states neither."""
        if not self.words and not self.characters:
            return self.lines, "lines"
        if language.partition("-")[0] in ("zh", "ja"):
            return self.characters or round(self.words * CHARACTERS_A_WORD), "characters"
        return self.words or round(self.characters / CHARACTERS_A_WORD), "words"


class Quality(NamedTuple):
    """What the chapter demands beyond its length."""

    code_examples: int = 0
    code_language: str | None = None


class Outline(NamedTuple):
    """One chapter's contract. ``stated_lines`` is what the file states as the chapter's target, ``stated_words`` and
    ``stated_characters`` likewise, 0 for none; ``target_lines`` is what its sections add up to, and what is drafted."""

    id: str
    title: Text
    source: str
    sections: tuple[Section, ...]
    stated_lines: int | None = None
    stated_words: int = 0
    stated_characters: int = 0
    priority: Priority = "medium"
    hours: float = 0.0
    audience: Text | None = None
    quality: Quality = Quality()
    glossary: Mapping[str, Text] = {}
    allowance: Allowance | None = None
    style: Style | None = None
    """The chapter's house style, None for the book's."""
    layout: Layout | None = None
    """Whether the document keeps its own form, None for what the book says."""
    edition: str = ""
    """The edition of the language that the code is in, "" for what the brief says."""
    packages: Mapping[str, Any] = {}
    """Packages that the code uses: a version each, or version, path and features."""
    source_text: SourceText | None = None
    """Whether the author's own text stays or is revised, None for what the book says."""
    ignore: tuple[str, ...] = ()
    """Kinds of findings that are silenced, beside those of the book."""
    sources: Mapping[str, str] = {}
    """The documents by language, empty where one is stated for all. ``source`` is one of them."""
    references: tuple[Reference, ...] = ()
    """What its sections may cite, beside what the book names."""
    voice: tuple[str, ...] = ()
    """Chapters to write like, none for those of the book."""

    @property
    def target_lines(self) -> int:
        """The sum of the sections' lines."""
        return sum(section.lines for section in self.sections)

    def in_language(self, language: str) -> "Outline":
        """The outline with the document of a language, if it names one."""
        return self._replace(source=self.sources.get(language, self.source))


class Tier(NamedTuple):
    """A tier of the book. ``lines`` is None where they are counted from its chapters."""

    id: str
    title: Text
    target_lines: int
    lines: int | None = None


class Opening(NamedTuple):
    """What was spent on some chapters before this tool kept the book."""

    chapters: tuple[str, ...]
    tokens: int = 0
    hours: float = 0.0
    usd: Decimal | None = None


class BookChapter(NamedTuple):
    """A chapter as the book records it: ``lines_before`` is what it had before any expansion,
    ``lines`` what the record says it has now."""

    id: str
    title: Text
    tier: str | None = None
    lines_before: int | None = None
    lines: int | None = None
    target_lines: int | None = None
    finished: bool = False
    source: str | None = None
    sources: Mapping[str, str] = {}


class Book(NamedTuple):
    """The whole book: ``language`` is the default one, ``languages`` all it may be drafted in."""

    title: Text
    language: str
    languages: tuple[str, ...]
    allowance: Allowance
    audience: Text | None = None
    house_rules: tuple[Text, ...] = ()
    tiers: tuple[Tier, ...] = ()
    openings: tuple[Opening, ...] = ()
    chapters: tuple[BookChapter, ...] = ()
    style: Style | None = None
    """The house style of chapters that name none."""
    layout: Layout = "numbered"
    """The layout of chapters that name none."""
    source_text: SourceText = "keep"
    """Whether the author's own text stays, in chapters that do not say."""
    ignore: tuple[str, ...] = ()
    """Kinds of findings that are silenced."""
    voice: tuple[str, ...] = ()
    """Chapters to write like, in chapters that name none."""
    glossary: Mapping[str, Text] = {}
    """Terms of all chapters; an outline's own come before them."""
    references: tuple[Reference, ...] = ()
    """What every chapter may cite."""

    def draft_name(self, chapter: str, language: str) -> str:
        """The name of a chapter's draft and of what is kept with it: ``03``, in another language than the book's own
        ``03.zh``."""
        return chapter if language in ("", self.language) else f"{chapter}.{language}"

    def require_language(self, language: str) -> None:
        """Raises ``InputError`` for a language that the book does not have."""
        if language not in self.languages:
            raise InputError(
                f"the book has no language {language!r}",
                remedy=f"give one of: {', '.join(self.languages)}, or add it to outlines/book.yaml",
            )


# --- plans: an outline's line counts under a scenario ---------------------------------------------------------

LEAN_LINES = 450
MINIMUM_SECTION_LINES = 8
"""A heading, a blank line and a few lines of text: below that a section is only its title."""


class Plan(enum.StrEnum):
    """The scenarios that a draft can follow.

    ``full`` is the outline as it stands. ``lean`` keeps its shape at 450 lines a chapter, the middle of the 400 to 500
    that authors plan for a skeleton; a chapter that is shorter stays as it is."""

    FULL = "full"
    LEAN = "lean"


def scaled(outline: Outline, lines: int) -> Outline:
    """The outline with its sections' lines scaled to add up to ``lines``, shape kept; code examples in proportion.

    Whole lines are given out by largest remainder, so that the sum is exact; only the floor of
    ``MINIMUM_SECTION_LINES`` a section can push it above."""
    total = outline.target_lines
    exact = [section.lines * lines / total for section in outline.sections]
    given = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (given[i] - exact[i], i))
    for index in by_remainder[: lines - sum(given)]:
        given[index] += 1
    sections = tuple(
        section._replace(
            lines=(least := max(count, min(MINIMUM_SECTION_LINES, section.lines))),
            words=round(section.words * least / section.lines),
            characters=round(section.characters * least / section.lines),
            code_examples=None if section.code_examples is None else round(section.code_examples * lines / total),
        )
        for section, count in zip(outline.sections, given, strict=True)
    )
    quality = outline.quality._replace(code_examples=round(outline.quality.code_examples * lines / total))
    return outline._replace(sections=sections, quality=quality)


def under(plan: Plan, outline: Outline) -> Outline:
    """The outline under a plan."""
    if plan is Plan.LEAN and outline.target_lines > LEAN_LINES:
        return scaled(outline, LEAN_LINES)
    return outline


def too_many_examples(examples: int, lines: int) -> str:
    """Why so many code examples do not fit into so many lines, and how many would; "" where they do."""
    if not examples or lines >= examples * (LINES_AN_EXAMPLE + LEAST_TEXT):
        return ""
    left = max(0, lines // examples - LINES_AN_EXAMPLE)
    fits = lines // (LINES_AN_EXAMPLE + LEAST_TEXT)
    return (
        f"{examples} code examples of about {LINES_AN_EXAMPLE} lines leave {left} lines of text for each in "
        f"{lines:,} lines; {fits} would fit"
    )


# --- allowances, by budget scope ----------------------------------------------------------------------------


def limits_of(book: Book, outlines: Mapping[str, Outline]) -> dict[str, Limit]:
    """The limits that the book and the outlines state, by scope."""
    chapters = {f"chapter:{name}": (outline.allowance or Allowance()).limit for name, outline in outlines.items()}
    return {"book": book.allowance.limit, **chapters}


def opening_of(book: Book) -> Amount:
    """The opening balance. Raises ``InputError`` where the allowance is in dollars and what an opening cost is not
    known: unknown is never zero."""
    unpriced = [each for each in book.openings if each.usd is None and each.tokens]
    if unpriced and book.allowance.usd is not None:
        chapters = ", ".join(unpriced[0].chapters) or "the book"
        raise InputError(
            f"the allowance is in dollars, and the opening balance of {unpriced[0].tokens:,} "
            f"tokens ({chapters}) does not say what it cost",
            remedy="add usd to it, or take usd from the allowance",
            place=Place(path="outlines/book.yaml"),
        )
    pico_usd = sum(pico_from_usd(opening.usd) for opening in book.openings if opening.usd)
    return Amount(sum(opening.tokens for opening in book.openings), pico_usd)
