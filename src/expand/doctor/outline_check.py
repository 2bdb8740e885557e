"""Checks a workspace's settings, book and outlines, and reports in the formats of editors and CI.

``github`` are workflow commands that GitHub shows beside the lines of a pull request. Lines and columns count from 1,
columns in characters.
"""

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from expand.document import layout
from expand.document.page import Page
from expand.document.site import site_of
from expand.drafting.brief import brief_warnings, read_brief
from expand.errors import InputError, InputErrors, Place
from expand.markdown import matching
from expand.outline import LINES_A_TOPIC, Book, Outline, Style, too_many_examples
from expand.schema import Json
from expand.schema.input_file import DataPath, quoted, read_yaml, shown_path
from expand.schema.validators import folded
from expand.settings import check_settings
from expand.workspace import Workspace, read_text

Level = Literal["error", "warning"]


class OutlineFinding(NamedTuple):
    """One problem: ``file`` as the workspace names it, ``remedy`` "" where the message says it."""

    level: Level
    file: str
    line: int
    column: int
    message: str
    remedy: str = ""

    @property
    def sentence(self) -> str:
        """The message with its remedy."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    def __str__(self) -> str:
        kind = "warning: " if self.level == "warning" else ""
        return f"{self.file}:{self.line}:{self.column}: {kind}{self.sentence}"


class OutlineCheck(NamedTuple):
    """What a check found: ``read`` is how many outlines could be read."""

    findings: tuple[OutlineFinding, ...]
    errors: tuple[InputError, ...]
    read: int

    @property
    def warnings(self) -> int:
        """How many of the findings are warnings."""
        return sum(finding.level == "warning" for finding in self.findings)


def check_outlines(workspace: Workspace, chapters: Sequence[str]) -> OutlineCheck:
    """Reads the settings, the book and the chapters' outlines; nothing is raised for what they hold."""
    findings: list[OutlineFinding] = []
    errors: list[InputError] = []
    root, book, read = workspace.root, None, 0

    @contextmanager
    def noted() -> Iterator[None]:
        try:
            yield
        except InputError as error:
            single = error.errors if isinstance(error, InputErrors) else (error,)
            errors.extend(single)
            findings.extend(_finding("error", one.place, one.what, one.remedy, root) for one in single)

    with noted():
        check_settings(workspace.settings_path)
    with noted():
        book = workspace.book()
        _check_style(workspace, book.style)
        if workspace.memory_path("book").parent.is_dir():
            from expand.drafting.memory import read_memory  # start-up time: it loads the checks

            read_memory(workspace)
    by_name: dict[str, list[str]] = {}
    for chapter in workspace.chapter_ids():
        by_name.setdefault(folded(chapter), []).append(chapter)
    by_source: dict[str, str] = {}
    for chapter in chapters:
        with noted():
            outline = workspace.outline(chapter)
            _check_style(workspace, outline.style)
            read += 1
            if book is None:
                continue
            more: list[tuple[DataPath, str]] = []
            if other := next((other for other in by_name.get(folded(chapter), ()) if other != chapter), ""):
                alike = f'chapter "{other}" differs in letter case only; where file names ignore it, both have one'
                more.append((("id",), f"{alike} outline and one draft; rename one"))
            if (other := by_source.setdefault(posixpath.normpath(outline.source), chapter)) != chapter:
                more.append((("source",), f'chapter "{other}" has the same source; accepting one undoes the other'))
            more += _unfilled_headings(workspace, book, outline)
            path = workspace.outline_path(chapter)
            findings += lint(outline, book, path, root=root, more=more)
            if (brief := workspace.brief_path(outline.id)).is_file():
                messages = brief_warnings(read_brief(brief, root=root), outline)
                findings += [_finding("warning", Place(path=brief), message, "", root) for message in messages]
            if book.references or outline.references or any(section.references for section in outline.sections):
                from expand.references.reference_files import read_references  # start-up time

                read_references(workspace, book, outline)
                site = site_of(workspace.source_path(outline.source), root)
                if not site.shows_footnotes:
                    message = f"citations become footnotes, and {site.generator.name} shows none as it is set up here"
                    remedy = f"add {site.generator.footnotes.partition('|')[0]} to its configuration"
                    findings.append(_finding("warning", Place(path=path), message, remedy, root))
    return OutlineCheck(findings=tuple(findings), errors=tuple(errors), read=read)


