"""The form in which an author model proposes a chapter's sections, and what is read of its answer.

The form is JSON, held to by a schema where a provider takes one, by a grammar (llama.cpp's) where
a model is too small to be left alone with it, by words where nothing else is to be had. Whatever
holds the model to it, the answer is checked as if nothing did.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from expand.importers.proposal import LONGEST, ProposedSection
from expand.importers.text_patterns import plain
from expand.llm.grammar import subject
from expand.llm.profile import Profile
from expand.markdown.matching import title_key, unnumbered
from expand.schema import Json

MOST_TOPICS = 8
LINES_A_SECTION = 40
"""Sections are not to be shorter than this on average."""
_SHOWN = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How many sections are taken."""

    least: int
    most: int

    @classmethod
    def of(cls, lines: int, headings: Sequence[str] = ()) -> Bounds:
        """Those of a chapter of so many lines: 5 to 14 for 1,000, and what is there anyway."""
        most = max(1, min(14, lines // LINES_A_SECTION), len(headings))
        return cls(least=min(most, max(len(headings), lines // 250 + 1, 1), 14), most=most)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """An answer as it was read: ``faults`` is what is wrong with it, each with its remedy. Without
    ``sections`` nothing could be read at all.
    """

    sections: tuple[ProposedSection, ...] = ()
    faults: tuple[str, ...] = ()


def form_parameters(profile: Profile, bounds: Bounds, title: str, headings: Sequence[str] = ()) -> Mapping[str, Json]:
    """The request's parameters: the profile's own, and what holds this model to the form."""
    match profile.structured_output:
        case "json_schema":
            schema: Json = {"name": "outline", "strict": True, "schema": _schema()}
            form: dict[str, Json] = {"response_format": {"type": "json_schema", "json_schema": schema}}
        case "json_object":
            form = {"response_format": {"type": "json_object"}}
        case "grammar":
            form = {**_SMALL_PARAMETERS, "grammar": grammar(bounds, title, headings)}
        case _:
            form = {}
    return {**profile.parameters, **form}


def _schema() -> Json:
    # OpenAI's strict form: every property required, none besides. Numbers are checked by us.
    section: dict[str, Json] = {
        "title": {"type": "string", "description": "One short line, without a number."},
        "lines": {"type": "integer", "description": "Lines of Markdown, above 0."},
        "topics": {"type": "array", "items": {"type": "string"}},
    }
    return _closed({"sections": {"type": "array", "items": _closed(section)}})


def _closed(properties: dict[str, Json]) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_SMALL = (
    ("What {subject} is for", ("When to use ", "What it does for ", "What it needs: ")),
    ("How {subject} works", ("The role of ", "The order of ", "What happens when ")),
    ("Working with {subject}", ("Preparing ", "Checking ", "A first example with ")),
    ("Measuring {subject}", ("What to measure: ", "Comparing ", "Finding the cause of ")),
    ("Common mistakes with {subject}", ("Forgetting to ", "Relying on ", "Too much ")),
    ("{subject} in production", ("Starting with ", "Watching ", "Automating ")),
)
"""Titles and the first words of topics: a model too small to plan fills in the rest."""
_SMALL_PARAMETERS: Mapping[str, Json] = {"dry_multiplier": 0, "repeat_penalty": 1.1}
"""Penalties for saying a word again drive a small model out of its subject, in so few words."""
_WORDS = r"""
words ::= (word " "){1,4} long
word ::= short | long
short ::= "a" | "an" | "as" | "at" | "be" | "by" | "do" | "if" | "in" | "is" | "it" | more
more ::= "no" | "of" | "on" | "or" | "so" | "to" | "up" | "we"
long ::= [A-Za-z] [a-z]{2,12}
"""


def grammar(bounds: Bounds, title: str, headings: Sequence[str] = ()) -> str:
    """GBNF for a proposal by a small model, for a chapter of this title: the sections that are
    there, and as many more as are good for its lines. No title and no topic can come twice.
    """
    called = subject(title)
    keys = {title_key(heading) for heading in headings}
    offered = [(_one_first(form.format(subject=called)), topics) for form, topics in _SMALL]
    offered = [(name, topics) for name, topics in offered if title_key(name) not in keys]
    wanted = max(bounds.least, min(len(_SMALL), (bounds.least + bounds.most) // 2))
    rows = [(name, _SMALL[at % len(_SMALL)][1]) for at, name in enumerate(headings)]
    rows += offered[: max(0, wanted - len(rows))]
    sections = _comma().join(_section_rule(name, topics) for name, topics in rows)
    return f'root ::= "{{\\"sections\\": [" {sections} "]}}"\nlines ::= [1-9] "0"{_WORDS}'


def _section_rule(title: str, openings: Sequence[str]) -> str:
    topics = _comma().join(f'"\\"" {_quoted(opening)} words "\\""' for opening in openings)
    return f'"{{\\"title\\": \\"" {_quoted(title)} "\\", \\"lines\\": " lines ", \\"topics\\": [" {topics} "]}}"'


def _one_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _comma() -> str:
    return ' ", " '


def _quoted(text: str) -> str:
    """A text inside of a JSON string, as GBNF says it."""
    inside = json.dumps(text, ensure_ascii=False)[1:-1]
    escaped = inside.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read_answer(text: str, bounds: Bounds, headings: Sequence[str] = ()) -> Reading:
    """The sections in an answer, and all that is wrong with them."""
    try:
        answer = json.loads(_object_in(text))
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
        return Reading(faults=(f"it is no JSON object ({said}); answer with one and nothing else",))
    given = answer.get("sections") if isinstance(answer, dict) else None
    if not isinstance(given, list) or not given:
        return Reading(faults=('there is no list "sections"; give one, with what each is about',))
    faults: list[str] = []
    sections = [
        section
        for number, entry in enumerate(given, 1)
        if (section := _section(entry, f"section {number}", faults)) is not None
    ]
    if not sections:
        return Reading(faults=tuple(faults))
    return Reading(
        sections=tuple(sections),
        faults=(*faults, *_across(sections, bounds, headings)),
    )


def _object_in(text: str) -> str:
    """The outermost braces: some models wrap an answer in a fence or in words."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


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
    if len(topics) > MOST_TOPICS:
        faults.append(f"{called} has {len(topics)} topics; give at most {MOST_TOPICS}")
    for name, text in (("the title", title), *(("a topic", topic) for topic in topics)):
        if len(text) > LONGEST:
            faults.append(f"{called}: {name} has {len(text)} characters; give a few words")
    return ProposedSection(
        title=title,
        lines=round(lines) if isinstance(lines, int | float) else None,
        topics=topics[:MOST_TOPICS],
    )


def _text(value: object) -> str:
    """A text without numbering and Markdown, on one line; "" for what is none."""
    if not isinstance(value, str):
        return ""
    line = " ".join(value.split())
    return plain(unnumbered(plain(line.lstrip("#").strip()))) or plain(line)


def _across(sections: Sequence[ProposedSection], bounds: Bounds, headings: Sequence[str]) -> Iterator[str]:
    count = len(sections)
    if not bounds.least <= count <= bounds.most:
        wanted = f"{bounds.least} to {bounds.most}" if bounds.least < bounds.most else bounds.most
        yield f"there are {count} sections; give {wanted}"
    titles = Counter(title_key(section.title) for section in sections)
    for section in sections:
        if titles.pop(title_key(section.title), 0) > 1:
            yield f"the title {section.title[:_SHOWN]!r} is given twice; say it once"
    keys = {title_key(section.title) for section in sections}
    for heading in headings:
        if title_key(heading) not in keys:
            yield f"the section {heading[:_SHOWN]!r} of the document is missing; keep it"
    topics = Counter(title_key(topic) for section in sections for topic in section.topics)
    for section in sections:
        for topic in section.topics:
            if topics.pop(title_key(topic), 0) > 1:
                yield f"the topic {topic[:_SHOWN]!r} is given twice; leave it in one section"
