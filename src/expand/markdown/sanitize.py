"""Sanitize a model's answer: take off what a chat model puts around a text, fit the headings in.

The text comes out ready to stand under headings that are the tool's. What a chat model says around it (greetings
before, offers after, thinking) is judged sentence by sentence and only at the ends of an answer: when in doubt it is
content. Everything works on the blocks of ``blocks.py``, so that what stands in fences, HTML and math is never taken
for a heading, a rule or a greeting. Lines that need no change survive byte for byte.
"""

import re
import unicodedata
from collections.abc import Sequence

from expand.markdown import blocks, matching, thinking
from expand.markdown.blocks import Block, is_blank, newline_of, rows
from expand.markdown.code import HASH_COMMENTS
from expand.markdown.matching import unnumbered
from expand.markdown.thinking import Removed

LONGEST_BOILERPLATE = 400
"""Characters: a longer sentence is content, whatever it begins with."""
LONGEST_TITLE = 80
"""Characters: a longer underlined "heading" is prose with a rule right below it."""
WRAPPED_PROSE = 8
"""Lines of prose that a fence holds which is the answer, although a remark follows it."""
ANNOUNCED_WITHIN = 3
"""Among the first so many lines that are not blank, an answer may open its fence again."""

_MARKDOWN = ("markdown", "md", "mdx")
_WRAPPERS = (*_MARKDOWN, "text", "txt", "plaintext", "plain", "")
_BOLD_LINE = re.compile(r"\s*(?:[-*+]\s+)?(\*\*|__)(?!\s)(.+?)(?<!\s)\1\s*[:：]?\s*$")
_FENCE_ROW = re.compile(r" {0,3}(`{3,}|~{3,})([^`\r\n]*)")
ANY_FENCE_ROW = re.compile(r"[ \t>]*(`{3,}|~{3,})([^`\r\n]*)")
"""A fence's line also within a list or a quote."""
_COMMENT = re.compile(r" {0,3}<!--(?:(?!-->).)*-->\s*$", re.DOTALL)
_BLANK = " \t\r\n"
_ROW_END = re.compile(r"\r\n?|\n")
_SENTENCE_END = re.compile(r"[.!?:;。！？：；…][\"'”’）)*_`]*\s*$")
_NO_HEADINGS = HASH_COMMENTS | {"markdown", "md", "text", "txt", "console"}
"""The languages in which a line of ``##`` is no heading that ends the block."""

_AGREES = re.compile(r"(?i)\s*(?:sure|certainly|of course|当然|好的)")
_PREAMBLE = matching.phrase("preamble")
_SIGN_OFF = matching.phrase("sign-off")


def is_preamble(sentence: str) -> bool:
    """Whether this announces the text instead of being it."""
    return len(sentence) <= LONGEST_BOILERPLATE and bool(_PREAMBLE.match(sentence))


def is_sign_off(sentence: str) -> bool:
    """Whether this takes leave of the reader of the chat."""
    return len(sentence) <= LONGEST_BOILERPLATE and bool(_SIGN_OFF.match(sentence))


def bare(answer: str, *, inside: str = "") -> tuple[str, tuple[Removed, ...]]:
    """The text of an answer, and what was taken off it: forbidden characters, thinking, special tokens.

    ``inside`` is the open fence that the answer continues, as ``blocks.open_fence`` names it. Thinking that never ends
    leaves "": the text did not begin."""
    text, removed = thinking.take_off(without_forbidden(answer), inside=inside)
    gone = FORBIDDEN.findall(answer)
    return text, ((Removed("forbidden characters", "".join(gone)), *removed) if gone else removed)


def continues_fence(more: str, fence: str) -> bool:
    """Whether ``more`` goes on inside the open ``fence`` instead of turning to a new block.

    A bare closing line comes first, or the same fence is opened again: it goes on. Another
    fence is opened first: it does not. With no fence line at all only a heading turns away."""
    marker = fence[: len(fence) - len(fence.lstrip("`~"))]
    for row in rows(more):
        found = ANY_FENCE_ROW.match(row)
        if found and found[1].startswith(marker):
            return not found[2].strip() or without_reopening(more, fence) != more
    first = next((row for row in rows(more) if not is_blank(row)), "")
    return blocks.language_of(fence) in _NO_HEADINGS or not re.match(r" {0,3}#{2,6}\s+\S", first)


def without_reopening(more: str, fence: str) -> str:
    """A continuation of an open fence without the fence line with which it opens it again.

    A greeting may stand before that line: it goes, too."""
    lines = rows(more)
    solid = [number for number, row in enumerate(lines) if not is_blank(row)]
    for number in solid[:ANNOUNCED_WITHIN]:
        found = ANY_FENCE_ROW.match(lines[number])
        if found is not None:
            same = found[2].strip() and blocks.language_of(found[2]) == blocks.language_of(fence)
            return "".join(lines[number + 1 :]) if same else more
        if not is_preamble(lines[number].strip()):
            break
    return more


