"""Check a text by itself: whether it ends in the middle, holds forbidden characters or code blocks that are open or do
not parse, fills its lines with next to nothing, is in another language, or holds what a model or a program says, or
leaves, in the place of text.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from expand.checks.finding import Finding, Severity, excerpt, finding
from expand.markdown import blocks, code, languages, matching, sanitize, thinking
from expand.markdown.assemble import ends_in_the_middle
from expand.markdown.blocks import Block, Inline, Kind
from expand.markdown.matching import stands_in, stands_in_code
from expand.markdown.sanitize import FORBIDDEN, HARMFUL, name_of

LONGEST_END = 48
"""Characters of an end that a message quotes."""


def cut_texts(text: str, *, section: int) -> Iterator[Finding]:
    """A finding for each heading's text that ends in the middle. An open fence is a finding of its own."""
    rows = blocks.rows(text)
    heads = [block.start for block in blocks.headings(text)]
    for start, end in zip([0, *heads], [*heads, len(rows)], strict=True):
        part = "".join(rows[start:end])
        if part.strip() and blocks.open_fence(part) is None and ends_in_the_middle(part):
            words = " ".join(part.split())[-LONGEST_END:]
            line = start + len(blocks.rows(part.rstrip()))
            yield finding("cut", section, line, f"the text ends in the middle: …{excerpt(words)}")


def forbidden_characters(text: str, *, section: int) -> Iterator[Finding]:
    """One finding for each such character: its name, how often and where first it stands."""
    where: dict[str, list[int]] = {}
    for number, row in enumerate(text.split("\n"), 1):
        for found in FORBIDDEN.finditer(row):
            where.setdefault(found[0], []).append(number)
    for character, numbers in where.items():
        times = f", {len(numbers):,} times" if len(numbers) > 1 else ""
        severity: Severity = "blocking" if HARMFUL.match(character) else "warning"
        message = f"the text holds {name_of(character)}{times}"
        yield finding("forbidden-character", section, numbers[0], message, severity=severity)


_PROSE = re.compile(
    rf" {{0,3}}(?:#{{2,6}} \S|(?:[A-Z]\S*(?: \S+){{4,}}|[^\x00-\x7f]*[{matching.CJK}]\S{{8,}}).*[.:。：!！?？]$)"
)
_UNJUDGED = re.compile(r"(?i)\b(?:ignore|compile_fail|does_not_compile|should_fail)\b")
"""What an info string says of code that is not meant to compile."""
_ELIDED = re.compile(r"(?:\.{3}|…|--[ \t]*(?:snip|省略)[^\n]*)\s*(?:\*/|-->)?\s*\Z")
_INCLUDES = re.compile(r"(?m)^\s*(?:\{\{\s*#\w*(?:include|playground)\b|\{[*!].*[*!]\}\s*$|(?:--8<--|<<<)\s*\S)")
"""Lines in whose place the generator of the site puts another file."""


def open_fences(text: str, *, section: int) -> Iterator[Finding]:
    """A fence that only the end of the text, of its list or quote ends, or that a later fence was taken to end.

    The first block that holds prose is named, if there is one: there the end is missing."""
    every = blocks.fences(text)
    wrong = next((block for block in every if not block.closed or _opens_another(block)), None)
    if wrong is not None:
        block = next((one for one in every if one.start <= wrong.start and _prose_row(one) is not None), wrong)
        row = _prose_row(block)
        message = f"the code block {excerpt(block.marker + block.info)} never ends: "
        message += f"{block.end - block.start} lines are taken for code"
        if row is not None:
            message += f", prose from its line {row + 2} on: {excerpt(block.code.splitlines()[row])}"
        yield finding("open-fence", section, block.start + 1, message)


def _opens_another(block: Block) -> bool:
    """Whether a block of code holds the line that opens another one: then the end of that one ended it."""
    opening = rf"(?m)^ {{0,3}}{re.escape(block.marker)}{block.marker[0]}*[ \t]*[\w{{]"
    return code.is_programming(block.language) and re.search(opening, block.code) is not None


