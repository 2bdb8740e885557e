"""The interface of back ends, which buy sections elsewhere than in the process that asks for them.

``expand.batch`` sends the sections' questions through a provider's Batch API; ``expand.worker`` queues the sections
for workers on any machine. A further back end is a package beside these two with a class that has the methods of
``Backend``, and an option of ``expand chapter`` that opens it. All of them keep to one contract: what they buy is
settled in the ledger under the keys that a live run looks for, so ``assemble`` drafts from it and nothing is bought
twice, whichever way a section is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from expand.budget import Limit
from expand.drafting.chapter_state import ModelSetup
from expand.drafting.draft_file import DraftFile
from expand.drafting.draft_store import open_chapter
from expand.drafting.events import Event
from expand.drafting.results import RunResult
from expand.drafting.run import expand_chapters
from expand.drafting.run_options import RunOptions
from expand.drafting.run_plan import revision_of
from expand.drafting.section_status import SectionCheck, check_section_state
from expand.ledger import Ledger, Run
from expand.llm.types import Answer, AttemptFailedError, Failure, OnText, Request, ignore_text
from expand.outline import Section
from expand.outline.allowance import limits_of, money_openings_of, openings_of
from expand.schema import Json
from expand.settings import Settings
from expand.workspace import Workspace


class Report(Protocol):
    """What an operation of a back end came to, for the command line to print."""

    @property
    def exit_code(self) -> int:
        """The exit code of the contract."""
        ...

    def as_json(self) -> dict[str, Json]:
        """The object that ``--json`` prints."""
        ...


class Backend(Protocol):
    """A way to have sections bought elsewhere. ``chapters`` limits an operation to some; None means all.

    Every method raises ``InputError`` where the workspace cannot use this back end, and ``LedgerError``.
    """

    async def submit(self, options: RunOptions) -> Report:
        """Hand over what the sections of a run need next; what is handed over already is left as it is."""
        ...

    async def status(self) -> Report:
        """Show where everything stands that was handed over. Changes nothing."""
        ...

    async def collect(self, chapters: tuple[str, ...] | None = None) -> Report:
        """Draft from what was bought by now. Sends nothing to the author."""
        ...

    async def cancel(self, chapters: tuple[str, ...] | None = None) -> Report:
        """Take back what can still be taken back; what is bought by then can be collected."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundSection:
    """A section of a run, and how it stands in its draft."""

    draft_file: DraftFile
    section: Section
    check: SectionCheck


def find_sections(
    workspace: Workspace, model: ModelSetup, ledger: Ledger, options: RunOptions, *, dry_run: bool = False
) -> Iterator[FoundSection]:
    """Every section of a run. With ``options.fresh`` each is given its next revision first, except where a person
    edited it; with ``dry_run`` the ledger is left as it is.

    Raises ``InputError`` before any revision is raised when the input is wrong.
    """
    book = workspace.book()

    def opened(chapter: str) -> DraftFile:
        return DraftFile(workspace, open_chapter(workspace, book, chapter, options=options, means=model))

    if options.fresh and not dry_run:
        wanted = [
            (chapter, section.number)
            for chapter in options.chapters
            for draft_file in [opened(chapter)]
            for section in options.chosen(draft_file.chapter.outline)
            if not draft_file.edited(section.number)
        ]
        for chapter, number in wanted:
            ledger.raise_edition(chapter, number)
    revisions = ledger.editions()
    for chapter in options.chapters:
        draft_file = opened(chapter)
        for section in options.chosen(draft_file.chapter.outline):
            revision = revision_of(chapter, section.number, revisions)
            if options.fresh and dry_run:
                revision = replace(revision, number=revision.number + 1, instruction="")
            check = check_section_state(draft_file, section, options, edition=revision)
            yield FoundSection(draft_file=draft_file, section=section, check=check)


@contextmanager
def begun_run(workspace: Workspace, options: RunOptions) -> Iterator[tuple[Ledger, Run]]:
    """The workspace's ledger, open, with a new run in it and the limits of the book and of the run's chapters."""
    book = workspace.book()
    outlines = {chapter: workspace.outline(chapter) for chapter in options.chapters}
    with closing(Ledger.open(workspace.ledger_place)) as ledger:
        run = ledger.begin_run(
            limits=limits_of(book, outlines),
            openings=openings_of(book),
            openings_pico_usd=money_openings_of(book),
            run_limit=Limit(tokens=options.budget),
        )
        yield ledger, run


class NoAuthor:
    """The author of a run that must not send anything."""

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        """Refuse."""
        raise AttemptFailedError(Failure.UNREACHABLE, "nothing is sent live when drafts are assembled")


async def assemble(
    workspace: Workspace, settings: Settings, options: RunOptions, *, on_event: Callable[[Event], None]
) -> RunResult:
    """Draft chapters from the answers that the ledger has: a run that is stopped before it begins."""
    result = await expand_chapters(
        workspace,
        settings,
        options,
        author=NoAuthor(),
        on_event=on_event,
        on_ready=lambda run: run.stop(),
    )
    return replace(result, interrupted=False)
