"""mdBook's ``SUMMARY.md``: which documents are chapters, in which order.

Links of the list, numbered chapters and those before and after it; a link without a target is a chapter that mdBook
calls a draft. Links outside of the tree, or to a part of a page, are passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from expand.importers.headings import id_of_file
from expand.importers.proposal import file_id, first_free
from expand.importers.text_patterns import number_of_file
from expand.markdown import blocks

_ENTRY = re.compile(r"^(?P<indent>\s*)(?:[-*+]\s+)?\[(?P<title>(?:\\.|[^\]\\])*)\]\((?P<target>[^)]*)\)")
_TARGET = re.compile(r"^\s*(?:<([^>]*)>|(\S*))")


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
