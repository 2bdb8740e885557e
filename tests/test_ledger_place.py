"""Where the ledger is: what names it, what never shows, and the commands with it on a server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ledgers import ServerSite
from scripted_server import ScriptedServer
from workspaces import Ran, expand, small

from expand.errors import InputError, LedgerError
from expand.ledger import Ledger
from expand.ledger_location import Server, read_server
from expand.workspace import Workspace, find_workspace

SECRET = "s3cr:et"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://h/d", "postgresql://h/d?schema=expand"),
        ("postgres://u@h:5433/d?schema=b_2", "postgresql://u@h:5433/d?schema=b_2"),
        ("postgresql://u:s3cr%3Aet@h/d?sslmode=require", None),
        ("postgresql://h/d?user=u&password=s3cr%3Aet&schema=b", None),
        ("postgresql:///d?host=/run/postgresql&schema=b", None),
    ],
)
def test_a_server_is_named_without_its_password(text: str, shown: str | None) -> None:
    server = read_server(text)
    if shown is not None:
        assert str(server) == shown
    for words in (str(server), repr(server)):
        assert "s3cr" not in words
        assert "password" not in words
    assert "schema" not in server.address.partition("?")[2]
    assert ("s3cr" in server.address) == ("s3cr" in text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:s3cr%3Aet@h/d?schema=My Book",
        "postgresql://u:s3cr%3Aet@h/d?schema=pg_mine",
        "postgresql://u:s3cr%3Aet@h/d?schema=a&schema=b",
        "postgresql://u:s3cr%3Aet@h:port/d",
        "postgresql://u:s3cr%3Aet@[h/d",
        "postgresql://u:77#s3cr@h/d",
        "postgresql://u:77/s3cr@h/d",
        "postgresql://u:77?s3cr@h/d",
    ],
)
def test_what_names_no_schema_is_refused_without_the_password(text: str) -> None:
    with pytest.raises(InputError, match="the ledger's") as refused:
        read_server(text)
    assert "s3cr" not in str(refused.value)


def test_environment_over_settings_over_default(tmp_path: Path) -> None:
    root = small(tmp_path / "book")
    assert find_workspace(root, environment={}).ledger_place == root / ".expand" / "ledger.db"
    settings = root / "expand.toml"
    settings.write_text('ledger = "kept/here.db"\n' + settings.read_text())
    assert Workspace.find(root).ledger_place == root / "kept" / "here.db"
    stated = {"EXPAND_LEDGER": "postgresql://h/d?schema=b"}
    found = find_workspace(root, environment=stated)
    assert found.ledger_place == Server(address="postgresql://h/d", schema="b")
    assert "postgresql" not in repr(found)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ledger = 3", r"expand.toml:2:1: ledger must be a string, not 3"),
        ('ledger = "mysql://u:s3cr@h/d"', r"toml:2:1: the ledger's address begins with mysql"),
        ('ledger = "postgresql://h/d?schema=A"', r"expand.toml:2:1: the ledger's schema is 'A'"),
    ],
)
def test_a_wrong_ledger_is_named_by_its_line(tmp_path: Path, line: str, message: str) -> None:
    root = small(tmp_path / "book")
    (root / "expand.toml").write_text(f"# settings\n{line}\n")
    with pytest.raises(InputError, match=message) as refused:
        _ = Workspace.open(root).ledger_place
    assert "s3cr" not in str(refused.value)


def test_a_missing_driver_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("expand.ledger.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("expand.ledger.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LedgerError, match=r"pip install 'chapter-expand\[postgres\]'"):
        Ledger.open(read_server("postgresql://127.0.0.1:1/d"))


def test_a_server_that_cannot_be_reached(postgres: ServerSite) -> None:
    with pytest.raises(LedgerError, match="see whether the server runs"):
        Ledger.open(read_server(f"postgresql://u:{SECRET}@127.0.0.1:1/d"))
    address = str(postgres.place).replace("/postgres?", "/nowhere?")
    with pytest.raises(
        LedgerError, match=r'"nowhere" does not exist; see whether the server runs, has this user and database'
    ):
        Ledger.open(read_server(address))
    stranger = str(postgres.place).replace("expand@", "stranger@")
    with pytest.raises(LedgerError, match='role "stranger" does not exist; see whether the server runs, has this user'):
        Ledger.open(read_server(stranger))


def test_a_schema_of_somebody_else_is_left_alone(postgres: ServerSite) -> None:
    postgres.alter(f"CREATE SCHEMA {postgres.place.schema}", "CREATE TABLE theirs (x TEXT)")
    for use in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerError, match="its tables are no ledger's; name another schema"):
            use(postgres.place)
    assert postgres.query("SELECT count(*) FROM pg_tables WHERE tablename = 'theirs'") == [(1,)]


# --- the commands ---------------------------------------------------------------------------


def run(root: Path, server: ScriptedServer, *arguments: str) -> Ran:
    return expand(root, *arguments, "--base-url", server.base_url)


def test_a_book_is_drafted_reported_checked_and_moved_on_a_server(
    tmp_path: Path, postgres: ServerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small(tmp_path / "book")
    monkeypatch.setenv("EXPAND_LEDGER", str(postgres.place))
    with ScriptedServer() as server:
        before = expand(root, "doctor", "--base-url", server.base_url)
        assert "has no ledger yet; the first run makes it" in before.out + before.err
        drafted = run(root, server, "chapter", "07", "--json")
        assert drafted.code in (0, 5), drafted.err
        asked = len(server.requests)
        again = run(root, server, "chapter", "07", "--json")
        assert (again.json["attempts"], len(server.requests)) == (0, asked)
        after = expand(root, "doctor", "--base-url", server.base_url)
        assert "can be read and written" in after.out + after.err
    assert not (root / ".expand" / "ledger.db").exists()
    budget = expand(root, "budget", "--format", "json").json
    assert budget["used"] == drafted.json["budget"]["used"] > 0
    assert sum(each["attempts"] for each in budget["by_chapter"]) == asked
    assert expand(root, "status").code == 0
    assert expand(root, "ledger", "verify").code == 0
    assert "no attempt of unknown outcome" in expand(root, "ledger", "reconcile").out
    lines = expand(root, "ledger", "export").out
    file = tmp_path / "moved.jsonl"
    file.write_text(lines, encoding="utf-8")
    moved = tmp_path / "moved.db"
    assert expand(root, "ledger", "import", str(file), "--ledger", str(moved)).code == 0
    assert expand(root, "ledger", "verify", "--ledger", str(moved)).code == 0
    assert expand(root, "ledger", "export", "--ledger", str(moved)).out == lines
    back = postgres.another()
    assert expand(root, "ledger", "import", str(file), "--ledger", str(back)).code == 0
    assert expand(root, "ledger", "export", "--ledger", str(back)).out == lines
    monkeypatch.setenv("EXPAND_LEDGER", str(back))
    assert {**expand(root, "budget", "--format", "json").json, "made": budget["made"]} == budget


def test_a_wrong_server_ends_a_run_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = small(tmp_path / "book")
    monkeypatch.setenv("EXPAND_LEDGER", "postgresql://u:s3cret@127.0.0.1:1/d")
    with ScriptedServer() as server:
        refused = run(root, server, "chapter", "07")
        assert (refused.code, len(server.requests)) == (2, 0)
    assert "postgresql://u@127.0.0.1:1/d" in refused.err
    assert "s3cret" not in refused.err + refused.out
