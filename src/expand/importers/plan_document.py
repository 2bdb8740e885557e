"""A plan as people write it: chapters with sections, as headings, lists, checkboxes or tables, with lengths.

    ### 第3篇：03_性能工程实践.md          # Connection pools
    **目标**: 1,000行（当前75行）           | Section | Words | Topics |
    1. **性能剖析工具** (250行)             |---|---|---|
       - perf工具（CPU profiling）          | Sizing the pool | ~600 | Little's law; a load test |

One pass makes a tree of entries of the lines. Chapters are the entries that are worded as such ("Chapter 3", "第3篇",
a file) and what is planned beside them in the same way; else long ones that have sections, or headings below which the
lengths are stated; else the whole document is one. A chapter's sections are the first of its headings, table rows and
list items that state lengths; what stands below a section are its topics. Priority, hours and targets also come from
tables whose rows name the chapters.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any

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
    without_examples,
)
from expand.importers.proposal import Proposal, ProposedSection, tidy
from expand.importers.text_patterns import ChapterName, Item, chapter_name, items_of, mentioned_chapter, plain
from expand.markdown import blocks as markdown
from expand.markdown.blocks import Block
from expand.markdown.matching import all_unnumbered

_TEXT = ("list", "paragraph", "code", "quote")
# How deep an entry stands: Markdown's headings are 1 to 6.
_CHAPTER_LINE, _BOLD = 7, 8
"""A line that is worded as a chapter, and one in bold."""
_ITEM = 12
_ROW = 50
_MOST = 1_000
"""Characters of a line that are read: patterns may look at each as often as there are others."""
_LONGEST_LISTED = 40
"""Characters of a topic that a line lists below a section; a longer part is a clause."""
_LONG = {"lines": 400, "words": 1500, "characters": 2500, "pages": 5, "minutes": 30, "percent": 200}
"""From here on an entry with others below it is a chapter rather than a section."""

_LABELS = {
    "target": r"(?:estimated |total |planned )?(?:target|length|size|goal|lines|words?|pages|characters|total)"
    r"(?: lines| length| words| count)?|[总预计目标划]{0,4}(?:目标|[行字页]数|篇幅|长度)|总计|合计|共计",
    "examples": r"(?:code |worked )?(?:examples|samples|snippets)|(?:代码)?(?:示例|例子|样例)数?量?",
    "audience": r"(?:target |intended )?(?:audience|readers?)|(?:目标)?(?:读者|受众)(?:对象|群体)?",
    "hours": r"[预估]?[估计]?(?:时间|用时|耗时|工时|时长)|(?:estimated )?(?:time|hours|effort|duration)|estimate",
    "priority": r"优先级|priority",
    "file": r"文件|文档|源文件|路径|file|document|source|path",
    "title": r"chapter|title|subject|章节?|章名|标题|题目",
    "topics": r"topics?|covers?|contents?|points|key points|must cover|主要内容|内容|要点|重点|知识点|主题|"
    r"[要需]?[讲写][清到]楚?",
}
_LABEL = re.compile(
    rf"(?is)^[ *_]*(?:{'|'.join(f'(?P<{kind}>{words})' for kind, words in _LABELS.items())})[ *_]*:\s*(.+)$"
)
_WHOLE = re.compile(r"(?i)\b(?:in all|in total|total|altogether|overall|whole)\b|全[文章篇]|本章|总共|共计|合计|总计")
_STRUCTURE = re.compile(
    r"(?i)^(?:(?:the )?(?:sections?|outline|contents?|structure|plan|chapters?|topics?)|"
    r"内容|提纲|大纲|结构|章节|目录|小节|安排)$"
)
_ASIDE = re.compile(
    r"(?i)^(?:notes?|references?|resources|audience|readers?|goals?|objectives|learning (?:goals|objectives|outcomes)|"
    r"prerequisites|background|to ?do|备注|说明|参考(?:资料|文献)?|读者|目标|学习目标|前提|背景|待办)$"
)
_LIST_TITLE = re.compile(
    r"(?i)\b(?:book|series|chapters|tier|course|handbook|guide|winter|spring|summer|autumn|month|weeks?|quarter|q[1-4]|ideas"
    r"|goals|roadmap|to[ -]?do|to write|i want)\b|书|系列|各[章篇]|教程|课程|手册"
    r"|[春夏秋冬]|[本下这]个?[月周季年]|任务|待写|要写|排期|打算"
)
_PLAN_TITLE = re.compile(
    r"(?i)^(?:(?:the |a |writing |draft )*(?:plan|outline)(?:\s*[:：—–-]|\s+(?:for|of)\b|$)|"
    r"(?:写作|[扩编撰改续]写|修订|章节)?(?:提纲|大纲|计划|规划)(?:[:：—–\s-]|$))?\s*"
    r"(?:(?:the )?(?:chapter|page|article) (?:(?:on|about)\s+|(?=[\"“«]))|(?:chapter|章节?)\s*[:：]\s*)?|"
    r"\s*的?(?:写作|[扩编撰改续]写|修订)?(?:提纲|大纲)$|(?:(?<=》)|\s|的|写作|[扩编撰改续]写|修订)+(?:计划|规划)$|"
    r"\s*[(（][^()（）]*(?:提纲|大纲|计划|outline|plan)[)）]$|"
    r"\s*[:—–-]\s*(?:plan|outline)$|\s+(?:outline|writing plan)$"
)
_SUM = re.compile(r"(?i)^(?:总计|合计|小计|共计|(?:total|sum|subtotal)\b)")
_REST = re.compile(
    r"(?i)\s*(?:[(\[（【]|[-–—:：,，]+)\s*"
    r"(?:(?:all |whatever is )?(?:the )?(?:rest|remainder)|其余|剩[下余](?:的|时间|篇幅)?|余下的?)\s*[)\]）】]?$"
)
_BARE_END = re.compile(r"^(.*[^\s:–—-])\s*(?:\s[-–—]\s|:|[(\[])\s*((?:~|约)?\d[\d,]*)[)\]]?$")
_ENDS = tuple(".。,，;；:：!！?？")
_BOLD_LINE = re.compile(r"^(\*\*|__)(?=\S)(.+?)(?<=\S)\1(.*)$")
_TOPIC_DASHES = r"\s+[-–—]\s+|[;；]\s*"
_TOPIC_COMMAS = r"[,，、]\s*"
_UNCUT = r"`[^`]*`|\([^()]*\)|（[^（）]*）|\[[^\[\]]*\]|<\S[^<>]*>|“[^“”]*”"
_NONE = re.compile(r"(?i)(?:none|no|n/?a|无|没有)$")
_CELL = re.compile(r"(?<!\\)\|")
# The columns of tables, by their headings.
_CHAPTER_COLUMN = re.compile(r"(?i)^(?:chapter|document|doc|file|文档|文件|篇目?|章节?|所属章)$")
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
_EXAMPLES_COLUMN = re.compile(r"(?i)\b(?:examples|samples|snippets)\b|示例|例子|样例")
_PRESENT_COLUMN = re.compile(r"(?i)\b(?:now|current|present|have|done|actual)\b|现有|当前|已有|实际|完成")
_TARGET_COLUMN = re.compile(r"(?i)target|planned|goal|目标|计划")
_LENGTH_COLUMN = re.compile(r"(?i)target|planned|goal|length|size|目标|计划|篇幅|长度")


@dataclass(frozen=True, slots=True)
class PlanLine:
    """A line of a plan by its number, from 1."""

    line: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a document plans. ``unplanned`` are the chapters that it names without a length, id to title; ``left`` the
    lines whose lengths were not understood. ``is_prose`` says that most of the document is text or code, or that few
    sections have a length: it is rather a chapter than a plan."""

    chapters: tuple[Proposal, ...] = ()
    unplanned: Mapping[str, str] = field(default_factory=dict)
    left: tuple[PlanLine, ...] = ()
    is_prose: bool = False


