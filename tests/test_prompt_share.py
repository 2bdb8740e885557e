"""What a provider's prompt cache can serve: the share of a chapter's prompt tokens that stand in
front, byte for byte the same in all of its requests.

The goal is 70 %, for whole runs over the shipped chapters, continuations and repairs included.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
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


@pytest.mark.parametrize(
    ("chapter", "language", "style", "ratio"),
    [  # each chapter in each style, and each of both in both languages
        ("03", "en", "", 0.45),
        ("04", "zh", "", 0.45),
        ("05", "zh", "", 0.45),
        ("03", "zh", "tutorial", 0.45),
        ("04", "en", "tutorial", 0.45),
        ("05", "en", "tutorial", 0.45),
        ("03", "zh", "reference", 1.0),
        ("04", "en", "reference", 1.0),
        ("05", "en", "reference", 1.0),
    ],
)
def test_most_of_a_chapters_prompts_is_one_prefix(
    tmp_path: Path, chapter: str, language: str, style: str, ratio: float
) -> None:
    place = shipped(tmp_path / "workspace")
    if style:
        book = place / "outlines" / "book.yaml"
        book.write_text(book.read_text(encoding="utf-8") + f"style: {style}\n", encoding="utf-8")
    with ScriptedServer(ratio=ratio) as server:
        # A read-through is one request that has the whole draft in it, which no other request has.
        arguments = ("--language", language, "--base-url", server.base_url, "--no-read")
        assert expand(place, "chapter", chapter, *arguments).code in (0, 5)
        kinds = {r.headers["X-Client-Request-Id"].split("/")[2] for r in server.requests}
    assert "draft" in kinds
    prefix, share = shared(server.requests, TokenCounter("gpt-5-mini"))
    assert share >= GOAL, f"{share:.1%}"
    assert prefix >= LEAST_CACHED_TOKENS, f"{prefix:,} tokens"


def briefed(place: Path, chapter: str) -> None:
    """Gives the chapter a brief with an entry of some length for each section, a voice, a memory and references."""
    outline = yaml.safe_load((place / f"outlines/{chapter}.yaml").read_text(encoding="utf-8"))
    entries = [
        {
            "title": section["title"]["en"],
            "opening": "With what the section before has set up, this one measures and says what the figures mean.",
            "introduces": ["Worker::start", "JobId", "PROCKIT_FAULT"],
            "relies_on": ["Worker from section 1", "the trace that section 2 writes"],
            "must_not_repeat": ["how debug information is switched on"],
            "topics": [
                {"title": topic["en"], "examples": 2, "shows": ["the call on the running example", "its output"]}
                for topic in section.get("topics", ({"en": "All"},))
            ],
        }
        for section in outline["sections"]
    ]
    shared = {"edition": "2024", "packages": {"libc": "0.2.150"}, "notes": ["Errors are std::io::Error throughout."]}
    terms = {f"term {number}": f"what the book says of it in chapter {number}, in some words" for number in range(40)}
    for name, data in ((f"briefs/{chapter}", {**shared, "sections": entries}), ("memory/01", {"terms": terms})):
        path = place / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    passage = "".join(f"## Part {n}\n\n{'You measure the copy before you change it. ' * 20}\n\n" for n in range(4))
    (place / "chapters/01.md").write_text(f"# One\n\n{passage}", encoding="utf-8")
    book = place / "outlines/book.yaml"
    own = book.read_text(encoding="utf-8").replace("- id: 01\n", "- id: 01\n    source: chapters/01.md\n", 1)
    notes = "".join(
        f"## Note {n}\n\nThe perf tool samples the stack {n} times a second. It needs no root.\n\n" for n in range(90)
    )
    (place / "notes").mkdir()
    (place / "notes/perf.md").write_text(f"# Notes\n\n{notes}", encoding="utf-8")
    book.write_text(f"voice: [01]\nreferences: [notes/]\n{own}", encoding="utf-8")


@pytest.mark.parametrize("ratio", [0.45, 1.0])
def test_brief_voice_memory_and_references_are_in_the_prefix(tmp_path: Path, ratio: float) -> None:
    place = shipped(tmp_path / "workspace")
    briefed(place, "03")
    with ScriptedServer(ratio=ratio) as server:
        ran = expand(place, "chapter", "03", "--base-url", server.base_url, "--json")
    assert ran.code in (0, 5)
    system = messages(server.requests[0])[0]
    for said in (
        "Errors are std::io::Error throughout",
        "You measure the copy",
        "- term 0: what the book says",
        "[R1] notes/",
    ):
        assert said in system
    assert any("Worker from section 1" in messages(received)[1] for received in server.requests)
    counter = TokenCounter("gpt-5-mini")
    prefix, share = shared(server.requests, counter)
    assert share >= GOAL, f"{share:.1%}"
    assert prefix >= LEAST_CACHED_TOKENS
    tokens = [section["tokens"] for section in ran.json["chapters"][0]["sections"]]
    cached, sent = (sum(one[name] for one in tokens) for name in ("cached", "prompt"))
    assert cached / sent >= GOAL, f"{cached / sent:.1%}"  # by what the server says of each request


def test_requests_share_nothing_that_changes(tmp_path: Path) -> None:
    place = shipped(tmp_path / "workspace")
    with ScriptedServer(ratio=0.45) as server:
        expand(place, "chapter", "03", "--base-url", server.base_url)
    users = [messages(received)[1] for received in server.requests]
    assert len(set(users)) == len(users)
    kinds = {user.partition(" ")[0] for user in users}
    assert {"Now", "Section"} <= kinds, "the system message is where it is the same"
