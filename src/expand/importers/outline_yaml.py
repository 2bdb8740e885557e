"""Outlines and the book as YAML: written anew, or changed in place with comments and order kept.

The only module that imports ruamel.yaml. PyYAML, which reads outlines, forgets comments, so it
cannot write a file that a person keeps by hand.
"""

import io
import itertools
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from expand.importers.lengths import Length
from expand.importers.proposal import Proposal, ProposedSection, settled
from expand.markdown.blocks import newline_of
from expand.markdown.matching import title_key

# Letters first; then nothing that means something in YAML, in brackets or out of them.
_SAFE = re.compile(r"[^\W\d_][^\n:#{}\[\],&*!|>'\"%@`\\]*(?<!\s)")
_NO_TEXT = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null")
_SCHEMA_LINE = "# yaml-language-server: $schema={schema}\n"


class OutlineLanguage(NamedTuple):
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


def new_outline(proposal: Proposal, *, source: str, language: OutlineLanguage, schema: str | None = None) -> str:
    """The YAML of a proposal whose sections all have their lines."""
    root = CommentedMap(id=_id(proposal.id), title=language.node(proposal.title), source=_text(source))
    _state(root, proposal, language)
    root["sections"] = [_new_section(section, language) for section in proposal.sections]
    return (_SCHEMA_LINE.format(schema=schema) if schema else "") + _dumped(root)


def updated_outline(
    text: str, proposal: Proposal, *, language: OutlineLanguage, lines: int
) -> tuple[str, tuple[str, ...]]:
    """An outline's text with what the proposal says, and the sections that are no longer in it; what the proposal does
    not mention stays, lines too.

    A new section without lines gets its share of the chapter's, which are ``lines`` if not stated. Sections and topics
    are recognised by their words in any language, so their other languages, notes and comments move with them."""
    changed, sections = text.replace("\r\n", "\n"), proposal.sections
    former = _yaml().load(changed)
    dash = _dash(former, "sections")
    titles = [section.title for section in sections]
    kept = _order(titles, former["sections"])
    dropped = tuple(_words(node)[0] for at, node in enumerate(former["sections"]) if at not in kept)
    fresh = [_new_section(section, language) for section in settled(proposal, lines=lines).sections]
    changed = _relisted(changed, ("sections",), titles, fresh, dash)
    for at, section in enumerate(sections):
        topics = [language.node(topic) for topic in section.topics]
        changed = _relisted(changed, ("sections", at, "topics"), section.topics, topics, dash)
    root = _yaml().load(changed)
    _say(root, "title", proposal.title, language)
    _state(root, proposal, language)
    for node, section in zip(root["sections"], sections, strict=True):
        _say(node, "title", section.title, language)
        _put(node, "code_examples", section.examples, after="title")
        _put_length(node, section.length)
    return (text, ()) if root == former else (_dumped(root, dash).replace("\n", newline_of(text)), dropped)


def new_book(*, title: str, language: str, tokens: int, chapters: Sequence[Mapping[str, object]], schema: str) -> str:
    """The YAML of a book in one language. A chapter has ``id``, ``title`` and further keys as the book's schema has."""
    entries = [
        {key: _text(value) if isinstance(value, str) else value for key, value in one.items()}
        | {"id": _id(str(one["id"]))}
        for one in chapters
    ]
    return "".join(
        [
            _SCHEMA_LINE.format(schema=schema),
            _dumped({"title": _text(title), "language": language}),
            "layout: keep # documents keep their form; numbered: expand sets headings, header and contents\n",
            "# audience: Whom it is written for, and what they know already.\n",
            "# house_rules:\n#   - What every chapter keeps to.\n",
            f"allowance:\n  tokens: {tokens} # the most that may be spent on the whole book\n",
            _dumped({"chapters": entries}) if entries else "",
        ]
    )


def updated_book(
    text: str,
    chapters: Sequence[tuple[str, str, str, Length]],
    reopened: Collection[str] = (),
    *,
    language: OutlineLanguage,
) -> str:
    """A book's text with further chapters at its end: id, title, source and the length wanted. Those that are
    ``reopened`` are not finished any more, and have the lengths of their outlines."""
    root = _yaml().load(text.replace("\r\n", "\n"))
    for entry in root.get("chapters") or ():
        if str(entry.get("id")) in reopened:
            entry.pop("finished", None)
            entry.pop("target_lines", None)
    dash = _dash(root, "chapters")
    if root.get("chapters") is None:
        root["chapters"] = []
    for chapter, title, source, length in chapters:
        entry = CommentedMap(id=_id(chapter), title=language.node(title), source=_text(source))
        _put_length(entry, length, lines_key="target_lines")
        root["chapters"].append(entry)
    return _dumped(root, dash).replace("\n", newline_of(text))


def _dash(root: CommentedMap, key: str) -> int:
    """The column of the dashes of the file's list, from 0; 2 where there is none to go by."""
    items = root.get(key)
    column = items.lc.col if items and not items.fa.flow_style() else 2
    return int(column) if column in (0, 2, 4) else 2


def _yaml(dash: int = 2) -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    yaml.indent(mapping=2, sequence=dash + 2, offset=dash)
    return yaml


def _dumped(root: Any, dash: int = 2) -> str:
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


