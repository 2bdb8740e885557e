"""Outlines and the book as YAML: written anew, or changed in place with comments and order kept.

The only module that imports ruamel.yaml. PyYAML, which reads outlines, forgets comments, so it
cannot write a file that a person keeps by hand.
"""

import io
import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from expand.importers.lengths import Length
from expand.importers.proposal import Proposal, ProposedSection, settled
from expand.markdown.matching import title_key

# Letters first; then nothing that means something in YAML, in brackets or out of them.
_SAFE = re.compile(r"[^\W\d_][^\n:#{}\[\],&*!|>'\"%@`\\]*(?<!\s)")
_NO_TEXT = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null")
SCHEMA_LINE = "# yaml-language-server: $schema={schema}\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class OutlineLanguage:
    """The language of titles and topics; they are written plainly, or under ``code`` where a book has several."""

    code: str
    several: bool

    def node(self, text: str) -> Any:
        """A text as a node: plain, or ``{zh: …}``."""
        if not self.several:
            return _text(text)
        by_language = CommentedMap({self.code: _text(text)})
        by_language.fa.set_flow_style()
        return by_language


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewritten:
    """An outline's new text, and the sections of the former one that are no longer in it."""

    text: str
    dropped: tuple[str, ...] = ()


def new_outline(proposal: Proposal, *, source: str, language: OutlineLanguage, schema: str | None = None) -> str:
    """The YAML of a proposal whose sections all have their lines."""
    root = CommentedMap()
    root["id"] = _id(proposal.id)
    root["title"] = language.node(proposal.title)
    root["source"] = _text(source)
    _state(root, proposal)
    root["sections"] = [_new_section(section, language) for section in proposal.sections]
    return (SCHEMA_LINE.format(schema=schema) if schema else "") + _dumped(root)


def updated_outline(text: str, proposal: Proposal, *, language: OutlineLanguage, lines: int) -> Rewritten:
    """An outline's text with what the proposal says; what it does not mention stays, lines too.

    A new section without lines gets its share of the chapter's, which are ``lines`` if not stated. Sections and topics
    are recognised by their words in any language, so their other languages, notes and comments move with them."""
    former = text
    root = _yaml().load(text)
    dash = _dash(root)
    sections = proposal.sections
    order = _order([section.title for section in sections], [_words(node.get("title")) for node in root["sections"]])
    dropped = tuple(_words(node.get("title"))[0] for at, node in enumerate(root["sections"]) if at not in order)
    shared = settled(proposal, lines=lines).sections
    fresh = (_dumped(_new_section(section, language)) for section in shared)
    text = _arranged(text, root, root["sections"], order, fresh, dash)
    for at, section in enumerate(sections):
        root = root if text == former else _yaml().load(text)
        text = _with_topics(text, root, at, section.topics, language, dash)
    root = _yaml().load(text)
    _say(root, "title", proposal.title, language)
    _state(root, proposal)
    for node, section in zip(root["sections"], sections, strict=True):
        _say(node, "title", section.title, language)
        _put_length(node, section.length)
    if root == _yaml().load(former):
        return Rewritten(text=former)
    return Rewritten(text=_dumped(root, dash), dropped=dropped)


def new_book(*, title: str, language: str, tokens: int, chapters: Sequence[Mapping[str, object]], schema: str) -> str:
    """The YAML of a book in one language. A chapter has ``id``, ``title`` and further keys as the book's schema has."""
    entries = [
        {key: _text(value) if isinstance(value, str) else value for key, value in one.items()}
        | {"id": _id(str(one["id"]))}
        for one in chapters
    ]
    return "".join(
        [
            SCHEMA_LINE.format(schema=schema),
            _dumped({"title": _text(title), "language": language}),
            "layout: keep # documents keep their form; numbered: expand sets headings, header and contents\n",
            "# audience: Whom it is written for, and what they know already.\n",
            "# house_rules:\n#   - What every chapter keeps to.\n",
            f"allowance:\n  tokens: {tokens} # the most that may be spent on the whole book\n",
            _dumped({"chapters": entries}),
        ]
    )


def with_chapters(text: str, chapters: Sequence[tuple[str, str, str, Length]], *, language: OutlineLanguage) -> str:
    """A book's text with further chapters at its end: id, title, source and the length wanted."""
    root = _yaml().load(text)
    dash = _dash(root, "chapters")
    if root.get("chapters") is None:
        root["chapters"] = []
    for chapter, title, source, length in chapters:
        entry = CommentedMap({"id": _id(chapter), "title": language.node(title)})
        entry["source"] = _text(source)
        _put_length(entry, length, lines_key="target_lines")
        root["chapters"].append(entry)
    return _dumped(root, dash)


def _dash(root: CommentedMap, key: str = "sections") -> int:
    """The column of the dashes of the file's list, from 0; 2 where there is none to go by."""
    items = root.get(key)
    if not items or items.fa.flow_style():
        return 2
    column = items.lc.col
    return int(column) if column in (0, 2, 4) else 2


def _yaml(dash: int = 2) -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    yaml.indent(mapping=2, sequence=dash + 2, offset=dash)
    return yaml


def _dumped(root: Mapping[str, Any], dash: int = 2) -> str:
    stream = io.StringIO()
    _yaml(dash).dump(root, stream)
    return stream.getvalue().rstrip("\n") + "\n"


def _text(text: str) -> Any:
    """A text, in quotes unless every reader of YAML takes it for one without them."""
    safe = _SAFE.fullmatch(text) and not _NO_TEXT.fullmatch(text)
    return text if safe else DoubleQuotedScalarString(text)


def _id(chapter: str) -> Any:
    """An id; one that begins with a digit in quotes, as other tools would read a number."""
    return DoubleQuotedScalarString(chapter) if chapter[:1].isdigit() else chapter


