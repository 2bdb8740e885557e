"""Translations of finished chapters: what stays, what is bought, what is kept."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Received, ScriptedServer
from workspaces import Ran, expand, rows, small, start

from expand.document.draft import document_text
from expand.document.translation_units import faults, passages, replaced, translated, with_links_moved
from expand.drafting.run_options import RunOptions
from expand.drafting.translation import TranslationResult, translate
from expand.ledger import verify
from expand.llm.types import AttemptFailedError, Failure
from expand.markdown import blocks
from expand.testing import ScriptedAuthor, SentRequest
from expand.workspace import Workspace

ENGLISH = re.findall(
    r"\w+",
    "the a of to and is that which it this process reads writes waits for from when before after every only signal "
    "pipe parent child kernel handler buffer value result",
)
CHINESE = re.findall(
    r"\w+", "进程 读取 写入 等待 信号 管道 内核 缓冲 结果 之前 之后 每个 如果 因此 需要 可以 处理 返回"
)
KEPT = re.compile(r"`[^`]+`|\]\([^)]*\)|<[^>]+>|\[\^\w+\]|\{\w+\}|\$[^$ ]+\$|https?://[\w./-]+|&\w+;|\{#[\w-]+\}|Cargo")


def pick(words: list[str], seed: str, count: int) -> list[str]:
    digest = hashlib.sha256(seed.encode()).digest() * 8
    return [words[digest[at] % len(words)] for at in range(count)]


def spoken(text: str, language: str) -> str:
    """A passage in another language: the same marks, code, links and numbers, other words."""
    parts, at = [], 0
    for found in [*KEPT.finditer(text), None]:
        said = text[at : found.start() if found else len(text)]
        if language == "zh":
            said = re.sub(r"[A-Za-z][A-Za-z'’-]*", lambda word: pick(CHINESE, word[0], 1)[0], said)
        else:
            said = re.sub(
                r"[\u4e00-\u9fff]+", lambda run: f" {' '.join(pick(ENGLISH, run[0], 2 + len(run[0]) // 3))} ", said
            )
        parts += [said, found[0] if found else ""]
        at = found.end() if found else at
    return " ".join("".join(parts).split())


def answered(prompt: str, language: str, change: Callable[[str, str], str] = lambda _, said: said) -> str:
    asked = re.findall(r"^\[\[(\d+)\]\] (.*)$", prompt.partition("You have translated")[0], re.MULTILINE)
    return "\n".join(f"[[{number}]] {change(text, spoken(text, language))}" for number, text in asked)


def translator(language: str, change: Callable[[str, str], str] = lambda _, said: said) -> ScriptedAuthor:
    def write(sent: SentRequest) -> str:
        assert (sent.purpose, sent.section) == ("translate", 0)
        return answered(sent.last_user_message, language, change)

    return ScriptedAuthor(write=write)


def paragraph(number: int, language: str) -> str:
    words = pick(ENGLISH, f"{number}{language}", 24) if language == "en" else pick(CHINESE, f"{number}{language}", 24)
    said = (" " if language == "en" else "").join(words)
    return f"{said} `call_{number}()` [{words[0]}](https://example.org/{number}#a) {said} {number}."


def chapter(language: str, parts: int = 12) -> str:
    """About 300 lines with code, a table, nested lists, a quote, footnotes, front matter and HTML."""
    title = "Signals and pipes" if language == "en" else "信号与管道"
    topics = [("Signal handling", "信号处理"), ("Named pipes", "命名管道"), ("Checklist", "检查清单")]
    text = [f'---\ntitle: "{title}"\nslug: signals\n---\n# {title}\n\n<a id="top"></a>\n\n']
    for number in range(parts):
        heading = (
            topics[number // 4][language == "zh"] if number % 4 == 0 else paragraph(number, language)[:20].split("`")[0]
        )
        mark = "##" if number % 4 == 0 else "###"
        text.append(
            f"{mark} {heading}\n\n{paragraph(number, language)}\n{paragraph(number + 50, language)}\n\n"
            f"```rust\n// a comment: {number}\nfn call_{number}() -> u32 {{\n    {number}\n}}\n```\n\n"
            f"- {paragraph(number + 100, language)}\n  1. {paragraph(number + 150, language)}\n\n"
            f"     ```sh\n     run --fast {number}\n     ```\n\n"
            f"> {paragraph(number + 200, language)}\n\n"
            f"| `x` | {paragraph(number + 250, language)} |\n|---|:--|\n| 1 | {topics[0][language == 'zh']} |\n\n"
        )
    own = topics[0][language == "zh"]
    text.append(f"{paragraph(800, language)} [{own}](#{own.lower().replace(' ', '-')})[^1]\n\n")
    text.append(f'[^1]: {paragraph(900, language)}\n\n<div class="note">\n<b>raw</b>\n</div>\n')
    return "".join(text)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def book(folder: Path, language: str = "en", text: str = "", glossary: str = "") -> Path:
    """The small workspace with a finished chapter in a language that is the book's own; both are mapped."""
    place = small(folder / "book")
    other = "zh" if language == "en" else "en"
    sources = f"source: {{{language}: docs/07.md, {other}: docs/{other}/07.md}}\nlayout: keep"
    change(place / "outlines/book.yaml", "language: en\n", f"language: {language}\n{glossary}")
    change(place / "outlines/book.yaml", "target_lines: 100}", "finished: true}")
    change(place / "outlines/07.yaml", "source: chapters/07_signals.md", sources)
    (place / "docs").mkdir()
    (place / "docs/07.md").write_text(text or chapter(language), encoding="utf-8")
    return place


