"""A plan as people write it: chapters with sections, as headings, lists, checkboxes or tables, with lengths.

    ### 第3篇：03_性能工程实践.md          # Connection pools
    **目标**: 1,000行（当前75行）           | Section | Words | Topics |
    1. **性能剖析工具** (250行)             |---|---|---|
       - perf工具（CPU profiling）          | Sizing the pool | ~600 | Little's law; a load test |

The lines become a tree of entries. Chapters are the entries that are worded as such ("Chapter 3", "第3篇", a file),
else long ones that have sections, else the whole document is one. A chapter's sections are the first of its headings,
table rows and list items that state lengths; what stands below a section are its topics. Priority, hours and targets
also come from tables whose rows name the chapters.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import TypeVar

from expand.importers.lengths import (
    Length,
    Unit,
    bare_length,
    hours_in,
    lengths_in,
    narrow,
    preferred,
    priority_in,
    read_line,
    unit_of,
)
from expand.importers.proposal import Proposal, ProposedSection, tidy
from expand.importers.text_patterns import ChapterName, chapter_name, items_of, plain
from expand.markdown import blocks as markdown
from expand.markdown.blocks import Block
from expand.markdown.matching import all_unnumbered, title_key

T = TypeVar("T")

_TEXT = ("list", "paragraph", "code", "quote")
_HEADING_RANKS = 6
_ROW_RANK = 50
_LONG = {"lines": 400, "words": 1500, "characters": 2500, "pages": 5, "minutes": 30, "percent": 200}
"""From here on an entry with others below it is a chapter rather than a section."""

_LABEL = re.compile(r"^([^:|]{1,24}?)\s*:\s*(.+)$")
_LABELS = {
    "target": re.compile(
        r"(?i)^(?:(?:estimated |total |planned )?(?:target|length|size|goal|lines|words?|pages|characters|total)"
        r"(?: lines| length| words| count)?|[总预计目标划]{0,4}(?:目标|[行字页]数|篇幅|长度)|总计|合计|共计)$"
    ),
    "hours": re.compile(
        r"(?i)^(?:[预估]?[估计]?(?:时间|用时|耗时|工时|时长)|(?:estimated )?(?:time|hours|effort|duration)|estimate)$"
    ),
    "priority": re.compile(r"(?i)^(?:优先级|priority)$"),
    "file": re.compile(r"(?i)^(?:文件|文档|源文件|路径|file|document|source|path)$"),
    "title": re.compile(r"(?i)^(?:chapter|title|章名|标题|题目)$"),
    "topics": re.compile(r"(?i)^(?:topics?|covers?|contents?|points|主要内容|内容|要点|知识点|主题)$"),
}
_EACH = re.compile(r"(?i)\b(?:each|per section|every section)\b|每一?个?小?节|各节|每部分")
_WHOLE = re.compile(r"(?i)\b(?:in all|in total|total|altogether|overall|whole)\b|全[文章篇]|本章|总共|共计|合计|总计")
_STRUCTURE = re.compile(
    r"(?i)^(?:(?:the )?(?:sections?|outline|contents?|structure|plan|chapters?|topics?)|"
    r"内容|提纲|大纲|结构|章节|目录|小节|安排)$"
)
_ASIDE = re.compile(
    r"(?i)^(?:notes?|references?|resources|audience|readers?|goals?|objectives|learning (?:goals|objectives|outcomes)|"
    r"prerequisites|background|to ?do|备注|说明|参考(?:资料|文献)?|读者|目标|学习目标|前提|背景|待办)$"
)
_BOOK = re.compile(r"(?i)\b(?:book|series|chapters|tier|course|handbook|guide)\b|书|系列|各[章篇]|教程|课程|手册")
_PLAN_TITLE = re.compile(
    r"(?i)^(?:(?:the |a |writing |draft )*(?:plan|outline)(?:\s*[:：—–-]|\s+(?:for|of)\b|$)|"
    r"(?:提纲|大纲|写作计划|计划)(?:[:：—–\s-]|$))\s*(?:the )?(?:chapter (?:on|about)\s+)?|"
    r"\s*的?(?:写作|[扩编撰改续]写|修订)?(?:提纲|大纲)$|(?:(?<=》)|\s|的|写作|[扩编撰改续]写|修订)+(?:计划|规划)$|"
    r"\s*[:—–-]\s*(?:plan|outline)$|\s+(?:outline|writing plan)$"
)
_SUM = re.compile(r"(?i)^(?:总计|合计|小计|共计|(?:total|sum|subtotal)\b)")
_TOPIC_DASHES = re.compile(r"\s+[-–—]\s+|[;；]\s*")
_TOPIC_COMMAS = re.compile(r"[,，、]\s*(?![^(（]*[)）])")
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"^[\s|:-]+$")
# The columns of tables, by their headings.
_CHAPTER_COLUMN = re.compile(r"(?i)^(?:chapter|document|doc|file|文档|文件|篇目?|章|所属章)$")
_SECTION_COLUMN = re.compile(
    r"(?i)\b(?:section|heading|part|item|step|segment|title)\b|小节|章节|^节|标题|部分|环节|模块"
)
_ANY_COLUMN = re.compile(r"(?i)^(?!(?:#|no\.?|nr\.?|序号|编号)?$)")
_HOURS_COLUMN = re.compile(r"(?i)时间|用时|耗时|工时|\btime\b|\bhours?\b|effort|estimate")
_PRIORITY_COLUMN = re.compile(r"(?i)优先级|priority")
_TOPICS_COLUMN = re.compile(
    r"(?i)topics?|content|cover|notes?|detail|points|what|includ|must|about|descri|scope|subject|summary|material"
    r"|要点|知识点|内容|说明|备注|描述|包[括含]|涵盖|涉及|重点|主题|什么|要写|要讲"
)
_PRESENT_COLUMN = re.compile(r"(?i)\b(?:now|current|present|have|done|actual)\b|现有|当前|已有|实际|完成")
_TARGET_COLUMN = re.compile(r"(?i)target|planned|goal|目标|计划")
_LENGTH_COLUMN = re.compile(r"(?i)target|planned|goal|length|size|目标|计划|篇幅|长度")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanLine:
    """A line of a plan by its number, from 1; of one that was not understood, ``why``."""

    line: int
    text: str
    why: str = "its length belongs to no section"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a document plans. ``unplanned`` are the chapters that it names without a length, id to title; ``left`` the
    lines whose lengths were not understood. ``is_prose`` says that most of the document is text or code."""

    chapters: tuple[Proposal, ...] = ()
    unplanned: Mapping[str, str] = field(default_factory=dict)
    left: tuple[PlanLine, ...] = ()
    is_prose: bool = False


