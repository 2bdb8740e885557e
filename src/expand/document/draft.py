"""Read and write a draft: the document with its sections, and one hidden last line.

The last line is an HTML comment that names the sections that the tool wrote: for each its key (what
it was made from) and the hash of its text. A section whose text no longer has that hash was edited
by a person and is theirs. Nothing else is hidden; the rest is plain Markdown.

Sections are found by their headings: in the layout ``numbered`` by their numbers, in ``keep`` by their anchors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, zip_longest
from operator import itemgetter

from expand.document.layout import extents, retitled
from expand.document.page import BYTE_ORDER_MARK, Heading, Page, footer_line
from expand.markdown import blocks
from expand.markdown.blocks import newline_of
from expand.outline import Layout

_GAP = r"(?:[ \t]+|[ \t]*\r?\n[ \t>]*)"
_STAMP = re.compile(
    rf"""(?x)
    ^[ \t>]* (?:\\?<!--|<!–|<!—|\\?&lt;!--|\{{/\*) {_GAP}? expand {_GAP}
    (?P<body> language (?:=(?:(?!--)[^\s<>&])*)? (?: {_GAP} \w[^\s<>&=*]* (?:=(?:(?!--)[^\s<>&])*)? )* )
    (?: {_GAP}? (?:--\\?>|–>|—>|--&gt;|\*/\}}|--?) )?
    [ \t]*(?:\r?\n)?
    """,
    re.MULTILINE,
)
"""The hidden line, also where an editor wrapped, indented, quoted or escaped it, or its end is lost."""
_NUMBERED = re.compile(r"(\d{1,9})\.\s+\S")
SHORT_HASH = 16


def text_hash(text: str) -> str:
    """The hash of a section's text that the last line keeps: 16 hexadecimal digits of sha256."""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:SHORT_HASH]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """What the last line says of one section: its key ("" while unfinished) and the hash of its text. ``name`` is the
    anchor of its heading, by which it is known when its number changes.

    ``demands`` is the digest of what its outline demands beside title, topics and lines, ``lines`` are those that it
    was asked for, 0 where a part of it went elsewhere: they tell a change of titles and topics from one of the
    contract. ``id`` is the number under which the ledger knows the section, 0 for its own. ``title`` is the outline's
    title, as an anchor, where the heading has another."""

    key: str
    text: str
    name: str = ""
    demands: str = ""
    lines: int = 0
    id: int = 0
    title: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A draft that was read back. ``stamps`` is empty where the last line is missing.

    ``pieces`` are the document: text outside of sections, and section numbers; in the layout ``numbered`` text, numbers
    and text again. ``sections`` are the texts by number, from their headings on: in ``keep`` with every line up to what
    follows, in ``numbered`` without blanks at the end."""

    language: str
    plan: str
    sections: Mapping[int, str]
    pieces: tuple[str | int, ...] = ()
    stamps: Mapping[int, Stamp] = field(default_factory=dict)
    rest: tuple[str, ...] = ()
    """The hashes of the text outside of sections as the tool wrote it: in the layout ``numbered`` of what stands before
    them and of what is below the rule behind them, which are edited each by itself; in ``keep`` of all of it."""
    source_hash: str = ""
    """sha256 of the source document that the draft was made from."""
    layout: Layout = "numbered"
    translated: str = ""
    """The language that it is a translation from, "" for a text of its own. All of its sections count as edited by a
    person, so that none is drafted over it."""
    blocks: tuple[tuple[str, str], ...] = ()
    """Of a translation: the hash of each block of the original, "" where it is to be translated still, and of what was
    written for it."""
    damaged: bool = False
    """Whether the last line is missing, damaged or there twice, and what it said was kept elsewhere."""

    def having(self, number: int, text: str, stamp: Stamp | None) -> Draft:
        """The draft with this text of a section, and its stamp."""
        stamps = {n: other for n, other in self.stamps.items() if n != number}
        if stamp is not None:
            stamps[number] = stamp
        return replace(self, sections=dict(sorted({**self.sections, number: text}.items())), stamps=stamps)

    def edited(self, number: int) -> bool:
        """Whether a person changed that section since the tool wrote it.

        A section without a stamp counts as edited: what the tool cannot prove to be its own it leaves alone."""
        if number not in self.sections:
            return False
        stamp = self.stamps.get(number)
        return stamp is None or stamp.text != text_hash(self.sections[number])

    @property
    def whole(self) -> str:
        """The document with its sections."""
        return "".join(self._texts)

    @property
    def _texts(self) -> list[str]:
        return [piece if isinstance(piece, str) else self.sections.get(piece, "") for piece in self.pieces]

    @property
    def starts(self) -> dict[int, int]:
        """The number of each section by the line where it begins in the document, counted from 0."""
        lines = accumulate((len(blocks.rows(text)) for text in self._texts), initial=0)
        return {line: piece for line, piece in zip(lines, self.pieces, strict=False) if isinstance(piece, int)}

    @property
    def rest_edited(self) -> tuple[bool, ...]:
        """Whether a person changed the text outside of sections, for each of its hashes."""
        own = _rest_hashes(self.layout, self.pieces)
        return tuple(hashed != now for hashed, now in zip_longest(self.rest, own, fillvalue=""))