@dataclass(slots=True, eq=False)
class _Entry:
    """A heading, a list item or a table's row, with what stands below it; ``rank`` says how deep. ``name`` is the
    chapter that it names, if any."""

    line: int
    rank: int
    title: str = ""
    length: Length | None = None
    topics: list[str] = field(default_factory=list)
    numbered: bool = False
    name: ChapterName | None = None
    facts: dict[str, list[PlanLine]] = field(default_factory=lambda: defaultdict(list))
    below: list["_Entry"] = field(default_factory=list)

    @property
    def is_named(self) -> bool:
        """Whether it is worded as a chapter."""
        return _is_strong(self.name)

    def every(self) -> Iterator["_Entry"]:
        """The entry and all below it, in order."""
        yield self
        for entry in self.below:
            yield from entry.every()

    def fact(self, kind: str, read: Callable[[str], Any] | None = None) -> Any:
        """What the first of the lines of a kind states that states anything."""
        values = map(read or _READ[kind], (fact.text for fact in self.facts.get(kind, ())))
        return next((value for value in values if value is not None), None)

    def stated(self) -> Length | None:
        """The length that the entry states, on its own line or by a label."""
        return self.length or self.fact("target") or self.fact("sum")

    def extent(self) -> Length | None:
        """The same, else the sum of all that is right below it, where each states one in the same unit."""
        stated = [length for entry in self.below if (length := entry.stated())]
        if self.stated() or len(stated) < len(self.below) or len({length.unit for length in stated}) != 1:
            return self.stated()
        return Length(sum(Decimal(length.amount) for length in stated), stated[0].unit)


