"""Tell by a text's own words whether it ends in the middle: providers report ``stop`` for text that was cut.

A false alarm costs a purchase and a finding, so a text counts as cut only where its end is unlike the rest of it: an
open bracket, a link or table row half written, a paragraph without the full stop that its other paragraphs have.
"""

import re
from collections.abc import Iterator

from expand.markdown import blocks, matching
from expand.markdown.blocks import Block

LEAST_WORDS = 6
"""Words of a last paragraph or list item from which its missing full stop says something."""
LEAST_CJK = 12
"""Characters of such a one in Chinese or Japanese."""
SIBLING_SHARE = 0.5
"""Of both, what a paragraph or item must have that the last one is compared with."""
LEAST_SIBLINGS = {"paragraph": 2, "list": 3, "quote": 2}
"""Other paragraphs, or other items of the list, that have to end in a full stop, all of them."""

_ENDED = re.compile(
    r"(?:[.!?:;。！？：；…」』】》）)\]\"'”’`*_|>~～$}]|\S+://\S+|www\.\S+|\S+@\S+\.\w+"
    "|[\u2600-\u27bf\U0001f000-\U0001faff][\ufe0f\u200d]?|[:;=][-']?[DPp3]|([-=^])[,_.]\\1)\\s*$"
)
_GOES_ON = re.compile(
    r"(?:[,(\[{、，（【《「“‘]|\w-|\b(?:and|or|the|a|an|of|to|with|for|is|are|was|be|that|which|because|from|by|in|on|at|as|if"
    r"|when|has|have|had|can|will|may|must|should|not|its?|their|this|these|than|then|but|so)"
    r"|(?:以及|因为|如果|但是|所以|并且|而且|由于|通过|可以|需要|能够|就会|就是|或者|和|与|或|的|把|被|将|对|从|向|是否|等待很))\s*$"
)
_HALF_LINK = re.compile(r"!?\[[^\[\]\n]+\]\([^()\s]*$")
_SENTENCE = re.compile(r"[.!?。！？…][\"'”’）)*_`]*(?=\s|$)|[。！？…][”’」』）]*")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s+")


def ends_in_the_middle(text: str) -> bool:
    """Whether a text ends in an open fence, a half table row or link, or in the middle of a sentence."""
    if blocks.open_fence(text) is not None:
        return True
    every = blocks.blocks(text)
    if not every or every[-1].kind not in LEAST_SIBLINGS:
        return bool(every) and every[-1].kind == "table" and _is_half_row(every[-1])
    piece, siblings = _last_piece(text, every)
    if _HALF_LINK.search(piece) or _has_open_span(piece):
        return True
    goes_on = every[-1].kind != "quote" and _GOES_ON.search(piece) is not None
    if _ENDED.search(piece) or not _is_long(piece, SIBLING_SHARE if goes_on and every[-1].kind == "paragraph" else 1.0):
        return False
    others_ended = all(_ENDED.search(sibling) for sibling in siblings)
    return goes_on or (len(siblings) >= LEAST_SIBLINGS[every[-1].kind] and others_ended)


def _is_half_row(table: Block) -> bool:
    """Whether a table ends in a row without the ``|`` that its other rows end in, or with fewer of them."""
    first, *others, last = (line.rstrip() for line in blocks.bare_rows(table.text))
    if not last.endswith("|"):
        return len(others) > 0 and first.endswith("|") and all(line.endswith("|") for line in others)
    return len(others) > 0 and last.count("|") < min(line.count("|") for line in (first, *others))


def _last_piece(text: str, every: tuple[Block, ...]) -> tuple[str, list[str]]:
    """The last paragraph or list item, and the others that are long enough to compare it with."""
    last = every[-1]
    if last.kind == "list":
        items = list(_items(last.text))
        return items[-1], [item for item in items[:-1] if _is_long(item, SIBLING_SHARE)]
    others = [block.text for block in every[:-1] if block.kind == "paragraph" and _is_long(block.text, SIBLING_SHARE)]
    # The sentences before it in the same paragraph have ended, too.
    sentences = [last.text[: found.end()] for found in _SENTENCE.finditer(last.text)]
    return last.text, others + sentences


def _items(text: str) -> Iterator[str]:
    """The items of a list at every depth, without their markers; continued lines belong to their item."""
    item = ""
    for row in blocks.bare_rows(text):
        marker = _ITEM.match(row)
        if marker:
            if item.strip():
                yield item.rstrip()
            item = row[marker.end() :]
        else:
            item += "\n" + row
    yield item.rstrip()


def _is_long(piece: str, share: float = 1.0) -> bool:
    cjk = sum(matching.is_cjk(character) for character in piece)
    return cjk >= LEAST_CJK * share or len(piece.split()) >= LEAST_WORDS * share


def _has_open_span(piece: str) -> bool:
    """Whether a code span or bold words begin in the last line and do not end."""
    line = piece.rpartition("\n")[2]
    if _ENDED.search(line.rstrip("`*")) and not line.endswith(("`", "*")):
        return False
    runs = re.findall("`+", piece)
    open_code = len(runs) % 2 == 1 and all(len(run) == 1 for run in runs) and not line.endswith("`")
    plain = re.sub(r"`[^`\n]*`", "", piece)
    open_bold = plain.count("**") % 2 == 1 and re.search(r"\*\*\w[^*]*$", line) is not None
    return open_code or open_bold
