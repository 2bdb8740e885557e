"""Check that a chapter goes with the rest of the book: that a thing keeps the name that other chapters, or the brief,
have settled, and that the text sounds like the book's finished chapters. Also the definitions in a text, by which terms
are found, and the excerpts of finished chapters that a request shows.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks, matching

SAME_MEANING = 0.75
"""The share of the words of two definitions in common from which they define the same thing."""
LEAST_MEANING = 4
"""Words, or pairs of Chinese characters, of the shorter one at the least."""
MOST_MEANING = 160
"""Characters of a definition that are kept."""
_DEFINITIONS = [matching.phrase(f"defines-{form}") for form in ("en", "en-called", "zh", "zh-bare", "zh-called")]
_POINTING = matching.phrase("points-at-its-text")
"""What a meaning does not begin with: it would say nothing outside of its text."""
_PASSIVE = matching.phrase("passive-zh")
_TARGET = re.compile(r"(?<=\])\([^()\s]*\)")
_CODE = re.compile(rf"(`+).+?\1|{_TARGET.pattern}", re.DOTALL)
"""Code and the targets of links."""


class Term(NamedTuple):
    """A term, what it means ("" where nobody says), names that it is not to have, and who settled it."""

    name: str
    means: str = ""
    avoid: tuple[str, ...] = ()
    settled_by: str = ""

    @property
    def pattern(self) -> re.Pattern[str]:
        """Where the term stands in a text."""
        return _pattern(self.name)


def definitions(text: str) -> Iterator[tuple[int, str, str]]:
    """The terms that a text defines in so many words, as line (from 1), term and meaning: "A **work queue** is …",
    "**工作队列**是指……", "… is called a **work queue**"."""
    for line, sentence in blocks.sentences(text, without=_TARGET):
        found = next((match for pattern in _DEFINITIONS if (match := pattern.match(sentence))), None)
        if found:
            means = _PASSIVE.sub("", " ".join(found["means"].split()).rstrip(".。；;:： "))
            term = re.split(r"\s*[（(]", found["term"])[0].strip("*_ ")
            if term and means and not _POINTING.match(means):
                yield line, term, excerpt(means, MOST_MEANING)


def term_variants(text: str, terms: Iterable[Term], *, section: int) -> list[Finding]:
    """Names that a term is not to have, and definitions of a term under another name.

    A sentence that has the term itself may say what else it is called."""
    found = []
    sentences = list(blocks.sentences(text, without=_CODE))
    defined = [(line, name, means, _words(means)) for line, name, means in definitions(text)]
    for term in terms:
        # The whole text first: a book may have settled a thousand terms, of which it has few.
        for name in (name for name in term.avoid if _pattern(name).search(text)):
            having = [line for line, said in sentences if _pattern(name).search(said) and not term.pattern.search(said)]
            message = f'"{name}" is called "{term.name}" in {term.settled_by}'
            found += [finding("term-variant", section, line, message) for line in dict.fromkeys(having)]
        theirs = _words(term.means) if defined else frozenset()
        for line, name, means, ours in defined:
            same = (
                min(len(ours), len(theirs)) >= LEAST_MEANING and len(ours & theirs) / len(ours | theirs) >= SAME_MEANING
            )
            if same and name not in term.avoid and not term.pattern.fullmatch(name):
                message = f'"{name}" is defined as {term.settled_by} defines "{term.name}": {excerpt(means)}'
                found.append(finding("term-variant", section, line, message, severity="note"))
    return found


@lru_cache(maxsize=8192)
def _words(means: str) -> frozenset[str]:
    return frozenset(matching.terms(means))


@lru_cache(maxsize=8192)
def _pattern(name: str) -> re.Pattern[str]:
    """A name in a text: in any case, its plural too, with spaces or hyphens between its words."""
    words = r"[\s-]+".join(map(re.escape, re.split(r"[\s-]+", name.strip())))
    if matching.cjk_letters(name):
        return re.compile(words, re.IGNORECASE)
    # "The task lists its inputs" is no list of tasks.
    plural = r"(?:e?s(?!\s+(?:up|out|its?|their|the|an?|all|every|each)\b))?"
    return re.compile(rf"(?<![\w-]){words}{plural}(?![\w-])", re.IGNORECASE)


# --- voice: length of sentences, person, headings and share of code

LEAST_SENTENCES = 25
"""A text of fewer says little of how its author writes."""
LEAST_HEADINGS = 6
MOST_LONGER = 1.6
"""So many times the pattern's mean length of a sentence, or less than one in that, is drift."""
PERSON = 0.2
"""So much of the sentences more or less than in the pattern address the reader, or say "we", and …"""
PERSON_RATIO = 3
"""… so many times as many."""
OTHER_CASE = 0.5
"""The difference in the share of headings in title case."""
MORE_CODE = 0.3
"""The difference in the share of lines that are code."""
_YOU = re.compile(r"(?i)\b(?:you|your|yours|yourself)\b|[你您]")
_WE = re.compile(r"(?i)\b(?:we|our|ours|us|let['’]s)\b|我们|咱们")
_NOTHING = re.compile(r"(?!)")


