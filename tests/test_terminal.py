"""What is printed for people: on narrow terminals, in code pages, with --quiet and --verbose."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from scripted_server import ScriptedServer
from workspaces import draft_of, expand, small

from expand.cli.output import counted, guard, is_unicode
from expand.cli.run_output import table_text
from expand.drafting.results import named


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return small(tmp_path / "book")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


# --- characters ------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "shown"), [("cp1252", "é… ?? --\n"), ("utf-8", "é… 性能 ──\n")])
def test_a_stream_shows_what_it_can(monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    guard()
    sys.stdout.write("é… 性能 ──\n")
    stream.seek(0)
    assert stream.read() == shown
    assert is_unicode(stream) is (encoding == "utf-8")


def run(place: Path, *arguments: str, encoding: str) -> tuple[int, str, str]:
    """A command line whose streams have an encoding."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    ran = subprocess.run(
        [sys.executable, "-m", "expand", *arguments],
        cwd=place,
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout.decode(encoding), ran.stderr.decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_chinese_titles_in_a_code_page_are_no_failure(place: Path, server: ScriptedServer, encoding: str) -> None:
    arguments = ("chapter", "07", "--language", "zh", "--base-url", server.base_url)
    code, out, err = run(place, *arguments, encoding=encoding)

    assert code in (0, 5), err
    assert "1. ????" in out
    assert "07/1: drafted" in err
    assert "Traceback" not in err
    code, out, _ = run(place, *arguments, "--json", encoding=encoding)
    titles = [section["title"] for section in json.loads(out)["chapters"][0]["sections"]]
    assert titles == ["信号处理", "命名管道", "检查清单"], "a script loses nothing"


def test_a_ledger_goes_through_a_code_page_whole(place: Path, server: ScriptedServer) -> None:
    expand(place, "chapter", "07", "--language", "zh", "--base-url", server.base_url)
    code, out, err = run(place, "ledger", "export", encoding="cp1252")
    exact = expand(place, "ledger", "export").out
    assert (code, err) == (0, "")
    assert not exact.isascii()
    assert out.isascii()
    assert [json.loads(line) for line in out.splitlines()] == [json.loads(line) for line in exact.splitlines()]


# --- words and tables ------------------------------------------------------------------------


def test_sections_are_named_shortly() -> None:
    assert named([("03", 4), ("05", 7), ("03", 4)]) == "03/4, 05/7"
    assert named([]) == ""
    assert named(("03", number) for number in range(14)).endswith(", 03/11 and 2 more")


