"""The budget report: used, reserved, remaining, and what the rest is estimated to take."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from expand.budget import Balance, Limit, usd_from_pico
from expand.draft import Draft, read
from expand.errors import InputError
from expand.ledger import Ledger, Totals
from expand.lines import of_section
from expand.outline import Book, Outline
from expand.workspace import Workspace, read_text

if TYPE_CHECKING:
    from expand.completion import Json

DEFAULT_TOKENS_PER_LINE = Decimal(45)
"""Tokens that a delivered line takes, prompts included, before anything was spent to learn from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterBudget:
    """One chapter's tokens: ``estimated`` is what its missing lines are expected to take."""

    id: str
    used: int
    estimated: int
    attempts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetReport:
    """The whole report; tokens are whole, ``cost_pico_usd`` is None where a price is unknown."""

    balance: Balance
    chapters: tuple[ChapterBudget, ...]
    models: tuple[Totals, ...]
    cost_pico_usd: int | None
    tokens_per_line: Decimal
    learnt_from: str

    @property
    def estimated_remaining(self) -> int:
        """Tokens that the missing lines of all chapters are expected to take."""
        return sum(chapter.estimated for chapter in self.chapters)

    @property
    def projected_total(self) -> int:
        """Used, reserved and estimated together."""
        balance = self.balance
        return balance.used_tokens + balance.reserved_tokens + self.estimated_remaining


def budget_report(workspace: Workspace) -> BudgetReport:
    """The report as of now. Raises ``InputError`` and ``LedgerError``."""
    book = workspace.book()
    outlines = {chapter: workspace.outline(chapter) for chapter in workspace.chapter_ids()}
    ledger = Ledger.read(workspace.ledger_path)
    try:
        balance = _balance(book, ledger)
        by_chapter = {t.name: t for t in ledger.totals_by_chapter()} if ledger else {}
        models = ledger.totals_by_model() if ledger else ()
    finally:
        if ledger:
            ledger.close()
    drafted = {chapter: _drafted_lines(workspace, chapter) for chapter in outlines}
    per_line, learnt_from = _tokens_per_line(book, by_chapter, drafted)
    ids = dict.fromkeys([*(c.id for c in book.chapters), *outlines, *by_chapter])
    chapters = tuple(
        ChapterBudget(
            id=chapter,
            used=by_chapter[chapter].used_tokens if chapter in by_chapter else 0,
            estimated=_estimated(outlines.get(chapter), drafted.get(chapter, 0), per_line),
            attempts=by_chapter[chapter].attempts if chapter in by_chapter else 0,
        )
        for chapter in ids
    )
    costs = [model.cost_pico_usd for model in models]
    return BudgetReport(
        balance=balance,
        chapters=chapters,
        models=models,
        cost_pico_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        tokens_per_line=per_line,
        learnt_from=learnt_from,
    )


def _balance(book: Book, ledger: Ledger | None) -> Balance:
    """The book's balance, with its limit and openings as the book states them now."""
    opening = sum(opening.tokens for opening in book.openings)
    kept = ledger.balance("book") if ledger else Balance(scope="book", limit=Limit())
    return Balance(
        scope="book",
        limit=Limit(tokens=book.allowance.tokens),
        used_tokens=kept.used_tokens - kept.opening_tokens + opening,
        reserved_tokens=kept.reserved_tokens,
        unknown_tokens=kept.unknown_tokens,
        opening_tokens=opening,
        used_pico_usd=kept.used_pico_usd,
        reserved_pico_usd=kept.reserved_pico_usd,
    )


def _drafted_lines(workspace: Workspace, chapter: str) -> int:
    path = workspace.draft_path(chapter)
    if not path.is_file():
        return 0
    draft: Draft = read(read_text(path))
    return sum(of_section(section.text) for section in draft.sections)


