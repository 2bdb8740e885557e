"""The pile of chapters that members take from, so that none is idle while another has plenty.

It is a file whose place all of them share since the fork: the kernel hands each entry to exactly
one reader, without a lock that a killed member could hold for ever.
"""

from __future__ import annotations

import os
import tempfile

_ENTRY = 4


class Pile:
    """Numbers from 0, each taken once."""

    def __init__(self, members: int) -> None:
        """Made before the fork."""
        with tempfile.TemporaryFile(buffering=0) as file:
            self._handle = os.dup(file.fileno())
        self._members = members

    def lay(self, count: int) -> None:
        """Lay the numbers from 0 to ``count`` - 1 down, in their order; once."""
        left = memoryview(b"".join(n.to_bytes(_ENTRY, "little") for n in range(count)))
        place = 0
        while place < len(left):
            place += os.pwrite(self._handle, left[place:], place)

    def take(self, most: int) -> tuple[int, ...]:
        """The next numbers, at most so many and fewer towards the end; none when all are taken."""
        size = os.fstat(self._handle).st_size
        left = (size - os.lseek(self._handle, 0, os.SEEK_CUR)) // _ENTRY
        count = max(1, min(most, left // (2 * self._members)))
        taken = os.read(self._handle, count * _ENTRY)
        return tuple(
            int.from_bytes(taken[at : at + _ENTRY], "little") for at in range(0, len(taken), _ENTRY)
        )

    def close(self) -> None:
        """Let go of it."""
        os.close(self._handle)
