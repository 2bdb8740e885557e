"""What a reader of a page types, typed: each page is one session at a shell.

It runs in a fresh copy of the shipped workspace, or where the page says, with the scripted server
as the provider. ``expand``, ``chapter-expand`` and ``uv run expand`` are the tool under test, run
in this process; a few commands of the shell are themselves; any other is a mistake of the page.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, closing, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
import typer
from batch_server import BatchServer
from documented_code import CodeBlock, Command
from scripted_server import Behaviour, Received, ScriptedServer
from test_suggest import GOOD
from workspaces import Ran, rows, shipped

from expand.cli import app, main
from expand.ledger import Ledger

TOOL = ("expand", "chapter-expand")
SHELL = ("cat", "ls", "mkdir", "cp", "mv", "rm", "git")
INSTALLS = ("pip install uv",)
"""Commands that are believed: `.ci/run` begins with them."""
TREE = {
    "mkdocs.yml": "site_name: Tea house\nnav:\n  - Home: index.md\n  - Brewing: guide/brewing.md\n"
    "  - Serving: guide/serving.md\n",
    "docs/index.md": "# Tea house\n\nWelcome.\n",
    "docs/guide/brewing.md": "# Brewing\n\n## Water (40 lines)\n\nSoft water is best.\n\n"
    "### Temperature\n\n## Leaves (40 lines)\n\n- Green\n- Black\n",
    "docs/guide/serving.md": "# Serving\n\n## Cups\n\nWarm them first.\n\n## Trays\n",
    "plan.md": "# Plan\n\n### Chapter 9: Tasting\n\n1. **Senses** (120 lines)\n   - smell\n   - taste\n",
}
SUMMARY = "# Summary\n\n- [Washing up](washing.md)\n- [Storing](storing.md)\n"


class Provider(ScriptedServer):
    """The scripted server, which can also propose the sections of a chapter."""

    def write(self, received: Received) -> tuple[str, str]:
        return (json.dumps(GOOD), "stop") if "response_format" in received.body else super().write(received)


class Session:
    """A folder to be in, an environment, and a provider; what it started ends with it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, monkeypatch
        self._started = ExitStack()
        self._server: ScriptedServer = Provider()
        self._base_url = ""
        monkeypatch.setenv("EXPAND_MODEL", "scripted")
        self._go("the shipped book")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._started.close()

    def run(self, block: CodeBlock) -> None:
        """Types a block's commands; fails where one does not do what the page says."""
        if block.place:
            self._go(block.place)
        for prop in block.given:
            assert prop in GIVEN, f"{block.name}: given {prop!r}? Known are {', '.join(GIVEN)}"
            GIVEN[prop](self)
        for command in block.commands:
            where = f"{block.name}: {command.typed}"
            ran = Ran(code=0, out="", err="")
            for words in command.parts():
                ran = self._typed(words, where)
                if ran.code:
                    break
            said = f"{where}: exit code {ran.code}, not {command.exit_code}\n{ran.out}{ran.err}"
            assert ran.code == command.exit_code, said
            compare(command, ran, where)

    def batch_server(self) -> None:
        """From now on the provider is one that takes batches."""
        self._provider(self._started.enter_context(BatchServer()).base_url)

    def _provider(self, base_url: str) -> None:
        self._base_url = base_url
        self._patch.setenv("OPENAI_BASE_URL", base_url)

    def _go(self, place: str) -> None:
        """To a place, and to a provider that has written nothing yet."""
        self._server = self._started.enter_context(Provider())
        self._provider(self._server.base_url)
        folder = self._folder / place.replace(" ", "-")
        if place == "the shipped book":
            if not folder.exists():
                shipped(folder)
        elif place == "a folder with my-docs":
            for name, text in TREE.items():
                path = folder / "my-docs" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        else:
            assert place == "an empty folder", f"in: {place}? There is no such place"
            folder.mkdir()
        self._patch.chdir(folder)

    def _typed(self, words: list[str], where: str) -> Ran:
        into = ""
        if ">" in words:
            at = words.index(">")
            words, into = words[:at], words[at + 1]
        ran = self._performed(words, where)
        if into:
            Path(into).write_text(ran.out, encoding="utf-8")
            return Ran(code=ran.code, out="", err=ran.err)
        return ran

    def _performed(self, words: list[str], where: str) -> Ran:
        nothing = Ran(code=0, out="", err="")
        if " ".join(words) in INSTALLS:
            return nothing
        match words:
            case ["uv", "run", *rest]:
                return self._performed(rest, where)
            case [name, *arguments] if name in TOOL:
                return self._expand(arguments)
            case ["cd", folder]:
                self._patch.chdir(folder)
                return nothing
            case ["export", *settings]:
                for setting in settings:
                    name, _, value = setting.partition("=")
                    self._patch.setenv(name, "secret" if value == "…" else value)
                return nothing
            case [name, *_] if name in SHELL:
                done = subprocess.run(words, capture_output=True, text=True, check=False)
                return Ran(code=done.returncode, out=done.stdout, err=done.stderr)
        raise AssertionError(f"{where}: {words[0]} is no command that a page may use")

    def _expand(self, arguments: list[str]) -> Ran:
        """The tool, in this process; any server on this machine is the scripted one."""
        local = re.compile(r"http://127\.0\.0\.1:\d+/v1")
        unknown = self.unknown() if "ATTEMPT" in arguments else []
        arguments = [local.sub(self._base_url, unknown[0] if one == "ATTEMPT" else one) for one in arguments]
        out, err = io.StringIO(), io.StringIO()
        code: int | str | None = 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main(arguments)
            except SystemExit as ended:
                code = ended.code
        assert isinstance(code, int)
        return Ran(code=code, out=out.getvalue(), err=err.getvalue())

    def typed(self, command: str) -> None:
        """Types a command that the page does not show; it has to succeed."""
        ran = self._typed(command.split(), command)
        assert ran.code == 0, f"{command}: exit code {ran.code}\n{ran.out}{ran.err}"

    def unknown(self) -> list[str]:
        """Attempts of unknown outcome, by id."""
        return [str(one) for (one,) in rows(Path.cwd(), UNKNOWN)]

    def lose(self, attempts: int) -> None:
        """Drafts a section while connections break."""
        received = len(self._server.requests)
        whole: Behaviour = "normal"
        lost: Behaviour = "drop"
        self._server.script = (whole,) * received + (lost,) * attempts
        self._expand(["chapter", "03", "--section", "8"])
        assert len(self.unknown()) == attempts


