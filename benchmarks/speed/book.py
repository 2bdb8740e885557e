"""A book of any size whose sections take one request each."""

from __future__ import annotations

from math import ceil
from pathlib import Path

SECTIONS_PER_CHAPTER = 10

SOURCE = """\
# {title}

> **Level**: expert

## Background of {title}

What stood in the chapter before it was expanded: one paragraph, and a listing.

```python
def main() -> None:
    print("{title}")
```

---

**Maintenance**: kept by its authors.
"""


def make_book(root: Path, sections: int, *, lines: int = 20) -> tuple[str, ...]:
    """Make a workspace with so many sections of ``lines`` lines, ten a chapter; returns the chapter ids."""
    (root / "outlines").mkdir(parents=True)
    (root / "chapters").mkdir()
    (root / "expand.toml").write_text("", encoding="utf-8")
    ids = tuple(f"{number:04d}" for number in range(ceil(sections / SECTIONS_PER_CHAPTER)))
    listed = "".join(f'  - {{id: "{i}", title: Chapter {i}}}\n' for i in ids)
    (root / "outlines" / "book.yaml").write_text(
        "title: A book of many chapters\nlanguage: en\nlanguages: [en]\n"
        "audience: Programmers who know their language\n"
        "house_rules:\n  - Name the version of every tool that is used.\n"
        "  - Show what a command prints, not only the command.\n"
        f"allowance: {{tokens: 1000000000}}\nchapters:\n{listed}",
        encoding="utf-8",
    )
    left = sections
    for chapter in ids:
        count = min(SECTIONS_PER_CHAPTER, left)
        left -= count
        _make_chapter(root, chapter, count, lines)
    return ids


def _make_chapter(root: Path, chapter: str, sections: int, lines: int) -> None:
    body = "".join(f"  - {{title: Part {n} of chapter {chapter}, lines: {lines}}}\n" for n in range(sections))
    (root / "outlines" / f"{chapter}.yaml").write_text(
        f'id: "{chapter}"\ntitle: Chapter {chapter}\nsource: chapters/{chapter}.md\nsections:\n{body}',
        encoding="utf-8",
    )
    (root / "chapters" / f"{chapter}.md").write_text(SOURCE.format(title=f"Chapter {chapter}"), encoding="utf-8")