def run(place: Path, author: ScriptedAuthor, to: str = "zh", **options: Any) -> TranslationResult:
    workspace = Workspace.open(place)
    made = RunOptions.of(workspace, "07", language=to, model="gpt-4.1", **options)
    return asyncio.run(translate(workspace, made, author=author))


def draft_of(place: Path, language: str = "zh") -> str:
    return document_text((place / f"drafts/07.{language}.md").read_text(encoding="utf-8"))


def targets(text: str) -> list[str]:
    return [target for target in re.findall(r"\]\(([^)]*)\)", text) if not target.startswith("#")]


@pytest.mark.parametrize(("own", "to"), [("en", "zh"), ("zh", "en")])
def test_code_and_structure_stay_and_a_second_run_buys_nothing(tmp_path: Path, own: str, to: str) -> None:
    place = book(tmp_path, own)
    original = (place / "docs/07.md").read_text(encoding="utf-8")
    assert 300 <= original.count("\n") <= 330
    author = translator(to)
    result = run(place, author, to)
    assert [str(one) for one in result.findings] == []
    assert (result.exit_code, result.missing, result.work.path) == (0, 0, f"drafts/07.{to}.md")
    text = draft_of(place, to)
    assert blocks.shape(text) == blocks.shape(original)
    assert re.findall(r"(?ms)^ *```.*?```$", text) == re.findall(r"(?ms)^ *```.*?```$", original)
    assert sorted(re.findall(r"`[^`\n]+`", text)) == sorted(re.findall(r"`[^`\n]+`", original))
    assert targets(text) == targets(original)
    assert '<a id="top"></a>' in text
    assert "slug: signals" in text
    assert '<div class="note">\n<b>raw</b>\n</div>\n' in text
    heading = "信号处理" if to == "zh" else "Signal handling"
    assert f"## {heading}\n" in text  # the outline's own word, which nobody was asked for
    assert f"(#{heading.lower().replace(' ', '-')})" in text
    assert not any(
        f"]] {title}\n" in sent.prompt_text for sent in author.requests for title in ("信号处理", "Signal handling")
    )
    assert 1 < len(author.requests) < 12
    assert result.usage.attempts == len(author.requests)
    assert verify(Workspace.open(place).ledger_path).findings == ()

    again = translator(to)
    before = (place / f"drafts/07.{to}.md").read_bytes()
    second = run(place, again, to)
    assert (again.requests, second.usage.attempts, second.exit_code) == ([], 0, 0)
    assert (place / f"drafts/07.{to}.md").read_bytes() == before

    (place / "docs/07.md").write_text(original.replace(paragraph(3, own), paragraph(1003, own)), encoding="utf-8")
    author = translator(to)
    assert run(place, author, to).usage.attempts == 1
    (sent,) = author.requests
    assert "call_1003()" in sent.last_user_message
    assert "call_2()" not in sent.last_user_message
    changed = draft_of(place, to)
    assert "`call_1003()`" in changed
    was, now = text.splitlines(), changed.splitlines()
    assert [a for a, b in zip(was, now, strict=True) if a != b] == [row for row in was if "`call_3()`" in row]


