"""Making a model's answer ready to stand under headings that are the tool's.

Works on the blocks of ``markdown.py``: what stands in fences, HTML and math is never taken for a
heading, a rule or talk. Lines that need no change survive byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from expand.markdown import blocks, chat_boilerplate, continuation, matching
from expand.markdown.blocks import Block, newline_of, rows

_WRAPPERS = ("markdown", "md", "mdx", "text", "")
_BOLD_LINE = re.compile(r"\s*(?:[-*+]\s+)?(\*\*|__)(?!\s)(.+?)(?<!\s)\1\s*[:：]?\s*$")
_FENCE_ROW = re.compile(r" {0,3}(`{3,}|~{3,})([^`\r\n]*)")
_BLANK = " \t\r\n"
_ROW_END = re.compile(r"\r\n?|\n")
_ATX = re.compile(r"( {0,3})(#{1,6})([ \t]+|(?=[\r\n]|$))(.*)", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?:;。！？：；…][\"'”’）)*_`]*\s*$")


def clean(
    answer: str,
    *,
    own_headings: Sequence[str],
    body_level: int,
    inside: str | None = None,
    cut: bool = False,
) -> str:
    """An answer made ready to stand under headings that are the tool's.

    Dropped: thinking, a greeting before and an offer after the text, a ```markdown fence around
    all of it, copies of ``own_headings`` (numbered or not, bold lines, any level), rules at the
    ends, numbers in front of headings. The shallowest heading left gets ``body_level``, deeper
    ones follow, 6 at most. ``inside`` is the open fence that the answer continues, as
    ``markdown.open_fence`` names it. ``cut`` says that the answer ended in the middle: then its
    end stays as it is. Otherwise it ends in exactly one newline; nothing left is "".
    Cleaning twice is cleaning once.
    """
    text = chat_boilerplate.without_thinking(answer)
    opening = ""
    if inside is not None and continuation.continues(text, inside):
        opening = f"{inside}\n"
        text = opening + continuation.reopened(text, inside)
    keys = {key for heading in own_headings if (key := matching.title_key(heading))}
    before = None
    while text != before:  # ends: each pass takes something away or finds all in order
        before = text
        unwrapped = text if opening else _unwrap(text, keys)
        text = _one_pass(unwrapped, keys, body_level, cut)
    return text.removeprefix(opening)


def bare(answer: str, titles: Sequence[str]) -> str:
    """An answer without thinking and without a fence around all of it; else as it is."""
    text = chat_boilerplate.without_thinking(answer)
    inner = _without_preamble(_trim(text, cut=True))
    unwrapped = _unwrap(inner, {matching.title_key(title) for title in titles})
    return text if unwrapped == inner else unwrapped


def _one_pass(text: str, keys: set[str], body_level: int, cut: bool) -> str:
    text = _without_preamble(_trim(text, cut))
    text = _without_own_headings(text, keys)
    text = _without_edge_rules(text, cut)
    if not cut:
        text = _without_sign_off(text)
    return _trim(_with_levels(_loosened(text), body_level), cut)


def _trim(text: str, cut: bool) -> str:
    """Without blank lines at the ends; one newline at the end unless the text was cut."""
    begun = text[_solid_start(text) :]
    if cut and blocks.open_fence(text) is not None:
        return begun
    solid = len(begun.rstrip(_BLANK))
    if not solid:
        return ""
    ending = _ROW_END.search(begun, solid)
    if ending is None or (cut and ending.end() == len(begun)):
        return begun if cut else begun + newline_of(text)
    return begun[: ending.start()] + newline_of(text)


def _solid_start(text: str) -> int:
    """Where the first line begins that is not blank."""
    first = len(text) - len(text.lstrip(_BLANK))
    if first == len(text):
        return first
    return max(text.rfind("\n", 0, first), text.rfind("\r", 0, first)) + 1


def _replaced(text: str, start: int, end: int, new: str) -> str:
    """The text with the lines ``[start, end)`` replaced."""
    lines = rows(text)
    return "".join((*lines[:start], new, *lines[end:]))


def _unwrap(text: str, keys: set[str]) -> str:
    """Without a fence that holds the whole answer as Markdown."""
    begun = _solid_start(text)
    opening = _FENCE_ROW.match(text, begun)
    if opening is None or blocks.language_of(opening[2]) not in _WRAPPERS:
        return text
    lines = rows(text[begun:])
    end = _wrapper_end(lines, opening[1])
    inner = "".join(lines[1:end])
    rest = "" if end is None else "".join(lines[end + 1 :])
    if rest.strip() and chat_boilerplate.without_sign_off(rest.strip()):
        return text
    named = blocks.language_of(opening[2]) in ("markdown", "md", "mdx")
    titled = any(matching.title_key(block.title) in keys for block in blocks.headings(inner)[:1])
    return inner if named or titled else text


def _wrapper_end(lines: list[str], marker: str) -> int | None:
    """The line that closes the fence that the first one opens, where fences inside it nest."""
    depth = 0
    for number, row in enumerate(lines):
        found = _FENCE_ROW.match(row)
        if found is None or found[1][0] != marker[0]:
            continue
        if found[2].strip() or number == 0:
            depth += 1
        elif depth > 1 or len(found[1]) >= len(marker):
            depth -= 1
            if depth == 0:
                return number
    return None


def _without_preamble(text: str) -> str:
    every = blocks.blocks(text)
    if not every or every[0].kind != "paragraph":
        return text
    first = every[0]
    kept = chat_boilerplate.without_preamble(first.text)
    if kept == first.text.lstrip(" \t") or (not kept and _announces_code(every)):
        return text
    return _replaced(text, first.start, first.end, kept + newline_of(text) if kept else "")


def _announces_code(every: Sequence[Block]) -> bool:
    """Whether "Here is the section …:" stands right before a block of code, and so may mean it."""
    following = every[1] if len(every) > 1 else None
    return (
        following is not None
        and following.kind in ("fence", "code")
        and following.language not in _WRAPPERS[:3]
        and not re.match(r"(?i)\s*(?:sure|certainly|of course|当然|好的)", every[0].text)
    )


def _without_sign_off(text: str) -> str:
    every = blocks.blocks(text)
    if not every or every[-1].kind != "paragraph":
        return text
    last = every[-1]
    kept = chat_boilerplate.without_sign_off(last.text)
    if kept == last.text.rstrip():
        return text
    return _replaced(text, last.start, last.end, kept + newline_of(text) if kept else "")


def standing_title(block: Block) -> str:
    """What a block says if it is a title: a heading, a bold line, a numbered line alone."""
    if block.kind == "heading":
        return block.title
    if block.end - block.start != 1 or block.kind not in ("paragraph", "list"):
        return ""
    bold = _BOLD_LINE.match(block.text)
    if bold:
        return bold[2]
    return block.text if block.kind == "paragraph" or re.match(r"\d", block.text) else ""


def _is_own(title: str, keys: set[str]) -> bool:
    bare = re.sub(r"^[\s*_]*\d+(?:\.\d+)*\s+", "", title)
    return matching.title_key(title) in keys or matching.title_key(bare) in keys


def _without_own_headings(text: str, keys: set[str]) -> str:
    """Copies of the tool's headings are dropped: at the start in any form, later as headings."""
    every = blocks.blocks(text)
    leading = True
    doomed: list[Block] = []
    for block in every:
        if leading and block.kind == "rule":
            continue
        title = standing_title(block) if leading or block.kind == "heading" else ""
        if title and _is_own(title, keys):
            doomed.append(block)
        else:
            leading = False
    for block in reversed(doomed):
        text = _replaced(text, block.start, block.end, "")
    return text


def _without_edge_rules(text: str, cut: bool) -> str:
    every = blocks.blocks(text)
    if every and every[-1].kind == "rule" and not cut:
        text = _replaced(text, every[-1].start, every[-1].end, "")
        every = every[:-1]
    if every and every[0].kind == "rule":
        text = _replaced(text, every[0].start, every[0].end, "")
    return text


def _is_accident(block: Block) -> bool:
    """Whether an underlined heading is prose with a rule right below it."""
    return (
        block.setext
        and block.text.rstrip().endswith("-")
        and (len(block.title) > 80 or "\n" in block.title or bool(_SENTENCE_END.search(block.title)))
    )


def _loosened(text: str) -> str:
    """Prose that a rule right below would make a heading gets the blank line that was meant."""
    for block in reversed(blocks.headings(text)):
        if _is_accident(block):
            text = _replaced(text, block.end - 1, block.end - 1, newline_of(text))
    return text


def _with_levels(text: str, body_level: int) -> str:
    every = blocks.headings(text)
    if not every:
        return text
    shift = body_level - min(block.level for block in every)
    for block in reversed(every):
        level = min(6, max(1, block.level + shift))
        title = matching.unnumbered(block.title)
        if level == block.level and title == block.title:
            continue
        text = _replaced(text, block.start, block.end, _heading_row(block, level, title, text))
    return text


def _heading_row(block: Block, level: int, title: str, text: str) -> str:
    last = rows(text)[block.end - 1]
    ending = last[len(last.rstrip("\r\n")) :]
    found = None if block.setext else _ATX.match(block.text)
    if found and title == block.title:
        return f"{found[1]}{'#' * level}{found[3]}{found[4]}{ending}"
    return f"{'#' * level} {' '.join(title.split())}{ending}"
