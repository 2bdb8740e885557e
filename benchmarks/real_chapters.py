"""How many findings the checks have on chapters that people wrote and published.

Every Markdown file of the folders that has at least two sections and 60 lines is a chapter. Its own headings are its
outline: those of the level below the title are sections, those of the level below that are topics; each section's
target is what it has. So whatever is found above a note is a false alarm, as far as the text is free of faults.

    uv run python -m benchmarks.real_chapters [--show KIND] [--notes] [--sample N] [--language zh] FOLDER…
"""

from __future__ import annotations

import argparse
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from expand.checks import Finding, check_chapter, check_section
from expand.checks.links import Contents
from expand.document.site import PLAIN, documents_folder, files_of_link, site_of
from expand.markdown import blocks, lines, matching
from expand.outline import Quality, Section, Text

LEAST_LINES = 60
LEAST_SECTIONS = 2
NO_CHAPTER = re.compile(
    r"(?i)change-?log|release-?notes|licen[cs]e|summary|readme|people|sponsor|contribut|translators"
)
"""Names of files that are lists of links, names or changes, and no chapters."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A published text: what stands before its first section, and title, topics and text of each section."""

    path: Path
    head: str
    sections: tuple[tuple[str, tuple[str, ...], str], ...]
    starts: tuple[int, ...]

    @property
    def language(self) -> str:
        """Chinese or English, by the letters of its prose."""
        prose = "".join(one.prose for _, _, text in self.sections for one in blocks.paragraphs(text))
        return "zh" if matching.is_cjk_text(prose) else "en"


def chapter_of(path: Path, text: str) -> Chapter | None:
    """A text as a chapter of the outline that its own headings are; None where it is too short for one."""
    headings = blocks.headings(text)
    levels = sorted({heading.level for heading in headings[1:]})
    if lines.count(text) < LEAST_LINES or not levels:
        return None
    rows, level = blocks.rows(text), levels[0]
    marks = [heading for heading in headings[1:] if heading.level == level]
    if len(marks) < LEAST_SECTIONS:
        return None
    sections = []
    for mark, end in zip(marks, [*(mark.start for mark in marks[1:]), len(rows)], strict=True):
        part = "".join(rows[mark.start : end])
        topics = tuple(one.title for one in blocks.headings(part)[1:] if one.level == level + 1)
        sections.append((mark.title, topics, part))
    starts = (0, *(mark.start for mark in marks))
    return Chapter(path, "".join(rows[: marks[0].start]), tuple(sections), starts)


def chapters(folders: list[Path]) -> Iterator[Chapter]:
    """The chapters below the folders, each text once."""
    seen: set[str] = set()
    for path in sorted(path for folder in folders for path in folder.rglob("*.md") if path.is_file()):
        if NO_CHAPTER.search(path.name):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        chapter = chapter_of(path, text) if text not in seen else None
        seen.add(text)
        if chapter is not None:
            yield chapter


def findings(chapter: Chapter, language: str) -> list[Finding]:
    """What the checks find in a chapter, above a note or not."""
    found: list[Finding] = []
    for number, (title, topics, text) in enumerate(chapter.sections, 1):
        target = lines.of_section(text)
        section = Section(number=number, title=Text(plain=title), lines=max(target, 1))
        found += check_section(
            section=section,
            title=title,
            topics=topics,
            text=text,
            target=target,
            language=language,
            quality=Quality(),
        )
    site = site_of(chapter.path, Path(chapter.path.anchor))
    docs = documents_folder(site)

    def exists(target: str) -> bool:
        files = files_of_link(site, chapter.path, target, docs=docs)
        return not files or any(map(os.path.exists, files))

    texts = {number: text for number, (_, _, text) in enumerate(chapter.sections, 1)}
    contents = Contents(titles={n: (title, *topics) for n, (title, topics, _) in enumerate(chapter.sections, 1)})
    return found + list(
        check_chapter(
            texts, around=[chapter.head], exists=exists, any_slug=site.generator is not PLAIN, contents=contents
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--show", action="append", default=[], metavar="KIND")
    parser.add_argument("--language", help="the language of all chapters; else Chinese or English, by their letters")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only so many chapters, drawn by --seed")
    parser.add_argument("--notes", action="store_true", help="show notes as well")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    every = list(chapters(arguments.folders))
    if arguments.sample:
        every = random.Random(arguments.seed).sample(every, min(arguments.sample, len(every)))
    began = time.process_time()
    found = [(chapter, one) for chapter in every for one in findings(chapter, arguments.language or chapter.language)]
    seconds = time.process_time() - began
    above = [(chapter, one) for chapter, one in found if one.severity != "note"]
    rows = sum(lines.count(text) for chapter in every for _, _, text in chapter.sections)
    print(f"{len(every)} chapters, {rows:,} lines, {seconds:.1f} s of CPU")
    print(f"{len(above)} findings above a note, {len(above) / max(len(every), 1):.2f} a chapter")
    for kind, number in Counter(one.kind for _, one in above).most_common():
        hit = len({chapter.path for chapter, one in above if one.kind == kind})
        print(f"  {kind:20} {number:5} in {hit:4} chapters, {number / len(every):.3f} a chapter")
    notes = Counter(one.kind for _, one in found if one.severity == "note")
    print("notes: " + ", ".join(f"{kind} {number}" for kind, number in notes.most_common()))
    for chapter, one in found if arguments.notes else above:
        if one.kind in arguments.show or "all" in arguments.show:
            print(f"{chapter.path}:{chapter.starts[one.section] + one.line}: {one.kind}: {one.message}")


if __name__ == "__main__":
    main()