@pytest.mark.parametrize(("count", "text"), [(0, "0 lines"), (1, "1 line"), (2, "2 lines"), (1_000, "1,000 lines")])
def test_plurals_are_right(count: int, text: str) -> None:
    assert counted(count, "line") == text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_keeps_to_its_width_and_breaks_no_figure(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = ("Section", "Lines", "Prompt tokens", "Answer tokens", "Cost at most")
    rows: list[tuple[str, ...]] = [("1. 性能分析方法论与工具的使用", "1,234,567", "9,876,543", "1,111,111", "0.1234")]
    monkeypatch.setenv("COLUMNS", str(width))
    shown = table_text(heads, rows, total=("Sum", "1", "2", "3", "4"))
    assert all(cell_len(line.rstrip()) <= width for line in shown.splitlines())
    assert "1,234,567" in shown
    assert "0.1234" in shown
    assert "1,111,111" in shown


# --- quiet, verbose, files -------------------------------------------------------------------


@pytest.mark.parametrize("where", ["before", "after"])
def test_quiet_leaves_results_and_errors(place: Path, server: ScriptedServer, where: str) -> None:
    arguments = ["chapter", "07", "--base-url", server.base_url]
    line = ["--quiet", *arguments] if where == "before" else [*arguments, "-q"]
    ran = expand(place, *line)
    assert (ran.code, ran.err) == (0, "")
    assert "drafts/07.md: " in ran.out
    refused = expand(place, *arguments, "-q", "--fresh", "--budget", "0")
    assert refused.code == 3
    assert refused.err.count("\n") == 1
    assert refused.err.startswith("expand: the budget refused 07/1, 07/2, 07/3: ")


def test_verbose_tells_every_attempt_without_the_key(
    place: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verbose-and-secret")
    ran = expand(place, "chapter", "07", "--base-url", server.base_url, "-v", "--json")

    assert ran.code == 0, ran.err
    assert len(re.findall(r"07/\d: draft \w+ sent to scripted, [\d,]+ tokens res", ran.err)) >= 3
    settled = re.findall(r"settled after \d+\.\d\d s: ([\d,]+) of [\d,]+ tokens", ran.err)
    assert len(settled) == ran.json["answers"]
    billed = sum(int(figure.replace(",", "")) for figure in settled)
    assert billed == ran.json["budget"]["used"] - 1_000
    assert "sk-verbose-and-secret" not in ran.err


def test_of_quiet_and_verbose_the_last_one_counts(place: Path, server: ScriptedServer) -> None:
    line = ["chapter", "07", "--base-url", server.base_url]
    assert expand(place, "--verbose", *line, "--quiet").err == ""
    assert "sent to scripted" in expand(place, "--quiet", *line, "--verbose", "--fresh").err
    assert "sent to scripted" not in expand(place, *line, "--fresh").err, "the next command line begins anew"


def test_a_file_that_is_written_is_named_unless_quiet(place: Path) -> None:
    file = str(place / "plan.md")
    told = expand(place, "plan", "--format", "markdown", "-o", file)
    assert (told.code, told.out, told.err) == (0, "", f"expand: {file} written\n")
    assert expand(place, "-q", "plan", "--format", "markdown", "-o", file).err == ""


def test_findings_name_the_line_in_the_draft(place: Path) -> None:
    with ScriptedServer(behaviour="placeholder") as server:
        ran = expand(place, "chapter", "07", "--base-url", server.base_url)
    assert ran.code == 5
    reviewed = expand(place, "review", "07").out
    lines = draft_of(place).splitlines()
    found = re.findall(r"^drafts/07\.md:(\d+): warning: placeholder:", reviewed, re.M)
    assert len(found) >= 3
    assert all("rest omitted" in lines[int(line) - 1] for line in found)
    markdown = expand(place, "review", "07", "--format", "markdown").out
    assert re.findall(r"^- drafts/07\.md:(\d+): warning: placeholder:", markdown, re.M) == found


def test_what_stops_accept_names_the_line_too(place: Path, server: ScriptedServer) -> None:
    expand(place, "chapter", "07", "--base-url", server.base_url, "--budget", "0")
    refused = expand(place, "accept", "07")
    assert refused.code == 5
    lines = draft_of(place).splitlines()
    short = re.findall(r"^expand: drafts/07\.md:(\d+): blocking: short: \d+ of 40 lines", refused.err, re.M)
    assert [lines[int(line) - 1] for line in short] == [
        "## 1. Signal handling",
        "## 2. Named pipes",
    ]
    assert "blocking findings; mend them, or give --force" in refused.err
    assert "drafts/07.md has 6 findings (3 short, 3 topic-missing); `expand review 07` lists them" in refused.err


def test_accept_says_how_many_findings_there_are_of_each_kind(place: Path) -> None:
    with ScriptedServer(behaviour="placeholder") as server:
        expand(place, "chapter", "07", "--base-url", server.base_url)
    kinds = Counter(
        finding["kind"]
        for section in expand(place, "review", "07", "--json").json["chapters"][0]["sections"]
        for finding in section["findings"]
        if finding["severity"] != "note"
    )
    assert kinds
    told = f"({', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}); `expand review 07` lists them"
    assert told in expand(place, "accept", "07", "--diff").err
    accepted = expand(place, "accept", "07", "--force", "--json").json["accepted"][0]
    assert accepted["findings_by_kind"] == kinds


@pytest.mark.parametrize(("given", "meant"), [("7", "07"), ("007", "07"), ("70", "07")])
def test_a_mistyped_chapter_names_the_one_that_is_meant(place: Path, given: str, meant: str) -> None:
    ran = expand(place, "chapter", given, "--base-url", "http://127.0.0.1:9/v1")
    assert ran.code == 2
    assert f"did you mean {meant}?" in ran.err


def test_a_number_means_the_chapter_of_that_number(place: Path) -> None:
    for chapter in ("01", "10", "11"):
        (place / "outlines" / f"{chapter}.yaml").write_text("id: x\n")
    assert "did you mean 01?" in expand(place, "review", "1").err


# --- a real terminal -------------------------------------------------------------------------


def on_terminal(place: Path, *arguments: str, **environment: str) -> str:
    """Everything that a command line writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "expand", *arguments],
        cwd=place,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "30", **environment},
    )
    os.close(theirs)
    parts: list[bytes] = []
    while select.select([ours], [], [], 30)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        parts.append(part)
    assert process.wait(30) in (0, 5)
    os.close(ours)
    return b"".join(parts).decode()


def test_on_a_terminal_of_60_columns_nothing_is_wider(place: Path) -> None:
    with ScriptedServer(latency_seconds=0.3) as server:
        arguments = ("chapter", "07", "--base-url", server.base_url, "--language", "zh")
        said = on_terminal(place, *arguments)
    assert "\x1b[?25l" in said, "the cursor is hidden while bars are drawn"
    assert said.count("\x1b[?25h") == 1, "and is back"
    rows = [re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", row) for row in re.split(r"[\r\n]+", said)]
    assert any("━" in row and row.rstrip().endswith("/100") for row in rows)
    assert max(cell_len(row) for row in rows) <= 60


def test_a_dumb_terminal_gets_lines(place: Path, server: ScriptedServer) -> None:
    arguments = ("chapter", "07", "--base-url", server.base_url)
    said = on_terminal(place, *arguments, TERM="dumb")
    assert "\x1b" not in said
    assert "07/1: drafted, " in said
