"""What an audit looks for in batches: each agrees with its owner's row and with its attempts."""

from __future__ import annotations

from collections.abc import Iterator

from expand.ledger.batch_rows import Stage
from expand.ledger.database import Connection

_UNDER_WAY = (Stage.OPEN, Stage.PREPARED, Stage.UPLOADED, Stage.CREATING)
_COUNTS = (
    ("answered", ("settled",)),
    ("unbilled", ("released",)),
    ("unknown", ("unknown", "reconciled")),
)


def _batches(connection: Connection) -> Iterator[str]:
    counts: dict[str, dict[str, int]] = {}
    for row in connection.execute(
        "SELECT attempt.owner, attempt.state, count(*) AS n FROM attempt"
        " JOIN batch ON batch.id = attempt.owner GROUP BY attempt.owner, attempt.state"
    ):
        counts.setdefault(row["owner"], {})[row["state"]] = row["n"]
    for row in connection.execute(
        "SELECT batch.*, owner.ended_at AS owner_ended FROM batch"
        " JOIN owner ON owner.id = batch.id ORDER BY batch.id"
    ):
        name, stage, states = f"batch {row['id']}", Stage(row["stage"]), counts.get(row["id"], {})
        if stage.ended != (row["ended_at"] is not None):
            yield f"{name}: is {stage}, and its end is {row['ended_at']}"
        if (row["ended_at"] is None) != (row["owner_ended"] is None):
            yield f"{name}: ended {row['ended_at']}, as an owner {row['owner_ended']}"
        if (row["submitting"] is not None) != (stage in _UNDER_WAY):
            yield f"{name}: is {stage}, but {'' if row['submitting'] else 'not '}being submitted"
        if (stage in (Stage.SUBMITTED, Stage.COLLECTED)) and not row["remote"]:
            yield f"{name}: is {stage}, and its provider's id is not known"
        total = sum(states.values())
        counted = row["requests"] or stage not in (Stage.OPEN, Stage.WITHDRAWN)
        if counted and row["requests"] != total:
            yield f"{name}: has {row['requests']} requests and {total} attempts"
        if stage.ended:
            for column, named in _COUNTS:
                derived = sum(states.get(state, 0) for state in named)
                if row[column] != derived:
                    yield f"{name}: {column} is {row[column]}, its attempts give {derived}"


check = _batches
"""Each finding one line; named as the audit names what it lists."""