def clean(answer: str, *, own_headings: Sequence[str], body_level: int, cut: bool = False) -> str:
    """An answer made ready to stand under headings that are the tool's.

    Dropped: thinking, a greeting before and an offer after the text, a ```markdown fence around all of it, copies of
    ``own_headings`` (numbered or not, bold lines, any level), rules at the ends and comments at the very end, numbers
    in front of headings. The
    shallowest heading left gets ``body_level``, deeper ones follow, 6 at most. ``cut`` says that the answer ended in
    the middle: then its end stays as it is. Otherwise it ends in exactly one newline; nothing left is "". Cleaning
    twice is cleaning once."""
    text, _ = bare(answer)
    keys = frozenset(key for heading in own_headings if (key := matching.title_key(heading)))
    before = None
    while text != before:  # ends: each pass takes something away or finds all in order
        before = text
        text = without_greeting(_trim(_unwrap(bare(text)[0]), cut))
        text = _with_blank_before_rules(_without_own(text, keys, cut))
        text = _trim(_with_levels(text, body_level), cut)
    return text


def unwrapped(answer: str) -> str:
    """An answer without thinking and without a fence around all of it; else as it is."""
    text, _ = bare(answer)
    inner = without_greeting(_trim(text, cut=True))
    content = _unwrap(inner)
    return text if content == inner else content


def _trim(text: str, cut: bool) -> str:
    """Without blank lines at the ends; one newline at the end unless the text was cut."""
    begun = text[_solid_start(text) :]
    if cut and blocks.open_fence(text) is not None:
        return begun
    solid = len(begun.rstrip(_BLANK))
    ending = _ROW_END.search(begun, solid)
    if not solid or (cut and ending is None):
        return begun[:solid] and begun
    return begun[: ending.start() if ending else None] + newline_of(text)


def _solid_start(text: str) -> int:
    """Where the first line begins that is not blank."""
    first = len(text) - len(text.lstrip(_BLANK))
    return first if first == len(text) else max(text.rfind("\n", 0, first), text.rfind("\r", 0, first)) + 1


