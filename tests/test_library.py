"""expand as a library: runs, events, cancellation, several at once, and what stays out of it."""

from __future__ import annotations

import ast
import asyncio
import json
import random
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from workspaces import draft_of, rows, small

import expand as package
from expand import (
    Answer,
    AttemptFailedError,
    AuthorError,
    BudgetExceededError,
    Event,
    Failure,
    Finish,
    InputError,
    Request,
    RunPlanned,
    SectionDone,
    Usage,
    Workspace,
    accept,
    dry_run,
    expand_chapter,
    expand_chapters,
    expanding,
    figures,
    render_report,
    review,
    undo,
)
from expand.document.draft import read
from expand.drafting.results import RunResult
from expand.drafting.run_options import OWN_MODEL, RunOptions
from expand.llm.types import OnText, ignore_text

WORDS = "process waits for the pipe while signal handler reads bytes and its parent keeps many other files open".split()  # noqa: SIM905
MARK = "Answer{}part{}"


@dataclass
class Writer:
    """An author of one's own: twenty new sentences a request; ``held`` keeps answers back."""

    held: asyncio.Event | None = None
    failure: Failure | None = None
    asked: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    arrived: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        self.asked.append(client_request_id)
        self.models.append(request.model)
        self.begun.set()
        section = int(client_request_id.split("/")[1])
        number = len(self.asked)
        if self.failure is not None:
            raise AttemptFailedError(self.failure, "no, thank you", status=401)
        if self.held is not None:
            await self.held.wait()
        await asyncio.sleep(0.01)
        self.arrived += 1
        chance = random.Random(1000 * section + number)
        text = "".join(f"{MARK.format(number, section)} {' '.join(chance.choices(WORDS, k=9))}.\n" for _ in range(20))
        usage = Usage(prompt=100, completion=300)
        return Answer(text=text, finish=Finish.STOP, usage=usage, model="mine")


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace.open(small(tmp_path / "book"))


def add_chapter(place: Workspace, chapter: str) -> None:
    outline = place.outline_path("07").read_text(encoding="utf-8")
    text = outline.replace("id: 07", f"id: {chapter}").replace("07_signals", f"{chapter}_signals")
    place.outline_path(chapter).write_text(text, encoding="utf-8")


def sections_of(place: Workspace, chapter: str = "07") -> dict[int, str]:
    return dict(read(draft_of(place.root, chapter)).sections)


async def test_a_chapter_with_an_author_of_ones_own(place: Workspace, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    writer = Writer()
    seen: list[Event] = []
    result = await expand_chapter(place, "07", plan="full", language="en", author=writer, on_event=seen.append)

    assert [s.status for s in result.chapter.sections] == ["drafted"] * 3
    assert result.chapter.lines == sum(s.lines for s in result.chapter.sections)
    assert result.attempts == len(writer.asked) == result.answers
    assert draft_of(place.root).count("Answer") == 20 * writer.arrived
    assert isinstance(seen[0], RunPlanned)
    assert {e.section for e in seen if isinstance(e, SectionDone)} == {1, 2, 3}
    assert set(writer.models) == {"scripted"}, "the model of expand.toml names the profile"
    result.raise_for_status()
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGINT) is before

    again = await expand_chapter(place, "07", author=writer)
    assert again.attempts == 0
    assert {s.status for s in again.chapter.sections} == {"reused"}


async def test_an_own_author_without_a_model_is_not_taken_for_the_embedded_one(
    place: Workspace,
) -> None:
    place.settings_path.write_text("", encoding="utf-8")
    writer = Writer()
    result = await expand_chapter(place, "07", sections=[3], author=writer, language="zh")
    assert [s.number for s in result.chapter.sections] == [3]
    assert set(writer.models) == {OWN_MODEL}


async def test_what_is_wrong_is_said_before_anything_is_sent(place: Workspace) -> None:
    writer = Writer()
    with pytest.raises(InputError, match=r"did you mean 07\?"):
        await expand_chapter(place, "77", author=writer)
    with pytest.raises(InputError, match="no section 9"):
        await expand_chapter(place, "07", sections=[9], author=writer)
    with pytest.raises(InputError, match="plan is 'thin'"):
        await expand_chapter(place, "07", plan="thin", author=writer)
    with pytest.raises(InputError, match="no chapter named"):
        await expand_chapters(place, [], author=writer)
    with pytest.raises(TypeError, match="there is no option 'section'"):
        await expand_chapter(place, "07", section=1, author=writer)
    with pytest.raises(InputError, match="OPENAI_API_KEY is not set"):
        await expand_chapter(place, "07")
    with pytest.raises(InputError, match="is no workspace"):
        Workspace.open(place.root / "drafts")
    assert not writer.asked


def test_a_workspace_is_found_from_inside_it(place: Workspace) -> None:
    assert Workspace.find(place.root / "outlines") == place
    assert Workspace.open(str(place.root)) == place


