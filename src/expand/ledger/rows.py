"""Rows of the ledger's tables as values."""

from __future__ import annotations

import functools
import json
import os
from datetime import UTC, datetime

from expand.budget import Amount
from expand.errors import LedgerError
from expand.ledger.database import Connection, DatabaseRow
from expand.ledger.values import AttemptRow, State, StoredAnswer
from expand.llm.types import Failure, Finish, Usage

# Points in time as the ledger writes them: UTC, ISO 8601, of one length, so that text sorts.


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@functools.lru_cache(16)
def stamp(moment: datetime) -> str:
    """``2026-11-23T16:30:54.000000+00:00``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def parse(text: str) -> datetime:
    """What ``stamp`` wrote."""
    return datetime.fromisoformat(text)


# Ids that nobody else has made.


def fresh(size: int) -> str:
    """So many random bytes in hexadecimal digits."""
    return os.urandom(size).hex()  # as ``secrets`` does it, which loads half of cryptography


COUNTED = "count(*) FILTER (WHERE sent_at IS NOT NULL OR state != 'released')"
"""SQL: how many rows are attempts; what was reserved and given back unsent is none."""


_STORED = (
    "SELECT answer.request_key, answer.attempt, answer.text, answer.finish, answer.model, prompt,"
    " completion, cached, reasoning, usage_source, provider_request_id FROM answer"
    " JOIN attempt ON attempt.id = answer.attempt WHERE answer.text IS NOT NULL"
    " AND answer.request_key "
)


def stored_answer(connection: Connection, key: str) -> StoredAnswer | None:
    """The answer that a request was given, with what was charged for it."""
    row = connection.execute(f"{_STORED}= ?", (key,)).fetchone()
    return None if row is None else _stored(row)


def serving_answer(connection: Connection, question: str, key: str) -> StoredAnswer | None:
    """The answer to the request that a question was last put in, or else to the request ``key``."""
    found = connection.execute(
        f"{_STORED}IN (?, (SELECT request_key FROM question WHERE key = ?))", (key, question)
    ).fetchall()
    if not found:
        return None
    return _stored(next((row for row in found if row["request_key"] != key), found[0]))


def _stored(row: DatabaseRow) -> StoredAnswer:
    return StoredAnswer(
        attempt_id=row["attempt"],
        text=exact(row["text"]),
        finish=Finish(row["finish"]),
        model=row["model"],
        usage=_usage(row),
        usage_source=row["usage_source"],
        provider_request_id=row["provider_request_id"],
    )


def exact(text: str | bytes) -> str:
    """What ``Connection.exact`` made of a text, read back."""
    return text if isinstance(text, str) else bytes(text).decode()


def _usage(row: DatabaseRow) -> Usage:
    return Usage(
        prompt=row["prompt"],
        completion=row["completion"],
        cached=row["cached"],
        reasoning=row["reasoning"],
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse(text)


def read(row: DatabaseRow) -> AttemptRow:
    """A row of the table as a value. Raises ``LedgerError`` for a damaged one."""
    try:
        return _read(row)
    except (ValueError, TypeError) as error:
        raise LedgerError(f"attempt {row['id']} is damaged: {error}; `expand ledger verify` says how far") from error


def _read(row: DatabaseRow) -> AttemptRow:
    return AttemptRow(
        id=row["id"],
        request_key=row["request_key"],
        run=row["run"],
        owner=row["owner"],
        chapter=row["chapter"],
        section=row["section"],
        purpose=row["purpose"],
        language=row["language"],
        plan=row["plan"],
        model=row["model"],
        scopes=tuple(json.loads(row["scopes"])),
        state=State(row["state"]),
        prompt_estimate=row["prompt_estimate"],
        output_cap=row["output_cap"],
        reserved=Amount(tokens=row["reserved_tokens"], pico_usd=row["reserved_pico"]),
        usage=_usage(row),
        usage_source=row["usage_source"],
        cost_pico_usd=row["cost_pico"],
        failure=None if row["failure"] is None else Failure(row["failure"]),
        status=row["status"],
        message=row["message"],
        finish=None if row["finish"] is None else Finish(row["finish"]),
        answered_by=row["answered_by"],
        provider_request_id=row["provider_request_id"],
        reserved_at=parse(row["reserved_at"]),
        sent_at=_moment(row["sent_at"]),
        ended_at=_moment(row["ended_at"]),
    )
