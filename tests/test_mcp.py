"""The MCP server, as clients use it: started as a process and spoken to on its stdin and stdout; or in this process,
where a test is about what the tools say."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.types import CallToolResult, TextContent
from scripted_server import ScriptedServer
from test_trust import GREEDY, HOSTILE, KEYS, Listener, workspace
from workspaces import BOOK, expand, rows, small

from expand import RunOptions, Workspace
from expand.cli import mcp as command
from expand.cli.mcp_server import Drafting, make_server

Connect = Callable[..., AbstractAsyncContextManager[Client]]
READING: dict[str, dict[str, Any]] = {
    "outline_check": {},
    "dry_run": {"chapter": "07"},
    "prompt_show": {"chapter": "07", "section": 1},
    "review": {"chapter": "07"},
    "diff": {"chapter": "07"},
    "status": {},
}
SECTION: dict[str, Any] = {"chapter": "07", "section": 1}
INSPECTOR = shutil.which("mcp-inspector")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as made:
        yield made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small(tmp_path / "w")


def arguments(root: Path, *more: str) -> list[str]:
    return ["-m", "expand", "--workspace", str(root), "mcp", *more]


@asynccontextmanager
async def connected(root: Path, *more: str, **environment: str) -> AsyncIterator[Client]:
    """The SDK's client, connected to a server of its own."""
    env = {**os.environ, **environment}
    async with Client(StdioServerParameters(command=sys.executable, args=arguments(root, *more), env=env)) as client:
        yield client


def drafting(root: Path, server: ScriptedServer, budget: int) -> AbstractAsyncContextManager[Client]:
    return connected(root, "--budget", str(budget), OPENAI_BASE_URL=server.base_url)


@asynccontextmanager
async def in_process(root: Path, base_url: str | None, budget: int | None = None) -> AsyncIterator[Client]:
    """The SDK's client, connected to a server in this process: one that is started imports for a second or two."""
    opened, options = Workspace.open(root), RunOptions(base_url=base_url)
    async with Client(make_server(opened, options, Drafting(opened, options, budget))) as client:
        yield client


async def call(client: Client, name: str, **given: Any) -> CallToolResult:
    result = await client.call_tool(name, given)
    assert isinstance(result, CallToolResult)
    return result


def text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def statuses(result: CallToolResult) -> list[str]:
    return [one["status"] for chapter in result.structured_content["chapters"] for one in chapter["sections"]]


async def test_a_section_is_drafted_once_within_the_budget(root: Path, server: ScriptedServer) -> None:
    source = (root / "chapters" / "07_signals.md").read_bytes()
    told: list[tuple[float, float | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total))

    server.latency_seconds = 0.3
    async with drafting(root, server, 20_000) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {*READING, "draft_section"}
        writing = [one.name for one in tools if not (one.annotations and one.annotations.read_only_hint)]
        assert writing == ["draft_section"]

        result = await client.call_tool("draft_section", SECTION, progress_callback=on_progress)
        assert isinstance(result, CallToolResult)
        data = result.structured_content
        assert (result.is_error, statuses(result), data["exit_code"]) == (False, ["drafted"], 0)
        assert data["session"] == {
            "limit": 20_000,
            "used": server.billed_tokens,
            "remaining": 20_000 - server.billed_tokens,
        }
        assert "drafts/07.md, Signal handling: drafted, 39 of 40 lines" in text(result)
        assert [at for at, _ in told] == sorted({at for at, _ in told}), "progress grows"
        assert {total for _, total in told} == {40}

        sent = len(server.requests)
        again = await call(client, "draft_section", **SECTION)
        assert (statuses(again), again.structured_content["session"]) == (["reused"], data["session"])
        assert again.structured_content["chapters"][0]["sections"][0]["tokens"] == {
            "prompt": 0, "cached": 0, "completion": 0
        }  # fmt: skip
        assert len(server.requests) == sent

        found = await call(client, "diff", chapter="07", sections=[1])
        assert text(found).startswith("--- a/chapters/07_signals.md\n+++ b/chapters/07_signals.md\n")
        assert found.structured_content["accepted"][0]["diff"] == text(found)
        reviewed = await call(client, "review", chapter="07", code=True)
        assert reviewed.structured_content["sections"][0]["lines"] == 39
        status = (await call(client, "status")).structured_content
        assert status["budget"] == expand(root, "budget", "--format", "json").json | {"made": status["budget"]["made"]}
        assert status["session"] == data["session"]
    assert (root / "chapters" / "07_signals.md").read_bytes() == source


