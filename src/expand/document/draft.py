"""Read and write a draft: the document with its sections, and one hidden last line.

The last line is an HTML comment that names the sections that the tool wrote: for each its key (what
it was made from) and the hash of its text. A section whose text no longer has that hash was edited
by a person and is theirs. Nothing else is hidden; the rest is plain Markdown.

In the layout ``numbered`` a draft is header, contents, numbered sections and footer. In ``keep`` it is the author's
document, and its sections are found by their headings' anchors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from expand.document.page import BYTE_ORDER_MARK, Page
from expand.document.source import footer_line
from expand.markdown import blocks
from expand.markdown.blocks import anchor, newline_of, rows
from expand.outline import Layout

CONTENTS_TITLES = {"en": "Contents", "zh": "目录"}
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
_BEFORE_STAMP = {True: "\n", False: "\n\n"}
"""What stands before the hidden line, by whether the document ends in a line ending."""


def text_hash(text: str) -> str:
    """The hash of a section's text that the last line keeps: 16 hexadecimal digits of sha256."""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:SHORT_HASH]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """What the last line says of one section: its key ("" while unfinished), the hash of its text,
    and the hash of what it was told of the sections before it ("" for nothing). ``name`` is the anchor of its heading,
    by which it is known when its number changes.

    ``demands`` is the digest of what its outline demands beside title, topics and lines, ``lines`` are those that it
    was asked for, 0 where a part of it went elsewhere: they tell a change of titles and topics from one of the
    contract. ``id`` is the number under which the ledger knows the section, 0 for its own."""

    key: str
    text: str
    told: str = ""
    name: str = ""
    demands: str = ""
    lines: int = 0
    id: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A draft that was read back. ``stamps`` is empty where the last line is missing.

    ``sections`` are the texts by number, from their headings on: in the layout ``numbered`` without blanks at the end,
    in ``keep`` with every line up to what follows. ``head`` is all before the first numbered section (header and
    contents), ``footer`` all after the rule that closes the last one; both without blanks around them. In ``keep`` they
    are "", and ``pieces`` are the document: text outside of sections, and section numbers."""

    language: str
    plan: str
    head: str
    sections: Mapping[int, str]
    footer: str
    stamps: Mapping[int, Stamp] = field(default_factory=dict)
    head_hash: str = ""
    footer_hash: str = ""
    source_hash: str = ""
    """sha256 of the source document that the draft was made from."""
    layout: Layout = "numbered"
    pieces: tuple[str | int, ...] = ()
    rest_hash: str = ""
    translated: str = ""
    """The language that it is a translation from, "" for a text of its own. All of its sections count as edited by a
    person, so that none is drafted over it."""
    blocks: tuple[tuple[str, str], ...] = ()
    """Of a translation: the hash of each block of the original, "" where it is to be translated still, and of what was
    written for it."""
    damaged: bool = False
    """Whether the last line is missing, damaged or there twice, and what it said was kept elsewhere."""

    def without(self, number: int) -> Draft:
        """The draft without one section."""
        return replace(self, sections={n: text for n, text in self.sections.items() if n != number})

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
    def rest_edited(self) -> bool:
        """Whether a person changed the text outside of sections."""
        return self.rest_hash != _hash_of_rest(self.pieces)

    @property
    def head_edited(self) -> bool:
        """Whether a person changed the header or the contents."""
        return self.head_hash != text_hash(self.head)

    @property
    def footer_edited(self) -> bool:
        """Whether a person changed the footer."""
        return self.footer_hash != text_hash(self.footer)


def section_heading(number: int, title: str) -> str:
    """``## 2. Profiling tools``."""
    return f"## {number}. {title}"


def topic_heading(section: int, topic: int, title: str) -> str:
    """``### 2.1 perf``; both numbers count from 1."""
    return f"### {section}.{topic} {title}"


