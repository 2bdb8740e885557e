"""Words of titles and texts, in Latin script and in Chinese, for comparing what says the same.

Chinese has no spaces, so its words are stood for by pairs of neighbouring characters.
"""

# ruff: noqa: SIM905 - words are easier to read than a list of strings
from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher
from functools import lru_cache

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
_CJK_RUN = re.compile(f"[{CJK}]+")
_CJK_LANGUAGES = ("zh", "ja", "ko")
_CJK_SHARE = 0.15
_TOKEN = re.compile(rf"[{CJK}]|[^\W_{CJK}]+(?:['’][^\W_{CJK}]+)?")
_BETWEEN_TOKENS = "".join(c if c.isalnum() or c == "'" else " " for c in map(chr, range(128)))
"""For ``str.translate``: what is part of no token of a text in ASCII becomes a space."""
_WORD = re.compile(rf"[^\W\d_{CJK}][^\W_{CJK}]*|\d+")
_INLINE_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_TARGET = re.compile(r"\]\([^)]*\)")
_URL = re.compile(r"<?https?://\S+")
_NUMERAL = "一二三四五六七八九十"
_NUMBER = re.compile(
    rf"""(?xi)^(?:\s|\*\*|__|[#§])*(?:
      第\s*[\d.{_NUMERAL}]+\s*[章节部篇]分?[\s:：、.．-]*
    | [（(](?:[{_NUMERAL}]{{1,3}}|\d{{1,2}})[)）]\s*
    | [{_NUMERAL}]{{1,3}}[、．.]\s*
    | (?:section|chapter|topic)\s+\d+(?:\.\d+)*\s*[:.—–-]\s*
    | [1-9]\d?(?:\.[1-9]\d?){{2,4}}(?:[.、:：)）](?!\d)\s*|\s+)
    | [1-9]\d?\.(?:1\d|20|[1-9])(?:[.、:：)）](?!\d)\s*|\s+)
    | [1-9]\d?[.)、．:：）](?!\d)\s*
    )(?=\S)"""
)
_BRACKET = re.compile(r"[（(\[【:：—–]|\s-\s")
STOP_WORDS = frozenset(
    "a an and are as at be but by can do for from has have how if in into is it its of on or our "
    "that the their them then this those to use used uses using via vs was we what when which who "
    "why will with without you your between over under not no more most all any each than".split()
)


def is_cjk(character: str) -> bool:
    """Whether the character is of a script written without spaces (Chinese, kana, Hangul)."""
    return bool(_CJK_RUN.match(character))


def cjk_letters(text: str) -> int:
    """How many characters of such a script a text holds."""
    return 0 if text.isascii() else sum(map(len, _CJK_RUN.findall(text)))


def is_cjk_language(code: str) -> bool:
    """Whether a language, such as zh or zh-Hans, is written in such a script."""
    return code.lower().partition("-")[0] in _CJK_LANGUAGES


def is_cjk_text(text: str) -> bool:
    """Whether a text, going by its letters, is in such a language, whatever names it quotes."""
    letters = sum(map(str.isalpha, text))
    return cjk_letters(text) > _CJK_SHARE * letters


def unnumbered(title: str) -> str:
    """A title without the number in front: "2.1.3 Pipes", "一、管道" and "第2节 管道" lose it.

    A version stays ("1.90 features"), and so does a title that is nothing but a number.
    """
    emphasis = re.match(r"\s*(\*\*|__)?", title)
    found = _NUMBER.match(title)
    if found is None:
        return title
    return (emphasis.group(1) or "" if emphasis else "") + title[found.end() :]


def prose(text: str) -> str:
    """Inline text without code spans, link targets and addresses."""
    if "`" in text:
        text = _INLINE_CODE.sub(" ", text)
    if "](" in text:
        text = _TARGET.sub("]()", text)
    return _URL.sub(" ", text) if "://" in text else text


@lru_cache(maxsize=4096)
def title_key(title: str) -> str:
    """What two spellings of a title have in common: no number, markup, case or punctuation."""
    while (shorter := unnumbered(title)) != title:
        title = shorter
    return "".join(_TOKEN.findall(title.casefold()))


@lru_cache(maxsize=4096)
def _heads(title: str) -> tuple[str, ...]:
    """The keys of a title and of its part before a bracket, colon or dash."""
    head = _BRACKET.split(unnumbered(title).strip("*_ "), maxsplit=1)[0]
    keys = (title_key(title), title_key(head))
    return tuple(dict.fromkeys(key for key in keys if len(key) > 1))


@lru_cache(maxsize=16384)
def likeness(one: str, other: str, least: float = 0.0) -> float:
    """How far two titles are the same, 0 to 1; what is below ``least`` may be told as less.

    Compared are spelling and words in any order; a title counts as its part before a bracket too.
    """
    ours, theirs = title_terms(one), title_terms(other)
    best = 0.95 * len(ours & theirs) / len(ours | theirs) if ours and theirs else 0.0
    for a in _heads(one):
        for b in _heads(other):
            best = max(best, 1.0 if a == b else _spelling(a, b, above=max(best, least - 1e-9)))
    return best


def _spelling(one: str, other: str, *, above: float) -> float:
    """How far two keys are spelled the same; 0 where that is not more than ``above``, which mostly
    shows by their lengths and letters, long before they are compared.
    """
    letters = len(one) + len(other)
    if 2.0 * min(len(one), len(other)) / letters <= above:
        return 0.0
    if 2.0 * (_letters(one) & _letters(other)).total() / letters <= above:
        return 0.0
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


@lru_cache(maxsize=4096)
def _letters(key: str) -> Counter[str]:
    return Counter(key)


def tokens(text: str) -> list[str]:
    """Words and single Chinese characters in order, casefolded."""
    if not text.isascii():
        return _TOKEN.findall(text.casefold())
    words = text.casefold().translate(_BETWEEN_TOKENS).split()
    if "'" not in text:
        return words
    quoted = (_TOKEN.findall(word) if "'" in word else (word,) for word in words)
    return [token for found in quoted for token in found]


def pairs(text: str) -> set[str]:
    """The pairs of neighbouring Chinese characters; a lone character stands for itself."""
    found: set[str] = set()
    for run in _CJK_RUN.findall(text):
        found.update({run} if len(run) == 1 else {run[i : i + 2] for i in range(len(run) - 1)})
    return found


_ENDINGS = ("isons", "ison", "ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "e", "y")


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A Latin word without its commonest endings: enough to match plural and verb forms."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def latin_terms(text: str) -> set[str]:
    """Stems of the Latin words and identifiers of at least two letters, less stop words."""
    words = _WORD.findall(text.replace("_", " ").casefold())
    return {stem(word) for word in words if len(word) > 1 and not word.isdigit() and word not in STOP_WORDS}


def terms(text: str) -> set[str]:
    """Latin stems and Chinese pairs together."""
    return latin_terms(text) if text.isascii() else latin_terms(text) | pairs(text)


@lru_cache(maxsize=4096)
def title_terms(title: str) -> frozenset[str]:
    """The same of a title or topic, which is compared with many others."""
    return frozenset(terms(title))
