"""Reads documents as chapters, and mdBook's ``SUMMARY.md`` as a list of documents.

A document's own headings are its sections and topics. A length that a heading states ("Tools (250 lines)") is taken;
the lines under a heading count as present, so that a section asks for no less than it has.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from expand.document.site import SummaryEntry
from expand.importers.lengths import read_line
from expand.importers.proposal import Proposal, ProposedSection, all_free, file_id, tidy
from expand.importers.text_patterns import chapter_name, number_of_file, plain, title_of_file
from expand.markdown import blocks, lines
from expand.markdown.blocks import Block
from expand.markdown.matching import all_unnumbered

_NO_SECTION = re.compile(
    r"(?i)^(?:table of contents|contents|on this page|see also|references?|further reading|"
    r"footnotes|目录|本章目录|参考(?:资料|文献|链接)?|延伸阅读)$"
)
_FRONT_TITLE = re.compile(r"(?m)^title:[ \t]*([\"']?)(.+?)\1[ \t]*$")
_ANCHOR = re.compile(r"\s*\{[#.:][^}]*\}\s*$")


def read_headings(text: str, *, file: str, chapter: str | None = None) -> Proposal:
    """The chapter that the document named ``file`` is; ``chapter`` is its id if that is known.

    Without headings it has a single section, called as the chapter is."""
    headings = blocks.headings(text)
    title, rest = _title(text, headings)
    name = title or title_of_file(file)
    top = min((block.level for block in rest), default=0)
    tops = [block for block in rest if block.level == top]
    rows = blocks.rows(text)
    ends = [*(block.start for block in tops[1:]), len(rows)]
    sections = []
    for block, called, end in zip(tops, _called(*tops), ends, strict=False):
        if _NO_SECTION.match(called):
            continue
        inside = [b for b in rest if block.start < b.start < end]
        deep = min((b.level for b in inside), default=0)
        sections.append(
            ProposedSection(
                title=called,
                length=read_line(block.title).length,
                line=block.start + 1,
                topics=tuple(_called(*(b for b in inside if b.level == deep))),
                present=lines.of_section("".join(rows[block.start : end])),
            )
        )
    return tidy(
        Proposal(
            id=chapter or id_of_file(file),
            title=name,
            sections=tuple(sections),
            file=file,
            line=headings[0].start + 1 if headings else 1,
            target=read_line(headings[0].title).length if title and headings else None,
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
        (called,) = _called(tops[0])
        named = chapter_name(called)
        return named.title if named is not None and named.strong and named.title else called, headings[1:]
    return front, headings


def _called(*headings: Block) -> list[str]:
    """The titles of neighbours, without numbers and lines."""
    titles = [plain(read_line(_ANCHOR.sub("", heading.title)).title) for heading in headings]
    return [plain(bare) or title for bare, title in zip(all_unnumbered(titles), titles, strict=True)]


def with_ids(entries: Iterable[SummaryEntry], taken: Iterable[str] = ()) -> list[tuple[str, SummaryEntry]]:
    """The entries with ids that are not ``taken``: the numbers of their files if half of them have one and no two the
    same, else their names, behind the folder or all folders that they are in where another has that name too."""
    every = list(entries)
    numbers = [(entry.file and number_of_file(entry.file)) or "" for entry in every]
    numbered = [number for number in numbers if number]
    if len(set(numbered)) < len(numbered) or 2 * len(numbered) < len(every):
        numbers = [""] * len(every)
    ids = [number or _name(entry) for number, entry in zip(numbers, every, strict=True)]
    for folders in (1, None):
        counts = Counter(map(str.casefold, ids))
        shared = (counts[one.casefold()] > 1 for one in ids)
        ids = [_name(entry, folders) if again else one for one, entry, again in zip(ids, every, shared, strict=True)]
    return list(zip(all_free(ids, taken), every, strict=True))


def _name(entry: SummaryEntry, folders: int | None = 0) -> str:
    """An id from a file's name and so many folders before it, None for all; the folder stands for its index."""
    if entry.file is None:
        return file_id(entry.title.lower())
    if folders == 0:
        return file_id(PurePosixPath(entry.file).stem) if number_of_file(entry.file) else id_of_file(entry.file)
    path = PurePosixPath(entry.file).with_suffix("")
    parts = path.parent.parts if path.name.lower() in ("index", "readme") else path.parts
    return file_id("-".join(parts[-1 - folders :] if folders else parts))
