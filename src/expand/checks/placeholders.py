"""Check for placeholders: what stands for something that was left out.

In code that is a comment ("rest omitted"), a stub (``todo!()``, ``raise NotImplementedError``) or an ellipsis that
is all of a body; in prose a mark (TODO), a blank, or a passage that puts the matter off ("left as an exercise").
A text about such marks is none: what a passage beside a block names, the block may show.
"""

import re
from collections.abc import Iterator

from expand.checks.finding import Finding, Severity, excerpt, finding
from expand.markdown import blocks, matching
from expand.markdown.blocks import Block
from expand.markdown.matching import stands_in, stands_in_code

COMMENT_CHARACTERS = 400
"""How much of a comment is looked at: a longer line is data, and slow to search."""

_COMMENT = re.compile(r"(?:^|\s)(?://+!?|#+|--|;+|/\*+|<!--|\(\*|\"\"\"|\*)\s*(?P<said>\S.*)$")
_IN_CODE = matching.phrase("left-out-in-code")
_STUB = matching.phrase("stub")
_ABSTRACT = re.compile(r"abstract|\bABC\b|Protocol|overload|interface|[Ss]ubclass|\.pyi|-> [^:]+: \.\.\.")
ABSTRACT_ROWS = 8
"""Lines above a stub in which a word says that it is meant: an abstract method, an interface."""
_DOC = re.compile(r"\s*[rR]?(\"{3}|'{3}).*\1\s*$")
_ELLIPSIS = re.compile(r"^\s*(?:(?://+|#|--|/\*|;)\s*)?(?:\.{3,}|…+)\s*(?:\*/)?\s*;?\s*$")
_PROGRAM = re.compile(
    r"rust|rs|python3?|py|javascript|jsx?|typescript|tsx?|go|c|cpp|c\+\+|h|hpp|java|kotlin|kt|swift|cs|csharp|ruby|rb|php"
)
_IN_PROSE = matching.phrase("left-out-in-prose")
_NAMED = re.compile(r"(?i)\b(?:todo|fixme|xxx|unimplemented|NotImplemented\w*|snip|omitted|elided)\b|\.{3}|省略")
_BRACKETED = re.compile(r"[\[（(【<](?P<said>[^\[\]（）()【】<>\n]{1,100})[\]）)】>](?![(\[:])")


def placeholders(text: str, *, section: int) -> Iterator[Finding]:
    """Comments and stubs in code and passages in prose that stand for something which is not there."""
    every = blocks.blocks(text)
    passages = {line: one.text for one in every if one.kind == "paragraph" for line in (one.start, one.end - 1)}
    for block in blocks.fences(text):
        near = (*range(block.start - 2, block.start), *range(block.end, block.end + 2))
        beside = "\n".join(passages.get(line, "") for line in near)
        for number, what, row, severity in _in_code(block):
            mark = _NAMED.search(row)
            if not mark or mark[0] not in beside:  # a passage beside a block names what the block shows on purpose
                yield _placeholder(section, block.start + number + 2, what, row, severity)
    for block in every:
        for number, row in enumerate(blocks.bare_rows(block.text) if block.kind == "html" else ()):
            if _IN_PROSE.search(row) or _is_comment(row):
                yield _placeholder(section, block.start + number + 1, "a line of HTML", row)
    for paragraph in blocks.paragraphs(text):
        parts = (*matching.sentences(paragraph.prose), *_BRACKETED.findall(paragraph.prose))
        instead = stands_in(paragraph.text) or any(stands_in(said, alone=False) for said in parts)
        if instead or _IN_PROSE.search(paragraph.prose):
            yield _placeholder(section, paragraph.line + 1, "a passage", paragraph.text)


def _placeholder(section: int, line: int, what: str, said: str, severity: Severity = "warning") -> Finding:
    message = f"{what} stands for something left out: {excerpt(said)}"
    return finding("placeholder", section, line, message, severity=severity, mendable=severity != "note")


def _in_code(block: Block) -> Iterator[tuple[int, str, str, Severity]]:
    """The placeholders of a block of code: line from 0, what it is, its words, severity."""
    rows = blocks.bare_rows(block.code)
    for number, row in enumerate(rows):
        abstract = "\n".join(rows[max(0, number - ABSTRACT_ROWS) : number])
        if _is_comment(row):
            yield number, "a comment", row, "warning"
        elif _STUB.search(row[:COMMENT_CHARACTERS]):
            if not _ABSTRACT.search(f"{abstract}\n{row}"):
                yield number, "a stub", row, "warning"
        elif _PROGRAM.fullmatch(block.language) and _ELLIPSIS.match(row) and ">>>" not in block.code:
            if not _is_body(rows, number):
                yield number, "an ellipsis", row, "note"
            elif not _ABSTRACT.search(abstract):
                yield number, "an ellipsis", row, "warning"


def _is_body(rows: list[str], number: int) -> bool:
    """Whether an ellipsis is all that stands in a body: an excerpt that goes on elsewhere is a usual thing."""
    before = next((row for row in reversed(rows[:number]) if row.strip() and not _DOC.match(row)), "")
    after = next((row for row in rows[number + 1 :] if row.strip()), "")
    if before.rstrip().endswith(":"):
        return len(after) - len(after.lstrip()) < len(rows[number]) - len(rows[number].lstrip())
    opened = not before or before.rstrip().endswith("{")
    return opened and (not after or after.lstrip().startswith("}"))


def _is_comment(row: str) -> bool:
    comment = _COMMENT.search(row)
    if comment is None:
        return False
    said = comment["said"][:COMMENT_CHARACTERS].removesuffix("*/").removesuffix("-->")
    before = row[: comment.start()].strip()
    return bool(_IN_CODE.search(said)) or stands_in_code(said, alone=before in ("", "pass", "{"))