async def test_refusals_are_told_in_the_result_and_raised_on_request(place: Workspace) -> None:
    refused = await expand_chapter(place, "07", budget=10, author=Writer())
    assert {s.status for s in refused.chapter.sections} == {"refused"}
    assert refused.exit_code == 3
    with pytest.raises(BudgetExceededError, match="10"):
        refused.raise_for_status()

    failed = await expand_chapter(place, "07", author=Writer(failure=Failure.UNAUTHORIZED))
    assert failed.exit_code == 4
    with pytest.raises(AuthorError, match="no, thank you"):
        failed.raise_for_status()


async def test_events_are_told_from_the_first_on(place: Workspace) -> None:
    events: list[Event] = []
    async with expanding(place, "07", author=Writer(), on_event=events.append) as run:
        result = await run.result()
    assert isinstance(events[0], RunPlanned)
    done = [event for event in events if isinstance(event, SectionDone)]
    assert [e.status for e in done] == ["drafted"] * 3
    assert {e.section: e.lines for e in done} == {s.number: s.lines for s in result.chapter.sections}


async def test_wrong_input_is_raised_by_the_result(place: Workspace) -> None:
    place.outline_path("07").write_text("id: 07\n", encoding="utf-8")
    async with expanding(place, "07", author=Writer()) as run:
        with pytest.raises(InputError):
            await run.result()


async def test_a_run_has_no_result_before_it_begins(place: Workspace) -> None:
    with pytest.raises(RuntimeError, match="a run begins with `async with`"):
        await expanding(place, "07", author=Writer()).result()


async def test_a_run_that_is_stopped_before_it_begins_sends_nothing(place: Workspace) -> None:
    writer = Writer()
    async with expanding(place, "07", author=writer) as run:
        run.stop()
        result = await run.result()
    assert result.interrupted
    assert writer.asked == []


async def test_a_loop_that_ends_takes_the_run_with_it(place: Workspace) -> None:
    run = expanding(place, "07", author=Writer(held=asyncio.Event()))
    await run.__aenter__()
    run._begun.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run.result()


async def test_results_can_be_written_as_json_with_their_names(place: Workspace) -> None:
    form = json.loads(json.dumps(asdict(await expand_chapter(place, "07", author=Writer()))))
    assert form["balance"]["limit"]["tokens"] == 200_000
    usage = form["chapters"][0]["sections"][0]["usage"]
    assert set(usage) == {"prompt", "completion", "cached", "reasoning"}


async def test_a_block_left_early_stops_the_run_and_keeps_what_arrives(place: Workspace) -> None:
    writer = Writer()
    async with expanding(place, "07", author=writer, concurrency=1) as run:
        await asyncio.wait_for(writer.begun.wait(), 5)
    assert len(writer.asked) == 1
    assert rows(place.root, "select state from attempt") == [("settled",)]
    assert "Answer1part" in draft_of(place.root)
    assert (await run.result()).interrupted


async def test_a_cancelled_call_settles_and_drafts_what_was_in_flight(place: Workspace) -> None:
    writer = Writer(held=asyncio.Event())
    assert writer.held is not None
    call = asyncio.create_task(expand_chapter(place, "07", author=writer, concurrency=1))
    await asyncio.wait_for(writer.begun.wait(), 5)
    call.cancel()
    await asyncio.sleep(0.05)
    assert not call.done(), "it waits for what is in flight"
    writer.held.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(writer.asked) == writer.arrived == 1
    assert rows(place.root, "select state from attempt") == [("settled",)]
    assert "Answer1part" in draft_of(place.root)
    assert figures(place).balance.reserved_tokens == 0

    later = Writer()
    result = await expand_chapter(place, "07", author=later)
    assert [s.status for s in result.chapter.sections] == ["drafted"] * 3
    assert "Answer1part1 " in draft_of(place.root), "and it is not bought again"


async def test_a_call_cancelled_twice_leaves_unknown_what_was_in_flight(place: Workspace) -> None:
    writer = Writer(held=asyncio.Event())
    call = asyncio.create_task(expand_chapter(place, "07", author=writer, concurrency=1))
    await asyncio.wait_for(writer.begun.wait(), 5)
    call.cancel()
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, 5)
    assert rows(place.root, "select state from attempt") == [("unknown",)]
    balance = figures(place).balance
    assert balance.reserved_tokens == 0
    assert balance.unknown_tokens > 0
    assert balance.used_tokens == balance.unknown_tokens + balance.opening_tokens


async def test_a_timeout_is_a_cancellation(place: Workspace) -> None:
    writer = Writer()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await expand_chapter(place, "07", author=writer, concurrency=1)
    states = {state for (state,) in rows(place.root, "select state from attempt")}
    assert states <= {"settled"}
    assert figures(place).balance.reserved_tokens == 0