@dataclass(slots=True, eq=False)
class _Entry:
    """A heading, a list item or a table's row, with what stands below it; ``rank`` says how deep."""

    line: int
    rank: int
    title: str = ""
    length: Length | None = None
    topics: list[str] = field(default_factory=list)
    numbered: bool = False
    facts: dict[str, list[PlanLine]] = field(default_factory=lambda: defaultdict(list))
    below: list["_Entry"] = field(default_factory=list)

    def every(self) -> Iterator["_Entry"]:
        """The entry and all below it, in order."""
        yield self
        for entry in self.below:
            yield from entry.every()

    def fact(self, kind: str, read: Callable[[str], T | None]) -> T | None:
        """What the first of the labels of a kind states that states anything."""
        values = (read(fact.text) for fact in self.facts.get(kind, ()))
        return next((value for value in values if value is not None), None)

    def stated(self) -> Length | None:
        """The length that the entry states, on its own line or by a label."""
        return self.length or self.fact("target", _label_length) or self.fact("sum", _label_length)

    def extent(self) -> Length | None:
        """The same, else the sum of all that is right below it, where each states one in the same unit."""
        own = self.stated()
        lengths = [entry.stated() for entry in self.below] if own is None else []
        units = {length.unit for length in lengths if length}
        if own is None and lengths and all(lengths) and len(units) == 1:
            return Length(sum(Decimal(length.amount) for length in lengths if length), units.pop())
        return own


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """A table's row about a chapter."""

    line: int
    name: ChapterName
    target: Length | None
    hours: float | None
    priority: str

    def is_about(self, chapter: str, title: str) -> bool:
        return self.name.id == chapter if self.name.id else self.name.title.casefold() == title.casefold()


