"""What a response that is no success stands for, by its status and what its body says.

Pure: no SDK is needed. One table for all ways to an author, so that all of them agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from expand.llm.response import one_line, retry_after, said_in
from expand.llm.types import AttemptFailedError, Failure

_BY_STATUS = {
    401: Failure.UNAUTHORIZED,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    402: Failure.QUOTA,
    # Something may have been begun on the other side: taken as the server's own failures are.
    408: Failure.SERVER_ERROR,
    409: Failure.SERVER_ERROR,
    425: Failure.SERVER_ERROR,
    499: Failure.SERVER_ERROR,
}

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
# A gateway keeps the words of what is behind it, and puts a code of its own in the place of theirs.
_QUOTA_WORDS = re.compile(r"insufficient_quota|exceeded your current quota", re.IGNORECASE)


def refused(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> AttemptFailedError:
    """The failure that a response stands for. ``headers`` are looked up in lower case; ``now`` are
    Unix seconds, for Retry-After dates.
    """
    text = body.decode("utf-8", "replace").strip()
    data: object = text
    with suppress(ValueError, RecursionError):
        data = json.loads(body)
    if isinstance(data, dict):
        data = data.get("error", data)
    stated = (data.get("code"), data.get("type")) if isinstance(data, dict) else ()
    codes = {code for code in stated if isinstance(code, str)}
    said = said_in(data) or said_in(text) or _phrase(status)
    if 300 <= status < 400:
        failure = Failure.BAD_REQUEST
        said = f"redirected to {headers.get('location', '?')}; give that base URL"
    elif status == 429:
        used_up = bool(_QUOTA_CODES & codes) or _QUOTA_WORDS.search(said)
        failure = Failure.QUOTA if used_up else Failure.RATE_LIMITED
    elif status == 400 and _is_filter(codes, said):
        failure = Failure.FILTERED
    elif status >= 500:
        failure = Failure.SERVER_ERROR
    else:
        failure = _BY_STATUS.get(status, Failure.BAD_REQUEST)
    waits = failure in (Failure.RATE_LIMITED, Failure.SERVER_ERROR)
    return AttemptFailedError(
        failure,
        f"HTTP {status}: {one_line(said)}",
        status=status,
        retry_after_seconds=retry_after(headers, now=now) if waits else None,
    )


def _is_filter(codes: set[str], said: str) -> bool:
    """Whether Azure's filter refused the prompt, directly or through LiteLLM."""
    return "content_filter" in codes or "ContentPolicyViolationError" in said


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
