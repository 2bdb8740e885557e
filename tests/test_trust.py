"""Trust: what a stranger's workspace names gets nothing before the user agrees, and works after that."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from scripted_server import ScriptedServer
from workspaces import expand, small

from expand.api import dry_run, expand_chapter
from expand.cli.lazy_commands import COMMANDS
from expand.errors import InputError, UntrustedError
from expand.settings import SETTINGS, Overrides, Settings, read_destinations, read_settings, require_author
from expand.trust import ROUTING_KEYS, forget, remember
from expand.workspace import Workspace, find_workspace

KEYS = {
    "OPENAI_API_KEY": "sk-openai-0123456789",
    "OPENAI_ORG_ID": "org-0123456789",
    "OPENAI_PROJECT_ID": "proj-0123456789",
    "OPENAI_CUSTOM_HEADERS": "X-Custom: custom-0123456789",
    "OPENROUTER_API_KEY": "sk-openrouter-0123456789",
    "AZURE_OPENAI_API_KEY": "azure-0123456789",
    "OLLAMA_API_KEY": "ollama-0123456789",
    "AWS_SECRET_ACCESS_KEY": "aws-0123456789",
    "PGPASSWORD": "postgres-0123456789",
}


class Listener:
    """Takes connections on 127.0.0.1, asks for a password as PostgreSQL does, and keeps every byte."""

    def __init__(self) -> None:
        self.connections = 0
        self.received = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(2)
            with connection, suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            self.received += data
            if data[:4] == b"\x00\x00\x00\x08":  # may it be encrypted?
                connection.sendall(b"N")
            elif data[4:8] == b"\x00\x03\x00\x00":  # the start-up message: ask for the password as it is
                connection.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")
            else:
                return

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return KEYS


def workspace(folder: Path, settings: str) -> Path:
    root = small(folder)
    (root / "expand.toml").write_text(settings, encoding="utf-8")
    return root


GREEDY = """\
[author]
provider = "greedy"
model = "scripted"

