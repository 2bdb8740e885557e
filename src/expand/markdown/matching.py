"""Words of titles and texts, in Latin script and in Chinese, for comparing what says the same.

Chinese has no spaces, so its words are stood for by pairs of neighbouring characters.

Whether a title brings a number of its own ("2.1 Pipes", "第二章 管道") is decided here alone: headings of drafts,
answers, documents and plans are all read by it. One that begins with a version or a figure ("4.19 and io_uring", "3
ways", "2024 roadmap") keeps it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise

from expand.paths import packaged_table

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
_CJK_RUN = re.compile(f"[{CJK}]+")
_CJK_LANGUAGES = ("zh", "ja", "ko")
CJK_SHARE = 0.15
"""Above this share of its letters a text is in such a language, whatever names it quotes."""
SAME_WORDS = 0.95
"""The likeness of two titles of the same words in another order: the very title is worth more."""
_TOKEN = re.compile(rf"[{CJK}]|[^\W_{CJK}]+(?:['’][^\W_{CJK}]+)?")
_WORD = re.compile(rf"[^\W\d_{CJK}][^\W_{CJK}]*|\d+")
_INLINE_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_TARGET = re.compile(r"\]\([^)]*\)")
_URL = re.compile(r"<?https?://\S+")
_SENTENCE_END = re.compile(r"""(?:[。！？：]+|[.!?:]+["'”’)*_]*(?=\s|$))\s*""")
_BRACKET = re.compile(r"[（(\[【:：—–]|\s-\s")
_PHRASES: Mapping[str, Mapping[str, str]] = packaged_table("phrases")


def phrase(name: str) -> re.Pattern[str]:
    """A pattern of ``data/phrases.toml``."""
    pattern = _PHRASES["patterns"][name]
    while (whole := re.sub("«(.+?)»", lambda found: _PHRASES["parts"][found[1]], pattern)) != pattern:
        pattern = whole  # a part may be made of parts
    return re.compile(pattern)


def words(name: str) -> tuple[str, ...]:
    """The words of a list in ``data/phrases.toml``."""
    return tuple(_PHRASES["words"][name].split())


_STOP_WORDS = frozenset(words("stop-words"))


def is_cjk(character: str) -> bool:
    """Whether the character is of a script written without spaces (Chinese, kana, Hangul)."""
    return bool(_CJK_RUN.match(character))


def cjk_letters(text: str) -> int:
    """How many characters of such a script a text holds."""
    return sum(map(len, _CJK_RUN.findall(text)))


def is_cjk_language(code: str) -> bool:
    """Whether a language, such as zh or zh-Hans, is written in such a script."""
    return code.lower().partition("-")[0] in _CJK_LANGUAGES


def is_cjk_text(text: str) -> bool:
    """Whether a text is in such a language, by its letters."""
    letters = sum(map(str.isalpha, text))
    return cjk_letters(text) > CJK_SHARE * letters


def prose(text: str) -> str:
    """Inline text without code spans, link targets and addresses."""
    return _URL.sub(" ", _TARGET.sub("]()", _INLINE_CODE.sub(" ", text)))


@lru_cache(maxsize=4096)
def title_key(title: str) -> str:
    """What two spellings of a title have in common: no number, markup, case or punctuation; one of nothing but signs
    (emoji) is itself."""
    while (shorter := unnumbered(title)) != title:
        title = shorter
    return "".join(_TOKEN.findall(title.casefold())) or title.strip()


def _heads(title: str) -> tuple[str, ...]:
    """The keys of a title and of its part before a bracket, colon or dash."""
    head = _BRACKET.split(unnumbered(title).strip("*_ "), maxsplit=1)[0]
    keys = (title_key(title), title_key(head))
    return tuple(dict.fromkeys(key for key in keys if len(key) > 1))


@lru_cache(maxsize=16384)
def likeness(one: str, other: str) -> float:
    """How far two titles are the same, 0 to 1.

    Compared are spelling and words in any order; a title counts as its part before a bracket too."""
    ours, theirs = terms(one), terms(other)
    best = SAME_WORDS * len(ours & theirs) / len(ours | theirs) if ours and theirs else 0.0
    for a in _heads(one):
        for b in _heads(other):
            matcher = SequenceMatcher(None, a, b, autojunk=False)
            # ratio() is slow; the two bounds are cheap, and mostly too low already
            if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best:
                best = max(best, matcher.ratio())
    return best


def best_likeness(title: str, others: Iterable[str]) -> float:
    """The likeness of a title to the one of the others that it is most like; 0 where there are none."""
    return max((likeness(title, other) for other in others), default=0.0)


def tokens(text: str) -> list[str]:
    """Words and single Chinese characters in order, casefolded."""
    return _TOKEN.findall(text.casefold())


def size(text: str) -> tuple[int, int]:
    """How many words and how many Chinese characters an inline text has, less code and addresses."""
    words = tokens(prose(text))
    cjk = cjk_letters("".join(words))
    return len(words) - cjk, cjk


def sentences(text: str) -> list[str]:
    """A paragraph cut after each sentence end or colon; joined they are the paragraph again."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    return [text[start:end] for start, end in pairwise([0, *ends, len(text)]) if start < end]


def cjk_pairs(text: str) -> set[str]:
    """The pairs of neighbouring Chinese characters; a lone character stands for itself."""
    found: set[str] = set()
    for run in _CJK_RUN.findall(text):
        found.update({run} if len(run) == 1 else {run[i : i + 2] for i in range(len(run) - 1)})
    return found


_ENDINGS = ("isons", "ison", "ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "e", "y")


def stem(word: str) -> str:
    """A Latin word without its commonest endings: enough to match plural and verb forms."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def terms(text: str) -> set[str]:
    """Stems of the Latin words and identifiers of at least two letters, less stop words, and Chinese pairs."""
    words = _WORD.findall(text.replace("_", " ").casefold())
    stems = {stem(word) for word in words if len(word) > 1 and not word.isdigit() and word not in _STOP_WORDS}
    return stems | cjk_pairs(text)


FORM_LETTERS = 4
"""Letters that the forms of a word begin with."""


def forms(text: str) -> set[str]:
    """The terms of a text, each as what all of its forms begin with."""
    return {term[:FORM_LETTERS] for term in terms(text)}


# --- numbers in front of titles ---------------------------------------------------------------------------

_NUMBER = phrase("number-of-a-title")
_LEAD = re.compile(r"(?:\s|\*\*|__|[#§])*")
_COUNTED = re.compile(r"(?P<number>\d{1,2}|[A-Z]\.|\d{1,2}(?:\.\d{1,2})+)\s+(?=\S)")
_FIGURE = phrase("figure-in-a-title")
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


def all_unnumbered(titles: Sequence[str]) -> list[str]:
    """The titles of neighbours without their numbers. What is a figure by itself is a number where it counts the
    places: "2.6 kernels" where two neighbours count likewise, "2 kernels" only where all do."""
    counted = [_counted(title, place) for place, title in enumerate(titles, 1)]
    several = sum("." in found["number"] for found in counted if found) > 1
    every = len(titles) > 1 and all(counted)
    return [
        _without(title, 0, found.end())
        if found and (every or (several and "." in found["number"]))
        else unnumbered(title)
        for title, found in zip(titles, counted, strict=True)
    ]


def _counted(title: str, place: int) -> re.Match[str] | None:
    """The number in front of a title, if its last part, or its letter, counts the title's place."""
    found = _COUNTED.match(title)
    if found is None:
        return None
    last = found["number"].strip(".").rpartition(".")[2]
    return found if (int(last) if last.isdigit() else ord(last) - ord("A") + 1) == place else None


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


# --- stand-ins: what only stands for text or code that is to come ("Coming soon", "rest omitted", "此处省略")
#
# The wordings are many and their words are few. So a passage, a sentence or a comment is a stand-in if it has one of
# some phrases, and no other words than such texts are made of: what is about a lock or a file has.

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
_SAID_WORD = re.compile(r"[^\W\d_]+")
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
    dotted = _DOTTED.search(said) and _SAID_WORD.search(said) and not re.search(r"\d", said)
    if _CJK.search(said):
        return _is_chinese(said, _CJK if dotted else _SAME_ZH if alone else _TO_COME_ZH)
    phrase = dotted or _TO_COME.search(said) or _GONE.search(said) or (alone and _SAME.search(said))
    return bool(phrase) and _is_made_of(said, _CODE)


def _is_made_of(text: str, known: frozenset[str]) -> bool:
    return {word.lower() for word in _SAID_WORD.findall(re.sub("n['’]t", " not", text))} <= known


def _is_chinese(text: str, phrase: re.Pattern[str]) -> bool:
    bare = re.sub(r"[\W_]", "", text)
    return bool(phrase.search(bare)) and not _CHINESE.sub("", bare)