@pytest.fixture
def draft(root: Path, server: ScriptedServer) -> Path:
    assert expand(root, "chapter", "07", "--section", "1", "--base-url", server.base_url).code in (0, 5)
    return root


async def test_what_reads_gives_the_objects_of_the_command_line(draft: Path, server: ScriptedServer) -> None:
    root = draft
    same = {
        "outline_check": ("outline", "check", "--format", "json"),
        "dry_run": ("chapter", "07", "--dry-run", "--json"),
        "prompt_show": ("prompt", "show", "07", "--section", "1", "--json"),
        "diff": ("accept", "07", "--diff", "--force", "--json"),
    }
    async with in_process(root, server.base_url) as client:
        for name, line in same.items():
            assert (await call(client, name, **READING[name])).structured_content == expand(root, *line).json, name
        reviewed = await call(client, "review", chapter="07")
        assert reviewed.structured_content == expand(root, "review", "07", "--json").json["chapters"][0]
        shown = text(await call(client, "prompt_show", **SECTION))
        printed = expand(root, "prompt", "show", "07", "--section", "1").out
        assert shown.partition(" tokens")[0] == printed.partition(" tokens")[0], "the system message, with its tokens"
        assert shown.partition("\n")[2].startswith("You are the")


async def test_the_budget_is_for_as_long_as_the_server_runs(root: Path, server: ScriptedServer) -> None:
    async with in_process(root, server.base_url, 3_500) as client:
        first = await call(client, "draft_section", chapter="07", section=1)
        assert (statuses(first), first.structured_content["session"]["used"]) == (["drafted"], server.billed_tokens)
        second = await call(client, "draft_section", chapter="07", section=2)
        refused = second.structured_content
        assert (refused["refused"], second.is_error, refused["exit_code"]) == ("budget", False, 3)
        assert refused["session"]["used"] == server.billed_tokens <= 3_500
        assert statuses(second) == ["refused"]
        assert f'this server\'s budget: {{"limit": 3500, "used": {server.billed_tokens}' in text(second)
    # The next server has a budget of its own, and reuses what is there.
    async with in_process(root, server.base_url, 20_000) as client:
        third = await call(client, "draft_section", chapter="07", section=2)
        assert third.structured_content["session"]["used"] < 20_000
        assert statuses(third) == ["drafted"]


async def test_calls_at_once_share_the_budget(root: Path, server: ScriptedServer) -> None:
    server.latency_seconds = 0.1
    results: list[CallToolResult] = []

    async def one(client: Client, section: int) -> None:
        results.append(await call(client, "draft_section", chapter="07", section=section))

    async with in_process(root, server.base_url, 3_500) as client:
        async with anyio.create_task_group() as group:
            for section in (1, 2, 3):
                group.start_soon(one, client, section)
        used = (await call(client, "status")).structured_content["session"]["used"]
    assert used == server.billed_tokens <= 3_500
    assert any("refused" in one.structured_content for one in results)


async def test_a_section_in_words_is_told_in_words(root: Path, server: ScriptedServer) -> None:
    outline = root / "outlines" / "07.yaml"
    outline.write_text(outline.read_text(encoding="utf-8").replace("lines: 40", "words: 400", 1), encoding="utf-8")
    told: list[str | None] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)
        assert progress > 0
        assert total == 400

    server.latency_seconds = 0.3
    async with in_process(root, server.base_url, 20_000) as client:
        result = await client.call_tool("draft_section", SECTION, progress_callback=on_progress)
        assert isinstance(result, CallToolResult)
        assert re.search(r"Signal handling: drafted, \d+ of 400 words", text(result))
    assert told
    assert all(message and " of 400 words, " in message for message in told)


