"""Assemble a section from a model's answers: split them by topic, close what is open, tell whether they were cut, join
what goes on from them. Nothing raises on any text.

``resume`` joins an answer to one that was cut. The request shows its end and asks for the last line once more, from its
start. An author does that, or starts the whole paragraph, item, table or block of code anew, or goes on right after the
last character. All three give the very text of an uncut answer: what is said again is found by its lines, and else the
two texts are one, character by character. Nothing is deleted on a guess: lines that may well stand there twice
(``</div>``, a closing bracket, a refrain) do so, and a place that can be read in two ways is returned to be reported.
``append`` adds a further answer to a text that is whole.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from expand.markdown import blocks, matching, sanitize
from expand.markdown.blocks import Block, is_blank, newline_of, rows
from expand.markdown.sanitize import ANY_FENCE_ROW

SAME_TITLE = 0.72
"""The likeness from which a heading is a topic's."""
SAME_BOLD_TITLE = 0.95
"""The likeness from which a bold line alone is a topic's heading: it may as well be emphasis."""


def close(text: str) -> str:
    """The text with the fence or raw HTML (a comment, ``<pre>`` and the like) closed in which it ends."""
    # A loop: a fence may be open within raw HTML, and closing one shows the other.
    while every := blocks.blocks(text):
        closing = blocks.closing_fence(text) or blocks.missing_html_end(every[-1])
        if not closing:
            break
        newline = newline_of(text)
        text = text + ("" if text.endswith(("\n", "\r")) else newline) + closing + newline
    return text


def split_by_topics(answer: str, titles: Sequence[str]) -> tuple[str, dict[int, str]]:
    """The text before any recognised heading, and the text under each, by index of its title.

    A heading is recognised when it is like a title (number, case, punctuation and what stands in
    brackets aside), a bold line alone when it is the title. A title met twice gets both texts.
    Thinking and a fence around the whole answer are taken off first."""
    answer = sanitize.unwrapped(answer)
    lines = rows(answer)
    topics = [(index, block) for block in blocks.blocks(answer) if (index := _topic(block, titles)) is not None]
    stops = [*(block.start for _, block in topics), len(lines)]
    found: dict[int, str] = {}
    for (index, block), stop in zip(topics, stops[1:], strict=True):
        found[index] = found.get(index, "") + "".join(lines[block.end : stop])
    return "".join(lines[: stops[0]]), found


def _topic(block: Block, titles: Sequence[str]) -> int | None:
    title = sanitize.standing_title(block)
    if not title or not titles:
        return None
    # By likeness, since models renumber, shorten and translate headings. By equality, most answers for several topics
    # would be taken for the text of the first one.
    scores = [matching.likeness(title, other) for other in titles]
    # A heading below the threshold stays in the text as a heading of the model's own. Dropping it could drop the only
    # thing that structures the answer.
    best = max(scores)
    return scores.index(best) if best >= (SAME_TITLE if block.kind == "heading" else SAME_BOLD_TITLE) else None


def by_topic(text: str, topics: Sequence[str]) -> Mapping[int, str]:
    """The text of a section by topic index; without topics, all of it under 0."""
    heading, _, body = text.partition("\n")
    if topics:
        return split_by_topics(body, topics)[1]
    return {0: body} if heading else {}


# --- whether a text was cut ---------------------------------------------------------------------------------
#
# Providers report ``stop`` for text that was cut, so its own words tell. A false alarm costs a purchase and a finding,
# so a text counts as cut only where its end is unlike the rest of it: an open bracket, a link or table row half
# written, a paragraph without the full stop that its other paragraphs have.

LEAST_WORDS = 6
"""Words of a last paragraph or list item from which its missing full stop says something."""
LEAST_CJK = 12
"""Characters of such a one in Chinese or Japanese."""
SIBLING_SHARE = 0.5
"""Of both, what a paragraph or item must have that the last one is compared with."""
LEAST_SIBLINGS = 2
"""Other paragraphs and items, and sentences of its own, that have to end in a full stop, all of them."""

