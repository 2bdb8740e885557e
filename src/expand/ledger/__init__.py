"""The ledger: budgets, attempts and answers in one SQLite file that survives a kill.

``store`` is the ledger itself, ``values`` what goes in and out, ``schema`` the file, ``accounts``,
``attempts`` and ``rates`` the rows, ``figures`` what reports read, ``audit`` re-derives it all,
``transfer`` moves it to another file, ``reconciliation`` settles what was unknown.
"""

from __future__ import annotations

from expand.ledger.schema import LedgerBusyError
from expand.ledger.store import Ledger
from expand.ledger.values import (
    AttemptRow,
    Held,
    InFlight,
    ModelLimits,
    Order,
    Paused,
    PromptHistory,
    Refused,
    Reservation,
    Run,
    State,
    StoredAnswer,
    Totals,
    no_price,
)

__all__ = [
    "AttemptRow",
    "Held",
    "InFlight",
    "Ledger",
    "LedgerBusyError",
    "ModelLimits",
    "Order",
    "Paused",
    "PromptHistory",
    "Refused",
    "Reservation",
    "Run",
    "State",
    "StoredAnswer",
    "Totals",
    "no_price",
]