SHORT = (
    "# Signals and pipes\n\n## Signal handling\n\nThe parent waits for a signal of the child.\n\n"
    "The child writes to the pipe.\n\n- It reads from the buffer.\n- It returns the result.\n\n## Checklist\n\n"
    "The end of it is this.\n"
)


def test_what_a_person_changed_is_kept(tmp_path: Path) -> None:
    place = book(tmp_path, text=SHORT)
    run(place, translator("zh"))
    rows_of = draft_of(place).splitlines()
    child, end = rows_of[6], rows_of[-1]
    change(place / "drafts/07.zh.md", f"{child}\n", "孩子写管道。\n\n我加的一段。\n")
    change(place / "drafts/07.zh.md", f"{end}\n", "")  # taken out
    author = translator("zh")
    result = run(place, author)
    assert (author.requests, result.exit_code, result.work.edited) == ([], 0, 2)
    assert "孩子写管道。\n\n我加的一段。\n\n-" in draft_of(place)
    assert end not in draft_of(place)

    # Another block changes: the edits stay where they are.
    (place / "docs/07.md").write_text(
        SHORT.replace("The parent waits", "Before all the parent waits"), encoding="utf-8"
    )
    author = translator("zh")
    assert run(place, author).usage.attempts == 1
    assert "child writes" not in author.requests[0].prompt_text
    assert "孩子写管道。\n\n我加的一段。\n\n-" in draft_of(place)

    # Its own original changes: it stays, and is named.
    (place / "docs/07.md").write_text(SHORT.replace("The child writes", "A child never writes"), encoding="utf-8")
    result = run(place, translator("zh"))
    assert "孩子写管道。\n\n我加的一段。\n\n-" in draft_of(place)
    (note,) = result.findings
    assert (note.kind, note.severity, result.exit_code) == ("untranslated", "note", 0)
    assert draft_of(place).splitlines()[note.line - 1] == "孩子写管道。"
    assert "its original changed since it was edited by hand: 孩子写管道。" in note.message

    # Its original is gone: what the person wrote is not.
    (place / "docs/07.md").write_text(SHORT.replace("The child writes to the pipe.\n\n", ""), encoding="utf-8")
    run(place, translator("zh"))
    assert "孩子写管道。\n\n我加的一段。\n\n-" in draft_of(place)


@pytest.mark.parametrize("meanwhile", [False, True])
def test_what_a_person_changes_while_it_is_translated_is_kept(tmp_path: Path, meanwhile: bool) -> None:
    place = book(tmp_path, text=SHORT)
    run(place, translator("zh"))
    draft, child = place / "drafts/07.zh.md", draft_of(place).splitlines()[6]
    (place / "docs/07.md").write_text(SHORT.replace("The parent waits", "Before all the parent waits"), "utf-8")

    def write(sent: SentRequest) -> str:
        if meanwhile:
            change(draft, f"{child}\n", "孩子写管道。\n")
        return answered(sent.last_user_message, "zh")

    result = run(place, ScriptedAuthor(write=write))
    assert (result.exit_code, result.usage.attempts) == (0, 1)
    assert ("孩子写管道。\n" in draft_of(place), f"{child}\n" in draft_of(place)) == (meanwhile, not meanwhile)
    again = translator("zh")
    assert (run(place, again).work.edited, again.requests) == (int(meanwhile), [])
    assert ("孩子写管道。\n" in draft_of(place)) == meanwhile