def read_plan(text: str, *, without_lengths: bool = False) -> Plan:
    """The chapters that the plan wants written, in its order; none where it is no plan.

    A chapter counts if it or its sections state a length, or else only ``without_lengths``."""
    tree = _Tree(text)
    reader = _Reader(tree.root, tree.rows, without_lengths)
    chapters = {proposal.id or f"line {proposal.line}": proposal for proposal in reversed(reader.chapters())}
    entries = [*tree.root.every()][1:]
    named = [entry for entry in entries if entry.rank < _ITEM and entry.is_named]
    unplanned = {name.id: name.title for entry in named if (name := entry.name) and name.id not in chapters}
    reader.used |= {row.line for row in reader.rows if _SUM.match(row.title) or _id(row) in unplanned}
    lengths = [section.length or one.target for one in chapters.values() for section in one.sections]
    stating = [length for length in lengths if length and length.unit != "percent"]
    is_text = any(entry.rank < _CHAPTER_LINE for entry in entries) and tree.prose > len(entries)
    return Plan(
        chapters=tuple(reversed(chapters.values())),
        unplanned=unplanned,
        left=tuple(_left(reader, tree.lines, unplanned)),
        is_prose=is_text or (0 < len(entries) < tree.prose * 8 and len(stating) < len(lengths) / 3),
    )


def _left(reader: "_Reader", lines: Sequence[str], unplanned: Mapping[str, str]) -> Iterator[PlanLine]:
    """The lines that state a length and belong to no section, and the headings beside chapters of which nothing was
    understood. Sums and what is said of other chapters are left out."""
    stating = {row.line for row in reader.rows if row.length}
    lost = {entry.line for entry in reader.passed_over()}
    apart = (entry for entry in reader.root.every() if entry.is_named and _id(entry) in unplanned)
    others = {one for entry in apart for one in entry.every()}
    for entry in reader.root.every():
        yield from entry.facts.get("unread", ())
        if entry.rank < _ITEM:
            lost |= {fact.line for kind in ("audience", "examples") for fact in entry.facts.get(kind, ())}
        if entry not in others:
            stating |= {entry.line} if entry.length else set()
            facts = [fact for kind in entry.facts.keys() - {"sum", "unread"} for fact in entry.facts[kind]]
            stating |= {fact.line for fact in facts if _label_length(fact.text)}
    for line in sorted((stating | (lost if reader.taken else set())) - reader.used):
        yield PlanLine(line, lines[line - 1].strip())


def _id(entry: _Entry) -> str:
    return entry.name.id if entry.name else ""


def _is_strong(name: ChapterName | None) -> bool:
    return name is not None and name.strong