_ENDED = re.compile(
    r"(?:[.!?:;。！？：；…」』】》）)\]\"'”’`*_|>~～$}]|\S+://\S+|www\.\S+|\S+@\S+\.\w+"
    "|[\u2600-\u27bf\U0001f000-\U0001faff][\ufe0f\u200d]?|[:;=][-']?[DPp3(]|([-=^])[,_.]\\1)\\s*$"
)
_GOES_ON = matching.phrase("goes-on")
_HALF = re.compile(r"!?\[[^\[\]\n]+\]\([^()\s]*$|(?<!`)`(?!`)[^`\n]*\w$|\*\*\w[^*\n]*\w$")
"""A link, a code span or bold words that end in the middle."""
_SPAN = re.compile(r"`[^`\n]*`|\*\*[^*\n]*\*\*")
_SENTENCE = re.compile(r"[.!?。！？…][\"'”’）)*_`]*(?=\s|$)|[。！？…][”’」』）]*")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s+")


def ends_in_the_middle(text: str) -> bool:
    """Whether a text ends in an open fence, a half table row or link, or in the middle of a sentence."""
    every, said = blocks.blocks(text), blocks.paragraphs(text)
    if blocks.open_fence(text) is not None:
        return True
    if not said or said[-1].end < every[-1].end:
        return bool(every) and every[-1].kind == "table" and _is_half_row(every[-1])
    last = said[-1].text
    if _HALF.search(_SPAN.sub("", last)):
        return True
    goes_on = _GOES_ON.search(last) is not None
    if _ENDED.search(last) or not _is_long(last, SIBLING_SHARE if goes_on else 1.0):
        return False
    others = [one.text for one in said[:-1] if _is_long(one.text, SIBLING_SHARE)]
    others += [last[: found.end()] for found in _SENTENCE.finditer(last)]
    return goes_on or (len(others) >= LEAST_SIBLINGS and all(map(_ENDED.search, others)))


def _is_half_row(table: Block) -> bool:
    """Whether a table ends in a row without the ``|`` that its other rows end in, or with fewer of them."""
    *others, last = (line.rstrip() for line in blocks.bare_rows(table.text))
    if not last.endswith("|"):
        return len(others) > 1 and all(line.endswith("|") for line in others)
    return len(others) > 1 and last.count("|") < min(line.count("|") for line in others)


def _is_long(piece: str, share: float = 1.0) -> bool:
    return matching.cjk_letters(piece) >= LEAST_CJK * share or len(piece.split()) >= LEAST_WORDS * share


# --- going on from a text -----------------------------------------------------------------------------------

OVERLAP_LINES = 400
"""Lines at the end of a text that its continuation may say again."""
OVERLAP_CHARACTERS = 12
"""Characters that repeated lines must have together; a lone bracket repeats by chance."""
OVERLAP_LETTERS = 3
"""What is said again must have more different characters than this: ``-----`` has one."""
PIECE_WEIGHT = 8
"""What a repeated piece of a line must weigh, or a line behind a blank one that is no paragraph's. A Latin character
weighs 1, a Chinese one 2."""
LINE_COLUMNS = 25
"""Characters from which a paragraph of one line is no refrain."""
WRAPPED_COLUMNS = 60
"""Characters from which a paragraph's line is wrapped prose and no verse."""
QUOTED = 32
"""Characters on each side of a doubtful place that are quoted."""

_NEW_BLOCK = re.compile(r" {0,3}(?:#{2,6}[ \t]+\S|[-*+][ \t]+\S|\d{1,9}[.)][ \t]+\S|(?:`{3,}|~{3,})[^`\r\n]*[\r\n])")
_SENTENCE_END = re.compile(r"\w\w[.!?:;][\"'”’)*_]*$")
_IN_NAME = re.compile(r"\]\([^)\s]*$|[\w`](?:[/_.:=<\\@-]+\w+|[/_=<\\@-]+|::)$")
"""Ends within a link's target or a name such as ``std::fs``."""
_WORD_BEFORE = re.compile(r"(?<![^\s(\"'“‘*_])[^\W\d_]+$")
_WORD_AFTER = re.compile(r"[^\W\d_]+")


class Joined(NamedTuple):
    """A text with its continuation. ``doubt`` quotes the end of the one and the start of the other where nobody can
    tell how they belong together; both are "" where it is certain."""

    text: str
    doubt: tuple[str, str] = ("", "")


