"""Answers are data: no key changes them. A key is in nothing else that the tool writes or says."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from batch_server import BatchServer
from scripted_server import Received, ScriptedServer
from workspaces import expand, small, start

PLACEHOLDERS = ("k", "sk", "EMPTY", "ollama", "test")
"""What users give as a key to servers that need none."""

SECRET = "sk-proj-4fK9xQ2mV7bN1cR8tY3wZ6pL0sD5gH7jA2eU"


WORDS = "Use `EMPTY` for ollama, sk, k or test, in every test of a task."


@dataclass
class Wordy(ScriptedServer):
    """Writes the words that users give as keys, and control characters that a link's finding quotes."""

    texts: list[str] = field(default_factory=list)
    more: str = WORDS

    def write(self, received: Received) -> tuple[str, str]:
        text, finish = super().write(received)
        text = f"{text.rstrip()}\n\n{self.more}\n"
        self.texts.append(text)
        return text, finish


@dataclass
class WordyBatches(BatchServer):
    """Writes those words in batches."""

    texts: list[str] = field(default_factory=list)

    def _completion(self, batch: str, custom_id: str, body: dict[str, Any]) -> dict[str, Any]:
        completion = super()._completion(batch, custom_id, body)
        message = completion["choices"][0]["message"]
        message["content"] += f"\n{WORDS}\n"
        self.texts.append(message["content"])
        return completion


def answers(place: Path) -> list[str]:
    """The texts in the ledger."""
    with closing(sqlite3.connect(place / ".expand/ledger.db")) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM answer ORDER BY attempt")]


def draft(place: Path) -> bytes:
    """The draft without its last line, which names the model's address."""
    return (place / "drafts/07.md").read_bytes()


