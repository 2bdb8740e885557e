"""Tell what only stands for text or code that is to come: "Coming soon", "rest omitted", "此处省略".

The wordings are many and their words are few. So a passage, a sentence or a comment is a stand-in if it has one of some
phrases, and no other words than such texts are made of: what is about a lock or a file has.
"""

import re

from expand.markdown.matching import phrase, words

MOST_CHARACTERS = 100
"""A stand-in is no longer than this."""
_BARE, _MARKED, _DOTS, _DOTTED = map(phrase, ("bare-mark", "marked", "begins-with-dots", "dotted"))
# The last: "the rest is unchanged", a comment says of code that is not there, a sentence may well say of code that is.
_TO_COME, _GONE, _WHY, _SAME = map(phrase, ("to-come", "gone", "why-gone", "same-as"))
_TO_COME_ZH, _UNDONE_ZH, _SAME_ZH = map(phrase, ("to-come-zh", "undone-zh", "same-as-zh"))
_KEPT = re.compile(r"(?i)\b(?:no|nothing|never)\b")
_NOUN = re.compile(rf"(?i)\b(?:{'|'.join(words('nouns'))})\b")
_PROSE = frozenset((*words("nouns"), *words("prose")))
_CODE = _PROSE.union(words("code"))
_CHINESE = re.compile("|".join(sorted(words("zh"), key=len, reverse=True)))
_WORD = re.compile(r"[^\W\d_]+")
_CJK = re.compile(r"[\u3400-\u9fff]")


def stands_in(text: str, *, alone: bool = True) -> bool:
    """Whether a passage, or (not ``alone``) a sentence of one, says only that text is to come or is left out."""
    text = text.strip()
    if not 0 < len(text) <= MOST_CHARACTERS or "`" in text or text.endswith((":", "：")):
        return False  # what it announces, or names, is there
    if _CJK.search(text):
        return _is_chinese(text, _UNDONE_ZH if alone else _TO_COME_ZH)
    if alone and _BARE.fullmatch(text):
        return True
    noun, why = _NOUN.search(text), _WHY.search(text)
    if _GONE.search(text) and not _KEPT.search(text) and (noun or why):
        return _is_made_of(text, _CODE if why else _PROSE)
    told = alone or noun or text.lower().startswith("to be")
    phrase = (told and _TO_COME.search(text)) or (noun and _DOTS.match(text))
    return bool(phrase) and _is_made_of(text, _PROSE)


def stands_in_block(text: str) -> bool:
    """The same of a block of an author's document, which may be a mark and what is to be done."""
    return bool(_MARKED.match(text)) or stands_in(text)


def stands_in_code(said: str, *, alone: bool = True) -> bool:
    """Whether a comment stands for code. ``alone``: no code stands before it on its line."""
    said = said.strip()
    if not 0 < len(said) <= MOST_CHARACTERS:
        return False
    dotted = _DOTTED.search(said) and _WORD.search(said) and not re.search(r"\d", said)
    if _CJK.search(said):
        return _is_chinese(said, _CJK if dotted else _SAME_ZH if alone else _TO_COME_ZH)
    phrase = dotted or _TO_COME.search(said) or _GONE.search(said) or (alone and _SAME.search(said))
    return bool(phrase) and _is_made_of(said, _CODE)


def _is_made_of(text: str, known: frozenset[str]) -> bool:
    return {word.lower() for word in _WORD.findall(re.sub("n['’]t", " not", text))} <= known


def _is_chinese(text: str, phrase: re.Pattern[str]) -> bool:
    bare = re.sub(r"[\W_]", "", text)
    return bool(phrase.search(bare)) and not _CHINESE.sub("", bare)
