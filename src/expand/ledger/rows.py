"""Rows of the ledger's tables as values, and the times, ids and texts that they are made of."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from expand.budget import Amount
from expand.errors import LedgerError
from expand.ledger.database import Connection, DatabaseRow
from expand.ledger.values import AttemptRow, State, StoredAnswer
from expand.llm.types import Failure, Finish, Usage


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """A time as the ledger writes it: ``2026-11-23T16:30:54.000000+00:00``, of one length, so that text sorts."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def parse(text: str) -> datetime:
    """Read what ``timestamp`` wrote."""
    return datetime.fromisoformat(text)


def parse_optional(text: str | None) -> datetime | None:
    """Read what ``timestamp`` wrote, or None."""
    return None if text is None else parse(text)


def new_id(size: int) -> str:
    """So many random bytes in hexadecimal digits."""
    return os.urandom(size).hex()  # as ``secrets`` does it, which loads half of cryptography


def clean(text: str) -> str:
    """The text with U+FFFD for what not every database holds: lone surrogates and NUL."""
    return encodable(text).replace("\x00", "\ufffd")


def encodable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no UTF-8 file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def exact(text: str | bytes) -> str:
    """Decode what ``Connection.exact`` encoded."""
    return text if isinstance(text, str) else bytes(text).decode()


def insert(connection: Connection, table: str, values: Mapping[str, Any], *, key: tuple[str, ...] = ()) -> None:
    """Insert a row; with ``key``, in the place of one that has the same."""
    marks = ", ".join("?" for _ in values)
    others = ", ".join(f"{name} = excluded.{name}" for name in values if name not in key)
    instead = f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {others}" if key else ""
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks}){instead}", tuple(values.values()))


COUNTED = "count(*) FILTER (WHERE sent_at IS NOT NULL OR state != 'released')"
"""SQL: how many rows are attempts; what was reserved and given back unsent is none."""

SERVES = "request_key IN (?, (SELECT request_key FROM question WHERE key = ?))"
"""SQL: rows of a request, or of the request that a question was last put in. Its values: request key, question."""


def stored_answer(connection: Connection, key: str, question: str | None = None) -> StoredAnswer | None:
    """The answer to the request that a question was last put in, or else to the request ``key``."""
    found = connection.execute(
        "SELECT answer.*, attempt.id, prompt, completion, cached, reasoning, usage_source, provider_request_id"
        " FROM answer LEFT JOIN attempt ON attempt.id = answer.attempt"
        f" WHERE answer.text IS NOT NULL AND answer.{SERVES}",
        (key, question),
    ).fetchall()
    if not found:
        return None
    row = next((row for row in found if row["request_key"] != key), found[0])
    if row["id"] is None:  # else it would be bought again, which nobody may do to an answer that is there
        raise LedgerError(
            f"request {row['request_key']}: its answer's attempt is not in this ledger; "
            "`expand ledger verify` says how far it is damaged"
        )
    return StoredAnswer(
        request_key=row["request_key"],
        attempt_id=row["attempt"],
        text=exact(row["text"]),
        finish=Finish(row["finish"]),
        model=row["model"],
        usage=_usage(row),
        usage_source=row["usage_source"],
        provider_request_id=row["provider_request_id"],
    )


def _usage(row: DatabaseRow) -> Usage:
    return Usage(prompt=row["prompt"], completion=row["completion"], cached=row["cached"], reasoning=row["reasoning"])


_AS_THEY_ARE = (
    *("id", "request_key", "run", "owner", "chapter", "section", "purpose", "language", "plan", "model"),
    *("prompt_estimate", "output_cap", "usage_source", "status", "message", "answered_by", "provider_request_id"),
)
"""The columns of an attempt that are also the fields of its value."""


def read(row: DatabaseRow) -> AttemptRow:
    """A row of the table ``attempt`` as a value. Raises ``LedgerError`` for a damaged one."""
    try:
        return AttemptRow(
            **{name: row[name] for name in _AS_THEY_ARE},
            scopes=tuple(json.loads(row["scopes"])),
            state=State(row["state"]),
            reserved=Amount(tokens=row["reserved_tokens"], pico_usd=row["reserved_pico"]),
            usage=_usage(row),
            cost_pico_usd=row["cost_pico"],
            failure=None if row["failure"] is None else Failure(row["failure"]),
            finish=None if row["finish"] is None else Finish(row["finish"]),
            reserved_at=parse(row["reserved_at"]),
            sent_at=parse_optional(row["sent_at"]),
            ended_at=parse_optional(row["ended_at"]),
        )
    except (ValueError, TypeError) as error:
        raise LedgerError(f"attempt {row['id']} is damaged: {error}; `expand ledger verify` says how far") from error
