"""The result of a run as a table for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from expand.result import ChapterResult, RunResult

MOST_FINDINGS = 12


def show_result(result: RunResult) -> None:
    """Prints what became of each chapter, what is missing, and where the budget stands."""
    console = Console(highlight=False)
    for chapter in result.chapters:
        console.print(_table(chapter))
        console.print(
            f"{chapter.draft}: {chapter.lines:,} of {chapter.target_lines:,} lines, "
            f"length score {chapter.length_score}"
        )
        _show_findings(console, chapter)
    balance = result.balance
    limit = f" of {balance.limit.tokens:,}" if balance.limit.tokens is not None else ""
    remaining = balance.remaining_tokens
    left = f", {remaining:,} remaining" if remaining is not None else ""
    if remaining is not None and remaining < 0:
        left += " (a provider billed more than was reserved)"
    console.print(
        f"{result.attempts} attempts, {result.answers} answers, {result.seconds:.1f} s; "
        f"budget: {balance.used_tokens:,}{limit} tokens used{left}"
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


def _show_findings(console: Console, chapter: ChapterResult) -> None:
    found = [
        finding
        for section in chapter.sections
        for finding in section.findings
        if finding.severity != "note"
    ]
    for finding in found[:MOST_FINDINGS]:
        where = f"{chapter.id}/{finding.section}:{finding.line}"
        console.print(Text(f"  {where}: {finding.kind}: {finding.message}; {finding.remedy}"))
    if len(found) > MOST_FINDINGS:
        console.print(f"  and {len(found) - MOST_FINDINGS} more: expand review {chapter.id}")