def _rest_hashes(layout: Layout, pieces: Sequence[str | int]) -> tuple[str, ...]:
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if layout == "keep":
        return (text_hash("\0".join(text.strip() for text in texts)),)
    head, *footer = texts or [""]
    return text_hash(head), text_hash("".join(footer).partition("\n")[2])


def render(
    text: str,
    *,
    layout: Layout,
    pieces: Sequence[str | int] = (),
    stamps: Mapping[int, Stamp],
    rest: Sequence[str] = (),
    **fields: str,
) -> str:
    """A document with its hidden last line; ``document_text`` gives back ``text``.

    ``rest`` are hashes that stand in that line in place of those of the text outside of sections, where they are not
    "": an edited part stays known as edited. Under ``numbered`` that text is in ``pieces``."""
    if layout == "keep":
        pieces, _, order = _parts(Page(text), layout, stamps)
        fields["order"] = ",".join(order)
    own = _rest_hashes(layout, pieces)
    ended = text.endswith(("\n", "\r"))
    said = ",".join(former or now for former, now in zip_longest(rest, own, fillvalue=""))
    line = _stamp_line({**fields, "layout": layout, "ended": str(int(ended)), "rest": said}, stamps)
    newline = "\r\n" if newline_of(text) == "\r\n" else "\n"
    return f"{text}{newline if ended else 2 * newline}{line}{newline}"


def _stamp_line(fields: Mapping[str, str], stamps: Mapping[int, Stamp]) -> str:
    items = [f"{name}={value}" for name, value in fields.items()]
    for number, stamp in sorted(stamps.items()):
        own = stamp.id if stamp.id != number else 0
        title = re.sub("-+", "-", stamp.title) if stamp.title != stamp.name else ""
        # The third field is one of earlier versions.
        values = (stamp.key or "-", stamp.text, "", stamp.demands, stamp.lines or "", own or "", title)
        name = f"@{stamp.name}" if stamp.name else ""
        items.append(f"{number}{name}={':'.join(map(str, values)).rstrip(':')}")
    return f"<!-- expand {' '.join(items)} -->"


def hidden_line(text: str) -> str:
    """The last hidden line of a draft's text, "" for none."""
    return next((found[0].strip() for found in reversed([*_STAMP.finditer(text)])), "")


def read(text: str, kept: str = "") -> Draft:
    """A draft read back from its document: its sections are found by their numbered headings, or by the anchors that
    the last line names. ``kept`` is a copy of that line, which counts where it fits the text as well."""
    body, fields = _parted(text, kept)
    found = _read(body, fields)
    return replace(found, damaged=True) if kept and fields != _parted(text)[1] else found


