"""What the ledger tells: balances, answers, attempts and totals. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator

from expand.budget import Balance
from expand.ledger import budget_totals, rows
from expand.ledger.aggregates import Aggregates, aggregates
from expand.ledger.database import LedgerFile
from expand.ledger.values import AttemptRow, Order, PromptHistory, State, StoredAnswer

_PAGE = 500


class Queries(LedgerFile):
    """The reading half of a ledger; each method reads one consistent state of the file."""

    def answer(self, request_key: str) -> StoredAnswer | None:
        """The answer that was bought for a request; None if there is none."""
        with self.reading() as connection:
            return rows.stored_answer(connection, request_key)

    def known(self, order: Order) -> StoredAnswer | None:
        """The answer that serves an order: to its question, or to its very request."""
        key = order.request.key
        with self.reading() as connection:
            if order.question is None:
                return rows.stored_answer(connection, key)
            return rows.serving_answer(connection, order.question, key)

    def balance(self, scope: str) -> Balance:
        """Where a scope stands; empty and unlimited when it was never used."""
        with self.reading() as connection:
            return budget_totals.balance(connection, scope)

    def balances(self) -> tuple[Balance, ...]:
        """Every scope, by name."""
        with self.reading() as connection:
            return budget_totals.balances(connection)

    def edition(self, chapter: str, section: int) -> int:
        """How often the section was asked for afresh."""
        with self.reading() as connection:
            row = connection.execute(
                "SELECT number FROM edition WHERE chapter = ? AND section = ?", (chapter, section)
            ).fetchone()
            return 0 if row is None else int(row["number"])

    def instruction(self, chapter: str, section: int) -> str:
        """What an editor wants of the section's present edition; "" for nothing."""
        with self.reading() as connection:
            row = connection.execute(
                "SELECT instruction FROM edition WHERE chapter = ? AND section = ?",
                (chapter, section),
            ).fetchone()
            return "" if row is None else str(row["instruction"])

    def editions(self) -> dict[tuple[str, int], tuple[int, str]]:
        """All sections that were asked for afresh: by chapter and number, how often, and what an
        editor wants of the present edition ("" for nothing).
        """
        with self.reading() as connection:
            found = connection.execute("SELECT chapter, section, number, instruction FROM edition").fetchall()
        return {
            (str(row["chapter"]), int(row["section"])): (
                int(row["number"]),
                str(row["instruction"]),
            )
            for row in found
        }

    def bought(self, plan: str) -> frozenset[tuple[str, int]]:
        """The sections, by chapter and number, that have answers bought under a plan."""
        with self.reading() as connection:
            found = connection.execute(
                "SELECT DISTINCT chapter, section FROM attempt WHERE plan = ? AND finish IS NOT NULL",
                (plan,),
            ).fetchall()
        return frozenset((str(row["chapter"]), int(row["section"])) for row in found)

    def answered(self) -> frozenset[tuple[str, int]]:
        """The sections, by chapter and number, that have answers."""
        with self.reading() as connection:
            found = connection.execute(
                "SELECT DISTINCT chapter, section FROM answer JOIN attempt ON attempt.id = answer.attempt"
            ).fetchall()
        return frozenset((str(row["chapter"]), int(row["section"])) for row in found)

    def attempts(
        self,
        *,
        chapter: str | None = None,
        section: int | None = None,
        run: str | None = None,
        model: str | None = None,
        state: State | None = None,
    ) -> Iterator[AttemptRow]:
        """The attempts that fit every filter given, oldest first, read page by page."""
        wanted = {
            "chapter": chapter,
            "section": section,
            "run": run,
            "model": model,
            "state": state,
        }
        chosen = {name: value for name, value in wanted.items() if value is not None}
        where = "".join(f" AND {name} = ?" for name in chosen)
        last = 0
        while True:
            with self.reading() as connection:
                found = connection.execute(
                    f"SELECT * FROM attempt WHERE seq > ?{where} ORDER BY seq LIMIT {_PAGE}",
                    (last, *chosen.values()),
                ).fetchall()
            if not found:
                return
            last = found[-1]["seq"]
            yield from map(rows.read, found)

    def overview(self, latest: int = 0) -> Aggregates:
        """All of it added up for reports, and the ``latest`` attempts, the newest first."""
        with self.snapshot() as connection:
            return aggregates(connection, latest)

    def prompt_history(self, model: str, latest: int = 100) -> PromptHistory:
        """How the model's latest reported prompts compare with what was counted for them."""
        with self.reading() as connection:
            count, worst = connection.execute(
                "SELECT count(*), max(ratio) FROM (SELECT"
                " CAST(prompt AS DOUBLE PRECISION) / prompt_estimate AS ratio"
                " FROM attempt WHERE model = ? AND usage_source = 'provider'"
                " AND prompt_estimate > 0 ORDER BY reserved_at DESC, seq DESC LIMIT ?) AS latest",
                (model, latest),
            ).fetchone()
        return PromptHistory(answers=count, worst=worst or 0.0)
