"""The ledger: budgets, attempts and answers in one SQLite file that survives a kill.

``store`` is the ledger itself, ``values`` what goes in and out, ``schema`` the file, ``accounts``,
``attempts`` and ``rates`` the rows, ``figures`` what reports read, ``audit`` re-derives it all,
``transfer`` moves it to another file, ``reconciliation`` settles what was unknown.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from expand.ledger.database import LedgerBusyError
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
    no_price,
)

if TYPE_CHECKING:
    from expand.ledger.audit import VerifyReport, verify
    from expand.ledger.reconciliation import Reconciled, reconcile, reconcile_export
    from expand.ledger.transfer import Imported, export, import_

__all__ = [
    "AttemptRow",
    "Held",
    "Imported",
    "InFlight",
    "Ledger",
    "LedgerBusyError",
    "ModelLimits",
    "Order",
    "Paused",
    "PromptHistory",
    "Reconciled",
    "Refused",
    "Reservation",
    "Run",
    "State",
    "StoredAnswer",
    "VerifyReport",
    "export",
    "import_",
    "no_price",
    "reconcile",
    "reconcile_export",
    "verify",
]

_RARELY_NEEDED = {
    "VerifyReport": "audit",
    "verify": "audit",
    "Reconciled": "reconciliation",
    "reconcile": "reconciliation",
    "reconcile_export": "reconciliation",
    "Imported": "transfer",
    "export": "transfer",
    "import_": "transfer",
}


def __getattr__(name: str) -> object:
    """What only some commands need is loaded when it is asked for: start-up time."""
    if name not in _RARELY_NEEDED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_RARELY_NEEDED[name]}"), name)
