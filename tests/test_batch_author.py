"""The Batch API as it is spoken: each call, the traps of its answers, the lines of its files."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from batch_server import BatchServer
from openai import Omit
from openai.types import Batch

from expand.llm.batch_api import BatchAuthor, input_line, remote, result_line
from expand.llm.endpoint import Endpoint
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish
from expand.schema import Json

BODY: dict[str, Json] = {
    "model": "m",
    "messages": [{"role": "user", "content": "Write 4 lines"}],
    "max_tokens": 90,
}


def author(server: BatchServer, key: str | None = None, **more: Any) -> BatchAuthor:
    return BatchAuthor(Endpoint(api_key=key, base_url=server.base_url, **more))


def lines(*names: str) -> io.BytesIO:
    return io.BytesIO(b"".join(input_line(name, BODY) for name in names))


async def test_a_batch_from_upload_to_results() -> None:
    with BatchServer(bad=1) as server:
        async with author(server) as desk:
            file_id = await desk.upload(lines("a", "b", "c"), name="in.jsonl")
            made = await desk.create(file_id, metadata={"expand_batch": "x"})
            assert (made.status, made.ended, made.input_file) == ("validating", False, file_id)
            done = await desk.retrieve(made.id)
            assert (done.status, done.total, done.completed, done.failed) == ("completed", 3, 2, 1)
            assert done.output_file is not None
            assert done.error_file is not None
            good = [result_line(line) async for line in desk.results(done.output_file)]
            bad = [result_line(line) async for line in desk.results(done.error_file)]
    assert {line.custom_id for line in [*good, *bad] if line} == {"a", "b", "c"}
    assert all(line and isinstance(line.outcome, Answer) and line.outcome.usage and line.billed for line in good)
    failures = [(line.outcome, line.billed) for line in bad if line]
    assert [(getattr(failed, "status", None), billed) for failed, billed in failures] == [(400, False)]
    assert len(server.books) == 2


async def test_what_is_not_there_is_none_whether_null_or_empty() -> None:
    for blank in (False, True):
        with BatchServer(blank=blank) as server:
            async with author(server) as desk:
                made = await desk.create(await desk.upload(lines("a"), name="n"), metadata={})
                done = await desk.retrieve(made.id)
        assert done.output_file is not None
        assert done.error_file is None


async def test_all_pages_of_batches_the_newest_first() -> None:
    with BatchServer(page=2) as server:
        async with author(server) as desk:
            made = [await desk.create(await desk.upload(lines("a"), name=f"f{n}"), metadata={}) for n in range(5)]
            seen = [batch.id async for batch in desk.batches()]
    assert seen == [batch.id for batch in reversed(made)]


async def test_a_file_that_is_deleted_makes_no_batch() -> None:
    with BatchServer() as server:
        async with author(server) as desk:
            file_id = await desk.upload(lines("a"), name="f")
            await desk.forget(file_id)
            await desk.forget(file_id)  # already gone is gone
            with pytest.raises(AttemptFailedError) as caught:
                await desk.create(file_id, metadata={})
    assert caught.value.failure is Failure.BAD_REQUEST
    assert server.batches == {}


@pytest.mark.parametrize(
    ("key", "more", "accepted"),
    [("sk-right-key", {}, True), ("sk-wrong-key", {}, False), (None, {}, False)],
)
async def test_the_key_decides_and_is_in_no_message(key: str | None, more: dict[str, Any], accepted: bool) -> None:
    with BatchServer(key="sk-right-key") as server:
        async with author(server, key, **more) as desk:
            if accepted:
                await desk.forget("f")
                return
            with pytest.raises(AttemptFailedError) as caught:
                await desk.forget("f")
    assert caught.value.failure is Failure.UNAUTHORIZED
    assert "sk-" not in str(caught.value)
    assert "sk-" not in repr(desk)


async def test_nothing_is_sent_twice_by_the_sdk() -> None:
    with BatchServer(trap="lost_after") as server:
        async with author(server) as desk:
            file_id = await desk.upload(lines("a"), name="f")
            with pytest.raises(AttemptFailedError) as caught:
                await desk.create(file_id, metadata={})
    assert caught.value.failure is Failure.SERVER_ERROR
    assert server.calls["POST /v1/batches"] == 1
    assert len(server.batches) == 1


async def test_a_download_that_breaks_off_says_so() -> None:
    with BatchServer() as server:
        async with author(server) as desk:
            names = [f"r{n}" for n in range(40)]
            made = await desk.create(await desk.upload(lines(*names), name="n"), metadata={})
            done = await desk.retrieve(made.id)
            server.cut_short = True
            assert done.output_file is not None
            found = desk.results(done.output_file)
            got = [await anext(found)]
            with pytest.raises(AttemptFailedError) as caught:
                await rest(found, got)
    assert caught.value.failure is Failure.DISCONNECTED
    assert len(got) < 40


async def test_a_download_comes_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    class Download:
        async def __aenter__(self) -> Download:
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

        async def iter_bytes(self) -> AsyncIterator[bytes]:
            for piece in (b"fir", b"st\n\n", b"sec", b"ond\n  \nlast"):
                yield piece

    async with BatchAuthor(Endpoint(api_key=None, base_url="http://127.0.0.1:9/v1")) as desk:
        client = (await desk._connected()).client
        monkeypatch.setattr(client.files.with_streaming_response, "content", lambda *_, **__: Download())
        assert [line async for line in desk.results("f")] == [b"first", b"second", b"last"]


async def test_a_key_goes_where_its_provider_looks_for_it() -> None:
    endpoint = Endpoint(
        api_key="k-own", base_url="http://127.0.0.1:9/v1", key_header="api-key", headers={"X-Team": "d"}
    )
    async with BatchAuthor(endpoint) as desk:
        headers = (await desk._connected()).headers
    assert (headers["api-key"], headers["X-Team"]) == ("k-own", "d")
    assert isinstance(headers["Authorization"], Omit)


async def test_nobody_there_is_unreachable() -> None:
    with BatchServer() as server:
        url = server.base_url
    async with BatchAuthor(Endpoint(api_key=None, base_url=url)) as desk:
        with pytest.raises(AttemptFailedError) as caught:
            await desk.retrieve("batch_1")
    assert caught.value.failure is Failure.UNREACHABLE


async def rest(found: AsyncIterator[bytes], got: list[bytes]) -> None:
    async for line in found:
        got.append(line)


def result(response: object = None, error: object = None) -> bytes:
    return json.dumps({"id": "1", "custom_id": "k", "response": response, "error": error}).encode()


def test_an_answer_in_a_batch_is_read_letter_for_letter_and_kept_where_an_error_follows() -> None:
    text = "Use EMPTY, sk and k.\x1b\n"
    choice = {"message": {"content": text}, "finish_reason": None}
    body = {"choices": [choice], "error": {"message": "overloaded"}}
    for stated in (body, json.dumps(body)):
        read = result_line(result({"status_code": 200, "body": stated, "request_id": "r"}))
        assert read is not None
        assert isinstance(read.outcome, Answer)
        assert (read.outcome.text, read.outcome.finish, read.outcome.provider_request_id) == (text, "cut", "r")


@pytest.mark.parametrize(
    ("line", "failure", "billed", "said"),
    [
        (result(error={"code": "batch_expired", "message": "late"}), "cancelled", False, "late"),
        (result(error={"code": "batch_cancelled", "message": ""}), "cancelled", False, "batch_c"),
        (result(), "bad_request", False, "no response"),
        (result({"status_code": 500, "body": {"error": {"message": "oops"}}}), "server_error",
         False, "HTTP 500: oops"),
        (result({"status_code": 429, "body": {}}), "rate_limited", False, "HTTP 429"),
        (result({"status_code": 401, "body": None}), "unauthorized", False, "HTTP 401"),
        (result({"status_code": None, "body": None}), "bad_request", False, "no reason"),
        (result({"status_code": 200, "body": {"object": "list"}}), "garbled", None, "no chat"),
        (result({"status_code": 200, "body": None}), "garbled", None, "an empty answer"),
    ],
)  # fmt: skip
def test_lines_without_an_answer(line: bytes, failure: str, billed: bool | None, said: str) -> None:
    read = result_line(line)
    assert read is not None
    assert isinstance(read.outcome, AttemptFailedError)
    assert (read.custom_id, read.outcome.failure, read.billed) == ("k", failure, billed)
    assert said in read.outcome.message


def test_a_line_with_an_answer() -> None:
    body = {
        "model": "m-2",
        "choices": [{"finish_reason": "length", "message": {"content": "Text"}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7},
    }
    read = result_line(result({"status_code": 200, "request_id": "req_9", "body": body}))
    assert read is not None
    assert read.billed is True
    assert isinstance(read.outcome, Answer)
    assert (read.outcome.text, read.outcome.finish) == ("Text", Finish.LENGTH)
    assert (read.outcome.model, read.outcome.provider_request_id) == ("m-2", "req_9")
    assert read.outcome.usage is not None
    assert read.outcome.usage.total == 12


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"null", b'{"custom_id": ""}', b'{"custom_id": 3}', b'"\xff"'])
def test_lines_that_are_none(line: bytes) -> None:
    assert result_line(line) is None


def test_an_input_line_is_one_line_of_the_documented_form() -> None:
    line = input_line("k", {**BODY, "note": "a\nb 中"})
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "custom_id": "k",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {**BODY, "note": "a\nb 中"},
    }


def test_a_batch_that_says_little_is_still_one() -> None:
    bare = remote(
        Batch.model_construct(id="b", status="failed", input_file_id="", created_at=0, errors=None, metadata=None)
    )
    assert (bare.total, bare.completed, bare.output_file, bare.metadata) == (0, 0, None, {})
    assert bare.ended
