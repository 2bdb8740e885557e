"""The format in which the author model proposes a chapter's sections, and the parser of its answers.

The format is JSON. A schema enforces it where the provider takes one, llama.cpp's grammar where the model is too small
to write JSON by itself, and the prompt alone elsewhere. The answer is checked in any case.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from expand.importers.lengths import Length
from expand.importers.proposal import LONGEST, ProposedSection
from expand.importers.text_patterns import plain
from expand.llm.profile import Profile, quoted, strict_object, subject
from expand.markdown import sanitize
from expand.markdown.matching import title_key, unnumbered
from expand.schema import Json

MAX_TOPICS = 8
LINES_PER_SECTION = 40
"""The least that sections may have on average."""
_SHOWN = 60


class SectionCount(NamedTuple):
    """How many sections a chapter may have."""

    least: int
    most: int

    @classmethod
    def of(cls, lines: int, headings: Sequence[str] = ()) -> SectionCount:
        """The count for a chapter of ``lines``: 5 to 14 for 1,000 lines, and never fewer than its ``headings``."""
        most = max(1, min(14, lines // LINES_PER_SECTION), len(headings))
        return cls(least=min(most, max(len(headings), lines // 250 + 1, 1), 14), most=most)


class ParsedAnswer(NamedTuple):
    """An answer: ``faults`` says what is wrong with it, each with its remedy. No ``sections``: none could be read."""

    sections: tuple[ProposedSection, ...] = ()
    faults: tuple[str, ...] = ()


def format_parameters(
    profile: Profile, count: SectionCount, title: str, headings: Sequence[str] = ()
) -> Mapping[str, Json]:
    """The request's parameters: the profile's own, and what makes this model keep to the format."""
    if profile.structured_output == "grammar":
        return {**profile.parameters, **_SMALL_PARAMETERS, "grammar": grammar(count, title, headings)}
    return {**profile.parameters, **profile.json_format("outline", _SCHEMA)}


_SECTION: dict[str, Json] = {
    "title": {"type": "string", "description": "One short line, without a number."},
    "lines": {"type": "integer", "description": "Lines of Markdown, above 0."},
    "topics": {"type": "array", "items": {"type": "string"}},
}
_SCHEMA = strict_object({"sections": {"type": "array", "items": strict_object(_SECTION)}})
_SMALL = (
    ("What {subject} is for", ("When to use ", "What it does for ", "What it needs: ")),
    ("How {subject} works", ("The role of ", "The order of ", "What happens when ")),
    ("Working with {subject}", ("Preparing ", "Checking ", "A first example with ")),
    ("Measuring {subject}", ("What to measure: ", "Comparing ", "Finding the cause of ")),
    ("Common mistakes with {subject}", ("Forgetting to ", "Relying on ", "Too much ")),
    ("{subject} in production", ("Starting with ", "Watching ", "Automating ")),
)
"""Titles and the first words of topics; a model too small to plan fills in the rest."""
_SMALL_PARAMETERS: Mapping[str, Json] = {"dry_multiplier": 0, "repeat_penalty": 1.1}
"""Stronger repetition penalties drive a small model away from the subject, in texts this short."""
_COMMA = ' ", " '
_WORDS = r"""
words ::= (word " "){1,4} long
word ::= short | long
short ::= "a" | "an" | "as" | "at" | "be" | "by" | "do" | "if" | "in" | "is" | "it" | more
more ::= "no" | "of" | "on" | "or" | "so" | "to" | "up" | "we"
long ::= [A-Za-z] [a-z]{2,12}
"""


def grammar(count: SectionCount, title: str, headings: Sequence[str] = ()) -> str:
    """GBNF for a proposal by a small model: the sections that the chapter has, and as many more as fit its lines.

    No title and no topic can come twice."""
    called = subject(title)
    keys = {title_key(heading) for heading in headings}
    offered = [(name.format(subject=called), topics) for name, topics in _SMALL]
    offered = [(name[:1].upper() + name[1:], topics) for name, topics in offered if title_key(name) not in keys]
    wanted = max(count.least, min(len(_SMALL), (count.least + count.most) // 2))
    rows = [(name, _SMALL[at % len(_SMALL)][1]) for at, name in enumerate(headings)]
    rows += offered[: max(0, wanted - len(rows))]
    sections = _COMMA.join(
        f'"{{\\"title\\": \\"" {_quoted(name)} "\\", \\"lines\\": " lines ", \\"topics\\": [" '
        + _COMMA.join(f'"\\"" {_quoted(opening)} words "\\""' for opening in openings)
        + ' "]}"'
        for name, openings in rows
    )
    return f'root ::= "{{\\"sections\\": [" {sections} "]}}"\nlines ::= [1-9] "0"{_WORDS}'


def _quoted(text: str) -> str:
    """A text inside a JSON string, as GBNF writes it."""
    return quoted(json.dumps(text, ensure_ascii=False)[1:-1])


def parse_answer(text: str, count: SectionCount, headings: Sequence[str] = ()) -> ParsedAnswer:
    """The sections in an answer, and all that is wrong with them."""
    bare = _object_in(text)
    try:
        try:
            answer = json.loads(bare)
        except ValueError:
            answer = json.loads(_mended(bare))
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
        return ParsedAnswer(faults=(f"it is no JSON object ({said}); answer with one and nothing else",))
    given = answer.get("sections") if isinstance(answer, dict) else None
    if not isinstance(given, list) or not given:
        return ParsedAnswer(faults=('there is no list "sections"; give one, with what each is about',))
    faults: list[str] = []
    sections = [
        section
        for number, entry in enumerate(given, 1)
        if (section := _section(entry, f"section {number}", faults)) is not None
    ]
    if not sections:
        return ParsedAnswer(faults=tuple(faults))
    return ParsedAnswer(sections=tuple(sections), faults=(*faults, *_across(sections, count, headings)))


def _object_in(text: str) -> str:
    """The outermost braces: some models wrap an answer in a fence or in words, or think before it."""
    text, _ = sanitize.bare(text)
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _mended(text: str) -> str:
    """JSON with what models make of it set right: curly quotes and full-width marks where JSON wants its own, and a
    comma before a bracket that closes."""
    text = re.sub(r"(?<=[{\[,:，：])(\s*)[“”]|[“”](?=\s*[}\],:，：])", r'\1"', text)
    marks = {"，": ",", "：": ":"}
    text = re.sub(r'"(?:\\.|[^"\\])*"|[，：]', lambda found: marks.get(found[0], found[0]), text)
    return re.sub(r",(\s*[}\]])", r"\1", text)


def _section(entry: object, called: str, faults: list[str]) -> ProposedSection | None:
    if not isinstance(entry, dict):
        faults.append(f"{called} is no object; give it title, lines and topics")
        return None
    title = _text(entry.get("title"))
    if not title:
        faults.append(f"{called} has no title; give it one")
        return None
    called = f"{called} ({title[:_SHOWN]})"
    lines = entry.get("lines")
    if isinstance(lines, bool) or not isinstance(lines, int | float) or not 1 <= lines <= 10**6:
        faults.append(f'{called}: "lines" is {json.dumps(lines)[:_SHOWN]}; give a number above 0')
        lines = None
    given = entry.get("topics")
    texts = [_text(topic) for topic in given] if isinstance(given, list) else []
    topics = tuple(topic for topic in texts if topic)
    if not topics or len(topics) < len(texts):
        faults.append(f"{called}: topics are missing or empty; give 2 to 6, as texts")
    if len(topics) > MAX_TOPICS:
        faults.append(f"{called} has {len(topics)} topics; give at most {MAX_TOPICS}")
    for name, text in (("the title", title), *(("a topic", topic) for topic in topics)):
        if len(text) > LONGEST:
            faults.append(f"{called}: {name} has {len(text)} characters; give a few words")
    return ProposedSection(
        title=title,
        length=Length(round(lines), "lines") if isinstance(lines, int | float) else None,
        topics=topics[:MAX_TOPICS],
    )


def _text(value: object) -> str:
    """A text without numbering and Markdown, on one line; "" for what is none."""
    if not isinstance(value, str):
        return ""
    line = " ".join(value.split())
    return plain(unnumbered(plain(line.lstrip("#").strip()))) or plain(line)


def _across(sections: Sequence[ProposedSection], count: SectionCount, headings: Sequence[str]) -> Iterator[str]:
    if not count.least <= len(sections) <= count.most:
        wanted = f"{count.least} to {count.most}" if count.least < count.most else count.most
        yield f"there are {len(sections)} sections; give {wanted}"
    titles = [section.title for section in sections]
    for title in _repeated(titles):
        yield f"the title {title[:_SHOWN]!r} is given twice; say it once"
    keys = set(map(title_key, titles))
    for heading in headings:
        if title_key(heading) not in keys:
            yield f"the section {heading[:_SHOWN]!r} of the document is missing; keep it"
    for topic in _repeated([topic for section in sections for topic in section.topics]):
        yield f"the topic {topic[:_SHOWN]!r} is given twice; leave it in one section"


def _repeated(texts: Sequence[str]) -> list[str]:
    counts = Counter(map(title_key, texts))
    return [text for text in texts if counts.pop(title_key(text), 0) > 1]
