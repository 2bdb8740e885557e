"""The audit: everything the ledger states, derived again from what it is stated from.

Whatever the file holds, the audit ends with a report: a foreign, damaged or newer file is a
finding, never a traceback.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from expand.errors import LedgerError
from expand.ledger import rows, schema
from expand.ledger.values import AttemptRow, State

MOST_FINDINGS = 50
"""How many findings of one kind are listed; a damaged file could have any number."""

_DAMAGE = (sqlite3.Error, ValueError, TypeError, KeyError, OverflowError, zlib.error)

_NEXT: dict[str | None, frozenset[str]] = {
    None: frozenset({State.RESERVED}),
    State.RESERVED: frozenset({State.SENT, State.RELEASED}),
    State.SENT: frozenset({State.SETTLED, State.RELEASED, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.RECONCILED}),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyReport:
    """What an audit found: nothing, in a good ledger. Each finding is one line of text.

    ``without_text`` counts requests and answers whose text was left out when they were imported,
    so that only their hash is known.
    """

    path: Path
    version: int | None
    attempts: int
    requests: int
    answers: int
    without_text: int
    findings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not self.findings


def verify(path: Path) -> VerifyReport:
    """Audit the ledger at ``path``, from one consistent state of it, without changing it."""
    if not path.exists():
        return _nothing(path, f"{path}: there is no ledger here; check the path")
    try:
        connection = schema.connect_read_only(path, 30.0)
    except (LedgerError, sqlite3.Error) as error:
        return _nothing(path, str(error))
    try:
        with schema.mapped(path):
            version = schema.check_identity(connection, path)
            connection.execute("BEGIN")
        if version < schema.VERSION:
            return _nothing(
                path, f"{path}: version {version} is older; run `expand budget` to upgrade it"
            )
        return _report(path, version, connection)
    except (LedgerError, *_DAMAGE) as error:
        return _nothing(path, f"{path}: cannot be read: {error}")
    finally:
        connection.close()


def _nothing(path: Path, finding: str) -> VerifyReport:
    return VerifyReport(
        path=path,
        version=None,
        attempts=0,
        requests=0,
        answers=0,
        without_text=0,
        findings=(finding,),
    )


def _report(path: Path, version: int, connection: sqlite3.Connection) -> VerifyReport:
    found = tuple(findings(connection))
    counts = {
        name: _count(connection, f"SELECT count(*) FROM {name}")
        for name in ("attempt", "request", "answer")
    }
    return VerifyReport(
        path=path,
        version=version,
        attempts=counts["attempt"],
        requests=counts["request"],
        answers=counts["answer"],
        without_text=_count(connection, "SELECT count(*) FROM request WHERE form IS NULL")
        + _count(connection, "SELECT count(*) FROM answer WHERE text IS NULL"),
        findings=found,
    )


def _count(connection: sqlite3.Connection, query: str) -> int:
    try:
        return int(connection.execute(query).fetchone()[0])
    except sqlite3.Error:
        return 0


def findings(connection: sqlite3.Connection) -> Iterator[str]:
    """What does not add up, one line each; at most ``MOST_FINDINGS`` of each kind."""
    checks: tuple[Callable[[sqlite3.Connection], Iterator[str]], ...] = (
        _integrity,
        _references,
        _requests,
        _answers,
        _histories,
        _owners,
        _totals,
    )
    for check in checks:
        listed = 0
        try:
            for finding in check(connection):
                listed += 1
                if listed > MOST_FINDINGS:
                    yield f"{check.__name__.strip('_')}: more than {MOST_FINDINGS} findings"
                    break
                yield finding
        except (LedgerError, *_DAMAGE) as error:
            yield f"{check.__name__.strip('_')}: cannot be read: {error}"


def _integrity(connection: sqlite3.Connection) -> Iterator[str]:
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"integrity: {line}"


def _references(connection: sqlite3.Connection) -> Iterator[str]:
    for row in connection.execute("PRAGMA foreign_key_check"):
        yield f"references: a row of {row[0]} points to a row of {row[2]} that is not there"


def _requests(connection: sqlite3.Connection) -> Iterator[str]:
    for row in connection.execute("SELECT key, form FROM request WHERE form IS NOT NULL"):
        try:
            key = hashlib.sha256(zlib.decompress(row["form"])).hexdigest()
        except (zlib.error, TypeError) as error:
            yield f"request {row['key']}: its form cannot be read: {error}"
            continue
        if key != row["key"]:
            yield f"request {row['key']}: its form has the key {key}"


def _answers(connection: sqlite3.Connection) -> Iterator[str]:
    for row in connection.execute(
        "SELECT answer.*, attempt.request_key AS asked, attempt.state, attempt.finish AS finished"
        " FROM answer JOIN attempt ON attempt.id = answer.attempt"
    ):
        name = f"answer of attempt {row['attempt']}"
        if row["asked"] != row["request_key"]:
            yield f"{name}: it stands under another request"
        if row["state"] != State.SETTLED:
            yield f"{name}: the attempt is {row['state']}"
        if row["finish"] != row["finished"]:
            yield f"{name}: finished with {row['finish']}, the attempt with {row['finished']}"
        text = row["text"]
        if text is not None and hashlib.sha256(text.encode()).hexdigest() != row["sha256"]:
            yield f"{name}: its text does not have the hash {row['sha256']}"
    for row in connection.execute(
        "SELECT id FROM attempt WHERE state = 'settled' AND NOT EXISTS"
        " (SELECT 1 FROM answer WHERE answer.request_key = attempt.request_key)"
    ):
        yield f"attempt {row['id']}: settled, but its answer is missing"


def _histories(connection: sqlite3.Connection) -> Iterator[str]:
    last: dict[str, str] = {}
    for row in connection.execute("SELECT attempt, state FROM event ORDER BY seq"):
        before = last.get(row["attempt"])
        if row["state"] not in _NEXT.get(before, frozenset()):
            yield f"attempt {row['attempt']}: went from {before} to {row['state']}"
        last[row["attempt"]] = row["state"]
    for row in connection.execute("SELECT id, state FROM attempt"):
        if last.get(row["id"]) != row["state"]:
            yield f"attempt {row['id']}: is {row['state']}, its history ends {last.get(row['id'])}"


def _owners(connection: sqlite3.Connection) -> Iterator[str]:
    for row in connection.execute(
        "SELECT attempt.id, attempt.state FROM attempt JOIN owner ON owner.id = attempt.owner"
        " WHERE attempt.state IN ('reserved', 'sent') AND owner.ended_at IS NOT NULL"
    ):
        yield f"attempt {row['id']}: is {row['state']}, but its owner has ended"


_Columns = tuple[int, int, int, int, int, int]


def _totals(connection: sqlite3.Connection) -> Iterator[str]:
    derived: dict[str, list[int]] = defaultdict(lambda: [0] * 6)
    for found in connection.execute("SELECT * FROM attempt"):
        row = rows.read(found)
        yield from _figures(row)
        for scope in row.scopes:
            columns = derived[scope]
            for index, figure in enumerate(_columns(row)):
                columns[index] += figure
    names = (
        "settled_tokens",
        "settled_pico",
        "unknown_tokens",
        "unknown_pico",
        "reserved_tokens",
        "reserved_pico",
    )
    for found in connection.execute("SELECT * FROM budget"):
        columns = derived.pop(found["scope"], [0] * 6)
        for name, figure in zip(names, columns, strict=True):
            if found[name] != figure:
                yield f"{found['scope']}: {name} is {found[name]}, its attempts give {figure}"
    for scope in derived:
        yield f"{scope}: has attempts, but no account"


def _columns(row: AttemptRow) -> _Columns:
    """What an attempt adds to settled, unknown and reserved, in tokens and pico-dollars each."""
    used = (row.used_tokens, row.cost_pico_usd or 0)
    held = (row.reserved.tokens, row.reserved.pico_usd or 0)
    match row.state:
        case State.RESERVED | State.SENT:
            return (0, 0, 0, 0, *held)
        case State.UNKNOWN:
            return (0, 0, *used, 0, 0)
        case _:
            return (*used, 0, 0, 0, 0)


def _figures(row: AttemptRow) -> Iterator[str]:
    charged = row.state in (State.SETTLED, State.UNKNOWN, State.RECONCILED)
    if charged != (row.usage_source is not None) or (not charged and row.used_tokens):
        yield f"attempt {row.id}: is {row.state} and charged {row.used_tokens} tokens"
    if row.usage_source == "reservation" and row.used_tokens != row.reserved.tokens:
        yield (
            f"attempt {row.id}: charged {row.used_tokens} tokens at a reservation of "
            f"{row.reserved.tokens}"
        )