def resume(before: str, more: str) -> Joined:
    """An answer that was cut and its continuation as one; both as they came, less thinking."""
    if not before.strip() or not more.strip():
        return Joined(before + more)
    fence = blocks.open_fence(sanitize.unwrapped(before))
    plain = sanitize.without_greeting(more) if fence is None else sanitize.without_reopening(more, fence)
    plain = plain.lstrip("\r\n") if plain != more else more
    doubtful = False
    for text in dict.fromkeys((more, plain)):
        again = _said_again(before, text, cut=True)
        if again is not None and again[2]:
            return Joined(before[: again[0]] + text[again[1] :])
        doubtful |= again is not None
    row = rows(before)[-1] if _is_half_marker(before) else ""
    if fence is not None and not sanitize.continues_fence(row + more, fence):
        newline = newline_of(before)
        ended = "" if before.endswith(("\n", "\r")) else newline
        between = ended + (blocks.closing_fence(before) or "") + newline * 2
        plain, doubtful = more.lstrip("\r\n"), True
    else:
        between, unclear = _between(before, plain, inside=fence is not None)
        doubtful |= unclear
    doubt = (before[-QUOTED:], plain[:QUOTED]) if doubtful else ("", "")
    return Joined(before + between + plain, doubt)


def append(before: str, more: str) -> str:
    """A whole text and a further answer, which begins a new block; lines at its start that the text ends in already are
    dropped. Items of one list and rows of one table stay together."""
    if not before.strip() or not more.strip():
        return before if before.strip() else more
    again = _said_again(before, more, cut=False)
    if again is not None and again[2]:
        return before[: again[0]] + more[again[1] :]
    body, more = before.rstrip("\r\n"), more.lstrip("\r\n")
    together = not re.search(r"(?:\n|\r\n?)(?:\r\n?|\n)$", before) and _is_one_list_or_table(body, more)
    return body + newline_of(before) * (1 if together else 2) + more


def _said_again(before: str, more: str, *, cut: bool) -> tuple[int, int, bool] | None:
    """Where the lines begin with which ``before`` ends and ``more`` starts, in both, and whether it is certain that
    they are the same ones; None where there are none.

    Blank lines do not matter, and the last of the lines may be half of one where the text was cut."""
    lines = rows(before)
    half = lines[-1] if cut and not before.endswith(("\n", "\r")) else ""
    at = len(before)
    ours: list[tuple[int, str]] = []
    for row in reversed(lines):
        at -= len(row)
        if not is_blank(row):
            ours.insert(0, (at, row.rstrip()))
    theirs = [row.rstrip() for row in rows(more) if not is_blank(row)]
    doubtful = None
    # The longest overlap first: in "a b a" + "a b a c" the shorter ones are chance.
    for size in range(min(len(ours), len(theirs), OVERLAP_LINES), 0, -1):
        mine, other = [row for _, row in ours[-size:]], theirs[:size]
        first = mine[0]
        mine[0], other[0] = first.lstrip(), other[0].lstrip()  # models drop a first line's indentation
        is_same = other[-1].startswith(mine[-1]) if half.strip() else other[-1] == mine[-1]
        if not is_same or other[:-1] != mine[:-1]:
            continue
        start = ours[-size][0]
        place = start + _indent(before[start:]), _indent(more)
        tells = len("".join(mine)) >= OVERLAP_CHARACTERS and len(set("".join(mine))) > OVERLAP_LETTERS
        if half:
            # Nothing but the line itself goes on in the middle of it as it began.
            row = rows(more)[0].rstrip()
            again = more.startswith(first) if half.strip() else row == first
            sure = tells or (again and _is_begun(first, more))
            if re.fullmatch(r"[|:\- \t]+", half + row):  # the line under a table's head has as many cells
                sure = row.count("|") == "".join(lines[-2:-1]).count("|")
        elif size == 1:
            if blocks.blocks(before)[-1].kind == "paragraph":
                ends = not cut or is_blank(lines[-1])
                sure = len(mine[0]) >= (LINE_COLUMNS if ends else WRAPPED_COLUMNS)
            else:  # lists, elements and parts of programs hardly begin with the same line twice
                begins = is_blank((rows(before[:start]) or [""])[-1])
                sure = bool(re.match(r"#{2,6}\s", mine[0])) or (cut and begins and _weighs(mine[0]))
        else:
            # Such as stand there twice already come a third time.
            sure = tells and [row for _, row in ours[-2 * size : -size]][1:] != mine[1:]
        if sure:
            return *place, True
        doubtful = doubtful or (*place, False)
    if half and not half.strip():
        # Cut within an indentation: the line is begun anew where its own is longer than what is there. A token takes
        # one blank at the most together with a word.
        indent = more[: _indent(more)].rpartition("\n")[2]
        again = indent.startswith(half) and (len(indent) > len(half) or half.endswith("\t"))
        return (len(before) - len(half), 0, True) if again else doubtful
    return (half and _piece_again(before, more)) or doubtful


