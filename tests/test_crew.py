"""A run that several processes share: the same drafts, one budget, one attempt for a wrong key."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_server import Habit, ScriptedServer
from workspaces import Ran, draft_of, finished, rows, start

from expand.crew.muster import members_for, widths
from expand.crew.pile import Pile
from expand.drafting.commission import Commission
from expand.drafting.session import Reading, read
from expand.ledger import Ledger, verify
from expand.outline.plan import Plan
from expand.settings import Overrides, read_settings
from expand.workspace import Workspace

CHAPTERS, SECTIONS = 8, 3
IDS = [f"{number:02d}" for number in range(1, CHAPTERS + 1)]


def book(folder: Path, *, processes: int | None, chapters: int = CHAPTERS) -> Path:
    """A workspace of small chapters, whose runs are shared by so many processes."""
    (folder / "outlines").mkdir(parents=True)
    shared = "" if processes is None else f"processes = {processes}\n"
    (folder / "expand.toml").write_text(f'[author]\nmodel = "scripted"\nconcurrency = 5\n{shared}')
    ids = [f"{number:02d}" for number in range(1, chapters + 1)]
    listed = "".join(f'  - {{id: "{i}", title: Chapter {i}}}\n' for i in ids)
    (folder / "outlines" / "book.yaml").write_text(
        "title: A book\nlanguage: en\nlanguages: [en]\nallowance: {tokens: 2000000}\n"
        f"chapters:\n{listed}"
    )
    for i in ids:
        sections = "".join(
            f"  - {{title: Part {n} of {i}, lines: {10 + n}, topics: [Topic {n} of {i}]}}\n"
            for n in range(1, SECTIONS + 1)
        )
        (folder / "outlines" / f"{i}.yaml").write_text(
            f'id: "{i}"\ntitle: Chapter {i}\nsource: chapters/{i}.md\nsections:\n{sections}'
        )
    return folder


def ran(place: Path, server: ScriptedServer, *arguments: str) -> Ran:
    return finished(started(place, server, *arguments))


def started(place: Path, server: ScriptedServer, *arguments: str) -> subprocess.Popen[str]:
    return start(place, "chapter", "--all", "--base-url", server.base_url, "--json", *arguments)


def owners(place: Path) -> int:
    """How many processes have reserved something."""
    return int(rows(place, "SELECT count(DISTINCT owner) FROM attempt")[0][0])


def children(process: subprocess.Popen[str]) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text(encoding="ascii").split()]


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def in_order(place: Path) -> None:
    """Nothing is reserved, the ledger adds up, and nothing that was answered was bought again."""
    assert rows(place, "SELECT count(*) FROM attempt WHERE state IN ('reserved', 'sent')") == [(0,)]
    assert verify(Workspace(root=place).ledger_place).ok
    settled = "SELECT count(*), count(DISTINCT request_key) FROM attempt WHERE state = 'settled'"
    ((answers, requests),) = rows(place, settled)
    assert answers == requests


def test_two_processes_come_to_the_same_as_one(tmp_path: Path) -> None:
    results = {}
    for processes in (1, 3):
        place = book(tmp_path / str(processes), processes=processes)
        with ScriptedServer(latency_seconds=0.01) as server:
            results[processes] = ran(place, server)
        assert results[processes].code in (0, 5), results[processes].err
        assert owners(place) == processes
        in_order(place)
    one, several = (result.json for result in results.values())
    for result in (one, several):
        del result["seconds"]
        for section in (s for c in result["chapters"] for s in c["sections"]):
            del section["tokens"]["cached"]  # goes by which request came before
    assert several == one
    for chapter in IDS:
        assert draft_of(tmp_path / "1", chapter) == draft_of(tmp_path / "3", chapter)


def test_the_progress_of_all_is_told_by_one(tmp_path: Path) -> None:
    place = book(tmp_path, processes=2)
    with ScriptedServer(latency_seconds=0.01) as server:
        shown = ran(place, server, "--verbose")
        again = ran(place, server)
        sent = len(server.requests)
    lines = shown.err.splitlines()
    assert sum(line.startswith(f"{CHAPTERS * SECTIONS} sections: ") for line in lines) == 1
    for chapter in IDS:
        for number in range(1, SECTIONS + 1):
            done = f"{chapter}/{number}: drafted, "
            assert sum(line.startswith(done) for line in lines) == 1
    attempts = [line for line in lines if re.search(r": \w+ [0-9a-f]{16} settled after", line)]
    assert len(attempts) == sent == again.json["attempts"] + shown.json["attempts"]
    assert {s["status"] for c in again.json["chapters"] for s in c["sections"]} == {"reused"}


@pytest.mark.parametrize("budget", [1_500, 6_000])
def test_the_budget_of_a_run_holds_over_all_processes(tmp_path: Path, budget: int) -> None:
    place = book(tmp_path, processes=2)
    with ScriptedServer(latency_seconds=0.01) as server:
        result = ran(place, server, "--budget", str(budget))
        assert server.billed_tokens <= budget
    assert result.code == 3, result.err
    assert result.json["budget"]["used"] <= budget
    statuses = {s["status"] for c in result.json["chapters"] for s in c["sections"]}
    assert "refused" in statuses
    assert len(rows(place, "SELECT id FROM run")) == 1
    in_order(place)


def test_a_wrong_key_costs_one_attempt_in_all(tmp_path: Path) -> None:
    place = book(tmp_path, processes=3)
    with ScriptedServer(key="the right one") as server:
        result = ran(place, server)
        assert len(server.requests) == 1
    assert result.code == 4
    assert result.err.count("Incorrect API key") == 1
    assert result.json["attempts"] == 1
    statuses = [s["status"] for c in result.json["chapters"] for s in c["sections"]]
    assert statuses == ["failed"] * (CHAPTERS * SECTIONS)
    in_order(place)


def test_an_author_that_stops_selling_stops_all(tmp_path: Path) -> None:
    place = book(tmp_path, processes=2)
    script: tuple[Habit, ...] = ("normal",) * 6
    with ScriptedServer(script=script, habit="insufficient_quota", latency_seconds=0.02) as server:
        result = ran(place, server)
        assert len(server.requests) < 6 + 2 * 5
    assert result.code == 4
    assert result.json["answers"] == 6
    in_order(place)


def test_nothing_is_sent_where_any_chapter_is_wrong(tmp_path: Path) -> None:
    place = book(tmp_path, processes=2)
    (place / "chapters").mkdir()
    for chapter in ("04", "07"):
        (place / "chapters" / f"{chapter}.md").write_bytes(b"# Chapter\n\n\xff\n")
    with ScriptedServer() as server:
        result = ran(place, server)
        fresh = ran(place, server, "--fresh")
        assert not server.requests
    assert result.code == fresh.code == 2
    assert result.out == ""
    assert (
        result.err.count("chapters/04.md:3: byte") == fresh.err.count("chapters/04.md:3: byte") == 1
    )
    assert "07.md" not in result.err
    assert rows(place, "SELECT count(*) FROM edition") == [(0,)]


def test_fresh_raises_each_edition_once(tmp_path: Path) -> None:
    place = book(tmp_path, processes=2)
    with ScriptedServer(latency_seconds=0.01) as server:
        ran(place, server)
        sent = len(server.requests)
        result = ran(place, server, "--fresh")
        assert len(server.requests) == 2 * sent
    assert result.json["answers"] == sent
    assert rows(place, "SELECT DISTINCT number FROM edition") == [(1,)]
    assert rows(place, "SELECT count(*) FROM edition") == [(CHAPTERS * SECTIONS,)]


def test_sections_are_told_what_those_before_them_say(tmp_path: Path) -> None:
    for processes in (1, 2):
        place = book(tmp_path / str(processes), processes=processes)
        with ScriptedServer() as server:
            assert ran(place, server, "--context", "text").code in (0, 5)
        in_order(place)
    for chapter in IDS:
        assert draft_of(tmp_path / "1", chapter) == draft_of(tmp_path / "2", chapter)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_takes_nothing_with_it(tmp_path: Path, killed: int) -> None:
    place = book(tmp_path, processes=2, chapters=16)
    with ScriptedServer(latency_seconds=0.15) as server:
        process = started(place, server)
        wait_until(lambda: len(server.requests) > 12, process)
        pid = children(process)[killed]
        os.kill(pid, signal.SIGKILL)
        result = finished(process)
        sent = len(server.requests)
        again = ran(place, server)
        assert len(server.requests) == sent
    assert result.code in (0, 5), result.err
    assert f"process {pid} of this run was ended by signal 9" in result.err
    statuses = {s["status"] for c in result.json["chapters"] for s in c["sections"]}
    assert statuses <= {"drafted", "reused"}
    assert len(result.json["chapters"]) == 16
    assert {s["status"] for c in again.json["chapters"] for s in c["sections"]} == {"reused"}
    unknown = rows(place, "SELECT count(*) FROM attempt WHERE state = 'unknown'")[0][0]
    assert 1 <= unknown <= 3
    in_order(place)


def test_a_killed_captain_leaves_nothing_reserved(tmp_path: Path) -> None:
    place = book(tmp_path, processes=2)
    with ScriptedServer(latency_seconds=0.2) as server:
        process = started(place, server)
        wait_until(lambda: len(server.requests) > 6, process)
        process.kill()
        process.communicate(timeout=20)  # ends when the members have let go of the pipes
        sent = len(server.requests)
        assert sent < CHAPTERS * SECTIONS
        in_order(place)
        assert rows(place, "SELECT count(*) FROM attempt WHERE state <> 'settled'") == [(0,)]
        result = ran(place, server)
    assert result.code in (0, 5), result.err
    assert result.json["answers"] + sent == len(server.requests)
    in_order(place)


def test_an_interrupt_lets_arrive_what_is_in_flight(tmp_path: Path) -> None:
    place = book(tmp_path, processes=2)
    with ScriptedServer(latency_seconds=0.3) as server:
        process = started(place, server)
        wait_until(lambda: len(server.requests) >= 7, process)
        process.send_signal(signal.SIGINT)
        result = finished(process)
        assert result.code == 130
        assert len(server.requests) < CHAPTERS * SECTIONS
        assert result.json["answers"] == len(server.requests)
    assert result.err.count("stopping: ") == 1
    assert len(result.json["chapters"]) == CHAPTERS
    assert result.json["budget"]["used"] == server.billed_tokens
    in_order(place)


def test_interrupted_twice_it_ends_at_once(tmp_path: Path) -> None:
    place = book(tmp_path, processes=2)
    with ScriptedServer(habit="hang", script=("normal",)) as server:
        process = started(place, server)
        wait_until(lambda: len(server.requests) >= 6, process)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        result = finished(process, 15)
    assert result.code == 130
    states = dict(rows(place, "SELECT state, count(*) FROM attempt GROUP BY state"))
    assert states["unknown"] == len(server.requests) - states["settled"]
    in_order(place)


def test_a_terminals_signals_to_all_processes_count_once(tmp_path: Path) -> None:
    place = book(tmp_path, processes=2)
    with ScriptedServer(latency_seconds=0.4) as server:
        process = started(place, server)
        wait_until(lambda: len(server.requests) >= 7, process)
        for pid in (*children(process), process.pid):
            os.kill(pid, signal.SIGTERM)
        for pid in children(process):
            os.kill(pid, signal.SIGINT)
        result = finished(process)
    assert result.code == 130
    assert result.err.count("stopping: ") == 1
    assert rows(place, "SELECT DISTINCT state FROM attempt") == [("settled",)]
    in_order(place)


def test_a_process_that_is_asked_to_stop_stops_all(tmp_path: Path) -> None:
    place = book(tmp_path, processes=2, chapters=16)
    with ScriptedServer(latency_seconds=0.3) as server:
        process = started(place, server)
        wait_until(lambda: len(server.requests) >= 7, process)
        pid = children(process)[1]
        os.kill(pid, signal.SIGTERM)
        result = finished(process)
    assert result.code == 130
    assert f"process {pid} of this run was asked to stop" in result.err
    assert rows(place, "SELECT DISTINCT state FROM attempt") == [("settled",)]
    in_order(place)


# --- how many --------------------------------------------------------------------------------


def reading_of(place: Path, **commissioned: object) -> Reading:
    workspace = Workspace(root=place)
    settings = read_settings(
        workspace.settings_path,
        environment={},
        overrides=Overrides(base_url="http://127.0.0.1:9/v1", model="scripted", concurrency=16),
    )
    commission = Commission(
        chapters=workspace.chapter_ids(),
        plan=Plan.FULL,
        language="en",
        **commissioned,  # type: ignore[arg-type] # a test's own
    )
    return read(workspace, settings, commission)


@pytest.mark.parametrize(
    ("chapters", "stated", "processors", "members"),
    [
        (8, None, 4, 1),  # 24 sections are few
        (80, None, 2, 2),
        (80, None, 64, 4),  # four sections side by side each, at least
        (80, 1, 4, 1),
        (80, 3, 2, 3),
        (8, 2, 2, 2),
        (1, 2, 2, 1),
    ],
)
def test_only_large_runs_are_shared_unless_a_number_is_stated(
    tmp_path: Path, chapters: int, stated: int | None, processors: int, members: int
) -> None:
    reading = reading_of(book(tmp_path, processes=stated, chapters=chapters))
    assert members_for(reading, processors=processors) == members


def test_named_sections_are_not_shared(tmp_path: Path) -> None:
    reading = reading_of(book(tmp_path, processes=2), sections=frozenset({1}))
    assert members_for(reading, processors=2) == 1


def test_the_widths_add_up() -> None:
    assert widths(16, 3) == (6, 5, 5)
    assert widths(2, 2) == (1, 1)


def test_each_chapter_is_taken_once_and_fewer_at_a_time_towards_the_end() -> None:
    pile = Pile(2)
    pile.lay(30)
    taken = []
    while found := pile.take(6):
        taken.append(found)
    pile.close()
    assert [number for found in taken for number in found] == list(range(30))
    assert [len(found) for found in taken][:3] == [6, 6, 4]
    assert len(taken[-1]) == 1


def test_two_processes_can_be_of_one_run(tmp_path: Path) -> None:
    place = Workspace(root=tmp_path).ledger_place
    first, second = Ledger.open(place), Ledger.open(place)
    run = first.begin_run(limits={}, openings={})
    joined = second.join_run(run.id)
    assert joined.id == run.id
    assert joined.owner != run.owner
    second.close()
    assert rows(tmp_path, "SELECT count(*) FROM run WHERE ended_at IS NULL") == [(1,)]
    first.close()
    assert rows(tmp_path, "SELECT count(*) FROM run WHERE ended_at IS NULL") == [(0,)]
    assert rows(tmp_path, "SELECT count(*) FROM owner WHERE ended_at IS NULL") == [(0,)]
