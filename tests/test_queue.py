"""The queue: what is put up, who takes it, what goes back, and that money is spent once."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ledgers import ServerSite
from scripted_server import ScriptedServer
from workspaces import draft_of, expand, finished, small, start

from expand.drafting.backend import Backend
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.ledger import Ledger, verify
from expand.ledger_location import Server
from expand.llm.tokens import RANK_FILES, load_ranks
from expand.outline import Plan
from expand.settings import Settings, read_settings
from expand.worker.job_queue import QueueStatus, schema_of
from expand.worker.queue_backend import EnqueueReport, QueueBackend
from expand.worker.work_loop import WorkerOptions, WorkReport, run_worker
from expand.workspace import Workspace

SILENT = 3.0


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Checkouts of one book on one ledger in PostgreSQL."""

    folder: Path
    site: ServerSite
    server: ScriptedServer

    @property
    def server_place(self) -> Server:
        return self.site.place

    def checkout(self, name: str = "one", *, model: str = "scripted") -> Path:
        place = small(self.folder / name)
        address = f"{self.server_place.address}?schema={self.server_place.schema}"
        (place / "expand.toml").write_text(
            f'ledger = "{address}"\n[author]\nmodel = "{model}"\nbase_url = "{self.server.base_url}"\n'
        )
        return place

    def balance_used(self) -> int:
        ledger = Ledger.read(self.server_place)
        assert ledger is not None
        try:
            return ledger.balance("book").used_tokens
        finally:
            ledger.close()

    def sent_again(self) -> int:
        """Attempts at requests whose answer was settled before."""
        ledger = Ledger.read(self.server_place)
        assert ledger is not None
        settled: set[str] = set()
        again = 0
        for row in ledger.attempts():
            again += row.request_key in settled
            if row.state.value == "settled":
                settled.add(row.request_key)
        ledger.close()
        return again

    def edit(self, place: Path, old: str, new: str, file: str = "outlines/07.yaml") -> None:
        path = place / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def shelf(tmp_path: Path, postgres: ServerSite) -> Iterator[Shelf]:
    with pytest.MonkeyPatch.context() as patch, ScriptedServer() as server:
        patch.setenv("EXPAND_TRUST", "1")
        yield Shelf(folder=tmp_path, site=postgres, server=server)
    postgres.alter(f'DROP SCHEMA IF EXISTS "{schema_of(postgres.place)}" CASCADE')


def settings_of(place: Path) -> Settings:
    return read_settings(place / "expand.toml", environment={}, trusted=True)


def backend_of(place: Path) -> QueueBackend:
    return QueueBackend(Workspace.open(place), settings_of(place), silent_seconds=SILENT)


def enqueue(place: Path, **changes: Any) -> EnqueueReport:
    return asyncio.run(_enqueue(place, **changes))


async def _enqueue(place: Path, **changes: Any) -> EnqueueReport:
    options = RunOptions(**{"chapters": ("07",), "plan": Plan.FULL, "language": "en", **changes})
    return await backend_of(place).submit(options)


def work(place: Path, **options: Any) -> WorkReport:
    return asyncio.run(_work(place, **options))


async def _work(place: Path, *, until_empty: bool = True, write_drafts: bool = False, **listeners: Any) -> WorkReport:
    options = WorkerOptions(until_empty=until_empty, silent_seconds=SILENT, write_drafts=write_drafts)
    return await run_worker(Workspace.open(place), settings_of(place), options, **listeners)


def status(place: Path) -> QueueStatus:
    return asyncio.run(backend_of(place).status())


def named(sections: Sequence[Any]) -> list[str]:
    return sorted(f"{job.chapter}/{job.section}" for job in sections)


# --- from the queue to the draft ---------------------------------------------------------------


def test_a_worker_buys_and_whoever_asks_gets_the_draft(shelf: Shelf) -> None:
    asker, elsewhere = shelf.checkout("asker"), shelf.checkout("elsewhere")
    queued = expand(asker, "chapter", "--all", "--queue", "--json")
    assert queued.code == 0, queued.err
    assert [entry["section"] for entry in queued.json["queued"]] == [1, 2, 3]
    assert not shelf.server.requests

    worked = expand(elsewhere, "worker", "--until-empty", "--json")
    assert worked.code == 0, worked.err
    assert {s["outcome"] for s in worked.json["sections"]} == {"bought"}
    assert worked.json["answers"] == worked.json["attempts"] == len(shelf.server.requests) > 0
    assert not (elsewhere / "drafts").exists()

    bought = len(shelf.server.requests)
    drafted = expand(asker, "chapter", "07", "--json")
    assert drafted.code == 0, drafted.err
    assert len(shelf.server.requests) == bought
    assert drafted.json["attempts"] == 0
    assert {s["status"] for s in drafted.json["chapters"][0]["sections"]} == {"reused"}
    for title in ("Signal handling", "Named pipes", "Checklist"):
        assert title in draft_of(asker)
    assert verify(shelf.server_place).findings == ()


