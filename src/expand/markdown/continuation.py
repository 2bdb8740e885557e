"""Joining a text and its continuation where the first one stopped.

A model that was cut goes on in the middle of a word, opens its fence again, says its last lines
again, or begins a new paragraph. What it says twice is dropped; nothing else is.
"""

# ruff: noqa: SIM905 - words are easier to read than a list of strings
from __future__ import annotations

import re

from expand.markdown import blocks, chat_boilerplate, code, matching
from expand.markdown.blocks import is_blank, newline_of, rows

_REACH = 400
"""Lines at the end of the text that a continuation may say again."""
_FENCE_ROW = re.compile(r"[ \t>]*(`{3,}|~{3,})([^`\r\n]*)")
_BLOCK_START = re.compile(r" {0,3}(?:#{1,6}\s|[-*+]\s|\d{1,9}[.)]\s|>|\||`{3}|~{3}|<|\$\$|\[|!\[|\*\*|__)")
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")
_SENTENCE_END = re.compile(r"(?:[.!?:;。！？：；…][\"'”’）)*_`]*|\*\*|__|[|>`])\s*$")
_HASH_COMMENTS = frozenset(  # the languages in which ## is a comment
    "python py bash sh shell zsh fish yaml yml toml ruby rb perl r make makefile dockerfile ini "
    "conf markdown md text txt console".split()
)


def continues(more: str, fence: str) -> bool:
    """Whether ``more`` goes on inside the open ``fence`` instead of turning to a new block.

    A bare closing line comes first, or the same fence is opened again: it goes on. Another
    fence is opened first: it does not. With no fence line at all only a heading turns away.
    """
    marker = fence[: len(fence) - len(fence.lstrip("`~"))]
    for row in rows(more):
        found = _FENCE_ROW.match(row)
        if found is None or found[1][0] != marker[0]:
            continue
        if not found[2].strip():
            return len(found[1]) >= len(marker)
        return reopened(more, fence) != more
    first = next((row for row in rows(more) if not is_blank(row)), "")
    return _language(fence) in _HASH_COMMENTS or not re.match(r" {0,3}#{2,6}\s+\S", first)


def reopened(more: str, fence: str) -> str:
    """A continuation of an open fence without the fence line with which it opens it again."""
    lines = rows(more)
    solid = [number for number, row in enumerate(lines) if not is_blank(row)]
    for number in solid[:3]:
        found = _FENCE_ROW.match(lines[number])
        if found is not None:
            same = found[2].strip() and blocks.language_of(found[2]) == _language(fence)
            return "".join(lines[number + 1 :]) if same else more
        if not chat_boilerplate.is_preamble(lines[number].strip()):
            break
    return more


def _language(fence: str) -> str:
    return blocks.language_of(fence.lstrip("`~"))


def join(before: str, more: str) -> str:
    """``before`` and its continuation as one text.

    An open fence goes on in ``more``; lines and the piece of a line that ``more`` repeats are
    dropped; a sentence cut in the middle goes on in its line; items and rows stay together; all
    else begins a new block after one blank line. A ``before`` without a newline at its end was
    cut there.
    """
    if not before.strip():
        return more
    if not more.strip():
        return before
    if re.search(r"(?:^|[\r\n])[ \t>]*(?:`{1,2}|~{1,2})$", before) and more[0] == before[-1]:
        return before + more  # cut within a fence's marker
    fence = blocks.open_fence(before)
    if fence is not None:
        if not continues(more, fence):
            newline = newline_of(before)
            closing = blocks.closing_fence(before) or ""
            return _joined_prose(f"{before.rstrip()}{newline}{closing}{newline}", more)
        return _joined_code(before, reopened(more, fence), _language(fence))
    return _joined_prose(before, more)


def _overlap(before: list[str], more: list[str]) -> int:
    """How many lines of ``more`` say again how ``before`` ends; blank lines do not matter.

    The last of them may complete the last line of ``before``. An overlap of little text, such as
    a lone bracket, is none.
    """
    tail = [row.strip() for row in before[-_REACH:] if not is_blank(row)]
    head = [(number, row.strip()) for number, row in enumerate(more) if not is_blank(row)]
    for size in range(min(len(tail), len(head)), 0, -1):
        ours = tail[-size:]
        theirs = [row for _, row in head[:size]]
        if ours[:-1] != theirs[:-1] or not theirs[-1].startswith(ours[-1]):
            continue
        if len("".join(ours)) >= 12 and (size > 1 or len(set(ours[0])) > 3):
            return head[size - 1][0] + 1
    return 0


def _without_overlap(before: str, more: str) -> tuple[str, str, bool]:
    """Both texts without what they have in common, and whether there was something."""
    ours, theirs = rows(before), rows(more)
    size = _overlap(ours, theirs)
    if not size:
        return before, more, False
    while is_blank(ours[-1]):
        ours.pop()
    last, repeated = ours[-1].rstrip(), theirs[size - 1]
    if repeated.strip() != last.strip():
        completed = repeated.strip()[len(last.strip()) :]
        ending = repeated[len(repeated.rstrip()) :]
        ours[-1] = last + completed.rstrip() + ending
    elif not ours[-1].endswith(("\n", "\r")):
        ours[-1] += newline_of(before + more)
    return "".join(ours), "".join(theirs[size:]), True