def _state(root: CommentedMap, proposal: Proposal) -> None:
    _put_length(root, proposal.target, lines_key="target_lines")
    stated = {"priority": proposal.priority, "hours": proposal.hours}
    for key, value in stated.items():
        if value is not None and root.get(key) != value:
            _put(root, key, value)


def _put_length(node: CommentedMap, length: Length | None, *, lines_key: str = "lines") -> None:
    """States a length under the key of its unit: a section's after its title."""
    if length is None:
        return
    key = {"lines": lines_key, "characters": "字数" if "字数" in node else "characters"}.get(length.unit, length.unit)
    amount = int(length.amount)
    if key in node or lines_key == "target_lines":
        if node.get(key) != amount:
            _put(node, key, amount)
    else:
        node.insert(list(node).index("title") + 1, key, amount)


def _put(node: CommentedMap, key: str, value: Any) -> None:
    """Sets a key; a new one goes before the list of sections."""
    if key in node or "sections" not in node:
        node[key] = value
    else:
        node.insert(list(node).index("sections"), key, value)


def _new_section(section: ProposedSection, language: OutlineLanguage) -> CommentedMap:
    node = CommentedMap()
    node["title"] = language.node(section.title)
    _put_length(node, section.length)
    if section.topics:
        node["topics"] = [language.node(topic) for topic in section.topics]
    return node


def _say(node: CommentedMap, key: str, text: str, language: OutlineLanguage) -> None:
    """Puts a text in its language; one that says it already stays, quotes and all."""
    present = node.get(key)
    if text in _words(present):
        return
    if isinstance(present, dict):
        present[language.code] = _text(text)
    else:
        node[key] = language.node(text)


def _words(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [str(text) for text in node.values()]
    return [] if node is None else [str(node)]


def _with_topics(
    text: str, root: CommentedMap, at: int, topics: Sequence[str], language: OutlineLanguage, dash: int
) -> str:
    """The outline's text, read as ``root``, with these topics, in this order, in its section number ``at`` from 0."""
    node = root["sections"][at]
    present: CommentedSeq | list[Any] = node.get("topics") or []
    order = _order(topics, [_words(item) for item in present])
    if order == list(range(len(present))):
        return text
    if present and topics:
        fresh = (_dumped({"topic": language.node(topic)}).removeprefix("topic: ") for topic in topics)
        return _arranged(text, root, present, order, fresh, dash)
    if topics:
        node["topics"] = [language.node(topic) for topic in topics]
    else:
        del node["topics"]
    return _dumped(root, dash)


def _order(wanted: Sequence[str], present: Sequence[Sequence[str]]) -> list[int | None]:
    """For each wanted text the number of the present item that says it, None where none does."""
    keys = [{title_key(word) for word in words} for words in present]
    used: set[int] = set()
    order: list[int | None] = []
    for text in wanted:
        fits = (at for at, own in enumerate(keys) if at not in used and title_key(text) in own)
        found = next(fits, None)
        order.append(found)
        if found is not None:
            used.add(found)
    return order


def _arranged(
    text: str, root: CommentedMap, items: Any, order: Sequence[int | None], fresh: Iterable[str], dash: int
) -> str:
    """The text with the list's items in this order; where it is None, the fresh one at that place."""
    if list(order) == list(range(len(items))):
        return text
    chosen = [new if number is None else number for number, new in zip(order, fresh, strict=True)]
    moved = _rearranged(text, [items.lc.item(at) for at in range(len(items))], chosen)
    if moved is not None:
        return moved
    former = list(items)
    loaded = [_yaml().load(item) if isinstance(item, str) else former[item] for item in chosen]
    items[:] = loaded
    items.fa.set_block_style()
    return _dumped(root, dash)


def _rearranged(text: str, starts: Sequence[tuple[int, int]], items: Sequence[int | str]) -> str | None:
    """The text with a block list made of these items: one that exists by its number from 0, or a new item's YAML.

    ``starts`` is where the contents of the list's items begin (line and column from 0). Items are moved as pieces of
    text, because YAML libraries attach a comment above an item to the item before. None where the items do not each
    begin a line with their dash: in brackets, for instance."""
    rows = text.splitlines(keepends=True)
    dashes = [rows[line][:column].rstrip() for line, column in starts]
    if not dashes or any(dash.strip() != "-" for dash in dashes):
        return None
    column = len(dashes[0]) - 1
    margin = " " * column
    begins = [_with_comments(rows, line, column) for line, _ in starts]
    end = _end(rows, starts[-1][0] + 1, column)
    present = ["".join(rows[a:b]) for a, b in itertools.pairwise([*begins, end])]
    pieces = [
        present[item] if isinstance(item, int) else f"{margin}- {textwrap.indent(item, f'{margin}  ').lstrip()}"
        for item in items
    ]
    closed = [piece if piece.endswith("\n") else f"{piece}\n" for piece in pieces]
    return "".join([*rows[: begins[0]], *closed, *rows[end:]])


def _with_comments(rows: Sequence[str], line: int, column: int) -> int:
    """The first of the comment lines right above an item that stand at its dash or deeper."""
    while line > 0 and rows[line - 1].lstrip().startswith("#") and _indent(rows[line - 1]) >= column:
        line -= 1
    return line


def _end(rows: Sequence[str], line: int, column: int) -> int:
    """The line after the last one of the list; what comments on the next key is not of it."""
    last = line
    for at in range(line, len(rows)):
        row = rows[at]
        if not row.strip():
            continue
        if _indent(row) <= column and not row.lstrip().startswith("#"):
            break
        if _indent(row) > column:
            last = at + 1
    return last


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" "))