def test_a_block_that_was_translated_is_found_wherever_it_moves(tmp_path: Path) -> None:
    place = book(tmp_path, text=SHORT)
    run(place, translator("zh"))
    before = draft_of(place)
    added = SHORT.replace("## Checklist", "A new block waits for the kernel.\n\n## Checklist").replace(
        "- It reads from the buffer.\n", ""
    )
    (place / "docs/07.md").write_text(added, encoding="utf-8")
    author = translator("zh")
    run(place, author)
    (sent,) = author.requests
    assert re.findall(r"\[\[\d+\]\] (.*)", sent.last_user_message) == [
        "It returns the result.",
        "A new block waits for the kernel.",
    ]
    assert all(row in draft_of(place) for row in before.splitlines() if "buffer" not in row and not row.startswith("-"))

    first, second = "The parent waits for a signal of the child.\n\n", "The child writes to the pipe.\n\n"
    (place / "drafts/07.zh.md").unlink()
    (place / "docs/07.md").write_text(SHORT, encoding="utf-8")
    run(place, translator("zh"))
    said = draft_of(place).split("\n\n")
    (place / "docs/07.md").write_text(SHORT.replace(first + second, second + first), encoding="utf-8")
    author = translator("zh")
    run(place, author)
    assert author.requests == []
    assert draft_of(place).split("\n\n") == [*said[:2], said[3], said[2], *said[4:]]


GLOSSARY = """glossary:
  pipe: {zh: 管道}
  named pipe: {zh: 命名管道（FIFO）}
  kernel: {zh: 内核, en: the program that owns the machine}
"""


def test_a_longer_term_does_not_stand_for_the_one_within_it(tmp_path: Path) -> None:
    text = "# Signals and pipes\n\nA named-pipe and two Pipes of the `kernel` here.\n"
    author = translator("zh", lambda _, said: "命名管道和两个管子，在 `kernel` 之中。")
    result = run(book(tmp_path, text=text, glossary=GLOSSARY), author)
    first, second = author.requests
    assert "- named pipe: 命名管道\n- pipe: 管道\n" in first.last_user_message
    assert "kernel:" not in first.last_user_message  # it is code
    assert ': the term "pipe" is "管道"\n' in second.last_user_message
    assert [one.kind for one in result.findings] == ["off-glossary"]


def test_a_title_of_the_outline_is_as_its_author_calls_it(tmp_path: Path) -> None:
    place = book(tmp_path, text="# Signals and pipes\n\n## Named pipes\n\nThe text is this.\n", glossary=GLOSSARY)
    change(place / "outlines/07.yaml", "命名管道", "具名管")
    result = run(place, translator("zh"))
    assert (result.findings, "## 具名管\n" in draft_of(place)) == ((), True)


def test_a_term_that_stays_wrong_is_named_and_the_translation_kept(tmp_path: Path) -> None:
    place = book(tmp_path, text="# Signals and pipes\n\nThe kernel waits for it all.\n", glossary=GLOSSARY)
    author = translator("zh", lambda _, said: "核心等待这一切。")
    result = run(place, author)
    first, second = author.requests
    assert "- kernel: 内核" in first.last_user_message
    assert '[[1]] 核心等待这一切。: the term "kernel" is "内核"' in second.last_user_message
    (found,) = result.findings
    assert (found.kind, found.line, result.exit_code) == ("off-glossary", 3, 5)
    assert "核心等待这一切。" in draft_of(place)
    again = run(place, translator("zh"))
    assert (again.usage.attempts, again.exit_code, [one.kind for one in again.findings]) == (0, 5, ["off-glossary"])

    path = place / "outlines/book.yaml"  # a term that changes has just its blocks translated again
    path.write_text(
        path.read_text(encoding="utf-8").replace("kernel: {zh: 内核", "kernel: {zh: 核心"), encoding="utf-8"
    )
    assert (
        run(place, translator("zh", lambda _, said: "核心等着这一切。")).exit_code,
        "核心等着" in draft_of(place),
    ) == (0, True)


