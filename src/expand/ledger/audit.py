"""The books checked: everything the ledger states derived again, and unknown outcomes reconciled with what was billed.

Whatever the file holds, the audit ends with a report: a foreign, damaged or newer file is a finding, never a traceback.
An attempt is reconciled once, by hand; its history keeps that it was unknown, and at what charge.
"""

import hashlib
import itertools
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from typing import NamedTuple

from expand.errors import LedgerError
from expand.ledger import attempts
from expand.ledger.attempts import TOTALS, Charge
from expand.ledger.database import VERSION, Connection, Database, read
from expand.ledger.store import Ledger
from expand.ledger.values import AttemptRow, State
from expand.ledger_location import LedgerPlace
from expand.llm.types import Usage

MOST_FINDINGS = 50
"""How many findings of one kind are listed; a damaged file could have any number."""

_COUNTS = (
    "SELECT (SELECT count(*) FROM attempt), (SELECT count(*) FROM request), (SELECT count(*) FROM answer),"
    " (SELECT count(*) FROM request WHERE form IS NULL) + (SELECT count(*) FROM answer WHERE text IS NULL)"
)
_NEXT: dict[str | None, frozenset[str]] = {
    None: frozenset({State.RESERVED}),
    State.RESERVED: frozenset({State.SENT, State.RELEASED}),
    State.SENT: frozenset({State.SETTLED, State.RELEASED, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.RECONCILED, State.SETTLED, State.RELEASED}),
    State.RECONCILED: frozenset({State.SETTLED}),
}


class VerifyReport(NamedTuple):
    """What an audit found: nothing, in a good ledger. Each finding is one line of text.

    ``without_text`` counts requests and answers whose text was left out when they were imported, so that only their
    hash is known."""

    path: LedgerPlace
    version: int | None = None
    attempts: int = 0
    requests: int = 0
    answers: int = 0
    without_text: int = 0
    findings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not self.findings


def verify(place: LedgerPlace) -> VerifyReport:
    """Audit the ledger at ``place``, brought up to date as needed. Each check sees one consistent state of it."""
    try:
        database = read(place)
    except LedgerError as error:
        return VerifyReport(place, findings=(str(error),))
    if database is None:
        return VerifyReport(place, findings=(f"{place}: there is no ledger here; check the path",))
    with closing(database):
        try:
            counts = database.query(_COUNTS)[0]
        except LedgerError:
            counts = (0, 0, 0, 0)  # which the checks tell
        return VerifyReport(place, VERSION, *counts)._replace(findings=tuple(findings(database, database.snapshot)))


def findings(database: Database, snapshot: Callable[[], AbstractContextManager[Connection]]) -> Iterator[str]:
    """What does not add up, one line each; at most ``MOST_FINDINGS`` of each kind. Each check has a ``snapshot`` of its
    own, since an error ends a transaction in PostgreSQL, and what is broken for one check may be well for the next."""
    checks = {
        "database": lambda _: database.damage(),
        "requests": _requests,
        "answers": _answers,
        "histories": _histories,
        "owners": _owners,
        "totals": _totals,
    }
    for name, check in checks.items():
        listed: list[str] = []
        try:
            with snapshot() as connection:
                listed.extend(itertools.islice(check(connection), MOST_FINDINGS + 1))
        except Exception as error:  # whatever a damaged ledger holds is a finding, never a traceback
            listed.append(f"{name}: cannot be read: {error}")
        yield from listed[:MOST_FINDINGS]
        if len(listed) > MOST_FINDINGS:
            yield f"{name}: more than {MOST_FINDINGS} findings"


def _requests(connection: Connection) -> Iterator[str]:
    for row in connection.execute("SELECT key, form FROM request WHERE form IS NOT NULL"):
        try:
            key = hashlib.sha256(zlib.decompress(row["form"])).hexdigest()
        except (zlib.error, TypeError) as error:
            yield f"request {row['key']}: its form cannot be read: {error}"
            continue
        if key != row["key"]:
            yield f"request {row['key']}: its form has the key {key}"


