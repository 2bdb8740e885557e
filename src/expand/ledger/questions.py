"""What is asked, whatever the exact words: a question remembers the request it was last put in.

An answer to a question serves even where the request would by now read differently, say because
another section was rewritten in between.
"""

from __future__ import annotations

from expand.ledger.database import Connection


def keep(connection: Connection, question: str | None, key: str) -> None:
    """Note which request a question was last put in."""
    if question is not None:
        connection.execute(
            "INSERT INTO question (key, request_key) VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET request_key = excluded.request_key",
            (question, key),
        )


def requests(connection: Connection, question: str | None, key: str) -> tuple[str, ...]:
    """The request keys whose answer would serve: the question's own first, then ``key``."""
    row = connection.execute(
        "SELECT request_key FROM question WHERE key = ?", (question,)
    ).fetchone()
    return (key,) if row is None or row["request_key"] == key else (row["request_key"], key)