def read_plan(text: str, *, without_lengths: bool = False, titles: Collection[str] = ()) -> Plan:
    """The chapters that the plan wants written, in its order; none where it is no plan.

    A chapter counts if it or its sections state a length, or else only ``without_lengths``. ``titles`` are the keys of
    the titles that the book's chapters have."""
    blocks = markdown.blocks(text)
    tree = _tree(blocks, markdown.bare_rows(text))
    reader = _Reader(*tree, without_lengths=without_lengths, titles=frozenset(titles) - {""})
    chapters = {proposal.id or f"line {proposal.line}": proposal for proposal in reversed(reader.chapters())}
    names = (_name(block.title) for block in blocks if block.kind == "heading")
    unplanned = {n.id: n.title for n in names if n is not None and n.strong and n.id not in chapters}
    reader.used |= {row.line for row in reader.rows if _SUM.match(row.name.title) or row.name.id in unplanned}
    entries = len(list(reader.root.every())) - 1
    prose = [block for block in blocks if block.kind in ("paragraph", "fence", "code", "quote", "html")]
    return Plan(
        chapters=tuple(reversed(chapters.values())),
        unplanned=unplanned,
        left=tuple(_left(reader, markdown.bare_rows(text), unplanned)),
        is_prose=sum(1 if one.kind == "fence" else one.end - one.start for one in prose) > entries,
    )


def _left(reader: "_Reader", rows: Sequence[str], unplanned: Mapping[str, str]) -> Iterator[PlanLine]:
    """The lines that state a length and belong to no section. Sums and what is said of other chapters are left out."""
    stating = {row.line for row in reader.rows if row.target}
    for entry in reader.root.every():
        yield from entry.facts.get("unread", ())
        if (name := chapter_name(entry.title)) and name.strong and name.id in unplanned:
            continue
        facts = [fact for kind, every in entry.facts.items() for fact in every if kind not in ("sum", "unread")]
        stating |= {entry.line} if entry.length else set()
        stating |= {fact.line for fact in facts if read_line(plain(fact.text)).length or _label_length(fact.text)}
    for line in sorted(stating - reader.used):
        yield PlanLine(line=line, text=rows[line - 1].strip())


def _name(title: str) -> ChapterName | None:
    return chapter_name(read_line(title).title)


def _label(text: str) -> tuple[str, str, str]:
    """The kind of label that a line begins with, its words and its value; empty texts where it begins with none."""
    bare = plain(text)
    found = _LABEL.match(narrow(bare))
    kinds = [kind for kind, words in _LABELS.items() if found and words.match(found[1].strip(" *_"))]
    return (kinds[0], found[1], bare[found.start(2) :]) if found and kinds else ("", "", "")


def _label_length(text: str) -> Length | None:
    """The length in ``字数：800`` or ``Target: 1,000 lines (75 now)``."""
    _, words, value = _label(text)
    unit = unit_of(words)
    return (bare_length(value, unit) if unit else None) or preferred(lengths_in(value or text))


# The document as a tree.


def _tree(blocks: Sequence[Block], text: Sequence[str]) -> tuple[_Entry, list[_Row]]:
    """The entries below a root, and the rows of tables that are about chapters; ``text`` are the document's lines."""
    root = _Entry(line=1, rank=0)
    path = [root]
    rows: list[_Row] = []

    def add(entry: _Entry) -> None:
        while path[-1].rank >= entry.rank:
            path.pop()
        path[-1].below.append(entry)
        path.append(entry)

    for kind, together in groupby(blocks, key=lambda block: "text" if block.kind in _TEXT else block.kind):
        group = list(together)
        if kind == "text":  # what looks like several blocks to Markdown is one list to people: 一、 and below it 1.
            _read_text(text[group[0].start : group[-1].end], group[0].start + 1, path, add)
        for block in group:
            if kind == "heading":
                add(_entry(block.title, line=block.start + 1, rank=block.level))
            elif kind == "table":
                while path[-1].rank > _HEADING_RANKS:
                    path.pop()
                rows += _read_table(block, path[-1], add)
    return root, rows


