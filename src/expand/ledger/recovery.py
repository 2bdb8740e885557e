"""What becomes of an owner's attempts when it is gone: sent ones are unknown, the others free."""

from __future__ import annotations

from datetime import datetime

from expand.ledger import attempts, rows
from expand.ledger.database import Connection
from expand.ledger.rows import stamp
from expand.ledger.values import State
from expand.llm.types import AttemptFailedError, Failure

CRASHED = AttemptFailedError(Failure.CRASHED, "the process ended while it was in flight")
ENDED = AttemptFailedError(Failure.CANCELLED, "the run ended while it was in flight")


def others(connection: Connection, mine: str) -> tuple[str, ...]:
    """The processes that have not ended in an orderly way, but for ``mine``: alive or dead. A batch
    owns attempts as well; it is no process, and never dead.
    """
    found = connection.execute(
        "SELECT id FROM owner WHERE ended_at IS NULL AND id <> ? AND id NOT IN"
        " (SELECT id FROM batch WHERE ended_at IS NULL)",
        (mine,),
    ).fetchall()
    return tuple(row["id"] for row in found)


def inherit(connection: Connection, gone: str, failed: AttemptFailedError, now: datetime) -> tuple[int, int]:
    """End the runs and attempts of an owner that is gone; nothing of its stays reserved.

    Returns how many attempts became unknown and how many were released.
    """
    found = connection.execute(
        f"SELECT * FROM attempt WHERE owner = ? AND state IN ('reserved', 'sent') ORDER BY seq{connection.lock}",
        (gone,),
    ).fetchall()
    unknown = 0
    for row in map(rows.read, found):
        if row.state is State.SENT:
            unknown += 1
            attempts.leave_unknown(connection, row, failed, now)
        else:
            attempts.release(connection, row, failed, now)
    ended = (stamp(now), gone)
    connection.execute("UPDATE owner SET ended_at = ? WHERE id = ?", ended)
    connection.execute("UPDATE run SET ended_at = ? WHERE owner = ? AND ended_at IS NULL", ended)
    return unknown, len(found) - unknown