@pytest.mark.parametrize(
    ("original", "said", "fault"),
    [
        ("Call `open()` now, please.", "现在调用它。", "it lacks `open()`"),
        ("See [the page](a.md#b) for it.", "参见[页面](b.md)。", "it lacks a.md#b"),
        ("It takes 1,024 bytes and 3 of them.", "它占用 1024 字节。", "it lacks the number 3"),
        ("The name is {name} here.", "名字在这里。", "it lacks {name}"),
        ("The <b>note</b> is here.", "注释在这里。", "it lacks <b>"),
        ("The parent waits for the child.", "The parent waits for the child.", "it is not in 'zh'"),
        ("The parent waits for the child.", "父进程调用 `wait()` 等待。", "it adds `wait()`"),
        ("A note.[^1]", "注释。", "it lacks [^1]"),
        ("Text of it.", "", "it is missing"),
    ],
)  # fmt: skip
def test_what_a_translation_must_not_lose(original: str, said: str, fault: str) -> None:
    assert fault in faults(original, said, "zh", cell=False, defined=())
    assert faults(original, spoken(original, "zh"), "zh", cell=False, defined=()) == []


def test_numbers_that_languages_say_otherwise_are_no_loss() -> None:
    assert faults("It has 100,000 of the 2nd kind.", "第二类有 10 万个。", "zh", cell=False, defined=()) == []
    assert faults("大约 10 万个进程。", "About 100,000 processes.", "en", cell=False, defined=()) == []
    assert faults("[Pipes] are here.", "[管道]在这里。", "zh", cell=False, defined={"pipes"}) != []
    assert faults("[Pipes] are here.", "[Pipes] 在这里。", "zh", cell=False, defined={"pipes"}) == []
    assert "ends the table's cell" in faults("one or two", "一 | 二", "zh", cell=True, defined=())[0]
    assert faults("性能", "性能", "en", cell=False, defined=()) == ["it is not in 'en'"]


def test_a_passage_that_loses_its_code_gets_one_repair_and_is_then_kept(tmp_path: Path) -> None:
    place = book(tmp_path, text=SHORT.replace("to the pipe", "to the pipe `fifo`"))
    author = translator("zh", lambda original, said: said.replace("`fifo`", ""))
    result = run(place, author)
    assert len(author.requests) == 2
    assert "it lacks `fifo`" in author.requests[1].last_user_message
    assert re.findall(r"^\[\[\d+\]\] (.*)", author.requests[1].last_user_message, re.MULTILINE) == [
        "The child writes to the pipe `fifo`."
    ]
    assert "The child writes to the pipe `fifo`.\n" in draft_of(place)
    (found,) = [one for one in result.findings if one.kind == "untranslated"]
    assert (found.line, result.exit_code) == (7, 5)
    assert "it is kept in 'en': The child writes to the pipe `fifo`." in found.message
    again = translator("zh")
    result = run(place, again)  # named again, and not asked for again
    assert (again.requests, result.exit_code) == ([], 5)
    mended = iter([True, False])
    place = book(tmp_path / "b", text=SHORT.replace("to the pipe", "to the pipe `fifo`"))
    author = translator(
        "zh", lambda original, said: said.replace("`fifo`", "") if "fifo" in original and next(mended) else said
    )
    assert run(place, author).exit_code == 0
    assert "`fifo`" in draft_of(place)


