"""How often the checks that need no outline speak up on Markdown that people wrote and published.

Reads the README and METADATA texts of the installed packages and the Markdown under
/usr/share/doc, cut into sections at headings of level 1 and 2 as the checks see them in a draft,
and prints files, blocks, findings and the rate by kind. ``--show KIND`` prints them for reading.

    uv run python benchmarks/false_alarms.py [--show KIND] [FOLDER ...]
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

from expand.checks import Finding, check_text
from expand.markdown import blocks as markdown
from expand.markdown import lines, repetition


def markdown_files(folders: list[Path]) -> Iterator[tuple[Path, str]]:
    """Each distinct Markdown text below the folders, changelogs and licences aside."""
    seen: set[str] = set()
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                path = Path(root, name)
                text = _text(path)
                digest = hashlib.sha256(text.encode()).hexdigest()
                if text.strip() and digest not in seen:
                    seen.add(digest)
                    yield path, text


def sections(text: str) -> Iterator[tuple[int, str]]:
    """The text from each heading of level 1 or 2 to the next, with its first line from 0."""
    every = markdown.rows(text)
    marks = [block.start for block in markdown.headings(text) if block.level <= 2]
    bounds = [0, *(mark for mark in marks if mark), len(every)]
    for start, end in itertools.pairwise(bounds):
        yield start, "".join(every[start:end])


def _text(path: Path) -> str:
    name = path.name.lower()
    if "license" in name or "licence" in name or "changelog" in name:
        return ""
    if name.endswith((".md", ".markdown")):
        return path.read_text(encoding="utf-8", errors="replace")
    if path.name == "METADATA":
        message = Parser().parsestr(path.read_text(encoding="utf-8", errors="replace"))
        if "markdown" in str(message.get("Description-Content-Type", "")):
            return str(message.get_payload())
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--show", action="append", default=[], metavar="KIND")
    arguments = parser.parse_args()
    folders = arguments.folders or [Path(sys.prefix), Path("/usr/share/doc")]
    files = parts = blocks = counted = fences = loops = 0
    found: list[tuple[Path, int, Finding]] = []
    began = time.perf_counter()
    for path, text in markdown_files(folders):
        files += 1
        blocks += len(markdown.blocks(text))
        fences += len(markdown.fences(text))
        counted += lines.count(text)
        for loop in repetition.loops(text):
            loops += 1
            print(f"{path}: loop from character {loop.start:,} to {loop.end:,}")
        for start, part in sections(text):
            parts += 1
            found.extend((path, start, finding) for finding in check_text(part, section=1))
    seconds = time.perf_counter() - began
    print(f"{files} files, {parts} sections, {counted} lines, {blocks} blocks, {fences} fences")
    print(f"{seconds:.1f} s, {seconds / max(counted, 1) * 1e6:.0f} ms for 1,000 lines")
    print(f"{loops} texts or parts of texts that are taken for a loop")
    for kind, number in Counter(finding.kind for _, _, finding in found).most_common():
        hit = len({(path, start) for path, start, finding in found if finding.kind == kind})
        rate = number / blocks * 1000
        notes = sum(f.kind == kind and f.severity == "note" for _, _, f in found)
        print(f"{kind:12} {number:5} findings ({notes} of them notes) in {hit:3} sections, {rate:.2f} in 1,000 blocks")
    for path, start, finding in found:
        if finding.kind in arguments.show or "all" in arguments.show:
            print(f"{path}:{start + finding.line}: {finding.kind}: {finding.message}")


if __name__ == "__main__":
    main()
