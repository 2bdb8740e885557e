"""Streamed and plain answers, and the environment of the SDK, through the whole tool."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from scripted_server import Received, ScriptedServer, WireServer
from workspaces import Ran, expand, small

PROFILE = '[author]\nmodel = "scripted"\n[models.scripted]\n'
LETTERS = re.compile(r"[^\W\d_]+")


@dataclass
class KeepingServer(WireServer):
    """Keeps the text of each answer, by the number of its request."""

    texts: list[str] = field(default_factory=list)

    def write(self, received: Received) -> tuple[str, str]:
        text, finish = super().write(received)
        self.texts.append(text)
        return text, finish


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return small(tmp_path / "book")


@pytest.fixture
def server() -> Iterator[KeepingServer]:
    with KeepingServer() as running:
        yield running


def chapter(place: Path, server: ScriptedServer, *arguments: str) -> Ran:
    return expand(place, "chapter", "07", "--base-url", server.base_url, "--concurrency", "1", "--json", *arguments)


def purposes(server: ScriptedServer) -> list[str]:
    return [request.headers["X-Client-Request-Id"].split("/")[2] for request in server.requests]


def words_of(text: str) -> str:
    """The text without its layout, which the tool sets."""
    return " ".join(LETTERS.findall(text))


@pytest.mark.parametrize("habit", ["broken_stream", "broken_stream_with_usage", "unfinished_stream", "error_in_stream"])
def test_text_that_arrived_before_a_stream_broke_is_drafted_and_continued(
    place: Path, server: KeepingServer, habit: str
) -> None:
    server.habit, server.at = habit, (1, 3)
    ran = chapter(place, server)

    assert ran.code == 0, ran.err
    assert purposes(server)[:5] == ["draft", "draft", "continue", "draft", "continue"]
    draft = words_of((place / "drafts/07.md").read_text(encoding="utf-8"))
    for cut in (1, 3):
        # The opening line and the first half of the rest arrived; a sentence that nothing goes on from is left out.
        arrived = server.texts[cut][: len(server.texts[cut]) // 2]
        assert words_of(arrived.rpartition("\n")[0]) in draft
    assert ran.json["attempts"] == ran.json["answers"] == len(server.requests)
    assert ran.json["budget"]["reserved"] == 0
    assert ran.json["budget"]["used"] - 1000 >= server.billed_tokens  # 1,000 are the book's opening balance

    sent = len(server.requests)
    again = chapter(place, server)
    assert (again.code, again.json["attempts"], len(server.requests)) == (0, 0, sent)


def test_a_cut_answer_is_not_bought_again_by_the_run_after_one_that_failed(place: Path, server: KeepingServer) -> None:
    server.script = ("broken_stream", "unauthorized")
    failed = chapter(place, server, "--section", "1")
    assert failed.code == 4
    assert purposes(server) == ["draft", "continue"]
    first = server.requests[0].last_user_message
    used = failed.json["budget"]["used"]

    server.requests.clear()
    server.script = ()
    ran = chapter(place, server, "--section", "1")
    assert ran.code == 0, ran.err
    assert purposes(server)[0] == "continue"
    assert first not in [request.last_user_message for request in server.requests]
    assert ran.json["budget"]["used"] > used
    arrived = server.texts[0][: len(server.texts[0]) // 2]
    assert words_of(arrived.rpartition("\n")[0]) in words_of((place / "drafts/07.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("stream", [True, False])
def test_the_profile_says_whether_answers_are_streamed(place: Path, server: KeepingServer, stream: bool) -> None:
    (place / "expand.toml").write_text(f"{PROFILE}stream = {str(stream).lower()}\n", encoding="utf-8")
    ran = chapter(place, server)
    assert ran.code == 0, ran.err
    assert {request.streamed for request in server.requests} == {stream}
    assert {request.body.get("stream_options") == {"include_usage": True} for request in server.requests} == {stream}
    assert ran.json["budget"]["used"] - 1000 == server.billed_tokens


def test_variables_of_the_sdk_hold_for_the_tool(
    place: Path, server: KeepingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Team: docs\nX-Trace: a: b")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")
    ran = expand(place, "chapter", "07", "--section", "3", "--json")
    assert ran.code == 0, ran.err
    assert server.requests
    for request in server.requests:
        sent = [request.headers[name] for name in ("OpenAI-Organization", "OpenAI-Project", "X-Team", "X-Trace")]
        assert sent == ["org-1", "proj-1", "docs", "a: b"]
        assert request.headers["Authorization"] == "Bearer key-of-a-test"
