"""The API key: what one may look like, and how it is kept out of what is shown and stored."""

from __future__ import annotations

import re

from expand.errors import InputError, chain
from expand.llm.types import AttemptFailedError

OPENAI_KEY = "OPENAI_API_KEY"

HIDDEN = "[key]"

_KEY_SHAPE = re.compile(r"\bsk-[\w*.-]{6,}|(?<=[Bb]earer )[\w*.~+/=-]{6,}")


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


def hide_key(failed: AttemptFailedError, key: str | None) -> None:
    """Takes the key, and what looks like one, out of a failure's message; and out of its traceback
    by leaving out a cause that repeats the key.
    """
    message = failed.message.replace(key, HIDDEN) if key else failed.message
    failed.message = _KEY_SHAPE.sub(HIDDEN, message)
    failed.args = (failed.message,)
    if key and any(key in f"{cause!r} {cause}" for cause in chain(failed)):
        failed.__cause__ = None  # which leaves out its context, too
