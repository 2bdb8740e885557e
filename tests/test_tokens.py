from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
import tiktoken.registry

from expand.errors import InputError
from expand.llm import tokens
from expand.llm.tokens import TokenCounter, raised
from expand.llm.types import Message

MESSAGES = (
    Message(role="system", content="You are terse."),
    Message(role="user", content="Count me."),
)


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """tiktoken as it is before anything was loaded."""
    tokens.load_ranks.cache_clear()
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)


@pytest.mark.parametrize(
    ("model", "encoding", "exact"),
    [
        ("gpt-4o", "o200k_base", True),
        ("gpt-5-mini", "o200k_base", True),
        ("openai/gpt-4.1", "o200k_base", True),
        ("gpt-4", "cl100k_base", True),
        ("gpt-oss-20b", "o200k_harmony", True),
        ("smollm2-135m-instruct", "o200k_base", False),
        ("claude-sonnet-4-5", "o200k_base", False),
        ("davinci", "o200k_base", False),
    ],
)
def test_counts_with_the_models_own_encoding_or_says_that_it_estimates(model: str, encoding: str, exact: bool) -> None:
    counter = TokenCounter(model)
    assert (counter.encoding, counter.exact) == (encoding, exact)


def test_known_counts() -> None:
    assert TokenCounter("gpt-4o").count("hello world") == 2
    assert TokenCounter("gpt-4").count("零拷贝技术") == 9
    assert TokenCounter("gpt-4o").count("零拷贝技术") < 9
    assert TokenCounter("gpt-4o").count("") == 0


def test_special_words_are_counted_as_text() -> None:
    assert TokenCounter("gpt-4o").count("<|endoftext|>") > 1


def test_messages_count_their_frame() -> None:
    counter = TokenCounter("gpt-4o")
    texts = sum(counter.count(m.content) for m in MESSAGES)
    assert counter.count_messages(MESSAGES) == texts + 2 * 4 + 3
    assert counter.count_messages(()) == 3


def test_a_margin_is_rounded_up() -> None:
    assert raised(17, Decimal(0)) == 17
    assert raised(17, Decimal("0.001")) == 18
    assert raised(17, Decimal(1)) == 34


@pytest.mark.usefixtures("unloaded")
def test_loading_leaves_the_environment_as_it_was() -> None:
    assert TokenCounter("gpt-4o").count("a") == 1
    assert "TIKTOKEN_CACHE_DIR" not in os.environ


@pytest.mark.usefixtures("unloaded")
def test_works_offline_when_the_users_cache_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert TokenCounter("gpt-4").count("a") == 1
    assert os.environ["TIKTOKEN_CACHE_DIR"] == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(("content", "word"), [(b"IQ== 0\n", "damaged"), (None, "missing")])
def test_a_bad_rank_file_is_named_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, word: str
) -> None:
    monkeypatch.setattr(tokens, "RANKS_FOLDER", tmp_path)
    path = tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"{word}; install the package again") as caught:
        TokenCounter("gpt-4o").count("a")
    assert str(caught.value).startswith(str(path))
    assert path.exists() is (content is not None)


@pytest.mark.usefixtures("unloaded")
def test_threads_may_share_a_counter() -> None:
    counter = TokenCounter("gpt-4o")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(counter.count, ["hello world"] * 64)) == {2}
