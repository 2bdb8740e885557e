"""Decide what a run finishes when its budget does not reach for everything that is due.

Without a plan, sections side by side would each be begun and none finished: every one reserves, and what is left ends
in the middle of all. So the run works out what each section is expected to take, takes those that fit, chapters of the
highest priority first, and drafts them one after the other. It says so before it sends anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from expand.drafting.chapter import Chapter
from expand.drafting.length_loop import Ask, LengthLoop
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.section_state import SectionCheck
from expand.drafting.section_text import imagined_line
from expand.ledger import Ledger, Order
from expand.llm.types import Finish
from expand.outline import Plan, Priority, under

EXPECTED_TOKENS_PER_LINE = 13
"""What a line of a draft takes, for a dry run: technical chapters of prose and code."""
TOKENS_PER_LINE = 60
"""What a line of a draft takes at the most, its share of the prompts included; measured were 25 to 45. A budget with so
much for every line needs no plan, and a large book is not worked through for one."""
RESERVE_PERCENT = 125
"""What a section needs, in percent of what it is expected to take: answers are not of just the length asked for."""
MOST_LEFT_OUT = 50
"""After so many sections that do not fit, no further one is looked at."""
MOST_NAMED = 12
_ORDER: tuple[Priority, ...] = ("high", "medium", "low")

Key = tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class DueSection:
    """A section that is due, with the lines that it is to have, and those under the lean plan."""

    chapter: str
    section: int
    lines: int
    lean_lines: int
    priority: Priority

    @property
    def key(self) -> Key:
        """Chapter id and number."""
        return self.chapter, self.section


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetPlan:
    """Which sections are ``finished``, in the order in which they are drafted, each with the tokens that it is expected
    to take, and which are ``left_out``. ``lean_tokens`` is what all of them would take under the lean plan."""

    remaining: int
    finished: Mapping[Key, int]
    left_out: tuple[Key, ...]
    lean_tokens: int

    @property
    def tokens(self) -> int:
        """What the finished sections are expected to take."""
        return sum(self.finished.values())

    def begins(self, key: Key, remaining: int | None) -> bool:
        """Whether a section is begun with what is left by now: those before it may have taken more than expected."""
        return key in self.finished and (remaining is None or self.finished[key] <= remaining)

    @property
    def refusal(self) -> str:
        """Why a section is left out."""
        return f"not begun, with {self.remaining:,} tokens left; raise the limit, or ask for less"

    def __str__(self) -> str:
        lean = ""
        if RESERVE_PERCENT * self.lean_tokens <= 100 * self.remaining:
            lean = f"; --plan lean would take about {self.lean_tokens:,} for all of them"
        return (
            f"{self.remaining:,} tokens do not cover the {len(self.finished) + len(self.left_out)} sections that are "
            f"due: {_named([*self.finished])} will be finished, one after the other, for about {self.tokens:,}; "
            f"{_named(self.left_out)} will not be begun{lean}"
        )


def due_sections(chapter: Chapter, checks: Sequence[SectionCheck]) -> list[DueSection]:
    """The sections of a chapter that are due."""
    lean = under(Plan.LEAN, chapter.outline).sections
    return [
        DueSection(
            chapter=chapter.id,
            section=check.section.number,
            lines=check.section.lines,
            lean_lines=lean[check.section.number - 1].lines,
            priority=chapter.outline.priority,
        )
        for check in checks
        if check.state == "due" and not check.begun.whole
    ]


def budget_plan(
    due: Sequence[DueSection], remaining: int | None, expected: Callable[[DueSection], int]
) -> BudgetPlan | None:
    """What a run finishes of the sections that are ``due`` with ``remaining`` tokens, None being no limit. ``expected``
    says what one takes; it takes time, and is asked no more often than need be.

    None where all fit, or where not even one does: the run then goes as far as it gets."""
    if remaining is None or remaining >= TOKENS_PER_LINE * sum(section.lines for section in due):
        return None
    finished: dict[Key, int] = {}
    left, lines, misses = 100 * remaining, 0, 0
    for section in sorted(due, key=lambda one: _ORDER.index(one.priority)):  # the order within a priority stays
        if misses < MOST_LEFT_OUT and RESERVE_PERCENT * (need := expected(section)) <= left:
            finished[section.key] = need
            left -= RESERVE_PERCENT * need
            lines += section.lines
        else:
            misses += 1
    if not misses or not finished:
        return None
    return BudgetPlan(
        remaining=remaining,
        finished=finished,
        left_out=tuple(section.key for section in due if section.key not in finished),
        lean_tokens=sum(finished.values()) * sum(one.lean_lines for one in due) // lines,
    )


def simulated_orders(chapter: Chapter, check: SectionCheck) -> list[tuple[Ask, Order]]:
    """The questions and orders of one section, worked through with answers of just the lines asked for."""
    if check.begun.whole:
        return []
    section_text = check.text(chapter)
    requests = RequestBuilder(chapter, check, run_id="dry")
    loop = LengthLoop(section_text, chapter.setup.profile)
    orders: list[tuple[Ask, Order]] = []
    lines = 0
    while (ask := loop.next()) is not None:
        orders.append((ask, requests.order(ask, section_text)))
        text = "\n".join(imagined_line(number) for number in range(lines, lines + ask.lines))
        lines += ask.lines
        loop.record(ask, section_text.add(text, Finish.STOP, ask.slots))
    return orders


def expected_tokens(chapter: Chapter, check: SectionCheck, ledger: Ledger) -> int:
    """What a section is expected to take, prompts included; what is bought already costs nothing."""
    return sum(
        (order.prompt_estimate or order.prompt_tokens) + ask.lines * EXPECTED_TOKENS_PER_LINE
        for ask, order in simulated_orders(chapter, check)
        if ledger.known(order) is None
    )


def _named(keys: Sequence[Key]) -> str:
    """The sections by chapter: ``03/1, 03/2``; of many the first ones."""
    named = [f"{chapter}/{section}" for chapter, section in keys]
    more = f" and {len(named) - MOST_NAMED:,} more" if len(named) > MOST_NAMED else ""
    return ", ".join(named[:MOST_NAMED]) + more
