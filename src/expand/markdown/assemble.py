"""Assemble a text from a model's answers: join continuations, close what is open, split by topic.

A model that was cut goes on in the middle of a word, opens its fence again, says its last lines
again, or begins a new paragraph, and nothing in its answer tells which. ``join`` decides from the
two texts alone. What is said twice is dropped; nothing else is. No function raises on any text.
"""

# ruff: noqa: SIM905 - words are easier to read than a list of strings
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from expand.markdown import blocks, code, cuts, matching, sanitize
from expand.markdown.blocks import Block, is_blank, newline_of, rows
from expand.markdown.sanitize import ANY_FENCE_ROW, clean, continues_fence, fence_language, without_reopening

__all__ = [
    "by_topic",
    "clean",
    "close",
    "extend",
    "join",
    "split_by_topics",
    "summary_of_sections",
    "without_duplicate_lines",
]

OVERLAP_LINES = 400
"""Lines at the end of a text that its continuation may say again."""
OVERLAP_CHARACTERS = 12
"""Characters that repeated lines must have together; a lone bracket repeats by chance."""
OVERLAP_LETTERS = 3
"""A single repeated line must have more different characters than this: ``-----`` has one."""
PIECE_WEIGHT = {True: 12, False: 8}
"""What a repeated piece of a line must weigh, after a whole line (True) and after a cut one. A
Latin character weighs 1, a Chinese one 2."""
WRAPPED_LINE = 15
"""A Chinese line of so many characters that ends in no full stop was wrapped; a shorter one is a
heading or a label, and the next line begins anew."""
LETTERS_OF_SHORT_WORDS = 2
MOST_LETTERS_WITHOUT_VOWEL = 4
"""A longer piece without a vowel is an identifier, such as ``strncpy``."""
SAME_TITLE = 0.72
"""The likeness from which a heading is a topic's."""
SAME_BOLD_TITLE = 0.95
"""The likeness from which a bold line alone is a topic's heading: it may as well be emphasis."""
NUMBER_BONUS = 0.25
"""Likeness added where a heading has a topic's number, so that a free wording is recognised."""
SUMMARY_LINES = 10
"""Lines of a section's summary."""
SUMMARY_COLUMNS = 160
"""Characters of each line of it."""

_SHORT_WORDS = frozenset(  # a cut piece that is one of these may be a whole word
    (
        "a i am an as at be by do go he hi id if in io is it js me my no of ok on op or os so to tv ui up us vs we "
        "c d k n r x y cd cp db fd gb gc hz ip kb ls mb ms mv ns pc pi px qa rm tb tx rx ui vm"
    ).split()
)
_RAW_HTML = re.compile(r" {0,3}<(!--|\?|!\[CDATA\[|(?:pre|script|style|textarea)(?=[\s>]|$))", re.IGNORECASE)
_RAW_ENDS = {"!--": "-->", "?": "?>", "![cdata[": "]]>"}
_BLOCK_START = re.compile(r" {0,3}(?:#{1,6}\s|[-*+]\s|\d{1,9}[.)]\s|>|\||`{3}|~{3}|<|\$\$|\[|!\[|\*\*|__)")
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")
_SENTENCE_END = re.compile(r"(?:[.!?:;。！？：；…][\"'”’）)*_`]*|\*\*|__|[|>`])\s*$")


def extend(
    before: str,
    answer: str,
    *,
    own_headings: Sequence[str],
    body_level: int,
    cut: bool = False,
) -> str:
    """``before`` continued by an answer, cleaned in the place where it stands.

    ``before`` is what the earlier answers came to, cleaned with ``cut=True`` if the last of them was cut; ``cut`` says
    the same of this one. Headings of the answer keep their distance to each other and none gets above ``body_level``.
    """
    inside = blocks.open_fence(before)
    answer, _ = sanitize.bare(answer, inside=inside)
    # The answer is prose although the text ends in a block of code: the model considers the block finished. Close it
    # first, or the prose would become code.
    if inside is not None and not continues_fence(answer, inside):
        before, inside = close(before), None
    # Cleaned before it is joined, and knowing where it will stand. Cleaned afterwards, greetings and headings inside an
    # open block of code would be taken off although they belong to it.
    more = clean(answer, own_headings=own_headings, body_level=body_level, inside=inside, cut=cut)
    return join(before, more)


