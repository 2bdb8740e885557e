"""Choose the passages that a chapter's requests quote: those that say most about what is asked for, within a number of
tokens.

An index in memory (SQLite's FTS5) ranks them. It is given the terms of a passage as ``matching`` makes them, stems of
words and pairs of Chinese characters: FTS5's own trigrams cannot find a Chinese word, which has two characters.
"""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing

from expand.markdown import matching
from expand.references.passages import Passage


def rankings(passages: Sequence[Passage], queries: Sequence[str]) -> list[list[Passage]]:
    """For each query the passages that share a term with it, the best one first."""
    if not passages:
        return [[] for _ in queries]
    with closing(sqlite3.connect(":memory:")) as index:
        index.execute("CREATE VIRTUAL TABLE passage USING fts5(terms)")
        rows = ((number, _words(f"{' '.join(p.within)} {p.path} {p.text}")) for number, p in enumerate(passages))
        index.executemany("INSERT INTO passage (rowid, terms) VALUES (?, ?)", rows)
        found = []
        for query in queries:
            terms = " OR ".join(f'"{term}"' for term in sorted(matching.terms(query)))
            asked = "SELECT rowid FROM passage WHERE passage MATCH ? ORDER BY rank, rowid"
            found.append([passages[number] for (number,) in (index.execute(asked, (terms,)) if terms else ())])
        return found


def _words(text: str) -> str:
    """The terms of a text, as often as they stand there."""
    return " ".join(term for row in text.splitlines() for term in sorted(matching.terms(row)))


def within_tokens(
    ranked: Sequence[Passage], most: int, count: Callable[[str], int], taken: Collection[Passage] = ()
) -> list[Passage]:
    """Of passages in their rank those that fit into ``most`` tokens, in the order of their places; none that is
    ``taken``."""
    marks = {passage.mark for passage in taken}
    chosen: list[Passage] = []
    for passage in ranked:
        if passage.mark in marks:
            continue
        size = count(shown("R100", passage))
        if size <= most:
            chosen.append(passage)
            marks.add(passage.mark)
            most -= size
        if most < LEAST_TOKENS:
            break
    return sorted(chosen, key=lambda passage: (passage.path, passage.first, passage.text))


LEAST_TOKENS = 30
"""With less room no further passage is tried."""


def shown(name: str, passage: Passage) -> str:
    """A passage as a request quotes it."""
    within = f" ({' › '.join(passage.within)})" if passage.within else ""
    return f"[{name}] {passage.place}{within}\n{passage.text}\n"


def quoted(passages: Mapping[str, Passage]) -> str:
    """Passages by the names under which they can be cited, as a request quotes them; "" for none."""
    return "\n".join(shown(name, passage) for name, passage in passages.items()).rstrip("\n")