def _read_text(lines: Sequence[str], first: int, path: list[_Entry], add: Callable[[_Entry], None]) -> None:
    """Adds the items in some lines, and what lines beside them state of what they stand below."""
    for item in items_of(lines, first, keep_apart=lambda text: bool(_fact_kind(text))):
        kind, rank = _fact_kind(item.text), _HEADING_RANKS + 1 + item.depth
        name = chapter_name(item.text) if item.depth < 0 and not kind else None
        if name is not None and name.strong and path[-1].rank == 0 and not item.text.endswith(tuple(".。")):
            add(_entry(item.text, line=item.line, rank=1))  # a title that nobody marked as a heading
        elif kind or item.depth < 0:
            # What is indented belongs to the item above, anything else to the heading.
            least = rank if item.depth >= 0 else _HEADING_RANKS + 1
            while path[-1].rank >= least and (item.depth >= 0 or not lines[item.line - first][:1].isspace()):
                path.pop()
            path[-1].facts[kind].append(PlanLine(line=item.line, text=item.text))
        else:
            add(_entry(item.text, line=item.line, rank=rank, numbered=item.numbered))


def _fact_kind(text: str) -> str:
    """What a line states of what it stands below: a label's kind, ``target`` for a length by itself, ``each`` for one
    of every section, "" for nothing."""
    kind, _, value = _label(text)
    if not lengths_in(text):
        return kind
    if _EACH.search(text):
        return "each"
    if kind:
        return "target" if kind == "hours" and hours_in(value) is None else kind
    alone = not read_line(plain(text)).title or (_WHOLE.search(text) and text.endswith((".", "。")))
    return "target" if alone else ""


def _entry(text: str, *, line: int, rank: int, numbered: bool = False) -> _Entry:
    worded = read_line(plain(text))
    return _Entry(
        line=line, rank=rank, title=worded.title, length=worded.length, topics=_topics(worded.rest), numbered=numbered
    )


def _topics(text: str) -> list[str]:
    """Topics in one line: between dashes or semicolons, else between commas."""
    parts = _TOPIC_DASHES.split(text) if _TOPIC_DASHES.search(text) else _TOPIC_COMMAS.split(text)
    return [part for part in (part.strip(" .。　") for part in parts) if part]


def _columns(head: Sequence[str]) -> tuple[dict[str, int], Unit]:
    """Where a table's columns are, from 0, by their headings, -1 for one that it does not have; and the unit of bare
    figures. Sections are named in the first column that is nothing else."""

    def first(words: re.Pattern[str], taken: Collection[int] = ()) -> int:
        return next((at for at, cell in enumerate(head) if words.search(cell) and at not in taken), -1)

    hours = first(_HOURS_COLUMN)
    units = [unit_of(cell) if at != hours else None for at, cell in enumerate(head)]
    lengths = [
        at
        for at, cell in enumerate(head)
        if (units[at] or _LENGTH_COLUMN.search(cell)) and not _PRESENT_COLUMN.search(cell)
    ]
    length = min(lengths, key=lambda at: not _TARGET_COLUMN.search(head[at]), default=hours)
    found = {
        "hours": hours, "length": length, "priority": first(_PRIORITY_COLUMN), "chapter": first(_CHAPTER_COLUMN)
    }  # fmt: skip
    found["section"] = first(_SECTION_COLUMN, found.values())
    if found["section"] < 0 and found["chapter"] < 0:
        found["section"] = first(_ANY_COLUMN, found.values())
    found["topics"] = first(_TOPICS_COLUMN, found.values())
    return found, (units[length] if length >= 0 else None) or "lines"


