"""How a plan names a chapter: by a number, by its file, by a title, or by all three.

``第3篇：03_性能工程实践.md``, ``Chapter 3: Performance (`03_performance.md`)``, ``3. Performance``.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from expand.importers.lengths import DIGITS, narrow, number_of
from expand.importers.proposal import file_id

# List items as people type them, which is not always as Markdown wants them.
#
# Besides ``1.``, ``-`` and ``*`` also ``1、``, ``（1）``, ``一、``, ``a)`` and ``•``, full-width or not; what is
# indented deeper belongs to what stands above it. A task box in front of an item goes.

_ITEM = re.compile(
    r"""(?x)^(?P<indent>[\s>]*)
    (?:(?P<number>\d{1,3}(?:\.\d{1,3})*\s*[.)、](?!\d)|\(\d{1,3}\)|[一二三四五六七八九十]{1,3}、|[a-z][.)](?=\s))\s*
      |(?P<bullet>[-*+•‣·]\s+|[☐☑✅⬜]\s*))
    (?:(?:\[[ xX]\]|[☐☑✅⬜])\s*)?(?P<text>\S.*)$"""
)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=[^\s*_])([^*_]+?)(?<=\S)\1(?![\w*])")
_TAB = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An item, or a line of text outside of items: ``depth`` counts from 0 and is -1 for such a line, ``numbered`` says
    how it was marked, ``line`` where it stands, from 1."""

    text: str
    depth: int
    numbered: bool
    line: int = 0


def items_of(lines: Iterable[str], first: int = 1, keep_apart: Callable[[str], bool] = lambda _: False) -> list[Item]:
    """The items in the lines, of which the first is number ``first``; wrapped ones are joined, but for lines that
    ``keep_apart`` wants by themselves."""
    found: list[Item] = []
    columns: list[int] = []
    for number, line in enumerate(lines, first):
        item = _ITEM.match(narrow(line))
        column = len(line.expandtabs(_TAB)) - len(line.expandtabs(_TAB).lstrip(" >\u3000"))
        if item is None:
            if columns and line.strip() and column > columns[-1] and not keep_apart(line):
                found[-1] = replace(found[-1], text=f"{found[-1].text} {line.strip()}")
            elif line.strip():
                found.append(Item(text=line.strip(" >\u3000"), depth=-1, numbered=False, line=number))
            continue
        while columns and column <= columns[-1]:
            columns.pop()
        columns.append(column)
        text = line[item.start("text") :].strip()
        found.append(Item(text=text, depth=len(columns) - 1, numbered=item["number"] is not None, line=number))
    return found


def plain(text: str) -> str:
    """Text without links, bold and italics; code spans keep their backticks."""
    text = _LINK.sub(r"\1", text)
    for mark in (_STRONG, _EMPHASIS):
        text = mark.sub(r"\2", text)
    return text.strip()


_CHINESE = "零〇一二三四五六七八九十"
_ORDINAL = re.compile(
    rf"""(?xi)^(?:
      第\s*(?P<chinese>\d{{1,9}}(?!\d)|[{_CHINESE}]{{1,3}})\s*(?:篇|章|讲|课|份|个?文档)
    | (?:chapter|document|doc|article|lesson|lecture|session|week|unit|module|tutorial|ch\.?)\s*
      (?P<word>\d{{1,9}}(?!\d))
    )\s*[:：.、)）—–-]*\s*"""
)
_QUOTED_ORDINAL = re.compile(r"^《(第[^《》]+)》\s*")
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
    plain = _QUOTED_ORDINAL.sub(r"\1 ", plain)
    ordinal = _ORDINAL.match(plain)
    rest = plain[ordinal.end() :] if ordinal else plain
    found = _FILE.search(rest)
    bare = None if ordinal or (found and found.start() == 0) else _BARE.match(rest)
    number = None
    if ordinal:
        said = ordinal["chinese"] or ordinal["word"]
        plainly = "十" in said or said.isdecimal()
        number = int(number_of(said) if plainly else "".join(str(DIGITS[one]) for one in said))
    elif bare:
        number = int(bare["number"])
        rest = rest[bare.end() :]
        found = _FILE.search(rest)
    if number is None and found is None:
        return None
    file, stated = found[0] if found else None, "" if number is None else f"{number:02d}"
    said = (rest[: found.start()] + rest[found.end() :]) if found else rest
    title = _SYMBOLS.sub("", re.sub(r"[(（\[【]\s*[)）\]】]", "", said)).strip()
    return ChapterName(
        id=(number_of_file(file) if file else None) or stated or file_id(PurePosixPath(file or "").stem),
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


def _shown_link(link: re.Match[str]) -> str:
    """A link as its text, with its file where the text does not name one."""
    text, target = link[1], link[2]
    return text if _FILE.search(text) or not _FILE.search(target) else f"{text} {target}"