def _prose_row(block: Block) -> int | None:
    """The first line (from 0) of a block of code that is prose or a heading, behind a blank line."""
    rows = block.code.splitlines() if code.is_programming(block.language) else []
    return next((n for n, row in enumerate(rows) if n and not rows[n - 1].strip() and _PROSE.match(row)), None)


def broken_code(text: str, *, section: int) -> Iterator[Finding]:
    """Code blocks that do not parse, read as any excerpt that they may be, or whose brackets do not match."""
    for block in blocks.fences(text):
        fault = _fault(block)
        if fault and not _ELIDED.search(block.code):  # else the author says that it goes on
            line, why = fault
            rows = blocks.bare_rows(block.code)
            shown = excerpt(rows[line]) if line < len(rows) else ""
            what = f"the {block.language} block of {len(rows)} lines does not parse at its line {line + 1}"
            yield finding("broken-code", section, block.start + line + 2, f"{what}{why and f' ({why})'}: {shown}")


def _fault(block: Block) -> tuple[int, str] | None:
    """The line (from 0) of the first mistake in a block, and what it is, as far as that is known."""
    if _UNJUDGED.search(block.info) or _INCLUDES.search(block.code):
        return None
    return code.fault(block.language, block.code)


# --- lines that carry next to nothing
#
# Measured is the matter of a block: the columns of its letters and digits, markers and comments aside. The bounds are
# per kind of block and far below what people write: prose wrapped at 40 columns has 30 and more a line.

LEAST_MATTER: Mapping[Kind, float] = {"paragraph": 15, "quote": 15, "list": 10, "fence": 0.4}
"""Below so much matter a line, on the average of its lines, a block is thin: columns, of which a Chinese character has
two; of code the share of lines that are neither comments nor brackets alone."""
THIN_LINES = 10
THIN_SHARE = 0.25
"""Thin blocks are named where they have so many lines and this share of the section's."""


def thin_text(text: str, *, section: int) -> list[Finding]:
    """At most one finding: for the thin blocks of a section, at the first of them."""
    every = [(block, *_matter(block)) for block in blocks.blocks(text) if block.kind not in ("rule", "html")]
    thin = [(block, rows) for block, rows, matter in every if matter < LEAST_MATTER.get(block.kind, 0) * rows]
    size, whole = sum(rows for _, rows in thin), sum(rows for _, rows, _ in every)
    if size < THIN_LINES or size < THIN_SHARE * whole:
        return []
    first = thin[0][0]
    said = f"{size} of {whole} lines carry next to nothing; the first"
    return [finding("thin", section, first.start + 1, f"{said}: {excerpt(first.text)}")]


def _matter(block: Block) -> tuple[int, float]:
    """How many lines a block has that are not blank, and its matter; endless where it is not judged."""
    rows = [row for row in (block.code if block.kind == "fence" else block.text).splitlines() if row.strip()]
    if block.kind == "fence":
        matter = sum(any(map(str.isalnum, row)) and not code.is_comment(row, block.language) for row in rows)
        return len(rows), matter if code.is_programming(block.language) else math.inf
    said = "".join(matching.unnumbered(row.strip(" \t-*+>")) for row in rows)
    announces = block.text.rstrip("*_ ").endswith((":", "："))
    return len(rows), math.inf if announces else sum(map(str.isalnum, said)) + matching.cjk_letters(said)


# --- another language

FOREIGN_LETTERS = 40
"""A piece of fewer letters is in no language: names and commands."""
_PATH = re.compile(r"[!-~]*[/_\\][!-~]*")
"""Paths and names of files, in no language; whatever includes them in the page."""
MOSTLY_FOREIGN = 0.5
"""Above this share of the text the section must not be accepted."""


