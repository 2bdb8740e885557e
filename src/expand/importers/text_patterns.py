"""How a plan names a chapter: by a number, by its file, by a title, or by all three.

``第3篇：03_性能工程实践.md``, ``Chapter 3: Performance (`03_performance.md`)``, ``3. Performance``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import PurePosixPath

from expand.importers.proposal import file_id
from expand.outline import Priority

# List items as people type them, which is not always as Markdown wants them.
#
# Besides ``1.``, ``-`` and ``*`` also ``1、``, ``（1）``, ``一、`` and ``•``; what is indented deeper
# belongs to what stands above it. A task box in front of an item goes.

_ITEM = re.compile(
    r"""(?x)^(?P<indent>[\s>]*)
    (?:(?P<number>\d{1,3}(?:\.\d{1,3})*\s*[.)、．）](?!\d)|[(（]\d{1,3}[)）]|[一二三四五六七八九十]{1,3}、)\s*
      |(?P<bullet>[-*+•‣·])\s+)
    (?:\[[ xX]\]\s+)?(?P<text>\S.*)$"""
)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=[^\s*_])([^*_]+?)(?<=\S)\1(?![\w*])")
_TAB = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An item: ``depth`` counts from 0, ``numbered`` says how it was marked."""

    text: str
    depth: int
    numbered: bool


def items_of(lines: Iterable[str]) -> list[Item]:
    """The items in the lines, wrapped ones joined; lines outside of items are passed over."""
    found: list[Item] = []
    columns: list[int] = []
    for line in lines:
        item = _ITEM.match(line)
        column = len(line.expandtabs(_TAB)) - len(line.expandtabs(_TAB).lstrip(" >"))
        if item is None:
            if found and line.strip() and column > columns[-1]:
                found[-1] = replace(found[-1], text=f"{found[-1].text} {line.strip()}")
            continue
        while columns and column <= columns[-1]:
            columns.pop()
        columns.append(column)
        found.append(Item(text=item["text"].strip(), depth=len(columns) - 1, numbered=item["number"] is not None))
    return found


def plain(text: str) -> str:
    """Text without links, bold and italics; code spans keep their backticks."""
    text = _LINK.sub(r"\1", text)
    for mark in (_STRONG, _EMPHASIS):
        text = mark.sub(r"\2", text)
    return text.strip()


