"""An open ledger file: reading it, and writing it in whole transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from expand.ledger import moment, schema


class LedgerFile:
    """A connection to the file at ``path``, for one thread. ``clock`` gives the time in UTC."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        clock: Callable[[], datetime] = moment.now,
    ) -> None:
        self.path = path
        self.clock = clock
        self._connection = connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read; each statement sees one consistent state. Raises ``LedgerError``."""
        with schema.mapped(self.path):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write one transaction: all of it or nothing. Raises ``LedgerError``."""
        with schema.mapped(self.path), schema.transaction(self._connection):
            yield self._connection
