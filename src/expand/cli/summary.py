"""The result of a run as a table for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from expand.contract import Finding
from expand.drafting.result import ChapterResult, RunResult

MOST_FINDINGS = 12


def review_table(chapter: ChapterResult) -> str:
    """A review for a terminal: the sections, and every finding."""
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(_review_sections(chapter))
        for finding in _found(chapter):
            console.print(_line(chapter, finding), soft_wrap=True)
        console.print(_score(chapter), soft_wrap=True)
    return captured.get()


def review_markdown(chapter: ChapterResult) -> str:
    """A review as Markdown."""
    rows = [
        f"| {s.number}. {s.title} | {s.lines:,} | {s.target_lines:,} | {s.status} |"
        for s in chapter.sections
    ]
    found = [f"- {_line(chapter, finding)}" for finding in _found(chapter)]
    return "\n".join(
        [
            f"## Chapter {chapter.id} ({chapter.language}, plan {chapter.plan})",
            "",
            "| Section | Lines | Target | Status |",
            "| --- | ---: | ---: | --- |",
            *rows,
            "",
            *(found or ["No findings."]),
            "",
            _score(chapter),
            "",
        ]
    )


def show_result(result: RunResult) -> None:
    """Prints what became of each chapter, what is missing, and where the budget stands."""
    console = Console(highlight=False)
    for chapter in result.chapters:
        console.print(_table(chapter))
        console.print(_score(chapter), soft_wrap=True)
        _show_findings(console, chapter)
    balance = result.balance
    limit = f" of {balance.limit.tokens:,}" if balance.limit.tokens is not None else ""
    opening = balance.opening_tokens
    before = f" ({opening:,} of them before this ledger)" if opening else ""
    remaining = balance.remaining_tokens
    left = f", {remaining:,} remaining" if remaining is not None else ""
    if remaining is not None and remaining < 0:
        left += " (a provider billed more than was reserved)"
    console.print(
        f"{result.attempts} attempts, {result.answers} answers, {result.seconds:.1f} s; "
        f"budget: {balance.used_tokens:,}{limit} tokens used{before}{left}",
        soft_wrap=True,
    )


def _table(chapter: ChapterResult) -> Table:
    table = Table(title=f"Chapter {chapter.id} ({chapter.language}, plan {chapter.plan})")
    table.add_column("Section")
    for name in ("Lines", "Target", "Tokens", "Answers"):
        table.add_column(name, justify="right")
    table.add_column("Status")
    for section in chapter.sections:
        kept = "" if section.kept else f", {len(section.findings)} findings"
        table.add_row(
            Text(f"{section.number}. {section.title}"),
            f"{section.lines:,}",
            f"{section.target_lines:,}",
            f"{section.usage.total:,}",
            f"{section.answers:,}",
            f"{section.status}{kept}",
        )
    return table


def _review_sections(chapter: ChapterResult) -> Table:
    table = Table(title=f"Chapter {chapter.id} ({chapter.language}, plan {chapter.plan})")
    table.add_column("Section")
    for name in ("Lines", "Target", "Findings"):
        table.add_column(name, justify="right")
    table.add_column("By")
    for section in chapter.sections:
        table.add_row(
            Text(f"{section.number}. {section.title}"),
            f"{section.lines:,}",
            f"{section.target_lines:,}",
            f"{len(section.findings):,}",
            "hand" if section.status == "edited" else "tool",
        )
    return table


def _found(chapter: ChapterResult) -> list[Finding]:
    return [*chapter.findings, *(f for section in chapter.sections for f in section.findings)]


def _line(chapter: ChapterResult, finding: Finding) -> str:
    where = f"{chapter.id}/{finding.section}:{finding.line}"
    what = f"{where}: {finding.severity}: {finding.kind}: {finding.message}"
    return f"{what}; {finding.remedy}"


def _score(chapter: ChapterResult) -> str:
    return (
        f"{chapter.draft}: {chapter.lines:,} of {chapter.target_lines:,} lines, "
        f"length score {chapter.length_score}"
    )


def _show_findings(console: Console, chapter: ChapterResult) -> None:
    found = [finding for finding in _found(chapter) if finding.severity != "note"]
    for finding in found[:MOST_FINDINGS]:
        console.print(Text(f"  {_line(chapter, finding)}"), soft_wrap=True)
    if len(found) > MOST_FINDINGS:
        console.print(f"  and {len(found) - MOST_FINDINGS} more: expand review {chapter.id}")