_DIGITS = dict(zip("零〇一二三四五六七八九", (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_CHINESE = "零〇一二三四五六七八九十"
_ORDINAL = re.compile(
    rf"""(?xi)^(?:
      第\s*(?P<chinese>\d{{1,9}}(?!\d)|[{_CHINESE}]{{1,3}})\s*(?:篇|章|讲|课|份|个?文档)
    | (?:chapter|document|doc|article|lesson|unit|module|tutorial|ch\.?)\s*(?P<word>\d{{1,9}}(?!\d))
    )\s*[:：.、)）—–-]*\s*"""
)
_BARE = re.compile(r"^#?(?P<number>\d{1,3})(?:\s*[:：.、)）]\s*|\s+[—–-]\s+|\s+)(?=\S)")
_FILE = re.compile(r"[^\s`'\"()\[\]（）【】《》*:：|,，]+\.(?:md|markdown|mdx|rst|adoc)\b", re.I)
_MARKUP = re.compile(r"\*\*|__|`|~~")
_LINK_WITH_TARGET = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")
_SYMBOLS = re.compile(r"^[^\w(（《「【\"'`#]+|[\s:：—–-]+$")
_STEM = re.compile(r"^(\d+)[\s._-]+(?=\S)")


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
    plain = _SYMBOLS.sub("", _MARKUP.sub("", _LINK_WITH_TARGET.sub(_shown_link, text))).strip()
    ordinal = _ORDINAL.match(plain)
    rest = plain[ordinal.end() :] if ordinal else plain
    found = _FILE.search(rest)
    bare = None if ordinal or (found and found.start() == 0) else _BARE.match(rest)
    number = None
    if ordinal:
        number = _number(ordinal["chinese"] or ordinal["word"])
    elif bare:
        number = int(bare["number"])
        rest = rest[bare.end() :]
        found = _FILE.search(rest)
    if number is None and found is None:
        return None
    file = found[0] if found else None
    said = (rest[: found.start()] + rest[found.end() :]) if found else rest
    title = _SYMBOLS.sub("", re.sub(r"[(（\[【]\s*[)）\]】]", "", said)).strip()
    return ChapterName(
        id=_id(file, number),
        title=title or (title_of_file(file) if file else ""),
        file=file,
        strong=ordinal is not None or file is not None,
    )


def number_of_file(file: str) -> str | None:
    """The number that a file's name begins with, as written: ``03`` of ``03_pipes.md``."""
    found = _STEM.match(PurePosixPath(file).stem + "-")
    return found[1] if found else None


def title_of_file(file: str) -> str:
    """A title made of a file's name: its number and ending go, ``_`` and ``-`` become spaces."""
    path = PurePosixPath(file)
    named = path.parent.name if path.stem.lower() in ("index", "readme") else path.stem
    plain = _STEM.sub("", named or path.stem)
    words = re.sub(r"[\s_-]+", " ", plain).strip() or path.stem
    return words[0].upper() + words[1:]


def _id(file: str | None, number: int | None) -> str:
    if file is not None:
        own = number_of_file(file)
        if own is not None:
            return own
    if number is not None:
        return f"{number:02d}"
    return file_id(PurePosixPath(file or "").stem)


def _number(text: str) -> int:
    """A number in digits or in Chinese, up to 99."""
    if text.isdecimal():
        return int(text)
    if "十" not in text:
        return int("".join(str(_DIGITS[character]) for character in text))
    tens, _, ones = text.partition("十")
    return 10 * (_DIGITS[tens[-1]] if tens else 1) + (_DIGITS[ones[0]] if ones else 0)


def _shown_link(link: re.Match[str]) -> str:
    """A link as its text, with its file where the text does not name one."""
    text, target = link[1], link[2]
    return text if _FILE.search(text) or not _FILE.search(target) else f"{text} {target}"


# Figures as people write them in a plan, Chinese or English: lines, hours, priorities.
#
# ``(250行)``, ``约 1,200 行``, ``~250 lines``, ``1.5k lines``, ``800-1,000行`` (the middle is taken),
# ``1.5h``, ``90 minutes``, ``2 小时``, ``高``, ``P1``.

_NUMBER = r"\d[\d,，]{0,19}(?:\.\d{1,9})?(?!\d)"
_LINES = re.compile(
    rf"(?ix)(?<![\d.])(?P<low>{_NUMBER})\s*(?P<scale_low>k|千|万)?"
    rf"(?:\s*(?:[-–—~～至到]|to)\s*(?P<high>{_NUMBER})\s*(?P<scale>k|千|万)?)?"
    r"\s*\+?\s*(?:行|lines?\b|loc\b)"
)
_BRACKETED = re.compile(r"\s*[(（\[【]([^()（）\[\]【】]*)[)）\]】]")
_TAIL = re.compile(r"\s*(?:[-–—:：,，]|\s)\s*(?:about|around|approx\.?|约|大约|~|≈)?\s*$", re.I)
_HOURS = re.compile(rf"(?i)({_NUMBER})\s*(?:h\b|hrs?\b|hours?\b|个?小时)")
_MINUTES = re.compile(r"(?i)(\d{1,9})\s*(?:min\b|mins\b|minutes?\b|分钟)")
_SCALES = {"k": 1000, "千": 1000, "万": 10_000}
_PRIORITIES: dict[str, Priority] = {
    "高": "high", "high": "high", "urgent": "high", "must": "high", "p0": "high", "p1": "high",
    "中": "medium", "medium": "medium", "normal": "medium", "should": "medium", "p2": "medium",
    "低": "low", "low": "low", "could": "low", "p3": "low", "p4": "low",
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z]+\d?|[高中低]")


def lines_in(text: str) -> int | None:
    """The first number of lines that the text states, None when it states none above 0."""
    found = _LINES.search(text)
    if found is None:
        return None
    high = found["high"]
    last = _decimal(high or found["low"], found["scale"] or found["scale_low"])
    first = _decimal(found["low"], found["scale_low"] or found["scale"]) if high else last
    middle = ((first + last) / 2).to_integral_value(ROUND_HALF_UP)
    return int(middle) or None


def without_lines(text: str) -> tuple[str, str]:
    """The text before the lines that it states, and what follows: ``("Tools", "perf, strace")``.

    Both are the whole text and "" where it states none. The brackets around the figure go too."""
    for bracket in _BRACKETED.finditer(text):
        if _LINES.search(bracket[1]):
            return text[: bracket.start()].strip(), text[bracket.end() :].strip()
    found = _LINES.search(text)
    if found is None:
        return text.strip(), ""
    return _TAIL.sub("", text[: found.start()]).strip(), text[found.end() :].strip()


def bare_lines(cell: str) -> int | None:
    """A table's cell as a number of lines: ``1,000``, ``**1,000**`` or ``1,000行``."""
    plain = cell.strip(" *~约≈")
    return lines_in(f"{plain} lines") if re.fullmatch(rf"{_NUMBER}[k千万]?", plain) else lines_in(cell)


def hours_in(text: str) -> float | None:
    """The first number of hours that the text states; minutes are turned into hours."""
    found = _HOURS.search(text)
    if found is not None:
        return float(_decimal(found[1], None))
    minutes = _MINUTES.search(text)
    return round(int(minutes[1]) / 60, 2) if minutes is not None else None


def priority_in(text: str) -> Priority | None:
    """The first word of the text that names a priority."""
    words = (_PRIORITIES.get(word.lower()) for word in _WORD.findall(text))
    return next((word for word in words if word is not None), None)


def _decimal(text: str, scale: str | None) -> Decimal:
    plain = Decimal(re.sub("[,，]", "", text))
    return plain * _SCALES.get((scale or "").lower(), 1)