def _read_table(block: Block, above: _Entry, add: Callable[[_Entry], None]) -> list[_Row]:
    """Adds a table's rows as sections, below chapters where a column names those; returns the rows about chapters."""
    lines = markdown.bare_rows(block.text)
    head = [plain(cell) for cell in _cells(lines[0])]
    columns, unit = _columns(head)
    if columns["length"] < 0 and columns["priority"] < 0:
        return []
    for at, cell in enumerate(head):
        if at not in columns.values() and _ANY_COLUMN.search(cell) and not _PRESENT_COLUMN.search(cell):
            why = "its heading speaks of neither sections nor lengths nor topics"
            above.facts["unread"].append(PlanLine(line=block.start + 1, text=f"the column {cell}", why=why))
    found: list[_Row] = []
    for line, text in enumerate(lines[1:], block.start + 2):
        cells = _cells(text)
        if _RULE.match(text) or not any(cells):
            continue
        named = {name: cells[at] if 0 <= at < len(cells) else "" for name, at in columns.items()}
        length = bare_length(named["length"], unit)
        words = [plain(one) for one in cells if re.search(r"[^\W\d]", one)]
        chapter = _row_name(cells)
        if any(_SUM.match(word) for word in words[:1]) or (length and not named["section"] and not words):
            above.facts["sum"].append(PlanLine(line=line, text=str(length or "")))
        elif columns["section"] < 0 <= columns["chapter"] or (columns["chapter"] < 0 and chapter and chapter.strong):
            found.append(
                _Row(
                    line=line,
                    name=chapter or ChapterName(id="", title=words[0] if words else "", file=None, strong=False),
                    target=length if length and length.unit != "minutes" else None,
                    hours=hours_in(named["hours"]),
                    priority=named["priority"],
                )
            )
        else:
            below = columns["chapter"] >= 0
            if named["chapter"]:
                add(_entry(named["chapter"], line=line, rank=_ROW_RANK))
            entry = _entry(named["section"], line=line, rank=_ROW_RANK + below)
            add(replace(entry, length=length or entry.length, topics=entry.topics + _topics(plain(named["topics"]))))
    return found


def _row_name(cells: Sequence[str]) -> ChapterName | None:
    """The chapter that a row's first cells name: by its number alone too."""
    names = [name for name in map(chapter_name, cells[:3]) if name is not None]
    strong = next((name for name in names if name.strong), None)
    title = next((plain(text) for text in cells[:3] if re.search(r"[^\W\d]", text)), "")
    if strong is None and cells and re.fullmatch(r"\d{1,3}", cells[0]):
        return ChapterName(id=f"{int(cells[0]):02d}", title=title, file=None, strong=False)
    return strong


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL.split(line.strip().strip("|"))]


# The tree as chapters.


