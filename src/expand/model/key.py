"""The API key: what one may look like, decided in one place."""

from __future__ import annotations

from expand.errors import InputError

OPENAI_KEY = "OPENAI_API_KEY"


def checked_key(key: str | None, *, variable: str = OPENAI_KEY) -> str | None:
    """The key without the space or line feed that files end in; None where there is none.

    Raises ``InputError`` for one that no header can carry, or with a space or line break inside.
    """
    key = key.strip() if key else None
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise InputError(
            f"{variable} holds spaces, line breaks or characters that no HTTP header can carry",
            remedy=f"set {variable} again, without quotes or line breaks",
        )
    return key or None
