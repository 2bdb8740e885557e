"""How a plan names a chapter: by a number, by its file, by a title, or by all three.

``第3篇：03_性能工程实践.md``, ``Chapter 3: Performance (`03_performance.md`)``, ``3. Performance``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from expand.importers.lengths import DIGITS, narrow, number_of, read_line
from expand.outline.reading import MAX_ID_BYTES

# List items as people type them, which is not always as Markdown wants them.
#
# Besides ``1.``, ``-`` and ``*`` also ``1、``, ``1.1``, ``（1）``, ``一、``, ``a)``, ``•`` and emoji, full-width too.
# What is indented deeper belongs to what stands above it, and so does a lower kind of mark in the same column: ``1.1``
# below ``1.``, ``（1）`` below ``一、``, ``-`` below all of them. A task box in front of an item goes.

_MARKS = (
    r"第[\d一二三四五六七八九十]{1,3}小?节[\s:、]*|[IVX]{1,5}[.)](?=\s)|"
    r"[一二三四五六七八九十]{1,3}(?:、|(?P<zh>\ )(?=\ *[^\W\d]))",
    r"[A-Z][.)](?=\s)|\([一二三四五六七八九十]{1,3}\)、?",
    r"\d{1,3}[.)、](?!\d)|\d\ufe0f?\u20e3|\d{1,3}(?P<bare>\ )(?=\ *[^\W\d])",
    r"\d{1,3}\.\d{1,3}(?![\d.]*%)(?:[.)、]|(?=\ ))(?!\d)",
    r"\d{1,3}(?:\.\d{1,3}){2,}(?:[.)、]|(?=\ ))(?!\d)",
    r"\(\d{1,3}\)|[①-⑳]",
    r"[a-z][.)](?=\s)",
    r"[•‣●○◦▪▫■□◆◇▶►➤★☆\u2300-\u26ff\u2b00-\u2bff\u2700-\u27bf\U0001f300-\U0001faff]\ufe0f?(?=\s)",
    r"[-*+·–—](?=\s)|(?=[☐☑✅⬜])",
)
"""From the highest kind to the lowest."""
_KINDS = "|".join(f"(?P<kind{kind}>{mark})" for kind, mark in enumerate(_MARKS))
_ITEM = re.compile(rf"^[\s>]*(?:{_KINDS})\s*(?:(?:\[[ xX]\]|[☐☑✅⬜])\s*)?(?P<text>\S.*)$")
_LAST_NUMBER = 7
"""Where in ``_MARKS`` those end that count."""
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_CODE = r"(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`)"
_STRONG = re.compile(rf"{_CODE}|(?P<mark>\*\*|__)(?=\S)(?P<inner>.+?)(?<=\S)(?P=mark)")
_EMPHASIS = re.compile(rf"{_CODE}|(?<![\w*])(?P<mark>[*_])(?=[^\s*_])(?P<inner>[^*_]+?)(?<=\S)(?P=mark)(?![\w*])")
_TAB = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An item, or a line of text outside of items. ``depth`` counts from 0 and is -1 for such a line; ``number`` is
    what counts an item, "" for nothing, ``line`` where it stands, from 1. ``more`` are the lines that it is wrapped on;
    ``indented`` says whether a line does not begin at the margin."""

    text: str
    depth: int
    number: str
    line: int = 0
    more: str = ""
    indented: bool = False


def items_of(lines: Sequence[str], first: int = 1, keep_apart: Callable[[str], bool] = lambda _: False) -> list[Item]:
    """The items in the lines, of which the first is number ``first``; ``keep_apart`` says which lines are none that an
    item is wrapped on. A number by itself makes an item where two such lines state lengths: ``3 Methods (2 pages)``."""
    found: list[Item] = []
    places: list[tuple[int, int]] = []
    marks = [_ITEM.match(narrow(line)) for line in lines]
    bare = {at: mark for at, mark in enumerate(marks) if mark and (mark["bare"] or mark["zh"])}
    titled = {at: mark for at, mark in bare.items() if read_line(lines[at]).title}
    if sum(read_line(mark["text"]).length is not None for mark in titled.values()) < 2:
        titled = {}
    marks = [mark if at in titled or at not in bare else None for at, mark in enumerate(marks)]
    for at, (line, mark) in enumerate(zip(lines, marks, strict=True)):
        if not line.strip():
            continue
        said, number = line.strip(" \t>\u3000"), first + at
        column = len(line.expandtabs(_TAB)) - len(line.expandtabs(_TAB).lstrip(" >\u3000"))
        if mark is not None:
            kind = next(kind for kind in range(len(_MARKS)) if mark[f"kind{kind}"] is not None)
            while places and places[-1] >= (column, kind):
                places.pop()
            places.append((column, kind))
            text, depth = line[mark.start("text") :].strip(), len(places) - 1
            count = mark[f"kind{kind}"].strip() if kind < _LAST_NUMBER else ""
            found.append(Item(text=text, depth=depth, number=count, line=number))
        elif places and column > places[-1][0] and not keep_apart(line):
            found[-1] = replace(found[-1], more=f"{found[-1].more} {said}".strip())
        else:
            found.append(Item(text=said, depth=-1, number="", line=number, indented=column > 0))
            places = places if column else []
    return found


def plain(text: str) -> str:
    """Text without links, bold and italics; code spans stay as they are."""
    text = _LINK.sub(r"\1", text)
    for mark in (_STRONG, _EMPHASIS):
        text = mark.sub(lambda found: found["inner"] or found[0], text)
    return text.strip()