@dataclass(slots=True)
class _Reader:
    """Reads a tree's chapters; ``used`` are the lines that it has understood."""

    root: _Entry
    rows: Sequence[_Row]
    without_lengths: bool
    titles: frozenset[str] = frozenset()
    used: set[int] = field(default_factory=set)

    def chapters(self) -> list[Proposal]:
        """The innermost entries that are worded as chapters; else numbered or long ones; else the whole document."""
        outer = (entry for entry in self.root.every() if entry.rank <= _HEADING_RANKS + 1 or entry.rank >= _ROW_RANK)
        named = [(entry, name) for entry in outer if (name := chapter_name(entry.title)) and name.strong]
        worded = [pair for pair in named if self._is_chapter(pair[0])]
        inner = [
            (entry, name) for entry, name in worded if not any(one in list(entry.every())[1:] for one, _ in worded)
        ]
        if inner:
            return [self._chapter(entry, name) for entry, name in inner]
        top = self.root
        while len(top.below) == 1 and (only := top.below[0]).rank <= _HEADING_RANKS and only.below:
            if top.rank and only.stated():
                break
            top = only
        parts = self._sections(top)
        if self._are_chapters(parts, top):
            return [self._chapter(part, chapter_name(part.title)) for part in parts if self._is_chapter(part)]
        return [self._chapter(top, chapter_name(top.title))] if self._is_chapter(top) and not named else []

    def _is_chapter(self, entry: _Entry) -> bool:
        sections = self._sections(entry)
        return any(section.title for section in sections) and (
            self.without_lengths or entry.stated() is not None or any(section.extent() for section in sections)
        )

    def _are_chapters(self, parts: Sequence[_Entry], top: _Entry) -> bool:
        """Whether the parts of a document that names no chapter are chapters: most have the titles of the book's, and
        that above them has not; or they are long; or what is below them states lengths and there is no title above
        them, or a book's."""
        if len(parts) < 2 or not any(part.below for part in parts):
            return False
        known = [part for part in parts if title_key(part.title) in self.titles and self._is_chapter(part)]
        if 2 <= len(known) > len(parts) / 2 and title_key(top.title) not in self.titles:
            return True
        extents = [extent for part in parts if part.below and (extent := part.extent())]
        inner = any(entry.stated() for part in parts for entry in part.below)
        if any(extent.amount >= _LONG[extent.unit] for extent in extents):
            return True
        return inner and (not top.title or _BOOK.search(top.title) is not None)

    def _sections(self, chapter: _Entry) -> list[_Entry]:
        """The entries below a chapter that are its sections."""
        below = [
            inner
            for entry in chapter.below
            for inner in (entry.below if _STRUCTURE.match(entry.title) and not entry.stated() else [entry])
        ]
        below = [entry for entry in below if not _ASIDE.match(entry.title) or entry.stated()]
        if len(below) == 1 and below[0].below and below[0].extent() is None and below[0].rank <= _HEADING_RANKS:
            return self._sections(below[0])
        headings = [entry for entry in below if entry.rank <= _HEADING_RANKS]
        rows = [entry for entry in below if entry.rank >= _ROW_RANK]
        items = [entry for entry in below if _HEADING_RANKS < entry.rank < _ROW_RANK]
        items = [entry for entry in items if entry.numbered] or items
        groups = [group for group in (headings, rows, items) if group]
        with_lengths = (group for group in groups if any(entry.extent() for entry in group))
        return next(with_lengths, items or rows or headings)

    def _chapter(self, entry: _Entry, name: ChapterName | None) -> Proposal:
        sections = self._sections(entry)
        title = name.title if name else entry.title or entry.fact("title", lambda text: _label(text)[2]) or ""
        row = next((row for row in self.rows if row.is_about(name.id if name else "", title)), None)
        target, hours = entry.stated(), entry.fact("hours", hours_in)
        units = {extent.unit for section in sections if (extent := section.extent())}
        if target and target.unit == "minutes" and units - {"minutes"}:
            hours = float(target.amount) / 60 if hours is None else hours
            target = None
        if row is not None:
            self.used.add(row.line)
            target, hours = target or row.target, row.hours if hours is None else hours
        named = entry.fact("file", chapter_name)
        file = (name.file if name else None) or (named.file if named else None)
        each = entry.fact("each", lambda text: preferred(lengths_in(text)))
        self.used |= {entry.line, *(fact.line for kind, facts in entry.facts.items() if kind for fact in facts)}
        titles = all_unnumbered([section.title for section in sections])
        return tidy(
            Proposal(
                id=name.id if name else "",
                title=_title(title) or ("" if file else title),
                sections=tuple(
                    self._section(one, title, each, target) for one, title in zip(sections, titles, strict=True)
                ),
                file=file,
                line=entry.line,
                target=target,
                hours=hours,
                priority=entry.fact("priority", priority_in) or (priority_in(row.priority) if row else None),
            )
        )

    def _section(self, entry: _Entry, title: str, each: Length | None, whole: Length | None) -> ProposedSection:
        inner = list(entry.every())[1:]
        length = entry.extent() or entry.fact("hours", lambda text: preferred(lengths_in(text))) or each
        if entry.stated() is None and length is not each:
            self.used |= {one.line for one in entry.below}
        self.used |= {entry.line, *(fact.line for kind, facts in entry.facts.items() if kind for fact in facts)}
        if length is not None and length.unit == "percent" and whole is not None:
            length = Length(round(Fraction(whole.amount) * Fraction(length.amount) / 100), whole.unit)
        stated = [topic for fact in entry.facts.get("topics", ()) for topic in _topics(_label(fact.text)[2])]
        deeper = all_unnumbered([one.title for one in inner])
        cells = [topic for one in inner if one.rank >= _ROW_RANK for topic in one.topics]
        topics = (*entry.topics, *stated, *deeper, *cells)
        return ProposedSection(title=title, length=length, topics=topics, line=entry.line)


def _title(text: str) -> str:
    """A chapter's title without what calls it a plan (``Outline: Pipes``, ``《管道》写作提纲``); "" if that is all."""
    bare = _PLAN_TITLE.sub("", text).strip(" 　:：")
    return re.sub(r"^《([^《》]+)》$", r"\1", bare)
