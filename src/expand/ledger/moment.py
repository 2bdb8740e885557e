"""Points in time as the ledger writes them: UTC, ISO 8601, of one length, so that text sorts."""

from __future__ import annotations

import functools
from datetime import UTC, datetime


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@functools.lru_cache(16)
def stamp(moment: datetime) -> str:
    """``2026-11-23T16:30:54.000000+00:00``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def parse(text: str) -> datetime:
    """What ``stamp`` wrote."""
    return datetime.fromisoformat(text)
