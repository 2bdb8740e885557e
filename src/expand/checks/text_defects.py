"""Check a text by itself: whether it ends in the middle, holds forbidden characters or code blocks that are open or do
not parse, uses names that are not defined, fills its lines with next to nothing, or is in another language.

``thin`` measures the matter of a block: the columns of its letters and digits, markers and comments aside. Its bounds
are per kind of block and far below what people write: prose wrapped at 40 columns has 30 and more a line.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import groupby

from expand.checks.finding import Finding, Severity, excerpt, finding
from expand.markdown import blocks, code, languages, matching, names
from expand.markdown.assemble import ends_in_the_middle
from expand.markdown.blocks import Block, Kind
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
        if fault := _fault(block):
            line, why = fault
            rows = blocks.bare_rows(block.code)
            shown = excerpt(rows[line]) if line < len(rows) else ""
            what = f"the {block.language} block of {len(rows)} lines does not parse at its line {line + 1}{why}"
            yield finding("broken-code", section, block.start + line + 2, f"{what}: {shown}")


def _fault(block: Block) -> tuple[int, str] | None:
    """The line (from 0) of the first mistake in a block, and what it is in brackets."""
    if _UNJUDGED.search(block.info) or _INCLUDES.search(block.code):
        return None
    line = code.broken_code(block.language, block.code)
    fault = (line, "") if line is not None else None
    if block.language == "mermaid":
        fault = code.broken_diagram(block.code)
    fault = fault or code.bracket_mismatch(block.language, block.code)
    if fault is None or _ELIDED.search(block.code):  # the author says that it goes on
        return None
    return fault[0], fault[1] and f" ({fault[1]})"


_RANGE = re.compile(r"\^\w-\w")
"""``[^a-z]`` is part of a regular expression."""


def undefined_references(texts: Mapping[int, str], known: Container[str]) -> Iterator[Finding]:
    """Each name once, where it is used first. ``texts`` are the sections by number; ``known`` are names that are
    defined elsewhere."""
    missing = names.lacking(list(texts.values()), known)
    for section in sorted(texts):
        for use in names.uses(texts[section]) if missing else ():
            if use.sure and use.name in missing and not _RANGE.fullmatch(use.said):
                missing.remove(use.name)
                what = f"the footnote [{use.said}]" if use.form == "note" else f"the link reference [{use.said}]"
                yield finding("undefined-reference", section, use.line + 1, f"{excerpt(what)} is not defined")


LEAST_MATTER: Mapping[Kind, float] = {"paragraph": 15, "quote": 15, "list": 10, "fence": 0.4}
"""Below so much matter a line, on the average of its lines, a block is thin: columns, of which a Chinese character has
two; of code the share of lines that are neither comments nor brackets alone."""
THIN_LINES = 10
THIN_SHARE = 0.25
"""Thin blocks are named where they have so many lines and this share of the section's."""


def thin_text(text: str, *, section: int) -> list[Finding]:
    """At most one finding: for the thin blocks of a section, at the first of them."""
    every = [(block, _rows(block)) for block in blocks.blocks(text) if block.kind not in ("rule", "html")]
    thin = [
        (block, rows)
        for block, rows in every
        if _is_judged(block) and _matter(block, rows) < LEAST_MATTER[block.kind] * len(rows)
    ]
    size, whole = (sum(len(rows) for _, rows in some) for some in (thin, every))
    if size < THIN_LINES or size < THIN_SHARE * whole:
        return []
    first = thin[0][0]
    said = f"{size} of {whole} lines carry next to nothing; the first"
    return [finding("thin", section, first.start + 1, f"{said}: {excerpt(first.text)}")]


def _rows(block: Block) -> list[str]:
    return [row for row in (block.code if block.kind == "fence" else block.text).splitlines() if row.strip()]


def _is_judged(block: Block) -> bool:
    if block.kind == "fence":
        return code.is_programming(block.language)
    return block.kind in LEAST_MATTER and not block.text.rstrip("*_ ").endswith((":", "："))  # a label announces


def _matter(block: Block, rows: list[str]) -> int:
    """The columns of a block's letters and digits; of code its lines that are neither comments nor brackets."""
    if block.kind == "fence":
        return sum(any(map(str.isalnum, row)) and not code.is_comment(row, block.language) for row in rows)
    matter = "".join(matching.unnumbered(row.strip(" \t-*+>")) for row in rows)
    return sum(map(str.isalnum, matter)) + matching.cjk_letters(matter)


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


def _pieces(text: str, own: set[str]) -> Iterator[tuple[int, str]]:
    """First line from 0 and words of each passage, of each list and table as a whole, and of all headings together.

    Quotations may be in any language, code is in none, and the outline's own titles are as its author wrote them."""
    top = [block for block in blocks.blocks(text) if block.kind in ("paragraph", "list", "table")]
    starts = {line: block.start for block in top for line in range(block.start, block.end)}
    inner = [(starts[one.line], one.prose) for one in blocks.paragraphs(text) if one.line in starts]
    for start, group in groupby(inner, key=lambda one: one[0]):
        yield start, "\n".join(prose for _, prose in group)
    for block in top:
        if block.kind == "table":
            yield block.start, matching.prose(block.text).replace("|", " ")
    headings = [one for one in blocks.headings(text) if matching.title_key(one.title) not in own]
    if headings:
        yield headings[0].start, "\n".join(matching.prose(one.title) for one in headings)