def _replaced(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """The text with several runs of lines ``[start, end)`` replaced, given in their order. In one go: an answer may
    have a heading in every line."""
    if not edits:
        return text
    lines = rows(text)
    parts: list[str] = []
    at = 0
    for start, end, new in edits:
        parts += [*lines[at:start], new]
        at = end
    return "".join((*parts, *lines[at:]))


def _unwrap(text: str) -> str:
    """Without a fence that holds the whole answer as Markdown.

    Fences within are often as long as the one around them, which Markdown reads as other blocks than were meant. So
    both readings are weighed: the one that leaves more prose outside of code is right."""
    begun = _solid_start(text)
    opening = _FENCE_ROW.match(text, begun)
    if opening is None or blocks.language_of(opening[2]) not in _WRAPPERS:
        return text
    named = blocks.language_of(opening[2]) in _MARKDOWN
    lines = rows(text[begun:])
    closing = (
        n
        for n in range(len(lines) - 1, 0, -1)
        if (row := _FENCE_ROW.match(lines[n])) and thinking.closes(row, opening[1])
    )
    end = next(closing, None)  # the last line that could close it
    inner, rest = "".join(lines[1:end]), "" if end is None else "".join(lines[end + 1 :])
    if _less_sign_off(rest.strip()):
        # Something follows that is no leave-taking. It stays, below the text if that is clearly what the fence holds.
        remark = len(rest) <= LONGEST_BOILERPLATE and [block.kind for block in blocks.blocks(rest)] == ["paragraph"]
        if named and end is not None and remark and _prose(inner) >= WRAPPED_PROSE:
            inner, rest = f"{inner.rstrip()}{newline_of(text) * 2}{rest.strip()}{newline_of(text)}", ""
        else:
            inner, end, rest = "".join(lines[1:]), None, ""
    still_open = blocks.open_fence(inner)
    if still_open is not None and (end is not None or not blocks.language_of(still_open)):
        return text
    outside, outside_as_read = _prose(inner), _prose("".join(lines))
    if end is None and not named:
        return text
    if named and not outside_as_read and len(blocks.blocks("".join(lines))) == 1:
        return inner
    return inner if outside > outside_as_read and (named or outside > 1) else text


def _prose(text: str) -> int:
    """How many lines outside of code are headings or end in a sentence."""
    found = 0
    for block in blocks.blocks(text):
        if block.kind in ("paragraph", "list", "quote"):
            found += sum(bool(_SENTENCE_END.search(row)) for row in blocks.bare_rows(block.text))
        elif block.kind == "heading":
            found += 1
    return found


def without_greeting(text: str) -> str:
    """An answer without what announces it; "Here is the section …:" right before a block of code may mean that."""
    first, *others = blocks.blocks(text) or (None,)
    if first is None or first.kind != "paragraph":
        return text
    sentences = matching.sentences(first.text)
    announcing = next((n for n, sentence in enumerate(sentences) if not is_preamble(sentence)), len(sentences))
    kept = "".join(sentences[announcing:]).lstrip(_BLANK)
    if not kept and others and others[0].kind in ("fence", "code") and not _AGREES.match(first.text):
        code = "".join(rows(text)[others[0].start :])
        if _unwrap(code) == code:  # else it announces the text, which a fence holds
            return text
    return _replaced(text, [(first.start, first.end, kept and kept + newline_of(text))]) if announcing else text


def _less_sign_off(paragraph: str) -> str:
    """A paragraph less the leave-taking sentences it ends with; "" when there is nothing else."""
    if is_sign_off(paragraph):
        return ""
    sentences = matching.sentences(paragraph)
    while sentences and is_sign_off(sentences[-1]):
        sentences.pop()
    return "".join(sentences).rstrip()


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


def _without_own(text: str, keys: frozenset[str], cut: bool) -> str:
    """The text without copies of the tool's headings (at its start in any form, later as headings), without rules at
    its ends, a comment at its very end and leave-taking."""
    every = blocks.blocks(text)
    edits: dict[int, tuple[int, int, str]] = {}
    leading = True
    for at, block in enumerate(every):
        title = standing_title(block) if leading or block.kind == "heading" else ""
        unnumbered_title = re.sub(r"^[\s*_]*\d+(?:\.\d+)*\s+", "", title)
        said = {matching.title_key(title), matching.title_key(unnumbered_title)} if title else set()
        if said & keys or (at == 0 and block.kind == "rule"):
            edits[at] = (block.start, block.end, "")
        else:
            leading = leading and block.kind == "rule"
    if every and not cut:
        last = every[-1]
        # A comment at the end would belong to the heading of the next section, and a new draft look edited by hand.
        if last.kind == "rule" or _COMMENT.match(last.text):
            edits[len(every) - 1] = (last.start, last.end, "")
        elif last.kind == "paragraph" and (kept := _less_sign_off(last.text)) != last.text.rstrip():
            edits[len(every) - 1] = (last.start, last.end, kept + newline_of(text) if kept else "")
    return _replaced(text, list(edits.values()))


def _with_blank_before_rules(text: str) -> str:
    """Prose that a rule right below would make a heading gets the blank line that was meant."""
    ends = [
        block.end - 1
        for block in blocks.headings(text)
        if block.setext
        and block.text.rstrip().endswith("-")
        and (len(block.title) > LONGEST_TITLE or "\n" in block.title or _SENTENCE_END.search(block.title))
    ]
    return _replaced(text, [(end, end, newline_of(text)) for end in ends])


def _with_levels(text: str, body_level: int) -> str:
    every = blocks.headings(text)
    shift = body_level - min((block.level for block in every), default=0)
    lines = rows(text)
    edits: list[tuple[int, int, str]] = []
    for block in every:
        level = min(6, max(1, block.level + shift))
        title = unnumbered(block.title)
        if level == block.level and title == block.title:
            continue
        last = lines[block.end - 1]
        said = f"{'#' * level} {' '.join(title.split())}"
        edits.append((block.start, block.end, said + last[len(last.rstrip("\r\n")) :]))
    return _replaced(text, edits)


# --- characters that a Markdown file must not hold: controls, and what hides or turns round the text that readers see

_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
_BIDI = "\u202a-\u202e\u2066-\u2069"
_NONCHARACTERS = "\ufdd0-\ufdef\ufffe\uffff" + "".join(
    chr((plane << 16) + 0xFFFE) + "-" + chr((plane << 16) + 0xFFFF) for plane in range(1, 17)
)
# Line ends to Unicode and to many editors, none to Markdown: the lines of a draft would be other ones here and there.
_LINE_ENDS = "\x85\u2028\u2029"
FORBIDDEN = re.compile(f"[{_CONTROLS}{_BIDI}\ufeff\ud800-\udfff{_NONCHARACTERS}{_LINE_ENDS}]")
"""A character that must not stand in a draft. Joiners, variation selectors and the marks U+200E, U+200F are not among
them: Persian, emoji and mixed scripts are written with them."""
HARMFUL = re.compile(f"[{_CONTROLS}{_BIDI}\ud800-\udfff]")
"""Those of them that break tools (NUL, ESC) or make the text look other than it is."""
_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))")


def without_forbidden(text: str) -> str:
    """The text without forbidden characters. A terminal's sequence goes whole; a foreign line end becomes a newline."""
    if FORBIDDEN.search(text) is None:
        return text
    text = _TERMINAL_SEQUENCE.sub("", text)
    return FORBIDDEN.sub(lambda found: "\n" if found[0] in _LINE_ENDS else "", text)


def name_of(character: str) -> str:
    """What a character is called: ``U+202E RIGHT-TO-LEFT OVERRIDE``, ``U+0000 control character``."""
    code = ord(character)
    other = {"Cc": "control character", "Cs": "lone surrogate"}.get(unicodedata.category(character), "noncharacter")
    return f"U+{code:04X} {unicodedata.name(character, other)}"