def _is_begun(piece: str, more: str) -> bool:
    """Whether ``more``, which starts with it, begins the line anew of which only a short piece is there."""
    # Cuts fall between tokens, and so many marks in a row are one: "##" + "# Title" does not come, "##" + "## Title"
    # does. What follows a marker has its blank: "-" + " item"; what opens a link or a tag has none: "[" + "[docs]".
    if len(set(piece)) > 1 or piece.isalnum():
        return True
    run = len(more) - len(more.lstrip(piece[0]))
    if piece[0] in "`~":
        return run == len(piece) or run > 2
    return run == len(piece) and (piece[0] in "[<" or more[run : run + 1] in (" ", "\t"))


def _piece_again(before: str, more: str) -> tuple[int, int, bool] | None:
    """Where the words of the last line begin that ``more`` starts with."""
    last, first = rows(before)[-1], rows(more.lstrip())[0].rstrip()
    for size in range(min(len(last), len(first)), 0, -1):
        piece = first[:size]
        if _weighs(piece) and last.endswith(piece):
            # "he cat" + "the cat": a Latin piece has to begin where a word does
            at_word = size == len(last) or not (last[-size - 1].isalnum() and piece[0].isascii())
            return (len(before) - size, _indent(more), True) if at_word else None
    return None


def _weighs(piece: str) -> bool:
    """Whether a piece, or a line that begins a block, is no chance when it is met again."""
    return len(piece) + matching.cjk_letters(piece) >= PIECE_WEIGHT and len(set(piece)) > OVERLAP_LETTERS


def _indent(text: str) -> int:
    """Where a text begins: after blank lines and the first line's indentation."""
    return len(text) - len(text.lstrip())


def _between(before: str, more: str, *, inside: bool) -> tuple[str, bool]:
    """What has to stand between a text that was cut and a continuation that says nothing again: mostly nothing. And
    whether it can be read in two ways. ``inside`` is a block of code."""
    left, right = before[-1], more[0]
    if left.isspace() or right.isspace() or _is_half_marker(before):
        return "", False
    newline, last = newline_of(before), rows(before)[-1]
    if inside:
        # A marker can only stand at the start of a line: elsewhere the block would run on to the end of the draft.
        return (newline if ANY_FENCE_ROW.match(rows(more)[0]) else ""), False
    plain = re.sub(r"(`+)[^`]+\1", "", last)
    if "`" in plain or _IN_NAME.search(last):
        return "", False
    ended = _SENTENCE_END.search(last) is not None
    is_row = last.startswith("|") and last.endswith("|") and right == "|"
    if is_row or (_NEW_BLOCK.match(more) and (last.count("*") % 2 == 0 or right != "*")):
        return newline * (1 if _is_one_list_or_table(before, more) else 2), not (ended or is_row)
    return (newline * 2, False) if ended and right.isupper() else _between_words(before, more)


def _between_words(before: str, more: str) -> tuple[str, bool]:
    """The same for two pieces of a word, or two words whose blank an API has taken off: the text knows its words."""
    ours, theirs = _WORD_BEFORE.search(before), _WORD_AFTER.match(more)
    if ours is None or theirs is None or matching.is_cjk(before[-1]) or matching.is_cjk(more[0]):
        return "", False
    known = {word.lower() for word in re.findall(r"[^\W\d_]+", before[: ours.start()] + "\n" + more[theirs.end() :])}
    if (ours[0] + theirs[0]).lower() in known:
        return "", False
    if ours[0].islower() and more[0].isupper():
        return newline_of(before) * 2, True
    return (" ", True) if {ours[0].lower(), theirs[0].lower()} <= known else ("", False)


def _is_half_marker(before: str) -> bool:
    """Whether a text ends in one or two of the three characters that open a fence."""
    return re.search(r"(?:^|[\r\n])[ \t>]*(?:`{1,2}|~{1,2})$", before) is not None


def _is_one_list_or_table(before: str, more: str) -> bool:
    """Whether both sides are of one list or of one table and must not be parted."""
    last = rows(before)[-1].strip()
    if last.startswith("|") and last.endswith("|"):
        return more.lstrip().startswith("|")
    ours = blocks.blocks(before)[-1:]
    return bool(ours) and ours[0].kind == "list" and bool(_ITEM.match(more))
