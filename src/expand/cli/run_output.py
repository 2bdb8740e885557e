"""What runs, reviews and dry runs come to, for people: tables in the terminal's width, prose folded between words, and
places as editors name them, ``drafts/03.md:162``."""

import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TextIO

from expand.budget import Balance, usd_from_pico
from expand.checks import Finding
from expand.cli.output import counted, print_json
from expand.document import draft
from expand.drafting.dry_run import DryRun, dry_run_json, sum_of
from expand.drafting.results import ChapterResult, Refusal, RunResult, SectionResult, named
from expand.redaction import escaped, printable
from expand.reports.report_model import Texts
from expand.reports.text_table import PIPE_WIDTH, fold, table_lines
from expand.workspace import Workspace, read_text


def _width(stream: TextIO) -> int:
    """The columns of a terminal, or of a pipe, where there is room for whole tables."""
    narrow = stream.isatty() or os.environ.get("COLUMNS")
    return shutil.get_terminal_size().columns if narrow else PIPE_WIDTH


Cells = Sequence[str | int]


def table_text(
    heads: Sequence[str],
    rows: Iterable[Cells],
    *,
    words: Collection[str] = ("Section",),
    total: Cells | None = None,
    stream: TextIO | None = None,
) -> str:
    """The rows in the width of a stream, else of stdout, in parts where it is narrow; ``total`` is set off below.

    Columns of ``words`` fold; the others are figures, at the right and never broken. Numbers get their thousands
    separated."""

    def shown(row: Cells) -> list[str]:
        return [printable(cell) if isinstance(cell, str) else f"{cell:,}" for cell in row]

    figures = [head not in words for head in heads]
    table = Texts(heads, figures, [*map(shown, rows)], None if total is None else shown(total))
    return "\n".join(table_lines(table, _width(stream or sys.stdout)))


def folded(lines: Iterable[str]) -> str:
    """Lines of prose, folded between words on a terminal and left whole in a pipe."""
    if not sys.stdout.isatty():
        return "\n".join(lines)
    return "\n".join(part for line in lines for part in fold(printable(line), _width(sys.stdout)))


def located(workspace: Workspace, path: str) -> Callable[[Finding], str]:
    """Says findings of a draft after their places in the file on the disk, ``drafts/03.md:162``; one about the whole
    chapter is at its first line. ``path`` is the draft's name in the workspace."""
    file = workspace.inside(path)
    text = read_text(file) if file.is_file() else ""
    starts: dict[int, int] = {}
    at = line = 0
    for number, section in draft.read(text).sections.items():
        found = text.find(section, at)
        if found >= 0:
            line += text.count("\n", at, found)
            at = found
            starts[number] = line

    def say(finding: Finding) -> str:
        place = starts.get(finding.section, 0) + finding.line
        return f"{path}:{place}: {finding.severity}: {finding.kind}: {finding.message}; {finding.remedy}"

    return say


MOST_FINDINGS = 12
UNFINISHED = ("refused", "failed")


def review_table(chapter: ChapterResult, workspace: Workspace) -> str:
    """A review for a terminal: the sections, and every finding."""
    place = located(workspace, chapter.draft)
    rows = [(*_extent(s), len(s.findings), "hand" if s.status == "edited" else "tool") for s in chapter.sections]
    table = table_text(("Section", "Lines", "Target", "Findings", "By"), rows, words=("Section", "By"))
    prose = folded([*map(place, chapter.every_finding), _score(chapter)])
    return f"\n{_title(chapter)}\n{table}\n{prose}\n"


def review_markdown(chapter: ChapterResult, workspace: Workspace) -> str:
    """A review as Markdown."""
    place = located(workspace, chapter.draft)
    rows = "".join(f"| {' | '.join((*map(escaped, _extent(s)), s.status))} |\n" for s in chapter.sections)
    found = "".join(f"- {escaped(place(finding))}\n" for finding in chapter.every_finding) or "No findings.\n"
    table = f"| Section | Lines | Target | Status |\n| --- | ---: | ---: | --- |\n{rows}"
    return f"## {escaped(_title(chapter))}\n\n{table}\n{found}\n{escaped(_score(chapter))}\n"


def show_result(result: RunResult, workspace: Workspace) -> None:
    """Prints what became of each chapter, what is missing, and where the budget stands."""
    for chapter in result.chapters:
        heads = ("Section", "Lines", "Target", "Tokens", "Answers", "Findings", "Status")
        rows = []
        for s in chapter.sections:
            misses = sum(finding.severity != "note" for finding in s.findings)
            rows.append((*_extent(s), s.usage.total, s.answers, misses, s.outcome))
        prose = [_score(chapter), *_findings(chapter, located(workspace, chapter.draft))]
        table = table_text(heads, rows, words=("Section", "Status"))
        print(f"\n{_title(chapter)}\n{table}\n{folded(prose)}")
    extent = f"{result.tokens:,} tokens, {result.seconds:.1f} s"
    print(folded([spent(result.attempts, result.answers, extent, result.balance)]))


