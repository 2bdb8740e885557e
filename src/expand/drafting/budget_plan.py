"""What sections may take: which of them a run finishes where its budget does not reach for all that are due, and what
the answers of a chapter may be charged at the most.

Without a plan for a short budget, sections side by side would each be begun and none finished: every one reserves, and
what is left ends in the middle of all. So the run works out what each section is expected to take, takes those that
fit, chapters of the highest priority first, and drafts them one after the other. It says so before it sends anything.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from expand.budget import usd_from_pico
from expand.drafting.chapter import Chapter
from expand.drafting.length_loop import Ask, LengthLoop
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.section_state import SectionCheck
from expand.drafting.section_text import imagined_line
from expand.ledger import Ledger, Order
from expand.llm.types import Usage
from expand.markdown import assemble
from expand.outline import PRIORITIES, Plan, Priority, under

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
Key = tuple[str, int]
Amounts = Mapping[str, int]
"""By unit, ``tokens`` and ``pico_usd``: what is left, of each only where it is limited; or what is taken, of each only
where it is known."""
MOST_CHARGED = 1.5
"""What a chapter's answers may be charged, for each token that its dry run reserves."""
OWN_SHARES = 2
"""How many times what it may be charged itself a section may have, where others leave it."""


def simulated_orders(chapter: Chapter, check: SectionCheck) -> list[tuple[Ask, Order]]:
    """The questions and orders of one section, worked through with answers of just the lines asked for."""
    if check.begun.whole:
        return []
    section_text = check.text(chapter)
    requests = RequestBuilder(chapter, check)
    loop = LengthLoop(section_text, chapter.setup.profile)
    orders: list[tuple[Ask, Order]] = []
    lines = 0
    while (ask := loop.next()) is not None:
        orders.append((ask, requests.order(ask, section_text)))
        text = "\n".join(imagined_line(number) for number in range(lines, lines + ask.lines))
        lines += ask.lines
        before, slot = section_text.lines, ask.slots[0]
        # As an answer is added, but for what cleans it: that takes far longer, and here is nothing to be cleaned.
        section_text.bodies[slot] = assemble.append(section_text.bodies[slot], text)
        loop.record(ask, section_text.lines - before)
    return orders


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
    """Which sections are ``finished``, in the order in which they are drafted, each with what it is expected to take,
    and which are ``left_out``. ``remaining`` says what is left, ``lean_tokens`` what all of them would take under the
    lean plan, 0 where that does not fit either."""

    remaining: str
    finished: Mapping[Key, Amounts]
    left_out: tuple[Key, ...]
    lean_tokens: int

    @property
    def tokens(self) -> int:
        """What the finished sections are expected to take."""
        return sum(amounts["tokens"] for amounts in self.finished.values())

    def begins(self, key: Key, left: Amounts) -> bool:
        """Whether a section is begun with what is left by now: those before it may have taken more than expected."""
        return key in self.finished and all(self.finished[key].get(unit, 0) <= most for unit, most in left.items())

    @property
    def refusal(self) -> str:
        """Why a section is left out."""
        return f"not begun, with {self.remaining} left; raise the limit, or ask for less"

    def __str__(self) -> str:
        lean = f"; --plan lean would take about {self.lean_tokens:,} for all of them" if self.lean_tokens else ""
        return (
            f"{self.remaining} do not cover the {len(self.finished) + len(self.left_out)} sections that are "
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
    due: Sequence[DueSection], left_of: Callable[[str], Amounts], expected: Callable[[DueSection], Amounts]
) -> BudgetPlan | None:
    """What a run finishes of the sections that are ``due``. ``left_of`` says what a chapter may take, and under "" all
    of them together; ``expected`` what a section takes: that needs time, and is asked no more often than need be.

    None where all fit, or where not even one does: the run then goes as far as it gets."""
    lines = Counter[str]()
    for section in due:
        lines.update({"": section.lines, section.chapter: section.lines})
    limits = {scope: left_of(scope) for scope in lines}
    left = {(scope, unit): 100 * most for scope, limit in limits.items() for unit, most in limit.items()}
    plenty = {(scope, "tokens"): 100 * TOKENS_PER_LINE * count for scope, count in lines.items()}
    if all(place in plenty and most >= plenty[place] for place, most in left.items()):
        return None
    finished: dict[Key, Amounts] = {}
    misses = 0
    for section in sorted(due, key=lambda one: PRIORITIES.index(one.priority)):  # the order within a priority stays
        need = expected(section) if misses < MOST_LEFT_OUT else {}
        own = {place: RESERVE_PERCENT * need.get(place[1], 0) for place in left if place[0] in ("", section.chapter)}
        if need and all(size <= left[place] for place, size in own.items()):
            finished[section.key] = need
            left |= {place: left[place] - size for place, size in own.items()}
        else:
            misses += 1
    if not misses or not finished:
        return None
    most = limits[due[0].chapter if len(lines) == 2 else ""]
    share = Fraction(sum(one.lean_lines for one in due), sum(one.lines for one in due if one.key in finished))
    lean = {unit: int(share * sum(one.get(unit, 0) for one in finished.values())) for unit in ("tokens", "pico_usd")}
    return BudgetPlan(
        remaining=_said(most) or "the chapters' allowances",
        finished=finished,
        left_out=tuple(section.key for section in due if section.key not in finished),
        lean_tokens=lean["tokens"] if all(RESERVE_PERCENT * lean[unit] <= 100 * most[unit] for unit in most) else 0,
    )


