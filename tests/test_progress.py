"""Progress: bars on a terminal, plain lines elsewhere, the same figures in both."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from expand.budget import Amount
from expand.cli.output import Verbosity
from expand.cli.progress import (
    HEARTBEAT_SECONDS,
    MOST_REASONS,
    REPEAT_SECONDS,
    BarProgress,
    PlainProgress,
    RunProgress,
    duration,
    plan_lines,
    progress,
)
from expand.drafting.events import (
    Event,
    Notice,
    RunPlanned,
    SectionDone,
    SectionGrew,
    SectionPlanned,
    SectionStarted,
    SectionStatus,
)
from expand.ledger import AttemptEvent, Order
from expand.ledger.attempts import parse
from expand.llm.types import Address, Request, Usage

NOW = parse("2026-11-23T16:30:54.250000+00:00")


def planned(number: int, lines: int = 50, reason: str = "new", title: str = "T") -> SectionPlanned:
    return SectionPlanned(chapter="03", section=number, title=title, lines=lines, reason=reason)


def started(number: int) -> SectionStarted:
    return SectionStarted(chapter="03", section=number)


def grew(number: int, lines: int, tokens: int, remaining: int | None = 900) -> SectionGrew:
    return SectionGrew(chapter="03", section=number, lines=lines, tokens=tokens, remaining_tokens=remaining)


def done(number: int, lines: int, status: SectionStatus = "drafted") -> SectionDone:
    return SectionDone(chapter="03", section=number, lines=lines, status=status)


ORDER = Order(
    request=Request(model="gpt-x", messages=(), max_output_tokens=2_000),
    address=Address("03", 1, "draft"),
    run_id="r",
    language="en",
    plan="full",
    prompt_tokens=1_096,
    amount=Amount(3_096),
)
OF_CHAPTER = replace(ORDER, address=Address("03", 0, "brief"))
SENT = AttemptEvent("sent", ORDER, "a1")
SETTLED = AttemptEvent("settled", ORDER, "a1", usage=Usage(prompt=838, completion=408, cached=128))
FAILED = AttemptEvent("failed", ORDER, "a1", "HTTP 401: no sk-secret-0123456789 here")
STORY: list[Event] = [
    RunPlanned(sections=(planned(1), planned(2, 150, "changed: outline"))),
    started(1),
    SENT,
    grew(1, 20, 400),
    Notice(message="03/1: rate limited [/] (waiting 2 s)"),
    SETTLED,
    grew(1, 49, 1_000),
    done(1, 49),
]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_figures_add_up_and_the_time_left_goes_by_lines() -> None:
    clock = Clock()
    figures = RunProgress(clock=clock)
    figures.take(STORY[0])
    assert (figures.total, figures.done, figures.tokens) == (200, 0, 0)
    assert figures.left == "-:--"

    clock.now = 30
    figures.take(grew(1, 20, 400))
    assert figures.left == "4:30"
    figures.take(grew(2, 20, 100))
    figures.take(grew(1, 70, 1_000))
    assert figures.tokens == 1_100, "of each section the last figure counts"
    figures.take(SETTLED)
    assert figures.tokens == 1_100, "a section's attempts are in what it took"
    for event in (SENT._replace(order=OF_CHAPTER), SETTLED._replace(order=OF_CHAPTER)):
        figures.take(event)
    assert figures.tokens == 1_100 + 1_246, "what is about the chapter belongs to no section"
    assert figures.done == 70, "a section counts up to its target"
    figures.take(done(1, 45))
    assert figures.done == 70, "a finished one counts in full"
    assert figures.extent == "70 of 200 lines"
    assert figures.summary == "0:55 to go, 0:30 gone, 2,346 tokens, 900 left of the allowance"
    figures.take(done(2, 150))
    assert figures.left == "0:00"


def in_words(number: int, words: int) -> SectionPlanned:
    return replace(planned(number, lines=words // 10), unit="words", target=words)


def test_a_run_over_sections_in_words_is_told_in_words() -> None:
    figures = RunProgress(clock=Clock())
    assert figures.take(RunPlanned(sections=(in_words(1, 600), in_words(2, 400)))) == [
        "2 sections: 2 to draft (1,000 words)"
    ]
    figures.take(grew(1, 20, 400))
    assert figures.extent == "200 of 1,000 words"
    told = figures.take(replace(done(1, 70), counted=587))
    assert told == ["03/1: drafted, 587 of 600 words: T"]
    assert figures.extent == "600 of 1,000 words"


def test_sections_in_several_units_are_told_together_in_lines() -> None:
    figures = RunProgress(clock=Clock())
    assert figures.take(RunPlanned(sections=(in_words(1, 600), planned(2, 40)))) == [
        "2 sections: 2 to draft (100 lines)"
    ]
    assert figures.take(replace(done(1, 70), counted=587)) == ["03/1: drafted, 587 of 600 words: T"]
    assert figures.extent == "60 of 100 lines"


def test_what_was_there_before_the_run_says_nothing_of_its_pace() -> None:
    clock = Clock()
    figures = RunProgress(clock=clock)
    figures.take(RunPlanned(sections=(planned(1, 100, ""), planned(2, 100), planned(3, 100))))
    figures.take(done(1, 100, "reused"))
    clock.now = 10
    assert figures.left == "-:--"
    figures.take(grew(2, 50, 100))
    assert figures.left == "0:30"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3_601, "1:00:01")])
def test_times_have_hours_where_they_need_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_plan_says_what_and_why() -> None:
    event = RunPlanned(
        sections=(
            planned(1, 50),
            planned(2, 150, "changed: outline, model"),
            planned(3, 20, ""),
            planned(4, 20, "edited"),
        )
    )
    assert plan_lines(event) == [
        "4 sections: 2 to draft (200 lines), 1 current, 1 edited by hand, left alone",
        "03/2: changed: outline, model",
    ]
    assert plan_lines(RunPlanned(sections=(planned(1, 1),))) == ["1 section: 1 to draft (1 line)"]
    assert plan_lines(RunPlanned(sections=(planned(1, reason=""),))) == ["1 section: 1 current"]
    assert plan_lines(RunPlanned(sections=())) == ["0 sections: nothing to do"]


def test_a_thousand_reasons_are_not_all_told() -> None:
    sections = tuple(planned(number, reason="changed: model") for number in range(1_000))
    lines = plan_lines(RunPlanned(sections=sections))
    assert len(lines) == MOST_REASONS + 2
    assert lines[-1] == f"and {1_000 - MOST_REASONS} more that changed"


def test_plain_lines_tell_what_happens_and_no_more() -> None:
    stream = io.StringIO()
    with progress(stream) as show:
        assert isinstance(show, PlainProgress)
        for event in STORY:
            show(event)
        for status in ("reused", "edited", "failed", "refused"):
            show(done(2, 10, status))
    assert stream.getvalue().splitlines() == [
        "2 sections: 2 to draft (200 lines)",
        "03/2: changed: outline",
        "03/1: rate limited [/] (waiting 2 s)",
        "03/1: drafted, 49 of 50 lines: T",
    ]


def test_a_long_silence_is_broken_by_where_the_run_stands() -> None:
    clock, stream = Clock(), io.StringIO()
    show = PlainProgress(lambda line: print(line, file=stream), clock=clock)
    show(STORY[0])
    for second in range(1, 50):
        clock.now = float(second)
        show(grew(1, second, second * 10))
    said = stream.getvalue().splitlines()[2:]
    assert len(said) == 49 // int(HEARTBEAT_SECONDS)
    assert said[0] == "20 of 200 lines, 0 of 2 sections, 3:00 to go, 0:20 gone, 200 tokens, 900 left of the allowance"


def test_quiet_says_nothing_and_verbose_every_attempt() -> None:
    quiet, verbose = io.StringIO(), io.StringIO()
    with progress(quiet, Verbosity.QUIET) as show:
        for event in STORY:
            show(event)
    assert quiet.getvalue() == ""
    with progress(verbose, Verbosity.VERBOSE) as show:
        assert isinstance(show, PlainProgress)
        show._clock = Clock()  # however long the machine takes
        for event in [*STORY, SENT, FAILED, done(2, 9, "reused")]:
            show(event)
    said = verbose.getvalue().splitlines()
    assert said[2] == "03/1: draft a1 sent to gpt-x, 3,096 tokens reserved"
    assert said[4] == (
        "03/1: draft a1 settled after 0.00 s: 1,246 of 3,096 tokens, 838 prompt (128 cached) and 408 completion"
    )
    assert said[-2:] == [
        "03/1: draft a1 failed after 0.00 s: HTTP 401: no sk-secret-0123456789 here",
        "03/2: reused, 9 of 150 lines: T",
    ]


def test_the_same_notice_is_said_once_in_a_while_whichever_section_it_is_about() -> None:
    clock, stream = Clock(), io.StringIO()
    show = PlainProgress(lambda line: print(line, file=stream), clock=clock)
    for number in range(40):
        show(Notice(message=f"03/{number}: rate limited (waiting {number} s)"))
    show(Notice(message="03/1: HTTP 500"))
    clock.now = REPEAT_SECONDS
    show(Notice(message="03/1: rate limited (waiting 3 s)"))
    assert stream.getvalue().splitlines() == [
        "03/0: rate limited (waiting 0 s)",
        "03/1: HTTP 500",
        "03/1: rate limited (waiting 3 s)",
    ]


# --- on a terminal ---------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def drawn(width: int, *events: Event, height: int = 30, encoding: str = "utf-8") -> list[str]:
    """What the bars look like after some events, row by row."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, color_system=None)
    show = BarProgress(console, clock=Clock())
    for event in events:
        show(event)
    with console.capture() as captured:
        console.print(show)
    return captured.get().splitlines()


