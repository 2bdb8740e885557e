"""Ids that nobody else has made."""

from __future__ import annotations

import os


def fresh(size: int) -> str:
    """So many random bytes in hexadecimal digits."""
    return os.urandom(size).hex()  # as ``secrets`` does it, which loads half of cryptography
