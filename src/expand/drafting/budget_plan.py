"""What sections may take: which of them a run finishes where its budget does not reach for all that are due, and what
the answers of a chapter may be charged at the most.

Without a plan for a short budget, sections side by side would each be begun and none finished: every one reserves, and
what is left ends in the middle of all. So the run works out what each section is expected to take, takes those that
fit, chapters of the highest priority first, and drafts them one after the other. It says so before it sends anything.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from expand.budget import usd_from_pico
from expand.drafting.chapter import Chapter
from expand.drafting.length_loop import Ask, LengthLoop
from expand.drafting.request_builder import RequestBuilder
from expand.drafting.results import named
from expand.drafting.section_state import SectionCheck
from expand.drafting.section_text import imagined_line
from expand.ledger import Ledger, Order
from expand.llm.types import Usage
from expand.markdown import assemble
from expand.outline import PRIORITIES, Plan, Priority, Section, under

EXPECTED_TOKENS_PER_LINE = 13
"""What a line of a draft takes, for a dry run: technical chapters of prose and code."""
TOKENS_PER_LINE = 60
"""What a line of a draft takes at the most, its share of the prompts included; measured were 25 to 45. A budget with so
much for every line needs no plan, and a large book is not worked through for one."""
RESERVE = 1.25
"""What a section needs, for each token that it is expected to take: answers are not of just the length asked for."""
MOST_LEFT_OUT = 50
"""After so many sections that do not fit, no further one is looked at."""
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


class DueSection(NamedTuple):
    """A section that is due, with the lines that it is to have, and those under the lean plan."""

    key: Key
    lines: int
    lean_lines: int
    priority: Priority


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
            f"due: {named(self.finished)} will be finished, one after the other, for about {self.tokens:,}; "
            f"{named(self.left_out)} will not be begun{lean}"
        )


def due_section(chapter: Chapter, section: Section) -> DueSection:
    """A section that is due."""
    lean = under(Plan.LEAN, chapter.outline).sections[section.number - 1].lines
    return DueSection((chapter.id, section.number), section.lines, lean, chapter.outline.priority)


def budget_plan(
    due: Sequence[DueSection], left_of: Callable[[str], Amounts], expected: Callable[[Key], Amounts]
) -> BudgetPlan | None:
    """What a run finishes of the sections that are ``due``. ``left_of`` says what a chapter may take, and under "" all
    of them together; ``expected`` what a section takes: that needs time, and is asked no more often than need be.

    None where all fit, or where not even one does: the run then goes as far as it gets."""
    lines = Counter[str]()
    for one in due:
        lines.update({"": one.lines, one.key[0]: one.lines})
    left = {(scope, unit): most for scope in lines for unit, most in left_of(scope).items()}
    if all(unit == "tokens" and most >= TOKENS_PER_LINE * lines[scope] for (scope, unit), most in left.items()):
        return None
    room: dict[tuple[str, str], float] = {**left}
    finished: dict[Key, Amounts] = {}
    misses = 0
    for one in sorted(due, key=lambda one: PRIORITIES.index(one.priority)):  # the order within a priority stays
        need = expected(one.key) if misses < MOST_LEFT_OUT else {}
        own = {place: RESERVE * need.get(place[1], 0) for place in room if place[0] in ("", one.key[0])}
        if need and all(size <= room[place] for place, size in own.items()):
            finished[one.key] = need
            room |= {place: room[place] - size for place, size in own.items()}
        else:
            misses += 1
    if not misses or not finished:
        return None
    scope = due[0].key[0] if len(lines) == 2 else ""
    most = {unit: left[scope, unit] for unit in ("tokens", "pico_usd") if (scope, unit) in left}
    lean, done = sum(one.lean_lines for one in due), sum(one.lines for one in due if one.key in finished)
    needs = {unit: sum(one.get(unit, 0) for one in finished.values()) * lean // done for unit in ("tokens", "pico_usd")}
    money = f"{usd_from_pico(most['pico_usd']).normalize():f} USD" if "pico_usd" in most else ""
    said = " and ".join(filter(None, (f"{most['tokens']:,} tokens" if "tokens" in most else "", money)))
    return BudgetPlan(
        remaining=said or "the chapters' allowances",
        finished=finished,
        left_out=tuple(one.key for one in due if one.key not in finished),
        lean_tokens=needs["tokens"] if all(RESERVE * needs[unit] <= most[unit] for unit in most) else 0,
    )


def expected_amounts(chapter: Chapter, check: SectionCheck, ledger: Ledger) -> Amounts:
    """What a section is expected to take, prompts included; what is bought already costs nothing."""
    orders = [(ask, order) for ask, order in simulated_orders(chapter, check) if ledger.known(order) is None]
    usage = Usage(
        prompt=sum(order.prompt_estimate or order.prompt_tokens for _, order in orders),
        completion=EXPECTED_TOKENS_PER_LINE * sum(ask.lines for ask, _ in orders),
    )
    price = chapter.setup.price
    return {"tokens": usage.total, **({"pico_usd": price.cost(usage)} if price else {})}


class ChapterBound:
    """What the answers of a chapter's sections have cost in a run, against what they may: ``MOST_CHARGED`` times what
    the dry run of those that are due reserves.

    Whatever a model does: refusals, empty answers and answers that bring little are all paid for, and each is a reason
    to ask again. A section that needs more than it reserves may have what the others leave: what these reserve is kept
    for them, and an order that is on its way counts in full."""

    def __init__(self, due: Iterable[tuple[Chapter, SectionCheck]] = ()) -> None:
        """``due`` are the sections that a run is still to begin."""
        self._due: dict[int, tuple[Chapter, SectionCheck]] = {}
        self._known: dict[int, int] = {}
        self.spent, self.pending = Counter[int](), Counter[int]()
        for chapter, check in due:
            self.begin(chapter, check)

    def begin(self, chapter: Chapter, check: SectionCheck) -> None:
        """Count a section from here on, as it is found: one that a person sends back is begun again."""
        number = check.section.number
        self._due[number] = chapter, check
        for counts in (self._known, self.spent, self.pending):
            counts.pop(number, None)

    def _reserved(self, section: int) -> int:
        """The tokens that a section's dry run reserves: worked out once, and only if need be."""
        if section not in self._known:
            self._known[section] = sum(order.amount.tokens for _, order in simulated_orders(*self._due[section]))
        return self._known[section]

    def add(self, section: int, tokens: int) -> None:
        """Count what an answer was charged, now or when it was bought."""
        self.spent[section] += tokens
        self.pending[section] = 0

    def allows(self, section: int, order: Order) -> bool:
        """Whether an order may still be placed, at the most that it can cost. A section's first one always may."""
        if self.spent[section] and order.amount.tokens > self.room(section):
            return False
        self.pending[section] = order.amount.tokens
        return True

    def room(self, section: int) -> int:
        """The most that a further order may cost, in tokens."""
        most = MOST_CHARGED * sum(map(self._reserved, self._due)) - self.spent[section]
        for other in self._due.keys() - {section}:
            most -= max(self.spent[other] + self.pending[other], self._reserved(other))
        return int(min(most, OWN_SHARES * MOST_CHARGED * self._reserved(section) - self.spent[section]))