def render(
    *,
    head: str,
    sections: Mapping[int, str],
    footer: str,
    language: str,
    plan: str,
    source: str,
    stamps: Mapping[int, Stamp],
    head_hash: str | None = None,
    footer_hash: str | None = None,
) -> str:
    """The whole document, its ``sections`` as they are ordered, ending in one newline.

    A hash given for head or footer stands in the last line in place of the text's own: an edited
    part stays known as edited."""
    parts = [head.strip("\n"), *(text.strip("\n") for text in sections.values())]
    if footer.strip():
        parts += ["---", footer.strip("\n")]
    fields = {"language": language, "plan": plan, "source": source}
    fields["head"] = text_hash(head) if head_hash is None else head_hash
    fields["foot"] = text_hash(footer) if footer_hash is None else footer_hash
    return "\n\n".join(part for part in (*parts, _stamp_line(fields, stamps)) if part) + "\n"


def render_kept(
    text: str, *, language: str, plan: str, source: str, stamps: Mapping[int, Stamp], rest_hash: str
) -> str:
    """A document of the layout ``keep`` with its hidden last line; ``document_text`` gives back ``text``. ``rest_hash``
    is "" for that of the text itself."""
    fields = {"language": language, "plan": plan, "source": source, **_kept_fields(text)}
    fields["rest"] = rest_hash or _hash_of_rest(_kept_parts(text, stamps)[0])
    return _stamped(text, fields, stamps)


def _kept_fields(text: str) -> dict[str, str]:
    return {"layout": "keep", "ended": str(int(text.endswith(("\n", "\r"))))}


def _stamped(text: str, fields: Mapping[str, str], stamps: Mapping[int, Stamp]) -> str:
    ended = text.endswith(("\n", "\r"))
    return f"{text}{_BEFORE_STAMP[ended]}{_stamp_line(fields, stamps)}\n"


def render_translated(
    text: str,
    *,
    language: str,
    original: Draft,
    source: str,
    names: Mapping[int, str],
    pairs: Sequence[tuple[str, str]],
) -> str:
    """A translation into ``language`` with its hidden last line; ``document_text`` gives back ``text``. ``names`` are
    the anchors of its sections' headings by number, ``source`` and ``pairs`` as ``source_hash`` and ``blocks`` of a
    draft."""
    fields = {"language": language, "translated": original.language, "plan": original.plan, "source": source}
    if original.layout == "keep":
        fields |= _kept_fields(text)
    elif not original.footer:
        fields["foot"] = text_hash("")
    fields["blocks"] = ",".join(f"{one}:{other}" for one, other in pairs)
    return _stamped(text, fields, {number: Stamp(key="", text="", name=name) for number, name in names.items()})


def _hash_of_rest(pieces: Sequence[str | int]) -> str:
    """The hash of the text outside of sections."""
    return text_hash("\0".join(piece.strip() for piece in pieces if isinstance(piece, str)))


def _stamp_line(fields: Mapping[str, str], stamps: Mapping[int, Stamp]) -> str:
    items = [f"{name}={value}" for name, value in fields.items()]
    for number, stamp in sorted(stamps.items()):
        own = stamp.id if stamp.id != number else 0
        values = (stamp.key or "-", stamp.text, stamp.told, stamp.demands, stamp.lines or "", own or "")
        name = f"@{stamp.name}" if stamp.name else ""
        items.append(f"{number}{name}={':'.join(map(str, values)).rstrip(':')}")
    return f"<!-- expand {' '.join(items)} -->"


def head(header: str, titles: Sequence[str], language: str) -> str:
    """The header and the table of contents; ``titles`` are numbered (``1. Methods``)."""
    contents = CONTENTS_TITLES.get(language, CONTENTS_TITLES["en"])
    entries = [f"- [{title}](#{anchor(title)})" for title in titles]
    return "\n".join([header.strip("\n"), "", f"## {contents}", "", *entries]).strip("\n")


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
    draft = Draft(
        language=fields.get("language", ""),
        plan=fields.get("plan", ""),
        head="",
        sections={},
        footer="",
        stamps=stamps,
        source_hash=fields.get("source", ""),
        translated=fields.get("translated", ""),
        blocks=tuple((one, other) for one, _, other in pairs),
    )
    if fields.get("layout") == "keep":
        pieces, sections = _kept_parts(body, stamps)
        return replace(draft, sections=sections, layout="keep", pieces=pieces, rest_hash=fields.get("rest", ""))
    # Line endings and the mark are the source's; what is between them is compared without them.
    body = body.removeprefix(BYTE_ORDER_MARK)
    if newline_of(body) != "\n":
        body = re.sub(r"\r\n?", "\n", body)
    head_hash, footer_hash = fields.get("head", ""), fields.get("foot", "")
    head, sections, footer = _parts(body, footer_hash)
    return replace(draft, head=head, sections=sections, footer=footer, head_hash=head_hash, footer_hash=footer_hash)


