"""Join an answer to the text that it goes on from.

``resume`` is for an answer that was cut. The request shows its end and asks for the last line once more, from its
start. An author does that, or starts the whole paragraph, item, table or block of code anew, or goes on right after the
last character. All three give the very text of an uncut answer: what is said again is found by its lines, and else the
two texts are one, character by character. Nothing is deleted on a guess: lines that may well stand there twice
(``</div>``, a closing bracket, a refrain) do so, and a place that can be read in two ways is returned to be reported.

``append`` adds a further answer to a text that is whole. No function raises on any text.
"""

import re
from dataclasses import dataclass

from expand.markdown import blocks, matching, sanitize
from expand.markdown.blocks import is_blank, newline_of, rows
from expand.markdown.sanitize import ANY_FENCE_ROW

OVERLAP_LINES = 400
"""Lines at the end of a text that its continuation may say again."""
OVERLAP_CHARACTERS = 12
"""Characters that repeated lines must have together; a lone bracket repeats by chance."""
OVERLAP_LETTERS = 3
"""What is said again must have more different characters than this: ``-----`` has one."""
PIECE_WEIGHT = 8
"""What a repeated piece of a line must weigh. A Latin character weighs 1, a Chinese one 2."""
LINE_COLUMNS = 25
"""Characters from which a paragraph of one line is no refrain."""
WRAPPED_COLUMNS = 60
"""Characters from which a paragraph's line is wrapped prose and no verse."""
QUOTED = 32
"""Characters on each side of a doubtful place that are quoted."""

_NEW_BLOCK = re.compile(r" {0,3}(?:#{2,6}[ \t]+\S|[-*+][ \t]+\S|\d{1,9}[.)][ \t]+\S|(?:`{3,}|~{3,})[^`\r\n]*[\r\n])")
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")
_SENTENCE_END = re.compile(r"\w\w[.!?:;][\"'”’)*_]*$")
_WORD_BEFORE = re.compile(r"(?<![^\s(\"'“‘*_])[^\W\d_]+$")
_WORD_AFTER = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """A text with its continuation. ``doubt`` quotes the end of the one and the start of the other where nobody can
    tell how they belong together; both are "" where it is certain."""

    text: str
    doubt: tuple[str, str] = ("", "")


def resume(before: str, more: str) -> Joined:
    """An answer that was cut and its continuation as one; both as they came, less thinking."""
    if not before.strip() or not more.strip():
        return Joined(text=before + more)
    fence = blocks.open_fence(sanitize.unwrapped(before, ()))
    plain = sanitize.without_greeting(more) if fence is None else sanitize.without_reopening(more, fence)
    plain = plain.lstrip("\r\n") if plain != more else more
    doubtful = False
    for text in dict.fromkeys((more, plain)):
        again = _said_again(before, text, cut=True)
        if again is not None and again[2]:
            return Joined(text=before[: again[0]] + text[again[1] :])
        doubtful |= again is not None
    row = rows(before)[-1] if _is_half_marker(before) else ""
    if fence is not None and not sanitize.continues_fence(row + more, fence):
        between = _ended_line(before) + (blocks.closing_fence(before) or "") + newline_of(before) * 2
        plain, doubtful = more.lstrip("\r\n"), True
    else:
        between, unclear = _between(before, plain, inside=fence is not None)
        doubtful |= unclear
    doubt = (before[-QUOTED:], plain[:QUOTED]) if doubtful else ("", "")
    return Joined(text=before + between + plain, doubt=doubt)


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
            sure = tells or (more.startswith(first + ("" if half.strip() else "\n")) and _is_begun(first, more))
            row = rows(more)[0].rstrip()
            if re.fullmatch(r"[|:\- \t]+", half + row):  # the line under a table's head has as many cells
                sure = row.count("|") == "".join(lines[-2:-1]).count("|")
        elif size == 1:
            paragraph = blocks.blocks(before)[-1].kind == "paragraph"
            ends = not cut or is_blank(lines[-1])
            alone = paragraph and len(mine[0]) >= (LINE_COLUMNS if ends else WRAPPED_COLUMNS)
            sure = alone or bool(re.match(r"#{2,6}\s", mine[0]))
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
    # does. What follows a marker has its blank: "-" + " item".
    if len(set(piece)) > 1 or piece.isalnum():
        return True
    run = len(more) - len(more.lstrip(piece[0]))
    if piece[0] in "`~":
        return run == len(piece) or run > 2
    return run == len(piece) and more[run : run + 1] in (" ", "\t")


def _piece_again(before: str, more: str) -> tuple[int, int, bool] | None:
    """Where the words of the last line begin that ``more`` starts with."""
    last, first = rows(before)[-1], rows(more.lstrip())[0].rstrip()
    for size in range(min(len(last), len(first)), 0, -1):
        piece = first[:size]
        weight = size + matching.cjk_letters(piece)
        if weight >= PIECE_WEIGHT and len(set(piece)) > OVERLAP_LETTERS and last.endswith(piece):
            # "he cat" + "the cat": a Latin piece has to begin where a word does
            at_word = size == len(last) or not (last[-size - 1].isalnum() and piece[0].isascii())
            return (len(before) - size, _indent(more), True) if at_word else None
    return None


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
    if _is_in_code(last):
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


def _is_in_code(line: str) -> bool:
    """Whether a line ends within a code span, a link's target or a name such as ``std::fs``."""
    plain = re.sub(r"(`+)[^`]+\1", "", line)
    return "`" in plain or re.search(r"\]\([^)\s]*$|[\w`](?:[/_.:=<\\@-]+\w+|[/_=<\\@-]+|::)$", line) is not None


def _is_one_list_or_table(before: str, more: str) -> bool:
    """Whether both sides are of one list or of one table and must not be parted."""
    last = rows(before)[-1].strip()
    if last.startswith("|") and last.endswith("|"):
        return more.lstrip().startswith("|")
    ours = blocks.blocks(before)[-1:]
    return bool(ours) and ours[0].kind == "list" and bool(_LIST_ITEM.match(more))


def _ended_line(text: str) -> str:
    return "" if text.endswith(("\n", "\r")) else newline_of(text)
