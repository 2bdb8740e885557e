"""What a chapter takes from the book's others: the memory that accepting leaves, and the voice of finished chapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from workspaces import BOOK, expand, small

from expand import RunResult, Workspace, accept, expand_chapter, undo
from expand.checks.consistency import Term, definitions, excerpts, habits, term_variants, voice_drift
from expand.drafting.brief import Brief
from expand.drafting.memory import MOST_TYPES, Remembered, memorable, read_memory, remember, told
from expand.outline import Outline, Text
from expand.schema import Json
from expand.testing import ScriptedAuthor, SentRequest
from expand.testing.scripted_author import Script

FIRST = """\
id: 01
title: Beginnings
source: chapters/01_beginnings.md
glossary: {"back pressure": "the wait that a full queue imposes on its writers"}
sections:
  - {title: Queues of work, lines: 20}
  - {title: Workers, lines: 20}
"""
SHARED = (
    "A queue that is always full hides nothing from anybody: it only turns the time that the work takes into the time "
    "that the work waits, and nobody is served any sooner than before."
)
QUEUES = f"""\
A **work queue** is the list of jobs that wait for a free worker.

{SHARED}

Back pressure slows the writers down until there is room again.

```rust
pub struct JobId(u64);

pub enum Outcome {{ Done, Failed }}
```
"""


def author(*answers: tuple[str, str]) -> ScriptedAuthor:
    """Writes sections to order, and what ``answers`` say in front of the text of the sections that they name."""
    script, told = Script(), dict(answers)

    def write(sent: SentRequest) -> str:
        text = script.written(sent)[0]
        title = next((title for title in told if f": {title}\n" in sent.last_user_message), "")
        return f"{told.pop(title)}\n{text}" if title and sent.purpose == "draft" else text

    return ScriptedAuthor(write=write)


def run(place: Path, chapter: str, writer: ScriptedAuthor, **options: Any) -> RunResult:
    return asyncio.run(expand_chapter(Workspace.open(place), chapter, author=writer, **options))


def two(folder: Path) -> Path:
    """A workspace with a second chapter that is drafted and accepted."""
    place = small(folder)
    (place / "outlines/01.yaml").write_text(FIRST, encoding="utf-8")
    (place / "chapters/01_beginnings.md").write_text("# Beginnings\n", encoding="utf-8")
    run(place, "01", author(("Queues of work", QUEUES)))
    assert accept(Workspace.open(place), "01", force=True).accepted
    return place


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two(tmp_path_factory.mktemp("finished"))


def memory_of(place: Path, chapter: str = "01") -> dict[str, Any]:
    return dict(yaml.safe_load((place / f"memory/{chapter}.yaml").read_text(encoding="utf-8")))


def found(place: Path, chapter: str, kind: str) -> list[dict[str, Any]]:
    (result,) = expand(place, "review", chapter, "--format", "json").json["chapters"]
    every = [*result["findings"], *(one for section in result["sections"] for one in section["findings"])]
    return [one for one in every if one["kind"] == kind]


def test_accepting_a_chapter_leaves_its_terms_types_and_examples(finished: Path) -> None:
    memory = memory_of(finished)
    assert memory["terms"]["work queue"] == "the list of jobs that wait for a free worker"
    assert memory["terms"]["back pressure"] == "the wait that a full queue imposes on its writers"
    assert memory["types"][:2] == ["JobId", "Outcome"]
    assert "Queues of work (rust)" in memory["examples"]


def test_the_next_chapter_is_told_and_the_own_one_is_not(finished: Path) -> None:
    writer = author()
    run(finished, "07", writer, fresh=True)
    systems = {sent.prompt_text.partition(sent.last_user_message)[0] for sent in writer.requests}
    assert len(systems) == 1
    (system,) = systems
    assert "- work queue: the list of jobs that wait for a free worker" in system
    assert "- types defined in chapter 01: JobId, Outcome" in system
    own = author()
    run(finished, "01", own, fresh=True)
    assert not any("- work queue:" in sent.prompt_text for sent in own.requests)


def test_a_shared_passage_and_a_misnamed_term_are_found_with_chapter_and_line(tmp_path: Path) -> None:
    place = two(tmp_path)
    run(place, "07", author(("Named pipes", f"Each job queue has a limit.\n\n{SHARED}\n")))
    assert found(place, "07", "term-variant") == []
    path = place / "memory/01.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            "work queue: the list", "work queue:\n    avoid: [job queue]\n    means: the list"
        ),
        encoding="utf-8",
    )
    (variant,) = found(place, "07", "term-variant")
    draft = (place / "drafts/07.md").read_text(encoding="utf-8").split("\n")
    start = draft.index("## 2. Named pipes")
    assert (variant["section"], variant["severity"]) == (2, "warning")
    assert draft[start + variant["line"] - 1] == "Each job queue has a limit."
    assert variant["message"] == '"job queue" is called "work queue" in chapter 01'
    (repeated,) = [one for one in found(place, "07", "repeats") if "another chapter" in one["message"]]
    assert (repeated["section"], draft[start + repeated["line"] - 1]) == (2, SHARED)
    document = (place / "chapters/01_beginnings.md").read_text(encoding="utf-8").split("\n")
    assert f"drafts/01.md, line {document.index(SHARED) + 1}: " in repeated["message"]


def test_a_misnamed_term_is_sent_back(tmp_path: Path) -> None:
    place = small(tmp_path)
    (place / "memory").mkdir()
    (place / "memory/book.yaml").write_text("terms: {work queue: {avoid: [job queue]}}\n", encoding="utf-8")
    writer = author(("Checklist", "Each job queue has a limit."))
    run(place, "07", writer)
    asked = [sent.last_user_message for sent in writer.requests if sent.purpose == "repair"]
    assert len(asked) == 1
    assert '"job queue" is called "work queue" in memory/book.yaml' in asked[0]
    assert "job queue" not in (place / "drafts/07.md").read_text(encoding="utf-8")


def test_a_name_that_is_settled_later_is_found_without_buying_anything(tmp_path: Path) -> None:
    place = small(tmp_path)
    run(place, "07", author(("Checklist", "Each job queue has a limit.")))
    first = run(place, "07", author())
    assert (first.attempts, first.exit_code) == (0, 0)
    (place / "memory").mkdir()
    (place / "memory/book.yaml").write_text("terms: {work queue: {avoid: [job queue]}}\n", encoding="utf-8")
    then = run(place, "07", author())
    assert (then.attempts, then.exit_code) == (0, 5)
    assert [one.kind for one in then.chapter.every_finding if one.severity != "note"] == ["term-variant"]


BRIEF = """\
terms:
  work queue: {means: the list of jobs that wait for a free worker, avoid: [job queue]}
  unused: {means: what no section says, avoid: [job list]}