def _read_stamp(name: str, value: str) -> tuple[int, Stamp] | None:
    """A section's number and stamp by a field of the hidden line, None for a field that is none."""
    number, _, anchor = name.partition("@")
    if not _is_number(number):
        return None
    key, text, told, demands, *counts = (*value.split(":"), *[""] * 5)[:6]
    lines, own = (int(said) if _is_number(said) else 0 for said in counts)
    key = "" if key == "-" else key
    return int(number), Stamp(key=key, text=text, told=told, name=anchor, demands=demands, lines=lines, id=own)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def document_text(text: str, kept: str = "") -> str:
    """A draft's text without the hidden last line: what is put in the place of its source. ``kept`` as in ``read``."""
    body, fields = _parted(text, kept)
    return body if fields.get("layout") == "keep" else body.rstrip("\r\n") + newline_of(body)


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
    """A document of the layout ``keep`` without what stands before the hidden line."""
    if fields.get("layout") != "keep":
        return body
    before = _BEFORE_STAMP[fields.get("ended") == "1"]
    return body.removesuffix(before) if body.endswith(before) and body.endswith("\n\n") else body


def _fitting(body: str, fields: Mapping[str, str]) -> int:
    """In how many places a text is what the fields of a hidden line say."""
    draft = _read(body, fields)
    around = (not draft.rest_edited,) if draft.layout == "keep" else (not draft.head_edited, not draft.footer_edited)
    return sum(not draft.edited(number) for number in draft.sections) + sum(around)


def _kept_parts(body: str, stamps: Mapping[int, Stamp]) -> tuple[tuple[str | int, ...], dict[int, str]]:
    """The document in pieces, and its sections in the order of their numbers."""
    page = Page(body)
    closing = footer_line(page)
    every = [heading for heading in page.headings if heading.line < closing]
    by_anchor = {heading.anchor: heading for heading in page.headings}
    starts = {number: by_anchor[stamp.name] for number, stamp in stamps.items() if stamp.name in by_anchor}
    own = {heading.line for heading in starts.values()}
    pieces: list[str | int] = []
    sections: dict[int, str] = {}
    at = 0
    for number, heading in sorted(starts.items(), key=lambda item: item[1].line):
        later = (h for h in every if h.line > heading.line and (h.line in own or h.level <= heading.level))
        end = next((other.lead for other in later), closing)
        pieces += [page.cut(at, heading.line), number]
        sections[number] = page.cut(heading.line, end)
        at = end
    pieces.append(page.cut(at, len(page.lines)))
    pieces[0] = f"{page.mark}{pieces[0]}" if page.mark else pieces[0]
    return tuple(piece for piece in pieces if piece != ""), dict(sorted(sections.items()))


def _parts(body: str, footer_hash: str) -> tuple[str, dict[int, str], str]:
    """Head, sections and footer.

    Sections may contain rules, and so may a footer: the hash tells which rule begins the one that
    the tool wrote. Where a person changed it, it is what follows the last rule."""
    lines = rows(body)
    starts: dict[int, int] = {}
    rules: list[int] = []
    for block in blocks.blocks(body):
        numbered = _NUMBERED.match(block.title) if block.kind == "heading" else None
        if numbered and block.level == 2:
            starts.setdefault(int(numbered[1]), block.start)
            rules = []
        elif block.kind == "rule" and starts:
            rules.append(block.start)

    def text(start: int, end: int) -> str:
        return "".join(lines[start:end]).strip("\n")

    end, footer = len(lines), ""
    if rules and footer_hash != text_hash(""):
        own = (rule for rule in rules if text_hash(text(rule + 1, len(lines))) == footer_hash)
        end = next(own, rules[-1])
        footer = text(end + 1, len(lines))
    borders = [*starts.values(), end]
    sections = {number: text(*ends) for number, ends in zip(starts, pairwise(borders), strict=True)}
    return text(0, borders[0]), sections, footer