def join(before: str, more: str) -> str:
    """``before`` and its continuation as one text.

    An open fence goes on in ``more``; lines and the piece of a line that ``more`` repeats are dropped; a sentence cut
    in the middle goes on in its line; items and rows stay together; all else begins a new block after one blank line. A
    ``before`` without a newline at its end was cut there.
    """
    if not before.strip():
        return more
    if not more.strip():
        return before
    if re.search(r"(?:^|[\r\n])[ \t>]*(?:`{1,2}|~{1,2})$", before) and more[0] == before[-1]:
        # A marker of one or two backticks opens nothing yet, so no parser sees a fence here. Only the same character at
        # the start of the answer shows what was meant.
        return before + more  # cut within a fence's marker
    fence = blocks.open_fence(before)
    if fence is not None:
        if not continues_fence(more, fence):
            # Strip what is blank before the closing marker, or each such join leaves an empty line in the code.
            newline = newline_of(before)
            closing = blocks.closing_fence(before) or ""
            return _joined_prose(f"{before.rstrip()}{newline}{closing}{newline}", more)
        return _joined_code(before, without_reopening(more, fence), fence_language(fence))
    return _joined_prose(before, more)


def _overlap(before: list[str], more: list[str]) -> int:
    """How many lines of ``more`` say again how ``before`` ends; blank lines do not matter.

    The last of them may complete the last line of ``before``. An overlap of little text, such as
    a lone bracket, is none.
    """
    # Blank lines are left out, because models repeat a passage with other spacing. A bound, because the comparison
    # takes time that grows with the square; models repeat their last lines, not their first.
    tail = [row.strip() for row in before[-OVERLAP_LINES:] if not is_blank(row)]
    head = [(number, row.strip()) for number, row in enumerate(more) if not is_blank(row)]
    # The longest overlap first: in "a b a" + "a b a c" the shorter ones are chance.
    for size in range(min(len(tail), len(head)), 0, -1):
        ours = tail[-size:]
        theirs = [row for _, row in head[:size]]
        # Only the last line may have been cut, so only there is a beginning enough.
        if ours[:-1] != theirs[:-1] or not theirs[-1].startswith(ours[-1]):
            continue
        if len("".join(ours)) >= OVERLAP_CHARACTERS and (size > 1 or len(set(ours[0])) > OVERLAP_LETTERS):
            return head[size - 1][0] + 1
    return 0


def _without_overlap(before: str, more: str) -> tuple[str, str, bool]:
    """Both texts without what they have in common, and whether there was something."""
    ours, theirs = rows(before), rows(more)
    size = _overlap(ours, theirs)
    if not size:
        return before, more, False
    while is_blank(ours[-1]):  # the overlap was found behind blank lines, so it is joined there
        ours.pop()
    # The text was cut within this line and the answer says all of it. Keep our beginning and add what is new of theirs,
    # since indentation may differ between the two.
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
    # Lines that were repeated, or a line that was whole, decide it: the answer begins on a line of its own.
    if overlapped or before.endswith(("\n", "\r")) or not more:
        return before + more
    newline = newline_of(before)
    first, last = rows(more)[0], rows(before)[-1]
    # A marker can only stand at the start of a line. On the end of another it would be text, and the block would run on
    # to the end of the draft.
    if ANY_FENCE_ROW.match(first):
        return before + newline + more
    indent = first[: len(first) - len(first.lstrip(" \t"))]
    if is_blank(last):
        # Cut within an indentation. The answer goes on with it, or begins the line again: again
        # where its own indentation includes what is there and some line before has the same.
        known = any(re.match(rf"{indent}\S", row) for row in rows(before)[-OVERLAP_LINES:])
        again = known and indent.startswith(last)
        return before[: len(before) - len(last)] + more if again else before + more
    # Cut within a line or at its end? The parser decides where only one of both ways parses, as
    # "x = 1" + "y = 2" does. Where both do or none does (the block is still open), the letters
    # decide: a statement that ended, or an indented line, is followed by a new line.
    # Asking the parser rather than guessing: `return` + `x` and `x = 1` + `y = 2` look alike to a rule about letters.
    same_line, new_line = before + more, before + newline + more
    parsing = [way for way in (same_line, new_line) if _last_block_parses(way, len(before), language)]
    if len(parsing) == 1:
        return parsing[0]
    ended = last.rstrip().endswith((";", "}")) and re.match(r"[\w#/@{}]", first)
    return new_line if first.strip() and (len(indent) > 1 or ended) else same_line


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
    # Before the search for shared pieces: items of a list often begin with the same words, and that is no repetition.
    if _is_one_list_or_table(before, last, first):
        return before.rstrip("\r\n") + newline + first
    # Whole lines were repeated: the answer began at a line's start, so its first new line is one.
    if not overlapped:
        # After a whole line a short piece in common is chance ("The kernel …" twice in a row).
        shared = _shared_piece(last, lines[0], PIECE_WEIGHT[before.endswith(("\n", "\r"))])
        if shared:
            return before.rstrip(" \t\r\n") + lines[0][shared:] + "".join(lines[1:])
        if _goes_on(before, last, more):
            return _on_one_line(before, more)
        # The answer begins anew where the text was cut: half a sentence, half a word would stand in front of it.
        if not before.endswith(("\n", "\r")):
            before = cuts.without_fragment(before)
    return before.rstrip("\r\n") + newline * 2 + first