async def test_a_refusal_has_its_figures(root: Path, server: ScriptedServer) -> None:
    (planned,) = expand(root, "chapter", "07", "--section", "3", "--dry-run", "--json").json["sections"]
    async with in_process(root, server.base_url, 600) as client:
        result = await call(client, "draft_section", chapter="07", section=3)
    needed, (refusal,) = planned["largest_reservation"], result.structured_content["refusals"]
    assert (statuses(result), server.requests) == (["refused"], [])
    figures = {"unit": "tokens", "needed": needed, "remaining": 600, "limit": 600}
    assert {name: refusal[name] for name in figures} == figures
    assert refusal["scope"].startswith("run:")
    assert f"{needed:,} tokens needed, 600 of 600 remain" in text(result)
    enough = planned["reserved_tokens"]  # as the dry run says
    async with in_process(root, server.base_url, enough) as client:
        assert statuses(await call(client, "draft_section", chapter="07", section=3)) == ["drafted"]


async def test_the_books_budget_holds_too(root: Path, server: ScriptedServer) -> None:
    (root / "outlines" / "book.yaml").write_text(BOOK.replace("tokens: 200000", "tokens: 1100"))
    async with in_process(root, server.base_url, 20_000) as client:
        data = (await call(client, "draft_section", chapter="07", section=3)).structured_content
    assert (data["refused"], data["refusals"][0]["scope"]) == ("budget", "book")
    assert server.requests == []


async def test_without_a_budget_nothing_is_drafted(root: Path, server: ScriptedServer) -> None:
    async with in_process(root, server.base_url) as client:
        result = await call(client, "draft_section", **SECTION)
        status = (await call(client, "status")).structured_content
    assert result.is_error
    assert text(result) == "this server may not draft; its user can start it with `expand mcp --budget TOKENS`"
    assert status["session"] == {"limit": None, "used": 0, "remaining": None}
    assert server.requests == []


async def test_no_argument_of_a_tool_raises_the_budget(root: Path, server: ScriptedServer) -> None:
    async with in_process(root, server.base_url, 10) as client:
        (tool,) = [one for one in (await client.list_tools()).tools if one.name == "draft_section"]
        assert set(tool.input_schema["properties"]) == {"chapter", "section", "language"}
        data = (await call(client, "draft_section", **SECTION, budget=90_000, unpriced=True)).structured_content
    assert (data["refused"], data["session"]["limit"]) == ("budget", 10)
    assert server.requests == []


# --- trust ------------------------------------------------------------------------------------