_SHARES = (
    ("of the sentences address the reader", "you", "sentences", PERSON, PERSON_RATIO),
    ('of the sentences say "we"', "we", "sentences", PERSON, PERSON_RATIO),
    ("of the headings are in title case", "title case", "headings", OTHER_CASE, 0),
    ("of the lines are code", "code", "rows", MORE_CODE, 0),
)
"""What is compared: the counts of a part and its whole, the difference, and the ratio that are drift."""


def habits(text: str) -> Counter[str]:
    """How a text is written: its sentences with their words (Chinese: characters) in all, those that address the reader
    or say "we", headings of several words with those in title case, rows of code and of everything."""
    found = Counter(rows=sum(not blocks.is_blank(row) for row in blocks.rows(text)))
    found["code"] = sum(len(blocks.bare_rows(fence.code)) for fence in blocks.fences(text))
    for _, sentence in blocks.sentences(text, without=_NOTHING):
        spoken, size = matching.prose(sentence), sum(matching.size(sentence))
        if size > 2:
            found.update(sentences=1, words=size, you=bool(_YOU.search(spoken)), we=bool(_WE.search(spoken)))
    for heading in blocks.headings(text):
        if words := re.findall(r"[A-Za-z]{4,}", blocks.without_attributes(heading.title))[1:]:
            found.update({"headings": 1, "title case": all(word[0].isupper() for word in words)})
    return found


def voice_drift(texts: Mapping[int, str], pattern: Sequence[str]) -> list[Finding]:
    """Where sections, by number, are written otherwise than the book's finished chapters: a note for each section whose
    sentences or person differ, and one for the chapter where its headings or its share of code do."""
    book = habits("\n\n".join(pattern))
    if not pattern:
        return []
    if book["sentences"] < LEAST_SENTENCES:
        return [finding("voice-drift", 0, 1, "the chapters that `voice` names have too little text to compare with")]
    drifts = [(section, _drift(habits(text), book, ("sentences",))) for section, text in sorted(texts.items())]
    drifts.append((0, _drift(habits("\n\n".join(texts.values())), book, ("headings", "rows"))))
    said = [(section, "; ".join(messages)) for section, messages in drifts]
    return [finding("voice-drift", section, 1, message) for section, message in said if message]


def _drift(own: Counter[str], book: Counter[str], wholes: Sequence[str]) -> Iterator[str]:
    if "sentences" in wholes and own["sentences"] >= LEAST_SENTENCES:
        mean, usual = own["words"] / own["sentences"], book["words"] / book["sentences"]
        if not 1 / MOST_LONGER < mean / usual < MOST_LONGER:
            yield f"a sentence has {mean:.0f} words (Chinese: characters) on average, the book's {usual:.0f}"
    for said, part, whole, difference, ratio in _SHARES:
        has_headings = min(own["headings"], book["headings"]) >= LEAST_HEADINGS
        if whole in wholes and (has_headings if whole == "headings" else own["sentences"] >= LEAST_SENTENCES):
            share, usual = own[part] / own[whole], book[part] / book[whole]
            if abs(share - usual) >= difference and max(share, usual) >= ratio * min(share, usual):
                yield f"{share:.0%} {said}, of the book's {usual:.0%}"


def excerpts(documents: Sequence[str], most_tokens: int, count: Callable[[str], int]) -> str:
    """Passages of finished chapters to write like, in ``most_tokens`` as ``count`` counts them: the whole blocks of
    each chapter from the heading in its middle on, or from the next one with a block that fits."""
    shown = []
    for document in documents:
        every = blocks.blocks(document)
        heads = [at for at, block in enumerate(every) if block.kind == "heading" and block.level > 1]
        for head in (*heads[len(heads) // 2 :], *heads[: len(heads) // 2]):
            left, kept = most_tokens // len(documents), list[str]()
            for block in every[head:]:
                left -= count(block.text) + 1
                if left < 0:
                    break
                kept += [block.text] if block.kind != "html" else []
            if len(kept) > 1:
                shown.append("\n\n".join(kept))
                break
    return "\n\n".join(shown)