@pytest.mark.parametrize("repairs", [0, 1])
def test_a_passage_whose_repair_was_not_bought_is_asked_for_again(tmp_path: Path, repairs: int) -> None:
    place = book(tmp_path, text=SHORT.replace("to the pipe", "to the pipe `fifo`"))

    def write(sent: SentRequest) -> str | AttemptFailedError:
        if len(author.requests) > 1 + repairs:
            return AttemptFailedError(Failure.UNAUTHORIZED, "the key is gone")
        return answered(sent.last_user_message, "zh", lambda original, said: said.replace("`fifo`", ""))

    author = ScriptedAuthor(write=write)
    result = run(place, author)
    assert (result.exit_code, result.missing) == ((5, 0) if repairs else (4, 1))
    again = translator("zh")
    result = run(place, again)
    assert len(again.requests) == 1 - repairs
    assert result.exit_code == (5 if repairs else 0)
    assert ("The child writes to the pipe `fifo`." in draft_of(place)) == bool(repairs)


def test_answers_that_would_change_the_structure_or_say_nothing(tmp_path: Path) -> None:
    place = book(tmp_path, text=SHORT)
    author = translator("zh", lambda original, said: f"# {said}" if "child writes" in original else said)
    run(place, author)
    assert blocks.shape(draft_of(place)) == blocks.shape(SHORT)
    assert "The child writes to the pipe." in draft_of(place)
    place = book(tmp_path / "c", text=SHORT)
    fenced = f"Here:\n\n```text\n{answered(author.requests[0].last_user_message, 'zh')}\n```\n\nAnything else?"
    assert run(place, ScriptedAuthor(answers=(fenced,))).findings == ()
    assert "```" not in draft_of(place)
    place = book(tmp_path / "b", text=SHORT)
    author = ScriptedAuthor(
        answers=("I am sorry, I cannot help with that.", "[[99]] 别的\n[[1]] 父进程等待孩子的信号。")
    )
    result = run(place, author)
    assert "父进程等待孩子的信号。" in draft_of(place)
    assert sum(one.kind == "untranslated" for one in result.findings) == 4


def test_a_run_that_is_cut_short_buys_nothing_twice(tmp_path: Path) -> None:
    place = book(tmp_path)
    whole = translator("zh")
    run(book(tmp_path / "whole"), whole)
    few = run(place, translator("zh"), budget=9000)
    assert (few.exit_code, few.usage.attempts > 0, few.missing > 0) == (3, True, True)
    assert few.balance.remaining_tokens >= 0  # type: ignore[operator]
    assert few.balance.reserved_tokens == 0
    rest = translator("zh")
    result = run(place, rest)
    assert result.exit_code == 0
    assert few.usage.attempts + len(rest.requests) <= len(whole.requests) + 1
    assert draft_of(place) == draft_of(tmp_path / "whole/book")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    class Translating(ScriptedServer):
        def write(self, received: Received) -> tuple[str, str]:
            if "/translate/" in received.headers.get("X-Client-Request-Id", ""):
                return answered(received.last_user_message, "zh"), "stop"
            return super().write(received)

    with Translating() as running:
        yield running


def command(place: Path, server: ScriptedServer, *arguments: str) -> Ran:
    return expand(place, "translate", "07", "--to", "zh", "--base-url", server.base_url, *arguments)


