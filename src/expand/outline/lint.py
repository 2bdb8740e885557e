"""What is odd about an outline that can be read: warnings, each with its place in the file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from expand.errors import Place
from expand.outline import Book, Outline, Text, too_many_examples
from expand.schema.input_file import DataPath, quoted, read_yaml

LINES_A_TOPIC = 3


class Warning_(NamedTuple):  # noqa: N801 - Warning is taken
    """Something odd, and where; ``message`` says what and what follows from it."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: warning: {self.message}"


def lint(
    outline: Outline, book: Book, path: Path, *, root: Path, same_name: str = "", same_source: str = ""
) -> list[Warning_]:
    """The warnings about the outline, in the order of its file.

    ``same_name`` is another chapter whose id differs in letter case only, ``same_source`` one with the same document.
    ``path`` is the file that it was read from; it is read again for the places, and should it
    have gone meanwhile, all of them are its beginning."""
    file = read_yaml(path, root)
    findings = [*_findings(outline, book, root), *_missing_languages(outline, book)]
    if same_name:
        message = (
            f'chapter "{same_name}" differs in letter case only; where file names ignore it, both have one outline'
        )
        findings.append((("id",), f"{message} and one draft; rename one"))
    if same_source:
        message = f'chapter "{same_source}" has the same source; accepting one undoes the other'
        findings.append((("source",), message))
    found = [Warning_(place=file.value(where), message=message) for where, message in findings]
    return sorted(found, key=lambda warning: (warning.place.line, warning.place.column))


def _findings(outline: Outline, book: Book, root: Path) -> Iterator[tuple[DataPath, str]]:
    chapters = {chapter.id: chapter for chapter in book.chapters}
    if outline.id not in chapters:
        yield ("id",), f'the book has no chapter "{outline.id}"; add it to book.yaml'
    elif chapters[outline.id].source not in (None, outline.source):
        theirs = quoted(chapters[outline.id].source or "")
        yield ("source",), f"book.yaml names another source, {theirs}; this one is used"
    if not os.path.isfile(root / outline.source):  # noqa: PTH113 - any text is an answer to it
        yield ("source",), f'there is no file "{outline.source}"; nothing can be kept of it'
    stated = outline.stated_lines
    if stated is not None and stated != outline.target_lines:
        yield (
            ("target_lines",),
            f"the sections add up to {outline.target_lines:,} lines, target_lines says "
            f"{stated:,}; {outline.target_lines:,} are drafted",
        )
    entry, planned = chapters.get(outline.id), stated or outline.target_lines
    if entry is not None and not entry.finished and entry.target_lines not in (None, planned):
        yield (
            ("id",),
            f"book.yaml says {entry.target_lines:,} lines, the outline {planned:,}; the reports count against "
            f"{entry.target_lines:,}: state {planned:,} there, or leave target_lines out",
        )
    for unit, whole in (("words", outline.stated_words), ("characters", outline.stated_characters)):
        together = sum(getattr(section, unit) for section in outline.sections)
        if whole and abs(whole - together) > len(outline.sections):  # shares are rounded
            yield (unit,), f"the sections add up to {together:,} {unit}, the chapter says {whole:,}; those are drafted"
    demanded = max(outline.quality.code_examples, sum(section.code_examples or 0 for section in outline.sections))
    if message := too_many_examples(demanded, outline.target_lines):
        yield ("quality", "code_examples"), message
    for section in outline.sections:
        if len(section.topics) * LINES_A_TOPIC > section.lines:
            yield (
                ("sections", section.number - 1, "lines"),
                f"section {section.number} has {len(section.topics)} topics in {section.lines} "
                "lines; give it more lines or fewer topics",
            )
        if sum(section.topic_lines) > section.lines:
            yield (
                ("sections", section.number - 1, "topics"),
                f"the topics of section {section.number} add up to {sum(section.topic_lines)} lines, it has "
                f"{section.lines}; they share those in proportion",
            )


def _missing_languages(outline: Outline, book: Book) -> Iterator[tuple[DataPath, str]]:
    """The languages in which texts are missing, or given though the book does not have them."""
    texts: list[tuple[DataPath, str, Text | None]] = [
        (("title",), "title", outline.title),
        (("source",), "source", Text(by_language=outline.sources) if outline.sources else None),
        (("audience",), "audience", outline.audience),
        *((("glossary", term), f"the term {quoted(term)}", text) for term, text in outline.glossary.items()),
    ]
    for section in outline.sections:
        here: DataPath = ("sections", section.number - 1)
        called = f"section {section.number}"
        texts += [
            ((*here, "title"), f"{called}: title", section.title),
            ((*here, "note"), f"{called}: note", section.note),
        ]
        topics = enumerate(section.topics)
        texts += [((*here, "topics", number), f"{called}: topic {number + 1}", topic) for number, topic in topics]
    for where, called, text in texts:
        if text is None or text.plain is not None:
            continue
        missing = [language for language in book.languages if language not in text.by_language]
        if missing:
            yield where, f"{called} is missing in {', '.join(missing)}; another language stands in"
        for language in text.by_language:
            if language not in book.languages:
                yield where, f"{called} is given in {language}, which the book does not have; nobody reads it"
