"""Markdown files that packages ship: is each written back as it was read, and does a chapter change one section only?

Reads the Markdown files below the folders (by default those of the Python, Node, Rust and Debian packages of the
machine), each distinct text once. Every one is read into spans and put together again, as it is and with the sections
of an outline; every one of a sample is expanded by a scripted author and one section is accepted. Prints each file that
comes out wrong and the sums; exits 1 if there is one.

    uv run python -m benchmarks.round_trip [--chapters COUNT] [FOLDER ...]
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from pathlib import Path

from benchmarks.pages import changes_outside, markdown_files, parts_of
from expand.document.layout import Named, Wanted, arrange, assembled, untouched
from expand.document.page import Page, footer_line
from expand.errors import ExpandError

FOLDERS = (sys.prefix, "/usr/share", "/usr/lib", "~/.pyenv", "~/.cargo", "~/.rustup", "~/.cache/uv")
CHAPTERS = 300
SEED = 7


def wrong_round_trip(text: str) -> str:
    """What is not written back as it was read, "" for nothing."""
    page = Page(text)
    if "".join(span.text for span in page.spans) != text:
        return "its spans are another text"
    named = [
        Named(Wanted((part.title,)), part.title, tuple(Wanted((topic,)) for topic in part.topics), part.topics)
        for part in parts_of(text)
    ]
    arranged = arrange(page, named, end=footer_line(page))
    own = {number: untouched(parts, arranged.newline) for number, parts in arranged.sections.items()}
    if missing := [one.title for number, one in enumerate(named[:-1], 1) if number not in arranged.present]:
        return f"the sections {', '.join(missing)} are not found"
    return "" if assembled(arranged, own).text == text else "its sections are another text"


def wrong_chapter(data: bytes, pick: random.Random) -> str:
    """What a chapter and its acceptance change outside the section asked for, "" for nothing."""
    parts = parts_of(data.decode())
    number = pick.randint(1, len(parts))
    try:
        said = changes_outside(data, number, parts)
    except ExpandError as error:
        return f"refused: {error}"
    return f"section {number} ({parts[number - 1].title}): {said}" if said else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--chapters", type=int, default=CHAPTERS, help="files that are expanded and accepted")
    arguments = parser.parse_args()
    texts: dict[str, tuple[Path, bytes]] = {}
    files = foreign = 0
    for path in markdown_files(arguments.folders or [Path(folder).expanduser() for folder in FOLDERS]):
        data = path.read_bytes()
        files += 1
        try:
            data.decode()
        except UnicodeDecodeError:
            foreign += 1
            continue
        texts.setdefault(hashlib.sha256(data).hexdigest(), (path, data))
    wrong = refused = 0
    began = time.monotonic()
    for path, data in texts.values():
        if said := wrong_round_trip(data.decode()):
            wrong += 1
            print(f"{path}: {said}", flush=True)
    read = time.monotonic() - began
    pick = random.Random(SEED)
    sample = pick.sample(list(texts.values()), min(arguments.chapters, len(texts)))
    for path, data in sample:
        if said := wrong_chapter(data, pick):
            print(f"{path}: {said}", flush=True)
            refused += said.startswith("refused")
            wrong += not said.startswith("refused")
    print(
        f"{files} files, {foreign} not UTF-8; {len(texts)} distinct texts written back in {read:.1f} s, {len(sample)} "
        f"expanded and accepted in {time.monotonic() - began - read:.1f} s; {refused} refused, {wrong} wrong"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
