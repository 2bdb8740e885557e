"""Checks a workspace's settings, book and outlines, and reports in the formats of editors and CI.

``github`` are workflow commands that GitHub shows beside the lines of a pull request; ``sarif`` is
SARIF 2.1.0, which code scanning takes from any tool. Lines and columns count from 1, columns in
characters; files are named from the folder ``beside``.
"""

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

from expand import __version__
from expand.document import layout
from expand.document.page import Page
from expand.document.site import site_of
from expand.drafting.brief import brief_warnings, read_brief
from expand.errors import InputError, InputErrors, Place
from expand.markdown import matching
from expand.outline import Book, Outline, Style
from expand.outline.lint import lint
from expand.schema import Json
from expand.schema.input_file import read_yaml, shown_path
from expand.schema.validators import folded
from expand.settings import check_settings
from expand.workspace import Workspace, read_text

Level = Literal["error", "warning"]
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_RULES: dict[Level, str] = {
    "error": "The settings, the book or an outline cannot be read as they stand.",
    "warning": "An outline can be worked with, but something about it is odd.",
}


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
            same_name = next((other for other in by_name.get(folded(chapter), ()) if other != chapter), "")
            same_source = by_source.setdefault(posixpath.normpath(outline.source), chapter)
            same_source = same_source if same_source != chapter else ""
            path = workspace.outline_path(chapter)
            odd = lint(outline, book, path, root=root, same_name=same_name, same_source=same_source)
            findings += [_finding("warning", one.place, one.message, "", root) for one in odd]
            if (brief := workspace.brief_path(outline.id)).is_file():
                messages = brief_warnings(read_brief(brief, root=root), outline)
                findings += [_finding("warning", Place(path=brief), message, "", root) for message in messages]
            findings += [_finding("warning", *one, root) for one in _heading_warnings(workspace, book, outline)]
            if book.references or outline.references or any(section.references for section in outline.sections):
                from expand.references.reference_files import read_references  # start-up time

                read_references(workspace, book, outline)
                site = site_of(workspace.source_path(outline.source), root)
                if not site.shows_footnotes:
                    message = f"citations become footnotes, and {site.generator.name} shows none as it is set up here"
                    remedy = f"add {site.generator.footnotes.partition('|')[0]} to its configuration"
                    findings.append(_finding("warning", Place(path=path), message, remedy, root))
    return OutlineCheck(findings=tuple(findings), errors=tuple(errors), read=read)


def _heading_warnings(workspace: Workspace, book: Book, outline: Outline) -> Iterator[tuple[Place, str, str]]:
    """Place, message and remedy for the sections for which a document that keeps its headings gets new ones, though it
    has a heading of like words that belongs to no section; and for those whose text there is too long already."""
    source = workspace.source_path(outline.source)
    if (outline.layout or book.layout) != "keep" or not source.is_file():
        return
    from expand.checks.requirements import wrong_length  # start-up time: it loads all checks

    page = Page(read_text(source))
    headings = layout.section_headings(page)
    wanted = [layout.Wanted(section.title.every(), section.heading) for section in outline.sections]
    found = layout.located(headings, wanted)
    free = [heading for at, heading in enumerate(headings) if at not in found.values()]
    path = workspace.outline_path(outline.id)
    file = read_yaml(path)
    for index, (section, item) in enumerate(zip(outline.sections, wanted, strict=True)):
        place, named = file.value(("sections", index, "title")), f'section {section.number}, "{item.titles[0]}"'
        words = {word for title in item.titles for word in _words(title)}
        like = [heading for heading in free if words & _words(heading.title)]
        if index not in found:
            if like:
                near = f'line {like[0].line + 1} there has "{like[0].title}": to fill that one, take its title'
                yield place, f"{named}, gets a heading of its own in {outline.source}", near
            continue
        if (section.source_text or outline.source_text or book.source_text) == "revise":
            continue
        own, others = headings[found[index]], set(found.values())
        ends = (
            heading.lead
            for number, heading in enumerate(headings[found[index] + 1 :], found[index] + 1)
            if heading.level <= own.level or number in others
        )
        text = "".join(page.lines[own.line : next(ends, len(page.lines))])
        target, unit = section.goal(book.language)
        for one in wrong_length(text, section=section.number, target=target, unit=unit):
            if one.kind == "long":
                remedy = "plan more, or state source_text: revise to have the text written anew"
                yield place, f"{named}, has {one.message} in {outline.source} already", remedy


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


def as_sarif(findings: Iterable[OutlineFinding], workspace: Workspace, beside: Path) -> dict[str, Json]:
    """A SARIF log with one run."""

    def result(finding: OutlineFinding) -> Json:
        file: Json = {"uri": quote(_beside(finding, workspace, beside)), "uriBaseId": "%SRCROOT%"}
        region: Json = {"startLine": finding.line, "startColumn": finding.column}
        return {
            "ruleId": f"outline-{finding.level}",
            "level": finding.level,
            "message": {"text": finding.sentence},
            "locations": [{"physicalLocation": {"artifactLocation": file, "region": region}}],
        }

    rules: list[Json] = [
        {"id": f"outline-{level}", "shortDescription": {"text": text}} for level, text in _RULES.items()
    ]
    driver: Json = {"name": "expand", "version": __version__, "rules": rules}
    run: Json = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [*map(result, findings)]}
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _beside(finding: OutlineFinding, workspace: Workspace, beside: Path) -> str:
    """The file from the folder ``beside``, with slashes; from the workspace if it is elsewhere."""
    full = workspace.root / finding.file
    if not full.is_relative_to(beside):
        return finding.file
    return os.path.relpath(full, beside).replace(os.sep, "/")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