def _label(text: str) -> tuple[str, str, str]:
    """The kind of label that a line begins with, its words and its value; empty texts where it begins with none."""
    bare = plain(text)
    found = _LABEL.match(narrow(bare))
    kind, words = next((one for one in found.groupdict().items() if one[1]), ("", "")) if found else ("", "")
    return kind, words, bare[found.start(found.lastindex or 0) :] if found else ""


def _label_length(text: str) -> Length | None:
    """The length in ``字数：800`` or ``Target: 1,000 lines (75 now)``."""
    _, words, value = _label(text)
    unit = unit_of(words)
    return (bare_length(value, unit) if unit else None) or preferred(lengths_in(value or text))


def _examples(text: str) -> int | None:
    """How many examples a line wants, where it says nothing else: ``At least 9 code examples``, ``示例：3``."""
    kind, _, value = _label(text)
    said = (value, f"{value} examples") if kind == "examples" else (plain(text),)
    return next((count for rest, count in map(without_examples, said) if not rest), None)


_READ: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("target", "sum"), _label_length),
    **dict.fromkeys(("title", "audience"), lambda text: _label(text)[2]),
    "examples": _examples,
    "hours": hours_in,
    "priority": priority_in,
    "file": chapter_name,
}
"""What is read from the lines that state something of a kind."""


def _fact_kind(text: str) -> str:
    """What a line states of what it stands below: a label's kind, ``target`` for a length by itself, "" for nothing."""
    kind = _label(text)[0]
    if kind == "examples" or not kind:
        kind = "" if _examples(text) is None else "examples"
    if kind or not lengths_in(text):
        return kind
    bare = plain(text)
    title = read_line(bare).title.strip(".。 ")
    alone = not title or _WHOLE.fullmatch(title) or (_WHOLE.search(bare) and bare.endswith(tuple(".。:：")))
    return "target" if alone else ""


def _ends_with_length(text: str) -> bool:
    """Whether a line is a title and a length, and nothing else."""
    worded = read_line(plain(text))
    return bool(worded.title and worded.length and not worded.rest) and not text.endswith((".", "。"))


def _entry(text: str, *, line: int, rank: int, number: str = "", more: str = "") -> _Entry:
    """The entry that a line makes; ``more`` are the lines that it is wrapped on: topics where it ends with a length."""
    (said, examples), (more, further) = without_examples(plain(text)), without_examples(plain(more))
    worded = read_line(said)
    if not worded.title:
        worded, examples = read_line(plain(text)), None
    if more and worded.length and not worded.rest:
        worded = replace(worded, rest=more)
    elif more:
        worded = read_line(f"{said} {more}")
    title = _REST.sub("", worded.title).rstrip(":： ")
    name = chapter_name(title) or chapter_name(_title(title)) or chapter_name(f"{number} {title}")
    entry = _Entry(line, rank, title, worded.length, _topics(worded.rest), bool(number), name)
    for count in filter(None, (examples, further)):
        entry.facts["examples"].append(PlanLine(line, f"examples: {count}"))
    if worded.length and worded.length.unit != "minutes" and "课时" not in text:
        entry.facts["hours"].append(PlanLine(line, text))
    return entry


def _topics(text: str) -> list[str]:
    """Topics in one line: between dashes or semicolons, else between commas, but in code and brackets."""
    parts = [""]
    for separator in (_TOPIC_DASHES, _TOPIC_COMMAS):
        if len(parts) == 1:
            parts = [""]
            for piece in re.split(f"({_UNCUT})|{separator}", text):
                parts = [*parts, ""] if piece is None else [*parts[:-1], parts[-1] + piece]
    return [re.sub(r"(?i)^and\s+", "", one) for part in parts if (one := part.strip(" .。　")).strip("-–—")]


# The document as a tree.


