"""Bound what a section may cost, and remember what a run has learnt of its models' thinking.

Whatever a model does, a section is charged at most half as much again as its dry run reserves: refusals, empty answers
and answers that bring little are all paid for, and each is a reason to ask again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from expand.ledger import Order
from expand.llm.profile import Profile
from expand.llm.types import Answer, Finish

MOST_CHARGED = 1.5
"""What a section's answers may be charged, for each token that its dry run reserves."""
MOSTLY_THINKING = 0.9
"""The share of an answer's tokens from which they were all spent on thinking."""
IN_VAIN_SECTIONS = 2
"""When so many sections in a row got nothing but thinking from a model, the run asks it for no more."""


class SectionBound:
    """What the answers of one section have cost, against what they may."""

    def __init__(self, reserved: Callable[[], int]) -> None:
        """``reserved`` works out the tokens that the section's dry run reserves; called once, and only if need be."""
        self.spent = 0
        self.answers = 0
        self._work_out = reserved
        self._reserved: int | None = None

    def add(self, tokens: int) -> None:
        """Count what an answer was charged, now or when it was bought."""
        self.spent += tokens
        self.answers += 1

    def allows(self, order: Order) -> bool:
        """Whether an order may still be placed, at the most that it can cost. A section's first one always may."""
        if not self.answers:
            return True
        if self._reserved is None:
            # At least what this one order takes is reserved, so a cheap test comes first: working out takes time.
            if self.spent + order.amount.tokens <= MOST_CHARGED * order.amount.tokens:
                return True
            self._reserved = self._work_out()
        return self.spent + order.amount.tokens <= MOST_CHARGED * self._reserved


@dataclass(kw_only=True, slots=True)
class ThinkingRoom:
    """What a run has learnt of models that spend their output on thinking, by model name.

    ``tokens`` is what the output caps of its requests are raised by; ``in_vain`` counts the sections in a row that
    got nothing all the same.
    """

    tokens: Counter[str] = field(default_factory=Counter)
    in_vain: Counter[str] = field(default_factory=Counter)

    def cap(self, profile: Profile, cap: int, room: int) -> int:
        """An output cap with the room that the model's thinking needs, in ``room`` tokens at the most."""
        raised = min(cap + self.tokens[profile.name], profile.max_output_tokens, room)
        return max(cap, raised)

    def give(self, profile: Profile, cap: int) -> bool:
        """Raise the caps after one of ``cap`` tokens was spent; False when they were raised or cannot be."""
        if self.tokens[profile.name] or cap >= profile.max_output_tokens:
            return False
        self.tokens[profile.name] = max(cap, profile.reasoning_tokens)
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