def _read(body: str, fields: Mapping[str, str]) -> Draft:
    stamps = dict(filter(None, (_read_stamp(*item) for item in fields.items())))
    pairs = (pair.partition(":") for pair in fields.get("blocks", "").split(",") if pair)
    layout: Layout = "keep" if fields.get("layout") == "keep" else "numbered"
    # Until the two layouts had one form of this line, ``numbered`` had a field for each of the two.
    rest = tuple(fields["rest"].split(",")) if "rest" in fields else (fields.get("head", ""), fields.get("foot", ""))
    if layout == "numbered":
        # Line endings and the mark are the source's; what is between them is compared without them.
        body = body.removeprefix(BYTE_ORDER_MARK)
        body = re.sub(r"\r\n?", "\n", body) if newline_of(body) != "\n" else body
    order = [item for item in fields.get("order", "").split(",") if re.match(r"\d(?:@\d{1,9}$|(?!@))", item)]
    pieces, sections, _ = _parts(Page(body), layout, stamps, rest[-1], order)
    return Draft(
        language=fields.get("language", ""),
        plan=fields.get("plan", ""),
        sections=sections,
        pieces=pieces,
        stamps=stamps,
        rest=rest,
        source_hash=fields.get("source", ""),
        layout=layout,
        translated=fields.get("translated", ""),
        blocks=tuple((one, other) for one, _, other in pairs),
    )


def _read_stamp(name: str, value: str) -> tuple[int, Stamp] | None:
    """A section's number and stamp by a field of the hidden line, None for a field that is none."""
    number, _, anchor = name.partition("@")
    if not _is_number(number):
        return None
    key, text, _, demands, *counts, title = (*value.split(":"), *[""] * 6)[:7]
    lines, own = (int(said) if _is_number(said) else 0 for said in counts)
    key = "" if key == "-" else key
    return int(number), Stamp(key=key, text=text, name=anchor, demands=demands, lines=lines, id=own, title=title)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def document_text(text: str, kept: str = "") -> str:
    """A draft's text without the hidden last line: what is put in the place of its source. ``kept`` as in ``read``."""
    return _parted(text, kept)[0]


def _parted(text: str, kept: str = "") -> tuple[str, Mapping[str, str]]:
    """A draft's document and the fields of its hidden line: the one that fits most of the text, of those in it and the
    copy. Lines that were moved or doubled are taken out where they are; an example in a block of code is none."""
    found = [*_STAMP.finditer(text)]
    if len(found) > 1:
        fences = [range(fence.start, fence.end) for fence in blocks.fences(text)]
        last = found[-1]
        found = [one for one in found if one is last or not any(text.count("\n", 0, one.start()) in f for f in fences)]
    body = text
    for one in reversed(found):
        before, behind = body[: one.start()], body[one.end() :]
        parted = before.endswith(("\n\n", "\r\n\r\n")) or not before.strip()
        body = before + (behind.lstrip("\r\n") if parted or not behind.strip() else behind)
    stated = [_fields(one["body"]) for one in found]
    copy = _STAMP.match(kept)
    options = [*([_fields(copy["body"])] if copy else ()), *reversed(stated)]
    if len(options) > 1 and any(option != options[0] for option in options):
        options.sort(key=lambda fields: -_fitting(_bare(body, fields), fields))
    elif not stated and options and not _fitting(_bare(body, options[0]), options[0]):
        options = []  # a copy of another text's
    fields = options[0] if options else {}
    return _bare(body, fields), fields


def _fields(body: str) -> dict[str, str]:
    words = (word for word in body.split() if word != ">")
    return dict(item.split("=", 1) for item in words if "=" in item)


def _bare(body: str, fields: Mapping[str, str]) -> str:
    """A document without what stands before the hidden line."""
    if not fields or not body.endswith(("\n\n", "\n\r\n")):
        return body
    return re.sub(r"\r?\n\Z" if fields.get("ended", "1") == "1" else r"\r?\n\r?\n\Z", "", body)


def _fitting(body: str, fields: Mapping[str, str]) -> int:
    """In how many places a text is what the fields of a hidden line say."""
    draft = _read(body, fields)
    return sum(not draft.edited(number) for number in draft.sections) + draft.rest_edited.count(False)


