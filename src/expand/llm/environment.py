"""The headers that the environment adds to every request, as it does for the OpenAI SDK."""

from __future__ import annotations

import re
from collections.abc import Mapping

from expand.errors import InputError
from expand.llm.api_key import checked_key

_NAMED = {"OPENAI_ORG_ID": "OpenAI-Organization", "OPENAI_PROJECT_ID": "OpenAI-Project"}
_CUSTOM = "OPENAI_CUSTOM_HEADERS"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def headers_of(environment: Mapping[str, str]) -> dict[str, str]:
    """``OPENAI_ORG_ID``, ``OPENAI_PROJECT_ID``, and the lines ``name: text`` of
    ``OPENAI_CUSTOM_HEADERS``, less an Authorization, which is the key's. Raises ``InputError`` for
    what no header can carry.
    """
    stated = {
        header: text
        for variable, header in _NAMED.items()
        if (text := checked_key(environment.get(variable), variable=variable))
    }
    for line in environment.get(_CUSTOM, "").split("\n"):
        name, colon, text = (part.strip() for part in line.partition(":"))
        if not colon or name.lower() == "authorization":
            continue
        if not _NAME.fullmatch(name) or not (text.isascii() and text.isprintable()):
            raise InputError(
                f"{_CUSTOM} holds a header that cannot be sent: {name!r}",
                remedy="write one in a line, as name: text, in ASCII",
            )
        stated[name] = text
    return stated