def test_a_worker_may_write_its_own_drafts(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place)
    work(place, write_drafts=True)
    written = draft_of(place)
    assert expand(place, "chapter", "07").code == 0
    assert draft_of(place) == written


def test_collecting_drafts_what_workers_bought_and_sends_nothing(shelf: Shelf) -> None:
    place = shelf.checkout()
    backend: Backend = backend_of(place)
    early = asyncio.run(backend.collect())
    assert early.exit_code != 0, "nothing is bought yet"
    enqueue(place)
    work(place)
    sent = len(shelf.server.requests)
    report = asyncio.run(backend.collect())
    assert (report.exit_code, len(shelf.server.requests)) == (0, sent)
    assert report.as_json()["attempts"] == 0
    assert "Signal handling" in draft_of(place)


def test_the_lean_plan_is_taken_over_by_workers(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place, plan=Plan.LEAN)
    work(place)
    lean = len(shelf.server.requests)
    enqueue(place)
    work(place)
    full = len(shelf.server.requests) - lean
    assert expand(place, "chapter", "07").code == 0
    assert len(shelf.server.requests) == lean + full


# --- nothing is queued twice -------------------------------------------------------------------


def test_a_damaged_tokenizer_is_told_before_anything_is_queued(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (file, _) in RANK_FILES.items():
        monkeypatch.setitem(RANK_FILES, name, (file, "0" * 64))
    load_ranks.cache_clear()  # another test of this process may have loaded them
    place = shelf.checkout()
    with pytest.raises(InputError, match="is damaged; install the package again"):
        enqueue(place)
    monkeypatch.undo()
    assert len(enqueue(place).jobs.queued) == 3, "nothing was there before"


def test_two_who_queue_the_same_at_once_queue_it_once(shelf: Shelf) -> None:
    one, two = shelf.checkout("one"), shelf.checkout("two")

    async def both() -> list[EnqueueReport]:
        return list(await asyncio.gather(_enqueue(one), _enqueue(two)))

    results = asyncio.run(both())
    assert sorted(len(result.jobs.queued) for result in results) == [0, 3]
    assert sorted(len(result.jobs.waiting) for result in results) == [0, 3]
    assert status(one).counts["queued"] == 3


def test_what_is_bought_or_current_is_not_queued(shelf: Shelf) -> None:
    place, other = shelf.checkout("one"), shelf.checkout("two")
    enqueue(place)
    work(place)
    assert len(enqueue(other).jobs.done) == 3
    expand(place, "chapter", "07")
    again = enqueue(place)
    assert (len(again.jobs.queued), len(again.jobs.done), again.current) == (0, 0, 3)
    assert named(enqueue(place, fresh=True, sections=frozenset({2})).jobs.queued) == ["07/2"]


def test_a_changed_outline_takes_the_place_of_the_job_that_nobody_began(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place)
    shelf.edit(place, "Blocking signals", "Masking signals")
    again = enqueue(place)
    assert named(again.jobs.queued) == ["07/1"]
    assert named(again.jobs.waiting) == ["07/2", "07/3"]
    assert again.jobs.withdrawn == 1
    assert status(place).counts["queued"] == 3


def test_a_job_for_an_edition_that_was_asked_for_afresh_since_is_not_bought(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place, sections=frozenset({3}))
    ledger = Ledger.open(shelf.server_place)
    ledger.raise_edition("07", 3)
    ledger.close()
    worked = work(place)
    assert [report.outcome for report in worked.reports] == ["superseded"]
    assert not shelf.server.requests
    assert status(place).counts["queued"] == 0


def test_a_draft_in_another_language_has_editions_of_its_own(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place, sections=frozenset({3}))
    enqueue(place, sections=frozenset({3}), language="zh", fresh=True)
    ledger = Ledger.open(shelf.server_place)
    ledger.raise_edition("07", 3)
    ledger.close()
    worked = work(place)
    assert sorted(report.outcome for report in worked.reports) == ["bought", "superseded"]


def test_what_is_queued_can_be_withdrawn(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place)
    assert expand(place, "worker", "--withdraw", "03").out.startswith("0 sections")
    assert expand(place, "worker", "--withdraw", "07").out.startswith("3 sections")
    assert work(place).reports == ()


def test_sections_edited_by_hand_are_left_alone(shelf: Shelf) -> None:
    place = shelf.checkout()
    expand(place, "chapter", "07")
    path = place / "drafts" / "07.md"
    path.write_text(path.read_text().replace("## 3. Checklist\n", "## 3. Checklist\n\nMine.\n"))
    queued = enqueue(place, fresh=True)
    assert named(queued.jobs.queued) == ["07/1", "07/2"]
    assert queued.edited == 1


# --- workspaces that differ --------------------------------------------------------------------


def test_a_worker_whose_outline_differs_leaves_the_section_to_another(shelf: Shelf) -> None:
    asker, other = shelf.checkout("asker"), shelf.checkout("other")
    shelf.edit(other, "Opening a pipe", "Making a pipe")
    enqueue(asker)
    ran = expand(other, "worker", "--until-empty", "--json")
    assert ran.code == 2, ran.err
    assert ran.json["misfits"] == ["07/2"]
    assert "07/2: put back: this workspace differs from the job in: outline" in ran.err
    asked = {received.question.section for received in shelf.server.requests}
    assert asked == {1, 3}

    (left,) = (entry for entry in status(asker).jobs if entry.state == "queued")
    assert left.job.section == 2
    assert "outline" in left.note.message
    assert left.taken <= 3
    assert [report.outcome for report in work(asker).reports] == ["bought"]
    assert status(asker).counts["done"] == 3


def test_a_worker_with_another_model_or_prompts_says_so(shelf: Shelf) -> None:
    asker, other = shelf.checkout("asker"), shelf.checkout("other", model="gpt-4.1")
    enqueue(asker, sections=frozenset({3}))
    (report,) = work(other).reports
    assert report.outcome == "misfit"
    assert "model (scripted is wanted, gpt-4.1 is set here)" in report.note.message

    prompts = shelf.checkout("prompts")
    assert expand(prompts, "prompt", "eject", "section").code == 0
    shelf.edit(prompts, "{", "Mind the gap. {", file="prompts/section.j2")
    (report,) = work(prompts).reports
    assert report.note.message.endswith("differs from the job in: templates")

    (prompts / "outlines" / "07.yaml").unlink()
    (report,) = work(prompts).reports
    assert "chapter '07' has no outline" in report.note.message
    assert not shelf.server.requests


def test_a_misfit_does_not_spin_and_mends_itself_when_the_checkout_is_updated(
    shelf: Shelf,
) -> None:
    asker, other = shelf.checkout("asker"), shelf.checkout("other")
    right = (other / "outlines" / "07.yaml").read_text(encoding="utf-8")
    shelf.edit(other, "Opening a pipe", "Making a pipe")
    enqueue(asker, sections=frozenset({2}))
    taken: list[int] = []

    async def both() -> WorkReport:
        stop: list[Any] = []
        task = asyncio.create_task(_work(other, until_empty=False, on_ready=stop.append, on_report=reports.append))
        await asyncio.sleep(2.5)
        taken.append((await backend_of(asker).status()).jobs[0].taken)
        (other / "outlines" / "07.yaml").write_text(right, encoding="utf-8")
        while not any(report.outcome == "bought" for report in reports):
            await asyncio.sleep(0.05)
        stop[0].stop()
        return await task

    reports: list[Any] = []
    worked = asyncio.run(asyncio.wait_for(both(), 20))
    assert 1 <= taken[0] <= 4
    assert [report.outcome for report in worked.reports] == ["misfit", "bought"]
    assert worked.misfits == ()


# --- what stops a section or a worker ----------------------------------------------------------


def test_what_the_budget_refuses_fails_and_is_queued_again_when_there_is_more(
    shelf: Shelf,
) -> None:
    place = shelf.checkout()
    shelf.edit(place, "tokens: 200000", "tokens: 3000", file="outlines/book.yaml")
    enqueue(place)
    ran = expand(place, "worker", "--until-empty", "--json")
    assert ran.code == 3, ran.err
    refused = [s for s in ran.json["sections"] if s["outcome"] == "refused"]
    assert refused
    assert "raise the limit" in refused[0]["message"]
    assert shelf.server.billed_tokens + 1000 <= 3000
    assert status(place).counts["failed"] == len(refused)

    shelf.edit(place, "tokens: 3000", "tokens: 200000", file="outlines/book.yaml")
    assert len(enqueue(place).jobs.queued) == len(refused)
    assert work(place).exit_code == 0
    assert shelf.sent_again() == 0


def test_a_wrong_key_stops_the_worker_and_puts_the_section_back(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place)
    shelf.server.key = "sk-right"
    ran = expand(place, "worker", "--until-empty", "--json")
    assert ran.code == 4
    assert "OPENAI_API_KEY" in ran.json["stopped_by"]
    assert len(shelf.server.requests) == 1
    assert status(place).counts["queued"] == 3
    shelf.server.key = None
    assert work(place).exit_code == 0
    assert status(place).counts["done"] == 3


def test_a_section_that_the_author_fails_at_ends_and_the_others_go_on(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place)
    shelf.server.script = ("normal", "server_error")
    hold = ("--on-unknown", "hold")
    ran = expand(place, "worker", "--until-empty", "--concurrency", "1", *hold, "--json")
    assert ran.code == 4, ran.err
    outcomes = [section["outcome"] for section in ran.json["sections"]]
    assert outcomes == ["failed", "bought", "bought"]
    assert status(place).counts["failed"] == 1
    assert named(enqueue(place).jobs.queued) == ["07/1"]
    assert work(place).exit_code == 0


def test_a_pause_that_one_worker_is_asked_for_holds_for_the_other(shelf: Shelf) -> None:
    one, two = shelf.checkout("one"), shelf.checkout("two")
    shelf.server.script = ("rate_limited",)
    shelf.server.retry_after = "1.5"
    enqueue(one)

    async def both() -> list[WorkReport]:
        return list(await asyncio.gather(_work(one), _work(two)))

    began = time.monotonic()
    results = asyncio.run(both())
    assert time.monotonic() - began >= 1.5
    answers = sum(report.note.answers for result in results for report in result.reports)
    assert len(shelf.server.requests) == answers + 1
    assert shelf.sent_again() == 0


# --- workers that end --------------------------------------------------------------------------


def until_running(place: Path, count: int) -> None:
    for _ in range(200):
        if status(place).counts["running"] >= count:
            return
        time.sleep(0.05)
    raise AssertionError("no worker took anything")


def test_a_stopped_worker_lets_what_is_in_flight_arrive_and_puts_the_rest_back(
    shelf: Shelf,
) -> None:
    place = shelf.checkout()
    enqueue(place)
    shelf.server.latency_seconds = 1.0
    process = start(place, "worker", "--concurrency", "2", "--json")
    until_running(place, 2)
    while len(shelf.server.requests) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    ran = finished(process)
    assert ran.code == 0, ran.err
    assert ran.json["budget"]["reserved"] == 0
    assert ran.json["answers"] == len(shelf.server.requests) == 2
    assert status(place).counts["queued"] == 3
    assert status(place).workers == ()

    shelf.server.latency_seconds = 0.0
    assert work(place).exit_code == 0
    assert shelf.sent_again() == 0


def test_the_sections_of_a_killed_worker_are_taken_by_the_living(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place)
    shelf.server.latency_seconds = 0.5
    dead = start(place, "worker", "--concurrency", "2", "--silent-after", str(SILENT))
    while len(shelf.server.requests) < 3:
        time.sleep(0.02)
    dead.kill()
    dead.communicate()
    assert status(place).counts["running"] == 2

    shelf.server.latency_seconds = 0.0
    said: list[str] = []
    worked = work(place, tell=said.append)
    assert worked.exit_code == 0
    assert any("no sign of life" in line for line in said)
    assert status(place).counts == {
        "queued": 0, "running": 0, "stalled": 0, "done": 3, "failed": 0,
    }  # fmt: skip
    assert shelf.sent_again() == 0
    assert shelf.server.billed_tokens <= shelf.balance_used()
    assert worked.balance.reserved_tokens == 0
    assert verify(shelf.server_place).findings == ()
    sent = len(shelf.server.requests)
    assert expand(place, "chapter", "07").code == 0
    assert len(shelf.server.requests) == sent


def test_a_worker_that_was_taken_for_dead_begins_again(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place)
    shelf.server.latency_seconds = 0.4
    said: list[str] = []

    async def slept() -> WorkReport:
        task = asyncio.create_task(_work(place, tell=said.append))
        while not shelf.server.requests:
            await asyncio.sleep(0.02)
        shelf.site.alter(f'DELETE FROM "{schema_of(shelf.server_place)}".procrastinate_workers')
        return await task

    assert asyncio.run(asyncio.wait_for(slept(), 30)).exit_code == 0
    assert any("it begins again" in line for line in said)
    assert status(place).counts["done"] == 3
    assert shelf.sent_again() == 0
    assert shelf.server.billed_tokens + 1000 == shelf.balance_used()


def test_a_queue_of_a_newer_version_is_refused(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place)
    schema = schema_of(shelf.server_place)
    shelf.site.alter(f"UPDATE \"{schema}\".queue_version SET migration = '99.00.00_01_pre.sql'")
    ran = expand(place, "worker", "--status")
    assert ran.code == 2
    assert "pip install -U 'chapter-expand[queue]'" in ran.err


def test_a_queue_of_an_older_version_is_brought_up_to_date(shelf: Shelf) -> None:
    place = shelf.checkout()
    enqueue(place)
    schema = schema_of(shelf.server_place)
    shelf.site.alter(f"UPDATE \"{schema}\".queue_version SET migration = '03.04.00_01_pre_add.sql'")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("expand.worker.job_queue.migrations_path", migrations(shelf.folder))
        assert status(place).counts["queued"] == 3
    found = shelf.site.query(f'SELECT migration FROM "{schema}".queue_version')
    assert found == [("03.04.00_50_post.sql",)]
    assert shelf.site.query(f'SELECT count(*) FROM "{schema}".made_by_migration') == [(0,)]


def migrations(folder: Path) -> Path:
    """Migrations of which only the last is new."""
    place = folder / "migrations"
    place.mkdir()
    (place / "03.04.00_01_pre_add.sql").write_text("SELECT 1/0;")
    (place / "03.04.00_50_post.sql").write_text("CREATE TABLE made_by_migration (one INT);")
    return place


def test_long_schema_names_give_different_queues() -> None:
    names = {schema_of(Server(address="postgresql://h/d", schema="b" * 62 + end)) for end in "xy"}
    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)