def _said(left: Amounts) -> str:
    """What is left, in words."""
    money = f"{usd_from_pico(left['pico_usd']).normalize():f} USD" if "pico_usd" in left else ""
    return " and ".join(filter(None, (f"{left['tokens']:,} tokens" if "tokens" in left else "", money)))


def expected_amounts(chapter: Chapter, check: SectionCheck, ledger: Ledger) -> Amounts:
    """What a section is expected to take, prompts included; what is bought already costs nothing."""
    orders = [(ask, order) for ask, order in simulated_orders(chapter, check) if ledger.known(order) is None]
    usage = Usage(
        prompt=sum(order.prompt_estimate or order.prompt_tokens for _, order in orders),
        completion=EXPECTED_TOKENS_PER_LINE * sum(ask.lines for ask, _ in orders),
    )
    price = chapter.setup.price
    return {"tokens": usage.total, **({"pico_usd": price.cost(usage)} if price else {})}


def _named(keys: Sequence[Key]) -> str:
    """The sections by chapter: ``03/1, 03/2``; of many the first ones."""
    named = [f"{chapter}/{section}" for chapter, section in keys]
    more = f" and {len(named) - MOST_NAMED:,} more" if len(named) > MOST_NAMED else ""
    return ", ".join(named[:MOST_NAMED]) + more


class ChapterBound:
    """What the answers of a chapter's sections have cost in a run, against what they may: ``MOST_CHARGED`` times what
    the dry run of those that are due reserves.

    Whatever a model does: refusals, empty answers and answers that bring little are all paid for, and each is a reason
    to ask again. A section that needs more than its own share may have what the others leave: what these reserve is
    kept for them until they are done, and an order that is on its way counts in full."""

    def __init__(self, due: Iterable[tuple[Chapter, SectionCheck]] = ()) -> None:
        """``due`` are the sections that a run is still to begin."""
        self._simulated: dict[int, Sequence[int]] = {}
        self._due: dict[int, tuple[Chapter, SectionCheck]] = {}
        self._done: set[int] = set()
        self.spent, self.pending, self.answers = Counter[int](), Counter[int](), Counter[int]()
        for chapter, check in due:
            self.begin(chapter, check)

    def begin(self, chapter: Chapter, check: SectionCheck) -> None:
        """Count a section from here on, as it is found: one that a person sends back is begun again."""
        number = check.section.number
        self._due[number] = chapter, check
        self._done.discard(number)
        for counts in (self._simulated, self.spent, self.pending, self.answers):
            counts.pop(number, None)

    def _requests(self, section: int) -> Sequence[int]:
        """The tokens that each request of a section's dry run reserves: worked out once, and only if need be."""
        if section not in self._simulated:
            self._simulated[section] = [order.amount.tokens for _, order in simulated_orders(*self._due[section])]
        return self._simulated[section]

    def add(self, section: int, tokens: int) -> None:
        """Count what an answer was charged, now or when it was bought."""
        self.spent[section] += tokens
        self.pending[section] = 0
        self.answers[section] += 1

    def allows(self, section: int, order: Order) -> bool:
        """Whether an order may still be placed, at the most that it can cost. A section's first one always may."""
        if self.answers[section] and order.amount.tokens > self.room(section):
            return False
        self.pending[section] = order.amount.tokens
        return True

    def room(self, section: int) -> int:
        """The most that a further order may cost, in tokens."""
        most = MOST_CHARGED * sum(tokens for one in self._due for tokens in self._requests(one))
        for other in self._due.keys() - {section}:
            taken = self.spent[other] + self.pending[other]
            most -= taken if other in self._done else max(taken, sum(self._requests(other)))
        return int(min(most, OWN_SHARES * MOST_CHARGED * sum(self._requests(section)))) - self.spent[section]

    def close(self, section: int) -> None:
        """Leave to the others what a section that has ended did not take."""
        self._done.add(section)
