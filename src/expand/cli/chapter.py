"""``expand chapter``: chapters into drafts; with ``--ask``, a person decides at the terminal on what is drafted."""

import asyncio
import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from expand.cli import batch_output, options
from expand.cli.options import require_choice
from expand.cli.run_command import run
from expand.cli.run_output import show_dry_run
from expand.drafting.approval import Decision, Question
from expand.drafting.dry_run import dry_run as plan_run
from expand.drafting.run_options import RunOptions
from expand.errors import InputError
from expand.workspace import Workspace


class Running(NamedTuple):
    """The options of a run that are named as those of ``RunOptions``."""

    plan: options.Plan = "full"
    sections: Annotated[
        list[int] | None, typer.Option("--section", metavar="N", help="Only this section; repeatable.")
    ] = None
    language: options.Language = None
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, help="Requests at once.")] = None
    fresh: Annotated[bool, typer.Option("--fresh", help="Buy anew; with --section, edited text is replaced too.")] = (
        False
    )
    read: Annotated[
        bool | None,
        typer.Option("--read/--no-read", help="Have the draft read through, and what is found mended, or not."),
    ] = None


def chapter(
    opened: Workspace,
    chapters: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Chapters to expand."),
    ] = None,
    all_chapters: Annotated[bool, typer.Option("--all", help="Every chapter that has an outline.")] = False,
    *,
    running: Running,
    buying: options.Buying,
    no_brief: Annotated[
        bool, typer.Option("--no-brief", help="Neither make nor use what the chapter's sections share.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent and reserved; send nothing.")
    ] = False,
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch",
            metavar="submit|status|collect|cancel",
            help="Through the provider's Batch API, at its price and within a day.",
        ),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Decide on the brief and on each section before the next.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Expand chapters into drafts; reuse every section that is current."""
    require_choice("--plan", running.plan, ("full", "lean"))
    every = all_chapters or (batch not in (None, "submit") and not chapters)
    if ask and batch is not None:
        raise InputError("a batch asks nobody", remedy="leave out --ask or --batch")
    if ask and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError("--ask asks at a terminal, and this is none", remedy="leave it out, or use `expand serve`")
    run_options = RunOptions.of(
        opened,
        _chapters(opened, chapters or [], all_chapters=every),
        brief=not no_brief,
        decide=_ask if ask else None,
        **buying._asdict(),
        **running._replace(sections=running.sections or None)._asdict(),
    )
    if running.read and batch is not None:
        raise InputError(
            "a batch reads no draft through",
            remedy="leave out --read, and give `expand review ID --read` once the chapters are drafted",
        )
    if batch is not None:
        code = batch_output.run_batch(batch, opened, run_options, dry_run=dry_run, as_json=as_json)
    elif dry_run:
        code = show_dry_run(plan_run(opened, run_options.settings(opened), run_options), as_json=as_json)
    else:
        code = run(opened, run_options, as_json=as_json)
    raise typer.Exit(code)


def _chapters(workspace: Workspace, given: list[str], *, all_chapters: bool) -> tuple[str, ...]:
    if all_chapters and workspace.chapter_ids():
        return workspace.chapter_ids()
    if all_chapters:
        raise InputError("no chapter has an outline", remedy="make one with `expand outline import`")
    if not given:
        known = ", ".join(workspace.chapter_ids()) or "none yet"
        raise InputError("no chapter named", remedy=f"name some of {known}, or give --all")
    return tuple(dict.fromkeys(given))


_CHOICES = {"back": "send it [b]ack", "length": "take its [l]ength as it is", "outline": "change the [o]utline to it"}


async def _ask(question: Question) -> Decision:
    """Asks on the terminal until there is an answer; at the end of its input that is ``quit``."""
    length = f": {question.length}" if question.length else ""
    head = f"{question.chapter}/{question.section} {question.title}{length} ({question.path})"
    found = [f"  {one.severity}: {one.kind}: {one.message}" for one in question.findings]
    sys.stderr.write("\n".join(["", question.text.strip(), "", head, *found, ""]))
    offered = ", ".join(_CHOICES.get(choice, f"[{choice[0]}]{choice[1:]}") for choice in question.choices)
    while line := await _line(f"{offered}? "):
        for choice in question.choices:
            if line.strip().lower() in (choice, choice[0]):
                note = (await _line("What is to change? ")).strip() if choice == "back" else ""
                text = _edited(question.text) if choice == "edit" else ""
                if note or text or choice not in ("back", "edit"):
                    return Decision(choice=choice, note=note, text=text)
    return Decision(choice="quit")


async def _line(prompt: str) -> str:
    """A line from the terminal, "" at its end. Signals reach the run meanwhile, which then ends the waiting."""
    print(prompt, end="", file=sys.stderr, flush=True)
    loop, typed = asyncio.get_running_loop(), asyncio.Event()
    with suppress(NotImplementedError):  # on Windows, readline waits
        loop.add_reader(sys.stdin, typed.set)
        try:
            await typed.wait()
        finally:
            loop.remove_reader(sys.stdin)
    return sys.stdin.buffer.readline().decode(sys.stdin.encoding, "replace")


def _edited(text: str) -> str:
    """The text as the person's editor leaves it, "" where it stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text.md")
        path.write_bytes(text.encode())
        try:
            editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
            subprocess.run([*editor, str(path)], check=True, stdout=sys.stderr)
            edited = path.read_bytes().decode()
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            sys.stderr.write(f"expand: {error}; nothing is changed\n")
            return ""
    return edited if edited != text else ""
