"""A plan as people write it: chapters under headings, their sections as a list with lines.

    ### 第3篇：03_性能工程实践.md          ### Chapter 3: Performance (`03_performance.md`)
    **目标**: 1,000行（当前75行）           **Target**: 1,000 lines, 1.5 h
    1. **性能剖析工具** (250行)             1. **Profiling tools** (250 lines)
       - perf工具（CPU profiling）            - perf (CPU profiling)

A heading with such a list is a chapter if its sections state lines, or if a target is stated for
it; a chapter that the document only mentions is not imported. Sections may be deeper headings too. Priority, hours and
targets also come from tables whose rows name the chapters.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from expand.importers.proposal import Proposal, ProposedSection, tidy
from expand.importers.text_patterns import (
    ChapterName,
    Item,
    bare_lines,
    chapter_name,
    hours_in,
    items_of,
    lines_in,
    plain,
    priority_in,
    title_of_file,
    without_lines,
)
from expand.markdown import blocks as markdown
from expand.markdown.blocks import Block
from expand.markdown.matching import all_unnumbered
from expand.outline import Priority

T = TypeVar("T")

# Tables of a plan whose rows name chapters and state what is wanted of them.

_TARGET_COLUMN = re.compile(r"(?i)目标行数|计划行数|^目标$|target|planned|goal")
_PRIORITY_COLUMN = re.compile(r"(?i)优先级|priority")
_HOURS_COLUMN = re.compile(r"(?i)时间|用时|耗时|工时|\btime\b|\bhours?\b|effort|estimate")
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"^[\s|:-]+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One row: the chapter it names and what its columns state; None where there is no column.

    ``line`` is where it stands, from 1, ``text`` the row as it is written."""

    line: int
    text: str
    id: str | None
    title: str
    target: int | None
    hours: float | None
    priority: Priority | None

    def is_about(self, name: ChapterName) -> bool:
        """Whether the row is about the chapter."""
        if self.id is not None:
            return self.id == name.id
        return self.title.casefold() == name.title.casefold()


def table_rows(blocks: Sequence[Block]) -> tuple[TableRow, ...]:
    """The rows of all tables that state a target, hours or a priority, in order."""
    return tuple(
        row
        for block in blocks
        if block.kind == "table"
        for row in _rows(markdown.bare_rows(block.text), block.start + 1)
    )


def _rows(lines: Sequence[str], first: int) -> list[TableRow]:
    head = _cells(lines[0])
    columns = {
        wanted: next((at for at, cell in enumerate(head) if wanted.search(cell)), None)
        for wanted in (_TARGET_COLUMN, _PRIORITY_COLUMN, _HOURS_COLUMN)
    }
    if all(at is None for at in columns.values()):
        return []
    return [_row(text, line, columns) for line, text in enumerate(lines[1:], first + 1) if not _RULE.match(text)]


def _row(text: str, line: int, columns: dict[re.Pattern[str], int | None]) -> TableRow:
    cells = _cells(text)

    def cell(wanted: re.Pattern[str]) -> str:
        at = columns[wanted]
        return cells[at] if at is not None and at < len(cells) else ""

    names = [name for name in (chapter_name(text) for text in cells[:3]) if name is not None]
    strong = next((name for name in names if name.strong), None)
    first = cells[0] if cells else ""
    number = f"{int(first):02d}" if re.fullmatch(r"\d{1,3}", first) else None
    title = next((plain(text) for text in cells[:3] if re.search(r"[^\W\d]", text)), "")
    return TableRow(
        line=line,
        text=text.strip(),
        id=strong.id if strong else number,
        title=strong.title if strong else title,
        target=bare_lines(cell(_TARGET_COLUMN)),
        hours=hours_in(cell(_HOURS_COLUMN)),
        priority=priority_in(cell(_PRIORITY_COLUMN)),
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL.split(line.strip().strip("|"))]