@pytest.mark.parametrize("kind", [RunPlanned, SectionDone])
async def test_an_error_of_the_listener_stops_the_run_and_is_raised_as_it_is(
    place: Workspace, kind: type[Event]
) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, kind):
            raise ZeroDivisionError("mine")

    writer = Writer()
    with pytest.raises(ZeroDivisionError, match="mine"):
        await expand_chapter(place, "07", author=writer, concurrency=1, on_event=listen)
    states = rows(place.root, "select state from attempt")
    assert len(states) == len(writer.asked) == writer.arrived
    assert {state for (state,) in states} <= {"settled"}


async def test_several_calls_on_one_chapter_share_its_draft(place: Workspace) -> None:
    writers = [Writer() for _ in range(3)]
    results = await asyncio.gather(
        *(expand_chapter(place, "07", sections=[number], author=writer) for number, writer in enumerate(writers, 1))
    )
    assert [r.chapter.sections[0].status for r in results] == ["drafted"] * 3
    texts = sections_of(place)
    for number in (1, 2, 3):
        assert f"part{number} " in texts[number]
    again = await expand_chapter(place, "07", author=Writer())
    assert {s.status for s in again.chapter.sections} == {"reused"}


async def test_the_same_call_at_once_buys_everything_once(place: Workspace) -> None:
    one, other = Writer(), Writer()
    first, second = await asyncio.gather(
        expand_chapter(place, "07", author=one), expand_chapter(place, "07", author=other)
    )
    bought = rows(place.root, "select count(*), count(distinct request_key) from attempt")
    assert bought == [(len(one.asked) + len(other.asked),) * 2]
    assert first.chapter.lines == second.chapter.lines


async def test_several_calls_keep_to_one_budget(place: Workspace) -> None:
    chapters = ["07", "08", "09", "10"]
    for chapter in chapters[1:]:
        add_chapter(place, chapter)
    text = place.book_path.read_text(encoding="utf-8")
    place.book_path.write_text(text.replace("tokens: 200000", "tokens: 9000"), encoding="utf-8")
    results = await asyncio.gather(*(expand_chapter(place, chapter, author=Writer()) for chapter in chapters))
    assert any(r.refused for r in results)
    assert any(r.answers for r in results)
    balance = figures(place).balance
    assert balance.limit.tokens == 9000
    assert balance.used_tokens <= 9000
    assert balance.reserved_tokens == 0


async def test_two_chapters_in_one_run(place: Workspace) -> None:
    add_chapter(place, "08")
    result = await expand_chapters(place, ("07", "08", "07"), author=Writer())
    assert [chapter.id for chapter in result.chapters] == ["07", "08"]
    with pytest.raises(ValueError, match="too many"):
        _ = result.chapter


async def test_review_accept_undo_and_figures(place: Workspace) -> None:
    with pytest.raises(InputError, match="there is no draft"):
        review(place, "07")
    planned = dry_run(place, "07", author=Writer())
    assert [p.section for p in planned] == [1, 2, 3]
    assert all(p.reserved_tokens > 0 for p in planned)

    result: RunResult = await expand_chapter(place, "07", author=Writer())
    reviewed = review(place, "07")
    assert reviewed.lines == result.chapter.lines
    assert not reviewed.blocking

    source = place.root / "chapters" / "07_signals.md"
    former = source.read_bytes()
    handover = accept(place, "07")
    assert [a.source for a in handover.accepted] == ["chapters/07_signals.md"]
    assert source.read_bytes() != former
    assert undo(place, "07").former
    assert source.read_bytes() == former

    facts = figures(place)
    assert facts.balance.used_tokens == 1000 + 400 * result.answers
    assert "A small book" in render_report(place, "status")
    assert render_report(place, "budget", form="json").startswith("{")
    assert render_report(place, "plan", form="html").startswith("<!")
    assert render_report(place, "status", language="zh") != render_report(place, "status")
    with pytest.raises(InputError, match="there is no report"):
        render_report(place, "cost")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="form is 'pdf'"):
        render_report(place, "plan", form="pdf")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="reports have no language 'de'"):
        render_report(place, "plan", language="de")


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys; old = {*sys.modules}; import expand; print(*sorted({*sys.modules} - old))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in ran.stdout.split() if name.startswith("expand")] == ["expand"]
    assert not {"openai", "asyncio", "jinja2", "tiktoken"} & set(ran.stdout.split())


def test_every_name_on_offer_is_there_and_is_known_to_type_checkers() -> None:
    source = Path(package.__file__ or "").with_suffix(".pyi").read_text(encoding="utf-8")
    typed = {
        alias.asname
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("expand.")
        for alias in node.names
    }
    assert typed == set(package.__all__)
    for name in package.__all__:
        assert getattr(package, name).__doc__ or name == "Event", name
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = package.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize("budget", [-1, 0])
def test_a_budget_is_not_negative(budget: int) -> None:
    if budget < 0:
        with pytest.raises(InputError, match=r"budget is -1; give a number of tokens, from 0 on"):
            RunOptions(budget=budget)
    else:
        assert RunOptions(budget=budget).budget == 0
