"""Requests about a chapter as a whole, addressed to its section 0: its brief, its outline, its translation, the reading
of its draft. What is wrong with an answer goes back to the model, a few times at most.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from expand.client.client import StoppedError
from expand.drafting.model_setup import ModelSetup
from expand.drafting.request_builder import TRIES_STRIDE, order_for
from expand.drafting.run_context import RunContext
from expand.drafting.run_options import RunOptions
from expand.errors import AuthorError, BudgetExceededError, ExpandError, InputError
from expand.ledger import Order
from expand.llm.types import Address, Answer, Finish, Message, Purpose, Request
from expand.schema import Json

WHOLE = 0
"""The section that stands for the chapter as a whole."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChapterRequests:
    """Makes the orders of requests to one model for one purpose. ``edition`` is raised to have them bought anew."""

    chapter: str
    purpose: Purpose
    setup: ModelSetup
    options: RunOptions
    run_id: str
    edition: int = 0

    def order(
        self,
        messages: Sequence[Message],
        *,
        output_tokens: int,
        question: Sequence[object],
        attempt: int = 0,
        parameters: Mapping[str, Json] = MappingProxyType({}),
    ) -> Order:
        """The order for a request with an output cap of ``output_tokens`` beside what the model thinks. ``question`` is
        what its identity is made of, ``parameters`` are laid over the profile's. Raises ``InputError`` where it does
        not fit the model's context window."""
        profile = self.setup.profile
        request = Request(
            model=profile.name,
            messages=(*messages,),
            max_output_tokens=min(profile.max_output_tokens, profile.reasoning_tokens + output_tokens),
            parameters={**profile.parameters, **parameters},
            edition=self.edition * TRIES_STRIDE + attempt,
        )
        return order_for(
            request,
            self.setup,
            address=Address(chapter=self.chapter, section=WHOLE, purpose=self.purpose),
            run_id=self.run_id,
            options=self.options,
            question=question,
            estimate=self.setup.counter.count_messages(request.messages),
        )


class Tried(NamedTuple):
    """What a request knows of those before it: how many there were, how many answers reached their output cap, what the
    last usable one said, and what is wrong with that."""

    attempts: int = 0
    cut: int = 0
    said: str = ""
    problems: tuple[str, ...] = ()


FIRST = Tried()


class Made(NamedTuple, Generic[T]):
    """What the best of some answers makes, None for nothing; what is wrong with it; and what ended the asking."""

    value: T | None
    problems: tuple[str, ...] = ()
    stopped_by: ExpandError | None = None


async def ask(
    context: RunContext,
    order: Callable[[Tried], Order],
    read: Callable[[Answer], tuple[T | None, tuple[str, ...]]],
    most: int,
    first: Tried = FIRST,
) -> Made[T]:
    """Ask until an answer is right, ``most`` times at the most, and take the best. ``read`` says what an answer makes,
    None for nothing, and what is wrong with it. Raises ``InputError`` where the first request does not fit."""
    best, tried = Made[T](None), first
    while tried.attempts < most:
        try:
            wanted = order(tried)
            bought = await context.client.buy(wanted)
        except (BudgetExceededError, AuthorError, StoppedError) as error:
            return best._replace(stopped_by=error)
        except InputError:  # with what is wrong it is too long, and what came has to do
            if not tried.attempts:
                raise
            return best
        context.usage.of(wanted.address.chapter, WHOLE).add(bought)
        value, problems = read(bought.answer)
        if best.value is None or (value is not None and len(problems) < len(best.problems)):
            best = Made(value, problems)
        if value is not None and not problems:
            break
        tried = tried._replace(attempts=tried.attempts + 1, cut=tried.cut + (bought.answer.finish is Finish.LENGTH))
        if bought.answer.usable:  # a refusal, sent back, brings another one
            tried = tried._replace(said=bought.answer.text, problems=problems)
    return best


def unreadable(answer: Answer) -> tuple[str, ...]:
    """Why an answer makes nothing, whatever was asked for; () where it may make something."""
    if not answer.usable:
        said = " ".join(answer.text.split())[:200]
        return (f"the author refused: {said}" if said else "the author gave no answer",)
    return ("it breaks off; give fewer topics, in fewer words",) if answer.finish in (Finish.LENGTH, Finish.CUT) else ()
