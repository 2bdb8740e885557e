"""OpenAI's Batch API and those like it: files up, batches made, looked for and read.

Calls go out as those of ``openai_client`` do: no retries of the SDK's own, no redirects, errors mapped, the key in no
message. What is said about a batch is taken as it comes: any file id may be missing, null or "". Files are JSON lines;
``custom_id`` names the request; answers and failures are in two files, in any order.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from expand.llm.completion import answer_from
from expand.llm.failures import one_line, refused, said_in
from expand.llm.openai_client import OpenAIClient
from expand.llm.types import Answer, AttemptFailedError, Failure
from expand.schema import Json

if TYPE_CHECKING:
    from openai.types import Batch

    from expand.llm.openai_sdk import Connection

ENDPOINT: Final = "/v1/chat/completions"
MOST_REQUESTS = 1_000
"""How many one input file holds: OpenAI takes 50,000 and 200 MB, which is 200 kB for each of these."""


class RemoteBatch(NamedTuple):
    """A batch in its provider's words. ``completed`` counts the requests that were answered, which are those that are
    billed. A file that is not there is None, whether the provider wrote null or "". ``expires_at`` is in Unix seconds.
    ``errors`` say why the input file was not accepted."""

    id: str
    status: str
    input_file: str | None
    output_file: str | None
    error_file: str | None
    total: int
    completed: int
    failed: int
    expires_at: int | None
    metadata: Mapping[str, str]
    errors: tuple[str, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in ("completed", "failed", "expired", "cancelled")


class BatchLine(NamedTuple):
    """What became of one request: its answer, or why there is none."""

    custom_id: str
    outcome: Answer | AttemptFailedError

    @property
    def billed(self) -> bool | None:
        """Whether the provider charges for it. What did not succeed is not billed; None, unknown, is a success whose
        body cannot be read."""
        if isinstance(self.outcome, Answer):
            return True
        return None if self.outcome.failure is Failure.GARBLED else False


def input_line(custom_id: str, body: Mapping[str, Json]) -> bytes:
    """One request of an input file, line end included."""
    line = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": dict(body)}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def result_line(line: bytes) -> BatchLine | None:
    """A line of an output or error file; None when it is not one, or says of no request. An answer's text is the
    file's, letter for letter."""
    try:
        data = _object(json.loads(line))
        response = _object(data.get("response"))
        stated = response.get("body")
        body = (stated if isinstance(stated, str) else json.dumps(stated)).encode(errors="replace")
    except (ValueError, RecursionError):
        return None
    custom_id, error, status = data.get("custom_id"), data.get("error"), response.get("status_code")
    if not isinstance(custom_id, str) or not custom_id:
        return None
    if error or not isinstance(status, int):
        code, said = _object(error).get("code"), said_in(error) or "no response and no reason"
        failure = Failure.CANCELLED if code in ("batch_expired", "batch_cancelled") else Failure.BAD_REQUEST
        return BatchLine(custom_id, AttemptFailedError(failure, one_line(f"{code}: {said}" if code else said)))
    if status != 200:
        return BatchLine(custom_id, refused(status, {}, b"" if body == b"null" else body, now=0))
    request_id = response.get("request_id")
    try:
        return BatchLine(custom_id, answer_from(body, request_id=request_id if isinstance(request_id, str) else ""))
    except AttemptFailedError as failed:
        return BatchLine(custom_id, failed)


def _object(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


class BatchAuthor(OpenAIClient):
    """Batches at one endpoint. Each method is one call, or one for each page of a list.

    All of them raise ``AttemptFailedError``; only ``create`` can lead to a bill."""

    @asynccontextmanager
    async def _connection_mapped(self) -> AsyncIterator[Connection]:
        connection = await self._connected()
        with connection.mapped():
            yield connection

    async def upload(self, lines: BinaryIO, *, name: str) -> str:
        """Upload an input file; returns its id."""
        async with self._connection_mapped() as api:
            file = await api.client.files.create(
                file=(name, lines, "application/jsonl"), purpose="batch", extra_headers=api.headers
            )
        return file.id

    async def forget(self, file_id: str) -> None:
        """Delete a file; one that is not there is deleted already."""
        try:
            async with self._connection_mapped() as api:
                await api.client.files.delete(file_id, extra_headers=api.headers)
        except AttemptFailedError as error:
            if error.failure is not Failure.NOT_FOUND:
                raise

    async def create(self, file_id: str, *, metadata: Mapping[str, str]) -> RemoteBatch:
        """Have a batch made from an input file."""
        async with self._connection_mapped() as api:
            batch = await api.client.batches.create(
                completion_window="24h",
                endpoint=ENDPOINT,
                input_file_id=file_id,
                metadata=dict(metadata),
                extra_headers=api.headers,
            )
        return remote(batch)

    async def batches(self) -> AsyncIterator[RemoteBatch]:
        """All batches, the newest first."""
        async with self._connection_mapped() as api:
            async for batch in api.client.batches.list(limit=100, extra_headers=api.headers):
                yield remote(batch)

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        """One batch as it is now."""
        async with self._connection_mapped() as api:
            return remote(await api.client.batches.retrieve(batch_id, extra_headers=api.headers))

    async def cancel(self, batch_id: str) -> RemoteBatch:
        """Have a batch end early; what was answered by then stays."""
        async with self._connection_mapped() as api:
            return remote(await api.client.batches.cancel(batch_id, extra_headers=api.headers))

    async def results(self, file_id: str) -> AsyncIterator[bytes]:
        """The lines of an output or error file. One that breaks off raises at its end."""
        async with self._connection_mapped() as api:
            content = api.client.files.with_streaming_response.content(file_id, extra_headers=api.headers)
            async with content as response:
                rest = b""
                async for chunk in response.iter_bytes():
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        if line.strip():
                            yield line
                if rest.strip():
                    yield rest


def remote(batch: Batch) -> RemoteBatch:
    """The SDK's batch as ours. Whatever a server leaves out is nothing, not an error."""
    total, completed, failed = (
        getattr(batch.request_counts, name, None) or 0 for name in ("total", "completed", "failed")
    )
    return RemoteBatch(
        id=batch.id,
        status=str(batch.status),
        input_file=batch.input_file_id or None,
        output_file=batch.output_file_id or None,
        error_file=batch.error_file_id or None,
        total=total,
        completed=completed,
        failed=failed,
        expires_at=batch.expires_at,
        metadata=dict(batch.metadata or {}),
        errors=tuple(one_line(f"{e.code}: {e.message}") for e in (batch.errors and batch.errors.data) or ()),
    )