async def test_an_untrusted_workspace_is_read_and_not_drafted(tmp_path: Path, server: ScriptedServer) -> None:
    root = workspace(tmp_path / "w", GREEDY.format(port=server.port))
    said = expand(root, "chapter", "07").err.removeprefix("expand: ").strip()
    async with connected(root, "--budget", "20000", **KEYS) as client:
        refused = await call(client, "draft_section", **SECTION)
        assert (refused.is_error, refused.structured_content["refused"]) == (True, "trust")
        assert text(refused) == said
        (problem,) = refused.structured_content["problems"]
        assert (problem["file"], problem["line"]) == (str(root / "expand.toml"), 2)
        assert f"`expand trust {root}`" in problem["remedy"]
        for name in ("outline_check", "dry_run", "prompt_show", "status"):
            assert not (await call(client, name, **READING[name])).is_error, name
        assert server.requests == []
        # The person who trusts it meanwhile need not start the server again.
        assert expand(root, "trust", "--yes").code == 0
        assert statuses(await call(client, "draft_section", chapter="07", section=3)) == ["drafted"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_tool_contacts_what_an_untrusted_workspace_names(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in KEYS.items():
        monkeypatch.setenv(variable, value)
    listener = Listener()
    root = workspace(tmp_path / "w", HOSTILE[name].format(port=listener.port))
    async with in_process(root, None, 20_000) as client:
        for tool, given in {**READING, "draft_section": SECTION}.items():
            said = str(await call(client, tool, **given))
            assert not any(value in said for value in KEYS.values()), tool
            assert listener.connections == 0, tool
    listener.close()
    assert listener.received == b""


# --- what goes wrong --------------------------------------------------------------------------


async def test_errors_name_file_line_and_remedy(root: Path, server: ScriptedServer) -> None:
    outline = root / "outlines" / "07.yaml"
    outline.write_text(outline.read_text().replace("lines: 20", "lines: many"))
    async with in_process(root, server.base_url, 20_000) as client:
        checked = await call(client, "outline_check")
        (finding,) = checked.structured_content["findings"]
        assert (checked.is_error, finding["file"], finding["level"]) == (False, "outlines/07.yaml", "error")
        for name in ("draft_section", "prompt_show", "dry_run"):
            result = await call(client, name, **({"chapter": "07"} if name == "dry_run" else SECTION))
            (problem,) = result.structured_content["problems"]
            assert (result.is_error, result.structured_content["exit_code"]) == (True, 2)
            assert problem["line"] == finding["line"]
            assert Path(problem["file"]).name == "07.yaml"
            assert problem["remedy"] in text(result)
        unknown = await call(client, "review", chapter="77")
        assert "did you mean 07?" in text(unknown)
    assert server.requests == []


async def test_an_author_that_cannot_be_reached_is_told(root: Path) -> None:
    async with in_process(root, "http://127.0.0.1:9/v1", 20_000) as client:
        result = await call(client, "draft_section", **SECTION)
        assert (result.is_error, result.structured_content["exit_code"]) == (True, 4)
        assert "127.0.0.1:9" in text(result)
        assert result.structured_content["session"]["used"] == 0, "it never arrived, so nothing is charged"


async def test_a_call_that_is_cancelled_keeps_what_is_in_flight(root: Path, server: ScriptedServer) -> None:
    server.latency_seconds = 1.0
    async with drafting(root, server, 20_000) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "draft_section", SECTION)
            while not server.requests:
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        server.latency_seconds = 0
        status = await call(client, "status")
        assert status.structured_content["session"]["used"] == 0, "it is still in flight"
        again = await call(client, "draft_section", **SECTION)
        assert statuses(again) == ["drafted"]
        assert again.structured_content["session"]["used"] == server.billed_tokens
    assert {state for (state,) in rows(root, "SELECT state FROM attempt")} == {"settled"}
    assert len(server.requests) == 2, "the answer that was in flight was not bought again"


# --- the wire, without the SDK ----------------------------------------------------------------


class Wire:
    """A client of a few lines: what it writes and reads is JSON-RPC, a line each."""

    def __init__(self, root: Path, *more: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments(root, *more)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "wire", "version": "1"}}
        assert self.ask(1, "initialize", about)["serverInfo"]["name"] == "expand"
        self.send(method="notifications/initialized")

    def send(self, **message: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def ask(self, number: int, method: str, params: dict[str, Any]) -> Any:
        assert self.process.stdout
        self.send(id=number, method=method, params=params)
        for line in self.process.stdout:
            message = json.loads(line)
            assert message["jsonrpc"] == "2.0", "nothing but the protocol is on stdout"
            if message.get("id") == number:
                return message["result"]
        raise AssertionError(self.process.communicate())

    def draft(self, number: int) -> None:
        self.send(id=number, method="tools/call", params={"name": "draft_section", "arguments": SECTION})


def wait_for(server: ScriptedServer) -> None:
    until = time.monotonic() + 20
    while not server.requests and time.monotonic() < until:
        time.sleep(0.02)
    assert server.requests


def test_another_client_of_an_older_protocol(root: Path, server: ScriptedServer) -> None:
    wire = Wire(root, "--budget", "20000", OPENAI_BASE_URL=server.base_url)
    drafted = wire.ask(2, "tools/call", {"name": "draft_section", "arguments": SECTION})
    assert drafted["structuredContent"]["session"]["used"] == server.billed_tokens
    out, err = wire.process.communicate(timeout=20)
    assert (out, wire.process.returncode) == ("", 0)
    assert "an MCP server for" in err


def test_the_client_goes_away_while_a_section_is_drafted(root: Path, server: ScriptedServer) -> None:
    server.latency_seconds = 1.0
    wire = Wire(root, "--budget", "20000", OPENAI_BASE_URL=server.base_url)
    wire.draft(2)
    wait_for(server)
    _, err = wire.process.communicate(timeout=20)
    assert (wire.process.returncode, "Traceback" in err) == (0, False), err
    assert rows(root, "SELECT state FROM attempt") == [("settled",)]
    assert (root / "drafts" / "07.md").is_file()


def test_a_client_that_reads_no_more_ends_the_server_in_good_order(root: Path, server: ScriptedServer) -> None:
    server.chunk_seconds = 0.05
    wire = Wire(root, "--budget", "20000", OPENAI_BASE_URL=server.base_url)
    progress = {"_meta": {"progressToken": 1}}
    wire.send(id=2, method="tools/call", params={"name": "draft_section", "arguments": SECTION, **progress})
    wait_for(server)
    assert wire.process.stdin
    assert wire.process.stdout
    wire.process.stdout.close()
    time.sleep(2)
    wire.process.stdin.close()
    assert wire.process.wait(20) == 0
    assert wire.process.stderr
    with wire.process.stderr as said:
        assert "Traceback" not in said.read()
    assert set(rows(root, "SELECT state FROM attempt")) == {("settled",)}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_arrive_what_is_in_flight(root: Path, server: ScriptedServer, number: signal.Signals) -> None:
    server.latency_seconds = 1.0
    wire = Wire(root, "--budget", "20000", OPENAI_BASE_URL=server.base_url)
    wire.draft(2)
    wait_for(server)
    wire.process.send_signal(number)
    assert wire.process.wait(20) == 130
    assert rows(root, "SELECT state FROM attempt") == [("settled",)]
    _, err = wire.process.communicate()
    assert "stopping: what is in flight arrives first" in err


def test_a_second_signal_ends_it_at_once(root: Path, server: ScriptedServer) -> None:
    server.latency_seconds = 30
    wire = Wire(root, "--budget", "20000", OPENAI_BASE_URL=server.base_url)
    wire.draft(2)
    wait_for(server)
    for _ in range(2):
        wire.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    assert wire.process.wait(5) == 130
    wire.process.communicate()
    # The next run finds the attempt, and charges it as one of unknown outcome.
    server.latency_seconds = 0
    ran = expand(root, "chapter", "07", "--section", "3", "--base-url", server.base_url, "--json")
    assert ran.code in (0, 5)
    assert ("unknown",) in rows(root, "SELECT state FROM attempt")


def test_the_extra_is_named_where_it_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    ran = expand(root, "mcp")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "expand: the extra mcp is not installed; run `pip install 'chapter-expand[mcp]'`\n"


@pytest.mark.skipif(INSPECTOR is None, reason="the inspector, a client in TypeScript, is not installed")
def test_the_inspector_drafts(root: Path, server: ScriptedServer) -> None:
    def ran(budget: int, section: int) -> Any:
        assert INSPECTOR
        served = ("-e", f"OPENAI_BASE_URL={server.base_url}", sys.executable, *arguments(root, "--budget", str(budget)))
        asked = ("--tool-name", "draft_section", "--tool-arg", "chapter=07", f"section={section}")
        line = [INSPECTOR, "--cli", *served, "--method", "tools/call", *asked]
        return json.loads(subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout)

    assert ran(20_000, 1)["structuredContent"]["session"]["used"] == server.billed_tokens
    assert ran(20_000, 1)["structuredContent"]["session"]["used"] == 0
    assert ran(100, 2)["structuredContent"]["refused"] == "budget"
