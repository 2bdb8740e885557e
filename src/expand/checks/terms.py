"""Check that a thing keeps its name: terms that other chapters, or the brief, have settled. And the definitions in a
text, by which terms are found."""

import re
from collections.abc import Iterable, Iterator
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