def spent(attempts: int, answers: int, extent: str, balance: Balance) -> str:
    """What was asked and answered, ``extent`` (the time or the tokens that it took), and where the budget stands."""
    limit = f" of {balance.limit.tokens:,}" if balance.limit.tokens is not None else ""
    opening = balance.opening_tokens
    before = f" ({opening:,} of them before this ledger)" if opening else ""
    remaining = balance.remaining_tokens
    left = f", {remaining:,} remaining" if remaining is not None else ""
    if remaining is not None and remaining < 0:
        left += " (a provider billed more than was reserved)"
    asked = f"{counted(attempts, 'attempt')}, {counted(answers, 'answer')}, {extent}"
    return f"{asked}; budget: {balance.used_tokens:,}{limit} tokens used{before}{left}"


def refusals(refused: Iterable[Refusal]) -> Iterator[str]:
    """What the budget refused: one message for each limit, which names the sections and the greatest amount; where
    nothing is short but a price, one for each reason."""
    groups: dict[object, list[Refusal]] = {}
    for one in refused:
        short = one.shortfall
        groups.setdefault((short.scope, short.unit) if short else one.message, []).append(one)
    for group in groups.values():
        worst = max(group, key=lambda one: one.shortfall.needed if one.shortfall else 0)
        yield f"the budget refused {named(sorted((one.chapter, one.section) for one in group))}: {worst.message}"


def _extent(section: SectionResult) -> tuple[str, str, str]:
    """A section's name, what it has and what it is to have, in its unit."""
    unit = "" if section.unit == "lines" else f" {section.unit}"
    return f"{section.number}. {section.title}", f"{section.counted:,}{unit}", f"{section.target:,}{unit}"


def _title(chapter: ChapterResult) -> str:
    return f"Chapter {chapter.id} ({chapter.language}, plan {chapter.plan})"


def _score(chapter: ChapterResult) -> str:
    code = chapter.code
    judged = f"; {code.checked - code.failed:,} of {counted(code.blocks, 'code block')} compile" if code else ""
    if code and code.unchecked:
        judged += f", {code.unchecked:,} unchecked"
    extent = f"{chapter.lines:,} of {counted(chapter.target_lines, 'line')}"
    if len(units := {section.unit for section in chapter.sections}) == 1 and "lines" not in units:
        has, target = (sum(one.counted for one in chapter.sections), sum(one.target for one in chapter.sections))
        extent = f"{has:,} of {target:,} {units.pop()}"
    return f"{chapter.draft}: {extent}, length score {chapter.length_score}{judged}"


def _findings(chapter: ChapterResult, place: Callable[[Finding], str]) -> Iterator[str]:
    """The findings of what was finished; of the rest, that it was not."""
    unfinished = {s.number for s in chapter.sections if s.status in UNFINISHED}
    found = [
        finding
        for finding in chapter.every_finding
        if (finding.severity != "note" or finding.kind == "unchecked-code")
        and (finding.section not in unfinished or finding.kind == "not-asked")
    ]
    for finding in found[:MOST_FINDINGS]:
        yield place(finding)
    if len(found) > MOST_FINDINGS:
        yield f"and {len(found) - MOST_FINDINGS:,} more: expand review {chapter.id}"
    if unfinished:
        which = named((chapter.id, number) for number in sorted(unfinished))
        yield f"{which} not finished; run again to go on from there"


def _planned(p: DryRun) -> Cells:
    """The section, with why nothing would be sent for it, and what it would take."""
    reason = " (edited)" if p.edited else " (current)" if p.reused else ""
    name = f"{p.chapter}/{p.section} {p.title}{reason}" if p.chapter else "Sum"
    usd = "unknown" if p.cost_pico_usd is None else f"{usd_from_pico(p.cost_pico_usd):.4f}"
    return (name, p.lines, p.requests, p.prompt_tokens, p.completion_tokens, p.reserved_tokens, usd)


def show_dry_run(planned: Sequence[DryRun], *, as_json: bool) -> int:
    """Prints requests, tokens, reservation and cost by section, and their sums. Returns the exit code."""
    if as_json:
        print_json(dry_run_json(planned))
        return 0
    total = sum_of(planned)
    prose = [
        "Each request reserves the most that it can cost until its answer arrives; answers are expected to take about "
        "the tokens shown."
    ]
    if total.cost_pico_usd is None:
        prose.append("The model has no known price, so the cost is unknown.")
    heads = ("Section", "Lines", "Requests", "Prompt tokens", "Answer tokens", "Reserved at most", "USD at most")
    table = table_text(heads, map(_planned, planned), total=_planned(total))
    print(f"\nDry run: nothing was sent\n{table}\n{folded(prose)}")
    return 0
