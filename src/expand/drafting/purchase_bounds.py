"""Bound what a section may cost, and remember what a run has learnt of its models' thinking.

Whatever a model does, a section is charged at most half as much again as its dry run reserves: refusals, empty answers
and answers that bring little are all paid for, and each is a reason to ask again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from expand.ledger import Order
from expand.llm.profile import Profile
from expand.llm.types import Answer, Finish

MOST_CHARGED = 1.5
"""What a section's answers may be charged, for each token that its dry run reserves."""
OWN_SHARES = 2
"""How many times what it may be charged itself a section may have, where others leave it."""
MOSTLY_THINKING = 0.9
"""The share of an answer's tokens from which they were all spent on thinking."""
IN_VAIN_SECTIONS = 2
"""When so many sections in a row got nothing but thinking from a model, the run asks it for no more."""


class SectionBound:
    """What the answers of one section have cost, against what they may. ``pending`` is what an order may cost that was
    admitted.

    A section that needs more than its own share may have what the others of its chapter leave: an output cap that was
    raised is reserved whole, though little of it is used."""

    def __init__(self, chapter: dict[int, SectionBound], number: int, work_out: Callable[[], int]) -> None:
        """``chapter`` holds the bounds of the sections that a run has begun. ``work_out`` says what the section's dry
        run reserves, in tokens; it takes time, and is called once and only if need be."""
        self.spent = self.pending = self.answers = 0
        self._chapter = chapter
        self._work_out = work_out
        chapter[number] = self

    @cached_property
    def reserved(self) -> int:
        """The tokens that the section's dry run reserves."""
        return self._work_out()

    def add(self, tokens: int) -> None:
        """Count what an answer was charged, now or when it was bought."""
        self.spent += tokens
        self.pending = 0
        self.answers += 1

    def allows(self, order: Order) -> bool:
        """Whether an order may still be placed, at the most that it can cost. A section's first one always may."""
        if self.answers and order.amount.tokens > self.room():
            return False
        self.pending = order.amount.tokens
        return True

    def room(self) -> int:
        """The most that a further order may cost, in tokens."""
        others = sum(one.spent + one.pending for one in self._chapter.values() if one is not self)
        every = MOST_CHARGED * sum(one.reserved for one in self._chapter.values())
        return int(min(every - others, OWN_SHARES * MOST_CHARGED * self.reserved)) - self.spent

    def close(self) -> None:
        """End the section. What it did not have to work out is taken to be what it has spent, so nothing is kept."""
        vars(self).setdefault("reserved", int(self.spent / MOST_CHARGED))


@dataclass(kw_only=True, slots=True)
class ThinkingRoom:
    """What a run has learnt of models that spend their output on thinking, by model name.

    ``tokens`` is what the output caps of its requests are raised by, from ``spent`` on: thinking takes as long for a
    few lines as for many. ``in_vain`` counts the sections in a row that got nothing all the same."""

    tokens: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)
    in_vain: Counter[str] = field(default_factory=Counter)

    def cap(self, profile: Profile, cap: int, room: int) -> int:
        """An output cap with the room that the model's thinking needs, in ``room`` tokens at the most."""
        raised = max(cap, self.spent[profile.name]) + self.tokens[profile.name]
        return max(cap, min(raised, profile.max_output_tokens, room))

    def give(self, profile: Profile, cap: int) -> bool:
        """Raise the caps after one of ``cap`` tokens was spent; False when they were raised or cannot be."""
        if self.tokens[profile.name] or cap >= profile.max_output_tokens:
            return False
        self.tokens[profile.name], self.spent[profile.name] = max(cap, profile.reasoning_tokens), cap
        return True

    def gave_up(self, model: str) -> bool:
        """Whether there is no use in asking a model for further sections."""
        return self.in_vain[model] >= IN_VAIN_SECTIONS


def spent_on_thinking(answer: Answer, thought: bool) -> bool:
    """Whether an answer without text was spent on thinking. ``thought``: it holds some."""
    if answer.finish is Finish.CUT:
        return False  # how long a connection held says nothing of how much the model thinks
    usage = answer.usage
    reasoned = usage is not None and usage.reasoning > 0 and usage.reasoning >= MOSTLY_THINKING * usage.completion
    return reasoned or thought or answer.finish is Finish.LENGTH
