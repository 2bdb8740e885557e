"""``--ask``: the questions of a run on the terminal, asked on stderr and answered with one letter each."""

import asyncio
import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from expand.drafting.approval import Decide, Decision, Question
from expand.errors import InputError

SAID = {"back": "send it [b]ack", "length": "take its [l]ength as it is", "outline": "change the [o]utline to it"}


def terminal(*, batch: bool) -> Decide:
    """``ask``, where somebody is there to answer, and no ``batch`` is meant. Raises ``InputError``."""
    if batch:
        raise InputError("a batch asks nobody", remedy="leave out --ask or --batch")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError("--ask asks at a terminal, and this is none", remedy="leave it out, or use `expand serve`")
    return ask


async def ask(question: Question) -> Decision:
    """Asks on the terminal until there is an answer; at the end of its input that is ``quit``."""
    length = f": {question.length}" if question.length else ""
    head = f"{question.chapter}/{question.section} {question.title}{length} ({question.path})"
    found = [f"  {one.severity}: {one.kind}: {one.message}" for one in question.findings]
    sys.stderr.write("\n".join(["", question.text.strip(), "", head, *found, ""]))
    offered = ", ".join(SAID.get(choice, f"[{choice[0]}]{choice[1:]}") for choice in question.choices)
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
