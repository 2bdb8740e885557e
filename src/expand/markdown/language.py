"""The language of a text, by its script and by its commonest words."""

import re

from expand.markdown import matching

LEAST_WORDS = 12
"""Common words from which a text in Latin script is taken to be in a language."""
LEAST_SHARE = 0.3
"""The share of its letters that a script other than Latin has: code and names are Latin in every language."""
_SCRIPTS = {
    "ja": "\u3040-\u30ff",
    "ko": "\uac00-\ud7af",
    "zh": "\u3400-\u4dbf\u4e00-\u9fff",
    "uk": "іїєґІЇЄҐ",
    "ru": "\u0400-\u04ff",
    "el": "\u0370-\u03ff",
    "he": "\u0590-\u05ff",
    "fa": "پچژگی",
    "ar": "\u0600-\u06ff",
    "hi": "\u0900-\u097f",
    "th": "\u0e00-\u0e7f",
}
_MARKS = {"ja": ("zh", 0.1), "ko": ("zh", 0.1), "uk": ("ru", 0.02), "fa": ("ar", 0.04)}
"""A language by letters that one with more or less the same script does not have, and their share of all of these."""
_WORDS = {
    "en": "the of and to is are that this with for it be can which from by as you we",
    "de": "der die das und ist nicht ein eine mit auf für von dem den sich wird werden auch sie zu",
    "fr": "le les des et est une pour dans que qui vous sur pas avec ce sont par au aux cette",
    "es": "el los las y es una para con que por se del como más su puede al lo esta este",
    "pt": "o os as e é uma para com que por não do da em como mais você ao no na são",
    "it": "il gli e è una per con che di non del della sono come più nel alla si questo",
    "nl": "de het een en van is niet met voor op te dat zijn je worden wordt aan ook bij deze",
    "pl": "i w na z nie do że się jest to jak po dla oraz od przez można są być tym",
    "tr": "ve bir bu için ile da de olarak daha çok gibi olan veya ise kadar her sonra ne değil var",
    "sv": "och att det som en på är av för med till den inte om ett kan du har eller vi",
}
_COMMON = {code: frozenset(words.split()) for code, words in _WORDS.items()}


def detected(text: str) -> str | None:
    """The code of the language that a text's prose is in; None where nothing tells."""
    counts = {code: sum(map(len, re.findall(f"[{script}]+", text))) for code, script in _SCRIPTS.items()}
    for code, (family, share) in _MARKS.items():
        whole = max(counts[family], counts[code]) if code in ("uk", "fa") else counts[family] + counts[code]
        if counts[code] > share * whole:
            counts[code], counts[family] = whole, 0
        else:
            counts[code] = 0
    best = max(counts, key=counts.__getitem__)
    if counts[best] > (matching.CJK_SHARE if matching.is_cjk_language(best) else LEAST_SHARE) * sum(
        map(str.isalpha, text)
    ):
        return best
    words = re.findall(r"[^\W\d_]+", text.casefold())
    sums = {code: sum(word in common for word in words) for code, common in _COMMON.items()}
    best = max(sums, key=sums.__getitem__)
    return best if sums[best] >= LEAST_WORDS else None