def _parts(
    page: Page,
    layout: Layout,
    stamps: Mapping[int, Stamp],
    footer_hash: str = "",
    order: Sequence[str] = (),
) -> tuple[tuple[str | int, ...], dict[int, str], list[str]]:
    """The document in pieces, its sections in the order of their numbers, and the order of these and of the headings
    beside them.

    Under ``keep`` a section ends at the next heading that is as high, under ``numbered`` at the next numbered one: what
    a person puts between two is part of the first."""
    if layout == "keep":
        every, closing = page.headings, footer_line(page)
        starts = _kept_starts([one for one in every if one.line < closing], stamps, order)
    else:
        starts, closing = _numbered_starts(page, stamps, footer_hash)
        every = tuple(starts.values())
    places = extents(every, starts, closing)
    pieces: list[str | int] = []
    at = 0
    for number, (start, end) in sorted(places.items(), key=itemgetter(1)):
        pieces += [page.cut(at, start), number]
        at = end
    pieces.append(page.cut(at, len(page.lines)))
    pieces[0] = f"{page.mark}{pieces[0]}" if page.mark else pieces[0]
    sections = {number: page.cut(*places[number]) for number in sorted(places)}
    if layout == "numbered":
        return tuple(pieces), {number: text.rstrip("\n") for number, text in sections.items()}, []
    own = {heading.line: number for number, heading in starts.items()}
    outside = (one for one in every if not any(start < one.line < end for start, end in places.values()))
    order = [f"{one.level}@{own[one.line]}" if one.line in own else _heading_hash(one) for one in outside]
    return tuple(piece for piece in pieces if piece != ""), sections, order


def _heading_hash(heading: Heading) -> str:
    return f"{heading.level}{text_hash(heading.anchor)[: SHORT_HASH // 2]}"


def _kept_starts(headings: Sequence[Heading], stamps: Mapping[int, Stamp], order: Sequence[str]) -> dict[int, Heading]:
    """Where each section begins that the hidden line names: at the heading of that anchor, else at one that a person
    retitled. ``order`` is that of the sections and of the headings beside them; without one they are in their own."""
    by_anchor = {heading.anchor: heading for heading in headings}
    starts = {number: by_anchor[stamp.name] for number, stamp in stamps.items() if stamp.name in by_anchor}
    if len(starts) < len(stamps):
        level = min((one.level for one in starts.values()), default=2)
        order = order or [f"{level}@{number}" for number in sorted(stamps)]
        places = {_heading_hash(one): at for at, one in enumerate(headings)}
        places |= {f"{one.level}@{number}": headings.index(one) for number, one in starts.items()}
        titles = {number: stamp.name.replace("-", " ") for number, stamp in stamps.items()}
        numbers = [int(item.partition("@")[2] or 0) for item in order]
        former = [Heading(level=int(item[0]), title=titles.get(n, "")) for item, n in zip(order, numbers, strict=True)]
        found = retitled({at: places[item] for at, item in enumerate(order) if item in places}, headings, former)
        starts |= {number: headings[found[at]] for at, number in enumerate(numbers) if number in stamps and at in found}
    return starts


def _numbered_starts(page: Page, stamps: Mapping[int, Stamp], footer_hash: str) -> tuple[dict[int, Heading], int]:
    """Where each section of a numbered draft begins, of two with one number the first, and the line of the rule that
    the tool wrote above the footer, the number of lines where there is none.

    Sections may contain rules, and so may a footer: the hashes say which one has the footer below it, or the last
    section above it. Where a person changed both, it is the last one. Elements that are open in one section and closed
    in another hide no heading here: they may be the model's."""
    every, count = blocks.blocks(page.text), len(page.lines)
    starts: dict[int, Heading] = {}
    for block in every:
        found = _NUMBERED.match(block.title) if block.kind == "heading" and block.level == 2 else None
        if found:
            starts.setdefault(int(found[1]), Heading(line=block.start, lead=block.start, level=2, title=block.title))
    last = max(starts, key=lambda number: starts[number].line, default=0)
    rules = [block.start for block in every if block.kind == "rule" and starts and block.start > starts[last].line]
    if not rules or footer_hash == text_hash(""):
        return starts, count
    above = stamps[last].text if last in stamps else ""
    own = (
        rule
        for rule in rules
        if footer_hash == text_hash(page.cut(rule + 1, count)) or above == text_hash(page.cut(starts[last].line, rule))
    )
    return starts, next(own, rules[-1])
