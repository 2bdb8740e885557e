"""The API key and other headers of the environment: what may be sent, and how the key stays out of what is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping

from expand.errors import InputError, chain
from expand.llm.types import AttemptFailedError

OPENAI_KEY = "OPENAI_API_KEY"

HIDDEN = "[key]"

_NAMED_HEADERS = {"OPENAI_ORG_ID": "OpenAI-Organization", "OPENAI_PROJECT_ID": "OpenAI-Project"}
_CUSTOM_HEADERS = "OPENAI_CUSTOM_HEADERS"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

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


def headers_of_environment(environment: Mapping[str, str]) -> dict[str, str | None]:
    """``OPENAI_ORG_ID`` and ``OPENAI_PROJECT_ID`` as headers, None where there is none: the SDK would send a blank one.

    Raises ``InputError`` for what no header can carry, in the lines ``name: text`` of ``OPENAI_CUSTOM_HEADERS``, too:
    the SDK sends those by itself, and what it raises then could as well mean that the request went out.
    """
    for line in environment.get(_CUSTOM_HEADERS, "").split("\n"):
        name, colon, text = (part.strip() for part in line.partition(":"))
        if colon and not (_HEADER_NAME.fullmatch(name) and text.isascii() and text.isprintable()):
            raise InputError(
                f"{_CUSTOM_HEADERS} holds a header that cannot be sent: {name!r}",
                remedy="write one in a line, as name: text, in ASCII",
            )
    return {header: checked_key(environment.get(name), variable=name) for name, header in _NAMED_HEADERS.items()}


def hide_key(failed: AttemptFailedError, key: str | None) -> None:
    """Takes the key, and what looks like one, out of a failure's message; and out of its traceback
    by leaving out a cause that repeats the key.
    """
    message = failed.message.replace(key, HIDDEN) if key else failed.message
    failed.message = _KEY_SHAPE.sub(HIDDEN, message)
    failed.args = (failed.message,)
    if key and any(key in f"{cause!r} {cause}" for cause in chain(failed)):
        failed.__cause__ = None  # which leaves out its context, too
