"""Reads documents as chapters, and mdBook's ``SUMMARY.md`` as a list of documents.

A document's own headings are its sections and topics. Lines that a heading states ("Tools (250 lines)") are taken; the
lines under a heading count as present, so that a section asks for no less than it has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from expand.importers.proposal import Proposal, ProposedSection, file_id, first_free, tidy
from expand.importers.text_patterns import chapter_name, lines_in, number_of_file, plain, title_of_file, without_lines
from expand.markdown import blocks
from expand.markdown.blocks import Block
from expand.markdown.numbering import all_unnumbered

_NO_SECTION = re.compile(
    r"(?i)^(?:table of contents|contents|on this page|see also|references?|further reading|"
    r"footnotes|目录|本章目录|参考(?:资料|文献|链接)?|延伸阅读)$"
)
_FRONT_TITLE = re.compile(r"(?m)^title:[ \t]*([\"']?)(.+?)\1[ \t]*$")
_ENTRY = re.compile(r"^(?P<indent>\s*)(?:[-*+]\s+)?\[(?P<title>(?:\\.|[^\]\\])*)\]\((?P<target>[^)]*)\)")
_TARGET = re.compile(r"^\s*(?:<([^>]*)>|(\S*))")
_ANCHOR = re.compile(r"\s*\{[#.:][^}]*\}\s*$")


def read_headings(text: str, *, file: str, chapter: str | None = None) -> Proposal:
    """The chapter that the document named ``file`` is; ``chapter`` is its id if that is known.

    Without headings it has a single section, called as the chapter is.
    """
    headings = blocks.headings(text)
    title, rest = _title(text, headings)
    name = title or title_of_file(file)
    top = min((block.level for block in rest), default=0)
    tops = [block for block in rest if block.level == top]
    ends = [*(block.start for block in tops[1:]), len(blocks.rows(text))]
    sections = []
    for block, called, end in zip(tops, _called(*tops), ends, strict=False):
        if _NO_SECTION.match(called):
            continue
        inside = [b for b in rest if block.start < b.start < end]
        deep = min((b.level for b in inside), default=0)
        sections.append(
            ProposedSection(
                title=called,
                lines=lines_in(block.title),
                topics=tuple(_called(*(b for b in inside if b.level == deep))),
                present=end - block.start,
            )
        )
    return tidy(
        Proposal(
            id=chapter or id_of_file(file),
            title=name,
            sections=tuple(sections),
            file=file,
            line=headings[0].start + 1 if headings else 1,
            target=lines_in(headings[0].title) if title and headings else None,
        )
    )


def id_of_file(file: str) -> str:
    """The id of a chapter that is a file: the number it begins with, else its name."""
    path = PurePosixPath(file)
    if path.stem.lower() in ("index", "readme") and path.parent.name:
        return file_id(path.parent.name)
    return number_of_file(file) or file_id(path.stem)


def _title(text: str, headings: tuple[Block, ...]) -> tuple[str, tuple[Block, ...]]:
    """The document's title and the headings below it; "" when it has no title of its own."""
    front = ""
    first = blocks.blocks(text)[:1]
    if first and first[0].kind == "other" and first[0].text.startswith("---"):
        found = _FRONT_TITLE.search(first[0].text)
        front = found[2] if found else ""
    tops = [block for block in headings if block.level == 1]
    if len(tops) == 1 and headings[0] is tops[0]:
        return _chapter_title(tops[0]), headings[1:]
    return front, headings


def _chapter_title(heading: Block) -> str:
    (called,) = _called(heading)
    named = chapter_name(called)
    return named.title if named is not None and named.strong and named.title else called


def _called(*headings: Block) -> list[str]:
    """The titles of neighbours, without numbers and lines."""
    titles = [plain(without_lines(_ANCHOR.sub("", heading.title))[0]) for heading in headings]
    return [plain(bare) or title for bare, title in zip(all_unnumbered(titles), titles, strict=True)]


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryEntry:
    """A chapter of the book: ``file`` is relative to the folder of the summary, None when it is still to be written."""

    title: str
    file: str | None


def read_summary(text: str) -> tuple[SummaryEntry, ...]:
    """The chapters in their order, each document once."""
    found: dict[str, SummaryEntry] = {}
    for block in blocks.blocks(text):
        if block.kind not in ("list", "paragraph"):
            continue
        for line in block.text.splitlines():
            entry = _entry(line)
            if entry is not None:
                found.setdefault(entry.file or f"\0{entry.title}", entry)
    return tuple(found.values())


def _entry(line: str) -> SummaryEntry | None:
    match = _ENTRY.match(line)
    if match is None:
        return None
    target = unquote("".join(part or "" for part in _TARGET.findall(match["target"])[0]))
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/|#", target):
        return None
    path = target.partition("#")[0]
    title = re.sub(r"\\(.)", r"\1", match["title"]).strip()
    if not path:
        return SummaryEntry(title=title, file=None) if title else None
    file = PurePosixPath(path).as_posix()
    if PurePosixPath(file).suffix.lower() not in (".md", ".markdown"):
        return None
    return SummaryEntry(title=title, file=file)


def with_ids(entries: Iterable[SummaryEntry]) -> list[tuple[str, SummaryEntry]]:
    """The entries with ids: the numbers of their files if all have one and no two the same, else
    their names, with the folders where two files have the same name.
    """
    every = list(entries)
    ids = [(entry.file and number_of_file(entry.file)) or "" for entry in every]
    if not all(ids) or len(set(ids)) < len(ids):
        names = [_name(entry) for entry in every]
        shared = Counter(name.casefold() for name in names)
        ids = [
            file_id("-".join(PurePosixPath(entry.file).with_suffix("").parts))
            if entry.file and shared[name.casefold()] > 1
            else name
            for entry, name in zip(every, names, strict=True)
        ]
    taken: list[str] = []
    for chapter in ids:
        taken.append(first_free(chapter, taken))
    return list(zip(taken, every, strict=True))


def _name(entry: SummaryEntry) -> str:
    if entry.file is None:
        return file_id(entry.title.lower())
    return file_id(PurePosixPath(entry.file).stem) if number_of_file(entry.file) else id_of_file(entry.file)
