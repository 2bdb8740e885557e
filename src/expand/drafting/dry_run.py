"""A run worked out without sending: the dry run, and a section's first request word for word."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Self

from expand.drafting.brief_request import begun_chapters, brief_order, wants_brief
from expand.drafting.budget_plan import EXPECTED_TOKENS_PER_LINE, simulated_orders
from expand.drafting.chapter import Chapter
from expand.drafting.draft_file import DraftStore, open_chapter
from expand.drafting.length_loop import loop_for
from expand.drafting.model_setup import ModelSetup, model_setup_for, other_roles, require_language
from expand.drafting.read_through import MOST_FINDINGS, read_order, review_context, texts_of
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.run_options import RunOptions
from expand.drafting.section_state import SectionCheck, check_sections
from expand.drafting.section_text import SectionText, imagined_line
from expand.errors import InputError
from expand.ledger import Ledger, Order
from expand.prompts.context import ChangeContext
from expand.settings import Settings
from expand.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun:
    """What one section would take: requests, tokens that go out and may come back, reservation.

    ``reused`` says that nothing would be sent: its draft is current, or ``edited`` by a person. ``reserved_tokens`` is
    the sum over its requests, ``largest`` the greatest single one; money is in pico-dollars, None without a price."""

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

    def sending(self, orders: Sequence[Order], completion_tokens: int) -> Self:
        """The same with the figures of what would be sent."""
        costs = [order.amount.pico_usd for order in orders]
        return replace(
            self,
            requests=len(orders),
            prompt_tokens=sum(order.prompt_estimate or order.prompt_tokens for order in orders),
            completion_tokens=completion_tokens,
            reserved_tokens=sum(order.amount.tokens for order in orders),
            largest=max((order.amount.tokens for order in orders), default=0),
            cost_pico_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        )


def dry_run(workspace: Workspace, settings: Settings, options: RunOptions) -> tuple[DryRun, ...]:
    """What a run would send, worked out without sending: as if every answer kept to its lines."""
    book = workspace.book()
    ledger = Ledger.read(workspace.ledger_place)
    try:
        setup = model_setup_for(workspace, settings, ledger=ledger)
        require_language(setup.profile, book, options.language)
        drafts = DraftStore(workspace, book, options=options, setup=setup)
        begun = begun_chapters(ledger) if ledger else set()
        reader = settings.for_role("review")[0] if other_roles(workspace, settings, options) else None
        planned: list[DryRun] = []
        for chapter, found in groupby(check_sections(drafts, ledger, dry_run=True, overwrite=True), lambda one: one[0]):
            checks = [check for _, check in found]
            due = [check.section for check in checks if check.state == "due"]
            if due and wants_brief(chapter, begun):
                planned.append(_simulated_requests(chapter, "brief", [brief_order(chapter, "dry")]))
            planned += [_simulated(chapter, check) for check in checks]
            if reader and (due or options.read):
                texts = {**texts_of(drafts.look(chapter.id)), **{one.number: _imagined(one.lines) for one in due}}
                with suppress(*() if options.read else (InputError,)):  # a run says so, and goes on
                    orders = _read_orders(chapter, model_setup_for(workspace, reader, ledger=ledger), texts)
                    planned.append(_simulated_requests(chapter, "read-through", orders))
        return tuple(planned)
    finally:
        if ledger:
            ledger.close()


def first_order(workspace: Workspace, settings: Settings, options: RunOptions) -> tuple[Order, bool, tuple[int, ...]]:
    """The order of the first request of the only section in ``options``, whether its count is exact, and the tokens of
    each of its messages (the chat format's own are in the order's estimate only)."""
    book = workspace.book()
    setup = model_setup_for(workspace, settings, ledger=None)
    require_language(setup.profile, book, options.language)
    (chapter_id,) = options.chapters
    chapter = open_chapter(workspace, book, chapter_id, options=options, setup=setup)
    (section,) = options.chosen(chapter.outline)
    section_text = SectionText(chapter.skeletons[section.number])
    ask = loop_for(section_text, setup.profile).next()
    if ask is None:
        raise InputError(
            f"section {section.number} of chapter {chapter_id} has its lines already, from the source",
            remedy="name another section",
        )
    order = RequestBuilder(chapter, section, run_id="none").order(ask, section_text)
    counts = tuple(setup.counter.count(m.content) for m in order.request.messages)
    return order, setup.counter.exact, counts


def _imagined(lines: int) -> str:
    return "\n".join(map(imagined_line, range(lines)))


def _read_orders(chapter: Chapter, setup: ModelSetup, texts: Mapping[int, str]) -> list[Order]:
    """The requests of a read-through; the second one as if the answer to the first were as long as it may be."""
    found = ChangeContext(finding=1, kind="", section=1, problem="", before=_imagined(MOST_FINDINGS * 30), after=None)
    return [
        read_order(chapter, setup, "dry", "review.j2", review_context(chapter, texts)),
        read_order(chapter, setup, "dry", "second_look.j2", review_context(chapter, {}, changes=(found,))),
    ]


def _simulated_requests(chapter: Chapter, title: str, orders: Sequence[Order]) -> DryRun:
    """What requests about the chapter as a whole would take, as section 0."""
    planned = DryRun(chapter=chapter.id, section=0, title=title, lines=0, reused=False)
    thinking = chapter.setup.profile.reasoning_tokens
    return planned.sending(orders, sum(order.request.max_output_tokens - thinking for order in orders))


def _simulated(chapter: Chapter, check: SectionCheck) -> DryRun:
    """What one section would take; one that is not due takes nothing."""
    section = check.section
    simulated = simulated_orders(chapter, check) if check.state == "due" else []
    planned = DryRun(
        chapter=chapter.id,
        section=section.number,
        title=chapter.skeletons[section.number].title,
        lines=section.lines,
        reused=check.state != "due",
        edited=check.state == "edited",
    )
    return planned.sending(
        [order for _, order in simulated], sum(ask.lines for ask, _ in simulated) * EXPECTED_TOKENS_PER_LINE
    )
