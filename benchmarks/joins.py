"""How many answers that were cut and gone on from give the very draft of the uncut answer.

Takes published Markdown (installed packages, /usr/share/doc and this repository), a third of it with CRLF, cuts each
text at one to three random tokens, and goes on in three manners: from the last character (``verbatim``), from the start
of the last line (``line``), from the start of the last block (``block``). Prints a row for each: texts that give the
same draft, those that differ and are named as doubtful, and those that differ unnamed. ``--show`` prints what differs.
Exits 1 below 99 %.

    COUNT=1000 uv run python -m benchmarks.joins [--seed N] [--show]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cut_texts import MANNERS, run

from benchmarks.false_alarms import markdown_files, sections

LEAST_SHARE = 0.99
LEAST, MOST = 300, 8_000
"""Characters of a text."""


def texts(folders: list[Path]) -> list[str]:
    """Sections of published Markdown, every third with CRLF."""
    found = [part for _, text in markdown_files(folders) for _, part in sections(text.replace("\r\n", "\n"))]
    chosen = sorted({part for part in found if LEAST <= len(part) <= MOST})
    return [part.replace("\n", "\r\n") if number % 3 == 0 else part for number, part in enumerate(chosen)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    count = int(os.environ.get("COUNT", "1000"))
    here = Path(__file__).parents[1]
    folders = [Path(sys.prefix), Path("/usr/share/doc"), here / "docs", here / "chapters", here / "README.zh.md"]
    chosen = texts(arguments.folders or folders)
    print(f"{len(chosen):,} texts, {count:,} of them cut in each manner")
    worst = 1.0
    for manner in MANNERS:
        outcomes = run(chosen, count, manner, random.Random(arguments.seed), show=arguments.show)
        worst = min(worst, outcomes["equal"] / count)
        print(
            f"{manner:9} {outcomes['equal'] / count:7.1%} equal, {outcomes['doubtful']} differ and are named, "
            f"{outcomes['different']} differ unnamed; {outcomes['named']} named in all"
        )
    sys.exit(worst < LEAST_SHARE)


if __name__ == "__main__":
    main()