def _tokens_per_line(
    book: Book, by_chapter: dict[str, Totals], drafted: dict[str, int]
) -> tuple[Decimal, str]:
    used = sum(by_chapter[c].used_tokens for c in by_chapter if drafted.get(c))
    lines = sum(drafted[c] for c in by_chapter if drafted.get(c))
    if used and lines:
        return Decimal(used) / lines, "this ledger"
    opening = sum(o.tokens for o in book.openings)
    opened = {chapter for o in book.openings for chapter in o.chapters}
    added = sum((c.lines or 0) - (c.lines_before or 0) for c in book.chapters if c.id in opened)
    if opening and added > 0:
        return Decimal(opening) / added, "the opening balance"
    return DEFAULT_TOKENS_PER_LINE, "a stated default"


def _estimated(outline: Outline | None, drafted: int, per_line: Decimal) -> int:
    if outline is None:
        return 0
    return round(max(0, outline.target_lines - drafted) * per_line)


def as_json(report: BudgetReport) -> dict[str, Json]:
    """The object of the contract; money is exact decimal text, None where a price is unknown."""
    balance = report.balance
    return {
        "limit": balance.limit.tokens,
        "used": balance.used_tokens,
        "opening": balance.opening_tokens,
        "reserved": balance.reserved_tokens,
        "unknown": balance.unknown_tokens,
        "remaining": balance.remaining_tokens,
        "estimated_remaining": report.estimated_remaining,
        "projected_total": report.projected_total,
        "currency": "USD",
        "cost": _money(report.cost_pico_usd),
        "by_chapter": [
            {
                "id": chapter.id,
                "used": chapter.used,
                "estimated_remaining": chapter.estimated,
                "attempts": chapter.attempts,
            }
            for chapter in report.chapters
        ],
        "by_model": [
            {
                "model": model.name,
                "attempts": model.attempts,
                "prompt": model.prompt,
                "cached": model.cached,
                "completion": model.completion,
                "cost": _money(model.cost_pico_usd),
            }
            for model in report.models
        ],
    }


def _money(pico: int | None) -> str | None:
    """Exact decimal text, with two places at least: 0.00, 1.25, 0.0004375."""
    if pico is None:
        return None
    exact = usd_from_pico(pico).normalize()
    return (
        str(exact.quantize(Decimal("0.01")))
        if exact == exact.quantize(Decimal("0.01"))
        else f"{exact:f}"
    )


def show_table(report: BudgetReport, output: Path | None) -> None:
    """The report for people, on stdout or into a file."""
    from rich.console import Console  # start-up time
    from rich.table import Table

    if output is not None:
        raise InputError("--output takes --format json for now", remedy="add --format json")
    console = Console(highlight=False)
    balance = report.balance
    table = Table(title="Budget (tokens)", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in (
        ("limit", balance.limit.tokens),
        ("used", balance.used_tokens),
        ("  of it opening balance", balance.opening_tokens),
        ("  of it of unknown outcome", balance.unknown_tokens),
        ("reserved", balance.reserved_tokens),
        ("remaining", balance.remaining_tokens),
        ("estimated for the rest", report.estimated_remaining),
        ("projected total", report.projected_total),
    ):
        table.add_row(name, "unlimited" if value is None else f"{value:,}")
    console.print(table)
    chapters = Table(title="By chapter")
    chapters.add_column("Chapter")
    for name in ("Used", "Estimated for the rest", "Attempts"):
        chapters.add_column(name, justify="right")
    for chapter in report.chapters:
        chapters.add_row(
            chapter.id, f"{chapter.used:,}", f"{chapter.estimated:,}", f"{chapter.attempts:,}"
        )
    console.print(chapters)
    if report.models:
        models = Table(title="By model")
        models.add_column("Model")
        for name in ("Attempts", "Prompt", "of it cached", "Completion", "Cost (USD)"):
            models.add_column(name, justify="right")
        for model in report.models:
            models.add_row(
                model.name,
                f"{model.attempts:,}",
                f"{model.prompt:,}",
                f"{model.cached:,}",
                f"{model.completion:,}",
                _money(model.cost_pico_usd) or "no price known",
            )
        console.print(models)
    remaining = balance.remaining_tokens
    if remaining is not None and remaining < 0:
        console.print(f"A provider billed more than was reserved: {-remaining:,} tokens over.")
    console.print(
        f"The estimate takes {report.tokens_per_line:.1f} tokens a line, from {report.learnt_from}."
    )
