"""Read and write a draft: header, contents, numbered sections, footer, and one hidden last line.

The last line is an HTML comment that names the sections that the tool wrote: for each its key (what
it was made from) and the hash of its text. A section whose text no longer has that hash was edited
by a person and is theirs. Nothing else is hidden; the rest is plain Markdown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from expand.markdown import blocks
from expand.markdown.blocks import anchor

CONTENTS_TITLES = {"en": "Contents", "zh": "目录"}
_STAMP = re.compile(r"^<!-- expand (?P<body>[^>]*) -->\s*\Z", re.MULTILINE)
_NUMBERED = re.compile(r"(\d{1,9})\.\s+\S")
SHORT_HASH = 16


def text_hash(text: str) -> str:
    """The hash of a section's text that the last line keeps: 16 hexadecimal digits of sha256."""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:SHORT_HASH]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """What the last line says of one section: its key ("" while unfinished), the hash of its text,
    and the hash of what it was told of the sections before it ("" for nothing).
    """

    key: str
    text: str
    told: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftSection:
    """One section: ``text`` starts with its ``## N. Title`` line and ends without blanks."""

    number: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A draft that was read back. ``stamps`` is empty where the last line is missing.

    ``head`` is all before the first numbered section (header and contents), ``footer`` all after
    the rule that closes the last one; both without blanks around them.
    """

    language: str
    plan: str
    head: str
    sections: tuple[DraftSection, ...]
    footer: str
    stamps: Mapping[int, Stamp] = field(default_factory=dict)
    head_hash: str = ""
    footer_hash: str = ""
    source_hash: str = ""
    """sha256 of the source document that the draft was made from."""

    def without(self, number: int) -> Draft:
        """The draft without one section."""
        return replace(self, sections=tuple(s for s in self.sections if s.number != number))

    def section(self, number: int) -> DraftSection | None:
        """The section of that number, if the draft has one."""
        return next((s for s in self.sections if s.number == number), None)

    def edited(self, number: int) -> bool:
        """Whether a person changed that section since the tool wrote it.

        A section without a stamp counts as edited: what the tool cannot prove to be its own it leaves alone.
        """
        section = self.section(number)
        if section is None:
            return False
        stamp = self.stamps.get(number)
        return stamp is None or stamp.text != text_hash(section.text)

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
    sections: Sequence[DraftSection],
    footer: str,
    language: str,
    plan: str,
    source: str,
    stamps: Mapping[int, Stamp],
    head_hash: str | None = None,
    footer_hash: str | None = None,
) -> str:
    """The whole document, ending in one newline.

    A hash given for head or footer stands in the last line in place of the text's own: an edited
    part stays known as edited.
    """
    parts = [head.strip("\n"), *(section.text.strip("\n") for section in sections)]
    if footer.strip():
        parts += ["---", footer.strip("\n")]
    items = [
        f"language={language}",
        f"plan={plan}",
        f"source={source}",
        f"head={text_hash(head) if head_hash is None else head_hash}",
        f"foot={text_hash(footer) if footer_hash is None else footer_hash}",
        *(_stamp(number, stamp) for number, stamp in sorted(stamps.items())),
    ]
    parts.append(f"<!-- expand {' '.join(items)} -->")
    return "\n\n".join(part for part in parts if part) + "\n"


def head(header: str, titles: Sequence[str], language: str) -> str:
    """The header and the table of contents; ``titles`` are numbered (``1. Methods``)."""
    contents = CONTENTS_TITLES.get(language, CONTENTS_TITLES["en"])
    entries = [f"- [{title}](#{anchor(title)})" for title in titles]
    return "\n".join([header.strip("\n"), "", f"## {contents}", "", *entries]).strip("\n")


def read(text: str) -> Draft:
    """A draft read back from its document; sections are found by their numbered headings."""
    found = _STAMP.search(text)
    fields = dict(item.split("=", 1) for item in (found["body"].split() if found else ()) if "=" in item)
    stamps = {}
    for name, value in fields.items():
        if name.isdecimal() and len(name) < 10:
            key, hashed, told = (*value.split(":"), "", "")[:3]
            stamps[int(name)] = Stamp(key="" if key == "-" else key, text=hashed, told=told)
    body = text[: found.start()] if found else text
    head_text, sections, footer = _parts(body, fields.get("foot", ""))
    return Draft(
        language=fields.get("language", ""),
        plan=fields.get("plan", ""),
        head=head_text,
        sections=sections,
        footer=footer,
        stamps=stamps,
        head_hash=fields.get("head", ""),
        footer_hash=fields.get("foot", ""),
        source_hash=fields.get("source", ""),
    )


def document_text(text: str) -> str:
    """A draft's text without the hidden last line: what is put in the place of its source."""
    return _STAMP.sub("", text).rstrip("\n") + "\n"


def _stamp(number: int, stamp: Stamp) -> str:
    told = f":{stamp.told}" if stamp.told else ""
    return f"{number}={stamp.key or '-'}:{stamp.text}{told}"


def _parts(body: str, footer_hash: str) -> tuple[str, tuple[DraftSection, ...], str]:
    """Head, sections and footer."""
    lines = body.splitlines(keepends=True)
    starts: dict[int, int] = {}
    rules: list[int] = []
    for block in blocks.blocks(body):
        numbered = _NUMBERED.match(block.title) if block.kind == "heading" else None
        if numbered and block.level == 2:
            starts.setdefault(int(numbered[1]), block.start)
            rules = []
        elif block.kind == "rule" and starts:
            rules.append(block.start)
    end, footer = _footer(lines, rules, footer_hash)
    borders = [*list(starts.values())[1:], end]
    sections = tuple(
        DraftSection(number=number, text="".join(lines[start:border]).strip("\n"))
        for (number, start), border in zip(starts.items(), borders, strict=False)
    )
    first = next(iter(starts.values()), len(lines))
    return "".join(lines[:first]).strip("\n"), sections, footer


def _footer(lines: Sequence[str], rules: Sequence[int], footer_hash: str) -> tuple[int, str]:
    """The line where the last section ends, and the footer behind it.

    Sections may contain rules, and so may a footer: the hash tells which rule begins the one that
    the tool wrote. Where a person changed it, it is what follows the last rule.
    """
    if footer_hash == text_hash("") or not rules:
        return len(lines), ""
    behind = {rule: "".join(lines[rule + 1 :]).strip("\n") for rule in rules}
    start = next((rule for rule, text in behind.items() if text_hash(text) == footer_hash), rules[-1])
    return start, behind[start]
