"""A plan as people write it: chapters under headings, their sections as a list with lines.

    ### 第3篇：03_性能工程实践.md          ### Chapter 3: Performance (`03_performance.md`)
    **目标**: 1,000行（当前75行）           **Target**: 1,000 lines, 1.5 h
    1. **性能剖析工具** (250行)             1. **Profiling tools** (250 lines)
       - perf工具（CPU profiling）            - perf (CPU profiling)

A heading with such a list is a chapter if its sections state lines, or if a target is stated for
it; what is only told of chapters that are finished is left alone. Sections may be deeper headings
too. Priority, hours and targets also come from tables whose rows name the chapters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
from expand.markdown import matching
from expand.markdown.blocks import Block
from expand.outline import Priority

# Tables of a plan whose rows name chapters and state what is wanted of them.

_TARGET = re.compile(r"(?i)目标行数|计划行数|^目标$|target|planned|goal")
_PRIORITY = re.compile(r"(?i)优先级|priority")
_HOURS = re.compile(r"(?i)时间|用时|耗时|工时|\btime\b|\bhours?\b|effort|estimate")
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"^[\s|:-]+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One row: the chapter it names and what its columns state; None where there is no column.

    ``line`` is where it stands, from 1, ``text`` the row as it is written.
    """

    line: int
    text: str
    id: str | None
    title: str
    target: int | None
    hours: float | None
    priority: Priority | None

    def fits(self, name: ChapterName) -> bool:
        """Whether the row is about the chapter."""
        if self.id is not None:
            return self.id == name.id
        return self.title.casefold() == name.title.casefold()


def table_rows(blocks: Sequence[Block]) -> tuple[TableRow, ...]:
    """The rows of all tables that state a target, hours or a priority, in order."""
    return tuple(
        row for block in blocks if block.kind == "table" for row in _rows(block.text.splitlines(), block.start + 1)
    )


def _rows(lines: Sequence[str], first: int) -> list[TableRow]:
    head = _cells(lines[0])
    columns = {
        wanted: next((at for at, cell in enumerate(head) if wanted.search(cell)), None)
        for wanted in (_TARGET, _PRIORITY, _HOURS)
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
        target=bare_lines(cell(_TARGET)),
        hours=hours_in(cell(_HOURS)),
        priority=priority_in(cell(_PRIORITY)),
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL.split(line.strip().strip("|"))]


_LABEL = re.compile(r"^(?:[-*+]\s+)?(?:\*\*|__)?([^*_:：|]{1,24}?)(?:\*\*|__)?\s*[:：]\s*(?:\*\*|__)?\s*(.+)$")
_TARGET_of_plan_document = re.compile(
    r"(?i)^(?:总?目标(?:行数)?|计划行数|总行数|target(?: lines| length)?|goal|lines|length)$"
)
_TIME = re.compile(
    r"(?i)^(?:(?:预[估计]|估计)?(?:时间|用时|耗时|工时)|"
    r"(?:estimated )?(?:time|hours|effort)|estimate)$"
)
_PRIORITY_of_plan_document = re.compile(r"(?i)^(?:优先级|priority)$")
_FILE = re.compile(r"(?i)^(?:文件|文档|源文件|路径|file|document|source|path)$")
_DASH = re.compile(r"^\s*(?:[-–—:：]+)\s*")
_UNITS = re.compile(r"\s+[-–—]\s+|[;；]\s*")
_SUM = re.compile(r"(?i)^(?:总计|合计|小计|total|sum|subtotal)\b|^(?:总计|合计|小计)")
_COMMAS = re.compile(r"[,，、]\s*(?![^(（]*[)）])")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Labels:
    """What the lines between a chapter's heading and its list state."""

    target: int | None = None
    hours: float | None = None
    priority: str | None = None
    file: str | None = None


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
    named: Sequence[tuple[Block, ChapterName]],
    blocks: Sequence[Block],
    rows: Sequence[TableRow],
) -> tuple[Proposal, ...]:
    """The chapters of a plan among the headings; of two inside each other, the inner if both are
    called chapters, else the outer.
    """
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
    labels = _labels(region)
    sections = tuple(_sections(region[1:]))
    title, after = without_lines(name.title)
    target = labels.target or lines_in(f"{name.title} {after}")
    planned = any(section.lines for section in sections)
    if not sections or not (planned or target):
        return None
    row = next((row for row in rows if row.fits(name)), None)
    hours, priority = labels.hours, priority_in(labels.priority or "")
    if row is not None:
        target = target or row.target
        hours = row.hours if hours is None else hours
        priority = priority or row.priority
    file = name.file or labels.file
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