def _answers(connection: Connection) -> Iterator[str]:
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
        text = None if row["text"] is None else attempts.exact(row["text"])
        if text is not None and hashlib.sha256(text.encode()).hexdigest() != row["sha256"]:
            yield f"{name}: its text does not have the hash {row['sha256']}"
    for row in connection.execute(
        "SELECT id FROM attempt WHERE state = 'settled' AND NOT EXISTS"
        " (SELECT 1 FROM answer WHERE answer.request_key = attempt.request_key)"
    ):
        yield f"attempt {row['id']}: settled, but its answer is missing"


def _histories(connection: Connection) -> Iterator[str]:
    last: dict[str, str] = {}
    for row in connection.execute("SELECT attempt, state FROM event ORDER BY seq"):
        before = last.get(row["attempt"])
        if row["state"] not in _NEXT.get(before, frozenset()):
            yield f"attempt {row['attempt']}: went from {before} to {row['state']}"
        last[row["attempt"]] = row["state"]
    for row in connection.execute("SELECT id, state FROM attempt"):
        if last.get(row["id"]) != row["state"]:
            yield f"attempt {row['id']}: is {row['state']}, its history ends {last.get(row['id'])}"


def _owners(connection: Connection) -> Iterator[str]:
    for row in connection.execute(
        "SELECT attempt.id, attempt.state FROM attempt JOIN owner ON owner.id = attempt.owner"
        " WHERE attempt.state IN ('reserved', 'sent') AND owner.ended_at IS NOT NULL"
    ):
        yield f"attempt {row['id']}: is {row['state']}, but its owner has ended"


def _totals(connection: Connection) -> Iterator[str]:
    derived: dict[str, Counter[str]] = defaultdict(Counter)
    for found in connection.execute("SELECT * FROM attempt"):
        row = attempts.read(found)
        charged = row.state in (State.SETTLED, State.UNKNOWN, State.RECONCILED)
        if charged != (row.usage_source is not None) or (not charged and row.usage.total):
            yield f"attempt {row.id}: is {row.state} and charged {row.usage.total} tokens"
        if row.usage_source == "reservation" and row.usage.total != row.reserved.tokens:
            yield f"attempt {row.id}: charged {row.usage.total} tokens at a reservation of {row.reserved.tokens}"
        for scope in row.scopes:
            derived[scope].update(attempts.share(row.state, row.reserved, row.charged))
    for found in connection.execute("SELECT * FROM budget"):
        totals = derived.pop(found["scope"], Counter())
        for name in TOTALS:
            if found[name] != totals[name]:
                yield f"{found['scope']}: {name} is {found[name]}, its attempts give {totals[name]}"
    for scope in derived:
        yield f"{scope}: has attempts, but no account"


# --- reconciliation -----------------------------------------------------------------------------------

Cost = Callable[[str, Usage], int | None]
"""The price of a usage of a model in pico-dollars; None where it is unknown."""


def reconcile(ledger: Ledger, attempt_id: str, *, tokens: int, cost: Cost = lambda _, __: None) -> AttemptRow:
    """Settle one unknown attempt by hand: it was billed ``tokens`` in all, 0 for not at all.

    Returns the attempt as it was. Raises ``LedgerError`` when it is not unknown."""
    with ledger.writing() as connection:
        row = attempts.fetch(connection, attempt_id, (State.UNKNOWN,))
        prompt = min(tokens, row.usage.prompt)  # as far as its reservation goes, which it is charged at
        usage = Usage(prompt=prompt, completion=tokens - prompt)
        # Unknown money stays at its reservation: a zero here would be a price, and it would be wrong.
        pico = cost(row.model, usage) if tokens else 0
        pico = row.reserved.pico_usd if pico is None else pico
        attempts.reconcile(connection, row, Charge(usage=usage, source="reconciled", cost_pico_usd=pico))
    return row
