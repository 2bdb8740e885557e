"""``expand doctor``: everything that can be wrong is named with its remedy."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from behaviours import BehaviourServer, failures
from scripted_server import ScriptedServer
from typer.testing import CliRunner

from expand.budget import Amount, Limit
from expand.cli import app
from expand.doctor.checks import (
    CHAPTER,
    CheckResult,
    DoctorReport,
    EndpointReply,
    ask_endpoint,
    check_machine,
    endpoint_from,
    from_error,
    run_checks,
)
from expand.errors import AuthorError
from expand.ledger import Ledger, State
from expand.llm import local_model
from expand.llm.types import Answer, AttemptFailedError, Failure, Finish, OnText, Request, Usage, ignore_text
from expand.scaffold import create_workspace
from expand.settings import Overrides, Settings
from expand.workspace import Workspace

OURS = {"PATH": ""}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = create_workspace(tmp_path / "book").workspace
    text = 'id: "01"\ntitle: Pipes\nsource: chapters/01.md\nsections: [{title: Reading, lines: 60}]\n'
    made.outline_path("01").write_text(text, encoding="utf-8")
    return made


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(key="sk-right") as running:
        yield running


async def look(
    workspace: Workspace,
    *,
    base_url: str | None = None,
    model: str | None = None,
    key: str | None = None,
    **more: Any,
) -> DoctorReport:
    environment = {**OURS, "EXPAND_TRUST": "1", **({"OPENAI_API_KEY": key} if key else {})}
    return await run_checks(
        workspace.root,
        environment=environment,
        overrides=Overrides(model=model, base_url=base_url),
        **more,
    )


def on(found: DoctorReport, subject: str) -> CheckResult:
    (finding,) = [finding for finding in found.findings if finding.subject == subject]
    return finding


def settings_text(workspace: Workspace, text: str) -> None:
    workspace.settings_path.write_text(text, encoding="utf-8")


async def test_all_is_well(workspace: Workspace, server: ScriptedServer) -> None:
    found = await look(workspace, base_url=server.base_url, model="scripted", key="sk-right")
    assert found.exit_code == 0
    assert {f.status for f in found.findings} <= {"ok", "note", "warning"}
    assert on(found, "endpoint").message == f"{server.base_url}/models answers, 1 model"
    assert on(found, "model").message == "scripted is there"
    assert on(found, "key").message == "OPENAI_API_KEY is set, 8 characters"
    assert on(found, "book").message == "Book, 1 outline"
    assert server.requests == [], "nothing was bought"
    assert not workspace.ledger_path.exists(), "no ledger was made"


async def test_an_outline_that_cannot_be_read_is_counted(workspace: Workspace) -> None:
    (workspace.root / "outlines" / "02.yaml").write_text("id: '02'\n")
    said = next(one for one in (await look(workspace)).findings if one.subject == "book")
    assert said.status == "failure"
    assert said.message.endswith(", 1 of 2 outlines can be read")
    assert "outline check" in said.remedy
    (workspace.root / "outlines" / "02.yaml").unlink()
    assert next(one for one in (await look(workspace)).findings if one.subject == "book").message.endswith(
        ", 1 outline"
    )


async def test_no_key(workspace: Workspace) -> None:
    found = await look(workspace, model="gpt-4.1")
    key = on(found, "key")
    assert (key.status, found.exit_code) == ("failure", 2)
    assert "OPENAI_API_KEY is not set" in key.message
    assert key.remedy.startswith("set it, give --base-url")
    assert "endpoint" not in {f.subject for f in found.findings}, "nobody was asked without one"


async def test_a_key_that_no_header_can_carry(workspace: Workspace) -> None:
    for key in ("sk-1\n23", "sk-1 23", "sk-1é"):
        found = await look(workspace, model="gpt-4.1", key=key)
        assert on(found, "key").remedy == "set OPENAI_API_KEY again, without quotes or line breaks"
        assert found.exit_code == 2


async def test_a_wrong_key(workspace: Workspace) -> None:
    async def refuse(settings: Settings) -> EndpointReply:
        return EndpointReply(url="https://api.x/v1/models", reply="unauthorized", said="HTTP 401")

    found = await look(workspace, model="gpt-4.1", key="sk-wrong", ask=refuse)
    endpoint = on(found, "endpoint")
    assert found.exit_code == 4
    assert endpoint.message == "https://api.x/v1/models refuses the key (HTTP 401)"
    assert "set OPENAI_API_KEY to a key of this provider" in endpoint.remedy
    found = await look(workspace, base_url="http://127.0.0.1:1/v1", ask=refuse)
    assert on(found, "endpoint").message.endswith("wants a key (HTTP 401)")


async def test_a_dead_endpoint(workspace: Workspace) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    found = await look(workspace, base_url=url, key="sk-secret")
    endpoint = on(found, "endpoint")
    assert found.exit_code == 4
    assert endpoint.message.startswith(f"{url}/models cannot be reached: ")
    assert endpoint.remedy.startswith("start the server, check the base URL")


async def test_an_endpoint_that_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        endpoint = await ask_endpoint(Settings(base_url=url), patience_seconds=0.2)
    assert (endpoint.reply, endpoint.said) == ("unreachable", "no answer in 0.2 s")


async def test_an_address_that_is_none() -> None:
    endpoint = await ask_endpoint(Settings(base_url="htp://x", api_key="x"))
    assert endpoint.reply == "unreachable"


async def test_an_unknown_model(workspace: Workspace) -> None:
    async def listing(settings: Settings) -> EndpointReply:
        models = (*(f"gpt-{n}" for n in range(3, 12)), "gpt-4.1-mini")
        return EndpointReply(url="u", reply="listed", models=models)

    found = await look(workspace, model="gpt-4.1-mimi", key="sk", ask=listing)
    model = on(found, "model")
    assert found.exit_code == 4
    assert model.message == "the endpoint has no model gpt-4.1-mimi"
    assert model.remedy == "did you mean gpt-4.1-mini?"
    found = await look(workspace, model="zzz", key="sk", ask=listing)
    assert on(found, "model").remedy.startswith("it has: gpt-10, gpt-11, gpt-3, ")
    assert on(found, "model").remedy.endswith(", …")


async def test_a_server_of_one_model_may_answer_to_any_name(workspace: Workspace, server: ScriptedServer) -> None:
    found = await look(workspace, base_url=server.base_url, model="other")
    assert on(found, "model").status == "note"
    assert on(found, "model").remedy == "give --model scripted to be sure"
    profile = on(found, "profile")
    assert profile.message.startswith("nothing is known about other; assumed: context window 32,000")
    assert on(found, "key").message == "none is set, and a server on this machine needs none"


@pytest.mark.parametrize("path", ["/nothing", "/../books"])
async def test_an_endpoint_that_is_no_such_api(workspace: Workspace, server: ScriptedServer, path: str) -> None:
    base = f"http://127.0.0.1:{server.port}{path}"
    found = await look(workspace, base_url=base)
    endpoint = on(found, "endpoint")
    assert (endpoint.status, found.exit_code) == ("failure", 4)
    assert endpoint.message.endswith("is not an OpenAI-compatible API: HTTP 404 with no JSON")
    assert "often it ends in /v1" in endpoint.remedy


async def test_an_endpoint_without_a_list(workspace: Workspace) -> None:
    async def none_listed(settings: Settings) -> EndpointReply:
        return endpoint_from("u", 404, b'{"error": {"message": "no such route"}}')

    found = await look(workspace, model="m", key="sk", ask=none_listed)
    assert on(found, "endpoint").status == "warning"
    assert "try --live" in on(found, "endpoint").remedy


async def test_the_provider_that_a_port_stands_for(workspace: Workspace) -> None:
    async def nobody(settings: Settings) -> EndpointReply:
        return EndpointReply(url="u", reply="listed", models=("llama3.2",))

    url = "http://127.0.0.1:11434/v1"
    found = await look(workspace, base_url=url, model="llama3.2", ask=nobody)
    taken, advice = (f for f in found.findings if f.subject == "provider")
    assert taken.message == "Ollama"
    assert "OLLAMA_CONTEXT_LENGTH" in advice.remedy
    assert on(found, "profile").message.startswith("nothing is known about llama3.2; assumed: context")
    settings_text(workspace, '[author]\nprovider = "openrouter"\n')
    found = await look(workspace)
    assert on(found, "provider").message == "OpenRouter"
    assert on(found, "key").message.endswith("and OPENROUTER_API_KEY is not set")
    settings_text(workspace, '[author]\nprovider = "compatible"\n')
    found = await look(workspace, base_url=None, key="sk")
    assert "has no address that is the same for everybody" in on(found, "settings").message


async def test_several_mistakes_in_the_settings_are_several_findings(workspace: Workspace) -> None:
    settings_text(workspace, "[author]\nmodle = 'x'\nconcurrency = 0\n")
    found = await look(workspace)
    wrong = [f for f in found.findings if f.subject == "settings"]
    assert [f.remedy for f in wrong] == [
        'did you mean "model"?',
        "give a whole number from 1 to 10,000",
    ]
    assert wrong[1].message.endswith("expand.toml:3:1: author: concurrency is 0")


async def test_the_key_is_tried_where_it_belongs(workspace: Workspace) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fits = "\r\napi-key: sk-right\r\n" in head and "authorization" not in head
        body = b'{"data": [{"id": "m"}]}' if fits else b"{}"
        status = b"200 OK" if fits else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        text = f"[author]\nbase_url = '{url}'\nprovider = 'gate'\n[providers.gate]\ntitle = 'G'\n"
        settings_text(workspace, f"{text}key_header = 'api-key'\n")
        right = await look(workspace, model="m", key="sk-right")
        wrong = await look(workspace, model="m", key="sk-wrong")
        settings_text(workspace, text)
        bearer = await look(workspace, model="m", key="sk-right")
    assert (on(right, "endpoint").status, right.exit_code) == ("ok", 0)
    for refused in (wrong, bearer):
        assert on(refused, "endpoint").message == f"{url}/models refuses the key (HTTP 401)"
        assert refused.exit_code == 4


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte, where this user may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if shutil.which("mount") is None or _fails(mount):
        pytest.skip("no disk can be made here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_disk_that_is_really_full(small_disk: Path, server: ScriptedServer) -> None:
    workspace = create_workspace(small_disk / "book").workspace
    Ledger.open(workspace.ledger_path).close()
    with suppress(OSError), (small_disk / "filler").open("wb") as file:
        while file.write(b"x" * 4096):
            file.flush()
    found = await look(workspace, base_url=server.base_url, model="scripted", key="sk-right")
    assert on(found, "workspace").message == f"{workspace.root}: the disk is full"
    assert on(found, "ledger").status == "failure"
    assert found.exit_code == 2


async def test_a_ledger_on_a_disk_that_is_read_only(small_disk: Path, server: ScriptedServer) -> None:
    workspace = create_workspace(small_disk / "book").workspace
    Ledger.open(workspace.ledger_path).close()
    again = ["mount", "-o", "remount,ro", str(small_disk)]
    if _fails(again):
        pytest.skip("no disk can be made read-only here")
    found = await look(workspace, base_url=server.base_url, model="scripted", key="sk-right")
    assert on(found, "workspace").message.endswith("cannot be written: Read-only file system")
    assert on(found, "ledger").status == "failure"
    assert on(found, "ledger").remedy.endswith("writable")
    assert found.exit_code == 2


def test_the_expand_of_coreutils_comes_first(workspace: Workspace, tmp_path: Path) -> None:
    theirs = shutil.which("expand", path="/usr/bin:/bin")
    if theirs is None:
        pytest.skip("no coreutils here")
    ran = subprocess.run(
        [sys.executable, "-m", "expand", "--workspace", str(workspace.root), "doctor"],
        env={"PATH": str(Path(theirs).parent), "HOME": str(tmp_path), "OPENAI_API_KEY": "a b"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"WARN command     `expand` in a shell is {theirs}, another program" in ran.stdout
    assert f"-> type `{Path(sys.executable).parent}/chapter-expand`" in ran.stdout
    assert ran.returncode == 2


def test_answers_of_endpoints() -> None:
    assert endpoint_from("u", 200, b'{"data": 3}').said == "the answer is no list of models"
    assert endpoint_from("u", 403, b"").reply == "unauthorized"
    listed = endpoint_from("u", 200, b'{"data": [{"id": "a"}]}')
    assert (listed.reply, listed.models) == ("listed", ("a",))


async def test_price_and_money(workspace: Workspace) -> None:
    async def listing(settings: Settings) -> EndpointReply:
        return EndpointReply(url="u", reply="listed", models=("gpt-4.1", "own"))

    found = await look(workspace, model="gpt-4.1", key="sk", ask=listing)
    assert on(found, "price").message == "2 USD in, 8 USD out, per million tokens"
    found = await look(workspace, model="own", key="sk", ask=listing)
    assert on(found, "price").status == "note"
    book = workspace.book_path.read_text().replace("allowance:\n", "allowance:\n  usd: 5\n")
    workspace.book_path.write_text(book)
    found = await look(workspace, model="own", key="sk", ask=listing)
    price = on(found, "price")
    assert (price.status, found.exit_code) == ("failure", 2)
    assert "the book sets a limit of 5 USD" in price.message
    assert price.remedy.endswith("with --unpriced")


async def test_the_embedded_model(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "is_installed", lambda _=None: True)
    found = await look(workspace)
    assert found.exit_code == 0
    assert on(found, "key").message.startswith("none is needed")
    assert on(found, "price").message == "nothing: it runs on this machine"
    monkeypatch.setattr(local_model, "is_installed", lambda _=None: False)
    found = await look(workspace)
    assert on(found, "endpoint").remedy == local_model.REMEDY
    assert found.exit_code == 2


async def test_settings_and_book_that_are_wrong(workspace: Workspace, tmp_path: Path) -> None:
    settings_text(workspace, "[author]\nmodle = 'x'\n")
    found = await look(workspace)
    assert on(found, "settings").message.endswith('expand.toml:2:1: author: unknown key "modle"')
    assert found.exit_code == 2
    settings_text(workspace, '[models."gpt-*"]\noutput_cap_name = "p50k"\n')
    found = await look(workspace, model="gpt-4.1")
    assert 'expand.toml:2:1: models: gpt-*: output_cap_name is the text "p50k"' in on(found, "settings").message
    assert "known are: max_completion_tokens" in on(found, "settings").remedy
    settings_text(workspace, "")
    workspace.book_path.write_text("title: 3\n")
    workspace.outline_path("01").unlink()
    found = await look(workspace, model="gpt-4.1", key="x y")
    assert on(found, "book").message.startswith("outlines/book.yaml:1:8: title must be a string, not 3")
    nowhere = await run_checks(tmp_path, environment=OURS)
    assert "run `expand init`" in on(nowhere, "settings").remedy
    assert nowhere.exit_code == 2


async def test_no_outline_yet(workspace: Workspace) -> None:
    workspace.outline_path("01").unlink()
    found = await look(workspace, model="gpt-4.1")
    assert on(found, "book").message == "no chapter has an outline yet"


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "cannot be written: Permission denied")],
)
async def test_a_workspace_that_cannot_be_written(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(number, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    found = await look(workspace)
    assert message in on(found, "workspace").message
    assert found.exit_code == 2


async def test_a_ledger_that_can_be_used(workspace: Workspace) -> None:
    ledger = Ledger.open(workspace.ledger_path)
    ledger.begin_run(limits={"book": Limit(tokens=500)}, opening=Amount(100))
    ledger.close()
    found = await look(workspace)
    assert "400 tokens left of the book's allowance" in on(found, "ledger").message
    ledger = Ledger.open(workspace.ledger_path)
    ledger.begin_run(limits={"book": Limit(tokens=100)}, opening=Amount(100))
    ledger.close()
    found = await look(workspace)
    assert on(found, "ledger").message.endswith(", 0 tokens left of the book's allowance")
    assert found.exit_code == 0


async def test_ledgers_that_cannot_be_used(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.ledger_path.write_bytes(b"not a database at all, but long enough" * 40)
    found = await look(workspace)
    assert "not a ledger" in on(found, "ledger").message
    assert found.exit_code == 2
    workspace.ledger_path.unlink()
    workspace.ledger_path.mkdir()
    assert on(await look(workspace), "ledger").status == "failure"


async def test_a_ledger_without_the_right_to_write(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger.open(workspace.ledger_path).close()
    uri = f"file:{workspace.ledger_path}?mode=ro"
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **more: connect(uri, **{**more, "uri": True}))
    found = await look(workspace)
    assert "cannot be written" in on(found, "ledger").message
    assert on(found, "ledger").remedy == "make it and its folder writable"


def test_what_a_shell_finds(tmp_path: Path) -> None:
    def of(subject: str, environment: dict[str, str]) -> CheckResult:
        found = check_machine(environment)
        return next(finding for finding in found if finding.subject == subject)

    assert of("command", OURS).message == "a shell finds no `expand`"
    other = tmp_path / "expand"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    theirs = of("command", {"PATH": str(tmp_path)})
    assert theirs.message.endswith("another program (coreutils has one)")
    assert theirs.remedy == f"type `{Path(sys.executable).parent}/chapter-expand`"
    other.write_text("from expand.__main__ import main\n")
    assert of("command", {"PATH": str(tmp_path)}).status == "ok"


def test_errors_as_findings() -> None:
    (finding,) = from_error("live", AuthorError("HTTP 401: no; check OPENAI_API_KEY"))
    assert (finding.message, finding.remedy) == ("HTTP 401: no", "check OPENAI_API_KEY")
    assert finding.exit_code == 4


class OneAnswer:
    """An author that gives this answer, or this failure."""

    def __init__(self, outcome: Answer | AttemptFailedError) -> None:
        self.outcome = outcome
        self.requests: list[Request] = []

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        self.requests.append(request)
        assert client_request_id.startswith("doctor/0/draft/")
        if isinstance(self.outcome, AttemptFailedError):
            raise self.outcome
        return self.outcome


async def test_live_spends_one_small_request_each_time(workspace: Workspace, server: ScriptedServer) -> None:
    for count in (1, 2):
        found = await look(workspace, base_url=server.base_url, model="scripted", key="sk-right", live=True)
        live = on(found, "live")
        assert (live.status, found.exit_code) == ("ok", 0), live
        assert len(server.requests) == count
        assert server.requests[-1].body["max_tokens"] == 24
    ledger = Ledger.read(workspace.ledger_path)
    assert ledger is not None
    rows = [row for row in ledger.attempts() if row.chapter == CHAPTER]
    assert [row.state for row in rows] == [State.SETTLED] * 2
    assert sum(row.usage.total for row in rows) == server.billed_tokens
    balance = ledger.balance("book")
    assert (balance.used_tokens, balance.reserved_tokens) == (server.billed_tokens, 0)
    assert ledger.prompt_history("scripted") == 0.0, "estimates learn nothing from it"
    ledger.close()


async def test_live_says_what_to_write_into_the_profile(workspace: Workspace) -> None:
    """What was mended once for the request is known from the beginning if it stands there."""
    settings_text(workspace, "[models.picky]\nparameters = { temperature = 0.7 }\n")
    with BehaviourServer(failures.BEHAVIOURS) as picky:
        found = await look(workspace, base_url=picky.base_url, model="picky", live=True)
        assert on(found, "live").status == "ok"
        request = on(found, "request")
        assert request.status == "warning"
        lines = [
            'output_cap_name = "max_completion_tokens"',
            'leave_out = ["stream_options", "temperature"]',
            'system_role = "user"',
        ]
        assert request.remedy == f'write into expand.toml: [models."picky"] {"; ".join(lines)}'
        settings_text(workspace, "\n".join(["[models.picky]", "parameters = { temperature = 0.7 }", *lines]))
        picky.calls.clear()
        found = await look(workspace, base_url=picky.base_url, model="picky", live=True)
        assert len(picky.calls["picky"]) == 1
        assert "request" not in {finding.subject for finding in found.findings}


async def test_a_base_url_without_its_version_is_found_and_advised(
    workspace: Workspace, server: ScriptedServer
) -> None:
    """``/v1`` is missing: the list of models is below it, and so are the completions."""
    bare = server.base_url.removesuffix("/v1")
    found = await look(workspace, base_url=bare, model="scripted", key="sk-right", live=True)
    moved = next(finding for finding in found.findings if finding.subject == "endpoint")
    assert (moved.status, moved.remedy) == (
        "warning",
        f'write into expand.toml: [author] base_url = "{server.base_url}"',
    )
    assert on(found, "live").status == "ok"
    assert on(found, "request").remedy == f'write into expand.toml: [author] base_url = "{server.base_url}"'
    assert found.exit_code == 0


@pytest.mark.parametrize("behind", ["/", "/chat/completions", "/models"])
async def test_what_stands_behind_a_base_url_makes_no_difference(
    workspace: Workspace, server: ScriptedServer, behind: str
) -> None:
    found = await look(workspace, base_url=server.base_url + behind, model="scripted", key="sk-right", live=True)
    assert on(found, "endpoint").message == f"{server.base_url}/models answers, 1 model"
    assert on(found, "live").status == "ok"


async def test_a_paused_model_is_named(workspace: Workspace, server: ScriptedServer) -> None:
    with closing(Ledger.open(workspace.ledger_path)) as ledger:
        ledger.pause("scripted", 600)
        ledger.pause("over", 0)
    found = await look(workspace, base_url=server.base_url, model="scripted", key="sk-right")
    pause = on(found, "pause")
    assert pause.status == "warning"
    assert pause.message.startswith("scripted is paused until ")
    assert "expand ledger resume scripted" in pause.remedy


async def test_live_is_not_tried_after_a_failure(workspace: Workspace) -> None:
    found = await look(workspace, model="gpt-4.1", live=True)
    assert on(found, "live").message == "nothing was sent"
    assert found.exit_code == 2


async def test_live_names_cost_model_and_missing_usage(workspace: Workspace) -> None:
    async def listing(settings: Settings) -> EndpointReply:
        return EndpointReply(url="u", reply="listed", models=("gpt-4.1",))

    def answer(usage: Usage | None) -> OneAnswer:
        return OneAnswer(Answer(text="Yes.", finish=Finish.STOP, usage=usage, model="gpt-4.1-2025-04-14"))

    found = await look(
        workspace, model="gpt-4.1", key="sk", live=True, ask=listing,
        author=answer(Usage(prompt=20, completion=3)),
    )  # fmt: skip
    live = on(found, "live")
    assert "answered by gpt-4.1-2025-04-14 in" in live.message
    assert "20 tokens in, 3 out, 0.000064 USD" in live.message
    found = await look(workspace, model="gpt-4.1", key="sk", live=True, ask=listing, author=answer(None))
    assert on(found, "live").status == "warning"
    assert "the reservation was charged" in on(found, "live").message


async def test_live_when_the_author_refuses(workspace: Workspace) -> None:
    async def listing(settings: Settings) -> EndpointReply:
        return EndpointReply(url="u", reply="listed", models=("gpt-4.1",))

    author = OneAnswer(AttemptFailedError(Failure.UNAUTHORIZED, "HTTP 401: wrong key", status=401))
    found = await look(workspace, model="gpt-4.1", key="sk", live=True, ask=listing, author=author)
    live = on(found, "live")
    assert (live.status, found.exit_code) == ("failure", 4)
    assert "HTTP 401: wrong key" in live.message
    assert live.remedy == "check OPENAI_API_KEY"
    assert len(author.requests) == 1


async def test_live_within_the_allowance(workspace: Workspace, server: ScriptedServer) -> None:
    text = workspace.book_path.read_text().replace("tokens: 200000", "tokens: 50")
    workspace.book_path.write_text(text)
    found = await look(workspace, base_url=server.base_url, model="scripted", live=True)
    assert found.exit_code == 3
    assert "50 remain" in on(found, "live").message
    assert server.requests == []


def test_the_command(workspace: Workspace, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    arguments = ["--workspace", str(workspace.root), "doctor", "--base-url", server.base_url]
    result = CliRunner().invoke(app, [*arguments, "--model", "scripted", "--live"])
    assert result.exit_code == 0
    assert "ok   live        answered in" in result.stdout
    assert "sk-right" not in result.output
    result = CliRunner().invoke(app, [*arguments, "--json"])
    report = json.loads(result.stdout)
    assert report["exit_code"] == result.exit_code == 0
    assert {"subject", "status", "message", "remedy"} == set(report["findings"][0])


def test_the_command_when_something_fails(workspace: Workspace) -> None:
    arguments = ["--workspace", str(workspace.root), "doctor", "--model", "gpt-4.1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "FAIL key         " in result.stdout
    assert "                 -> set it, give --base-url" in result.stdout
    assert "1 to fix, " in result.stdout
