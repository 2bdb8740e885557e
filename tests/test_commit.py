"""``accept --commit``: one git commit a chapter, of nothing but what accepting changed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import ScriptedServer
from workspaces import expand, small

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(place: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(place), *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose workspace, a folder of it, has a draft; with staged, changed and unknown files beside it."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = small(tmp_path / "docs")
    git(tmp_path, "init", "-q")
    (tmp_path / "staged.txt").write_text("one\n")
    (tmp_path / "changed.txt").write_text("one\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Begin")
    (tmp_path / "staged.txt").write_text("two\n")
    git(tmp_path, "add", "staged.txt")
    (tmp_path / "staged.txt").write_text("three\n")
    (tmp_path / "changed.txt").write_text("two\n")
    (tmp_path / "unknown.txt").write_text("one\n")
    expand(folder, "chapter", "07", "--base-url", server.base_url, "--json")
    return folder


def beside(place: Path) -> list[str]:
    rows = git(place.parent, "status", "--porcelain").splitlines()
    return [row for row in rows if row.endswith(".txt")]


def test_only_the_files_that_accepting_changed_are_in_the_commit(place: Path) -> None:
    before = beside(place)
    assert before == [" M changed.txt", "MM staged.txt", "?? unknown.txt"]
    ran = expand(place, "accept", "07", "--commit", "--json")
    assert ran.code == 0
    head = git(place, "rev-parse", "--short", "HEAD").strip()
    assert ran.json["accepted"][0]["commit"] == head
    changed = set(git(place.parent, "show", "--name-only", "--format=", "HEAD").split())
    assert "docs/chapters/07_signals.md" in changed
    assert changed <= {"docs/chapters/07_signals.md", "docs/memory/07.yaml"}
    assert git(place.parent, "show", "HEAD:docs/chapters/07_signals.md") == (
        place / "chapters/07_signals.md"
    ).read_text(encoding="utf-8")
    assert beside(place) == before, "what was staged stays staged, and the rest unstaged"
    assert git(place.parent, "show", ":staged.txt") == "two\n"


def test_the_message_has_the_figures(place: Path, server: ScriptedServer) -> None:
    expand(place, "review", "07", "--read", "--base-url", server.base_url)
    expand(place, "accept", "07", "--commit")
    message = git(place, "log", "-1", "--format=%B")
    status = expand(place, "status", "--format", "json").json
    assert "review" in {row["purpose"] for row in status["by_purpose"]}, "the draft was read"
    used = sum(row["tokens"] for row in status["by_model"])
    lines = message.splitlines()
    assert lines[:2] == ["Accept chapter 07: Signals and pipes", ""]
    assert lines[2].startswith("Lines: ")
    assert " of 100 (length score " in lines[2]
    assert any(line.startswith("Findings: 0 blocking, ") for line in lines)
    assert any(line.startswith(f"Tokens: {used:,} in ") and "no price known" in line for line in lines)


def test_a_chapter_that_was_accepted_before_is_committed_once(place: Path) -> None:
    expand(place, "accept", "07")
    first = expand(place, "accept", "07", "--commit")
    assert first.out.splitlines()[0].startswith("chapters/07_signals.md: accepted before, commit ")
    again = expand(place, "accept", "07", "--commit")
    assert again.out.splitlines()[0] == "chapters/07_signals.md: accepted before, nothing to commit"
    assert len(git(place, "log", "--format=%h").split()) == 2


def test_what_stands_in_the_way_is_said_before_anything_is_accepted(place: Path) -> None:
    source = place / "chapters/07_signals.md"
    before = source.read_bytes()
    shutil.rmtree(place.parent / ".git")
    ran = expand(place, "accept", "07", "--commit")
    assert (ran.code, ran.out) == (2, "")
    assert "git rev-parse failed: fatal: not a git repository" in ran.err
    assert "has no effect" in expand(place, "accept", "07", "--commit", "--diff").err
    assert source.read_bytes() == before


def test_a_hook_that_refuses_is_quoted_and_the_chapter_stays_accepted(place: Path) -> None:
    hook = place.parent / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no chapters on Sundays >&2\nexit 1\n")
    hook.chmod(0o755)
    ran = expand(place, "accept", "07", "--commit")
    assert (ran.code, ran.out) == (2, "")
    assert "git commit failed: no chapters on Sundays" in ran.err
    hook.unlink()
    assert "accepted before, commit " in expand(place, "accept", "07", "--commit").out
