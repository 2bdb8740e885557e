"""A form that a small model fills in: a grammar that leaves it the words and takes the layout.

llama.cpp's server takes a GBNF grammar with a request. A model too small to keep count or to stay
with its subject then writes exactly the lines asked, opens each paragraph on the subject, and stops
by itself. See ``profiles.toml`` for the forms that ship.
"""

import re
from dataclasses import dataclass
from math import ceil

LIST_FROM_LINES = 8
"""Fewer lines than this are sentences only; from here on a list closes them."""

LEAST_ITEMS = 3
PARAGRAPH_SENTENCES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Grammar:
    """One side of a topic, as a form.

    ``openings`` are the first words of the paragraphs, with ``{topic}`` for the subject, ``items``
    the first words of the list's items. ``rules`` is GBNF for ``sentence`` (a whole line) and
    ``rest`` (a line from after its opening), each ending in a newline."""

    aspect: str
    openings: tuple[str, ...]
    items: tuple[str, ...]
    rules: str

    def grammar(self, *, lines: int, topic: str) -> str:
        """GBNF for a text of exactly ``lines`` lines about ``topic``, blank lines included."""
        items = 0
        if lines >= LIST_FROM_LINES:
            items = min(len(self.items), max(LEAST_ITEMS, lines // 3))
        above = lines - items - (1 if items else 0)
        blocks = [self._paragraph(number, sentences, topic) for number, sentences in enumerate(_shared_out(above))]
        if items:
            blocks.append(" ".join(f"{quoted(f'- {text}')} rest" for text in self.items[:items]))
        separator = f" {quoted(chr(10))} "
        return f"root ::= {separator.join(blocks)}\n{self.rules.strip()}\n"

    def _paragraph(self, number: int, sentences: int, topic: str) -> str:
        if number >= len(self.openings):
            return f"sentence{{{sentences}}}"
        opening = self.openings[number].replace("{topic}", subject(topic))
        more = f" sentence{{{sentences - 1}}}" if sentences > 1 else ""
        return f"{quoted(opening[:1].upper() + opening[1:])} rest{more}"


def subject(topic: str) -> str:
    """The topic as it stands in a sentence, without what explains it: ``The perf tool (CPU
    profiling)`` is about ``the perf tool``."""
    short = re.split(r"\s*[(（]|[:：]\s+|\s+[-–—]\s+", topic.strip(), maxsplit=1)[0].strip()
    words = " ".join((short or topic).split())
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def _shared_out(lines: int) -> list[int]:
    """The sentences of each paragraph, so that they and the blank lines between make ``lines``."""
    paragraphs = max(1, ceil((lines + 1) / (PARAGRAPH_SENTENCES + 1)))
    sentences = max(1, lines - paragraphs + 1)
    return [sentences // paragraphs + (number < sentences % paragraphs) for number in range(paragraphs)]


def quoted(text: str) -> str:
    """A text as GBNF writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
