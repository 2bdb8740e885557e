"""Answers that the ledger cannot take, kept elsewhere until it can: one file each, outside the workspace.

A disk stays full, a ledger is deleted or a server is gone for good, and answers that are paid for still arrive. Each is
written, durably, to a file named after its attempt, in the user's state directory. The next process that opens the
ledger for writing takes it in and then removes the file.

A kill at any point does no harm: a file is there whole or not at all, to take it in twice is to take it in once, and it
is removed only after the ledger has it durably. A file holds all that its attempt's row holds, so a ledger that has
never heard of the attempt, a backup say, gets both.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expand.errors import InputError, LedgerError
from expand.ledger import attempts
from expand.ledger.database import Connection, ConstraintError, Database
from expand.ledger.values import Order, State
from expand.llm.types import Answer, Finish, Usage
from expand.workspace import write_atomically

FORMAT = 1


def write(
    database: Database, owner: str, order: Order, attempt_id: str, answer: Answer, cost_pico_usd: int | None
) -> Path:
    """Keep an answer for the ledger; returns the file. Raises ``LedgerError`` where nothing can be written."""
    at = attempts.timestamp(datetime.now(UTC))  # this machine's: the ledger may be out of reach, and its clock too
    record = {
        "format": FORMAT,
        "ledger": _identity(database),
        "attempt": attempts.new_row(order, attempt_id, owner=owner, at=at, state=State.SENT),
        "request": order.request.canonical(),
        "question": order.question,
        "answer": asdict(answer),
        "cost_pico_usd": cost_pico_usd,
    }
    # ASCII, since a text may hold lone surrogates, which no UTF-8 file can.
    data = json.dumps(record).encode()
    path = folder() / f"{attempt_id}.json"
    try:
        write_atomically(path, data, private=True)
    except InputError as error:
        raise LedgerError(f"the answer cannot be kept elsewhere: {error}") from error
    return path


def folder() -> Path:
    """Where answers are kept."""
    import platformdirs  # start-up time: few ledgers have answers elsewhere

    state = platformdirs.user_state_path("expand", appauthor=False)
    # A relative one, which a variable may name, would change with the folder that a command is run in.
    return Path.home() / state / "answers"


def take_in(database: Database) -> int:
    """Settle the answers that were kept for this ledger, and remove their files; how many. Raises ``LedgerError``, for
    a file that cannot be read too."""
    taken = 0
    for path in sorted(folder().glob("[!.]*.json")):
        try:
            record = json.loads(path.read_bytes())
            if record["format"] != FORMAT:
                raise ValueError(f"format {record['format']}")
            if not _is_for(record, database):
                continue
            with database.writing() as connection:
                _settle(connection, record)
        except ConstraintError:
            continue  # its request is being bought again just now; the file stays for later
        except FileNotFoundError:
            continue  # another process has just taken it in
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise LedgerError(
                f"{path}: this file may hold an answer that is paid for, but cannot be read: {error}; move it away"
            ) from error
        path.unlink(missing_ok=True)
        taken += 1
    return taken


def _identity(database: Database) -> str:
    """What a ledger is called in a file: the absolute path, or the server's address without a password."""
    return database.name if "://" in database.name else str(Path(database.name).absolute())


def _is_for(record: Mapping[str, Any], database: Database) -> bool:
    """Whether the answer was to go into this ledger, wherever that is by now."""
    if record["ledger"] == _identity(database):
        return True
    # A copy knows the attempt as well. While the original is where it was, the answer is for that one alone.
    moved = "://" not in record["ledger"] and not Path(record["ledger"]).exists()
    return moved and bool(database.query("SELECT 1 FROM attempt WHERE id = ?", (record["attempt"]["id"],)))


def _settle(connection: Connection, record: Mapping[str, Any]) -> None:
    row, told = record["attempt"], record["answer"]
    if connection.execute("SELECT 1 FROM attempt WHERE id = ?", (row["id"],)).fetchone() is None:
        # The ledger does not know the attempt. It went out, and will be billed.
        ended = {"began_at": row["reserved_at"], "ended_at": attempts.timestamp(connection.now())}
        attempts.insert(connection, "owner", {"id": row["owner"], "pid": os.getpid(), **ended}, once=True)
        attempts.insert(connection, "run", {"id": row["run"], "owner": row["owner"], **ended}, once=True)
        attempts.ensure_scopes(connection, json.loads(row["scopes"]))
        attempts.open_row(connection, row, form=record["request"], question=record["question"])
    usage = None if told["usage"] is None else Usage(**told["usage"])
    answer = Answer(**{**told, "finish": Finish(told["finish"]), "usage": usage})
    attempts.settle_once(connection, row["id"], answer, record["cost_pico_usd"])
