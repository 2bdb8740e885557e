"""What each template may use: a dataclass for each kind, each field annotated with its meaning and an example.

The page about templates and the check of a user's templates are made from these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import PurePosixPath
from typing import Annotated, Any

from expand.outline import Unit

LANGUAGE_NAMES = {"en": "English", "zh": "Chinese (简体中文)", "de": "German", "fr": "French",
                  "es": "Spanish", "ja": "Japanese", "ko": "Korean", "pt": "Portuguese",
                  "ru": "Russian", "it": "Italian"}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionContext:
    """A section as the system template sees it."""

    number: Annotated[int, "Counted from 1.", 2]
    title: Annotated[str, "Its title.", "Profiling tools"]
    topics: Annotated[tuple[str, ...], "Its topics.", ("The perf tool", "Flame graphs")]
    share: Annotated[int, "Its part of the chapter's lines, in percent.", 24]
    lines: Annotated[int, "Its target, in `unit`.", 250] = 0
    unit: Annotated[Unit, "What the outline counts it in: `lines`, `words` or `characters`.", "lines"] = "lines"
    material: Annotated[str, "The author's own text in it.", "Measure first."] = ""


UNITS: Mapping[str, Unit] = {"lines": "lines", "行": "lines", "words": "words", "字": "characters"}
"""The units of lengths by their names in requests."""


_EXAMPLE_SECTION = SectionContext(number=2, title="Profiling tools", topics=("The perf tool", "Flame graphs"), share=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class _ChapterFields:
    language: Annotated[str, "The language to write in, as a code such as `en`.", "en"]
    chapter_id: Annotated[str, "The chapter's id.", "03"]
    chapter_title: Annotated[str, "The chapter's title.", "Performance engineering"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _BookFields(_ChapterFields):
    language_name: Annotated[str, "The same in words.", "English"]
    book_title: Annotated[str, "The book's title.", "C07 Process Management"]
    audience: Annotated[str, 'Whom it is written for; "" if nobody says.', "Experienced Rust programmers"]
    house_rules: Annotated[tuple[str, ...], "The book's house rules.", ("Name every version.",)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterContext(_BookFields):
    """What ``system.j2`` may use: what stays the same for every request of a chapter."""

    glossary: Annotated[Mapping[str, str], "Terms and what they mean.", {"zero copy": "moving data without copying it"}]
    code_examples: Annotated[int, "How many code examples the chapter demands; 0 if it says nothing.", 30]
    code_language: Annotated[str, 'The language of its code, "" if it says nothing.', "rust"]
    sections: Annotated[tuple[SectionContext, ...], "All sections of the chapter, in their order.", (_EXAMPLE_SECTION,)]
    code_check: Annotated[bool, "Whether toolchains judge the code blocks.", True] = False
    numbered: Annotated[bool, "Whether the headings of its sections have numbers.", True] = True
    units: Annotated[tuple[Unit, ...], "What its requests count: `lines`, `words`, `characters`.", ("lines",)] = (
        "lines",
    )
    brief: Annotated[str, "What the brief says for all sections, as YAML.", "edition: '2024'"] = ""
    cites: Annotated[bool, "Whether requests quote passages of references, to be cited.", True] = False
    references: Annotated[
        str, "Passages of the references, each behind its name.", "[R1] lib.rs:10 pub fn stop() {}"
    ] = ""
    memory: Annotated[str, "What the book's other chapters have settled, line by line.", "- work queue: jobs"] = ""
    voice: Annotated[str, "Excerpts of the finished chapters to write like.", "You start a worker first."] = ""
    beside: Annotated[str, "What the document says beside the outline's sections.", "# Signals\n\nRead on."] = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestContext(_ChapterFields):
    """What ``section.j2``, ``continue.j2`` and the like may use: one request's own matter."""

    audience: Annotated[str, 'Whom it is written for, "" if nobody says.', "Experienced Rust programmers"]
    section_number: Annotated[int, "The section's number, from 1.", 2]
    section_title: Annotated[str, "The section's title.", "Profiling tools"]
    topics: Annotated[tuple[str, ...], "The topics that this request is about.", ("The perf tool",)]
    lines: Annotated[int, "How much it asks for, in `unit`; the last figure in front of the unit is taken.", 45]
    topic_lines: Annotated[tuple[int, ...], "How much of it each topic gets, if anybody says.", (30, 15)] = ()
    unit: Annotated[Unit, "What it counts: `lines`, `words` or `characters`.", "lines"] = "lines"
    previous_section: Annotated[str, 'The title of the section before, "" for the first.', "Methods"] = ""
    section_note: Annotated[str, "The outline's instruction for the section.", "Say what needs root."] = ""
    source_material: Annotated[str, "The author's own text that stands in this place already.", "Measure first."] = ""
    revises_source: Annotated[bool, "Whether that text gives way to what is asked for.", False] = False
    before: Annotated[str, "The end of what the section says so far.", "It needs no recompilation."] = ""
    standing: Annotated[str, "What the section has defined so far.", "types Sample; functions record"] = ""
    open_fence: Annotated[str, "The opening line of a code block that the text breaks off in.", "```rust"] = ""
    cut: Annotated[bool, "Whether the text was cut: the answer is to begin with its last line again.", True] = False
    aspect: Annotated[str, 'The side of a topic to look at, "" for the whole.', "common mistakes"] = ""
    code_examples: Annotated[int, "How many code examples this request is to bring.", 2] = 0
    instruction: Annotated[str, "What an editor wants of a new version.", "more on perf c2c"] = ""
    present: Annotated[str, "The text that is to be replaced.", "perf samples the stack."] = ""
    problems: Annotated[tuple[str, ...], "What a repair is to mend.", ("line 3: the code does not parse",)] = ()
    code_only: Annotated[bool, "Whether a repair is of code blocks alone, which are all of `present`.", True] = False
    opens_section: Annotated[bool, "Whether the section's first topic begins with this request.", True] = False
    opening: Annotated[str, "What stands above the topics: the author's or the brief's.", "With the goals set, …"] = ""
    section_brief: Annotated[str, "What the brief says for these topics, as YAML.", "relies_on: [Worker]"] = ""
    closes_section: Annotated[bool, "Whether the section's last topic is among this request's.", True] = False
    section_references: Annotated[str, "Further passages of the references.", "[R7] docs/stop.md:3 It waits."] = ""
    must_cite: Annotated[tuple[str, ...], "Claims that the text has to make and cite.", ("It stops within 5 s.",)] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestionContext(_BookFields):
    """What ``suggest.j2`` may use: a chapter whose sections are to be proposed."""

    lines: Annotated[int, "How many lines the whole chapter is to have.", 900]
    least_sections: Annotated[int, "The least number of sections that is taken.", 4]
    most_sections: Annotated[int, "The greatest number of sections that is taken.", 12]
    other_chapters: Annotated[tuple[str, ...], "Titles of the book's other chapters.", ("Pipes",)] = ()
    headings: Annotated[tuple[str, ...], "The sections that the chapter's document has already.", ("Masks",)] = ()
    source_material: Annotated[str, "What that document says so far.", "Signals interrupt."] = ""
    present: Annotated[str, "The former answer, where it could not be used.", '{"sections": []}'] = ""
    problems: Annotated[tuple[str, ...], "What was wrong with it.", ("there are no sections",)] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BriefContext(_ChapterFields):
    """What ``brief.j2`` may use: a chapter whose sections are to be planned together."""

    language_name: Annotated[str, "The same in words.", "English"]
    lines: Annotated[int, "How long the chapter is to be, in `unit`.", 1000]
    unit: Annotated[Unit, "That of all its sections; `lines` where they differ.", "lines"]
    code_examples: Annotated[int, "How many code examples it is to have; 0 if nobody says.", 28]
    code_language: Annotated[str, 'The language of its code, "" if nobody says.', "rust"]
    sections: Annotated[tuple[SectionContext, ...], "Its sections, in their order.", (_EXAMPLE_SECTION,)]
    references: Annotated[str, "Passages of the references for sections.", "[R7] docs/stop.md:3 It waits."] = ""
    present: Annotated[str, "The former answer, where it could not be used.", "sections: []"] = ""
    problems: Annotated[tuple[str, ...], "What was wrong with it.", ("there are no sections",)] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeContext:
    """A finding of a reviewer with one of its changes, as ``second_look.j2`` sees it."""

    finding: Annotated[int, "The finding's number, from 1; the same for all of its changes.", 1]
    kind: Annotated[str, "The finding's kind.", "contradiction"]
    section: Annotated[int, "The section that the lines are in.", 2]
    problem: Annotated[str, "What the reviewer says is wrong.", "Section 1 says 3 workers."]
    before: Annotated[str, "The lines as they stand.", "It starts 4 workers."]
    after: Annotated[str | None, "The lines as they would be; none where nothing is changed.", "It starts 3."]
    obstacle: Annotated[str, 'Why a proposed change is not made, "" for none.', "its edit changes nothing"] = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewContext:
    """What ``review.j2`` and ``second_look.j2`` may use: a drafted chapter that is read through."""

    language_name: Annotated[str, "The language of the draft in words.", "English"]
    kinds: Annotated[Mapping[str, str], "The kinds of findings and what each says.", {"seam": "it does not follow"}]
    most: Annotated[int, "How many findings are taken.", 14]
    sections: Annotated[tuple[SectionContext, ...], "The sections; their text is `material`.", (_EXAMPLE_SECTION,)] = ()
    references: Annotated[str, "Passages of the references for sections.", "[R7] docs/stop.md:3 It waits."] = ""
    changes: Annotated[tuple[ChangeContext, ...], "What a second look is to confirm or reject.", ()] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationContext:
    """What ``translate.j2`` may use: passages of a chapter that are to be translated."""

    chapter_title: Annotated[str, "The chapter's title.", "Performance engineering"]
    language: Annotated[str, "The language to translate into, as a code such as `en`.", "en"]
    language_name: Annotated[str, "The same in words.", "English"]
    original_language_name: Annotated[str, "The language of the passages, in words.", "Chinese"]
    passages: Annotated[tuple[str, ...], "The passages, each on one line.", ("剖析之前先定目标。",)]
    glossary: Annotated[Mapping[str, str], "Terms in the passages, and how they are translated.", {"热点": "hot spot"}]
    problems: Annotated[tuple[str, ...], "What was wrong with the former answer.", ("[[1]] lacks `perf`",)] = ()