UNKNOWN = "SELECT id FROM attempt WHERE state = 'unknown' ORDER BY seq"


def _paused(session: Session) -> None:
    with closing(Ledger.open(Path(".expand") / "ledger.db")) as ledger:
        ledger.pause("gpt-4.1", 600)


def _repository(session: Session) -> None:
    for command in ("init -q", "config user.name Writer", "config user.email writer@example.org", "add ."):
        session.typed(f"git {command}")
    session.typed("git commit -qm Begin")


def _file(name: str, text: str) -> Callable[[Session], None]:
    def put(_: Session) -> None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return put


GIVEN: dict[str, Callable[[Session], None]] = {
    "two lost connections": lambda session: session.lose(2),
    "a paused model": _paused,
    "a batch server": Session.batch_server,
    "what init writes": lambda session: session.typed("expand init"),
    "a section that was drafted": lambda session: session.typed("expand chapter 03 --section 8"),
    "a git repository": _repository,
    "src/SUMMARY.md": _file("src/SUMMARY.md", SUMMARY),
}


def compare(command: Command, ran: Ran, where: str) -> None:
    """Fails unless what the page shows was printed; ``…`` stands for anything."""
    if not command.shown.strip():
        return
    shown = re.escape(command.shown.strip()).replace("…", "(?s:.*)")
    printed = (ran.out, ran.err, ran.out + ran.err)
    assert any(re.fullmatch(shown, one.strip()) for one in printed), (
        f"{where}: the page shows\n{command.shown}but it prints\n{ran.out}{ran.err}"
    )


@cache
def _root() -> Any:
    """The command line as typer has it: made once, since that takes a while."""
    return typer.main.get_command(app)


def understood(words: list[str], *, exactly: bool) -> str:
    """Why the tool would not take these words after its name, "" if it would; nothing is run.

    With ``exactly`` arguments that are missing or too many count too; in prose they do not.
    """
    command = _root()
    context = command.make_context("expand", [], resilient_parsing=True)
    while words and not words[0].startswith("-") and hasattr(command, "commands"):
        if words[0] not in command.commands:
            return f"there is no command {words[0]}"
        command = command.commands[words.pop(0)]
        context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    for word in words:
        if word.startswith("-") and word.partition("=")[0] not in known | {"--help", "-h"}:
            return f"{command.name} has no option {word}"
    if exactly:
        try:
            command.make_context(command.name, list(words), parent=context)
        except Exception as error:
            return str(error)
    return ""


def tool_words(words: list[str]) -> list[str] | None:
    """The words after the tool's name, None where it is not the tool that is called."""
    words = words[2:] if words[:2] == ["uv", "run"] else words
    return words[1:] if words and Path(words[0]).name in TOOL else None
