"""Verify, export, import and reconcile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from buying import RESERVED, answer, begin, failed, order, recovered
from ledgers import FileSite, Site
from workspaces import expand, small

from expand.errors import LedgerError
from expand.ledger import (
    Ledger,
    LedgerBusyError,
    Reservation,
    State,
    database,
    export,
    import_,
    reconcile,
    verify,
)
from expand.ledger.audit import VerifyReport
from expand.ledger_location import LedgerPlace
from expand.llm.types import Failure


def sent(ledger: Ledger, text: str, **options: int) -> str:
    run_id = ledger.begin_run(limits={})
    verdict = ledger.reserve(order(run_id, text, pico=options.get("pico")))
    assert isinstance(verdict, Reservation)
    return verdict.attempt_id


@pytest.fixture
def path(site: Site) -> LedgerPlace:
    """A ledger that has seen everything: settled twice, released, unknown, a question."""
    ledger = Ledger.open(site.place)
    run = begin(ledger, 5000, opening=100)
    ledger.settle(sent(ledger, "one", pico=900), answer("第一\x00\n"), cost_pico_usd=45)
    ledger.settle(sent(ledger, "two"), answer("Two\n", usage=False), cost_pico_usd=None)
    ledger.fail(sent(ledger, "three"), failed(Failure.RATE_LIMITED), unbilled=True)
    ledger.fail(sent(ledger, "three", pico=900), failed(Failure.TIMEOUT), unbilled=False)
    asked = ledger.reserve(order(run, "asked", question="q"))
    assert isinstance(asked, Reservation)
    ledger.settle(asked.attempt_id, answer("Asked\n"), cost_pico_usd=None)
    ledger.raise_edition("03", 2)
    ledger.close()
    return site.place


FIRST = "(SELECT request_key FROM attempt WHERE seq = 1)"
SECOND = "(SELECT request_key FROM attempt WHERE seq = 2)"


def unknown_id(path: LedgerPlace) -> str:
    ledger = Ledger.read(path)
    assert ledger is not None
    (row,) = ledger.attempts(state=State.UNKNOWN)
    ledger.close()
    return row.id


def test_a_good_ledger_verifies_and_stays_as_it_is(path: LedgerPlace) -> None:
    before = path.read_bytes() if isinstance(path, Path) else b""
    report = verify(path)
    assert report.ok
    assert (report.attempts, report.requests, report.answers) == (5, 4, 3)
    assert (report.version, report.without_text) == (database.VERSION, 0)
    if isinstance(path, Path):
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE budget SET settled_tokens = 1 WHERE scope = 'book'", "book: settled_tokens is 1"),
        ("UPDATE budget SET reserved_tokens = 5 WHERE scope = 'chapter:03'", "reserved_tokens"),
        ("DELETE FROM budget WHERE scope = 'book'", "book: has attempts, but no account"),
        ("UPDATE attempt SET prompt = prompt + 1 WHERE seq = 1", "its attempts give"),
        ("UPDATE attempt SET prompt = prompt + 1 WHERE seq = 2", "at a reservation of 100"),
        ("UPDATE attempt SET prompt = 7 WHERE state = 'released'", "is released and charged 7"),
        ("UPDATE attempt SET state = 'sent' WHERE seq = 1", "its history ends settled"),
        ("UPDATE attempt SET state = 'sent' WHERE seq = 1", "but its owner has ended"),
        ("UPDATE attempt SET scopes = 'x'", "totals: cannot be read"),
        ("UPDATE attempt SET finish = 'length' WHERE seq = 1", "finished with stop, the attempt"),
        ("UPDATE answer SET text = 'other' WHERE model <> ''", "does not have the hash"),
        ("DELETE FROM answer", "settled, but its answer is missing"),
        (f"UPDATE request SET form = 'x' WHERE key = {FIRST}", "its form cannot be read"),
        (
            f"UPDATE request SET form = (SELECT form FROM request WHERE key = {SECOND}) WHERE key = {FIRST}",
            "its form has the key",
        ),
        ("INSERT INTO event (attempt, state, at) VALUES ('x', 'sent', '')", "went from None to"),
        ("DROP TABLE answer", "answers: cannot be read: "),
        (
            f"UPDATE answer SET attempt = (SELECT id FROM attempt WHERE seq = 3) WHERE request_key = {SECOND}",
            "the attempt is released",
        ),
    ],
)
def test_what_does_not_add_up_is_found(site: Site, path: LedgerPlace, statement: str, finding: str) -> None:
    site.alter(statement)
    report = verify(path)
    assert not report.ok
    assert any(finding in found for found in report.findings), report.findings


def test_rows_that_point_nowhere_are_found_in_a_file(tmp_path: Path) -> None:
    site = FileSite(tmp_path)
    ledger = Ledger.open(site.place)
    begin(ledger)
    ledger.settle(sent(ledger, "one"), answer("One\n"), cost_pico_usd=None)
    ledger.close()
    site.alter("DELETE FROM request")
    assert "points to a row of request that is not there" in " ".join(verify(site.place).findings)


def test_many_findings_are_cut_short(site: Site, path: LedgerPlace) -> None:
    values = ", ".join(f"('x{n}', 'sent', '')" for n in range(60))
    site.alter(f"INSERT INTO event (attempt, state, at) VALUES {values}")
    assert "histories: more than 50 findings" in verify(path).findings


def test_a_damaged_foreign_or_missing_file_is_a_finding(tmp_path: Path) -> None:
    path = FileSite(tmp_path).place
    ledger = Ledger.open(path)
    begin(ledger, 5000, opening=100)
    ledger.settle(sent(ledger, "one", pico=900), answer("第一\n"), cost_pico_usd=45)
    ledger.close()
    whole = path.read_bytes()
    for start in range(0, len(whole), 1500):
        path.write_bytes(whole[:start] + b"\xa5" * 3000 + whole[start + 3000 :])
        report = verify(path)  # what lies in unused space of a page is no damage
        assert not report.ok or start % 4096, start
    path.write_bytes(whole[: len(whole) // 2])
    assert not verify(path).ok
    assert "there is no ledger here" in verify(tmp_path / "none.db").findings[0]
    assert not verify(tmp_path).ok
    (tmp_path / "text").write_text("not a database" * 100)
    assert "not a ledger" in verify(tmp_path / "text").findings[0]
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    assert "not a ledger" in verify(tmp_path / "foreign.db").findings[0]


# --- export and import ----------------------------------------------------------------------


@pytest.mark.parametrize("texts", [True, False])
def test_an_export_imports_into_a_new_ledger_with_equal_totals(site: Site, path: LedgerPlace, texts: bool) -> None:
    lines = list(export(path, texts=texts))
    copy = site.another()
    assert import_(copy, lines) == (5, 3)
    report = verify(copy)
    assert report.ok
    assert report.without_text == (0 if texts else 4 + 3)
    before, after = Ledger.read(path), Ledger.read(copy)
    assert before is not None
    assert after is not None
    scopes = "SELECT * FROM budget ORDER BY scope"
    assert [*map(tuple, after.database.query(scopes))] == [*map(tuple, before.database.query(scopes))]
    assert after.overview() == before.overview()
    assert list(after.attempts()) == list(before.attempts())
    assert after.edition("03", 2) == 1
    assert list(export(copy, texts=texts)) == lines
    before.close()
    after.close()


def test_an_export_of_a_former_version_is_taken_in(site: Site) -> None:
    lines = (Path(__file__).parent / "former_export.jsonl").read_text(encoding="utf-8").splitlines()
    assert import_(copy := site.another(), lines) == (5, 3)
    assert verify(copy).ok
    assert [*map(json.loads, export(copy, texts=True))] == [*map(json.loads, lines)]


def test_one_attempt_is_one_line_and_texts_are_left_out_when_not_wanted(path: LedgerPlace) -> None:
    kinds = [json.loads(line)["kind"] for line in export(path, texts=False)]
    assert kinds.count("attempt") == 5
    assert kinds[0] == "ledger"
    assert "第一" not in "".join(export(path, texts=False))
    assert "第一" in "".join(export(path, texts=True))


def test_texts_left_out_are_bought_again_and_then_there(path: LedgerPlace, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "ledger.db"
    import_(copy, export(path, texts=False))
    ledger = Ledger.open(copy)
    attempt = sent(ledger, "two")
    ledger.settle(attempt, answer("Two again\n"), cost_pico_usd=None)
    run = ledger.begin_run(limits={})
    stored = ledger.known(order(run, "two"))
    assert stored is not None
    assert stored.answer.text == "Two again\n"
    ledger.close()
    assert verify(copy).ok


def test_a_ledger_with_attempts_takes_no_import(path: LedgerPlace) -> None:
    with pytest.raises(LedgerError, match="holds attempts already; import into a new one, which --ledger names"):
        import_(path, list(export(path, texts=True)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"kind": "ledger"', '"kind": "legder"', r"line 1: ValueError: the first line"),
        ('"format": 1', '"format": 2', r"line 1: ValueError: the first line"),
        ('"kind": "attempt"', '"kind": "atempt"', r"'atempt' is not a kind of line"),
        (
            '"state": "settled"',
            '"state": "sold"',
            r"(?i)check constraint",
        ),
        ('"prompt": 15', '"prompt": 16', r"does not add up|history"),
        ("Two\\n", "Three\\n", r"does not have the hash"),
        ('"finish": "stop"', '"finish": "stopped"', r"'stopped'"),
        ('"owner"', "owner", r"JSONDecodeError"),
        ('"reserved_at"', '"at"', r"KeyError: 'reserved_at'"),
        ('"section": 1', '"section": "1"', r"line \d+: ValueError: section is '1', not a whole"),
        ('"output_cap": 80', '"output_cap": 80.5', r"output_cap is 80.5, not a whole number"),
        ('"prompt": 15', '"prompt": true', r"line \d+: ValueError: prompt is True, not a whole"),
        ('"plan": "full"', '"plan": 1', r"plan is 1, not a text"),
        ('"reserved_at": "2026', '"reserved_at": "the 2026', r"Invalid isoformat string"),
        ('["reserved", "2026', '["reserved", "x2026', r"Invalid isoformat string"),
        ('"limit_tokens": 5000', '"limit_tokens": 1e3', r"limit_tokens is 1000.0, not a whole"),
        ('"section": 1', '"section": 10000000000000000000000', r"line \d+: ValueError: section is 10,0"),
    ],
)
def test_a_changed_export_is_refused_whole(site: Site, path: LedgerPlace, old: str, new: str, message: str) -> None:
    lines = [line.replace(old, new) for line in export(path, texts=True)]
    copy = site.another()
    if old == '"prompt": 15':
        lines = [line.replace('"usage_source": "reservation"', '"usage_source": null') for line in lines]
    with pytest.raises(LedgerError, match=message):
        import_(copy, lines)
    assert verify(copy) == VerifyReport(copy, database.VERSION), "nothing was kept"


HOSTILE = [
    ("[" * 990 + "]" * 990, "TypeError|RecursionError"),
    ("[" * 100_000, "RecursionError"),
    ("9" * 5000, "Exceeds the limit"),
    ('{"kind": "scope", "scope": "book", "limit_tokens": ' + "9" * 5000 + "}", "Exceeds the limit"),
    ('{"kind": ' + '"x' * 1 + "x" * 100_000 + '"}', "is not a kind of line"),
    ('{"kind": ["scope"]}', "unhashable"),
    ('{"kind": "scope", "scope": "book"}', "KeyError: 'limit_tokens'"),
    ("null", "TypeError"),
    ("", "JSONDecodeError"),
    (b"\xff\xfe", "UnicodeDecodeError"),
    (b'{"kind": "\xc3"}', "UnicodeDecodeError"),
    ('{"kind": "edition", "chapter": "03", "section": 1, "number": -1, "instruction": ""}', "number is -1, and may be"),
    ('{"kind": "edition", "chapter": "03", "section": NaN, "number": 1, "instruction": ""}', "section is nan, not a"),
    ('{"kind": "edition", "chapter": null, "section": 1, "number": 1, "instruction": ""}', "ConstraintError"),
    (
        '{"kind": "edition", "chapter": "\\ud800", "section": 1, "number": 1, "instruction": ""}',
        "surrogates not allowed",
    ),
    ('{"kind": "owner", "id": "x", "pid": 1, "began_at": "2026-11-23T16:30:54", "ended_at": null}', "not a time as in"),
    (
        '{"kind": "owner", "id": "x", "pid": 1, "began_at": "0001-01-01T00:00:00.000000+23:59", "ended_at": null}',
        "Overf",
    ),
    ('{"kind": "question", "key": "x", "request_key": "y"}', "ConstraintError|does not add up"),
]


@pytest.mark.parametrize(("line", "message"), HOSTILE)
@pytest.mark.parametrize("last", [False, True])
def test_a_hostile_line_is_refused_by_file_and_line(
    site: Site, path: LedgerPlace, line: str | bytes, message: str, last: bool
) -> None:
    lines: list[str | bytes] = list(export(path, texts=True))
    at = len(lines) if last else 2
    lines.insert(at, line)
    copy = site.another()
    with pytest.raises(LedgerError, match=message) as raised:
        import_(copy, lines, name="all.jsonl")
    said = str(raised.value)
    assert said.startswith(f"all.jsonl:{at + 1}: ") or "does not add up" in said
    assert len(said) < 500
    assert verify(copy) == VerifyReport(copy, database.VERSION), "nothing was kept"


def test_the_command_line_names_file_and_line_of_an_export(tmp_path: Path) -> None:
    source = tmp_path / "all.jsonl"
    source.write_bytes(b'{"kind": "ledger", "format": 1, "texts": true}\n{"kind": "\xff')
    ran = expand(small(tmp_path / "book"), "ledger", "import", str(source))
    assert (ran.code, ran.out) == (2, "")
    assert f"{source}:2: UnicodeDecodeError" in ran.err


SCHEMA = [
    ("DROP INDEX attempt_live", "index attempt_live is missing"),
    ("DROP INDEX event_attempt", "index event_attempt is missing"),
    ("DROP TRIGGER event_is_never_changed{on}", "trigger event_is_never_changed is missing"),
    ("DROP TABLE pause", "table pause is missing"),
]


@pytest.mark.parametrize(("statement", "finding"), SCHEMA)
def test_what_is_missing_of_the_tables_is_found(site: Site, path: LedgerPlace, statement: str, finding: str) -> None:
    site.alter(statement.format(on="" if site.name == "sqlite" else " ON event"))
    found = [each for each in verify(path).findings if each.startswith("schema")]
    assert len(found) == 1
    assert found[0].startswith(f"schema: the {finding}")
    assert "export the ledger and import that into a new one" in found[0]
    if "pause" not in statement:
        import_(site.another(), list(export(path, texts=True)))


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("CREATE INDEX another ON attempt (plan)", "index another is not the ledger's own"),
        ("CREATE TABLE notes (text)", "table notes is not the ledger's own"),
        (
            "CREATE TRIGGER free AFTER UPDATE ON budget BEGIN UPDATE budget SET settled_tokens = 0; END",
            "trigger free is not the ledger's own",
        ),
        ("ALTER TABLE pause ADD COLUMN why TEXT", "table pause is altered"),
    ],
)
def test_what_was_added_to_a_file_is_found(tmp_path: Path, statement: str, finding: str) -> None:
    path = tmp_path / "ledger.db"
    Ledger.open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ANALYZE")  # this is SQLite's own, and harmless
        assert verify(path).ok
        connection.execute(statement)
    (found,) = verify(path).findings
    assert finding in found


def test_a_ledger_in_use_is_exported_with_what_is_in_flight(site: Site, path: LedgerPlace) -> None:
    ledger = Ledger.open(path)
    sent(ledger, "in flight")
    copy = site.another()
    import_(copy, list(export(path, texts=True)))
    heir = Ledger.open(copy)
    assert heir.balance("book") == ledger.balance("book")
    assert heir.balance("book").reserved_tokens == RESERVED
    assert recovered(heir) == (1, 0)
    heir.close()
    ledger.close()
    assert verify(copy).ok


def test_a_broken_source_keeps_nothing(site: Site, path: LedgerPlace) -> None:
    lines = list(export(path, texts=True))
    copy = site.another()

    def disturbed() -> Iterator[str]:
        yield from lines[:-2]
        raise OSError("the disk with the export is gone")

    with pytest.raises((OSError, LedgerError), match="the disk with the export is gone"):
        import_(copy, disturbed())
    assert verify(copy) == VerifyReport(copy, database.VERSION)


def test_nothing_to_import_and_nothing_to_export(site: Site) -> None:
    with pytest.raises(LedgerError, match="the input is empty"):
        import_(site.place, [])
    with pytest.raises(LedgerError, match="there is no ledger to export"):
        list(export(site.another(), texts=True))


# --- reconciling ----------------------------------------------------------------------------


@pytest.fixture
def ledger(path: LedgerPlace) -> Iterator[Ledger]:
    opened = Ledger.open(path)
    yield opened
    opened.close()
    assert verify(path).findings == ()


@pytest.mark.parametrize(("tokens", "pico"), [(0, 0), (7, 900), (RESERVED + 50, 900)])
def test_by_hand(ledger: Ledger, path: LedgerPlace, tokens: int, pico: int) -> None:
    used = ledger.balance("book").used_tokens
    attempt = unknown_id(path)
    assert reconcile(ledger, attempt, tokens=tokens).state is State.UNKNOWN
    balance = ledger.balance("book")
    assert (balance.unknown_tokens, balance.used_tokens) == (0, used - RESERVED + tokens)
    assert balance.used_pico_usd == 45 + pico
    (row,) = ledger.attempts(state=State.RECONCILED)
    assert (row.usage.total, row.usage_source) == (tokens, "reconciled")
    assert row.failure is Failure.TIMEOUT
    with pytest.raises(LedgerError, match="is reconciled, not unknown"):
        reconcile(ledger, attempt, tokens=1)


# --- migrations -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(database.VERSION))
def test_every_older_version_is_brought_up_to_date(site: Site, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(database, "MIGRATIONS", database.MIGRATIONS[:version])
        older.setattr(database, "VERSION", version)
        Ledger.open(site.place).close()
    reader = Ledger.read(site.place)
    if reader is not None:  # a schema of version 0 has nothing in it
        assert reader.database.query("SELECT * FROM budget") == []
        reader.close()
    ledger = Ledger.open(site.place)
    begin(ledger)
    ledger.close()
    report = verify(site.place)
    assert (report.ok, report.version) == (True, database.VERSION)


def test_a_migration_that_fails_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (*database.MIGRATIONS, ("CREATE TABLE later (x TEXT)", "NONSENSE"))
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", broken)
        patch.setattr(database, "VERSION", len(broken))
        with pytest.raises(Exception, match="NONSENSE"):
            Ledger.open(site.place)
    Ledger.open(site.place).close()
    assert verify(site.place).ok


def test_a_damaged_request_cannot_be_exported(site: Site, path: LedgerPlace) -> None:
    none = "X'00'" if site.name == "sqlite" else "'\\x00'::bytea"
    site.alter(f"UPDATE request SET form = {none}")
    with pytest.raises(LedgerError, match=r"the request of attempt \w+ is damaged; "):
        list(export(path, texts=True))


def test_a_full_disk_is_not_taken_for_a_malformed_line(
    site: Site, path: LedgerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = list(export(path, texts=True))

    def full(*given: object, **more: object) -> None:
        raise LedgerBusyError("the disk is full")

    monkeypatch.setattr("expand.ledger.transfer._take", full)
    with pytest.raises(LedgerBusyError, match=r"^the disk is full$"):
        import_(site.another(), lines)