def lint(
    outline: Outline, book: Book, path: Path, *, root: Path, more: Iterable[tuple[DataPath, str]] = ()
) -> list[OutlineFinding]:
    """The warnings about the outline and ``more``, in the order of its file ``path``. It is read again for the places;
    should it have gone meanwhile, all of them are its beginning."""
    file = read_yaml(path, root)
    odd = [*_oddities(outline, book, root), *more]
    found = (_finding("warning", file.value(where), message, "", root) for where, message in odd)
    return sorted(found, key=lambda warning: (warning.line, warning.column))


def _oddities(outline: Outline, book: Book, root: Path) -> Iterator[tuple[DataPath, str]]:
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


def _unfilled_headings(workspace: Workspace, book: Book, outline: Outline) -> Iterator[tuple[DataPath, str]]:
    """The sections for which a document that keeps its headings gets new ones, though it has a heading of like words
    that belongs to no section."""
    source = workspace.source_path(outline.source)
    if (outline.layout or book.layout) != "keep" or not source.is_file():
        return
    headings = layout.section_headings(Page(read_text(source)))
    wanted = [layout.Wanted(section.title.every(), section.heading) for section in outline.sections]
    found = layout.located(headings, wanted)
    free = [heading for at, heading in enumerate(headings) if at not in found.values()]
    for index, item in enumerate(wanted):
        words = {word for title in item.titles for word in _words(title)}
        like = [heading for heading in free if words & _words(heading.title)]
        if like and index not in found:
            own = f'section {index + 1}, "{item.titles[0]}", gets a heading of its own in {outline.source}'
            near = f'line {like[0].line + 1} there has "{like[0].title}": to fill that one, take its title'
            yield ("sections", index, "title"), f"{own}; {near}"


def _words(title: str) -> set[str]:
    """The words of a title that tell it from others, singular and plural as one: "named" is not like "naming"."""
    words = (word for word in matching.tokens(title) if len(word) > 1 and matching.terms(word))
    return {word.removesuffix("s") for word in words} | matching.cjk_pairs(title)


def _check_style(workspace: Workspace, style: Style | None) -> None:
    """Raises ``InputError`` for a house style that does not exist."""
    if style is not None:
        from expand.prompts.rendering import require_style  # start-up time: jinja2

        require_style(style, workspace.prompts_folder)


def _finding(level: Level, place: Place | None, message: str, remedy: str, root: Path) -> OutlineFinding:
    file, line, column = place or Place(path="")
    shown = shown_path(Path(file), root)
    return OutlineFinding(level=level, file=shown, line=line or 1, column=column or 1, message=message, remedy=remedy)


def as_json(check: OutlineCheck) -> dict[str, Json]:
    """The findings as one object, files as the workspace names them."""
    return {
        "outlines": check.read,
        "errors": len(check.errors),
        "warnings": check.warnings,
        "findings": [finding._asdict() for finding in check.findings],
    }


def as_github(findings: Iterable[OutlineFinding], workspace: Workspace, beside: Path) -> str:
    """One workflow command a finding."""
    return "".join(
        f"::{finding.level} file={_data(_beside(finding, workspace, beside)).replace(':', '%3A').replace(',', '%2C')},"
        f"line={finding.line},col={finding.column},title=outline::{_data(finding.sentence)}\n"
        for finding in findings
    )


def _beside(finding: OutlineFinding, workspace: Workspace, beside: Path) -> str:
    """The file from the folder ``beside``, with slashes; from the workspace if it is elsewhere."""
    full = workspace.root / finding.file
    if not full.is_relative_to(beside):
        return finding.file
    return os.path.relpath(full, beside).replace(os.sep, "/")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