class _Tree:
    """The entries of a document below a root. ``rows`` are those of tables that are about chapters; ``prose`` counts
    the lines of text, and the blocks of code, that are no entries."""

    def __init__(self, text: str) -> None:
        self.root = _Entry(line=1, rank=0)
        self.rows: list[_Entry] = []
        self.prose = 0
        self.lines = [line[:_MOST] for line in markdown.bare_rows(text)]
        self._path = [self.root]
        blocks = markdown.blocks(text)
        for kind, together in groupby(blocks, key=lambda block: "text" if block.kind in _TEXT else block.kind):
            group = list(together)
            if kind == "text":  # what looks like several blocks to Markdown is one list to people: 一、 and below it 1.
                self._read_text(self.lines[group[0].start : group[-1].end], group[0].start + 1)
            elif kind == "heading":
                for block in group:
                    self._add(_entry(block.title[:_MOST], line=block.start + 1, rank=block.level))
            elif kind == "table":
                for block in group:
                    self._close(_ITEM)
                    self._read_table(block)
            else:
                self.prose += len(group) if kind in ("fence", "html") else 0

    def _close(self, rank: int) -> None:
        """Ends what is as deep as ``rank``, or deeper."""
        while self._path[-1].rank >= max(rank, 1):
            self._path.pop()

    def _add(self, entry: _Entry) -> None:
        self._close(entry.rank)
        self._path[-1].below.append(entry)
        self._path.append(entry)

    def _read_text(self, lines: Sequence[str], first: int) -> None:
        """Adds the items in some lines, and what lines beside them state of what they stand below."""
        items = items_of(lines, first, keep_apart=lambda text: bool(_fact_kind(text)))
        bare = [item for item in items if item.depth < 0 and not item.indented and not _BOLD_LINE.match(item.text)]
        stating = {
            item.line for item in bare if _ends_with_length(item.text) and not _is_strong(chapter_name(item.text))
        }
        for item in items:
            text, more = f"{item.text} {item.more}".strip()[:_MOST], item.more[:_MOST]
            kind, is_item = _fact_kind(text), item.depth >= 0
            is_row = item.line in stating and len(stating) > 1
            rank = _ITEM + max(item.depth, 0) if is_item or is_row else self._heading_rank(item)
            if not kind and rank:
                self._add(_entry(item.text, line=item.line, rank=rank, number=item.number, more=more))
                continue
            if is_item or not item.indented:  # what is indented belongs to the item above, anything else to the heading
                self._close(max(rank, _ITEM))
            if not kind and text.endswith((":", "：")) and len(lengths_in(text)) == 1:
                kind = "target"  # of the list that it introduces
            place = self._path[-1]
            readers = place.facts["audience"]
            if not kind and readers and readers[-1].line + readers[-1].text.count("\n") == item.line - 1:
                readers[-1] = replace(readers[-1], text=f"{readers[-1].text}\n{text}")
                continue
            place.facts[kind].append(PlanLine(item.line, text))
            self.prose += not kind

    def _heading_rank(self, item: Item) -> int:
        """The rank of a heading that nobody marked as one: worded as a chapter, in bold but for its length, or with
        a length at its end. 0 for another line."""
        bold = _BOLD_LINE.match(item.text)
        if _is_strong(chapter_name(bold[2] if bold else item.text)) and not item.text.endswith(_ENDS):
            return _CHAPTER_LINE
        is_bold = bold is not None and read_line(f"x {plain(bold[3])}").title.strip(" :：") == "x"
        return _BOLD if is_bold or _ends_with_length(item.text) else 0

    def _read_table(self, block: Block) -> None:
        """Adds a table's rows as sections, below chapters where a column names those, or to ``rows``."""
        lines = markdown.bare_rows(block.text)
        head = [plain(cell) for cell in _cells(lines[0])]
        columns, unit = _columns(head)
        if columns["length"] < 0 and columns["priority"] < 0:
            return
        above, last = self._path[-1], ""
        for at, cell in enumerate(head):
            if at not in columns.values() and _ANY_COLUMN.search(cell) and not _PRESENT_COLUMN.search(cell):
                above.facts["unread"].append(PlanLine(block.start + 1, f"the column {cell}"))
        rows = {line: _cells(text) for line, text in enumerate(lines[2:], block.start + 3) if re.search(r"\w", text)}
        for line, cells in rows.items():
            named = {name: cells[at] if 0 <= at < len(cells) else "" for name, at in columns.items()}
            length = bare_length(named["length"], unit)
            words = [plain(one) for one in cells if re.search(r"[^\W\d]", one)]
            chapter = _row_name(cells)
            is_chapter = columns["section"] < 0 if columns["chapter"] >= 0 else _is_strong(chapter)
            if any(_SUM.match(word) for word in words[:1]) or (length and not named["section"] and not words):
                above.facts["sum"].append(PlanLine(line, str(length or "")))
            elif is_chapter:
                row = _Entry(line, _ROW, next(iter(words), ""), length, name=chapter)
                for kind in ("hours", "priority"):
                    row.facts[kind].append(PlanLine(line, named[kind]))
                self.rows.append(row)
            else:
                if named["chapter"] and named["chapter"] != last:
                    last = named["chapter"]
                    self._add(_entry(named["chapter"], line=line, rank=_ROW))
                entry = _entry(named["section"], line=line, rank=_ROW + (columns["chapter"] >= 0))
                entry.length = length or entry.length
                entry.topics += _topics(plain(named["topics"]))
                count = PlanLine(line, f"examples: {named['examples']}")
                if _examples(count.text) is not None:
                    entry.facts["examples"].append(count)
                elif not _NONE.match(named["examples"]):
                    entry.topics += _topics(plain(named["examples"]))
                self._add(entry)


