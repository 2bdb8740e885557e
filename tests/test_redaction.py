"""What leaves for a terminal, a log, a report or a message: keys hidden, control characters visible."""

from __future__ import annotations

import io
import json
import sys
import threading
from pathlib import Path
from typing import TextIO, cast

import pytest

from expand.checks.finding import finding
from expand.cli.output import SafeStream, guard, unguarded, write_data
from expand.cli.run_output import folded
from expand.errors import InputError, Place
from expand.llm.types import AttemptFailedError, Failure
from expand.redaction import hidden, note_keys, printable, visible
from expand.settings import read_settings


@pytest.mark.parametrize(("key", "is_hidden"), [("k" * 11, False), ("k" * 12, True), ("", False), (None, False)])
def test_a_key_is_hidden_if_it_is_long_enough_to_be_one(key: str | None, is_hidden: bool) -> None:
    note_keys([key])
    said = f"no {key} here"
    assert hidden(said) == ("no [key] here" if is_hidden else said)


def test_a_word_of_the_settings_is_no_secret_in_whichever_order_they_are_read(tmp_path: Path) -> None:
    note_keys(["llama-3.1-70b"])
    assert hidden("llama-3.1-70b") == "[key]"
    path = tmp_path / "expand.toml"
    path.write_text('[author]\nmodel = "llama-3.1-70b-instruct"\nbase_url = "http://model-server.example/v1"\n')
    read_settings(path, environment={"OPENAI_API_KEY": "model-server.example"})
    assert hidden("llama-3.1-70b at model-server.example") == "llama-3.1-70b at model-server.example"
    read_settings(path, environment={"OPENAI_API_KEY": "model-server.example2"})
    assert hidden("model-server.example2") == "[key]"


def test_the_longer_of_two_keys_is_hidden_whole_and_json_forms_too() -> None:
    note_keys(["abcdefghijkl", "abcdefghijklmnop", 'quo"ted\\key12'])
    assert hidden("abcdefghijklmnop abcdefghijkl") == "[key] [key]"
    assert json.loads(hidden(json.dumps('a quo"ted\\key12'))) == "a [key]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\u001b[31mred"),
        ("a\tb\nc\r\nd", "a\tb\nc\r\nd"),
        ("over\rwritten", r"over\u000dwritten"),
        ("\x00\x07\x08\x7f\x85\x9b", r"\u0000\u0007\u0008\u007f\u0085\u009b"),
        ("\u202eflow\u202c \u2066x\u2069", r"\u202eflow\u202c \u2066x\u2069"),
        ("\ud83d", r"\ud83d"),
        ("naïve 性能 🦀 ‍é ü", "naïve 性能 🦀 ‍é ü"),
    ],
)
def test_control_characters_are_made_visible(text: str, shown: str) -> None:
    assert visible(text) == printable(text) == shown


def test_json_stays_the_same_json() -> None:
    data = {"text": "".join(map(chr, range(0x250))) + "\u202e\u2069\u2028"}
    assert json.loads(printable(json.dumps(data, ensure_ascii=False))) == data


def test_messages_of_errors_failures_and_findings_are_printable() -> None:
    note_keys(["sk-0123456789abcdef"])
    said = "\x1b]0;title\x07 sk-0123456789abcdef"
    assert str(InputError(said, place=Place(path="a\x1bb"))) == r"a\u001bb: \u001b]0;title\u0007 [key]"
    failed = AttemptFailedError(Failure.GARBLED, said)
    assert failed.message == str(failed) == r"\u001b]0;title\u0007 [key]"
    # A finding's message is a part of a repair's request: no key of today may change it.
    assert finding("open-fence", 1, 2, said).message == r"\u001b]0;title\u0007 sk-0123456789abcdef"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_whatever_is_printed_passes_through(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    note_keys(["sk-0123456789abcdef"])
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    guard()
    guard()
    assert isinstance(sys.stdout, SafeStream)
    assert unguarded(cast(TextIO, sys.stdout)) is stream
    print("\x1b[2Jsk-0123456789abcdef")
    sys.stderr.writelines(["\x9b", "\n"])
    print(folded(["\x1b[2Jsk-0123456789abcdef"]))
    assert stream.getvalue() == "\\u001b[2J[key]\n\\u009b\n\\u001b[2J[key]\n"
    assert sys.stdout.write("\x1b") == 1
    assert not sys.stdout.closed


@pytest.mark.parametrize(("stream", "written"), [(io.StringIO(), "\x1b"), (Terminal(), r"\u001b")])
def test_data_goes_to_a_pipe_as_it_is(stream: io.StringIO, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    guard()
    write_data("\x1b")
    assert stream.getvalue() == written


def test_keys_may_be_noted_while_another_thread_hides_some() -> None:
    note_keys(["k" * 20])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    noting = threading.Thread(target=lambda: note_keys(f"key-{number:012}" for number in range(3000)))
    try:
        noting.start()
        while noting.is_alive():
            assert hidden("k" * 20) == "[key]"
    finally:
        sys.setswitchinterval(interval)
        noting.join()
