"""Orders, a clock and scripted authors for tests of the ledger and the purchase."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from expand.budget import Amount, Limit
from expand.ledger import Ledger, ModelLimits, Order, Run, State, attempts
from expand.llm.types import (
    Address,
    Answer,
    AttemptFailedError,
    Failure,
    Finish,
    Message,
    OnText,
    Purpose,
    Request,
    Usage,
    ignore_text,
)

PROMPT = 20
CAP = 80
RESERVED = PROMPT + CAP


class Clock:
    """A clock that goes only when told to; sleeping moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.forward(seconds)
        await asyncio.sleep(0)


def request(text: str = "Write 20 lines", *, model: str = "m", edition: int = 0) -> Request:
    return Request(
        model=model,
        messages=(Message(role="user", content=text),),
        max_output_tokens=CAP,
        edition=edition,
    )


def order(
    run: Run,
    text: str = "Write 20 lines",
    *,
    model: str = "m",
    chapter: str = "03",
    section: int = 1,
    purpose: Purpose = "draft",
    pico: int | None = None,
    rates: ModelLimits | None = None,
    cost: Callable[[Usage], int | None] | None = None,
    unpriced: bool = False,
    question: str | None = None,
    rank: int = 1,
    prompt: int = PROMPT,
) -> Order:
    return Order(
        request=request(text, model=model),
        address=Address(chapter=chapter, section=section, purpose=purpose),
        run_id=run.id,
        language="en",
        plan="full",
        prompt_tokens=prompt,
        prompt_estimate=prompt - 10,
        amount=Amount(tokens=prompt + CAP, pico_usd=pico),
        rates=rates or ModelLimits(),
        cost=cost or (lambda usage: None if pico is None else usage.total * 1000),
        unpriced=unpriced,
        question=question,
        rank=rank,
    )


def answer(
    text: str = "A line.\n",
    *,
    prompt: int = 15,
    completion: int = 30,
    usage: bool = True,
    finish: Finish = Finish.STOP,
) -> Answer:
    return Answer(
        text=text,
        finish=finish,
        usage=Usage(prompt=prompt, completion=completion) if usage else None,
        model="m-2026",
        provider_request_id="req_1",
    )


def failed(failure: Failure, retry_after: float | None = None, *, usage: Usage | None = None) -> AttemptFailedError:
    message = f"it was {failure}"
    return AttemptFailedError(
        failure,
        message,
        status=500,
        retry_after_seconds=retry_after,
        usage=usage,
        model="m-2026",
        provider_request_id="req_1",
    )


def begin(ledger: Ledger, limit: int | None = 1000, *, opening: int = 0, run_limit: int | None = None) -> Run:
    return ledger.begin_run(
        limits={"book": Limit(tokens=limit)},
        opening=Amount(opening),
        run_limit=Limit(tokens=run_limit),
    )


def place(folder: Path) -> Path:
    return folder / ".expand" / "ledger.db"


def recovered(ledger: Ledger) -> tuple[int, int]:
    """Have the ledger recover; how many attempts became unknown by that, and how many were released."""
    before = Counter(row.state for row in ledger.attempts())
    ledger.recover()
    became = Counter(row.state for row in ledger.attempts()) - before
    return became[State.UNKNOWN], became[State.RELEASED]


def reserve_unsent(ledger: Ledger, wanted: Order) -> str:
    """A reservation of this process that is not marked as sent, as earlier versions left behind when they died."""
    owner = ledger._owner
    assert owner is not None
    with ledger.writing() as connection:
        attempts.ensure_scopes(connection, wanted.scopes)
        made = attempts.open_attempt(connection, wanted, owner=owner, state=State.RESERVED)
    return made.attempt_id


Step = Answer | AttemptFailedError | Exception


@dataclass
class ScriptedAuthor:
    """Plays its script in order, then answers; counts what was asked of it, and at once. ``pieces`` arrive of every
    answer before it waits.
    """

    script: Sequence[Step] = ()
    delay: float = 0.0
    hold: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    pieces: Sequence[str] = ()

    async def complete(self, request: Request, *, client_request_id: str, on_text: OnText = ignore_text) -> Answer:
        number = len(self.asked)
        text = request.messages[-1].content
        self.asked.append(text)
        self.headers.append(client_request_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        for piece in self.pieces:
            on_text(piece)
        step = self.script[number] if number < len(self.script) else answer(f"to {text}")
        try:
            if self.hold is not None:
                await self.hold.wait()
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError as error:
            raise error from step if isinstance(step, AttemptFailedError) else None
        finally:
            self.at_once -= 1
        if isinstance(step, Exception):
            raise step
        return step
