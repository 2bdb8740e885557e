"""What a chat model says around its text: greetings before, offers after, thinking out loud.

Judged sentence by sentence and only at the ends of an answer; when in doubt it is content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_END = re.compile(r"""[.!?:。！？：](?:(?<=[。！？：])[。！？：]*|(?<=[.!?:])[.!?:]*["'”’)*_]*(?=\s|$))\s*""")
"""Where a sentence ends. It begins with one set of characters, for which ``re`` can skip ahead."""

_OPENER = (
    r"(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|okay|ok|great|got\s+it|understood|alright|"
    r"no\s+problem|happy\s+to\s+help|with\s+pleasure|gladly)"
)
_TEXT = (
    r"(?:section|chapter|sub-?section|draft|markdown|document(?:ation)?|content|expan(?:ded|sion)|"
    r"continu(?:ation|ed)|write-?up|rewrite|rewritten|revised|text\s+you|requested|remaining|rest\s+of)"
)
_TEXT_ZH = "(?:正文|章节|小节|扩写|扩展|续写|草稿|大纲|文档|Markdown|第.{1,6}[章节]|内容|部分)"

_PREAMBLE = re.compile(
    rf"""(?xi)^[\s*_>]*(?:
      {_OPENER}\s*[!.,:–—-]*\s*$
    | {_OPENER}\s*[!.,:–—-]+\s*(?:here(?:['’]s|\s+is|\s+are)|below|the\s+following
        |i(?:['’](?:ll|d|ve)|\s+(?:will|would|have|can))|let(?:['’]s|\s+me|\s+us)).*
    | here(?:['’]s|\s+is|\s+are)\s.*\b{_TEXT}s?\b.*[:.]
    | (?:below\s+(?:is|are)|the\s+following\s+is)\s.*\b{_TEXT}s?\b.*[:.]
    | (?:i['’]ll|i\s+will|let\s+me)\s+(?:now\s+)?
        (?:continue|write|draft|expand|provide|start|go\s+on)\b.*\b{_TEXT}s?\b.*
    | i(?:['’]ve|\s+have)\s+(?:written|drafted|expanded|continued|revised|prepared)\b.*
    | i(?:['’]d|\s+would)\s+be\s+(?:happy|glad)\s+to\b.*
    | as\s+(?:you\s+)?requested\s*,.*
    | continuing\s+(?:from\s+where|the\s+(?:section|chapter|text|draft|document))\b.*
    | (?:当然(?:可以)?|好的|好|没问题|可以|明白了?|收到|了解)[，,。!！：:～~]*\s*$
    | (?:当然(?:可以)?|好的|好|没问题|可以|明白了?|收到|了解)[，,。!！：:～~]+\s*
        (?:以下|下面|这是|这里是|我(?:将|会|来|已)|为[您你]|接下来).*
    | (?:以下|下面)(?:是|为|内容|将|就是|继续|给出).*{_TEXT_ZH}.*[：:]\s*
    | (?:以下|下面)(?:是|为|内容|将|就是|继续).*
        (?:正文|扩写|续写|草稿|大纲|[您你]的?(?:要求|需求|请求)).*
    | (?:根据|按照|按|遵照)[您你]的?.{{0,12}}(?:要求|需求|请求|大纲|提纲).*
    | 我(?:将|会|来)(?:继续|为[您你]|按照|根据).*
    | (?:接下来|现在)?继续(?:上文|前文|上一部分|撰写|编写|写作).*
    )\s*$""",
    re.DOTALL,
)
_SIGN_OFF = re.compile(
    r"""(?xi)^[\s*_>(（\[]*(?:
      (?:please\s+)?let\s+me\s+know\b.*
    | i\s+hope\s+(?:this|that|you|it)\b.*(?:help|useful|find|meets|enjoy|requirement|need).*
    | (?:please\s+)?feel\s+free\s+to\s+(?:ask|reach|contact|let|request|tell)\b.*
    | would\s+you\s+like\s+(?:me|to)\b.*
    | (?:do\s+you\s+want|shall\s+i|should\s+i)\b.*\b(?:me|continue|expand|proceed|add)\b.*
    | if\s+you(?:['’]d)?\s+(?:need|want|have|would|like)\b.*
        \b(?:let\s+me\s+know|ask\s+me|i\s+can|i['’]d|i['’]ll|happy\s+to|feel\s+free)\b.*
    | is\s+there\s+anything\s+else\b.*
    | happy\s+(?:coding|learning|hacking|reading)\s*!*\s*
    | (?:end|this\s+(?:concludes|completes|ends))\s+(?:of\s+)?(?:the\s+|this\s+)?
        (?:section|chapter|draft|document)\b.{0,80}
    | (?:to\s+be\s+)?continued(?:\s+in\s+the\s+next\s+\w+)?[.…]*[)\]]?
    | (?:approximate\s+)?(?:word|line)\s+count\s*[:：].{0,40}
    | 希望(?:这|以上|本|上述|它|能|对).{0,30}(?:帮助|有用|满意|要求|需求).*
    | 如(?:果|需|有|您|你).{0,40}(?:告诉我|告知我?|随时|提问|联系我|请说|提出|让我知道|与我).*
    | 请(?:随时)?(?:告诉|告知|联系|让)我.*
    | (?:需要|要不要|是否需要).{0,10}我.{0,30}[吗？?]+.*
    | 如需(?:进一步|更多|继续).{0,40}
    | [全本]?[文章节](?:正文)?(?:完|结束|到此结束|内容完)[。!！]*[)）\]]?
    | （?未完待续[…。.]*）?
    )[\s*_]*$""",
    re.DOTALL,
)
_THINK = re.compile(r"\s*<(think|thinking|reasoning)>.*?</\1>[ \t]*(?:\r?\n)*", re.DOTALL)
_THINK_OPEN = re.compile(r"\s*<(think|thinking|reasoning)>")


TAIL = 1000
"""The letters at a paragraph's end in which the leave-taking is looked for first."""


@lru_cache(maxsize=64)
def sentences(text: str) -> tuple[str, ...]:
    """A paragraph cut after each sentence end or colon; joined they are the paragraph again."""
    return tuple(_sentences(text))


def _sentences(text: str) -> Iterator[str]:
    at = 0
    for end in _END.finditer(text):
        yield text[at : end.end()]
        at = end.end()
    if at < len(text):
        yield text[at:]


def is_preamble(sentence: str) -> bool:
    """Whether this announces the text instead of being it."""
    return len(sentence) <= 400 and bool(_PREAMBLE.match(sentence))


def is_sign_off(sentence: str) -> bool:
    """Whether this takes leave of the reader of the chat."""
    return len(sentence) <= 400 and bool(_SIGN_OFF.match(sentence))


def without_preamble(paragraph: str) -> str:
    """A paragraph less the announcing sentences it begins with; "" when there is nothing else."""
    at = 0
    for sentence in _sentences(paragraph):
        if not is_preamble(sentence):
            break
        at += len(sentence)
    return paragraph[at:].lstrip(" \t\r\n")


def without_sign_off(paragraph: str) -> str:
    """A paragraph less the leave-taking sentences it ends with; "" when there is nothing else."""
    if is_sign_off(paragraph):
        return ""
    begun = _tail_start(paragraph)
    every = [*sentences(paragraph[begun:])]
    if begun and is_sign_off(every[0]):
        begun, every = 0, [*sentences(paragraph)]
    while every and is_sign_off(every[-1]):
        every.pop()
    return (paragraph[:begun] + "".join(every)).rstrip()


def _tail_start(paragraph: str) -> int:
    """Where the last few sentences begin, 0 in a short paragraph: mostly none of them takes leave,
    and the others need not be looked at.
    """
    near = len(paragraph) - TAIL
    begun = _END.search(paragraph, near) if near > 0 else None
    return begun.end() if begun and begun.end() < len(paragraph) else 0


def without_thinking(answer: str) -> str:
    """An answer without the reasoning that some models put before it.

    Thinking that never ends leaves nothing: the answer proper did not begin.
    """
    while found := _THINK.match(answer):
        answer = answer[found.end() :]
    return "" if _THINK_OPEN.match(answer) else answer