def test_a_run_that_is_killed_finds_what_it_bought(tmp_path: Path, server: ScriptedServer) -> None:
    place = book(tmp_path)
    with (place / "expand.toml").open("a", encoding="utf-8") as settings:
        settings.write("concurrency = 1\n")
    server.latency_seconds = 0.4
    process = start(place, "translate", "07", "--to", "zh", "--model", "gpt-4.1", "--base-url", server.base_url)
    deadline = time.monotonic() + 60
    while len(server.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not (place / "drafts/07.zh.md").exists()
    bought = rows(place, "SELECT count(*) FROM attempt WHERE state = 'settled'")[0][0]
    assert bought > 0
    server.latency_seconds = 0
    before = len(server.requests)
    assert command(place, server, "--model", "gpt-4.1").code == 0
    sent = [received.last_user_message for received in server.requests]
    assert len(sent) - before <= len(set(sent)) - bought
    assert verify(Workspace.open(place).ledger_path).findings == ()


def test_an_author_that_cannot_be_asked_leaves_nothing_behind(tmp_path: Path, server: ScriptedServer) -> None:
    place = book(tmp_path, text=SHORT)
    server.behaviour = "unauthorized"
    ran = command(place, server, "--json")
    assert (ran.code, ran.json["missing"], ran.json["budget"]["reserved"]) == (4, 5, 0)
    assert "5 passages not translated yet" in ran.err
    assert not (place / "drafts/07.zh.md").exists()
    small_one = expand(place, "translate", "07", "--to", "en", "--model", "embedded")
    assert (small_one.code, "cannot translate" in small_one.err) == (2, True)


def test_from_the_command_line_to_the_document(tmp_path: Path, server: ScriptedServer) -> None:
    place = book(tmp_path, text=SHORT)
    (place / "docs/zh").mkdir()
    (place / "docs/zh/07.md").write_text("# 旧的\n", encoding="utf-8")
    planned = command(place, server, "--dry-run", "--json")
    assert (planned.code, planned.json["total"]["requests"], server.requests) == (0, 1, [])
    ran = command(place, server, "--json")
    assert ran.code == 0
    shown = ran.json
    assert (shown["from"], shown["to"], shown["original"], shown["draft"]) == (
        "en",
        "zh",
        "docs/07.md",
        "drafts/07.zh.md",
    )
    assert (shown["passages"], shown["attempts"], shown["missing"], shown["findings"]) == (8, 1, 0, [])
    (received,) = server.requests
    assert re.match(r"07/0/translate/", received.headers["X-Client-Request-Id"])
    assert "drafts/07.zh.md: 8 passages of docs/07.md; 0 asked for now with 0 requests" in command(place, server).out
    assert len(server.requests) == 1

    assert expand(place, "review", "07", "--language", "zh").code == 0
    refused = expand(place, "chapter", "07", "--language", "zh", "--base-url", server.base_url)
    assert (refused.code, "drafts/07.zh.md: it is a translation, which is not drafted" in refused.err) == (2, True)
    sectioned = expand(place, "accept", "07", "--language", "zh", "--section", "1", "--force")
    assert (sectioned.code, "leave out --section" in sectioned.err) == (2, True)
    accepted = expand(place, "accept", "07", "--language", "zh", "--json")
    assert [one["source"] for one in accepted.json["accepted"]] == ["docs/zh/07.md"]
    assert (place / "docs/zh/07.md").read_text(encoding="utf-8") == draft_of(place)
    assert (place / "docs/07.md").read_text(encoding="utf-8") == SHORT
    assert command(place, server).code == 0
    assert len(server.requests) == 1

    # What a person writes into the accepted document is not accepted away.
    path = place / "docs/zh/07.md"
    path.write_text(path.read_text(encoding="utf-8") + "\n我的话。\n", encoding="utf-8")
    (place / "docs/07.md").write_text(SHORT.replace("The end", "The very end"), encoding="utf-8")
    assert command(place, server).code == 0
    late = expand(place, "accept", "07", "--language", "zh")
    assert (late.code, "the source changed since the draft was made" in late.err) == (2, True)


def test_sections_are_found_in_a_translation_whose_titles_the_outline_lacks(
    tmp_path: Path, server: ScriptedServer
) -> None:
    place = book(tmp_path, text=chapter("en"))
    outline = place / "outlines/07.yaml"
    outline.write_text(
        re.sub(r"\{en: ([^,]+), zh: [^}]+\}", r"\1", outline.read_text(encoding="utf-8")), encoding="utf-8"
    )
    assert command(place, server).code in (0, 5)
    assert "## Named pipes" not in draft_of(place)
    reviewed = expand(place, "review", "07", "--language", "zh", "--format", "json").json
    originals = re.split(r"(?m)^## ", (place / "docs/07.md").read_text(encoding="utf-8"))[1:]
    lines = [section["lines"] for section in reviewed["chapters"][0]["sections"]]
    assert len(lines) == len(originals) == 3
    assert all(line > original.count("\n") / 2 for line, original in zip(lines, originals, strict=True))


def test_a_draft_is_translated_once_it_is_finished(tmp_path: Path, server: ScriptedServer) -> None:
    place = small(tmp_path / "book")
    ran = command(place, server)
    assert (ran.code, "chapter 07 is not finished in another language than 'zh'" in ran.err) == (2, True)
    assert "expand chapter 07" in ran.err
    expand(place, "chapter", "07", "--base-url", server.base_url, "--budget", "2500", "--section", "1")
    ran = command(place, server)
    assert (ran.code, "drafts/07.md is not finished: section" in ran.err) == (2, True)
    expand(place, "chapter", "07", "--base-url", server.base_url)
    ran = command(place, server, "--json")
    assert ran.json["original"] == "drafts/07.md"
    own = document_text((place / "drafts/07.md").read_text(encoding="utf-8"))
    assert blocks.shape(draft_of(place)) == blocks.shape(own)
    assert "## 目录\n\n- [1. 信号处理](#1-信号处理)\n" in draft_of(place)
    assert "### 1.2 处理函数的安全\n" in draft_of(place)
    reviewed = expand(place, "review", "07", "--language", "zh", "--json").json["chapters"][0]
    assert [section["title"] for section in reviewed["sections"]] == ["信号处理", "命名管道", "检查清单"]
    assert "broken-link" not in [one["kind"] for one in reviewed["findings"]]
    unmapped = expand(place, "accept", "07", "--language", "zh")
    assert (unmapped.code, "source: {en: chapters/07_signals.md, zh: PATH}" in unmapped.err) == (2, True)


def test_mistakes_end_before_anything_is_sent(tmp_path: Path, server: ScriptedServer) -> None:
    place = book(tmp_path, text=SHORT)
    for arguments, said in (
        (("07", "--to", "fr"), "the book has no language 'fr'; give one of: en, zh"),
        (("08", "--to", "zh"), "chapter '08' has no outline"),
        (("07",), "--to"),
    ):
        ran = expand(place, "translate", *arguments, "--base-url", server.base_url)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
    (place / "drafts").mkdir()
    (place / "drafts/07.zh.md").write_text("# 我的\n", encoding="utf-8")
    ran = command(place, server)
    assert (ran.code, "drafts/07.zh.md: it is no translation, and would be replaced by one" in ran.err) == (2, True)
    assert (place / "drafts/07.zh.md").read_text(encoding="utf-8") == "# 我的\n"
    assert server.requests == []


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_no_byte_outside_of_passages_changes(newline: str) -> None:
    text = (
        "\ufeff"
        + chapter("en").replace("\n", newline)
        + "\n{* ../code/tutorial.py hl[1:3] *}\n\n"
        + "Setext\nover two rows\n====\n\nA row.  \nAnother\\\nlast.\n\n::: tip Title\nInside.\n:::\n"
    )
    found = passages(text)
    assert replaced(text, {one: text[one.start : one.end] for one in found}) == text
    said = translated(text, dict.fromkeys(found, "译"))
    assert said.startswith("\ufeff---" + newline)
    assert "{* ../code/tutorial.py hl[1:3] *}" in said
    assert ("A row." in said, "译  \n译\\\n译\n" in said, "::: tip Title\n译\n:::\n" in said) == (False, True, True)
    assert (
        with_links_moved("## 译\n\n[x](#one) [y](two.md#one) [z](#kept)\n", "## One\n\n")
        == "## 译\n\n[x](#译) [y](two.md#one) [z](#kept)\n"
    )
