"""Check references to sections of the chapter: whether the section exists, and whether it has what is said to stand
there. References to other documents are passed over: what names a standard, a manual, a book or a chapter."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from expand.checks.finding import Finding, Severity, excerpt, finding
from expand.markdown import blocks, matching

SAME_TITLE = 0.6
"""The least likeness of the title that a reference names and one of the chapter's headings."""
_CHINESE = {numeral: str(number) for number, numeral in enumerate((*"一二三四五六七八九十", "十一", "十二", "十三"), 1)}
_PLACE, _NUMBERED, _TITLED = map(matching.phrase, ("section-number", "numbered-section", "titled-section"))
_NAMED, _NEIGHBOUR, _ELSEWHERE = map(matching.phrase, ("name-of-a-section", "neighbouring-section", "elsewhere"))
_OF = re.compile(r"\s+(?:of|in)\s+(?!this\b|the\s+chapter\b)")
_LINK = re.compile(r"!?\[[^\]\n]*\](?:\([^)\n]*\)|\[[^\]\n]*\])|<[^<>\n]+>")
_OWN_NUMBER = re.compile(rf"(?:\S+\s+)?({_PLACE.pattern})")
_Missed = tuple[re.Match[str], str, Severity]
"""A reference that leads nowhere, what is said of it, and how bad it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a chapter's references can lead to. ``titles`` are the title of each section and of its topics,
    ``introduced`` what the brief says that a section introduces. ``chapter`` is the chapter's own number, which may
    stand before a section's; ``chapters`` are those that "section 7.2" may mean otherwise."""

    titles: Mapping[int, Sequence[str]]
    introduced: Mapping[int, str] = field(default_factory=dict)
    chapter: int = 0
    chapters: Collection[int] = ()


def wrong_pointers(texts: Mapping[int, str], contents: Contents, around: Sequence[str] = ()) -> Iterator[Finding]:
    """References to sections that do not exist, or that say nothing of the name that they are referred to for.
    ``around`` is what stands outside of the sections."""
    headings = [heading for text in (*texts.values(), *around) for heading in blocks.headings(text)]
    numbers = {own[1] for heading in headings if (own := _OWN_NUMBER.match(heading.title))}
    titles = [*(heading.title for heading in headings), *(t for own in contents.titles.values() for t in own)]
    alone = not any(heading.level > 1 for text in around for heading in blocks.headings(text))
    for section, text in sorted(texts.items()):
        for line, sentence in blocks.sentences(text, without=_LINK):
            if _ELSEWHERE.search(sentence):
                continue
            missed = [*_numbered(sentence, contents, numbers), *_titled(sentence, titles)]
            missed += _named(sentence, section, contents, texts)
            missed += _neighbours(sentence, section, line, texts) if alone else ()
            for match, said, severity in missed:
                at, message = line + sentence.count("\n", 0, match.start()), f'"{excerpt(match[0])}" {said}'
                yield finding("wrong-pointer", section, at, message, severity=severity)


def _numbered(sentence: str, contents: Contents, numbers: Collection[str]) -> Iterator[_Missed]:
    last = max(contents.titles)
    for found in _NUMBERED.finditer(sentence):
        stated = found["list"] or found["one"] or found["zh"] or found["see"] or found["dotted"]
        for said in () if _OF.match(sentence, found.end()) else _PLACE.findall(stated):
            number = _CHINESE.get(said, said)
            if not _exists(number, contents, numbers):
                topics = len(contents.titles.get(int(number.partition(".")[0]), ())) - 1
                why = f"that section has {topics} topics" if topics >= 0 else f"there are {last} sections"
                yield found, f"leads nowhere: {why}", "warning"


def _exists(number: str, contents: Contents, numbers: Collection[str]) -> bool:
    parts = [int(part) for part in number.split(".")]
    several = len(parts) > 1
    if number in numbers or ".".join(number.split(".")[:2]) in numbers or (several and parts[0] in contents.chapters):
        return True
    return any(
        one[0] in contents.titles and (len(one) == 1 or one[1] in range(1, len(contents.titles[one[0]])))
        for one in ([parts, parts[1:]] if several and parts[0] == contents.chapter else [parts])
    )


def _titled(sentence: str, titles: Sequence[str]) -> Iterator[_Missed]:
    for found in _TITLED.finditer(sentence):
        title = found["after"] or found["before"] or found["zh"]
        several = " " in title.strip() or matching.cjk_letters(title) >= 4
        if several and titles and matching.best_likeness(title, titles) < SAME_TITLE:
            yield found, "leads nowhere: no heading of the chapter is like that", "note"


def _named(sentence: str, section: int, contents: Contents, texts: Mapping[int, str]) -> Iterator[_Missed]:
    for found in _NAMED.finditer(sentence):
        name, stated = found["code"] or found["bare"] or found["zhname"], found["number"] or found["zh"]
        number = int(_CHINESE.get(stated, stated).partition(".")[0])
        text = texts.get(number, "")
        if number == section or not blocks.paragraphs(text) or _OF.match(sentence, found.end()):
            continue
        if not _stands(name, f"{text}\n{contents.introduced.get(number, '')}"):
            others = [n for n, other in sorted(texts.items()) if _stands(name, other.replace(sentence.strip(), ""))]
            where = f"it stands in section {others[0]}" if others else "no section says it"
            said = f"points to where nothing is said of {excerpt(name)}; {where}"
            yield found, said, "warning" if others else "note"


def _neighbours(sentence: str, section: int, line: int, texts: Mapping[int, str]) -> Iterator[_Missed]:
    for found in _NEIGHBOUR.finditer(sentence):
        at = line + sentence.count("\n", 0, found.start())
        rows = [heading.start + 1 for heading in blocks.headings(texts[section])]
        back = found[0].lower().split()[-2] in ("previous", "preceding") if found["way"] else found[0][0] in "上前"
        # The own heading of a topic, and of its section above it, are not what comes before.
        beside = sum(row < at for row in rows) > 2 if back else any(row > at for row in rows)
        if not beside and section == (min(texts) if back else max(texts)):
            yield found, f"leads nowhere: this is the {'first' if back else 'last'} one", "warning"


def _stands(name: str, text: str) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) for part in re.findall(r"\w{2,}", name))
