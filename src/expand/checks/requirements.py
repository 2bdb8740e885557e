"""Check what the outline and the source require: length, topics, examples, blocks."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from expand.checks.finding import Finding, Severity, excerpt, finding
from expand.document.layout import is_placeholder, retitled_headings
from expand.document.page import Heading, Page
from expand.markdown import blocks, code, lines, matching
from expand.markdown.blocks import Block
from expand.markdown.matching import stands_in, unnumbered
from expand.outline import Layout, Unit

SHORT = 0.95
"""Below this share of its target a section is short."""
FAR_SHORT = 0.5
"""Below this share it must not be accepted."""
LONG = 1.2
"""Above this share of its target a section is long."""

SAME_TOPIC = 0.72
"""The likeness from which a heading is a topic's."""
TERMS = 0.4
"""The share of a topic's terms that a section has to say, in any form, where the topic has no heading. Of a Chinese one
in other words about half of the pairs are left, and chance brings a quarter."""
MOST_TOPICS = 2
"""A term of more topics of a section tells none of them from the others."""

EXAMPLE_LINES = 3
"""Lines of code, comments aside, from which a block is an example."""


def wrong_length(text: str, *, section: int, target: int, unit: Unit = "lines") -> list[Finding]:
    """At most one: the section is below 95 % or above 120 % of its target, which is in lines, words or characters."""
    if target <= 0:
        return []
    delivered = lines.of_section(text) if unit == "lines" else lines.words(text)
    share = delivered / target
    message = f"{delivered:,} of {target:,} {unit} ({share:.0%})"
    if share < SHORT:
        severity: Severity = "blocking" if share < FAR_SHORT else "warning"
        remedy = f"{target - delivered:,} more {unit} are needed"
        return [finding("short", section, 1, message, severity=severity, remedy=remedy)]
    if share > LONG:
        remedy = f"cut {delivered - target:,} {unit} or raise the outline's target"
        return [finding("long", section, 1, message, remedy=remedy)]
    return []


def missing_topics(text: str, title: str, topics: Sequence[str], *, section: int) -> Iterator[Finding]:
    """Topics with nothing under their heading, or without a heading and of which the section says too little."""
    if not topics:
        return
    every = blocks.blocks(text)
    headings = [index for index, block in enumerate(every) if block.kind == "heading"]
    alike = _alike(tuple(every[index].title for index in headings), tuple(topics))
    filled = {index: _has_content(every, index) for index in headings}
    said = matching.forms("\n".join(block.text for at, block in enumerate(every) if filled.get(at, True)))
    # What the section's title or several topics say tells no topic from another.
    common = Counter(term for topic in topics for term in matching.forms(topic))
    general = {term for term, times in common.items() if times > MOST_TOPICS} | matching.forms(title)
    for number, (topic, scores) in enumerate(zip(topics, alike, strict=True), 1):
        # The headings of its words, else the one that is most like it.
        of_topic = [headings[at] for at, score in scores.items() if score == 1.0]
        if scores and not of_topic:
            of_topic = [headings[max(scores, key=scores.__getitem__)]]
        if any(filled[heading] for heading in of_topic):
            continue
        if not of_topic and _is_treated(topic, said, general):
            continue
        why = "nothing stands under its heading" if of_topic else "it has no heading, and too few of its terms occur"
        line = every[of_topic[0]].start + 1 if of_topic else 1
        message = f"topic {number} of {len(topics)} is not treated ({why}): {excerpt(topic)}"
        yield finding("topic-missing", section, line, message)


