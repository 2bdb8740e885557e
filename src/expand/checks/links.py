"""Check what a text refers to: links inside the chapter and to files beside it, links of other pages to the chapter,
names of link references and footnotes, and sections that sentences name.

References to other documents are passed over: what names a standard, a manual, a book or a chapter.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from expand.checks.finding import Finding, Severity, excerpt, finding
from expand.document.page import fragments
from expand.markdown import blocks, matching, names
from expand.markdown.blocks import anchor

_SCHEME = re.compile(r"(?i)[a-z][a-z0-9+.-]*:|//")
_EXPLICIT = re.compile(
    r"""(?mx)<[a-zA-Z][^>]*?\s(?:id|name)\s*=\s*["']?([^"'\s>]+)   # HTML and JSX
    | \{:?[^{}\n]*?\#([^\s{}#]+)[^{}\n]*\}                        # {#id}, {: #id .class }
    | ^\s*\(([^\s()]+)\)=\s*$ | ^\s*:(?:name|label):\s*(\S+)     # MyST
    | \s:id=(\S+)                                                # docsify
    """
)
_NESTED_HEADING = re.compile(r"(?m)^[\s>*+-]*#{1,6}[ \t]+(.+?)[ \t#]*$")
_INCLUDED_PAGE = re.compile(r"(?m)(?:include|--8<--|^import\b)[^\n]*\.(?:mdx?|markdown|rst|txt)\b")


def anchors(texts: Iterable[str]) -> set[str]:
    """All anchors of a document whose parts follow each other, in lower case: those of headings, also in containers,
    tabs and quotes, and explicit ids, as the site generators write them."""
    found: set[str] = set()
    met: Counter[str] = Counter()
    for text in texts:
        for block in blocks.blocks(text):
            nested = () if block.kind == "fence" else _NESTED_HEADING.findall(block.text)
            for title in (block.title,) if block.kind == "heading" else nested:
                base = anchor(blocks.without_attributes(title))
                found.add(f"{base}-{met[base]}" if met[base] else base)
                met[base] += 1
        found.update(name.lower() for ids in _EXPLICIT.findall(text) for name in ids if name)
    return found


def broken_links(
    texts: Mapping[int, str],
    *,
    around: Iterable[str] = (),
    exists: Callable[[str], bool] | None,
    any_slug: bool = False,
) -> Iterator[Finding]:
    """Links to an anchor that nothing makes, and links to a file that is not there.

    ``around`` is the document outside of the sections, whose anchors count too. With ``any_slug`` anchors are compared
    by their letters and digits, since each site generator makes them in its own way. Where the document includes
    another page, its anchors are not known, and none is missing."""
    every = [*(texts[number] for number in sorted(texts)), *around]
    form = _letters if any_slug else str.lower
    known = None if any(map(_INCLUDED_PAGE.search, every)) else set(map(form, anchors(every)))
    for section in sorted(texts):
        for link in blocks.links(texts[section]):
            if _SCHEME.match(link.target):
                continue
            path, _, fragment = link.target.partition("#")
            path = path.partition("?")[0]
            what = ""
            if path and exists is not None and not exists(path):
                what = "there is no such file"
            elif not path and fragment and known is not None and form(fragment) not in known:
                what = f"it is none of the {len(known)} anchors of the chapter"
            if what:
                message = f"the link {excerpt(link.target)} leads nowhere: {what}"
                yield finding("broken-link", section, link.line + 1, message)


def _letters(name: str) -> str:
    """An anchor without accents and what generators make of spaces and punctuation; not less than what it is."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.lower()) if c.isalnum())
    return bare or name


def broken_incoming(
    pages: Iterable[tuple[str, str]], path: str, gone: set[str], leads: Callable[[str, str], bool]
) -> list[Finding]:
    """A finding for each link of the ``pages``, given as path and text, to an anchor that is ``gone`` from the document
    at ``path``. ``leads`` says of a page and a link's target whether that is the document."""
    found = []
    for own, text in pages:
        for fragment in fragments(text) if own != path else ():
            if fragment.anchor in gone and leads(own, fragment.page):
                line = text.count("\n", 0, fragment.place[0]) + 1
                message = f"{own}:{line}: its link to #{excerpt(fragment.anchor)} would lead nowhere"
                found.append(finding("breaks-link", 0, 1, message))
    return found


# --- names of link references and footnotes

_RANGE = re.compile(r"\^\w-\w")
"""``[^a-z]`` is part of a regular expression."""


def undefined_references(texts: Mapping[int, str], known: Container[str]) -> Iterator[Finding]:
    """Each name once, where it is used first. ``texts`` are the sections by number; ``known`` are names that are
    defined elsewhere."""
    missing = names.lacking(list(texts.values()), known)
    for section in sorted(texts):
        for use in names.uses(texts[section]) if missing else ():
            if use.sure and use.name in missing and not _RANGE.fullmatch(use.said):
                missing.remove(use.name)
                what = f"the footnote [{use.said}]" if use.form == "note" else f"the link reference [{use.said}]"
                yield finding("undefined-reference", section, use.line + 1, f"{excerpt(what)} is not defined")


# --- references to sections: whether the section exists, and whether it has what is said to stand there

_CHINESE = {numeral: str(number) for number, numeral in enumerate((*"一二三四五六七八九十", "十一", "十二", "十三"), 1)}
_PLACE, _NUMBERED, _NAMED, _ELSEWHERE = map(
    matching.phrase, ("section-number", "numbered-section", "name-of-a-section", "elsewhere")
)
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
    places = {f"{n}.{topic}" for n, titles in contents.titles.items() for topic in range(1, len(titles))}
    places |= set(map(str, contents.titles))
    numbers |= places | {f"{contents.chapter}.{place}" for place in places}
    for section, text in sorted(texts.items()):
        for line, sentence in blocks.sentences(text, without=_LINK):
            if _ELSEWHERE.search(sentence):
                continue
            for match, said, severity in (
                *_numbered(sentence, contents, numbers),
                *_named(sentence, section, contents, texts),
            ):
                at, message = line + sentence.count("\n", 0, match.start()), f'"{excerpt(match[0])}" {said}'
                yield finding("wrong-pointer", section, at, message, severity=severity)


def _numbered(sentence: str, contents: Contents, numbers: Collection[str]) -> Iterator[_Missed]:
    last = max(contents.titles)
    for found in _NUMBERED.finditer(sentence):
        stated = found["list"] or found["one"] or found["zh"] or found["see"] or found["dotted"]
        for said in () if _OF.match(sentence, found.end()) else _PLACE.findall(stated):
            number = _CHINESE.get(said, said)
            first, *others = number.split(".")
            if number not in numbers and not (
                others and (f"{first}.{others[0]}" in numbers or int(first) in contents.chapters)
            ):
                topics = len(contents.titles.get(int(first), ())) - 1
                why = f"that section has {topics} topics" if topics >= 0 else f"there are {last} sections"
                yield found, f"leads nowhere: {why}", "warning"


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


def _stands(name: str, text: str) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) for part in re.findall(r"\w{2,}", name))