def _is_one_list_or_table(before: str, last: str, more: str) -> bool:
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
    for size in range(min(len(last), len(first)), 0, -1):
        piece = first[:size]
        weight = sum(2 if matching.is_cjk(character) else 1 for character in piece)
        if weight >= least and last.endswith(piece):
            # "he cat" + "the cat": a Latin piece has to begin where a word does
            # A shorter piece within the same word would be chance too, so the search ends here.
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
    # A full stop, a blank line or a new block: then the model began a paragraph. The default is a new paragraph, since
    # two that became one are harder to see in a review than one that became two.
    ended = _SENTENCE_END.search(last) or before.endswith(("\n\n", "\r\n\r\n"))
    if ended or is_blank(rows(more)[0]) or _BLOCK_START.match(stripped):
        return False
    if stripped[0].islower() or stripped[0] in ",.;:)，。；：、）！？!?":
        return True
    if matching.is_cjk(stripped[0]):
        # Chinese has no capitals to tell a new sentence by, so the line before has to look wrapped.
        return cut or (len(last.strip()) >= WRAPPED_LINE and matching.is_cjk(last.strip()[-1]))
    return cut and not stripped[0].isupper()


def _on_one_line(before: str, more: str) -> str:
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
    # "cu" + "t", "th" + "read": a piece of one or two letters, or without a vowel, that is no word by itself.
    if any(_is_no_word(piece[0].lower()) for piece in (left, right)):
        return True
    # "ker" + "nel": "kernel" stands elsewhere and "ker" alone does not. Joining on the dictionary of
    # the text errs towards a space, which a reader sees and mends more easily than a missing one.
    whole = re.compile(rf"\b{re.escape(left[0] + right[0])}\b", re.IGNORECASE)
    alone = re.compile(rf"\b{re.escape(left[0])}\b", re.IGNORECASE)
    elsewhere = before[: left.start()] + "\n" + more[right.end() :]
    return bool(whole.search(elsewhere)) and not alone.search(elsewhere)


def _is_no_word(piece: str) -> bool:
    if not piece.isascii() or len(piece) > MOST_LETTERS_WITHOUT_VOWEL:
        return False
    return piece not in _SHORT_WORDS if len(piece) <= LETTERS_OF_SHORT_WORDS else not set(piece) & set("aeiouy")


def close(text: str) -> str:
    """The text with the fence or raw HTML closed in which it ends; else as it is.

    Raw HTML is what runs on over blank lines: a comment, ``<pre>``, ``<script>`` and their like.
    """
    # A loop: a fence may be open within raw HTML, and closing one shows the other.
    while (closing := blocks.closing_fence(text) or _html_end(text)) is not None:
        newline = newline_of(text)
        text = text + ("" if text.endswith(("\n", "\r")) else newline) + closing + newline
    return text


