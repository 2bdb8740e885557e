"""Public docs trees, some pages each, expanded by a scripted author: what changes outside the sections asked for?

Each folder is a docs tree, held as a copy outside the repository. Of each, the first pages in a seeded order that have
at least two sections are taken; every section of theirs is expanded and accepted by itself, by titles as the page has
them and by titles told in other words. Prints a table; exits 1 if anything changed that was not asked for.

    uv run python -m benchmarks.docs_trees [--pages COUNT] FOLDER ...
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.pages import Part, changes_outside, markdown_files, parts_of
from expand.errors import ExpandError

PAGES = 3
SEED = 17
MOST_BYTES = 60_000


def reworded(part: Part) -> Part:
    """The same section under a title that is only like the page's."""
    return replace(part, title=f"{part.title.rstrip('.:')}: an overview") if part.start is not None else part


def pages_of(folder: Path, count: int) -> list[Path]:
    """Some pages with at least two sections."""
    every = list(markdown_files([folder]))
    random.Random(SEED).shuffle(every)
    found: list[Path] = []
    for path in every:
        data = path.read_bytes()
        if len(data) < MOST_BYTES and len(found) < count and len(parts_of(data.decode("utf-8", "replace"))) > 2:
            found.append(path)
    return found


def changed(data: bytes, number: int, parts: list[Part]) -> str:
    try:
        return changes_outside(data, number, parts)
    except ExpandError as error:
        return f"refused: {error}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--pages", type=int, default=PAGES, help="pages of each tree")
    arguments = parser.parse_args()
    wrong = 0
    print("| tree | page | sections | changed outside the section asked for |\n|---|---|---|---|")
    for folder in arguments.folders:
        for path in pages_of(folder, arguments.pages):
            data = path.read_bytes()
            parts = parts_of(data.decode())
            said = [
                f"section {number}: {what}"
                for titled in (parts, [reworded(part) for part in parts])
                for number in range(1, len(parts) + 1)
                if (what := changed(data, number, titled))
            ]
            wrong += len(said)
            print(f"| {folder.name} | {path.relative_to(folder)} | {len(parts)} | {'; '.join(said) or 'nothing'} |")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
