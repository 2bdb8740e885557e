"""The result of a run, and of a review, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from expand.checks import Finding
from expand.cli.locations import Locations, locations_of, named
from expand.cli.tables import TableColumn, console, say, table
from expand.cli.verbosity import counted
from expand.drafting.results import ChapterResult, Refusal, RunResult
from expand.workspace import Workspace

MOST_FINDINGS = 12
UNFINISHED = ("refused", "failed")


def review_table(chapter: ChapterResult, workspace: Workspace) -> str:
    """A review for a terminal: the sections, and every finding."""
    shown, places = console(), locations_of(workspace, chapter)
    with shown.capture() as captured:
        _head(shown, chapter)
        shown.print(_review_sections(chapter, shown.width))
        for finding in chapter.every_finding:
            say(shown, _line(places, finding))
        say(shown, _score(chapter))
    return captured.get()


def review_markdown(chapter: ChapterResult, workspace: Workspace) -> str:
    """A review as Markdown."""
    places = locations_of(workspace, chapter)
    rows = [f"| {s.number}. {s.title} | {s.lines:,} | {s.target_lines:,} | {s.status} |" for s in chapter.sections]
    found = [f"- {_line(places, finding)}" for finding in chapter.every_finding]
    return "\n".join(
        [
            f"## {_title(chapter)}",
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


def show_result(result: RunResult, workspace: Workspace) -> None:
    """Prints what became of each chapter, what is missing, and where the budget stands."""
    shown = console()
    for chapter in result.chapters:
        _head(shown, chapter)
        shown.print(_sections(chapter, shown.width))
        say(shown, _score(chapter))
        for line in _findings(chapter, locations_of(workspace, chapter)):
            say(shown, line)
    balance = result.balance
    limit = f" of {balance.limit.tokens:,}" if balance.limit.tokens is not None else ""
    opening = balance.opening_tokens
    before = f" ({opening:,} of them before this ledger)" if opening else ""
    remaining = balance.remaining_tokens
    left = f", {remaining:,} remaining" if remaining is not None else ""
    if remaining is not None and remaining < 0:
        left += " (a provider billed more than was reserved)"
    say(
        shown,
        f"{counted(result.attempts, 'attempt')}, {counted(result.answers, 'answer')}, "
        f"{result.seconds:.1f} s; "
        f"budget: {balance.used_tokens:,}{limit} tokens used{before}{left}",
    )


def refusals(refused: Iterable[Refusal]) -> Iterator[str]:
    """What the budget refused: one message for each limit, which names the sections and the sums; where nothing is
    short but a price, one for each reason.
    """
    by_limit: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in refused:
        short = refusal.shortfall
        key = (short.scope, short.unit) if short is not None else ("", refusal.message)
        by_limit.setdefault(key, []).append(refusal)
    for group in by_limit.values():
        where = named((refusal.chapter, refusal.section) for refusal in group)
        what = where if len(group) == 1 else f"{counted(len(group), 'section')}, {where}"
        yield f"the budget refused {what}: {_reason(group)}"


def _reason(group: list[Refusal]) -> str:
    short = [refusal.shortfall for refusal in group if refusal.shortfall is not None]
    if not short:
        return group[0].message
    last = min(short, key=lambda shortfall: shortfall.remaining)
    most = max(short, key=lambda shortfall: shortfall.needed)
    least = min(shortfall.needed for shortfall in short)
    said = replace(most, remaining=last.remaining).said(at_least=least)
    return f"{said}; raise the limit, or ask for less"


def _title(chapter: ChapterResult) -> str:
    return f"Chapter {chapter.id} ({chapter.language}, plan {chapter.plan})"


def _head(shown: Console, chapter: ChapterResult) -> None:
    shown.print(f"\n{_title(chapter)}", style="bold")


def _sections(chapter: ChapterResult, width: int) -> Text:
    columns = [
        TableColumn(name="Section", figure=False),
        TableColumn(name="Lines"),
        TableColumn(name="Target"),
        TableColumn(name="Tokens", spare=1),
        TableColumn(name="Answers", spare=2),
        TableColumn(name="Findings"),
        TableColumn(name="Status", figure=False),
    ]
    rows = [
        (
            f"{section.number}. {section.title}",
            f"{section.lines:,}",
            f"{section.target_lines:,}",
            f"{section.usage.total:,}",
            f"{section.answers:,}",
            f"{sum(finding.severity != 'note' for finding in section.findings):,}",
            section.status,
        )
        for section in chapter.sections
    ]
    return table(columns, rows, width=width)


def _review_sections(chapter: ChapterResult, width: int) -> Text:
    columns = [
        TableColumn(name="Section", figure=False),
        TableColumn(name="Lines"),
        TableColumn(name="Target"),
        TableColumn(name="Findings"),
        TableColumn(name="By", figure=False),
    ]
    rows = [
        (
            f"{section.number}. {section.title}",
            f"{section.lines:,}",
            f"{section.target_lines:,}",
            f"{len(section.findings):,}",
            "hand" if section.status == "edited" else "tool",
        )
        for section in chapter.sections
    ]
    return table(columns, rows, width=width)


def _line(places: Locations, finding: Finding) -> str:
    what = f"{finding.severity}: {finding.kind}: {finding.message}"
    return f"{places.of(finding)}: {what}; {finding.remedy}"


def _score(chapter: ChapterResult) -> str:
    return (
        f"{chapter.draft}: {chapter.lines:,} of {counted(chapter.target_lines, 'line')}, "
        f"length score {chapter.length_score}"
    )


def _findings(chapter: ChapterResult, places: Locations) -> Iterator[str]:
    """The findings of what was finished; of the rest, that it was not."""
    unfinished = {s.number for s in chapter.sections if s.status in UNFINISHED}
    found = [
        finding for finding in chapter.every_finding if finding.severity != "note" and finding.section not in unfinished
    ]
    for finding in found[:MOST_FINDINGS]:
        yield _line(places, finding)
    if len(found) > MOST_FINDINGS:
        yield f"and {len(found) - MOST_FINDINGS:,} more: expand review {chapter.id}"
    if unfinished:
        which = named((chapter.id, number) for number in unfinished)
        yield f"{which} not finished; run again to go on from there"