def without_duplicate_lines(text: str) -> str:
    """The text without the lines of a paragraph or list that say the very line above them again."""
    lines = rows(text)
    stripped = [row.strip() for row in lines]
    # Neighbouring lines only. A line that returns further down may be a refrain, a table's value or a code example;
    # `checks/repeats.py` reports it, and a person decides.
    again = [number for number, (one, other) in enumerate(pairwise(stripped), 1) if one == other and one]
    duplicates = {
        number
        for block in blocks.blocks(text)
        if block.kind in ("paragraph", "list")
        for number in again
        if block.start < number < block.end
    } - {number for fence in blocks.fences(text) for number in range(fence.start, fence.end)}
    return "".join(row for number, row in enumerate(lines) if number not in duplicates)


def _html_end(text: str) -> str | None:
    """What ends the raw HTML in which a text ends, None where it ends in none."""
    last = blocks.blocks(text)[-1:]
    opening = _RAW_HTML.match(last[0].text) if last and last[0].kind == "html" else None
    if opening is None:
        return None
    tag = opening[1].lower()
    end = _RAW_ENDS.get(tag, f"</{tag}>")
    return None if end in last[0].text[opening.end() :].lower() else end


def split_by_topics(answer: str, titles: Sequence[str]) -> tuple[str, dict[int, str]]:
    """The text before any recognised heading, and the text under each, by index of its title.

    A heading is recognised when it is like a title (number, case, punctuation and what stands in
    brackets aside), a bold line alone when it is the title. A title met twice gets both texts.
    Thinking and a fence around the whole answer are taken off first.
    """
    answer = sanitize.unwrapped(answer, titles)
    lines = rows(answer)
    parts: list[tuple[int | None, int, int]] = [(None, 0, 0)]
    for block in blocks.blocks(answer):
        index = _topic(block, titles)
        if index is not None:
            parts.append((index, block.start, block.end))
    found: dict[int, str] = {}
    head = ""
    for place, (index, _, body) in enumerate(parts):
        stop = parts[place + 1][1] if place + 1 < len(parts) else len(lines)
        text = "".join(lines[body:stop])
        if index is None:
            head = text
        else:
            found[index] = found.get(index, "") + text
    return head, found


def _topic(block: Block, titles: Sequence[str]) -> int | None:
    title = sanitize.standing_title(block)
    if not title or not titles:
        return None
    # By likeness, since models renumber, shorten and translate headings. By equality, most answers for several topics
    # would be taken for the text of the first one.
    scores = matching.likenesses(title, titles)
    is_heading = block.kind == "heading"
    number = re.match(r"[\s*_]*(?:\d+\.)+(\d{1,9})\b", title)
    if is_heading and number and 0 < int(number[1]) <= len(titles):
        scores[int(number[1]) - 1] += NUMBER_BONUS
    # A heading below the threshold stays in the text as a heading of the model's own. Dropping it could drop the only
    # thing that structures the answer.
    best = max(scores)
    return scores.index(best) if best >= (SAME_TITLE if is_heading else SAME_BOLD_TITLE) else None


def summary_of_sections(texts: Sequence[str]) -> str:
    """For each section its headings, and the beginning of the first paragraph under each."""
    return "\n".join(line for text in texts for line in _summary(text))


def by_topic(text: str, topics: Sequence[str]) -> Mapping[int, str]:
    """The text of a section by topic index; without topics, all of it under 0."""
    heading, _, body = text.partition("\n")
    if not topics:
        return {0: body} if heading else {}
    _, found = split_by_topics(body, topics)
    return found


def _summary(text: str) -> list[str]:
    lines: list[str] = []
    wants_paragraph = False
    for block in blocks.blocks(text):
        if block.kind == "heading":
            lines.append(f"{'#' * block.level} {block.title}")
            wants_paragraph = True
        elif block.kind == "paragraph" and wants_paragraph:
            lines.append(" ".join(block.text.split())[:SUMMARY_COLUMNS])
            wants_paragraph = False
    return lines[:SUMMARY_LINES]
