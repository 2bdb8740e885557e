"""Lengths, hours, counts of examples and priorities as people write them in a plan, English or Chinese.

``(250行)``, ``~1.5k lines``, ``about 400 words``, ``2-3 pages`` (the middle is taken), ``６００～８００字``, ``两页``,
``half a page``, ``12 to 15 minutes``, ``15 %``. Full-width digits and punctuation count as what they stand for.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, cast

from expand.outline import Priority

Unit = Literal["lines", "words", "characters", "pages", "minutes", "percent"]


@dataclass(frozen=True, slots=True)
class Length:
    """How long something is to be. An outline cannot state pages, minutes, or percent of a chapter."""

    amount: int | Decimal
    unit: Unit

    def __str__(self) -> str:
        return f"{Decimal(self.amount):,f} {self.unit.removesuffix('s') if self.amount == 1 else self.unit}"


@dataclass(frozen=True, slots=True)
class Worded:
    """A line of a plan: its words without the length, the length, and what follows it."""

    title: str
    length: Length | None = None
    rest: str = ""


_WIDE = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | dict.fromkeys((0x3000, 0xA0, 0x202F), " ")
_UNITS = {
    "lines": r"lines?\b|loc\b|行(?![为动业程])",
    "words": r"words?\b|wd?s?\b",
    "characters": r"characters?\b|chars?\b|个?(?:汉|中文)?字(?:符(?!串))?(?![段节母典体幕面号数])",
    "pages": r"pages?\b|pp?\b|页(?![面码眉脚])",
    "hours": r"hours?\b|hrs?\b|h\b|个?(?:小时|钟头)",
    "minutes": r"minutes?\b|mins?\b|['′](?!\w)|分钟",
    "percent": r"%|percent\b|per cent\b",
    "thirds": r"thirds?(?=\W*$|\s*[)\]])",
    "lessons": r"[课学]时",
    "quarters": r"quarters?(?=\W*$|\s*[)\]])",
}
_TURNED = {
    "hours": ("minutes", Decimal(60)), "lessons": ("minutes", Decimal(45)),
    "thirds": ("percent", Decimal("33.33")), "quarters": ("percent", Decimal(25)),
}  # fmt: skip
"""Units that are stated in another one, and how much of it they are."""
_COLUMN_UNITS: dict[Unit, str] = {
    "lines": r"\blines?\b|行", "words": r"\bwords?\b", "characters": r"\bcharacters?\b|\bchars\b|字",
    "pages": r"\bpages?\b|页", "minutes": r"\bmin(?:ute)?s?\b|分钟|时长",
}  # fmt: skip
DIGITS = dict(zip("零〇一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "w": 10_000, "k": 1000, "": 1}
_IN_WORDS = {
    "half": "0.5", "半": "0.5", "½": "0.5", "1/2": "0.5", "¼": "0.25", "1/4": "0.25", "¾": "0.75", "3/4": "0.75",
    "a": "1", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20", "thirty": "30",
    "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90",
}  # fmt: skip
_IN_ENGLISH = [word for word in _IN_WORDS if word.isascii() and word.isalpha() and len(word) > 2]
_SMALL = (
    rf"(?:(?:twen|thir|for|fif|six|seven|eigh|nine)ty-(?:{'|'.join(_IN_ENGLISH[1:10])})|{'|'.join(_IN_ENGLISH[1:])})\b"
)
_LAST = rf"{_SMALL}(?!\ (?:hundred|thousand))"
_HUNDREDS = rf"(?:(?:{_SMALL}|a)\ )?hundred\b(?:\ (?:and\ )?{_LAST})?"
_IN_FULL = rf"(?:(?:{_HUNDREDS}|{_SMALL}|a)\ )?thousand\b(?:\ (?:and\ )?(?:{_HUNDREDS}|{_LAST}))?|{_HUNDREDS}|{_SMALL}"
"""A number in English words: two thousand five hundred, a hundred and twenty-five."""
_NUMBER = (
    rf"(?:1/[24]|3/4|\d{{1,3}}(?:\ \d{{3}})+(?![\d.,])|\d[\d,]{{0,19}}(?:\.\d{{1,9}})?(?!\d)|[½¼¾]"
    rf"|{_IN_FULL}|half\b|a(?=\ (?:page|third|quarter))"
    r"|半(?=[页个])|[零〇一二两三四五六七八九十百千万]{1,8})"
)
_RANGE = r"(?:[-–—~至到或]|\bto\b|\bor\b)"
_UNIT = "|".join(_UNITS.values())
_LENGTH = re.compile(
    rf"(?ix)(?<![a-z\d/_第每前后首末头])(?<!\d[.,])(?P<low>{_NUMBER})\s*(?P<low_scale>[kw千万]?)(?:\ an?\b)?"
    rf"(?:\s*(?:{_UNIT})?\s*{_RANGE}\s*(?P<high>{_NUMBER})\s*(?P<scale>[kw千万]?))?\s*[+多来余]?\s*-?\s*(?P<unit>{_UNIT})"
)
_BARE = re.compile(
    rf"(?ix)(?P<low>{_NUMBER})\s*(?P<low_scale>[kw千万]?)(?:\s*{_RANGE}\s*(?P<high>{_NUMBER})\s*(?P<scale>[kw千万]?))?"
)
# What stands around a figure and says no more than that it is one.
_LEAD = re.compile(
    r"(?i)(?:(?:\b(?:about|around|approx(?:imately)?\.?|roughly|circa|ca?\.|some|up to|at (?:most|least)|"
    r"(?:no|not) more than|max(?:imum|\.)?|min(?:imum|\.)?|target|length|total|goal|planned|the whole chapter)"
    r"|大?约|大概|预计|计划|目标|总?(?:篇幅|字数|行数|页数|长度|时长)|总[共计]|共|合计|[全总]长|全[章文篇]|本章|不超过|不少于|至少|最多|控制在"
    r"|[~≈≤≥<>+])[\s:]*)+$"
)
_TAIL = re.compile(
    r"(?i)(?:\s*(?:\bor (?:so|less)\b|\b(?:in all|in total|altogether|overall|total|max|each|long)\b|"
    r"左右|上下|以内|以上|之内|即可|\+))+"
)
_NOW = re.compile(
    r"(?i)(?:\b(?:now|currently|today|present|already|these|those|both)|[已现]有|现在|当前|目前|已写|[从由这那]|\bfrom)"
    r"[\s:是有约]*$"
)
_FROM = re.compile(r"(?i)(?:\bfrom|[从由])\s*$")
_NO_PLACE = re.compile(
    r"(?i)\b(?:first|last|top|next|the|of|in|than|every|per|to|under|over|within|with|only|those|these|[a-z]+ing)$"
)
_EXAMPLES = re.compile(
    r"(?i)(?:^|(?P<open>[(\[])|[,;:、+—]|\s[–-])\s*(?:(?:with|and|at least|about|some"
    r"|(?:each|every) section(?::|\ (?:has|gets|needs|with))?"
    r"|[每各]个?小?节:?|(?:至少|[包内]?含|包括|[带配共约])有?)\s*)*"
    rf"(?P<count>\d{{1,4}}|{'|'.join(_IN_ENGLISH[1:])}|[一二两三四五六七八九十]{{1,3}})"
    r"(?:\s*(?:[-–—~至到]|to|or)\s*\w+)?\s*[+个段]?\s*"
    r"(?:(?:(?:worked|working|runnable|short|small|code)\s+)*(?:examples?|samples|snippets)(?:\ (?:each|per section))?"
    r"|(?:代码)?(?:示例|例子|样例))"
    r"(?(open)(?:(?P<more>[,;、])\s*|\s*[)\]])|\s*\.?(?=$|[,;、)\]]))"
)
"""A count of examples that stands apart, as a length does: ``80 lines, 2 examples``, ``（3个示例）``."""
_OPEN, _CLOSE, _SEPARATORS = "([【<", ")]】>", "-–—:,;|/·•…→@、=。.*_"
_STRIPPED = _SEPARATORS + "：，；　 \t"
_PRIORITIES: dict[str, Priority] = {
    "高": "high", "high": "high", "urgent": "high", "must": "high", "p0": "high", "p1": "high",
    "中": "medium", "medium": "medium", "normal": "medium", "should": "medium", "p2": "medium",
    "低": "low", "low": "low", "could": "low", "p3": "low", "p4": "low",
}  # fmt: skip


def narrow(text: str) -> str:
    """The text with full-width digits, letters and punctuation as ASCII, character by character."""
    return text.translate(_WIDE)


def lengths_in(text: str) -> list[Length]:
    """Every length that the text states, in its order; none of 0, and not what there is already."""
    return [length for _, _, length in _spans(narrow(text))]


def preferred(lengths: Sequence[Length]) -> Length | None:
    """The first of them, one in minutes only where there is no other."""
    return min(lengths, key=lambda one: one.unit == "minutes", default=None)


def bare_length(text: str, unit: Unit) -> Length | None:
    """A table's cell or a label's value as a length: ``1,000``, ``~500`` and, whatever ``unit``, ``3页``."""
    flat = narrow(text).strip(" *_~≈约+")
    found = _BARE.fullmatch(flat)
    return _length(found, unit) if found else preferred(lengths_in(text))


def unit_of(text: str) -> Unit | None:
    """The unit that a column's heading or a label names: ``Words``, ``Length (pages)``, ``预计字数``."""
    flat = narrow(text)
    return next((unit for unit, words in _COLUMN_UNITS.items() if re.search(f"(?i){words}", flat)), None)


