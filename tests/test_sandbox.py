"""The sandbox: whatever a command does, it sees no key and no network, writes nothing, and ends."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

from expand.code_check import sandbox
from expand.code_check.sandbox import Outcome

pytestmark = pytest.mark.skipif(not sandbox.kind_here(), reason="nothing here can contain a command")


@pytest.fixture(params=["bwrap", "unshare"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kind of sandbox that works here."""
    kind: sandbox.Kind = request.param
    if not shutil.which(kind):
        pytest.skip(f"{kind} is not on the PATH")
    monkeypatch.setattr(sandbox, "kind_here", lambda: kind)
    return kind


def run(script: str, *, seconds: float = 20.0, **files: str) -> Outcome:
    outcome = sandbox.run(["/bin/sh", "-c", script], {"in.txt": "given", **files}, seconds=seconds)
    assert outcome is not None
    return outcome


def test_a_command_reads_its_files_and_writes_only_beside_them(kind: str, tmp_path: Path) -> None:
    marked = tmp_path / "mine.txt"
    marked.write_text("mine")
    said = run(
        f"cat in.txt; echo new > out.txt && cat out.txt; cat {marked} || echo hidden; echo x > /usr/x || echo closed;"
        f"echo x > {tmp_path}/x || echo outside; ls /home /root /etc/passwd 2>&1 | grep -c 'No such'"
    ).output
    assert [word for word in said.split() if word in ("givennew", "hidden", "closed", "outside", "mine", "3")] == (
        ["givennew", "hidden", "closed", "outside", "3"]
    )
    assert list(tmp_path.iterdir()) == [marked]


def test_a_command_sees_no_key_and_no_network(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-key")
    assert "sk-secret" not in run("env; cat /proc/*/environ").output
    connect = "import socket; socket.create_connection(('127.0.0.1', 9))"
    tried = sandbox.run(
        [sys.executable, "-I", "-c", connect], {}, readable=[Path(sys.prefix), Path(sys.base_prefix)], seconds=20
    )
    assert tried is not None
    assert tried.status
    assert "OSError" in tried.output or "Network is unreachable" in tried.output or "refused" in tried.output


def test_whatever_does_not_end_is_ended(kind: str) -> None:
    began = time.monotonic()
    assert run("sleep 60", seconds=0.5).stopped == "it ran for more than 0.5 seconds"
    assert run("sleep 61 & sleep 62 & exit 0", seconds=20) == Outcome(0, "")
    forks = run("f() { f | f & }; f; sleep 30", seconds=1.5)
    assert forks.stopped or "annot fork" in forks.output
    assert time.monotonic() - began < 20
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if _says(path, b"sleep\x0061")]


def _says(path: Path, words: bytes) -> bool:
    try:
        return words in path.read_bytes()
    except OSError:
        return False


def test_processes_are_counted(kind: str) -> None:
    said = run("for n in $(seq 400); do sleep 5 & done; true", seconds=10)
    assert "annot fork" in said.output or "Resource temporarily unavailable" in said.output


def test_output_files_and_memory_are_bounded(kind: str) -> None:
    assert run("yes").stopped == "it printed more than 1,000,000 bytes"
    assert run(f"head -c {sandbox.MOST_FILE_BYTES + 1} /dev/zero > big").status
    assert run("head -c 990000 /dev/zero | tr '\\0' x").status == 0
    limited = run("ulimit -a")
    assert str(sandbox.MOST_MEMORY_KB) in limited.output


def test_what_cannot_be_set_up_is_no_verdict_on_the_block(kind: str) -> None:
    outcome = sandbox.run(["/bin/true"], {"a/b/c.txt": "x"}, readable=[Path("/proc/self")], seconds=5)
    assert outcome is not None
    assert outcome.status in (0, sandbox.NOT_RUN)


def test_without_a_sandbox_nothing_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "kind_here", lambda: "")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-key")
    assert sandbox.run(["/bin/sh", "-c", "true"], {}, seconds=5).status == sandbox.NOT_RUN
    compiled = sandbox.run(["/bin/sh", "-c", "env; cat in.txt"], {"in.txt": "given"}, seconds=5, executes=False)
    assert compiled is not None
    assert "given" in compiled.output
    assert "sk-secret" not in compiled.output