def drafted(folder: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> tuple[list[str], list[str], bytes]:
    """The server's texts, the ledger's, and the draft of a chapter."""
    place = small(folder)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with Wordy() as server:
        ran = expand(place, "chapter", "07", "--base-url", server.base_url, "--concurrency", "1", "--json")
        assert ran.code in (0, 5), ran.err
        assert all(request.headers["Authorization"] == f"Bearer {key}" for request in server.requests)
        return server.texts, answers(place), draft(place)


def test_no_key_changes_an_answer_or_a_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, stored, plain = drafted(tmp_path / "none", monkeypatch, "zzzz-not-in-any-text")
    assert sorted(sent) == sorted(stored)
    assert b"Use `EMPTY` for ollama, sk, k or test" in plain
    for key in PLACEHOLDERS:
        texts, kept, file = drafted(tmp_path / key, monkeypatch, key)
        assert sorted(texts) == sorted(kept) == sorted(sent)
        assert file == plain


@pytest.mark.parametrize("key", PLACEHOLDERS)
def test_no_key_changes_the_answers_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    files: dict[str, tuple[list[str], bytes]] = {}
    for name in ("zzzz-not-in-any-text", key):
        place = small(tmp_path / name)
        monkeypatch.setenv("OPENAI_API_KEY", name)
        with WordyBatches() as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
            for _ in range(2):
                submitted = expand(place, "chapter", "07", "--batch", "submit")
                collected = expand(place, "chapter", "07", "--batch", "collect")
                assert {submitted.code, collected.code} <= {0, 5}, submitted.err + collected.err
            assert sorted(server.texts) == sorted(answers(place))
        files[name] = (sorted(answers(place)), draft(place))
    assert files[key] == files["zzzz-not-in-any-text"]
    assert all(key in text for text in files[key][0])


class Echo(BaseHTTPRequestHandler):
    """Repeats the key of a request in whatever way its model's name says."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self.answer(404, {"error": {"message": f"no such path for {self.headers['Authorization']}"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = str(self.headers["Authorization"])
        said = f"the key {key} is known to be {key[7:]}"
        match body["model"]:
            case "gateway":
                self.answer(401, {"error": {"message": f"no such token: {self.headers['X-Gateway-Token']}"}})
            case "refused":
                self.answer(401, {"error": {"message": said, "code": said}})
            case "long":
                self.answer(401, {"error": {"message": "x" * 262 + " " + said}})
            case "text":
                self.answer(400, said)
            case "in-success":
                self.answer(200, {"error": {"message": said}})
            case "page":
                self.answer(200, f"<html>{said}</html>")
            case "redirect":
                self.answer(307, {}, Location=f"http://127.0.0.1:9/?key={SECRET}")
            case "limited":
                self.answer(402, {"detail": said}, **{"x-request-id": SECRET})
            case _:
                message = {"content": "One line of text.\n"}
                data = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"error": said}}
                self.answer(200, data, **{"x-request-id": f"Bearer {SECRET}"})

    def answer(self, status: int, data: Any, **headers: str) -> None:
        body = (data if isinstance(data, str) else json.dumps(data)).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.mark.parametrize("model", ["refused", "long", "text", "in-success", "page", "redirect", "limited", "header"])
def test_a_key_that_the_provider_repeats_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: str, model: str
) -> None:
    place = small(tmp_path / "w")
    (place / "expand.toml").write_text(f'[author]\nmodel = "{model}"\n', encoding="utf-8")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    said = ""
    for arguments in (
        ("chapter", "07", "--verbose", "--base-url", echo),
        ("chapter", "07", "--json", "--base-url", echo, "--section", "1"),
        ("budget", "--format", "json"),
        ("ledger", "reconcile"),
        ("ledger", "export"),
        ("doctor", "--json"),
    ):
        ran = expand(place, *arguments)
        assert ran.code in (0, 2, 4, 5), ran.err
        said += ran.out + ran.err
    assert SECRET not in said
    assert "Authorization" not in said
    # Nor a part of it that could be guessed from.
    assert SECRET[:16] not in said
    for path in (path for path in place.rglob("*") if path.is_file()):
        assert SECRET.encode()[:16] not in path.read_bytes(), path


def test_a_header_that_is_named_like_a_key_is_hidden_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: str
) -> None:
    place, token = small(tmp_path / "w"), "winter-harbour-thistle-fortnight"
    settings = f"""\
[author]
model = "gateway"
provider = "gateway"
[providers.gateway]
title = "A gateway"
base_url = "{echo}"
headers = {{X-Gateway-Token = "Basic {token}", X-Title = "a long public title"}}
"""
    (place / "expand.toml").write_text(settings, encoding="utf-8")
    monkeypatch.setenv("EXPAND_TRUST", "1")
    ran = expand(place, "chapter", "07", "--verbose")
    assert ran.code == 4, ran.err
    assert "no such token: Basic [key]" in ran.err
    assert token not in ran.out + ran.err
    ran = expand(place, "doctor", "--json")
    assert token not in ran.out + ran.err
    assert not any(token.encode() in path.read_bytes() for path in place.glob(".expand/ledger.db*"))


def test_a_key_is_in_no_title_of_a_process_and_on_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = small(tmp_path / "w")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with ScriptedServer(latency_seconds=0.5) as server:
        process = start(place, "chapter", "07", "--base-url", server.base_url, "--verbose")
        until = time.monotonic() + 30
        while not server.requests and time.monotonic() < until:
            time.sleep(0.05)
        titles = Path(f"/proc/{process.pid}/cmdline"), Path(f"/proc/{process.pid}/comm")
        seen = b"".join(path.read_bytes() for path in titles if path.exists())
        out, err = process.communicate(timeout=60)
    assert server.requests
    assert SECRET not in seen.decode() + out + err


def test_a_key_in_an_answer_is_data_and_hidden_where_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = small(tmp_path / "w")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with Wordy(more=f"See [the {SECRET} notes](nowhere-{SECRET}.md).") as server:
        ran = expand(place, "chapter", "07", "--base-url", server.base_url)
        assert ran.code == 5, ran.err
    assert SECRET in (place / "drafts/07.md").read_text(encoding="utf-8")
    assert all(SECRET in text for text in answers(place))
    shown = ran.out + ran.err
    for arguments in (("review", "07"), ("review", "07", "--json"), ("review", "07", "--format", "markdown")):
        shown += expand(place, *arguments).out
    assert "nowhere-[key].md" in shown
    assert SECRET not in shown


def test_control_characters_of_an_answer_reach_no_terminal_and_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = small(tmp_path / "w")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    link = "See [a](no\x1b[31mwhere.md), [b](gone\x9b31m.md) and [c](re\u202everse.md)."
    with Wordy(more=link) as server:
        expand(place, "chapter", "07", "--base-url", server.base_url)
    # As if a person had put them there, whatever the tool takes out of answers.
    path = place / "drafts/07.md"
    path.write_text(path.read_text(encoding="utf-8").replace("See ", f"{link} See ", 1), encoding="utf-8")
    report = tmp_path / "report"
    expand(place, "review", "07", "-o", str(report))
    shown = report.read_text(encoding="utf-8")
    for arguments in (("review", "07"), ("review", "07", "--json"), ("review", "07", "--format", "markdown")):
        ran = expand(place, *arguments)
        shown += ran.out + ran.err
    assert not re.search("[\x1b\x80-\x9f\u202e]", shown)


def test_a_control_character_in_an_argument_is_shown_as_what_it_is(tmp_path: Path) -> None:
    ran = expand(small(tmp_path / "w"), "review", "\x1b]0;title\x07")
    assert ran.code == 2
    assert r"\u001b]0;title\u0007" in ran.err
    assert "\x1b" not in ran.err


def test_a_traceback_passes_the_same_door() -> None:
    """What a defect raises is shown by the interpreter, after the command has ended."""
    program = (
        "import os\nfrom expand.cli.output import guard\nfrom expand.redaction import note_keys\n"
        "key = os.environ['OPENAI_API_KEY']\nnote_keys([key])\nguard()\nraise ValueError('\\x1b[2J ' + key)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENAI_API_KEY": SECRET},
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == r"ValueError: \u001b[2J [key]"
