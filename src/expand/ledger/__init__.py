"""The ledger: budgets, attempts and answers in one database that survives a kill.

``store`` is the ledger itself, and says what stands in an order's way; ``values`` go in and out. ``attempts`` and
``batches`` are the rows, of budgets too. ``audit`` derives it all again and reconciles unknown
outcomes, ``transfer`` moves it to another ledger. ``database`` keeps it in a file, ``postgres`` on a server.
"""

from expand.ledger.audit import reconcile, verify
from expand.ledger.database import LedgerBusyError
from expand.ledger.store import Ledger, pauses_in
from expand.ledger.transfer import export, import_
from expand.ledger.values import (
    AttemptEvent,
    AttemptRow,
    InFlight,
    ModelLimits,
    Order,
    OutputHistory,
    Pause,
    Paused,
    Refused,
    Reservation,
    Run,
    State,
    StoredAnswer,
)

__all__ = [
    "AttemptEvent", "AttemptRow", "InFlight", "Ledger", "LedgerBusyError", "ModelLimits", "Order",
    "OutputHistory", "Pause", "Paused", "Refused", "Reservation", "Run", "State", "StoredAnswer", "export", "import_",
    "pauses_in", "reconcile", "verify",
]  # fmt: skip
