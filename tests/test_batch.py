"""Batches from submission to draft: once, whatever the provider does and wherever it is killed."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_server import BatchServer, Trap
from buying import recovered
from ledgers import ServerSite
from workspaces import ROOT, draft_of, expand, finished, rows, small, start

from expand.batch.batch_backend import BatchBackend, CollectReport, SubmitReport
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.ledger import Ledger, export, import_, verify
from expand.ledger.batches import Batches, Stage
from expand.llm.batch_api import BatchAuthor
from expand.llm.endpoint import Endpoint
from expand.llm.types import AttemptFailedError
from expand.outline import Plan
from expand.schema import Json
from expand.settings import Overrides, Settings, read_settings
from expand.workspace import Workspace

PRICED = """\
[author]
model = "scripted"
[models.scripted.prices]
prompt = 2.0
completion = 8.0
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing."""
    monkeypatch.setattr("expand.batch.submission.SETTLING_SECONDS", 0.0)


class Desk:
    """A workspace with chapter 07 and a provider."""

    def __init__(self, folder: Path, server: BatchServer, *, priced: bool = False) -> None:
        self.place = small(folder)
        if priced:
            (folder / "expand.toml").write_text(PRICED, encoding="utf-8")
        self.server = server
        self.workspace = Workspace(root=self.place)
        self.told: list[str] = []

    @property
    def settings(self) -> Settings:
        return read_settings(
            self.workspace.settings_path,
            environment={},
            overrides=Overrides(base_url=self.server.base_url),
        )

    def backend(self, settings: Settings | None = None) -> BatchBackend:
        return BatchBackend(self.workspace, settings or self.settings, tell=self.told.append)

    def submit(self, *, dry_run: bool = False, **changes: Any) -> SubmitReport:
        options = RunOptions(**{"chapters": ("07",), "plan": Plan.FULL, "language": "en", **changes})
        return asyncio.run(self.backend().submit(options, dry_run=dry_run))

    def collect(self) -> CollectReport:
        return asyncio.run(self.backend().collect())

    def round(self) -> CollectReport:
        assert self.submit().problem == ""
        return self.collect()

    def states(self) -> Counter[str]:
        return Counter(state for (state,) in rows(self.place, "SELECT state FROM attempt"))

    def stages(self) -> list[str]:
        return [s for (s,) in rows(self.place, "SELECT stage FROM batch ORDER BY began_at, id")]

    def sound(self) -> bool:
        report = verify(self.workspace.ledger_place)
        assert report.findings == ()
        return True


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    """Makes a desk whose provider has the habits that are asked for."""
    servers: list[BatchServer] = []

    def make(*, priced: bool = False, **habits: Any) -> Desk:
        server = BatchServer(**habits)
        server.start()
        servers.append(server)
        return Desk(tmp_path / f"w{len(servers)}", server, priced=priced)

    yield make
    for server in servers:
        server.stop()


Make = Callable[..., Desk]


def test_rounds_of_batches_draft_the_chapter_for_what_was_billed(desk: Make) -> None:
    d = desk(ratio=0.6, priced=True)
    rounds = 0
    while d.submit().batches:
        rounds += 1
        got = d.collect()
        assert rounds <= 6
    assert got.missing == ()
    assert got.drafted is not None
    assert all(abs(s.lines - s.target_lines) <= 2 for s in got.drafted.chapters[0].sections)
    assert "## 1. Signal handling" in draft_of(d.place)
    assert d.server.worked_twice == 0
    assert got.balance.used_tokens == d.server.billed_tokens + 1000  # the book's opening balance
    bill = sum(e.prompt * 1_000_000 + e.completion * 4_000_000 for e in d.server.books)
    assert got.balance.used_pico_usd == bill  # half of 2 and 8 dollars a million
    assert got.balance.reserved_tokens == 0
    assert d.sound()


def test_custom_ids_are_request_keys_and_the_metadata_names_the_batch(desk: Make) -> None:
    d = desk()
    (batch,) = d.submit().batches
    (remote,) = d.server.batches.values()
    sent = [json.loads(line) for line in d.server.files[remote.body["input_file_id"]].splitlines()]
    keys = {key for (key,) in rows(d.place, "SELECT request_key FROM attempt")}
    assert {line["custom_id"] for line in sent} == keys
    assert {(line["method"], line["url"]) for line in sent} == {("POST", "/v1/chat/completions")}
    assert all(line["body"]["max_tokens"] > 0 for line in sent)
    assert remote.body["metadata"] == {"expand_batch": batch.id}
    assert d.states() == {"sent": 3}
    assert d.sound()


def test_a_batch_reserves_at_half_the_price(desk: Make) -> None:
    d = desk(priced=True)
    d.submit()
    for tokens, pico, cap in rows(d.place, "SELECT reserved_tokens, reserved_pico, output_cap FROM attempt"):
        assert pico == (tokens - cap) * 1_000_000 + cap * 4_000_000


def test_a_section_asks_one_question_at_a_time_and_its_repairs_together(desk: Make) -> None:
    d = desk()
    topics = "\n".join(f"      - Topic number {n} of the list" for n in range(4))
    (d.place / "outlines/07.yaml").write_text(
        "id: 07\ntitle: Signals\nsource: chapters/07_signals.md\ntarget_lines: 240\nsections:\n"
        f"  - title: A long one\n    lines: 240\n    topics:\n{topics}\n",
        encoding="utf-8",
    )
    counts = []
    while (done := d.submit()).batches:
        counts.append(len(done.orders))
        assert {order.address.purpose for order in done.orders} == {"repair"} or counts[-1] == 1
        got = d.collect()
    assert got.drafted is not None
    (section,) = got.drafted.chapters[0].sections
    assert abs(section.lines - 240) <= 12


def _sent(d: Desk) -> list[Any]:
    names = [batch.body["input_file_id"] for batch in d.server.batches.values()]
    return [json.loads(line) for name in names for line in d.server.files[name].splitlines()]


def test_what_the_budget_refuses_is_not_submitted(desk: Make) -> None:
    d = desk()
    done = d.submit(budget=3500)
    assert done.exit_code == 3
    assert len(done.refused) == 1
    assert "this run (--budget)" in done.refused[0]
    assert len(_sent(d)) == 2
    assert d.sound()


def test_a_rehearsal_reserves_and_sends_nothing(desk: Make) -> None:
    d = desk()
    done = d.submit(dry_run=True)
    assert len(done.orders) == 3
    assert d.server.calls == {}
    assert rows(d.place, "SELECT * FROM attempt") == []


@pytest.mark.parametrize("trap", ["lost_after", "drop_after"])
def test_a_creation_whose_answer_is_lost_is_found_and_not_repeated(desk: Make, trap: Trap) -> None:
    d = desk(trap=trap, ratio=1.6)
    done = d.submit()
    assert [batch.stage for batch in done.batches] == [Stage.SUBMITTED]
    assert d.server.calls["POST /v1/batches"] == 1
    assert d.collect().balance.used_tokens == d.server.billed_tokens + 1000
    assert d.server.worked_twice == 0


def test_a_creation_that_certainly_failed_costs_nothing_and_is_submitted_anew(desk: Make) -> None:
    d = desk(trap="lost_before")
    lost = d.submit()
    assert (lost.exit_code, lost.balance.reserved_tokens, lost.balance.used_tokens) == (4, 0, 1000)
    assert "nothing was submitted" in lost.problem
    assert d.states() == {"released": 3}
    assert (len(d.server.batches), len(d.server.files)) == (0, 0)
    done = d.submit()
    assert [batch.stage for batch in done.batches] == [Stage.SUBMITTED]
    assert d.server.calls["POST /v1/batches"] == 2
    assert d.server.calls["DELETE /v1/files/{id}"] == 1
    assert len(d.server.batches) == 1
    assert len(d.server.files) == 1
    assert d.sound()


@pytest.mark.parametrize("trap", ["refused", "rate_limited"])
def test_a_refused_creation_costs_nothing_and_says_why(desk: Make, trap: Trap) -> None:
    d = desk(trap=trap)
    done = d.submit()
    assert done.exit_code == 4
    assert "nothing was submitted" in done.problem
    assert done.balance.reserved_tokens == 0
    assert done.balance.used_tokens == 1000
    assert d.states() == {"released": 3}
    assert d.server.files == {}
    assert d.sound()


@pytest.mark.parametrize("habits", [{"lists": False}, {"deletes": False}])
def test_where_nobody_can_say_it_is_charged_and_said(desk: Make, habits: dict[str, bool]) -> None:
    d = desk(trap="lost_before", **habits)
    done = d.submit()
    assert done.exit_code == 4
    assert "nobody can say whether" in done.problem
    assert "expand ledger reconcile" in done.problem
    assert d.states() == {"unknown": 3}
    assert d.stages() == ["lost"]
    assert done.balance.unknown_tokens > 0
    assert d.sound()


def test_a_wrong_key_leaves_nothing_behind(desk: Make) -> None:
    d = desk(key="sk-right")
    done = d.submit()
    assert done.exit_code == 4
    assert "HTTP 401" in done.problem
    assert done.balance.reserved_tokens == 0
    d.server.key = None
    assert d.submit().exit_code == 0


def test_an_expired_batch_gives_what_it_has_and_the_rest_is_asked_again(desk: Make) -> None:
    d = desk(outcome="expired", done=0.34, ratio=1.6)
    got = d.round()
    (batch,) = got.batches
    assert (batch.batch.answered, batch.batch.unbilled, batch.batch.unknown) == (1, 2, 0)
    assert "batch_expired" in batch.reasons[0]
    assert len(got.missing) >= 2
    assert got.balance.reserved_tokens == 0
    d.server.outcome, d.server.done = "completed", 1.0
    assert d.round().exit_code in (0, 5)
    assert d.server.worked_twice == 0
    assert d.sound()


@pytest.mark.parametrize("silent", [False, True])
def test_requests_that_certainly_never_ran_are_released(desk: Make, silent: bool) -> None:
    d = desk(outcome="expired", done=0.34, silent=silent)
    got = d.round()
    assert d.states() == {"settled": 1, "released": 2}
    assert got.balance.unknown_tokens == 0
    assert got.balance.used_tokens == d.server.billed_tokens + 1000


def test_an_answer_that_the_provider_counts_and_does_not_give_stays_charged(desk: Make) -> None:
    d = desk(nowhere=1)
    got = d.round()
    assert d.states() == {"settled": 2, "unknown": 1}
    assert got.balance.used_tokens >= d.server.billed_tokens + 1000
    assert "without a word of it" in got.batches[0].reasons[0]
    assert d.sound()


def test_errors_unreadable_answers_and_no_output_file_at_all(desk: Make) -> None:
    d = desk(bad=1, unread=1, blank=True)
    d.round()
    assert d.states() == {"settled": 1, "released": 1, "unknown": 1}
    none = desk(bad=3, blank=True)
    got = none.round()
    assert none.states() == {"released": 3}
    assert got.balance.used_tokens == 1000
    assert "HTTP 400: max_tokens is too large" in got.batches[0].reasons[0]
    assert none.sound()


def test_a_batch_that_fails_in_validation_is_released_with_the_reason(desk: Make) -> None:
    d = desk(outcome="failed")
    got = d.round()
    assert d.states() == {"released": 3}
    assert "token_limit_exceeded" in got.batches[0].reasons[0]
    assert d.stages() == ["collected"]
    assert d.sound()


def test_cancelling_keeps_what_was_answered(desk: Make) -> None:
    d = desk(looks=5, done=0.67)
    d.submit()
    (row,) = asyncio.run(d.backend().cancel())
    assert row.stage is Stage.SUBMITTED
    got = d.collect()
    assert got.batches[0].remote is not None
    assert got.batches[0].remote.status == "cancelled"
    assert d.states() == {"settled": 2, "released": 1}
    assert d.sound()


def test_only_the_batches_of_the_chapters_that_were_named_are_cancelled(desk: Make) -> None:
    d = desk(looks=5)
    d.submit()
    backend = d.backend()
    assert asyncio.run(backend.cancel(("03",))) == ()
    assert "POST /v1/batches/{id}/cancel" not in d.server.calls
    assert [batch.terms["chapters"] for batch in asyncio.run(backend.cancel(("03", "07")))] == [["07"]]
    assert d.server.calls["POST /v1/batches/{id}/cancel"] == 1


def test_giving_up_a_batch_that_its_provider_does_not_know_leaves_it_charged(desk: Make) -> None:
    d = desk()
    d.submit()
    d.server.batches.clear()
    got = d.collect()
    assert got.exit_code == 4
    assert "--batch cancel" in got.problems[0]
    assert d.states() == {"sent": 3}
    asyncio.run(d.backend().cancel())
    assert d.states() == {"unknown": 3}
    assert d.sound()


def test_collecting_twice_or_after_a_broken_download_changes_nothing(desk: Make) -> None:
    d = desk(ratio=1.6)
    d.submit()
    d.server.cut_short = True
    broken = d.collect()
    assert broken.exit_code == 4
    assert d.states()["unknown"] == 0
    assert d.stages() == ["submitted"]
    first = d.collect()
    second = d.collect()
    assert d.states() == {"settled": 3}
    assert first.balance == second.balance
    assert second.batches == ()
    assert d.sound()


def test_a_batch_that_is_not_done_is_left_alone(desk: Make) -> None:
    d = desk(looks=4)
    got = d.round()
    assert got.batches[0].batch.stage is Stage.SUBMITTED
    assert d.states() == {"sent": 3}
    (seen,) = asyncio.run(d.backend().status())
    assert seen.remote is not None
    assert seen.remote.status == "in_progress"
    assert seen.in_flight == 3
    assert seen.left_seconds is not None
    assert 86_000 < seen.left_seconds <= 86_400


def test_a_running_batch_is_never_taken_for_dead(desk: Make) -> None:
    d = desk()
    d.submit()
    ledger = Ledger.open(d.workspace.ledger_place)
    ledger.begin_run(limits={})
    assert recovered(ledger) == (0, 0)
    ledger.close()
    assert d.states() == {"sent": 3}


def test_live_runs_do_not_wait_for_a_batch(desk: Make) -> None:
    d = desk()
    d.submit()
    asked = expand(d.place, "chapter", "07", "--section", "1", "--base-url", d.server.base_url)
    assert asked.code == 4
    assert "it is asked in batch-" in asked.err
    (d.place / "outlines/book.yaml").write_text(
        (d.place / "outlines/book.yaml").read_text().replace("200000", "5800"), encoding="utf-8"
    )
    collected = d.collect()
    assert collected.batches[0].settled == 3


def test_a_batch_that_another_process_is_at_is_left_alone_until_that_is_gone(desk: Make) -> None:
    d = desk()
    ledger = Ledger.open(d.workspace.ledger_place)
    batches, run = Batches(ledger), ledger.begin_run(limits={})
    terms: dict[str, Json] = {"chapters": ["07"], "language": "en", "plan": "full"}
    batch, _ = batches.prepare(run, [], model="m", base_url=d.server.base_url, terms=terms)
    assert d.submit().exit_code == 0
    assert asyncio.run(d.backend().cancel())[0].stage is Stage.SUBMITTED
    assert d.stages() == ["prepared", "submitted"]
    assert f"batch {batch.id}" not in " ".join(d.told)
    ledger.close()
    assert d.submit().waiting == 3
    assert d.stages() == ["withdrawn", "submitted", "withdrawn"], "the last one has nothing to ask"
    assert f"going on with batch {batch.id}, prepared by a process that is gone" in d.told
    assert d.sound()


def test_a_key_is_not_shown_to_another_provider(desk: Make) -> None:
    d = desk()
    d.submit()
    elsewhere = replace(d.settings, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(InputError, match="give --base-url"):
        asyncio.run(d.backend(elsewhere).collect())


def test_another_provider_is_not_asked_about_a_batch_that_was_left_on_its_way(desk: Make) -> None:
    d = desk()
    ledger = Ledger.open(d.workspace.ledger_place)
    run = ledger.begin_run(limits={})
    Batches(ledger).prepare(run, [], model="m", base_url=d.settings.base_url or "", terms={})
    ledger.close()
    elsewhere = replace(d.settings, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(InputError, match="give --base-url"):
        asyncio.run(d.backend(elsewhere).cancel())
    assert d.stages() == ["prepared"]


def test_the_embedded_model_is_refused(desk: Make) -> None:
    d = desk()
    embedded = expand(d.place, "chapter", "--all", "--batch", "submit", "--model", "embedded")
    assert embedded.code == 2
    assert "takes no batches" in embedded.err


def test_an_export_carries_batches_to_a_ledger_that_collects_them(desk: Make, tmp_path: Path) -> None:
    d = desk(ratio=1.6)
    d.submit()
    lines = list(export(d.workspace.ledger_place, texts=True))
    moved = tmp_path / "moved.db"
    import_(moved, lines)
    assert verify(moved).findings == ()
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (d.place / ".expand" / name).unlink(missing_ok=True)
    moved.rename(d.place / ".expand" / "ledger.db")
    assert d.collect().batches[0].settled == 3
    assert d.sound()


def test_more_than_one_file_holds_is_split(desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    d = desk()
    monkeypatch.setattr("expand.batch.batch_backend.MOST_REQUESTS", 2)
    done = d.submit()
    assert [batch.requests for batch in done.batches] == [2, 1]
    assert d.collect().balance.reserved_tokens == 0
    assert d.sound()


@pytest.mark.parametrize("where", ["upload", "create"])
def test_killed_in_the_middle_of_a_call_it_goes_on(desk: Make, where: str) -> None:
    d = desk(ratio=1.6, latency_seconds=0.2)
    if where == "create":
        d.server.trap = "kill"
    else:
        d.server.upload_trap = "kill"
    call = ("chapter", "--all", "--batch", "submit", "--base-url", d.server.base_url)
    process = start(d.place, *call)
    d.server.victim = process.pid
    assert finished(process).code == -signal.SIGKILL
    assert d.submit().exit_code == 0
    assert "going on with batch" in d.told[0]
    assert len(d.server.batches) == 1
    assert d.server.calls["POST /v1/files"] == (2 if where == "upload" else 1)  # which costs nothing
    assert d.collect().balance.used_tokens == d.server.billed_tokens + 1000
    assert d.server.worked_twice == 0
    assert d.sound()


def test_the_command_line_from_submit_to_draft(desk: Make) -> None:
    d = desk(ratio=1.6, looks=1)
    url = ("--base-url", d.server.base_url)
    nothing = expand(d.place, "chapter", "--batch", "status", *url)
    assert (nothing.code, nothing.out) == (0, "no batch was ever submitted\n")
    done = expand(d.place, "chapter", "--all", "--batch", "submit", "--json", *url).json
    assert (done["questions"], done["batches"][0]["requests"]) == (3, 3)
    assert done["budget"]["reserved"] == done["reserved_tokens"]
    again = expand(d.place, "chapter", "--all", "--batch", "submit", *url)
    assert "3 of the questions are in a batch" in again.out
    seen = expand(d.place, "chapter", "--batch", "status", "--json", *url).json["batches"][0]
    assert seen["provider"]["status"] == "finalizing"
    assert seen["chapters"] == ["07"]
    shown = expand(d.place, "chapter", "--batch", "status", *url)
    assert "3 of 3 answered" in " ".join(shown.out.split())
    got = expand(d.place, "chapter", "--batch", "collect", "--json", *url)
    assert got.json["batches"][0]["settled"] == 3
    assert {"chapters", "budget", "missing", "attempts"} <= set(got.json)
    assert {m["section"] for m in got.json["missing"]} == {1, 2}
    wrong = expand(d.place, "chapter", "--batch", "later", *url)
    assert (wrong.code, wrong.out) == (2, "")
    assert "give submit, status, collect, cancel" in wrong.err


def test_every_command_of_the_page_about_batches_runs(desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    d = desk(ratio=1.6)
    monkeypatch.setenv("OPENAI_BASE_URL", d.server.base_url)
    page = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (.+)$", page, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        name, *words = shlex.split(command)
        assert name == "expand"
        ran = expand(d.place, *words)
        assert ran.code in (0, 5), (command, ran.err)
    assert d.stages().count("collected") >= 2
    assert d.sound()


async def test_the_provider_says_no_more_than_the_key_may_see() -> None:
    with BatchServer(key="sk-right-one") as server:
        async with BatchAuthor(Endpoint(api_key="sk-wrong-one", base_url=server.base_url)) as author:
            with pytest.raises(AttemptFailedError) as caught:
                await author.create("file-1", metadata={})
    assert "sk-" not in str(caught.value)


def test_batches_on_postgresql(desk: Make, postgres: ServerSite) -> None:
    d = desk(ratio=0.6, trap="lost_after", outcome="expired", done=0.67)
    d.workspace = replace(d.workspace, trusted=True)
    settings = d.place / "expand.toml"
    settings.write_text(f'ledger = "{postgres.place}"\n{settings.read_text()}', encoding="utf-8")
    got = d.round()
    assert got.batches[0].batch.answered == 2
    assert got.batches[0].batch.unbilled == 1
    d.server.outcome = "completed"
    while d.submit().batches:
        got = d.collect()
    assert got.missing == ()
    assert got.balance.used_tokens == d.server.billed_tokens + 1000
    assert got.balance.reserved_tokens == 0
    assert d.server.worked_twice == 0
    assert d.sound()
