"""Any interleaving of what can happen to a ledger keeps its invariants, by hypothesis."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from buying import CAP, PROMPT, RESERVED, Clock, answer, failed, order
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledgers import FileSite, ServerSite, Site

from expand.budget import Limit
from expand.ledger import (
    InFlight,
    Ledger,
    Paused,
    Refused,
    Reservation,
    Run,
    State,
    StoredAnswer,
    reconcile,
    verify,
)
from expand.llm.types import Failure

REQUESTS = st.integers(min_value=0, max_value=5).map(str)
CHAPTERS = st.sampled_from(["03", "04"])
PICO = 1000


class LedgerMachine(RuleBasedStateMachine):
    """Drives a ledger and a plain model of it side by side.

    An attempt is drawn by when it was made: its id differs each time, and hypothesis could not do
    the same again.
    """

    def new_site(self) -> Site:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.site = self.new_site()
        self.clock = Clock()
        self.limit = 0
        self.opening = 0
        self.reserved: dict[str, str] = {}
        self.sent: dict[str, str] = {}
        self.unknown: dict[str, int] = {}
        self.lost: dict[str, str] = {}
        self.settled: dict[str, str] = {}
        self.arrived = 0
        self.used = 0
        self.ledger: Ledger
        self.run: Run

    def teardown(self) -> None:
        self.ledger.close()
        assert verify(self.site.place).findings == ()
        after = Ledger.read(self.site.place)
        assert after is not None
        assert after.balance("book").reserved_tokens == 0
        after.close()
        self.site.clear()

    @initialize(limit=st.integers(0, 1000), opening=st.integers(0, 200))
    def begin(self, limit: int, opening: int) -> None:
        self.limit, self.opening = limit, opening
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger.open(self.site.place, clock=self.clock)
        self.run = self.ledger.begin_run(limits={"book": Limit(tokens=self.limit)}, openings={"book": self.opening})

    @property
    def remaining(self) -> int:
        held = RESERVED * (len(self.reserved) + len(self.sent))
        return self.limit - self.opening - self.used - sum(self.unknown.values()) - held

    @rule(text=REQUESTS, chapter=CHAPTERS)
    def reserve(self, text: str, chapter: str) -> None:
        wanted = order(self.run, text, chapter=chapter, pico=PICO)
        in_flight = [*self.reserved.values(), *self.sent.values()]
        match self.ledger.reserve(wanted):
            case Reservation(attempt_id=attempt):
                assert text not in self.settled
                assert text not in in_flight
                assert self.remaining >= RESERVED
                self.reserved[attempt] = text
            case StoredAnswer() as stored:
                assert stored.text == self.settled[text]
            case InFlight() as other:
                assert {**self.reserved, **self.sent}[other.attempt_id] == text
            case Refused() as refused:
                assert self.remaining < RESERVED
                assert refused.waitable == (self.remaining + RESERVED * len(in_flight) >= RESERVED)
            case verdict:
                raise AssertionError(verdict)

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from([*self.reserved]))
        self.ledger.sent(attempt)
        self.sent[attempt] = self.reserved.pop(attempt)

    @precondition(lambda self: self.sent)
    @rule(
        data=st.data(),
        usage=st.booleans(),
        prompt=st.integers(0, PROMPT * 2),
        completion=st.integers(1, CAP * 2),
    )
    def settle(self, data: st.DataObject, usage: bool, prompt: int, completion: int) -> None:
        attempt = data.draw(st.sampled_from([*self.sent]))
        text = self.sent.pop(attempt)
        done = answer(f"answer to {text}", prompt=prompt, completion=completion, usage=usage)
        self.ledger.settle(attempt, done, cost_pico_usd=prompt + completion)
        self.settled[text] = done.text
        self.arrived += 1
        self.used += prompt + completion if usage else RESERVED

    @precondition(lambda self: self.sent or self.reserved)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from([*self.sent, *self.reserved]))
        self.ledger.release(attempt, failed(Failure.RATE_LIMITED))
        self.sent.pop(attempt, None)
        self.reserved.pop(attempt, None)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from([*self.sent]))
        self.ledger.unknown(attempt, failed(Failure.TIMEOUT))
        self.lost[attempt] = self.sent.pop(attempt)
        self.unknown[attempt] = RESERVED

    @precondition(lambda self: self.lost)
    @rule(data=st.data())
    def settle_late(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from([*self.lost]))
        text = self.lost.pop(attempt)
        stored = self.ledger.settle(attempt, answer(f"late to {text}"), cost_pico_usd=45)
        assert stored.text == self.settled.setdefault(text, f"late to {text}")
        del self.unknown[attempt]
        self.used += 45
        self.arrived += 1

    @precondition(lambda self: self.unknown)
    @rule(data=st.data(), tokens=st.integers(0, RESERVED))
    def reconcile(self, data: st.DataObject, tokens: int) -> None:
        attempt = data.draw(st.sampled_from([*self.unknown]))
        reconcile(self.ledger, attempt, tokens=tokens)
        del self.unknown[attempt]
        self.lost.pop(attempt, None)
        self.used += tokens

    @rule()
    def crash(self) -> None:
        self.site.die(self.ledger)
        self._open()
        assert (self.run.unknown, self.run.released) == (len(self.sent), len(self.reserved))
        self._gone()

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self._open()
        assert (self.run.unknown, self.run.released) == (0, 0)
        self._gone()

    def _gone(self) -> None:
        self.unknown |= dict.fromkeys(self.sent, RESERVED)
        self.lost |= self.sent
        self.sent.clear()
        self.reserved.clear()

    @rule(limit=st.integers(0, 1000), opening=st.integers(0, 200))
    def change_the_limit(self, limit: int, opening: int) -> None:
        self.limit, self.opening = limit, opening
        self.run = self.ledger.begin_run(limits={"book": Limit(tokens=limit)}, openings={"book": opening})

    @rule(seconds=st.integers(1, 30))
    def pause(self, seconds: int) -> None:
        self.ledger.pause("m", seconds)
        verdict = self.ledger.reserve(order(self.run, "paused"))
        assert isinstance(verdict, Paused | Refused)
        self.clock.forward(seconds)

    @invariant()
    def the_book_balances(self) -> None:
        if not hasattr(self, "ledger"):
            return
        book = self.ledger.balance("book")
        assert book.remaining_tokens == self.remaining
        assert book.used_tokens == self.opening + self.used + sum(self.unknown.values())
        assert book.unknown_tokens == sum(self.unknown.values())
        assert book.reserved_tokens == RESERVED * (len(self.reserved) + len(self.sent))
        assert book.used_tokens + book.reserved_tokens + self.remaining == self.limit

    @invariant()
    def chapters_and_models_add_up_to_the_book(self) -> None:
        if not hasattr(self, "ledger"):
            return
        book = self.ledger.balance("book")
        overview = self.ledger.overview()
        tokens = book.used_tokens - self.opening
        assert sum(piece.tokens for piece in overview.slices) == tokens
        assert sum(day.tokens for day in overview.days) == tokens
        held = sum(each.tokens for each in overview.open)
        assert held == book.reserved_tokens + book.unknown_tokens

    @invariant()
    def states_are_as_they_should_be(self) -> None:
        if not hasattr(self, "ledger"):
            return
        by_state = {state: {row.id for row in self.ledger.attempts(state=state)} for state in State}
        assert by_state[State.RESERVED] == set(self.reserved)
        assert by_state[State.SENT] == set(self.sent)
        assert by_state[State.UNKNOWN] == set(self.unknown)
        assert len(by_state[State.SETTLED]) == self.arrived


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_any_interleaving(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if database == "postgresql":
        address: str = request.getfixturevalue("server_address")

    class Machine(LedgerMachine):
        def new_site(self) -> Site:
            if database == "postgresql":
                return ServerSite(address)
            return FileSite(tmp_path / secrets.token_hex(4))

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15 if database == "sqlite" else 8,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
