"""A chapter's brief: what its sections share, written by the model before they are drafted, or by hand.

``briefs/<chapter>.yaml`` holds it. What stands outside ``sections`` holds for all of them and goes into the system
message; a section's own entry goes into its requests. Sections and topics are known by their titles, so that an entry
follows its section when the outline changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from expand.markdown.matching import title_key
from expand.outline import Outline, Section, too_many_examples
from expand.outline.reading import BRIEF
from expand.schema import Json
from expand.schema.input_file import parse_yaml, quoted, read_yaml


class SectionBrief(NamedTuple):
    """A section's entry, as the file has it."""

    data: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The title by which it is known."""
        return str(self.data["title"])

    @property
    def opening(self) -> str:
        """The section's first sentences, "" where it has none."""
        return str(self.data.get("opening", "")).strip()

    @property
    def introduces(self) -> str:
        """The names that the section introduces, each on a line; "" where the entry names none."""
        return "\n".join(map(str, self.data.get("introduces", ())))

    def topic(self, titles: Sequence[str]) -> Mapping[str, Any]:
        """The entry of the topic with one of these titles: its ``lines``, a share of the section's, its ``examples``,
        and what it ``shows``, as far as the file says. Empty where there is none."""
        keys, topics = {title_key(title) for title in titles}, self.data.get("topics", ())
        return next((topic for topic in topics if title_key(topic["title"]) in keys), {})

    def text(self, topics: Sequence[tuple[Sequence[str], int]]) -> str:
        """The entry as YAML, without its opening and the topics' lines, which are shares of what a request asks for.
        Of its topics those of ``topics`` alone, each by its titles in every language and with the code examples that
        it should have, which are said where there are several."""
        data = {key: value for key, value in self.data.items() if key not in ("title", "opening", "topics")}
        wanted = [(found, count) for titles, count in topics if (found := self.topic(titles))]
        shown = []
        for topic, count in wanted:
            one = {"title": topic["title"]}
            if len(wanted) > 1 and "examples" in topic:
                one["examples"] = count
            if topic.get("shows"):
                one["shows"] = topic["shows"]
            shown.append(one)
        # Titles alone say nothing that the request does not, nor that no topic has an example.
        if any(one.get("examples") or "shows" in one for one in shown):
            data["topics"] = shown
        return written_yaml(data).rstrip("\n")


class Brief(NamedTuple):
    """``shared`` is what holds for every section."""

    shared: Mapping[str, Json]
    sections: tuple[SectionBrief, ...]

    def section(self, section: Section) -> SectionBrief | None:
        """A section's entry, None where the brief has none."""
        keys = {title_key(title) for title in section.title.every()}
        return next((entry for entry in self.sections if title_key(entry.title) in keys), None)

    def text(self) -> str:
        """What holds for every section, as YAML; "" for nothing."""
        return written_yaml(self.shared).rstrip("\n")

    def as_data(self) -> dict[str, Json]:
        """The brief as its file holds it."""
        return {**self.shared, "sections": [dict(section.data) for section in self.sections]}


def read_brief(path: Path, *, root: Path) -> Brief:
    """The brief in a file. Raises ``InputErrors`` with every mistake in it."""
    file = read_yaml(path, root)
    data = BRIEF.check(file)
    file.raise_if_any()
    return _brief(data)


def parse_brief(text: str, outline: Outline, titles: Sequence[str]) -> tuple[Brief | None, tuple[str, ...]]:
    """The brief in a model's answer, YAML or JSON, and what is wrong with it. None where it cannot be used.

    What the schema does not know is left out: it is no reason to ask again. ``titles`` are the outline's section titles
    in the draft's language."""
    file = parse_yaml(text, "the brief")
    data = BRIEF.check(file)
    faults = tuple(f"line {error.place and error.place.line}: {error.what}; {error.remedy}" for error in file.problems)
    entries = [entry for entry in data.get("sections") or () if isinstance(entry, dict)]
    if not entries:
        return None, faults or ('there is no list "sections"; give one entry a section',)
    known = {title_key(title) for section in outline.sections for title in section.title.every()}
    entries = [_clean(entry) for entry in entries if title_key(str(entry.get("title", ""))) in known]
    found = {title_key(entry["title"]) for entry in entries}
    missing = [
        title
        for section, title in zip(outline.sections, titles, strict=True)
        if not found & {title_key(one) for one in section.title.every()}
    ]
    if missing:
        return None, (*faults, *(f"section {title!r} has no entry; add it, with just this title" for title in missing))
    brief = _brief({**_clean(data), "sections": entries})
    return brief, tuple(example_faults(brief, outline))


