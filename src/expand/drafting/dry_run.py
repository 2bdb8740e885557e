"""A run worked out without sending: the dry run, and a section's first request word for word."""

from __future__ import annotations

from dataclasses import dataclass

from expand.drafting.chapter_state import NO_REVISION, Chapter, ModelSetup, Revision
from expand.drafting.draft_file import DraftFile
from expand.drafting.draft_store import open_chapter
from expand.drafting.model_setup import model_setup_for, require_language
from expand.drafting.request_builder import order_for
from expand.drafting.run_options import RunOptions
from expand.drafting.run_plan import revision_of
from expand.drafting.section_run import loop_for
from expand.drafting.section_status import check_section_state
from expand.drafting.section_text import SectionText
from expand.errors import InputError
from expand.ledger import Ledger, Order
from expand.llm.types import Finish
from expand.outline import Section
from expand.settings import Settings
from expand.workspace import Workspace

EXPECTED_TOKENS_PER_LINE = 13
"""What a line of a draft takes, for a dry run: technical chapters of prose and code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun:
    """What one section would take: requests, tokens that go out and may come back, reservation.

    ``reused`` says that nothing would be sent: its draft is current, or ``edited`` by a person.
    ``reserved_tokens`` is the sum over its requests, ``largest`` the greatest single one; money is
    in pico-dollars, None without a price.
    """

    chapter: str
    section: int
    title: str
    lines: int
    reused: bool
    edited: bool = False
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reserved_tokens: int = 0
    largest: int = 0
    cost_pico_usd: int | None = 0


def dry_run(workspace: Workspace, settings: Settings, options: RunOptions) -> tuple[DryRun, ...]:
    """What a run would send, worked out without sending: as if every answer kept to its lines."""
    book = workspace.book()
    ledger = Ledger.read(workspace.ledger_place)
    try:
        means = model_setup_for(workspace, settings, ledger=ledger)
        require_language(means.profile, book, options.language)
        editions = ledger.editions() if ledger else {}
        planned: list[DryRun] = []
        for chapter_id in options.chapters:
            chapter = open_chapter(
                workspace,
                book,
                chapter_id,
                options=options,
                means=means,
            )
            folio = DraftFile(workspace, chapter)
            for section in options.chosen(chapter.outline):
                edition = revision_of(chapter_id, section.number, editions)
                if options.fresh:
                    edition = Revision(number=edition.number + 1, instruction=options.instruction)
                    if options.sections is not None:
                        folio.overwrite(section.number)
                stands = check_section_state(folio, section, options, edition=edition)
                if stands.fate == "due":
                    planned.append(_simulated(chapter, section, means, edition))
                else:
                    planned.append(_kept(chapter, section, edited=stands.fate == "edited"))
        return tuple(planned)
    finally:
        if ledger:
            ledger.close()


def first_order(workspace: Workspace, settings: Settings, options: RunOptions) -> tuple[Order, bool, tuple[int, ...]]:
    """The order of the first question of the only section in ``options``, whether its count is exact, and the
    tokens of each of its messages (the chat format's own are in the order's estimate only).
    """
    book = workspace.book()
    means = model_setup_for(workspace, settings, ledger=None)
    require_language(means.profile, book, options.language)
    (chapter,) = options.chapters
    opened = open_chapter(workspace, book, chapter, options=options, means=means)
    (chosen,) = options.chosen(opened.outline)
    manuscript = SectionText(opened.frame(chosen))
    ask = loop_for(manuscript, means).next()
    if ask is None:
        raise InputError(
            f"section {chosen.number} of chapter {chapter} has its lines already, from the source",
            remedy="name another section",
        )
    order = order_for(opened, chosen, ask, manuscript, run_id="none", edition=NO_REVISION)
    counts = tuple(means.counter.count(m.content) for m in order.request.messages)
    return order, means.counter.exact, counts


def _kept(chapter: Chapter, section: Section, *, edited: bool) -> DryRun:
    return DryRun(
        chapter=chapter.id,
        section=section.number,
        title=chapter.title(section),
        lines=section.lines,
        reused=True,
        edited=edited,
    )


def _simulated(chapter: Chapter, section: Section, means: ModelSetup, edition: Revision) -> DryRun:
    """One section worked through with answers of just the lines asked for."""
    manuscript = SectionText(chapter.frame(section))
    loop = loop_for(manuscript, means)
    requests = prompt = reserved = largest = completion = serial = 0
    cost: int | None = 0
    while (ask := loop.next()) is not None:
        order = order_for(chapter, section, ask, manuscript, run_id="dry", edition=edition)
        requests += 1
        prompt += order.prompt_estimate or order.prompt_tokens
        reserved += order.amount.tokens
        largest = max(largest, order.amount.tokens)
        completion += ask.lines * EXPECTED_TOKENS_PER_LINE
        if cost is not None:
            cost = None if order.amount.pico_usd is None else cost + order.amount.pico_usd
        text = "\n".join(
            f"Line {serial + n} stands for one of the lines that the model would write here." for n in range(ask.lines)
        )
        serial += ask.lines
        loop.record(ask, manuscript.add(text, Finish.STOP, ask.slots))
    return DryRun(
        chapter=chapter.id,
        section=section.number,
        title=chapter.title(section),
        lines=section.lines,
        reused=False,
        requests=requests,
        prompt_tokens=prompt,
        completion_tokens=completion,
        reserved_tokens=reserved,
        largest=largest,
        cost_pico_usd=cost,
    )