def read_line(text: str) -> Worded:
    """A heading, item or cell: its title, its length, and what follows. A figure that is matter stays in the title:
    "Show the first 10 lines"."""
    flat = narrow(text)
    spans = [one for one in _spans(flat) if _stands_apart(flat, one[0], one[1])]
    if not spans:
        return Worded(text.strip())
    length = preferred([one[2] for one in spans])
    before, after = text[: spans[0][0]].rstrip(), text[spans[-1][1] :].lstrip()
    lead = before.rstrip(_STRIPPED)
    if narrow(lead[-1:]) in tuple(_OPEN):
        if narrow(after[:1]) in tuple(_CLOSE):
            lead, after = lead[:-1], after[1:].lstrip()
        elif narrow(after[:1]) in (";", ":") and narrow(after[-1:]) in tuple(_CLOSE):  # (2 pages; caches, proxies)
            lead, after = lead[:-1], after[1:-1]
        else:  # (2 pages, with a picture)
            return Worded(f"{lead}{after.lstrip(_STRIPPED)}", length)
    elif narrow(after[:1]) in tuple(_CLOSE):  # (with a picture, 2 pages)
        return Worded(f"{lead}{after}".strip(), length)
    lead, rest = lead.rstrip(_STRIPPED), after.lstrip(_STRIPPED)
    if not lead:
        return Worded(re.sub(r"(?i)^(?:on|for|about)\s+", "", rest), length)
    return Worded(lead, length, rest.rstrip(" 　"))