def brief_warnings(brief: Brief, outline: Outline) -> Iterator[str]:
    """What is odd about a brief: entries that no section is told, and too few or too many code examples."""
    keys = {title_key(title) for section in outline.sections for title in section.title.every()}
    for entry in brief.sections:
        if title_key(entry.title) not in keys:
            yield f"the outline has no section {quoted(entry.title)}; no request says this entry"
    yield from example_faults(brief, outline)


def topic_examples(outline: Outline, section: Section, entry: SectionBrief | None) -> tuple[int, ...]:
    """The code examples that each topic of a section should have: those that its entry in the brief gives it, else its
    part of the section's demand, or of the chapter's. A section's demand holds against an entry of another sum."""
    wanted = section.code_examples
    found = [entry.topic(topic.every()) for topic in section.topics] if entry else []
    given = tuple(topic.get("examples", 0) for topic in found)
    if any("examples" in topic for topic in found) and wanted in (None, sum(given)):
        return given
    if wanted is None:
        before = sum(other.lines for other in outline.sections if other.number < section.number)
        wanted = _part(outline.quality.code_examples, before, section.lines, outline.target_lines)
    topics = max(1, len(section.topics))
    return tuple(_part(wanted, slot, 1, topics) for slot in range(topics))


def _part(wanted: int, before: int, size: int, total: int) -> int:
    """A part's share of a whole number. The difference of two rounded sums, so that all parts add up to it: rounding
    each by itself loses or invents some."""
    return round(wanted * (before + size) / total) - round(wanted * before / total)


def example_faults(brief: Brief, outline: Outline) -> Iterator[str]:
    """Fewer code examples than the outline demands; or more, and the sections in which they leave too little text.

    What the outline demands may be spread over the sections as it likes: a section that gets many is no fault. Nor is
    one that the outline counts in words: the lines of an example say nothing of those."""
    asked = [(one, sum(topic_examples(outline, one, brief.section(one)))) for one in outline.sections]
    unplanned = sum(sum(topic_examples(outline, one, None)) for one in outline.sections)
    total, demanded = sum(count for _, count in asked), max(outline.quality.code_examples, unplanned)
    if total < demanded:
        more = demanded - total
        yield f"the topics get {total} code examples in all, the outline demands {demanded}; plan {more} more"
    elif total > demanded:
        for section, count in asked:
            in_lines = not section.words and not section.characters
            if in_lines and (message := too_many_examples(count, section.lines)):
                whole = f", and the outline demands {demanded} in all" if demanded else ""
                yield f"section {section.number} ({section.title.every()[0]}): {message}{whole}"


def _brief(data: Mapping[str, Any]) -> Brief:
    shared = {key: value for key, value in data.items() if key != "sections"}
    return Brief(shared=shared, sections=tuple(map(SectionBrief, data["sections"])))


def _clean(value: Any) -> Any:
    """A value without what was wrong in it, which the validator left as None."""
    if isinstance(value, dict):
        cleaned = {key: _clean(inner) for key, inner in value.items() if inner is not None}
        if "title" not in cleaned and "title" in value:
            return {}
        return {key: inner for key, inner in cleaned.items() if inner not in ([], {})}
    if isinstance(value, list):
        return [kept for item in value if item is not None and (kept := _clean(item)) not in ({}, [])]
    return value


def written_yaml(data: Mapping[str, Any]) -> str:
    """Data as a person reads it in a file; "" for none."""
    return str(yaml.safe_dump(dict(data), allow_unicode=True, sort_keys=False, width=10_000)) if data else ""