_DECOY = "It is said here in 7 lines, 80 words. 这里有 7 行、80 字。"
_SAMPLE = RequestContext(
    language="en",
    audience=_DECOY,
    chapter_id="03",
    chapter_title="Sample",
    section_number=2,
    section_title="Sample",
    topics=("One",),
    lines=4_217,
)
_EVERYTHING: Mapping[str, Any] = {
    **{field.name: _DECOY for field in fields(_SAMPLE) if field.default == ""},
    "topics": ("One", "Two"),
    "must_cite": (_DECOY,),
    "problems": (_DECOY,),
    "open_fence": "```rust",
    "cut": True,
    "revises_source": True,
    "code_examples": 2,
}
SAMPLES = (
    _SAMPLE,
    replace(_SAMPLE, topics=(), opens_section=True, closes_section=True),
    replace(_SAMPLE, **_EVERYTHING),
)
"""Requests that templates are tried on: whatever they hold, the last figure is the lines wanted."""

_CONTEXTS: Mapping[str, type] = {
    "system.j2": ChapterContext,
    "suggest.j2": SuggestionContext,
    "brief.j2": BriefContext,
    "translate.j2": TranslationContext,
    "review.j2": ReviewContext,
    "second_look.j2": ReviewContext,
}


def context_of(template: str) -> type:
    """The context that a template is rendered with, whatever its style."""
    return _CONTEXTS.get(PurePosixPath(template).name, RequestContext)
