"""Figures as people write them in a plan, Chinese or English: lines, hours, priorities.

``(250行)``, ``约 1,200 行``, ``~250 lines``, ``1.5k lines``, ``800-1,000行`` (the middle is taken),
``1.5h``, ``90 minutes``, ``2 小时``, ``高``, ``P1``.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

from expand.outline import Priority

_NUMBER = r"\d[\d,，]*(?:\.\d+)?"
_LINES = re.compile(
    rf"(?ix)(?<![\d.])(?P<low>{_NUMBER})\s*(?P<scale_low>k|千|万)?"
    rf"(?:\s*(?:[-–—~～至到]|to)\s*(?P<high>{_NUMBER})\s*(?P<scale>k|千|万)?)?"
    r"\s*\+?\s*(?:行|lines?\b|loc\b)"
)
_BRACKETED = re.compile(r"\s*[(（\[【]([^()（）\[\]【】]*)[)）\]】]")
_TAIL = re.compile(r"\s*(?:[-–—:：,，]|\s)\s*(?:about|around|approx\.?|约|大约|~|≈)?\s*$", re.I)
_HOURS = re.compile(rf"(?i)({_NUMBER})\s*(?:h\b|hrs?\b|hours?\b|个?小时)")
_MINUTES = re.compile(r"(?i)(\d+)\s*(?:min\b|mins\b|minutes?\b|分钟)")
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
    last = _number(high or found["low"], found["scale"] or found["scale_low"])
    first = _number(found["low"], found["scale_low"] or found["scale"]) if high else last
    middle = ((first + last) / 2).to_integral_value(ROUND_HALF_UP)
    return int(middle) or None


def without_lines(text: str) -> tuple[str, str]:
    """The text before the lines that it states, and what follows: ``("Tools", "perf, strace")``.

    Both are the whole text and "" where it states none. The brackets around the figure go too.
    """
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
    return (
        lines_in(f"{plain} lines") if re.fullmatch(rf"{_NUMBER}[k千万]?", plain) else lines_in(cell)
    )


def hours_in(text: str) -> float | None:
    """The first number of hours that the text states; minutes are turned into hours."""
    found = _HOURS.search(text)
    if found is not None:
        return float(_number(found[1], None))
    minutes = _MINUTES.search(text)
    return round(int(minutes[1]) / 60, 2) if minutes is not None else None


def priority_in(text: str) -> Priority | None:
    """The first word of the text that names a priority."""
    words = (_PRIORITIES.get(word.lower()) for word in _WORD.findall(text))
    return next((word for word in words if word is not None), None)


def _number(text: str, scale: str | None) -> Decimal:
    plain = Decimal(re.sub("[,，]", "", text))
    return plain * _SCALES.get((scale or "").lower(), 1)
