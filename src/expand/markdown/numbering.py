"""Decide whether a title brings a number of its own ("2.1 Pipes", "第二章 管道"), and take it off.

The one place for that: headings of drafts, answers, documents and plans are all read by it. A title that begins with a
version or a figure ("4.19 and io_uring", "3 ways", "2024 roadmap") keeps it.
"""

import re
from collections.abc import Sequence

_NUMERAL = "零〇一二三四五六七八九十百"
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_BEGINS = rf"(?=[A-Z{_CJK}`\"“《])"
_NUMBER = re.compile(
    rf"""(?x)
      第\s*[\d.{_NUMERAL}]+\s*(?:[章节節篇讲课卷]|部分|部(?=[\s:：、.．—-]))[\s:：、.．—-]*
    | [（(](?:[{_NUMERAL}]{{1,3}}|\d{{1,2}}|[A-Za-z])[)）]\s*
    | [{_NUMERAL}]{{1,4}}(?:[、．]\s*|\.\s+)
    | [①-⑳]\s*
    | (?i:section|chapter|topic|appendix)\s+(?:\d+(?:\.\d+)*|[A-Z]|[IVX]+)(?:\s*[:.：—–-]\s*|\s+(?=[A-Z]))
    | (?P<dotted>\d{{1,2}}(?:\.\d{{1,2}})+)(?:[.、:：)）](?!\d)\s*|(?P<bare>\s+)|(?=[{_CJK}])(?P<joined>))
    | [A-Z](?:\.\d{{1,2}})+(?:[.、:：)）]\s*|\s+)
    | \d{{1,3}}(?:[)）、．]\s*|[.:：](?:\s+|{_BEGINS}(?![xX]\b))|\s+[—–-]\s+(?=\D))
    | [A-Z]\)\s+
    | (?:[IVX]{{1,5}})\.\s+{_BEGINS}
    """
)
_LEAD = re.compile(r"(?:\s|\*\*|__|[#§])*")
_COUNTED = re.compile(r"(?P<number>\d{1,2}|[A-Z]\.|\d{1,2}(?:\.\d{1,2})+)\s+(?=\S)")
_FIGURE = re.compile(
    rf"""(?x)(?:and|or|to|vs|versus|with|in|on|through|until|by|of|for|percent|times|[a-z]*releases?|versions?|kernels?|
      series|branch|features?|changes?|changelog|migration|upgrades?|lts|LTS|beta|alpha|rc\d*|[kMGT]?Hz|[kKMGT]i?B|
      ms|µs|us|ns|s|k?m|mm|cm|x|inch|bits?|bytes?|seconds?|minutes?|hours?|days?)(?![\w{_CJK}])
    | [%°&,/+-]
    | [与和及到至版倍秒年月日亿万千百个元米] | 毫秒 | 新特性 | 内核 | 发布 | 升级 | 以[上下]"""
)
MOST_UNCONFIRMED = 10
"""The last part of a dotted number, from which it is a version ("3.11 internals") where nothing confirms it."""


def unnumbered(title: str) -> str:
    """A title without the number in front: "2.1.3 Pipes", "一、管道" and "第2节 管道" lose it. One that is nothing
    but a number keeps it."""
    lead = _LEAD.match(title)
    start = lead.end() if lead else 0
    found = _NUMBER.match(title, start)
    if found is None or not title[found.end() :].strip(" *_") or _is_figure(found, title):
        return title
    return _without(title, start, found.end())


def all_unnumbered(titles: Sequence[str], within: tuple[int, ...] = ()) -> list[str]:
    """The titles of neighbours without their numbers. What is a figure by itself is a number where it counts the
    places: "2.6 kernels" where it is the whole of its place, ``within`` and its own number, or two neighbours count
    likewise; "2 kernels" only where all do."""
    counted = [_counted(title, place) for place, title in enumerate(titles, 1)]
    parts = [found["number"].split(".") for found in counted if found]
    several, every = sum(len(part) > 1 for part in parts) > 1, len(titles) > 1 and all(counted)
    return [
        _without(title, 0, found.end())
        if found and (every or (several and "." in found["number"]) or _is_place(found["number"], (*within, place)))
        else unnumbered(title)
        for place, (title, found) in enumerate(zip(titles, counted, strict=True), 1)
    ]


def _counted(title: str, place: int) -> re.Match[str] | None:
    """The number in front of a title, if its last part, or its letter, counts the title's place."""
    found = _COUNTED.match(title)
    if found is None:
        return None
    last = found["number"].strip(".").rpartition(".")[2]
    return found if (int(last) if last.isdigit() else ord(last) - ord("A") + 1) == place else None


def _is_place(number: str, place: tuple[int, ...]) -> bool:
    return len(place) > 1 and number == ".".join(map(str, place))


def _is_figure(found: re.Match[str], title: str) -> bool:
    """Whether a dotted number is a version or a quantity."""
    if not found["dotted"] or (found["bare"] is None and found["joined"] is None):
        return False
    parts = found["dotted"].split(".")
    if any(part.startswith("0") for part in parts) or int(parts[-1]) > MOST_UNCONFIRMED:
        return True
    return bool(_FIGURE.match(title, found.end()))


def _without(title: str, start: int, end: int) -> str:
    emphasis = re.match(r"\s*(\*\*|__)?", title[:start])
    return (emphasis[1] or "" if emphasis else "") + title[end:]
