"""Tell which language a text is in: by its script, and within a script by CLD3.

The only module that imports gcld3, Google's Compact Language Detector 3: a small network within the wheel, offline, 3
ms to load. Names, code and titles are in no language, so a text counts as foreign only where it is certain.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gcld3 import NNetLanguageIdentifier

CJK_LETTERS = 3
"""Letters of Latin script that a Chinese, Japanese or Korean one stands for."""
LEAST_CJK = 0.15
"""Below this share of its letters a text is not in Chinese, Japanese or Korean."""
MOST_CJK = 0.35
"""Above this share it is not in another language."""
LEAST_KANA = 0.2
"""Above this share of such characters a text is Japanese and not Chinese: a Chinese one quotes a word of it."""
LEAST_HAN = 12
"""A text of so many Chinese characters and no kana or Hangul is Chinese."""
CERTAIN = 0.95
"""The probability from which the detector is believed."""
PLAIN_WORDS = 0.5
"""The share of words that begin with a small letter below which a text is a list of names or a title."""
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_HANGUL = re.compile("[\uac00-\ud7af]")
_CJK = re.compile(f"{_KANA.pattern}|{_HAN.pattern}|{_HANGUL.pattern}")
_NO_WORDS = re.compile(r"<[^<>]*>|!\[[^\]]*\]|\{%.*?%\}|\{\{.*?\}\}|\]\[[^\]]*\]|\{#[^}]*\}")
"""Tags, images, templates, names of references."""
_WORD = re.compile(r"[^\W\d_]{2,}")
_WRITTEN = re.compile(
    "ar|bg|ca|cs|da|de|el|en|es|et|fa|fi|fr|he|hi|hr|hu|id|it|iw|ja|ko|lt|lv|ms|nl|no|pl|pt|ro|ru|sk|sl|sr|sv|th|tr|uk|vi|zh"
)
"""The languages that the detector is believed about: it takes fragments for Gaelic or Frisian."""
_RELATED = ({"no", "nb", "nn", "da"}, {"hr", "bs", "sr"}, {"id", "ms"}, {"cs", "sk"}, {"he", "iw"}, {"fil", "tl"})
"""Languages that no detector tells apart in a sentence, and two codes for one."""


@lru_cache(maxsize=1)
def _identifier() -> NNetLanguageIdentifier:
    # Imported here because commands that check no draft must start without it.
    from gcld3 import NNetLanguageIdentifier

    return NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=4000)


def letters(text: str) -> int:
    """The letters of a text, a Chinese, Japanese or Korean one counted as three."""
    text = _NO_WORDS.sub(" ", text)
    return sum(map(str.isalpha, text)) + (CJK_LETTERS - 1) * len(_CJK.findall(text))


def detected(text: str, expected: str = "") -> str | None:
    """The language that a text is certainly in, None where that cannot be told. Where Chinese, Japanese or Korean
    is ``expected``, fewer of its characters suffice."""
    text = _NO_WORDS.sub(" ", text)
    kana, han, hangul = (len(script.findall(text)) for script in (_KANA, _HAN, _HANGUL))
    cjk = kana + han + hangul
    share = CJK_LETTERS * cjk / max(letters(text), 1)
    if cjk and share > (LEAST_CJK if expected in ("zh", "ja", "ko") else MOST_CJK):
        if hangul * 2 > cjk:
            return "ko"
        if kana > LEAST_KANA * cjk:
            return "ja"
        return "zh" if han >= LEAST_HAN and not kana and not hangul else None
    words = _WORD.findall(text)
    if sum(not word[0].isupper() for word in words) <= PLAIN_WORDS * len(words):
        return None
    guess = _identifier().FindLanguage(_CJK.sub(" ", text))
    certain = guess.is_reliable and guess.probability >= CERTAIN
    return guess.language if certain and _WRITTEN.fullmatch(guess.language) else None


def foreign(text: str, language: str) -> str | None:
    """The language that a text is in, if it is certainly another one than ``language``, such as zh or pt-BR."""
    wanted = language.lower().partition("-")[0]
    found = detected(text, wanted)
    return None if found in (None, wanted) or any({found, wanted} <= same for same in _RELATED) else found
