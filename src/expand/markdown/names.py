"""Names of link references and footnotes: what a text defines and uses, and names kept apart.

A document has one namespace for them, but answers are written blind to each other: two that define ``[docs]`` or
``[^1]`` differently would have one of them lead to the other's target. Code is no part of it.
"""

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from expand.markdown import blocks
from expand.markdown.blocks import is_blank, newline_of, rows

_CODE_SPAN = re.compile(r"(?<![`\\])(?P<tick>`+)(?!`)(?:(?!\n[ \t]*\n).)*?(?<!`)(?P=tick)(?!`)|<!--.*?-->", re.DOTALL)
_MARK = re.compile(r"\\.|[\[\]]|\n[ \t]*(?=\n)", re.DOTALL)
_BEGINS_LINE = re.compile(r"(?:^|\n)(?:[ \t]|>|[-*+][ \t]|\d{1,9}[.)][ \t])*\Z")
_FOOTNOTE = re.compile(r"\^[\w.:-]+")


class Definition(NamedTuple):
    """What a name stands for, in the lines ``[start, end)``; ``content`` is on one line, without the name."""

    name: str
    start: int
    end: int
    content: str


class Use(NamedTuple):
    """A name in a text, as it is compared and as it is ``said`` there. ``label`` is the place of the label, or the one
    where a label would go; ``sure`` says that it can be nothing but a name: ``[text][name]``, ``[name][]`` and
    ``[^name]``, not ``[name]``."""

    name: str
    said: str
    line: int
    label: tuple[int, int]
    form: Literal["definition", "note", "full", "shortcut"]
    sure: bool = False


def name_of(label: str) -> str:
    """A label as names are compared: without regard to case and blanks."""
    return " ".join(label.casefold().split())


def without_code(text: str) -> str:
    """The text with code, comments and mathematics blanked out, character for character."""
    lines = rows(text)
    hidden = [(fence.start, fence.end) for fence in blocks.fences(text)]
    hidden += [(b.start, b.end) for b in blocks.blocks(text) if b.kind == "code" or b.text.lstrip().startswith("$$")]
    for start, end in hidden:
        lines[start:end] = [re.sub(r"[^\r\n]", " ", row) for row in lines[start:end]]
    return _CODE_SPAN.sub(lambda found: re.sub(r"[^\r\n]", "\0", found[0]), "".join(lines))


@lru_cache(maxsize=512)
def uses(text: str) -> tuple[Use, ...]:
    """The names that a text uses and defines, in order."""
    if "[" not in text:
        return ()
    bare = without_code(text)
    references = {start for start, _ in blocks.link_definitions(text)}
    return tuple(_uses(bare, dict(_pairs(bare)), references))


def _pairs(bare: str) -> Iterator[tuple[int, int]]:
    """The places of brackets that belong together; none reaches over a blank line."""
    opened: list[int] = []
    for found in _MARK.finditer(bare):
        if found[0] == "[":
            opened.append(found.start())
        elif found[0] == "]" and opened:
            yield opened.pop(), found.start()
        elif found[0][0] == "\n":
            opened.clear()


def _uses(bare: str, pairs: Mapping[int, int], references: set[int]) -> Iterator[Use]:
    labels: set[int] = set()
    line = last = 0
    for start, end in sorted(pairs.items()):
        line, last = line + bare.count("\n", last, start), start
        said, behind = bare[start + 1 : end], bare[end + 1 : end + 2]
        before = bare[max(0, start - 1) : start]
        note = bool(_FOOTNOTE.fullmatch(said))
        defines = behind == ":" and bool(_BEGINS_LINE.search(bare[max(0, start - 200) : start]))
        inside = (start + 1, end)
        if defines and (note or line in references):
            yield Use(name_of(said), said, line, inside, "definition")
        elif start in labels or behind == "(" or not said.strip():
            continue
        elif note:
            yield Use(name_of(said), said, line, inside, "note", sure=True)
        elif end + 1 in pairs:
            labels.add(end + 1)
            inside = (end + 2, pairs[end + 1])
            own = bare[slice(*inside)]
            behind_word = before.isascii() and (before.isalnum() or before in ("]", ")", "_"))
            sure = not behind_word and not (said.isdigit() and own.isdigit())
            own = own if own.strip() else said
            yield Use(name_of(own), own, line, inside, "full", sure)
        else:
            yield Use(name_of(said), said, line, (end + 1, end + 1), "shortcut")


