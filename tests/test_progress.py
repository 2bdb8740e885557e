"""Progress: bars on a terminal, plain lines elsewhere, the same figures in both."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from expand.cli.progress import BarProgress, Figures, PlainProgress, plan_lines, progress
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


def planned(number: int, lines: int = 50, reason: str = "new", title: str = "T") -> SectionPlanned:
    return SectionPlanned(chapter="03", section=number, title=title, lines=lines, reason=reason)


def grew(number: int, lines: int, tokens: int, remaining: int | None = 900) -> SectionGrew:
    return SectionGrew(
        chapter="03", section=number, lines=lines, tokens=tokens, remaining_tokens=remaining
    )


def done(number: int, lines: int, status: SectionStatus = "drafted") -> SectionDone:
    return SectionDone(chapter="03", section=number, lines=lines, status=status)


STORY: list[Event] = [
    RunPlanned(sections=(planned(1), planned(2, 150, "changed: outline"))),
    SectionStarted(chapter="03", section=1),
    grew(1, 20, 400),
    Notice(message="03/1: rate limited [/] (waiting 2 s)"),
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
    figures = Figures(clock)
    figures.take(STORY[0])
    assert (figures.total_lines, figures.done_lines, figures.tokens) == (200, 0, 0)
    assert figures.left == "-:--"
    assert figures.summary == "0 tokens, -:-- to go"

    clock.now = 30
    figures.take(grew(1, 20, 400))
    assert figures.left == "4:30"
    figures.take(grew(2, 20, 100))
    figures.take(grew(1, 70, 1_000))
    assert figures.tokens == 1_100, "of each section the last figure counts"
    assert figures.done_lines == 70, "a section counts up to its target"
    figures.take(done(1, 45))
    assert figures.done_lines == 70, "a finished one counts in full"
    assert figures.summary == "1,100 tokens, 900 left of the allowance, 0:55 to go"
    figures.take(done(2, 150))
    assert figures.left == "0:00"


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
    assert plan_lines(RunPlanned(sections=(planned(1),))) == ["1 sections: 1 to draft (50 lines)"]


def test_plain_lines_tell_the_whole_story() -> None:
    stream = io.StringIO()
    with progress(stream) as show:
        assert isinstance(show, PlainProgress)
        for event in STORY:
            show(event)
    said = stream.getvalue().splitlines()
    assert said[:2] == ["2 sections: 2 to draft (200 lines)", "03/2: changed: outline"]
    assert said[2].startswith("03/1: 20 of 50 lines, 400 tokens, 900 left of the allowance, 0:0")
    assert said[3] == "03/1: rate limited [/] (waiting 2 s)"
    assert said[5] == "03/1: drafted, 49 lines"
    assert len(said) == 6


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_terminal")
def test_a_terminal_gets_bars() -> None:
    stream = Terminal()
    with progress(stream) as show:
        assert isinstance(show, BarProgress)
        for event in STORY:
            show(event)
        (task,) = show.live.tasks
        assert (task.completed, task.total) == (50, 200)
        assert "1,000 tokens" in task.fields["note"]
    said = stream.getvalue()
    assert "2 sections: 2 to draft (200 lines)" in said
    assert "03/1 T: drafted, 49 of 50 lines" in said
    assert "rate limited [/] (waiting 2 s)" in said


@pytest.mark.usefixtures("_terminal")
@pytest.mark.parametrize("name", ["NO_COLOR", "TERM"])
def test_no_color_and_a_dumb_terminal_are_respected(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, {"NO_COLOR": "1", "TERM": "dumb"}[name])
    stream = Terminal()
    with progress(stream) as show:
        assert isinstance(show, PlainProgress if name == "TERM" else BarProgress)
        for event in STORY:
            show(event)
    assert "\x1b[33m" not in stream.getvalue(), "no colour"
    assert ("\x1b" in stream.getvalue()) is (name == "NO_COLOR")


@pytest.mark.parametrize("make", [BarProgress, None])
def test_brackets_in_titles_are_text(make: Callable[[Console], BarProgress] | None) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=150, force_terminal=True)
    show = BarProgress(console) if make else PlainProgress(stream)
    show(RunPlanned(sections=(planned(1, title="[/dev/null] and [bold]"),)))
    show(SectionStarted(chapter="03", section=1))
    if isinstance(show, BarProgress):
        with show.live:
            show.live.refresh()
    show(done(1, 40))
    if make:
        assert "[/dev/null] and [bold]: drafted" in stream.getvalue()


@pytest.mark.usefixtures("_terminal")
def test_nothing_to_write_is_no_division_by_zero() -> None:
    with progress(Terminal()) as show:
        show(RunPlanned(sections=()))
        assert isinstance(show, BarProgress)
        assert show.live.tasks[0].total == 1