# --- the command line --------------------------------------------------------------------------


def test_the_queue_wants_postgresql(tmp_path: Path) -> None:
    place = small(tmp_path)
    for arguments in (("chapter", "07", "--queue"), ("worker",), ("worker", "--status")):
        ran = expand(place, *arguments)
        assert ran.code == 2
        assert "the queue needs a PostgreSQL ledger" in ran.err
        assert 'set `ledger = "postgresql://' in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chapter", "07", "--queue", "--batch", "submit"], "--queue and --batch"),
        (["chapter", "07", "--queue", "--budget", "5"], "--budget limits one run"),
        (["chapter", "07", "--queue", "--context", "text"], "one after the other"),
        (["worker", "07"], "takes whatever is queued"),
    ],
)
def test_what_cannot_be_queued_is_said(shelf: Shelf, arguments: list[str], said: str) -> None:
    ran = expand(shelf.checkout(), *arguments)
    assert ran.code == 2
    assert said in ran.err


def test_without_the_extra_the_command_to_install_it_is_named(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expand.worker.jobs.find_spec", lambda _: None)
    ran = expand(shelf.checkout(), "chapter", "07", "--queue")
    assert ran.code == 2
    assert "pip install 'chapter-expand[queue]'" in ran.err


def test_the_status_shows_who_works_at_what(shelf: Shelf) -> None:
    place = shelf.checkout()
    assert expand(place, "worker", "--status").out == ("0 queued, 0 running, 0 stalled, 0 done, 0 failed\n")
    enqueue(place)
    shelf.server.latency_seconds = 1.5
    process = start(place, "worker", "--concurrency", "1")
    until_running(place, 1)
    shown = expand(place, "worker", "--status")
    process.send_signal(signal.SIGINT)
    assert finished(process).code == 130
    assert shown.out.startswith("2 queued, 1 running")
    assert "at work, 1 section in hand, scripted" in shown.out
    assert "07/1" in shown.out
    one = json.loads(expand(place, "worker", "--status", "--json").out)
    assert one["queued"] == 3
    assert len(one["jobs"]) == 3


def test_start_up_of_other_commands_does_not_load_the_queue() -> None:
    code = "import sys, expand.cli; print([m for m in ('procrastinate', 'psycopg', 'rich') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.strip() == "[]"