@lru_cache(maxsize=512)
def definitions(text: str) -> tuple[Definition, ...]:
    """What a text defines, in order; of a name that it defines twice, both."""
    own = [use for use in uses(text) if use.form == "definition"]
    lines, ends = rows(text), dict(blocks.link_definitions(text))
    starts = {use.line for use in own}
    found = []
    for use in own:
        end = ends.get(use.line) or _note_end(lines, use.line, starts)
        body = "".join(lines[use.line : end]).partition("]:")[2]
        content = " ".join(word for word in body.split() if word != ">")
        found.append(Definition(use.name, use.line, end, content))
    return tuple(found)


def _note_end(lines: list[str], start: int, starts: Container[int]) -> int:
    """The line behind a footnote: its paragraph, and what stands indented below it."""
    end = at = start + 1
    while at < len(lines) and at not in starts:
        if not is_blank(lines[at]):
            if is_blank(lines[at - 1]) and not lines[at].startswith(("    ", "\t")):
                break
            end = at + 1
        at += 1
    return end


def apart(text: str, taken: Mapping[str, str], *, keep: Container[str] = ()) -> str:
    """The text with another name for what it defines and what is ``taken`` for something else, and without what is
    defined there likewise. ``taken`` has contents by name; names to ``keep`` are left alone.

    Of a name that the text itself defines twice, a definition is that of the uses behind the one before."""
    every = [d for d in definitions(text) if d.name not in keep]
    known = {name: content for name, content in taken.items() if name not in keep}
    own = {use.name for use in uses(text)}
    suffixes: list[str] = []
    dropped: list[Definition] = []
    for definition in every:
        for suffix in ("", *(f"-{number}" for number in range(2, len(every) + len(known) + 3))):
            name = definition.name + suffix
            if known.get(name) == definition.content:
                dropped.append(definition)
            elif name in known or (suffix and name in own):
                continue
            known[name] = definition.content
            suffixes.append(suffix)
            break
    for use in reversed(uses(text)):
        meant = [(d, suffix) for d, suffix in zip(every, suffixes, strict=True) if d.name == use.name]
        suffix = next((suffix for d, suffix in meant if use.line < d.end), meant[-1][1] if meant else "")
        if suffix:
            start, end = use.label
            new = f"[{use.said}{suffix}]" if use.form == "shortcut" else f"{use.said}{suffix}"
            text = text[:start] + new + text[end:]
    lines = rows(text)
    for _, start, end, _ in dropped:
        # Two blank lines would be left where one parted it from each neighbour.
        if start and end < len(lines) and is_blank(lines[start - 1]) and is_blank(lines[end]):
            lines[end] = ""
        lines[start:end] = [""] * (end - start)
    return "".join(lines)


def lacking(texts: Collection[str], known: Container[str] = ()) -> set[str]:
    """The names that the texts of a document use and that none of them defines, less those ``known``."""
    defined = {definition.name for text in texts for definition in definitions(text)}
    return {use.name for text in texts for use in uses(text) if use.name not in defined and use.name not in known}


def completed(text: str, wanted: Collection[str], others: Iterable[str]) -> str:
    """The text with the definitions of the ``wanted`` names that others have, at its end."""
    left = set(wanted)
    added = []
    for other in others if left else ():
        for name, start, end, _ in definitions(other):
            if name in left:
                left.remove(name)
                added.append("".join(rows(other)[start:end]).strip("\r\n"))
    body, newline = text.rstrip("\r\n"), newline_of(text)
    return body + newline * 2 + newline.join(added) + (text[len(body) :] or newline) if added else text