def _listed(said: Sequence[str]) -> tuple[str, ...]:
    """The topics in what stands below a section, where that is one line that lists some: ``stack, heap, arenas``."""
    topics = _topics(plain(said[0])) if len(said) == 1 and not said[0].endswith(_ENDS) else []
    return tuple(topics) if len(topics) > 1 and max(map(len, topics)) <= _LONGEST_LISTED else ()


def _columns(head: Sequence[str]) -> tuple[dict[str, int], Unit]:
    """Where a table's columns are, from 0, by their headings, -1 for one that it does not have; and the unit of bare
    figures. Sections are named in the first column that is nothing else."""

    def first(words: re.Pattern[str], taken: Collection[int] = ()) -> int:
        return next((at for at, cell in enumerate(head) if words.search(cell) and at not in taken), -1)

    hours = first(_HOURS_COLUMN)
    units = [unit_of(cell) if at != hours else None for at, cell in enumerate(head)]
    sized = [at for at, cell in enumerate(head) if units[at] or _LENGTH_COLUMN.search(cell)]
    lengths = [at for at in sized if not _PRESENT_COLUMN.search(head[at])]
    length = min(lengths, key=lambda at: not _TARGET_COLUMN.search(head[at]), default=hours)
    found = {"hours": hours, "length": length, "priority": first(_PRIORITY_COLUMN)}
    found |= {"chapter": first(_CHAPTER_COLUMN), "examples": first(_EXAMPLES_COLUMN)}
    found["section"] = first(_SECTION_COLUMN, found.values())
    if found["section"] < 0 and "章节" in head:
        found |= {"section": found["chapter"], "chapter": -1}
    if found["section"] < 0 and found["chapter"] < 0:
        found["section"] = first(_ANY_COLUMN, found.values())
    found["topics"] = first(_TOPICS_COLUMN, found.values())
    return found, (units[length] if length >= 0 else None) or "lines"


def _row_name(cells: Sequence[str]) -> ChapterName | None:
    """The chapter that a row's first cells name."""
    return next((name for name in map(chapter_name, cells[:3]) if _is_strong(name)), None)


def _cells(line: str) -> list[str]:
    return [cell.strip()[:_MOST] for cell in _CELL.split(line.strip().strip("|"))]


# The tree as chapters.