sections:
- {title: Signal handling, opening: Signals come first.}
- {title: Named pipes, opening: Pipes follow.}
- {title: Checklist, opening: The rules.}
"""


def test_the_terms_of_a_brief_hold_in_its_chapter_and_are_left_to_the_others(tmp_path: Path) -> None:
    place = small(tmp_path)
    writer = author(("Named pipes", "A work queue is read by all."), ("Checklist", "Each job queue has a limit."))
    sections = writer.write
    assert sections is not None
    writer.write = lambda sent: BRIEF if sent.purpose == "brief" else sections(sent)
    run(place, "07", writer, model="gpt-4.1")
    assert [sent.purpose for sent in writer.requests].count("brief") == 1
    assert all("avoid:" in sent.prompt_text for sent in writer.requests if sent.purpose == "draft")
    asked = [sent.last_user_message for sent in writer.requests if sent.purpose == "repair"]
    assert len(asked) == 1
    assert '"job queue" is called "work queue" in briefs/07.yaml' in asked[0]
    assert accept(Workspace.open(place), "07", force=True).accepted
    means = "the list of jobs that wait for a free worker"
    assert memory_of(place, "07")["terms"] == {"work queue": {"means": means, "avoid": ["job queue"]}}


def test_what_a_person_changed_is_kept_and_the_rest_is_renewed(tmp_path: Path) -> None:
    place = two(tmp_path)
    path = place / "memory/01.yaml"
    made = path.read_text(encoding="utf-8")
    draft = place / "drafts/01.md"
    draft.write_text(draft.read_text(encoding="utf-8").replace("struct JobId", "struct TaskId"), encoding="utf-8")
    accept(Workspace.open(place), "01", force=True)
    assert memory_of(place)["types"][0] == "TaskId"
    path.write_text(f"{made}# mine\n", encoding="utf-8")
    accept(Workspace.open(place), "01", force=True)
    undo(Workspace.open(place), "01")
    undo(Workspace.open(place), "01")
    assert path.read_text(encoding="utf-8") == f"{made}# mine\n"


def test_what_is_undone_is_forgotten(tmp_path: Path) -> None:
    place = two(tmp_path)
    assert expand(place, "accept", "01", "--undo").code == 0
    assert not (place / "memory/01.yaml").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [("terms: [work queue\n", 1), ("types:\n- Worker\nterms: {a: {avoid: job queue}}\n", 3), ("kinds: [a]\n", 1)],
)
def test_a_mistake_in_the_memory_is_named_by_line_before_anything_is_sent(tmp_path: Path, text: str, line: int) -> None:
    place = small(tmp_path)
    (place / "memory").mkdir()
    (place / "memory/01.yaml").write_text(text, encoding="utf-8")
    ran = expand(place, "chapter", "07", "--dry-run")
    assert ran.code == 2
    assert f"memory/01.yaml:{line}:" in ran.err
    assert ran.out == ""


def test_the_memory_is_told_in_bounds_what_concerns_the_chapter_first() -> None:
    memory = [
        Remembered("01", terms=(Term("apple", "a fruit"), Term("pipe", "what carries bytes")), types=("Worker",)),
        Remembered("02", terms=(Term("管道", "传输字节"), Term("pear", "a fruit", ("avocado",)))),
    ]

    def said(most: int, chapter: str = "07", language: str = "en") -> str:
        return told(
            memory, chapter=chapter, language=language, subject="Named pipes", most_tokens=most, count=lambda text: 9
        )

    assert said(10) == "- pipe: what carries bytes"
    assert said(9) == ""
    assert said(100).split("\n") == [
        "- apple: a fruit",
        "- pipe: what carries bytes",
        "- types defined in chapter 01: Worker",
        "- pear: a fruit (never: avocado)",
    ]
    assert "apple" not in said(100, chapter="01")
    sizes = {"- types defined in chapter 01: Worker": 50}  # what does not fit is passed over, and the next one taken
    assert "pear" in told(
        memory, chapter="", language="en", subject="", most_tokens=40, count=lambda text: sizes.get(text, 9)
    )
    assert said(100, language="zh").split("\n") == ["- types defined in chapter 01: Worker", "- 管道: 传输字节"]


@pytest.mark.parametrize(
    ("text", "term", "means"),
    [
        ("A **work queue** is the list of jobs that wait.", "work queue", "the list of jobs that wait"),
        ("The _event loop_ (or reactor) is a loop that waits.", "event loop", "a loop that waits"),
        ("A list of jobs that wait is called a **work queue**.", "work queue", "A list of jobs that wait"),
        ("**工作队列**是指等待空闲进程的任务列表。", "工作队列", "等待空闲进程的任务列表"),
        ("工作队列指的是等待空闲进程的任务列表。", "工作队列", "等待空闲进程的任务列表"),
        ("等待空闲进程的任务列表称为**工作队列**。", "工作队列", "等待空闲进程的任务列表"),
    ],
)
def test_definitions_are_found(text: str, term: str, means: str) -> None:
    assert list(definitions(f"## T\n\n{text}\n")) == [(3, term, means)]


@pytest.mark.parametrize(
    "text",
    [
        "A **work queue** is full.",
        "This is **important** and the rest is not.",
        "The *reader* is responsible for the lock.",
        "这个参数指的是等待空闲进程的时间。",
        "This placeholder type is called a **test double**.",
        "第三种情况通常被称为**工作队列**。",
        "- **Speed**: a queue is fast.",
    ],
)
def test_what_defines_nothing_is_passed_over(text: str) -> None:
    assert list(definitions(text)) == []


def variants(text: str, *terms: Term) -> list[tuple[int, str, str]]:
    every = term_variants(f"## T\n\n{text}\n", terms, section=1)
    return [(one.line, one.severity, one.message) for one in every]


QUEUE = Term("work queue", "the list of jobs that wait for a free worker", ("job queue",), "chapter 01")


def test_a_name_to_avoid_is_found_in_any_form_but_not_in_code_or_beside_the_term() -> None:
    assert variants("One.\n\nJob-queues are full. The job queue waits.", QUEUE) == [
        (5, "warning", '"job queue" is called "work queue" in chapter 01')
    ]
    for text in (
        "A work queue, elsewhere called a job queue, waits.",
        "Set `job queue` to 3.",
        "See [the list](job-queue).",
        "The jobqueue waits.",
    ):
        assert variants(text, QUEUE) == []
    chinese = Term("工作队列", "", ("任务队列",), "chapter 01")
    assert len(variants("每个任务队列都有上限。", chinese)) == 1
    assert variants("工作队列（又称任务队列）都有上限。", chinese) == []


def test_a_definition_under_another_name_is_noted_from_three_quarters_of_its_words() -> None:
    assert variants("A **backlog** is the list of jobs that wait for a free worker.", QUEUE) == [
        (3, "note", f'"backlog" is defined as chapter 01 defines "work queue": {QUEUE.means}')
    ]
    three = Term("x", "alpha beta gamma delta", (), "chapter 01")  # of four words …
    assert len(variants("A **y** thing is the alpha beta gamma delta.", three)) == 0  # … whose name is no emphasis
    assert len(variants("A **yy** is the alpha beta gamma delta.", three)) == 1
    assert len(variants("A **yy** is the alpha beta gamma delta epsilon.", three)) == 1  # 4 of 5
    assert len(variants("A **yy** is the alpha beta gamma delta epsilon zeta.", three)) == 0  # 4 of 6
    assert len(variants("A **yy** is the alpha beta gamma.", Term("x", "alpha beta gamma", (), "c"))) == 0  # too few


def test_a_chapter_leaves_what_it_has() -> None:
    glossary = {"ring": Text(plain="a circle"), "gone": Text(plain="x")}
    outline = Outline(id="01", title=Text(plain="T"), source="a.md", sections=(), glossary=glossary)
    types = "".join(f"struct T{number};\n" for number in range(MOST_TYPES + 1))
    text = f"# T\n\n## 1. A ring\n\n```rust\n{types}```\n\n## 2. Two\n\n```text\na\nb\nc\n```\n\n```sh\na\nb\n```\n"
    left = memorable(text, outline, None, "en")
    assert left["terms"] == {"ring": "a circle"}
    assert left["types"] == [f"T{number}" for number in range(MOST_TYPES)]
    assert left["examples"] == ["A ring (rust)"]
    assert memorable("# T\n\nText.\n", outline, None, "en") == {}


def test_whatever_a_chapter_leaves_can_be_read_again(tmp_path: Path) -> None:
    place = small(tmp_path)
    term = "a term of many words " * 9
    glossary = {term: Text(plain="long\n\nmeaning " * 400), "no": Text(plain="yes: 3 # not"), "007": Text(plain="'x\t")}
    outline = Outline(id="07", title=Text(plain="T"), source="a.md", sections=(), glossary=glossary)
    shared: dict[str, Json] = {
        "running_example": {"name": "kit", "purpose": "starts\nworkers " * 90},
        "terms": {"only avoided": {"avoid": ["- [x]", "y: z"]}},
    }
    brief = Brief(shared=shared, sections=())
    heading = "Heading `code` \u2028 *and* \U0001f600 " * 12
    text = f"# T\n\n{term} no 007 only avoided\n\n## {heading}\n\n```rust\nstruct {'T' * 90};\na\nb\n```\n"
    remember(Workspace.open(place), "07", memorable(text, outline, brief, "en"))
    (read,) = read_memory(Workspace.open(place))
    assert [one.name for one in read.terms] == ["only avoided", term.strip(), "no", "007"]
    assert read.types == ("T" * 90,)
    assert [one[:7] for one in read.examples] == ["kit: st", "Heading"]


def sentences(count: int, text: str) -> str:
    return "## T\n\n" + "\n\n".join(text for _ in range(count)) + "\n"


PLAIN = "The kernel copies the page into the buffer of the process."  # 11 words
ZH_PLAIN = "内核把页面复制到进程的缓冲区中。"  # 15 characters
LENGTH = "a sentence has {} words (Chinese: characters) on average, the book's {}"
YOU = "You copy the page into the buffer of your process now."


@pytest.mark.parametrize(
    ("pattern", "text", "told"),
    [
        (PLAIN, YOU, "100% of the sentences address the reader"),
        (PLAIN, "We copy the page into the buffer of our process now.", '100% of the sentences say "we"'),
        (
            PLAIN,
            f"{PLAIN[:-1]} and then waits for the next one to come.",
            LENGTH.format(20, 11),
        ),
        (
            PLAIN,
            "The kernel copies the page.",
            LENGTH.format(5, 11),
        ),
        (
            ZH_PLAIN,
            "你把页面复制到自己的缓冲区中去。",
            "100% of the sentences address the reader",
        ),
        (ZH_PLAIN, "我们把页面复制到进程的缓冲区中。", '100% of the sentences say "we"'),
        (ZH_PLAIN, "内核复制页面。", LENGTH.format(6, 15)),
        (PLAIN, PLAIN, ""),
    ],
)
def test_drift_is_noted_for_the_section_with_both_figures(pattern: str, text: str, told: str) -> None:
    noted = voice_drift({3: sentences(25, text)}, [sentences(25, pattern)])
    assert [(one.section, one.severity) for one in noted] == ([(3, "note")] if told else [])
    assert all(told in one.message for one in noted)
    assert voice_drift({3: sentences(24, text)}, [sentences(25, pattern)]) == []
    assert [one.section for one in voice_drift({3: sentences(25, text)}, [sentences(24, pattern)])] == [0]
    assert voice_drift({3: sentences(25, text)}, []) == []


def test_a_fifth_of_the_sentences_and_three_times_as_many_are_drift() -> None:
    def share(you: int) -> str:
        return "## T\n\n" + "\n\n".join([YOU] * you + [PLAIN] * (100 - you))

    def drift(ours: int, theirs: int) -> bool:
        return bool(voice_drift({1: share(ours)}, [share(theirs)]))

    assert drift(20, 0)
    assert not drift(19, 0)
    assert drift(61, 20)
    assert not drift(59, 20)


def test_headings_and_code_are_compared_for_the_whole_chapter() -> None:
    upper = "".join(f"### Reading Large Files {number}\n\n" for number in range(6))
    lower = upper.replace("Large Files", "large files")
    body = sentences(25, PLAIN)
    (noted,) = voice_drift({1: body + "\n" + lower}, [body + "\n" + upper])
    assert (noted.section, noted.message) == (0, "0% of the headings are in title case, of the book's 100%")
    assert voice_drift({1: body}, [body + "\n" + upper]) == []
    code = "\n```rust\n" + "let a = 1;\n" * 20 + "```\n"
    (noted,) = voice_drift({1: body + code}, [body])
    assert noted.message == "42% of the lines are code, of the book's 0%"
    assert habits(body + code)["code"] == 20
    less = "\n```rust\n" + "let a = 1;\n" * 11 + "```\n"
    assert voice_drift({1: body + less}, [body]) == []


VOICE = "# One\n\n> header\n\n" + "".join(
    f"## Part {number}\n\n{PLAIN} It does so in part {number}.\n\n{PLAIN * 3}\n\n```sh\nls {number}\n```\n\n"
    for number in range(4)
)


def test_an_excerpt_begins_where_a_block_fits() -> None:
    table = "| a | b |\n|---|---|\n" + "| one | two |\n" * 40
    document = f"# T\n\n## First\n\nShort and dry.\n\n## Second\n\n{table}\n## Third\n\nAs it goes on.\n"
    assert excerpts([document], 200, len) == "## Third\n\nAs it goes on."
    assert excerpts([f"# T\n\n## Only\n\n{table}"], 200, len) == ""


def test_excerpts_are_whole_blocks_from_the_middle_on() -> None:
    shown = excerpts([VOICE], 1000, len)
    assert shown.startswith("## Part 2\n\nThe kernel")
    assert "## Part 3" in shown
    assert "## Part 1" not in shown
    short = excerpts([VOICE], 200, len)
    assert "```sh" not in short
    assert len(short) <= 200
    assert excerpts([VOICE], 10, len) == excerpts(["# T\n\nShort.\n"], 1000, len) == ""


def with_voice(place: Path, named: str = "voice: [01]", text: str = VOICE) -> Path:
    (place / "chapters/01.md").write_text(text, encoding="utf-8")
    book = BOOK.replace("lines: 90, finished", "source: chapters/01.md, lines: 90, finished")
    (place / "outlines/book.yaml").write_text(f"{named}\n{book}", encoding="utf-8")
    return place


def test_the_voice_is_shown_to_every_section_alike(tmp_path: Path) -> None:
    place, writer = with_voice(small(tmp_path)), author()
    run(place, "07", writer)
    assert {sent.section for sent in writer.requests} == {1, 2, 3}
    systems = {sent.prompt_text.partition(sent.last_user_message)[0] for sent in writer.requests}
    assert len(systems) == 1
    assert "It does so in part 2." in systems.pop()
    (place / "chapters/01.md").write_text(VOICE.replace("kernel", "system"), encoding="utf-8")
    again = author()
    assert run(place, "07", again).attempts == 0  # a word that is put right in a finished chapter buys nothing anew
    with_voice(place, "voice: [07]")
    other = author()
    run(place, "07", other)
    assert {sent.section for sent in other.requests} == {1, 2, 3}
    assert not any("It does so in part" in sent.prompt_text for sent in other.requests)


def test_a_voice_in_another_language_is_no_pattern(tmp_path: Path) -> None:
    place, writer = with_voice(small(tmp_path)), author()
    run(place, "07", writer, language="zh")
    assert not any("It does so in part" in sent.prompt_text for sent in writer.requests)


def test_drift_is_in_the_review(tmp_path: Path) -> None:
    long = sentences(30, f"You know that {PLAIN[:-1].lower()} and that it then waits for the next one to come along.")
    place = with_voice(small(tmp_path), text=f"# One\n\n{long}")
    run(
        place, "07", author(("Named pipes", sentences(30, "Pipes carry bytes between processes.").partition("\n\n")[2]))
    )
    noted = [one for one in found(place, "07", "voice-drift") if one["section"] == 2]
    assert len(noted) == 1
    assert "on average, the book's 26" in noted[0]["message"]


@pytest.mark.parametrize(
    ("file", "change", "line"),
    [
        ("outlines/book.yaml", lambda text: f"{text}voice: [07, 99]\n", 13),
        ("outlines/07.yaml", lambda text: text.replace("sections:", "voice:\n- 07\n- 99\nsections:"), 7),
    ],
)
def test_a_voice_without_a_document_is_refused_with_its_line(
    tmp_path: Path, file: str, change: Callable[[str], str], line: int
) -> None:
    place = small(tmp_path)
    (place / file).write_text(change((place / file).read_text(encoding="utf-8")), encoding="utf-8")
    ran = expand(place, "chapter", "07", "--dry-run")
    assert ran.code == 2
    assert f"{file}:{line}:" in ran.err
    assert "99" in ran.err
