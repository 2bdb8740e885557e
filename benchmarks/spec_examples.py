"""The examples of the CommonMark and GFM specifications as bodies of a stub: is each the same bytes after ``accept``?

Reads ``spec.txt`` of either specification (npm packages `commonmark-spec`, repository `github/cmark-gfm`). Each example
stands in the section "One" of a page, which a scripted author expands; then that section is accepted. Prints the
examples that are refused before anything is bought, and those in which a line outside of the new text changed; exits 1
if there is one of those.

    uv run python -m benchmarks.spec_examples [--share 10] SPEC ...
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.pages import Part, changes_outside
from expand.document.page import Page
from expand.errors import ExpandError

BEFORE = "# Page\n\nBefore.\n\n## One\n\n"
BEHIND = "\n\n## Two\n\nBehind.\n"
_EXAMPLE = re.compile(r"^`{32} example[^\n]*\n(.*?)^\.\n.*?^`{32}$", re.MULTILINE | re.DOTALL)


def examples(path: Path) -> Iterator[tuple[int, str]]:
    """The numbers and Markdown of a specification's examples; its arrows stand for tabs."""
    for number, found in enumerate(_EXAMPLE.finditer(path.read_text(encoding="utf-8")), 1):
        yield number, found[1].replace("→", "\t")


def outcome(body: str) -> str:
    """What changed but for new text in the section of an example, "" for nothing. Raises ``ExpandError``."""
    text = f"{BEFORE}{body}{BEHIND}"
    start = BEFORE.count("\n") - 2
    end = next((h.lead for h in Page(text).headings if h.line > start and h.level <= 2), text.count("\n"))
    parts = [Part("One", start, end, ()), Part("Two", text.count("\n") - 3, text.count("\n"), ())]
    return changes_outside(text.encode(), 1, parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("specs", nargs="+", type=Path)
    parser.add_argument("--share", type=int, default=1, help="take each example of so many")
    arguments = parser.parse_args()
    wrong = 0
    for path in arguments.specs:
        refused: list[int] = []
        every = list(examples(path))[:: arguments.share]
        for number, body in every:
            try:
                said = outcome(body)
            except ExpandError:
                refused.append(number)
                continue
            if said:
                wrong += 1
                print(f"{path} example {number}: {said}: {body!r}")
        kept = ", ".join(map(str, refused)) or "none"
        print(f"{path}: {len(every)} examples; refused before anything was bought: {kept}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