@dataclass(slots=True)
class _Reader:
    """Reads a tree's chapters; ``used`` are the lines that it has understood, ``taken`` the chapters."""

    root: _Entry
    rows: Sequence[_Entry]
    without_lengths: bool
    used: set[int] = field(default_factory=set)
    taken: set[_Entry] = field(default_factory=set)

    def chapters(self) -> list[Proposal]:
        """The innermost entries that are worded as chapters, and what is planned beside them; else the parts of the
        document, if they are chapters; else all of it."""
        named = [entry for entry in self.root.every() if entry.is_named]
        worded = {entry for entry in named if self._is_chapter(entry)}
        if inner := {entry for entry in worded if worded.isdisjoint([*entry.every()][1:])}:
            found = (one for parent in self.root.every() for one in self._planned(parent, inner))
            return [self._chapter(entry) for entry in sorted(found, key=lambda entry: entry.line)]
        top = self.root
        while len(top.below) == 1 and (only := top.below[0]).rank < _ITEM and only.below:
            if top.rank and only.stated():
                break
            top = only
        parts = self._sections(top)
        if self._are_chapters(parts, top):
            return [self._chapter(part) for part in parts if self._is_chapter(part)]
        return [self._chapter(top)] if self._is_chapter(top) and not named else []

    def _planned(self, parent: _Entry, chapters: Collection[_Entry]) -> Iterator[_Entry]:
        """Those of the chapters that are right below an entry, and what stands beside them and has sections: with a
        length, or each with one."""
        ranks = {one.rank for one in parent.below if one in chapters}
        for one in parent.below if ranks else ():
            sections = [each for each in self._sections(one) if one.stated() or each.stated()]
            if one in chapters or (
                one.rank in ranks
                and len(sections) > 1
                and not any(inner.is_named for inner in one.every())
                and not _ASIDE.match(one.title)
            ):
                yield one

    def passed_over(self) -> Iterator[_Entry]:
        """The headings beside chapters that have something below them, and were read as no chapter."""
        for parent in self.root.every():
            ranks = {one.rank for one in parent.below if one in self.taken and one.rank < _ITEM}
            for one in parent.below:
                if (
                    one.rank in ranks
                    and one.below
                    and not (one in self.taken or one.is_named or _ASIDE.match(one.title))
                ):
                    yield one

    def _is_chapter(self, entry: _Entry) -> bool:
        sections = self._sections(entry)
        return any(section.title for section in sections) and (
            self.without_lengths or entry.stated() is not None or any(section.extent() for section in sections)
        )

    def _are_chapters(self, parts: Sequence[_Entry], top: _Entry) -> bool:
        """Whether the parts of a document that names no chapter are chapters: most have parts themselves, and they are
        long, or they have lengths, the document has none, and it has no title, or that of a book or a list."""
        extents = [extent for part in parts if part.below and (extent := part.extent())]
        if len(parts) < 2 or sum(bool(part.below) for part in parts) <= len(parts) / 2:
            return False
        return any(extent.amount >= _LONG[extent.unit] for extent in extents) or (
            2 * len(extents) > len(parts)
            and not (top.stated() or top.fact("", mentioned_chapter))
            and (not top.title or _LIST_TITLE.search(top.title) is not None)
        )

    def _sections(self, chapter: _Entry) -> list[_Entry]:
        """The entries below a chapter that are its sections."""
        below = [
            inner
            for entry in chapter.below
            for inner in (entry.below if _STRUCTURE.match(entry.title) and not entry.stated() else [entry])
        ]
        bold = [entry for entry in below if _CHAPTER_LINE < entry.rank < _ITEM]
        if sum(entry.extent() is not None for entry in bold) < 2:  # they only say what is below them, or how far it is
            below = [inner for entry in below for inner in (entry.below if entry in bold else [entry])]
        below = [entry for entry in below if not _ASIDE.match(entry.title) or entry.stated()]
        headings = [entry for entry in below if entry.rank < _ITEM]
        rows = [entry for entry in below if entry.rank >= _ROW]
        items = [entry for entry in below if _ITEM <= entry.rank < _ROW]
        items = [entry for entry in items if entry.numbered] or items
        groups = (headings, rows, items)
        with_lengths = (group for group in groups if any(entry.extent() for entry in group))
        return next(with_lengths, items or rows or headings)

    def _chapter(self, entry: _Entry) -> Proposal:
        self.taken.add(entry)
        sections = self._sections(entry)
        if not entry.title and not entry.name:
            entry.title = entry.fact("title") or ""
            entry.name = entry.fact("", mentioned_chapter) or entry.fact("target", mentioned_chapter)
        name = entry.name
        title = name.title if name else entry.title
        said = [entry, *(row for row in self.rows if _is_about(row, name, title))][:2]
        target = next((length for one in said if (length := one.stated())), None)
        hours = next((hours for one in said if (hours := one.fact("hours")) is not None), None)
        units = {extent.unit for section in sections if (extent := section.extent())}
        if target and target.unit == "minutes" and units - {"minutes"}:
            hours = float(target.amount) / 60 if hours is None else hours
            target = None
        elif target is None and units == {"minutes"} and hours is not None:  # how long it takes to tell
            target, hours = Length(round(hours * 60), "minutes"), None
        named = entry.fact("file")
        file = (name.file if name else None) or (named.file if named else None)
        self._use(*said)
        if target or len(units) == 1:
            _read_bare_lengths(sections, target or Length(0, units.pop()))
        titles = all_unnumbered([section.title for section in sections])
        return tidy(
            Proposal(
                id=_id(entry),
                title=_title(title) or ("" if file or not name else title),
                sections=tuple(self._section(*one, target) for one in zip(sections, titles, strict=True)),
                file=file,
                line=entry.line,
                target=target,
                hours=hours,
                priority=entry.fact("priority") or said[-1].fact("priority"),
                examples=entry.fact("examples"),
                audience=entry.fact("audience"),
            )
        )

    def _section(self, entry: _Entry, title: str, whole: Length | None) -> ProposedSection:
        inner = list(entry.every())[1:]
        length = entry.extent() or entry.fact("hours", lambda text: preferred(lengths_in(text)))
        if entry.stated() is None and length:
            self.used |= {one.line for one in entry.below}
        self._use(entry)
        if length is not None and length.unit == "percent" and whole is not None:
            length = Length(round(Fraction(whole.amount) * Fraction(length.amount) / 100), whole.unit)
        stated = [topic for fact in entry.facts.get("topics", ()) for topic in _topics(_label(fact.text)[2])]
        deeper = all_unnumbered([one.title for one in inner])
        cells = [topic for one in inner if one.rank >= _ROW for topic in one.topics]
        topics = (*entry.topics, *stated, *deeper, *cells) or _listed([fact.text for fact in entry.facts.get("", ())])
        examples = entry.fact("examples")
        if examples is None:
            examples = sum(filter(None, (one.fact("examples") for one in inner))) or None
        return ProposedSection(title=title, length=length, topics=topics, line=entry.line, examples=examples)

    def _use(self, *entries: _Entry) -> None:
        for entry in entries:
            kinds = entry.facts.keys() - {""}
            self.used |= {entry.line, *(fact.line for kind in kinds for fact in entry.facts[kind])}


