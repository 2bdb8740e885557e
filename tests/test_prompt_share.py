"""What a provider's prompt cache can serve: the share of a chapter's prompt tokens that stand in
front, byte for byte the same in all of its requests.

The goal is 70 %, for whole runs over the shipped chapters, continuations and repairs included.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_server import Received, ScriptedServer
from workspaces import expand, shipped

from expand.llm.tokens import TokenCounter

GOAL = 0.7
LEAST_CACHED_TOKENS = 1_024
"""OpenAI serves no shorter prefix from its cache."""


def messages(received: Received) -> tuple[str, str]:
    system, user = received.body["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    return system["content"], user["content"]


def shared(requests: list[Received], counter: TokenCounter) -> tuple[int, float]:
    """Tokens of the prefix that all requests share, and their share of all prompt tokens.

    The first request counts too, though nothing can be cached for it; of the user's message, what
    is the same at its beginning is left out, to be on the safe side of where tokens end.
    """
    systems = {messages(received)[0] for received in requests}
    assert len(systems) == 1, "the first message is the same for a whole chapter"
    prefix = counter.count(systems.pop())
    whole = sum(prefix + counter.count(messages(received)[1]) for received in requests)
    return prefix, prefix * len(requests) / whole


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("style", "ratio"), [("", 0.45), ("tutorial", 0.45), ("reference", 1.0)])
def test_most_of_a_chapters_prompts_is_one_prefix(tmp_path: Path, language: str, style: str, ratio: float) -> None:
    place = shipped(tmp_path / "workspace")
    if style:
        book = place / "outlines" / "book.yaml"
        book.write_text(book.read_text(encoding="utf-8") + f"style: {style}\n", encoding="utf-8")
    counter = TokenCounter("gpt-5-mini")
    for chapter in ("03", "04", "05"):
        with ScriptedServer(ratio=ratio) as server:
            arguments = ("--language", language, "--base-url", server.base_url)
            assert expand(place, "chapter", chapter, *arguments).code in (0, 5)
            kinds = {r.headers["X-Client-Request-Id"].split("/")[2] for r in server.requests}
        assert "draft" in kinds
        prefix, share = shared(server.requests, counter)
        assert share >= GOAL, f"chapter {chapter}: {share:.1%}"
        assert prefix >= LEAST_CACHED_TOKENS, f"chapter {chapter}: {prefix:,} tokens"


def test_requests_share_nothing_that_changes(tmp_path: Path) -> None:
    place = shipped(tmp_path / "workspace")
    with ScriptedServer(ratio=0.45) as server:
        expand(place, "chapter", "03", "--base-url", server.base_url)
    users = [messages(received)[1] for received in server.requests]
    assert len(set(users)) == len(users)
    kinds = {user.partition(" ")[0] for user in users}
    assert {"Now", "Section"} <= kinds, "the system message is where it is the same"