_LABEL = re.compile(r"^(?:[-*+]\s+)?(?:\*\*|__)?([^*_:：|]{1,24}?)(?:\*\*|__)?\s*[:：]\s*(?:\*\*|__)?\s*(.+)$")
_LABEL_WORDS = {
    "target": re.compile(r"(?i)^(?:总?目标(?:行数)?|计划行数|总行数|target(?: lines| length)?|goal|lines|length)$"),
    "hours": re.compile(
        r"(?i)^(?:(?:预[估计]|估计)?(?:时间|用时|耗时|工时)|(?:estimated )?(?:time|hours|effort)|estimate)$"
    ),
    "priority": re.compile(r"(?i)^(?:优先级|priority)$"),
    "file": re.compile(r"(?i)^(?:文件|文档|源文件|路径|file|document|source|path)$"),
}
_DASH = re.compile(r"^\s*(?:[-–—:：]+)\s*")
_DASHES = re.compile(r"\s+[-–—]\s+|[;；]\s*")
_SUM = re.compile(r"(?i)^(?:总计|合计|小计|total|sum|subtotal)\b|^(?:总计|合计|小计)")
_COMMAS = re.compile(r"[,，、]\s*(?![^(（]*[)）])")


def read_plan(text: str) -> tuple[Proposal, ...]:
    """The chapters that the plan wants written, in its order; none when it is no plan."""
    blocks = markdown.blocks(text)
    regions = [(block, chapter_name(block.title)) for block in blocks if block.kind == "heading"]
    rows = table_rows(blocks)
    named = [(block, name) for block, name in regions if name is not None]
    for strong in (True, False):
        found = _chapters([pair for pair in named if pair[1].strong is strong], blocks, rows)
        if found:
            return found
    return ()


def _chapters(
    named: Sequence[tuple[Block, ChapterName]], blocks: Sequence[Block], rows: Sequence[TableRow]
) -> tuple[Proposal, ...]:
    """The chapters of a plan among the headings; of two inside each other, the inner if both are
    called chapters, else the outer."""
    plans: dict[int, Proposal] = {}
    reach: dict[int, int] = {}
    for heading, name in named:
        region = _region(heading, blocks)
        proposal = _proposal(heading, name, region, rows)
        if proposal is None:
            continue
        inside = [start for start, end in reach.items() if heading.start < end]
        if inside and not name.strong:
            continue
        for outer in inside:
            del plans[outer], reach[outer]
        plans[heading.start] = proposal
        reach[heading.start] = region[-1].end
    found: dict[str, Proposal] = {}
    for proposal in plans.values():
        found.setdefault(proposal.id, proposal)
    return tuple(tidy(proposal) for proposal in found.values())


def _region(heading: Block, blocks: Sequence[Block]) -> Sequence[Block]:
    """The heading and all that stands below it."""
    at = blocks.index(heading)
    end = at + 1
    while end < len(blocks) and not (blocks[end].kind == "heading" and blocks[end].level <= heading.level):
        end += 1
    return blocks[at:end]


def _proposal(heading: Block, name: ChapterName, region: Sequence[Block], rows: Sequence[TableRow]) -> Proposal | None:
    """The chapter under a heading; None when nothing there says how long it is to be."""
    sections = tuple(_sections(region[1:]))
    stated = _stated(region)
    title, after = without_lines(name.title)
    target = _first(lines_in, stated["target"]) or lines_in(f"{name.title} {after}")
    if not sections or not (target or any(section.lines for section in sections)):
        return None
    hours = _first(hours_in, [*stated["hours"], *stated["target"]])
    priority: Priority | None = _first(priority_in, stated["priority"])
    row = next((row for row in rows if row.is_about(name)), None)
    if row is not None:
        target = target or row.target
        hours = row.hours if hours is None else hours
        priority = priority or row.priority
    files = [named.file for named in map(chapter_name, stated["file"]) if named is not None]
    file = name.file or next(filter(None, files), None)
    return Proposal(
        id=name.id,
        title=plain(title) or (title_of_file(file) if file else name.id),
        sections=sections,
        file=file,
        line=heading.start + 1,
        target=target,
        hours=hours,
        priority=priority,
    )


