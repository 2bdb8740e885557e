"""What the commands do: put sections on the queue, work at it, look at it, take back. Each opens
the ledger and closes it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from expand.drafting.events import Event
from expand.drafting.model_setup import model_setup_for, profile_of, require_language
from expand.drafting.run_context import DeferredAuthor, RunContext, open_client, open_ledger
from expand.drafting.run_options import RunOptions
from expand.errors import AuthorError
from expand.ledger import Ledger
from expand.llm.types import Author
from expand.settings import Settings, require_author
from expand.worker.enqueue import Enqueuer, Queued
from expand.worker.job_queue import open_queue
from expand.worker.jobs import server_of
from expand.worker.queue_status import QueueStatus
from expand.worker.section_runner import SectionRunner
from expand.worker.work_loop import SILENT_SECONDS, JobReport, Worked, WorkLoop
from expand.workspace import Workspace


async def enqueue(workspace: Workspace, settings: Settings, options: RunOptions) -> Queued:
    """Put the run's sections that are due on the queue, and record the book's limits in the
    ledger; sends nothing. Raises ``InputError``, ``LedgerError``.
    """
    server = server_of(workspace)
    book = workspace.book()
    require_language(profile_of(workspace, settings), book, options.language)
    with open_ledger(workspace, book, {c: workspace.outline(c) for c in options.chapters}) as (ledger, _):
        placement = Enqueuer(
            workspace=workspace,
            book=book,
            means=model_setup_for(workspace, settings, ledger=ledger),
            ledger=ledger,
        )
        wanted = placement.wanted(options)
        async with open_queue(server) as board:
            placed = await board.put(wanted.jobs)
    return Queued(
        model=settings.model,
        queued=placed.queued,
        there=placed.there,
        done=placed.done,
        current=wanted.current,
        edited=wanted.edited,
        withdrawn=placed.withdrawn,
    )


async def work(
    workspace: Workspace,
    settings: Settings,
    *,
    until_empty: bool = False,
    silent_seconds: float = SILENT_SECONDS,
    write_drafts: bool = False,
    author: Author | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    on_report: Callable[[JobReport], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
    on_ready: Callable[[WorkLoop], None] = lambda _: None,
) -> Worked:
    """Take sections from the queue and buy them, until stopped or until nothing is left.

    The limits are those that whoever queued the sections has put in the ledger. ``on_ready`` gets
    the shift before it begins, to stop it. Raises ``InputError``, ``LedgerError``.
    """
    server = server_of(workspace)
    if author is None:
        require_author(settings, path=workspace.settings_path)
    profile = profile_of(workspace, settings)
    began = time.monotonic()
    name = f"{socket.gethostname()}:{os.getpid()}"
    reports: list[JobReport] = []

    def note(report: JobReport) -> None:
        reports.append(report)
        on_report(report)

    stopped_by = ""
    with open_ledger(workspace, None) as (ledger, run):
        async with AsyncExitStack() as opened:
            writer = author or await opened.enter_async_context(DeferredAuthor(settings, profile))
            client, usage = await open_client(opened, settings, profile, ledger, author=writer, on_event=on_event)
            context = RunContext(ledger=ledger, run_id=run.id, client=client, usage=usage)
            bench = SectionRunner(workspace, settings, context=context, write_drafts=write_drafts)
            bench.warm()
            if isinstance(writer, DeferredAuthor):
                await writer.open()
            board = await opened.enter_async_context(open_queue(server))
            shift = WorkLoop(
                board,
                bench,
                name=name,
                model=settings.model,
                concurrency=settings.concurrency or profile.concurrency,
                until_empty=until_empty,
                silent_seconds=silent_seconds,
                on_report=note,
                tell=tell,
            )
            on_ready(shift)
            try:
                await shift.work()
            except AuthorError as error:
                stopped_by = str(error)
            finally:
                await client.drain()
        return Worked(
            name=name,
            reports=tuple(reports),
            misfits=tuple(f"{job.chapter}/{job.section}" for job in shift.misfits.values()),
            balance=ledger.balance("book"),
            seconds=time.monotonic() - began,
            stopped_by=stopped_by,
        )


async def look(workspace: Workspace, *, silent_seconds: float = SILENT_SECONDS) -> QueueStatus:
    """Where every job stands. Raises ``InputError``, ``LedgerError``."""
    server = server_of(workspace)
    ledger = Ledger.read(server)
    if ledger is None:
        return QueueStatus()
    ledger.close()
    async with open_queue(server) as board:
        return await board.roster(silent_seconds)


async def withdraw(workspace: Workspace, chapters: Sequence[str] | None = None) -> int:
    """Take back what is queued and not begun; how many sections it was."""
    server = server_of(workspace)
    ledger = Ledger.read(server)
    if ledger is None:
        return 0
    ledger.close()
    async with open_queue(server) as board:
        return await board.withdraw(chapters)
