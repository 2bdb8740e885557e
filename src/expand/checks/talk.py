"""Check for what a model or a program says instead of text: refusals, error messages, chat, thinking, leaked prompts.

All is judged by whole passages or sentences outside of code and quotations: a book about language models quotes such
words. Where a sentence could be a book's own ("I cannot write this in C"), it has to speak of the text or of the model.
"""

import re
from collections.abc import Iterator

from expand.checks.finding import Finding, excerpt, finding
from expand.markdown import blocks, matching, sanitize, thinking
from expand.markdown.blocks import Inline

ERROR_CHARACTERS = 200
"""A longer paragraph tells of an error message and is none."""

_REFUSAL = matching.phrase("refusal")
_OF_ITSELF = matching.phrase("refusal-of-itself")
"""What a model says of itself is a refusal also in the middle of a passage."""
_ERROR = matching.phrase("error-text")
_CHAT = matching.phrase("chat")
_ROLE_HEADING = re.compile(r"(?i)(?:response|instructions?|assistant|human|user|input)\s*[:：]")
_ANNOUNCES = re.compile(r"[:：]\s*$")
_OF_THE_ANSWER = matching.phrase("of-the-answer")
"""What an announcement in the middle of a text has to say: a book announces its code, too."""


def talk(text: str, *, section: int) -> Iterator[Finding]:
    """Passages by which a model refuses, a program reports, or a model speaks to its user or to itself."""
    every = blocks.blocks(text)
    quoted = {line for block in every if block.kind == "quote" for line in range(block.start, block.end)}
    top = {block.start for block in every if block.kind == "paragraph"}
    shown = {block.start for block in every if block.kind in ("fence", "code", "list", "table")}
    taken = set()
    at = 0
    for removed in thinking.take_off(text)[1]:  # what would be taken off an answer
        at = max(text.find(removed.text, at), 0)
        line = text.count("\n", 0, at) + 1
        taken.add(line)
        yield finding("chat", section, line, f"{removed.what} stand in the text: {excerpt(removed.text)}")
    for block in every:
        if block.kind == "heading" and _ROLE_HEADING.fullmatch(block.title):
            taken.add(block.start + 1)
            message = f"a mark of a prompt stands in the text: {excerpt(block.title)}"
            yield finding("chat", section, block.start + 1, message)
    for paragraph in blocks.paragraphs(text):
        if paragraph.line in quoted or paragraph.line + 1 in taken:
            continue
        announces = bool(_ANNOUNCES.search(paragraph.text)) and not {paragraph.end, paragraph.end + 1}.isdisjoint(shown)
        for kind, what, words in _said(paragraph, announces):
            if kind != "error-text" or paragraph.line in top:
                yield finding(kind, section, paragraph.line + 1, f"{what}: {excerpt(words)}")
                break


def _said(paragraph: Inline, announces: bool) -> Iterator[tuple[str, str, str]]:
    """What a passage is, as kind, words for it, and the sentence; nothing for text."""
    prose = paragraph.prose.strip()
    if len(prose) <= ERROR_CHARACTERS and prose == paragraph.text.strip() and _ERROR.match(prose):
        yield "error-text", "an error message stands where text should be", prose
    for number, sentence in enumerate(matching.sentences(prose)):
        if (_REFUSAL if number == 0 else _OF_ITSELF).match(sentence if number else prose):
            yield "refusal", "a model refuses or apologises instead of writing", sentence
        if _CHAT.match(prose if number == 0 else sentence) or sanitize.is_sign_off(sentence):
            yield "chat", "a model speaks to its user or to itself", sentence
        if number == 0 and not announces and sanitize.is_preamble(prose) and _OF_THE_ANSWER.search(prose):
            yield "chat", "a model announces its answer", sentence