WORK: list[Event] = [
    RunPlanned(
        sections=(
            planned(1, 1_500, title="Performance analysis methodology and its many tools"),
            planned(2, 250, title="性能分析方法论与各种性能剖析工具的使用方法"),
        )
    ),
    started(1),
    started(2),
    grew(1, 1_115, 123_456, 820_773),
]


@pytest.mark.parametrize("width", [20, 39, 40, 60, 80, 120, 300])
def test_no_row_is_wider_than_the_terminal_and_every_figure_is_whole(width: int) -> None:
    rows = drawn(width, *WORK)
    assert len(rows) == 4
    assert all(cell_len(row) <= width for row in rows)
    assert rows[0].rstrip().endswith("1,115/1,750")
    assert rows[1].rstrip().endswith("1,115/1,500")
    assert rows[2].rstrip().endswith("0/250")
    assert rows[1].startswith("03/1")
    assert ("━" in rows[1]) is (width >= 40)


def test_wide_characters_are_as_wide_as_they_are() -> None:
    rows = drawn(60, *WORK, grew(2, 25, 200_000))
    at = [cell_len(row[: row.index("━")]) for row in rows[:3]]
    assert len(set(at)) == 1, "the bars begin in one column"
    assert "…" in rows[2]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "gbk"])
def test_a_code_page_gets_bars_that_it_has(encoding: str) -> None:
    rows = drawn(60, WORK[0], started(1), WORK[3], encoding=encoding)
    for row in rows:
        row.encode(encoding)
    assert "---" in rows[1]