def _stated(region: Sequence[Block]) -> Mapping[str, list[str]]:
    """What labels such as ``**Target**: 1,000 lines`` state below a chapter's heading, by kind of label."""
    values: dict[str, list[str]] = defaultdict(list)
    for line in _lines(region[1:]):
        kind, value = _label(line)
        values[kind].append(value)
    return values


def _label(text: str) -> tuple[str, str]:
    """The kind of label that a line begins with, and its value; two empty texts where it begins with none."""
    found = _LABEL.match(text.strip())
    kinds = [kind for kind, words in _LABEL_WORDS.items() if found and words.match(found[1].strip())]
    return (kinds[0], found[2]) if found and kinds else ("", "")


def _first(read: Callable[[str], T | None], values: Iterable[str]) -> T | None:
    """What ``read`` finds in the first of the values in which it finds anything."""
    return next((found for value in values if (found := read(value)) is not None), None)


def _lines(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        if block.kind in ("list", "paragraph", "code", "quote"):
            yield from markdown.bare_rows(block.text)


def _sections(blocks: Sequence[Block]) -> Iterator[ProposedSection]:
    """The sections below a chapter's heading: a list's, or deeper headings with their lists."""
    headings = [block for block in blocks if block.kind == "heading"]
    top = min((block.level for block in headings), default=0)
    heads = [block for block in headings if block.level == top]
    if heads and (any(lines_in(head.title) for head in heads) or not _listed(blocks)):
        titles = all_unnumbered([head.title for head in heads])
        for title, head in zip(titles, heads, strict=True):
            region = _region(head, blocks)
            deeper = [block.title for block in region[1:] if block.kind == "heading"]
            topics = [plain(topic) for topic in all_unnumbered([plain(title) for title in deeper])]
            yield _section(title, topics + [plain(item.text) for item in _items(region[1:])])
        return
    yield from _listed(blocks)


def _listed(blocks: Sequence[Block]) -> list[ProposedSection]:
    items = _items(blocks)
    numbered = any(item.numbered and item.depth == 0 for item in items)
    found: list[tuple[str, list[str]]] = []
    for item in items:
        if item.depth == 0 and (item.numbered or not numbered):
            found.append((item.text, []))
        elif found:
            found[-1][1].append(plain(item.text))
    return [_section(text, topics) for text, topics in found]


def _items(blocks: Sequence[Block]) -> list[Item]:
    return [item for item in items_of(_lines(blocks)) if not _label(item.text)[0]]


def _section(text: str, topics: Sequence[str]) -> ProposedSection:
    """A section as one line of a plan words it; what follows its lines are topics in short."""
    lines = lines_in(text)
    title, rest = without_lines(text) if lines is not None else (text, "")
    inline = _DASH.sub("", plain(rest))
    # Topics in one line stand between dashes or semicolons, else between commas.
    parts = _DASHES.split(inline) if _DASHES.search(inline) else _COMMAS.split(inline)
    parts = [part.strip(" .。") for part in parts]
    return ProposedSection(title=plain(title).rstrip(":：-–— "), lines=lines, topics=(*filter(None, parts), *topics))


def skipped_rows(text: str, plans: Sequence[Proposal]) -> tuple[TableRow, ...]:
    """Rows of tables that state wanted lines but belong to none of ``plans``: chapters without a list of sections, and
    rows that name no chapter. Sums are left out."""
    return tuple(
        row
        for row in table_rows(markdown.blocks(text))
        if row.target
        and not _SUM.search(row.title)
        and not any(row.id == plan.id or row.title.casefold() == plan.title.casefold() for plan in plans)
    )


def unplanned_chapters(text: str, plans: Sequence[Proposal]) -> Mapping[str, str]:
    """Chapters that the document names in headings and that are not in ``plans``: id to title."""
    wanted = {plan.id for plan in plans}
    names = (chapter_name(block.title) for block in markdown.headings(text))
    return {n.id: n.title for n in names if n is not None and n.strong and n.id not in wanted}