def hours_in(text: str) -> float | None:
    """The first number of hours that the text states; minutes are turned into hours."""
    first = next((one for one in lengths_in(text) if one.unit == "minutes"), None)
    return round(float(first.amount) / 60, 2) if first is not None else None


def without_examples(text: str) -> tuple[str, int | None]:
    """The text without the number of examples that it asks for, and that number."""
    found = _EXAMPLES.search(narrow(text))
    if found is None:
        return text, None
    opened = text[found.start("open")] if found["more"] else ""
    return f"{text[: found.start()].rstrip()} {opened}{text[found.end() :]}".strip(), int(number_of(found["count"]))


def priority_in(text: str) -> Priority | None:
    """The first word of the text that names a priority."""
    words = (_PRIORITIES.get(word.lower()) for word in re.findall(r"[A-Za-z]+\d?|[高中低]", narrow(text)))
    return next((word for word in words if word is not None), None)


def _spans(flat: str) -> list[tuple[int, int, Length]]:
    """The lengths in a narrow text, each with where it begins and ends, words such as "about" included."""
    found = []
    for one in _LENGTH.finditer(flat):
        unit = next(name for name, words in _UNITS.items() if re.fullmatch(f"(?i){words}", one["unit"]))
        grows = one["high"] and _FROM.search(flat, 0, one.start())  # 从 80 行扩到 600 行, from 80 to 600 lines
        length = bare_length(f"{one['high']}{one['scale']}{one['unit']}", "lines") if grows else _length(one, unit)
        lead, tail = _LEAD.search(flat, 0, one.start()), _TAIL.match(flat, one.end())
        start = lead.start() if lead else one.start()
        if length is not None and not _NOW.search(flat, 0, start):
            found.append((start, tail.end() if tail else one.end(), length))
    return found