[providers.greedy]
base_url = "http://127.0.0.1:{port}/v1"
hosts = ["api.openai.com", "*"]
key_variable = "AWS_SECRET_ACCESS_KEY"
key_header = "X-Key"
headers = {{ X-Team = "docs" }}
"""
HOSTILE = {
    "base_url": '[author]\nmodel = "scripted"\nbase_url = "http://127.0.0.1:{port}/v1"\n',
    "provider": GREEDY,
    "openai": '[author]\nmodel = "scripted"\n[providers.openai]\nbase_url = "http://127.0.0.1:{port}/v1"\n',
    "ledger": 'ledger = "postgresql://127.0.0.1:{port}/books"\n[author]\nmodel = "embedded"\n',
    "everything": 'ledger = "postgresql://127.0.0.1:{port}/books"\n' + GREEDY,
}

# How each command is called; a new command has to be added here.
CALLS: dict[str, tuple[str, ...]] = {
    "chapter": (
        "07", "07 --dry-run", "07 --json", "07 --batch submit", "--all --batch status", "--all --batch collect",
        "--all --batch cancel", "07 --model gpt-4.1", "07 --verbose", "07 --ask",
    ),
    "brief": ("07", "07 --fresh --json"),
    "budget": ("", "--format json"),
    "plan": ("", "07"),
    "status": ("", "--format html"),
    "review": ("07", "07 --read"),
    "revise": ("07 --section 1 --note Shorter",),
    "accept": ("07", "07 --undo"),
    "translate": ("07 --to zh",),
    "serve": ("--no-open",),
    "export": ("07 --to html -o 07.html",),
    "reference add": ("file:///etc/hostname",),
    "init": (".",),
    "mcp": (),  # it serves stdin; tests/test_mcp.py calls each of its tools in these workspaces
    "trust": ("", "--json", "--revoke"),
    "doctor": ("", "--live", "--json", "--model gpt-4.1"),
    "ledger verify": ("",),
    "ledger resume": ("", "gpt-4.1"),
    "ledger export": ("",),
    "ledger import": ("ledger.jsonl",),
    "ledger reconcile": ("", "3f2a --as used=12"),
    "outline check": ("",),
    "outline schema": ("",),
    "outline import": ("chapters/07_signals.md --dry-run", "--suggest Pipes --lines 100"),
    "prompt show": ("07 --section 1",),
    "prompt list": ("",),
    "prompt eject": ("section",),
}  # fmt: skip


def test_every_command_is_called() -> None:
    assert set(CALLS) >= set(COMMANDS)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_command_contacts_what_an_untrusted_workspace_names(
    tmp_path: Path, listener: Listener, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = workspace(tmp_path / "w", HOSTILE[name].format(port=listener.port))
    monkeypatch.chdir(root)
    for command in COMMANDS:
        for call in CALLS[command]:
            ran = expand(root, *command.split(), *call.split())
            said = f"{command} {call}: {ran.code} {ran.out} {ran.err}"
            assert ran.code in (0, 2, 5), said
            assert not any(value in said for value in keys.values()), said
            assert listener.connections == 0, said
    assert listener.received == b""


NOTHING_SENT = (
    "plan", "status", "budget", "outline check", "prompt show 07 --section 1", "chapter 07 --dry-run",
    "chapter 07 --model embedded --dry-run", "prompt list",
)  # fmt: skip


@pytest.mark.parametrize("call", NOTHING_SENT)
def test_what_sends_nothing_works_without_trust(tmp_path: Path, keys: dict[str, str], call: str) -> None:
    root = workspace(tmp_path / "w", GREEDY.format(port=9))
    ran = expand(root, *call.split())
    assert ran.code == 0, ran.err
    assert "trust" not in ran.err


@pytest.mark.parametrize(
    "author",
    [
        'provider = "compatible"\nbase_url = "https://llm.example.com/v1"\nmodel = "m"\n',
        'base_url = "http://127.0.0.1:8080/v1"\nmodel = "models/llama.gguf"\n',
    ],
)
def test_what_makes_sense_with_its_address_alone_is_read_without_trust(tmp_path: Path, author: str) -> None:
    root = workspace(tmp_path / "w", f"[author]\n{author}")
    assert expand(root, "budget").code == 0
    ran = expand(root, "chapter", "07")
    assert ran.code == 2
    assert f"`expand trust {root}`" in ran.err


def test_a_run_in_a_pipe_names_the_line_and_the_way_out(tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", '[author]\nbase_url = "http://127.0.0.1:9/v1"\n')
    ran = expand(root, "chapter", "07", "--json")
    assert (ran.code, ran.out) == (2, "")
    assert f"{root}/expand.toml:2:1: author.base_url is http://127.0.0.1:9/v1" in ran.err
    assert f"`expand trust {root}`" in ran.err
    assert "EXPAND_TRUST=1" in ran.err


def test_doctor_reports_the_untrusted_state(tmp_path: Path, listener: Listener, keys: dict[str, str]) -> None:
    root = workspace(tmp_path / "w", HOSTILE["everything"].format(port=listener.port))
    ran = expand(root, "doctor", "--json")
    failed = {one["subject"]: one["message"] for one in ran.json["findings"] if one["status"] == "failure"}
    assert ran.code == 2
    assert set(failed) == {"trust", "ledger"}
    assert "ledger is postgresql://127.0.0.1" in failed["ledger"]
    assert listener.connections == 0


def test_a_trusted_workspace_gets_what_it_names(
    tmp_path: Path, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer() as server:
        root = workspace(tmp_path / "w", GREEDY.format(port=server.port))
        assert expand(root, "chapter", "07", "--section", "3").code == 2
        assert server.requests == []
        assert expand(root, "trust", "--yes").code == 0
        ran = expand(root, "chapter", "07", "--section", "3")
        assert ran.code in (0, 5), ran.err
        assert f"model scripted at 127.0.0.1:{server.port}, with the key in AWS_SECRET_ACCESS_KEY" in ran.err
        asked = expand(root, "doctor")
        assert f"model scripted at 127.0.0.1:{server.port}, with the key in AWS_SECRET_ACCESS_KEY" in asked.err
        sent = {name.lower(): value for name, value in server.requests[0].headers.items()}
    assert (sent["x-key"], sent["x-team"]) == (KEYS["AWS_SECRET_ACCESS_KEY"], "docs")
    others = [value.partition(": ")[2] or value for name, value in KEYS.items() if not name.startswith("AWS")]
    assert not any(value in str(sent) for value in others), "and nothing that is meant for others"


def test_the_password_of_a_ledger_goes_out_only_after_trust(
    tmp_path: Path, listener: Listener, keys: dict[str, str]
) -> None:
    root = workspace(tmp_path / "w", HOSTILE["ledger"].format(port=listener.port))
    ran = expand(root, "budget")
    assert (ran.code, listener.connections) == (2, 0)
    assert "expand.toml:1:1: ledger is postgresql://127.0.0.1" in ran.err
    assert expand(root, "trust", "-y").code == 0
    assert expand(root, "budget").code == 2, "what listens there is no PostgreSQL"
    assert listener.connections > 0
    assert KEYS["PGPASSWORD"].encode() in listener.received


def test_a_ledger_from_the_environment_is_the_users_own(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = workspace(tmp_path / "w", HOSTILE["ledger"].format(port=listener.port))
    monkeypatch.setenv("EXPAND_LEDGER", ".expand/ledger.db")
    assert expand(root, "budget").code == 0
    monkeypatch.setenv("EXPAND_LEDGER", f"postgresql://127.0.0.1:{listener.port}/books")
    assert expand(root, "budget").code == 2
    assert listener.connections > 0


@pytest.mark.parametrize(
    ("ledger", "asks"),
    [
        ("kept/here.db", False),
        ("./ledger.db", False),
        ("kept/../ledger.db", False),
        ("../ledger.db", True),
        ("linked/ledger.db", True),
        ("~/ledger.db", True),
        ("/tmp/ledger.db", True),
        ("~nobody-of-that-name/ledger.db", True),
        (r"a\u0000b", True),
    ],
)
def test_a_ledger_outside_of_the_workspace_needs_trust(tmp_path: Path, ledger: str, asks: bool) -> None:
    root = workspace(tmp_path / "w", f'ledger = "{ledger}"\n')
    (tmp_path / "elsewhere").mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    if not asks:
        assert Workspace.open(root).ledger_place == (root / ledger).resolve()
        return
    with pytest.raises(UntrustedError, match=r"expand\.toml:1:1: ledger is"):
        _ = Workspace.open(root).ledger_place


# --- a key stands for a host ------------------------------------------------------------------

OWN = '[providers.own]\nbase_url = "https://own.example/v1"\n'
OWN_KEY = f'{OWN}key_variable = "OWN_KEY"\n'
OWN_ENVIRONMENT = {**KEYS, "OWN_KEY": "own-0123456789"}
NAMED = '[author]\nmodel = "m"\nprovider = "{}"\n'
AT = '[author]\nmodel = "m"\nbase_url = "{}"\n'
OPENAI_ALONE = {"OPENAI_API_KEY": KEYS["OPENAI_API_KEY"]}


@pytest.mark.parametrize(
    ("file", "environment", "base_url", "variable", "for_openai"),
    [
        # OpenAI's own hosts
        ("", KEYS, None, "OPENAI_API_KEY", True),
        ("", KEYS, "https://eu.api.openai.com/v1", "OPENAI_API_KEY", True),
        (NAMED.format("openai"), KEYS, None, "OPENAI_API_KEY", True),
        (AT.format("https://api.openai.com/v1/"), KEYS, None, "OPENAI_API_KEY", True),
        # a base URL of the command line or the environment
        ("", KEYS, "https://api.example/v1", "OPENAI_API_KEY", True),
        ("", {**KEYS, "OPENAI_BASE_URL": "https://api.example/v1"}, None, "OPENAI_API_KEY", True),
        ("", KEYS, "https://api.openai.com.evil.example/v1", "OPENAI_API_KEY", True),
        ("", KEYS, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", True),
        ("", OPENAI_ALONE, "https://openrouter.ai/api/v1", "OPENAI_API_KEY", True),
        ("", OPENAI_ALONE, "https://n.openai.azure.com/openai/v1", "OPENAI_API_KEY", True),
        ("", KEYS, "https://n.openai.azure.com/openai/v1", "AZURE_OPENAI_API_KEY", True),
        # a base URL of a trusted workspace
        (AT.format("https://api.example/v1"), KEYS, None, "OPENAI_API_KEY", True),
        (AT.format("https://openrouter.ai/api/v1"), KEYS, None, "OPENROUTER_API_KEY", True),
        (AT.format("https://openrouter.ai/api/v1"), OPENAI_ALONE, None, "OPENAI_API_KEY", True),
        # a provider at its own address
        (NAMED.format("openrouter"), KEYS, None, "OPENROUTER_API_KEY", False),
        (NAMED.format("openrouter"), OPENAI_ALONE, None, None, False),
        (NAMED.format("ollama"), KEYS, None, "OLLAMA_API_KEY", False),
        (NAMED.format("llamacpp"), KEYS, None, None, False),
        (NAMED.format("ollama"), OPENAI_ALONE, "http://127.0.0.1:9/v1", "OPENAI_API_KEY", True),
        # a provider of one's own
        (NAMED.format("own") + OWN_KEY, OWN_ENVIRONMENT, None, "OWN_KEY", False),
        (NAMED.format("own") + OWN_KEY, KEYS, None, None, False),
        (NAMED.format("own") + OWN, KEYS, None, "OPENAI_API_KEY", False),
        (OWN_KEY, OWN_ENVIRONMENT, "https://own.example/v1", "OWN_KEY", True),
        (OWN_KEY, KEYS, "https://own.example/v1", "OPENAI_API_KEY", True),
        # OpenAI elsewhere
        ('[providers.openai]\nbase_url = "https://moved.example/v1"\n', KEYS, None, "OPENAI_API_KEY", False),
        ('[providers.openai]\nkey_variable = "OWN_KEY"\n', OWN_ENVIRONMENT, None, "OWN_KEY", True),
        ('[providers.openai]\nkey_variable = "OWN_KEY"\n', KEYS, None, "OPENAI_API_KEY", True),
        # nobody elsewhere
        ('[author]\nmodel = "embedded"\n', KEYS, None, None, False),
    ],
)
def test_a_key_stands_for_a_host(
    tmp_path: Path,
    file: str,
    environment: dict[str, str],
    base_url: str | None,
    variable: str | None,
    for_openai: bool,
) -> None:
    settings = read(tmp_path, file, environment, base_url, trusted=True)
    key = environment[variable] if variable else None
    assert settings.api_key == key
    assert settings.for_openai == for_openai
    if variable:
        assert settings.key_variable == variable
        assert settings.recipient.endswith(f"with the key in {variable}")
    else:
        assert settings.recipient.endswith("without a key")


def read(
    folder: Path,
    text: str,
    environment: dict[str, str],
    base_url: str | None = None,
    *,
    trusted: bool = False,
    **more: Any,
) -> Settings:
    path = folder / "expand.toml"
    path.write_text(text, encoding="utf-8")
    overrides = Overrides(base_url=base_url, **more)
    return read_settings(path, environment=environment, overrides=overrides, trusted=trusted)


@pytest.mark.parametrize(
    ("file", "base_url", "more", "asks"),
    [
        ("", None, {}, False),
        ('[author]\nmodel = "gpt-4.1"\nconcurrency = 3\n[models.m]\nrpm = 9\n', None, {}, False),
        (NAMED.format("openai"), None, {}, False),
        (NAMED.format("embedded"), None, {}, False),
        (AT.format("https://api.openai.com/v1"), None, {}, False),
        (AT.format("https://api.example/v1"), None, {}, True),
        (AT.format("http://127.0.0.1:8080/v1"), None, {}, True),
        (AT.format("https://api.openai.com.evil.example/v1"), None, {}, True),
        (AT.format("https://eu.api.openai.com/v1"), None, {}, True),
        (NAMED.format("openrouter"), None, {}, True),
        (NAMED.format("ollama"), None, {}, True),
        # what the user says makes the file's word idle
        (AT.format("https://api.example/v1"), "https://mine.example/v1", {}, False),
        (NAMED.format("openrouter"), "https://mine.example/v1", {}, False),
        (AT.format("https://api.example/v1"), None, {"model": "embedded"}, False),
        (OWN_KEY, "https://mine.example/v1", {}, False),
        # but not its word about the user's host
        ('[providers.own]\nhosts = ["mine.example"]\nkey_variable = "OWN_KEY"\n', "https://mine.example/v1", {}, True),
        ('[providers.own]\nhosts = ["*"]\nkey_header = "X-Key"\n', "https://mine.example/v1", {}, True),
        ('[providers.own]\nhosts = ["*"]\nheaders = { X-A = "b" }\n', "https://mine.example/v1", {}, True),
        ('[providers.openai]\nkey_variable = "OWN_KEY"\n', None, {}, True),
        ('[providers.openai]\nheaders = { X-A = "b" }\n', None, {}, True),
        ('[providers.openai]\nbase_url = "https://moved.example/v1"\n', None, {}, True),
        ('[providers.openai.profile]\nrpm = 9\n', None, {}, False),
    ],
)  # fmt: skip
def test_trust_is_needed_only_where_the_file_makes_a_difference(
    tmp_path: Path, file: str, base_url: str | None, more: dict[str, Any], asks: bool
) -> None:
    settings = read(tmp_path, file, OWN_ENVIRONMENT, base_url, **more)
    assert (settings.untrusted is not None) == asks
    if asks:
        assert settings.api_key is None
        with pytest.raises(UntrustedError):
            require_author(settings, path=tmp_path)
        assert read(tmp_path, file, {**OWN_ENVIRONMENT, "EXPAND_TRUST": "1"}, base_url, **more).untrusted is None
    else:
        require_author(settings, path=tmp_path)


def test_a_key_of_the_caller_goes_where_the_run_goes(tmp_path: Path) -> None:
    settings = read(tmp_path, NAMED.format("openrouter"), KEYS, api_key="sk-given", trusted=True)
    assert (settings.api_key, settings.key_variable) == ("sk-given", "api_key")
    assert read(tmp_path, NAMED.format("openrouter"), {}, api_key="sk-given").api_key is None


def test_what_is_meant_for_openai_goes_to_a_base_url_of_the_users(tmp_path: Path, keys: dict[str, str]) -> None:
    root = small(tmp_path / "w")
    with ScriptedServer() as server:
        assert expand(root, "chapter", "07", "--section", "3", "--base-url", server.base_url).code in (0, 5)
        sent = {name.lower(): value for name, value in server.requests[0].headers.items()}
    assert sent["authorization"] == f"Bearer {KEYS['OPENAI_API_KEY']}"
    assert (sent["openai-organization"], sent["x-custom"]) == (KEYS["OPENAI_ORG_ID"], "custom-0123456789")


def test_openai_at_another_base_url_gets_the_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPAND_TRUST", "1")
    with ScriptedServer() as server:
        root = workspace(
            tmp_path / "w", f'[author]\nmodel = "scripted"\n[providers.openai]\nbase_url = "{server.base_url}"\n'
        )
        assert expand(root, "chapter", "07", "--section", "3").code in (0, 5)
        assert server.requests


def test_every_key_of_a_provider_is_either_routing_or_known_to_be_harmless() -> None:
    keys = set(SETTINGS.schema["properties"]["providers"]["additionalProperties"]["properties"])
    assert keys - ROUTING_KEYS == {"title", "needs_key", "exact_tokens", "profile", "advice"}


@pytest.mark.parametrize(
    "text",
    [
        'author = 3\nledger = "../x.db"',
        'ledger = "../x.db"\n[author]\nprovider = ["openai"]\nheaders = 4',
        'models = [1]\nproviders = "p"\nledger = "../x.db"',
        'ledger = "../x.db"\n[providers]\np = 4\nq = { hosts = { a = 1 }, headers = [[1]] }',
    ],
)
def test_a_file_with_other_mistakes_is_refused_all_the_same(tmp_path: Path, text: str) -> None:
    root = workspace(tmp_path / "w", text)
    with pytest.raises(UntrustedError, match=r"ledger is \.\./x\.db"):
        _ = Workspace.open(root).ledger_place


# --- consent ----------------------------------------------------------------------------------


def test_consent_holds_for_a_folder_and_what_its_file_says(tmp_path: Path) -> None:
    text = AT.format("https://api.example/v1")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert read(tmp_path / "a", text, KEYS).untrusted is not None
    kept = remember(read_destinations(tmp_path / "a" / "expand.toml"))
    assert read(tmp_path / "a", text, KEYS).api_key == KEYS["OPENAI_API_KEY"]
    assert read(tmp_path / "b", text, KEYS).untrusted is not None, "another folder"
    harmless = f"{text}concurrency = 9\n[models.m]\nrpm = 3\n# a comment\n".replace('"m"', '"n"')
    assert read(tmp_path / "a", harmless, KEYS).untrusted is None
    for changed in (
        text.replace("api.example", "api2.example"),
        f'{text}[providers.own]\nhosts = ["api.example"]\n',
        f'ledger = "../x.db"\n{text}',
    ):
        assert read(tmp_path / "a", changed, KEYS).untrusted is not None, changed
    assert read(tmp_path / "a", text, KEYS).untrusted is None, "back again"
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    (kept.parent / "notes.json").write_text("[]")
    assert (forget(tmp_path / "b"), forget(tmp_path / "a"), forget(tmp_path / "a")) == (0, 1, 0)
    assert read(tmp_path / "a", text, KEYS).untrusted is not None


@pytest.mark.parametrize(("value", "trusts"), [("1", True), ("true", True), ("yes", True), ("0", False), ("", False)])
def test_the_environment_can_vouch(tmp_path: Path, value: str, trusts: bool) -> None:
    settings = read(tmp_path, AT.format("https://api.example/v1"), {**KEYS, "EXPAND_TRUST": value})
    assert (settings.untrusted is None) == trusts
    assert find_workspace(tmp_path, environment={"EXPAND_TRUST": value}).trusted == trusts


def test_a_word_that_is_neither_yes_nor_no_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="EXPAND_TRUST is 'on'; give 1"):
        read(tmp_path, "", {"EXPAND_TRUST": "on"})


def test_a_consent_that_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = workspace(tmp_path / "w", AT.format("https://api.example/v1"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    ran = expand(root, "trust", "--yes")
    assert ran.code == 2
    assert "cannot be kept in" in ran.err
    assert "EXPAND_TRUST=1" in ran.err
    # A relative directory could be the workspace's.
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: Path("config"))
    monkeypatch.chdir(root)
    assert expand(root, "trust", "--yes").code == 2
    assert read_destinations(root / "expand.toml").trusted is False


async def test_the_library_takes_the_callers_word(tmp_path: Path, keys: dict[str, str]) -> None:
    with ScriptedServer() as server:
        root = workspace(tmp_path / "w", f'[author]\nmodel = "scripted"\nbase_url = "{server.base_url}"\n')
        assert dry_run(Workspace.open(root), "07")
        with pytest.raises(UntrustedError):
            await expand_chapter(Workspace.open(root), "07")
        assert not (root / ".expand").exists()
        assert server.requests == []
        result = await expand_chapter(Workspace.open(root, trust=True), "07", sections=[3])
    assert result.answers > 0


# --- the command and the question -------------------------------------------------------------


def test_the_command_shows_what_is_named(tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", 'ledger = "postgresql://u:hidden@h/d"\n' + GREEDY.format(port=9))
    ran = expand(root, "trust")
    assert ran.code == 2, "nobody can be asked"
    assert "give --yes, or set EXPAND_TRUST=1" in ran.err
    shown = " ".join(ran.out.split())
    for words in (
        "line 1 ledger postgresql://u@h/d?schema=expand",
        "providers.greedy.base_url http://127.0.0.1:9/v1",
        "providers.greedy.hosts api.openai.com, *",
        "providers.greedy.key_variable AWS_SECRET_ACCESS_KEY",
        "providers.greedy.headers X-Team",
        "sends prompts (outlines, sources, drafts) to scripted at 127.0.0.1:9, without a key",
        "The ledger goes to postgresql://u@h/d?schema=expand, with the password from PGPASSWORD",
    ):
        assert words in shown
    assert "hidden" not in ran.out
    asked = expand(root, "trust", "--json")
    assert (asked.code, asked.json["trusted"]) == (0, False)
    assert asked.json["names"][0] == {"key": "ledger", "value": "postgresql://u@h/d?schema=expand", "line": 1}
    assert expand(root, "trust", "--yes", "--json").json["trusted"] is True
    assert expand(root, "trust").out.endswith("you trust it\n")
    assert expand(root, "trust", "--revoke").out.endswith("you do not trust it\n")
    assert expand(root, "trust", "--json").json["trusted"] is False


def test_a_file_ledger_elsewhere_is_shown(tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", 'ledger = "../x.db"\n')
    assert "The ledger is written to ../x.db, outside of the workspace." in expand(root, "trust").out


def test_no_letter_passes_for_another(tmp_path: Path) -> None:
    root = workspace(
        tmp_path / "w", '[author]\nmodel = "m\\u001b[2K"\nbase_url = "https://api.\\u043epenai.com\\u202e/v1"\n'
    )
    shown = expand(root, "trust").out
    assert "https://api.\\u043epenai.com\\u202e/v1" in shown
    assert "to m\\u001b[2K at api.\\u043epenai.com\\u202e, without a key." in shown
    assert not {"\x1b", "\u202e", "\u043e"} & set(shown)


def test_an_ordinary_workspace_needs_no_trust(tmp_path: Path) -> None:
    ran = expand(small(tmp_path / "w"), "trust")
    assert (ran.code, ran.err) == (0, "")
    assert "there is nothing to trust" in ran.out
    assert read_destinations(Path(__file__).parents[1] / "expand.toml").statements == ()


def ask(root: Path, answer: str, *arguments: str) -> tuple[int, str, str]:
    """Runs a command on a terminal and answers its question. Returns exit code, stdout and what the terminal shows."""
    here, there = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "expand", *arguments], cwd=root, stdin=there, stdout=subprocess.PIPE, stderr=there
    ) as process:
        os.close(there)
        shown, answered = b"", False
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                shown += os.read(here, 65_536)
            except OSError:  # the other side is closed
                break
            if not answered and b"[y/N]" in shown:
                os.write(here, answer.encode())
                answered = True
        out = process.communicate(timeout=60)[0].decode()
    os.close(here)
    return process.returncode, out, shown.decode()


def test_a_terminal_asks_once(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        root = workspace(tmp_path / "w", f'[author]\nmodel = "scripted"\nbase_url = "{server.base_url}"\n')
        call = ("chapter", "07", "--section", "3", "--json")
        code, out, shown = ask(root, "\n", *call)
        assert (code, out, server.requests) == (2, "", [])
        assert "Do you trust this workspace? [y/N]" in shown
        assert f"to scripted at 127.0.0.1:{server.port}, without a key" in shown
        code, out, shown = ask(root, "y\n", *call)
        assert code in (0, 5), shown
        assert server.requests
        assert '"drafted"' in out
        code, _, shown = ask(root, "", *call)
        assert code in (0, 5)
        assert "[y/N]" not in shown