def _labels(region: Sequence[Block]) -> _Labels:
    labels = _Labels()
    for line in _lines(region[1:]):
        found = _LABEL.match(line.strip())
        if found is None:
            continue
        word, value = found[1].strip(), found[2]
        if _TARGET_of_plan_document.match(word) and labels.target is None:
            labels = replace(labels, target=lines_in(value), hours=labels.hours or hours_in(value))
        elif _TIME.match(word) and labels.hours is None:
            labels = replace(labels, hours=hours_in(value))
        elif _PRIORITY_of_plan_document.match(word) and labels.priority is None:
            labels = replace(labels, priority=value)
        elif _FILE.match(word) and labels.file is None:
            named = chapter_name(value)
            labels = replace(labels, file=named.file if named else None)
    return labels


def _is_label(text: str) -> bool:
    found = _LABEL.match(text.strip())
    return found is not None and any(
        known.match(found[1].strip()) for known in (_TARGET_of_plan_document, _TIME, _PRIORITY_of_plan_document, _FILE)
    )


def _lines(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        if block.kind in ("list", "paragraph", "code", "quote"):
            yield from block.text.splitlines()


def _sections(blocks: Sequence[Block]) -> Iterator[ProposedSection]:
    """The sections below a chapter's heading: a list's, or deeper headings with their lists."""
    headings = [block for block in blocks if block.kind == "heading"]
    top = min((block.level for block in headings), default=0)
    heads = [block for block in headings if block.level == top]
    if heads and (any(lines_in(head.title) for head in heads) or not _listed(blocks)):
        for head in heads:
            region = _region(head, blocks)
            below = [item for item in items_of(_lines(region[1:])) if not _is_label(item.text)]
            deeper = [plain(block.title) for block in region[1:] if block.kind == "heading"]
            topics = [plain(matching.unnumbered(title)) for title in deeper]
            yield _section(matching.unnumbered(head.title), topics + _texts(below))
        return
    yield from _listed(blocks)


def _listed(blocks: Sequence[Block]) -> list[ProposedSection]:
    items = [item for item in items_of(_lines(blocks)) if not _is_label(item.text)]
    numbered = any(item.numbered and item.depth == 0 for item in items)
    found: list[tuple[str, list[Item]]] = []
    for item in items:
        if item.depth == 0 and (item.numbered or not numbered):
            found.append((item.text, []))
        elif found:
            found[-1][1].append(item)
    return [_section(text, _texts(below)) for text, below in found]


def _texts(items: Sequence[Item]) -> list[str]:
    return [plain(item.text) for item in items]


def _section(text: str, topics: Sequence[str]) -> ProposedSection:
    """A section as one line of a plan words it; what follows its lines are topics in short."""
    title, rest = without_lines(text)
    lines = lines_in(text)
    if lines is None:
        title, rest = text, ""
    inline = _DASH.sub("", plain(rest))
    return ProposedSection(
        title=plain(title).rstrip(":：-–— "),
        lines=lines,
        topics=(*_parted(inline), *topics),
    )


def _parted(text: str) -> Sequence[str]:
    """Topics that stand in one line, between dashes or semicolons, else between commas."""
    if not text:
        return ()
    parts = _UNITS.split(text)
    if len(parts) == 1:
        parts = _COMMAS.split(text)
    return tuple(part.strip(" .。") for part in parts if part.strip(" .。"))


def left_rows(text: str, plans: Sequence[Proposal]) -> tuple[TableRow, ...]:
    """Rows of tables that state lines wanted, and of which ``plans`` have taken nothing: chapters
    without a list of sections, and what names no chapter. Sums are none.
    """
    return tuple(
        row
        for row in table_rows(markdown.blocks(text))
        if row.target
        and not _SUM.search(row.title)
        and not any(row.id == plan.id or row.title.casefold() == plan.title.casefold() for plan in plans)
    )


def finished(text: str, plans: Sequence[Proposal]) -> Mapping[str, str]:
    """Chapters that the document names in headings and that ``plans`` leave out: id to title."""
    wanted = {plan.id for plan in plans}
    names = (chapter_name(block.title) for block in markdown.headings(text))
    return {n.id: n.title for n in names if n is not None and n.strong and n.id not in wanted}