def test_many_sections_at_work_leave_room_on_the_screen() -> None:
    sections = tuple(planned(number) for number in range(1, 65))
    begun = [started(number) for number in range(1, 65)]
    assert len(drawn(80, RunPlanned(sections=sections), *begun)) == 1 + 12 + 2
    small = drawn(80, RunPlanned(sections=sections), *begun, height=10)
    assert len(small) == 1 + 5 + 2
    assert "and 59 more at work" in small[-2]


@pytest.mark.usefixtures("_terminal")
def test_a_terminal_gets_bars_and_lines_above_them() -> None:
    stream = Terminal()
    with progress(stream) as show:
        assert isinstance(show, BarProgress)
        for event in STORY:
            show(event)
    said = stream.getvalue()
    assert "2 sections: 2 to draft (200 lines)" in said
    assert "03/1: drafted, 49 of 50 lines: T" in said
    assert "rate limited [/] (waiting 2 s)" in said


@pytest.mark.usefixtures("_terminal")
@pytest.mark.parametrize("name", ["NO_COLOR", "TERM"])
def test_no_color_and_a_dumb_terminal_are_respected(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, {"NO_COLOR": "1", "TERM": "dumb"}[name])
    stream = Terminal()
    with progress(stream) as show:
        assert isinstance(show, PlainProgress if name == "TERM" else BarProgress)
        for event in STORY:
            show(event)
    assert "\x1b[33m" not in stream.getvalue(), "no colour"
    assert ("\x1b" in stream.getvalue()) is (name == "NO_COLOR")


@pytest.mark.usefixtures("_terminal")
def test_brackets_in_titles_are_text() -> None:
    rows = drawn(150, RunPlanned(sections=(planned(1, title="[/dev/null] and [bold]"),)), started(1))
    assert "[/dev/null] and [bold]" in rows[1]


@pytest.mark.usefixtures("_terminal")
def test_nothing_to_write_is_no_division_by_zero() -> None:
    rows = drawn(80, RunPlanned(sections=(planned(1, 0),)), started(1))
    assert rows[0].rstrip().endswith("0/0")
    assert drawn(80, RunPlanned(sections=())) == []
