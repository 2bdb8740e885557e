"""Books and ledgers whose reports are known: the same on every machine and every day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from buying import Clock, answer, begin, failed, order
from workspaces import BOOK, TITLES, small

from expand.document import draft
from expand.ledger import Ledger, Order, Reservation
from expand.llm.types import Failure, Purpose, Usage
from expand.reports.data import BookData, figures
from expand.workspace import Workspace

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
MODEL = "m"
PURPOSES: tuple[Purpose, ...] = ("draft", "continue", "repair")

TIERS = """\
tiers:
  - {id: A, title: {en: Basics, zh: 基础}, lines: 500, target_lines: 400}
  - {id: B, title: {en: "Depth | more", zh: 深入}, target_lines: 250}
chapters:
  - id: 01
    title: {en: Beginnings, zh: 开始}
    tier: A
    lines_before: 40
    lines: 90
    target_lines: 100
    finished: true
  - id: 07
    title: {en: Signals and pipes, zh: 信号与管道}
    tier: B
    lines: 22
    target_lines: 90
  - {id: "08", title: {en: "Threads <b>", zh: 线程}, tier: B, lines: 5, target_lines: 60}
"""


def filled(folder: Path) -> Path:
    """``small`` with tiers, a draft and a ledger of three days."""
    place = small(folder)
    book = BOOK.partition("chapters:\n  - {id: 01,")[0] + TIERS
    (place / "outlines" / "book.yaml").write_text(book, encoding="utf-8")
    path = place / "drafts" / "07.md"
    path.parent.mkdir()
    path.write_text(draft_text(), encoding="utf-8")
    _buy(place / ".expand" / "ledger.db")
    return place


def draft_text() -> str:
    """A draft of 07: 31 lines of 40, 40 of 40, 12 of 20."""
    sections = {
        number: f"## {number}. {title}\n\n"
        + "\n".join(f"Fact {number}.{n} says something of its own." for n in range(lines))
        for number, (title, lines) in enumerate(zip(TITLES, (28, 37, 9), strict=True), 1)
    }
    stamps = {number: draft.Stamp(key=f"k{number}", text=draft.text_hash(text)) for number, text in sections.items()}
    text = "\n\n".join(["# Signals and pipes", *sections.values()])
    return draft.render(f"{text}\n", layout="numbered", stamps=stamps, language="en", plan="full", source="")


def _buy(path: Path) -> None:
    clock = Clock()
    ledger = Ledger.open(path, clock=clock)
    run = begin(ledger, 200_000, opening=1000)
    for number in range(12):
        section = number % 3 + 1
        purpose = PURPOSES[number % 4 % 3]
        asked = order(
            run,
            f"request {number}",
            chapter="07",
            section=section,
            purpose=purpose,
            pico=None if number == 7 else 125_000_000 * 100,
            model="other" if number == 7 else MODEL,
            cost=lambda usage: usage.total * 125_000_000 + 437,
        )
        _settle(ledger, asked, number)
        clock.forward(5 * 3600)
    ledger.close()


def _settle(ledger: Ledger, asked: Order, number: int) -> None:
    found = ledger.reserve(asked)
    assert isinstance(found, Reservation)
    if number == 4:
        ledger.fail(found.attempt_id, failed(Failure.TIMEOUT), unbilled=False)
    elif number == 5:
        ledger.fail(found.attempt_id, failed(Failure.RATE_LIMITED), unbilled=True)
    else:
        usage = Usage(prompt=8 + number, cached=number // 2, completion=40 + number, reasoning=3)
        bought = answer(f"Line {number}.\n")
        settled = replace(bought, usage=None if number == 9 else usage)
        priced = None if number == 7 else usage.total * 125_000_000 + 437
        ledger.settle(found.attempt_id, settled, cost_pico_usd=priced)


def data_of(place: Path, *, model: str = MODEL) -> BookData:
    """The data of a workspace on the day of the golden files."""
    return figures(Workspace(root=place), now=NOW, model=model, priced=False)