@lru_cache(maxsize=8)
def _alike(titles: tuple[str, ...], topics: tuple[str, ...]) -> tuple[dict[int, float], ...]:
    """For each topic the headings that are like it, by number, and how much.

    A heading that is a topic word for word is compared with no other. The rest is compared where a third of the
    shorter one's terms are in common: of 300 headings and 300 topics all pairs would take seconds."""
    topic_keys, title_keys = [*map(matching.title_key, topics)], [*map(matching.title_key, titles)]
    forms = [
        set() if key in topic_keys else matching.forms(title) for title, key in zip(titles, title_keys, strict=True)
    ]
    found = []
    for topic, key in zip(topics, topic_keys, strict=True):
        wanted = matching.forms(topic)
        shared = [len(own & wanted) for own in forms]
        near = [n for n, own in enumerate(forms) if shared[n] and 3 * shared[n] >= min(len(own), len(wanted))]
        scores = {number: matching.likeness(titles[number], topic) for number in near}
        alike = {number: score for number, score in scores.items() if score >= SAME_TOPIC}
        found.append(alike | {number: 1.0 for number, title in enumerate(title_keys) if title == key})
    return tuple(found)


def _has_content(every: Sequence[Block], heading: int) -> bool:
    """Whether more than a placeholder stands below a heading, down to the next one of its level or above."""
    for block in every[heading + 1 :]:
        if block.kind == "heading" and block.level <= every[heading].level:
            return False
        if block.kind not in ("heading", "rule", "html") and not is_placeholder(block):
            return True
    return False


def _is_treated(topic: str, said: set[str], general: set[str]) -> bool:
    """Whether the terms that a section says are enough of a topic's, of the Latin or of the Chinese ones."""
    terms, pairs = matching.forms(topic) - general or matching.forms(topic), matching.cjk_pairs(topic)
    parts = [part for part in (terms - pairs, terms & pairs) if part]
    return not parts or any(len(part & said) >= TERMS * len(part) for part in parts)


def unknown_headings(text: str, topics: Sequence[str], *, section: int) -> Iterator[Finding]:
    """Headings at the level of sections or topics that are neither; below that any may stand."""
    headings = blocks.headings(text)
    known = set().union(*_alike(tuple(block.title for block in headings), tuple(topics)))
    for number, block in enumerate(headings[1:], 1):
        if block.level > 3 or (block.level == 3 and not topics) or number in known:
            continue
        message = f"the heading of level {block.level} is not in the outline: {excerpt(block.title)}"
        severity: Severity = "warning" if block.level < 3 else "note"
        yield finding("unknown-heading", section, block.start + 1, message, severity=severity)


def examples_of(text: str, language: str | None, *, refused: Collection[int] = ()) -> int:
    """The code examples of a text as readers count them: blocks in the language asked with three lines of code or more,
    comments aside. ``refused`` are the lines, from 1, on which blocks begin that a code check refused."""
    number = 0
    for block in blocks.fences(text):
        asked = language is None or code.language_named(block.language) == code.language_named(language)
        if asked and code.is_programming(block.language) and block.start + 1 not in refused:
            rows = [row for row in block.code.splitlines() if row.strip() and not code.is_comment(row, block.language)]
            number += len(rows) >= EXAMPLE_LINES
    return number


def few_examples(
    number: int, wanted: int, language: str | None, *, section: int, severity: Severity = "warning"
) -> list[Finding]:
    """Fewer code examples than the outline demands, of a section or (0) of the chapter."""
    if number >= wanted:
        return []
    kind = f"{language} " if language else ""
    message = f"{number} of {wanted} {kind}code examples that the outline demands"
    remedy = f"add {wanted - number} {kind}code blocks of {EXAMPLE_LINES} lines or more"
    mendable = section > 0 and severity != "note"
    return [finding("few-examples", section, 1, message, severity=severity, remedy=remedy, mendable=mendable)]


CARRIED = 0.7
"""The share of its words that a revised text must have of the author's, to carry its matter."""