_CHINESE = "零〇一二三四五六七八九十"
_ORDINAL = re.compile(
    rf"""(?xi)^(?:
      第\s*(?P<chinese>\d{{1,9}}(?!\d)|[{_CHINESE}]{{1,3}})\s*(?:篇|章|讲|课|份|单元|个?文档)
    | (?:chapter|document|doc|article|lesson|lecture|session|week|unit|module|tutorial|ch\.?)\s*
      (?P<word>\d{{1,9}}(?!\d)|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b)
    )\s*[:：.、)）—–-]*\s*"""
)
_QUOTED_ORDINAL = re.compile(
    r"(?i)^《(第[^《》]+)》\s*|^(?:《[^《》]+》|[\d一二三四五六七八九十]+[.、])\s*(?=第|chapter )"
)
_BARE = re.compile(r"^#?(?P<number>\d{1,3})(?:\s*[:：.、)）]\s*|\s+[—–-]\s+|\s+)(?=\S)")
_FILE = re.compile(r"[^\s`'\"()\[\]（）【】《》*:：|,，]+\.(?:md|markdown|mdx|rst|adoc)\b", re.I)
_MARKUP = re.compile(r"\*\*|__|`|~~")
_LINK_WITH_TARGET = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")
_SYMBOLS = re.compile(r"^[^\w(（《「【\"“'`#]+|[\s:：—–-]+$")
_STEM = re.compile(r"^(\d+)[\s._-]+(?=\S)")
_LONGEST_ID = 48
"""Characters of an id that is made of a file's name or a title."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterName:
    """A chapter as a heading or a table names it. ``strong`` says that the wording is that of a
    chapter (a file, "Chapter 3", "第3篇"), where "3." alone could be a section as well."""

    id: str
    title: str
    file: str | None
    strong: bool


def chapter_name(text: str) -> ChapterName | None:
    """The chapter that the text names; None when it gives neither a number nor a file."""
    bare = _SYMBOLS.sub("", _MARKUP.sub("", _LINK_WITH_TARGET.sub(_shown_link, text))).strip()
    bare = _QUOTED_ORDINAL.sub(r"\1 ", bare).lstrip()
    ordinal = _ORDINAL.match(bare)
    counted = ordinal or (None if _FILE.match(bare) else _BARE.match(bare))
    rest = bare[counted.end() :] if counted else bare
    found, stated = _FILE.search(rest), ""
    if counted:
        said = next(filter(None, counted.groups()))
        plainly = "十" in said or said.isdecimal() or said.isascii()
        stated = f"{int(number_of(said) if plainly else ''.join(str(DIGITS[one]) for one in said)):02d}"
    elif found is None:
        return None
    file = found[0] if found else None
    said = (rest[: found.start()] + rest[found.end() :]) if found else rest
    title = _SYMBOLS.sub("", re.sub(r"[(（\[【]\s*[)）\]】]", "", said)).strip()
    return ChapterName(
        id=(number_of_file(file) if file else None) or stated or file_id(PurePosixPath(file or "").stem),
        title=title or (title_of_file(file) if file else ""),
        file=file,
        strong=ordinal is not None or file is not None,
    )


_MENTION = re.compile(
    r"(?i)《(?P<book>[^《》]+)》|\b(?:chapter|ch\.?)\s*(?P<number>\d{1,3})[,:]?\s*[\"“(](?P<numbered>[^\"“”()]+)[\"”)]|"
    r"\b(?:outline|plan|chapter|article|talk)(?:\s+(?:for|of|on|about))?:?\s*[\"“](?P<title>[^\"“”]+)[\"”]"
)


def mentioned_chapter(text: str) -> ChapterName | None:
    """The chapter that a sentence speaks of, by its title in quotes: ``the plan for ch. 11 (Operators)``."""
    found = _MENTION.search(text)
    if found is None:
        return None
    number = f"{int(found['number']):02d}" if found["number"] else ""
    return ChapterName(
        id=number, title=(found["book"] or found["numbered"] or found["title"]).strip(" ,."), file=None, strong=False
    )


def number_of_file(file: str) -> str | None:
    """The number that a file's name begins with, as written: ``03`` of ``03_pipes.md``."""
    found = _STEM.match(PurePosixPath(file).stem + "-")
    return found[1] if found else None


def title_of_file(file: str) -> str:
    """A title made of a file's name: its number and ending go, ``_`` and ``-`` become spaces."""
    path = PurePosixPath(file)
    named = path.parent.name if path.stem.lower() in ("index", "readme") else path.stem
    words = re.sub(r"[\s_-]+", " ", _STEM.sub("", named or path.stem)).strip() or path.stem
    return words[0].upper() + words[1:]


def file_id(text: str) -> str:
    """``text`` as a chapter's id: letters, digits and ``._-`` only, never ``book`` nor a name of Windows' devices."""
    whole = re.sub(r"[^\w.-]+", "-", text).strip("-._")
    # Room for the number that tells it from another one of the same name.
    kept = whole[:_LONGEST_ID].encode()[: MAX_ID_BYTES - 10].decode(errors="ignore")
    kept = kept.strip("-._") or "chapter"
    return f"{kept}-chapter" if re.fullmatch(r"(?i)book|con|prn|aux|nul|(?:com|lpt)\d", kept) else kept


def _shown_link(link: re.Match[str]) -> str:
    """A link as its text, with its file where the text does not name one."""
    text, target = link[1], link[2]
    return text if _FILE.search(text) or not _FILE.search(target) else f"{text} {target}"