def _stands_apart(flat: str, start: int, end: int) -> bool:
    """Whether what stands there is the line's length, and no figure of its matter."""
    left, right = flat[:start].rstrip(), flat[end:].lstrip()
    closed = not right or right[0] in _CLOSE + _SEPARATORS
    if not left:
        return closed or re.match(r"(?i)(?:on|for|about)\s", right) is not None
    if left[-1] in _OPEN + _SEPARATORS + ")】]":
        return closed or right[0] in _OPEN
    return closed and (not right or right[0] not in _CLOSE) and _NO_PLACE.search(left) is None


def _length(found: re.Match[str], unit: str) -> Length | None:
    low_scale, scale = found["low_scale"], found["scale"] or ""
    low, high = number_of(found["low"]), number_of(found["high"] or found["low"])
    first = low * _POWERS[(low_scale or scale).lower()]
    last = high * _POWERS[(scale or low_scale).lower()]
    known, times = _TURNED.get(unit, (unit, Decimal(1)))
    middle = (first + last) / 2 * times
    if unit in ("lines", "words", "characters"):
        middle = middle.to_integral_value(ROUND_HALF_UP)
    plain = middle.quantize(Decimal(1)) if middle == middle.to_integral_value() else middle.normalize()
    return Length(plain, cast("Unit", known)) if middle else None


def number_of(text: str) -> Decimal:
    """A number in digits, in English words, or in Chinese numerals: 一千五百, 一万二."""
    words = re.findall(r"[a-z]+", text.lower())
    if len(words) > 1 or words in (["hundred"], ["thousand"]):  # two thousand one hundred and fifty
        thousands = part = Decimal(0)
        for word in words:
            part = (part or Decimal(1)) * 100 if word == "hundred" else part + Decimal(_IN_WORDS.get(word, 0))
            if word == "thousand":
                thousands, part = (part or Decimal(1)) * 1000, Decimal(0)
        return thousands + part
    plain = re.sub(r"[, ]", "", text.lower())
    if plain in _IN_WORDS or plain[0].isdecimal():
        return Decimal(_IN_WORDS.get(plain, plain))
    total, digit, power = Decimal(0), Decimal(0), 10
    for character in plain:
        if character in DIGITS:
            digit = (digit + DIGITS[character]) / 2 if digit else Decimal(DIGITS[character])  # 两三页
        else:
            power = _POWERS[character]
            total, digit = (total + digit) * power if power == 10_000 else total + (digit or 1) * power, Decimal(0)
    return total + digit * (power // 10 if plain[-2:-1] in _POWERS else 1)  # 一万二, 三千二
