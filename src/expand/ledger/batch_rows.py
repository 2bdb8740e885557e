"""Rows of the table of batches as values."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from expand.ledger.database import DatabaseRow
from expand.ledger.rows import parse
from expand.llm.types import Answer, AttemptFailedError
from expand.schema import Json

COLUMNS = (
    *("id", "run", "submitter", "submitting", "stage", "model", "base_url", "terms", "requests"),
    *("input_file", "remote", "remote_status", "note", "answered", "unbilled", "unknown"),
    *("began_at", "submitted_at", "expires_at", "ended_at"),
)
"""The table's, as they are moved to another ledger."""


class Stage(enum.StrEnum):
    """How far a batch has come; see the module."""

    OPEN = "open"
    PREPARED = "prepared"
    UPLOADED = "uploaded"
    CREATING = "creating"
    SUBMITTED = "submitted"
    COLLECTED = "collected"
    WITHDRAWN = "withdrawn"
    LOST = "lost"

    @property
    def ended(self) -> bool:
        """Whether nothing of it is in flight any more."""
        return self in (Stage.COLLECTED, Stage.WITHDRAWN, Stage.LOST)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRow:
    """One batch. ``terms`` is what it was asked under, as its author wrote it. ``remote`` is the
    provider's id, "" before it is known. The three counts are 0 until it has ended.
    """

    id: str
    run: str
    stage: Stage
    model: str
    base_url: str
    terms: Mapping[str, Json]
    requests: int
    input_file: str
    remote: str
    remote_status: str
    note: str
    answered: int
    unbilled: int
    unknown: int
    began_at: datetime
    submitted_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None

    @property
    def file_name(self) -> str:
        """What its input file is called, here and there."""
        return f"expand-{self.id}.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What became of one request of a batch: an answer and its price, or a failure; with a
    failure, whether the request was ``billed`` (None: nobody knows).
    """

    request_key: str
    answer: Answer | None = None
    cost_pico_usd: int | None = None
    failed: AttemptFailedError | None = None
    billed: bool | None = None


def packed(terms: Mapping[str, Json]) -> str:
    """A batch's terms as they are kept."""
    return json.dumps(dict(terms), ensure_ascii=False, sort_keys=True)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse(text)


def read(row: DatabaseRow) -> BatchRow:
    """A row as a value."""
    return BatchRow(
        id=row["id"],
        run=row["run"],
        stage=Stage(row["stage"]),
        model=row["model"],
        base_url=row["base_url"],
        terms=json.loads(row["terms"]),
        requests=row["requests"],
        input_file=row["input_file"],
        remote=row["remote"],
        remote_status=row["remote_status"],
        note=row["note"],
        answered=row["answered"],
        unbilled=row["unbilled"],
        unknown=row["unknown"],
        began_at=parse(row["began_at"]),
        submitted_at=_moment(row["submitted_at"]),
        expires_at=_moment(row["expires_at"]),
        ended_at=_moment(row["ended_at"]),
    )