def _read_bare_lengths(sections: Sequence[_Entry], whole: Length) -> None:
    """Takes figures at the ends of titles for lengths, where every section has either, or most have and the chapter's
    own length holds them: ``Moves – 200``."""
    found = [None if section.extent() else _BARE_END.match(narrow(section.title)) for section in sections]
    bare = [bare_length(one[2], whole.unit) if one else None for one in found]
    lengths = [length for each, one in zip(sections, bare, strict=True) if (length := each.extent() or one)]
    fits = 2 * len(lengths) > len(sections) and sum(length.amount for length in lengths) < whole.amount
    for section, one, length in zip(sections, found, bare, strict=True):
        if one and length and (fits or len(lengths) == len(sections)):
            section.title, section.length = section.title[: one.end(1)], length


def _is_about(row: _Entry, name: ChapterName | None, title: str) -> bool:
    """Whether a table's row is about a chapter: by its id, else by its title."""
    if row.name:
        return name is not None and row.name.id == name.id
    return row.title.casefold() == title.casefold()


def _title(text: str) -> str:
    """A chapter's title without what calls it a plan (``Outline: Pipes``, ``《管道》写作提纲``); "" if that is all."""
    bare = _PLAN_TITLE.sub("", text).strip(" 　:：·|—–-")
    return re.sub(r"^(?:《([^《》]+)》(?:这?一?[章页]|页面|文章)?|[\"“«]([^\"“”«»]+)[\"”»])$", r"\1\2", bare)