def source_findings(
    source: Sequence[Block],
    draft: str,
    *,
    layout: Layout = "numbered",
    revised: Mapping[str, str] | None = None,
    outlined: Collection[str] = (),
) -> tuple[Finding, ...]:
    """One finding for each block of the source that the draft does not hold, whitespace aside.

    Code must be there whole, a table row by row, a list line by line; anything else as one run of text. In the layout
    ``keep`` headings and rules are content as well, and whatever is missing must not be accepted. What gave way is only
    said: a placeholder to text, a block of a text that was ``revised`` to the text that it maps to, if that carries its
    matter, in the layout ``numbered`` headings and rules to the tool's headings, and a heading to one in its place
    whose title is none of those ``outlined``."""
    rewritten = [(_on_one_line(text), matching.terms(new)) for text, new in (revised or {}).items()]
    titles = {_bare_title(block.title) for block in blocks.headings(draft)} if layout == "numbered" else set()
    rules = [block for block in source if block.kind == "rule"] if layout == "numbered" else []
    whole = _on_one_line(draft)
    severity: Severity = "blocking" if layout == "keep" else "warning"
    retitled = _retitled(source, whole, draft, outlined)
    found = []
    for block in source:
        if block in rules or (titles and block.kind == "heading" and _bare_title(block.title) in titles):
            continue
        if all(_on_one_line(part) in whole for part in _parts(block)):
            continue
        line = block.start + 1
        what = f"the source's {block.kind} at its line {line}"
        words = next((words for text, words in rewritten if _on_one_line(block.text) in text), None)
        if words is not None:
            own = matching.terms(block.text)
            if len(own & words) >= CARRIED * len(own):
                found.append(finding("superseded", 0, line, f"{what} was revised: {excerpt(block.text)}"))
            else:
                message = f"{what} was to be revised, and the draft does not carry it: {excerpt(block.text)}"
                every = dict.fromkeys(re.findall(r"[^\W_]+", block.text))
                missing = ", ".join([word for word in every if matching.terms(word) - words][:8])
                remedy = f"see that its matter is there; missing: {missing}"
                found.append(finding("left-out", 0, line, message, severity=severity, remedy=remedy))
        elif block.kind == "heading" and block.start in retitled:
            message = f"{what} is called {excerpt(retitled[block.start])} in the draft: {excerpt(block.text)}"
            found.append(finding("superseded", 0, line, message))
        elif is_placeholder(block) and stands_in(block.text):
            continue  # its words say nothing that could be missed; those of "TODO: say what needs root" do
        elif is_placeholder(block) or (layout == "numbered" and block.kind == "heading"):
            how = "one of the outline's" if block.kind == "heading" else "text"
            found.append(finding("superseded", 0, line, f"{what} gave way to {how}: {excerpt(block.text)}"))
        else:
            message = f"{what} is not in the draft: {excerpt(block.text)}"
            found.append(finding("left-out", 0, line, message, severity=severity))
    gone = len(rules) - sum(block.kind == "rule" for block in blocks.blocks(draft))
    if gone > 0:
        places = ", ".join(str(rule.start + 1) for rule in rules)
        message = f"{gone} of the source's rules (its lines {places}) gave way to headings"
        found.append(finding("superseded", 0, rules[0].start + 1, message))
    return tuple(found)


def _retitled(source: Sequence[Block], whole: str, draft: str, outlined: Collection[str]) -> dict[int, str]:
    """What the headings of the source are called that have another title in the draft, by their lines."""
    own = [block for block in source if block.kind == "heading"]
    if all(_on_one_line(block.text) in whole for block in own):
        return {}
    former = [
        Heading(line=block.start, level=block.level, title=blocks.without_attributes(block.title)) for block in own
    ]
    others = set(map(matching.title_key, outlined)) - {matching.title_key(heading.title) for heading in former}
    present = [one for one in Page(draft).headings if matching.title_key(one.title) not in others]
    return {was.line: now.title for was, now in retitled_headings(former, present)}


def _bare_title(title: str) -> str:
    """A title as two headings are compared: without ids, numbers and markup."""
    return blocks.anchor(unnumbered(blocks.without_attributes(title)))


def _parts(block: Block) -> list[str]:
    """What must be found again: the code of a fence, the rows of a table, the items of a list."""
    if block.kind in ("table", "list"):
        return blocks.bare_rows(block.text)
    return [block.code if block.kind in ("fence", "code") else block.text]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