def _joined_code(before: str, more: str, language: str) -> str:
    before, more, overlapped = _without_overlap(before, more)
    if overlapped or before.endswith(("\n", "\r")) or not more:
        return before + more
    newline = newline_of(before)
    first, last = rows(more)[0], rows(before)[-1]
    if _FENCE_ROW.match(first):
        return before + newline + more
    indent = first[: len(first) - len(first.lstrip(" \t"))]
    if is_blank(last):  # cut within an indentation: gone on with, or begun again
        known = any(re.match(rf"{indent}\S", row) for row in rows(before)[-_REACH:])
        again = known and indent.startswith(last)
        return before[: len(before) - len(last)] + more if again else before + more
    ways = (before + more, before + newline + more)
    parsing = [way for way in ways if _last_block_parses(way, len(before), language)]
    if len(parsing) == 1:
        return parsing[0]
    ended = last.rstrip().endswith((";", "}")) and re.match(r"[\w#/@{}]", first)
    return ways[1] if first.strip() and (len(indent) > 1 or ended) else ways[0]


def _last_block_parses(text: str, place: int, language: str) -> bool:
    """Whether the code block in which ``place`` lies is closed and parses."""
    line = text.count("\n", 0, place)
    return any(
        block.closed and code.broken_code(language, block.code) is None
        for block in blocks.fences(text)
        if block.start < line < block.end
    )


def _joined_prose(before: str, more: str) -> str:
    before, more, overlapped = _without_overlap(before, more)
    newline = newline_of(before)
    lines = rows(more)
    while lines and is_blank(lines[0]) and len(lines) > 1:
        lines.pop(0)
    first = "".join(lines)
    if not first.strip():
        return before
    last = rows(before.rstrip(" \t\r\n"))[-1]
    if _together(before, last, first):
        return before.rstrip("\r\n") + newline + first
    least = 12 if before.endswith(("\n", "\r")) else 8
    shared = 0 if overlapped else _shared_piece(last, lines[0], least)
    if shared:
        return before.rstrip(" \t\r\n") + lines[0][shared:] + "".join(lines[1:])
    if not overlapped and _goes_on(before, last, more):
        return _glued(before, more)
    return before.rstrip("\r\n") + newline * 2 + first


def _together(before: str, last: str, more: str) -> bool:
    """Whether both sides are of one list or of one table and must not be parted."""
    if before.endswith(("\n\n", "\r\n\r\n")):
        return False
    if last.lstrip().startswith("|") and last.rstrip().endswith("|"):
        return more.lstrip().startswith("|")
    ours, theirs = blocks.blocks(before)[-1:], blocks.blocks(more)[:1]
    if not ours or not theirs or ours[0].kind != "list":
        return False
    return theirs[0].kind == "list" or (theirs[0].kind == "code" and bool(_LIST_ITEM.match(theirs[0].text)))


def _shared_piece(last: str, first: str, least: int) -> int:
    """How many characters of ``first`` repeat the end of ``last``; a Chinese one counts twice."""
    last, first = last.rstrip(), first.rstrip()
    for size in range(min(len(last), len(first)), 3, -1):
        piece = first[:size]
        weight = sum(2 if matching.is_cjk(character) else 1 for character in piece)
        if weight >= least and last.endswith(piece):
            at_word = size == len(last) or not (last[-size - 1].isalnum() and piece[0].isascii())
            return size if at_word else 0
    return 0


def _goes_on(before: str, last: str, more: str) -> bool:
    """Whether ``more`` continues the sentence in which ``before`` stops."""
    tail = blocks.blocks(before)[-1:]
    if not tail or tail[0].kind not in ("paragraph", "list", "quote", "table"):
        return False
    cut = not before.endswith(("\n", "\r"))
    if tail[0].kind == "table":
        return cut and not last.rstrip().endswith("|")
    stripped = more.lstrip()
    ended = _SENTENCE_END.search(last) or before.endswith(("\n\n", "\r\n\r\n"))
    if ended or is_blank(rows(more)[0]) or _BLOCK_START.match(stripped):
        return False
    if stripped[0].islower() or stripped[0] in ",.;:)，。；：、）！？!?":
        return True
    if matching.is_cjk(stripped[0]):
        return cut or (len(last.strip()) >= 15 and matching.is_cjk(last.strip()[-1]))
    return cut and not stripped[0].isupper()


def _glued(before: str, more: str) -> str:
    """Both on one line, with a space between two Latin words unless they are pieces of one."""
    body, more = before.rstrip("\r\n"), more.lstrip("\r\n")
    if body[-1].isspace():
        return body + more.lstrip(" \t")
    spaced = more[0].isspace() or not more[0].isalnum()
    unspaced_script = matching.is_cjk(body[-1]) or matching.is_cjk(more[0])
    if spaced or unspaced_script or _is_one_word(body, more):
        return body + more
    return f"{body} {more}"


def _is_one_word(before: str, more: str) -> bool:
    """Whether the cut fell inside a word: the two pieces make one that the text knows."""
    left = re.search(r"[^\W\d_]+$", before)
    right = re.match(r"[^\W\d_]+", more)
    if left is None or right is None:
        return left is None and not before[-1].isalnum() and before[-1] not in ",;"
    whole = re.compile(rf"\b{re.escape(left[0] + right[0])}\b", re.IGNORECASE)
    alone = re.compile(rf"\b{re.escape(left[0])}\b", re.IGNORECASE)
    elsewhere = before[: left.start()] + "\n" + more[right.end() :]
    return bool(whole.search(elsewhere)) and not alone.search(elsewhere)
