"""An open ledger: reading it, and writing it in whole transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from expand.ledger.database import Connection, Database


class LedgerFile:
    """A ledger, for one thread. ``clock`` gives the time in UTC, else the database does."""

    def __init__(self, database: Database, clock: Callable[[], datetime] | None = None) -> None:
        self.database = database
        self.clock = clock or database.now
        self._whole: Connection | None = None

    @property
    def name(self) -> str:
        """What messages call it: a path, or an address without a password."""
        return self.database.name

    def reading(self) -> AbstractContextManager[Connection]:
        """Read; each statement sees one consistent state. Raises ``LedgerError``."""
        return self.database.reading()

    def snapshot(self) -> AbstractContextManager[Connection]:
        """Read; all statements see one and the same state. Raises ``LedgerError``."""
        return self.database.snapshot()

    def writing(self) -> AbstractContextManager[Connection]:
        """Write one transaction: all of it or nothing. Raises ``LedgerError``."""
        return self.database.writing() if self._whole is None else self._part(self._whole)

    @contextmanager
    def together(self) -> Iterator[None]:
        """The writes within become parts of one transaction: each succeeds or fails by itself, and
        all are durable when ``make_durable`` has returned that was called after it. Let a
        ``LedgerBusyError`` of a part end all of it.
        """
        with self.database.writing(wait=False) as connection:
            self._whole = connection
            try:
                yield
            finally:
                self._whole = None

    def make_durable(self) -> None:
        """Wait until all that was written by now is durable; any thread may call it. Raises
        ``LedgerError``.
        """
        self.database.make_durable()

    @contextmanager
    def _part(self, connection: Connection) -> Iterator[Connection]:
        with self.database.mapped(), self.database.part():
            yield connection