def _state(root: CommentedMap, proposal: Proposal, language: OutlineLanguage) -> None:
    _put_length(root, proposal.target, lines_key="target_lines")
    _put(root, "priority", proposal.priority)
    _put(root, "hours", proposal.hours)
    if proposal.audience:
        _say(root, "audience", proposal.audience, language)
    if proposal.examples is not None:
        if "quality" not in root:
            _put(root, "quality", CommentedMap())
        root["quality"]["code_examples"] = proposal.examples


def _put_length(node: CommentedMap, length: Length | None, *, lines_key: str = "lines") -> None:
    """States a length under the key of its unit, in the place of one in another unit: a section's after its title."""
    if length is None:
        return
    key = {"lines": lines_key, "characters": "字数" if "字数" in node else "characters"}.get(length.unit, length.unit)
    others = [other for other in (lines_key, "words", "characters", "字数") if other in node and key not in node]
    if others:
        node.insert(list(node).index(others[0]), key, None)
        if others[0] in node.ca.items:  # comments hang on the key before them
            node.ca.items[key] = node.ca.items.pop(others[0])
    for other in others:
        del node[other]
    _put(node, key, int(length.amount), after="title" if lines_key == "lines" else "")


def _put(node: CommentedMap, key: str, value: Any, *, after: str = "") -> None:
    """Sets a key to a value that is not None; a new one goes ``after`` another, else before the list of sections."""
    if value is None or node.get(key) == value:
        return
    keys = list(node)
    if key in node or not (after or "sections" in node):
        node[key] = value
    else:
        node.insert(keys.index(after) + 1 if after else keys.index("sections"), key, value)


def _new_section(section: ProposedSection, language: OutlineLanguage) -> CommentedMap:
    node = CommentedMap(title=language.node(section.title))
    _put(node, "code_examples", section.examples, after="title")
    _put_length(node, section.length)
    if section.topics:
        node["topics"] = [language.node(topic) for topic in section.topics]
    return node


def _say(node: CommentedMap, key: str, text: str, language: OutlineLanguage) -> None:
    """Puts a text in its language; one that says it already stays, quotes and all."""
    present = node.get(key)
    if isinstance(present, dict) and text not in _words(present):
        present[language.code] = _text(text)
    elif text not in _words(present):
        _put(node, key, language.node(text))


def _words(node: Any) -> list[str]:
    """A text in all of its languages; of what has more keys, the title."""
    if isinstance(node, dict):
        return _words(node["title"]) if "title" in node else [str(text) for text in node.values()]
    return [] if node is None else [str(node)]


def _order(wanted: Sequence[str], present: Sequence[Any]) -> list[int | None]:
    """For each wanted text the number of the present item that says it, None where none does."""
    keys = [{title_key(word) for word in _words(item)} for item in present]
    order: list[int | None] = []
    for text in wanted:
        order.append(next((at for at, own in enumerate(keys) if at not in order and title_key(text) in own), None))
    return order


def _relisted(text: str, path: tuple[str | int, ...], wanted: Sequence[str], fresh: Sequence[Any], dash: int) -> str:
    """The text with the items of the list at a path that say what is wanted, in this order; fresh ones for the rest."""
    root = node = _yaml().load(text)
    for step in path[:-1]:
        node = node[step]
    present: Any = node.get(path[-1]) or []
    order = _order(wanted, present)
    if order == list(range(len(present))):
        return text
    rows = text.splitlines(keepends=True)
    starts = [present.lc.item(at) for at in range(len(present))]
    if order and starts and all(rows[line][:column].strip() == "-" for line, column in starts):
        return _rearranged(rows, starts, [new if at is None else at for at, new in zip(order, fresh, strict=True)])
    node[path[-1]] = [new if at is None else present[at] for at, new in zip(order, fresh, strict=True)]
    if not order:
        del node[path[-1]]
    return _dumped(root, dash)


def _rearranged(rows: Sequence[str], starts: Sequence[tuple[int, int]], items: Sequence[Any]) -> str:
    """The text with a block list made of these items: one that exists by its number from 0, or a new one.

    ``starts`` is where the contents of the list's items begin (line and column from 0). Items are moved as pieces of
    text, because YAML libraries attach a comment above an item to the item before."""
    margin = " " * rows[starts[0][0]].index("-")
    begins = [_with_comments(rows, line, len(margin)) for line, _ in starts]
    end = _end(rows, starts[-1][0] + 1, len(margin))
    present = ["".join(rows[a:b]) for a, b in itertools.pairwise([*begins, end])]
    pieces = [present[item] if isinstance(item, int) else textwrap.indent(_dumped([item], 0), margin) for item in items]
    closed = [piece if piece.endswith("\n") else f"{piece}\n" for piece in pieces]
    return "".join([*rows[: begins[0]], *closed, *rows[end:]])


def _with_comments(rows: Sequence[str], line: int, column: int) -> int:
    """The first of the comment lines right above an item that stand at its dash or deeper."""
    while line > 0 and rows[line - 1].lstrip().startswith("#") and _indent(rows[line - 1]) >= column:
        line -= 1
    return line


def _end(rows: Sequence[str], line: int, column: int) -> int:
    """The line after the last one of the list; what comments on the next key is not of it."""
    end = line
    while end < len(rows) and (_indent(rows[end]) > column or not rows[end].strip() or rows[end].lstrip()[0] == "#"):
        end += 1
    while end > line and (_indent(rows[end - 1]) <= column or not rows[end - 1].strip()):
        end -= 1
    return end


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" "))