def wrong_language(text: str, own_titles: Sequence[str], *, section: int, language: str) -> Iterator[Finding]:
    """At most one: pieces of 40 letters or more that are in another language. ``own_titles`` are the outline's."""
    sizes: list[tuple[int, str, int, str | None]] = []
    for line, words in _pieces(text, {matching.title_key(title) for title in own_titles}):
        piece = _PATH.sub(" ", words)
        size = languages.letters(piece)
        sizes.append((line, piece, size, languages.foreign(piece, language) if size >= FOREIGN_LETTERS else None))
    wrong = [one for one in sizes if one[3] is not None]
    if wrong:
        share = sum(size for _, _, size, _ in wrong) / sum(size for _, _, size, _ in sizes)
        severity: Severity = "blocking" if share > MOSTLY_FOREIGN else "warning"
        line, piece, _, found = wrong[0]
        message = (
            f"{len(wrong)} of {len(sizes)} passages ({share:.0%} of the text) are not in {language!r}; "
            f"the first is in {found!r}: {excerpt(piece)}"
        )
        remedy = f"write them in {language!r}"
        yield finding("wrong-language", section, line + 1, message, severity=severity, remedy=remedy)


def _pieces(text: str, own: set[str]) -> list[tuple[int, str]]:
    """First line from 0 and words of each passage, of each list and table as a whole, and of all headings together.

    Quotations may be in any language, code is in none, and the outline's own titles are as its author wrote them."""
    top = {line: block for block in blocks.blocks(text) for line in range(block.start, block.end)}
    found: dict[int, tuple[int, list[str]]] = {}
    for one in blocks.inlines(text):
        block = top[one.line]
        is_heading = block.kind == "heading"
        if matching.title_key(one.text) not in own if is_heading else block.kind in ("paragraph", "list", "table"):
            found.setdefault(-1 if is_heading else block.start, (block.start, []))[1].append(one.prose)
    return [(line, "\n".join(prose)) for line, prose in found.values()]


# --- what a model or a program says instead of text: refusals, error messages, chat, thinking, leaked prompts
#
# All is judged by whole passages or sentences outside of code and quotations: a book about language models quotes them.
# Where a sentence could be a book's own ("I cannot write this in C"), it has to speak of the text or of the model.

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
    for heading in blocks.headings(text):
        if _ROLE_HEADING.fullmatch(heading.title):
            message = f"a mark of a prompt stands in the text: {excerpt(heading.title)}"
            yield finding("chat", section, heading.start + 1, message)
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


# --- placeholders: what stands for something that was left out
#
# In code that is a comment ("rest omitted"), a stub (``todo!()``, ``raise NotImplementedError``) or an ellipsis that is
# all of a body; in prose a mark (TODO), a blank, or a passage that puts the matter off ("left as an exercise"). A text
# about such marks is none: what a passage beside a block names, the block may show.

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
        for number, what, row in _in_code(block):
            mark = _NAMED.search(row)
            if not mark or mark[0] not in beside:  # a passage beside a block names what the block shows on purpose
                yield _placeholder(section, block.start + number + 2, what, row)
    for block in every:
        for number, row in enumerate(blocks.bare_rows(block.text) if block.kind == "html" else ()):
            if _IN_PROSE.search(row) or _is_comment(row):
                yield _placeholder(section, block.start + number + 1, "a line of HTML", row)
    for paragraph in blocks.paragraphs(text):
        parts = (*matching.sentences(paragraph.prose), *_BRACKETED.findall(paragraph.prose))
        instead = stands_in(paragraph.text) or any(stands_in(said, alone=False) for said in parts)
        if instead or _IN_PROSE.search(paragraph.prose):
            yield _placeholder(section, paragraph.line + 1, "a passage", paragraph.text)


def _placeholder(section: int, line: int, what: str, said: str) -> Finding:
    return finding("placeholder", section, line, f"{what} stands for something left out: {excerpt(said)}")


def _in_code(block: Block) -> Iterator[tuple[int, str, str]]:
    """The placeholders of a block of code: line from 0, what it is, its words."""
    rows = blocks.bare_rows(block.code)
    may_stop = _PROGRAM.fullmatch(block.language) and ">>>" not in block.code
    for number, row in enumerate(rows):
        is_ellipsis = may_stop and _ELLIPSIS.match(row) and _is_body(rows, number)
        if _is_comment(row):
            yield number, "a comment", row
        elif (is_ellipsis or _STUB.search(row[:COMMENT_CHARACTERS])) and not _ABSTRACT.search(
            "\n".join(rows[max(0, number - ABSTRACT_ROWS) : number + 1])
        ):
            yield number, "an ellipsis" if is_ellipsis else "a stub", row


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
