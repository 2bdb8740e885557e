"""Have a person decide on a chapter's brief and on each section before the next one is drafted.

Who asks them is one function, ``decide``: the command line, the live page and a test each bring their own. What they
take is remembered by the hash of its text, so that no later run asks for the same text again.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from expand.checks import Finding
from expand.document.draft import text_hash
from expand.document.page import BYTE_ORDER_MARK
from expand.drafting.draft_file import DraftFile
from expand.drafting.draft_state import approve, approved
from expand.drafting.events import SectionStatus
from expand.outline import Plan, Section
from expand.schema.input_file import read_yaml
from expand.workspace import Workspace, decoded, read_bytes, read_text, write_atomically

Choice = Literal["take", "back", "edit", "skip", "quit", "length", "again", "outline"]
"""Take the text, send it back with a note, put another in its place, leave it for later, end the run; of a section
whose length is off also: take the length as it is, buy the section anew, have the outline ask for its length."""
ALWAYS: tuple[Choice, ...] = ("take", "back", "edit", "skip", "quit")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a person is asked about: a section's text in the draft at ``path``, for section 0 the chapter's brief.
    ``length`` says how much it has of what it is to have."""

    chapter: str
    section: int
    title: str
    path: str
    text: str
    choices: tuple[Choice, ...] = ALWAYS
    length: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a person wants: ``note`` says what is to change, ``text`` is what an edit puts in the place of the text."""

    choice: Choice
    note: str = ""
    text: str = ""


Decide = Callable[[Question], Awaitable[Decision]]


class Approval:
    """The questions of one run. What a decision says of texts and files is done here, the rest by the run."""

    def __init__(self, workspace: Workspace, decide: Decide, stop_run: Callable[[], None]) -> None:
        self._workspace = workspace
        self._decide = decide
        self._stop_run = stop_run
        self._skipped: set[str] = set()
        self._asked: asyncio.Future[Decision] | None = None

    def stop(self) -> None:
        """Answer a question that is open with ``quit``."""
        if self._asked is not None:
            self._asked.cancel()

    async def _answer(self, question: Question) -> Decision:
        if text_hash(question.text) in self._skipped | approved(self._workspace, question.chapter):
            return Decision(choice="skip")
        asked = self._asked = asyncio.ensure_future(self._decide(question))
        await asyncio.wait([asked])
        decision = Decision(choice="quit") if asked.cancelled() else asked.result()
        if decision.choice not in question.choices:
            raise ValueError(f"{decision.choice} is no answer to {question.chapter}/{question.section}")
        if decision.choice in ("take", "length"):
            approve(self._workspace, question.chapter, question.text, length=decision.choice == "length")
        elif decision.choice == "skip":
            self._skipped.add(text_hash(question.text))
        elif decision.choice == "quit":
            self._stop_run()
        return decision

    async def brief(self, chapter: str) -> Decision:
        """The decision on a chapter's brief."""
        path = self._workspace.brief_path(chapter)
        if not path.is_file():
            return Decision(choice="skip")
        where, text = self._workspace.relative(path), read_text(path)
        decision = await self._answer(Question(chapter=chapter, section=0, title="brief", path=where, text=text))
        if decision.choice == "edit":
            write_atomically(path, decision.text.rstrip() + "\n")
        return decision

    async def section(self, draft_file: DraftFile, section: Section, status: SectionStatus) -> Decision:
        """The decision on a section as its draft has it, whose file is written first: names of links may change."""
        draft_file.write()
        chapter, text = draft_file.chapter, draft_file.texts[section.number]
        result, path = draft_file.section_result(section, status), self._workspace.outline_path(chapter.id)
        off = any(one.kind in ("short", "long") and one.severity != "note" for one in result.findings)
        follows = off and chapter.plan is Plan.FULL
        outline = _with_length(path, section.number, result.unit, result.counted) if follows else ""
        more: tuple[Choice, ...] = ("length", "again", "outline") if outline else ("length", "again") if off else ()
        question = Question(
            chapter=chapter.id,
            section=section.number,
            title=result.title,
            path=draft_file.path,
            text=text.strip("\n"),
            choices=(*ALWAYS, *more),
            length=result.extent,
            findings=result.findings,
        )
        decision = await self._answer(question)
        if decision.choice not in ("edit", "skip", "quit"):
            draft_file.write()
            if draft_file.texts[section.number] != text:  # somebody changed it meanwhile: that is another question
                draft_file.told.pop(section.number, None)
                return await self.section(draft_file, section, "edited")
        if decision.choice == "edit":  # below the heading by which the section is found, and above what follows
            heading, edit = text.split("\n", 1)[0].rstrip(), decision.text.strip()
            own = re.match(r"#+[ \t]+(?:\d+\.[ \t]+)?", heading)  # what is below may be another title
            edit = edit if edit.startswith(own[0] if own else heading) else f"{heading}\n\n{edit}"
            draft_file.put_edit(section.number, edit + text[len(text.rstrip()) :])
        elif decision.choice == "outline":
            write_atomically(path, outline)
        return decision


def _with_length(path: Path, number: int, unit: str, length: int) -> str:
    """The outline's text in which a section states this length; "" where it states none in this unit."""
    file, whole = read_yaml(path), decoded(read_bytes(path), path, keep_mark=True)
    rows = whole.removeprefix(BYTE_ORDER_MARK).splitlines(keepends=True)  # as YAML counts them
    for key in ("characters", "字数") if unit == "characters" else (unit,):
        at = ("sections", number - 1, key)
        if at in file.written:
            place, written = file.values[at], file.written[at]
            line, column = (place.line or 1) - 1, (place.column or 1) - 1
            row = rows[line]
            rows[line] = f"{row[:column]}{max(1, length)}{row[column + len(written) :]}"
            return whole[: whole.startswith(BYTE_ORDER_MARK)] + "".join(rows) if row.startswith(written, column) else ""
    return ""
