"""Workspaces for tests, and the command line run in them.

``small`` is a workspace of its own: chapter 07 with three short sections, so that a whole run takes
a fraction of a second. ``shipped`` is a copy of the one that the repository is.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expand.cli import main
from expand.llm.profile import Profile

ROOT = Path(__file__).parents[1]

BOOK = """\
title: {en: A small book, zh: 一本小书}
language: en
languages: [en, zh]
audience: {en: Programmers, zh: 程序员}
house_rules:
  - {en: Name every version., zh: 注明版本。}
allowance: {tokens: 200000}
opening:
  - {chapters: [01], tokens: 1000}
chapters:
  - {id: 01, title: {en: Beginnings, zh: 开始}, lines: 90, finished: true}
  - {id: 07, title: {en: Signals and pipes, zh: 信号与管道}, lines: 22, target_lines: 100}
"""

OUTLINE = """\
id: 07
title: {en: Signals and pipes, zh: 信号与管道}
source: chapters/07_signals.md
target_lines: 100
sections:
  - title: {en: Signal handling, zh: 信号处理}
    lines: 40
    topics:
      - {en: Blocking signals, zh: 阻塞信号}
      - {en: Handler safety, zh: 处理函数的安全}
  - title: {en: Named pipes, zh: 命名管道}
    lines: 40
    topics:
      - {en: Opening a pipe, zh: 打开管道}
      - {en: Reading until the end, zh: 读到结尾}
  - title: {en: Checklist, zh: 检查清单}
    lines: 20
"""

SOURCE = """\
# Signals and pipes

> **Level**: expert

---

## Named pipes

A named pipe outlives the processes that opened it, unlike an anonymous one.

```rust
fn open(path: &str) -> std::io::Result<std::fs::File> {
    std::fs::File::open(path)
}
```

---

**Maintenance**: kept by its authors.
"""

TITLES = ("Signal handling", "Named pipes", "Checklist")
ZH_TITLES = ("信号处理", "命名管道", "检查清单")
ZH_TOPICS = ("阻塞信号", "处理函数的安全", "打开管道", "读到结尾")


def profile(lines_per_request: int, **more: Any) -> Profile:
    """The profile of a model that is asked for so many lines at a time."""
    window = {"context_window": 100_000, "max_output_tokens": 10_000, "tokens_per_line": 20}
    return Profile(name="model", lines_per_request=lines_per_request, **{**window, **more})


def small(folder: Path) -> Path:
    """A workspace with chapter 07: 40, 40 and 20 lines, four topics, a source with one listing."""
    for name, text in (
        ("expand.toml", '[author]\nmodel = "scripted"\n'),
        ("outlines/book.yaml", BOOK),
        ("outlines/07.yaml", OUTLINE),
        ("chapters/07_signals.md", SOURCE),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def shipped(folder: Path) -> Path:
    """A copy of the repository's own workspace, without its prompts: the packaged ones are it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "expand.toml", folder)
    for name in ("outlines", "chapters"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command line that has run."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout; fails when there is anything else."""
        return json.loads(self.out)


def expand(place: Path, *arguments: str) -> Ran:
    """Runs a command line in this process, in the workspace ``place``."""
    out, err = io.StringIO(), io.StringIO()
    code: int | str | None = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(["--workspace", str(place), *arguments])
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return Ran(code=code, out=out.getvalue(), err=err.getvalue())


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts a command line as a process of its own, in the workspace ``place``."""
    return subprocess.Popen(
        [sys.executable, "-m", "expand", *arguments],
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )


def finished(process: subprocess.Popen[str], seconds: float = 30) -> Ran:
    """Waits for a process that was started."""
    out, err = process.communicate(timeout=seconds)
    return Ran(code=process.returncode, out=out, err=err)


def draft_of(place: Path, chapter: str = "07") -> str:
    """A chapter's draft as it is on disk, byte for byte."""
    return (place / "drafts" / f"{chapter}.md").read_bytes().decode()


def rows(place: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of the ledger."""
    with closing(sqlite3.connect(place / ".expand" / "ledger.db")) as connection:
        return connection.execute(query).fetchall()
