"""A run worked out without sending: the dry run, and a section's first request word for word."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from expand.budget import usd_from_pico
from expand.drafting.budget_plan import EXPECTED_TOKENS_PER_LINE, simulated_orders
from expand.drafting.chapter import Chapter
from expand.drafting.chapter_requests import begun_chapters, brief_order, wants_brief
from expand.drafting.draft_file import DraftStore, open_chapter
from expand.drafting.length_loop import LengthLoop
from expand.drafting.model_setup import ModelSetup, model_setup_for, other_roles, require_language
from expand.drafting.read_through import MOST_FINDINGS, read_order, review_context, texts_of
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.run_options import RunOptions
from expand.drafting.section_state import SectionCheck, check_chapters
from expand.drafting.section_text import SectionText, imagined_line
from expand.errors import InputError
from expand.ledger import Ledger, Order
from expand.prompts.context import ChangeContext
from expand.schema import Json
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

    @classmethod
    def of(cls, orders: Sequence[Order], completion_tokens: int, **section: Any) -> Self:
        """A ``section`` for which these orders would be sent, and answers of so many tokens be expected."""
        return cls(
            requests=len(orders),
            prompt_tokens=sum(order.prompt_estimate or order.prompt_tokens for order in orders),
            completion_tokens=completion_tokens,
            reserved_tokens=sum(order.amount.tokens for order in orders),
            largest=max((order.amount.tokens for order in orders), default=0),
            cost_pico_usd=_sum(order.amount.pico_usd for order in orders),
            **section,
        )


def dry_run(workspace: Workspace, settings: Settings, options: RunOptions) -> tuple[DryRun, ...]:
    """What a run would send, worked out without sending: as if every answer kept to its lines."""
    book = workspace.book()
    ledger = Ledger.read(workspace.ledger_place)
    with closing(ledger) if ledger else nullcontext():
        setup = model_setup_for(workspace, settings, ledger=ledger)
        require_language(setup.profile, book, options.language)
        drafts = DraftStore(workspace, book, options=options, setup=setup)
        begun = begun_chapters(ledger) if ledger else set()
        reader = settings.for_role("review")[0] if other_roles(workspace, settings, options) else None
        planned: list[DryRun] = []
        for chapter, checks in check_chapters(drafts, ledger, dry_run=True, overwrite=True):
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


FIGURES = ("lines", "requests", "prompt_tokens", "completion_tokens", "reserved_tokens")


def sum_of(planned: Sequence[DryRun]) -> DryRun:
    """All sections as one."""
    sums: dict[str, Any] = {name: sum(getattr(p, name) for p in planned) for name in FIGURES}
    cost = _sum(p.cost_pico_usd for p in planned)
    return DryRun(chapter="", section=0, title="", reused=False, cost_pico_usd=cost, **sums)


def _sum(costs: Iterable[int | None]) -> int | None:
    """None where one of them is unknown."""
    every = [*costs]
    known = [cost for cost in every if cost is not None]
    return sum(known) if len(known) == len(every) else None


def dry_run_json(planned: Sequence[DryRun]) -> dict[str, Json]:
    """The object that ``expand chapter --dry-run --json`` prints."""

    def figures(p: DryRun) -> dict[str, Json]:
        cost = None if p.cost_pico_usd is None else str(usd_from_pico(p.cost_pico_usd))
        return {**{name: getattr(p, name) for name in FIGURES}, "cost": cost}

    sections: list[Json] = []
    for p in planned:
        head: dict[str, Json] = {"chapter": p.chapter, "number": p.section, "title": p.title, "reused": p.reused}
        sections.append({**head, **figures(p), "largest_reservation": p.largest})
    return {"dry_run": True, "sections": sections, "total": figures(sum_of(planned))}


class FirstRequest(NamedTuple):
    """The first request for a section, or for a chapter as a whole: its order, whether the tokens are counted exactly,
    and those of each message (the chat format's own are in the order's estimate only)."""

    order: Order
    exact: bool
    counts: tuple[int, ...]

    def as_json(self) -> dict[str, Json]:
        """The object that ``expand prompt show --json`` prints."""
        request = self.order.request
        messages = zip(request.messages, self.counts, strict=True)
        return {
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content, "tokens": count} for m, count in messages],
            "parameters": dict(request.parameters),
            "prompt_tokens": self.order.prompt_estimate,
            "prompt_tokens_exact": self.exact,
            "prompt_bound": self.order.prompt_tokens,
            "output_cap": request.max_output_tokens,
            "reserved_tokens": self.order.amount.tokens,
            "request_key": request.key,
        }


def first_request(workspace: Workspace, settings: Settings, options: RunOptions) -> FirstRequest:
    """The first request of the only section in ``options``. Raises ``InputError``."""
    book = workspace.book()
    setup = model_setup_for(workspace, settings, ledger=None)
    require_language(setup.profile, book, options.language)
    (chapter_id,) = options.chapters
    chapter = open_chapter(workspace, book, chapter_id, options=options, setup=setup)
    (section,) = options.chosen(chapter.outline)
    section_text = SectionText(chapter.skeletons[section.number])
    ask = LengthLoop(section_text, setup.profile).next()
    if ask is None:
        raise InputError(
            f"section {section.number} of chapter {chapter_id} has its lines already, from the source",
            remedy="name another section",
        )
    order = RequestBuilder(chapter, SectionCheck(section=section, state="due")).order(ask, section_text)
    counts = tuple(setup.counter.count(message.content) for message in order.request.messages)
    return FirstRequest(order, setup.counter.exact, counts)


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
    thinking = chapter.setup.profile.reasoning_tokens
    tokens = sum(order.request.max_output_tokens - thinking for order in orders)
    return DryRun.of(orders, tokens, chapter=chapter.id, section=0, title=title, lines=0, reused=False)


def _simulated(chapter: Chapter, check: SectionCheck) -> DryRun:
    """What one section would take; one that is not due takes nothing."""
    simulated = simulated_orders(chapter, check) if check.state == "due" else []
    return DryRun.of(
        [order for _, order in simulated],
        sum(ask.lines for ask, _ in simulated) * EXPECTED_TOKENS_PER_LINE,
        chapter=chapter.id,
        section=check.section.number,
        title=chapter.skeletons[check.section.number].title,
        lines=check.section.lines,
        reused=check.state != "due",
        edited=check.state == "edited",
    )
