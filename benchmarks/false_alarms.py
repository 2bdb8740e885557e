"""How often the checks that need no outline speak up on Markdown that people wrote and published.

Reads the README and METADATA texts of the installed packages and the Markdown under
/usr/share/doc, and prints files, blocks, findings and the rate by kind. Most findings on such
texts are false alarms or harmless; ``--show KIND`` prints them for reading.

    uv run python benchmarks/false_alarms.py [--show KIND] [FOLDER ...]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

from expand import lines, markdown
from expand.contract import Finding, check_text


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
    files = blocks = counted = fences = 0
    found: list[tuple[Path, Finding]] = []
    began = time.perf_counter()
    for path, text in markdown_files(folders):
        files += 1
        blocks += len(markdown.blocks(text))
        fences += len(markdown.fences(text))
        counted += lines.count(text)
        found.extend((path, finding) for finding in check_text(text, section=1))
    seconds = time.perf_counter() - began
    print(f"{files} files, {counted} lines, {blocks} blocks, {fences} code blocks, {seconds:.1f} s")
    for kind, number in Counter(finding.kind for _, finding in found).most_common():
        hit = len({path for path, finding in found if finding.kind == kind})
        rate = number / blocks * 1000
        print(f"{kind:12} {number:5} findings in {hit:3} files, {rate:.2f} in 1,000 blocks")
    for path, finding in found:
        if finding.kind in arguments.show or "all" in arguments.show:
            print(f"{path}:{finding.line}: {finding.kind}: {finding.message}")


if __name__ == "__main__":
    main()
